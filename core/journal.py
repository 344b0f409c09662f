"""Journal codec: frames into checksummed records, records into checksummed blocks, blocks into a segment. Bytes only;
files and compression belong to the callers.

    segment = FILE HEADER (64 B)  block  block ...
    block   = BLOCK HEADER (48 B) stored bytes             (stored = records, plain or compressed)
    record  = RECORD HEADER (32 B) frame bytes

Everything little-endian, every header and every payload under a CRC-32. A cut anywhere costs the blocks behind the cut
and nothing before it (`good_end`); damage in the middle costs the damaged blocks, which `scan` names in `gaps`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MAGIC = b"SCALPJR1"
BLOCK_MAGIC = b"SJB1"
VERSION = 1
PLAIN = 0
ZSTD = 1

_FILE = struct.Struct("<8sIIq32s4xI")  # magic, version, kind of journal, created_ns, run id, crc
_BLOCK = struct.Struct("<4sIIIIIqqII")  # magic, codec, stored, raw, records, crc of stored, first, last ts, 0, crc
_RECORD = struct.Struct("<IIqqII")  # length, crc of the rest and the frame, ts_recv_ns, mono_ns, conn, kind
FILE_BYTES = _FILE.size
BLOCK_BYTES = _BLOCK.size
RECORD_BYTES = _RECORD.size
MAX_BLOCK_BYTES = 1 << 30

assert (FILE_BYTES, BLOCK_BYTES, RECORD_BYTES) == (64, 48, 32)

RAW_FRAMES = 1  # kinds of journal
EXECUTION = 2
DECISIONS = 3
CONSUMPTION = 4


class JournalError(ValueError):
    """The bytes are not a journal, or a block that should be whole is not."""


class Frame(NamedTuple):
    """One journalled frame. `conn` and `kind` are free for the writer (connection; what the bytes are)."""

    ts_recv_ns: int
    mono_ns: int
    conn: int
    kind: int
    data: bytes


class FileHeader(NamedTuple):
    kind: int
    created_ns: int
    run_id: str


class Block(NamedTuple):
    """Where a block lies (`offset` of its header) and what its header says; the times are its earliest and latest."""

    offset: int
    codec: int
    stored_bytes: int
    raw_bytes: int
    records: int
    first_ts_ns: int
    last_ts_ns: int

    @property
    def end(self) -> int:
        return self.offset + BLOCK_BYTES + self.stored_bytes


@dataclass
class Scan:
    """What a segment holds: good blocks, damaged ranges between them, and where the good part ends.

    `torn_bytes` behind that end: `is_cut` where they are the beginning of a block, as a writer that died leaves them;
    else they were whole once, and what is damaged may have been promised to be durable.
    """

    header: FileHeader
    blocks: list[Block] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    good_end: int = FILE_BYTES
    torn_bytes: int = 0
    is_cut: bool = True

    @property
    def is_damaged(self) -> bool:
        """Something that was written whole is not whole any more."""
        return bool(self.gaps) or not self.is_cut


def is_journal(start: bytes) -> bool:
    """Do these first bytes of a file belong to a journal?"""
    return start[: len(MAGIC)] == MAGIC


def encode_file_header(kind: int, created_ns: int, run_id: str) -> bytes:
    """Header of a segment; the run id is cut at 32 bytes."""
    head = _FILE.pack(MAGIC, VERSION, kind, created_ns, run_id.encode()[:32], 0)
    return head[:-4] + struct.pack("<I", zlib.crc32(head[:-4]))


def decode_file_header(data: bytes) -> FileHeader:
    """Raises JournalError where it is none."""
    if len(data) < FILE_BYTES or not is_journal(data):
        raise JournalError("not a journal")
    magic, version, kind, created_ns, run_id, crc = _FILE.unpack_from(data)
    if crc != zlib.crc32(data[: FILE_BYTES - 4]):
        raise JournalError("the header of the journal is damaged")
    if version != VERSION:
        raise JournalError(f"journal of version {version}, this code reads {VERSION}")
    return FileHeader(kind, created_ns, run_id.rstrip(b"\0").decode("utf-8", "replace"))


def encode_record(ts_recv_ns: int, mono_ns: int, conn: int, kind: int, data: bytes) -> bytes:
    """One frame as a record."""
    head = _RECORD.pack(len(data), 0, ts_recv_ns, mono_ns, conn, kind)
    crc = zlib.crc32(data, zlib.crc32(head[8:], len(data)))
    return head[:4] + struct.pack("<I", crc) + head[8:] + data


def decode_records(raw: bytes) -> Iterator[Frame]:
    """The frames of a block's plain bytes. Raises JournalError at the first one that is not whole."""
    at = 0
    while at < len(raw):
        if at + RECORD_BYTES > len(raw):
            raise JournalError(f"record header cut at {at}")
        length, crc, ts_recv_ns, mono_ns, conn, kind = _RECORD.unpack_from(raw, at)
        end = at + RECORD_BYTES + length
        if end > len(raw):
            raise JournalError(f"record cut at {at}")
        data = raw[at + RECORD_BYTES : end]
        if crc != zlib.crc32(data, zlib.crc32(raw[at + 8 : at + RECORD_BYTES], length)):
            raise JournalError(f"record at {at} is damaged")
        yield Frame(ts_recv_ns, mono_ns, conn, kind, data)
        at = end


def encode_block(
    stored: bytes, raw_bytes: int, records: int, first_ts_ns: int, last_ts_ns: int, codec: int = PLAIN
) -> bytes:
    """Header and stored bytes of a block; `raw_bytes` is the length before compression."""
    head = _BLOCK.pack(BLOCK_MAGIC, codec, len(stored), raw_bytes, records, zlib.crc32(stored), first_ts_ns, last_ts_ns,
                       0, 0)
    return head[:-4] + struct.pack("<I", zlib.crc32(head[:-4])) + stored


def block_header(head: bytes, offset: int) -> Block | None:
    """The block whose header these bytes are, read at `offset`; None where they are no sound header."""
    if len(head) < BLOCK_BYTES or head[:4] != BLOCK_MAGIC:
        return None
    _, codec, stored, raw, records, _, first, last, _, head_crc = _BLOCK.unpack(head)
    if head_crc != zlib.crc32(head[:-4]) or stored > MAX_BLOCK_BYTES:
        return None
    return Block(offset, codec, stored, raw, records, first, last)


def _block_at(data: bytes, offset: int) -> tuple[Block, bool] | None:
    """The block whose header stands at `offset` and whether its payload is whole and sound; None without a header."""
    head = bytes(data[offset : offset + BLOCK_BYTES])
    block = block_header(head, offset)
    if block is None:
        return None
    payload = data[offset + BLOCK_BYTES : block.end]
    return block, len(payload) == block.stored_bytes and zlib.crc32(payload) == _BLOCK.unpack(head)[5]


def good_block(data: bytes, offset: int) -> Block | None:
    """The whole, undamaged block that begins at `offset`; None where there is none (yet)."""
    found = _block_at(data, offset) if offset < len(data) else None
    return found[0] if found is not None and found[1] else None


def scan(data: bytes) -> Scan:
    """Find every good block of a segment.

    Bytes that belong to no good block are a gap when a good block follows, and the torn tail when none does.
    Raises JournalError when the file header itself is not usable.
    """
    result = Scan(decode_file_header(bytes(data[:FILE_BYTES])))
    at = FILE_BYTES
    while at < len(data):
        found = _block_at(data, at)
        if found is None or not found[1]:
            # a sound header tells where the next block should be, but never trust it over a header found earlier
            at = data.find(BLOCK_MAGIC, at + 1)
            if at < 0:
                break
            continue
        block = found[0]
        if block.offset > result.good_end:
            result.gaps.append((result.good_end, block.offset))
        result.blocks.append(block)
        at = result.good_end = block.end
    result.torn_bytes = len(data) - result.good_end
    result.is_cut = _is_cut(data, result.good_end)
    return result


def _is_cut(data: bytes, end: int) -> bool:
    """Are the bytes from `end` on the beginning of one block, or none?"""
    found = _block_at(data, end)
    if found is not None:
        return found[0].end > len(data)
    return len(data) - end < BLOCK_BYTES and BLOCK_MAGIC.startswith(data[end : end + 4])


def block_frames(data: bytes, block: Block, decompress: Callable[[bytes, int], bytes]) -> Iterator[Frame]:
    """The frames of one block found by `scan`. Raises JournalError when its content is not what its header says."""
    stored = bytes(data[block.offset + BLOCK_BYTES : block.end])
    raw = decompress(stored, block.raw_bytes) if block.codec == ZSTD else stored
    if len(raw) != block.raw_bytes:
        raise JournalError(f"block at {block.offset}: {len(raw)} bytes, {block.raw_bytes} expected")
    return decode_records(raw)


def frames(data: bytes, decompress: Callable[[bytes, int], bytes]) -> Iterator[Frame]:
    """All frames of the good blocks of a segment, in order. `decompress(stored, raw_bytes)` undoes zstd."""
    for block in scan(data).blocks:
        yield from block_frames(data, block, decompress)
