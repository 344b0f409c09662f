"""Journal segments on disk: an appending writer that survives disk errors, recovery of torn ones. Readers: shm/journal_reader.py.

A segment is written front to back by one process, fsynced by the caller's schedule, and renamed never: its name carries
the receive time of its first frame, so the folder listing is the index.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import zstandard

from core.journal import (
    PLAIN,
    RAW_FRAMES,
    ZSTD,
    Frame,
    JournalError,
    Scan,
    decode_file_header,
    encode_block,
    encode_file_header,
    encode_record,
)
from shm.journal_reader import SUFFIX, read_frames, read_scan, segments

BLOCK_BYTES = 256 * 1024  # plain bytes per compressed block
DAMAGED = ".damaged"  # behind the name of a file: what was set aside of it


def write_all(handle: int, data: bytes) -> None:
    """Write everything or raise OSError: `os.write` may write short without saying so."""
    view = memoryview(data)
    while view:
        written = os.write(handle, view)
        if written == 0:
            raise OSError("the disk took nothing")
        view = view[written:]


def recover(path: Path) -> Scan | None:
    """Make a segment of a dead writer whole: cut the torn tail, copy damaged ranges to `<name>.damaged-<offset>`
    (readers skip them; a damaged end is cut, too). A file without a usable header is set aside as `<name>.damaged` and
    None returned."""
    try:
        data, found = read_scan(path)
    except JournalError:
        path.replace(path.with_name(path.name + DAMAGED))
        return None
    for start, end in found.gaps + ([] if found.is_cut else [(found.good_end, len(data))]):
        target = path.with_name(f"{path.name}{DAMAGED}-{start}")
        if not target.exists():
            target.write_bytes(data[start:end])
    if found.torn_bytes:
        with path.open("r+b") as file:
            file.truncate(found.good_end)
            os.fsync(file.fileno())
    return found


class SegmentWriter:
    """Appends frames; flushes compressed blocks; rotates by size.

    A failed write or sync closes the file and counts; the block in hand is kept and goes to a fresh segment at the next
    flush, so a full disk costs nothing once it has room again (up to `keep_bytes` of waiting blocks, then the oldest
    are dropped and counted in `lost_frames`). `opening()` and `closing()` give (kind, bytes) of records to begin each
    segment and to end each block with.
    """

    def __init__(
        self, folder: Path, run_id: str, *, segment_bytes: int, level: int = 3, prefix: str = "raw",
        kind: int = RAW_FRAMES, keep_bytes: int = 64 << 20, on_error: Callable[[OSError], None] = lambda error: None,
        closing: Callable[[], list[tuple[int, bytes]]] = list, opening: Callable[[], list[tuple[int, bytes]]] = list,
    ) -> None:
        self.folder = folder
        self.run_id = run_id
        self.prefix = prefix
        self.kind = kind
        self.segment_bytes = segment_bytes
        self.keep_bytes = keep_bytes
        self.on_error = on_error
        self.closing = closing
        self.opening = opening
        self.path: Path | None = None
        self.frames = 0
        self.lost_frames = 0
        self.raw_bytes = 0
        self.stored_bytes = 0
        self.segments_closed = 0
        self.errors = 0
        self.syncs = 0
        self._compressor = zstandard.ZstdCompressor(level=level)
        self._handle = -1
        self._size = 0
        self._records: list[bytes] = []
        self._record_bytes = 0
        self._first_ts = 0
        self._last_ts = 0
        self._waiting: list[tuple[bytes, int, int]] = []  # encoded blocks: bytes, first ts, frames
        self._dirty = False

    def append(self, ts_recv_ns: int, mono_ns: int, conn: int, kind: int, data: bytes) -> None:
        """Take one frame; a full block is flushed."""
        record = encode_record(ts_recv_ns, mono_ns, conn, kind, data)
        self._first_ts = min(ts_recv_ns, self._first_ts) if self._records else ts_recv_ns  # clocks are set back, too
        self._last_ts = max(ts_recv_ns, self._last_ts) if self._records else ts_recv_ns
        self._records.append(record)
        self._record_bytes += len(record)
        self.frames += 1
        self.raw_bytes += len(data)
        if self._record_bytes >= BLOCK_BYTES:
            self.flush()

    @property
    def size(self) -> int:
        """Bytes of the newest segment."""
        return self._size

    @property
    def waiting_bytes(self) -> int:
        return self._record_bytes + sum(len(block) for block, _, _ in self._waiting)

    def flush(self) -> bool:
        """Write everything in hand as blocks; False when the disk refused (it is kept)."""
        if self._records:
            self._records += [encode_record(self._last_ts, 0, 0, kind, data) for kind, data in self.closing()]
            raw = b"".join(self._records)
            stored = self._compressor.compress(raw)
            codec = ZSTD if len(stored) < len(raw) else PLAIN
            block = encode_block(stored if codec == ZSTD else raw, len(raw), len(self._records), self._first_ts,
                                 self._last_ts, codec)
            self._waiting.append((block, self._first_ts, len(self._records)))
            self._records = []
            self._record_bytes = 0
        while self._waiting:
            block, first_ts, _ = self._waiting[0]
            try:
                self._write(block, first_ts)
            except OSError as error:
                self._failed(error)
                return False
            self._waiting.pop(0)
        return True

    def _write(self, block: bytes, first_ts: int) -> None:
        if self._handle >= 0 and self._size + len(block) > self.segment_bytes:
            self._close()
        if self._handle < 0:
            self._open(first_ts)
        write_all(self._handle, block)
        self._size += len(block)
        self.stored_bytes += len(block)
        self._dirty = True

    def _open(self, first_ts: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = segments(self.folder, self.prefix)[-1:]  # names keep the order of writing, whatever the clock did
        number = max([first_ts, *(int(path.stem[len(self.prefix) + 1 :]) + 1 for path in newest)])
        while True:
            path = self.folder / f"{self.prefix}-{number:020d}{SUFFIX}"
            try:
                self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                break
            except FileExistsError:
                number += 1
        self.path = path
        self._size = 0
        header = encode_file_header(self.kind, first_ts, self.run_id)
        begin = [encode_record(first_ts, 0, 0, kind, data) for kind, data in self.opening()]
        if begin:
            raw = b"".join(begin)
            header += encode_block(raw, len(raw), len(begin), first_ts, first_ts)
        write_all(self._handle, header)
        self._size = len(header)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def sync(self) -> bool:
        """Flush and fdatasync; False when the disk refused."""
        done = self.flush()
        if self._handle >= 0 and self._dirty:
            try:
                os.fdatasync(self._handle)
            except OSError as error:  # the page may be marked clean now: never trust this file's tail again
                self._failed(error)
                return False
            self._dirty = False
            self.syncs += 1
        return done

    def _failed(self, error: OSError) -> None:
        self.errors += 1
        self.on_error(error)
        if self._handle >= 0:
            with contextlib.suppress(OSError):  # what a failed write left half is no block: cut it
                os.ftruncate(self._handle, self._size)
            with contextlib.suppress(OSError):
                os.close(self._handle)
            if self._size == 0 and self.path is not None:  # not even its header: no segment
                with contextlib.suppress(OSError):
                    self.path.unlink()
            self._handle = -1
            self._dirty = False
        while len(self._waiting) > 1 and self.waiting_bytes > self.keep_bytes:
            self.lost_frames += self._waiting.pop(0)[2]

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        self._dirty = False
        self.segments_closed += 1
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def close(self) -> None:
        """Flush, sync, close."""
        self.sync()
        if self._handle >= 0:
            try:
                self._close()
            except OSError as error:
                self.errors += 1
                self.on_error(error)


class DurableLog:
    """Append-only journal of few small records, each batch durable when `write` returns (execution's intents).

    Plain blocks, one per batch. Raises OSError when the disk refuses: the caller must then not act on what it could
    not write down.
    """

    def __init__(self, path: Path, kind: int, run_id: str, created_ns: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._handle).st_size
        if size == 0:
            write_all(self._handle, encode_file_header(kind, created_ns, run_id))
            os.fsync(self._handle)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._end = os.lseek(self._handle, 0, os.SEEK_END)

    @staticmethod
    def load(path: Path) -> tuple[str, list[Frame], Scan]:
        """Run id and frames of a log after cutting its torn tail. Raises JournalError when it is not usable."""
        with path.open("rb") as file:
            decode_file_header(file.read(64))
        found = recover(path)
        if found is None:
            raise JournalError("not a journal")
        return found.header.run_id, list(read_frames(path)), found

    def write(self, records: list[bytes], ts_ns: int, durable: bool = True) -> None:
        """Write `records` (core.journal.encode_record) as one block, with fdatasync when `durable`."""
        raw = b"".join(records)
        block = encode_block(raw, len(raw), len(records), ts_ns, ts_ns)
        try:
            write_all(self._handle, block)
            if durable:
                os.fdatasync(self._handle)
        except OSError:
            with contextlib.suppress(OSError):  # half a block must not stand before the retry
                os.ftruncate(self._handle, self._end)
            os.lseek(self._handle, self._end, os.SEEK_SET)
            raise
        self._end += len(block)

    def close(self) -> None:
        os.close(self._handle)
