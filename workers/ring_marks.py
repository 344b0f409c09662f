"""How far the rings have been written down, so that a recorder killed at any moment loses and repeats nothing.

    take from rings -> write the files -> save the marks -> ...

The rings' own cursors move when something is taken; the marks follow when it stands in the files. A successor puts the
cursors back to the marks and leaves out what already stands behind the marked ends of the files. That the system's page
cache outlives a process is enough for this; what a power cut takes is told by the journals (`workers/journal_files.py`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
from msgspec import Struct, field

from config.atomic_file import write_replacing
from core.journal import JournalError, block_frames
from shm.broadcast import BroadcastReader
from shm.journal_reader import decompress, read_scan, segments
from workers.event_files import PART


class Marks(Struct):
    """`rings`: (position in cells, messages) by ring; `files`: whole bytes by path, of the files open then."""

    run_id: str = ""
    rings: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)

    def mark(self, name: str, reader: BroadcastReader) -> None:
        self.rings[name] = (reader.position, reader.messages)

    def save(self, path: Path) -> None:
        """Replace the file in one step. Raises OSError."""
        write_replacing(path, msgspec.json.encode(self))

    @classmethod
    def load(cls, path: Path, run_id: str) -> Marks:
        """The marks of this run; empty ones where there are none."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found = msgspec.json.decode(path.read_bytes(), type=cls)
            if found.run_id == run_id:
                return found
        return cls(run_id)

    def put_back(self, name: str, reader: BroadcastReader) -> None:
        """Put a ring's cursor back to its mark, to the ring's begin where it was never marked."""
        position, messages = self.rings.get(name, (0, 0))
        if position < reader.position:
            reader.seek(position, messages)


class _Line(Struct):
    proc: str = ""
    sid: str = ""
    n: int = -1


def lines_behind(folder: Path, marks: Marks) -> set[tuple[str, int]]:
    """(process, number) of the lines of this run that stand behind the marked ends of the event files."""
    decoder = msgspec.json.Decoder(_Line)
    found = set()
    open_then = {name: size for name, size in marks.files.items() if PART.fullmatch(Path(name).name)}
    newest = max((name.split("/")[0] for name in open_then), default="")
    numbers = {(str(Path(name).parent), stream): number for name in open_then for stream, number in [_part(name)]}
    for path in folder.glob("*/*.jsonl"):
        name = str(path.relative_to(folder))
        if name not in open_then:
            stream, number = _part(name)
            if path.parent.name < newest or number < numbers.get((path.parent.name, stream), 0):
                continue
        with path.open("rb") as file:
            file.seek(open_then.get(name, 0))
            for text in file:
                with contextlib.suppress(msgspec.MsgspecError):
                    line = decoder.decode(text)
                    if line.sid == marks.run_id and line.n >= 0:
                        found.add((line.proc, line.n))
    return found


def _part(name: str) -> tuple[str, int]:
    match = PART.fullmatch(Path(name).name)
    return (match["stream"], int(match["number"] or 0)) if match else ("", 0)


def decisions_behind(folder: Path, prefix: str, marks: Marks) -> set[tuple[int, int]]:
    """(seq, symbol id) of the decisions of this run that stand behind the marked end of their newest segment."""
    found: set[tuple[int, int]] = set()
    newest = max(marks.files, default="")
    for day in folder.glob("*"):
        for path in segments(day, prefix) if day.is_dir() else ():
            name = str(path.relative_to(folder))
            if name < newest:
                continue
            with contextlib.suppress(JournalError, OSError):
                data, scanned = read_scan(path)
                if scanned.header.run_id != marks.run_id[:32]:
                    continue
                for block in scanned.blocks:
                    if block.offset >= marks.files.get(name, 0):
                        found.update((frame.mono_ns, frame.conn) for frame in block_frames(data, block, decompress))
    return found
