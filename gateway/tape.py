"""Tapes: files of recorded frames, merged by time into the stage that the decoder reads.

A line is `<recv_ns> <raw frame>`, or a raw JSON frame alone (its receive time is then its `ts`). Files may be plain,
.gz or .zst. Nothing is done per frame in Python: bytes are read in chunks, a kernel finds the lines and a second one
merges the files' frames into the stage, earliest first, files in the given order where times are equal. A file's own
times may go back; order within a file is kept, and routing clamps the time.

A line that is neither form is counted and its number kept; a damaged or truncated file gives what it still holds.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np
import zstandard

from core.constants import NS_PER_MS
from core.jit import kernel

CHUNK_BYTES = 1 << 20
MAX_FRAME_BYTES = 4 << 20
BUFFER_BYTES = CHUNK_BYTES + MAX_FRAME_BYTES + 4096
BUFFER_FRAMES = 16_384
BAD_LINES_KEPT = 16

FRAME_COLUMNS = 5  # offset, length, ts_recv_ns, mono_ns, conn: what decode_batch takes
STAGE_TAIL = 64  # bytes kept free behind the last frame: scanners look a little ahead

_NEWLINE, _RETURN, _SPACE, _BRACE, _QUOTE, _COLON = 10, 13, 32, 123, 34, 58
_ZERO, _NINE = 48, 57

# status int64[8] of split_lines
S_ROWS, S_BAD, S_LINES, S_CONSUMED = range(4)


class TapeError(Exception):
    """The tape cannot be used; the message gives the cause and the fix."""


@kernel
def copy_bytes(target, at, source, start, count):
    """target[at:at + count] = source[start:start + count] of uint8[:]; a tenth of the time of the slice assignment."""
    for index in range(count):
        target[np.uint64(at + index)] = source[np.uint64(start + index)]


@kernel
def frame_time(buffer, start, end):
    """Receive time of a raw frame without one: its `"ts":<ms>` in ns, or -1."""
    at = start
    while at + 6 < end:
        if (
            buffer[at] == _QUOTE and buffer[at + 1] == 116 and buffer[at + 2] == 115 and buffer[at + 3] == _QUOTE
        ):
            at += 4
            while at < end and (buffer[at] == _COLON or buffer[at] == _SPACE):
                at += 1
            value = np.int64(0)
            digits = 0
            while at < end and _ZERO <= buffer[at] <= _NINE and digits < 13:
                value = value * 10 + (np.int64(buffer[at]) - _ZERO)
                digits += 1
                at += 1
            return value * NS_PER_MS if digits >= 10 else np.int64(-1)
        at += 1
    return np.int64(-1)


@kernel
def split_lines(buffer, start, end, is_last, rows, bad, first_line, status):
    """Find the frames of the whole lines in `buffer[start:end]` (uint8[:]).

    rows int64[:, 3] gets (offset, length, recv_ns); bad int64[BAD_LINES_KEPT] the numbers of unusable lines, the first
    line here being `first_line`. `is_last` 1 takes an unterminated last line too. status: S_ROWS rows written, S_BAD
    unusable lines, S_LINES lines passed, S_CONSUMED position after the last line passed.
    """
    n_rows = 0
    n_bad = 0
    lines = 0
    at = start
    while n_rows < rows.shape[0]:
        stop = at
        while stop < end and buffer[stop] != _NEWLINE:
            stop += 1
        if stop == end and (is_last == 0 or at == end):
            break
        after = min(stop + 1, end)
        lines += 1
        while stop > at and (buffer[stop - 1] == _RETURN or buffer[stop - 1] == _SPACE):
            stop -= 1
        if stop > at:
            recv_ns = np.int64(0)
            body = at
            while body < stop and _ZERO <= buffer[body] <= _NINE and body - at < 18 + 1:
                recv_ns = recv_ns * 10 + (np.int64(buffer[body]) - _ZERO)
                body += 1
            if body == at and buffer[at] == _BRACE:
                recv_ns = frame_time(buffer, at, stop)
            elif body == at or body >= stop or buffer[body] != _SPACE:
                recv_ns = np.int64(-1)
            else:
                body += 1
            if recv_ns > 0 and stop > body:
                rows[n_rows, 0] = body
                rows[n_rows, 1] = stop - body
                rows[n_rows, 2] = recv_ns
                n_rows += 1
            else:
                if n_bad < bad.shape[0]:
                    bad[n_bad] = first_line + lines - 1
                n_bad += 1
        at = after
    status[S_ROWS] = n_rows
    status[S_BAD] = n_bad
    status[S_LINES] = lines
    status[S_CONSUMED] = at


@kernel
def merge_frames(buffers, rows, heads, counts, ended, stage, frames, at_byte, at_frame, mono_ns):
    """Copy frames of all files into the stage, earliest first, until one that goes on has none left, or it is full.

    buffers uint8[files, :], rows int64[files, :, 3], heads/counts/ended int64[files]; stage uint8[:], frames
    int64[:, 5]. Returns (bytes used, frames used, file whose frames ran out or -1).
    """
    files = heads.shape[0]
    while at_frame < frames.shape[0]:
        best = -1
        best_ns = np.int64(0)
        for file in range(files):
            if heads[file] == counts[file]:
                if ended[file] == 0:
                    return at_byte, at_frame, file
                continue
            recv_ns = rows[file, heads[file], 2]
            if best < 0 or recv_ns < best_ns:
                best = file
                best_ns = recv_ns
        if best < 0:
            break
        offset = rows[best, heads[best], 0]
        length = rows[best, heads[best], 1]
        if at_byte + length + STAGE_TAIL > stage.shape[0]:
            break
        copy_bytes(stage, at_byte, buffers[best], offset, length)
        frames[at_frame, 0] = at_byte
        frames[at_frame, 1] = length
        frames[at_frame, 2] = best_ns
        frames[at_frame, 3] = mono_ns
        frames[at_frame, 4] = best
        heads[best] += 1
        at_byte += length + 1  # one byte between frames keeps a number at a frame's end apart from the next frame
        at_frame += 1
    return at_byte, at_frame, -1


def open_stream(path: Path) -> BufferedIOBase:
    """Decompressed bytes of a tape. Raises TapeError with cause and fix."""
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        raise TapeError(f"tape {path}: no such file. Check the path given to --tape.") from None
    except IsADirectoryError:
        raise TapeError(f"tape {path}: is a folder. Name the files inside it.") from None
    except OSError as error:
        raise TapeError(f"tape {path}: cannot be read ({error.strerror}). Check its permissions.") from None
    magic = raw.read(4)
    raw.seek(0)
    if magic[:2] == b"\x1f\x8b":
        raw.close()
        return cast(BufferedIOBase, gzip.open(path))
    if magic == b"\x28\xb5\x2f\xfd":
        return cast(BufferedIOBase, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=True))
    if not magic:
        raw.close()
        raise TapeError(f"tape {path}: is empty. Record one, or name another file.")
    return raw


@dataclass
class Faults:
    """What was wrong in one file."""

    lines: int = 0  # unusable lines
    first_lines: list[int] = field(default_factory=list)  # the numbers of the first BAD_LINES_KEPT of them
    damage: str = ""  # why reading ended early, "" if it did not
    told: int = 0  # of first_lines, handed out by take_new_lines

    def take_new_lines(self) -> list[int]:
        """Numbers of unusable lines not handed out yet (at most BAD_LINES_KEPT in all)."""
        new = self.first_lines[self.told :]
        self.told = len(self.first_lines)
        return new


class TapeReader:
    """Frames of several tape files in order of time; read once, front to back."""

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise TapeError("no tape given. Name at least one file.")
        self.paths = list(paths)
        self.faults = [Faults() for _ in paths]
        count = len(paths)
        self._streams: list[BufferedIOBase | None] = [open_stream(path) for path in paths]
        self._buffers = np.zeros((count, BUFFER_BYTES), np.uint8)
        self._rows = np.zeros((count, BUFFER_FRAMES, 3), np.int64)
        self._heads = np.zeros(count, np.int64)
        self._counts = np.zeros(count, np.int64)
        self._ended = np.zeros(count, np.int64)
        self._spans = [[0, 0] for _ in paths]  # unread bytes of each buffer
        self._lines = [1] * count
        self._skipping = [False] * count
        self._eof = [False] * count
        self._bad = np.zeros(BAD_LINES_KEPT, np.int64)
        self._status = np.zeros(8, np.int64)

    def close(self) -> None:
        for stream in self._streams:
            if stream is not None:
                stream.close()
        self._streams = [None] * len(self.paths)

    @property
    def bad_lines(self) -> int:
        return sum(fault.lines for fault in self.faults)

    def read(self, stage: np.ndarray, frames: np.ndarray, mono_ns: int) -> int:
        """Fill the stage (uint8[:]) and `frames` (int64[:, 5]); returns the number of frames, 0 at the end."""
        at_byte = at_frame = 0
        while True:
            at_byte, at_frame, starved = merge_frames(
                self._buffers, self._rows, self._heads, self._counts, self._ended, stage, frames,
                at_byte, at_frame, mono_ns,
            )
            if starved < 0:
                return int(at_frame)
            self._refill(int(starved))

    def _refill(self, file: int) -> None:
        """Give `file` new frames, or mark it ended. Called with none of its frames waiting."""
        while True:
            span = self._spans[file]
            buffer = self._buffers[file]
            split_lines(
                buffer, span[0], span[1], int(self._eof[file]), self._rows[file], self._bad, self._lines[file],
                self._status,
            )
            rows, bad, lines, consumed = (int(v) for v in self._status[:4])
            span[0] = consumed
            self._lines[file] += lines
            self._note_bad(file, self._bad[: min(bad, BAD_LINES_KEPT)].tolist(), bad)
            if rows:
                self._heads[file] = 0
                self._counts[file] = rows
                return
            if self._eof[file]:
                self._heads[file] = self._counts[file] = 0
                self._ended[file] = 1
                return
            self._load(file)

    def _load(self, file: int) -> None:
        """Move the unfinished line to the front and read a chunk behind it; a line too long to be a frame is skipped."""
        span = self._spans[file]
        buffer = self._buffers[file]
        rest = span[1] - span[0]
        if rest > MAX_FRAME_BYTES:
            if not self._skipping[file]:
                self._note_bad(file, [self._lines[file]], 1)
            self._skipping[file] = True
            rest = 0
        elif rest:
            buffer[:rest] = buffer[span[0] : span[1]].copy()
        chunk = self._read_chunk(file)
        if self._skipping[file]:
            newline = chunk.find(b"\n")
            if newline < 0:
                span[0] = span[1] = 0
                return
            chunk = chunk[newline + 1 :]
            self._skipping[file] = False
            self._lines[file] += 1
        buffer[rest : rest + len(chunk)] = np.frombuffer(chunk, np.uint8)
        span[0], span[1] = 0, rest + len(chunk)

    def _read_chunk(self, file: int) -> bytes:
        """Up to CHUNK_BYTES; of a damaged file what comes before the damage, then nothing."""
        stream, fault = self._streams[file], self.faults[file]
        assert stream is not None, "reader is closed"
        parts: list[bytes] = []
        left = CHUNK_BYTES
        try:
            while left and not fault.damage and (part := stream.read1(left)):
                parts.append(part)
                left -= len(part)
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            fault.damage = str(error) or type(error).__name__
        if not parts:
            self._eof[file] = True
        return b"".join(parts)

    def _note_bad(self, file: int, numbers: list[int], count: int) -> None:
        fault = self.faults[file]
        fault.lines += count
        fault.first_lines.extend(numbers[: BAD_LINES_KEPT - len(fault.first_lines)])
