"""Kills the system makes itself become incidents, once each; a person's do not."""

from __future__ import annotations

import pytest

from config.incidents import recorded
from config.latch_file import clear_latch, write_latch
from config.paths import DataPaths
from core.orders.kill_triggers import TRIGGERS
from workers import incident_watch
from workers.incident_watch import IncidentWatch, kind_of
from workers.rollout import note_incident


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(incident_watch, "LOOK_S", -1.0)
    return DataPaths(tmp_path, "LIVE")


def test_a_kill_of_its_own_is_recorded_once(paths):
    watch = IncidentWatch(paths, lambda error: None)
    assert watch.turn() is None
    write_latch(paths.kill_file, "exec", "the loss of the day, percent (6, limit 5)")
    folder = watch.turn()
    assert folder is not None and folder.name.endswith("-safety")
    assert watch.turn() is None
    (incident,) = recorded(paths.incidents_dir)
    assert (incident.kind, incident.serious, incident.reacted) == ("safety", True, True)
    assert "percent (6, limit 5)" in incident.symptom
    clear_latch(paths.kill_file)
    assert watch.turn() is None
    write_latch(paths.kill_file, "exec", "the REST interface of the exchange does not answer")
    assert watch.turn() is not None
    assert IncidentWatch(paths, lambda error: None).turn() is None  # an old latch is known at the start
    assert [i.serious for i in recorded(paths.incidents_dir)] == [True, False]


def test_it_ends_when_the_kill_is_cleared(paths):
    """Also one of a person, and also where the kill was cleared while nothing ran."""
    watch = IncidentWatch(paths, lambda error: None, "r1")
    write_latch(paths.kill_file, "exec", "the REST interface of the exchange does not answer")
    assert watch.turn() is not None and watch.turn() is None
    (found,) = recorded(paths.incidents_dir)
    assert (found.session, found.cause, found.fix, found.resolved_ms) == (
        "r1", "the REST interface of the exchange does not answer", "", 0)
    clear_latch(paths.kill_file)
    watch.turn()
    (found,) = recorded(paths.incidents_dir)
    assert found.resolved_ms >= found.time_ms
    write_latch(paths.kill_file, "cli", "incident: smoke")
    note_incident(paths, "technical", True, "smoke", now_ms=found.time_ms + 5000)
    again = IncidentWatch(paths, lambda error: None, "r2")
    again.turn()
    assert [i.resolved_ms > 0 for i in recorded(paths.incidents_dir)] == [True, False]
    clear_latch(paths.kill_file)
    damaged = paths.incidents_dir / "2025-01-01T00-00-00Z-market"
    damaged.mkdir()
    (damaged / "incident.json").write_text("{")
    errors: list[OSError] = []
    IncidentWatch(paths, errors.append, "r3").turn()
    assert len(errors) == 1 and "2025-01-01" in str(errors[0])
    (damaged / "incident.json").unlink()
    damaged.rmdir()
    assert [i.resolved_ms > 0 for i in recorded(paths.incidents_dir)] == [True, True]


@pytest.mark.parametrize("source", ["cli", "admin", "exec, admin"])
def test_a_persons_kill_is_the_persons(paths, source):
    watch = IncidentWatch(paths, lambda error: None)
    write_latch(paths.kill_file, source, "I do not like it")
    assert watch.turn() is None
    assert recorded(paths.incidents_dir) == []


def test_a_disk_that_refuses(paths):
    errors = []
    watch = IncidentWatch(paths, errors.append)
    write_latch(paths.kill_file, "exec", "x")
    paths.live_dir.mkdir()
    paths.incidents_dir.write_text("no folder")
    assert watch.turn() is None
    assert errors


def test_every_trigger_has_a_kind():
    assert {t.name: kind_of(t.sentence) for t in TRIGGERS} == {
        "private_stream": ("technical", False), "rest": ("technical", False), "panic": ("market", False),
        "spread": ("market", False), "failures": ("technical", False), "daily_loss": ("safety", True),
        "volatility_index": ("market", False),
    }
    assert kind_of("whatever") == ("technical", True)
