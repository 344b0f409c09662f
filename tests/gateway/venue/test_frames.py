"""Every frame in the shape of the real recordings: key order, types, spelling of numbers."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from typing import Any

import pytest

from gateway.venue.streams import KIND_KLINE, KIND_LIQUIDATION, KIND_TICKERS, KIND_TRADES, KINDS, TICKER_FIELDS
from tests.gateway.venue.running import new_exchange, run_virtual, snapshot_of
from tests.reference.venue import compact, trade_frame
from tests.shared_data import fixture, recording


def shape(value: Any) -> Any:
    """Keys in order and types; of a list the shape of its first item."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@cache
def real_frames() -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    with gzip.open(recording("bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz")) as lines:
        for line in lines:
            message = json.loads(line.split(b" ", 1)[1])
            if "topic" in message:
                found.setdefault((message["topic"].rpartition(".")[0], message.get("type", "")), []).append(message)
    return found


@pytest.fixture(scope="module")
def frames() -> dict[tuple[str, str], list[bytes]]:
    """A minute and a half of everything, by topic kind and type."""
    exchange = new_exchange(4, rate=2.0)
    found: dict[tuple[str, str], list[bytes]] = {}
    for row in range(4):
        for kind in range(KINDS):
            exchange.activate((kind, row))
            frame = exchange.snapshot((kind, row))
            if frame is not None:
                body = frame[2 if frame[1] < 126 else 4 if frame[1] == 126 else 10:]
                message = json.loads(body)
                found.setdefault((message["topic"].rpartition(".")[0], message["type"]), []).append(body)
    exchange.market.symbols[2].drift = 0.004  # something to be liquidated for
    for _, _, body in run_virtual(exchange, 90):
        message = json.loads(body)
        found.setdefault((message["topic"].rpartition(".")[0], message["type"]), []).append(body)
    return found


def test_text_is_what_json_would_write(frames: dict[tuple[str, str], list[bytes]]) -> None:
    for bodies in frames.values():
        for body in bodies[:200]:
            assert compact(json.loads(body)) == body


@pytest.mark.parametrize(("kind", "type_"), [
    ("orderbook.200", "snapshot"), ("orderbook.200", "delta"), ("publicTrade", "snapshot"),
    ("tickers", "snapshot"), ("kline.1", "snapshot"),
])
def test_shape_equals_the_recording(frames: dict[tuple[str, str], list[bytes]], kind: str, type_: str) -> None:
    real = shape(next(m for m in real_frames()[(kind, type_)] if all(m["data"].get(k, 1) for k in "ba")
                      ) if kind.startswith("orderbook") else real_frames()[(kind, type_)][0])
    ours = [json.loads(body) for body in frames[(kind, type_)]]
    full = [m for m in ours if not kind.startswith("orderbook") or (m["data"]["b"] and m["data"]["a"])]
    assert full
    for message in full[:200]:
        assert shape(message) == real


def test_other_depths_have_the_shape_of_200(frames: dict[tuple[str, str], list[bytes]]) -> None:
    for depth in (50, 1000):
        for body in frames[(f"orderbook.{depth}", "delta")][:50]:
            message = json.loads(body)
            assert list(message) == ["topic", "type", "ts", "data", "cts"]
            assert list(message["data"]) == ["s", "b", "a", "u", "seq"]


def test_level_1_has_ts_before_type_and_is_always_a_snapshot(frames: dict[tuple[str, str], list[bytes]]) -> None:
    assert ("orderbook.1", "delta") not in frames
    for body in frames[("orderbook.1", "snapshot")][:200]:
        message = json.loads(body)
        assert list(message) == ["topic", "ts", "type", "data", "cts"]
        assert len(message["data"]["b"]) == len(message["data"]["a"]) == 1


def test_ticker_deltas_keep_the_order_and_pairs_of_the_wire(frames: dict[tuple[str, str], list[bytes]]) -> None:
    order = ["symbol", *(f for f in TICKER_FIELDS if not f.startswith("single")),
             "singleOpenInterest", "singleOpenInterestValue"]
    real = {key for m in real_frames()[("tickers", "delta")] for key in m["data"]}
    assert real <= set(order)
    for message in (*real_frames()[("tickers", "delta")], *map(json.loads, frames[("tickers", "delta")])):
        keys = list(message["data"])
        # The recording once put prevPrice24h behind price24hPcnt; that is the order of the snapshot too.
        assert keys == sorted(keys, key=order.index)
        assert ("bid1Price" in keys) == ("bid1Size" in keys)
        assert ("ask1Price" in keys) == ("ask1Size" in keys)
        assert ("markPrice" in keys) <= ("openInterestValue" in keys)
        assert list(message) == ["topic", "type", "data", "cs", "ts"]


def test_numbers_are_spelled_as_on_the_wire(frames: dict[tuple[str, str], list[bytes]]) -> None:
    ticker = next(json.loads(b) for b in frames[("tickers", "snapshot")] if b"tickers.BTCUSDT" in b)["data"]
    real = next(m for m in real_frames()[("tickers", "snapshot")] if m["topic"] == "tickers.BTCUSDT")["data"]
    for field, text in real.items():
        if re.fullmatch(r"-?\d+\.\d+", text) and field not in ("fundingCap", "fundingRate"):
            decimals = len(text.partition(".")[2])
            assert len(ticker[field].partition(".")[2]) == decimals, field
        elif text == "":
            assert ticker[field] == ""
    book = next(json.loads(b) for b in frames[("orderbook.200", "snapshot")] if b"200.BTCUSDT" in b)["data"]
    assert all(re.fullmatch(r"\d+\.\d0", price) and re.fullmatch(r"\d+\.\d{3}", size) for price, size in book["b"])
    kline = [json.loads(b)["data"][0] for b in frames[("kline.1", "snapshot")]]
    assert all(not bar[k].endswith("0") or "." not in bar[k] for bar in kline for k in ("open", "volume", "turnover"))


def test_liquidations_have_the_documented_shape(frames: dict[tuple[str, str], list[bytes]]) -> None:
    lines = fixture("docs_examples/bybit_docs_json_examples.jsonl").read_text().splitlines()
    real = next(row["json"] for row in map(json.loads, lines) if row["page"].endswith("all-liquidation.mdx")
                and "topic" in row["json"])
    found = frames[("allLiquidation", "snapshot")]
    assert found
    for body in found:
        assert shape(json.loads(body)) == shape(real)


def test_trade_frames_equal_the_naive_twin() -> None:
    exchange = new_exchange(3, rate=3.0)
    seen = 0
    for row in range(3):
        exchange.activate((KIND_TRADES, row))
    sent = [0, 0, 0]
    for now_ms, (_, row), body in run_virtual(exchange, 20):
        assert body == trade_frame(exchange, row, sent[row], now_ms)
        sent[row] = int(exchange.market.symbols[row].trade_head)
        seen += 1
    assert seen > 50


def test_closing_kline_frame_holds_two_candles() -> None:
    exchange = new_exchange(2)
    exchange.activate((KIND_KLINE, 0))
    closing = [m for m in (json.loads(b) for _, _, b in run_virtual(exchange, 90)) if len(m["data"]) == 2]
    assert len(closing) == 2  # 37 s + 90 s crosses two minutes
    for message in closing:
        old, new = message["data"]
        assert old["confirm"] is True and new["confirm"] is False
        assert old["end"] + 1 == new["start"] and new["start"] % 60_000 == 0
        assert new["open"] == old["close"]
        assert 0 <= message["ts"] - new["start"] <= 1000


def test_first_frames_of_a_topic() -> None:
    exchange = new_exchange(2)
    assert snapshot_of(exchange, (0, 0))["type"] == "snapshot"
    assert snapshot_of(exchange, (KIND_TICKERS, 0))["data"]["symbol"] == "BTCUSDT"
    for kind in (KIND_TRADES, KIND_LIQUIDATION, KIND_KLINE):
        assert exchange.snapshot((kind, 0)) is None
