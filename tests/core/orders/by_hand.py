"""A desk whose exchange is the test itself: every request waits until the test answers it, and time is to the nanosecond."""

from __future__ import annotations

from typing import Any

from core.orders.exchange_desk import DeskConfig, ExchangeDesk
from core.orders.exchange_words import (
    Ack,
    ExecutionRow,
    LinkState,
    Log,
    Lost,
    OrderRow,
    OrderStatus,
    OrderType,
    Persist,
    PositionRow,
    Query,
    QueryKind,
    QueryRows,
    Send,
    Stream,
    Tell,
    TimeInForce,
)
from core.orders.wire import Message
from tests.core.orders.naive_exchange import START_MS, SYMBOLS, TAG, S, instrument

A, B, C = SYMBOLS
MARK_E8 = 10_000 * 10**6  # 100.00 USDT, 10 000 ticks


def position(lots: int = 0, symbol: str = A, seq: int = 1, **fields: Any) -> PositionRow:
    """As the exchange tells it: `lots` signed, entered at 10 000 ticks."""
    row = PositionRow(symbol, 0, (lots > 0) - (lots < 0), abs(lots), abs(lots) * 10_000 * 10_000, MARK_E8, 0, 0, 0, 500,
                      MARK_E8, 0, 1, "Normal", False, 0, seq, START_MS)
    return row._replace(**fields)


def execution(lots: int, symbol: str = A, seq: int = 1, price: int = 10_000, **fields: Any) -> ExecutionRow:
    """Of somebody's order; `lots` signed."""
    row = ExecutionRow(f"x{symbol}{seq}", "Trade", "web", "", symbol, 1 if lots > 0 else -1, price, abs(lots), 3, False, 0,
                       START_MS, seq)
    return row._replace(**fields)


def order(link_id: str = "", order_id: str = "web", symbol: str = A, lots: int = 5, **fields: Any) -> OrderRow:
    """Working at the exchange."""
    row = OrderRow(symbol, order_id, link_id, 1, OrderType.LIMIT, TimeInForce.GTC, OrderStatus.NEW, 9_000, lots, 0, lots)
    return row._replace(**fields)


class ByHand:
    """The desk, what it asked and was not answered yet (`waiting`), and all it said."""

    def __init__(self, up: bool = True, **config: Any) -> None:
        self.desk = ExchangeDesk(DeskConfig(run_tag=TAG, **config))
        for number in range(len(SYMBOLS)):
            self.desk.know(instrument(number))
        self.core, self.recon = self.desk.core, self.desk.recon
        self.now_ns = 5 * S
        self.waiting: list[Any] = []
        self.asked: list[Any] = []
        self.logs: list[Log] = []
        self.told: list[Message] = []
        self.records: list[tuple[int, bytes]] = []
        if up:
            for stream in Stream:
                self.event(LinkState(stream, True, 1))

    def drain(self) -> list[Any]:
        """What the desk does now; returns its requests."""
        made = []
        for effect in self.desk.drain():
            if isinstance(effect, Send):
                made.append(effect.request)
            elif isinstance(effect, Log):
                self.logs.append(effect)
            elif isinstance(effect, Tell):
                self.told.append(effect.message)
            else:
                assert isinstance(effect, Persist)
                self.records.append((int(effect.kind), effect.payload))
        self.waiting += made
        self.asked += made
        return made

    def event(self, event: Any) -> list[Any]:
        self.desk.on_event(self.now_ns, event)
        return self.drain()

    def at(self, now_ns: int) -> list[Any]:
        """The timer, then; requests wait for their answers however long that takes."""
        self.now_ns = now_ns
        for pending in self.core.pending.values():
            pending.due_ns = now_ns + 1
        self.desk.on_timer(now_ns)
        return self.drain()

    def after(self, ns: int) -> list[Any]:
        return self.at(self.now_ns + ns)

    def is_asked(self, what: QueryKind | type, symbol: str | None = "any") -> bool:
        return any(self._is(r, what, symbol) for r in self.waiting)

    @staticmethod
    def _is(request: Any, what: QueryKind | type, symbol: str | None) -> bool:
        if isinstance(what, QueryKind):
            return isinstance(request, Query) and request.what is what and symbol in ("any", request.symbol)
        return isinstance(request, what)

    def take(self, what: QueryKind | type, symbol: str | None = "any") -> Any:
        """The oldest request of a kind that waits."""
        request = next(r for r in self.waiting if self._is(r, what, symbol))
        self.waiting.remove(request)
        return request

    def rows(self, what: QueryKind, *rows: Any, symbol: str | None = "any", cursor: str = "", now_ms: int = START_MS) -> Query:
        """Answer a query; returns it."""
        query = self.take(what, symbol)
        self.event(QueryRows(query.req_id, what, rows, cursor, now_ms))
        return query

    def lose(self, what: QueryKind | type) -> None:
        self.event(Lost(self.take(what).req_id, "no answer"))

    def ack(self, what: type, code: int = 0, text: str = "") -> Any:
        request = self.take(what)
        self.event(Ack(request.req_id, code, text))
        return request

    def round(self, *positions: PositionRow, orders: tuple[OrderRow, ...] = ()) -> None:
        """Answer the pass that is due, whatever it begins with."""
        self.after(0)
        if self.is_asked(QueryKind.EXECUTIONS):
            self.rows(QueryKind.EXECUTIONS)
        self.rows(QueryKind.ORDER_REALTIME, *orders, symbol=None)
        self.rows(QueryKind.POSITIONS, *positions, symbol=None)

    def start(self, *base: PositionRow) -> ByHand:
        """A first start, reconciled; the wallet is not answered."""
        self.after(0)
        self.rows(QueryKind.POSITIONS, *base)
        self.rows(QueryKind.ORDER_REALTIME)
        self.rows(QueryKind.POSITIONS, *base, symbol=None)
        return self

    def words(self) -> list[str]:
        return [log.word for log in self.logs]
