"""Continuity of the order-book topics: `u` per (symbol, depth).

    phase    frame                      verdict   next     meaning
    EMPTY    snapshot, or u == 1        PASS      LIVE     base taken
    EMPTY    delta                      DROP      EMPTY    no base: counted; after 2 s the caller must resubscribe
    LIVE     delta, u == last + 1       PASS      LIVE
    LIVE     delta, u == last           DROP      LIVE     duplicate
    LIVE     delta, u <  last           DROP      LIVE     out of order
    LIVE     delta, u >  last + 1       GAP       BROKEN   updates lost: nothing may be believed until a snapshot
    LIVE     snapshot, asked for        PASS      LIVE
    LIVE     snapshot, or u == 1        RESET     LIVE     the service restarted or chose to send a new base
    BROKEN   snapshot, or u == 1        PASS      LIVE     recovered
    BROKEN   delta                      DROP      BROKEN

Depth 1 sends snapshots only: the same `u` again is a keepalive, a lower one is dropped, a jump loses nothing.
Source: BYBIT.md 4.1 (measured: every delta of 50 and 200 levels had u + 1), RELIABILITY.md F01-F06.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.enums import EventKind
from core.jit import kernel

DEPTHS: tuple[int, ...] = (1, 50, 200, 500, 1000)
COLUMNS = len(DEPTHS) + 1  # the last column takes any other depth

EMPTY, LIVE, BROKEN = 0, 1, 2
PASS, DROP, GAP, RESET, NO_BASE = 0, 1, 2, 3, 4

C_GAPS, C_DUPLICATES, C_OUT_OF_ORDER, C_KEEPALIVES, C_RESETS, C_NO_BASE, C_BROKEN_DROPS, C_RECOVERIES = range(8)
SYNC_COUNTS = 8
SYNC_COUNT_NAMES = (
    "gaps", "duplicates", "out_of_order", "keepalives", "resets", "delta_no_base", "broken_drops", "recoveries",
)

NO_BASE_WAIT_NS = 2_000_000_000
_DELTA = int(EventKind.BOOK_DELTA)


class Sync(NamedTuple):
    """State per (symbol, depth column); every array is int64[symbols, COLUMNS]."""

    last_u: np.ndarray  # last update id taken, -1 = none
    phase: np.ndarray  # EMPTY, LIVE or BROKEN
    since_ns: np.ndarray  # event time since which a base is missing, 0 = not missing
    seen_ns: np.ndarray  # event time of the last frame of the topic
    asked: np.ndarray  # 1 = a snapshot was asked for and has not come


def new_sync(symbols: int) -> Sync:
    """All topics EMPTY, their first snapshot expected."""
    shape = (symbols, COLUMNS)
    return Sync(
        last_u=np.full(shape, -1, np.int64),
        phase=np.zeros(shape, np.int64),
        since_ns=np.zeros(shape, np.int64),
        seen_ns=np.zeros(shape, np.int64),
        asked=np.ones(shape, np.int64),
    )


def restart(sync: Sync, symbol: int, column: int, now_ns: int) -> None:
    """Forget the topic's base: the connection went away or the topic is subscribed anew."""
    sync.last_u[symbol, column] = -1
    sync.phase[symbol, column] = EMPTY
    sync.since_ns[symbol, column] = now_ns
    sync.asked[symbol, column] = 1


def depth_column_of(depth: int) -> int:
    """Column of a depth in the arrays of `Sync` (the same as the kernel's)."""
    return DEPTHS.index(depth) if depth in DEPTHS else COLUMNS - 1


@kernel
def depth_column(depth):
    """Column of a depth: int64 -> int64."""
    if depth == 50:
        return 1
    if depth == 1:
        return 0
    if depth == 200:
        return 2
    if depth == 500:
        return 3
    if depth == 1000:
        return 4
    return 5


@kernel
def check_book(sync, counts, symbol, column, is_delta, u, now_ns):
    """Verdict on one book frame, and the state after it.

    `counts` int64[SYNC_COUNTS] is added to; `now_ns` is the frame's receive time. Returns PASS, DROP, GAP, RESET, or
    NO_BASE when a delta without base has been waiting NO_BASE_WAIT_NS (then again after as long).
    """
    sync.seen_ns[symbol, column] = now_ns
    last = sync.last_u[symbol, column]
    phase = sync.phase[symbol, column]
    if is_delta == 0 or u == 1:
        if column == 0 and phase == LIVE and u != 1 and u <= last:
            counts[C_KEEPALIVES if u == last else C_OUT_OF_ORDER] += 1
            return DROP
        verdict = PASS
        if phase == BROKEN:
            counts[C_RECOVERIES] += 1
        elif phase == LIVE and sync.asked[symbol, column] == 0 and (column != 0 or u == 1):
            counts[C_RESETS] += 1
            verdict = RESET
        sync.last_u[symbol, column] = u
        sync.phase[symbol, column] = LIVE
        sync.since_ns[symbol, column] = 0
        sync.asked[symbol, column] = 0
        return verdict
    if phase == LIVE:
        if u == last + 1:
            sync.last_u[symbol, column] = u
            return PASS
        if u <= last:
            counts[C_DUPLICATES if u == last else C_OUT_OF_ORDER] += 1
            return DROP
        counts[C_GAPS] += 1
        sync.phase[symbol, column] = BROKEN
        sync.since_ns[symbol, column] = now_ns
        return GAP
    if phase == BROKEN:
        counts[C_BROKEN_DROPS] += 1
        return DROP
    counts[C_NO_BASE] += 1
    if sync.since_ns[symbol, column] == 0:
        sync.since_ns[symbol, column] = now_ns
    elif now_ns - sync.since_ns[symbol, column] >= NO_BASE_WAIT_NS:
        sync.since_ns[symbol, column] = now_ns
        return NO_BASE
    return DROP
