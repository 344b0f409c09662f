"""KILL and its clearing: the word first, the file, the acknowledgements; what a broken disk cannot take away."""

from __future__ import annotations

import json

import pytest

from admin.server import AdminServer
from config.latch_file import read_latch, write_latch
from core.enums import ControlBits
from tests.admin.conftest import Browser
from tests.admin.engine_part import EnginePart


def test_kill_reaches_every_process(admin: AdminServer, engine: EnginePart, browser: Browser) -> None:
    engine.start()
    answer = browser.post("/api/admin/kill", {"reason": "drill"}).json["result"]
    assert admin.plant.control.bits() & ControlBits.KILL
    assert answer["already"] is False and answer["warnings"] == []
    rows = {row["name"]: row for row in answer["processes"]}
    assert set(rows) == {"gateway", "execution", "recorder", "shard-0", "shard-1"}
    assert all(row["seen"] and row["ms"] >= 0 for row in rows.values())
    latch = json.loads(admin.paths.kill_file.read_text())
    assert (latch["source"], latch["reason"]) == ("admin", "drill") and latch["time_ns"] > 0
    assert '"evt":"admin.kill"' in admin.paths.audit_file.read_text()


def test_kill_is_idempotent(admin: AdminServer, engine: EnginePart, browser: Browser) -> None:
    engine.start()
    browser.post("/api/admin/kill", {"reason": "first"})
    first = admin.paths.kill_file.read_bytes()
    since = admin.plant.control.get("kill_ns")
    again = browser.post("/api/admin/kill", {}).json["result"]
    assert again["already"] is True and again["since_ts"] > 0
    assert admin.paths.kill_file.read_bytes() == first and admin.plant.control.get("kill_ns") == since


def test_the_persons_reason_wins_over_the_latch_of_execution(
    admin: AdminServer, engine: EnginePart, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Execution latches the file as soon as it sees the word; that is no earlier kill, and knows no reason."""
    wake = admin.controls._wake

    def execution_is_fast() -> None:
        wake()
        write_latch(admin.paths.kill_file, "admin", "kill requested")

    monkeypatch.setattr(admin.controls, "_wake", execution_is_fast)
    engine.start()
    assert browser.post("/api/admin/kill", {"reason": "fat finger"}).json["result"]["already"] is False
    assert read_latch(admin.paths.kill_file)["reason"] == "fat finger"


def test_silent_processes_are_named(admin: AdminServer, browser: Browser) -> None:
    """Nobody beats here: the answer still comes, and says who has not seen it."""
    answer = browser.post("/api/admin/kill", {}).json["result"]
    assert answer["seen"] == 0 and answer["of"] == 5
    assert all(row["ms"] is None for row in answer["processes"])


def test_kill_holds_on_a_broken_disk(
    admin: AdminServer, engine: EnginePart, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("admin.controls.write_atomic", full)
    monkeypatch.setattr("admin.files.JsonLines.append", full)
    engine.start()
    answer = browser.post("/api/admin/kill", {"reason": "disk"}).json["result"]
    assert admin.plant.control.get("kill_admin") == 1 and answer["seen"] == 5
    assert len(answer["warnings"]) == 2 and "No space left" in answer["warnings"][0]


def test_clear_needs_phrase_reason_and_flat(admin: AdminServer, engine: EnginePart, browser: Browser) -> None:
    browser.post("/api/admin/kill", {"reason": "drill"})
    good = {"confirm": "CLEAR KILL SIM", "reason": "drill over"}
    wrong = browser.post("/api/admin/kill/clear", {**good, "confirm": "yes"})
    assert (wrong.status_code, wrong.json["retCode"], wrong.json["result"]["confirm"]) == (409, 90003, "CLEAR KILL SIM")
    assert browser.post("/api/admin/kill/clear", {**good, "reason": " "}).status_code == 400
    busy = browser.post("/api/admin/kill/clear", good)
    assert (busy.status_code, busy.json["retCode"]) == (409, 90002) and "1 position(s)" in busy.json["error"]
    assert admin.plant.control.bits() & ControlBits.KILL and admin.paths.kill_file.exists()
    engine.account[0]["open_positions"] = 0
    engine.plant.account().write(0, engine.account)
    assert browser.post("/api/admin/kill/clear", good).json["result"]["killed"] is False
    assert not admin.plant.control.bits() & ControlBits.KILL and not admin.paths.kill_file.exists()


def test_open_positions_can_be_adopted(admin: AdminServer, browser: Browser) -> None:
    browser.post("/api/admin/kill", {})
    answer = browser.post("/api/admin/kill/clear", {"confirm": "CLEAR KILL SIM", "reason": "mine", "adopt": True})
    assert answer.json["result"]["killed"] is False
    assert '"adopted":true' in admin.paths.audit_file.read_text()


def test_kill_of_others_is_shown_and_cleared(admin: AdminServer, browser: Browser) -> None:
    admin.plant.control.request_kill("guardian")
    admin.views.refresh()
    assert browser.get("/api/health").json["result"]["status"] == "KILLED"
    assert admin.views.snapshot().control["kill_sources"] == ["guardian"]
    browser.post("/api/admin/kill/clear", {"confirm": "CLEAR KILL SIM", "reason": "looked at it", "adopt": True})
    assert not admin.plant.control.bits() & ControlBits.KILL


def test_pause_is_durable_and_a_person_resumes_whoever_paused(admin: AdminServer, browser: Browser) -> None:
    control = admin.plant.control
    answer = browser.post("/api/pause", {"on": True}).json["result"]
    assert answer == {"paused": True, "warnings": []} and control.pause_sources() == ["admin"]
    latch = read_latch(admin.paths.pause_file)
    assert latch is not None and (latch["source"], latch["reason"]) == ("admin", "paused by one-time link")
    control.request_pause("cli", True)
    control.request_pause("exec", True)
    admin.views._stats_ns = 0
    admin.views.refresh()
    shown = admin.views.snapshot().control
    assert shown["pause_sources"] == ["admin", "cli", "exec"] and shown["pause"]["source"] == "admin"
    assert browser.post("/api/pause", {"on": False}).json["result"]["paused"] is False
    assert control.pause_sources() == [] and read_latch(admin.paths.pause_file) is None


def test_a_pause_that_cannot_be_written_holds_and_says_so(
    admin: AdminServer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("admin.controls.write_latch", full)
    answer = browser.post("/api/pause", {"on": True}).json["result"]
    assert answer["paused"] and "would not survive" in answer["warnings"][0]
    assert admin.plant.control.pause_sources() == ["admin"]
    monkeypatch.setattr("admin.controls.clear_latch", full)
    answer = browser.post("/api/pause", {"on": False}).json["result"]
    assert answer["paused"] and "stay paused" in answer["warnings"][0]  # the next start would pause again


def test_news_are_noted_for_the_gateway(admin: AdminServer, browser: Browser) -> None:
    sent = {"symbol": "BTCUSDT", "type": "HACK", "impact": 80, "ttl_s": 60, "text": "bridge"}
    answer = browser.post("/api/news", sent).json["result"]
    assert answer == {"symbol": "BTCUSDT", "type": "HACK", "warnings": []}
    line = json.loads(admin.paths.news_file.read_text())
    assert line.pop("time_ns") > 0 and line == sent
    assert '"evt":"admin.news"' in admin.paths.audit_file.read_text()
    for bad in ({"symbol": "BTCUSDT", "type": "RUMOUR"}, {"symbol": "x", "type": "HACK"}, sent | {"price": 1}):
        assert browser.post("/api/news", bad).status_code == 400
    assert len(admin.paths.news_file.read_text().splitlines()) == 1
