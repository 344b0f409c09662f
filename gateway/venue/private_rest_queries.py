"""What an account can ask: orders open and closed, executions, positions, closed results, the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.constants import DAY_NS, NS_PER_MS
from core.sim.exchange_types import (
    ClosedPnl,
    Execution,
    OrderFilter,
    OrderStatus,
    SimOrder,
    StopOrderType,
)
from core.sim.margin_types import Cause, ExecType, LedgerEntry, PositionSnapshot
from gateway.venue.private_account_rows import position_rest
from gateway.venue.private_rest import Call, Done
from gateway.venue.private_rest_orders import FILTERS, words
from gateway.venue.private_rest_pages import page
from gateway.venue.private_rest_params import Fields, invalid
from gateway.venue.private_rows import closed_pnl_rest, execution_rest, order_rest, transaction_rest
from gateway.venue.private_venue import PrivateVenue

CLOSED_KEPT = 500  # closed orders that order/realtime still knows
STATUSES = words(*OrderStatus)
EXEC_TYPES = words(*ExecType)
CAUSES = words(*Cause)
TPSL_TYPES = frozenset(kind for kind in StopOrderType if kind not in (StopOrderType.NONE, StopOrderType.STOP))


def matches(order: SimOrder, which: OrderFilter) -> bool:
    """Is the order of the kind that orderFilter names."""
    if which is OrderFilter.ALL:
        return True
    if which is OrderFilter.ORDER:
        return order.stop_order_type is StopOrderType.NONE
    if which is OrderFilter.STOP_ORDER:
        return order.stop_order_type is not StopOrderType.NONE
    return order.stop_order_type in TPSL_TYPES


def wanted(orders: Iterable[SimOrder], fields: Fields) -> list[SimOrder]:
    """Those with the ids that are asked for; without ids all. The order id wins."""
    order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
    if order_id:
        return [order for order in orders if order.order_id == order_id]
    return [order for order in orders if not link_id or order.order_link_id == link_id]


class Queries:
    """The handlers."""

    def __init__(self, venue: PrivateVenue) -> None:
        self._venue = venue

    # -- orders ------------------------------------------------------------------------------------------------------
    def realtime(self, call: Call) -> Done:
        """Open orders, or the last closed ones (openOnly 1); with an id either."""
        fields = call.fields
        fields.category()
        by_id = fields.given("orderId") or fields.given("orderLinkId")
        symbols = self._optional_symbols(fields) if by_id else self._venue.chosen_symbols(fields)
        which = fields.choice("orderFilter", FILTERS, OrderFilter.ALL)
        closed_too = fields.integer("openOnly", 0, 0, 2) == 1
        exchange = self._venue.exchange
        orders = [] if closed_too and not by_id else exchange.open_orders(call.uid)
        if closed_too or by_id:
            recent = exchange.order_history(call.uid, limit=CLOSED_KEPT)
            orders += [order for order in recent if order.updated_ns >= self._venue.closed_wiped_ns]
        found = [order for order in wanted(orders, fields) if of(symbols, order.symbol) and matches(order, which)]
        return self._orders(call, found, 20, 50)

    def history(self, call: Call) -> Done:
        """Closed orders; ends without a fill are forgotten after a day."""
        fields = call.fields
        fields.category()
        symbols = self._optional_symbols(fields)
        which = fields.choice("orderFilter", FILTERS, OrderFilter.ALL)
        status = fields.choice("orderStatus", STATUSES) if fields.given("orderStatus") else None
        by_id = fields.given("orderId") or fields.given("orderLinkId")
        start_ns, end_ns = (None, None) if by_id else window_ns(call)
        young_ns = self._venue.now_ns - call.behind_ms * NS_PER_MS
        orders = [
            order for order in self._venue.exchange.order_history(call.uid, None, start_ns, end_ns)
            if of(symbols, order.symbol) and matches(order, which)
            and (order.cum_qty_lots or order.updated_ns > self._venue.now_ns - DAY_NS)
            and status in (None, order.status)
            and (not call.behind_ms or order.updated_ns <= young_ns)
        ]
        return self._orders(call, wanted(orders, fields), 20, 50)

    def _orders(self, call: Call, orders: list[SimOrder], default: int, largest: int) -> Done:
        rows, cursor = page(orders, lambda o: (o.created_ns, o.order_id), call.fields.text("cursor"), call.rows(default, largest))
        contracts = self._venue.instruments
        return Done({
            "list": [order_rest(order, contracts[order.symbol]) for order in rows], "nextPageCursor": cursor,
            "category": "linear",
        })

    # -- executions --------------------------------------------------------------------------------------------------
    def executions(self, call: Call) -> Done:
        """Fills and funding, newest first."""
        fields = call.fields
        fields.category()
        symbols = self._optional_symbols(fields)
        kind = fields.choice("execType", EXEC_TYPES) if fields.given("execType") else None
        order_id, link_id = fields.text("orderId"), fields.text("orderLinkId")
        by_id = bool(order_id or link_id)  # ids override the other filters
        start_ns, end_ns = (None, None) if by_id else window_ns(call)
        young_ns = self._venue.now_ns - call.behind_ms * NS_PER_MS
        found = [
            e for e in self._venue.exchange.executions(call.uid, None, start_ns, end_ns, order_id, link_id)
            if (by_id or (of(symbols, e.symbol) and kind in (None, e.exec_type)))
            and (not call.behind_ms or e.ts_ns <= young_ns)
        ]
        rows, cursor = page(found, lambda e: (e.ts_ns, f"{e.seq:020d}"), fields.text("cursor"), call.rows(50, 100))
        contracts = self._venue.instruments
        return Done({
            "nextPageCursor": cursor, "category": "linear", "list": [execution_rest(e, contracts[e.symbol]) for e in rows],
        })

    # -- positions ---------------------------------------------------------------------------------------------------
    def positions(self, call: Call) -> Done:
        """With a symbol its rows, flat ones too; with a coin the open ones."""
        fields = call.fields
        fields.category()
        exchange = self._venue.exchange
        if fields.given("symbol"):
            found = exchange.positions(call.uid, self._venue.instrument(fields).symbol)
        else:
            symbols = self._venue.chosen_symbols(fields)
            found = [p for p in exchange.positions(call.uid) if p.lots and of(symbols, p.symbol)]

        def position(p: PositionSnapshot) -> tuple[int, str]:
            return p.created_ns, f"{p.symbol}:{9 - p.position_idx}"

        rows, cursor = page(found, position, fields.text("cursor"), call.rows(20, 200))
        contracts = self._venue.instruments
        return Done({
            "list": [position_rest(p, contracts[p.symbol]) for p in rows], "nextPageCursor": cursor, "category": "linear",
        })

    def closed_pnl(self, call: Call) -> Done:
        """What closing orders have realised, newest first."""
        fields = call.fields
        fields.category()
        symbols = self._optional_symbols(fields)

        def position(c: ClosedPnl) -> tuple[int, str]:
            return c.updated_ns, c.order_id

        closed = self._venue.exchange.closed_pnl(call.uid, None, *window_ns(call))
        found = [c for c in closed if of(symbols, c.symbol)]
        rows, cursor = page(found, position, fields.text("cursor"), call.rows(50, 100))
        contracts = self._venue.instruments
        return Done({
            "nextPageCursor": cursor, "category": "linear", "list": [closed_pnl_rest(c, contracts[c.symbol]) for c in rows],
        })

    # -- money -------------------------------------------------------------------------------------------------------
    def transaction_log(self, call: Call) -> Done:
        """The ledger: a trade's result and fee are one row, funding, transfers and the rest have their own."""
        fields = call.fields
        if fields.text("accountType", "UNIFIED") != "UNIFIED":
            raise invalid("accountType")
        if fields.given("category"):
            fields.category()
        cause = fields.choice("type", CAUSES) if fields.given("type") else None
        base = fields.text("baseCoin")
        start_ns, end_ns = window_ns(call)
        executions = self._venue.exchange.executions(call.uid)
        by_id, sizes = {e.exec_id: e for e in executions}, sizes_after(executions)
        by_id |= {f"{e.symbol}:{e.position_idx}:{e.ts_ns}": e for e in executions if e.exec_type is ExecType.FUNDING}
        contracts = self._venue.instruments
        found = [
            group for group in grouped(self._venue.exchange.ledger(call.uid))
            if start_ns <= group[-1].ts_ns <= end_ns and (cause is None or group_cause(group) is cause)
            and (not base or (group[0].symbol in contracts and contracts[group[0].symbol].answer["baseCoin"] == base))
        ]
        if fields.text("currency", "USDT") != "USDT":
            found = []
        rows, cursor = page(found, lambda g: (g[-1].ts_ns, f"{g[-1].seq:020d}"), fields.text("cursor"), call.rows(20, 50))
        listed = [transaction_rest(group, group_cause(group), by_id, sizes, contracts, call.uid) for group in rows]
        return Done({"nextPageCursor": cursor, "list": listed})

    def _optional_symbols(self, fields: Fields) -> list[str] | None:
        given = any(fields.given(name) for name in ("symbol", "baseCoin", "settleCoin"))
        return self._venue.chosen_symbols(fields) if given else None


def window_ns(call: Call) -> tuple[int, int]:
    """The window of a history query in ns, both ends included."""
    start_ms, end_ms = call.fields.window(call.now_ms)
    return start_ms * NS_PER_MS, (end_ms + 1) * NS_PER_MS - 1


def of(symbols: list[str] | None, symbol: str) -> bool:
    return symbols is None or symbol in symbols


def grouped(entries: Iterable[LedgerEntry]) -> list[list[LedgerEntry]]:
    """Entries of one execution together, in the order of booking."""
    groups: list[list[LedgerEntry]] = []
    for entry in sorted(entries, key=lambda e: e.seq):
        last = groups[-1][-1] if groups else None
        if last is not None and entry.cause is Cause.FEE and last.ref == entry.ref and last.order_id == entry.order_id:
            groups[-1].append(entry)
        else:
            groups.append([entry])
    return groups


def group_cause(group: list[LedgerEntry]) -> Cause:
    """A fee alone (an opening trade) is a trade as well."""
    first = group[0].cause
    return Cause.REALISED if first is Cause.FEE else first


def sizes_after(executions: Sequence[Execution]) -> dict[str, int]:
    """Execution id -> lots of the position after it (short: negative), from executions newest first."""
    held: dict[tuple[str, int], int] = {}
    sizes: dict[str, int] = {}
    for execution in reversed(executions):
        key = execution.symbol, execution.position_idx
        if execution.exec_type is not ExecType.FUNDING:
            held[key] = held.get(key, 0) + execution.side * execution.qty_lots
        sizes[execution.exec_id] = held.get(key, 0)
    return sizes
