"""The past, from the trading database: lists cut into pages, CSV, performance. Read-only; a question that takes longer than
three seconds is ended, so no page can be a burden to whoever writes.
"""

from __future__ import annotations

import csv
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from admin.parquet import parquet
from config.paths import DataPaths
from core.constants import DAY_NS, NS_PER_MS
from core.performance.figures import Point, grouped, live_stats, performance, session_curve, thinned
from core.performance.trades import Trade
from core.units import format_fixed

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

FRESH_S = 5.0  # figures are worked out at most this often ...
REST = 9  # ... and for at most a tenth of the time
TRADES_PAGE = 2000
CURVE_POINTS = 400
PERIODS = {"day": 1, "week": 7, "month": 30, "all": 0}
GROUPS = ("symbol", "hour", "weekday", "move_type", "exit_reason", "side")
HIDDEN = frozenset({"record"})  # too long for a list
MOST_ROWS = 100_000  # of a download
LIVE_TRADES = 20_000  # the newest; live statistics are over these
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class NoSession(Exception):
    """There is no session of that id."""


class HistoryUnavailable(Exception):
    """The database cannot be read now; the text says why."""


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row as REST tells it: money as decimal text in USDT, times in epoch ms."""
    out: dict[str, Any] = {}
    for name, value in row.items():
        if name in HIDDEN:
            continue
        if name.endswith("_e8"):
            out[name.removesuffix("_e8") + "_usdt"] = None if value is None else format_fixed(value, 8)
        elif name.endswith("_ns"):
            out["ts" if name == "ts_ns" else name.removesuffix("_ns") + "_ts"] = None if value is None else value // NS_PER_MS
        else:
            out[name] = value
    return out


class History:
    """Reads of one mode's database. `setting`: `[database] url`. The engine is made at the first question. `until_ns`: the
    event time a replay shows, 0 in a running system: nothing behind it is told."""

    def __init__(self, paths: DataPaths, setting: str = "", until_ns: Callable[[], int] = lambda: 0) -> None:
        self._paths, self._setting, self._until_ns = paths, setting, until_ns
        self._engine: Engine | None = None
        self._lock, self._making = threading.Lock(), threading.Lock()
        self._figures: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that can neither write nor linger. Raises HistoryUnavailable, also for what fails inside."""
        from sqlalchemy.exc import SQLAlchemyError

        from shm.database.connect import READ_TIMEOUT_S, DatabaseError, database_url, reader, shown

        try:
            url = database_url(self._paths, self._setting)
            with self._lock:
                if self._engine is None:
                    self._engine = reader(url, self._paths.mode)
            with self._engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise HistoryUnavailable(str(error)) from None
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0][:160]
            if cause == "interrupted" or "statement timeout" in cause:
                cause = f"the question took longer than {READ_TIMEOUT_S:g} s and was ended; ask for less (from, to, symbol)"
            raise HistoryUnavailable(f"{shown(url)}: {cause}") from None

    def page(
        self, name: str, filters: dict[str, str], limit: int, before: int | None, from_ms: int = 0, to_ms: int = 0
    ) -> tuple[list[dict[str, Any]], int | None]:
        """(rows newest first, cursor of the next page or None). KeyError for a filter the list has not."""
        rows, cursor = self._page(name, filters, limit, before, from_ms, to_ms)
        return [told(row) for row in rows], cursor

    def _page(
        self, name: str, filters: dict[str, str], limit: int, before: int | None, from_ms: int, to_ms: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        from shm.database import queries

        until_ns = self._until_ns()
        to_ns = min(to_ms * NS_PER_MS or until_ns, until_ns) if until_ns else to_ms * NS_PER_MS
        with self.reading() as connection:
            return queries.page(connection, name, filters, limit, before, from_ms * NS_PER_MS, to_ns)

    def _pages(self, name: str, filters: dict[str, str], from_ms: int, to_ms: int) -> Iterator[list[dict[str, Any]]]:
        """A whole list as it stands in the database, page by page, at most MOST_ROWS rows: no question is long."""
        before: int | None = None
        left = MOST_ROWS
        while left > 0:
            rows, before = self._page(name, filters, min(500, left), before, from_ms, to_ms)
            left -= len(rows)
            yield rows
            if before is None:
                return

    def parquet(self, name: str, filters: dict[str, str], from_ms: int = 0, to_ms: int = 0) -> bytes:
        """A list as a Parquet file. Raises NoParquet where pyarrow is not installed."""
        from shm.database import queries

        return parquet(queries.columns_of(name), self._pages(name, filters, from_ms, to_ms))

    def csv(self, name: str, filters: dict[str, str], from_ms: int = 0, to_ms: int = 0) -> Iterator[str]:
        """A list as CSV text, piece by piece."""
        from shm.database import queries

        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(told(dict.fromkeys(column.name for column in queries.columns_of(name))))  # also where no row follows
        for page in self._pages(name, filters, from_ms, to_ms):
            writer.writerows([[_cell(value) for value in told(row).values()] for row in page])
            yield out.getvalue()
            out.seek(0)
            out.truncate()

    def performance(self, period: str, session_id: str = "") -> dict[str, Any]:
        """Figures, groups and curve of the last day, week, month, of everything, or of one session ('' = the newest).
        Raises NoSession."""
        key = (period, session_id)
        known = self._figures.get(key)
        if known is not None and (time.monotonic() < known[0] or self._making.locked()):
            return known[1]
        with self._making:  # several who ask at once wait for the one answer
            known = self._figures.get(key)
            if known is not None and time.monotonic() < known[0]:
                return known[1]
            began = time.monotonic()
            made = self._performance(period, session_id)
            ended = time.monotonic()
            self._figures[key] = (ended + max(FRESH_S, REST * (ended - began)), made)
            return made

    def _trades(self, from_ns: int, to_ns: int, session_id: str = "", most: int = MOST_ROWS) -> list[Trade]:
        """Closed trades in order of closing, the newest `most`; page by page, so that no question is long."""
        from shm.database import queries

        found: list[Trade] = []
        before: queries.Place | None = None
        while len(found) < most:
            with self.reading() as connection:
                page, before = queries.trades_page(connection, from_ns, to_ns, session_id, limit=TRADES_PAGE, before=before)
            found += page
            if before is None:
                break
        return found[:most][::-1]

    def _performance(self, period: str, session_id: str) -> dict[str, Any]:
        from shm.database import queries

        until_ns = self._until_ns()
        now_ns = until_ns or time.time_ns()
        with self.reading() as connection:
            found = queries.session(connection, session_id)
            if session_id and found is None:
                raise NoSession(session_id)
            session_id = found["session_id"] if found and period == "session" else ""
            from_ns = now_ns - PERIODS[period] * DAY_NS if PERIODS.get(period) else 0
            samples = queries.equity(connection, from_ns, until_ns, session_id) if session_id else []
            unrealised = queries.unrealised_e8(connection, found["session_id"], until_ns) if found else 0
            booked = queries.booked_e8(connection, session_id) if session_id and not until_ns else 0
            ran = [found] if session_id and found else queries.sessions_between(connection, from_ns, now_ns)
            start_e8 = queries.balance_e8(connection, ran, from_ns)
        trades = self._trades(from_ns, until_ns, session_id)
        everything = trades[-LIVE_TRADES:] if period == "all" else self._trades(0, until_ns, most=LIVE_TRADES)
        curve = session_curve(samples, Point((found or {}).get("started_ns") or 0, start_e8), trades)
        return {
            "period": period, "session": session_id, "from_ts": from_ns // NS_PER_MS, "made_ts": now_ns // NS_PER_MS,
            **performance(trades, start_e8, curve, unrealised, booked), "live": live_stats(everything, now_ns),
            "groups": {name: grouped(trades, name) for name in GROUPS},
            "equity": [[p.ts_ns // NS_PER_MS, p.equity_e8 / 1e8] for p in thinned(curve, CURVE_POINTS)],
        }

    def tables(self) -> dict[str, int]:
        """Rows of every table."""
        from shm.database import queries

        with self.reading() as connection:
            return queries.table_sizes(connection)

    def where(self) -> str:
        """The address of the database, without its password."""
        from shm.database.connect import DatabaseError, database_url, shown

        try:
            return shown(database_url(self._paths, self._setting))
        except DatabaseError as error:
            return str(error)


def _cell(value: Any) -> Any:
    """Lists and objects as JSON. A spreadsheet must not take a text for a formula; a negative number is none."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if isinstance(value, str) and value[:1] in FORMULA and not NUMBER.fullmatch(value):
        return "'" + value
    return value
