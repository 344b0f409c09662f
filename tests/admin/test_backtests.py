"""Kept backtests over REST: the list, one, two side by side, the report, files to take away."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from config.paths import DataPaths
from core.performance.figures import Point, performance
from core.performance.trades import Trade
from shm.database.connect import database_url, writer
from shm.database.migrate import upgrade
from shm.database.tables import backtest_results
from tests.admin.conftest import Browser

E8 = 100_000_000
T0 = 1_795_256_435 * 10**9
DIGEST = "0123456789abcdef"


def made_trade(number: int, net_usdt: int) -> Trade:
    at = T0 + number * 60 * 10**9
    return Trade("bt", number, "BTCUSDT", 1, at, at + 10**10, 100 * E8, net_usdt * E8 + E8 // 10, E8 // 10, 0, net_usdt * E8,
                 risk_e8=E8, close_reason="TARGET", move_type="pump", quantity="0.001", entry_price="100000", exit_price="100100")


def keep(paths: DataPaths, name: str, trades: list[Trade], created_ns: int, **changes: Any) -> None:
    curve = [Point(T0, 1000 * E8), *(Point(t.closed_ns, 1000 * E8 + sum(o.net_e8 for o in trades[: k + 1]))
                                     for k, t in enumerate(trades))]
    figures = performance(trades, 1000 * E8, curve, 0)
    engine = writer(database_url(paths), paths.mode)
    upgrade(engine, paths.mode)
    with engine.begin() as connection:
        connection.execute(insert(backtest_results), {
            "name": name, "input": "a.frames.zst", "parameters": {"thresholds.signal.ttl_s": 45.0}, "settings_digest": DIGEST,
            "created_ns": created_ns, "from_ns": T0, "to_ns": T0 + 10**12, "trade_count": len(trades),
            "net_pnl_e8": sum(t.net_e8 for t in trades), "decision_digest": "d" * 16,
            "equity_curve": [list(point) for point in curve], "trades": [t._asdict() for t in trades], "report": figures,
        } | changes)
    engine.dispose()


@pytest.fixture
def kept(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataPaths:
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    paths = DataPaths(tmp_path / "data", "SIM")
    now = time.time_ns()
    keep(paths, "first", [made_trade(k, net) for k, net in enumerate((2, -1, 3))], now)
    keep(paths, "second", [made_trade(k, net) for k, net in ((0, 2), (2, 1), (5, -2))], now + 10**9,
         parameters={"thresholds.signal.ttl_s": 30.0}, decision_digest="e" * 16)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
    folder = paths.mode_dir / "backtests" / f"{stamp}-{DIGEST}-1f"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<!doctype html><style>p{color:red}</style><p>the report</p>")
    return paths


def test_list_newest_first_with_cursor_and_without_what_is_heavy(kept: DataPaths, browser: Browser) -> None:
    first = browser.get("/api/backtests/history?limit=1").json["result"]
    assert [row["name"] for row in first["list"]] == ["second"] and first["nextPageCursor"]
    rest = browser.get(f"/api/backtests/history?cursor={first['nextPageCursor']}").json["result"]
    assert [row["name"] for row in rest["list"]] == ["first"] and not rest["nextPageCursor"]
    row = rest["list"][0]
    assert row["net_pnl_usdt"] == "4.00000000" and row["trade_count"] == 3 and not {"trades", "equity_curve", "report"} & set(row)


def test_one_backtest_has_figures_groups_curve_and_trades(kept: DataPaths, browser: Browser) -> None:
    one = browser.get("/api/backtests/1").json["result"]
    assert one["name"] == "first" and one["figures"]["net_usdt"] == 4.0 and one["has_report"]
    assert [trade["net_usdt"] for trade in one["trades"]] == ["2.00000000", "-1.00000000", "3.00000000"]
    assert one["equity"][-1][1] == 1004.0 and one["groups"]["move_type"][0]["key"] == "pump"
    assert browser.get("/api/backtests/9").status_code == 404


def test_two_side_by_side(kept: DataPaths, browser: Browser) -> None:
    found = browser.get("/api/backtests/compare?a=1&b=2").json["result"]
    assert (found["both"], found["only_a"], found["only_b"]) == (2, 1, 1)
    assert found["same_input"] and not found["same_decisions"]
    assert found["settings"] == [{"name": "thresholds.signal.ttl_s", "a": 45.0, "b": 30.0}]
    net = next(row for row in found["figures"] if row["figure"] == "net_usdt")
    assert (net["a"], net["b"], net["difference"]) == (4.0, 1.0, -3.0)
    assert [pair["difference_usdt"] for pair in found["pairs"]] == ["0.00000000", "1.00000000", "-2.00000000", "-2.00000000"]
    assert browser.get("/api/backtests/compare?a=1&b=7").status_code == 404
    assert browser.get("/api/backtests/compare?a=1&b=x").status_code == 400


def test_the_report_opens_and_may_do_nothing(kept: DataPaths, browser: Browser) -> None:
    answer = browser.get("/api/backtests/1/report")
    assert answer.status_code == 200 and "the report" in answer.text and answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy and "script" not in policy and policy.startswith("default-src 'none'")
    assert browser.get("/api/backtests/77/report").status_code == 404


@pytest.mark.parametrize("name", ["backtests", "orders", "sessions"])
def test_parquet_holds_the_rows_of_the_list(kept: DataPaths, browser: Browser, name: str) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    answer = browser.get(f"/api/{name}/history.parquet")
    assert answer.status_code == 200 and f"scalper-{name}.parquet" in answer.headers["Content-Disposition"]
    table = pq.read_table(io.BytesIO(answer.data))
    rows = browser.get(f"/api/{name}/history?limit=500").json["result"]["list"]
    assert table.num_rows == len(rows)
    if name == "backtests":
        assert [str(value) for value in table["net_pnl_usdt"].to_pylist()] == [row["net_pnl_usdt"] for row in rows]
        assert table["created"].type.tz == "UTC" and table["name"].to_pylist() == ["second", "first"]


def test_without_pyarrow_the_answer_names_the_other_way(
    kept: DataPaths, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    answer = browser.get("/api/orders/history.parquet")
    assert answer.status_code == 503 and "history.csv" in answer.json["retExtInfo"]["hint"]
