"""Public REST: envelopes, pages, limits, errors; through Flask's own test client, no socket."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.venue.rest import make_app
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.running import START_MS, new_exchange, run_virtual
from tests.gateway.venue.test_frames import shape
from tests.shared_data import fixture, recording


@pytest.fixture(scope="module")
def feed() -> SyntheticFeed:
    exchange = new_exchange(130, seed=2)
    list(run_virtual(exchange, 80))
    exchange.delist("ADAUSDT")
    return SyntheticFeed(exchange)


@pytest.fixture(scope="module")
def http(feed: SyntheticFeed) -> FlaskClient:
    return make_app(feed.answers(), {}, lambda function: function()).test_client()


def get(http: FlaskClient, path: str, **params: Any) -> dict[str, Any]:
    reply = http.get(f"/v5/market/{path}", query_string=params)
    assert reply.status_code == 200
    found = reply.get_json()
    assert list(found) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
    return found


def good(http: FlaskClient, path: str, **params: Any) -> dict[str, Any]:
    found = get(http, path, category="linear", **params)
    assert (found["retCode"], found["retMsg"]) == (0, "OK")
    return found["result"]


def docs(page: str) -> Any:
    lines = fixture("docs_examples/bybit_docs_json_examples.jsonl").read_text().splitlines()
    return next(row["json"]["result"] for row in map(json.loads, lines) if row["page"].endswith(page)
                and "result" in row["json"])


def test_time(http: FlaskClient) -> None:
    found = get(http, "time")["result"]
    assert found["timeNano"].startswith(found["timeSecond"])


def test_instruments_have_every_field_of_the_real_answer(http: FlaskClient) -> None:
    with gzip.open(recording("bybit_v5_instruments_info_linear_20260809.json.gz")) as file:
        real = {row["symbol"]: row for row in json.load(file)["result"]["list"]}
    for row in good(http, "instruments-info", limit=1000)["list"]:
        assert shape(row) == shape(real["BTCUSDT"])
        known = real.get(row["symbol"])
        if known:
            for part in ("priceFilter", "leverageFilter", "priceScale", "fundingInterval"):
                assert row[part] == known[part], row["symbol"]
            assert row["lotSizeFilter"]["qtyStep"] == known["lotSizeFilter"]["qtyStep"]


def test_instruments_pages(http: FlaskClient) -> None:
    whole = good(http, "instruments-info", limit=1000)
    assert whole["nextPageCursor"] == ""
    names = [row["symbol"] for row in whole["list"]]
    assert names == sorted(names) and len(set(names)) == 129
    seen, cursor = [], ""
    for _ in range(10):
        page = good(http, "instruments-info", limit=40, cursor=cursor)
        seen += [row["symbol"] for row in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert seen == names
    assert "%3D" in good(http, "instruments-info", limit=1)["nextPageCursor"]


def test_instruments_filters(http: FlaskClient) -> None:
    assert [r["symbol"] for r in good(http, "instruments-info", symbol="SOLUSDT")["list"]] == ["SOLUSDT"]
    assert [r["symbol"] for r in good(http, "instruments-info", baseCoin="SOL")["list"]] == ["SOLUSDT"]
    assert [r["symbol"] for r in good(http, "instruments-info", status="Closed")["list"]] == ["ADAUSDT"]
    assert good(http, "instruments-info", status="PreLaunch")["list"] == []


def test_orderbook(http: FlaskClient) -> None:
    assert len(good(http, "orderbook", symbol="BTCUSDT")["b"]) == 25
    full = good(http, "orderbook", symbol="BTCUSDT", limit=1000)
    assert len(full["b"]) == len(full["a"]) == 1000
    assert list(full) == ["s", "b", "a", "ts", "u", "seq", "cts"]
    assert {k: shape(v) for k, v in full.items()} == {k: shape(v) for k, v in docs("market/orderbook.mdx").items()}
    assert float(full["b"][0][0]) < float(full["a"][0][0])
    assert good(http, "orderbook", symbol="BTCUSDT", limit=5000)["b"] == full["b"]


def test_tickers(http: FlaskClient) -> None:
    rows = good(http, "tickers")["list"]
    assert len(rows) == 129
    assert set(rows[0]) == set(docs("market/tickers.mdx")["list"][0])
    one = good(http, "tickers", symbol="ETHUSDT")["list"]
    assert one == [row for row in rows if row["symbol"] == "ETHUSDT"]


@pytest.mark.parametrize(("interval", "length"), [
    ("1", 60_000), ("3", 180_000), ("5", 300_000), ("60", 3_600_000), ("720", 43_200_000), ("D", 86_400_000),
    ("W", 604_800_000), ("M", None),
])
def test_kline(http: FlaskClient, interval: str, length: int | None) -> None:
    rows = good(http, "kline", symbol="ETHUSDT", interval=interval)["list"]
    assert shape(rows) == shape(docs("market/kline.mdx")["list"])
    starts = [int(row[0]) for row in rows]
    assert starts == sorted(starts, reverse=True), "newest first"
    if length:
        assert {a - b for a, b in pairwise(starts)} == {length}
    for _, o, h, low, c, volume, turnover in rows:
        assert float(low) <= min(float(o), float(c)) <= max(float(o), float(c)) <= float(h)
        assert float(volume) >= 0 and float(turnover) >= 0
    if interval in ("1", "60"):
        assert len(rows) == 200
        assert len(good(http, "kline", symbol="ETHUSDT", interval=interval, limit=1000)["list"]) == 1000
        last = int(rows[3][0])
        some = good(http, "kline", symbol="ETHUSDT", interval=interval, start=last, end=int(rows[1][0]))["list"]
        assert some == rows[1:4]


def test_kline_of_the_running_hour_holds_its_minutes(http: FlaskClient) -> None:
    minutes = good(http, "kline", symbol="BTCUSDT", interval="1", limit=120)["list"]
    hour = good(http, "kline", symbol="BTCUSDT", interval="60", limit=1)["list"][0]
    live = [row for row in minutes if int(row[0]) >= max(int(hour[0]), START_MS // 60_000 * 60_000)]
    assert len(live) >= 2
    assert float(hour[2]) >= max(float(row[2]) for row in live)
    assert hour[4] == minutes[0][4]


def test_recent_trade(http: FlaskClient) -> None:
    rows = good(http, "recent-trade", symbol="BTCUSDT", limit=30)["list"]
    assert len(rows) == 30
    assert shape(rows[0]) == shape(docs("market/recent-trade.mdx")["list"][0])
    assert [int(r["seq"]) for r in rows] == sorted((int(r["seq"]) for r in rows), reverse=True)
    assert len(good(http, "recent-trade", symbol="BTCUSDT", limit=1000)["list"]) <= 1000


@pytest.mark.parametrize(("path", "params", "text"), [
    ("tickers", {}, "Illegal category"), ("tickers", {"category": "moon"}, "Illegal category"),
    ("kline", {"symbol": "BTCUSDT", "interval": "1"}, "params error: Category is invalid"),
    ("kline", {"category": "linear", "symbol": "NOPE", "interval": "1"}, "Not supported symbols"),
    ("kline", {"category": "linear", "symbol": "BTCUSDT", "interval": "2"}, "Invalid period!"),
    ("orderbook", {"category": "linear"}, "params error: Missing some parameters that must be filled in, symbol"),
    ("orderbook", {"category": "linear", "symbol": "NOPE"}, "params error: symbol invalid NOPE"),
    ("orderbook", {"category": "linear", "symbol": "BTCUSDT", "limit": "0"}, "params error: limit invalid"),
    ("orderbook", {"category": "linear", "symbol": "BTCUSDT", "limit": "x"}, "params error: limit invalid"),
    ("recent-trade", {"category": "linear", "symbol": "ADAUSDT"}, "params error: symbol invalid ADAUSDT"),
    ("instruments-info", {"category": "linear", "cursor": "zzz"}, "params error: cursor invalid"),
])
def test_bad_parameters(http: FlaskClient, path: str, params: dict[str, str], text: str) -> None:
    found = get(http, path, **params)
    assert (found["retCode"], found["retMsg"], found["result"]) == (10001, text, {})


def test_unknown_paths(http: FlaskClient) -> None:
    for reply in (http.get("/v5/market/moon"), http.get("/v6"), http.post("/v5/market/time"), http.get("/venue/x")):
        assert reply.status_code == 404
        assert reply.get_json()["retCode"] == 10017
