"""May this request be taken? Everything the exchange refuses at once, with Bybit's retCodes; raises `Refused`."""

from __future__ import annotations

from core.sim.exchange_state import AccountState, SymbolState
from core.sim.exchange_types import (
    BUY,
    AmendRequest,
    OrderRequest,
    OrderType,
    SimOrder,
    SlippageType,
    StopOrderType,
    SymbolStatus,
    TimeInForce,
    TpslMode,
    TriggerBy,
)
from core.sim.margin_types import PositionMode
from core.sim.ret_codes import Refused, RetCode

MAX_ACTIVE_ORDERS = 500
MAX_STOP_ORDERS = 10
MAX_PARTIAL_TPSL = 20
LINK_ID_LENGTH = 36
SLIPPAGE_RANGE = {SlippageType.TICK_SIZE: (1, 10_000), SlippageType.PERCENT: (1, 1_000)}


def bad(text: str) -> Refused:
    return Refused(RetCode.PARAMETER, text)


def check_create(state: SymbolState, account: AccountState, request: OrderRequest) -> None:
    """A new order, before its quantity is fitted to a position (reduce-only) and its price to the limits."""
    check_status(state, reduces=request.reduce_only or request.close_on_trigger)
    check_position_idx(account, request.symbol, request.position_idx)
    if request.side not in (1, -1):
        raise bad("Side invalid")
    if len(request.order_link_id) > LINK_ID_LENGTH:
        raise bad("OrderLinkId length cannot be more than 36")
    if request.order_link_id and request.order_link_id in account.links:
        raise Refused(RetCode.DUPLICATE_LINK_ID)
    limit = request.order_type is OrderType.LIMIT
    if limit and request.price_ticks <= 0:
        raise bad("params error: price invalid")
    if not limit and request.tif is TimeInForce.POST_ONLY:
        raise bad("Market order does not support PostOnly")
    if not closes_all(request):
        check_quantity(state, request.qty_lots, market=not limit, splits=request.reduce_only)
    if request.reduce_only and (request.take_profit_ticks or request.stop_loss_ticks):
        raise bad("Reduce-only orders cannot carry takeProfit or stopLoss")
    if request.slippage_type is not SlippageType.NONE:
        low, high = SLIPPAGE_RANGE[request.slippage_type]
        attached = request.take_profit_ticks or request.stop_loss_ticks or request.trigger_price_ticks
        if limit or attached or not low <= request.slippage <= high:
            raise bad("slippageTolerance invalid")
    if limit:
        check_price(state, request.side, request.price_ticks, modify=request.modify_enable)
    if request.trigger_price_ticks:
        check_trigger(state, request.trigger_price_ticks, request.trigger_direction, request.trigger_by)
        if not request.reduce_only and not request.close_on_trigger:
            check_notional(state, request.qty_lots, request.price_ticks or request.trigger_price_ticks)
    check_attached(state, request)
    check_counts(account, request)


def closes_all(request: OrderRequest) -> bool:
    """qty "0" with reduceOnly and closeOnTrigger: close what there is."""
    return request.qty_lots == 0 and request.reduce_only and request.close_on_trigger


def check_status(state: SymbolState, *, reduces: bool) -> None:
    if state.status is SymbolStatus.DELIVERING and not reduces:
        raise Refused(RetCode.DELISTING)
    if state.status in (SymbolStatus.PRE_LAUNCH, SymbolStatus.CLOSED):
        raise Refused(RetCode.NOT_LIVE)


def check_position_idx(account: AccountState, symbol: str, idx: int) -> None:
    hedge = account.margin.position_mode(symbol) is PositionMode.HEDGE
    if idx not in ((1, 2) if hedge else (0,)):
        raise bad("position idx not match position mode")


def largest_lots(state: SymbolState, *, market: bool) -> int:
    return state.spec.max_market_qty_lots if market else state.spec.max_qty_lots


def check_quantity(state: SymbolState, lots: int, *, market: bool, splits: bool = False) -> None:
    """`splits`: a reduce-only order above the largest size is not refused, the exchange splits it."""
    if lots <= 0:
        raise bad("Qty invalid")
    if lots < state.spec.min_qty_lots:
        raise bad("The number of contracts exceeds minimum limit allowed")
    if lots > largest_lots(state, market=market) and not splits:
        raise bad("The number of contracts exceeds maximum limit allowed: too large")


def check_price(state: SymbolState, side: int, price_ticks: int, *, modify: bool) -> None:
    if not state.spec.min_price_ticks <= price_ticks <= state.spec.max_price_ticks:
        raise Refused(RetCode.PRICE_OUT_OF_RANGE)
    limit = state.price_limit_ticks(side)
    if not modify and limit and side * (price_ticks - limit) > 0:
        raise Refused(RetCode.PRICE_OUT_OF_RANGE)


def check_notional(state: SymbolState, lots: int, price_ticks: int) -> None:
    value = state.spec.grid.value_e8(price_ticks, lots, round_up=False)
    if value < state.spec.min_notional_e8:
        raise Refused(RetCode.MIN_NOTIONAL)


def check_trigger(state: SymbolState, trigger_ticks: int, direction: int, by: TriggerBy) -> None:
    if direction not in (1, 2):
        raise bad("TriggerDirection invalid")
    now = state.trigger_e10(by or TriggerBy.LAST)
    trigger = state.e10(trigger_ticks)
    if direction == 1 and now >= trigger:
        raise Refused(RetCode.TRIGGER_NOT_RISING)
    if direction == 2 and 0 < now <= trigger:
        raise Refused(RetCode.TRIGGER_NOT_FALLING)


def check_attached(state: SymbolState, request: OrderRequest) -> None:
    """Take profit beyond, stop loss before the price the order is expected to open at."""
    tp, sl = request.take_profit_ticks, request.stop_loss_ticks
    if not tp and not sl:
        return
    if request.tpsl_mode is not TpslMode.PARTIAL and OrderType.LIMIT in (request.tp_order_type, request.sl_order_type):
        raise bad("tpOrderType and slOrderType can only be Limit with tpslMode Partial")
    if (request.tp_order_type is OrderType.LIMIT and tp and not request.tp_limit_ticks) or (
        request.sl_order_type is OrderType.LIMIT and sl and not request.sl_limit_ticks
    ):
        raise bad("tpLimitPrice or slLimitPrice is missing")
    base = request.price_ticks if request.order_type is OrderType.LIMIT else state.reference_ticks()
    if request.order_type is OrderType.MARKET and request.trigger_price_ticks:
        base = request.trigger_price_ticks
    check_tpsl_prices(request.side, tp, sl, base)


def check_tpsl_prices(side: int, tp: int, sl: int, base: int) -> None:
    """`side` of the position; `base` the price both are compared with, 0 = unknown."""
    name, beyond, before = ("Buy", "higher", "lower") if side == BUY else ("Sell", "lower", "higher")
    if base and tp and side * (tp - base) <= 0:
        raise bad(f"TakeProfit:{tp} set for {name} position should be {beyond} than base_price:{base}")
    if base and sl and side * (sl - base) >= 0:
        raise bad(f"StopLoss:{sl} set for {name} position should be {before} than base_price:{base}")


def check_counts(account: AccountState, request: OrderRequest) -> None:
    """At most 500 working orders and 10 conditional ones per symbol; TP/SL have their own limit."""
    active = stops = 0
    for order in account.open.get(request.symbol, {}).values():
        if order.stop_order_type is StopOrderType.NONE:
            active += 1
        elif order.stop_order_type is StopOrderType.STOP:
            stops += 1
    if request.trigger_price_ticks:
        if stops >= MAX_STOP_ORDERS:
            raise Refused(RetCode.STOP_ORDERS_LIMIT)
    elif active >= MAX_ACTIVE_ORDERS:
        raise Refused(RetCode.ORDERS_LIMIT)


def check_amend(state: SymbolState, order: SimOrder, request: AmendRequest) -> None:
    """Changes of an open order; raises also where nothing changes."""
    pairs = (
        (request.price_ticks, order.price_ticks),
        (request.qty_lots, order.qty_lots),
        (request.trigger_price_ticks, order.trigger_price_ticks),
        (request.trigger_by, order.trigger_by),
        (request.take_profit_ticks, order.take_profit_ticks),
        (request.stop_loss_ticks, order.stop_loss_ticks),
        (request.tp_trigger_by, order.tp_trigger_by),
        (request.sl_trigger_by, order.sl_trigger_by),
        (request.tpsl_mode, order.tpsl_mode),
        (request.tp_limit_ticks, order.tp_limit_ticks),
        (request.sl_limit_ticks, order.sl_limit_ticks),
    )
    if all(new is None or new == old for new, old in pairs):
        raise bad("order not modified")
    if request.qty_lots is not None and request.qty_lots != order.qty_lots:
        check_quantity(state, request.qty_lots, market=order.order_type is OrderType.MARKET)
        if request.qty_lots <= order.cum_qty_lots:
            raise Refused(RetCode.QTY_BELOW_FILLED)
    if request.price_ticks is not None:
        if order.order_type is OrderType.MARKET:
            raise bad("Market orders have no price to change")
        check_price(state, order.side, request.price_ticks, modify=True)
    if request.trigger_price_ticks:
        if not order.trigger_price_ticks:
            raise bad("Order has no trigger price")
        check_trigger(state, request.trigger_price_ticks, order.trigger_direction, order.trigger_by)
    base = order.price_ticks if request.price_ticks is None else request.price_ticks
    if not order.reduce_only and base:
        check_notional(state, request.qty_lots or order.qty_lots, base)
    check_tpsl_prices(order.side, request.take_profit_ticks or 0, request.stop_loss_ticks or 0, base)
