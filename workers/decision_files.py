"""Decision records on disk: `<mode>/decisions/YYYY-MM-DD/decisions-<ts>.sjr`, journal segments of JSON lines (core/explain.py).

Frames carry the event time; what a record says is in its own names, so files of older versions stay readable.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from core.explain import Naming, plain_rows
from core.journal import DECISIONS
from shm.journal_reader import segments
from workers.event_lines import day
from workers.journal_files import SegmentWriter, recover

PREFIX = "decisions"
DECISION_FRAME = 1  # kind of a journal record


class DecisionFiles:
    """Appends DECISION records to the segment of their UTC day; `name` gives the instrument of a symbol id."""

    def __init__(
        self, folder: Path, run_id: str, name: Callable[[int], Naming], *, segment_bytes: int, level: int,
        on_error: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        self.folder = folder
        self.records = 0
        self.lost = 0
        self._run_id, self._name, self._on_error = run_id, name, on_error
        self._segment_bytes, self._level = segment_bytes, level
        self._day = ""
        self._writer: SegmentWriter | None = None

    def recover(self) -> list[Path]:
        """Make the newest segment of an earlier writer whole; returns the files that were not."""
        days = sorted(path for path in self.folder.glob("*") if path.is_dir())
        newest = segments(days[-1], PREFIX)[-1:] if days else []
        return [path for path in newest if (found := recover(path)) is None or found.torn_bytes or found.gaps]

    def add(self, records: np.ndarray) -> None:
        """Take DECISION records (n,) in the order of the ring."""
        for symbol, row in zip(records["symbol"].tolist(), plain_rows(records, self._name), strict=True):
            ts_ns = row["ts_ns"]
            self._of(day(ts_ns)).append(ts_ns, row["seq"], symbol, DECISION_FRAME, msgspec.json.encode(row))
            self.records += 1

    def _of(self, wanted: str) -> SegmentWriter:
        if self._writer is None or wanted != self._day:
            self.close()
            self._day = wanted
            self._writer = SegmentWriter(
                self.folder / wanted, self._run_id, segment_bytes=self._segment_bytes, level=self._level,
                prefix=PREFIX, kind=DECISIONS, on_error=self._on_error,
            )
        return self._writer

    def flush(self) -> bool:
        """Everything taken written, not yet synced? False when the disk refused some (it is kept)."""
        return self._writer is None or self._writer.flush()

    def sync(self) -> bool:
        """Everything taken on disk? False when the disk refused some (it is kept)."""
        return self._writer is None or self._writer.sync()

    def sizes(self) -> dict[str, int]:
        """Bytes of the segment in hand by its path below the folder."""
        if self._writer is None or self._writer.path is None:
            return {}
        return {str(self._writer.path.relative_to(self.folder)): self._writer.size}

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self.lost += self._writer.lost_frames
            self._writer = None
