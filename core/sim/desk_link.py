"""Between the exchange desk and the embedded exchange, in virtual time: latency, connections, and everything that goes wrong.

    desk --Request--> [entry delay] --> Exchange --> Result --> [answer delay] --Ack, QueryRows, Lost--> desk
                                            '------> events --> [feed delay] ----rows of the private stream--> desk

Three connections, as the real link has them: PRIVATE (rows), TRADE (create, amend, cancel) and REST (the rest, and orders
while TRADE is down). TRADE and PRIVATE keep their order; REST requests overtake each other. A request without an answer
is Lost after its time-out; an answer that comes later still is delivered, as an Ack, which can only be a hint. What is on
the wire when the process dies still arrives at the exchange; what comes back meets nobody (`hang_up`).

Nothing here is certain to be as on the real wire except the words; what can happen there happens here, by `LinkFaults`.
Pure and seeded: same calls, same outcome. `hits` counts what went wrong, by name.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from core.constants import NS_PER_MS, NS_PER_S
from core.orders.exchange_words import (
    Ack,
    Amend,
    Banned,
    Cancel,
    CancelEntries,
    ClockOffset,
    Create,
    Event,
    LinkState,
    Lost,
    Query,
    QueryKind,
    QueryRows,
    Request,
    SetLeverage,
    Stream,
    TradingStop,
)
from core.sim.exchange import Exchange
from core.sim.exchange_types import AmendRequest, OrderFilter, OrderRequest, Result, SlippageType, TradingStopRequest
from core.sim.link_faults import Dice, LinkFaults
from core.sim.link_queries import Queries
from core.sim.link_rows import private_row
from core.sim.scheduler import Scheduler

WS_TIMEOUT_NS = 1_000 * NS_PER_MS
REST_TIMEOUT_NS = 2_000 * NS_PER_MS
RECV_WINDOW_MS = 1_500
AHEAD_MS = 1_000
ON_TRADE = (Create, Amend, Cancel)

UNDECIDED = frozenset({10000, 10016, 170007, 500000})  # time-outs and errors inside the venue
CLOCK, LIMITED, FORBIDDEN = 10002, 10006, 403
TEXTS = {
    CLOCK: "invalid request, please check your server timestamp or recv_window param", LIMITED: "Too many visits!",
    FORBIDDEN: "access too frequent", 33004: "Derivatives V5 API key has expired.", 110079: "The order is being processed",
}


class Flight(NamedTuple):
    """A request under way. `signed_ms` is the timestamp it carries; `batch`: it counts on the limit of batches."""

    request: Request
    stream: Stream
    epoch: int
    client: int
    signed_ms: int
    batch: bool = False


class DeskLink:
    """One account's connection to `exchange`. `deliver` receives the events; `venue_epoch_ns` + scheduler time is the
    venue's clock."""

    def __init__(
        self, scheduler: Scheduler, exchange: Exchange, uid: int, seed: int, venue_epoch_ns: int,
        deliver: Callable[[Event], None],
    ) -> None:
        self.scheduler = scheduler
        self.exchange = exchange
        self.uid = uid
        self.venue_epoch_ns = venue_epoch_ns
        self.deliver = deliver
        self.dice = Dice(seed)
        self.faults = LinkFaults()
        self.queries = Queries(exchange, uid, self.dice)
        self.hits: Counter[str] = Counter()
        self.gate_ns: dict[str, int] = {}  # when a create was let in last, by link id
        self.born: dict[str, int] = {}  # when the one that came to life had been let in
        self.sent: Callable[[Request], None] = lambda _request: None  # every request at the moment it leaves
        self.refuse: dict[int, int] = {}  # retCode given to every order from now on (33004: the key is gone) -> until, ns
        self.refuse_stops_until = 0  # trading-stop is refused with 10001 until then
        self.up = dict.fromkeys(Stream, False)
        self.down_until = dict.fromkeys(Stream, 0)
        self.banned_until = 0
        self._epochs = dict.fromkeys(Stream, 0)
        self._client = 0
        self._in_flight: dict[int, Flight] = {}
        self._arrive_ns = dict.fromkeys(Stream, 0)
        self._answer_ns = dict.fromkeys(Stream, 0)
        self._frame_ns = 0
        self._used: dict[str, deque[int]] = {}

    @property
    def venue_ns(self) -> int:
        return self.scheduler.now_ns + self.venue_epoch_ns

    # --- connections ------------------------------------------------------------------------------------------------
    def connect(self) -> None:
        """A process has started: every connection comes up, each in its own time."""
        for stream in Stream:
            self._connect_later(stream, self.dice.between(self.faults.reconnect_ns))

    def hang_up(self) -> None:
        """Our process is gone: answers and rows meet nobody, connections are closed."""
        self._client += 1
        self._in_flight.clear()
        for stream in Stream:
            self.up[stream] = False
            self._epochs[stream] = 0  # the next process counts from the start

    def cut(self, stream: Stream, down_ns: int) -> None:
        """A connection dies; it can come back after `down_ns`. What was under way on it is lost."""
        self.down_until[stream] = max(self.down_until[stream], self.scheduler.now_ns + down_ns)
        if not self.up[stream]:
            return
        self.hits[f"cut {stream.name}"] += 1
        self.up[stream] = False
        client = self._client
        self._tell(LinkState(stream, False, self._epochs[stream]))
        for req_id, flight in list(self._in_flight.items()):
            if flight.stream is stream and client == self._client:
                self._lose(req_id, "disconnect")
        if client == self._client:  # else the process has died over it
            self._connect_later(stream, down_ns + self.dice.between(self.faults.reconnect_ns))

    def restart_venue(self, down_ns: int) -> None:
        """The venue goes away for a while and has forgotten the ended orders in order/realtime afterwards."""
        self.hits["venue restart"] += 1
        for stream in Stream:
            self.cut(stream, down_ns)
        self.queries.wiped_ns = self.venue_ns + down_ns

    def _connect_later(self, stream: Stream, delay_ns: int) -> None:
        self.scheduler.after(delay_ns, self._connected, stream, self._client)

    def _connected(self, stream: Stream, client: int) -> None:
        if client != self._client or self.up[stream]:
            return
        wait = self.down_until[stream] - self.scheduler.now_ns
        if wait > 0:
            self._connect_later(stream, wait)
            return
        self.up[stream] = True
        self._epochs[stream] += 1
        self._tell(LinkState(stream, True, self._epochs[stream]))

    def _tell(self, event: Event) -> None:
        self.deliver(event)

    # --- requests ---------------------------------------------------------------------------------------------------
    def send(self, request: Request, deadline_ns: int = 0, batch: bool = False) -> None:
        """Put a request on its connection, unless its deadline has passed or there is none. `batch`: one item of one
        (the items of a batch meet their fates one by one, as its answer tells them)."""
        now = self.scheduler.now_ns
        stream = Stream.TRADE if isinstance(request, ON_TRADE) and self.up[Stream.TRADE] else Stream.REST
        if deadline_ns and now > deadline_ns:
            self._soon(Lost(request.req_id, "deadline", sent=False))
            return
        if not self.up[stream]:
            self._soon(Lost(request.req_id, "no connection", sent=False))
            return
        if stream is Stream.REST and now < self.banned_until:
            self._soon(Lost(request.req_id, "banned", sent=False))
            return
        self.sent(request)
        faults = self.faults
        signed_ms = self.venue_ns // NS_PER_MS + faults.clock_error_ms
        flight = Flight(request, stream, self._epochs[stream], self._client, signed_ms, batch)
        self._in_flight[request.req_id] = flight
        timeout = WS_TIMEOUT_NS if stream is Stream.TRADE else REST_TIMEOUT_NS
        self.scheduler.after(timeout, self._time_out, flight)
        if self.dice.hits(faults.vanish_ppm):
            self.hits["vanish"] += 1
            return
        arrives = now + self.dice.between(faults.entry_ns)
        if stream is Stream.TRADE:
            arrives = self._arrive_ns[stream] = max(arrives, self._arrive_ns[stream])
        self.scheduler.at(arrives, self._arrive, flight)

    def _soon(self, event: Event) -> None:
        self.scheduler.after(0, self._if_client, self._client, event)

    def _if_client(self, client: int, event: Event) -> None:
        if client == self._client:
            self._tell(event)

    def _time_out(self, flight: Flight) -> None:
        if self._in_flight.get(flight.request.req_id) is flight:
            self._lose(flight.request.req_id, "timeout")

    def _lose(self, req_id: int, why: str) -> None:
        del self._in_flight[req_id]
        self.hits[f"lost {why}"] += 1
        self._tell(Lost(req_id, why))

    # --- at the exchange ----------------------------------------------------------------------------------------------
    def _arrive(self, flight: Flight) -> None:
        request, faults, dice = flight.request, self.faults, self.dice
        req_id = request.req_id
        if self.down_until[flight.stream] > self.scheduler.now_ns and dice.below(2):
            return  # the connection died with it
        if isinstance(request, Create):
            self.gate_ns[request.link_id] = self.scheduler.now_ns
        if flight.stream is Stream.REST:
            if dice.hits(faults.forbidden_ppm):
                self.hits["forbidden"] += 1
                self._answer(flight, Ack(req_id, FORBIDDEN, TEXTS[FORBIDDEN]))
                return
            if dice.hits(faults.http_5xx_ppm):
                self.hits["http 5xx"] += 1
                if dice.below(2):
                    self._carry_out(flight)
                self._answer(flight, Lost(req_id, "HTTP 502"))
                return
        code = self._door(flight)
        if code:
            self.hits[f"code {code}"] += 1
            reset = (self.venue_ns // NS_PER_S + 1) * 1000 if code == LIMITED else 0
            if code in UNDECIDED and dice.below(2):
                self._carry_out(flight)  # the answer was an error, and it was done all the same
            self._answer(flight, Ack(req_id, code, TEXTS.get(code, ""), 0 if code == LIMITED else -1, reset))
            return
        if isinstance(request, Create) and dice.hits(faults.stall_ppm):
            self.hits["stall"] += 1
            self.scheduler.after(dice.between(faults.stall_ns), self._execute, flight)
            return
        self._execute(flight)

    def _execute(self, flight: Flight) -> None:
        """Past the gate: what the matching does with it."""
        request, faults, dice = flight.request, self.faults, self.dice
        req_id = request.req_id
        order_op = not isinstance(request, Query)
        if order_op and flight.stream is Stream.TRADE and dice.hits(faults.no_req_id_ppm):
            self.hits["no reqId"] += 1
            if dice.below(2):
                self._carry_out(flight)
            self.scheduler.after(dice.between(faults.answer_ns), self._no_req_id, flight)
            return
        if isinstance(request, Create) and dice.hits(faults.swallow_ppm):
            self.hits["swallow"] += 1
            self._answer(flight, Ack(req_id, 0, "OK", order_id=f"gone-{req_id:x}"))
            return
        answer = self._carry_out(flight)
        if isinstance(answer, ClockOffset):
            faults.clock_error_ms = 0
            self._answer(flight, answer)
            answer = QueryRows(req_id, QueryKind.SERVER_TIME, (), now_ms=self.venue_ns // NS_PER_MS)
        if order_op and dice.hits(faults.cut_ppm):
            self.hits["cut instead of answer"] += 1
            self.cut(flight.stream, dice.between(faults.reconnect_ns))
            return
        if dice.hits(faults.ack_lost_ppm):
            self.hits["ack lost"] += 1
            return
        extra = 0
        if dice.hits(faults.ack_late_ppm):
            self.hits["ack late"] += 1
            extra = dice.between(faults.late_ns)
        elif dice.hits(faults.fill_first_ppm):
            extra = dice.between(faults.fill_first_ns)
        self._answer(flight, answer, extra)

    def _door(self, flight: Flight) -> int:
        """What is refused before the exchange looks at it: clock, rate, and refusals to order."""
        request, now_ms = flight.request, self.venue_ns // NS_PER_MS
        is_query = isinstance(request, Query)
        if isinstance(request, Query) and request.what is QueryKind.SERVER_TIME:
            return 0
        if not now_ms - RECV_WINDOW_MS <= flight.signed_ms < now_ms + AHEAD_MS:
            return CLOCK
        if not is_query:
            for code, until in self.refuse.items():
                if self.scheduler.now_ns < until:
                    return code
            if isinstance(request, TradingStop) and self.scheduler.now_ns < self.refuse_stops_until:
                return 10001
            if self.dice.hits(self.faults.reject_ppm):
                return self.faults.reject_codes[self.dice.below(len(self.faults.reject_codes))]
        used = self._used_of(flight)
        while used and used[0] <= self.venue_ns - NS_PER_S:
            used.popleft()
        if len(used) >= (self.faults.queries_per_second if is_query else self.faults.per_second):
            return LIMITED
        used.append(self.venue_ns)
        return 0

    def _used_of(self, flight: Flight) -> deque[int]:
        """When requests of its kind were let in during the last second."""
        kind = "query" if isinstance(flight.request, Query) else type(flight.request).__name__ + " batch" * flight.batch
        return self._used.setdefault(kind, deque())

    def _carry_out(self, flight: Flight) -> Ack | QueryRows | ClockOffset:
        """Do it; what it causes is published before the answer is on its way."""
        request, now = flight.request, self.venue_ns
        if isinstance(request, Query):
            if request.what is QueryKind.SERVER_TIME:
                return ClockOffset(0)
            return self.queries.answer(now, request, self.faults)
        result = self._do(now, request)
        if result.ret_code:
            self.hits[f"refused {int(result.ret_code)}"] += 1
        self.pump()
        return Ack(request.req_id, int(result.ret_code), result.ret_msg, order_id=result.order_id)

    def _do(self, now: int, request: Request) -> Result:
        exchange, uid = self.exchange, self.uid
        if isinstance(request, Create):
            result = exchange.create_order(now, uid, order_request(request))
            if result.ret_code == 0:
                self.born[request.link_id] = self.gate_ns[request.link_id]
            return result
        if isinstance(request, Amend):
            return exchange.amend_order(now, uid, AmendRequest(
                symbol=request.symbol, order_id=request.order_id, order_link_id=request.link_id,
                price_ticks=request.price_ticks, qty_lots=request.qty_lots,
            ))
        if isinstance(request, Cancel):
            return exchange.cancel_order(now, uid, request.symbol, request.order_id, request.link_id)
        if isinstance(request, CancelEntries):
            return exchange.cancel_all(now, uid, request.symbol, OrderFilter.ORDER).result
        if isinstance(request, TradingStop):
            return exchange.set_trading_stop(now, uid, TradingStopRequest(
                symbol=request.symbol, position_idx=request.position_idx, tpsl_mode=request.mode,
                take_profit_ticks=request.target_ticks, stop_loss_ticks=request.stop_ticks,
                trailing_ticks=request.trailing_ticks, active_price_ticks=request.active_ticks,
                tp_trigger_by=request.target_trigger_by, sl_trigger_by=request.stop_trigger_by,
                tp_size_lots=request.size_lots, sl_size_lots=request.size_lots,
            ))
        if isinstance(request, SetLeverage):
            return exchange.set_leverage(now, uid, request.symbol, request.leverage_e2, request.leverage_e2)
        raise TypeError(f"no such request: {request!r}")

    # --- answers ------------------------------------------------------------------------------------------------------
    def _answer(self, flight: Flight, answer: Event, extra_ns: int = 0) -> None:
        at = self.scheduler.now_ns + self.dice.between(self.faults.answer_ns) + extra_ns
        if flight.stream is Stream.TRADE and not extra_ns:
            if self.dice.hits(self.faults.ack_swap_ppm):
                self.hits["ack swap"] += 1
                at += 10 * NS_PER_MS
            else:
                at = self._answer_ns[flight.stream] = max(at, self._answer_ns[flight.stream])
        self.scheduler.at(at, self._answered, flight, answer)

    def _answered(self, flight: Flight, answer: Event) -> None:
        if flight.client != self._client:
            return
        known = self._in_flight.get(flight.request.req_id)
        if isinstance(answer, ClockOffset):
            self._tell(answer)
            return
        if known is None:  # Lost has been told; only an Ack is still worth saying
            if isinstance(answer, Ack):
                self.hits["late ack"] += 1
                self._tell(answer)
            return
        del self._in_flight[flight.request.req_id]
        self._tell(answer)
        if isinstance(answer, Ack) and answer.ret_code == FORBIDDEN:
            self.banned_until = self.scheduler.now_ns + self.faults.ban_ns
            self._tell(Banned(self.banned_until))

    def _no_req_id(self, flight: Flight) -> None:
        """Which request the error means is not said: all of its kind on that connection are in doubt."""
        if flight.client != self._client:
            return
        kind = type(flight.request)
        for req_id, other in list(self._in_flight.items()):
            if flight.client != self._client:
                return
            if other.stream is flight.stream and type(other.request) is kind and other.epoch == flight.epoch:
                self._lose(req_id, "error without reqId")

    # --- the private stream -------------------------------------------------------------------------------------------
    def pump(self) -> None:
        """Publish what has happened at the exchange: neighbouring rows of one topic travel in one frame."""
        frames: list[tuple[str, list[Event]]] = []
        for event in self.exchange.drain():
            if event.uid != self.uid:
                continue
            topic, row = private_row(event)
            if frames and frames[-1][0] == topic:
                frames[-1][1].append(row)
            else:
                frames.append((topic, [row]))
        if self.up[Stream.PRIVATE]:
            for topic, rows in frames:
                self._publish(topic, rows)
        elif frames:
            self.hits["frame into the void"] += len(frames)

    def _publish(self, topic: str, rows: list[Event]) -> None:
        faults, dice = self.faults, self.dice
        if dice.hits(faults.frame_drop_ppm):
            self.hits["frame dropped"] += 1
            return
        at = self.scheduler.now_ns + dice.between(faults.feed_ns)
        if dice.hits(faults.frame_swap_ppm):
            self.hits["frame swapped"] += 1
            self._frame_at(at + dice.between(faults.fill_first_ns), rows)
        else:
            self._frame_ns = max(at, self._frame_ns)
            self._frame_at(self._frame_ns, rows)
        if dice.hits(faults.frame_dup_ppm) or (topic == "execution" and dice.hits(faults.exec_dup_ppm)):
            self.hits["frame doubled"] += 1
            self._frame_at(at + dice.between(faults.fill_first_ns), rows)

    def _frame_at(self, ts_ns: int, rows: list[Event]) -> None:
        self.scheduler.at(ts_ns, self._frame, rows, self._epochs[Stream.PRIVATE], self._client)

    def _frame(self, rows: list[Event], epoch: int, client: int) -> None:
        if client != self._client or epoch != self._epochs[Stream.PRIVATE] or not self.up[Stream.PRIVATE]:
            return
        for row in rows:
            if client != self._client:
                return  # the process died over the first row
            self._tell(row)

    def calm(self) -> None:
        """Nothing goes wrong any more; what is under way or down keeps its course."""
        faults = self.faults  # pages stay short: that is how a venue is, only never as short as in a fault
        self.faults = replace(LinkFaults(), clock_error_ms=faults.clock_error_ms, page_rows=max(faults.page_rows, 10))
        self.refuse.clear()
        self.refuse_stops_until = 0


def order_request(request: Create) -> OrderRequest:
    """A Create as the exchange takes it."""
    return OrderRequest(
        symbol=request.symbol, side=request.side, order_type=request.order_type, qty_lots=request.qty_lots,
        price_ticks=request.price_ticks, tif=request.tif, reduce_only=request.reduce_only,
        close_on_trigger=request.close_on_trigger, order_link_id=request.link_id, position_idx=request.position_idx,
        trigger_price_ticks=request.trigger_ticks, trigger_direction=request.trigger_direction,
        trigger_by=request.trigger_by, take_profit_ticks=request.target_ticks, stop_loss_ticks=request.stop_ticks,
        tp_trigger_by=request.target_trigger_by, sl_trigger_by=request.stop_trigger_by,
        slippage_type=SlippageType.PERCENT if request.slippage_e2pct else SlippageType.NONE,
        slippage=request.slippage_e2pct,
    )
