"""Order requests: create, amend, cancel, cancel-all, their batches, pre-check. REST and the trade WebSocket share them.

What is wrong in form is refused here with 10001; what is wrong in substance the exchange refuses with its own codes. An
answer only says that a request was accepted: what became of it is on the order stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from core.sim.exchange_types import (
    AmendRequest,
    OrderFilter,
    OrderRequest,
    OrderStatus,
    OrderType,
    Result,
    SlippageType,
    SmpType,
    TimeInForce,
    TpslMode,
    TriggerBy,
)
from gateway.venue.instruments import Instrument
from gateway.venue.private_rest import TOO_MANY, Call, Done, id_of
from gateway.venue.private_rest_params import FILLED_IN, PARAMETER_ERROR, Fields, invalid, missing
from gateway.venue.private_venue import PrivateVenue
from gateway.venue.rest_answers import ApiError
from gateway.venue.ret_texts import TEXTS

MAX_BATCH = 20
TICK_SIZES = (1, 10_000)
PERCENT_E2 = (1, 1000)  # 0.01 to 10 percent
SIDES = {"Buy": 1, "Sell": -1}
T = TypeVar("T")


def words(*members: Any) -> dict[str, Any]:
    """Bybit's word -> member."""
    return {member.text: member for member in members}


ORDER_TYPES = words(OrderType.MARKET, OrderType.LIMIT)
TIFS = words(TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.POST_ONLY)
TRIGGERS = words(TriggerBy.LAST, TriggerBy.MARK, TriggerBy.INDEX)
TPSL_MODES = words(TpslMode.FULL, TpslMode.PARTIAL)
SMP_TYPES = words(*SmpType)
SLIPPAGES = words(SlippageType.TICK_SIZE, SlippageType.PERCENT)
FILTERS = words(OrderFilter.ORDER, OrderFilter.STOP_ORDER, OrderFilter.TPSL_ORDER, OrderFilter.OCO_ORDER,
                OrderFilter.BIDIRECTIONAL)


def done(result: Result) -> Done:
    """The ids of an accepted request. Raises ApiError where the exchange refused."""
    if result.ret_code:
        raise ApiError(result.ret_code, result.ret_msg)
    return Done({"orderId": result.order_id, "orderLinkId": result.order_link_id})


def order_request(fields: Fields, instrument: Instrument, modify_enable: bool = True) -> OrderRequest:
    """A create request in ticks and lots. Raises ApiError 10001."""
    side = fields.choice("side", SIDES)
    order_type = fields.choice("orderType", ORDER_TYPES)
    if fields.text("timeInForce") == "RPI":
        raise ApiError(110119, TEXTS[110119])
    tif = fields.choice("timeInForce", TIFS, TimeInForce.GTC)
    lots = fields.lots("qty", instrument, required=True)
    reduce_only, close = fields.flag("reduceOnly"), fields.flag("closeOnTrigger")
    if lots == 0 and not (reduce_only and close):
        raise invalid("qty")
    limit = order_type is OrderType.LIMIT
    price = fields.ticks("price", instrument, required=limit) if limit else 0
    if limit and price == 0:
        raise invalid("price")
    trigger = fields.ticks("triggerPrice", instrument)
    direction = fields.integer("triggerDirection", 0, 0, 2)
    if trigger and not direction:
        raise ApiError(PARAMETER_ERROR, "TriggerDirection invalid")
    tpsl = tpsl_fields(fields, instrument)
    slippage_type, slippage = slippage_of(fields)
    if slippage and (limit or trigger or tpsl["take_profit_ticks"] or tpsl["stop_loss_ticks"]):
        raise invalid("slippageTolerance")
    return OrderRequest(
        symbol=instrument.symbol, side=side, order_type=order_type, qty_lots=lots, price_ticks=price,
        tif=tif if limit else TimeInForce.IOC, reduce_only=reduce_only, close_on_trigger=close,
        order_link_id=fields.link_id(), position_idx=fields.integer("positionIdx", 0, 0, 2), trigger_price_ticks=trigger,
        trigger_direction=direction if trigger else 0,
        trigger_by=fields.choice("triggerBy", TRIGGERS, TriggerBy.LAST) if trigger else TriggerBy.NONE,
        smp=fields.choice("smpType", SMP_TYPES, SmpType.NONE), slippage_type=slippage_type, slippage=slippage,
        modify_enable=modify_enable, **tpsl,
    )


def tpsl_fields(fields: Fields, instrument: Instrument) -> dict[str, Any]:
    """The attached take profit and stop loss of a create request."""
    tp, sl = fields.ticks("takeProfit", instrument), fields.ticks("stopLoss", instrument)
    mode = fields.choice("tpslMode", TPSL_MODES, TpslMode.NONE)
    found: dict[str, Any] = {"take_profit_ticks": tp, "stop_loss_ticks": sl}
    for name, price in (("tp", tp), ("sl", sl)):
        kind = fields.choice(f"{name}OrderType", ORDER_TYPES, OrderType.MARKET)
        limit_price = fields.ticks(f"{name}LimitPrice", instrument)
        if kind is OrderType.LIMIT and (mode is not TpslMode.PARTIAL or not limit_price):
            raise invalid(f"{name}OrderType" if limit_price else f"{name}LimitPrice")
        found[f"{name}_trigger_by"] = fields.choice(f"{name}TriggerBy", TRIGGERS, TriggerBy.LAST) if price else TriggerBy.NONE
        found[f"{name}_order_type"] = kind
        found[f"{name}_limit_ticks"] = limit_price if kind is OrderType.LIMIT else 0
    found["tpsl_mode"] = mode if mode is not TpslMode.NONE or not (tp or sl) else TpslMode.FULL
    return found


def slippage_of(fields: Fields) -> tuple[SlippageType, int]:
    """Slippage tolerance: ticks, or 1e-2 percent."""
    kind = fields.choice("slippageToleranceType", SLIPPAGES, SlippageType.NONE)
    if kind is SlippageType.NONE:
        return kind, 0
    digits, (low, high) = (0, TICK_SIZES) if kind is SlippageType.TICK_SIZE else (2, PERCENT_E2)
    value = fields.fixed("slippageTolerance", digits, required=True)
    if not low <= value <= high:
        raise invalid("slippageTolerance")
    return kind, value


def amend_request(fields: Fields, instrument: Instrument) -> AmendRequest:
    """What to change; fields that are not given stay as they are. Raises ApiError 10001."""

    def given(name: str, read: Callable[[], T]) -> T | None:
        return read() if fields.given(name) else None

    def price(name: str) -> int | None:
        return given(name, lambda: fields.ticks(name, instrument))

    def trigger(name: str) -> TriggerBy | None:
        return given(name, lambda: fields.choice(name, TRIGGERS, TriggerBy.LAST))

    order_id, link_id = ids_of(fields)
    lots = given("qty", lambda: fields.lots("qty", instrument))
    limit = price("price")
    if lots == 0 or limit == 0:
        raise invalid("qty" if lots == 0 else "price")
    return AmendRequest(
        symbol=instrument.symbol, order_id=order_id, order_link_id=link_id, price_ticks=limit, qty_lots=lots,
        trigger_price_ticks=price("triggerPrice"), trigger_by=trigger("triggerBy"),
        take_profit_ticks=price("takeProfit"), stop_loss_ticks=price("stopLoss"), tp_trigger_by=trigger("tpTriggerBy"),
        sl_trigger_by=trigger("slTriggerBy"), tp_limit_ticks=price("tpLimitPrice"), sl_limit_ticks=price("slLimitPrice"),
        tpsl_mode=given("tpslMode", lambda: fields.choice("tpslMode", TPSL_MODES, TpslMode.NONE)),
    )


def ids_of(fields: Fields) -> tuple[str, str]:
    """(orderId, orderLinkId) of which one must be given; the order id wins."""
    order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
    if not order_id and not link_id:
        raise ApiError(PARAMETER_ERROR, FILLED_IN.format("orderId or orderLinkId"))
    return order_id, "" if order_id else link_id


class BatchKind(NamedTuple):
    """What a batch does with one item, and whether its rows tell when the order was created."""

    one: Callable[[Call, Fields], Done]
    created: bool


class OrderCalls:
    """The handlers."""

    def __init__(self, venue: PrivateVenue) -> None:
        self._venue = venue

    def create(self, call: Call) -> Done:
        call.fields.category()
        return self._create(call, call.fields)

    def amend(self, call: Call) -> Done:
        call.fields.category()
        return self._amend(call, call.fields)

    def cancel(self, call: Call) -> Done:
        call.fields.category()
        return self._cancel(call, call.fields)

    def cancel_all(self, call: Call) -> Done:
        """Without orderFilter conditional, TP/SL and trailing orders go too."""
        fields = call.fields
        fields.category()
        symbols = self._venue.chosen_symbols(fields)
        which = fields.choice("orderFilter", FILTERS, OrderFilter.ALL)
        if fields.text("stopOrderType") == "Stop":
            which = OrderFilter.STOP_ORDER
        rows: list[dict[str, str]] = []
        for symbol in [None] if symbols is None else symbols:
            if symbol is not None:
                self._venue.touch(symbol)
            found = self._venue.exchange.cancel_all(self._venue.now_ns, call.uid, symbol, which)
            done(found.result)
            rows += [{"orderId": order_id, "orderLinkId": link_id} for order_id, link_id in found.cancelled]
        return Done({"list": rows, "success": "1"})

    def pre_check(self, call: Call) -> Done:
        """What an order would do to the margin rates, without placing it."""
        fields = call.fields
        fields.category()
        request = order_request(fields, self._venue.instrument(fields), not call.account.price_limit_rejects)
        found = self._venue.exchange.pre_check(self._venue.now_ns, call.uid, request)
        rates = {
            "preImrE4": found.pre_imr_e4, "preMmrE4": found.pre_mmr_e4, "postImrE4": found.post_imr_e4,
            "postMmrE4": found.post_mmr_e4,
        }
        ids = {**done(found.result).result, "orderId": id_of(f"pre-check {call.uid} {call.now_ns}")}
        return Done({**ids, **rates})

    def create_batch(self, call: Call) -> Done:
        return self._batch(call, BatchKind(self._create, True))

    def amend_batch(self, call: Call) -> Done:
        return self._batch(call, BatchKind(self._amend_plain, False))

    def cancel_batch(self, call: Call) -> Done:
        return self._batch(call, BatchKind(self._cancel, False))

    # -- one order ---------------------------------------------------------------------------------------------------
    def _create(self, call: Call, fields: Fields) -> Done:
        request = order_request(fields, self._venue.instrument(fields), not call.account.price_limit_rejects)
        self._venue.touch(request.symbol)
        return done(self._venue.exchange.create_order(self._venue.now_ns, call.uid, request))

    def _amend(self, call: Call, fields: Fields) -> Done:
        request = amend_request(fields, self._venue.instrument(fields))
        self._venue.touch(request.symbol)
        return done(self._venue.exchange.amend_order(self._venue.now_ns, call.uid, request))

    def _amend_plain(self, call: Call, fields: Fields) -> Done:
        """An item of amend-batch: conditional orders cannot be amended there."""
        instrument = self._venue.instrument(fields)
        order_id, link_id = ids_of(fields)
        order = self._venue.exchange.find_order(call.uid, order_id, link_id)
        if order is not None and order.symbol == instrument.symbol and order.status is OrderStatus.UNTRIGGERED:
            raise ApiError(PARAMETER_ERROR, "conditional orders cannot be amended in a batch")
        return self._amend(call, fields)

    def _cancel(self, call: Call, fields: Fields) -> Done:
        instrument = self._venue.instrument(fields)
        order_id, link_id = ids_of(fields)
        self._venue.touch(instrument.symbol)
        return done(self._venue.exchange.cancel_order(self._venue.now_ns, call.uid, instrument.symbol, order_id, link_id))

    # -- batches -----------------------------------------------------------------------------------------------------
    def _batch(self, call: Call, kind: BatchKind) -> Done:
        """Every item for itself: the outer code is 0 even if all fail; what exceeds the rate limit fails at the end."""
        call.fields.category()
        items = batch_items(call.fields)
        if not items:
            raise missing("request")
        if len(items) > MAX_BATCH:
            raise ApiError(PARAMETER_ERROR, f"params error: the number of orders exceeds {MAX_BATCH}")
        rows: list[dict[str, str]] = []
        outcomes: list[dict[str, Any]] = []
        for number, item in enumerate(items):
            ids = {"orderId": "", "orderLinkId": text_of_field(item, "orderLinkId")}
            code, text = 0, "OK"
            try:
                if number >= call.granted:
                    raise ApiError(10006, TOO_MANY)
                ids = dict(kind.one(call, Fields(item, True)).result)
            except ApiError as refusal:
                code, text = refusal.code, str(refusal)
            row = {"category": "linear", "symbol": text_of_field(item, "symbol"), **ids}
            if kind.created:
                row["createAt"] = "" if code else str(call.now_ms)
            rows.append(row)
            outcomes.append({"code": code, "msg": text})
        return Done({"list": rows}, info={"list": outcomes})


def batch_items(fields: Fields) -> list[Mapping[str, Any]]:
    """The items of a batch. Raises ApiError 10001."""
    found = fields.values.get("request")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise invalid("request")
    return found


def batch_units(fields: Fields) -> int:
    """How much of the rate limit a batch takes: one per order."""
    return max(1, len(batch_items(fields)))


def text_of_field(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""
