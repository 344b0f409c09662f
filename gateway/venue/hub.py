"""Who gets which public frame: topics and their subscribers.

Frames arrive ready made and are shared by all subscribers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Protocol

from gateway.venue.clients import MAX_BUFFERED_BYTES, Client, Counters, FrameFaults, Postponed, Sockets, Transport
from gateway.venue.fault_rules import FaultRules
from gateway.venue.session import Session, conn_id_of

__all__ = ["MAX_BUFFERED_BYTES", "Client", "Counters", "Hub", "Source"]


class Source(Protocol):
    """A market that can be listened to: the synthetic exchange or a tape."""

    def find(self, topic: str) -> Any: ...
    def name_of(self, key: Any) -> str: ...
    def activate(self, key: Any) -> None: ...
    def deactivate(self, key: Any) -> None: ...
    def snapshot(self, key: Any) -> bytes | None: ...


class Hub(Sockets):
    """All clients of the public stream."""

    def __init__(self, source: Source, counters: Counters, max_buffered_bytes: int = MAX_BUFFERED_BYTES,
                 rules: FaultRules | None = None, postponed: Postponed | None = None) -> None:
        super().__init__(counters, max_buffered_bytes, rules or FaultRules(), postponed or Postponed())
        self.source = source
        self.subscribers: dict[Hashable, list[Client]] = {}
        self.frame_faults = FrameFaults(self.rules, "feed")

    def connect(self, transport: Transport) -> Client:
        self.counters.connections += 1
        return self.join(Client(transport, Session(conn_id_of(self.counters.connections), self.source.find)))

    def left(self, client: Client) -> None:
        for key in client.session.topics.values():
            self._leave(client, key)
        client.session.topics.clear()

    def request(self, client: Client, raw: bytes) -> None:
        """Handle a text message of a client; answers and snapshots leave at once."""
        if client.half_open or client.gone:
            return
        self.counters.requests += 1
        reply = client.session.request(raw, self._refuse)
        if reply.pong and not self.pinged(client):
            return
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
        faulty = not self.frame_faults.quiet()
        made = 0
        for key, frame in frames:
            made += 1
            listeners = subscribers.get(key, ())
            if faulty and listeners:
                topic = self.source.name_of(key)
                symbol = topic.rpartition(".")[2]
                for passed in self.frame_faults.through(key, frame, topic=topic, symbol=symbol, stream="public"):
                    for client in listeners:
                        client.outbox.append(passed)
                continue
            for client in listeners:
                client.outbox.append(frame)
        self.counters.frames_made += made

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

    def _refuse(self, topic: str) -> bool:
        return self.rules.ask("sub.nack", topic=topic, symbol=topic.rpartition(".")[2], stream="public") is not None
