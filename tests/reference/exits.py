"""The exit rules in plain words: a ladder, the stop that the rules want, targets in a blow-off, dust, additions.

Longs only: a short is a long in a mirrored market (prices below zero), turned back at the end.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from core.enums import Cause


def ladder(side: int, price: int, atr_bps: float, fees_bps: float, spread_bps: float, p: dict[str, Any]) -> tuple[int, ...]:
    """(stop, target, target, target) of an entry."""
    stop_bps = min(max(p["stop_atr"] * atr_bps, p["stop_min_bps"]), p["stop_max_bps"])
    least_bps = fees_bps * (1 + p["fee_buffer"]) + spread_bps

    def away(bps: float) -> int:
        return max(math.ceil(price * bps * 1e-4), 1)

    return (price - side * away(stop_bps), *(price + side * away(max(r * stop_bps, least_bps)) for r in p["tp_r"]))


def wanted_stop(
    side: int, entry: float, touch: int, peak: int, stop: int, risk: float, room: float, trails: bool, tight: bool,
    wide: bool, atr_bps: float, fees_bps: float, spread_bps: float, p: dict[str, Any],
) -> tuple[int, Cause]:
    """(stop, rule); the rule NONE: leave it."""
    size = touch
    entry, touch, peak, stop_at = side * entry, side * touch, side * peak, side * stop
    has_stop = stop != 0
    step = max(math.ceil(size * p["step_bps"] * 1e-4), 1)
    nearest = math.floor(touch - max(max(fees_bps * p["fee_buffer"], spread_bps) * 1e-4 * size, 1.0))
    wishes: list[tuple[int, Cause]] = []
    paid = abs(entry) * (fees_bps + fees_bps * p["fee_buffer"]) * 1e-4
    if p["break_even"] and touch - entry >= paid:
        wishes.append((min(math.ceil(entry + paid), nearest), Cause.BREAK_EVEN))
    parts = [p["trail_r"] * risk] + ([] if math.isnan(atr_bps) else [p["trail_atr"] * atr_bps * 1e-4 * size])
    distance = max(parts)
    hurry = tight and touch > entry
    if distance > 0 and (hurry or trails):
        at = min(math.floor(peak - distance * (p["tighten"] if hurry else 1.0)), nearest)
        if at >= entry or not wide:
            wishes.append((at, Cause.TIGHTEN if hurry else Cause.TRAIL))
    best = max(wishes, key=lambda wish: wish[0], default=None)  # of equals the first
    if best is not None and (not has_stop or best[0] - stop_at >= step):
        return side * best[0], best[1]
    if wide and has_stop and stop_at < entry:
        at = math.ceil(entry - min(p["widen"] * risk, p["stop_max_bps"] * 1e-4 * abs(entry), room))
        if stop_at - at >= step:
            return side * at, Cause.WIDEN
    return stop, Cause.NONE


def blow_off_target(
    side: int, entry: float, target: int, multiple: float, risk: float, fees_bps: float, spread_bps: float, touch: int,
    p: dict[str, Any],
) -> int:
    least = (fees_bps * (1 + p["fee_buffer"]) + spread_bps) * 1e-4 * entry
    at = math.ceil(side * entry + max(p["tighten"] * multiple * risk, least))
    return side * at if side * target - at >= max(math.ceil(touch * p["step_bps"] * 1e-4), 1) else target


def shares(lots: int, ticks: tuple[int, ...], parts_e4: tuple[int, ...], least: int) -> list[int]:
    """Lots of each target, in fractions and from the definition: cumulative share, rounded down, minus what is gone."""
    sizes, gone, total = [0, 0, 0], 0, Fraction(0)
    live = [k for k in range(3) if parts_e4[k] > 0 and ticks[k] > 0]
    for k in live:
        total = min(total + Fraction(parts_e4[k], 10_000), Fraction(1))
        same_as_next = any(j > k and ticks[j] == ticks[k] for j in live[live.index(k) + 1 : live.index(k) + 2])
        mine = math.floor(lots * total) - gone
        if mine >= least and not same_as_next:
            sizes[k], gone = mine, gone + mine
    rest = lots - gone
    if live and rest and (gone == 0 or rest < least):
        last = max((k for k in range(3) if sizes[k]), default=live[0])
        sizes[last] += rest
    return sizes
