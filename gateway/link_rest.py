"""REST for the order link: calls in a few threads, their answers as events, and the exchange's clock.

Urgent calls (orders, the clock) have threads of their own, so that slow questions never stand before them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from core.constants import NS_PER_S
from core.consumption import Kind
from core.orders.budget import Budget
from core.orders.exchange_words import (
    Banned,
    ClockOffset,
    LinkState,
    Lost,
    Query,
    QueryKind,
    QueryRows,
    Request,
    Send,
    Stream,
)
from gateway.bybit.answers import rest_events
from gateway.bybit.order_codec import Route
from gateway.bybit.rest_codec import RestAnswer, envelope, server_ns
from gateway.bybit.wire_units import Grids, WireError
from gateway.link_answers import LinkAnswers, Sent
from gateway.link_words import Context, rest_line, rest_source, source
from gateway.order_entry import Flight
from gateway.signed_rest import SignedRest, Wanted, always
from gateway.venue_clock import VenueClock

CLOCK_EVERY_S = 30.0
CLOCK_RETRY_S = 1.0
CLOCK_LOOK_S = 0.05
CLOCK_SAMPLES = 3
REST_SLACK_S = 0.5  # beyond the socket's own timeout, which counts per read
URGENT_THREADS, QUERY_THREADS = 4, 3


class LinkRest:
    """All but `close` on the link's thread. `timeout_s` is that of one call, whatever the socket does."""

    def __init__(
        self, rest: SignedRest, answers: LinkAnswers, clock: VenueClock, budget: Budget, grids: Grids, timeout_s: float
    ) -> None:
        self._rest = rest
        self._answers = answers
        self._clock = clock
        self._budget = budget
        self._grids = grids
        self._timeout_s = timeout_s
        self._up = False
        self._epoch = 0
        self._urgent = ThreadPoolExecutor(URGENT_THREADS, "rest-urgent")
        self._asking = ThreadPoolExecutor(QUERY_THREADS, "rest-query")

    def close(self) -> None:
        """After the last call."""
        self._urgent.shutdown(cancel_futures=True)
        self._asking.shutdown(cancel_futures=True)
        self._rest.close_all()

    # --- calls -------------------------------------------------------------------------------------------------------
    async def _call(
        self, urgent: bool, method: str, path: str, payload: bytes, signed: bool = True, deadline_ns: int = 0,
        wanted: Wanted = always, req_ids: tuple[int, ...] = (), op: str = "",
    ) -> RestAnswer:
        """A call in a thread, given up after the timeout whatever the socket does; later nothing is written either."""
        context = Context(req_ids, op)

        def leaving(sent_ns: int) -> bool:
            """The last question, in the thread of the call; what leaves is told."""
            if not wanted(sent_ns):
                return False
            self._answers.read(source(Kind.SENT, rest_line(method, path, payload), 0, context, sent_ns))
            return True

        pool = self._urgent if urgent else self._asking
        not_after_ns = time.monotonic_ns() + int(self._timeout_s * NS_PER_S)
        if deadline_ns:
            not_after_ns = min(not_after_ns, deadline_ns)
        work = asyncio.get_running_loop().run_in_executor(
            pool, self._rest.call, method, path, payload, not_after_ns, signed, leaving
        )
        try:
            answer = await asyncio.wait_for(asyncio.shield(work), self._timeout_s + REST_SLACK_S)
        except TimeoutError:
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            return RestAnswer(0, why="no answer in time")
        if answer.status == 403:
            self._answers.tell(Banned(self._budget.banned(time.monotonic_ns())))
            self._answers.note("ip_ban", "HTTP 403: no REST for ten minutes")
        if not answer.withheld:
            self._state(answer.status != 403 and (answer.sent or answer.status != 0))
        return answer

    def _state(self, up: bool) -> None:
        if up != self._up:
            self._up = up
            self._epoch += up
            self._answers.tell(LinkState(Stream.REST, up, self._epoch))

    async def post(
        self, flight: Flight, route: Route, payload: bytes, sends: list[tuple[Send, int]],
        may_leave: Callable[[int, Request], bool],
    ) -> None:
        """An order request, or a batch of them: (send, when it was handed over). `may_leave` is asked again behind the
        connection, which may have taken its time to stand."""
        deadlines = [send.deadline_ns for send, _ in sends if send.deadline_ns]
        answer = await self._call(
            True, route.method, route.path, payload, deadline_ns=min(deadlines, default=0),
            wanted=lambda now_ns: all(may_leave(now_ns, send.request) for send, _ in sends),
            req_ids=flight.req_ids, op=flight.op,
        )
        if answer.sent_ns:
            self._answers.sent.extend(Sent(send.request.req_id, handed_ns, answer.sent_ns) for send, handed_ns in sends)
        self._read(flight, None, answer)

    async def ask(self, query: Query, route: Route, payload: bytes, send: Send) -> None:
        """A question, answered by rows."""
        tell = self._answers.tell
        if query.what is QueryKind.SERVER_TIME:
            done = await self._measure_clock()
            tell(QueryRows(query.req_id, query.what, (), "", self._clock.now_ms()) if done
                 else Lost(query.req_id, "the exchange's clock did not answer"))
            return
        public = query.what is QueryKind.INSTRUMENT
        answer = await self._call(
            send.urgent, route.method, route.path, payload, not public, send.deadline_ns,
            req_ids=(query.req_id,),
        )
        self._read(Flight("", route.endpoint, (query.req_id,)), query, answer)

    def _read(self, flight: Flight, query: Query | None, answer: RestAnswer) -> None:
        """Tell what the answer says, and learn from it about limits and the clock."""
        reading = rest_events(flight.req_ids, flight.op, query, answer, self._grids)
        found = reading.found
        if found is not None:
            self._answers.heard(flight.endpoint, found.code, answer.limit, answer.left, answer.reset_ms)
            self._answers.look_at_batch(flight.op, found.code, reading.events)
        for trouble in reading.troubles:
            self._answers.note("rest_row", trouble)
        self._answers.read(rest_source(flight.req_ids, flight.op, answer), reading.events)

    # --- clock -------------------------------------------------------------------------------------------------------
    async def first_clock(self) -> float:
        """Measure before anything is signed; seconds (monotonic) when to measure again."""
        done = await self._measure_clock()
        return time.monotonic() + (CLOCK_EVERY_S if done else CLOCK_RETRY_S)

    async def keep_clock(self, due_s: float) -> None:
        """Measure when it is due, and at once after a refused timestamp."""
        while True:
            if self._answers.clock_suspect or time.monotonic() >= due_s:
                self._answers.clock_suspect = False
                due_s = await self.first_clock()
            await asyncio.sleep(CLOCK_LOOK_S)

    async def _measure_clock(self) -> bool:
        """A few readings of /v5/market/time; True when one came."""
        done = False
        for _ in range(CLOCK_SAMPLES):
            if time.monotonic_ns() < self._budget.banned_until_ns:
                return False
            answer = await self._call(True, "GET", "/v5/market/time", b"", False)
            self._answers.read(rest_source((), "", answer))
            try:
                if answer.status != 200:
                    return False
                self._clock.take(server_ns(envelope(answer.body)), answer.sent_ns, answer.received_ns)
            except WireError:
                return False
            done = True
        self._answers.tell(ClockOffset(self._clock.offset_ms))
        return done
