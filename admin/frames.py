"""Binary frames of the hot list: int32 column planes behind a 24-byte header. Pure; the browser twin is static/js/protocol.js.

    offset 0   magic   4 bytes  "SCLP"
           4   version u16      1
           6   type    u16      1 = SNAP (replaces the whole table), 2 = DELTA (patches the rows it lists)
           8   seq     u32      tick number of the sender; a DELTA applies on top of the frame sent before it
          12   ts_ns   u64      server wall clock
          20   n       u32      rows in the frame
          24   row ids u16[n], padded to 4 bytes
           …   planes  int32[n] each, in the order HELLO announced

Everything is little-endian and every plane starts on a multiple of 4, so the browser wraps it without a copy.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

MAGIC = b"SCLP"
VERSION = 1
SNAP = 1
DELTA = 2
HEADER = struct.Struct("<4sHHIQI")


class Frame(NamedTuple):
    """A decoded frame: `ids` u16[n], `planes` int32[n_planes, n]."""

    type: int
    seq: int
    ts_ns: int
    ids: np.ndarray
    planes: np.ndarray


def encode(kind: int, seq: int, ts_ns: int, ids: np.ndarray, planes: np.ndarray) -> bytes:
    """One frame. `ids`: row ids < 65,536, shape (n,); `planes`: int32 (n_planes, n) with the same n."""
    n = len(ids)
    if planes.shape[1] != n:
        raise ValueError(f"{planes.shape[1]} columns for {n} row ids")
    header = HEADER.pack(MAGIC, VERSION, kind, seq & 0xFFFFFFFF, ts_ns, n)
    padding = b"\0\0" if n % 2 else b""
    body = np.ascontiguousarray(planes, dtype="<i4").tobytes()
    return b"".join((header, np.asarray(ids, dtype="<u2").tobytes(), padding, body))


def decode(data: bytes) -> Frame:
    """Inverse of `encode`; raises ValueError on anything that is not exactly one frame."""
    if len(data) < HEADER.size:
        raise ValueError("frame shorter than its header")
    magic, version, kind, seq, ts_ns, n = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or kind not in (SNAP, DELTA):
        raise ValueError(f"not a version {VERSION} hot-list frame")
    start = HEADER.size + (2 * n + 3) // 4 * 4
    body = len(data) - start
    if body < 0 or (body % (4 * n) if n else body):
        raise ValueError("frame length does not fit its row count")
    ids = np.frombuffer(data, "<u2", n, HEADER.size)
    planes = np.frombuffer(data, "<i4", -1, start).reshape(-1, n) if n else np.zeros((0, 0), np.int32)
    return Frame(kind, seq, ts_ns, ids, planes)
