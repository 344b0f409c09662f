"""Which files the database still has to look at."""

from __future__ import annotations

import os

from sqlalchemy import func, select

from config.incidents import resolve
from config.paths import DataPaths
from shm.database.tables import decisions, incidents
from tests.workers.database_checks import T0, query, writer_of
from tests.workers.made_runs import SETTINGS
from tests.workers.test_decision_files import NAMES, records
from workers.database_writer import DatabaseWriter
from workers.decision_files import DecisionFiles
from workers.retention import compress
from workers.rollout import note_incident, places


def test_of_the_running_sessions_decisions_only_what_can_grow_is_looked_at(run):
    """The last segment of a day: whatever comes after it on that day begins another one."""
    writer = writer_of(run)
    out = DecisionFiles(run.paths.decisions_dir, "r1", NAMES.__getitem__, segment_bytes=1, level=3)  # each block its own

    def write(first: int, n: int) -> None:
        for seq in range(first, first + n):  # five around midnight, to and fro
            rows = records(1, seq)
            rows["ts_ns"], rows["verdict"] = T0 + 43_200 * 10**9 + (-1 if seq % 2 else 1) * 10**9, 1
            out.add(rows)
            out.flush()

    def looked_at() -> list:
        return [source.path for source in writer._listed if source.path.suffix == ".sjr"]

    for first in (1, 6):
        write(first, 5)
        assert writer.drain() and writer.drain(), writer.last_error
        writer._look()
        days = sorted(run.paths.decisions_dir.glob("*"))
        assert len(days) == 2 and looked_at() == [max(day.glob("*.sjr")) for day in days]
        assert query(run.paths, select(func.count()).select_from(decisions)) == [(first + 4,)]
    out.close()


def test_an_incident_of_the_account_has_a_row_that_follows_what_is_learnt(tmp_path, db_url):
    """Cause, fix and end come later, from the person and from the clearing of the kill; one row, over restarts."""
    paths = DataPaths(tmp_path / "data", "LIVE")
    paths.runs_dir.mkdir(parents=True)
    (paths.runs_dir / "r1.jsonl").write_text("\n")
    at_ms = T0 // 10**6
    folder = note_incident(paths, "technical", True, "the link died", now_ms=at_ms)
    columns = [incidents.c[name] for name in ("session_id", "kind", "severity", "event", "text", "cause", "fix", "ts_ns",
                                              "resolved_ns")]

    def rows() -> list[tuple]:
        return [tuple(row) for row in query(paths, select(*columns).where(incidents.c.event == "incident"))]

    writer = DatabaseWriter(paths, SETTINGS, "r1")
    assert writer.drain(), writer.last_error
    told = ("r1", "technical", "CRITICAL", "incident", "the link died", None, None, T0, None)
    assert rows() == [told]
    assert writer.turn() == 0
    resolve(places(paths), folder.name, at_ms + 60_000, cause="a cable")
    assert writer.turn() == 1
    writer.close()
    resolve(places(paths), folder.name, at_ms + 90_000, fix="changed it")
    note_incident(paths, "market", False, "PANIC", now_ms=at_ms + 5_000)
    again = DatabaseWriter(paths, SETTINGS, "r2")
    assert again.drain(), again.last_error
    ended = T0 + 60 * 10**9
    assert rows() == [(*told[:5], "a cable", "changed it", T0, ended),
                      ("r1", "market", "ERROR", "incident", "PANIC", None, None, T0 + 5 * 10**9, None)]
    again.close()


def test_a_compressed_file_the_database_has_not_read_to_its_end_waits(run):
    """An older copy of the database was put in place after its lines had been compressed."""
    for _ in range(30):
        run.step()
    run.end()
    (path,) = run.paths.events_dir.glob("*/signals.jsonl")
    writer = writer_of(run)
    writer._rules = SETTINGS.system.database.__class__(batch_rows=1)
    writer.turn()
    assert 0 < writer._cursors[f"events/{path.parent.name}/signals.jsonl"][0] < path.stat().st_size
    os.utime(path, ns=(T0, T0))
    compress(path)
    assert path.with_name("signals.jsonl.zst") in writer.unread()
    assert writer.drain() and writer.drain(), writer.last_error
    assert writer.unread() == frozenset()
