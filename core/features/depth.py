"""Depth near the touch, kept up level by level: sums of two zones a side, and their averages over the last minute.

A zone reaches from the best price of its own side `zone_ticks` ticks, or `zone_bps` basis points, into the book; it ends
where the visible book ends. Prices are compared signed (-bid, +ask), so that larger always means farther from the touch.
All sums are integers: a level's change is added when it comes, and when the touch moves, the levels between the old and
the new edge go out or come in. Nothing drifts; `fresh_zone` makes the same numbers from the whole side.
"""

from __future__ import annotations

import math

import numpy as np

from core.book.kernels import ASKS, BIDS
from core.jit import kernel

NO_EDGE = -0x7FFF_FFFF_FFFF_FFFF  # edge of an empty side: nothing is inside
N_SAMPLES = 128  # ring of seconds, a power of two: averages reach at most 127 s back
SECOND_NS = 1_000_000_000
MIN_SAMPLES = 3  # seconds of book before an average says anything


@kernel
def edges(book, slot, side, params):  # type: ignore[no-untyped-def]
    """(edge of the tick zone, edge of the bps zone) of a side, signed ticks; NO_EDGE when it is empty."""
    if book.count[slot, side] == 0:
        return np.int64(NO_EDGE), np.int64(NO_EDGE)
    touch = book.price[slot, side, 0]
    signed = (2 * side - 1) * touch
    width = np.int64(math.floor(np.float64(touch) * params[0].zone_bps * 1e-4))
    return signed + params[0].zone_ticks, signed + width


@kernel
def fresh_zone(zone, book, slot, side, params):  # type: ignore[no-untyped-def]
    """Sums of a side from all its levels."""
    z = zone[slot, side]
    sign = 2 * side - 1
    z.ticks_edge, z.bps_edge = edges(book, slot, side, params)
    z.ticks_lots = 0
    z.bps_lots = 0
    z.bps_value = 0
    z.lots = 0
    for i in range(book.count[slot, side]):
        price, lots = book.price[slot, side, i], book.qty[slot, side, i]
        z.lots += lots
        if sign * price <= z.ticks_edge:
            z.ticks_lots += lots
        if sign * price <= z.bps_edge:
            z.bps_lots += lots
            z.bps_value += price * lots


@kernel
def add_level(z, sign, price, change):  # type: ignore[no-untyped-def]
    """A level of the side changed by `change` lots; the edges are still the old ones.

    Nothing is added where it lies outside: on which side of an edge the next level lies cannot be foreseen.
    """
    near = change if sign * price <= z.ticks_edge else 0
    inside = change if sign * price <= z.bps_edge else 0
    z.lots += change
    z.ticks_lots += near
    z.bps_lots += inside
    z.bps_value += price * inside


@kernel
def _first_beyond(prices, count, sign, edge):  # type: ignore[no-untyped-def]
    """Index of the first level whose signed price is over `edge`: levels near the touch first, in steps of 8."""
    at = np.int64(0)
    while at + 8 <= count and sign * prices[at + 7] <= edge:
        at += 8
    while at < count and sign * prices[at] <= edge:
        at += 1
    return at


@kernel
def move_edges(zone, book, slot, side, params):  # type: ignore[no-untyped-def]
    """Let the zones follow the touch: what lies between an old and a new edge comes in or goes out."""
    z = zone[slot, side]
    ticks_edge, bps_edge = edges(book, slot, side, params)
    if ticks_edge == z.ticks_edge and bps_edge == z.bps_edge:
        return
    sign = 2 * side - 1
    count = book.count[slot, side]
    prices, qtys = book.price[slot, side], book.qty[slot, side]
    low, high = min(ticks_edge, z.ticks_edge), max(ticks_edge, z.ticks_edge)
    change = 1 if ticks_edge > z.ticks_edge else -1
    at = _first_beyond(prices, count, sign, low)
    while at < count and sign * prices[at] <= high:
        z.ticks_lots += change * qtys[at]
        at += 1
    low, high = min(bps_edge, z.bps_edge), max(bps_edge, z.bps_edge)
    change = 1 if bps_edge > z.bps_edge else -1
    at = _first_beyond(prices, count, sign, low)
    while at < count and sign * prices[at] <= high:
        z.bps_lots += change * qtys[at]
        z.bps_value += change * prices[at] * qtys[at]
        at += 1
    z.ticks_edge = ticks_edge
    z.bps_edge = bps_edge


@kernel
def balance(bids, asks):  # type: ignore[no-untyped-def]
    """(bids - asks) / (bids + asks); nan when both are 0."""
    if bids + asks == 0:
        return math.nan
    return np.float64(bids - asks) / np.float64(bids + asks)


@kernel
def refresh_depth(row, zone, track, slot):  # type: ignore[no-untyped-def]
    """Depth features from the sums; unknown without a mid."""
    out, now = row[slot], track[slot]
    out.imbalance_ticks = math.nan
    out.imbalance_bps = math.nan
    out.depth_bid_usdt = math.nan
    out.depth_ask_usdt = math.nan
    out.thinning = math.nan
    if now.mid2 == 0:
        return
    bids, asks = zone[slot, BIDS], zone[slot, ASKS]
    out.imbalance_ticks = balance(bids.ticks_lots, asks.ticks_lots)
    out.imbalance_bps = balance(bids.bps_lots, asks.bps_lots)
    out.depth_bid_usdt = now.unit_usdt * bids.bps_value
    out.depth_ask_usdt = now.unit_usdt * asks.bps_value
    if now.average_value > 0.0:
        out.thinning = np.float64(bids.bps_value + asks.bps_value) / now.average_value


@kernel
def _count_sample(now, sample, sign):  # type: ignore[no-untyped-def]
    now.sample_lots += sign * sample.lots
    now.sample_levels += sign * sample.levels
    now.sample_value += sign * sample.value
    now.samples += sign * sample.known


@kernel
def sum_samples(track, ring, slot, average_s):  # type: ignore[no-untyped-def]
    """Sums of the window anew from the ring (a new window length; the drift test)."""
    now = track[slot]
    now.sample_lots = 0
    now.sample_levels = 0
    now.sample_value = 0
    now.samples = 0
    for back in range(min(average_s, np.int64(N_SAMPLES - 1))):
        _count_sample(now, ring[slot, (now.second - back) & (N_SAMPLES - 1)], np.int64(1))
    average(now)


@kernel
def average(now):  # type: ignore[no-untyped-def]
    """Average level and average depth of the window; nan while there are too few samples."""
    now.average_lots = math.nan
    now.average_value = math.nan
    if now.samples >= MIN_SAMPLES:
        now.average_value = np.float64(now.sample_value) / now.samples
        if now.sample_levels > 0:
            now.average_lots = np.float64(now.sample_lots) / np.float64(now.sample_levels)


@kernel
def clear_samples(track, ring, slot):  # type: ignore[no-untyped-def]
    """Forget the averages."""
    now = track[slot]
    now.second = 0
    now.sample_lots = 0
    now.sample_levels = 0
    now.sample_value = 0
    now.samples = 0
    for k in range(N_SAMPLES):
        sample = ring[slot, k]
        sample.lots = 0
        sample.levels = 0
        sample.value = 0
        sample.known = 0
    average(now)


@kernel
def take_sample(track, ring, slot, average_s, second, known, lots, levels, value):  # type: ignore[no-untyped-def]
    """Put the sample of `second` into the ring; seconds without one count as unknown."""
    now = track[slot]
    length = min(average_s, np.int64(N_SAMPLES - 1))
    first = now.second + 1
    if second - now.second >= N_SAMPLES:
        clear_samples(track, ring, slot)
        first = second
    for s in range(first, second + 1):
        _count_sample(now, ring[slot, (s - length) & (N_SAMPLES - 1)], np.int64(-1))
        sample = ring[slot, s & (N_SAMPLES - 1)]
        sample.known = known if s == second else 0
        sample.lots = lots if s == second else 0
        sample.levels = levels if s == second else 0
        sample.value = value if s == second else 0
        _count_sample(now, sample, np.int64(1))
    now.second = second
    average(now)
