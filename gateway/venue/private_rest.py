"""The private REST side: who may call what how often, and Bybit's envelope around what the handlers answer.

    headers -> key -> time window -> signature -> address -> permission -> rate limit -> parameters -> handler

Pure but for what the handlers do to the exchange: a request and the time go in, a reply comes out. It runs in the
venue's event loop, like everything that touches the exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from gateway.venue.accounts import Account, Accounts, ApiKey, Right, refusal_of
from gateway.venue.fault_rules import FaultRules
from gateway.venue.private_rest_params import Fields, body_of, query_of
from gateway.venue.rate_limits import RateLimits
from gateway.venue.rest_answers import ApiError
from gateway.venue.ret_texts import TEXTS
from gateway.venue.signing import DEFAULT_RECV_WINDOW_MS, in_window, rest_signature, same, window_text
from gateway.venue.trade_session import Answer, symbol_of

KEY, STAMP, WINDOW, SIGN = "x-bapi-api-key", "x-bapi-timestamp", "x-bapi-recv-window", "x-bapi-sign"
MAX_RECV_WINDOW_MS = 600_000
TOO_MANY, NOT_FOUND = TEXTS[10006], TEXTS[10017]


class Done(NamedTuple):
    """What a handler gives back. `info` is retExtInfo."""

    result: Any
    text: str = "OK"
    info: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Call:
    """One authorised request.

    granted: how many orders of a batch the rate limit lets pass; behind_ms: what history is behind (fault rest.lag);
    most_rows: pages hold no more (fault rest.page)."""

    account: Account
    key: ApiKey
    fields: Fields
    now_ns: int
    granted: int = 1
    behind_ms: int = 0
    most_rows: int = 1 << 30

    def rows(self, default: int, largest: int) -> int:
        """Rows of a page."""
        return min(self.fields.limit(default, largest), self.most_rows)

    @property
    def uid(self) -> int:
        return self.account.uid

    @property
    def now_ms(self) -> int:
        return self.now_ns // 1_000_000


class Endpoint(NamedTuple):
    """One path. right None: any key. units: what the call takes of the rate limit (orders of a batch)."""

    method: str
    right: Right | None
    handler: Callable[[Call], Done]
    units: Callable[[Fields], int] = lambda _fields: 1


@dataclass(frozen=True)
class Request:
    """A request as it came: raw query and body, header names in lower case."""

    method: str
    path: str
    query: bytes = b""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    ip: str = "127.0.0.1"


class Reply(NamedTuple):
    """body None: no answer at all (the connection is cut)."""

    status: int
    body: bytes | None
    headers: Mapping[str, str] = {}
    delay_ms: int = 0


def envelope(code: int, text: str, result: Any, now_ms: int, info: Mapping[str, Any] | None = None) -> bytes:
    """Bybit's REST envelope."""
    return msgspec.json.encode(
        {"retCode": code, "retMsg": text, "result": result, "retExtInfo": info or {}, "time": now_ms}
    )


class PrivateRest:
    """Authorises requests and passes them to the handlers of `endpoints`.

    after: called when a handler may have changed the exchange, before the reply leaves (the private streams take over
    what happened). market: public answers that need the exchange, by path below /v5/market/.
    """

    def __init__(self, accounts: Accounts, limits: RateLimits, faults: FaultRules, endpoints: Mapping[str, Endpoint],
                 after: Callable[[], None], market: Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]] | None = None
                 ) -> None:
        self.accounts = accounts
        self.limits = limits
        self.faults = faults
        self.endpoints = endpoints
        self.market = market or {}
        self._after = after
        self.calls = 0
        self.refused: dict[int, int] = {}  # retCode -> how often
        self._swallowed = 0

    def handle(self, request: Request, now_ns: int) -> Reply:
        """Answer one REST request at server time `now_ns`. Never raises for anything a client can send."""
        self.calls += 1
        now_ms = now_ns // 1_000_000
        endpoint = self.endpoints.get(request.path)
        if endpoint is None or endpoint.method != request.method:
            return Reply(404, envelope(10017, NOT_FOUND, {}, now_ms))
        if request.method == "GET" and request.body:
            return Reply(403, envelope(403, "a GET request carries no body", {}, now_ms))
        try:
            key = self.authorise(request, now_ms)
            typed = request.method == "POST"
            fields = Fields(body_of(request.body) if typed else query_of(request.query), typed)
        except ApiError as refusal:
            self._count(refusal.code)
            return Reply(refusal.status, envelope(refusal.code, str(refusal), {}, now_ms))
        op = op_of(request.path)
        fault = self.faults.on_request("rest", op, str(key.uid), symbol_of(dict(fields.values)))
        if fault.swallow:
            answer = self.swallow(op, dict(fields.values))
        elif fault.execute:
            answer = self._perform(endpoint, request.path, key, fields, now_ns)
        else:
            answer = Answer(fault.code, fault.text, {}, {}, {})
        if fault.code:
            answer = answer._replace(code=fault.code, text=fault.text, result={}, ext_info={})
        if fault.lose:
            return Reply(200, None, {}, fault.delay_ms)
        if fault.body is not None or fault.status != 200:
            return Reply(fault.status, fault.body or b"", {}, fault.delay_ms)
        body = envelope(answer.code, answer.text, answer.result, now_ms, answer.ext_info)
        return Reply(200, body, answer.limits, fault.delay_ms)

    def call(self, op: str, key: ApiKey, body: dict[str, Any], now_ms: int) -> Answer:
        """An order request of the trade WebSocket, whose connection has authenticated as `key`. op: "order.create"."""
        path = path_of(op)
        return self._perform(self.endpoints[path], path, key, Fields(body, True), now_ms * 1_000_000)

    def swallow(self, op: str, body: dict[str, Any]) -> Answer:
        """What a request is answered that is acknowledged and then lost: an order id that nobody will ever see."""
        self._swallowed += 1
        link_id = body.get("orderLinkId")
        ids = {"orderId": id_of(f"swallowed {self._swallowed}"), "orderLinkId": link_id if isinstance(link_id, str) else ""}
        return Answer(0, "OK", ids if op.startswith("order.") else {}, {}, {})

    def _perform(self, endpoint: Endpoint, path: str, key: ApiKey, fields: Fields, now_ns: int) -> Answer:
        """Permission, rate limit, handler."""
        limits: dict[str, str] = {}
        try:
            if endpoint.right is not None and not key.may(endpoint.right, write=endpoint.method == "POST"):
                raise ApiError(10005, TEXTS[10005])
            about = {"uid": str(key.uid), "op": op_of(path)}
            rate = self.faults.ask("rate", **about)
            limit = int(rate.values["per_s"]) if rate is not None else None
            budget = self.limits.take(key.uid, path, now_ns // 1_000_000, endpoint.units(fields), limit)
            limits = budget.headers
            if budget.granted == 0:
                raise ApiError(10006, TOO_MANY)
            call = Call(self.accounts.accounts[key.uid], key, fields, now_ns, budget.granted)
            lag, short = self.faults.ask("rest.lag", **about), self.faults.ask("rest.page", **about)
            if lag is not None:
                call = replace(call, behind_ms=int(lag.values["behind_s"] * 1000))
            if short is not None:
                call = replace(call, most_rows=max(1, int(short.values["rows"])))
            done = endpoint.handler(call)
            return Answer(0, done.text, done.result, dict(done.info), limits)
        except ApiError as refusal:
            self._count(refusal.code)
            return Answer(refusal.code, str(refusal), refusal.result, {}, limits)
        finally:
            if endpoint.method == "POST":
                self._after()

    def _count(self, code: int) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1

    def authorise(self, request: Request, now_ms: int) -> ApiKey:
        """The key of a properly signed request. Raises ApiError 10003, 10002, 10004, 33004, 10010, or HTTP 401."""
        head = request.headers
        api_key, stamp, sign = (head.get(name, "") for name in (KEY, STAMP, SIGN))
        window = head.get(WINDOW, "")
        if not api_key or not stamp or not sign:
            raise ApiError(10003, TEXTS[10003], status=401)
        if not plain_number(stamp) or (window and not plain_number(window)):
            raise ApiError(10001, TEXTS[10001])
        key = self.accounts.find(api_key)
        refusal = refusal_of(key, request.ip, now_ms)
        if key is None or (refusal is not None and refusal[0] == 10003):
            raise ApiError(10003, TEXTS[10003])
        window_ms = min(int(window or DEFAULT_RECV_WINDOW_MS), MAX_RECV_WINDOW_MS)
        if not in_window(int(stamp), window_ms, now_ms):
            raise ApiError(10002, window_text(stamp, window_ms, now_ms))
        payload = request.query if request.method == "GET" else request.body
        if not same(rest_signature(key.secret, stamp, api_key, window, payload), sign):
            origin = f"{stamp}{api_key}{window}".encode() + payload
            raise ApiError(10004, f"error sign! origin_string[{origin.decode('utf-8', 'replace')}]")
        if refusal is not None:
            raise ApiError(*refusal)
        return key


def plain_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def id_of(text: str) -> str:
    """An id in the shape of an order id, of something that never becomes an order."""
    return str(UUID(bytes=blake2b(text.encode(), digest_size=16).digest(), version=4))


def op_of(path: str) -> str:
    """Name of a request in both channels: "/v5/order/create" -> "order.create"."""
    return path.removeprefix("/v5/").replace("/", ".")


def path_of(op: str) -> str:
    return "/v5/" + op.replace(".", "/")
