"""A small exchange and a lossy link for the desk's tests: one account, no margin, a price and a depth per symbol.

Slow and obvious on purpose. `Rig` runs a desk against it in virtual time; what the desk persists, sends and tells is
kept. Faults are predicates a test sets: they see a request (or event) and say what becomes of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.enums import MessageKind, OrderRole
from core.orders.exchange_desk import DeskConfig, ExchangeDesk
from core.orders.exchange_words import (
    Ack,
    Amend,
    Cancel,
    CancelEntries,
    ClockOffset,
    Create,
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
    SetLeverage,
    StopOrderType,
    Stream,
    Tell,
    TimeInForce,
    TradingStop,
    WalletRow,
)
from core.orders.router import Order
from core.orders.wire import Message
from core.position.position import Grid, book_fill
from core.risk.policy import Instrument

MS = 1_000_000
S = 1000 * MS
START_MS = 1_700_000_000_000
TAG = "t1"
WEEK_MS = 7 * 86_400_000
GRID = Grid(1, 1, 4)  # tick 0.01, lot 0.01
SYMBOLS = ("AUSDT", "BUSDT", "CUSDT")
OPEN = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNTRIGGERED)


def instrument(number: int, min_lots: int = 1, min_notional_e8: int = 0) -> Instrument:
    return Instrument(number, SYMBOLS[number], 100 + number, 0, GRID, 0.01, 0.01, min_lots, 0, min_notional_e8, 0, 0,
                      True, False)


@dataclass
class Market:
    """`bid`/`ask` with so many lots an IOC can take per second of nobody else; 0 lots = a vacuum."""

    bid: int = 9_999
    ask: int = 10_001
    lots: int = 1 << 40


class NaiveExchange:
    """Requests in, (answer, stream rows) out. Rows are kept for ever; `hidden` order ids answer to no query (lag)."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.seq = 0
        self.orders: dict[str, OrderRow] = {}
        self.by_link: dict[str, str] = {}
        self.executions: list[ExecutionRow] = []
        self.positions: dict[str, PositionRow] = {}
        self.markets = {name: Market() for name in SYMBOLS}
        self.out: list[Any] = []
        self.creates: dict[str, int] = {}
        self.refuse: Callable[[Any], tuple[int, str] | None] = lambda request: None
        self.fee = 3
        self.balance = 1_000_000
        self.values: dict[str, int] = {}
        self.page = 50
        self.hidden: set[str] = set()

    # --- plumbing ----------------------------------------------------------------------------------------------------
    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def put(self, row: OrderRow) -> OrderRow:
        row = row._replace(updated_ms=self.now_ms, seq=self.next_seq())
        self.orders[row.order_id] = row
        self.out.append(row)
        return row

    def position(self, symbol: str) -> PositionRow:
        return self.positions.get(symbol) or PositionRow(
            symbol, 0, 0, 0, 0, 0, 0, 0, 0, 500, 10_000 * 10**6, 0, 1, "Normal", False, 0, 0, 0)

    def put_position(self, row: PositionRow) -> None:
        row = row._replace(seq=self.next_seq(), updated_ms=self.now_ms)
        self.positions[row.symbol] = row
        self.out.append(row)

    def lots(self, symbol: str) -> int:
        return self.position(symbol).signed_lots

    def handle(self, request: Any) -> Any:
        refused = self.refuse(request)
        if refused is not None:
            return Ack(request.req_id, *refused)
        if isinstance(request, Query):
            return self.query(request)
        if isinstance(request, Create):
            return self.create(request)
        if isinstance(request, Amend):
            return self.amend(request)
        if isinstance(request, Cancel):
            order = self.find(request.order_id, request.link_id)
            if order is None or order.status not in OPEN:
                return Ack(request.req_id, 110001, "order not exists or too late to cancel")
            self.end(order, "CancelByUser", "EC_PerCancelRequest")
            return Ack(request.req_id, 0)
        if isinstance(request, CancelEntries):
            for order in list(self.orders.values()):
                if order.status in OPEN and order.stop_order_type is StopOrderType.NONE and (
                        request.symbol in (None, order.symbol)):
                    self.end(order, "CancelByUser", "EC_PerCancelRequest")
            return Ack(request.req_id, 0)
        if isinstance(request, TradingStop):
            return self.trading_stop(request)
        assert isinstance(request, SetLeverage)
        self.put_position(self.position(request.symbol)._replace(leverage_e2=request.leverage_e2))
        return Ack(request.req_id, 0)

    def find(self, order_id: str, link_id: str) -> OrderRow | None:
        return self.orders.get(order_id or self.by_link.get(link_id, ""))

    # --- orders ------------------------------------------------------------------------------------------------------
    def create(self, r: Create) -> Ack:
        if r.link_id in self.by_link:
            return Ack(r.req_id, 110072, "OrderLinkedID is duplicate")
        held = self.lots(r.symbol)
        qty = r.qty_lots
        if r.reduce_only:
            closable = max(-r.side * held, 0)
            if closable == 0:
                return Ack(r.req_id, 110017, "current position is zero, cannot fix reduce-only order qty")
            qty = min(qty, closable) if qty else closable
        market = self.markets[r.symbol]
        if r.stop_ticks and r.side * ((market.ask if r.side > 0 else market.bid) - r.stop_ticks) <= 0:
            return Ack(r.req_id, 10001, "StopLoss set for Buy position should be lower than base_price")
        order_id = f"v{len(self.orders)}"
        if r.link_id:
            self.by_link[r.link_id] = order_id
            self.creates[r.link_id] = self.creates.get(r.link_id, 0) + 1
        tif = TimeInForce.IOC if r.order_type is OrderType.MARKET else r.tif
        order = OrderRow(r.symbol, order_id, r.link_id, r.side, r.order_type, tif, OrderStatus.NEW, r.price_ticks, qty, 0,
                         qty, reduce_only=r.reduce_only, stop_ticks=r.stop_ticks, target_ticks=r.target_ticks)
        touch = market.ask if r.side > 0 else market.bid
        crosses = r.order_type is OrderType.MARKET or r.side * (r.price_ticks - touch) >= 0
        self.orders[order_id] = order
        if tif is TimeInForce.POST_ONLY and crosses:
            self.end(order, "", "EC_PostOnlyWillTakeLiquidity")
            return Ack(r.req_id, 0, order_id=order_id)
        if crosses:
            self.fill(order_id, min(qty, market.lots), touch)
        order = self.orders[order_id]
        if order.status in OPEN and tif is TimeInForce.IOC:
            self.end(order, "", "EC_NoImmediateQtyToFill")
        elif order.status is OrderStatus.NEW:
            self.put(order)
        return Ack(r.req_id, 0, order_id=order_id)

    def amend(self, r: Amend) -> Ack:
        order = self.find(r.order_id, r.link_id)
        if order is None or order.status not in OPEN:
            return Ack(r.req_id, 110001, "order not exists or too late to replace")
        qty = order.qty_lots if r.qty_lots is None else r.qty_lots
        if qty <= order.cum_lots:
            return Ack(r.req_id, 110064, "cannot be less than the filled quantity")
        price = order.price_ticks if r.price_ticks is None else r.price_ticks
        self.put(order._replace(price_ticks=price, qty_lots=qty, leaves_lots=qty - order.cum_lots))
        return Ack(r.req_id, 0)

    def end(self, order: OrderRow, cancel_type: str, reason: str = "EC_NoError") -> None:
        untriggered = order.status is OrderStatus.UNTRIGGERED
        self.put(order._replace(status=OrderStatus.DEACTIVATED if untriggered else OrderStatus.CANCELLED, leaves_lots=0,
                                cancel_type=cancel_type, reject_reason=reason))

    def fill(self, order_id: str, lots: int, price: int, exec_type: str = "Trade") -> None:
        """Fill an order; position, stops and reduce-only orders follow."""
        if lots <= 0:
            return
        order = self.orders[order_id]
        leaves = order.qty_lots - order.cum_lots - lots
        done = order._replace(cum_lots=order.cum_lots + lots, leaves_lots=leaves,
                              status=OrderStatus.FILLED if leaves <= 0 else OrderStatus.PARTIALLY_FILLED)
        self.put(done)
        self.execute(order.symbol, order.side, lots, price, order_id, order.link_id, exec_type, order.stop_order_type)
        held = self.position(order.symbol)
        if held.side == order.side and order.stop_ticks and held.stop_ticks != order.stop_ticks:
            self.put_position(held._replace(stop_ticks=order.stop_ticks, target_ticks=order.target_ticks))

    def execute(self, symbol: str, side: int, lots: int, price: int, order_id: str, link_id: str,
                exec_type: str = "Trade", stop_type: StopOrderType = StopOrderType.NONE) -> ExecutionRow:
        row = ExecutionRow(f"x{len(self.executions)}", exec_type, order_id, link_id, symbol, side, price, lots, self.fee,
                           False, 0, self.now_ms, self.next_seq(), stop_order_type=stop_type)
        self.executions.append(row)
        self.out.append(row)
        old = self.position(symbol)
        booked = book_fill(GRID, old.signed_lots, self.values.get(symbol, 0), side * lots, price)
        self.values[symbol] = booked.entry_value_e8
        self.balance += booked.realised_e8 - self.fee
        signed = old.signed_lots + side * lots
        new_side = (signed > 0) - (signed < 0)
        stop = old.stop_ticks if new_side == old.side and signed else 0
        target = old.target_ticks if new_side == old.side and signed else 0
        self.put_position(old._replace(
            side=new_side, lots=abs(signed), entry_value_e8=abs(signed) * price * 10_000, stop_ticks=stop,
            target_ticks=target, mark_price_e8=price * 10**6))
        for order in list(self.orders.values()):
            if order.symbol == symbol and order.reduce_only and order.status in OPEN and order.order_id != order_id:
                room = max(-order.side * signed, 0)
                if room == 0:
                    self.end(order, "CancelByReduceOnly")
                elif order.qty_lots - order.cum_lots > room:
                    self.put(order._replace(qty_lots=order.cum_lots + room, leaves_lots=room))
        return row

    def funding(self, symbol: str, fee_e8: int) -> None:
        held = self.position(symbol)
        row = ExecutionRow(f"x{len(self.executions)}", "Funding", "random", "", symbol, held.side, 0, held.lots, fee_e8,
                           False, 0, self.now_ms, self.next_seq())
        self.executions.append(row)
        self.balance -= fee_e8
        self.out.append(row)

    def trading_stop(self, r: TradingStop) -> Ack:
        held = self.position(r.symbol)
        if not held.lots:
            return Ack(r.req_id, 10001, "can not set tp/sl/ts for zero position")
        market = self.markets[r.symbol]
        if r.stop_ticks and held.side * ((market.bid if held.side > 0 else market.ask) - r.stop_ticks) <= 0:
            return Ack(r.req_id, 10001, "StopLoss should be lower than base_price")
        stop = held.stop_ticks if r.stop_ticks is None else r.stop_ticks
        target = held.target_ticks if r.target_ticks is None else r.target_ticks
        if (stop, target) == (held.stop_ticks, held.target_ticks):
            return Ack(r.req_id, 34040, "not modified")
        self.put_position(held._replace(stop_ticks=stop, target_ticks=target))
        return Ack(r.req_id, 0)

    def trigger_stop(self, symbol: str, lots: int | None = None) -> None:
        """The stop triggers and fills (so many lots of it)."""
        held = self.position(symbol)
        order_id = f"v{len(self.orders)}"
        market = self.markets[symbol]
        self.orders[order_id] = OrderRow(symbol, order_id, "", -held.side, OrderType.MARKET, TimeInForce.IOC,
                                         OrderStatus.NEW, 0, held.lots, 0, held.lots, reduce_only=True,
                                         stop_order_type=StopOrderType.STOP_LOSS, create_type="CreateByStopLoss")
        self.put_position(held._replace(stop_ticks=0, target_ticks=0))
        self.fill(order_id, held.lots if lots is None else lots, market.bid if held.side > 0 else market.ask)
        if self.orders[order_id].status in OPEN:
            self.end(self.orders[order_id], "")

    # --- queries -----------------------------------------------------------------------------------------------------
    def query(self, q: Query) -> QueryRows:
        rows: list[Any] = []
        orders = [o for o in self.orders.values() if q.symbol in (None, o.symbol) and o.order_id not in self.hidden]
        if q.what is QueryKind.ORDER_REALTIME:
            rows = [o for o in orders if (o.link_id == q.link_id if q.link_id else o.status in OPEN)]
        elif q.what is QueryKind.ORDER_HISTORY:
            rows = [o for o in orders if o.status not in OPEN and q.link_id in (None, o.link_id)]
        elif q.what is QueryKind.EXECUTIONS:
            end = q.until_ms or (q.since_ms + WEEK_MS if q.since_ms else self.now_ms)  # as Bybit: a week from the start
            rows = [e for e in reversed(self.executions) if q.link_id in (None, e.link_id)
                    and (q.since_ms <= e.exec_time_ms <= end or q.link_id)
                    and q.symbol in (None, e.symbol) and e.order_id not in self.hidden]
        elif q.what is QueryKind.POSITIONS:
            rows = [p for p in self.positions.values() if p.lots] if q.symbol is None else [self.position(q.symbol)]
        elif q.what is QueryKind.WALLET:
            rows = [WalletRow(self.balance, 0, 0, 0, 0, 0, self.now_ms)]
        elif q.what is QueryKind.SERVER_TIME:
            self.out.append(ClockOffset(0))
        start = int(q.cursor or 0)
        page = rows[start:start + self.page]
        more = str(start + self.page) if start + self.page < len(rows) else ""
        return QueryRows(q.req_id, q.what, tuple(page), more, self.now_ms)


class Crash(Exception):
    """The process died between two effects: what came before is durable, sent and told; the rest never happened."""


@dataclass
class Rig:
    """A desk, an exchange, a link with latency; virtual time in steps of 10 ms."""

    config: DeskConfig = field(default_factory=lambda: DeskConfig(run_tag=TAG))
    now_ns: int = 5 * S
    latency_ns: int = 10 * MS
    venue: NaiveExchange = field(default_factory=NaiveExchange)
    on_send: Callable[[Any], str] = lambda request: ""  # "drop" before, "lose" the answer, "error" at once, "unsent"
    on_row: Callable[[Any], bool] = lambda row: True  # does the private stream deliver it?
    records: list[tuple[int, bytes]] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    sent_ns: list[int] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    private_up: bool = True
    crash_in: int = 0  # effects until the process dies in the middle of its list, 0 = never

    def __post_init__(self) -> None:
        self._queue: list[tuple[int, int, str, Any]] = []
        self._n = 0
        self.desk = self.new_desk()
        self.zero_ns = self.now_ns

    def new_desk(self) -> ExchangeDesk:
        desk = ExchangeDesk(self.config)
        for number in range(len(SYMBOLS)):
            desk.know(instrument(number))
        return desk

    def connect(self) -> None:
        for stream in (Stream.REST, Stream.TRADE, Stream.PRIVATE):
            self.event(LinkState(stream, True, 1))

    def start(self) -> Rig:
        self.connect()
        self.run(300)
        assert self.desk.ready
        return self

    def event(self, event: Any) -> None:
        self.desk.on_event(self.now_ns, event)
        self.flush()

    def later(self, delay_ns: int, kind: str, thing: Any) -> None:
        self._n += 1
        heapq.heappush(self._queue, (self.now_ns + delay_ns, self._n, kind, thing))

    def flush(self) -> None:
        for effect in self.desk.drain():
            if self.crash_in:
                self.crash_in -= 1
                if not self.crash_in:
                    raise Crash
            if isinstance(effect, Persist):
                self.records.append((int(effect.kind), effect.payload))
            elif isinstance(effect, Tell):
                self.told.append(effect.message)
            elif isinstance(effect, Log):
                self.logs.append(effect)
            else:
                assert isinstance(effect, Send)
                request = effect.request
                if isinstance(request, Create):
                    assert any(request.link_id.encode() in payload for kind, payload in self.records if kind == 1)
                if not self.desk.may_leave(self.now_ns, request):
                    self.later(0, "event", Lost(request.req_id, "no longer wanted", sent=False))
                    continue
                self.sent.append(request)
                self.sent_ns.append(self.now_ns)
                fate = self.on_send(request)
                if fate == "drop":
                    continue
                if fate in ("error", "unsent"):
                    self.later(self.latency_ns, "event", Lost(request.req_id, fate, sent=fate == "error"))
                else:
                    self.later(self.latency_ns, "lose" if fate == "lose" else "request", request)

    def stream(self) -> None:
        """What the exchange emitted goes to the private stream."""
        rows, self.venue.out = self.venue.out, []
        for row in rows:
            if isinstance(row, ClockOffset) or (self.private_up and self.on_row(row)):
                self.later(self.latency_ns, "event", row)

    def turn(self, ms: int = 10) -> None:
        self.now_ns += ms * MS
        self.venue.now_ms = START_MS + (self.now_ns - self.zero_ns) // MS
        while self._queue and self._queue[0][0] <= self.now_ns:
            _, _, kind, thing = heapq.heappop(self._queue)
            if kind == "event":
                self.event(thing)
            else:
                answer = self.venue.handle(thing)
                self.stream()
                if kind == "request":
                    self.later(self.latency_ns, "event", answer)
        self.stream()
        self.desk.on_timer(self.now_ns)
        self.flush()

    def run(self, ms: int) -> Rig:
        for _ in range(ms // 10):
            self.turn()
        return self

    def until(self, done: Callable[[], bool], ms: int = 30_000) -> int:
        """Milliseconds until it is true."""
        began = self.now_ns
        while not done():
            assert self.now_ns - began < ms * MS, "did not happen in time"
            self.turn()
        return (self.now_ns - began) // MS

    # --- wishes ------------------------------------------------------------------------------------------------------
    def order(self, number: int = 1, symbol: int = 0, side: int = 1, lots: int = 100, price: int = 9_990,
              stop: int = 0, flags: int = 3, target: int = 0) -> Order:
        stop = stop or price - side * 100
        return Order(number, symbol, SYMBOLS[symbol], side, lots, price, stop, target, 0, flags, 40 + number, number)

    def submit(self, order: Order | None = None, work_ms: int = 1500, **fields: Any) -> Order:
        order = order or self.order(**fields)
        gate = self.desk.submit(self.now_ns, order, instrument(order.symbol), work_ms * MS)
        assert not gate, gate
        self.flush()
        return order

    def of_kind(self, kind: type) -> list[Any]:
        return [request for request in self.sent if isinstance(request, kind)]

    def fills(self) -> list[Message]:
        return [m for m in self.told if m.kind == MessageKind.FILL]

    def dones(self) -> list[Message]:
        return [m for m in self.told if m.kind == MessageKind.DONE]

    def told_lots(self, symbol: int = 0) -> int:
        return sum(m.side * m.qty_lots for m in self.fills() if m.symbol == symbol)

    def link(self, letter: str, nth: int = 0) -> str:
        return [r.link_id for r in self.of_kind(Create) if r.link_id.endswith(letter)][nth]

    def row(self, link_id: str) -> OrderRow:
        return self.venue.orders[self.venue.by_link[link_id]]

    def open_position(self, lots: int = 100, **fields: Any) -> Order:
        """An entry filled as maker."""
        order = self.submit(lots=lots, **fields)
        self.run(50)
        self.venue.fill(self.venue.by_link[self.link("E", -1)], lots, order.price_ticks)
        self.run(50)
        assert self.venue.lots(order.name) == order.side * lots
        return order

    def crash(self, keep: int | None = None, booked: int = 0, working: tuple[Order, ...] = ()) -> None:
        """The process dies; a new desk starts from the first `keep` records (None: all). Messages on their way to the
        old one are gone."""
        self._queue = [item for item in self._queue if item[2] != "event"]
        heapq.heapify(self._queue)
        self.crash_in = 0
        self.desk = self.new_desk()
        kept = self.records if keep is None else self.records[:keep]
        self.records = list(kept)
        self.desk.recover(self.now_ns, kept, booked, working)
        self.flush()
        self.connect()


def kill_fills(messages: list[Message]) -> list[Message]:
    return [m for m in messages if m.role == OrderRole.KILL]
