"""Risk limits, funding history, open interest: shapes of the documentation, pages, windows, errors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.venue.rest import make_app
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.private_fixtures import docs_rows
from tests.gateway.venue.running import START_MS, new_exchange

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def feed() -> SyntheticFeed:
    exchange = new_exchange(40, seed=4)
    exchange.settled[0] = [(START_MS // (8 * HOUR_MS) * 8 * HOUR_MS, 54_321)]
    return SyntheticFeed(exchange)


@pytest.fixture(scope="module")
def http(feed: SyntheticFeed) -> FlaskClient:
    return make_app(feed.answers(), {}, lambda function: function()).test_client()


def call(http: FlaskClient, path: str, **params: Any) -> dict[str, Any]:
    reply = http.get(f"/v5/market/{path}", query_string={"category": "linear", **params})
    assert reply.status_code == 200
    found: dict[str, Any] = reply.get_json()
    return found


def good(http: FlaskClient, path: str, **params: Any) -> dict[str, Any]:
    found = call(http, path, **params)
    assert found["retCode"] == 0, found
    result: dict[str, Any] = found["result"]
    return result


def test_risk_limit_of_a_symbol(http: FlaskClient) -> None:
    rows = good(http, "risk-limit", symbol="BTCUSDT")["list"]
    theirs = docs_rows("market/risk-limit.mdx")[0]
    assert {name: type(value) for name, value in rows[0].items()} == {name: type(value) for name, value in theirs.items()}
    first = rows[0]
    assert (first["riskLimitValue"], first["maintenanceMargin"], first["initialMargin"], first["maxLeverage"]) == (
        "2000000", "0.005", "0.01", "100.00",
    )
    assert [row["isLowestRisk"] for row in rows] == [1] + [0] * (len(rows) - 1)
    for low, high in pairwise(rows):
        assert float(low["riskLimitValue"]) < float(high["riskLimitValue"])
        assert float(low["maintenanceMargin"]) < float(high["maintenanceMargin"])
        at = float(low["riskLimitValue"])
        margins = [at * float(r["maintenanceMargin"]) - float(r["mmDeduction"] or 0) for r in (low, high)]
        assert margins[0] == pytest.approx(margins[1], rel=1e-9), "a step of a tier never jumps"


def test_risk_limit_pages(http: FlaskClient) -> None:
    seen: list[str] = []
    cursor = ""
    for _ in range(4):
        page = good(http, "risk-limit", cursor=cursor)
        names = list(dict.fromkeys(row["symbol"] for row in page["list"]))
        assert len(names) <= 15
        seen += names
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert seen == sorted(seen) and len(seen) == 40


def test_funding_history(http: FlaskClient) -> None:
    rows = good(http, "funding/history", symbol="BTCUSDT")["list"]
    assert len(rows) == 200
    assert set(rows[0]) == set(docs_rows("market/history-fund-rate.mdx")[0])
    times = [int(row["fundingRateTimestamp"]) for row in rows]
    assert times[0] <= START_MS and {a - b for a, b in pairwise(times)} == {8 * HOUR_MS}
    assert all(time % (8 * HOUR_MS) == 0 for time in times)
    assert rows[0]["fundingRate"] == "0.00054321", "what was really settled"
    assert all(abs(float(row["fundingRate"])) <= 0.005 for row in rows)
    older = good(http, "funding/history", symbol="BTCUSDT", endTime=times[10])["list"]
    assert older[0] == rows[10]
    part = good(http, "funding/history", symbol="BTCUSDT", startTime=times[3], endTime=times[1])["list"]
    assert part == rows[1:4]
    assert len(good(http, "funding/history", symbol="BTCUSDT", limit=7)["list"]) == 7


def test_open_interest(http: FlaskClient) -> None:
    page = good(http, "open-interest", symbol="ETHUSDT", intervalTime="1h", limit=30)
    assert {name: type(v) for name, v in page["list"][0].items()} == {
        name: type(v) for name, v in docs_rows("market/open-interest.mdx")[0].items()
    }
    times = [int(row["timestamp"]) for row in page["list"]]
    assert {a - b for a, b in pairwise(times)} == {HOUR_MS} and times[0] <= START_MS
    following = good(http, "open-interest", symbol="ETHUSDT", intervalTime="1h", limit=30, cursor=page["nextPageCursor"])
    assert int(following["list"][0]["timestamp"]) == times[-1] - HOUR_MS
    for row in page["list"]:
        assert float(row["openInterest"]) == pytest.approx(2 * float(row["singleOpenInterest"]))


@pytest.mark.parametrize(("path", "params", "text"), [
    ("funding/history", {"symbol": "BTCUSDT", "startTime": "5"}, "params error: endTime is required when startTime is given"),
    ("funding/history", {}, "params error: Missing some parameters that must be filled in, symbol"),
    ("funding/history", {"symbol": "NOPE"}, "params error: symbol invalid NOPE"),
    ("funding/history", {"symbol": "BTCUSDT", "limit": "x"}, "params error: limit invalid"),
    ("open-interest", {"symbol": "BTCUSDT", "intervalTime": "2h"}, "params error: intervalTime invalid"),
    ("risk-limit", {"category": "spot"}, "Illegal category"), ("risk-limit", {"cursor": "x"}, "params error: cursor invalid"),
])
def test_errors(http: FlaskClient, path: str, params: dict[str, str], text: str) -> None:
    found = call(http, path, **params)
    assert (found["retCode"], found["retMsg"]) == (10001, text)


def test_real_settlements_are_recorded(feed: SyntheticFeed) -> None:
    """Each funding instant that passes is noted with the rate of that moment."""
    exchange = new_exchange(3, seed=4, start_ms=(START_MS // (8 * HOUR_MS) + 1) * 8 * HOUR_MS - 500)
    instant = exchange.start_ms + 500
    while exchange.now_ms < instant + 1500:
        exchange.step(exchange.now_ms + 10)
    for row in range(3):
        assert [at for at, _rate in exchange.settled[row]] == [instant]
        assert exchange.settled[row][0][1] == int(exchange.market.symbols[row].funding_e8)
