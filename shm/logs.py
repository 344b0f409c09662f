"""Log rings: one broadcast ring of LOG records per process, read by the recorder (JSONL) and the admin page.

A log message is 3 cells: a header cell (EVENT with kind 255) and one LOG record of two cells.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from core.enums import LogKind, Severity
from core.jit import kernel
from core.records import CELL_WORDS, EVENT, LOG
from shm.broadcast import N_CELLS_SHIFT, N_CELLS_WORD, BroadcastReader, BroadcastRing
from shm.errors import put_text

LOG_CELLS = 3
LOG_EVENT_KIND = 255
BATCH = 256

_KIND_OFFSET = EVENT.dtype.fields["kind"][1]  # type: ignore[index]
_PROCESS_OFFSET = LOG.dtype.fields["process"][1]  # type: ignore[index]
_HEADER = (LOG_EVENT_KIND << 8 * (_KIND_OFFSET % 8)) | (LOG_CELLS << N_CELLS_SHIFT)
_PROCESS_WORD = _PROCESS_OFFSET // 8
_PROCESS_SHIFT = 8 * (_PROCESS_OFFSET % 8)
if _KIND_OFFSET // 8 != N_CELLS_WORD or LOG.size != (LOG_CELLS - 1) * CELL_WORDS * 8:
    raise AssertionError("EVENT or LOG changed: shm/logs.py packs a log message by hand")




def _stamp(process: int) -> int:
    """The byte of the process row, in its place in a signed word."""
    value = process << _PROCESS_SHIFT
    return value if value < 1 << 63 else value - (1 << 64)


_PROCESS_MASK = ~_stamp(0xFF)


@kernel
def pack_logs(records, first, n, stamp, cells):
    """LOG records (int64[:, 16]) into log messages (int64[:, 8]), with the process byte replaced by that of `stamp`."""
    for i in range(n):
        for j in range(CELL_WORDS):
            cells[3 * i, j] = 0
            cells[3 * i + 1, j] = records[first + i, j]
            cells[3 * i + 2, j] = records[first + i, CELL_WORDS + j]
        cells[3 * i, N_CELLS_WORD] = _HEADER
        at = 3 * i + 1 + _PROCESS_WORD // CELL_WORDS
        word = _PROCESS_WORD % CELL_WORDS
        cells[at, word] = (cells[at, word] & _PROCESS_MASK) | stamp


@kernel
def unpack_logs(cells, n, records):
    """The inverse of `pack_logs`."""
    for i in range(n):
        for j in range(CELL_WORDS):
            records[i, j] = cells[3 * i + 1, j]
            records[i, CELL_WORDS + j] = cells[3 * i + 2, j]


class LogWriter:
    """Writer of one process's log ring. `process_row` is its row in the process table; `clock` gives epoch ns for
    `emit` without a time. One thread only."""

    def __init__(self, ring: BroadcastRing, process_row: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._writer = ring.writer()
        self._stamp = _stamp(process_row)
        self._clock = clock
        self._one: np.ndarray = np.zeros(1, LOG.dtype)
        self._cells: np.ndarray = np.zeros((LOG_CELLS * BATCH, CELL_WORDS), np.int64)
        self.written = 0

    def emit(
        self, kind: LogKind | int, symbol: int = -1, severity: Severity | int = Severity.INFO,
        ts_ns: int | None = None, seq: int = 0, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0,
        x: float = 0.0, y: float = 0.0, text: str = "",
    ) -> None:
        """Publish one record; the meaning of a..f, x, y is that of `kind`; `text` is cut at 40 bytes."""
        record = self._one[0]
        record["ts_ns"] = self._clock() if ts_ns is None else ts_ns
        record["seq"] = seq
        record["a"], record["b"], record["c"], record["d"], record["e"], record["f"] = a, b, c, d, e, f
        record["x"], record["y"] = x, y
        record["symbol"] = symbol
        record["kind"] = int(kind)
        record["severity"] = int(severity)
        put_text(record["text"], text)
        self.write_records(self._one, 1)

    def write_records(self, records: np.ndarray, n: int) -> None:
        """Publish `records[:n]` (LOG), for instance those a kernel filled."""
        words = records.view(np.int64).reshape(len(records), LOG.size // 8)
        for first in range(0, n, BATCH):
            count = min(BATCH, n - first)
            pack_logs(words, first, count, self._stamp, self._cells)
            self._writer.publish(self._cells, LOG_CELLS * count, count)
        self.written += n


class LogReader:
    """Reader of one log ring. By default it begins at the start of the ring and counts what is gone as lost."""

    def __init__(self, ring: BroadcastRing, slot: int, from_start: bool = True) -> None:
        self.reader: BroadcastReader = ring.reader(slot, from_start=from_start)
        self._cells: np.ndarray = np.zeros((LOG_CELLS * BATCH, CELL_WORDS), np.int64)

    def read(self) -> np.ndarray:
        """Up to 256 new LOG records (a fresh array, possibly empty)."""
        n = self.reader.read(self._cells) // LOG_CELLS
        records: np.ndarray = np.zeros(n, LOG.dtype)
        if n:
            unpack_logs(self._cells, n, records.view(np.int64).reshape(n, LOG.size // 8))
        return records

    @property
    def lost_messages(self) -> int:
        return self.reader.lost_messages
