"""Tapes behind the venue: verbatim frames, pace, late subscribers, guessed instruments."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from gateway.venue.errors import VenueError
from gateway.venue.hub import Counters, Hub
from gateway.venue.tape_feed import SETTLE_MS, TapeFeed, topic_of
from tests.gateway.venue.running import FakeTransport, split_frames
from tests.reference.venue import ClientBook
from tests.shared_data import recording

REAL = "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz"
KINDS = ("orderbook.200", "publicTrade", "tickers", "kline.1")
T0 = 1_800_000_000_000


def real_lines() -> list[tuple[int, bytes]]:
    with gzip.open(recording(REAL)) as file:
        rows = [line.rstrip(b"\n").split(b" ", 1) for line in file]
    return [(int(at), frame) for at, frame in rows]


class Player:
    """A tape feed on a hub in virtual time."""

    def __init__(self, *paths: Path, speed: str = "max", instruments: Path | None = None) -> None:
        self.feed = TapeFeed(list(paths), speed, instruments)
        self.hub = Hub(self.feed, Counters())
        self.feed.hub = self.hub
        self.now_ms = T0

    def join(self, *topics: str) -> FakeTransport:
        transport = FakeTransport()
        client = self.hub.connect(transport)
        self.hub.request(client, json.dumps({"op": "subscribe", "args": list(topics)}).encode())
        assert transport.messages()[0]["success"] is True, transport.messages()
        return transport

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 100)):
            self.now_ms += 10
            self.hub.now_ms = self.now_ms
            self.hub.publish(self.feed.advance(self.now_ms))
            self.hub.flush_all()


def frames_after_acks(transport: FakeTransport) -> list[bytes]:
    return [f for f in split_frames(b"".join(transport.written)) if b'"topic"' in f]


def test_every_frame_is_sent_verbatim_and_in_order() -> None:
    player = Player(recording(REAL))
    topics = [f"{kind}.{symbol}" for kind in KINDS for symbol in ("BTCUSDT", "DOGEUSDT")]
    transport = player.join(*topics)
    player.run(1.0)
    wanted = [frame for _, frame in sorted(real_lines(), key=lambda row: row[0]) if b'"topic"' in frame]
    assert frames_after_acks(transport) == wanted
    status = player.feed.status()
    assert status["finished"] and status["frames_played"] == status["frames_total"] == 1227
    assert status["frames_without_topic"] == 17 and status["unreadable"] == 0


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_pace(speed: float) -> None:
    player = Player(recording(REAL), speed=str(speed))
    transport = player.join("publicTrade.BTCUSDT", "orderbook.200.BTCUSDT")
    player.run(SETTLE_MS / 1000)
    assert player.feed.frames_played == 0, "it waits for subscribers to settle"
    player.run(5.0)
    times = [at for at, _ in real_lines()]
    due = sum(at <= min(times) + 5e9 * speed for at in times)
    assert abs(player.feed.frames_played - due) <= 12
    assert len(frames_after_acks(transport)) < player.feed.frames_played


def test_nothing_moves_before_somebody_listens() -> None:
    player = Player(recording(REAL))
    player.run(3.0)
    assert player.feed.frames_played == 0


def test_a_late_subscriber_gets_the_book_so_far() -> None:
    player = Player(recording(REAL), speed="1")
    topic = "orderbook.200.BTCUSDT"
    early = player.join(topic, "tickers.BTCUSDT")
    player.run(12.0)
    late = player.join(topic, "tickers.BTCUSDT")
    player.run(12.0)
    books: list[ClientBook] = []
    tickers: list[dict[str, Any]] = []
    for transport in (early, late):
        book, ticker = ClientBook(200), {}
        for message in transport.messages()[1:]:
            if message["topic"] == topic:
                book.apply(message)
            else:
                ticker.update(message["data"])
        books.append(book)
        tickers.append(ticker)
    assert books[0].levels() == books[1].levels()
    assert books[0].u == books[1].u
    assert tickers[0] == tickers[1]
    assert late.messages()[1]["type"] == "snapshot"
    assert books[1].frames < books[0].frames


def test_rest_of_a_tape() -> None:
    player = Player(recording(REAL))
    player.join(*(f"{kind}.BTCUSDT" for kind in KINDS))
    player.run(1.0)
    answers = player.feed.answers()
    query = {"category": "linear", "symbol": "BTCUSDT"}
    rows = answers["instruments-info"]({"category": "linear"})["list"]
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "DOGEUSDT"]
    assert rows[1]["priceFilter"]["tickSize"] == "0.00001" and rows[1]["lotSizeFilter"]["qtyStep"] == "1"
    assert len(answers["orderbook"]({**query, "limit": "200"})["b"]) == 200
    assert answers["tickers"](query)["list"][0]["lastPrice"]
    assert answers["recent-trade"]({**query, "limit": "5"})["list"][0]["symbol"] == "BTCUSDT"
    assert len(answers["kline"]({**query, "interval": "1"})["list"]) >= 2


def test_recorded_instruments_are_used_where_given() -> None:
    info = recording("bybit_v5_instruments_info_linear_20260809.json.gz")
    player = Player(recording(REAL), instruments=info)
    row = player.feed.answers()["instruments-info"]({"category": "linear", "symbol": "BTCUSDT"})["list"][0]
    assert row["priceFilter"]["tickSize"] == "0.10" and row["symbolId"] == 5


def test_plain_gz_and_zst_merged_by_time(tmp_path: Path) -> None:
    def line(at: int, symbol: str, k: int) -> bytes:
        body = {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": at // 10**6, "data": [
            {"T": at // 10**6, "s": symbol, "S": "Buy", "v": "1.5", "p": "2.25", "L": "PlusTick", "i": str(k), "BT": False}]}
        return f"{at} {json.dumps(body, separators=(',', ':'))}\n".encode()

    base = 1_786_310_760_000_000_000
    texts = {
        "a.frames": b"".join(line(base + k * 3_000_000, "AUSDT", k) for k in range(50)),
        "b.frames.gz": b"".join(line(base + 1_000_000 + k * 3_000_000, "BUSDT", k) for k in range(50)),
        "c.frames.zst": b"".join(line(base + 2_000_000 + k * 3_000_000, "CUSDT", k) for k in range(50)),
    }
    for name, raw in texts.items():
        packed = gzip.compress(raw) if name.endswith("gz") else raw
        packed = zstandard.compress(raw) if name.endswith("zst") else packed
        (tmp_path / name).write_bytes(packed)
    player = Player(*(tmp_path / name for name in texts))
    transport = player.join("publicTrade.AUSDT", "publicTrade.BUSDT", "publicTrade.CUSDT")
    player.run(1.0)
    assert [m["topic"][-5] for m in transport.messages()[1:]] == list("ABC") * 50


def test_unusable_tapes_say_why(tmp_path: Path) -> None:
    junk = tmp_path / "junk.frames"
    junk.write_text("hello\n")
    for path in (junk, tmp_path / "absent"):
        with pytest.raises(VenueError, match="Fix: "):
            TapeFeed([path], "1")


def test_topic_of() -> None:
    assert topic_of(b'{"topic":"a.b","x":1}') == "a.b"
    assert topic_of(b'{"type":"x", "topic" : "a.b"}') == "a.b"
    assert topic_of(b'{"op":"ping"}') is None
    assert topic_of(b'{"topic":') is None
