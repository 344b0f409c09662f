"""FinalScalpScore, first form: additive terms over smoothed signals, the same code for both sides with a sign.

    score(side) = sum over signals of weight x max(0, side x signal)  +  weight x volatility  -  penalties,  in [0, 100]

Signals are in [-1, 1], volatility in [0, 1], each saturating smoothly; every one is smoothed with the time constant
score_tau_ns, so that one flickering quote cannot arm a symbol. Contributions stay in `terms` for the pages and records.
The weights of `thresholds.toml` add up to 100.
"""

from __future__ import annotations

import math

from core.enums import Pump
from core.jit import kernel

TERM_NAMES = ("imbalance", "flow", "microprice", "streak", "volatility", "pump_penalty", "spread_penalty")
N_TERMS = len(TERM_NAMES)
N_SIGNALS = 5  # the first five terms have a smoothed signal
SIGNAL_FLOW = 1
SIGNAL_VOLATILITY = 4
LONG, SHORT = 0, 1  # second index of `terms`

_PUMPING, _BLOWOFF = int(Pump.PUMPING), int(Pump.BLOWOFF)

IMBALANCE_FULL = 0.5  # a blended imbalance of this and more counts in full
FLOW_FULL = 0.5  # as does this share of one-sided aggressive volume
STREAK_HALF = 2.0  # trades of one side in a row that give half the signal
RATE_HALF = 0.1  # trades per second at which the flow counts half
HORIZON_S = 60.0  # the volatility term asks whether this many seconds can carry the smallest profitable move


@kernel
def clip1(x):  # type: ignore[no-untyped-def]
    """x within [-1, 1]; nan gives 0 (unknown speaks for no side)."""
    if math.isnan(x):
        return 0.0
    return min(max(x, -1.0), 1.0)


@kernel
def volatility_signal(atr_bps, min_move_bps, explosion_bps):  # type: ignore[no-untyped-def]
    """How well the market moves for a scalp, [0, 1]: too quiet and exploding are both bad; nan gives 0.

    m = atr x sqrt(HORIZON) / MinMove rises the signal as m / (m + 1/2); it fades as 1 / (1 + (atr / explosion)^2).
    """
    if not (atr_bps > 0.0) or not (min_move_bps > 0.0):
        return 0.0
    reach = atr_bps * math.sqrt(HORIZON_S) / min_move_bps
    heat = atr_bps / explosion_bps
    return reach / (reach + 0.5) / (1.0 + heat * heat)


@kernel
def raw_signals(raw, imbalance_top, imbalance_zone, delta, volume, rate, micro_offset, streak, volatility):  # type: ignore[no-untyped-def]
    """Features turned into signals, into raw[0:N_SIGNALS].

    imbalance_*: -1..1; delta, volume: signed and total aggressive value of one window; rate: trades per second;
    micro_offset: (microprice - mid) / half spread; streak: signed run of trades; volatility: [0, 1].
    """
    raw[0] = clip1((0.4 * imbalance_top + 0.6 * imbalance_zone) / IMBALANCE_FULL)
    flow = 0.0
    if volume > 0.0 and rate > 0.0:
        flow = clip1(delta / volume / FLOW_FULL) * (rate / (rate + RATE_HALF))
    raw[1] = flow
    raw[2] = clip1(micro_offset)
    raw[3] = clip1(streak / (abs(streak) + STREAK_HALF))
    raw[4] = volatility


@kernel
def update_score(trade, slot, signals, terms, raw, spread_bps, now_ns, params):  # type: ignore[no-untyped-def]
    """Take the signals raw[0:N_SIGNALS] in and set both scores of the slot.

    signals: f8[cap, N_SIGNALS] smoothed; terms: f8[cap, 2, N_TERMS] contributions in score points. Two events of one
    instant weigh nothing twice: the smoothing weight is dt / (dt + tau).
    """
    row = trade[slot]
    par = params[0]
    dt = float(max(now_ns - row.score_ns, 0))
    weight = 1.0 if row.score_ns == 0 else dt / (dt + par.score_tau_ns)
    row.score_ns = now_ns
    for k in range(N_SIGNALS):
        signals[slot, k] += weight * (raw[k] - signals[slot, k])
    row.flow = signals[slot, SIGNAL_FLOW]
    widest = par.max_spread_bps[row.category]
    spread_share = 0.0
    if spread_bps > 0.5 * widest:
        spread_share = min((spread_bps - 0.5 * widest) / (0.5 * widest), 1.0)
    pump_share = 0.0
    if row.pump == _PUMPING:
        pump_share = 1.0
    elif row.pump == _BLOWOFF:
        pump_share = 2.0
    for k in range(2):
        side = 1.0 - 2.0 * k
        terms[slot, k, 0] = par.w_imbalance * max(0.0, side * signals[slot, 0])
        terms[slot, k, 1] = par.w_flow * max(0.0, side * signals[slot, 1])
        terms[slot, k, 2] = par.w_microprice * max(0.0, side * signals[slot, 2])
        terms[slot, k, 3] = par.w_streak * max(0.0, side * signals[slot, 3])
        terms[slot, k, 4] = par.w_volatility * signals[slot, 4]
        terms[slot, k, 5] = -par.penalty_pump * pump_share if k == LONG else 0.0
        terms[slot, k, 6] = -par.penalty_spread * spread_share
        total = 0.0
        for term in range(N_TERMS):
            total += terms[slot, k, term]
        total = min(max(total, 0.0), 100.0)
        if k == LONG:
            row.score_long = total
        else:
            row.score_short = total


@kernel
def reset_score(trade, slot, signals, terms):  # type: ignore[no-untyped-def]
    """Forget signals and scores: the book is not believed or the symbol is not warm."""
    row = trade[slot]
    row.score_ns = 0
    row.score_long = 0.0
    row.score_short = 0.0
    row.flow = 0.0
    signals[slot, :] = 0.0
    terms[slot, :, :] = 0.0
