"""What the database is made from: files of the data folder, each with a place up to which it has been taken over.

    system/runs/<run>.jsonl      sessions, instruments            key run:<run id>
    execution*.journal           orders, executions, positions    key booked:<run id>        (renamed when a run is over)
    events/DAY/<stream>.jsonl    signals, states, incidents       key events/DAY/<file>
    metrics/DAY/account.jsonl    balances                         key metrics/DAY/<file>
    decisions/DAY/*.sjr          decisions                        key decisions/DAY/<file>
    audit.jsonl                  audit                            key audit.jsonl
    incidents/NAME/incident.json incidents of the account (LIVE)  key incidents/NAME

A source is read from its place on and says which rows that gives. It changes nothing, so reading twice is harmless.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from config.incidents import FILE, folders, read_incident
from config.paths import DataPaths
from config.schema import Settings
from core.journal import EXECUTION, JournalError
from core.orders.desk_journal import DeskRecordError, Executed, decode
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exchange_words import RecordKind
from core.orders.wire import ENTRY_RECORD, Message, Report, unpack_entry
from core.performance.ledger import NO_IDS, Ledger, Row, Traded, VenueIds
from core.records import MESSAGE, REPORT
from core.risk.policy import Policy, policy
from core.words import plural
from workers.event_files import PART
from workers.file_reading import frames_from, journal_header, lines_from, plain_name
from workers.noted_desk import DESK_RECORD
from workers.projection import (
    EventRows,
    audit_row,
    decision_rows,
    end_row,
    incident_row,
    sample_row,
    session_row,
    symbols_row,
)

NUL = b"\\u0000"  # no text of PostgreSQL holds this character, and somebody may have typed it
EXECUTED = DESK_RECORD + RecordKind.EXECUTION
NEVER_A_SIZE = 1 << 40
EVENT_STREAMS = ("orders", "signals", "risk", "market", "system")


class Batch(NamedTuple):
    """What one read of a source gives: `records` read, the rows they make, the place behind them, whether that is the
    end for good (`done`)."""

    records: int
    rows: list[Row]
    position: int
    done: bool


class Source(Protocol):
    key: str
    path: Path

    def read(self, position: int, limit: int) -> Batch:
        """About `limit` records from `position` on. Raises OSError, JournalError."""
        ...


class RunInfo:
    """What the run file says: start balance, leverage rules, and instruments by symbol id."""

    def __init__(self) -> None:
        self.start_balance_e8 = 0
        self.known = False
        self.instruments: dict[int, Traded] = {}
        self._policy: Policy | None = None

    def take(self, line: dict[str, Any]) -> None:
        if line["t"] == "run":
            self.known, self.start_balance_e8 = True, line["start_balance_e8"]
            with contextlib.suppress(msgspec.MsgspecError):  # settings of another version: then no leverage is known
                self._policy = policy(msgspec.convert(line["settings"], Settings))
        elif line["t"] == "instrument":
            self.instruments[line["id"]] = Traded(
                line["name"], line["tick_mant"], line["price_exp"], line["lot_mant"], line["qty_exp"],
                line["taker_fee_e8"], line["max_leverage_e2"], line["category"])

    def leverage_of(self, traded: Traded) -> int:
        """Leverage x 100 by the settings the run began with."""
        rules: Any = self._policy  # asks for the name and the highest leverage of an instrument, which `traded` has
        return int(rules.leverage_of(traded)) if rules is not None else 100

    def maintenance_of(self, traded: Traded) -> int:
        """Maintenance margin rate (1e-8) of its category."""
        return int(self._policy.maintenance_e8[traded.category]) if self._policy is not None else 0


@dataclass
class LineSource:
    """A JSONL file; `to_rows(line, offset)`. Lines that are no JSON (half ones of a writer that died) are passed over."""

    key: str
    path: Path
    to_rows: Callable[[dict[str, Any], int], list[Row]]
    final: bool = False  # nothing will be added to it
    broken: int = 0

    def read(self, position: int, limit: int) -> Batch:
        lines, end = lines_from(self.path, position, limit)
        rows: list[Row] = []
        for offset, text in lines:
            try:
                line = msgspec.json.decode(text.replace(NUL, b"?"))
                rows += self.to_rows(line, offset)
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
                self.broken += bool(text.strip())
        return Batch(len(lines), rows, end, self.final and not lines)


@dataclass
class DecisionSource:
    """A segment of decision records."""

    key: str
    path: Path
    session_id: str
    final: bool = False

    def read(self, position: int, limit: int) -> Batch:
        frames, end = frames_from(self.path, position, min(limit, 64))
        rows = [row for frame in frames for row in decision_rows(self.session_id, frame.data)]
        return Batch(len(frames), rows, end, self.final and not frames)


@dataclass
class IncidentSource:
    """One incident. Its file is written anew when more is known, so its place is what the file says: a checksum."""

    key: str
    path: Path
    final: bool = False  # never: a person may write down tomorrow what it was

    def read(self, position: int, limit: int) -> Batch:
        mark = NEVER_A_SIZE | zlib.crc32(self.path.read_bytes())
        if mark == position:
            return Batch(0, [], position, False)
        return Batch(1, [incident_row(read_incident(self.path.parent), self.key)], mark, False)


class ExecutionSource:
    """An execution journal. Rows depend on everything before them, so a ledger walks along; put at a place it has not
    come to by itself it begins anew and reads up to there. Its place is the number of records booked, not a byte: a
    restart of execution may replace the file by a shorter one with the same records (`journal_compaction.py`). Waits
    where an instrument is not known yet."""

    def __init__(self, key: str, path: Path, session_id: str, info: RunInfo, final: bool = False) -> None:
        self.key, self.path, self.final = key, path, final
        self._session_id, self._info = session_id, info
        self.unknown = 0  # records that wait for the name of their symbol
        self._begin()

    def _begin(self) -> None:
        info = self._info
        self._ledger = Ledger(self._session_id, info.start_balance_e8, info.leverage_of, info.maintenance_of)
        self._ids: dict[int, VenueIds] = {}  # LIVE: by the number of the message that tells the execution
        self._at = 0
        self._file = 0

    def read(self, position: int, limit: int) -> Batch:
        if not self._info.known:
            return Batch(0, [], position, False)
        file = self.path.stat().st_ino
        if file != self._file or self._ledger.records > position:
            self._begin()
        self._file = file
        rows: list[Row] = []
        while True:
            before = self._at
            rows += [row for number, changed in self._step(limit) if number > position for row in changed]
            if self._ledger.records > position or self._at == before:
                break
        if self.path.stat().st_ino != file:  # replaced while it was read: the next look begins anew
            self._file = 0
            return Batch(0, [], position, False)
        if self._ledger.records < position and not self.unknown:
            raise JournalError(f"{self.path.name}: holds {plural(self._ledger.records, 'record')}, {position} were taken over")
        new = max(self._ledger.records - position, 0)
        return Batch(new, rows, position + new, self.final and not new and not self.unknown)

    def _step(self, limit: int) -> list[tuple[int, list[Row]]]:
        """Whole blocks as (number of the record, rows it changed); where a symbol is unknown, none."""
        frames, end = frames_from(self.path, self._at, limit)
        self._ids |= dict(_venue_ids(frame.data) for frame in frames if frame.kind == EXECUTED)
        entries = [_entry(frame.data) for frame in frames if frame.kind == ENTRY_RECORD]
        self.unknown = sum(message.symbol not in self._info.instruments for message, _ in entries)
        if self.unknown:
            return []
        booked = []
        for message, report in entries:
            changed = self._ledger.take(message, report, self._info.instruments[message.symbol],
                                        self._ids.pop(message.seq, NO_IDS))
            booked.append((self._ledger.records, changed))
        self._at = end
        return booked


def _venue_ids(data: bytes) -> tuple[int, VenueIds]:
    """(`seq` of the message, ids) of an execution the desk noted. Raises JournalError."""
    try:
        record = decode(RecordKind.EXECUTION, data)
    except DeskRecordError as error:
        raise JournalError(str(error)) from None
    assert isinstance(record, Executed)
    return DESK_SEQ + record.number, VenueIds(record.exec_id, record.venue_id)


def _entry(data: bytes) -> tuple[Message, Report | None]:
    if len(data) not in (MESSAGE.size, MESSAGE.size + REPORT.size):
        raise JournalError(f"a record of {len(data)} bytes: the journal was written by another version")
    return unpack_entry(data)


class Sources:
    """Every source of a mode, looked up anew at each `listed`. `place`: before every key (`database_rows.place_of`)."""

    def __init__(self, paths: DataPaths, run_id: str, place: str = "") -> None:
        self._paths, self._place = paths, place
        self._run_id = run_id  # the running one; its files may still grow
        self._runs: dict[str, RunInfo] = {}
        self._known: dict[str, Source] = {}
        self.events = EventRows()

    def listed(self, complete: set[str]) -> list[Source]:
        """Sources in the order they must be read in; those in `complete` are left out."""
        found: dict[str, Source] = {}
        for source in self._find(complete):
            known = self._known.get(source.key)
            if known is not None and type(known) is type(source):  # keep what it remembers, but not where it lay
                known.path, known.final = source.path, source.final  # type: ignore[attr-defined]
                source = known
            found[source.key] = source
        self._known = found
        return list(found.values())

    def info(self, run_id: str) -> RunInfo:
        """What is known of a run: read in whole from its file the first time, then kept up by its source."""
        if run_id not in self._runs:
            info = self._runs[run_id] = RunInfo()
            with contextlib.suppress(OSError):
                for text in (self._paths.runs_dir / f"{run_id}.jsonl").read_bytes().splitlines():
                    with contextlib.suppress(msgspec.MsgspecError, KeyError, TypeError):
                        info.take(msgspec.json.decode(text))
        return self._runs[run_id]

    def _find(self, complete: set[str]) -> Iterator[Source]:
        for path in sorted(self._paths.runs_dir.glob("*.jsonl*")):
            run_id = plain_name(path).removesuffix(".jsonl")
            if f"{self._place}run:{run_id}" not in complete:
                yield self._run_source(run_id, path)
        for path in sorted(self._paths.mode_dir.glob("execution*.journal")):
            header = journal_header(path)
            if header is not None and header.kind == EXECUTION and f"{self._place}booked:{header.run_id}" not in complete:
                yield ExecutionSource(f"{self._place}booked:{header.run_id}", path, header.run_id, self.info(header.run_id),
                                      final=header.run_id != self._run_id)
        yield from self._lines("events", self._paths.events_dir, EVENT_STREAMS, complete)
        yield from self._lines("metrics", self._paths.metrics_dir, ("account",), complete)
        yield from self._decisions(complete)
        if self._paths.audit_file.exists():
            place = f"{self._place}{self._paths.mode.lower()}/audit.jsonl"
            yield LineSource(f"{self._place}audit.jsonl", self._paths.audit_file, lambda line, at: [audit_row(line, place, at)])
        for folder in folders(self._paths.incidents_dir) if self._paths.mode == "LIVE" else ():
            if (folder / FILE).exists():
                yield IncidentSource(f"{self._place}incidents/{folder.name}", folder / FILE)

    def _run_source(self, run_id: str, path: Path) -> Source:
        info = self.info(run_id)

        def rows(line: dict[str, Any], offset: int) -> list[Row]:
            info.take(line)
            if line["t"] == "run":
                return [session_row(line)]
            if line["t"] == "end":
                return [end_row(run_id, line)]
            return [symbols_row(run_id, sorted(traded.name for traded in info.instruments.values()))]

        return LineSource(f"{self._place}run:{run_id}", path, rows, final=run_id != self._run_id)

    def _lines(self, name: str, folder: Path, streams: tuple[str, ...], complete: set[str]) -> Iterator[Source]:
        days = sorted(path.name for path in folder.glob("*") if path.is_dir())
        for day in days:
            parts: dict[str, list[tuple[int, Path]]] = {}
            for path in (folder / day).iterdir():
                match = PART.fullmatch(path.name)
                if match and match["stream"] in streams:
                    parts.setdefault(match["stream"], []).append((int(match["number"] or 0), path))
            for stream in streams:
                numbered = sorted(parts.get(stream, []))
                for number, path in numbered:
                    key = f"{self._place}{name}/{day}/{plain_name(path)}"
                    if key not in complete:
                        # the day before may still get a line around midnight, so two days stay open
                        final = number < numbered[-1][0] or day not in days[-2:] or path.suffix == ".zst"
                        yield LineSource(key, path, self._row_maker(name, key), final=final)

    def _row_maker(self, name: str, key: str) -> Callable[[dict[str, Any], int], list[Row]]:
        if name == "metrics":
            return lambda line, at: [sample_row(line, at)]
        return lambda line, at: self.events.rows(line, key, at)

    def _decisions(self, complete: set[str]) -> Iterator[Source]:
        for day in sorted(path for path in self._paths.decisions_dir.glob("*") if path.is_dir()):
            files = sorted(day.glob("decisions-*.sjr"))
            for path in files:
                key = f"{self._place}decisions/{day.name}/{path.name}"
                if key not in complete and (header := journal_header(path)) is not None:
                    # a segment with another one behind it was closed before that was begun, and is never opened again
                    final = header.run_id != self._run_id[:32] or path != files[-1]
                    yield DecisionSource(key, path, header.run_id, final)
