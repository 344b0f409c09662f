"""What one private WebSocket connection may ask and what it is told: pure, no socket.

Texts and shapes are those seen from stream.bybit.com/v5/private: auth and subscribe answer without req_id when none was
sent, a pong has op "pong" and the time in args, a bad signature or expiry is "Params Error", a bad key carries
retCode 10003. There is no snapshot after a subscription.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.venue.accounts import Accounts, ApiKey
from gateway.venue.ws_auth import login

KINDS = ("order", "execution", "execution.fast", "position", "wallet", "greeks")
CATEGORIES = ("linear", "inverse", "spot", "option")
BY_CATEGORY = ("order", "execution", "execution.fast", "position")
"""Topics that also exist per category, as `order.linear`; only linear ones ever push here."""

TOPICS = frozenset(KINDS) | {f"{kind}.{category}" for kind in BY_CATEGORY for category in CATEGORIES}
MAX_REQUEST_CHARS = 64 * 1024  # a longer request is refused before it is parsed


class Told(NamedTuple):
    """An answer, and whether it is a pong (which a fault may hold back)."""

    text: bytes
    pong: bool = False


def compact(body: dict[str, Any]) -> bytes:
    """JSON as on the wire: no blanks, key order as given."""
    return json.dumps(body, separators=(",", ":")).encode()


def parsed(raw: bytes) -> dict[str, Any] | None:
    """A request as an object, or None: not JSON, not an object, nested too deeply, or too long."""
    if len(raw) > MAX_REQUEST_CHARS:
        return None
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def text_in(message: dict[str, Any], name: str) -> str:
    """A text field of a request; "" when it is absent or no text."""
    value = message.get(name)
    return value if isinstance(value, str) else ""


@dataclass
class PrivateSession:
    """State of one private connection. `key` is set by a successful auth."""

    conn_id: str
    accounts: Accounts
    ip: str
    key: ApiKey | None = None
    topics: set[str] = field(default_factory=set)

    @property
    def uid(self) -> int:
        return self.key.uid if self.key is not None else 0

    def request(self, raw: bytes, now_ms: int, refuse: Callable[[str], bool]) -> Told:
        """Answer one text message; `refuse` is the fault that makes the subscription of a topic fail."""
        message = parsed(raw)
        if message is None:
            return self._ack(False, "error:request is not valid JSON", "", "")
        op, req_id, args = message.get("op"), text_in(message, "req_id"), message.get("args")
        if op == "ping":
            body = {"req_id": req_id} if req_id else {}
            return Told(compact({**body, "op": "pong", "args": [str(now_ms)], "conn_id": self.conn_id}), pong=True)
        if op == "auth":
            return self._auth(args, req_id, now_ms)
        if op not in ("subscribe", "unsubscribe"):
            return self._ack(False, f"error:request op:{str(op)[:64]} is invalid", req_id, str(op or "")[:64])
        if self.key is None:
            return self._ack(False, "Request not authorized", req_id, str(op))
        if not isinstance(args, list) or not args or not all(isinstance(topic, str) for topic in args):
            return self._ack(False, "Params Error", req_id, str(op))
        for topic in args:
            if topic not in TOPICS or (op == "subscribe" and refuse(topic)):
                return self._ack(False, f"Invalid topic: {topic[:64]}", req_id, str(op))
        if op == "unsubscribe":
            self.topics.difference_update(args)
            return self._ack(True, "", req_id, "unsubscribe")
        both = {topic.removesuffix(f".{category}") for topic in args for category in CATEGORIES
                if topic.endswith(f".{category}")}
        if both & set(args):
            return self._ack(False, "All-in-one and categorised topics cannot be subscribed together", req_id, "subscribe")
        self.topics.update(args)
        return self._ack(True, "", req_id, "subscribe")

    def _auth(self, args: Any, req_id: str, now_ms: int) -> Told:
        found = login(self.accounts, args, self.ip, now_ms)
        if found.key is not None:
            self.key = found.key
            return self._ack(True, "", req_id, "auth")
        if found.code in (10001, 10004):
            return self._ack(False, found.text, req_id, "auth")
        text = "Invalid apikey" if found.code == 10003 else found.text
        body = {"op": "auth", "success": False, "retCode": found.code, "retMsg": text, "connId": self.conn_id}
        return Told(compact({"req_id": req_id, **body} if req_id else body))

    def _ack(self, success: bool, text: str, req_id: str, op: str) -> Told:
        body = {"success": success, "ret_msg": text, "op": op, "conn_id": self.conn_id}
        return Told(compact({"req_id": req_id, **body} if req_id else body))
