"""The pre-live checklist: every row says no for its own reason, and yes when nothing is wrong."""

from __future__ import annotations

import http.server
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from config.latch_file import write_latch
from config.paths import DataPaths
from config.schema import Account, Kill, Limits, Safety, Settings, Skip, Trading
from workers import checklist as lists
from workers.checklist import (
    HOUR_NS,
    account_rows,
    checklist_json,
    dry_run_hours,
    host,
    logs,
    page_trouble,
    paper_is_paper,
    plant,
    settings_rows,
    targets_row,
)

NOW = 20_000 * 24 * HOUR_NS + 12 * HOUR_NS  # 2024-10-04 12:00 UTC
READY = Settings(
    trading=Trading(capital_tier="MICRO"), skip=Skip(enabled=True), safety=Safety(limits=Limits(daily_loss_pct=2.0)))


def failed(rows: list[Any]) -> list[str]:
    assert all(row.fix for row in rows if row.level == "fail")
    return [row.name for row in rows if row.level == "fail"]


def running(**changes: Any) -> dict[str, Any]:
    process = {"name": "execution", "pid": 0, "state": "RUN", "heartbeat_age_ms": 3.0, "restarts": 0}
    return {"mode": "SIM", "processes": [process], "feed": "CONNECTED", "uptime_s": 3600.0, "gateway": {"reconnects": 1},
            **changes}


def test_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists.psutil, "cpu_percent", lambda interval: 69.9)
    monkeypatch.setattr(lists, "free_memory_gb", lambda: 2.1)
    monkeypatch.setattr(lists, "check_disk", lambda path: lists.Row("disk", "ok", "11 GB"))
    monkeypatch.setattr(lists, "check_clock", lambda: lists.Row("clock", "ok", ""))
    assert failed(host(tmp_path)) == []
    monkeypatch.setattr(lists.psutil, "cpu_percent", lambda interval: 70.0)
    monkeypatch.setattr(lists, "free_memory_gb", lambda: 2.0)
    monkeypatch.setattr(lists, "check_disk", lambda path: lists.Row("disk", "warn", "9 GB", "free some"))
    assert failed(host(tmp_path)) == ["cpu", "memory", "disk"]


def test_the_running_system() -> None:
    assert failed(plant(running(), "")) == []
    assert failed(plant(None, None)) == ["processes", "feed", "page"]
    process = running()["processes"][0]
    for change in ({"state": "BOOT"}, {"heartbeat_age_ms": 2001.0}, {"restarts": 1}):
        assert failed(plant(running(processes=[process | change]), "")) == ["processes"]
    for change in ({"feed": "DOWN"}, {"uptime_s": 599.0}, {"gateway": {"reconnects": 7}}):
        assert failed(plant(running(**change), "")) == ["feed"]
    (page,) = [row for row in plant(running(), "does not answer") if row.level == "fail"]
    assert (page.name, page.finding) == ("page", "does not answer")


def test_the_page(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    assert "does not answer" in page_trouble(paths)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        paths.run_dir.mkdir()
        paths.admin_file.write_text(json.dumps({"port": server.server_address[1]}))
        assert page_trouble(paths) == ""
        server.shutdown()
    assert "does not answer" in page_trouble(paths)


def test_paper_that_talks_to_somebody_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    links: list[Any] = []
    monkeypatch.setattr(lists.psutil, "Process", lambda pid: SimpleNamespace(net_connections=lambda kind: links))
    assert paper_is_paper(running()).level == "ok"
    links.append(SimpleNamespace(raddr=()))  # listening is not talking
    assert paper_is_paper(running()).level == "ok"
    links.append(SimpleNamespace(raddr=("1.2.3.4", 443)))
    assert paper_is_paper(running()).level == "fail"
    assert paper_is_paper(running(mode="LIVE")).level == "ok"
    assert paper_is_paper(None).level == "fail"


def test_log_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = DataPaths(tmp_path, "SIM")
    assert logs(tmp_path, "SIM", NOW).level == "fail"
    day = paths.events_dir / "2024-10-04"
    day.mkdir(parents=True)
    (day / "orders.jsonl").write_text("x" * 100)
    assert logs(tmp_path, "SIM", NOW).level == "ok"
    monkeypatch.setattr(lists, "FILE_MAX_BYTES", 99)
    assert "orders.jsonl" in logs(tmp_path, "SIM", NOW).finding
    assert logs(tmp_path, "SIM", NOW).level == "fail"


def test_hours_of_dry_runs(tmp_path: Path) -> None:
    assert dry_run_hours(tmp_path, NOW) == 0

    def write(mode: str, name: str, first: float, last: float) -> None:
        path = DataPaths(tmp_path, mode).events_dir / "2024-10-04" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"ts_ns": int(NOW + hour * HOUR_NS)}) for hour in (first, (first + last) / 2, last)]
        path.write_text("\n".join(lines) + "\n")

    write("DRY_RUN", "a.jsonl", -4, -2)
    assert dry_run_hours(tmp_path, NOW) == pytest.approx(2)
    write("DRY_RUN", "b.jsonl", -3, -1)  # the same hours twice count once
    write("SIM", "c.jsonl", -6, -5)
    assert dry_run_hours(tmp_path, NOW) == pytest.approx(4)
    write("SIM", "old.jsonl", -300, -200)
    (DataPaths(tmp_path, "SIM").events_dir / "2024-10-04" / "torn.jsonl").write_bytes(b"{")
    (DataPaths(tmp_path, "SIM").events_dir / "2024-10-04" / "empty.jsonl").write_bytes(b"")
    assert dry_run_hours(tmp_path, NOW) == pytest.approx(4)


def with_(section: str, **changes: Any) -> Settings:
    return msgspec.structs.replace(READY, **{section: msgspec.structs.replace(getattr(READY, section), **changes)})


@pytest.mark.parametrize(("settings", "names"), [
    (READY, []),
    (with_("trading", capital_tier="NONE"), ["capital tier", "position size"]),
    (with_("trading", account=Account(margin_per_trade_usdt=25.01)), ["position size"]),
    (with_("safety", kill=Kill(network_s=0.0)), ["kill thresholds"]),
    (with_("safety", kill=Kill(failures_per_min=0)), ["kill thresholds"]),
    (with_("skip", enabled=False), ["volatility stop", "skip filters"]),
    (with_("skip", volatility_index_max=30.5), ["volatility stop"]),
    (with_("skip", weekdays=(0, 5)), ["skip filters"]),
    (with_("skip", from_hour_utc=8), ["skip filters"]),
    (with_("skip", to_hour_utc=19), ["skip filters"]),
])
def test_settings(settings: Settings, names: list[str]) -> None:
    assert failed(settings_rows(settings)) == names


def test_targets() -> None:
    for levels, level in (((1.0, 1.6, 2.4), "ok"), ((1.0, 1.0, 2.4), "fail"), ((0.0, 1.0, 2.0), "fail")):
        assert targets_row(SimpleNamespace(tp_r=levels, target_r=1.0)).level == level


def test_account(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "LIVE")
    assert failed(account_rows(tmp_path)) == ["PIN"]
    paths.pin_file.parent.mkdir(parents=True)
    paths.pin_file.write_text("{}")
    assert failed(account_rows(tmp_path)) == []
    write_latch(paths.kill_file, "cli", "because")
    paths.rollout_file.write_text("{")
    rows = account_rows(tmp_path)
    assert failed(rows) == ["rollout", "kill latch"]
    assert "because" in rows[2].finding


def test_the_whole_list(tmp_path: Path) -> None:
    found = checklist_json(tmp_path)
    assert not found["ready"]
    names = [row["name"] for row in found["rows"]]
    assert len(names) == len(set(names)) == 19
    assert {row["level"] for row in found["rows"]} <= {"ok", "fail"}
