"""The database says what the files say, exactly once."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select

from config.profiles import load_profiles
from core.enums import LogKind, MessageKind, Severity, State
from core.journal import encode_record
from core.orders.broker import Note
from core.orders.desk_journal import Executed, persist
from core.orders.exchange_desk_core import DESK_SEQ
from core.performance.ledger import Row
from shm.database.tables import (
    audit,
    cursors,
    executions,
    incidents,
    orders,
    positions,
    sessions,
    strategy_execution_state,
)
from tests.workers.database_checks import T0, check, contents, query, writer_of
from tests.workers.made_runs import SETTINGS, MadeRun
from workers import database_writer
from workers.database_rows import CursorMoved, prune, write_rows
from workers.database_writer import DatabaseWriter
from workers.noted_desk import DESK_RECORD


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
    assert {"run:r1", "booked:r1"} <= done
    third = MadeRun(tmp_path / "data", "r3", second.now_ns, seed=3)  # r2 was killed: nobody ended it
    assert writer_of(third).drain()
    assert dict(query(run.paths, select(sessions.c.session_id, sessions.c.status)))["r2"] == "ERROR"
    second.close()
    third.close()


def test_positions_of_an_ended_session_are_left_open(run, tmp_path):
    """Nobody closes them any more; also where their rows are booked again, from the beginning."""
    while not run.broker.account.positions:
        run.step()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    still = select(positions.c.status, func.count()).where(positions.c.closed_ns.is_(None)).group_by(positions.c.status)
    left = len(run.broker.account.positions)
    assert dict(query(run.paths, still)) == {"OPEN": left}
    run.end()
    assert writer.drain(), writer.last_error
    assert dict(query(run.paths, still)) == {"LEFT_OPEN": left}
    second = MadeRun(tmp_path / "data", "r2", run.now_ns + 10**9, seed=2)
    while not second.broker.account.positions:
        second.step()
    assert writer_of(second).drain()
    assert dict(query(run.paths, still)) == {"LEFT_OPEN": left, "OPEN": len(second.broker.account.positions)}
    second.close()


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


def test_what_the_exchange_calls_a_fill_is_in_the_database(run):
    """LIVE: the desk notes an execution before the message that tells it, in the same journal."""
    run.seq = DESK_SEQ
    told = []
    real = run.handle

    def handle(**fields):
        if fields["kind"] == MessageKind.FILL:
            told.append((f"exec-{len(told)}", f"venue-{fields['order_id']}-{fields['role']}"))
            note = persist(Executed(*[0] * 22)._replace(
                number=run.seq - DESK_SEQ, exec_id=told[-1][0], exec_type="Trade", venue_id=told[-1][1], link_id="l",
                symbol="X"))
            run.journal.write([encode_record(run.now_ns, 0, 0, DESK_RECORD + note.kind, note.payload)], run.now_ns, False)
        return real(**fields)

    run.handle = handle
    for _ in range(12):
        run.step()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    assert told and query(run.paths, select(executions.c.exec_id).order_by(executions.c.n)) == [(name,) for name, _ in told]
    found = {row[0] for row in query(run.paths, select(orders.c.exchange_order_id)) if row[0]}
    assert found == {venue for _, venue in told}


def test_retention_waits_for_the_database(run):
    for _ in range(5):
        run.step()
    writer = writer_of(run)
    unread = {path.name for path in writer.unread()}
    assert {"orders.jsonl", "signals.jsonl", "r1.jsonl"} <= unread
    assert writer.drain(), writer.last_error
    assert writer.unread() == frozenset()
    for _ in range(5):
        run.step()
    assert "signals.jsonl" in {path.name for path in writer.unread()}


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


def test_rows_of_a_batch_stand_in_the_order_they_began(run):
    """Lists go by the number of the row, newest first: a row put where it changed last mixed them up after a catch-up."""
    run.step()
    writer = writer_of(run)
    assert writer.drain(), writer.last_error
    with writer._engine.connect() as connection:
        like = dict(connection.execute(select(orders)).mappings().first())
    del like["id"]

    def row(number: int, status: str) -> Row:
        return Row("orders", like | {"link_id": f"late-{number}", "order_no": number, "status": status})

    batch = [row(1, "NEW"), row(2, "NEW"), row(3, "NEW"), row(2, "FILLED"), row(1, "FILLED")]
    with writer._engine.begin() as connection:
        assert write_rows(connection, batch) == 3
    late = select(orders.c.link_id, orders.c.status).where(orders.c.link_id.like("late-%")).order_by(orders.c.id)
    assert query(run.paths, late) == [("late-1", "FILLED"), ("late-2", "FILLED"), ("late-3", "NEW")]
