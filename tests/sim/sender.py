"""The way out as `gateway/link_queue.py` has it, in virtual time: rate budget, deadlines, the last question, batches.

One per life of the process: what the budget has counted dies with it, what the venue has counted does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from core.orders.budget import NEVER, Budget, Endpoint
from core.orders.exchange_words import Ack, Banned, Event, Lost, Request, Send, Stream
from core.orders.send_queue import SendQueue, Turned, Waiting
from core.sim.desk_link import LIMITED, ON_TRADE, DeskLink
from core.sim.scheduler import Scheduler
from gateway.bybit.order_codec import route_of

MS = 1_000_000
LOOK_NS = 250 * MS  # deadlines are looked at while the budget is used up


class Sender:
    """`leaves(send)` is called at the first byte of a request, `turned(lost)` for one that never leaves."""

    def __init__(
        self, scheduler: Scheduler, link: DeskLink, wanted: Callable[[int, Request], bool],
        leaves: Callable[[Send], None], turned: Callable[[Lost], None],
    ) -> None:
        self.hits: Counter[str] = Counter()
        self.alive = True
        self._scheduler = scheduler
        self._link = link
        self._leaves = leaves
        self._turned = turned
        self._budget = Budget()
        self._queue = SendQueue(self._budget, lambda request: route_of(request).endpoint, wanted)
        self._endpoints: dict[int, Endpoint] = {}  # of requests without an answer yet
        self._look_ns = NEVER

    def send(self, send: Send) -> None:
        """Leaves now, later, or not at all."""
        self._queue.put(Waiting(send, self._scheduler.now_ns))
        self._pump()

    def _over_ws(self, request: Request) -> bool:
        return isinstance(request, ON_TRADE) and self._link.up[Stream.TRADE]

    def _pump(self) -> None:
        out, wait_ns = self._queue.take(self._scheduler.now_ns, self._over_ws)
        for each in out:
            if not self.alive:
                return
            if isinstance(each, Turned):
                self.hits[f"turned back: {each.why}"] += 1
                self._turned(Lost(each.request.req_id, each.why, sent=False))
                continue
            self.hits["batches"] += each.batch
            for waiting in each.waiting:
                self._endpoints[waiting.send.request.req_id] = each.endpoint
                self._leaves(waiting.send)
                self._link.send(waiting.send.request, waiting.send.deadline_ns, each.batch)
        if wait_ns < NEVER:
            self.hits["waited for budget"] += 1
            at = self._scheduler.now_ns + min(wait_ns, LOOK_NS)
            if at < self._look_ns:
                self._look_ns = at
                self._scheduler.at(at, self._look)

    def _look(self) -> None:
        self._look_ns = NEVER
        if self.alive:
            self._pump()

    def heard(self, event: Event) -> None:
        """What an answer says about limits."""
        now = self._scheduler.now_ns
        if isinstance(event, Banned):
            self._budget.banned_until_ns = event.until_ns
        elif isinstance(event, Ack | Lost):
            endpoint = self._endpoints.pop(event.req_id, None)
            if isinstance(event, Ack) and endpoint is not None:
                if event.limit_left >= 0:
                    self._budget.heard(endpoint, now, 0, event.limit_left)
                if event.ret_code == LIMITED:
                    until = event.limit_reset_ms * MS - self._link.venue_epoch_ns
                    self._budget.refused(endpoint, now, until)
