"""What a database says beside the Broker that booked the run, and beside another database."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select

from shm.database.connect import database_url, reader
from shm.database.tables import (
    balances,
    cursors,
    decisions,
    executions,
    metadata,
    orders,
    positions,
    sessions,
    signal_history,
)
from tests.workers.made_runs import SETTINGS, MadeRun
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
    open_now = query(run.paths, select(positions).where(positions.c.session_id == run_id, positions.c.closed_ns.is_(None)))
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


def writer_of(run: MadeRun, **changes) -> DatabaseWriter:
    return DatabaseWriter(run.paths, SETTINGS, run.run_id, **changes)
