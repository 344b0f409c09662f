"""A whole venue in virtual time: no socket, no thread, no wall clock. Steps, requests and answers in the test's order."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from gateway.venue.accounts import ApiKey
from gateway.venue.assembly import Venue, VenueOptions
from gateway.venue.clients import Client
from gateway.venue.clock import VenueClock
from gateway.venue.private_rest import Reply, Request
from gateway.venue.streams import STEP_MS
from gateway.venue.synthetic_feed import SyntheticFeed
from gateway.venue.tape_feed import TapeFeed
from tests.gateway.venue.running import START_MS, FakeTransport, new_exchange


class Line:
    """One connection: what has come and was not taken yet."""

    def __init__(self, plant: Plant, client: Client, transport: FakeTransport) -> None:
        self.plant = plant
        self.client = client
        self.transport = transport
        self._read = 0
        self._numbers = 0

    def send(self, **message: Any) -> None:
        self.raw(json.dumps(message).encode())

    def raw(self, data: bytes) -> None:
        private = self.plant.venue.private
        assert private is not None
        (self.plant.venue.server.hub if self.client.stream == "public" else private.hub).request(self.client, data)

    def got(self) -> list[dict[str, Any]]:
        """Everything since the last look."""
        found = self.transport.messages()[self._read:]
        self._read += len(found)
        return found

    def ask(self, **message: Any) -> dict[str, Any]:
        """A request and its answer (the first thing that comes)."""
        self.got()
        self.send(**message)
        found = self.got()
        assert found, "no answer"
        return found[0]

    def order(self, op: str, body: dict[str, Any]) -> dict[str, Any]:
        """A trade request and the first thing that comes back."""
        self.got()
        self.post(op, body)
        found = self.got()
        assert found, "no answer"
        return found[0]

    def post(self, op: str, body: dict[str, Any], req_id: str = "") -> None:
        """A trade request."""
        self._numbers += 1
        header = {"X-BAPI-TIMESTAMP": str(self.plant.clock.now_ms())}
        self.send(reqId=req_id or f"q{self._numbers}", header=header, op=op, args=[{"category": "linear", **body}])

    def rows(self, *topics: str) -> list[tuple[str, dict[str, Any]]]:
        """(topic, row) of the pushes since the last look, in order."""
        return [(message["topic"], row) for message in self.got() if message.get("topic") in (topics or (message.get("topic"),))
                for row in message.get("data", ())]


class Plant:
    """The venue. `step` lets market time pass."""

    def __init__(self, symbols: int = 4, seed: int = 5, accounts: int = 2, rate: float = 1.0, feed: TapeFeed | None = None,
                 start_ms: int = START_MS, **options: Any) -> None:
        self.market = new_exchange(symbols, seed, rate, start_ms)  # unused where a tape is given as `feed`
        self.now_ms = start_ms
        self.clock = VenueClock(lambda: self.now_ms * 1_000_000)
        self.venue = Venue(feed or SyntheticFeed(self.market), VenueOptions(seed=seed, accounts=accounts, **options), self.clock)
        assert self.venue.private is not None
        self.side = self.venue.private
        self.link = self.side.link
        self.uids = self.venue.accounts.uids

    def step(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.now_ms += STEP_MS
            self.venue.server.advance(max(self.venue.server.hub.now_ms + 1, self.clock.now_ms()))
            self.venue.server.hub.flush_all()

    def fault(self, kind: str, **body: Any) -> dict[str, Any]:
        return self.venue.faults.order({"kind": kind, **body}, self.venue.server.hub.now_ms)

    # -- connections -------------------------------------------------------------------------------------------------
    def public(self, *topics: str) -> Line:
        transport = FakeTransport()
        line = Line(self, self.venue.server.hub.connect(transport), transport)
        if topics:
            assert line.ask(op="subscribe", args=list(topics))["success"]
        return line

    def private(self, *topics: str, number: int = 0, idle_ms: int = 0) -> Line:
        line = self._line("private", idle_ms)
        assert line.ask(op="auth", args=self.auth_args(number))["success"]
        if topics:
            assert line.ask(op="subscribe", args=list(topics))["success"]
        return line

    def trade(self, number: int = 0, idle_ms: int = 0, kind: str = "") -> Line:
        """A trade connection with the first key of an account, or with a new one of a `kind` of KEY_KINDS."""
        line = self._line("trade", idle_ms)
        key = self.venue.accounts.issue(self.uids[number], kind, self.clock.now_ms()) if kind else None
        assert line.ask(op="auth", args=self.auth_args(number, key))["retCode"] == 0
        return line

    def _line(self, stream: str, idle_ms: int) -> Line:
        transport = FakeTransport()
        return Line(self, self.side.hub.connect(transport, stream, "127.0.0.1", idle_ms), transport)

    def auth_args(self, number: int = 0, key: ApiKey | None = None) -> list[Any]:
        key = key or self.venue.accounts.accounts[self.uids[number]].keys[0]
        expires = self.clock.now_ms() + 5000
        sign = hmac.new(key.secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
        return [key.key, expires, sign]

    # -- REST --------------------------------------------------------------------------------------------------------
    def rest(self, method: str, path: str, number: int = 0, **fields: Any) -> Reply:
        """A signed request. GET: fields are the query; POST: the body."""
        key = self.venue.accounts.accounts[self.uids[number]].keys[0]
        fields = {"category": "linear", **fields}
        payload = urlencode(fields).encode() if method == "GET" else json.dumps(fields).encode()
        stamp = str(self.clock.now_ms())
        sign = hmac.new(key.secret.encode(), f"{stamp}{key.key}5000".encode() + payload, hashlib.sha256).hexdigest()
        headers = {"x-bapi-api-key": key.key, "x-bapi-timestamp": stamp, "x-bapi-recv-window": "5000", "x-bapi-sign": sign}
        query, body = (payload, b"") if method == "GET" else (b"", payload)
        return self.side.rest.handle(Request(method, path, query, body, headers), self.clock.now_ns())

    def get(self, path: str, number: int = 0, **fields: Any) -> dict[str, Any]:
        return self._json(self.rest("GET", path, number, **fields))

    def post(self, path: str, number: int = 0, **fields: Any) -> dict[str, Any]:
        return self._json(self.rest("POST", path, number, **fields))

    @staticmethod
    def _json(reply: Reply) -> dict[str, Any]:
        assert reply.body is not None
        found: dict[str, Any] = json.loads(reply.body)
        return found

    # -- the market --------------------------------------------------------------------------------------------------
    def price(self, symbol: str, side: str, percent: float = 0.0) -> str:
        """Text on the grid: the price that a taker of `side` meets, moved by some percent."""
        s = self.market.market.symbols[self.market.row_of[symbol]]
        best = int(s.best_ask if side == "Buy" else s.best_bid)
        ticks = round(best * (1 + percent / 100))
        return f"{ticks * int(s.tick_mant) / 10 ** int(s.price_exp):.{int(s.price_exp)}f}"

    def resting(self, symbol: str = "BTCUSDT", qty: str = "0.01", percent: float = -2.0, **more: Any) -> dict[str, Any]:
        """Fields of a buy order that rests some percent below the market."""
        return {"symbol": symbol, "side": "Buy", "orderType": "Limit", "qty": qty,
                "price": self.price(symbol, "Sell", percent), **more}

    def market_order(self, symbol: str = "BTCUSDT", side: str = "Buy", qty: str = "0.01", **more: Any) -> dict[str, Any]:
        return {"symbol": symbol, "side": side, "orderType": "Market", "qty": qty, **more}
