"""Regime of a symbol from pump state, spoofing and news: the first row of `RULES` that holds names it.

Spoofing and news have two thresholds each (entered at one, left at a lower one) and a shortest stay, so that a score that
wavers does not flicker. Not a number never starts or holds anything.
"""

from __future__ import annotations

from enum import IntEnum

from core.enums import Pump, Regime
from core.jit import kernel
from core.regime.pump import update_pump


class Rule(IntEnum):
    """What can be true of a symbol; bit numbers of the conditions."""

    PUMP_RUNS = 0  # PUMPING, BLOWOFF or DUMP
    SPOOFED = 1  # SpoofingScore over spoof_enter, or MANIPULATED and still over spoof_leave or within the shortest stay
    NEWS_HIGH = 2  # the same for NewsImpactScore
    PUMP_RESTS = 3  # pump state COOLDOWN
    REST_OVER = 4  # the regime was COOLDOWN, or COOLDOWN_DONE for less than cooldown_done_s
    ALWAYS = 5


RULES: tuple[tuple[Rule, Regime], ...] = (
    (Rule.PUMP_RUNS, Regime.PUMP),
    (Rule.SPOOFED, Regime.MANIPULATED),
    (Rule.NEWS_HIGH, Regime.NEWS_DRIVEN),
    (Rule.PUMP_RESTS, Regime.COOLDOWN),
    (Rule.REST_OVER, Regime.COOLDOWN_DONE),
    (Rule.ALWAYS, Regime.NORMAL),
)
_BIT = tuple(1 << rule for rule, _ in RULES)
_REGIME = tuple(int(regime) for _, regime in RULES)
_ROWS = len(RULES)

_PUMPING, _BLOWOFF, _DUMP, _RESTING = int(Pump.PUMPING), int(Pump.BLOWOFF), int(Pump.DUMP), int(Pump.COOLDOWN)
_MANIPULATED, _NEWS = int(Regime.MANIPULATED), int(Regime.NEWS_DRIVEN)
_COOLDOWN, _COOLDOWN_DONE, _NORMAL = int(Regime.COOLDOWN), int(Regime.COOLDOWN_DONE), int(Regime.NORMAL)
B_PUMP_RUNS, B_SPOOFED, B_NEWS_HIGH = 1 << Rule.PUMP_RUNS, 1 << Rule.SPOOFED, 1 << Rule.NEWS_HIGH
B_PUMP_RESTS, B_REST_OVER, B_ALWAYS = 1 << Rule.PUMP_RESTS, 1 << Rule.REST_OVER, 1 << Rule.ALWAYS


@kernel
def _held(score, is_in, age_ns, enter, leave, dwell_ns):  # type: ignore[no-untyped-def]
    """Hysteresis of one score: over `enter`, or in already and over `leave` or not long enough in."""
    return score >= enter or is_in and (score >= leave or age_ns < dwell_ns)


@kernel
def next_regime(regime, pump, spoof, news, age_ns, params):  # type: ignore[no-untyped-def]
    """The symbol regime (Regime) after `regime`, held for age_ns. spoof, news: scores 0..100, nan = not known."""
    par = params[0]
    found = B_ALWAYS
    if pump == _PUMPING or pump == _BLOWOFF or pump == _DUMP:
        found |= B_PUMP_RUNS
    if _held(spoof, regime == _MANIPULATED, age_ns, par.spoof_enter, par.spoof_leave, par.regime_dwell_ns):
        found |= B_SPOOFED
    if _held(news, regime == _NEWS, age_ns, par.news_enter, par.news_leave, par.regime_dwell_ns):
        found |= B_NEWS_HIGH
    if pump == _RESTING:
        found |= B_PUMP_RESTS
    if regime == _COOLDOWN or regime == _COOLDOWN_DONE and age_ns < par.cooldown_done_ns:
        found |= B_REST_OVER
    for at in range(_ROWS):
        if found & _BIT[at]:
            return _REGIME[at]
    return _NORMAL


@kernel
def update_regime(trade, slot, feature, move, thinning, spoof, now_ns, params):  # type: ignore[no-untyped-def]
    """Move pump state and regime of the slot; returns (row of the pump table that fired or -1, 1 when the regime changed).

    feature, move: its FEATURES and MOVES rows; thinning (share of the usual depth), spoof (0..100): nan = not known.
    """
    row = trade[slot]
    fired = update_pump(row, feature.mid, feature.change_1m_pct, feature.volume_surge, move, thinning, now_ns, params)
    regime = next_regime(row.regime, row.pump, spoof, move.news_impact, now_ns - row.regime_ns, params)
    if regime == row.regime:
        return fired, 0
    row.regime = regime
    row.regime_ns = now_ns
    return fired, 1
