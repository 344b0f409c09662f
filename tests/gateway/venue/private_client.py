"""A signed client of the private REST side without a socket, and the pieces to set one up."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from gateway.venue.accounts import Accounts, ApiKey
from gateway.venue.private_rest import PrivateRest, Reply, Request
from gateway.venue.signing import rest_signature

NOW_NS = 1_790_000_000_000_000_000


def signed(key: ApiKey, method: str, path: str, now_ms: int, *, query: str = "", body: bytes = b"", window: str = "5000",
           ip: str = "127.0.0.1", **headers: str) -> Request:
    """A request as a proper client sends it; `headers` replace what it would send (name without x-bapi-)."""
    stamp = str(now_ms)
    payload = query.encode() if method == "GET" else body
    made = {
        "api-key": key.key, "timestamp": stamp, "recv-window": window,
        "sign": rest_signature(key.secret, stamp, key.key, window, payload),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, query.encode(), body, {f"x-bapi-{name}": value for name, value in made.items()}, ip)


class Client:
    """Calls a PrivateRest as one key; `now_ns` is the venue's clock, which the test moves."""

    def __init__(self, rest: PrivateRest, key: ApiKey, now_ns: int = NOW_NS) -> None:
        self.rest = rest
        self.key = key
        self.now_ns = now_ns
        self.skew_ms = 0  # of the client's own clock
        self.last: Reply | None = None

    def request(self, method: str, path: str, params: dict[str, Any]) -> dict[str, Any]:
        """The whole envelope."""
        now_ms = self.now_ns // 1_000_000 + self.skew_ms
        if method == "GET":
            made = signed(self.key, method, path, now_ms, query=urlencode(params))
        else:
            made = signed(self.key, method, path, now_ms, body=json.dumps(params).encode())
        self.last = self.rest.handle(made, self.now_ns)
        return self.decode(self.last)

    @staticmethod
    def decode(reply: Reply) -> dict[str, Any]:
        """The envelope of a reply."""
        assert reply.body is not None
        found: dict[str, Any] = json.loads(reply.body)
        assert list(found) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
        return found

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self.request("GET", f"/v5/{path}", params)

    def post(self, path: str, **params: Any) -> dict[str, Any]:
        return self.request("POST", f"/v5/{path}", params)


def first_key(accounts: Accounts, number: int = 0) -> ApiKey:
    return accounts.accounts[accounts.uids[number]].keys[0]
