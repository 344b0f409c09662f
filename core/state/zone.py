"""Entry zones (requirements C1-C3): where an entry of the signal is worth it, and when the signal is dead.

    zone = {min, ideal, max}: made when the symbol is armed first, around the price an entry would rest at
    in the zone  ->  an order may go out          outside for `nudge_after_s`  ->  the zone follows, `nudges` times
    farther than `max_distance_pct`, or one nudge too many  ->  the signal is dead

All times are event times, checked on every event. Symmetric: one path with a sign.
"""

from __future__ import annotations

import math

from core.jit import kernel


@kernel
def zone_width_bps(spread_bps, atr_bps, params):  # type: ignore[no-untyped-def]
    """Width of a zone: the widest of the setting, the spread, and a number of average 1 s ranges, cut at the maximum."""
    par = params[0]
    width = par.zone_width_bps
    if spread_bps > width:
        width = spread_bps
    if par.zone_width_atr * atr_bps > width:
        width = par.zone_width_atr * atr_bps
    return min(width, par.zone_width_max_bps)


@kernel
def make_zone(trade, slot, bid_ticks, ask_ticks, wall_bps, spread_bps, atr_bps, params):  # type: ignore[no-untyped-def]
    """Zone of the side of interest around its own best price, into the slot; the zone is at least one tick each way.

    wall_bps: distance from the mid of a wall on our own side (nan = none). A wall inside the half width is worth more
    than the best price: the ideal is one tick in front of it.
    """
    row = trade[slot]
    side = row.side
    ideal = bid_ticks if side > 0 else ask_ticks
    half = max(int(math.floor(ideal * zone_width_bps(spread_bps, atr_bps, params) * 0.5e-4)), 1)
    row.zone_min_ticks = ideal - half
    row.zone_max_ticks = ideal + half
    if wall_bps >= 0.0:
        mid = 0.5 * (bid_ticks + ask_ticks)
        wall = int(math.floor(mid * (1.0 - side * wall_bps * 1e-4) + 0.5)) + side
        if side * (ideal - wall) > 0 and side * (ideal - wall) <= half:
            ideal = wall
    row.zone_ideal_ticks = ideal
    row.zone_out_ns = 0
    row.zone_distance_bps = 0.0


@kernel
def clear_zone(trade, slot):  # type: ignore[no-untyped-def]
    """No zone: a signal begins or ends."""
    row = trade[slot]
    row.zone_min_ticks = 0
    row.zone_ideal_ticks = 0
    row.zone_max_ticks = 0
    row.zone_out_ns = 0
    row.zone_distance_bps = 0.0
    row.nudges = 0


@kernel
def follow_zone(trade, slot, price_ticks, now_ns, params):  # type: ignore[no-untyped-def]
    """Measure the distance of the price from the slot's zone. True when the zone has to follow it (see `make_zone`)."""
    row = trade[slot]
    outside = max(row.zone_min_ticks - price_ticks, price_ticks - row.zone_max_ticks)
    if outside <= 0:
        row.zone_out_ns = 0
        row.zone_distance_bps = 0.0
        return False
    row.zone_distance_bps = outside / row.zone_ideal_ticks * 1e4
    if row.zone_out_ns == 0:
        row.zone_out_ns = now_ns
    return now_ns - row.zone_out_ns >= params[0].zone_nudge_ns


@kernel
def zone_lost(trade, slot, params):  # type: ignore[no-untyped-def]
    """True when the signal is dead because of its zone."""
    row = trade[slot]
    return row.zone_distance_bps > params[0].zone_distance_bps or row.nudges > params[0].zone_nudges
