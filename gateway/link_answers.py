"""What comes back over the order link, as events of the desk: acknowledgements, losses, states of connections, notes.

Everything the link says goes through one `LinkAnswers`: the streams, the REST calls and the queue all tell it, the agent
reads its deques.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from core.constants import NS_PER_S
from core.consumption import Kind
from core.orders.budget import Budget, Endpoint
from core.orders.exchange_words import Ack, Event, LinkState, Stream
from gateway.bybit.answers import acks, lost
from gateway.bybit.private_codec import Answer
from gateway.link_words import NO_CONTEXT, Context, Heard, Source, source
from gateway.order_entry import Flight
from gateway.venue_clock import VenueClock

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
    """`events`, `notes` and `sent` are written by the link's thread (what REST wrote: by the thread that wrote it) and
    read (popleft) by the agent's; `wake` is called after every event."""

    def __init__(self, clock: VenueClock, budget: Budget, wake: Callable[[], None]) -> None:
        self.events: deque[Heard] = deque()
        self.notes: deque[LinkNote] = deque(maxlen=1024)
        self.sent: deque[Sent] = deque(maxlen=4096)
        self.clock_suspect = False  # a request was refused for its timestamp: measure again
        self._clock = clock
        self._budget = budget
        self._wake = wake

    # --- events ------------------------------------------------------------------------------------------------------
    def tell(self, *events: Event) -> None:
        """Events that stand in no bytes."""
        self.events.append(Heard(events))
        self._wake()

    def read(self, found: Source, events: tuple[Event, ...] = ()) -> None:
        """Bytes, and the events in them."""
        self.events.append(Heard(events, found))
        if events:
            self._wake()

    def frame(
        self, kind: Kind, data: bytes, epoch: int, context: Context = NO_CONTEXT, events: tuple[Event, ...] = ()
    ) -> None:
        """A frame of a WebSocket as it came or left, now."""
        self.read(source(kind, data, epoch, context), events)

    def note(self, word: str, text: str) -> None:
        self.notes.append(LinkNote(word, text))
        self._wake()

    def changed(self, stream: Stream, up: bool, epoch: int, reason: str) -> None:
        """A WebSocket came or went."""
        if not up:
            self.note("reconnects", f"{stream.name.lower()} stream: {reason}")
        self.tell(LinkState(stream, up, epoch))

    def lost(self, req_ids: tuple[int, ...], why: str, sent: bool = True) -> None:
        self.tell(*lost(req_ids, why, sent))

    # --- answers -----------------------------------------------------------------------------------------------------
    def on_answer(self, flight: Flight, answer: Answer, frame: bytes, epoch: int) -> None:
        """Of the trade stream."""
        self.heard(flight.endpoint, answer.code, answer.limit, answer.left, answer.reset_ms)
        events = acks(flight.req_ids, flight.op, answer)
        self.look_at_batch(flight.op, answer.code, events)
        self.frame(Kind.TRADE_ACK, frame, epoch, Context(flight.req_ids, flight.op), events)

    def on_late(self, flight: Flight, answer: Answer, frame: bytes, epoch: int) -> None:
        self.note("late_ack", f"{flight.op}: {answer.code} {answer.text[:40]} after the timeout")
        self.on_answer(flight, answer, frame, epoch)

    def on_lost(self, flight: Flight, why: str) -> None:
        self.lost(flight.req_ids, why)

    def look_at_batch(self, op: str, code: int, events: tuple[Event, ...]) -> None:
        """A batch that was taken, but not all of it."""
        refused = sum(isinstance(event, Ack) and event.ret_code != 0 for event in events)
        if refused and code == 0 and op.endswith("-batch"):
            self.note("batch_partial", f"{op}: {refused} of {len(events)} refused")

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
