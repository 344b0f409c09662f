"""The venue on real sockets: pybit's own clients, two clients at once, slow ones, control paths."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pybit.unified_trading
import pytest
import requests
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket

from gateway.venue.scenarios import Timeline
from gateway.venue.server import VenueServer
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.pybit_tools import filing
from tests.gateway.venue.running import new_exchange, served, served_venue
from tests.reference.venue import ClientBook

WAIT_S = 240.0


@pytest.fixture(scope="module")
def venue() -> Iterator[VenueServer]:
    with served(SyntheticFeed(new_exchange(8, seed=5, rate=3.0)), timeline=Timeline()) as server:
        yield server


class Listener(WSListener):
    """Puts every text frame into a queue of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.pongs = 0
        self.closed = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.frames.put_nowait(json.loads(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()

    async def get(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.frames.get(), WAIT_S)


class Sockets:
    """Client sockets of one test; all are closed at its end."""

    def __init__(self) -> None:
        self.open: list[tuple[WSTransport, Listener]] = []

    async def __aenter__(self) -> Sockets:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for transport, listener in self.open:
            transport.disconnect(graceful=False)
            await asyncio.wait_for(listener.closed.wait(), WAIT_S)


async def connect(sockets: Sockets, server: VenueServer, *topics: str) -> tuple[WSTransport, Listener]:
    transport, listener = await ws_connect(Listener, server.addresses["ws_public"])
    assert isinstance(listener, Listener)
    sockets.open.append((transport, listener))
    if topics:
        transport.send(WSMsgType.TEXT, json.dumps({"op": "subscribe", "args": list(topics)}).encode())
        assert (await listener.get())["success"] is True
    return transport, listener


def test_pybit_http(venue: VenueServer) -> None:
    session = HTTP()
    session.endpoint = venue.addresses["rest"]
    try:
        assert int(session.get_server_time()["result"]["timeSecond"]) > 0
        rows = session.get_instruments_info(category="linear", limit=3)["result"]
        assert len(rows["list"]) == 3
        more = session.get_instruments_info(category="linear", limit=3, cursor=rows["nextPageCursor"])["result"]["list"]
        assert not {r["symbol"] for r in rows["list"]} & {r["symbol"] for r in more}
        book = session.get_orderbook(category="linear", symbol="BTCUSDT", limit=50)["result"]
        assert len(book["b"]) == 50
        assert len(session.get_tickers(category="linear")["result"]["list"]) == 8
        assert len(session.get_kline(category="linear", symbol="BTCUSDT", interval=5, limit=7)["result"]["list"]) == 7
        assert session.get_public_trade_history(category="linear", symbol="BTCUSDT")["retCode"] == 0
        with pytest.raises(InvalidRequestError, match="symbol invalid"):
            session.get_orderbook(category="linear", symbol="NOPE")
    finally:
        session.client.close()


def test_pybit_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    with served_venue(SyntheticFeed(new_exchange(8, seed=5, rate=3.0)), accounts=0, latency_ms=50) as running:  # some way off
        pybit_listens(running.venue.server, monkeypatch)


def pybit_listens(venue: VenueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    address = venue.addresses["ws_public"].replace("/linear", "/{CHANNEL_TYPE}")
    monkeypatch.setattr(pybit.unified_trading, "PUBLIC_WSS", address)
    asking = filing(monkeypatch)
    client = WebSocket(testnet=False, channel_type="linear")
    found: queue.Queue[dict[str, Any]] = queue.Queue()
    try:
        with asking:
            client.orderbook_stream(50, "BTCUSDT", found.put)
            client.trade_stream(["BTCUSDT", "ETHUSDT"], found.put)
            client.ticker_stream("ETHUSDT", found.put)
            client.kline_stream(1, "BTCUSDT", found.put)
        seen: set[str] = set()
        for _ in range(5000):
            message = found.get(timeout=WAIT_S)
            seen.add(message["topic"])
            if message["topic"] == "orderbook.50.BTCUSDT":
                assert len(message["data"]["b"]) == len(message["data"]["a"]) == 50  # pybit keeps the book itself
            if len(seen) == 5:
                break
        assert seen == {"orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "publicTrade.ETHUSDT", "tickers.ETHUSDT",
                        "kline.1.BTCUSDT"}
    finally:
        client.exit()
        client.wst.join(WAIT_S)


def test_two_clients_see_the_same(venue: VenueServer) -> None:
    topics = ("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "orderbook.1.ETHUSDT")

    async def scene() -> None:
        async with Sockets() as sockets:
            (_, first), (_, second) = await connect(sockets, venue, *topics), await connect(sockets, venue, *topics)
            book = ClientBook(50)
            seen: list[list[dict[str, Any]]] = []
            for listener in (first, second):
                mine = []
                while len(mine) < 400:
                    message = await listener.get()
                    if listener is first and message["topic"].startswith("orderbook.50"):
                        book.apply(message)
                    mine.append(message)
                seen.append(mine)
            start = next(m["ts"] for m in seen[1] if m.get("type") == "delta")
            end = min(seen[0][-1]["ts"], seen[1][-1]["ts"])
            a, b = ([m for m in mine if start <= m["ts"] < end] for mine in seen)
            assert a == b and len(a) > 100

    asyncio.run(scene())


def test_pings(venue: VenueServer) -> None:
    async def scene() -> None:
        async with Sockets() as sockets:
            transport, listener = await connect(sockets, venue)
            transport.send(WSMsgType.TEXT, b'{"op":"ping","req_id":"x"}')
            assert (await listener.get())["ret_msg"] == "pong"
            transport.send_ping(b"hello")
            transport.send(WSMsgType.TEXT, b'{"op":"ping"}')
            await listener.get()
            assert listener.pongs == 1
            transport.send_close()
            await asyncio.wait_for(listener.closed.wait(), WAIT_S)

    asyncio.run(scene())


def test_other_paths_are_refused(venue: VenueServer) -> None:
    async def scene() -> None:
        async with Sockets():
            with pytest.raises(Exception, match="404"):
                await ws_connect(Listener, venue.addresses["ws_public"].replace("linear", "spot"))

    asyncio.run(scene())


def test_a_client_that_does_not_read_is_cut_off_on_a_real_socket() -> None:
    feed = SyntheticFeed(new_exchange(8, seed=5, rate=20.0))
    with served(feed, max_buffered_bytes=100_000) as server:
        kinds = ("orderbook.50", "orderbook.200", "orderbook.1000", "publicTrade")
        topics = [f"{kind}.{i.symbol}" for kind in kinds for i in feed.exchange.instruments]

        async def scene() -> None:
            async with Sockets() as sockets:
                slow, _ = await connect(sockets, server, *topics)
                slow.underlying_transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                slow.underlying_transport.pause_reading()
                _, fine = await connect(sockets, server, "orderbook.50.BTCUSDT")
                for _ in range(100_000):
                    await fine.get()
                    if server.counters.slow_cut_off:
                        break
                assert server.counters.slow_cut_off == 1
                assert len(server.hub.clients) == 1
                assert (await fine.get())["topic"] == "orderbook.50.BTCUSDT"

        asyncio.run(scene())


def test_control_paths(venue: VenueServer) -> None:
    base = venue.addresses["control"] + "/venue/"
    with requests.Session() as http:
        assert http.get(base + "status").json()["market"] == "synthetic"
        reply = http.post(base + "fault", json={"kind": "gap", "symbol": "BTCUSDT"})
        assert reply.json()["ok"] is True
        bad = http.post(base + "fault", json={"kind": "nothing"})
        assert bad.status_code == 400 and "gap" in bad.json()["error"]
        assert http.post(base + "scenario", json={"kind": "spoof", "symbol": "SOLUSDT"}).json()["ok"] is True
        truth = http.get(base + "truth").json()
        assert [row["kind"] for row in truth][-2:] == ["gap", "spoof"]
        assert truth[-1]["symbol"] == "SOLUSDT" and truth[-1]["end_ms"] is None


def test_disconnect_and_half_open_on_real_sockets(venue: VenueServer) -> None:
    def order(body: dict[str, Any]) -> None:
        assert requests.post(venue.addresses["control"] + "/venue/fault", json=body, timeout=WAIT_S).json()["ok"]

    async def scene() -> None:
        async with Sockets() as sockets:
            _, dead = await connect(sockets, venue, "tickers.BTCUSDT")
            transport, mute = await connect(sockets, venue, "tickers.XRPUSDT")
            await asyncio.to_thread(order, {"kind": "half_open", "symbol": "XRPUSDT"})
            while not mute.frames.empty():
                mute.frames.get_nowait()
            transport.send(WSMsgType.TEXT, b'{"op":"ping"}')
            await asyncio.to_thread(order, {"kind": "disconnect", "symbol": "BTCUSDT"})
            await asyncio.wait_for(dead.closed.wait(), WAIT_S)
            assert not mute.closed.is_set() and mute.frames.empty()

    asyncio.run(scene())


def test_rest_answers_while_the_market_runs(venue: VenueServer) -> None:
    """Many threads at once: every book is whole and uncrossed."""
    bad: list[str] = []

    def reader() -> None:
        with requests.Session() as http:
            for _ in range(15):
                reply = http.get(venue.addresses["rest"] + "/v5/market/orderbook",
                                 params={"category": "linear", "symbol": "BTCUSDT", "limit": "200"}, timeout=WAIT_S)
                book = reply.json()["result"]
                if len(book["b"]) != 200 or float(book["b"][0][0]) >= float(book["a"][0][0]):
                    bad.append(reply.text[:200])

    threads = [threading.Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad
