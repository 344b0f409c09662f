"""Reading journal segments from disk, for every process: the raw frames and the decisions a recorder wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import zstandard

from core.journal import (
    BLOCK_BYTES,
    FILE_BYTES,
    Block,
    Frame,
    JournalError,
    Scan,
    block_frames,
    block_header,
    decode_file_header,
    good_block,
    scan,
)

SUFFIX = ".sjr"


def decompress(stored: bytes, raw_bytes: int) -> bytes:
    """Undo zstd. Raises JournalError where the bytes are not what they should be."""
    try:
        return zstandard.ZstdDecompressor().decompress(stored, max_output_size=raw_bytes)
    except zstandard.ZstdError as error:
        raise JournalError(f"zstd: {error}") from error


def read_scan(path: Path) -> tuple[bytes, Scan]:
    """Bytes of a segment and what it holds. Raises JournalError, OSError.

    Read, not mapped: the recorder's successor cuts torn tails, and a mapping cut under its reader ends the process.
    """
    data = path.read_bytes()
    return data, scan(data)


def read_frames(path: Path) -> Iterator[Frame]:
    """All frames of the good blocks of a segment, in order."""
    data, found = read_scan(path)
    for block in found.blocks:
        yield from block_frames(data, block, decompress)


def frames_between(path: Path, from_ns: int, to_ns: int) -> Iterator[Frame]:
    """Frames of a segment received in [from_ns, to_ns), in order. Raises JournalError, OSError.

    The headers of the blocks are the index: only blocks that may hold such frames are read. From the first block on that
    is not sound, the rest is searched for good ones, as `read_frames` does.
    """

    def may_hold(block: Block) -> bool:
        return block.last_ts_ns >= from_ns and block.first_ts_ns < to_ns

    def chosen(data: bytes, block: Block) -> Iterator[Frame]:
        return (f for f in block_frames(data, block, decompress) if from_ns <= f.ts_recv_ns < to_ns)

    with path.open("rb", buffering=0) as file:
        decode_file_header(file.read(FILE_BYTES))
        at = FILE_BYTES
        while head := os.pread(file.fileno(), BLOCK_BYTES, at):
            block = block_header(head, at)
            if block is None:
                break
            if may_hold(block):
                data = os.pread(file.fileno(), block.end - at, at)
                whole = good_block(data, 0)
                if whole is None:
                    break
                yield from chosen(data, whole)
            at = block.end
        else:
            return
    data, found = read_scan(path)
    for block in found.blocks:
        if block.offset >= at and may_hold(block):
            yield from chosen(data, block)


def segments(folder: Path, prefix: str = "raw") -> list[Path]:
    """Segments of a journal folder in order of their first frame."""
    return sorted(folder.glob(f"{prefix}-*{SUFFIX}"))
