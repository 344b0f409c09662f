"""Connections of the venue's WebSockets: outboxes, slow clients that are cut off, idle ones, and what faults do to them.

A client's frames of one step leave in one write. The transport is any object with `write`, `get_write_buffer_size` and
`abort`, so tests need no socket; the session is that of the stream (public, private, trade).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.venue.fault_rules import FaultRules
from gateway.venue.session import ws_frame

MAX_BUFFERED_BYTES = 8 * 1024 * 1024  # what a client may leave unread before it is cut off
IDLE_MS = 600_000  # private and trade connections are cut after so long without traffic; ?max_active_time changes it
IDLE_RANGE_MS = (30_000, 600_000)
IDLE_SCAN_MS = 30_000  # how often the exchange looks


class Transport(Protocol):
    def write(self, data: bytes) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


@dataclass
class Counters:
    """Figures of the venue since its start (GET /venue/status)."""

    connections: int = 0
    frames_made: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    slow_cut_off: int = 0
    idle_cut_off: int = 0
    requests: int = 0
    refused: int = 0
    refused_connections: int = 0
    steps: int = 0
    steps_skipped: int = 0
    faults: int = 0
    private_frames: int = 0


@dataclass(eq=False)
class Client:
    """One connection."""

    transport: Transport
    session: Any
    stream: str = "public"
    outbox: list[Any] = field(default_factory=list)
    granted_bytes: int = 0  # snapshots it asked for may lie unread on top of the limit, until it has read everything
    half_open: bool = False  # fault: the socket stays open, nothing goes through any more
    gone: bool = False
    active_ms: int = 0  # last traffic, either way
    idle_ms: int = 0  # cut off after so long without traffic; 0 = never
    not_before_ms: int = 0  # fault ws.slow: what is still under way; later data must not overtake it
    held_answer: bytes | None = None  # fault trade.reorder: waits for the next answer

    def send(self, payload: bytes) -> None:
        """Queue a control message (not a shared frame)."""
        self.outbox.append(ws_frame(payload))

    @property
    def uid(self) -> str:
        """The account behind it, as the fault rules write it; "" before auth and on public streams."""
        uid = getattr(self.session, "uid", 0)
        return str(uid) if uid else ""


class Postponed:
    """Actions for later: released in order of time, then of arrival."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def put(self, due_ms: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due_ms, self._count, action))

    def release(self, now_ms: int) -> None:
        """Run what is due."""
        while self._heap and self._heap[0][0] <= now_ms:
            heapq.heappop(self._heap)[2]()


class Sockets:
    """A set of clients and how data reaches them. `drop` is told of every client that leaves."""

    def __init__(self, counters: Counters, max_buffered_bytes: int, rules: FaultRules, postponed: Postponed) -> None:
        self.counters = counters
        self.max_buffered_bytes = max_buffered_bytes
        self.rules = rules
        self.postponed = postponed
        self.latency_ms = 0  # requests arrive so much later (with the next step then), as over a network
        self.clients: list[Client] = []

    @property
    def now_ms(self) -> int:
        """Time of the venue's last step: one for all streams, kept where the fault rules look."""
        return self.rules.now_ms

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        self.rules.now_ms = value

    def join(self, client: Client) -> Client:
        client.active_ms = self.now_ms
        self.clients.append(client)
        return client

    def disconnect(self, client: Client) -> None:
        """Forget a client (its socket is closed by whoever calls)."""
        if client.gone:
            return
        client.gone = True
        self.clients.remove(client)
        self.left(client)
        client.outbox.clear()

    def left(self, client: Client) -> None:
        """A client was forgotten (for the streams' own book-keeping)."""

    def cut(self, client: Client) -> None:
        """Break the connection without a word."""
        client.transport.abort()
        self.disconnect(client)

    def pinged(self, client: Client) -> bool:
        """A ping of either sort has come: is it answered (a fault may hold the pong back)?"""
        client.active_ms = self.now_ms
        return self.rules.ask("ws.stall_pong", uid=client.uid, stream=client.stream) is None

    def request(self, client: Client, raw: bytes) -> None:
        """Handle a text message of a client."""
        raise NotImplementedError

    def arrive(self, client: Client, raw: bytes) -> None:
        """A text message has come in: handle it now, or `latency_ms` later."""
        if self.latency_ms:
            self.postponed.put(self.now_ms + self.latency_ms, lambda: self.request(client, raw))
        else:
            self.request(client, raw)

    def say(self, client: Client, payload: bytes) -> None:
        """Send one message now."""
        if not client.gone:
            client.send(payload)
            self.flush(client)

    def flush_all(self) -> None:
        for client in self.clients[:]:
            if client.outbox:
                self.flush(client)

    def flush(self, client: Client) -> None:
        """One write for everything queued; a client that has left too much unread is cut off instead."""
        if client.half_open or client.gone:
            client.outbox.clear()
            return
        data = b"".join(client.outbox)
        self.counters.frames_sent += len(client.outbox)
        client.outbox.clear()
        client.active_ms = self.now_ms
        if "ws.slow" in self.rules.armed or client.not_before_ms > self.now_ms:
            rule = self.rules.ask("ws.slow", uid=client.uid, stream=client.stream)
            late_ms = self.now_ms + (int(rule.values["ms"]) if rule else 0)
            client.not_before_ms = max(client.not_before_ms, late_ms)
            if client.not_before_ms > self.now_ms:
                self.postponed.put(client.not_before_ms, lambda: self._write(client, data))
                return
        self._write(client, data)

    def _write(self, client: Client, data: bytes) -> None:
        if client.half_open or client.gone:
            return
        unread = client.transport.get_write_buffer_size()
        if unread + len(data) > self.max_buffered_bytes + client.granted_bytes:
            self.counters.slow_cut_off += 1
            self.cut(client)
            return
        self.counters.bytes_sent += len(data)
        client.transport.write(data)
        if client.transport.get_write_buffer_size() == 0:
            client.granted_bytes = 0

    def cut_idle(self) -> None:
        """Cut connections that have been silent for longer than they may."""
        for client in self.clients[:]:
            if client.idle_ms and self.now_ms - client.active_ms > client.idle_ms:
                self.counters.idle_cut_off += 1
                self.cut(client)


def idle_of(query: str) -> int:
    """Allowed silence in ms from the query of a connection's address: max_active_time=30s..600s or 1m..10m."""
    for part in query.split("&"):
        name, _, value = part.partition("=")
        unit = {"s": 1000, "m": 60_000}.get(value[-1:], 0)
        if name == "max_active_time" and unit and value[:-1].isascii() and value[:-1].isdigit() and len(value) < 8:
            return min(IDLE_RANGE_MS[1], max(IDLE_RANGE_MS[0], int(value[:-1]) * unit))
    return IDLE_MS


class FrameFaults:
    """Faults of a stream of frames: `<family>.freeze`, `.drop`, `.dup`, `.swap`, asked for each frame."""

    KINDS = ("freeze", "drop", "dup", "swap")

    def __init__(self, rules: FaultRules, family: str) -> None:
        self._rules = rules
        self._kinds = frozenset(f"{family}.{kind}" for kind in self.KINDS)
        self._family = family
        self._held: dict[Any, Any] = {}  # swapped frames that wait for their successor

    def quiet(self) -> bool:
        """True when no frame can be touched, so that nobody needs to ask."""
        return not self._held and self._kinds.isdisjoint(self._rules.armed)

    def through(self, key: Any, frame: Any, **context: str) -> list[Any]:
        """What becomes of a frame: itself, nothing, or several in their order. key: what it may change places with."""
        ask, family = self._rules.ask, self._family
        if ask(f"{family}.freeze", **context) or ask(f"{family}.drop", **context):
            return []
        held = self._held.pop(key, None)
        if held is not None:
            return [frame, held]
        if ask(f"{family}.swap", **context):
            self._held[key] = frame
            return []
        return [frame, frame] if ask(f"{family}.dup", **context) else [frame]
