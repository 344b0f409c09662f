"""Pump detector and symbol regime: threshold machines with hysteresis and a shortest stay, first form.

    NONE <-> PREPUMP --> PUMPING --> BLOWOFF         entered by change over the window and volume surge
              any of PUMPING, BLOWOFF --> DUMP       the mid fell pump_dump_pct from the top of the pump
              NONE, PREPUMP --> DUMP                 a fall of pump_change_pct with a surge
              PUMPING, BLOWOFF, DUMP --> COOLDOWN    it calmed down; after pump_cooldown_ns --> NONE

A threshold once passed is left at half its value. Not a number never passes a threshold.
"""

from __future__ import annotations

from core.enums import Pump, Regime
from core.jit import kernel

_NONE, _PREPUMP, _PUMPING = int(Pump.NONE), int(Pump.PREPUMP), int(Pump.PUMPING)
_BLOWOFF, _DUMP, _COOLDOWN = int(Pump.BLOWOFF), int(Pump.DUMP), int(Pump.COOLDOWN)
_R_NORMAL, _R_PUMP, _R_NEWS = int(Regime.NORMAL), int(Regime.PUMP), int(Regime.NEWS_DRIVEN)
_R_COOLDOWN, _R_COOLDOWN_DONE = int(Regime.COOLDOWN), int(Regime.COOLDOWN_DONE)

LEAVE = 0.5  # hysteresis: a threshold is left at this share of it
PRE = 0.5  # PREPUMP at this share of the PUMPING thresholds


@kernel
def next_pump(pump, age_ns, change_pct, surge, atr_bps, fall_pct, params):  # type: ignore[no-untyped-def]
    """The pump state after `pump`, held for age_ns (Pump).

    change_pct: change over the pump window; surge: volume over its own average; atr_bps: 1 s micro-ATR;
    fall_pct: fall of the mid from the top of the pump (>= 0). Any of them may be nan (unknown).
    """
    par = params[0]
    change, needed = par.pump_change_pct, par.pump_surge
    if age_ns < par.pump_dwell_ns and pump != _NONE and pump != _PREPUMP:
        return pump
    rising = change_pct >= change and surge >= needed
    falling = change_pct <= -change and surge >= needed
    exploding = atr_bps >= par.explosion_bps
    calm = not (abs(change_pct) >= LEAVE * change) and not (atr_bps >= LEAVE * par.explosion_bps)
    if pump == _NONE or pump == _PREPUMP:
        if falling:
            return _DUMP
        if rising or exploding:
            return _PUMPING
        if change_pct >= PRE * change and surge >= PRE * needed:
            return _PREPUMP
        if pump == _PREPUMP and change_pct >= PRE * LEAVE * change:
            return _PREPUMP
        return _NONE
    if pump == _PUMPING or pump == _BLOWOFF:
        if fall_pct >= par.pump_dump_pct:
            return _DUMP
        if change_pct >= par.pump_blowoff_pct:
            return _BLOWOFF
        return _COOLDOWN if calm else pump
    if pump == _DUMP:
        return _COOLDOWN if calm else pump
    if falling:
        return _DUMP
    if rising or exploding:
        return _PUMPING
    return _NONE if age_ns >= par.pump_cooldown_ns else _COOLDOWN


@kernel
def next_regime(regime, pump, news, age_ns, params):  # type: ignore[no-untyped-def]
    """The symbol regime (Regime) from the pump state; news != 0: a new listing still makes the price.

    MANIPULATED needs the spoofing score and other news their feed: both join when those features exist.
    """
    if pump == _PUMPING or pump == _BLOWOFF or pump == _DUMP:
        return _R_PUMP
    if news != 0:
        return _R_NEWS
    if pump == _COOLDOWN:
        return _R_COOLDOWN
    if regime == _R_COOLDOWN:
        return _R_COOLDOWN_DONE
    if regime == _R_COOLDOWN_DONE and age_ns < params[0].pump_cooldown_ns:
        return _R_COOLDOWN_DONE
    return _R_NORMAL


@kernel
def update_regime(trade, slot, mid, change_pct, surge, atr_bps, news, now_ns, params):  # type: ignore[no-untyped-def]
    """Move pump state and regime of the slot; returns 1 when the pump state changed, 2 the regime, 3 both, 0 none.

    mid in ticks (nan allowed: the top of the pump is then left alone).
    """
    row = trade[slot]
    changed = 0
    top = row.pump_top
    fall_pct = 0.0
    if mid > 0.0:
        if not (top >= mid):
            top = mid
            row.pump_top = mid
        fall_pct = (top - mid) / top * 100.0
    pump = next_pump(row.pump, now_ns - row.pump_ns, change_pct, surge, atr_bps, fall_pct, params)
    if pump == _NONE or pump == _PREPUMP:
        row.pump_top = 0.0
    if pump != row.pump:
        row.pump = pump
        row.pump_ns = now_ns
        changed = 1
    regime = next_regime(row.regime, pump, news, now_ns - row.regime_ns, params)
    if regime != row.regime:
        row.regime = regime
        row.regime_ns = now_ns
        changed |= 2
    return changed
