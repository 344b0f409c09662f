"""Cumulative volume delta and VPIN, trade by trade, in whole numbers.

VPIN: Easley, Lopez de Prado, O'Hara 2012, "Flow Toxicity and Liquidity in a High-Frequency World". Their bulk
classification guesses who was the aggressor; the exchange tells us, so bought and sold volume are counted, not guessed.
"""

from __future__ import annotations

import math

import numpy as np

from core.features.moves_windows import SHARE_E9, VPIN_KEPT
from core.jit import kernel
from core.tape.kernels import BLOCK_TRADE


@kernel
def bucket_size(turnover24h_e4, unit_usdt, per_day):  # type: ignore[no-untyped-def]
    """Size of a volume bucket in ticks x lots: the turnover of 24 h / buckets per day; 0 = not known."""
    if turnover24h_e4 <= 0 or not (unit_usdt > 0.0):
        return np.int64(0)
    return np.int64(max(math.floor(turnover24h_e4 * 1e-4 / per_day / unit_usdt), 1.0))


@kernel
def _close_bucket(moves, slot):  # type: ignore[no-untyped-def]
    now = moves.track[slot]
    at = now.vpin_closed
    leaving = at - moves.config[0].vpin_buckets
    if leaving >= 0:
        now.vpin_sum -= moves.share[slot, leaving & (VPIN_KEPT - 1)]
    lean = np.float64(abs(now.vpin_buy - now.vpin_sell))
    share = np.int64(math.floor(SHARE_E9 * (lean / np.float64(now.vpin_size)) + 0.5))
    moves.share[slot, at & (VPIN_KEPT - 1)] = share
    now.vpin_sum += share
    now.vpin_closed = at + 1
    now.vpin_buy = 0
    now.vpin_sell = 0


@kernel
def add_volume(moves, slot, value, side, size):  # type: ignore[no-untyped-def]
    """One trade of `value` (ticks x lots, int64) into the volume buckets; new buckets open with `size` (0 = unknown).

    A trade larger than the ring of buckets fills all of it with one side: the rest would only do so again.
    """
    now = moves.track[slot]
    left = value
    while left > 0:
        filled = now.vpin_buy + now.vpin_sell
        if filled == 0:
            if size <= 0:
                return
            now.vpin_size = size
            surplus = left // size - VPIN_KEPT
            if surplus > 0:
                left -= surplus * size
                now.vpin_closed += surplus
                for b in range(VPIN_KEPT):
                    moves.share[slot, b] = SHARE_E9
                now.vpin_sum = moves.config[0].vpin_buckets * SHARE_E9
        taken = min(left, now.vpin_size - now.vpin_buy - now.vpin_sell)
        if side > 0:
            now.vpin_buy += taken
        else:
            now.vpin_sell += taken
        left -= taken
        if now.vpin_buy + now.vpin_sell >= now.vpin_size:
            _close_bucket(moves, slot)


@kernel
def anchor(moves, slot):  # type: ignore[no-untyped-def]
    """Start the cumulative delta anew when an anchor time has passed."""
    now = moves.track[slot]
    period = now.second // moves.config[0].anchor_s
    if period > now.cvd_period:
        now.cvd_period = period
        now.cvd_value = 0


@kernel
def add_flow_trades(moves, slot, trades, first, n, size):  # type: ignore[no-untyped-def]
    """Trades into delta and volume buckets (block trades left out). Returns how many counted."""
    now = moves.track[slot]
    count = np.int64(0)
    for i in range(first, first + n):
        if trades[i]["flags"] & BLOCK_TRADE:
            continue
        value = trades[i].price_ticks * trades[i].qty_lots
        side = np.int64(1) if trades[i].side > 0 else np.int64(-1)
        count += 1
        now.cvd_value += side * value
        add_volume(moves, slot, value, side, size)
    return count


@kernel
def vpin(moves, slot):  # type: ignore[no-untyped-def]
    """Mean one-sided share of the last closed buckets, 0..1; nan = fewer than the minimum."""
    now = moves.track[slot]
    cfg = moves.config[0]
    known = min(now.vpin_closed, cfg.vpin_buckets)
    if known < cfg.vpin_minimum:
        return math.nan
    return np.float64(now.vpin_sum) / (np.float64(known) * SHARE_E9)
