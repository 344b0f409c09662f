"""JSON text and WebSocket headers written straight into a byte buffer.

Every `put_*` kernel writes at position p of the uint8 array `out` and returns the position after it; the caller makes
room. Constant texts are module arrays of bytes, made by `text`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.jit import kernel

HEADER_ROOM = 10  # the longest header of an unmasked server frame


def text(value: str) -> NDArray:
    """A constant text for kernels: read-only uint8[len]."""
    return np.frombuffer(value.encode(), np.uint8)


DIGITS = text("0123456789abcdef")


@kernel
def put_text(out, p, value):
    """A constant made by `text`."""
    for k in range(value.shape[0]):
        out[p + k] = value[k]
    return p + value.shape[0]


@kernel
def put_name(out, p, names, lengths, i):
    """Row i of the table of symbol names."""
    for k in range(lengths[i]):
        out[p + k] = names[i, k]
    return p + lengths[i]


@kernel
def put_int(out, p, value):
    """A decimal integer."""
    if value < 0:
        out[p] = 45
        p += 1
        value = -value
    digits = 1
    rest = value // 10
    while rest > 0:
        digits += 1
        rest //= 10
    for k in range(digits):
        out[p + digits - 1 - k] = 48 + value % 10
        value //= 10
    return p + digits


@kernel
def put_fixed(out, p, value, decimals):
    """value / 10**decimals with exactly `decimals` decimals."""
    if value < 0:
        out[p] = 45
        p += 1
        value = -value
    scale = 1
    for _ in range(decimals):
        scale *= 10
    p = put_int(out, p, value // scale)
    if decimals > 0:
        out[p] = 46
        part = value % scale
        for k in range(decimals):
            out[p + decimals - k] = 48 + part % 10
            part //= 10
        p += decimals + 1
    return p


@kernel
def put_short(out, p, value, decimals):
    """As `put_fixed`, without trailing zeros: candles and rates are written so."""
    while decimals > 0 and value % 10 == 0:
        value //= 10
        decimals -= 1
    return put_fixed(out, p, value, decimals)


@kernel
def put_uuid(out, p, high, low):
    """36 characters in the form of the trade ids seen on the wire (version 5, variant 10)."""
    for k in range(32):
        word = high if k < 16 else low
        nibble = np.int64((word >> np.uint64(60 - 4 * (k % 16))) & np.uint64(15))
        if k == 12:
            out[p] = 53  # "5"
        elif k == 16:
            out[p] = DIGITS[8 + (nibble & 3)]
        else:
            out[p] = DIGITS[nibble]
        p += 1
        if k == 7 or k == 11 or k == 15 or k == 19:
            out[p] = 45
            p += 1
    return p


@kernel
def put_header(out, body, end):
    """The WebSocket header of an unmasked, final text frame, right before its payload [body, end).

    Returns where the frame starts; HEADER_ROOM bytes before `body` must be free.
    """
    size = end - body
    if size < 126:
        start = body - 2
        out[start + 1] = size
    elif size < 65536:
        start = body - 4
        out[start + 1] = 126
        out[start + 2] = size >> 8
        out[start + 3] = size & 255
    else:
        start = body - 10
        out[start + 1] = 127
        for k in range(8):
            out[start + 2 + k] = (size >> (56 - 8 * k)) & 255
    out[start] = 0x81
    return start


@kernel
def rescale(value, decimals, wanted):
    """A fixed-point number of `decimals` decimals in `wanted` decimals (cut, not rounded)."""
    while decimals < wanted:
        value *= 10
        decimals += 1
    while decimals > wanted:
        value //= 10
        decimals -= 1
    return value
