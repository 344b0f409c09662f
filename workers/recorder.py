"""Recorder process: frames and notes to the journal, log records to JSON lines. `python -m workers.recorder --run FILE`

It reads every ring in a slot of its own that gates nobody: what it is too slow for is lost to it alone, counted, and
written down as LOST (and as a HOLE in the journal). A disk that refuses is counted and tried again; the process lives
on. A restarted recorder goes on in the taps where the journal ends; log records and decisions its predecessor had taken
but not yet written are read again (`ring_marks.py`): nothing is missing and nothing is there twice. The database is
filled beside all this, by a thread that reads the files (`database_writer.py`).
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from config.paths import DataPaths
from config.schema import Settings
from core.constants import NS_PER_S
from core.consumption import Kind
from core.enums import LogKind, Severity
from core.explain import Naming, naming_of
from core.journal import CONSUMPTION, RAW_FRAMES
from core.records import CELL_BYTES, CELL_WORDS, LOG
from shm.agent import die_with_parent, run
from shm.broadcast import BroadcastReader, BroadcastRing
from shm.counters import S_RAW_TO_DISK
from shm.decisions import DecisionReader
from shm.errors import DATABASE_KIND
from shm.journal_reader import segments
from shm.logs import BATCH, LOG_CELLS, LogReader
from shm.scheduling import give_way
from shm.topology import SLOT_RECORDER, Plant
from workers.database_writer import DatabaseWriter
from workers.decision_files import PREFIX as DECISIONS_PREFIX
from workers.decision_files import DecisionFiles
from workers.event_files import EventFiles
from workers.event_lines import NO_INSTRUMENT, Instrument, day, line
from workers.journal_files import SegmentWriter, recover
from workers.market_files import MarketFiles
from workers.retention import Retention
from workers.ring_marks import Marks, decisions_behind, lines_behind
from workers.run_files import RunFile
from workers.run_settings import load_settings
from workers.samples import sample
from workers.stores import Stores
from workers.tap_stream import TapStream

SCRATCH_CELLS = 65_536  # the longest message a ring can carry
EVENT_FLUSH_NS = 200_000_000
PAUSE_S = 0.02  # between turns that found nothing
DATABASE_STOP_S = 2.5  # for what is not in the database yet; the rest is taken over at the next start
MARK_DECISIONS = 256  # taken at most before they are written; else each `sync_s`
LINE_MARKS, DECISION_MARKS = "lines.marks", "decisions.marks"
LOG_COLUMNS = tuple(name for name in LOG.dtype.names or () if name != "text")


def _resumed(plant: Plant, ring: BroadcastRing) -> BroadcastReader:
    """The recorder's slot where its predecessor left it: what was lost meanwhile shows as a lap."""
    return BroadcastReader(ring, SLOT_RECORDER, plant.bell.index)


class _ResumedLogReader(LogReader):
    def __init__(self, plant: Plant, role: str, index: int) -> None:
        self.reader = _resumed(plant, plant.log(role, index))
        self._cells = np.zeros((LOG_CELLS * BATCH, CELL_WORDS), np.int64)


class Recorder:
    """Agent over one segment writer and the event files. `clock` gives CLOCK_MONOTONIC ns."""

    role_name = "recorder"

    def __init__(
        self, plant: Plant, settings: Settings | None = None, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.plant = plant
        self._clock = clock
        settings = load_settings(plant) if settings is None else settings
        rules = settings.system.recorder
        self.cnc = plant.cnc()
        self.counters = plant.counters()
        self.log = plant.log_writer()
        restarted = self._restarted = self.cnc.pid != 0  # the page was zero when the plant was made
        self.paths = paths = DataPaths(Path(plant.spec.data_dir), plant.spec.mode)
        self._journal_dir = paths.journal_dir
        taps = plant.taps()
        gateway = plant.row("gateway")

        def stream(prefix: str, kind: int, sync_s: float, rows: list[int]) -> TapStream:
            journal = SegmentWriter(
                paths.journal_dir, plant.spec.run_id, segment_bytes=int(rules.segment_mb * 1e6),
                level=rules.zstd_level, prefix=prefix, kind=kind, on_error=self._error,
            )
            readers = {
                row: _resumed(plant, taps[row]) if restarted else taps[row].reader(SLOT_RECORDER, from_start=True)
                for row in rows
            }
            return TapStream(journal, readers, int(sync_s * NS_PER_S), gateway)

        self.raw = stream("raw", RAW_FRAMES, rules.sync_s, [gateway])
        self.order = stream("order", CONSUMPTION, rules.order_sync_s, [row for row in taps if row != gateway])
        self.streams = (self.raw, self.order)
        self.journal = self.raw.journal
        self.events = EventFiles(paths.events_dir, self._error)
        self.decisions = DecisionFiles(
            paths.decisions_dir, plant.spec.run_id, self._naming, segment_bytes=int(rules.segment_mb * 1e6),
            level=rules.zstd_level, on_error=self._error,
        )
        self._logs: dict[str, LogReader]
        if restarted:
            self._decided = [DecisionReader(_resumed(plant, plant.decisions(i))) for i in range(plant.spec.shards)]
            self._logs = {
                plant.row_name(row): _ResumedLogReader(plant, role, i) for row, (role, i) in enumerate(plant.rows)
            }
        else:
            self._logs = dict(plant.log_readers(SLOT_RECORDER, from_start=True))
            self._decided = plant.decision_readers(SLOT_RECORDER, from_start=True)
        self._log_lost = {name: reader.lost_messages for name, reader in self._logs.items()}
        self._cells: np.ndarray = np.zeros((SCRATCH_CELLS, CELL_WORDS), np.int64)
        self._bytes: np.ndarray = self._cells.view(np.uint8).reshape(-1)
        self._closing = False
        self._oldest_mono = 0
        self._instruments: dict[int, Instrument] = {}
        self._namings: dict[int, Naming] = {}
        self._sync_ns = int(rules.sync_s * NS_PER_S)
        self._synced = self._flushed = clock()
        self._line_marks = Marks(plant.spec.run_id)
        self._decision_marks = Marks(plant.spec.run_id)
        self._lines_written: set[tuple[str, int]] = set()
        self._decisions_written: set[tuple[int, int]] = set()
        self._unmarked = 0
        self.run_file = RunFile(paths.runs_dir, plant, settings, self._error)
        self.database: DatabaseWriter | None = None
        if settings.system.database.enabled:
            reload = None if plant.spec.paced else lambda: plant.control.request_config("recorder")
            self.database = DatabaseWriter(paths, settings, plant.spec.run_id, reload=reload)
        self._database_errors = 0
        self.stores = Stores(paths, self._error)
        self.retention = Retention(paths, settings.system.storage, plant.spec.run_id,
                                   waiting=self.database.unread if self.database is not None else frozenset)
        wanted = settings.system.storage.market_files and not plant.spec.paced  # a tape holds its own trades
        self.market_files = MarketFiles(paths, plant.spec.run_id, self._error) if wanted else None
        self._sample_ns = int(settings.system.database.sample_s * NS_PER_S)
        self._sampled = clock()

    # --- life ------------------------------------------------------------------------------------------------------
    def on_start(self) -> None:
        """Make the newest segment of an earlier writer whole (older ones were closed or recovered before)."""
        for stream in self.streams:
            for path in segments(self._journal_dir, stream.journal.prefix)[-1:]:
                found = recover(path)
                if found is None or found.torn_bytes or found.gaps:
                    self.log.emit(
                        LogKind.ERROR, severity=Severity.WARNING, a=found.torn_bytes if found else -1,
                        b=len(found.gaps) if found else 0, text=f"recovered {path.name}",
                    )
            stream.start(self.plant.spec, self._restarted)
        for path in self.decisions.recover():
            self.log.emit(LogKind.ERROR, severity=Severity.WARNING, text=f"recovered {path.name}")
        if self._restarted:
            self._take_up()
        self.log.emit(LogKind.PROCESS, b=os.getpid(), text="recorder")
        self.run_file.begin()
        if self.database is not None:
            self.database.start()
        if self.market_files is not None:
            self.market_files.start()
        if not self.plant.spec.paced:
            self.retention.start()

    def _take_up(self) -> None:
        """What the predecessor had taken but not written is read again, what it had written but not marked left out."""
        run_id, folder = self.plant.spec.run_id, self.paths.system_dir
        self._line_marks = Marks.load(folder / LINE_MARKS, run_id)
        for name, reader in self._logs.items():
            self._line_marks.put_back(name, reader.reader)
        self._lines_written = lines_behind(self.paths.events_dir, self._line_marks)
        self._decision_marks = Marks.load(folder / DECISION_MARKS, run_id)
        for shard, decided in enumerate(self._decided):
            self._decision_marks.put_back(str(shard), decided.reader)
        self._decisions_written = decisions_behind(self.paths.decisions_dir, DECISIONS_PREFIX, self._decision_marks)

    def do_work(self) -> int:
        """One turn: frames, log records, then whatever is due on the disk."""
        done = self._take_taps() + self._take_logs() + self._take_decisions()
        now = self._clock()
        self._sync(now)
        if now - self._flushed >= EVENT_FLUSH_NS:
            self._flushed = now
            self._flush()
            self._count()
        if now - self._sampled >= self._sample_ns:
            self._sampled = now
            self._sample()
        return done

    def _sample(self) -> None:
        sample(self.plant, self.stores, time.time_ns(), self.run_file.names)
        self.stores.flush()

    def _flush(self) -> None:
        """Lines to their files; then their marks."""
        self.run_file.turn()
        if not self.events.flush():
            return
        before = dict(self._line_marks.rings)
        for name, reader in self._logs.items():
            self._line_marks.mark(name, reader.reader)
        if self._line_marks.rings != before:
            self._line_marks.files = self.events.sizes()
            self._save(self._line_marks, LINE_MARKS)

    def _save(self, marks: Marks, name: str) -> None:
        try:
            marks.save(self.paths.system_dir / name)
        except OSError as error:  # the older marks stay: a successor reads more again and leaves more out
            self._error(error)

    def on_close(self) -> None:
        """Take what is still in the rings, then close the files."""
        for _ in range(1000):
            if self._take_taps() + self._take_logs() + self._take_decisions() == 0:
                break
        self._closing = True
        self._sync(self._clock())
        self._sample()
        self._flush()
        for stream in self.streams:
            stream.close()
        if self.market_files is not None:
            self.market_files.stop()
        self.decisions.close()
        self.events.close()
        self.stores.close()
        self.retention.stop()
        self.run_file.end()
        if self.database is not None:
            self.database.stop(DATABASE_STOP_S)
        self._count()

    # --- taps --------------------------------------------------------------------------------------------------------
    def _take_taps(self) -> int:
        return sum(self._take_tap(stream, row, reader) for stream in self.streams for row, reader in stream.taps.items())

    def _take_tap(self, stream: TapStream, row: int, reader: BroadcastReader) -> int:
        n_cells = reader.read(self._cells)
        lost = stream.newly_lost(row)
        if lost:
            self.counters.set("raw_lost", self._lost())
            name = self.plant.row_name(row)
            self.log.emit(LogKind.LOST, severity=Severity.ERROR, a=lost, text=f"tap of {name}: recorder too slow"[:40])
        if n_cells == 0:
            return 0
        frames = 0
        at = 0
        while at < n_cells:
            header = self._cells[at].tolist()
            begin = (at + 1) * CELL_BYTES
            if not self._oldest_mono and header[5] <= Kind.FRAME_END:
                self._oldest_mono = header[3]
            stream.take(row, header, self._bytes[begin : begin + header[4]].tobytes())
            at += (header[6] >> 48) & 0xFFFF
            frames += 1
        return frames

    def _lost(self) -> int:
        return sum(stream.lost for stream in self.streams)

    def _sync(self, now: int) -> None:
        for stream in self.streams:
            if now - stream.synced_ns >= stream.sync_ns or self._closing:
                stream.synced_ns = now
                done = stream.journal.sync()
                if done and stream is self.raw and self._oldest_mono:
                    self.counters.record(S_RAW_TO_DISK, max(now - self._oldest_mono, 0))
                    self._oldest_mono = 0
        if now - self._synced >= self._sync_ns or self._closing:
            self._synced = now
            if self.decisions.sync():
                self._mark_decisions()

    # --- decisions ---------------------------------------------------------------------------------------------------
    def _take_decisions(self) -> int:
        taken = 0
        for reader in self._decided:
            records = reader.read()
            taken += len(records)
            if self._decisions_written:
                keys = [(int(r["seq"]), int(r["symbol"])) for r in records]
                records = records[np.array([key not in self._decisions_written for key in keys], bool)]
                self._decisions_written.difference_update(keys)
            if len(records):
                self.decisions.add(records)
        self._unmarked += taken
        if self._unmarked >= MARK_DECISIONS and self.decisions.flush():  # a recorder that dies often must get on, too
            self._mark_decisions()
        return taken

    def _mark_decisions(self) -> None:
        """Everything taken is in the file."""
        self._unmarked = 0
        before = dict(self._decision_marks.rings)
        for shard, decided in enumerate(self._decided):
            self._decision_marks.mark(str(shard), decided.reader)
        if self._decision_marks.rings != before:
            self._decision_marks.files = self.decisions.sizes()
            self._save(self._decision_marks, DECISION_MARKS)

    def _naming(self, symbol: int) -> Naming:
        known = self._namings.get(symbol)
        if known is not None:
            return known
        board = self.plant.symbols()
        row = board.read(symbol)[0] if symbol < board.rows else None
        if row is None or not int(row["name_hash"]):
            return Naming(f"#{symbol}", 1, 0)
        found = self._namings[symbol] = naming_of(row)
        return found

    # --- log records -------------------------------------------------------------------------------------------------
    def _take_logs(self) -> int:
        taken = 0
        for name, reader in self._logs.items():
            records = reader.read()
            lost = reader.lost_messages - self._log_lost[name]
            if lost:
                self._log_lost[name] += lost
                self.counters.add("log_lost", lost)
                self._write(self._lost_record(lost), f"log ring of {name}: recorder too slow", "recorder")
            taken += len(records)
            if not len(records):
                continue
            texts = [bytes(text).split(b"\0", 1)[0].decode("utf-8", "replace") for text in records["text"]]
            first = reader.reader.messages - len(records)
            for n, row, text in zip(itertools.count(first), records[list(LOG_COLUMNS)].tolist(), texts, strict=False):
                if (name, n) in self._lines_written:
                    self._lines_written.remove((name, n))
                else:
                    self._write(dict(zip(LOG_COLUMNS, row, strict=True)), text, name, n)
        return taken

    def _lost_record(self, lost: int) -> dict[str, int | float]:
        record: dict[str, int | float] = dict.fromkeys(LOG_COLUMNS, 0)
        return record | {
            "ts_ns": time.time_ns(), "kind": int(LogKind.LOST), "severity": int(Severity.ERROR), "a": lost, "symbol": -1
        }

    def _write(self, record: dict[str, int | float], text: str, proc: str, n: int = -1) -> None:
        symbol = int(record["symbol"])
        instrument = self._instrument(symbol) if symbol >= 0 else NO_INSTRUMENT
        stream, fields = line({**record, "text": text}, proc, self.plant.spec.run_id, instrument)
        if n >= 0:
            fields["n"] = n  # number of the record in the ring of its process: a line is known by (sid, proc, n)
        self.events.add(day(int(record["ts_ns"])), stream, msgspec.json.encode(fields))

    def _instrument(self, symbol: int) -> Instrument:
        known = self._instruments.get(symbol)
        if known is not None:
            return known
        board = self.plant.symbols()
        row = board.read(symbol)[0] if symbol < board.rows else None
        if row is None or not int(row["name_hash"]):
            return Instrument(f"#{symbol}", 0.0, 0.0)
        name = bytes(row["name"]).rstrip(b"\0").decode("ascii", "replace")
        found = self._instruments[symbol] = Instrument(name, float(row["tick_size"]), float(row["lot_size"]))
        return found

    # --- figures -----------------------------------------------------------------------------------------------------
    def _error(self, error: OSError) -> None:
        self.counters.add("disk_errors")
        self.counters.add("errors")
        self.cnc.errors.record(error)

    def _count(self) -> None:
        journals, counters = [stream.journal for stream in self.streams], self.counters
        for name, value in (
            ("raw_frames", self.raw.frames), ("bytes", sum(j.raw_bytes for j in journals)),
            ("compressed_bytes", sum(j.stored_bytes for j in journals)),
            ("segments", sum(j.segments_closed for j in journals)), ("syncs", sum(j.syncs for j in journals)),
            ("log_lines", self.events.written),
            ("raw_lost", self._lost()), ("recorded", self.decisions.records),
            ("records_lost", self.decisions.lost + sum(reader.lost_messages for reader in self._decided)),
        ):
            counters.set(name, value)
        if self.database is not None:
            counters.set("database_rows", self.database.rows)
            counters.set("database_errors", self.database.errors)
            counters.set("database_lag_ms", self.database.lag_ms)
            if self.database.errors != self._database_errors:
                self._database_errors = self.database.errors
                self.cnc.errors.record(DATABASE_KIND, self.database.last_error)


def main(argv: list[str] | None = None) -> int:
    """Entry of the process: joins the plant named by --run and works until SIGTERM, which comes when those that it records have
    ended."""
    parser = argparse.ArgumentParser(prog="python -m workers.recorder")
    parser.add_argument("--run", required=True, help="run.json of the plant")
    options = parser.parse_args(argv)
    die_with_parent()
    give_way()
    plant = Plant.join(options.run, "recorder")
    # It looks at a dozen rings per turn and nobody waits for it: no spinning, no waking by every batch of the gateway.
    return run(Recorder(plant), plant, spin=0, park=lambda timeout_ns: time.sleep(PAUSE_S), heeds_stop_word=False)


if __name__ == "__main__":
    sys.exit(main())
