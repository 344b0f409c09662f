"""Incidents: the last 15 minutes are collected, the list grows by a line, locks are remembered."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from config import incidents
from config.incidents import IncidentFile, Places, read_incident, record, recorded, resolve

NOW = 1_763_712_300_000  # 2025-11-21 08:05:00 UTC


@pytest.fixture
def places(tmp_path: Path) -> Places:
    events, logs = tmp_path / "events", tmp_path / "logs"
    (events / "2025-11-21").mkdir(parents=True)
    (events / "2025-11-20").mkdir()
    logs.mkdir()
    lines = [json.dumps({"ts_ns": (NOW + ms) * 1_000_000, "at": ms}) for ms in (-900_001, -900_000, 0, 60_000, 60_001)]
    (events / "2025-11-21" / "orders.jsonl").write_text("\n".join([*lines, "torn {"]) + "\n")
    (events / "2025-11-20" / "orders.jsonl").write_text(lines[0] + "\n")
    (logs / "execution.log").write_text("words\n")
    (logs / "old.log").write_text("words\n")
    os.utime(logs / "execution.log", (NOW / 1000, NOW / 1000))
    os.utime(logs / "old.log", (NOW / 1000 - 901, NOW / 1000 - 901))
    return Places(tmp_path / "incidents", events, logs, tmp_path / "INCIDENTS.md")


def test_what_is_learnt_later_stands_in_file_and_list(places):
    first = record(places, IncidentFile(NOW, "technical", True, "the link died", session="r1"))
    record(places, IncidentFile(NOW + 5_000, "market", False, "other"))
    with places.list_file.open("a") as file:
        file.write("| a line of a person |\n")
    resolve(places, first.name, NOW + 60_000)
    resolve(places, first.name, NOW + 90_000, cause="a | cable", fix="changed it")
    resolve(places, first.name, NOW + 99_000)
    assert read_incident(first) == IncidentFile(NOW, "technical", True, "the link died", "a | cable", "changed it",
                                                session="r1", resolved_ms=NOW + 60_000)
    lines = places.list_file.read_text().splitlines()
    assert "| the link died | a / cable | changed it | incidents/2025-11-21T08-05-00Z-technical |" in lines[4]
    assert "| other |  |  |" in lines[5] and lines[6] == "| a line of a person |" and len(lines) == 7
    places.list_file.unlink()
    resolve(places, first.name, NOW, fix="changed it twice")  # the list is a person's: it is not made anew
    assert read_incident(first).fix == "changed it twice" and not places.list_file.exists()
    with pytest.raises(FileNotFoundError):
        resolve(places, "nothing", NOW)
    assert not (places.incidents / "nothing").exists()


def test_nobody_sees_half_an_incident(places, monkeypatch):
    """Whoever looks counts what it cannot read as a serious one: that would lock the account for three days."""
    seen = []
    real = incidents._write
    monkeypatch.setattr(incidents, "_write", lambda path, data: (seen.append(recorded(places.incidents)), real(path, data)))
    record(places, IncidentFile(NOW, "market", False, "x"))
    assert seen == [[]]


def test_what_was_logged_before_is_kept(places: Places) -> None:
    folder = record(places, IncidentFile(NOW, "technical", True, "a | b\nc", "cause", "fix"))
    assert folder.name == "2025-11-21T08-05-00Z-technical"
    kept = (folder / "events" / "2025-11-21-orders.jsonl").read_text().splitlines()
    assert [json.loads(line)["at"] for line in kept[:-1]] == [-900_000, 0, 60_000]
    assert kept[-1] == "torn {"
    assert [path.name for path in (folder / "logs").iterdir()] == ["execution.log"]
    assert not list((folder / "events").glob("2025-11-20*"))
    text = places.list_file.read_text()
    assert "| 2025-11-21 08:05:00 | technical | yes | a / b c | cause | fix | incidents/2025-11-21T08-05-00Z-technical |" in text
    assert json.loads((folder / "incident.json").read_text())["symptom"] == "a | b\nc"


def test_two_in_one_second_and_one_title(places: Places) -> None:
    first = record(places, IncidentFile(NOW, "market", False, "x"))
    second = record(places, IncidentFile(NOW, "market", False, "y"))
    assert second.name == first.name + "-1"
    assert places.list_file.read_text().count("# Incidents") == 1


def test_midnight_is_crossed(tmp_path: Path, places: Places) -> None:
    midnight = 1_763_683_200_000
    row = json.dumps({"ts_ns": (midnight - 5_000) * 1_000_000})
    (places.events / "2025-11-20" / "orders.jsonl").write_text(row + "\n")
    folder = record(places, IncidentFile(midnight + 1000, "safety", False, "x"))
    assert (folder / "events" / "2025-11-20-orders.jsonl").read_text() == row + "\n"


def test_what_is_recorded_is_read_and_what_cannot_be_read_is_serious(places: Places) -> None:
    assert recorded(places.incidents) == []
    first = IncidentFile(NOW, "market", False, "x")
    record(places, first)
    folder = record(places, IncidentFile(NOW + 5_000, "safety", True, "y", reacted=False))
    assert [(i.time_ms, i.serious, i.reacted) for i in recorded(places.incidents)] == [
        (NOW, False, True), (NOW + 5_000, True, False)]
    (folder / "incident.json").write_text("{")
    os.utime(folder, (NOW / 1000, NOW / 1000))
    broken = recorded(places.incidents)[1]
    assert (broken.time_ms, broken.serious) == (NOW, True)
