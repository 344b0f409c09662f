"""Reading journal segments from disk, for every process: the raw frames and the decisions a recorder wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import zstandard

from config.paths import MODES, DataPaths
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


def headers(path: Path) -> Iterator[Block]:
    """Blocks of a segment up to the first that is not whole or not sound, by their headers: the contents stay unread. Raises
    JournalError, OSError."""
    with path.open("rb", buffering=0) as file:
        decode_file_header(file.read(FILE_BYTES))
        size, at = os.fstat(file.fileno()).st_size, FILE_BYTES
        while (block := block_header(os.pread(file.fileno(), BLOCK_BYTES, at), at)) is not None and block.end <= size:
            yield block
            at = block.end


def first_frame(path: Path) -> Frame | None:
    """The first frame of a segment, None where there is none yet. Raises JournalError, OSError."""
    block = next(headers(path), None)
    if block is None:
        return None
    with path.open("rb", buffering=0) as file:
        data = os.pread(file.fileno(), block.end, 0)
    return next(block_frames(data, block, decompress), None)


def segments(folder: Path, prefix: str = "raw") -> list[Path]:
    """Segments of a journal folder in order of their first frame."""
    return sorted(folder.glob(f"{prefix}-*{SUFFIX}"))


def journal_folders(place: Path) -> list[Path]:
    """Journal folders of a data folder, a mode's folder, or the folder itself."""
    candidates = [DataPaths(place, mode).journal_dir for mode in MODES] + [place / "journal", place]
    return [folder for folder in candidates if any(folder.glob(f"order-*{SUFFIX}"))]


def runs(folder: Path) -> dict[str, int]:
    """Run ids with a stream of consumption in a journal folder, with the time their first segment was begun (ns)."""
    found: dict[str, int] = {}
    for path in sorted(folder.glob(f"order-*{SUFFIX}")):
        try:
            with path.open("rb") as file:
                header = decode_file_header(file.read(64))
        except (JournalError, OSError):
            continue
        found.setdefault(header.run_id, header.created_ns)
    return found
