"""The journal of one run as it lies on the disk: its streams in order, and what is missing or damaged in them.

A stream is read to its end or to its first hole, because nothing behind a hole can be proven. Holes show as damaged
blocks, as HOLE notes of a recorder that was too slow, and as records that POSITION notes count but no segment holds (a
segment that was removed). The torn tail of the last segment is no hole: there the run was cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from core.consumption import ROW_DISK_FULL, ROW_TOO_LONG, Closed, Hole, Kind, NoteError, Position, Run, unpack
from core.journal import Frame, JournalError, block_frames, decode_file_header
from core.words import plural
from shm.journal_reader import SUFFIX, decompress, journal_folders, read_scan, runs
from shm.run_spec import RunSpec, process_rows

STREAMS = ("raw", "order")
HOLES = {ROW_DISK_FULL: "the disk was full", ROW_TOO_LONG: "longer than a tap carries"}
GATEWAY_ROW = process_rows(0).index(("gateway", 0))


class Record(NamedTuple):
    """A journal record; `note` where it is none of received bytes."""

    frame: Frame
    note: Any


class NoJournal(Exception):
    """There is nothing to replay; the message gives cause and fix."""


def find_run(place: Path, run_id: str = "") -> RunJournal:
    """The newest run of a folder, or the named one. Raises NoJournal."""
    folders = journal_folders(place)
    known = [(created, run, folder) for folder in folders for run, created in runs(folder).items()]
    wanted = [row for row in known if row[1] == run_id] if run_id else known
    if not wanted:
        which = f"run {run_id}" if run_id else "journal with the order of consumption"
        raise NoJournal(f"{place} holds no {which} (order-*{SUFFIX}). Give a data folder, or its journal folder.")
    _, run, folder = max(wanted)
    return RunJournal(folder, run)


@dataclass
class StreamState:
    """What reading a stream found."""

    records: int = 0
    hole: str = ""
    notes: list[str] = field(default_factory=list)
    is_closed: bool = False
    last_ts_ns: int = 0


class Place(NamedTuple):
    """Where a block of a stream begins, and what reading up to there had found: reading may go on there."""

    segment: str
    offset: int
    seen: dict[int, int]
    state: StreamState


class RunJournal:
    """Streams `raw` and `order` of run `run_id` in `folder`; `state[prefix]` tells how reading went."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.folder = folder
        self.run_id = run_id
        self.state = {prefix: StreamState() for prefix in STREAMS}

    @property
    def mode_dir(self) -> Path:
        """Folder that also holds the decisions and the execution journal of the run."""
        return self.folder.parent

    def paths(self, prefix: str) -> list[Path]:
        """Segments of the run, by the receive time of their first record."""
        found = []
        for path in sorted(self.folder.glob(f"{prefix}-*{SUFFIX}")):
            try:
                with path.open("rb") as file:
                    header = decode_file_header(file.read(64))
            except (JournalError, OSError) as error:
                self._note(prefix, f"{path.name}: {error}, skipped")
                continue
            if header.run_id == self.run_id:
                found.append(path)
        return found

    def spec(self) -> RunSpec:
        """Description of the run: the first record of every segment. Raises NoJournal."""
        for _, note in self.read("order"):
            if isinstance(note, Run):
                return self.spec_of(note)
        why = self.state["order"].hole
        raise NoJournal(f"{self.folder}: the journal of run {self.run_id} says nothing of the run{f' ({why})' if why else ''}")

    def spec_of(self, note: Run) -> RunSpec:
        """What the note says. Raises NoJournal."""
        try:
            return msgspec.json.decode(note.payload, type=RunSpec)
        except (msgspec.MsgspecError, ValueError) as error:
            raise NoJournal(f"{self.folder}: run {self.run_id} is not of this version of the code ({error}). Read it with the "
                            "version that made it.") from None

    def last_ns(self, prefix: str) -> int:
        """Receive time of the last record on disk, 0 = there is none."""
        for path in reversed(self.paths(prefix)):
            try:
                _, found = read_scan(path)
            except (JournalError, OSError):
                continue
            if found.blocks:
                return found.blocks[-1].last_ts_ns
        return 0

    def _note(self, prefix: str, text: str) -> None:
        if text not in self.state[prefix].notes:
            self.state[prefix].notes.append(text)

    def read(self, prefix: str) -> Iterator[Record]:
        """Records of a stream in order, up to its end or its first hole. POSITION notes are checked and left out."""
        for _, records in self.read_blocks(prefix):
            yield from records

    def read_blocks(self, prefix: str, place: Place | None = None) -> Iterator[tuple[Place, Iterator[Record]]]:
        """The same by blocks; `place`: go on there. The records of a block are to be taken before the next block is."""
        state = StreamState() if place is None else replace(place.state, notes=list(place.state.notes))
        self.state[prefix] = state
        seen: dict[int, int] = {} if place is None else dict(place.seen)
        for segment, offset, frames in self._blocks(prefix, state, place):
            here = Place(segment, offset, dict(seen), replace(state, notes=list(state.notes)))
            yield here, self._told(prefix, self._checked(prefix, frames, seen, state), state)
            if state.hole:
                return

    @staticmethod
    def _told(prefix: str, records: list[Record], state: StreamState) -> Iterator[Record]:
        """Records up to a HOLE note."""
        for record in records:
            if isinstance(record.note, Hole):
                row, lost = record.note
                why = HOLES.get(row) or f"the recorder was too slow for process row {row}"
                state.hole = f"{plural(lost, 'record')} of {prefix} missing: {why}"
                return
            state.records += 1
            state.last_ts_ns = record.frame.ts_recv_ns
            state.is_closed = isinstance(record.note, Closed)
            yield record

    @staticmethod
    def _checked(prefix: str, frames: list[Frame], seen: dict[int, int], state: StreamState) -> list[Record]:
        """The records of one block, none where its POSITIONs say that records before it are missing."""
        records: list[Record] = []
        for frame in frames:
            try:
                note = unpack(frame.kind, frame.data) if frame.kind >= Kind.RUN else None
            except NoteError as error:
                state.hole = f"not written by this version of the code: {error}"
                return records
            if isinstance(note, Position):
                held = seen.get(note.row, 0)
                if held != note.messages and not any(isinstance(record.note, Hole) for record in records):
                    state.hole = f"process row {note.row}: {plural(note.messages, 'record')} written, {held} found"
                    return []
                continue
            if not isinstance(note, Run | Closed | Hole):
                row = GATEWAY_ROW if prefix == "raw" else frame.conn >> 16
                seen[row] = seen.get(row, 0) + 1
            records.append(Record(frame, note))
        return records

    def _blocks(self, prefix: str, state: StreamState, place: Place | None = None) -> Iterator[tuple[str, int, list[Frame]]]:
        """(segment, offset, frames) of every block, from `place` on."""
        paths = self.paths(prefix)
        if place is not None:
            paths = paths[next((n for n, path in enumerate(paths) if path.name == place.segment), len(paths)) :]
            if not paths:
                state.hole = f"{place.segment} is not there any more"
                return
        for path in paths:
            try:
                data, found = read_scan(path)
            except (JournalError, OSError) as error:
                state.hole = f"{path.name}: {error}"
                return
            for block in found.blocks:
                if place is not None and path.name == place.segment and block.offset < place.offset:
                    continue
                gap = next((g for g in found.gaps if g[1] == block.offset), None)
                if gap is not None:
                    state.hole = f"{path.name}: bytes {gap[0]} to {gap[1]} are damaged"
                    return
                try:
                    frames = list(block_frames(data, block, decompress))
                except JournalError as error:
                    state.hole = f"{path.name}: block at {block.offset}: {error}"
                    return
                yield path.name, block.offset, frames
            if found.torn_bytes:
                text = f"{path.name}: {found.torn_bytes} bytes behind byte {found.good_end} are torn"
                state.notes.append(text)
                if path != paths[-1]:
                    state.hole = text
                    return
