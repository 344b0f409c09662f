"""Sessions over REST in the owner's shapes: the running system and backtests beside it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from admin import sessions as sessions_module
from admin.server import AdminServer
from config.latch_file import read_latch
from config.paths import DataPaths
from core.enums import ControlBits
from tests.admin.conftest import Browser
from tests.workers.journal_rig import Rig

FAKE = """
import json, sys, time
from pathlib import Path
arguments = sys.argv[2:]
name = arguments[arguments.index("--name") + 1]
if name == "hang":
    Path(arguments[arguments.index("--progress") + 1]).write_text('{"doing": "backtest", "share": 0.25, "left_s": 9.5}')
    time.sleep(600)
if name == "bad":
    sys.exit("E2 the tape is torn")
print(json.dumps({"arguments": arguments, "net_usdt": 1.5, "id": 7}))
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


def put_tape(admin: AdminServer) -> Path:
    tape = admin.paths.tape_dir / "a.frames"
    tape.parent.mkdir(parents=True)
    tape.write_text("x")
    return tape


def until(
    browser: Browser, session_id: str, status: str, true: Callable[[dict[str, Any]], bool] = lambda row: True
) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        row = next(row for row in current(browser)["backtests"] if row["session_id"] == session_id)
        if row["status"] == status and true(row):
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
    tape = put_tape(admin)
    config = {"settings": {"thresholds.score.arm": [70.0, 70.0, 70.0], "trading.exits.stop_atr": 3}, "tapes": ["tapes/a.frames"],
              "from": 1000, "to": 2000}
    answer = browser.post("/api/sessions/start", {"session_type": "backtest", "symbols": ["btcusdt"], "strategy_config": config})
    assert answer.status_code == 200 and answer.json["status"] == "RUNNING" and answer.json["symbols"] == ["BTCUSDT"]
    row = until(browser, answer.json["session_id"], "STOPPED")
    given = row["result"]["arguments"]
    assert given[given.index("--tape") + 1] == str(tape) and given[given.index("--from") + 1] == "1000000000"
    assert "thresholds.score.arm=[70.0,70.0,70.0]" in given and "trading.exits.stop_atr=3" in given
    assert given[-2:] == ["--symbols", "BTCUSDT"] and row["result"]["id"] == 7 and row["ended_ts"] >= row["started_ts"]
    assert given[given.index("--name") + 1] == row["session_id"]
    line = json.loads(admin.paths.audit_file.read_text().splitlines()[-1])
    assert (line["evt"], line["reason"]) == ("admin.session_start", f"backtest {row['session_id']}")


def test_a_backtest_that_fails_says_why(admin: AdminServer, browser: Browser, programs: Path) -> None:
    put_tape(admin)
    config = {"tapes": ["tapes/a.frames"], "name": "bad"}
    answer = browser.post("/api/sessions/start", {"session_type": "backtest", "strategy_config": config})
    row = until(browser, answer.json["session_id"], "ERROR")
    assert "the tape is torn" in row["error"] and row["result"] is None


def test_one_backtest_at_a_time_and_it_can_be_stopped(admin: AdminServer, browser: Browser, programs: Path) -> None:
    put_tape(admin)
    content = {"session_type": "backtest", "strategy_config": {"tapes": ["tapes/a.frames"], "name": "hang"}}
    first = browser.post("/api/sessions/start", content).json["session_id"]
    busy = browser.post("/api/sessions/start", content)
    assert busy.status_code == 409 and first in busy.json["error"]
    until(browser, first, "RUNNING", lambda row: row["progress"] == {"doing": "backtest", "share": 0.25, "left_s": 9.5})
    assert browser.post("/api/sessions/pause", {"session_id": first}).status_code == 409
    assert browser.post("/api/sessions/stop", {"session_id": "nobody"}).status_code == 404
    assert browser.post("/api/sessions/stop", {"session_id": first}).json["status"] == "STOPPED"
    row = until(browser, first, "STOPPED")
    assert row["was_stopped"] and row["progress"] is None and not list(admin.paths.log_dir.glob("*.progress"))
    second = browser.post("/api/sessions/start", content).json["session_id"]
    admin.views.backtest_runs.close()
    assert until(browser, second, "STOPPED")["error"] == ""


@pytest.mark.parametrize(("field", "word", "config"), [
    ("", "what", {"what": 1}),
    ("source", "list of files", {"tapes": "x"}),
    ("source", "no file in the data folder", {"tapes": ["../../etc/passwd"]}),
    ("source", "no file in the data folder", {"tapes": ["/etc/passwd"]}),
    ("source", "one of them", {"tapes": ["tapes/a.frames"], "run": "20260101T000000-aaaa"}),
    ("source", "no run 20260101T000000-aaaa", {"run": "20260101T000000-aaaa"}),
    ("source", "no run is recorded", {}),
    ("from", "no time", {"tapes": ["tapes/a.frames"], "from": "yesterday"}),
    ("to", "no time", {"tapes": ["tapes/a.frames"], "to": -5}),
    ("from", "begins where it ends", {"tapes": ["tapes/a.frames"], "from": 2000, "to": 2000}),
    ("settings", "neither", {"tapes": ["tapes/a.frames"], "settings": 3}),
    ("settings", "write key=value", {"tapes": ["tapes/a.frames"], "settings": {"--html=/tmp/x": 1}}),
    ("settings", "write key=value", {"tapes": ["tapes/a.frames"], "settings": ["stop_atr"]}),
    ("settings", "Did you mean `stop_atr`", {"tapes": ["tapes/a.frames"], "settings": ["trading.exits.stop_atrr = 3"]}),
    ("settings", "trading.exits.stop_atr", {"tapes": ["tapes/a.frames"], "settings": ["trading.exits.stop_atr=wide"]}),
    ("settings", "watch must be below", {"tapes": ["tapes/a.frames"], "settings": ["thresholds.score.arm=[1, 1, 1]"]}),
    ("name", "at most 60", {"tapes": ["tapes/a.frames"], "name": "x" * 61}),
])
def test_what_cannot_be_run_is_refused_at_its_field_before_anything_starts(
    admin: AdminServer, browser: Browser, programs: Path, field: str, word: str, config: dict[str, Any]
) -> None:
    put_tape(admin)
    answer = browser.post("/api/sessions/start", {"session_type": "backtest", "strategy_config": config})
    assert answer.status_code == 400 and answer.json["field"] == field and word in answer.json["error"], answer.json
    assert answer.json["retExtInfo"]["hint"] and answer.json["success"] is False
    assert current(browser)["backtests"] == []


def test_a_recorded_run_is_a_source_with_its_times_and_brings_its_symbols(
    admin: AdminServer, browser: Browser, programs: Path, tmp_path: Path
) -> None:
    rig = Rig(tmp_path / "other", 2, 1, seconds=3.0)
    try:
        rig.play({})
        rig.close()
        run_id = rig.plant.spec.run_id
    finally:
        rig.destroy()
    shutil.copytree(DataPaths(rig.data_dir, "SIM").journal_dir, admin.paths.journal_dir, dirs_exist_ok=True)
    put_tape(admin)
    sources = browser.get("/api/backtests/sources").json["result"]
    assert [tape["name"] for tape in sources["tapes"]] == ["tapes/a.frames"]
    run, = sources["runs"]
    assert (run["run_id"], run["mode"], run["trouble"], run["is_running"]) == (run_id, "SIM", "", False)
    first = rig.reads[0][0][0] // 10**6
    assert first <= run["from_ts"] <= first + 100 < first + 3_000 <= run["to_ts"]  # its end is written by this machine's clock

    def start(**config: Any) -> Any:
        symbols = config.pop("symbols", [])
        return browser.post("/api/sessions/start", {"session_type": "backtest", "symbols": symbols, "strategy_config": config})

    wrong = (("symbols", {"symbols": ["BTCUSDT"]}), ("from", {"from": run["to_ts"] + 5}), ("to", {"to": run["from_ts"] - 5}))
    for field, config in wrong:
        assert start(run=run_id, **config).json["field"] == field
    answer = start(run=run_id, settings=["trading.exits.stop_atr=3"])
    given = until(browser, answer.json["session_id"], "STOPPED")["result"]["arguments"]
    assert given[given.index("--journal") + 1] == str(admin.paths.journal_dir) and given[given.index("--run") + 1] == run_id
    assert "trading.exits.stop_atr=3" in given
    newest = start().json["session_id"]
    assert until(browser, newest, "STOPPED")["result"]["arguments"].count(run_id) == 1
