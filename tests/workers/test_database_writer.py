"""The database says what the files say, exactly once, whatever happens to it."""

from __future__ import annotations

import json
import os
import sqlite3

import pytest
from sqlalchemy import func, select

from config.profiles import load_profiles
from core.enums import LogKind, Severity, State
from core.orders.broker import Note
from shm.database.connect import database_url, reader
from shm.database.tables import (
    audit,
    balances,
    cursors,
    decisions,
    executions,
    incidents,
    metadata,
    orders,
    positions,
    sessions,
    signal_history,
    strategy_execution_state,
)
from tests.workers.made_runs import SETTINGS, MadeRun
from workers import database_writer
from workers.database_rows import CursorMoved, prune
from workers.database_writer import DatabaseWriter

T0 = 1_763_640_000_000_000_000  # 2025-11-20T12:00:00Z


def contents(paths) -> dict[str, list[tuple]]:
    """Every row of every table without its number, sorted: what two databases have in common."""
    engine = reader(database_url(paths), paths.mode)
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            columns = [c for c in table.columns if c.name != "id" and (c.name != "updated_ns" or table is not cursors)]
            found[table.name] = sorted(tuple(map(_comparable, row)) for row in connection.execute(select(*columns)))
    engine.dispose()
    return found


def _comparable(value) -> str:
    return json.dumps(value, sort_keys=True)  # PostgreSQL keeps no order of keys


def query(paths, statement):
    engine = reader(database_url(paths), paths.mode)
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    engine.dispose()
    return rows


def check(run: MadeRun) -> None:
    """The database against the Broker that booked the run."""
    account, run_id = run.broker.account, run.run_id
    mine = select(func.count()).select_from
    count = {t.name: query(run.paths, mine(t).where(t.c.session_id == run_id))[0][0]
             for t in (orders, executions, positions, signal_history, decisions)}
    assert count["executions"] == account.fills
    assert count["signal_history"] == run.signals
    assert count["decisions"] == len(run.kept)
    ((realised, fees, trades, wins, balance),) = query(run.paths, select(
        sessions.c.realised_pnl_e8, sessions.c.fees_e8, sessions.c.trades, sessions.c.wins, sessions.c.end_balance_e8,
    ).where(sessions.c.session_id == run_id))
    assert (realised, fees, trades, wins, balance) == (
        account.realised_e8, account.fees_e8, account.trades_closed, account.wins, account.balance_e8)
    closed = query(run.paths, select(positions).where(positions.c.session_id == run_id, positions.c.status == "CLOSED"))
    open_now = query(run.paths, select(positions).where(positions.c.session_id == run_id, positions.c.status == "OPEN"))
    assert len(closed) == account.trades_closed
    assert sorted(row.symbol for row in open_now) == sorted(run.broker.instruments[s].name for s in account.positions)
    assert sum(row.realised_pnl_e8 for row in [*closed, *open_now]) == account.realised_e8
    for symbol, position in account.closed.items():
        row = next(r for r in closed if r.position_no == position.order_id)
        assert (row.realised_pnl_e8, row.fees_e8) == (position.realised_e8, position.fees_e8)
        instrument = run.broker.instruments[symbol]
        assert float(row.best_price) == pytest.approx(position.best_ticks * instrument.tick_size)
        assert float(row.worst_price) == pytest.approx(position.worst_ticks * instrument.tick_size)
        assert row.decision_id in run.kept
    accepted = run.broker.orders
    entries = query(run.paths, select(orders).where(orders.c.session_id == run_id, orders.c.role == "ENTRY"))
    assert len([o for o in entries if o.status not in ("REJECTED", "DRY_RUN")]) == accepted
    assert len([o for o in entries if o.status in ("REJECTED", "DRY_RUN")]) == run.broker.rejects
    filled = query(run.paths, select(func.sum(orders.c.filled_value_e8)).where(orders.c.session_id == run_id))[0][0]
    executed = query(run.paths, select(func.sum(executions.c.value_e8)).where(executions.c.session_id == run_id))[0][0]
    assert filled == executed
    last = query(run.paths, select(balances.c.balance_e8).where(balances.c.session_id == run_id)
                 .order_by(balances.c.n.desc()).limit(1))
    assert last == [(account.balance_e8,)]


@pytest.fixture
def run(tmp_path, db_url):
    made = MadeRun(tmp_path / "data", "r1", T0)
    yield made
    made.close()


def writer_of(run: MadeRun, **changes) -> DatabaseWriter:
    return DatabaseWriter(run.paths, SETTINGS, run.run_id, **changes)


def test_everything_a_run_did(run):
    for _ in range(60):
        run.step()
    run.paths.audit_file.write_bytes(b'{"ts":"x","ts_ns":5,"evt":"admin.pause","actor":"op","reason":"tea"}\n')
    run.log(Note(LogKind.ERROR, -1, T0, 0, severity=Severity.CRITICAL, text="disk on fire"))
    run.events.flush()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    assert (writer.errors, writer.lag_ms) == (0, 0)
    check(run)
    assert query(run.paths, select(audit.c.actor, audit.c.action, audit.c.reason)) == [("op", "admin.pause", "tea")]
    assert query(run.paths, select(incidents.c.kind, incidents.c.text)) == [("technical", "disk on fire")]
    states = query(run.paths, select(strategy_execution_state.c.symbol, strategy_execution_state.c.transitions))
    assert {symbol for symbol, _ in states} <= {i.name for i in run.broker.instruments.values()}
    assert all(1 <= len(steps) <= 5 for _, steps in states)
    before = writer.rows
    assert writer.drain(), writer.last_error
    assert writer.rows == before  # nothing new, nothing written


def test_in_small_portions_it_is_the_same(run, tmp_path, monkeypatch):
    monkeypatch.setattr(database_writer, "LOOK_S", 0.0)
    small = writer_of(run)
    small._rules = SETTINGS.system.database.__class__(batch_rows=10)
    for _ in range(60):
        run.step()
        small.turn()
        if run.random.random() < 0.1:  # the recorder starts again: another writer goes on
            small.close()
            small = writer_of(run)
    run.end()
    assert small.drain()
    check(run)
    grown = contents(run.paths)
    monkeypatch.setenv("SCALPER_DATABASE_URL", f"sqlite:///{tmp_path / 'second.sqlite'}")
    assert writer_of(run).drain()
    at_once = contents(run.paths)
    for name in set(grown) - {"cursors"}:
        assert grown[name] == at_once[name], name


def test_runs_follow_each_other(run, tmp_path, db_url):
    for _ in range(20):
        run.step()
    run.end()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    second = MadeRun(tmp_path / "data", "r2", run.now_ns + 86_400 * 10**9, seed=2)  # set aside r1's journal, next day
    for _ in range(20):
        second.step()
    next_writer = writer_of(second)
    assert next_writer.drain()
    check(run)
    check(second)
    assert dict(query(run.paths, select(sessions.c.session_id, sessions.c.status))) == {"r1": "STOPPED", "r2": "RUNNING"}
    done = {source for source, complete in query(run.paths, select(cursors.c.source, cursors.c.complete)) if complete}
    assert {"run:r1", "execution:r1"} <= done
    third = MadeRun(tmp_path / "data", "r3", second.now_ns, seed=3)  # r2 was killed: nobody ended it
    assert writer_of(third).drain()
    assert dict(query(run.paths, select(sessions.c.session_id, sessions.c.status)))["r2"] == "ERROR"
    second.close()
    third.close()


def test_behind_is_what_a_turn_could_not_read_to_the_end(run, monkeypatch):
    for _ in range(30):
        run.step()
    now = [100.0]
    writer = writer_of(run, clock=lambda: now[0])
    assert writer.turn() > 0
    assert writer.lag_ms == 0  # a stream that never rests is not behind
    monkeypatch.setattr(database_writer, "BATCHES_PER_TURN", 1)
    for _ in range(30):
        run.step()
    writer._rules = SETTINGS.system.database.__class__(batch_rows=10)
    assert writer.turn() > 0
    now[0] += 2.0
    assert writer.lag_ms == 2000
    assert writer.drain(), writer.last_error
    assert writer.lag_ms == 0


def test_two_writers_write_once(run):
    for _ in range(30):
        run.step()
    one, other = writer_of(run), writer_of(run)
    assert one.turn() > 0
    other.turn()
    run.step()
    one._looked = other._looked = -10.0
    assert one.drain()
    assert other.drain()
    check(run)
    assert other.errors == 0


def test_a_refused_transaction_leaves_nothing_and_comes_again(run, monkeypatch):
    from workers import database_rows

    for _ in range(10):
        run.step()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    before = contents(run.paths)
    run.step()
    run.step()
    real = database_rows.move_cursor

    def refuse(*arguments):
        raise OSError("database or disk is full")

    monkeypatch.setattr(database_rows, "move_cursor", refuse)
    writer._looked = -10.0
    assert writer.turn() == -1
    assert "full" in writer.last_error
    assert writer.lag_ms >= 0
    assert contents(run.paths) == before
    monkeypatch.setattr(database_rows, "move_cursor", real)
    assert writer.drain(), writer.last_error
    check(run)


def test_a_moved_cursor_is_told(run):
    from workers.database_rows import move_cursor

    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    with writer._engine.begin() as connection:
        with pytest.raises(CursorMoved):
            move_cursor(connection, "run:r1", 1, 2, False)
        with pytest.raises(CursorMoved):
            move_cursor(connection, "run:r1", None, 2, False)


def test_half_lines_and_foreign_lines_are_passed_over(run):
    for _ in range(5):
        run.step()
    run.events.close()
    (path,) = run.paths.events_dir.glob("*/orders.jsonl")
    with path.open("ab") as file:
        file.write(b'\n{"evt":"order\nnull\n[]\n{"evt":"x"}\n{"half":')
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    assert writer.errors == 0
    with path.open("ab") as file:
        file.write(b'1}\n')
    for _ in range(5):
        run.step()
    writer._looked = -10.0
    assert writer.drain(), writer.last_error
    check(run)


def test_a_journal_of_unknown_symbols_waits_for_their_names(run):
    lines = run.run_file.read_bytes().splitlines(keepends=True)
    run.run_file.write_bytes(lines[0])
    for _ in range(10):
        run.step()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    assert query(run.paths, select(func.count()).select_from(orders)) == [(0,)]
    with run.run_file.open("ab") as file:
        file.write(b"".join(lines[1:]))
    assert writer.drain(), writer.last_error
    check(run)


# --- SQLite: the file itself ------------------------------------------------------------------------------------------
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


def test_the_thread_keeps_up_and_stops(run):
    writer = writer_of(run)
    writer._rules = SETTINGS.system.database.__class__(interval_s=0.01)
    writer.start()
    for _ in range(40):
        run.step()
    run.end()
    thread = writer._thread
    assert thread is not None and thread.is_alive()
    writer.stop(60.0)
    assert not thread.is_alive()
    check(run)
    assert query(run.paths, select(sessions.c.status)) == [("STOPPED",)]


def test_dry_run_orders_are_told_apart(tmp_path, db_url):
    made = MadeRun(tmp_path / "data", "dry", T0, mode="DRY_RUN")
    for _ in range(5):
        made.step()
    assert writer_of(made).drain()
    rows = query(made.paths, select(orders.c.status, orders.c.rejection_reason, orders.c.link_id))
    assert {(status, reason) for status, reason, _ in rows} == {("DRY_RUN", "MODE")}
    assert len({link for *_, link in rows}) == len(rows) == made.broker.rejects
    made.close()


def test_profiles_and_day_files_follow_the_trades(run, db_url):
    asked = []
    writer = DatabaseWriter(run.paths, SETTINGS, run.run_id, reload=lambda: asked.append(1))
    for _ in range(150):
        run.step()
    run.log(Note(LogKind.SPOOF, 0, run.now_ns, 1), "shard-0")
    run.events.flush()
    assert writer.drain(), writer.last_error
    writer._derived.turn(writer._readers, 1e9)
    profiles = load_profiles(run.paths.profiles_file)
    assert set(profiles) == {row.symbol for row in query(run.paths, select(positions.c.symbol).distinct())}
    assert sum(p.trades for p in profiles.values()) == run.broker.account.trades_closed
    acting = any((p.raise_points, p.size, p.blacklisted) != (0.0, 1.0, False) for p in profiles.values())
    assert acting
    assert asked == [1]
    kept = json.loads(run.paths.profiles_file.read_bytes())["symbols"]["BTCUSDT"]
    assert kept["spoofs_per_day"] == 1.0
    lines = [json.loads(text) for path in sorted(run.paths.trades_dir.glob("*/trades.jsonl"))
             for text in path.read_text().splitlines()]
    assert len(lines) == run.broker.account.trades_closed
    assert {line["move_type"] for line in lines} <= {"pump", "dump", "slow grind"}
    assert all(line["mfe_usdt"] >= 0 and line["mae_usdt"] >= 0 for line in lines)
    summaries = [json.loads(path.read_bytes()) for path in run.paths.trades_dir.glob("*/summary.json")]
    assert sum(day["trades"] for day in summaries) == len(lines)
    assert sum(day["net_usdt"] for day in summaries) == pytest.approx(sum(line["net_usdt"] for line in lines))
    before = {path: path.read_bytes() for path in run.paths.trades_dir.glob("*/*")}
    writer._derived._days.update(range(20_412, 20_416))
    writer._derived.turn(writer._readers, 2e9)
    assert {path: path.read_bytes() for path in run.paths.trades_dir.glob("*/*") if path in before} == before
    assert asked == [1]  # nothing new acts


def test_retention_waits_for_the_database(run):
    for _ in range(5):
        run.step()
    writer = writer_of(run)
    unread = {path.name for path in writer.unread()}
    assert {"orders.jsonl", "signals.jsonl", "execution.journal", "r1.jsonl"} <= unread
    assert writer.drain(), writer.last_error
    assert writer.unread() == frozenset()
    for _ in range(5):
        run.step()
    assert "signals.jsonl" in {path.name for path in writer.unread()}


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
    assert writer_of(local).drain()
    check(local)


def test_old_rows_go_and_what_proves_something_stays(run):
    for _ in range(40):
        run.step()
    run.decision(0, 1, False, to=State.MANAGING)  # led to no entry
    run.decisions.sync()
    run.paths.metrics_dir.joinpath("2025-11-20").mkdir(parents=True)
    sample = {"ts_ns": T0, "sid": "r1", **{f"{name}_e8": 1 for name in (
        "balance", "equity", "available", "margin_used", "unrealised_pnl", "realised_pnl", "heat")}}
    run.paths.metrics_dir.joinpath("2025-11-20", "account.jsonl").write_text(json.dumps(sample) + "\n")
    run.end()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    before = contents(run.paths)
    assert len(before["decisions"]) == len(run.kept) + 1
    with writer._engine.begin() as connection:
        assert prune(connection, run.now_ns + 86_400 * 10**9, SETTINGS.system.storage) == 0
        gone = prune(connection, run.now_ns + 1000 * 86_400 * 10**9, SETTINGS.system.storage)
    after = contents(run.paths)
    assert gone == 1 + run.signals + 1
    assert len(after["decisions"]) == len(run.kept)
    assert after["signal_history"] == []
    for name in ("orders", "executions", "positions", "sessions"):
        assert after[name] == before[name]
    with writer._engine.begin() as connection:  # a tape: rows of long ago, of a session that has just begun
        connection.execute(sessions.update().values(started_ns=run.now_ns + 1001 * 86_400 * 10**9))
        assert prune(connection, run.now_ns + 1002 * 86_400 * 10**9, SETTINGS.system.storage) == 0
