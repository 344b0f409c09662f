"""What one public WebSocket connection may ask and what it is told: pure, no socket.

Texts are the ones seen from stream.bybit.com/v5/public/linear: one acknowledgement per request that does not name the
topics, `"op":"ping"` in the pong, and a request with one bad or already subscribed topic fails as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

MAX_ARGS_CHARS = 21_000  # of all topics one connection holds
OPS = ("subscribe", "unsubscribe", "ping")


def ws_frame(payload: bytes) -> bytes:
    """A final, unmasked text frame, as servers send them."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


def answer(success: bool, text: str, conn_id: str, req_id: str, op: str) -> bytes:
    """An acknowledgement in the key order of the wire."""
    body = {"success": success, "ret_msg": text, "conn_id": conn_id, "req_id": req_id, "op": op}
    return json.dumps(body, separators=(",", ":")).encode()


def conn_id_of(number: int) -> str:
    """An id in the shape of the real ones ("d8bu1olkndm7crnfs1e0-j6akw"), from the connection's number."""
    alphabet = "0123456789abcdefghijklmnopqrstuv"
    value = (number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % (1 << 125)
    text = "".join(alphabet[(value >> (5 * k)) & 31] for k in range(25))
    return f"{text[:20]}-{text[20:]}"


@dataclass
class Reply:
    """What to do about a request: send `text`, then change these subscriptions (topic keys of the source)."""

    text: bytes
    add: list[Hashable] = field(default_factory=list)
    drop: list[Hashable] = field(default_factory=list)
    pong: bool = False


@dataclass
class Session:
    """State of one connection: its id and the topics it holds."""

    conn_id: str
    find: Callable[[str], Hashable | None]
    topics: dict[str, Hashable] = field(default_factory=dict)
    chars: int = 0

    def request(self, raw: bytes, refuse: Callable[[str], bool]) -> Reply:
        """Answer one text message; `refuse` is the fault that makes a subscription of a topic fail."""
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            return Reply(answer(False, "error:request is not valid JSON", self.conn_id, "", ""))
        if not isinstance(message, dict):
            return Reply(answer(False, "error:request is not an object", self.conn_id, "", ""))
        op, req_id = message.get("op"), str(message.get("req_id") or "")
        if op == "ping":
            return Reply(answer(True, "pong", self.conn_id, req_id, "ping"), pong=True)
        if op not in OPS:
            return Reply(answer(False, f"error:request op:{op} is invalid", self.conn_id, req_id, str(op or "")))
        args = message.get("args")
        if not isinstance(args, list) or not args or not all(isinstance(arg, str) for arg in args):
            return Reply(answer(False, "error:request args is invalid", self.conn_id, req_id, op))
        return self._subscribe(args, req_id, refuse) if op == "subscribe" else self._unsubscribe(args, req_id)

    def _subscribe(self, args: list[str], req_id: str, refuse: Callable[[str], bool]) -> Reply:
        found: dict[str, Any] = {}
        for topic in args:
            key = self.find(topic)
            if key is None or refuse(topic):
                text = f"error:handler not found,topic:{topic}"
                return Reply(answer(False, text, self.conn_id, req_id, "subscribe"))
            if topic in self.topics or topic in found:
                text = f"error:already subscribed,topic:{topic}"
                return Reply(answer(False, text, self.conn_id, req_id, "subscribe"))
            found[topic] = key
        chars = sum(len(topic) for topic in found)
        if self.chars + chars > MAX_ARGS_CHARS:
            text = f"error:args size exceeds {MAX_ARGS_CHARS}"
            return Reply(answer(False, text, self.conn_id, req_id, "subscribe"))
        self.chars += chars
        self.topics.update(found)
        return Reply(answer(True, "", self.conn_id, req_id, "subscribe"), add=list(found.values()))

    def _unsubscribe(self, args: list[str], req_id: str) -> Reply:
        for topic in args:
            if topic not in self.topics and self.find(topic) is None:
                text = f"error:handler not found,topic:{topic}"
                return Reply(answer(False, text, self.conn_id, req_id, "unsubscribe"))
        dropped: list[Hashable] = []
        for topic in args:
            key = self.topics.pop(topic, None)
            if key is not None:
                dropped.append(key)
                self.chars -= len(topic)
        return Reply(answer(True, "", self.conn_id, req_id, "unsubscribe"), drop=dropped)
