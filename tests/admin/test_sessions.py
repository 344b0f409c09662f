"""Sessions over REST in the owner's shapes: the running system and backtests beside it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from admin import sessions as sessions_module
from admin.server import AdminServer
from config.latch_file import read_latch
from core.enums import ControlBits
from tests.admin.conftest import Browser

FAKE = """
import json, sys, time
arguments = sys.argv[2:]
if "--hang" in " ".join(arguments):
    time.sleep(600)
if "thresholds.bad=1" in arguments:
    sys.exit("E3 config: no such setting")
print(json.dumps({"arguments": arguments, "net_usdt": 1.5}))
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A launch.py that says what it was asked."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "launch.py").write_text(FAKE)
    monkeypatch.setattr(sessions_module, "ROOT", root)
    return root


def current(browser: Browser) -> dict[str, Any]:
    return browser.get("/api/sessions/current").json["result"]


def until(browser: Browser, session_id: str, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = next(row for row in current(browser)["backtests"] if row["session_id"] == session_id)
        if row["status"] == status:
            return row
        assert row["status"] == "RUNNING", row
        time.sleep(0.01)
    raise AssertionError(f"{session_id} did not become {status}")


def test_the_running_system_is_a_session_that_pauses_and_starts(admin: AdminServer, browser: Browser) -> None:
    now = current(browser)["trading"]
    assert (now["session_type"], now["status"], now["session_id"]) == ("paper", "RUNNING", admin.plant.spec.run_id)
    again = browser.post("/api/sessions/start", {"session_type": "paper"})
    assert again.status_code == 409 and again.json["ok"] is False and "is running" in again.json["error"]
    paused = browser.post("/api/sessions/pause").json
    assert (paused["ok"], paused["success"], paused["status"], paused["session_id"]) == (True, True, "PAUSED", now["session_id"])
    assert admin.plant.control.bits() == ControlBits.PAUSE
    started = browser.post("/api/sessions/start", {"session_type": "paper", "symbols": "ALL", "strategy_config": {}}).json
    assert started["status"] == "RUNNING" and started["symbols"] == now["symbols"] and started["timestamp"] > 0
    assert int(admin.plant.control.bits()) == 0 and read_latch(admin.paths.pause_file) is None


def test_what_a_running_session_cannot_change_is_refused_with_the_way_to_do_it(browser: Browser) -> None:
    for content, word, hint in (
        ({"session_type": "live"}, "paper session", "--mode LIVE"),
        ({"session_type": "paper", "symbols": ["BTCUSDT"]}, "chosen at the start", "--symbols"),
        ({"session_type": "paper", "strategy_config": {"settings": {"a": 1}}}, "files", "reload"),
    ):
        browser.post("/api/sessions/pause")
        answer = browser.post("/api/sessions/start", content)
        assert answer.status_code == 409 and word in answer.json["error"] and hint in answer.json["retExtInfo"]["hint"]
    for content in ({}, {"session_type": "demo"}, {"session_type": "paper", "what": 1}, {"session_type": "paper", "symbols": [1]},
                    {"session_type": "paper", "strategy_config": []}):
        assert browser.post("/api/sessions/start", content).status_code == 400


def test_stop_also_closes_and_stays_stopped(
    admin: AdminServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(self: object, kind: object, **fields: object) -> object:
        from core.orders.command_words import Answer

        asked.append((kind, fields))
        return Answer(1, ok=True)

    monkeypatch.setattr("admin.commands.CommandClient.ask", ask)
    browser.post("/api/sessions/pause")
    answer = browser.post("/api/sessions/stop").json
    open_now = [row["symbol"] for row in browser.get("/api/positions").json["positions"]]
    assert answer["status"] == "STOPPED" and answer["result"]["closing"] == open_now and len(asked) == len(open_now) > 0
    assert read_latch(admin.paths.pause_file)["reason"].startswith("session stopped by")  # type: ignore[index]
    assert browser.post("/api/sessions/resume").json["status"] == "RUNNING"


def test_a_backtest_session_runs_beside(admin: AdminServer, browser: Browser, programs: Path) -> None:
    tape = admin.paths.data_dir / "tapes" / "a.frames"
    tape.parent.mkdir(parents=True)
    tape.write_text("x")
    config = {"settings": {"thresholds.score.arm": [60.0, 60.0], "trading.note": "a b"}, "tapes": ["tapes/a.frames"],
              "from": 1000, "to": 2000}
    answer = browser.post("/api/sessions/start", {"session_type": "backtest", "symbols": ["btcusdt"], "strategy_config": config})
    assert answer.status_code == 200 and answer.json["status"] == "RUNNING" and answer.json["symbols"] == ["BTCUSDT"]
    row = until(browser, answer.json["session_id"], "STOPPED")
    given = row["result"]["arguments"]
    assert given[given.index("--tape") + 1] == str(tape) and given[given.index("--from") + 1] == "1000000000"
    assert "thresholds.score.arm=[60.0,60.0]" in given and 'trading.note="a b"' in given
    assert given[-2:] == ["--symbols", "BTCUSDT"] and row["result"]["net_usdt"] == 1.5 and row["ended_ts"] >= row["started_ts"]


def test_a_backtest_that_fails_says_why(browser: Browser, programs: Path) -> None:
    config = {"settings": {"thresholds.bad": 1}}
    answer = browser.post("/api/sessions/start", {"session_type": "backtest", "strategy_config": config})
    row = until(browser, answer.json["session_id"], "ERROR")
    assert "no such setting" in row["error"] and row["result"] is None


def test_one_backtest_at_a_time_and_it_can_be_stopped(admin: AdminServer, browser: Browser, programs: Path) -> None:
    content = {"session_type": "backtest", "strategy_config": {"settings": {"x": "--hang"}}}
    first = browser.post("/api/sessions/start", content).json["session_id"]
    busy = browser.post("/api/sessions/start", content)
    assert busy.status_code == 409 and first in busy.json["error"]
    assert browser.post("/api/sessions/pause", {"session_id": first}).status_code == 409
    assert browser.post("/api/sessions/stop", {"session_id": "nobody"}).status_code == 404
    assert browser.post("/api/sessions/stop", {"session_id": first}).json["status"] == "STOPPED"
    second = browser.post("/api/sessions/start", content).json["session_id"]
    admin.views.backtest_runs.close()
    assert until(browser, second, "STOPPED")["error"] == ""


@pytest.mark.parametrize("config", [
    {"what": 1}, {"tapes": "x"}, {"tapes": ["../../etc/passwd"]}, {"tapes": ["/etc/passwd"]}, {"from": "yesterday"},
    {"settings": {"--html=/tmp/x": 1}}, {"settings": []}, {"to": -5},
])
def test_a_backtest_reads_only_the_data_folder_and_takes_no_other_arguments(
    browser: Browser, programs: Path, config: dict[str, Any]
) -> None:
    answer = browser.post("/api/sessions/start", {"session_type": "backtest", "strategy_config": config})
    assert answer.status_code == 400 and "strategy_config" in answer.json["retExtInfo"]["hint"]
    assert current(browser)["backtests"] == []
