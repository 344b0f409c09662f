"""Answers of the embedded exchange to the look-ups of `exchange_words.Query`: pages, windows, what is forgotten.

Kept from Bybit: newest first; a page with rows always names a cursor and the page after the end is empty; windows of at
most 7 days; ended orders without a fill leave the history after a day; at most 500 ended orders in order/realtime, none
from before a restart of the venue. The faults: short pages, a cursor that leads nowhere, histories that lag behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.constants import DAY_NS, NS_PER_MS
from core.orders.exchange_words import (
    AccountRow,
    FeeRow,
    KeyRow,
    Query,
    QueryKind,
    QueryRows,
    Row,
)
from core.sim.exchange import Exchange
from core.sim.exchange_types import OPEN_STATUSES, SimOrder
from core.sim.link_faults import Dice, LinkFaults
from core.sim.link_rows import closed_pnl_row, execution_row, instrument_row, order_row, position_row, wallet_row

WEEK_NS = 7 * DAY_NS
PAGE_MAX = {QueryKind.ORDER_REALTIME: 50, QueryKind.ORDER_HISTORY: 50, QueryKind.EXECUTIONS: 100, QueryKind.POSITIONS: 200,
            QueryKind.CLOSED_PNL: 100}

Keyed = list[tuple[str, Row]]  # newest first; the key names a row in a cursor and falls along the list


class Queries:
    """Look-ups of one account."""

    def __init__(self, exchange: Exchange, uid: int, dice: Dice) -> None:
        self._exchange = exchange
        self._uid = uid
        self._dice = dice
        self.wiped_ns = 0  # order/realtime has forgotten what ended before
        self.permissions: tuple[str, ...] = ("ContractTrade:Order", "ContractTrade:Position")

    def answer(self, venue_ns: int, query: Query, faults: LinkFaults) -> QueryRows:
        """One page."""
        keyed = self._rows(venue_ns, query, faults)
        if query.cursor:
            keyed = [item for item in keyed if item[0] < query.cursor]
        limit = min(PAGE_MAX.get(query.what, 200), faults.page_rows)
        shown = keyed[:limit]
        cursor = shown[-1][0] if shown and query.what in PAGE_MAX else ""
        if query.cursor and cursor and self._dice.hits(faults.cursor_repeats_ppm):
            cursor = query.cursor
        return QueryRows(
            query.req_id, query.what, tuple(row for _, row in shown), cursor, now_ms=venue_ns // NS_PER_MS
        )

    def _rows(self, venue_ns: int, query: Query, faults: LinkFaults) -> Keyed:
        exchange, uid = self._exchange, self._uid
        kind = query.what
        if kind is QueryKind.ORDER_REALTIME:
            return self._orders(self._realtime(query), query)
        if kind is QueryKind.ORDER_HISTORY:
            return self._orders(self._history(venue_ns, query, faults), query)
        if kind is QueryKind.EXECUTIONS:
            by_id = bool(query.order_id or query.link_id)
            start, end = (None, None) if by_id else window(venue_ns, query)
            fills = exchange.executions(uid, query.symbol, start, end, query.order_id or "", query.link_id or "")
            young = venue_ns - faults.lag_ns
            return [(f"{e.ts_ns:020d}{e.seq:012d}", execution_row(e)) for e in fills if not faults.lag_ns or e.ts_ns <= young]
        if kind is QueryKind.CLOSED_PNL:
            closed = exchange.closed_pnl(uid, query.symbol, *window(venue_ns, query))
            young = venue_ns - faults.lag_ns
            return [(f"{c.updated_ns:020d}{c.order_id}", closed_pnl_row(c)) for c in closed
                    if not faults.lag_ns or c.updated_ns <= young]
        if kind is QueryKind.POSITIONS:
            held = exchange.positions(uid, query.symbol)
            rows = [p for p in held if p.lots or query.symbol is not None]
            rows.sort(key=lambda p: (p.symbol, p.position_idx), reverse=True)
            return [(f"{p.symbol}:{p.position_idx}", position_row(p)) for p in rows]
        if kind is QueryKind.WALLET:
            return [("", wallet_row(exchange.wallet(uid), venue_ns))]
        if kind is QueryKind.API_KEY:
            return [("", KeyRow(str(uid), False, self.permissions, (), 0))]
        if kind is QueryKind.ACCOUNT:
            mode = "REGULAR_MARGIN" if exchange.account(uid).cross else "ISOLATED_MARGIN"
            return [("", AccountRow(mode, 5))]
        symbol = query.symbol or ""
        if kind is QueryKind.INSTRUMENT and symbol in exchange.symbols():
            return [("", instrument_row(exchange.spec(symbol), exchange.status(symbol)))]
        if kind is QueryKind.FEE and symbol in exchange.symbols():
            margin = exchange.account(uid)
            maker, taker = (margin.fee_rate_e8(symbol, maker=is_maker) for is_maker in (True, False))
            return [("", FeeRow(symbol, maker, taker))]
        return []

    @staticmethod
    def _orders(orders: Sequence[SimOrder], query: Query) -> Keyed:
        wanted = [o for o in orders if query.symbol is None or o.symbol == query.symbol]
        wanted.sort(key=lambda o: (o.created_ns, o.order_id), reverse=True)
        return [(f"{o.created_ns:020d}{o.order_id}", order_row(o)) for o in wanted]

    def _by_id(self, query: Query) -> list[SimOrder]:
        found = self._exchange.find_order(self._uid, query.order_id or "", query.link_id or "")
        return [found] if found is not None else []

    def _realtime(self, query: Query) -> list[SimOrder]:
        """Open orders; with an id also an ended one it still knows."""
        if query.link_id or query.order_id:
            return [o for o in self._by_id(query) if o.status in OPEN_STATUSES or o.updated_ns >= self.wiped_ns]
        return self._exchange.open_orders(self._uid)

    def _history(self, venue_ns: int, query: Query, faults: LinkFaults) -> list[SimOrder]:
        if query.link_id or query.order_id:
            orders = [order for order in self._by_id(query) if order.status not in OPEN_STATUSES]
        else:
            orders = self._exchange.order_history(self._uid, None, *window(venue_ns, query))
        young = venue_ns - faults.lag_ns
        return [
            order for order in orders
            if (order.cum_qty_lots or order.updated_ns > venue_ns - DAY_NS)
            and (not faults.lag_ns or order.updated_ns <= young)
        ]


def window(venue_ns: int, query: Query) -> tuple[int, int]:
    """Start and end in ns: the last 7 days, or 7 days from the start that is asked for."""
    end = query.until_ms * NS_PER_MS or venue_ns
    start = query.since_ms * NS_PER_MS or end - WEEK_NS
    return start, min(end, start + WEEK_NS)
