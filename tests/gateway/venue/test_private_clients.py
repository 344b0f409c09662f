"""Real clients on the private and the trade stream: pybit with nothing patched but the address (it hears an answer once it
has filed the question, however fast that came), two accounts at once."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pybit._websocket_trading
import pybit.unified_trading
import pytest
from pybit.unified_trading import WebSocket, WebSocketTrading

from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.private_talk import WAIT_S, Talk
from tests.gateway.venue.pybit_tools import filing
from tests.gateway.venue.running import Running, new_exchange, served_venue


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(4, seed=5)), accounts=3, seed=5) as running:
        yield running


def account(venue: Running, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = venue.venue.announced()["accounts"][number]
    return found


def touch_price(venue: Running, symbol: str, side: str, percent: float = 0.0) -> str:
    """A price text on the grid: the best of the side that a taker of `side` hits, moved by some percent."""

    def look() -> str:
        exchange = venue.venue.feed.exchange  # type: ignore[union-attr]
        s = exchange.market.symbols[exchange.row_of[symbol]]
        best = int(s.best_ask if side == "Buy" else s.best_bid)
        ticks = int(best * (1 + percent / 100))
        return f"{ticks * int(s.tick_mant) / 10 ** int(s.price_exp):.{int(s.price_exp)}f}"

    return venue.run(look)


class Pybit:
    """pybit's two clients of one account; every push and answer lands in `found`."""

    def __init__(self, venue: Running, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pybit.unified_trading, "PRIVATE_WSS", venue.addresses["ws_private"])
        monkeypatch.setattr(pybit._websocket_trading, "TRADE_WSS", venue.addresses["ws_trade"])
        who = account(venue, number)
        keys = {"api_key": who["api_key"], "api_secret": who["api_secret"], "testnet": False}
        self._filing = filing(monkeypatch)
        self.found: queue.Queue[dict[str, Any]] = queue.Queue()
        self.errors: queue.Queue[dict[str, Any]] = queue.Queue()
        self._seen: list[dict[str, Any]] = []
        self.private = WebSocket(channel_type="private", **keys)
        self.trade = WebSocketTrading(**keys)
        with self._filing:
            self.private.order_stream(self.found.put)
            self.private.execution_stream(self.found.put)
            self.private.fast_execution_stream(self.found.put)
            self.private.position_stream(self.found.put)
            self.private.wallet_stream(self.found.put)

    def wait_until_subscribed(self, running: Running) -> None:
        """pybit does not tell: ask the venue."""
        for _ in range(round(WAIT_S / 0.05)):
            held = [len(c.session.topics) for c in running.run(lambda: running.venue.private.hub.clients[:])  # type: ignore[union-attr]
                    if c.stream == "private" and c.session.topics]
            if held and held[-1] == 5:
                return
            threading.Event().wait(0.05)
        raise AssertionError("pybit has not subscribed")

    def send(self, method: Callable[..., None], **body: Any) -> dict[str, Any]:
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        with self._filing:
            method(answers.put, error_callback=answers.put, category="linear", **body)
        return answers.get(timeout=WAIT_S)

    def row(self, topic: str, **fields: Any) -> dict[str, Any]:
        """The next row of a topic with these fields, seen or to come."""
        while True:
            for message in self._seen:
                for row in message["data"]:
                    if message["topic"] == topic and all(row.get(k) == v for k, v in fields.items()):
                        message["data"].remove(row)
                        return dict(row)
            self._seen.append(self.found.get(timeout=WAIT_S))

    def close(self) -> None:
        for client in (self.private, self.trade):
            client.exit()
            client.wst.join(WAIT_S)


@pytest.fixture
def pybit_pair(venue: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pybit]:
    made = Pybit(venue, 0, monkeypatch)
    try:
        made.wait_until_subscribed(venue)
        yield made
    finally:
        made.close()


def test_pybit_creates_amends_and_cancels(venue: Running, pybit_pair: Pybit) -> None:
    low = touch_price(venue, "BTCUSDT", "Sell", -2)
    told = pybit_pair.send(pybit_pair.trade.place_order, symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.01",
                           price=low, orderLinkId="first")
    assert (told["retCode"], told["data"]["orderLinkId"]) == (0, "first")
    assert int(told["header"]["X-Bapi-Limit"]) == 10
    order_id = told["data"]["orderId"]
    new = pybit_pair.row("order", orderId=order_id)
    assert (new["orderStatus"], new["avgPrice"], new["cancelType"], new["rejectReason"]) == ("New", "", "UNKNOWN", "EC_NoError")
    assert float(new["price"]) == float(low)
    pybit_pair.row("position", symbol="BTCUSDT", size="0")  # pushed on every order action
    told = pybit_pair.send(pybit_pair.trade.amend_order, symbol="BTCUSDT", orderId=order_id, qty="0.02")
    assert told["retCode"] == 0
    assert pybit_pair.row("order", orderId=order_id)["qty"] == "0.02"
    told = pybit_pair.send(pybit_pair.trade.cancel_order, symbol="BTCUSDT", orderLinkId="first")
    assert told["retCode"] == 0
    gone = pybit_pair.row("order", orderId=order_id)
    assert (gone["orderStatus"], gone["cancelType"], gone["rejectReason"], gone["leavesQty"], gone["cumExecQty"]) == (
        "Cancelled", "CancelByUser", "EC_PerCancelRequest", "0", "0")
    assert pybit_pair.send(pybit_pair.trade.cancel_order, symbol="BTCUSDT", orderId=order_id)["retCode"] == 110001


def test_pybit_batches(venue: Running, pybit_pair: Pybit) -> None:
    low = touch_price(venue, "ETHUSDT", "Sell", -2)
    orders = [{"symbol": "ETHUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.05", "price": low, "orderLinkId": f"b{n}"}
              for n in range(3)]
    orders.append({**orders[0], "orderLinkId": "bad", "qty": "x"})
    told = pybit_pair.send(pybit_pair.trade.place_batch_order, request=orders)
    assert told["retCode"] == 0
    assert [item["code"] for item in told["retExtInfo"]["list"]] == [0, 0, 0, 10001]
    ids = [row["orderId"] for row in told["data"]["list"]]
    assert all(ids[:3]) and ids[3] == ""
    told = pybit_pair.send(pybit_pair.trade.amend_batch_order,
                           request=[{"symbol": "ETHUSDT", "orderId": ids[0], "qty": "0.06"}])
    assert [item["code"] for item in told["retExtInfo"]["list"]] == [0]
    told = pybit_pair.send(pybit_pair.trade.cancel_batch_order,
                           request=[{"symbol": "ETHUSDT", "orderId": each} for each in ids[:3]])
    assert [item["code"] for item in told["retExtInfo"]["list"]] == [0, 0, 0]
    for each in ids[:3]:
        assert pybit_pair.row("order", orderId=each, orderStatus="Cancelled")


def test_pybit_trades_at_the_market(venue: Running, pybit_pair: Pybit) -> None:
    told = pybit_pair.send(pybit_pair.trade.place_order, symbol="SOLUSDT", side="Buy", orderType="Market", qty="1",
                           orderLinkId="m1")
    order_id = told["data"]["orderId"]
    first = pybit_pair.row("order", orderId=order_id)
    assert first["orderStatus"] == "Filled", "a market order is never New"
    assert float(first["price"]) > float(first["avgPrice"]) > 0, "its price is the limit behind it"
    fills = [pybit_pair.row("execution", orderId=order_id)]
    fast = pybit_pair.row("execution.fast", orderId=order_id)
    assert (fast["orderLinkId"], fast["isMaker"], fast["execId"]) == ("m1", False, fills[0]["execId"])
    assert fills[0]["execType"] == "Trade" and float(fills[0]["execFee"]) > 0
    held = pybit_pair.row("position", symbol="SOLUSDT", side="Buy")
    assert held["size"] == "1" and float(held["entryPrice"]) > 0
    assert float(pybit_pair.row("wallet", accountType="UNIFIED")["totalWalletBalance"]) < 10_000
    told = pybit_pair.send(pybit_pair.trade.place_order, symbol="SOLUSDT", side="Sell", orderType="Market", qty="1",
                           reduceOnly=True)
    assert told["retCode"] == 0
    assert pybit_pair.row("position", symbol="SOLUSDT", size="0")["side"] == ""


def test_two_accounts_hear_only_of_themselves_and_trade_with_each_other(venue: Running) -> None:
    async def scene() -> None:
        maker, taker = account(venue, 1), account(venue, 2)
        topics = ["order.linear", "execution.linear", "position.linear", "wallet"]
        private = [await Talk.open(venue.addresses["ws_private"], who, topics) for who in (maker, taker)]
        trade = [await Talk.open(venue.addresses["ws_trade"], who) for who in (maker, taker)]
        low = await asyncio.to_thread(touch_price, venue, "XRPUSDT", "Sell", -2)
        told = await trade[0].order("order.create", {
            "symbol": "XRPUSDT", "side": "Buy", "orderType": "Limit", "qty": "100", "price": low, "orderLinkId": "mine"})
        assert told["retCode"] == 0
        row = await private[0].topic("order.linear", orderLinkId="mine")
        assert row["orderStatus"] == "New"
        await private[0].quiet()
        await private[1].quiet()
        assert not private[1].frames, "another account's order is nobody else's business"
        told = await trade[1].order("order.cancel", {"symbol": "XRPUSDT", "orderId": row["orderId"]})
        assert told["retCode"] == 110001, "nor can it be cancelled"
        told = await trade[1].order("order.create", {
            "symbol": "XRPUSDT", "side": "Buy", "orderType": "Market", "qty": "50"})
        assert told["retCode"] == 0
        assert (await private[1].topic("position.linear", symbol="XRPUSDT"))["size"] == "50"
        for talk in (*private, *trade):
            await talk.close()

    asyncio.run(scene())
