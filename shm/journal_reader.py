"""Reading journal segments from disk, for every process: the raw frames and the decisions a recorder wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import zstandard

from core.journal import Frame, JournalError, Scan, block_frames, scan

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


def segments(folder: Path, prefix: str = "raw") -> list[Path]:
    """Segments of a journal folder in order of their first frame."""
    return sorted(folder.glob(f"{prefix}-*{SUFFIX}"))
