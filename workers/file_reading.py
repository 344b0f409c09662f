"""Reading what grows: whole lines of a JSONL file and whole blocks of a journal from a given byte on.

A place is a byte of the plain file; a file that retention has compressed to `.zst` meanwhile keeps its places.
"""

from __future__ import annotations

import io
from pathlib import Path

import zstandard

from core.journal import FILE_BYTES, FileHeader, Frame, JournalError, block_frames, decode_file_header, scan
from shm.journal_reader import decompress

LIMIT_BYTES = 1 << 20


def plain_name(path: Path) -> str:
    """Name of the file without `.zst`."""
    return path.name.removesuffix(".zst")


def read_from(path: Path, position: int, limit: int = LIMIT_BYTES) -> bytes:
    """Up to `limit` plain bytes from `position`. Raises OSError."""
    with path.open("rb") as file:
        if path.suffix != ".zst":
            file.seek(position)
            return file.read(limit)
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        skipped = 0
        while skipped < position:
            piece = stream.read(min(position - skipped, 1 << 20))
            if not piece:
                return b""
            skipped += len(piece)
        out = io.BytesIO()
        while out.tell() < limit and (piece := stream.read(limit - out.tell())):
            out.write(piece)
        return out.getvalue()


def lines_from(path: Path, position: int, limit: int) -> tuple[list[tuple[int, bytes]], int]:
    """Up to `limit` whole lines from `position` as (its byte, line), and the place behind the last one."""
    wanted = LIMIT_BYTES
    data = read_from(path, position, wanted)
    while len(data) == wanted and b"\n" not in data:  # one line longer than a read
        wanted *= 4
        data = read_from(path, position, wanted)
    lines: list[tuple[int, bytes]] = []
    at = 0
    while len(lines) < limit and (end := data.find(b"\n", at)) >= 0:
        lines.append((position + at, data[at:end]))
        at = end + 1
    return lines, position + at


def journal_header(path: Path) -> FileHeader | None:
    """Header of a journal; None where there is none (yet)."""
    try:
        with path.open("rb") as file:
            return decode_file_header(file.read(FILE_BYTES))
    except (OSError, JournalError):
        return None


def frames_from(path: Path, position: int, limit: int) -> tuple[list[Frame], int]:
    """At least `limit` frames of whole blocks from byte `position` (0 = start), if there are so many, and the place behind
    the last block. Damaged blocks in the middle are passed over. Raises OSError, JournalError."""
    start = max(position, FILE_BYTES)
    wanted = LIMIT_BYTES
    with path.open("rb") as file:
        header = file.read(FILE_BYTES)
        while True:
            file.seek(start)
            data = header + file.read(wanted)
            found = scan(data)
            if found.blocks or len(data) < FILE_BYTES + wanted:
                break
            wanted *= 4  # a block longer than a read
    frames: list[Frame] = []
    end = FILE_BYTES
    for block in found.blocks:
        if len(frames) >= limit:
            break
        frames += block_frames(data, block, decompress)
        end = block.end
    return frames, start + end - FILE_BYTES
