"""Random requests: always a proper Bybit answer, never an exception, never a wrong balance."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from gateway.venue.private_rest import PrivateRest
from tests.gateway.venue.private_client import first_key, signed
from tests.gateway.venue.private_world import BTC, PrivateWorld

STEP = 400  # requests between two moves of the market
WORDS = ("Buy", "Sell", "Market", "Limit", "GTC", "IOC", "FOK", "PostOnly", "RPI", "Full", "Partial", "LastPrice", "MarkPrice",
         "IndexPrice", "CancelMaker", "CancelTaker", "CancelBoth", "Order", "StopOrder", "tpslOrder", "USDT", "linear", "spot",
         "UNIFIED", "TickSize", "Percent", "ISOLATED_MARGIN", "REGULAR_MARGIN", "Trade", "Funding", "TRADE", "Filled", BTC,
         "ETHUSDT", "NOPE", "", "0", "1", "-1", "3", "10", "0.001", "0.01", "1e5", "NaN", "99999999999999999999", "link-1")
FIELDS = (
    "category", "symbol", "side", "orderType", "qty", "price", "timeInForce", "positionIdx", "orderLinkId", "orderId",
    "reduceOnly", "closeOnTrigger", "takeProfit", "stopLoss", "tpslMode", "tpTriggerBy", "slTriggerBy", "tpOrderType",
    "slOrderType", "tpLimitPrice", "slLimitPrice", "triggerPrice", "triggerDirection", "triggerBy", "smpType", "orderFilter",
    "settleCoin", "baseCoin", "limit", "cursor", "startTime", "endTime", "openOnly", "buyLeverage", "sellLeverage", "mode",
    "coin", "trailingStop", "activePrice", "tpSize", "slSize", "margin", "autoAddMargin", "setMarginMode", "accountType",
    "execType", "orderStatus", "type", "slippageToleranceType", "slippageTolerance", "request", "timeWindow", "product",
    "modifyEnable",
)
NEEDS = {
    "amend": ("orderId",), "cancel": ("orderId",), "create-batch": ("request",), "amend-batch": ("request",),
    "cancel-batch": ("request",), "cancel-all": ("settleCoin",), "set-leverage": ("buyLeverage", "sellLeverage"),
    "switch-mode": ("mode",), "trading-stop": ("stopLoss", "tpslMode"), "add-margin": ("margin",), "realtime": ("settleCoin",),
    "set-auto-add-margin": ("autoAddMargin",), "set-margin-mode": ("setMarginMode",), "wallet-balance": ("accountType",),
    "set-limit-px-action": ("modifyEnable",), "disconnected-cancel-all": ("timeWindow",),
}
"""What a request to such a path makes no sense without."""


class Fuzz:
    """A source of half sensible requests."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = PrivateWorld(symbols=3, seed=seed % 7 + 1)
        self.ids: list[str] = []

    def value(self, name: str, path: str, depth: int = 0) -> Any:
        draw, sensible = self.draw, self.draw.random() < 0.94
        if sensible:
            known: dict[str, Any] = {
                "category": "linear", "symbol": draw.choice((BTC, BTC, "ETHUSDT")), "side": draw.choice(("Buy", "Sell")),
                "orderType": draw.choice(("Market", "Limit")), "qty": draw.choice(("0.001", "0.01", "0.1", "1", "3")),
                "positionIdx": draw.choice((0, 0, 0, 0, 0, 1, 2)), "orderId": draw.choice(self.ids or ["x"]),
                "orderLinkId": f"link-{draw.randrange(300)}", "reduceOnly": draw.random() < 0.3, "closeOnTrigger": False,
                "triggerDirection": draw.choice((1, 2)), "limit": draw.randrange(1, 60), "openOnly": draw.choice((0, 1)),
                "mode": draw.choice((0, 3)), "autoAddMargin": draw.choice((0, 1)), "settleCoin": "USDT", "accountType": "UNIFIED",
                "buyLeverage": str(draw.randrange(1, 101)), "sellLeverage": str(draw.randrange(1, 101)), "cursor": "",
                "margin": str(draw.randrange(-50, 50)), "modifyEnable": draw.random() < 0.5, "timeWindow": 40,
                "tpSize": "0.01", "slSize": "0.01", "trailingStop": str(draw.randrange(10, 900)),
                "tpslMode": draw.choice(("Full", "Full", "Partial")), "setMarginMode": draw.choice(WORDS[26:28]),
                "slippageTolerance": str(draw.randrange(1, 20)), "startTime": self.world.market.now_ms - draw.randrange(10**9),
            }
            if name in known:
                return known[name]
            if name in ("price", "takeProfit", "stopLoss", "triggerPrice", "tpLimitPrice", "slLimitPrice", "activePrice"):
                return self.world.price(draw.uniform(0.9, 1.1), draw.choice((BTC, BTC, "ETHUSDT")))
            if name == "request" and depth == 0:
                return [self.body(path, 1) for _ in range(draw.randrange(5))]
        return draw.choice((
            draw.choice(WORDS), draw.choice(WORDS), draw.randrange(-5, 10**6), None, True, 1.5, [], {}, [1, {"a": None}],
            "".join(chr(draw.randrange(32, 0x2FF)) for _ in range(draw.randrange(40))),
        ))

    def body(self, path: str, depth: int = 0) -> dict[str, Any]:
        always = ("category", "symbol", "side", "orderType", "qty", "price")
        names = [name for name in always if self.draw.random() < 0.95]
        names += NEEDS.get(path.rpartition("/")[2].removesuffix("-batch" if depth else ""), ())
        names += self.draw.sample(FIELDS, self.draw.randrange(4))
        return {name: self.value(name, path, depth) for name in names}

    def raw(self, body: dict[str, Any]) -> bytes:
        text = json.dumps(body).encode()
        if self.draw.random() < 0.03:  # torn, doubled or mangled JSON
            at = self.draw.randrange(len(text) + 1)
            text = self.draw.choice((text[:at], text + text, text[:at] + bytes([self.draw.randrange(256)]) + text[at:]))
        return text

    def query(self, body: dict[str, Any]) -> str:
        parts = []
        for name, value in body.items():
            text = value if isinstance(value, str) else json.dumps(value)
            parts.append(f"{name}={quote(text) if self.draw.random() < 0.97 else text.encode('ascii', 'ignore').decode()}")
        return "&".join(parts)


def check(rest: PrivateRest, reply: Any) -> dict[str, Any]:
    assert reply.status == 200 and reply.body is not None
    found: dict[str, Any] = json.loads(reply.body)
    assert list(found) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
    assert isinstance(found["retCode"], int) and isinstance(found["retMsg"], str) and isinstance(found["result"], dict)
    assert found["retCode"] == 0 or found["retMsg"]
    return found


def run(seed: int, requests: int) -> dict[int, int]:
    """Send `requests`; returns how often each retCode came."""
    fuzz = Fuzz(seed)
    world, codes = fuzz.world, dict[int, int]()
    paths = sorted(world.rest.endpoints)
    creating = [path for path in paths if path.endswith(("create", "create-batch", "trading-stop"))]
    for number in range(requests):
        if number % STEP == STEP - 1:
            world.run(0.05)
            for uid in world.accounts.uids:
                account = world.exchange.account(uid)
                assert sum(entry.change_e8 for entry in account.ledger.entries) == account.ledger.balance_e8
        path = fuzz.draw.choice(creating if fuzz.draw.random() < 0.4 else paths)
        key = first_key(world.accounts, fuzz.draw.randrange(2))
        method, body = world.rest.endpoints[path].method, fuzz.body(path)
        made = (signed(key, method, path, world.market.now_ms, body=fuzz.raw(body)) if method == "POST" else
                signed(key, method, path, world.market.now_ms, query=fuzz.query(body)))
        found = check(world.rest, world.rest.handle(made, world.now_ns))
        codes[found["retCode"]] = codes.get(found["retCode"], 0) + 1
        order_id = found["result"].get("orderId")
        if order_id:
            fuzz.ids.append(order_id)
    return codes


def test_some_thousand_requests() -> None:
    codes = run(1, 4000)
    assert codes[0] > 1000 and codes[10001] > 300 and len(codes) >= 10, codes


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", range(2, 7))
def test_a_hundred_thousand_requests(seed: int) -> None:
    codes = run(seed, 20_000)
    assert codes[0] > 4000 and len(codes) >= 10, codes


def test_random_headers_paths_and_methods() -> None:
    """The door itself: whatever stands in the headers, the answer is one of Bybit's."""
    draw, world = random.Random(8), PrivateWorld(symbols=2)
    key, now_ms = first_key(world.accounts), world.market.now_ms
    paths = [*world.rest.endpoints, "/v5/", "/v5/order", "/v5/order/create/", "/v5/%00", "/v5/ä"]

    def noise(right: str) -> str:
        return draw.choice((right, right, "", right[1:], right + "0", "-1", "1e9", "٣", "\x00", "ÿ" * 50, "9" * 400, " " + right))

    seen = set()
    for _ in range(3000):
        proper = signed(key, draw.choice(("GET", "POST", "PUT", "HEAD")), draw.choice(paths), now_ms,
                        query=draw.choice(("", "category=linear", "%", "&&==", "a=%zz")), body=draw.choice((b"", b"{}", b"\xff")))
        headers = {name: noise(value) for name, value in proper.headers.items() if draw.random() < 0.95}
        reply = world.rest.handle(replace(proper, headers=headers), world.now_ns)
        assert reply.status in (200, 401, 403, 404) and reply.body is not None
        found = json.loads(reply.body)
        assert list(found) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
        seen.add(found["retCode"])
    assert {403, 10001, 10002, 10003, 10004, 10017} <= seen
