"""Rows of orders, executions, closed results and the ledger, as REST answers them and as the streams push them; those of
positions and wallet are in `private_account_rows`.

Each table lists Bybit's fields in order with the function that writes them. The habits differ by surface and are kept:
streams write numbers without trailing zeros, REST orders with the decimals of the contract; what is not set is "" on the
order stream, "0.00" and "UNKNOWN" on REST; closed orders have leavesQty "0"; a flat position has side "" and size "0".
Times are texts in ms, `seq` is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from core.sim.exchange_types import (
    SIDE_TEXT,
    ClosedPnl,
    Execution,
    OrderType,
    SimOrder,
    SlippageType,
    StopOrderType,
    TriggerBy,
)
from core.sim.margin_types import Cause, LedgerEntry
from gateway.venue.instruments import Instrument
from gateway.venue.row_texts import Figures, average_e8, e8, ms, trimmed


# -- orders ----------------------------------------------------------------------------------------------------------
class OrderHabit(NamedTuple):
    """How a surface writes what is not set. price None: zero with the decimals of the contract."""

    trim: bool
    price: str | None
    average: str
    limit: str
    word: str
    tpsl_mode: str


ON_STREAM = OrderHabit(trim=True, price="", average="", limit="0", word="", tpsl_mode="UNKNOWN")
ON_REST = OrderHabit(trim=False, price=None, average="0", limit="", word="UNKNOWN", tpsl_mode="")


class OrderCell(NamedTuple):
    """What an order field is written from."""

    order: SimOrder
    figures: Figures
    habit: OrderHabit

    def price(self, ticks: int) -> str:
        return self.figures.price(ticks) if ticks or self.habit.price is None else self.habit.price

    def limit(self, ticks: int) -> str:
        return self.figures.price(ticks) if ticks else self.habit.limit

    def word(self, word: TriggerBy | StopOrderType) -> str:
        return word.text or self.habit.word

    @property
    def leaves_value(self) -> str:
        return self.figures.value(self.order.price_ticks, self.order.leaves_lots)

    @property
    def average(self) -> str:
        """What was paid on average; unset before the first fill."""
        o = self.order
        price_e8 = average_e8(o.cum_value_e8, o.cum_qty_lots, self.figures.instrument)
        return e8(price_e8) if o.cum_qty_lots else self.habit.average

    @property
    def slippage(self) -> str:
        o = self.order
        if o.slippage_type is SlippageType.NONE:
            return ""
        return trimmed(o.slippage, 2) if o.slippage_type is SlippageType.PERCENT else str(o.slippage)

    @property
    def fee_detail(self) -> dict[str, str]:
        return {"USDT": e8(self.order.cum_fee_e8)} if self.order.cum_fee_e8 else {}


OrderWrite = Callable[[OrderCell], Any]
ORDER: dict[str, OrderWrite] = {
    "category": lambda c: "linear",
    "symbol": lambda c: c.order.symbol,
    "orderId": lambda c: c.order.order_id,
    "orderLinkId": lambda c: c.order.order_link_id,
    "parentOrderLinkId": lambda c: c.order.parent_order_link_id,
    "blockTradeId": lambda c: "",
    "side": lambda c: SIDE_TEXT[c.order.side],
    "positionIdx": lambda c: c.order.position_idx,
    "orderStatus": lambda c: c.order.status.text,
    "cancelType": lambda c: c.order.cancel_type.text,
    "rejectReason": lambda c: c.order.reject_reason.text,
    "timeInForce": lambda c: c.order.tif.text,
    "isLeverage": lambda c: "",
    "price": lambda c: c.figures.price(c.order.price_ticks) if c.order.price_ticks else c.habit.average,
    "brokerOrderPrice": lambda c: "",
    "qty": lambda c: c.figures.qty(c.order.qty_lots),
    "avgPrice": lambda c: c.average,
    "leavesQty": lambda c: c.figures.qty(c.order.leaves_lots),
    "leavesValue": lambda c: c.leaves_value,
    "cumExecQty": lambda c: c.figures.qty(c.order.cum_qty_lots),
    "cumExecValue": lambda c: e8(c.order.cum_value_e8),
    "cumExecFee": lambda c: e8(c.order.cum_fee_e8),
    "orderType": lambda c: c.order.order_type.text,
    "stopOrderType": lambda c: c.word(c.order.stop_order_type),
    "ocoTriggerBy": lambda c: "",
    "orderIv": lambda c: "",
    "triggerPrice": lambda c: c.price(c.order.trigger_price_ticks),
    "takeProfit": lambda c: c.price(c.order.take_profit_ticks),
    "stopLoss": lambda c: c.price(c.order.stop_loss_ticks),
    "triggerBy": lambda c: c.word(c.order.trigger_by),
    "tpTriggerBy": lambda c: c.word(c.order.tp_trigger_by),
    "slTriggerBy": lambda c: c.word(c.order.sl_trigger_by),
    "triggerDirection": lambda c: c.order.trigger_direction,
    "placeType": lambda c: "",
    "lastPriceOnCreated": lambda c: c.price(c.order.last_price_on_created_ticks),
    "closeOnTrigger": lambda c: c.order.close_on_trigger,
    "reduceOnly": lambda c: c.order.reduce_only,
    "smpGroup": lambda c: 0,
    "smpType": lambda c: c.order.smp.text,
    "smpOrderId": lambda c: c.order.smp_order_id,
    "slLimitPrice": lambda c: c.limit(c.order.sl_limit_ticks),
    "tpLimitPrice": lambda c: c.limit(c.order.tp_limit_ticks),
    "tpslMode": lambda c: c.order.tpsl_mode.text or c.habit.tpsl_mode,
    "createType": lambda c: c.order.create_type.text,
    "marketUnit": lambda c: "",
    "slippageToleranceType": lambda c: c.order.slippage_type.text,
    "slippageTolerance": lambda c: c.slippage,
    "createdTime": lambda c: ms(c.order.created_ns),
    "updatedTime": lambda c: ms(c.order.updated_ns),
    "feeCurrency": lambda c: "",
    "closedPnl": lambda c: e8(c.order.closed_pnl_e8),
    "extraFees": lambda c: "",
    "cumFeeDetail": lambda c: c.fee_detail,
    "rpiTakerAccess": lambda c: False,
    "rpiMatchedQty": lambda c: "0",
}
"""Every order field; the surfaces below pick theirs."""

ORDER_STREAM = (
    "category", "symbol", "orderId", "orderLinkId", "parentOrderLinkId", "blockTradeId", "side", "positionIdx",
    "orderStatus", "cancelType", "rejectReason", "timeInForce", "isLeverage", "price", "brokerOrderPrice", "qty",
    "avgPrice", "leavesQty", "leavesValue", "cumExecQty", "cumExecValue", "cumExecFee", "orderType", "stopOrderType",
    "ocoTriggerBy", "orderIv", "triggerPrice", "takeProfit", "stopLoss", "triggerBy", "tpTriggerBy", "slTriggerBy",
    "triggerDirection", "placeType", "lastPriceOnCreated", "closeOnTrigger", "reduceOnly", "smpGroup", "smpType",
    "smpOrderId", "slLimitPrice", "tpLimitPrice", "tpslMode", "createType", "marketUnit", "slippageToleranceType",
    "slippageTolerance", "createdTime", "updatedTime", "feeCurrency", "closedPnl", "cumFeeDetail", "rpiTakerAccess",
    "rpiMatchedQty",
)
ORDER_REST = (
    "orderId", "orderLinkId", "parentOrderLinkId", "blockTradeId", "symbol", "price", "qty", "side", "isLeverage",
    "positionIdx", "orderStatus", "createType", "cancelType", "rejectReason", "avgPrice", "leavesQty", "leavesValue",
    "cumExecQty", "cumExecValue", "cumExecFee", "timeInForce", "orderType", "stopOrderType", "ocoTriggerBy", "orderIv",
    "marketUnit", "slippageToleranceType", "slippageTolerance", "triggerPrice", "takeProfit", "stopLoss", "tpslMode",
    "tpLimitPrice", "slLimitPrice", "tpTriggerBy", "slTriggerBy", "triggerDirection", "triggerBy", "lastPriceOnCreated",
    "reduceOnly", "closeOnTrigger", "placeType", "smpType", "smpGroup", "smpOrderId", "createdTime", "updatedTime",
    "extraFees", "cumFeeDetail", "rpiTakerAccess", "rpiMatchedQty",
)


def order_stream(order: SimOrder, instrument: Instrument) -> dict[str, Any]:
    """A row of topic `order`."""
    cell = OrderCell(order, Figures(instrument, ON_STREAM.trim), ON_STREAM)
    return {name: ORDER[name](cell) for name in ORDER_STREAM}


def order_rest(order: SimOrder, instrument: Instrument) -> dict[str, Any]:
    """A row of /v5/order/realtime and /v5/order/history."""
    cell = OrderCell(order, Figures(instrument, ON_REST.trim), ON_REST)
    return {name: ORDER[name](cell) for name in ORDER_REST}


# -- executions ------------------------------------------------------------------------------------------------------
class ExecutionCell(NamedTuple):
    """What an execution field is written from."""

    execution: Execution
    figures: Figures

    @property
    def price(self) -> str:
        e = self.execution
        return self.figures.price(e.price_ticks) if e.price_ticks else trimmed(e.mark_e10, 10)


ExecutionWrite = Callable[[ExecutionCell], Any]
EXECUTION: dict[str, ExecutionWrite] = {
    "category": lambda c: "linear",
    "symbol": lambda c: c.execution.symbol,
    "isLeverage": lambda c: "0",
    "orderId": lambda c: c.execution.order_id,
    "orderLinkId": lambda c: c.execution.order_link_id,
    "side": lambda c: SIDE_TEXT[c.execution.side],
    "orderPrice": lambda c: c.figures.price(c.execution.order_price_ticks),
    "orderQty": lambda c: c.figures.qty(c.execution.order_qty_lots),
    "leavesQty": lambda c: c.figures.qty(c.execution.leaves_lots),
    "createType": lambda c: c.execution.create_type.text if c.execution.order_type is not OrderType.UNKNOWN else "",
    "orderType": lambda c: c.execution.order_type.text,
    "stopOrderType": lambda c: c.execution.stop_order_type.text or "UNKNOWN",
    "execFee": lambda c: e8(c.execution.fee_e8),
    "execId": lambda c: c.execution.exec_id,
    "execPrice": lambda c: c.price,
    "execQty": lambda c: c.figures.qty(c.execution.qty_lots),
    "execPnl": lambda c: e8(c.execution.exec_pnl_e8),
    "execType": lambda c: c.execution.exec_type.text,
    "execValue": lambda c: e8(c.execution.value_e8),
    "execTime": lambda c: ms(c.execution.ts_ns),
    "feeCurrency": lambda c: "USDT",
    "isMaker": lambda c: c.execution.is_maker,
    "feeRate": lambda c: e8(c.execution.fee_rate_e8),
    "markPrice": lambda c: trimmed(c.execution.mark_e10, 10),
    "indexPrice": lambda c: "",
    "underlyingPrice": lambda c: "",
    "tradeIv": lambda c: "",
    "markIv": lambda c: "",
    "blockTradeId": lambda c: "",
    "closedSize": lambda c: c.figures.qty(c.execution.closed_lots),
    "marketUnit": lambda c: "",
    "seq": lambda c: c.execution.seq,
}
"""Every execution field but extraFees, which is a list on the stream and "" on REST."""

EXECUTION_STREAM = (
    "category", "symbol", "closedSize", "execFee", "execId", "execPrice", "execQty", "execType", "execValue", "feeRate",
    "tradeIv", "markIv", "blockTradeId", "markPrice", "indexPrice", "underlyingPrice", "leavesQty", "orderId",
    "orderLinkId", "orderPrice", "orderQty", "orderType", "stopOrderType", "side", "execTime", "isLeverage", "isMaker",
    "seq", "marketUnit", "execPnl", "createType", "feeCurrency",
)
EXECUTION_FAST = (
    "category", "symbol", "execId", "execPrice", "execQty", "orderId", "isMaker", "orderLinkId", "side", "execTime", "seq",
)
EXECUTION_REST = (
    "symbol", "orderId", "orderLinkId", "side", "orderPrice", "orderQty", "leavesQty", "createType", "orderType",
    "stopOrderType", "execFee", "execId", "execPrice", "execQty", "execType", "execValue", "execTime", "feeCurrency",
    "isMaker", "feeRate", "tradeIv", "markIv", "markPrice", "indexPrice", "underlyingPrice", "blockTradeId",
    "closedSize", "seq",
)


def execution_stream(execution: Execution, instrument: Instrument) -> dict[str, Any]:
    """A row of topic `execution`."""
    cell = ExecutionCell(execution, Figures(instrument, True))
    return {name: EXECUTION[name](cell) for name in EXECUTION_STREAM} | {"extraFees": []}


def execution_fast(execution: Execution, instrument: Instrument) -> dict[str, Any]:
    """A row of topic `execution.fast` (trades only): the orderLinkId of a maker fill is empty."""
    cell = ExecutionCell(execution, Figures(instrument, True))
    row = {name: EXECUTION[name](cell) for name in EXECUTION_FAST}
    return row | {"orderLinkId": ""} if execution.is_maker else row


def execution_rest(execution: Execution, instrument: Instrument) -> dict[str, Any]:
    """A row of /v5/execution/list."""
    cell = ExecutionCell(execution, Figures(instrument, True))
    return {name: EXECUTION[name](cell) for name in EXECUTION_REST} | {"extraFees": ""}


def closed_pnl_rest(closed: ClosedPnl, instrument: Instrument) -> dict[str, Any]:
    """A row of /v5/position/closed-pnl. Its prices are cost based."""
    figures = Figures(instrument, True)
    return {
        "symbol": closed.symbol, "orderType": closed.order_type.text, "leverage": trimmed(closed.leverage_e2, 2),
        "updatedTime": ms(closed.updated_ns), "side": SIDE_TEXT[closed.side], "orderId": closed.order_id,
        "closedPnl": e8(closed.closed_pnl_e8),
        "avgEntryPrice": e8(average_e8(closed.entry_value_e8, closed.closed_lots, instrument)),
        "qty": figures.qty(closed.qty_lots), "cumEntryValue": e8(closed.entry_value_e8),
        "createdTime": ms(closed.created_ns), "orderPrice": figures.price(closed.order_price_ticks),
        "closedSize": figures.qty(closed.closed_lots),
        "avgExitPrice": e8(average_e8(closed.exit_value_e8, closed.closed_lots, instrument)),
        "execType": closed.exec_type.text, "fillCount": str(closed.fill_count), "cumExitValue": e8(closed.exit_value_e8),
        "openFee": e8(closed.open_fee_e8), "closeFee": e8(closed.close_fee_e8),
    }


# -- ledger ----------------------------------------------------------------------------------------------------------
def transaction_rest(group: Sequence[LedgerEntry], cause: Cause, executions: Mapping[str, Execution],
                     sizes: Mapping[str, int], instruments: Mapping[str, Instrument], uid: int) -> dict[str, Any]:
    """A row of /v5/account/transaction-log: change = cashFlow + funding - fee, of the entries booked for one thing.

    executions: by id, funding also as "symbol:position:ns"; sizes: execution id -> lots of the position after it."""
    last = group[-1]
    fee = -sum(entry.change_e8 for entry in group if entry.cause is Cause.FEE)
    funding = sum(entry.change_e8 for entry in group if entry.cause is Cause.FUNDING)
    change = sum(entry.change_e8 for entry in group)
    row = {
        "transSubType": "", "id": f"{uid}_{last.symbol or 'USDT'}_{last.seq}", "symbol": last.symbol, "side": "None",
        "funding": e8(funding) if cause is Cause.FUNDING else "", "orderLinkId": "", "orderId": last.order_id,
        "fee": e8(fee), "change": e8(change), "cashFlow": e8(change - funding + fee),
        "transactionTime": ms(last.ts_ns), "type": cause.text, "feeRate": "", "bonusChange": "", "size": "", "qty": "",
        "cashBalance": e8(last.balance_e8), "currency": "USDT", "category": "linear" if last.symbol else "",
        "tradePrice": "", "tradeId": last.ref, "extraFees": "",
    }
    execution = executions.get(last.ref) or executions.get(f"{last.symbol}:{last.position_idx}:{last.ref}")
    if execution is not None:
        cell = ExecutionCell(execution, Figures(instruments[execution.symbol], True))
        row |= {
            "side": SIDE_TEXT[execution.side], "orderLinkId": execution.order_link_id, "feeRate": e8(execution.fee_rate_e8),
            "qty": cell.figures.qty(execution.qty_lots), "tradePrice": cell.price,
            "size": cell.figures.qty(sizes[execution.exec_id]), "tradeId": execution.exec_id,
            "orderId": execution.order_id,
        }
    return row
