"""Connections of the private and the trade WebSocket: who is told what of the accounts.

What happened at the exchange arrives as messages (account, topic, rows); each goes to every connection of the account
that holds the topic, as `order`, as `order.linear`, or as both, in frames of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from gateway.venue.accounts import Accounts
from gateway.venue.clients import MAX_BUFFERED_BYTES, Client, Counters, FrameFaults, Postponed, Sockets, Transport
from gateway.venue.clock import VenueClock
from gateway.venue.fault_rules import FaultRules
from gateway.venue.private_session import PrivateSession
from gateway.venue.session import conn_id_of, ws_frame
from gateway.venue.trade_session import Desk, Reply, TradeSession

encode = msgspec.json.encode


class Message(NamedTuple):
    """One push: rows of one topic kind ("order", "execution.fast", ...) of one account. id "" = the frame has none."""

    uid: int
    kind: str
    symbol: str
    id: str
    creation_ms: int
    rows: list[dict[str, Any]]


def payload_of(message: Message, topic: str) -> bytes:
    """The text of a push in the key order of the wire: order and execution begin with the topic, the others with id."""
    stamp = {"creationTime": message.creation_ms, "data": message.rows}
    if not message.id:
        return encode({"topic": topic, **stamp})
    if message.kind in ("order", "execution"):
        return encode({"topic": topic, "id": message.id, **stamp})
    return encode({"id": message.id, "topic": topic, **stamp})


class PrivateHub(Sockets):
    """Private and trade connections of all accounts.

    pump: takes what happened at the exchange and publishes it; called after every answered trade request.
    """

    def __init__(self, accounts: Accounts, desk: Desk, clock: VenueClock, counters: Counters, rules: FaultRules,
                 postponed: Postponed, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> None:
        super().__init__(counters, max_buffered_bytes, rules, postponed)
        self.accounts = accounts
        self.desk = desk
        self.clock = clock
        self.pump: Callable[[], None] = lambda: None
        self.answering = False  # a trade request is being carried out: its answer goes before what it causes
        self.frame_faults = FrameFaults(rules, "private")

    # -- connections -------------------------------------------------------------------------------------------------
    def connect(self, transport: Transport, stream: str, ip: str, idle_ms: int) -> Client:
        """A new connection of stream "private" or "trade"."""
        self.counters.connections += 1
        conn_id = conn_id_of(self.counters.connections)
        session: Any = (
            PrivateSession(conn_id, self.accounts, ip) if stream == "private"
            else TradeSession(conn_id, self.accounts, self.desk, self.rules, ip)
        )
        return self.join(Client(transport, session, stream, idle_ms=idle_ms))

    def request(self, client: Client, raw: bytes) -> None:
        """Handle a text message of a client; the answer leaves at once, then what it caused."""
        if client.half_open or client.gone:
            return
        self.counters.requests += 1
        client.active_ms = self.now_ms
        if client.stream == "private":
            told = client.session.request(raw, self.clock.now_ms(), self._refuse)
            if not told.pong or self.pinged(client):
                self.say(client, told.text)
            return
        self.answering = True
        try:
            reply: Reply = client.session.request(raw, self.clock.now_ms())
        finally:
            self.answering = False
        if not reply.pong or self.pinged(client):
            self._answer(client, reply)
        self.pump()

    def _answer(self, client: Client, reply: Reply) -> None:
        """Send an answer of the trade stream, as its fault has it."""
        fault = reply.fault
        if fault.lose == "connection":
            self.pump()
            self.cut(client)
        elif fault.lose == "answer":
            return
        elif fault.reorder and client.held_answer is None:
            client.held_answer = reply.text
            self.postponed.put(self.now_ms + fault.delay_ms, lambda: self._release(client))
        elif fault.delay_ms:
            self.postponed.put(self.now_ms + fault.delay_ms, lambda: self.say(client, reply.text))
        else:
            self.say(client, reply.text)
            self._release(client)

    def _release(self, client: Client) -> None:
        """Send the answer that was held back to come after its successor."""
        held, client.held_answer = client.held_answer, None
        if held is not None:
            self.say(client, held)

    def _refuse(self, topic: str) -> bool:
        return self.rules.ask("sub.nack", topic=topic, stream="private") is not None

    def heard(self) -> set[int]:
        """Accounts that somebody listens to."""
        return {client.session.uid for client in self.clients if client.stream == "private" and client.session.topics}

    # -- pushes ------------------------------------------------------------------------------------------------------
    def publish(self, messages: Iterable[Message]) -> None:
        """Send messages to the connections that hold their topics."""
        listeners: dict[int, list[Client]] = {}
        for client in self.clients:
            if client.stream == "private" and client.session.topics:
                listeners.setdefault(client.session.uid, []).append(client)
        touched: dict[int, Client] = {}
        for message in messages:
            clients = listeners.get(message.uid)
            if not clients:
                continue
            for passed in self._faulty(message):
                self._queue(passed, clients)
            for client in clients:
                touched[id(client)] = client
        for client in touched.values():
            if client.outbox:
                self.flush(client)

    def _queue(self, message: Message, clients: list[Client]) -> None:
        for topic in (message.kind, f"{message.kind}.linear"):
            takers = [client for client in clients if topic in client.session.topics and not client.gone]
            if not takers:
                continue
            frame = ws_frame(payload_of(message, topic))
            self.counters.private_frames += len(takers)
            for client in takers:
                client.outbox.append(frame)

    def _faulty(self, message: Message) -> list[Message]:
        """What faults make of a message; what comes late is put off here."""
        if not self.rules.armed and self.frame_faults.quiet():
            return [message]
        context = {"uid": str(message.uid), "topic": message.kind, "symbol": message.symbol, "stream": "private"}
        late = self.rules.ask("private.delay", **context)
        if late is not None:
            self.postponed.put(self.now_ms + int(late.values["ms"]), lambda: self._late(message))
            return []
        passed = self.frame_faults.through((message.uid, message.kind), message, **context)
        if passed and message.kind.startswith("execution") and self.rules.ask("trade.dup_exec", **context):
            passed.append(message)
        return passed

    def _late(self, message: Message) -> None:
        clients = [c for c in self.clients if c.stream == "private" and c.session.uid == message.uid]
        self._queue(message, clients)
        for client in clients:
            if client.outbox:
                self.flush(client)
