"""One public connection as a state machine without I/O: events and the time go in, commands come out.

    state       event               next        commands
    WAITING     due, budget allows  CONNECTING  Open
    CONNECTING  opened              OPEN        Send(subscribe chunk) ... paced
    CONNECTING  lost                WAITING     -                      next try after a growing, jittered pause
    OPEN        ack                 OPEN        -                      topics of that request are live
    OPEN        nack                OPEN        Send(subscribe) later  named topic apart, else the chunk is halved
    OPEN        no pong, no ack     OPEN        Close                  the socket is dead though nobody said so
    OPEN        lost                WAITING     -                      events Lost(topics)
    any         stop                STOPPED     Close

Facts used (BYBIT.md 3): `args` of a connection may total 21,000 characters; an ack does not name its topics, only
`req_id` ties it to the request; the public linear pong carries `"op":"ping"`; one bad topic fails its whole request.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from gateway.bybit.messages import Control

MAX_ARGS_CHARS = 18_000  # of 21,000 allowed per connection: room for new listings
CHUNK_TOPICS = 100
CHUNK_PAUSE_NS = 20_000_000  # between two requests on one connection
ACK_DEADLINE_NS = 10_000_000_000
STABLE_NS = 10_000_000_000  # a connection that lived this long starts its backoff anew
NACK_RETRY_MIN_NS = 1_000_000_000
NACK_RETRY_MAX_NS = 60_000_000_000
BUDGET_WINDOW_NS = 300_000_000_000


class SessionState(IntEnum):
    WAITING = 0
    CONNECTING = 1
    OPEN = 2
    STOPPED = 3


@dataclass(frozen=True)
class Open:
    """Please connect."""


@dataclass(frozen=True)
class Send:
    """Please send this text frame."""

    data: bytes


@dataclass(frozen=True)
class Close:
    """Please close; `lost` follows."""

    reason: str


Command = Open | Send | Close


@dataclass(frozen=True)
class Timing:
    """Waits of a session, ns."""

    ping_ns: int
    pong_deadline_ns: int
    backoff_min_ns: int
    backoff_max_ns: int
    resubscribe_min_ns: int


class Backoff:
    """Exponential pauses with jitter: half to all of min(max, min x 2^n)."""

    def __init__(self, min_ns: int, max_ns: int, rng: random.Random) -> None:
        self._min_ns = min_ns
        self._max_ns = max_ns
        self._rng = rng
        self.tries = 0

    def next_ns(self) -> int:
        """Pause before the next try, ns."""
        full = min(self._max_ns, self._min_ns << min(self.tries, 40))
        self.tries += 1
        return int(full * (0.5 + 0.5 * self._rng.random()))

    def reset(self) -> None:
        self.tries = 0


class ConnectBudget:
    """Token bucket over all connections of the process: `capacity` connections per five minutes."""

    def __init__(self, capacity: int, now_ns: int) -> None:
        self._capacity = capacity
        self._tokens = float(capacity)
        self._at_ns = now_ns

    def take(self, now_ns: int) -> bool:
        """May one connection be opened now? Takes a token if so."""
        gained = (now_ns - self._at_ns) * self._capacity / BUDGET_WINDOW_NS
        self._tokens = min(float(self._capacity), self._tokens + gained)
        self._at_ns = now_ns
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def args_chars(topics: Iterable[str]) -> int:
    """Characters of the JSON `args` that hold these topics (quotes and commas included)."""
    return sum(len(topic) + 3 for topic in topics)


def plan(groups: Sequence[Sequence[str]], max_chars: int = MAX_ARGS_CHARS) -> list[list[int]]:
    """Which group (the topics of one symbol) goes on which connection: indices per connection, order kept."""
    connections: list[list[int]] = []
    room = 0
    for index, group in enumerate(groups):
        size = args_chars(group)
        if not connections or size > room:
            connections.append([])
            room = max_chars
        connections[-1].append(index)
        room -= size
    return connections


@dataclass
class _Request:
    topics: list[str]
    sent_ns: int
    is_subscribe: bool


@dataclass
class _Retry:
    due_ns: int
    topics: list[str]


@dataclass
class Stats:
    """What happened on the connection, counted."""

    opened: int = 0
    lost: int = 0
    acks: int = 0
    nacks: int = 0
    resubscribes: int = 0
    pongs: int = 0
    timeouts: int = 0


@dataclass
class Session:
    """State of one connection. Every method takes the time; `poll` returns what to do now."""

    conn: int
    timing: Timing
    budget: ConnectBudget
    rng: random.Random
    state: SessionState = SessionState.WAITING
    stats: Stats = field(default_factory=Stats)

    def __post_init__(self) -> None:
        self._backoff = Backoff(self.timing.backoff_min_ns, self.timing.backoff_max_ns, self.rng)
        self._due_ns = 0
        self._opened_ns = 0
        self._wanted: dict[str, None] = {}
        self._live: set[str] = set()
        self._ready: deque[str] = deque()
        self._commands: deque[Command] = deque()
        self._unsubscribe: deque[str] = deque()
        self._resubscribe: dict[str, None] = {}
        self._resubscribed_ns: dict[str, int] = {}
        self._requests: dict[str, _Request] = {}
        self._retries: list[_Retry] = []
        self._refusals: dict[str, int] = {}
        self._next_request_ns = 0
        self._next_ping_ns = 0
        self._pong_due_ns = 0
        self._number = 0

    # --- wishes -----------------------------------------------------------------------------------------------------
    @property
    def topics(self) -> list[str]:
        """Topics wanted on this connection."""
        return list(self._wanted)

    @property
    def live(self) -> frozenset[str]:
        """Topics whose subscription was acknowledged."""
        return frozenset(self._live)

    def room(self) -> int:
        """Characters of `args` still free."""
        return MAX_ARGS_CHARS - args_chars(self._wanted)

    def want(self, topics: Iterable[str]) -> None:
        """Subscribe to these as well (at once when open, else when opened)."""
        for topic in topics:
            if topic not in self._wanted:
                self._wanted[topic] = None
                if self.state == SessionState.OPEN:
                    self._ready.append(topic)

    def drop(self, topics: Iterable[str]) -> None:
        """Unsubscribe from these."""
        for topic in topics:
            if self._wanted.pop(topic, 0) is None and self.state == SessionState.OPEN:
                self._live.discard(topic)
                if topic in self._ready:
                    self._ready.remove(topic)
                else:
                    self._unsubscribe.append(topic)
            self._resubscribe.pop(topic, None)

    def resubscribe(self, topic: str) -> bool:
        """Ask for a fresh snapshot: unsubscribe and subscribe, at most once per `resubscribe_min_ns`; False if unknown.

        A wish that comes too early waits; several wishes become one.
        """
        if topic not in self._wanted:
            return False
        if self.state == SessionState.OPEN:
            self._resubscribe[topic] = None
        return True

    # --- what happened ----------------------------------------------------------------------------------------------
    def opened(self, now_ns: int) -> None:
        """The WebSocket handshake succeeded."""
        self.state = SessionState.OPEN
        self.stats.opened += 1
        self._opened_ns = now_ns
        self._next_request_ns = now_ns
        self._next_ping_ns = now_ns + self.timing.ping_ns
        self._pong_due_ns = 0
        self._ready = deque(self._wanted)

    def lost(self, now_ns: int) -> None:
        """The connection ended, or could not be made."""
        if self.state == SessionState.OPEN:
            self.stats.lost += 1
            if now_ns - self._opened_ns >= STABLE_NS:
                self._backoff.reset()
        self._forget()
        if self.state != SessionState.STOPPED:
            self.state = SessionState.WAITING
            self._due_ns = now_ns + self._backoff.next_ns()

    def stop(self) -> None:
        """Never connect again."""
        if self.state in (SessionState.OPEN, SessionState.CONNECTING):
            self._commands.append(Close("stopping"))
        self.state = SessionState.STOPPED

    def close(self, reason: str) -> None:
        """Give this connection up and make a new one."""
        if self.state == SessionState.OPEN:
            self._commands.append(Close(reason))

    def reply(self, reply: Control, now_ns: int) -> str:
        """An ack, nack or pong arrived. Returns the exchange's words when it refused something, else ""."""
        if reply.is_pong:
            self.stats.pongs += 1
            self._pong_due_ns = 0
            return ""
        request = self._requests.pop(reply.req_id or "", None)
        if not reply.is_failure:
            self.stats.acks += 1
            if request is not None and request.is_subscribe:
                self._accept(request.topics)
            return ""
        self.stats.nacks += 1
        if request is not None and request.is_subscribe:
            self._refused(request.topics, reply.text, now_ns)
        return reply.text or "no reason given"

    def _accept(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._refusals.pop(topic, None)
            if topic in self._wanted:
                self._live.add(topic)

    def _refused(self, topics: list[str], message: str, now_ns: int) -> None:
        """Sort a refused request: the named topic alone waits longest, the others go again soon; unnamed: halves."""
        named = [topic for topic in topics if message.endswith(topic) or f"{topic}," in message]
        if named and "already subscribed" in message:
            self._accept(named)
            named_retry: list[str] = []
        else:
            named_retry = named if named else (topics if len(topics) == 1 else [])
        rest = [topic for topic in topics if topic not in named]
        for topic in named_retry:
            refusals = self._refusals[topic] = self._refusals.get(topic, 0) + 1
            pause = min(NACK_RETRY_MAX_NS, NACK_RETRY_MIN_NS << min(refusals - 1, 20))
            self._retries.append(_Retry(now_ns + pause, [topic]))
        if named:
            if rest:
                self._retries.append(_Retry(now_ns, rest))
        elif len(topics) > 1:
            half = len(topics) // 2
            self._retries.append(_Retry(now_ns, topics[:half]))
            self._retries.append(_Retry(now_ns, topics[half:]))

    # --- what to do -------------------------------------------------------------------------------------------------
    def poll(self, now_ns: int) -> list[Command]:
        """Commands due now, in order. Call on a timer (about every 50 ms) and after each event."""
        if self.state == SessionState.WAITING and now_ns >= self._due_ns and self._wanted:
            if self.budget.take(now_ns):
                self.state = SessionState.CONNECTING
                self._commands.append(Open())
            else:
                self._due_ns = now_ns + self._backoff.next_ns()
        elif self.state == SessionState.OPEN:
            self._poll_open(now_ns)
        commands = list(self._commands)
        self._commands.clear()
        return commands

    def _poll_open(self, now_ns: int) -> None:
        if self._pong_due_ns and now_ns >= self._pong_due_ns:
            self.stats.timeouts += 1
            self._commands.append(Close("no pong"))
            self._pong_due_ns = 0
            return
        if now_ns >= self._next_ping_ns:
            self._next_ping_ns = now_ns + self.timing.ping_ns
            self._pong_due_ns = self._pong_due_ns or now_ns + self.timing.pong_deadline_ns
            self._commands.append(Send(msgspec.json.encode({"op": "ping", "req_id": self._req_id()})))
        for req_id in [r for r, q in self._requests.items() if now_ns - q.sent_ns >= ACK_DEADLINE_NS]:
            request = self._requests.pop(req_id)
            self.stats.timeouts += 1
            if request.is_subscribe:
                self._retries.append(_Retry(now_ns, [t for t in request.topics if t in self._wanted]))
        if now_ns >= self._next_request_ns:
            self._send_one(now_ns)

    def _send_one(self, now_ns: int) -> None:
        """At most one request (a resubscription is a pair), oldest need first."""
        if self._unsubscribe:  # first: a topic dropped and wanted again must end subscribed
            count = min(CHUNK_TOPICS, len(self._unsubscribe))
            self._request("unsubscribe", [self._unsubscribe.popleft() for _ in range(count)], now_ns)
        elif self._ready:
            count = min(CHUNK_TOPICS, len(self._ready))
            self._request("subscribe", [self._ready.popleft() for _ in range(count)], now_ns)
        elif due := [
            topic for topic in self._resubscribe
            if now_ns - self._resubscribed_ns.get(topic, -self.timing.resubscribe_min_ns)
            >= self.timing.resubscribe_min_ns
        ][:CHUNK_TOPICS]:
            for topic in due:
                del self._resubscribe[topic]
                self._resubscribed_ns[topic] = now_ns
                self._live.discard(topic)
            self.stats.resubscribes += len(due)
            self._request("unsubscribe", due, now_ns)
            self._request("subscribe", due, now_ns)
        else:
            for index, retry in enumerate(self._retries):
                if now_ns >= retry.due_ns:
                    del self._retries[index]
                    topics = [topic for topic in retry.topics if topic in self._wanted]
                    if topics:
                        self._request("subscribe", topics, now_ns)
                    break

    def _request(self, op: str, topics: list[str], now_ns: int) -> None:
        req_id = self._req_id()
        self._requests[req_id] = _Request(topics, now_ns, op == "subscribe")
        self._next_request_ns = now_ns + CHUNK_PAUSE_NS
        self._commands.append(Send(msgspec.json.encode({"op": op, "args": topics, "req_id": req_id})))

    def _req_id(self) -> str:
        self._number += 1
        return f"{self.conn}-{self._number}"

    def _forget(self) -> None:
        """Everything that belonged to the connection that ended."""
        self._live.clear()
        self._ready.clear()
        self._unsubscribe.clear()
        self._resubscribe.clear()
        self._requests.clear()
        self._retries.clear()
        self._commands.clear()
        self._pong_due_ns = 0
