"""Faults that can be ordered (POST /venue/fault) or scripted: what a real exchange does to its clients on a bad day.

    {"kind": "gap", "symbol": "BTCUSDT", "count": 1}          the next frames of its book topics are lost: u jumps
    {"kind": "stale", "topic": "tickers.BTCUSDT", "seconds": 5}  a topic (or all topics of a symbol) falls silent
    {"kind": "restart_u1", "symbol": "BTCUSDT"}               its books start again with a snapshot of u = 1
    {"kind": "malformed", "symbol": "BTCUSDT", "text": "..."} a broken frame to its subscribers
    {"kind": "disconnect", "symbol": "BTCUSDT"}               the sockets that listen to it (or all) are closed
    {"kind": "half_open"}                                     sockets stay open and nothing goes through any more
    {"kind": "refuse", "topic": "orderbook.50.BTCUSDT", "count": 2}  its next subscriptions fail ("*" = any topic)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from gateway.venue.hub import Client, Hub
from gateway.venue.session import ws_frame
from gateway.venue.streams import DEPTHS, KIND_NAMES
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Happening, Truth

BOOK_NAMES = KIND_NAMES[: len(DEPTHS)]


class Faults:
    """Carries faults out. Refusals are ValueErrors whose text says what would be right."""

    def __init__(self, hub: Hub, truth: Truth, exchange: SyntheticExchange | None) -> None:
        self._hub = hub
        self._truth = truth
        self._exchange = exchange  # None: a tape plays, which has no books of its own to restart
        self._kinds: dict[str, Callable[[dict[str, Any], Happening], None]] = {
            "gap": self._gap, "stale": self._stale, "restart_u1": self._restart, "malformed": self._malformed,
            "disconnect": self._disconnect, "half_open": self._half_open, "refuse": self._refuse,
        }

    def order(self, body: Any, now_ms: int) -> dict[str, Any]:
        """Do what `body` asks and note it in the truth."""
        if not isinstance(body, dict) or body.get("kind") not in self._kinds:
            raise ValueError(f"kind must be one of {', '.join(self._kinds)}")
        happening = Happening(0, body["kind"], str(body.get("symbol") or body.get("topic") or ""), now_ms)
        self._kinds[body["kind"]](body, happening)
        noted = self._truth.begin(happening.kind, happening.symbol, now_ms, **happening.details)
        noted.end_ms = happening.end_ms if happening.end_ms is not None else now_ms
        self._hub.counters.faults += 1
        return {"ok": True, "id": noted.id, "kind": noted.kind, "details": noted.details}

    def _keys(self, body: dict[str, Any], names: tuple[str, ...]) -> list[Hashable]:
        """Topics meant by `topic`, or the topics of `names` of `symbol`."""
        topics = [body["topic"]] if body.get("topic") else [f"{name}.{body.get('symbol')}" for name in names]
        keys = [key for key in (self._hub.source.find(topic) for topic in topics) if key is not None]
        if not keys:
            raise ValueError("give the topic or symbol of a listed contract")
        return keys

    def _clients(self, body: dict[str, Any]) -> list[Client]:
        if not body.get("symbol") and not body.get("topic"):
            return self._hub.clients[:]
        return self._hub.listeners(self._keys(body, KIND_NAMES))

    def _gap(self, body: dict[str, Any], happening: Happening) -> None:
        count = max(1, int(body.get("count") or 1))
        keys = [key for key in self._keys(body, BOOK_NAMES) if key in self._hub.subscribers]
        for key in keys:
            self._hub.skip[key] = self._hub.skip.get(key, 0) + count
        happening.details.update(count=count, topics=len(keys))

    def _stale(self, body: dict[str, Any], happening: Happening) -> None:
        happening.end_ms = happening.start_ms + int(1000 * float(body.get("seconds") or 5))
        for key in self._keys(body, KIND_NAMES):
            self._hub.silent_until_ms[key] = happening.end_ms

    def _restart(self, body: dict[str, Any], happening: Happening) -> None:
        if self._exchange is None:
            raise ValueError("restart_u1 needs the synthetic market; a tape is played verbatim")
        keys = [key for key in self._keys(body, BOOK_NAMES) if key in self._hub.subscribers]
        happening.details["topics"] = len(keys)
        self._hub.publish([(key, self._exchange.restart_book(key)) for key in keys])  # type: ignore[arg-type]

    def _malformed(self, body: dict[str, Any], happening: Happening) -> None:
        keys = self._keys(body, BOOK_NAMES)
        topic = body.get("topic") or f"orderbook.50.{body.get('symbol')}"
        text = str(body.get("text") or f'{{"topic":"{topic}","type":"delta","ts":17')
        listeners = self._hub.listeners(keys)
        for client in listeners:
            client.outbox.append(ws_frame(text.encode()))
        happening.details["clients"] = len(listeners)

    def _disconnect(self, body: dict[str, Any], happening: Happening) -> None:
        clients = self._clients(body)
        for client in clients:
            client.transport.abort()
            self._hub.disconnect(client)
        happening.details["clients"] = len(clients)

    def _half_open(self, body: dict[str, Any], happening: Happening) -> None:
        clients = self._clients(body)
        for client in clients:
            client.half_open = True
        happening.details["clients"] = len(clients)

    def _refuse(self, body: dict[str, Any], happening: Happening) -> None:
        topic, count = str(body.get("topic") or "*"), max(1, int(body.get("count") or 1))
        self._hub.refusals.extend([topic] * count)
        happening.details.update(topic=topic, count=count)
