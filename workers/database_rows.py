"""Rows into tables: one statement per kind of row, each natural key once, the cursor moved in the same transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, insert, literal, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from config.schema import Storage
from core.constants import DAY_NS
from core.performance.ledger import Row
from shm.database.tables import KEYS, cursors, metadata, sessions

FIRST_FOLDER, OTHER_FOLDER = "folder", "folder:"  # in cursors: the id of the first data folder; sources of others
ORDER = {table.name: place for place, table in enumerate(metadata.sorted_tables)}


class Kind(NamedTuple):
    """Rows one statement can write."""

    table: str
    columns: tuple[str, ...]
    keep: tuple[str, ...]
    add: tuple[str, ...]


class CursorMoved(Exception):
    """Somebody else has taken this part over meanwhile: nothing was written, the place must be looked up again."""


def place_of(connection: Connection, folder_id: int) -> str:
    """What the sources of a data folder are called by in this database: '' for the folder it was begun with, else a prefix.
    Files of two folders have the same names, and neither may move the cursors of the other."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = {"source": FIRST_FOLDER, "position": folder_id, "complete": False}
    connection.execute(dialect.insert(cursors).values(first).on_conflict_do_nothing(index_elements=["source"]))
    known = connection.execute(select(cursors.c.position).where(cursors.c.source == FIRST_FOLDER)).scalar()
    return "" if known == folder_id else f"{OTHER_FOLDER}{folder_id:x}/"


def read_cursors(connection: Connection, place: str = "") -> dict[str, tuple[int, bool]]:
    """(position, complete) of every source of a folder, as `place_of` calls them."""
    rows = connection.execute(select(cursors.c.source, cursors.c.position, cursors.c.complete))
    return {source: (position, complete) for source, position, complete in rows if source != FIRST_FOLDER
            and (source.startswith(place) if place else not source.startswith(OTHER_FOLDER))}


def move_cursor(connection: Connection, source: str, before: int | None, position: int, complete: bool) -> None:
    """Move a cursor that stands at `before` (None: not there yet). Raises CursorMoved where it does not."""
    now = time.time_ns()
    values = {"position": position, "complete": complete, "updated_ns": now}
    if before is None:
        there = connection.execute(select(func.count()).select_from(cursors).where(cursors.c.source == source)).scalar()
        if there:
            raise CursorMoved(source)
        connection.execute(insert(cursors).values(source=source, **values))
        return
    moved = connection.execute(
        update(cursors).where(cursors.c.source == source, cursors.c.position == before).values(**values))
    if moved.rowcount != 1:
        raise CursorMoved(source)


def _upsert(
    connection: Connection, table: Table, columns: tuple[str, ...], keep: tuple[str, ...], add: tuple[str, ...] = ()
) -> Any:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    keys = KEYS[table.name]
    changed: dict[str, Any] = {n: statement.excluded[n] for n in columns if n not in keys and n not in keep}
    changed |= {name: table.c[name] + statement.excluded[name] for name in add}
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=keys)
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def write_rows(connection: Connection, rows: Iterable[Row]) -> int:
    """Insert or update all rows; of rows with one key and the same columns only the last counts (or the sum of what is
    added). Returns how many."""
    groups: dict[Kind, dict[tuple[Any, ...], dict[str, Any]]] = {}
    for row in rows:
        kind = Kind(row.table, tuple(row.values), row.keep, row.add)
        key = tuple(row.values[name] for name in KEYS[row.table])
        kept = groups.setdefault(kind, {})  # a row stays where it began: its number is its place in every list
        before = kept.get(key, {})
        kept[key] = row.values | {name: before.get(name, 0) + row.values[name] for name in row.add}
    _know_sessions(connection, {row["session_id"] for kind, kept in groups.items() if kind.table != "sessions"
                                for row in kept.values() if row.get("session_id")})
    written = 0
    for kind, kept in sorted(groups.items(), key=lambda item: ORDER[item[0].table]):
        statement = _upsert(connection, metadata.tables[kind.table], kind.columns, kind.keep, kind.add)
        connection.execute(statement, list(kept.values()))
        written += len(kept)
    if any(kind.table == "sessions" for kind in groups):  # whatever comes after its end, a session stays ended
        connection.execute(update(sessions).where(sessions.c.ended_ns.is_not(None), sessions.c.status.in_(
            ("RUNNING", "PAUSED"))).values(status=literal("STOPPED")))
    return written


def prune(connection: Connection, now_ns: int, rules: Storage) -> int:
    """Take old rows out of what grows: decisions that led to no entry, signals, account samples. Orders, executions, trades
    and accepted decisions stay. Age is that of the row and of its session: a tape of last year is not old. Returns how many."""
    kept = metadata.tables
    refused = kept["decisions"].c.accepted.is_(False)
    samples = kept["balances"].c.source == "SAMPLE"
    gone = 0
    for name, days, more in (("decisions", rules.decisions_days, refused), ("signal_history", rules.events_days, true()),
                             ("balances", rules.metrics_days, samples)):
        if not days:
            continue
        table, before = kept[name], now_ns - round(days * DAY_NS)
        old = select(sessions.c.session_id).where(sessions.c.started_ns < before)
        gone += connection.execute(
            delete(table).where(table.c.ts_ns < before, table.c.session_id.in_(old), more)).rowcount
    return gone


def _know_sessions(connection: Connection, names: set[str]) -> None:
    """Rows refer to sessions: one nobody has described yet gets a bare row."""
    if names:
        connection.execute(_upsert(connection, sessions, ("session_id", "status"), ("status",)),
                           [{"session_id": name, "status": "RUNNING"} for name in sorted(names)])
