"""Requests between the desk and the wire: who leaves now, who waits for the rate limits, who does not leave at all.

    put -> one queue per (endpoint, purpose) -> take: Departures, most urgent first | Turned back, with the reason

The last question before the first byte is asked here, because a request may have waited, for the disk or for budget:
is it in time, and (`wanted`) is it still wanted? Getting out has counters of its own for batches: they are used when the
single ones are used up. Pure: times are int ns of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from core.orders.budget import NEVER, Budget, Endpoint, Purpose
from core.orders.exchange_words import Cancel, Create, Query, Request, Send

BATCH_MAX = 10  # orders of one batch request (one page of the documentation says 20, another 10)
NOT_WANTED = "not wanted any more"
BATCH_OF: dict[Endpoint, Endpoint] = {Endpoint.CREATE: Endpoint.CREATE_BATCH, Endpoint.CANCEL: Endpoint.CANCEL_BATCH}


def purpose_of(request: Request, urgent: bool) -> Purpose:
    """Opening orders are entries; the rest gets out, protects, or only asks."""
    if isinstance(request, Create) and not request.reduce_only and not request.close_on_trigger:
        return Purpose.ENTRY
    return Purpose.KILL if urgent and not isinstance(request, Query) else Purpose.EXIT


class Waiting(NamedTuple):
    """A request and when it was handed over."""

    send: Send
    handed_ns: int


class Departure(NamedTuple):
    """Leaves now, already counted: one request, or several of one kind as a batch (`endpoint` says which)."""

    waiting: tuple[Waiting, ...]
    endpoint: Endpoint
    over_ws: bool

    @property
    def batch(self) -> bool:
        return self.endpoint in BATCH_OF.values()


class Turned(NamedTuple):
    """Does not leave: not one byte of it."""

    request: Request
    why: str


class SendQueue:
    """`endpoint_of` names the counter of a request; `wanted(now_ns, request)` is `ExchangeDesk.may_leave`."""

    def __init__(
        self, budget: Budget, endpoint_of: Callable[[Request], Endpoint],
        wanted: Callable[[int, Request], bool] = lambda now_ns, request: True,
    ) -> None:
        self._budget = budget
        self._endpoint_of = endpoint_of
        self._wanted = wanted
        self._queues: dict[tuple[Endpoint, Purpose], deque[Waiting]] = {}

    def put(self, waiting: Waiting) -> None:
        """To be followed by `take`."""
        send = waiting.send
        key = self._endpoint_of(send.request), purpose_of(send.request, send.urgent)
        self._queues.setdefault(key, deque()).append(waiting)

    def take(self, now_ns: int, over_ws: Callable[[Request], bool]) -> tuple[list[Departure | Turned], int]:
        """(what happens to requests now, in order; ns until more may leave: NEVER when nothing waits). `over_ws`: would
        it go over the WebSocket, which needs no REST budget?"""
        out: list[Departure | Turned] = []
        soonest_ns = NEVER
        for key in sorted(self._queues, key=lambda k: -k[1]):
            queue = self._queues[key]
            while queue:
                wait_ns = self._first(key, queue, now_ns, over_ws, out)
                if wait_ns:
                    soonest_ns = min(soonest_ns, wait_ns)
                    break
            if not queue:
                del self._queues[key]
        return out, soonest_ns

    def _first(
        self, key: tuple[Endpoint, Purpose], queue: deque[Waiting], now_ns: int, over_ws: Callable[[Request], bool],
        out: list[Departure | Turned],
    ) -> int:
        """The first of a queue leaves or is turned back (0), or waits (ns)."""
        endpoint, purpose = key
        request, deadline_ns, _ = queue[0].send
        ws = over_ws(request)
        why = ""
        if deadline_ns and now_ns >= deadline_ns:
            why = "deadline passed before it could leave"
        elif not ws and now_ns < self._budget.banned_until_ns:
            why = "address banned (HTTP 403)"
        elif not self._wanted(now_ns, request):
            why = NOT_WANTED
        if why:
            queue.popleft()
            out.append(Turned(request, why))
            return 0
        wait_ns = self._budget.wait_ns(endpoint, purpose, now_ns, rest=not ws)
        if wait_ns == 0:
            self._budget.take(endpoint, now_ns, rest=not ws)
            out.append(Departure((queue.popleft(),), endpoint, ws))
            return 0
        if purpose is Purpose.KILL and isinstance(request, Create | Cancel):
            return self._batch(queue, BATCH_OF[endpoint], ws, now_ns, out) and wait_ns
        return wait_ns

    def _batch(
        self, queue: deque[Waiting], endpoint: Endpoint, ws: bool, now_ns: int, out: list[Departure | Turned]
    ) -> int:
        budget = self._budget
        wait_ns = budget.wait_ns(endpoint, Purpose.KILL, now_ns, rest=not ws)
        if wait_ns:
            return wait_ns
        count = min(len(queue), BATCH_MAX, budget.left(endpoint, Purpose.KILL, now_ns))
        budget.take(endpoint, now_ns, units=count, rest=not ws)
        out.append(Departure(tuple(queue.popleft() for _ in range(count)), endpoint, ws))
        return 0
