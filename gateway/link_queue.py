"""Requests on their way out: they wait here for the rate budget, not beyond their deadline, and leave the most urgent
first, over the trade WebSocket while it is up, else over REST. The last thing before the first byte is the question
whether the request is still wanted: a kill or a pause may have come since it was decided.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import msgspec

from core.orders.budget import NEVER, Budget, Endpoint, Purpose
from core.orders.exchange_words import Cancel, Create, Query, Request, Send
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
from gateway.bybit.wire_units import Grids, WireError
from gateway.link_answers import LinkAnswers, Sent
from gateway.link_rest import LinkRest
from gateway.order_entry import Flight, OrderEntry

NS_PER_S = 1_000_000_000
LOOK_S = 0.25  # deadlines are looked at while the budget is used up


class Waiting(NamedTuple):
    """A request and when it was handed over (monotonic ns)."""

    send: Send
    handed_ns: int


MayLeave = Callable[[int, Request], bool]
"""(monotonic ns, request) -> is it still wanted? Asked in the link's threads; False only for entries."""


class LinkQueue:
    """On the link's thread. `entry` is the trade WebSocket where the exchange has one; `spawn` runs a REST call."""

    def __init__(
        self, answers: LinkAnswers, rest: LinkRest, budget: Budget, grids: Grids, entry: OrderEntry | None,
        spawn: Callable[[Coroutine[Any, Any, None]], object], may_leave: MayLeave,
    ) -> None:
        self._answers = answers
        self._rest = rest
        self._budget = budget
        self._grids = grids
        self._entry = entry
        self._spawn = spawn
        self._may_leave = may_leave
        self._queues: dict[tuple[Endpoint, Purpose], deque[Waiting]] = {}
        self._pumping: asyncio.TimerHandle | None = None

    def put(self, waiting: Waiting) -> None:
        """To be followed by `pump`."""
        request = waiting.send.request
        key = route_of(request).endpoint, purpose_of(request, waiting.send.urgent)
        self._queues.setdefault(key, deque()).append(waiting)

    def pump(self) -> None:
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
            self._pumping = asyncio.get_running_loop().call_later(min(soonest_ns / NS_PER_S, LOOK_S), self.pump)

    def _try_one(self, key: tuple[Endpoint, Purpose], queue: deque[Waiting]) -> int:
        """Send the first of a queue, or refuse it; ns to wait where the budget is used up."""
        endpoint, purpose = key
        now_ns = time.monotonic_ns()
        send = queue[0].send
        if send.deadline_ns and now_ns >= send.deadline_ns:
            queue.popleft()
            self._answers.lost((send.request.req_id,), "deadline passed before it could leave", sent=False)
            return 0
        if not self._may_leave(now_ns, send.request):  # it need not wait for what it will not use
            self._unwanted(queue.popleft())
            return 0
        route = route_of(send.request)
        over_ws = bool(route.op) and self._entry is not None and self._entry.is_up
        if not over_ws and now_ns < self._budget.banned_until_ns:
            queue.popleft()
            self._answers.lost((send.request.req_id,), "address banned (HTTP 403)", sent=False)
            return 0
        wait_ns = self._budget.wait_ns(endpoint, purpose, now_ns, rest=not over_ws)
        if wait_ns == 0:
            waiting = queue.popleft()
            self._budget.take(endpoint, now_ns, rest=not over_ws)
            self._send_one(waiting, route, over_ws)
            return 0
        if purpose is Purpose.KILL and type(send.request) in BATCH_ROUTES:
            return self._try_batch(queue, now_ns, over_ws) and wait_ns
        return wait_ns

    def _send_one(self, waiting: Waiting, route: Route, over_ws: bool) -> None:
        request = waiting.send.request
        try:
            if isinstance(request, Query):
                payload = query_string(request).encode()
            else:
                payload = rest_body(request, self._grids)
        except WireError as error:
            self._unwritable((request.req_id,), type(request).__name__, error)
            return
        if isinstance(request, Query):
            self._spawn(self._rest.ask(request, route, payload, waiting.send))
        else:
            self._write(Flight(route.op, route.endpoint, (request.req_id,)), route, payload, [waiting], over_ws)

    def _try_batch(self, queue: deque[Waiting], now_ns: int, over_ws: bool) -> int:
        """Getting out has counters of its own for batches: use them when the single ones are used up. 0 = sent."""
        route = BATCH_ROUTES[type(queue[0].send.request)]
        wait_ns = self._budget.wait_ns(route.endpoint, Purpose.KILL, now_ns, rest=not over_ws)
        if wait_ns:
            return wait_ns
        count = min(len(queue), BATCH_MAX, self._budget.left(route.endpoint, Purpose.KILL, now_ns))
        chosen = [queue.popleft() for _ in range(count)]
        requests = [w.send.request for w in chosen]
        ids = tuple(r.req_id for r in requests)
        try:
            body = msgspec.json.encode(batch_body([r for r in requests if isinstance(r, Create | Cancel)], self._grids))
        except WireError as error:
            self._unwritable(ids, "batch", error)
            return 0
        self._budget.take(route.endpoint, now_ns, units=count, rest=not over_ws)
        self._write(Flight(route.op, route.endpoint, ids), route, body, chosen, over_ws)
        return 0

    def _write(self, flight: Flight, route: Route, payload: bytes, chosen: list[Waiting], over_ws: bool) -> None:
        """The first byte: over the WebSocket at once, over REST in a thread."""
        now_ns = time.monotonic_ns()
        if not all(self._may_leave(now_ns, w.send.request) for w in chosen):
            for waiting in chosen:  # an entry is never in a batch
                self._unwanted(waiting)
        elif over_ws and self._entry is not None and self._entry.submit(flight, payload):
            now_ns = time.monotonic_ns()
            self._answers.sent.extend(Sent(w.send.request.req_id, w.handed_ns, now_ns) for w in chosen)
        else:
            self._spawn(self._rest.post(flight, route, payload, [(w.send, w.handed_ns) for w in chosen], self._may_leave))

    def _unwanted(self, waiting: Waiting) -> None:
        self._answers.note("not_wanted", f"{type(waiting.send.request).__name__}: not wanted any more, nothing left")
        self._answers.lost((waiting.send.request.req_id,), "not wanted any more", sent=False)

    def _unwritable(self, req_ids: tuple[int, ...], what: str, error: WireError) -> None:
        self._answers.note("not_encodable", f"{what}: {error}")
        self._answers.lost(req_ids, f"cannot be written: {error}", sent=False)
