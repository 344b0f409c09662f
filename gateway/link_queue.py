"""Requests on their way out, in bytes: over the trade WebSocket while it is up, else over REST. Who leaves when, and who does
not leave at all (a kill or a pause may have come since it was decided), is decided by `core.orders.send_queue`; the
simulation runs the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from core.constants import NS_PER_S
from core.orders.budget import NEVER, Budget
from core.orders.exchange_words import Cancel, Create, Query, Request
from core.orders.send_queue import NOT_WANTED, Departure, SendQueue, Turned, Waiting
from gateway.bybit.order_codec import BATCH_ROUTES, Route, batch_body, query_string, rest_body, route_of
from gateway.bybit.wire_units import Grids, WireError
from gateway.link_answers import LinkAnswers, Sent
from gateway.link_rest import LinkRest
from gateway.order_entry import Flight, OrderEntry

LOOK_S = 0.25  # deadlines are looked at while the budget is used up


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
        self._grids = grids
        self._entry = entry
        self._spawn = spawn
        self._may_leave = may_leave
        self._queue = SendQueue(budget, lambda request: route_of(request).endpoint, may_leave)
        self._pumping: asyncio.TimerHandle | None = None

    def put(self, waiting: Waiting) -> None:
        """To be followed by `pump`."""
        self._queue.put(waiting)

    def pump(self) -> None:
        """Send what the budget allows, the most urgent first; come back when it will allow more."""
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None
        out, wait_ns = self._queue.take(time.monotonic_ns(), self._over_ws)
        for each in out:
            if isinstance(each, Turned):
                self._turned(each.request, each.why)
            elif each.batch:
                self._send_batch(each)
            else:
                self._send_one(each)
        if wait_ns < NEVER:
            self._pumping = asyncio.get_running_loop().call_later(min(wait_ns / NS_PER_S, LOOK_S), self.pump)

    def _over_ws(self, request: Request) -> bool:
        return bool(route_of(request).op) and self._entry is not None and self._entry.is_up

    def _send_one(self, departure: Departure) -> None:
        (waiting,) = departure.waiting
        request = waiting.send.request
        route = route_of(request)
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
            self._write(Flight(route.op, route.endpoint, (request.req_id,)), route, payload, departure)

    def _send_batch(self, departure: Departure) -> None:
        requests = [waiting.send.request for waiting in departure.waiting]
        route = BATCH_ROUTES[type(requests[0])]
        ids = tuple(r.req_id for r in requests)
        try:
            body = msgspec.json.encode(batch_body([r for r in requests if isinstance(r, Create | Cancel)], self._grids))
        except WireError as error:
            self._unwritable(ids, "batch", error)
            return
        self._write(Flight(route.op, route.endpoint, ids), route, body, departure)

    def _write(self, flight: Flight, route: Route, payload: bytes, departure: Departure) -> None:
        """The first byte: over the WebSocket at once, over REST in a thread."""
        chosen, now_ns = departure.waiting, time.monotonic_ns()
        if not all(self._may_leave(now_ns, waiting.send.request) for waiting in chosen):  # since it left the queue
            for waiting in chosen:
                self._turned(waiting.send.request, NOT_WANTED)
        elif departure.over_ws and self._entry is not None and self._entry.submit(flight, payload):
            now_ns = time.monotonic_ns()
            self._answers.sent.extend(Sent(w.send.request.req_id, w.handed_ns, now_ns) for w in chosen)
        else:
            self._spawn(self._rest.post(flight, route, payload, [(w.send, w.handed_ns) for w in chosen], self._may_leave))

    def _turned(self, request: Request, why: str) -> None:
        if why == NOT_WANTED:
            self._answers.note("not_wanted", f"{type(request).__name__}: {NOT_WANTED}, nothing left")
        self._answers.lost((request.req_id,), why, sent=False)

    def _unwritable(self, req_ids: tuple[int, ...], what: str, error: WireError) -> None:
        self._answers.note("not_encodable", f"{what}: {error}")
        self._answers.lost(req_ids, f"cannot be written: {error}", sent=False)
