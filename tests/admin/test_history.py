"""The past over REST: pages by cursor, filters, CSV, figures, storage; a database that is away is a 503 and nothing more."""

from __future__ import annotations

import csv
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from admin import history as history_module
from admin.history import History, told
from admin.storage import last_retention, storage
from config.paths import DataPaths
from config.schema import Storage
from tests.admin.conftest import Browser
from tests.admin.test_web import HISTORY
from tests.workers.made_runs import SETTINGS, MadeRun
from workers.database_writer import DatabaseWriter
from workers.retention import Retention

T0 = 1_763_640_000_000_000_000


@pytest.fixture
def run(engine, tmp_path, monkeypatch):
    """A made run in the data folder of the admin's plant, taken over."""
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    made = MadeRun(tmp_path / "data", "20251120T120000-aaaa", T0, seed=3)
    for _ in range(150):
        made.step()
    made.end()
    writer = DatabaseWriter(made.paths, SETTINGS, "another")
    assert writer.drain()
    writer.close()
    return made


def rows_of(browser: Browser, path: str) -> tuple[list[dict], str]:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.json["ok"]
    return answer.json["result"]["list"], answer.json["result"]["nextPageCursor"]


def test_orders_in_pages_newest_first(run, browser):
    found, cursor, pages = [], "", 0
    while True:
        rows, cursor = rows_of(browser, f"/api/orders/history?limit=37&cursor={cursor}")
        found += rows
        pages += 1
        if not cursor:
            break
    assert pages == -(-len(found) // 37)
    assert [row["id"] for row in found] == sorted((row["id"] for row in found), reverse=True)
    assert len({row["link_id"] for row in found}) == len(found)
    assert len([row for row in found if row["role"] == "ENTRY"]) == run.broker.orders + run.broker.rejects
    filled = next(row for row in found if row["status"] == "FILLED" and row["role"] == "ENTRY")
    assert isinstance(filled["commission_usdt"], str)
    assert filled["created_ts"] // 1000 >= T0 // 10**9
    assert filled["requested_price"].count(".") == 1
    assert filled["slippage_pct"] is not None


def test_filters_by_symbol_status_and_time(run, browser):
    everything, _ = rows_of(browser, "/api/orders/history?limit=500")
    some, _ = rows_of(browser, "/api/orders/history?limit=500&symbol=btcusdt&status=FILLED")
    assert some == [row for row in everything if row["symbol"] == "BTCUSDT" and row["status"] == "FILLED"]
    middle = everything[len(everything) // 2]["created_ts"]
    early, _ = rows_of(browser, f"/api/orders/history?limit=500&to={middle}")
    late, _ = rows_of(browser, f"/api/orders/history?limit=500&from={middle}")
    assert len(early) + len(late) == len(everything)


def test_signals_and_trades(run, browser):
    signals, _ = rows_of(browser, "/api/signals/history?limit=500")
    assert len(signals) == run.signals
    assert {row["phase"] for row in signals} == {"READY"}
    trades, _ = rows_of(browser, "/api/trades/history?limit=500&status=CLOSED")
    assert len(trades) == run.broker.account.trades_closed
    assert all(row["decision_id"] in run.kept for row in trades)
    assert rows_of(browser, "/api/incidents/history") == ([], "")
    assert rows_of(browser, "/api/audit/history") == ([], "")


def test_csv_has_every_row_and_no_formula(run, browser):
    rows, _ = rows_of(browser, "/api/orders/history?limit=500")
    answer = browser.get("/api/orders/history.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "scalper-orders.csv" in answer.headers["Content-Disposition"]
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["link_id"] for row in read] == [row["link_id"] for row in rows]
    for text in ("=cmd()", "+1+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "\n=1"):
        assert history_module._cell(text) == "'" + text
    assert [history_module._cell(value) for value in ("-12.50000000", "-3", -4, "a-b")] == ["-12.50000000", "-3", -4, "a-b"]
    some = list(csv.DictReader(io.StringIO(browser.get("/api/orders/history.csv?symbol=ETHUSDT").text)))
    assert {row["symbol"] for row in some} == {"ETHUSDT"}


def test_csv_of_nothing_has_its_columns_and_lists_are_json(run, browser):
    some = browser.get("/api/orders/history.csv").text.splitlines()
    assert browser.get("/api/orders/history.csv?symbol=NOPE").text.splitlines() == some[:1]
    (session,) = csv.DictReader(io.StringIO(browser.get("/api/sessions/history.csv").text))
    assert json.loads(session["symbols"]) == sorted(i.name for i in run.broker.instruments.values())


def test_figures_of_a_session_nobody_ran_are_no_figures(run, browser):
    answer = browser.get("/api/performance?session=20991231T000000-none")
    assert (answer.status_code, answer.json["retCode"]) == (404, 10001)
    assert "20991231T000000-none" in answer.json["retMsg"]
    assert browser.get(f"/api/performance?session={run.run_id}").json["result"]["session"] == run.run_id


def test_a_cursor_belongs_to_its_list(run, browser):
    """Lists number their rows by themselves: another one's place would be a page that looks right and is not."""
    cursor = rows_of(browser, "/api/orders/history?limit=1")[1]
    assert rows_of(browser, f"/api/orders/history?limit=1&cursor={cursor}")[0]
    for path in ("/api/signals/history", "/api/orders/recent", "/api/events/recent", "/api/sessions/history"):
        answer = browser.get(f"{path}?cursor={cursor}")
        assert (answer.status_code, answer.json["retCode"]) == (400, 10001)
        assert "is of another list: orders-history" in answer.json["retMsg"]
    assert browser.get("/api/orders/history?cursor=17").status_code == 400


@pytest.mark.parametrize("query", [
    "limit=%C2%B2", "limit=" + 5000 * "9", "cursor=%C2%B2", "limit=-1", "limit=1e9", "limit=0", "limit=501", "limit=x",
    "cursor=-1", "from=yesterday", "colour=red", "cursor=1;x",
    "cursor=orders-history-0", "cursor=orders-history-", "cursor=orders-history-x",
])
def test_bad_questions_are_refused_with_a_hint(run, browser, query):
    answer = browser.get(f"/api/orders/history?{query}")
    assert (answer.status_code, answer.json["retCode"]) == (400, 10001)
    assert answer.json["retExtInfo"]["hint"]


@pytest.mark.parametrize("path", [
    "/api/orders/recent?limit=%C2%B2", "/api/orders/recent?cursor=%C2%B2", "/api/events/recent?cursor=%C2%B2",
    "/api/backtests/compare?a=%C2%B2&b=1", "/api/backtests/99999999999999999999999", "/api/backtests/9999999999999999999/report",
])
def test_digits_of_elsewhere_and_endless_ones_are_refused(run, browser, path):
    assert browser.get(path).status_code in (400, 404)


def test_what_a_filter_says_is_no_sql(run, browser):
    assert rows_of(browser, "/api/orders/history?status=' OR 1=1 --") == ([], "")
    assert len(rows_of(browser, "/api/orders/history?limit=1")[0]) == 1


def test_performance(run, browser):
    answer = browser.get("/api/performance?period=all")
    figures = answer.json["result"]
    account = run.broker.account
    assert (figures["trades"], figures["wins"]) == (account.trades_closed, account.wins)
    assert figures["live"]["trades"] == 0 or figures["live"]["trades"] == account.trades_closed
    assert sum(row["trades"] for row in figures["groups"]["symbol"]) == account.trades_closed
    assert figures["equity"][-1][1] == pytest.approx(1000 + figures["net_usdt"])
    session = browser.get("/api/performance").json["result"]
    assert session["session"] == run.run_id and session["equity"][0][1] == 1000
    assert browser.get("/api/performance?period=day").json["result"]["trades"] == 0
    assert browser.get("/api/performance?period=aeon").status_code == 400


def test_figures_of_many_trades_are_read_page_by_page_and_worked_out_once(run, monkeypatch):
    """No question is long, whatever there is; several who ask at once get the one answer."""
    whole = History(run.paths).performance("all")
    monkeypatch.setattr(history_module, "TRADES_PAGE", 7)
    history = History(run.paths)
    made, real = [], history._performance
    monkeypatch.setattr(history, "_performance", lambda *asked: made.append(asked) or real(*asked))
    with ThreadPoolExecutor(4) as admins:
        answers = list(admins.map(lambda _: history.performance("all"), range(8)))
    assert len(made) == 1 and all(answer is answers[0] for answer in answers)
    same = [name for name in whole if name != "made_ts" and whole[name] == answers[0][name]]
    assert set(same) == set(whole) - {"made_ts"}
    assert history._trades(0, 0, most=10) == history._trades(0, 0)[-10:]


def test_without_a_database_everything_else_goes_on(engine, browser):
    for path in ("/api/orders/history", "/api/orders/history.csv", "/api/performance"):
        answer = browser.get(path)
        assert (answer.status_code, answer.json["retCode"]) == (503, 90006)
        assert "trading goes on" in answer.json["retExtInfo"]["hint"]
    assert browser.get("/api/health").status_code == 200
    assert browser.get("/history").status_code == 200


def test_strangers_see_nothing(run, admin, browser):
    stranger = Browser(admin, login=False)
    for path in HISTORY:
        assert stranger.get(path).status_code == 401
        assert stranger.get(path, Host="evil.example").status_code == 400
        assert browser.post(path).status_code == 405
    assert stranger.get("/history").status_code == 302


def test_a_slow_question_is_ended(run, monkeypatch):
    from shm.database import connect, queries

    monkeypatch.setattr(connect, "READ_TIMEOUT_S", -1.0)
    monkeypatch.setattr(connect, "STEPS", 1)
    with pytest.raises(history_module.HistoryUnavailable, match="took longer"):
        History(run.paths).performance("all")
    assert queries.MAX_PAGE == 500


def test_a_row_is_told_in_words_of_rest():
    row = {"id": 1, "fee_e8": -123, "ts_ns": 5_000_000, "opened_ns": None, "record": {}, "price": "1.50", "x_e8": None}
    assert told(row) == {"id": 1, "fee_usdt": "-0.00000123", "ts": 5, "opened_ts": None, "price": "1.50", "x_usdt": None}


def test_storage_status(run, browser):
    Retention(run.paths, Storage(), run.run_id, clock=lambda: time.time_ns() + 2 * 3600 * 10**9).run()
    with run.paths.retention_log.open("ab") as file:
        file.write(b'{"half')
    status = browser.get("/api/storage/status").json["result"]
    assert status["retention"]["errors"] == []
    assert status["days_left"] > 0
    assert status["database"]["file_bytes"] > 4096
    assert {"journal", "orderbook", "trades_stream", "microcandles", "metrics", "events", "trades_log", "profiles", "system",
            "decisions", "shadow", "calibration"} <= {row["name"] for row in status["folders"]}
    assert next(row for row in status["folders"] if row["name"] == "events")["files"] > 0
    assert "trading.sqlite" in status["database"]["url"]


def test_storage_of_an_empty_folder(tmp_path):
    status = storage(DataPaths(tmp_path / "none", "SIM"), {}, "sqlite://")
    assert (status["retention"], status["days_left"], status["database"]["file_bytes"]) == (None, None, None)
    path = tmp_path / "log"
    path.write_text("[]\nrubbish\n")
    assert last_retention(path) is None
    path.write_text(json.dumps({"ts_ns": 5}) + "\n[]\n")
    assert last_retention(path) == {"ts_ns": 5}


def test_a_replay_tells_nothing_behind_its_cursor(run, monkeypatch):
    everything = History(run.paths).page("orders", {}, 500, None)[0]
    middle = everything[len(everything) // 2]["created_ts"]
    shown = History(run.paths, "", lambda: middle * 1_000_000)
    rows = shown.page("orders", {}, 500, None)[0]
    assert rows == [row for row in everything if row["created_ts"] < middle] and 0 < len(rows) < len(everything)
    assert shown.page("orders", {}, 500, None, to_ms=everything[0]["created_ts"] + 1)[0] == rows
    assert "".join(shown.csv("orders", {})).count("\n") == len(rows) + 1
    whole, part = History(run.paths).performance("session"), shown.performance("session")
    assert part["trades"] < whole["trades"] and part["made_ts"] == middle
    assert all(ts <= middle for ts, _ in part["equity"])
