"""Between the exchange desk and the exchange: one thread with private stream, trade stream and REST, and nothing decided.

    agent loop                                link thread (asyncio)                            exchange
      desk.drain() -> Send --deque--> budget -> order_entry  ------ trade WebSocket ---------->
                                             -> signed_rest  ------ REST (a few threads) ----->
      desk.on_event <- Event --deque-- bell <- private_stream <---- private WebSocket ---------

Orders go over the trade WebSocket while it is up, else over REST; what the WebSocket does not have, and everything on an
exchange without one (demo), goes over REST. A request waits here while the rate limit is used up, and not beyond its
deadline. The two deques are the only things both threads touch; each has one writer and one reader.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec

from core.orders.budget import NEVER, Budget, Endpoint, Purpose
from core.orders.exchange_words import (
    Ack,
    Banned,
    Cancel,
    ClockOffset,
    Create,
    Event,
    LinkState,
    Lost,
    Query,
    QueryKind,
    QueryRows,
    Send,
    Stream,
)
from gateway.bybit.order_codec import (
    BATCH_MAX,
    BATCH_ROUTES,
    Route,
    batch_body,
    purpose_of,
    query_string,
    rest_body,
    route_of,
)
from gateway.bybit.private_codec import Answer
from gateway.bybit.rest_codec import Envelope, envelope, page_of, server_ns
from gateway.bybit.session import ConnectBudget, Timing
from gateway.bybit.sign import Credentials
from gateway.bybit.wire_units import Grids, WireError
from gateway.order_entry import Flight, OrderEntry
from gateway.private_stream import PrivateStream
from gateway.signed_rest import RestAnswer, SignedRest
from gateway.venue_clock import VenueClock

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
BEAT_S = 0.05
CLOCK_EVERY_S = 30.0
CLOCK_RETRY_S = 1.0
CLOCK_SAMPLES = 3
REST_SLACK_S = 0.5  # beyond the socket's own timeout, which counts per read
URGENT_THREADS, QUERY_THREADS = 4, 3
TOO_MANY = 10006
SESSION_TOO_MANY = (20003, 10403)
EXPIRED = 10002
CONNECTIONS = 60  # new ones per five minutes


class LinkAddress(NamedTuple):
    """Addresses of an exchange. `ws_trade` "" = orders go over REST (demo)."""

    rest: str
    ws_private: str
    ws_trade: str = ""


class LinkOptions(NamedTuple):
    """How patient the link is."""

    timing: Timing
    recv_window_ms: int = 1500
    rest_timeout_s: float = 2.0


class LinkNote(NamedTuple):
    """Something worth a line: `word` is its counter."""

    word: str
    text: str


class Sent(NamedTuple):
    """Stamps of one request, monotonic ns: handed to the link, written to a socket."""

    req_id: int
    handed_ns: int
    written_ns: int


class _Waiting(NamedTuple):
    send: Send
    handed_ns: int


class OrderLink:
    """`send` from the agent's thread; `events`, `notes`, `sent` are read (popleft) by it. `wake` is called after every
    event. `error` is set when the link's thread failed: the process must end then."""

    def __init__(
        self, address: LinkAddress, keys: Credentials, grids: Grids, options: LinkOptions, wake: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self.events: deque[Event] = deque()
        self.notes: deque[LinkNote] = deque(maxlen=1024)
        self.sent: deque[Sent] = deque(maxlen=4096)
        self.error: BaseException | None = None
        self.clock = VenueClock()
        self.budget = Budget()
        self._address = address
        self._keys = keys
        self._grids = grids
        self._options = options
        self._wake = wake
        self._rng = rng
        self._inbox: deque[_Waiting] = deque()
        self._queues: dict[tuple[Endpoint, Purpose], deque[_Waiting]] = {}
        self._pumping: asyncio.TimerHandle | None = None
        self._rest = SignedRest(address.rest, keys, self.clock, options.recv_window_ms, options.rest_timeout_s)
        self._rest_up = False
        self._rest_epoch = 0
        self._clock_due_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._private: PrivateStream | None = None
        self._entry: OrderEntry | None = None
        self._urgent = ThreadPoolExecutor(URGENT_THREADS, "rest-urgent")
        self._asking = ThreadPoolExecutor(QUERY_THREADS, "rest-query")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="order-link", daemon=True)

    # --- the agent's side --------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread; returns once it takes requests."""
        self._thread.start()
        self._ready.wait()

    def send(self, send: Send) -> None:
        """Hand over one request. It leaves, or an event says why not."""
        self._inbox.append(_Waiting(send, time.monotonic_ns()))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._drain)

    def stop(self) -> None:
        """Close everything and wait for the thread."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread.ident is not None:
            self._thread.join(10.0)

    # --- the thread --------------------------------------------------------------------------------------------------
    def _main(self) -> None:
        try:
            asyncio.run(self._life())
        except BaseException as error:  # whatever it is, the agent must end the process over it
            self.error = error
        finally:
            self._ready.set()
            self._urgent.shutdown(cancel_futures=True)
            self._asking.shutdown(cancel_futures=True)
            self._rest.close_all()
            self._wake()

    async def _life(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._loop.set_exception_handler(self._on_exception)
        timing, budget = self._options.timing, ConnectBudget(CONNECTIONS, time.monotonic_ns())
        private = self._private = PrivateStream(
            self._address.ws_private, self._keys, self.clock, timing, budget, self._rng, self._on_private, self._grids,
            self._on_events, self._note,
        )
        sockets: list[PrivateStream | OrderEntry] = [private]
        if self._address.ws_trade:
            self._entry = OrderEntry(
                self._address.ws_trade, self._keys, self.clock, timing, budget, self._rng, self._on_trade,
                self._on_answer, self._on_late, self._on_lost, self._note, self._options.recv_window_ms,
            )
            sockets.append(self._entry)
        self._ready.set()
        done = await self._measure_clock()
        self._clock_due_s = time.monotonic() + (CLOCK_EVERY_S if done else CLOCK_RETRY_S)
        for work in (self._keep_clock(), *(s.run() for s in sockets)):
            self._spawn(work)
        while not self._stopping.is_set():
            now_ns = time.monotonic_ns()
            for each in sockets:
                each.beat(now_ns)
            try:
                await asyncio.wait_for(self._stopping.wait(), BEAT_S)
            except TimeoutError:
                continue
        for each in sockets:
            each.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.error is not None:
            raise self.error

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._fail(error if error is not None else RuntimeError(str(context.get("message"))))

    def _fail(self, error: BaseException) -> None:
        assert self._stopping is not None
        if not self._stopping.is_set():
            self.error = error
            self._stopping.set()
            self._wake()

    # --- events ------------------------------------------------------------------------------------------------------
    def _tell(self, event: Event) -> None:
        self.events.append(event)
        self._wake()

    def _on_events(self, events: tuple[Event, ...]) -> None:
        self.events.extend(events)
        self._wake()

    def _note(self, word: str, text: str) -> None:
        self.notes.append(LinkNote(word, text))
        self._wake()

    def _on_private(self, up: bool, reason: str) -> None:
        assert self._private is not None
        self._changed(Stream.PRIVATE, up, self._private.epoch, reason)

    def _on_trade(self, up: bool, reason: str) -> None:
        assert self._entry is not None
        self._changed(Stream.TRADE, up, self._entry.epoch, reason)

    def _changed(self, stream: Stream, up: bool, epoch: int, reason: str) -> None:
        if not up:
            self._note("reconnects", f"{stream.name.lower()} stream: {reason}")
        self._tell(LinkState(stream, up, epoch))

    def _rest_state(self, up: bool) -> None:
        if up != self._rest_up:
            self._rest_up = up
            self._rest_epoch += up
            self._tell(LinkState(Stream.REST, up, self._rest_epoch))

    def _lost(self, req_ids: tuple[int, ...], why: str, sent: bool = True) -> None:
        for req_id in req_ids:
            self._tell(Lost(req_id, why, sent))

    # --- requests out --------------------------------------------------------------------------------------------------
    def _drain(self) -> None:
        while self._inbox:
            waiting = self._inbox.popleft()
            request = waiting.send.request
            key = route_of(request).endpoint, purpose_of(request, waiting.send.urgent)
            self._queues.setdefault(key, deque()).append(waiting)
        self._pump()

    def _pump(self) -> None:
        """Send what the budget allows, the most urgent first; come back when it will allow more."""
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None
        soonest_ns = NEVER
        for key in sorted(self._queues, key=lambda k: -k[1]):
            queue = self._queues[key]
            while queue:
                wait_ns = self._try_one(key, queue)
                if wait_ns:
                    soonest_ns = min(soonest_ns, wait_ns)
                    break
            if not queue:
                del self._queues[key]
        if self._queues:
            pause_s = min(soonest_ns / NS_PER_S, 0.25)  # deadlines are looked at meanwhile
            self._pumping = asyncio.get_running_loop().call_later(pause_s, self._pump)

    def _try_one(self, key: tuple[Endpoint, Purpose], queue: deque[_Waiting]) -> int:
        """Send the first of a queue, or refuse it; ns to wait where the budget is used up."""
        endpoint, purpose = key
        now_ns = time.monotonic_ns()
        waiting = queue[0]
        send = waiting.send
        if send.deadline_ns and now_ns >= send.deadline_ns:
            queue.popleft()
            self._lost((send.request.req_id,), "deadline passed before it could leave", sent=False)
            return 0
        route = route_of(send.request)
        over_ws = bool(route.op) and self._entry is not None and self._entry.is_up
        if not over_ws and now_ns < self.budget.banned_until_ns:
            queue.popleft()
            self._lost((send.request.req_id,), "address banned (HTTP 403)", sent=False)
            return 0
        wait_ns = self.budget.wait_ns(endpoint, purpose, now_ns, rest=not over_ws)
        if wait_ns == 0:
            queue.popleft()
            self.budget.take(endpoint, now_ns, rest=not over_ws)
            self._send_one(waiting, route, over_ws)
            return 0
        if purpose is Purpose.KILL and type(send.request) in BATCH_ROUTES:
            return self._try_batch(queue, now_ns, over_ws) and wait_ns
        return wait_ns

    def _send_one(self, waiting: _Waiting, route: Route, over_ws: bool) -> None:
        request = waiting.send.request
        try:
            if isinstance(request, Query):
                payload = query_string(request).encode()
            else:
                payload = rest_body(request, self._grids)
        except WireError as error:
            self._note("not_encodable", f"{type(request).__name__}: {error}")
            self._lost((request.req_id,), f"cannot be written: {error}", sent=False)
            return
        flight = Flight(route.op, route.endpoint, (request.req_id,))
        if over_ws and self._entry is not None and self._entry.submit(flight, payload):
            self._stamp(waiting)
        elif isinstance(request, Query):
            self._spawn(self._ask(request, route, payload, waiting))
        else:
            self._spawn(self._post(flight, route, payload, [waiting]))

    def _try_batch(self, queue: deque[_Waiting], now_ns: int, over_ws: bool) -> int:
        """Getting out has counters of its own for batches: use them when the single ones are used up. 0 = sent."""
        kind = type(queue[0].send.request)
        route = BATCH_ROUTES[kind]
        wait_ns = self.budget.wait_ns(route.endpoint, Purpose.KILL, now_ns, rest=not over_ws)
        if wait_ns:
            return wait_ns
        count = min(len(queue), BATCH_MAX, self.budget.left(route.endpoint, Purpose.KILL, now_ns))
        chosen = [queue.popleft() for _ in range(count)]
        requests = [w.send.request for w in chosen]
        ids = tuple(r.req_id for r in requests)
        try:
            body = msgspec.json.encode(batch_body([r for r in requests if isinstance(r, Create | Cancel)], self._grids))
        except WireError as error:
            self._note("not_encodable", f"batch: {error}")
            self._lost(ids, f"cannot be written: {error}", sent=False)
            return 0
        self.budget.take(route.endpoint, now_ns, units=count, rest=not over_ws)
        flight = Flight(route.op, route.endpoint, ids)
        if over_ws and self._entry is not None and self._entry.submit(flight, body):
            for waiting in chosen:
                self._stamp(waiting)
        else:
            self._spawn(self._post(flight, route, body, chosen))
        return 0

    def _stamp(self, waiting: _Waiting) -> None:
        self.sent.append(Sent(waiting.send.request.req_id, waiting.handed_ns, time.monotonic_ns()))

    # --- answers of the trade stream -----------------------------------------------------------------------------------
    def _on_answer(self, flight: Flight, answer: Answer) -> None:
        self._heard(flight.endpoint, answer.code, answer.limit, answer.left, answer.reset_ms)
        self._ack(flight, answer.code, answer.text, answer.left, answer.reset_ms, answer.order_id, answer.items)

    def _on_late(self, flight: Flight, answer: Answer) -> None:
        self._note("late_ack", f"{flight.op}: {answer.code} {answer.text[:40]} after the timeout")
        self._on_answer(flight, answer)

    def _on_lost(self, flight: Flight, why: str) -> None:
        self._lost(flight.req_ids, why)

    def _ack(
        self, flight: Flight, code: int, text: str, left: int, reset_ms: int, order_id: str,
        items: tuple[tuple[int, str, str], ...] | None,
    ) -> None:
        """One Ack per request of a flight. A taken batch whose items cannot be read is ambiguous as a whole."""
        if len(flight.req_ids) == 1 and not flight.op.endswith("-batch"):
            self._tell(Ack(flight.req_ids[0], code, text, left, reset_ms, order_id))
        elif code:
            for req_id in flight.req_ids:
                self._tell(Ack(req_id, code, text, left, reset_ms))
        elif items is None or len(items) != len(flight.req_ids):
            self._lost(flight.req_ids, "batch answer without outcomes")
        else:
            if any(item[0] for item in items):
                self._note("batch_partial", f"{flight.op}: {sum(1 for i in items if i[0])} of {len(items)} refused")
            for req_id, (item_code, item_text, item_id) in zip(flight.req_ids, items, strict=True):
                self._tell(Ack(req_id, item_code, item_text, left, reset_ms, item_id))

    def _heard(self, endpoint: Endpoint, code: int, limit: int, left: int, reset_ms: int) -> None:
        """What an answer says about rate limits and clocks."""
        now_ns = time.monotonic_ns()
        if left >= 0:
            self.budget.heard(endpoint, now_ns, limit, left)
        if code == TOO_MANY or code in SESSION_TOO_MANY:
            until_ns = self.clock.mono_ns(reset_ms) if reset_ms else now_ns + NS_PER_S
            self.budget.refused(endpoint, now_ns, until_ns)
        elif code == EXPIRED:
            self._clock_due_s = 0.0

    # --- REST ------------------------------------------------------------------------------------------------------------
    async def _call(
        self, urgent: bool, method: str, path: str, payload: bytes, signed: bool = True, deadline_ns: int = 0
    ) -> RestAnswer:
        """A call in a thread, given up after the timeout whatever the socket does; later nothing is written either."""
        pool = self._urgent if urgent else self._asking
        not_after_ns = time.monotonic_ns() + int(self._options.rest_timeout_s * NS_PER_S)
        if deadline_ns:
            not_after_ns = min(not_after_ns, deadline_ns)
        work = asyncio.get_running_loop().run_in_executor(
            pool, self._rest.call, method, path, payload, not_after_ns, signed
        )
        try:
            answer = await asyncio.wait_for(asyncio.shield(work), self._options.rest_timeout_s + REST_SLACK_S)
        except TimeoutError:
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            return RestAnswer(0, why="no answer in time")
        if answer.status == 403:
            self._tell(Banned(self.budget.banned(time.monotonic_ns())))
            self._note("ip_ban", "HTTP 403: no REST for ten minutes")
        self._rest_state(answer.status != 403 and (answer.sent or answer.status != 0))
        return answer

    async def _post(self, flight: Flight, route: Route, payload: bytes, chosen: list[_Waiting]) -> None:
        deadlines = [w.send.deadline_ns for w in chosen if w.send.deadline_ns]
        answer = await self._call(True, route.method, route.path, payload, deadline_ns=min(deadlines, default=0))
        if answer.sent_ns:
            for waiting in chosen:
                self.sent.append(Sent(waiting.send.request.req_id, waiting.handed_ns, answer.sent_ns))
        found = self._understood(flight.req_ids, flight.endpoint, answer)
        if found is not None:
            order_id = found.result.get("orderId")
            self._ack(flight, found.code, found.text, answer.left, answer.reset_ms,
                      order_id if isinstance(order_id, str) else "", found.items)

    async def _ask(self, query: Query, route: Route, payload: bytes, waiting: _Waiting) -> None:
        if query.what is QueryKind.SERVER_TIME:
            done = await self._measure_clock()
            self._tell(QueryRows(query.req_id, query.what, (), "", self.clock.now_ms()) if done
                       else Lost(query.req_id, "the exchange's clock did not answer"))
            return
        public = query.what is QueryKind.INSTRUMENT
        answer = await self._call(
            waiting.send.urgent, route.method, route.path, payload, not public, waiting.send.deadline_ns
        )
        found = self._understood((query.req_id,), route.endpoint, answer)
        if found is None:
            return
        if found.code:
            self._tell(Ack(query.req_id, found.code, found.text, answer.left, answer.reset_ms))
            return
        try:
            page = page_of(query, found, self._grids)
        except WireError as error:
            self._lost((query.req_id,), f"answer cannot be understood: {error}")
            return
        for trouble in page.troubles:
            self._note("rest_row", trouble)
        self._tell(QueryRows(query.req_id, query.what, page.rows, page.next_cursor, found.time_ms))

    def _understood(self, req_ids: tuple[int, ...], endpoint: Endpoint, answer: RestAnswer) -> Envelope | None:
        """The envelope of an answer; None when there is none, which has then been told."""
        if answer.status in (401, 403):
            for req_id in req_ids:
                self._tell(Ack(req_id, answer.status, f"HTTP {answer.status}"))
            return None
        try:
            if answer.status == 0:
                raise WireError(answer.why)
            if answer.status == 429 or answer.status >= 500:
                raise WireError(f"HTTP {answer.status}")
            found = envelope(answer.body)
        except WireError as error:
            self._lost(req_ids, str(error), answer.sent)
            return None
        self._heard(endpoint, found.code, answer.limit, answer.left, answer.reset_ms)
        return found

    # --- clock -------------------------------------------------------------------------------------------------------------
    async def _keep_clock(self) -> None:
        while True:
            now_s = time.monotonic()
            if now_s >= self._clock_due_s:
                done = await self._measure_clock()
                self._clock_due_s = time.monotonic() + (CLOCK_EVERY_S if done else CLOCK_RETRY_S)
            await asyncio.sleep(BEAT_S)

    async def _measure_clock(self) -> bool:
        """A few readings of /v5/market/time; True when one came."""
        done = False
        for _ in range(CLOCK_SAMPLES):
            if time.monotonic_ns() < self.budget.banned_until_ns:
                return False
            answer = await self._call(True, "GET", "/v5/market/time", b"", False)
            try:
                if answer.status != 200:
                    return False
                self.clock.take(server_ns(envelope(answer.body)), answer.sent_ns, answer.received_ns)
            except WireError:
                return False
            done = True
        self._tell(ClockOffset(self.clock.offset_ms))
        return done
