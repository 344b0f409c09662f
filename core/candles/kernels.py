"""Micro-candles of 1, 3, 5 and 15 s, by event time (receive time), with flat candles for empty periods.

A candle belongs to the period `ts_ns // interval`. Per slot (row) and interval the last KEPT periods are kept, the
open one included: period p sits at `p % KEPT` while `first <= p <= last` and `p > last - KEPT`. A series begins with
the first trade; a period without trades is flat at the last close. Block trades are no part of candles.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from core.jit import kernel
from core.tape.kernels import BLOCK_TRADE

INTERVALS_S = (1, 3, 5, 15)
INTERVALS_NS = (1_000_000_000, 3_000_000_000, 5_000_000_000, 15_000_000_000)
N_INTERVALS = 4
CANDLE_1S = np.int64(0)  # index into INTERVALS_S
CANDLE_3S = np.int64(1)
CANDLE_5S = np.int64(2)
CANDLE_15S = np.int64(3)
KEPT = 128

CANDLE = np.dtype(
    (
        np.record,
        [
            ("start_ns", "i8"),  # start of the period
            ("open", "i8"),  # ticks
            ("high", "i8"),
            ("low", "i8"),
            ("close", "i8"),
            ("buy_lots", "i8"),  # aggressor bought; volume = buy + sell, delta = buy - sell
            ("sell_lots", "i8"),
            ("trades", "i8"),
        ],
    )
)


class Candles(NamedTuple):
    """Candles of all slots.

    candle: CANDLE[cap, 4, KEPT]; first, last: int64[cap, 4], first and newest (open) period; last < 0 = no trade yet.
    """

    candle: Any
    first: Any
    last: Any


def new_candles(cap: int) -> Candles:
    """No candles for `cap` slots: 32 KiB a slot, touched lazily."""
    return Candles(
        np.zeros((cap, N_INTERVALS, KEPT), CANDLE),
        np.zeros((cap, N_INTERVALS), np.int64),
        np.full((cap, N_INTERVALS), -1, np.int64),
    )


@kernel
def _flat(candle, slot, interval, period, close):  # type: ignore[no-untyped-def]
    at = period & (KEPT - 1)
    row = candle[slot, interval, at]
    row.start_ns = period * INTERVALS_NS[interval]
    row.open = close
    row.high = close
    row.low = close
    row.close = close
    row.buy_lots = 0
    row.sell_lots = 0
    row.trades = 0


@kernel
def roll(candles, slot, ts_ns):  # type: ignore[no-untyped-def]
    """Close every period that ended at or before `ts_ns`: flat candles up to the open one, at most KEPT of them.

    An earlier `ts_ns` than before changes nothing: a closed candle is final.
    """
    candle, _, last = candles
    for interval in range(N_INTERVALS):
        newest = last[slot, interval]
        period = ts_ns // INTERVALS_NS[interval]
        if newest < 0 or period <= newest:
            continue
        close = candle[slot, interval, newest & (KEPT - 1)].close
        for p in range(max(newest + 1, period - KEPT + 1), period + 1):
            _flat(candle, slot, np.int64(interval), p, close)
        last[slot, interval] = period


@kernel
def add_trades(candles, slot, ts_ns, trades, first, n):  # type: ignore[no-untyped-def]
    """Add `n` entries of `trades` (TRADE[:]) from index `first`, received at `ts_ns`. Arguments are int64."""
    candle, firsts, last = candles
    roll(candles, slot, ts_ns)
    for i in range(first, first + n):
        if trades[i]["flags"] & BLOCK_TRADE:
            continue
        ticks = trades[i].price_ticks
        lots = trades[i].qty_lots
        for interval in range(N_INTERVALS):
            period = last[slot, interval]
            if period < 0:
                period = ts_ns // INTERVALS_NS[interval]
                firsts[slot, interval] = period
                last[slot, interval] = period
                _flat(candle, slot, np.int64(interval), period, ticks)
            row = candle[slot, interval, period & (KEPT - 1)]
            if row.trades == 0:
                row.open = ticks
                row.high = ticks
                row.low = ticks
            else:
                row.high = max(row.high, ticks)
                row.low = min(row.low, ticks)
            row.close = ticks
            if trades[i].side > 0:
                row.buy_lots += lots
            else:
                row.sell_lots += lots
            row.trades += 1


@kernel
def clear(candles, slot):  # type: ignore[no-untyped-def]
    """Forget the candles of `slot`."""
    for interval in range(N_INTERVALS):
        candles.last[slot, interval] = -1


@kernel
def closed(candles, slot, interval):  # type: ignore[no-untyped-def]
    """How many closed candles can be read (0 .. KEPT - 1)."""
    if candles.last[slot, interval] < 0:
        return np.int64(0)
    return min(candles.last[slot, interval] - candles.first[slot, interval], np.int64(KEPT - 1))


@kernel
def copy_last(candles, slot, interval, n, dst):  # type: ignore[no-untyped-def]
    """Copy the newest `n` candles, the open one included, to `dst` (CANDLE[:]), oldest first; returns how many."""
    candle, first, last = candles
    newest = last[slot, interval]
    if newest < 0:
        return np.int64(0)
    n = min(n, newest - first[slot, interval] + 1, np.int64(KEPT), np.int64(dst.shape[0]))
    for i in range(n):
        dst[i] = candle[slot, interval, (newest - n + 1 + i) & (KEPT - 1)]
    return n


@kernel
def atr_bps(candles, slot, interval, n, minimum):  # type: ignore[no-untyped-def]
    """Mean true range of the last `n` closed candles, in basis points of the last close.

    True range = max(high, close before) - min(low, close before) (Wilder 1978; plain mean over the window instead of
    his smoothing, so that it can be recomputed from the candles alone). With fewer than `n` closed candles it is the
    mean of those there are; nan under `minimum`. A candle whose predecessor is unknown is left out.
    """
    candle, first, last = candles
    newest = last[slot, interval] - 1
    used = min(n, newest - first[slot, interval], np.int64(KEPT - 2))
    if last[slot, interval] < 0 or used < max(minimum, np.int64(1)):
        return math.nan
    total = np.int64(0)
    before = candle[slot, interval, (newest - used) & (KEPT - 1)].close
    for p in range(newest - used + 1, newest + 1):
        row = candle[slot, interval, p & (KEPT - 1)]
        total += max(row.high, before) - min(row.low, before)
        before = row.close
    if before <= 0:
        return math.nan
    return 10_000.0 * np.float64(total) / (np.float64(used) * np.float64(before))
