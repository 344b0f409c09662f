"""The guardian's only way to the exchange: one REST connection of its own, and three kinds of requests.

    cancel-all with orderFilter=Order     entries go, stops stay
    trading-stop with a stop loss         never to take one away, never a target
    create, Market, closes the position   quantity 0, reduceOnly, closeOnTrigger: whatever is open, never more

Everything else that is not a plain look-up raises `Forbidden` before a byte is made. The codecs are the library that
execution uses, too; nothing else of the order path is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from core.orders.exchange_words import (
    CancelEntries,
    Create,
    InstrumentRow,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    Query,
    QueryKind,
    Request,
    TimeInForce,
    TpslMode,
    TradingStop,
)
from gateway.bybit.order_codec import query_string, rest_body, route_of
from gateway.bybit.rest_codec import Envelope, envelope, page_of, server_ns
from gateway.bybit.sign import Credentials
from gateway.bybit.wire_units import WireError, WireGrid
from gateway.signed_rest import SignedRest
from gateway.venue_clock import VenueClock

LOOKUPS = frozenset({
    QueryKind.POSITIONS, QueryKind.ORDER_REALTIME, QueryKind.INSTRUMENT, QueryKind.SERVER_TIME, QueryKind.API_KEY,
})
MAX_PAGES = 64
CLOCK_CODE = 10002  # timestamp outside the window
LINK_PREFIX = "guard-"


class Forbidden(Exception):
    """The guardian may not send this."""


class Unreachable(Exception):
    """No usable answer; whether a request acted is not known."""


class Outcome(NamedTuple):
    code: int
    text: str

    @property
    def taken(self) -> bool:
        return self.code == 0


def check(request: Request) -> None:
    """Raise Forbidden unless the request only looks, cancels entries, sets a stop or closes reduce-only."""
    if isinstance(request, Query):
        allowed = request.what in LOOKUPS
    elif isinstance(request, CancelEntries):
        allowed = True  # the codec writes orderFilter=Order and reads it back
    elif isinstance(request, TradingStop):
        allowed = (
            request.stop_ticks is not None and request.stop_ticks > 0 and request.target_ticks is None
            and request.trailing_ticks is None and request.active_ticks is None and request.mode is TpslMode.FULL
            and request.size_lots == 0
        )
    elif isinstance(request, Create):
        plain = Create(
            request.req_id, request.link_id, request.symbol, request.side, OrderType.MARKET, 0, tif=TimeInForce.IOC,
            reduce_only=True, close_on_trigger=True, position_idx=request.position_idx,
        )
        allowed = request == plain and request.link_id.startswith(LINK_PREFIX)
    else:
        allowed = False
    if not allowed:
        raise Forbidden(f"not the guardian's business: {request!r}")


class Door:
    """Blocking calls; `timeout_s` each. Raises Unreachable, and Forbidden for what it may not send."""

    def __init__(self, base: str, keys: Credentials, recv_window_ms: int = 5000, timeout_s: float = 1.5) -> None:
        self._clock = VenueClock()
        self._rest = SignedRest(base, keys, self._clock, recv_window_ms, timeout_s)
        self._timeout_s = timeout_s
        self._grids: dict[str, WireGrid] = {}
        self._number = 0
        self.sent = 0

    def _call(self, request: Request, signed: bool = True) -> Envelope:
        check(request)
        route = route_of(request)
        try:
            payload = query_string(request).encode() if isinstance(request, Query) else rest_body(request, self.grid)
        except WireError as error:
            raise Unreachable(f"cannot be written: {error}") from None
        if signed and not self._clock.measured:
            self.measure_clock()
        self.sent += 1
        answer = self._rest.call(
            route.method, route.path, payload, time.monotonic_ns() + int(self._timeout_s * 1e9), signed
        )
        if answer.status != 200:
            raise Unreachable(answer.why or f"HTTP {answer.status}")
        try:
            found = envelope(answer.body)
            if isinstance(request, Query) and request.what is QueryKind.SERVER_TIME:
                self._clock.take(server_ns(found), answer.sent_ns, answer.received_ns)
        except WireError as error:
            raise Unreachable(str(error)) from None
        return found

    def _next(self) -> int:
        self._number += 1
        return self._number

    def measure_clock(self) -> None:
        self._call(Query(self._next(), QueryKind.SERVER_TIME), signed=False)

    def act(self, request: Request) -> Outcome:
        """Send one request; a clock that ran away is measured and the request sent once more."""
        found = self._call(request)
        if found.code == CLOCK_CODE:
            self.measure_clock()
            found = self._call(request)
        return Outcome(found.code, found.text)

    # --- look-ups
    def grid(self, symbol: str) -> WireGrid | None:
        return self._grids.get(symbol)

    def learn(self, symbols: Iterable[str]) -> None:
        """Ask for the steps of symbols that are not known yet."""
        for symbol in set(symbols) - self._grids.keys():
            query = Query(self._next(), QueryKind.INSTRUMENT, symbol)
            for row in self._page(query)[0]:
                if isinstance(row, InstrumentRow):
                    self._grids[row.symbol] = WireGrid(row.tick_mant, row.price_exp, row.lot_mant, row.qty_exp)

    def _page(self, query: Query) -> tuple[tuple[object, ...], str]:
        found = self._call(query)
        if found.code == CLOCK_CODE:
            self.measure_clock()
            found = self._call(query)
        if found.code:
            raise Unreachable(f"{query.what.name}: {found.code} {found.text}")
        listed = found.result.get("list")
        if query.what is not QueryKind.INSTRUMENT and isinstance(listed, list):
            self.learn(row["symbol"] for row in listed if isinstance(row, dict) and isinstance(row.get("symbol"), str))
        try:
            page = page_of(query, found, self.grid)
        except WireError as error:
            raise Unreachable(str(error)) from None
        if page.troubles:
            raise Unreachable(f"{query.what.name}: {page.troubles[0]}")  # an unread position may be the naked one
        return page.rows, page.next_cursor

    def _all(self, what: QueryKind) -> list[object]:
        rows: list[object] = []
        cursor = ""
        for _ in range(MAX_PAGES):
            page, cursor = self._page(Query(self._next(), what, cursor=cursor))
            rows += page
            if not cursor:
                return rows
        raise Unreachable(f"{what.name}: no end after {MAX_PAGES} pages")

    def positions(self) -> list[PositionRow]:
        """Open positions of all USDT contracts."""
        return [row for row in self._all(QueryKind.POSITIONS) if isinstance(row, PositionRow) and row.lots]

    def entries(self) -> list[OrderRow]:
        """Orders in the book that could open or enlarge a position; one of unknown state counts."""
        return [row for row in self._all(QueryKind.ORDER_REALTIME)
                if isinstance(row, OrderRow) and not row.reduce_only and not row.close_on_trigger
                and row.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, None)]

    # --- the three requests
    def cancel_entries(self) -> Outcome:
        return self.act(CancelEntries(self._next()))

    def set_stop(self, symbol: str, stop_ticks: int, position_idx: int) -> Outcome:
        return self.act(TradingStop(self._next(), symbol, stop_ticks=stop_ticks, position_idx=position_idx))

    def close_position(self, row: PositionRow) -> Outcome:
        """Market, reduce-only, over all of it. The id is new for every try: a lost answer is looked at, not repeated."""
        link_id = f"{LINK_PREFIX}{time.time_ns() // 1_000_000:x}-{self._number:x}"
        return self.act(Create(self._next(), link_id, row.symbol, -row.side, OrderType.MARKET, 0, tif=TimeInForce.IOC,
                               reduce_only=True, close_on_trigger=True, position_idx=row.position_idx))

    def close(self) -> None:
        self._rest.close()
