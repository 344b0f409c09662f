"""What comes back over the order link, as events of the desk: acknowledgements, losses, states of connections, notes.

Everything the link says goes through one `LinkAnswers`: the streams, the REST calls and the queue all tell it, the agent
reads its deques.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from core.orders.budget import Budget, Endpoint
from core.orders.exchange_words import Ack, Event, LinkState, Lost, Stream
from gateway.bybit.private_codec import Answer
from gateway.order_entry import Flight
from gateway.venue_clock import VenueClock

NS_PER_S = 1_000_000_000
TOO_MANY = 10006
SESSION_TOO_MANY = (20003, 10403)
EXPIRED = 10002


class LinkNote(NamedTuple):
    """Something worth a line: `word` is its counter."""

    word: str
    text: str


class Sent(NamedTuple):
    """Stamps of one request, monotonic ns: handed to the link, written to a socket."""

    req_id: int
    handed_ns: int
    written_ns: int


class LinkAnswers:
    """`events`, `notes` and `sent` are written by the link's thread and read (popleft) by the agent's; `wake` is called
    after every event."""

    def __init__(self, clock: VenueClock, budget: Budget, wake: Callable[[], None]) -> None:
        self.events: deque[Event] = deque()
        self.notes: deque[LinkNote] = deque(maxlen=1024)
        self.sent: deque[Sent] = deque(maxlen=4096)
        self.clock_suspect = False  # a request was refused for its timestamp: measure again
        self._clock = clock
        self._budget = budget
        self._wake = wake

    # --- events ------------------------------------------------------------------------------------------------------
    def tell(self, *events: Event) -> None:
        self.events.extend(events)
        self._wake()

    def note(self, word: str, text: str) -> None:
        self.notes.append(LinkNote(word, text))
        self._wake()

    def changed(self, stream: Stream, up: bool, epoch: int, reason: str) -> None:
        """A WebSocket came or went."""
        if not up:
            self.note("reconnects", f"{stream.name.lower()} stream: {reason}")
        self.tell(LinkState(stream, up, epoch))

    def lost(self, req_ids: tuple[int, ...], why: str, sent: bool = True) -> None:
        for req_id in req_ids:
            self.tell(Lost(req_id, why, sent))

    # --- answers -----------------------------------------------------------------------------------------------------
    def on_answer(self, flight: Flight, answer: Answer) -> None:
        """Of the trade stream."""
        self.heard(flight.endpoint, answer.code, answer.limit, answer.left, answer.reset_ms)
        self.ack(flight, answer.code, answer.text, answer.left, answer.reset_ms, answer.order_id, answer.items)

    def on_late(self, flight: Flight, answer: Answer) -> None:
        self.note("late_ack", f"{flight.op}: {answer.code} {answer.text[:40]} after the timeout")
        self.on_answer(flight, answer)

    def on_lost(self, flight: Flight, why: str) -> None:
        self.lost(flight.req_ids, why)

    def ack(
        self, flight: Flight, code: int, text: str, left: int, reset_ms: int, order_id: str,
        items: tuple[tuple[int, str, str], ...] | None,
    ) -> None:
        """One Ack per request of a flight. A taken batch whose items cannot be read is ambiguous as a whole."""
        if len(flight.req_ids) == 1 and not flight.op.endswith("-batch"):
            self.tell(Ack(flight.req_ids[0], code, text, left, reset_ms, order_id))
        elif code:
            for req_id in flight.req_ids:
                self.tell(Ack(req_id, code, text, left, reset_ms))
        elif items is None or len(items) != len(flight.req_ids):
            self.lost(flight.req_ids, "batch answer without outcomes")
        else:
            if any(item[0] for item in items):
                self.note("batch_partial", f"{flight.op}: {sum(1 for i in items if i[0])} of {len(items)} refused")
            for req_id, (item_code, item_text, item_id) in zip(flight.req_ids, items, strict=True):
                self.tell(Ack(req_id, item_code, item_text, left, reset_ms, item_id))

    def heard(self, endpoint: Endpoint, code: int, limit: int, left: int, reset_ms: int) -> None:
        """What an answer says about rate limits and clocks."""
        now_ns = time.monotonic_ns()
        if left >= 0:
            self._budget.heard(endpoint, now_ns, limit, left)
        if code == TOO_MANY or code in SESSION_TOO_MANY:
            until_ns = self._clock.mono_ns(reset_ms) if reset_ms else now_ns + NS_PER_S
            self._budget.refused(endpoint, now_ns, until_ns)
        elif code == EXPIRED:
            self.clock_suspect = True
