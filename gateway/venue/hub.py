"""Who gets which frame: clients, their topics, their outboxes, and the limit after which a slow one is cut off.

Frames arrive ready made and are shared by all subscribers. A client's frames of one step leave in one write. The
transport is any object with `write`, `get_write_buffer_size` and `abort`, so tests need no socket.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.venue.session import Session, conn_id_of, ws_frame

MAX_BUFFERED_BYTES = 8 * 1024 * 1024  # what a client may leave unread before it is cut off


class Transport(Protocol):
    def write(self, data: bytes) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def abort(self) -> None: ...


class Source(Protocol):
    """A market that can be listened to: the synthetic exchange or a tape."""

    def find(self, topic: str) -> Any: ...
    def activate(self, key: Any) -> None: ...
    def deactivate(self, key: Any) -> None: ...
    def snapshot(self, key: Any) -> bytes | None: ...


@dataclass
class Counters:
    """Figures of the venue since its start (GET /venue/status)."""

    connections: int = 0
    frames_made: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    slow_cut_off: int = 0
    requests: int = 0
    refused: int = 0
    steps: int = 0
    steps_skipped: int = 0
    faults: int = 0


@dataclass(eq=False)
class Client:
    """One connection."""

    transport: Transport
    session: Session
    outbox: list[Any] = field(default_factory=list)
    granted_bytes: int = 0  # snapshots it asked for may lie unread on top of the limit, until it has read everything
    half_open: bool = False  # fault: the socket stays open, nothing goes through any more
    gone: bool = False

    def send(self, payload: bytes) -> None:
        """Queue a control message (not a shared frame)."""
        self.outbox.append(ws_frame(payload))


class Hub:
    """All clients of the public stream."""

    def __init__(self, source: Source, counters: Counters, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> None:
        self.source = source
        self.counters = counters
        self.max_buffered_bytes = max_buffered_bytes
        self.clients: list[Client] = []
        self.subscribers: dict[Hashable, list[Client]] = {}
        self.refusals: list[str] = []  # fault: topics (or "*") whose next subscription fails, one entry per failure
        self.skip: dict[Hashable, int] = {}  # fault: so many frames of the topic are made and not sent
        self.silent_until_ms: dict[Hashable, int] = {}  # fault: none of its frames is sent before then
        self.now_ms = 0

    def connect(self, transport: Transport) -> Client:
        self.counters.connections += 1
        client = Client(transport, Session(conn_id_of(self.counters.connections), self.source.find))
        self.clients.append(client)
        return client

    def disconnect(self, client: Client) -> None:
        """Forget a client (its socket is closed by whoever calls)."""
        if client.gone:
            return
        client.gone = True
        self.clients.remove(client)
        for key in client.session.topics.values():
            self._leave(client, key)
        client.session.topics.clear()
        client.outbox.clear()

    def request(self, client: Client, raw: bytes) -> None:
        """Handle a text message of a client; answers and snapshots leave at once."""
        if client.half_open or client.gone:
            return
        self.counters.requests += 1
        reply = client.session.request(raw, self._refuse)
        if reply.text.startswith(b'{"success":false'):
            self.counters.refused += 1
        client.send(reply.text)
        for key in reply.drop:
            self._leave(client, key)
        for key in reply.add:
            listeners = self.subscribers.setdefault(key, [])
            if not listeners:
                self.source.activate(key)
            listeners.append(client)
            frame = self.source.snapshot(key)
            if frame is not None:
                client.outbox.append(frame)
                client.granted_bytes += len(frame)
        self.flush(client)

    def publish(self, frames: Iterable[tuple[Hashable, Any]]) -> None:
        """Hand frames to the outboxes of their subscribers; `flush_all` sends them."""
        subscribers = self.subscribers
        made = 0
        for key, frame in frames:
            made += 1
            if (self.skip or self.silent_until_ms) and self._withheld(key):
                continue
            for client in subscribers.get(key, ()):
                client.outbox.append(frame)
        self.counters.frames_made += made

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
        unread = client.transport.get_write_buffer_size()
        if unread + len(data) > self.max_buffered_bytes + client.granted_bytes:
            self.counters.slow_cut_off += 1
            client.transport.abort()
            self.disconnect(client)
            return
        self.counters.bytes_sent += len(data)
        client.transport.write(data)
        if client.transport.get_write_buffer_size() == 0:
            client.granted_bytes = 0

    def listeners(self, keys: Iterable[Hashable]) -> list[Client]:
        """Clients that hold any of these topics, each once."""
        found: dict[int, Client] = {}
        for key in keys:
            for client in self.subscribers.get(key, ()):
                found[id(client)] = client
        return list(found.values())

    def _leave(self, client: Client, key: Hashable) -> None:
        listeners = self.subscribers.get(key)
        if listeners and client in listeners:
            listeners.remove(client)
            if not listeners:
                del self.subscribers[key]
                self.source.deactivate(key)

    def _withheld(self, key: Hashable) -> bool:
        until = self.silent_until_ms.get(key)
        if until is not None:
            if self.now_ms < until:
                return True
            del self.silent_until_ms[key]
        left = self.skip.get(key, 0)
        if left > 0:
            self.skip[key] = left - 1
            if left == 1:
                del self.skip[key]
            return True
        return False

    def _refuse(self, topic: str) -> bool:
        for entry in (topic, "*"):
            if entry in self.refusals:
                self.refusals.remove(entry)
                return True
        return False
