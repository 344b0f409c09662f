"""What a backtest can be made of: the recorded runs of the data folder, and the tapes in its folder `tapes`.

Only headers are read: a journal of a day is listed in milliseconds.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from config.paths import DataPaths
from core.constants import NS_PER_MS
from core.consumption import Kind, NoteError, Run, unpack
from core.journal import JournalError, decode_file_header
from shm.journal_reader import first_frame, headers, journal_folders, runs, segments
from shm.run_spec import RunSpec

MOST_TAPES = 200


class Recording(NamedTuple):
    """A recorded run. `spec`: None where its journal does not say what it was. Times are of its frames, 0 = of none."""

    run_id: str
    folder: Path
    begun_ns: int
    from_ns: int
    to_ns: int
    spec: RunSpec | None

    @property
    def missing(self) -> list[str]:
        """Tapes it was made of that are not there any more."""
        return [name for name in (self.spec.tape if self.spec else ()) if not Path(name).is_file()]

    def row(self, running: str) -> dict[str, Any]:
        """As the page lists it."""
        tapes = [Path(name).name for name in self.spec.tape] if self.spec else []
        return {
            "run_id": self.run_id, "mode": self.folder.parent.name.upper(), "begun_ts": self.begun_ns // NS_PER_MS,
            "from_ts": self.from_ns // NS_PER_MS or None, "to_ts": self.to_ns // NS_PER_MS or None, "tapes": tapes,
            "source": ", ".join(tapes) or (self.spec.venue_name if self.spec else ""), "is_running": self.run_id == running,
            "trouble": self.trouble,
        }

    @property
    def trouble(self) -> str:
        """Why no backtest can be made of it; "" where one can."""
        if self.missing:
            return f"its tape {Path(self.missing[0]).name} is not there any more"
        if self.spec is None:
            return "its journal does not say what it was (damaged, or of another version of the program)"
        if not (self.to_ns or self.spec.tape):
            return "nothing of its market data is on the disk"
        return ""


class Recordings:
    """Of one data folder."""

    def __init__(self, paths: DataPaths) -> None:
        self.data_dir = paths.data_dir
        self.tape_dir = paths.tape_dir

    def runs(self) -> list[Recording]:
        """Newest first."""
        found = []
        for folder in journal_folders(self.data_dir):
            raw, order = _by_run(folder, "raw"), _by_run(folder, "order")
            for run_id, begun_ns in runs(folder).items():
                spec = _spec(order[run_id])
                span = (0, 0) if spec is not None and spec.tape else _span(raw[run_id])  # the frames of a tape are in the tape
                found.append(Recording(run_id, folder, begun_ns, *span, spec))
        return sorted(found, key=lambda run: (run.begun_ns, run.run_id), reverse=True)

    def run(self, run_id: str) -> Recording | None:
        return next((run for run in self.runs() if run.run_id == run_id), None)

    def tapes(self) -> list[Path]:
        """Files of the folder of tapes, by name."""
        if not self.tape_dir.is_dir():
            return []
        files = (path for path in self.tape_dir.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(files)[:MOST_TAPES]

    def tape(self, name: str) -> Path | None:
        """A file of the data folder by its name there; None for any other."""
        path = (self.data_dir / name).resolve()
        return path if path.is_relative_to(self.data_dir.resolve()) and path.is_file() else None

    def listed(self, running: str) -> dict[str, Any]:
        """{runs, tapes}; `running`: id of the run that is going on."""
        tapes = [{"name": path.relative_to(self.data_dir).as_posix(), "bytes": path.stat().st_size} for path in self.tapes()]
        return {"runs": [run.row(running) for run in self.runs()], "tapes": tapes,
                "tape_dir": str(self.tape_dir)}


def _by_run(folder: Path, prefix: str) -> defaultdict[str, list[Path]]:
    """Segments of a stream by run, in order."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in segments(folder, prefix):
        try:
            with path.open("rb") as file:
                found[decode_file_header(file.read(64)).run_id].append(path)
        except (JournalError, OSError):
            continue
    return found


def _span(paths: list[Path]) -> tuple[int, int]:
    """Times of the first and the last block of the segments, (0, 0) where there is none."""
    first = last = 0
    try:
        if paths:
            begin = next(headers(paths[0]), None)
            first = begin.first_ts_ns if begin else 0
            for path in reversed(paths):
                last = max((block.last_ts_ns for block in headers(path)), default=0)
                if last:
                    break
    except (JournalError, OSError):
        return 0, 0
    return first, last


def _spec(paths: list[Path]) -> RunSpec | None:
    """What a run was, as the first record of its first segment says."""
    try:
        frame = first_frame(paths[0]) if paths else None
        if frame is None or frame.kind < Kind.RUN:
            return None
        note = unpack(frame.kind, frame.data)
        return msgspec.json.decode(note.payload, type=RunSpec) if isinstance(note, Run) else None
    except (JournalError, NoteError, OSError, msgspec.MsgspecError):
        return None
