"""One connection of the trade WebSocket (/v5/trade): authenticated once, then requests with a header each. Pure.

    {"reqId": "a1", "header": {"X-BAPI-TIMESTAMP": "1711001595207"}, "op": "order.create", "args": [{...}]}
    {"reqId": "a1", "retCode": 0, "retMsg": "OK", "op": "order.create", "data": {...}, "retExtInfo": {},
     "header": {"X-Bapi-Limit": ..., "Traceid": ..., "Timenow": ...}, "connId": "..."}

The requests themselves are those of REST: `Desk.call` carries them out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from hashlib import blake2b
from logging import getLogger
from typing import Any, NamedTuple, Protocol

from gateway.venue.accounts import Accounts, ApiKey
from gateway.venue.fault_rules import NO_FAULT, FaultRules, RequestFault
from gateway.venue.private_session import compact, parsed
from gateway.venue.ret_texts import TEXTS
from gateway.venue.signing import DEFAULT_RECV_WINDOW_MS, in_window, window_text
from gateway.venue.ws_auth import login

log = getLogger("gateway.venue")
OPS = ("order.create", "order.amend", "order.cancel", "order.create-batch", "order.amend-batch", "order.cancel-batch")
NOT_AUTHENTICATED = "Request not authorized"
REQ_ID_CHARS = 36
REMEMBERED_REQ_IDS = 100_000  # how far back a repeated reqId is noticed
SESSION_REQUESTS_PER_S = 3000


class Answer(NamedTuple):
    """What a request came to. `limits` are the X-Bapi-Limit* headers, empty where no budget was touched."""

    code: int
    text: str
    result: dict[str, Any]
    ext_info: dict[str, Any]
    limits: dict[str, str]


class Desk(Protocol):
    """Carries out order requests of an authenticated key. Never raises for anything a client sends."""

    def call(self, op: str, key: ApiKey, body: dict[str, Any], now_ms: int) -> Answer: ...
    def swallow(self, op: str, body: dict[str, Any]) -> Answer: ...


class Reply(NamedTuple):
    """What the hub sends, and the fault it has to act out with it (NO_FAULT: simply send)."""

    text: bytes
    fault: RequestFault = NO_FAULT
    pong: bool = False


@dataclass
class TradeSession:
    """State of one trade connection."""

    conn_id: str
    accounts: Accounts
    desk: Desk
    rules: FaultRules
    ip: str
    key: ApiKey | None = None
    requests: int = 0
    _seen: set[str] = field(default_factory=set)
    _seen_order: deque[str] = field(default_factory=deque)
    _recent_ms: deque[int] = field(default_factory=deque)

    @property
    def uid(self) -> int:
        return self.key.uid if self.key is not None else 0

    def request(self, raw: bytes, now_ms: int) -> Reply:
        """Answer one text message."""
        message = parsed(raw)
        if message is None:
            return self._refusal({}, 10001, "Params Error", "")
        op = message.get("op")
        name = op[:64] if isinstance(op, str) else ""
        if name == "ping":
            return Reply(self._body(message, 0, "OK", "pong", data=[str(now_ms)]), pong=True)
        if name == "auth":
            return Reply(self._auth(message, now_ms))
        if self.key is None:
            return self._refusal(message, 10003, NOT_AUTHENTICATED, name)
        if not self._within_rate(now_ms):
            return self._refusal(message, 20003, TEXTS[20003], name)
        if name not in OPS:
            return self._refusal(message, 10404, TEXTS[10404], name)
        refusal = self._refuse_req_id(message) or self._refuse_header(message.get("header"), now_ms)
        if refusal is not None:
            return self._refusal(message, *refusal, name)
        args = message.get("args")
        if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
            return self._refusal(message, 10001, "Params Error: args must hold one object", name)
        return self._order(message, name, args[0], now_ms)

    # -- requests ----------------------------------------------------------------------------------------------------
    def _auth(self, message: dict[str, Any], now_ms: int) -> bytes:
        if self.key is not None:
            return self._body(message, 20001, "Repeat auth", "auth")
        found = login(self.accounts, message.get("args"), self.ip, now_ms)
        if found.key is None:
            text = "Invalid sign" if found.code == 10004 else found.text
            return self._body(message, found.code, text, "auth")
        self.key = found.key
        return self._body(message, 0, "OK", "auth")

    def _order(self, message: dict[str, Any], op: str, body: dict[str, Any], now_ms: int) -> Reply:
        key = self.key
        assert key is not None
        fault = self.rules.on_request("trade", op, str(key.uid), symbol_of(body))
        if fault.swallow:
            answer = self.desk.swallow(op, body)
        elif fault.execute:
            answer = self._carry_out(op, key, body, now_ms)
        else:
            answer = Answer(fault.code, fault.text, {}, {}, {})
        if fault.code:
            answer = answer._replace(code=fault.code, text=fault.text, result={}, ext_info={})
        self.requests += 1
        trace = blake2b(f"{self.conn_id}:{self.requests}".encode(), digest_size=16).hexdigest()
        header = {**answer.limits, "Traceid": trace, "Timenow": str(now_ms)}
        shown = {} if fault.no_req_id else message
        return Reply(
            self._body(shown, answer.code, answer.text, op, data=answer.result, retExtInfo=answer.ext_info, header=header),
            fault,
        )

    def _carry_out(self, op: str, key: ApiKey, body: dict[str, Any], now_ms: int) -> Answer:
        """The desk's answer; a fault of ours is logged and becomes Bybit's 10016 instead of a broken connection."""
        try:
            return self.desk.call(op, key, body, now_ms)
        except Exception:
            log.exception("request %s failed", op)
            return Answer(10016, TEXTS[10016], {}, {}, {})

    # -- checks ------------------------------------------------------------------------------------------------------
    def _refuse_req_id(self, message: dict[str, Any]) -> tuple[int, str] | None:
        """A reqId may be absent; given, it must be a text of at most 36 characters that was not used before."""
        req_id = message.get("reqId")
        if req_id is None or req_id == "":
            return None
        if not isinstance(req_id, str) or len(req_id) > REQ_ID_CHARS:
            return 10001, "Params Error: reqId"
        if req_id in self._seen:
            return 20006, TEXTS[20006]
        self._seen.add(req_id)
        self._seen_order.append(req_id)
        if len(self._seen_order) > REMEMBERED_REQ_IDS:
            self._seen.remove(self._seen_order.popleft())
        return None

    @staticmethod
    def _refuse_header(header: Any, now_ms: int) -> tuple[int, str] | None:
        """The time window of REST, from the header of the request."""
        found = header if isinstance(header, dict) else {}
        timestamp = digits(found.get("X-BAPI-TIMESTAMP"))
        window = digits(found.get("X-BAPI-RECV-WINDOW", DEFAULT_RECV_WINDOW_MS))
        if timestamp is None or window is None:
            return 10001, "Params Error: header"
        if not in_window(timestamp, window, now_ms):
            return 10002, window_text(timestamp, window, now_ms)
        return None

    def _within_rate(self, now_ms: int) -> bool:
        recent = self._recent_ms
        while recent and recent[0] <= now_ms - 1000:
            recent.popleft()
        if len(recent) >= SESSION_REQUESTS_PER_S:
            return False
        recent.append(now_ms)
        return True

    # -- texts -------------------------------------------------------------------------------------------------------
    def _refusal(self, message: dict[str, Any], code: int, text: str, op: str) -> Reply:
        return Reply(self._body(message, code, text, op))

    def _body(self, message: dict[str, Any], code: int, text: str, op: str, **more: Any) -> bytes:
        """An answer in the key order of the wire; reqId only when the request had one."""
        req_id = message.get("reqId")
        head = {"reqId": req_id[:64]} if isinstance(req_id, str) and req_id else {}
        return compact({**head, "retCode": code, "retMsg": text, "op": op, **more, "connId": self.conn_id})


def digits(value: Any) -> int | None:
    """A time in ms given as text or integer; None when it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value) if not isinstance(value, int) or abs(value) < 1 << 62 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def symbol_of(body: dict[str, Any]) -> str:
    """The symbol a request is about (of a batch: its first item's), "" when it names none."""
    symbol = body.get("symbol")
    if symbol is None and isinstance(body.get("request"), list) and body["request"] and isinstance(body["request"][0], dict):
        symbol = body["request"][0].get("symbol")
    return symbol if isinstance(symbol, str) else ""
