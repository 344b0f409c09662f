"""The last public trades of every symbol, with running totals.

A ring of TAPE_LENGTH trades a slot (row). `count` is the number of trades ever kept: trade k (0 = first) sits at
`k % TAPE_LENGTH` while `count - TAPE_LENGTH <= k < count`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from core.jit import kernel
from core.records import TRADE

TAPE_LENGTH = 2048  # a power of two over the 2,000 the requirement asks for: 64 KiB a symbol
BLOCK_TRADE = 1  # bit of TRADE.flags: matched off the book (as an item: `.flags` of an uncompiled record is numpy's own)

TAPE_TOTALS = np.dtype(
    (
        np.record,
        [
            ("buy_lots", "i8"),  # lots bought by aggressors since the start
            ("sell_lots", "i8"),  # lots sold by aggressors: buy - sell is the cumulative volume delta (CVD)
            ("buys", "i8"),  # number of trades with a buying aggressor
            ("sells", "i8"),
            ("blocks", "i8"),  # block trades: kept on the tape, in no total
            ("last_ticks", "i8"),  # price of the last trade that was no block; 0 = none yet
            ("last_ts_exch_ns", "i8"),  # its match time
            ("reserved", "i8"),
        ],
    )
)


class Tape(NamedTuple):
    """Tapes of all slots: trades TRADE[cap, TAPE_LENGTH]; count int64[cap]; totals TAPE_TOTALS[cap]."""

    trades: Any
    count: Any
    totals: Any


def new_tape(cap: int) -> Tape:
    """Empty tapes for `cap` slots, touched lazily."""
    return Tape(np.zeros((cap, TAPE_LENGTH), TRADE.dtype), np.zeros(cap, np.int64), np.zeros(cap, TAPE_TOTALS))


@kernel
def append(tape, slot, trades, first, n):  # type: ignore[no-untyped-def]
    """Append `n` entries of `trades` (TRADE[:]) from index `first`, in their order. Arguments are int64."""
    ring, counts, totals = tape
    count = counts[slot]
    for i in range(first, first + n):
        ring[slot, (count + i - first) & (TAPE_LENGTH - 1)] = trades[i]
        if trades[i]["flags"] & BLOCK_TRADE:
            totals[slot].blocks += 1
            continue
        if trades[i].side > 0:
            totals[slot].buy_lots += trades[i].qty_lots
            totals[slot].buys += 1
        else:
            totals[slot].sell_lots += trades[i].qty_lots
            totals[slot].sells += 1
        totals[slot].last_ticks = trades[i].price_ticks
        totals[slot].last_ts_exch_ns = trades[i].ts_exch_ns
    counts[slot] = count + n


@kernel
def clear(tape, slot):  # type: ignore[no-untyped-def]
    """Forget the tape and the totals of `slot`."""
    _, counts, totals = tape
    counts[slot] = 0
    totals[slot].buy_lots = 0
    totals[slot].sell_lots = 0
    totals[slot].buys = 0
    totals[slot].sells = 0
    totals[slot].blocks = 0
    totals[slot].last_ticks = 0
    totals[slot].last_ts_exch_ns = 0


@kernel
def length(tape, slot):  # type: ignore[no-untyped-def]
    """How many trades can be read."""
    return min(tape.count[slot], np.int64(TAPE_LENGTH))


@kernel
def copy_last(tape, slot, n, dst):  # type: ignore[no-untyped-def]
    """Copy the newest `n` trades (fewer when there are fewer) to `dst` (TRADE[:]), oldest first; returns how many."""
    ring, counts, _ = tape
    count = counts[slot]
    n = min(n, count, np.int64(TAPE_LENGTH), np.int64(dst.shape[0]))
    for i in range(n):
        dst[i] = ring[slot, (count - n + i) & (TAPE_LENGTH - 1)]
    return n
