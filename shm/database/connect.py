"""Where the database is, and connections to it: the one writer, and readers that can neither write nor linger.

`$SCALPER_DATABASE_URL`, else `[database] url`, else `<mode>/trading.sqlite` in the data folder. SQLite runs in WAL mode:
readers never wait for the writer nor it for them. In PostgreSQL every mode has a schema of its own (`scalper_sim`, ...).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.pool import NullPool

from config.paths import DataPaths

URL_VARIABLE = "SCALPER_DATABASE_URL"
BUSY_MS = 2000  # how long the writer waits for a lock before it goes on with something else
READ_TIMEOUT_S = 3.0  # a read that takes longer is ended: nobody waits for a page that long
REPORT_TIMEOUT_S = 300.0  # a report or an export of years may take its time: it holds up nobody
STEPS = 10_000  # SQLite instructions between two looks at the clock


class DatabaseError(Exception):
    """The database cannot be used as asked; the text says why and what to do."""


def database_url(paths: DataPaths, setting: str = "", environ: Mapping[str, str] | None = None) -> URL:
    """URL of the database of a mode. Raises DatabaseError where it cannot be read or names another kind."""
    text = (os.environ if environ is None else environ).get(URL_VARIABLE, "") or setting
    if not text:
        return URL.create("sqlite", database=str(paths.database_file))
    try:
        url = make_url(text)
    except Exception:  # the text may hold a password: it is not repeated
        raise DatabaseError(f"{URL_VARIABLE}: not a database URL. Write postgresql://user@host/name") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        return url.set(drivername="sqlite")
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise DatabaseError(f"databases of kind {backend!r} are not supported: use SQLite or PostgreSQL")


def schema_of(mode: str) -> str:
    """PostgreSQL schema of a mode: modes never share tables."""
    return f"scalper_{mode.lower()}"


def shown(url: URL) -> str:
    """The URL without its password, wherever that stands in it."""
    secrets = [name for name in url.query if "password" in name.lower()]
    return url.difference_update_query(secrets).render_as_string(hide_password=True)


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite URL."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def writer(url: URL, mode: str) -> Engine:
    """Engine of the one writer: whole transactions, durable when they return."""
    path = sqlite_file(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_MS / 1000})
        event.listen(engine, "connect", _sqlite_writer)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    return _postgres(url, mode, f"-c lock_timeout={BUSY_MS} -c statement_timeout=30000")


def _sqlite_writer(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # BEGIN IMMEDIATE by us: a lock is met at the start, not in the middle
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def reader(url: URL, mode: str, within_s: float = 0.0) -> Engine:
    """Engine of readers: refuses to write, ends what takes longer than `within_s` (0: READ_TIMEOUT_S)."""
    within_s = within_s or READ_TIMEOUT_S
    path = sqlite_file(url)
    if path is not None:
        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.5,
                                         check_same_thread=False)
            connection.execute("PRAGMA query_only=ON")
            return connection

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
        event.listen(engine, "begin", lambda connection: _watch(connection, within_s))
        return engine
    return _postgres(url, mode, f"-c default_transaction_read_only=on -c statement_timeout={int(within_s * 1000)}")


def _watch(connection: Any, within_s: float) -> None:
    """A clock for everything this connection does from here on."""
    deadline = time.monotonic() + within_s
    raw = connection.connection.driver_connection
    raw.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)


def _postgres(url: URL, mode: str, options: str) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise DatabaseError("PostgreSQL needs a driver: install the extra `postgres` (psycopg)") from None
    return create_engine(url, poolclass=NullPool, connect_args={
        "options": f"{options} -c search_path={schema_of(mode)} -c timezone=UTC", "connect_timeout": 3,
    })
