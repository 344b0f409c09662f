"""Naive twin of the journal reader: walks a segment front to back and stops at the first thing that is not whole."""

from __future__ import annotations

import struct
import zlib


def whole_prefix(data: bytes) -> tuple[int, list[tuple[int, int, int, int, bytes]]]:
    """(length of the good part, frames in it) of a plain (uncompressed) segment, for cuts anywhere."""
    if len(data) < 64 or data[:8] != b"SCALPJR1":
        return 0, []
    at, frames = 64, []
    while at + 48 <= len(data):
        head = data[at : at + 48]
        if head[:4] != b"SJB1" or zlib.crc32(head[:44]) != struct.unpack("<I", head[44:])[0]:
            break
        stored = struct.unpack("<I", head[8:12])[0]
        body = data[at + 48 : at + 48 + stored]
        if len(body) < stored or zlib.crc32(body) != struct.unpack("<I", head[20:24])[0]:
            break
        inner = 0
        while inner < stored:
            length, _, ts, mono, conn, kind = struct.unpack("<IIqqII", body[inner : inner + 32])
            frames.append((ts, mono, conn, kind, body[inner + 32 : inner + 32 + length]))
            inner += 32 + length
        at += 48 + stored
    return at, frames
