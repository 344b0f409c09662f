"""What `launch.py report`, `export` and `db` do: bring the database up to the files, read it, write what was asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from config.paths import DataPaths
from config.schema import Settings
from core.words import plural
from shm.database import queries
from shm.database.connect import REPORT_TIMEOUT_S, DatabaseError, database_url, reader, shown, sqlite_file
from shm.database.migrate import version
from workers.control import attach
from workers.database_writer import DatabaseWriter
from workers.derived import trade_line
from workers.export_parquet import EVER, KINDS, ExportError
from workers.export_parquet import export as export_tables
from workers.replay_console import time_ns
from workers.report import Report, ReportError, gather, paper_lines, period_of
from workers.report_html import html
from workers.report_text import markdown, moment, money
from workers.run_journal import NoJournal

EXIT_UNEXPECTED, EXIT_USAGE = 1, 2
FIRST_YEAR, LAST_YEAR = 2000, 2200  # what 64 bits of ns can tell, and no typing error


class RecordsError(Exception):
    """Nothing could be made: exit code and what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def catch_up(data_dir: Path, mode: str, settings: Settings) -> DatabaseWriter:
    """Take over what the files have more than the database (a running recorder does the same; both at once is safe). The
    writer is closed; `last_error` says why where it could not."""
    plant = attach(data_dir)
    run_id = plant.spec.run_id if plant is not None else ""
    writer = DatabaseWriter(DataPaths(data_dir, mode), settings, run_id)
    if writer.drain():
        writer.last_error = ""
    writer.close()
    return writer


def _paths_of_runs(data_dir: Path, mode: str) -> DataPaths:
    """Raises RecordsError where nothing has run: there is nothing to look at, and nothing is made."""
    paths = DataPaths(data_dir, mode)
    if not paths.mode_dir.is_dir():
        raise RecordsError(EXIT_UNEXPECTED, f"nothing has run in {paths.mode_dir}. Start it with `launch.py --shards 2`, or "
                                            "name another folder with --data-dir.")
    return paths


@contextmanager
def reading(data_dir: Path, mode: str, settings: Settings) -> Iterator[Connection]:
    """A read-only connection to the database after catching up. Raises RecordsError."""
    paths = _paths_of_runs(data_dir, mode)
    writer = catch_up(data_dir, mode, settings)
    try:
        engine = reader(database_url(paths, settings.system.database.url), mode, REPORT_TIMEOUT_S)
        with engine.connect() as connection:
            if writer.last_error:
                click.echo(f"warning: what happened last may be missing, the database could not be brought up to the files: "
                           f"{writer.last_error}", err=True)
            yield connection
    except DatabaseError as error:
        raise RecordsError(EXIT_USAGE, str(error)) from None
    except SQLAlchemyError as error:
        cause = writer.last_error or str(error).splitlines()[0]
        raise RecordsError(EXIT_UNEXPECTED, f"the database cannot be read: {cause}. See `launch.py db status`.") from None


def _day(text: str) -> date:
    if not text:
        return datetime.now(UTC).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise RecordsError(EXIT_USAGE, f"{text!r} is no date: write it as 2026-11-21") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise RecordsError(EXIT_USAGE, f"nothing was recorded in {day.year}: name a day of {FIRST_YEAR} to {LAST_YEAR}")
    return day


def make_report(
    data_dir: Path, mode: str, settings: Settings, kind: str, day: str, session: str, html_file: Path | None,
    md_file: Path | None, trades_file: Path | None, as_json: bool,
) -> str:
    """Write the files asked for; returns what to print (the Markdown where no file was). Raises RecordsError."""
    wanted = _day(day)
    with reading(data_dir, mode, settings) as connection:
        try:
            made = gather(connection, period_of(kind, wanted, connection, session), mode, time.time_ns())
        except ReportError as error:
            raise RecordsError(EXIT_UNEXPECTED, str(error)) from None
    made = replace(made, paper=paper_lines(DataPaths(data_dir, mode).calibration_dir, made.sessions))
    told = []
    for path, text in ((html_file, html), (md_file, markdown)):
        if path is not None:
            path.write_text(text(made), encoding="utf-8")
            told.append(f"written: {path}")
    if trades_file is not None:
        told.append(f"written: {trades_file} ({plural(_write_trades(trades_file, made), 'trade')})")
    if as_json:
        return json.dumps({"period": made.period.title, **made.figures, "live": made.live})
    if not told:
        return markdown(made)
    f = made.figures
    return "\n".join([f"{made.period.title}: {plural(f['trades'], 'trade')}, net {money(f['net_usdt'])} USDT", *told])


def _write_trades(path: Path, made: Report) -> int:
    path.write_bytes(b"".join(msgspec.json.encode(trade_line(trade)) + b"\n" for trade in made.trades))
    return len(made.trades)


def export_trades(data_dir: Path, mode: str, settings: Settings, target: Path) -> str:
    """All closed trades of a mode as JSON lines."""
    with reading(data_dir, mode, settings) as connection:
        trades = queries.trades(connection)
    target.write_bytes(b"".join(msgspec.json.encode(trade_line(trade)) + b"\n" for trade in trades))
    return f"written: {target} ({plural(len(trades), 'trade')})"


def export_journals(source: Path, target: Path, kinds: tuple[str, ...], from_time: str = "", until: str = "") -> str:
    """Parquet files of a folder's journals, of a time (ISO or ns; none: all). Raises RecordsError."""
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise RecordsError(EXIT_USAGE, f"no such table: {', '.join(sorted(unknown))}. There are {', '.join(KINDS)}.")
    try:
        span = (time_ns(from_time), time_ns(until) or EVER[1])
        if span[0] >= span[1]:
            raise RecordsError(EXIT_USAGE, "--from must be before --until.")
        made = export_tables(source, target, kinds, span)
    except (ExportError, NoJournal) as error:
        raise RecordsError(EXIT_USAGE, str(error)) from None
    return "\n".join(f"{target / kind}.parquet: {plural(rows, 'row')}" for kind, rows in made.items())


def database_verb(verb: str, data_dir: Path, mode: str, settings: Settings) -> dict[str, Any]:
    """`status` looks, `catch-up` works first."""
    paths = DataPaths(data_dir, mode)
    state: dict[str, Any] = {}
    try:
        url = database_url(paths, settings.system.database.url)
    except DatabaseError as error:
        raise RecordsError(EXIT_USAGE, str(error)) from None
    path = sqlite_file(url)
    if path is not None:  # a server's can be looked at from anywhere
        _paths_of_runs(data_dir, mode)
    state["database"] = shown(url)
    if verb == "catch-up":
        writer = catch_up(data_dir, mode, settings)
        state |= {"rows written": writer.rows}
        if writer.last_error:
            state["error"] = writer.last_error
    if path is not None:
        state["bytes"] = path.stat().st_size if path.exists() else 0
    try:
        with reader(url, mode).connect() as connection:
            state["version"] = version(connection)
            state["rows"] = queries.table_sizes(connection)
            newest = queries.session(connection)
            if newest:
                state["newest session"] = f"{newest['session_id']} ({newest['status']}, {moment(newest['started_ns'])})"
    except (SQLAlchemyError, DatabaseError) as error:
        state.setdefault("error", str(error).splitlines()[0])  # what refused the writer is the cause
    return state
