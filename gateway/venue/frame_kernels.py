"""What all frames share: constant texts, and the seal that turns a payload into a ready WebSocket frame."""

from __future__ import annotations

from core.jit import kernel
from gateway.venue.format_kernels import put_header, put_text, text

SNAPSHOT_TS = text('","type":"snapshot","ts":')
END = text("}")
CLOSE_LIST = text("]}")
PLUS, ZERO_PLUS, MINUS, ZERO_MINUS = text("PlusTick"), text("ZeroPlusTick"), text("MinusTick"), text("ZeroMinusTick")


@kernel
def seal(kind, i, out, body, end, frames, count):
    """Finish a frame whose payload is [body, end): header, row in `frames`. Returns (end, frames so far)."""
    start = put_header(out, body, end)
    frames[count, 0] = start
    frames[count, 1] = end - start
    frames[count, 2] = kind
    frames[count, 3] = i
    return end, count + 1


@kernel
def put_direction(out, p, direction):
    if direction == 0:
        return put_text(out, p, PLUS)
    if direction == 1:
        return put_text(out, p, ZERO_PLUS)
    if direction == 2:
        return put_text(out, p, MINUS)
    return put_text(out, p, ZERO_MINUS)
