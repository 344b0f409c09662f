"""Random messages on the public, private and trade streams: always a proper answer, never a crash, a hang or a mute venue.

In virtual time; one test does the same on real sockets, with broken HTTP beside it.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
from typing import Any
from urllib.parse import quote

import pytest
import requests
from picows import WSMsgType

from gateway.venue.private_session import TOPICS
from gateway.venue.synthetic_feed import SyntheticFeed
from gateway.venue.trade_session import OPS
from tests.gateway.venue.private_talk import WAIT_S, Talk
from tests.gateway.venue.running import new_exchange, served_venue
from tests.gateway.venue.test_private_rest_fuzz import FIELDS, WORDS
from tests.gateway.venue.virtual import Line, Plant

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "NOPE", "")
ALL_OPS = (*OPS, "auth", "ping", "subscribe", "unsubscribe", "order.dance", "")
PATHS = ("/v5/order/create", "/v5/position/list", "/v5/market/orderbook", "/v5/nothing", "/venue/fault")
STEP = 40  # messages between two steps of the market
PUBLIC_TOPICS = ("orderbook.50.BTCUSDT", "tickers.ETHUSDT", "kline.1.BTCUSDT", "publicTrade.SOLUSDT", "orderbook.500.BTCUSDT")


class Source:
    """Half sensible messages from a seed."""

    def __init__(self, seed: int, plant: Plant) -> None:
        self.draw = random.Random(seed)
        self.plant = plant
        self.ids: list[str] = ["x"]

    def thing(self, depth: int = 0) -> Any:
        """Any JSON value."""
        draw = self.draw
        if depth < 3 and draw.random() < 0.2:
            return [self.thing(depth + 1) for _ in range(draw.randrange(4))]
        if depth < 3 and draw.random() < 0.2:
            return {draw.choice(FIELDS): self.thing(depth + 1) for _ in range(draw.randrange(4))}
        return draw.choice((
            draw.choice(WORDS), draw.choice(ALL_OPS), draw.choice(FIELDS), None, True, False, 0, -1, 10**30, 1e308, float("nan"),
            draw.randrange(10**13), "".join(chr(draw.randrange(1, 0x3000)) for _ in range(draw.randrange(60))), "\ud800", "\0",
        ))

    def body(self) -> dict[str, Any]:
        """Fields of an order request that now and then is right."""
        draw = self.draw
        symbol = draw.choice(SYMBOLS) if draw.random() < 0.1 else draw.choice(SYMBOLS[:3])
        known = symbol in SYMBOLS[:3]
        side = draw.choice(("Buy", "Sell"))
        found: dict[str, Any] = {
            "category": "linear", "symbol": symbol, "side": side, "orderType": draw.choice(("Market", "Limit")),
            "qty": draw.choice(("0.001", "0.01", "0.1", "1")), "orderId": draw.choice(self.ids),
            "price": self.plant.price(symbol, side, draw.uniform(-8, 8)) if known else "1",
        }
        if draw.random() < 0.3:
            found["orderLinkId"] = f"fuzz-{draw.randrange(3000)}"
        for _ in range(draw.randrange(4) if draw.random() < 0.6 else 0):
            found[draw.choice(FIELDS)] = self.thing()
        if draw.random() < 0.15:
            found["request"] = [self.body() for _ in range(draw.randrange(3))]
        return found

    def args(self, op: str) -> Any:
        draw = self.draw
        if op == "auth":
            right = self.plant.auth_args(draw.randrange(2))
            return [*right[: draw.randrange(4)], *([self.thing()] if draw.random() < 0.5 else [])]
        if op in ("subscribe", "unsubscribe"):
            return [draw.choice((*TOPICS, *PUBLIC_TOPICS, *WORDS)) for _ in range(draw.randrange(4))]
        if op.endswith("-batch"):
            return [{"category": "linear", "request": [self.body() for _ in range(draw.randrange(4))]}]
        return [self.body()]

    def message(self) -> bytes:
        draw = self.draw
        op = draw.choice(ALL_OPS)
        message: dict[str, Any] = {
            "op": op, "args": self.args(op), "header": {"X-BAPI-TIMESTAMP": str(self.plant.clock.now_ms())},
            draw.choice(("reqId", "req_id")): f"r{draw.randrange(10**9)}",
        }
        if draw.random() < 0.25:
            message[draw.choice(("op", "args", "header", "reqId", "req_id"))] = self.thing()
        if draw.random() < 0.1:
            del message[draw.choice(list(message))]
        raw = json.dumps(message).encode()
        if draw.random() < 0.1:
            at = draw.randrange(len(raw) + 1)
            raw = draw.choice((
                raw[:at], raw + raw, raw[:at] + bytes([draw.randrange(256)]) + raw[at:], b"", b"[" * 70_000, b"[" * 20_000,
                json.dumps(self.thing()).encode(), bytes(draw.randrange(256) for _ in range(draw.randrange(99))),
            ))
        return raw


def check(stream: str, found: dict[str, Any]) -> None:
    """An answer in one of the shapes of the stream."""
    assert found["op"] is not None
    if stream == "trade":
        assert isinstance(found["retCode"], int) and isinstance(found["retMsg"], str) and found["connId"]
        assert found["retCode"] != 10016, "a fault of ours"
        assert found["retCode"] == 0 or found["retMsg"]
    elif found["op"] == "pong":
        assert found["conn_id"] and found["args"][0].isdigit()
    elif "retCode" in found:
        assert found["op"] == "auth" and found["success"] is False and found["connId"]
    else:
        assert isinstance(found["success"], bool) and isinstance(found["ret_msg"], str) and found["conn_id"]
        assert found["success"] or found["ret_msg"]


def run(seed: int, messages: int) -> dict[int, int]:
    """Send `messages` over all three streams; returns how often each retCode of the trade stream came."""
    plant = Plant(symbols=3, seed=seed % 5 + 1)
    plant.side.limits.factor = 0
    plant.step(20)
    source = Source(seed, plant)

    def fresh() -> dict[str, Line]:
        return {"public": plant.public(), "private": plant.private(), "trade": plant.trade()}

    lines = fresh()
    codes: dict[int, int] = {}
    for number in range(messages):
        if number % STEP == STEP - 1:
            plant.step()
        if number % 2000 == 1999:
            lines = fresh()
        stream = source.draw.choice(("public", "private", "trade", "trade", "trade"))
        line = lines[stream]
        line.transport.written.clear()
        line._read = 0
        line.raw(source.message())
        answers = [m for m in line.got() if "topic" not in m]
        assert len(answers) == 1, answers
        check(stream, answers[0])
        if stream == "trade":
            code = answers[0]["retCode"]
            codes[code] = codes.get(code, 0) + 1
            data = answers[0].get("data")
            if isinstance(data, dict) and data.get("orderId"):
                source.ids = [*source.ids[-200:], data["orderId"]]
    serves(plant)
    return codes


def serves(plant: Plant) -> None:
    """After all that: an order is created, told and cancelled."""
    private, trade = plant.private("order"), plant.trade()
    plant.post("/v5/order/cancel-all", settleCoin="USDT")
    private.got()
    told = trade.order("order.cancel", {"symbol": "BTCUSDT", "orderId": "none"})
    assert told["retCode"] == 110001
    told = trade.order("order.create", plant.resting(orderLinkId="the-end"))
    assert told["retCode"] in (0, 110007, 110012, 10001), told
    for uid in plant.uids:
        ledger = plant.side.exchange.ledger(uid)
        assert sum(entry.change_e8 for entry in ledger) == plant.side.exchange.wallet(uid).wallet_balance_e8


def test_some_thousand_messages() -> None:
    codes = run(1, 4000)
    assert codes[0] > 100 and codes[10001] > 300 and len(codes) >= 7, codes


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", range(2, 7))
def test_a_hundred_thousand_messages(seed: int) -> None:
    codes = run(seed, 20_000)
    assert codes[0] > 1000 and codes[10001] > 1000 and len(codes) >= 8, codes


def test_garbage_on_real_sockets() -> None:
    plant = Plant(symbols=3)
    source = Source(3, plant)
    with served_venue(SyntheticFeed(new_exchange(3, seed=5)), accounts=1, seed=5) as running:
        account = running.venue.announced()["accounts"][0]

        async def scene() -> None:
            for name in ("ws_public", "ws_private", "ws_trade"):
                talk = await Talk.open(running.addresses[name], account if name != "ws_public" else None)
                for number in range(150):
                    raw = source.message()
                    talk.send(raw)
                    if number % 10 == 9:
                        talk._transport.send(WSMsgType.BINARY, raw)
                        talk._transport.send_ping(raw[:100])
                talk.send({"op": "ping"})
                await talk.find(lambda m: m.get("op") == "pong" or m.get("ret_msg") == "pong")
                await talk.close()
                broken = await Talk.open(running.addresses[name])
                broken._transport.underlying_transport.write(b"\xff" * 50)  # no WebSocket frame
                await broken.gone()

        asyncio.run(scene())
        base = running.addresses["rest"]
        with requests.Session() as http:
            for number in range(120):
                text = str(source.thing())[:60]
                path = source.draw.choice(PATHS)
                reply = (http.post(base + path, data=source.message()[:2000], timeout=WAIT_S) if number % 2 else
                         http.get(base + path + "?" + quote(text, errors="ignore"), timeout=WAIT_S))
                assert reply.status_code in (200, 400, 401, 403, 404), (path, reply.status_code)
                assert reply.json() is not None
        host, port = base.removeprefix("http://").split(":")
        for raw in (b"\x00" * 200, b"GET / HTTP/9.9\r\n\r\n", b"POST /v5/order/create HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
            with socket.create_connection((host, int(port)), timeout=WAIT_S) as broken:
                broken.sendall(raw)

        async def still_serves() -> None:
            talk = await Talk.open(running.addresses["ws_trade"], account)
            told = await talk.order("order.cancel", {"symbol": "BTCUSDT", "orderId": "none"})
            assert told["retCode"] == 110001
            await talk.close()

        asyncio.run(still_serves())
        assert requests.get(base + "/v5/market/time", timeout=WAIT_S).json()["retCode"] == 0
