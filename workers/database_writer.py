"""The recorder's hand on the database: a thread that takes over what the files say, in batches, at its own pace.

    files --(from the cursor on)--> rows --(one transaction: rows + cursor)--> database

The files are the truth. The cursor of a source stands in the database and moves with the rows it is for, so each record is
there exactly once whatever is killed when. A database that is locked, slow, full, absent or deleted costs nothing but
time: the thread tries again, and begins at the start of the files where there is no cursor. The engine and the reading of
the rings never wait for it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from config.paths import DataPaths
from config.schema import Settings
from core.journal import JournalError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from workers.database_sources import Batch, Source, Sources
    from workers.derived import Derived

RETRY_MIN_S, RETRY_MAX_S = 0.25, 10.0
LOOK_S = 2.0  # how often the folders are searched for new files
BATCHES_PER_TURN = 20
FIRST_PRUNE_S = 120.0
FOLDER_ID = "folder.id"


class DatabaseWriter:
    """`start`, later `stop`; or `turn` by hand. `rows`, `errors`, `lag_ms` and `last_error` may be read at any time."""

    def __init__(
        self, paths: DataPaths, settings: Settings, run_id: str, clock: Callable[[], float] = time.monotonic,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._paths, self._settings, self._run_id, self._clock = paths, settings, run_id, clock
        self._rules = settings.system.database
        self._reload = reload
        self._derived: Derived | None = None
        self._prune_at = 0.0
        self._readers: Engine | None = None
        self.rows = 0
        self.errors = 0
        self.last_error = ""
        self._behind_since = 0.0
        self._more = False
        self._unsettled = True  # a session of an earlier run may stand there as if it ran
        self._engine: Engine | None = None
        self._file_id: tuple[int, int] | None = None
        self._cursors: dict[str, tuple[int, bool]] = {}
        self._place = ""  # before the names of this folder's sources
        self._waiting: tuple[Source, Batch] | None = None  # read, but not yet in the database
        self._sources: Sources | None = None
        self._listed: list[Source] = []
        self._looked = -LOOK_S
        self._stop = threading.Event()
        self._finish_by = 0.0
        self._thread: threading.Thread | None = None

    # --- life --------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Take over what is there, but no longer than `within_s`; the rest is taken over at the next start."""
        self._finish_by = self._clock() + within_s
        self._stop.set()
        if self._thread is not None:
            self._thread.join(within_s + 0.5)

    @property
    def lag_ms(self) -> int:
        """How long something has been waiting for the database."""
        return int((self._clock() - self._behind_since) * 1000) if self._behind_since else 0

    def _run(self) -> None:
        pause = RETRY_MIN_S
        while True:
            stopping = self._stop.is_set()
            taken = self.turn()
            if stopping:
                if taken <= 0 or self._clock() > self._finish_by:
                    break
            elif taken < 0:
                self._stop.wait(pause)
                pause = min(2 * pause, RETRY_MAX_S)
            else:
                pause = RETRY_MIN_S
                self._stop.wait(self._rules.interval_s)
        self.close()

    def close(self) -> None:
        for engine in (self._engine, self._readers):
            if engine is not None:
                engine.dispose()
        self._engine = self._readers = None

    def unread(self) -> frozenset[Path]:
        """Files that still hold something the database has not; the running execution journal, which never goes, is none of
        them. May be called from another thread: it looks the folders up by itself, beside a copy of the cursors, and where
        that is older than a file or of another database it says too much, never too little."""
        from workers.database_sources import Sources

        cursors = dict(self._cursors)
        complete = {key for key, (_, done) in cursors.items() if done}
        waiting = set()
        for source in Sources(self._paths, self._run_id, self._place).listed(complete):
            if source.path == self._paths.execution_journal:
                continue
            position = cursors.get(source.key, (-1, False))[0]
            with contextlib.suppress(OSError):
                if position < 0 or source.path.suffix == ".zst" or position < source.path.stat().st_size:
                    waiting.add(source.path)
        return frozenset(waiting)

    # --- work --------------------------------------------------------------------------------------------------------
    def turn(self) -> int:
        """Take over a bounded part; returns the number of records, -1 when the database (or a file) refused."""
        try:
            taken = self._turn()
        except Exception as error:  # a thread that ends would be the one silent way to lose the database
            self.errors += 1
            self.last_error = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            self._behind_since = self._behind_since or self._clock()
            self.close()
            return -1
        self._behind_since = self._behind_since or self._clock() if self._more else 0.0
        return taken

    def drain(self) -> bool:
        """Take over everything there is now; False when the database refuses."""
        self._looked = -LOOK_S
        while (taken := self.turn()) > 0:
            pass
        return taken == 0

    def _turn(self) -> int:
        self._connect()
        if self._clock() - self._looked >= LOOK_S or self._stop.is_set():
            self._looked = self._clock()
            self._look()
        if self._waiting is not None:
            source, batch = self._waiting
            self._commit(source, batch)
        taken = 0
        self._more = False
        for source in self._listed:
            taken += self._take(source)
        assert self._derived is not None and self._readers is not None
        self._derived.turn(self._readers, self._clock(), at_once=self._stop.is_set() and not taken)
        if not taken and self._unsettled:
            self._settle_ended_sessions()
        if not taken and self._clock() >= self._prune_at:
            self._prune()
        return taken

    def _prune(self) -> None:
        """Old rows go as old files do, as often; first some time after the start."""
        from workers.database_rows import prune

        every_s = self._settings.system.storage.every_h * 3600
        if self._prune_at:
            assert self._engine is not None
            with self._engine.begin() as connection:
                prune(connection, time.time_ns(), self._settings.system.storage)
        self._prune_at = self._clock() + (every_s if self._prune_at else min(every_s, FIRST_PRUNE_S))

    def _look(self) -> None:
        assert self._sources is not None
        self._listed = self._sources.listed({key for key, (_, complete) in self._cursors.items() if complete})

    def _take(self, source: Source) -> int:
        taken = 0
        for _ in range(BATCHES_PER_TURN):
            position, complete = self._cursors.get(source.key, (0, False))
            if complete:
                break
            try:
                batch = source.read(position, self._rules.batch_rows)
            except (FileNotFoundError, JournalError) as error:  # renamed meanwhile, or damaged: the next look finds it
                self.last_error = str(error)[:200]
                self._looked = -LOOK_S
                break
            if batch.position == position and not batch.done:
                break
            self._commit(source, batch)
            taken += batch.records
            if not batch.records:
                break
        else:
            self._more = True  # its turn was over before it was read to the end
        return taken

    def _commit(self, source: Source, batch: Batch) -> None:
        from workers.database_rows import CursorMoved, move_cursor, read_cursors, write_rows

        assert self._engine is not None
        self._waiting = (source, batch)
        known = self._cursors.get(source.key)
        try:
            with self._engine.begin() as connection:
                written = write_rows(connection, batch.rows)
                move_cursor(connection, source.key, known[0] if known else None, batch.position, batch.done)
        except CursorMoved:
            self._waiting = None
            with self._engine.connect() as connection:
                self._cursors = read_cursors(connection, self._place)
            return
        self._waiting = None
        self._cursors[source.key] = (batch.position, batch.done)
        self.rows += written
        self._unsettled |= any(row.values.get("session_id", self._run_id) != self._run_id or row.values.get("ended_ns")
                               for row in batch.rows)
        if self._derived is not None:
            self._derived.note(batch.rows)

    # --- connection --------------------------------------------------------------------------------------------------
    def _connect(self) -> None:
        """An engine over migrated tables, with the cursors as they stand there; again when the file was taken away."""
        from shm.database.connect import database_url, reader, sqlite_file, writer
        from shm.database.migrate import upgrade
        from workers.database_rows import place_of, read_cursors

        url = database_url(self._paths, self._rules.url)
        path = sqlite_file(url)
        if self._engine is not None and (path is None or _file_id(path) == self._file_id):
            return
        self.close()
        engine = writer(url, self._paths.mode)
        upgrade(engine, self._paths.mode)
        with engine.begin() as connection:
            place = self._place = place_of(connection, folder_id(self._paths.system_dir / FOLDER_ID))
            cursors = read_cursors(connection, place)
        if self._sources is None or cursors != self._cursors:  # another database: what was read for the last does not fit
            from workers.database_sources import Sources

            self._waiting = None
            self._sources = Sources(self._paths, self._run_id, place)
        self._cursors = cursors
        self._looked = -LOOK_S
        self._engine = engine
        self._readers = reader(url, self._paths.mode)
        if self._derived is None:
            from workers.derived import Derived

            self._derived = Derived(self._paths, self._settings, self._reload)
        self._file_id = _file_id(path) if path is not None else None
        self._remember_transitions()
        self._unsettled = True

    def _remember_transitions(self) -> None:
        """The last state changes of the symbols of this run, which the next ones are put before."""
        from sqlalchemy import select

        from shm.database.tables import strategy_execution_state as states

        assert self._engine is not None and self._sources is not None
        with self._engine.connect() as connection:
            for session, symbol, steps in connection.execute(
                    select(states.c.session_id, states.c.symbol, states.c.transitions)
                    .where(states.c.session_id == self._run_id)):
                self._sources.events.transitions[(session, symbol)] = list(steps or ())

    def _settle_ended_sessions(self) -> None:
        """Sessions of earlier runs that nobody ended: their plant was killed. Positions of ended sessions that are still open:
        they were left so. Once what their files say is read."""
        from sqlalchemy import select, update

        from core.performance.ledger import LEFT_OPEN, OPEN
        from shm.database.tables import positions, sessions
        from workers.file_reading import plain_name

        assert self._engine is not None
        ours = [plain_name(path).removesuffix(".jsonl") for path in self._paths.runs_dir.glob("*.jsonl*")]
        s = sessions.c
        ended = select(s.session_id).where(s.session_id.in_(ours), s.status.in_(("STOPPED", "ERROR")))
        with self._engine.begin() as connection:
            connection.execute(
                update(sessions)
                .where(s.session_id != self._run_id, s.session_id.in_(ours), s.ended_ns.is_(None),
                       s.status.in_(("RUNNING", "PAUSED")))
                .values(status="ERROR", error="not ended in order"))
            connection.execute(
                update(positions).where(positions.c.status == OPEN, positions.c.session_id.in_(ended)).values(status=LEFT_OPEN))
        self._unsettled = False


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def folder_id(path: Path) -> int:
    """The number a data folder is known by, made once. Raises OSError, ValueError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if not path.exists():
        beside.write_text(f"{secrets.randbits(62):x}\n")
        with contextlib.suppress(FileExistsError):  # somebody was faster: that one counts
            os.link(beside, path)
        beside.unlink()
    return int(path.read_text(), 16)
