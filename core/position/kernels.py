"""The rules that move a stop and targets, and the plan they start from. Pure numbers in ticks; core/position/README.md has
the formulas, units and a worked example.

`side` is the sign of the position; `touch` the price it could be closed at now (best bid of a long, best ask of a
short); `peak` the best touch since it was opened; `risk` is R, the stop distance the risk gate saw. All distances in
ticks, as floats where they are not prices. A stop is rounded away from the market, a target away from the entry.
"""

from __future__ import annotations

import math

import numpy as np

from core.enums import Cause
from core.features.costs import min_move_bps, stop_distance_bps
from core.jit import kernel

RUNGS = 3
_NO_RULE = np.int64(Cause.NONE)
_BREAK_EVEN, _TRAIL = np.int64(Cause.BREAK_EVEN), np.int64(Cause.TRAIL)
_TIGHTEN, _WIDEN = np.int64(Cause.TIGHTEN), np.int64(Cause.WIDEN)


@kernel
def toward(side, price):  # type: ignore[no-untyped-def]
    """`price` rounded to a tick in the direction of profit of `side`."""
    return side * int(math.ceil(side * price))


@kernel
def back(side, price):  # type: ignore[no-untyped-def]
    """`price` rounded to a tick against the direction of profit of `side`."""
    return side * int(math.floor(side * price))


@kernel
def plan_ladder(side, price, atr_bps, fees_bps, spread_bps, plan, params):  # type: ignore[no-untyped-def]
    """Stop into plan[1], targets into plan[2:5] (ticks) of an entry at `price`. 1, or 0: a price would not be positive."""
    par = params[0]
    stop_bps = stop_distance_bps(atr_bps, params)
    least_bps = min_move_bps(fees_bps, spread_bps, params)
    plan[1] = price - side * max(int(math.ceil(price * stop_bps * 1e-4)), 1)
    sane = plan[1] > 0
    for k in range(RUNGS):
        distance_bps = max(par.tp_r[k] * stop_bps, least_bps)
        plan[2 + k] = price + side * max(int(math.ceil(price * distance_bps * 1e-4)), 1)
        sane = sane and plan[2 + k] > 0
    return 1 if sane else 0


@kernel
def step_ticks(touch, params):  # type: ignore[no-untyped-def]
    """Smallest move of a stop or target worth a message."""
    return max(int(math.ceil(touch * params[0].step_bps * 1e-4)), 1)


@kernel
def trail_distance(touch, risk, atr_bps, params):  # type: ignore[no-untyped-def]
    """Distance of the trailing stop from the peak: the larger of its ATR and its R part; 0 = neither is known."""
    par = params[0]
    distance = par.trail_r * risk
    by_atr = par.trail_atr * atr_bps * 1e-4 * touch
    if by_atr > distance:  # nan is not
        distance = by_atr
    return distance


@kernel
def propose_stop(
    side, entry, touch, peak, stop, risk, room, trails, tight, wide, atr_bps, fees_bps, spread_bps, params
):  # type: ignore[no-untyped-def]
    """The stop the rules want and the rule (Cause) that wants it; (stop, NONE) when none has a step to make.

    stop: in force, 0 = none. room: farthest distance from the entry at which the position risks no more than was gated,
    0 = the stop must not move away. trails: the first target was reached. tight: BLOWOFF or PANIC. wide: MANIPULATED or
    high-risk news. Of the rules that move in our favour the nearest stop wins; WIDEN alone moves away, and never a
    stop that locks profit in.
    """
    par = params[0]
    buffer_bps = fees_bps * par.fee_buffer
    gap = max(max(buffer_bps, spread_bps) * 1e-4 * touch, 1.0)
    nearest = back(side, touch - side * gap)
    found, rule = stop, _NO_RULE
    paid = entry * (fees_bps + buffer_bps) * 1e-4
    if par.break_even != 0 and side * (touch - entry) >= paid:
        at = toward(side, entry + side * paid)
        if side * (at - nearest) > 0:
            at = nearest
        if found == 0 or side * (at - found) > 0:
            found, rule = at, _BREAK_EVEN
    distance = trail_distance(touch, risk, atr_bps, params)
    hurry = tight and side * (touch - entry) > 0
    if distance > 0.0 and (trails or hurry):
        at = back(side, peak - side * distance * (par.tighten if hurry else 1.0))
        if side * (at - nearest) > 0:
            at = nearest
        if not wide or side * (at - entry) >= 0:
            if found == 0 or side * (at - found) > 0:
                found, rule = at, _TIGHTEN if hurry else _TRAIL
    step = step_ticks(touch, params)
    if rule != _NO_RULE and (stop == 0 or side * (found - stop) >= step):
        return found, rule
    if wide and stop != 0 and side * (stop - entry) < 0:
        at = toward(side, entry - side * min(min(par.widen * risk, par.stop_max_bps * 1e-4 * entry), room))
        if side * (stop - at) >= step:
            return at, _WIDEN
    return stop, _NO_RULE


@kernel
def pulled_target(side, entry, target, multiple, risk, fees_bps, spread_bps, touch, params):  # type: ignore[no-untyped-def]
    """Target of a blow-off: at `tighten` of its planned distance (`multiple` x R), never under MinMoveForProfit; never
    farther than it stands. `target` itself where the move would be smaller than a step."""
    least = min_move_bps(fees_bps, spread_bps, params) * 1e-4 * entry
    at = toward(side, entry + side * max(params[0].tighten * multiple * risk, least))
    if side * (target - at) >= step_ticks(touch, params):
        return at
    return target


@kernel
def addition_due(side, first_price, touch, risk, additions, params):  # type: ignore[no-untyped-def]
    """Is the price `add_step_r` x R farther against the position than at the last addition (or the entry)?"""
    par = params[0]
    if additions >= par.add_max or risk <= 0:
        return False
    return side * (first_price - touch) >= par.add_step_r * risk * (additions + 1)
