"""The rules of the streams over minutes of virtual time: books, u, seq, intervals, tickers."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from gateway.venue.rest_answers import MarketAnswers
from gateway.venue.streams import DEPTHS, KIND_TICKERS, KIND_TRADES, KINDS, STEP_MS, parse_topic
from tests.gateway.venue.running import new_exchange, run_virtual, snapshot_of
from tests.reference.venue import ClientBook, ladder, payload


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_book_from_the_stream_is_the_book_of_the_market_and_of_rest(seed: int) -> None:
    exchange = new_exchange(3, seed=seed, rate=2.0)
    answers = MarketAnswers(exchange)
    books: dict[tuple[int, int], ClientBook] = {}
    for kind in range(1, len(DEPTHS)):
        for row in range(3):
            books[kind, row] = ClientBook(DEPTHS[kind])
            books[kind, row].apply(snapshot_of(exchange, (kind, row)))
    exchange.market.symbols[1].drift = 0.002
    exchange.market.symbols[2].drift = -0.002
    checked = 0
    for second in range(120):
        for _, key, body in run_virtual(exchange, 1.0):
            books[key].apply(json.loads(body))
        for row in range(3):
            # Phases differ by symbol; a depth is current when nothing changed since its push.
            for kind in range(1, len(DEPTHS)):
                if exchange.streams.version[kind, row] == exchange.market.symbols[row].version:
                    assert books[kind, row].levels() == ladder(exchange, row, DEPTHS[kind])
                    checked += 1
            if second % 10 == 0:
                symbol = exchange.instruments[row].symbol
                rest = answers.orderbook({"category": "linear", "symbol": symbol, "limit": "1000"})
                deep = books[3, row]
                assert [rest["b"], rest["a"]] == list(deep.levels())
                assert (rest["u"], rest["seq"]) == (deep.u, deep.seq)
    assert checked > 100
    assert min(book.frames for book in books.values()) > 50


def test_push_intervals() -> None:
    exchange = new_exchange(3, rate=5.0)
    for kind in range(len(DEPTHS)):
        for row in range(3):
            exchange.activate((kind, row))
    times: dict[tuple[int, int], list[int]] = defaultdict(list)
    for now_ms, key, _ in run_virtual(exchange, 10):
        times[key].append(now_ms)
    for (kind, _), at in times.items():
        assert np.diff(at).min() >= (10, 20, 100, 200)[kind]
    assert np.median(np.diff(times[1, 0])) == 20  # BTC changes all the time
    assert np.median(np.diff(times[3, 0])) == 200


def test_level_1_repeats_its_u_after_three_quiet_seconds() -> None:
    exchange = new_exchange(2)
    s = exchange.market.symbols[1]
    s.taker_rate = s.book_rate = s.jump_rate = s.beta = 0.0  # a market asleep
    first = snapshot_of(exchange, (0, 1))
    list(run_virtual(exchange, 1.0))
    pushes = [(now_ms, json.loads(body)) for now_ms, key, body in run_virtual(exchange, 10) if key == (0, 1)]
    assert len(pushes) == 3
    assert np.diff([now_ms for now_ms, _ in pushes]).tolist() == [3000, 3000]
    assert len({m["data"]["u"] for _, m in pushes}) == 1
    assert pushes[0][1]["data"]["u"] >= first["data"]["u"]
    assert all(m["data"]["b"] == pushes[0][1]["data"]["b"] for _, m in pushes)


def test_level_1_u_counts_changes() -> None:
    exchange = new_exchange(1)
    before = snapshot_of(exchange, (0, 0))
    for _, _, body in run_virtual(exchange, 20):
        message = json.loads(body)
        same = message["data"]["b"] == before["data"]["b"] and message["data"]["a"] == before["data"]["a"]
        assert message["data"]["u"] == before["data"]["u"] + (0 if same else 1)
        before = message


def test_trades_are_in_order_and_agree_with_the_book_clock() -> None:
    exchange = new_exchange(3, rate=3.0)
    for row in range(3):
        exchange.activate((KIND_TRADES, row))
    last: dict[int, tuple[int, int]] = {}
    ids: set[str] = set()
    for now_ms, (_, row), body in run_virtual(exchange, 30):
        message = json.loads(body)
        assert message["ts"] == now_ms
        assert 1 <= len(message["data"]) <= 1024
        for trade in message["data"]:
            at = (trade["T"], trade["seq"])
            assert last.get(row, (0, 0)) <= at
            assert now_ms - STEP_MS < trade["T"] <= now_ms
            assert trade["i"] not in ids
            assert float(trade["v"]) > 0
            last[row] = at
            ids.add(trade["i"])
    assert len(ids) > 100


def test_merged_ticker_deltas_equal_the_ticker_of_rest() -> None:
    exchange = new_exchange(3, rate=2.0)
    merged: list[dict[str, Any]] = [snapshot_of(exchange, (KIND_TICKERS, row))["data"] for row in range(3)]
    cs = [0, 0, 0]
    deltas = 0
    for _, (_, row), body in run_virtual(exchange, 60):
        message = json.loads(body)
        assert message["type"] == "delta" and len(message["data"]) > 1
        assert message["cs"] >= cs[row]
        cs[row] = message["cs"]
        merged[row].update(message["data"])
        deltas += 1
    rest = MarketAnswers(exchange).tickers({"category": "linear"})["list"]
    for row in range(3):
        late = exchange.snapshot((KIND_TICKERS, row))
        assert late is not None
        assert json.loads(payload(late))["data"] == merged[row]
        for name in ("fundingIntervalHour", "nextFundingTime", "fundingCap", "symbol"):
            assert rest[row][name] == merged[row][name]
    assert deltas > 300


def test_a_silent_topic_costs_nothing_and_changes_nothing() -> None:
    heard, unheard = new_exchange(4, seed=9), new_exchange(4, seed=9)
    for kind in range(KINDS):
        for row in range(4):
            heard.activate((kind, row))
    frames = sum(1 for _ in run_virtual(heard, 5))
    assert not list(run_virtual(unheard, 5))
    assert frames > 500
    for name in heard.market._fields:
        assert np.array_equal(getattr(heard.market, name), getattr(unheard.market, name)), name


def test_topics() -> None:
    assert parse_topic("orderbook.50.BTCUSDT") == (1, "BTCUSDT")
    assert parse_topic("kline.D.BTCUSDT") is not None
    for topic in ("orderbook.500.BTCUSDT", "orderbook.BTCUSDT", "kline.2.BTCUSDT", "liquidation.BTCUSDT", "", "tickers."):
        assert parse_topic(topic) is None
    exchange = new_exchange(2)
    assert exchange.find("tickers.BTCUSDT") == (KIND_TICKERS, 0)
    assert exchange.find("tickers.NOPEUSDT") is None
    exchange.delist("ETHUSDT")
    assert exchange.find("tickers.ETHUSDT") is None
