"""One watched level: which of its decreases trades explain, and when it was refilled.

Books and trades are separate topics and arrive apart, so neither order means anything. The rule: event time is cut into
windows of `walls.match_ms`; a decrease is *eaten* as far as trades at that price, against that side, in its own window or
the one next to it, explain it, each lot once, oldest first. What no trade explains by the end of the next window is
*cancelled*; what trades took and the book never showed leaving was put back at once (*hidden*: a refill).
"""

from __future__ import annotations

import numpy as np

from core.enums import WallFate
from core.jit import kernel

REFILL_SHARE = 0.25  # trades must have taken this share of the clip before a return to it counts as a refill
REFILL_SIZE = 0.3  # the display may differ from the clip by this share
_STANDING = int(WallFate.STANDING)


@kernel
def start_watch(w, lots, ts_ns):  # type: ignore[no-untyped-def]
    """A level that shows `lots` is watched from now on; it is no wall."""
    w.lots = lots
    w.peak_lots = lots
    w.leave_lots = 0
    w.wall = 0
    w.fate = _STANDING
    w.since_ns = 0
    w.born_ns = 0
    w.ended_ns = 0
    w.seen_ns = ts_ns
    w.epoch = 0
    w.credit_old = 0
    w.credit_new = 0
    w.pending_old = 0
    w.pending_new = 0
    w.clip_lots = lots
    w.taken_lots = 0
    w.taken_ns = 0
    w.refills = 0
    w.moves = 0
    w.size_x = 0.0
    w.born_bps = 0.0
    w.end_bps = 0.0
    w.traded_lots = 0
    w.eaten_lots = 0
    w.cancelled_lots = 0


@kernel
def roll_watch(w, ts_ns, match_ns):  # type: ignore[no-untyped-def]
    """Bring the match windows of a level to `ts_ns`; what is older than one window is decided."""
    if ts_ns < (w.epoch + 1) * match_ns:  # most often so, and a division would be dear
        return
    epoch = ts_ns // match_ns
    steps = epoch - w.epoch
    w.epoch = epoch
    hidden = w.credit_old
    w.cancelled_lots += w.pending_old
    w.credit_old = w.credit_new
    w.pending_old = w.pending_new
    w.credit_new = 0
    w.pending_new = 0
    if steps > 1:
        hidden += w.credit_old
        w.cancelled_lots += w.pending_old
        w.credit_old = 0
        w.pending_old = 0
    if hidden > 0 and 2 * hidden >= w.lots and w.lots > 0:
        w.refills += 1


@kernel
def _count_taken(w, lots, ts_ns):  # type: ignore[no-untyped-def]
    w.eaten_lots += lots
    w.taken_lots += lots
    w.taken_ns = ts_ns


@kernel
def take_change(w, after, ts_ns, match_ns):  # type: ignore[no-untyped-def]
    """The book now shows `after` lots. Returns the lots of it that trades seen before explain."""
    roll_watch(w, ts_ns, match_ns)
    change = after - w.lots
    w.seen_ns = ts_ns
    eaten = np.int64(0)
    if change < 0:
        if w.taken_lots == 0 and w.pending_old + w.pending_new == 0:
            w.clip_lots = w.lots
        old = min(w.credit_old, -change)
        new = min(w.credit_new, -change - old)
        w.credit_old -= old
        w.credit_new -= new
        eaten = old + new
        w.pending_new += -change - eaten
        if eaten > 0:
            _count_taken(w, eaten, ts_ns)
    elif change > 0:
        clip = np.float64(w.clip_lots)
        if (
            w.taken_lots > 0 and w.taken_lots >= REFILL_SHARE * clip and ts_ns - w.taken_ns <= match_ns
            and abs(after - clip) <= REFILL_SIZE * clip
        ):  # fmt: skip
            w.refills += 1
        w.taken_lots = 0
        w.clip_lots = after
    w.lots = after
    return eaten


@kernel
def take_trade(w, lots, ts_ns, match_ns):  # type: ignore[no-untyped-def]
    """A trade against the level. Returns the lots of earlier decreases it explains."""
    roll_watch(w, ts_ns, match_ns)
    w.seen_ns = ts_ns
    w.traded_lots += lots
    old = min(w.pending_old, lots)
    new = min(w.pending_new, lots - old)
    w.pending_old -= old
    w.pending_new -= new
    w.credit_new += lots - old - new
    if old + new > 0:
        _count_taken(w, old + new, ts_ns)
    return old + new
