"""Seqlock boards: the newest value of each row, for any number of readers that never disturb the writer.

A row has one writer (rows of one board may have different writers). The version of a row is odd while it is written.
A writer that dies half-way leaves it odd: readers then give up after a bounded number of turns, and its successor's
first write repairs the row.
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from shm.atomics import LINE_WORDS, fence_acquire, fence_release, load_acquire, store_release
from shm.layout import BOARD_CONST, PAGE_BYTES, word

MAGIC = 0x424F4152442D5345
HEADER_BYTES = PAGE_BYTES
READ_TURNS = 20_000  # about a millisecond: a live writer needs under a microsecond per row

W_MAGIC = word(BOARD_CONST, "magic")
W_ROWS = word(BOARD_CONST, "rows")
W_RECORD_WORDS = word(BOARD_CONST, "record_words")
W_STRIDE = word(BOARD_CONST, "stride_words")


@kernel
def board_write(words, row, src, src_row):
    """Write `src[src_row]` (int64[:, record_words]) into a row."""
    base = PAGE_BYTES // 8 + row * words[W_STRIDE]
    version = words[base] | 1  # already odd: the last writer died inside
    store_release(words, base, version)
    fence_release()
    for j in range(src.shape[1]):
        words[base + LINE_WORDS + j] = src[src_row, j]
    store_release(words, base, version + 1)


@kernel
def board_write_rows(words, rows, n, src):
    """Write `src[i]` into row `rows[i]` for i < n."""
    for i in range(n):
        board_write(words, rows[i], src, i)


@kernel
def board_read(words, row, dst, dst_row, turns):
    """Copy a consistent row into `dst[dst_row]`; returns its version, or -1 when it was busy for all `turns`."""
    base = PAGE_BYTES // 8 + row * words[W_STRIDE]
    while turns > 0:
        turns -= 1
        version = load_acquire(words, base)
        if version & 1 == 0:
            for j in range(dst.shape[1]):
                dst[dst_row, j] = words[base + LINE_WORDS + j]
            fence_acquire()
            if load_acquire(words, base) == version:
                return version
    return -1


@kernel
def board_read_all(words, dst, n, turns):
    """Copy rows 0..n-1, each consistent in itself; busy rows keep what `dst` held. Returns the number of rows read."""
    read = 0
    for row in range(n):
        if board_read(words, row, dst, row, turns) >= 0:
            read += 1
    return read


@kernel
def board_changed(words, seen, n, out):
    """Rows whose version differs from `seen` (which is brought up to date) go to `out`; returns how many."""
    stride = words[W_STRIDE]
    count = 0
    for row in range(n):
        version = load_acquire(words, PAGE_BYTES // 8 + row * stride)
        if version != seen[row]:
            out[count] = row
            count += 1
            seen[row] = version
    return count


class RowBusy(Exception):
    """A row stayed half-written: its writer is stopped or dead inside the write."""


class Board:
    """View of a board in a uint8 array; `rows` records of `dtype`."""

    def __init__(self, body: np.ndarray, dtype: np.dtype) -> None:
        self.words: np.ndarray = body[: body.size // 8 * 8].view(np.int64)
        if int(self.words[W_MAGIC]) != MAGIC:
            raise ValueError("this memory holds no board")
        if int(self.words[W_RECORD_WORDS]) * 8 != dtype.itemsize:
            raise ValueError(f"board of {int(self.words[W_RECORD_WORDS]) * 8}-byte records, not {dtype.itemsize}")
        self.dtype = dtype
        self.rows = int(self.words[W_ROWS])
        self.record_words = int(self.words[W_RECORD_WORDS])
        self._seen: np.ndarray | None = None
        self._seen_words: np.ndarray = self.words
        self._versions: np.ndarray = np.zeros(self.rows, np.int64)
        self._changed: np.ndarray = np.zeros(self.rows, np.int64)

    @staticmethod
    def _stride_words(dtype: np.dtype) -> int:
        lines = (dtype.itemsize + 63) // 64
        return (1 + lines) * LINE_WORDS

    @classmethod
    def bytes_needed(cls, dtype: np.dtype, rows: int) -> int:
        return HEADER_BYTES + rows * cls._stride_words(dtype) * 8

    @classmethod
    def format(cls, body: np.ndarray, dtype: np.dtype, rows: int) -> Board:
        """Make a board of zeroed rows in zeroed `body` (uint8, 8-byte aligned)."""
        if dtype.itemsize % 8:
            raise ValueError(f"records of {dtype.itemsize} bytes: a multiple of 8 is needed")
        if body.size < cls.bytes_needed(dtype, rows):
            raise ValueError(f"{body.size} bytes are too few for {rows} rows of {dtype.itemsize}")
        words: np.ndarray = body[: HEADER_BYTES].view(np.int64)
        words[W_ROWS] = rows
        words[W_RECORD_WORDS] = dtype.itemsize // 8
        words[W_STRIDE] = cls._stride_words(dtype)
        words[W_MAGIC] = MAGIC
        return cls(body, dtype)

    @classmethod
    def attach(cls, body: np.ndarray, dtype: np.dtype) -> Board:
        return cls(body, dtype)

    def _as_words(self, records: np.ndarray) -> np.ndarray:
        if records is not self._seen:
            self._seen_words = records.view(np.int64).reshape(records.shape[0], self.record_words)
            self._seen = records
        return self._seen_words

    def write(self, row: int, record: np.ndarray, index: int = 0) -> None:
        """Write `record[index]` (array of the board's type) into `row`."""
        self._check(row)
        board_write(self.words, row, self._as_words(record), index)

    def write_rows(self, rows: np.ndarray, n: int, records: np.ndarray) -> None:
        """Write `records[i]` into row `rows[i]` (int64) for i < n."""
        if n > 0:
            if n > len(rows) or n > len(records) or int(rows[:n].min()) < 0 or int(rows[:n].max()) >= self.rows:
                raise IndexError(f"{n} rows: a row outside 0..{self.rows - 1}, or too few records")
            board_write_rows(self.words, rows, n, self._as_words(records))

    def read(self, row: int) -> np.ndarray:
        """A consistent copy: array of shape (1,) of the board's type. RowBusy when its writer is stuck inside."""
        copy: np.ndarray = np.zeros(1, self.dtype)
        if self.read_into(row, copy) < 0:
            raise RowBusy(f"row {row} stays half-written")
        return copy

    def read_into(self, row: int, dst: np.ndarray, index: int = 0) -> int:
        """Copy a row into `dst[index]`; returns its version (0 = never written), -1 = busy."""
        self._check(row)
        view = dst.view(np.int64).reshape(dst.shape[0], self.record_words)
        return board_read(self.words, row, view, index, READ_TURNS)

    def read_all(self, dst: np.ndarray) -> int:
        """Copy rows 0..len(dst)-1; a row that stays busy keeps what `dst` held. Returns the number of rows read."""
        n = min(self.rows, len(dst))
        return board_read_all(self.words, dst.view(np.int64).reshape(len(dst), self.record_words), n, READ_TURNS)

    def changed_since(self, seen: np.ndarray | None = None) -> np.ndarray:
        """Row numbers (int64) written since the last call with this `seen` (int64[rows] of versions, updated in place;
        default: one kept by this object)."""
        versions = self._versions if seen is None else seen
        count = board_changed(self.words, versions, min(self.rows, len(versions)), self._changed)
        return self._changed[:count].copy()

    def _check(self, row: int) -> None:
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row}: the board has {self.rows}")
