"""Whatever happens to the database: locked, deleted, old, rubbish, full, shot. The files hold it all, and it catches up."""

from __future__ import annotations

import json
import os
import sqlite3

import pytest
from sqlalchemy import select

from core.enums import LogKind
from core.journal import EXECUTION, encode_record
from core.orders.broker import Note
from shm.database.tables import audit, cursors, sessions
from tests.workers.database_checks import T0, check, contents, query, writer_of
from tests.workers.made_runs import SETTINGS, MadeRun
from workers import database_writer, journal_compaction
from workers.database_writer import DatabaseWriter
from workers.journal_files import DurableLog
from workers.noted_desk import DESK_RECORD


@pytest.fixture
def local(tmp_path, monkeypatch):
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    made = MadeRun(tmp_path / "data", "r1", T0)
    yield made
    made.close()


def test_a_locked_database_is_waited_for(local, monkeypatch):
    from shm.database import connect

    monkeypatch.setattr(connect, "BUSY_MS", 50)
    for _ in range(5):
        local.step()
    writer = writer_of(local)
    assert writer.drain(), writer.last_error
    blocker = sqlite3.connect(local.paths.database_file, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for _ in range(5):
        local.step()
    writer._looked = -10.0
    assert writer.turn() == -1
    assert "locked" in writer.last_error
    blocker.execute("ROLLBACK")
    blocker.close()
    assert writer.drain(), writer.last_error
    check(local)


def test_a_long_reader_holds_nobody_up(local):
    for _ in range(5):
        local.step()
    writer = writer_of(local)
    assert writer.drain(), writer.last_error
    long_one = sqlite3.connect(local.paths.database_file, isolation_level=None)
    long_one.execute("BEGIN")
    long_one.execute("SELECT count(*) FROM orders").fetchone()
    for _ in range(5):
        local.step()
    writer._looked = -10.0
    assert writer.drain(), writer.last_error
    assert writer.errors == 0
    check(local)
    long_one.close()


def test_a_deleted_database_is_made_again(local):
    for _ in range(15):
        local.step()
    writer = writer_of(local)
    assert writer.drain(), writer.last_error
    before = contents(local.paths)
    for suffix in ("", "-wal", "-shm"):
        local.paths.database_file.with_name(local.paths.database_file.name + suffix).unlink(missing_ok=True)
    assert writer.drain(), writer.last_error
    assert contents(local.paths) == before
    check(local)


def test_an_older_copy_of_the_database_catches_up(local, tmp_path):
    for _ in range(10):
        local.step()
    writer = writer_of(local)
    assert writer.drain(), writer.last_error
    writer.close()
    copy = tmp_path / "copy"
    copy.write_bytes(local.paths.database_file.read_bytes())
    for _ in range(10):
        local.step()
    assert writer.drain(), writer.last_error
    copy.replace(local.paths.database_file)
    assert writer.drain(), writer.last_error
    check(local)


def test_rubbish_in_place_of_the_database_stops_nobody(local):
    local.step()
    local.paths.database_file.write_bytes(b"this is no database" * 400)
    writer = writer_of(local)
    assert writer.turn() == -1
    assert "not a database" in writer.last_error
    local.paths.database_file.unlink()
    assert writer.drain(), writer.last_error
    check(local)


@pytest.mark.skipif(os.geteuid() != 0 and not os.access("/dev/full", os.W_OK), reason="no /dev/full")
def test_no_room_for_the_database(local, monkeypatch):
    from sqlalchemy import event

    from shm.database import connect

    real = connect.writer

    def small(url, mode):
        engine = real(url, mode)
        event.listen(engine, "connect", lambda c, r: c.execute("PRAGMA max_page_count=60"))
        return engine

    monkeypatch.setattr(connect, "writer", small)
    for _ in range(80):
        local.step()
    writer = writer_of(local)
    while writer.turn() > 0:
        pass
    assert "full" in writer.last_error
    monkeypatch.setattr(connect, "writer", real)
    writer.close()
    assert writer.drain(), writer.last_error
    check(local)


def test_a_dead_server_comes_back(tmp_path, postgres, monkeypatch):
    monkeypatch.setenv("SCALPER_DATABASE_URL", postgres.fresh())
    run = MadeRun(tmp_path / "data", "r1", T0)
    for _ in range(10):
        run.step()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    postgres.stop("immediate")
    for _ in range(10):
        run.step()
    assert writer.turn() == -1
    postgres.start()
    assert writer.drain(), writer.last_error
    check(run)
    run.close()


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_the_server_dies_under_load_again_and_again(tmp_path, postgres, monkeypatch, kills):
    """As with kill -9: the server is gone in the middle of what it does, and recovers by itself when it starts."""
    monkeypatch.setenv("SCALPER_DATABASE_URL", postgres.fresh())
    monkeypatch.setattr(database_writer, "RETRY_MIN_S", 0.01)
    monkeypatch.setattr(database_writer, "RETRY_MAX_S", 0.05)
    run = MadeRun(tmp_path / "data", "r1", T0)
    writer = writer_of(run)
    writer._rules = SETTINGS.system.database.__class__(interval_s=0.01, batch_rows=10)
    writer.start()
    for _ in range(kills):
        for _ in range(8):
            run.step()
        postgres.stop("immediate")
        run.step()
        postgres.start()
    run.end()
    writer.stop(60.0)
    assert writer_of(run).drain()
    check(run)


def test_a_locked_database_does_not_hold_up_whoever_records(local, monkeypatch):
    """The thread waits; lines are written, and the recorder's end does not wait longer than it says."""
    writer = writer_of(local)
    assert writer.drain(), writer.last_error
    blocker = sqlite3.connect(local.paths.database_file, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    threaded = writer_of(local)
    threaded.start()
    for _ in range(10):
        local.step()
    local.end()
    threaded.stop(0.2)
    assert threaded.rows == 0
    blocker.execute("ROLLBACK")
    blocker.close()
    assert threaded._thread is not None
    threaded._thread.join()
    assert writer_of(local).drain()
    check(local)


@pytest.mark.parametrize("line", [b"[1]", b'"notes"', b"123", b"null", b'{"t":"run"}', b"\xff\xfe"])
def test_somebody_elses_file_among_the_runs_stops_nobody(local, line):
    local.step()
    (local.paths.runs_dir / "notes.jsonl").write_bytes(line + b"\n")
    (local.paths.events_dir / "2025-11-20" / "signals.9.jsonl").write_bytes(line + b"\n")
    writer = writer_of(local)
    assert writer.drain(), writer.last_error
    assert writer.errors == 0
    check(local)


def test_a_character_no_database_holds_stops_nobody(tmp_path, db_url):
    """A person may type NUL into a reason: it reaches the audit file as JSON."""
    run = MadeRun(tmp_path / "data", "r1", T0)
    run.step()
    lines = [{"ts_ns": k, "evt": "pause", "actor": "a", "reason": reason}
             for k, reason in enumerate(("x\0y", "=cmd", "\U0001f600"))]
    run.paths.audit_file.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    writer.close()
    reasons = [row.reason for row in query(run.paths, select(audit.c.reason).order_by(audit.c.n))]
    assert reasons == ["x?y", "=cmd", "\U0001f600"]
    check(run)
    run.close()


def test_a_run_that_was_killed_is_no_running_one(local):
    """Also where all there is of it is read at once, and whatever its last lines say."""
    local.step()
    local.log(Note(LogKind.CONTROL, -1, local.now_ns, 0, a=0, text="resumed"))
    local.close()
    status = select(sessions.c.session_id, sessions.c.status)
    writer = DatabaseWriter(local.paths, SETTINGS, "r2")
    assert writer.drain(), writer.last_error
    assert query(local.paths, status) == [("r1", "ERROR")]
    again = MadeRun(local.paths.data_dir, "r2", T0 + 10**12)
    again.step()
    assert writer.drain(), writer.last_error
    writer.close()
    assert dict(query(local.paths, status)) == {"r1": "ERROR", "r2": "RUNNING"}
    again.end()
    assert DatabaseWriter(local.paths, SETTINGS, "r3").drain()
    assert dict(query(local.paths, status)) == {"r1": "ERROR", "r2": "STOPPED"}


@pytest.mark.parametrize("resumed", [False, True])
def test_a_journal_made_short_loses_and_repeats_nothing(local, monkeypatch, resumed):
    """LIVE: execution restarts and its journal becomes a shorter file, without old records of the desk. In the same blocks or
    others, before anything is read or in the middle, by the recorder that knew the long one or by its successor."""
    def desk() -> None:
        local.journal.write([encode_record(local.now_ns, 0, 0, DESK_RECORD + 2, b"x" * 400)] * 30, local.now_ns, False)

    writer = writer_of(local)
    for k in range(25):
        desk()
        local.step()
        if k == 15:
            assert writer.drain(), writer.last_error
    path = local.paths.execution_journal
    size = path.stat().st_size
    run_id, frames, _ = DurableLog.load(path)
    journal_compaction._replace(path, run_id, T0, [encode_record(*f) for f in frames if f.kind < DESK_RECORD])
    assert path.stat().st_size < size
    local.journal.close()
    local.journal = DurableLog(path, EXECUTION, run_id, local.now_ns)
    if resumed:
        writer.close()
        writer = writer_of(local)
    writer._looked = -10.0
    assert writer.drain(), writer.last_error
    check(local)
    for _ in range(15):
        local.step()
    local.end()
    writer._looked = -10.0
    assert writer.drain(), writer.last_error
    assert writer.errors == 0
    writer.close()
    check(local)
    later = DatabaseWriter(local.paths, SETTINGS, "r2")  # the run is over: its journal is known to the end
    assert later.drain() and later.rows == 0 and later.errors == 0
    later.close()
    assert query(local.paths, select(cursors.c.complete).where(cursors.c.source == "booked:r1")) == [(True,)]


def test_two_data_folders_in_one_database_lose_nothing(tmp_path, db_url):
    """Their files have the same names; neither takes the other's places, nor ends the other's run."""
    runs = [MadeRun(tmp_path / name, f"r{k}", T0, seed=k) for k, name in enumerate(("one", "two"))]
    writers = [writer_of(run) for run in runs]
    for k, run in enumerate(runs):
        run.paths.audit_file.write_bytes(b'{"ts_ns":1,"evt":"pause","actor":"%d"}\n' % k * (k + 1))
    for _ in range(3):
        for run, writer in zip(runs, writers, strict=True):
            for _ in range(8):
                run.step()
            writer._looked = -10.0
            assert writer.drain(), writer.last_error
    for run, writer in zip(runs, writers, strict=True):
        check(run)
        writer.close()
    paths = runs[0].paths
    assert sorted(query(paths, select(sessions.c.session_id, sessions.c.status))) == [("r0", "RUNNING"), ("r1", "RUNNING")]
    assert sorted(row.actor for row in query(paths, select(audit.c.actor))) == ["0", "1", "1"]
    again = writer_of(runs[1])  # a successor finds its places
    assert again.drain() and again.rows == 0
    again.close()
    for run in runs:
        run.close()
