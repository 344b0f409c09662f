"""Rows of orders, executions, positions and wallets, from the private streams and from REST alike, as words of the desk.

The surfaces differ in habits (BYBIT.md 5): unset is "", "0", "0.00" or "UNKNOWN", REST calls avgPrice what the stream
calls entryPrice, times and some counters are texts here and integers there. Fields that are not named here are ignored;
words of sets that Bybit extends are kept as they are; a number that is none is a WireError naming row and field.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.orders.exchange_words import (
    AccountRow,
    ClosedPnlRow,
    ExecutionRow,
    FeeRow,
    InstrumentRow,
    KeyRow,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    StopOrderType,
    TimeInForce,
    WalletRow,
)
from core.sim.exchange_types import SIDE_TEXT
from core.units import UnitsError, grid_from_text, parse_units
from gateway.bybit.wire_units import WireError, WireGrid, fixed, integer, money

Raw = Mapping[str, Any]
SIDES = {text: sign for sign, text in SIDE_TEXT.items()} | {"None": 0}
STATUSES = {status.text: status for status in OrderStatus}
ORDER_TYPES = {kind.text: kind for kind in OrderType}
TIFS = {tif.text: tif for tif in TimeInForce}
STOP_TYPES = {kind.text: kind for kind in StopOrderType} | {"UNKNOWN": StopOrderType.NONE}
FUNDING = "Funding"
USDT = "USDT"


def text(row: Raw, name: str) -> str:
    """A text field; "" where it is absent or null. Raises WireError where it is something else."""
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WireError(f"{name} is no text")
    return value


def _list(row: Raw, name: str) -> list[Any]:
    """A list; empty where it is absent or null. Raises WireError where it is something else."""
    value = row.get(name)
    if value is not None and not isinstance(value, list):
        raise WireError(f"{name} is no list")
    return value or []


def flag(row: Raw, name: str) -> bool:
    return row.get(name) is True


def side(row: Raw) -> int:
    word = text(row, "side")
    try:
        return SIDES[word]
    except KeyError:
        raise WireError(f"side {word[:20]!r}") from None


def stop_type(row: Raw) -> StopOrderType:
    """A kind we do not know is still conditional."""
    return STOP_TYPES.get(text(row, "stopOrderType"), StopOrderType.STOP)


def order_row(row: Raw, grid: WireGrid) -> OrderRow:
    """Topic `order`, order/realtime, order/history. Raises WireError."""
    status = text(row, "orderStatus")
    return OrderRow(
        symbol=text(row, "symbol"), order_id=text(row, "orderId"), link_id=text(row, "orderLinkId"), side=side(row),
        order_type=ORDER_TYPES.get(text(row, "orderType")), tif=TIFS.get(text(row, "timeInForce")),
        status=STATUSES.get(status), price_ticks=grid.ticks(text(row, "price")), qty_lots=grid.lots(text(row, "qty")),
        cum_lots=grid.lots(text(row, "cumExecQty")), leaves_lots=grid.lots(text(row, "leavesQty")),
        cum_value_e8=money(text(row, "cumExecValue")), cum_fee_e8=_fees(row), position_idx=integer(row.get("positionIdx")),
        reduce_only=flag(row, "reduceOnly"), close_on_trigger=flag(row, "closeOnTrigger"), stop_order_type=stop_type(row),
        trigger_ticks=grid.ticks(text(row, "triggerPrice")), stop_ticks=grid.ticks(text(row, "stopLoss")),
        target_ticks=grid.ticks(text(row, "takeProfit")), create_type=text(row, "createType"),
        cancel_type=text(row, "cancelType"), reject_reason=text(row, "rejectReason"),
        parent_link_id=text(row, "parentOrderLinkId"), status_text=status, created_ms=integer(row.get("createdTime")),
        updated_ms=integer(row.get("updatedTime")),
    )


def _fees(row: Raw) -> int:
    """What was paid so far: by coin since cumExecFee is deprecated."""
    detail = row.get("cumFeeDetail")
    if isinstance(detail, Mapping) and USDT in detail:
        return money(text(detail, USDT))
    return money(text(row, "cumExecFee"))


def execution_row(row: Raw, grid: WireGrid) -> ExecutionRow:
    """Topic `execution`, execution/list. Raises WireError."""
    kind, price = text(row, "execType"), text(row, "execPrice")
    return ExecutionRow(
        exec_id=text(row, "execId"), exec_type=kind, order_id=text(row, "orderId"), link_id=text(row, "orderLinkId"),
        symbol=text(row, "symbol"), side=side(row),
        price_ticks=grid.exact_ticks(price) if kind == FUNDING else grid.ticks(price),
        qty_lots=grid.lots(text(row, "execQty")), fee_e8=money(text(row, "execFee")), is_maker=flag(row, "isMaker"),
        closed_lots=grid.lots(text(row, "closedSize")), exec_time_ms=integer(row.get("execTime")),
        seq=integer(row.get("seq")), leaves_lots=grid.lots(text(row, "leavesQty")),
        value_e8=money(text(row, "execValue")), stop_order_type=stop_type(row), create_type=text(row, "createType"),
        position_idx=integer(row.get("positionIdx")),
    )


def closed_pnl_row(row: Raw, grid: WireGrid) -> ClosedPnlRow:
    """position/closed-pnl. Raises WireError."""
    return ClosedPnlRow(
        symbol=text(row, "symbol"), order_id=text(row, "orderId"), side=side(row), lots=grid.lots(text(row, "closedSize")),
        closed_pnl_e8=money(text(row, "closedPnl")), updated_ms=integer(row.get("updatedTime")),
    )


def position_row(row: Raw, grid: WireGrid) -> PositionRow:
    """Topic `position`, position/list. Raises WireError.

    The entry value is the venue's where it agrees with average price and size, else computed from them: newer answers
    value positions at the mark price.
    """
    lots = grid.lots(text(row, "size"))
    price_e8 = money(text(row, "entryPrice") or text(row, "avgPrice"))
    computed = grid.value_e8(price_e8, lots)
    told = money(text(row, "positionValue"))
    slack = grid.value_e8(1, lots) + 1  # one unit of the last digit of the average price
    return PositionRow(
        symbol=text(row, "symbol"), position_idx=integer(row.get("positionIdx")), side=side(row) if lots else 0,
        lots=lots, entry_value_e8=told if abs(told - computed) <= slack else computed, avg_price_e8=price_e8,
        stop_ticks=grid.ticks(text(row, "stopLoss")), target_ticks=grid.ticks(text(row, "takeProfit")),
        trailing_ticks=grid.ticks(text(row, "trailingStop")), leverage_e2=fixed(text(row, "leverage"), 2),
        mark_price_e8=money(text(row, "markPrice")), liq_price_e8=money(text(row, "liqPrice")),
        adl_rank=integer(row.get("adlRankIndicator")), status=text(row, "positionStatus"),
        is_reduce_only=flag(row, "isReduceOnly"), realised_e8=money(text(row, "curRealisedPnl")),
        seq=integer(row.get("seq")), updated_ms=integer(row.get("updatedTime")),
    )


def wallet_row(row: Raw, updated_ms: int) -> WalletRow | None:
    """Topic `wallet`, account/wallet-balance: the USDT in it, None where it holds none. Raises WireError.

    The account's own figure of what is available is empty in isolated mode; then it is the coin's balance without what
    is bound (BYBIT.md 5).
    """
    coin = next((c for c in _list(row, "coin") if isinstance(c, Mapping) and c.get("coin") == USDT), None)
    if coin is None:
        return None
    balance, position_im, order_im = (money(text(coin, name)) for name in ("walletBalance", "totalPositionIM", "totalOrderIM"))
    bound = position_im + order_im + money(text(coin, "locked")) + money(text(coin, "bonus"))
    available = text(row, "totalAvailableBalance")
    return WalletRow(
        balance_e8=balance, equity_e8=money(text(coin, "equity")),
        available_e8=money(available) if available else balance - bound, unrealised_e8=money(text(coin, "unrealisedPnl")),
        initial_margin_e8=position_im + order_im, maintenance_margin_e8=money(text(coin, "totalPositionMM")),
        updated_ms=updated_ms,
    )


def key_row(row: Raw) -> KeyRow:
    """user/query-api. Raises WireError."""
    permissions = row.get("permissions")
    groups = permissions if isinstance(permissions, Mapping) else {}
    words = tuple(f"{group}:{right}" for group in sorted(groups) for right in _list(groups, group))
    ips = tuple(ip for ip in _list(row, "ips") if isinstance(ip, str) and ip != "*")
    return KeyRow(str(row.get("userID", "")), integer(row.get("readOnly")) == 1, words, ips, _expiry_ms(row))


def _expiry_ms(row: Raw) -> int:
    """When the key ends. `expiredAt` is an ISO text, 1970 for keys that do not end (those bound to an address)."""
    stamp = text(row, "expiredAt")
    if not stamp or stamp.startswith("1970"):
        return 0
    try:
        return int(datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() * 1000)
    except ValueError:
        raise WireError(f"expiredAt {stamp[:40]!r}") from None


def account_row(row: Raw) -> AccountRow:
    """account/info."""
    return AccountRow(text(row, "marginMode"), integer(row.get("unifiedMarginStatus")))


def fee_row(row: Raw) -> FeeRow:
    """account/fee-rate."""
    return FeeRow(text(row, "symbol"), money(text(row, "makerFeeRate")), money(text(row, "takerFeeRate")))


def instrument_row(row: Raw) -> InstrumentRow:
    """market/instruments-info. Raises WireError."""
    prices, sizes, leverage = (_part(row, name) for name in ("priceFilter", "lotSizeFilter", "leverageFilter"))
    try:
        tick_mant, price_exp = grid_from_text(text(prices, "tickSize"))
        lot_mant, qty_exp = grid_from_text(text(sizes, "qtyStep"))
        least, most, most_market = (
            parse_units(text(sizes, name) or "0", lot_mant, qty_exp) for name in ("minOrderQty", "maxOrderQty", "maxMktOrderQty")
        )
    except UnitsError as error:
        raise WireError(f"{text(row, 'symbol')}: {error}") from None
    return InstrumentRow(
        text(row, "symbol"), text(row, "status"), tick_mant, price_exp, lot_mant, qty_exp, least, most, most_market,
        money(text(sizes, "minNotionalValue")), fixed(text(leverage, "maxLeverage"), 2),
    )


def _part(row: Raw, name: str) -> Raw:
    part = row.get(name)
    if not isinstance(part, Mapping):
        raise WireError(f"{name} is missing")
    return part
