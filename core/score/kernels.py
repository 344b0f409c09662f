"""FinalScalpScore (requirement A11): additive terms over smoothed signals, one code path with a sign for both sides.

    score(side) = sum of weight x max(0, side x signal)  +  sum of weight x quality  -  sum of penalty x share,  in [0, 100]

What each term measures stands in `terms.py`, the formulas and a worked example in README.md. A signal that is not known
is nan and gives no points; its contribution stays nan, so that pages show it as unknown.
"""

from __future__ import annotations

import math

from core.enums import Pump
from core.jit import kernel
from core.score.terms import N_PENALTIES, N_SIDED, N_SIGNALS, N_TERMS, TERM_NAMES

SIGNAL_WALLS = TERM_NAMES.index("walls")
SIGNAL_CVD_SLOPE = TERM_NAMES.index("cvd_slope")
LONG, SHORT = 0, 1  # second index of `terms`

_PUMPING, _BLOWOFF = int(Pump.PUMPING), int(Pump.BLOWOFF)
_NAN = math.nan


@kernel
def clip1(x):  # type: ignore[no-untyped-def]
    """x within [-1, 1]; nan stays nan."""
    if x > 1.0:
        return 1.0
    if x < -1.0:
        return -1.0
    return x


@kernel
def known_mean(a, b):  # type: ignore[no-untyped-def]
    """Mean of those of the two that are known; nan when neither is."""
    if math.isnan(a):
        return b
    if math.isnan(b):
        return a
    return 0.5 * (a + b)


@kernel
def one_sidedness(delta, volume, full):  # type: ignore[no-untyped-def]
    """Signed share of one-sided volume, counted in full from `full`; no trades speak for no side (0), unknown is nan."""
    if volume > 0.0:
        return clip1(delta / (volume * full))
    return 0.0 * (delta + volume)


@kernel
def fee_quality(atr_bps, min_move_bps, horizon_s):  # type: ignore[no-untyped-def]
    """Can `horizon_s` seconds of movement pay for the smallest profitable move? In [0, 1): m / (m + 1/2) with
    m = ATR x sqrt(horizon) / MinMove, the diffusive reach of one-second ranges. nan in, nan out."""
    if min_move_bps <= 0.0:
        return 1.0
    reach = atr_bps * math.sqrt(horizon_s)
    return reach / (reach + 0.5 * min_move_bps)


@kernel
def calm_quality(atr_bps, explosion_bps):  # type: ignore[no-untyped-def]
    """How far from an explosion, (0, 1]: 1 / (1 + (ATR / explosion)^2). nan in, nan out."""
    limit = explosion_bps * explosion_bps
    return limit / (limit + atr_bps * atr_bps)


@kernel
def raw_signals(raw, inputs, params):  # type: ignore[no-untyped-def]
    """INPUTS (shape (1,)) turned into signals raw[0:N_SIGNALS], in the order of `terms.TERMS`; nan = not known.

    Here and in the penalties every event pays for every division: each is made once, and percents are multiplied.
    """
    x = inputs[0]
    par = params[0]
    per_full = 1.0 / par.imbalance_full
    raw[0] = clip1(x.imbalance_top * per_full)
    raw[1] = clip1(known_mean(x.imbalance_levels, x.imbalance_zone) * per_full)
    raw[2] = clip1(x.micro_offset)
    raw[3] = clip1(x.ofi / (par.ofi_full * x.depth)) if x.depth > 0.0 else _NAN
    raw[4] = (x.support - x.resistance) * 0.01
    raw[5] = (x.absorb_bid - x.absorb_ask) * 0.01
    raw[6] = one_sidedness(x.delta_fast, x.volume_fast, par.flow_full)
    slow = one_sidedness(x.delta_slow, x.volume_slow, par.flow_full)
    raw[7] = slow * (x.rate_slow / (x.rate_slow + par.rate_half))
    raw[8] = x.streak / (abs(x.streak) + par.streak_half)
    raw[9] = x.vpin * slow
    raw[10] = calm_quality(x.atr_bps, par.explosion_bps)
    raw[11] = fee_quality(x.atr_bps, x.min_move_bps, par.horizon_s)
    raw[12] = x.liq_safety * 0.01


@kernel
def spread_share(spread_bps, widest_bps):  # type: ignore[no-untyped-def]
    """0 up to half of the widest spread allowed, 1 at it; nan in, nan out."""
    return min(max((spread_bps - 0.5 * widest_bps) / (0.5 * widest_bps), 0.0 * spread_bps), 1.0)


@kernel
def penalty_shares(shares, inputs, pump, spread, side):  # type: ignore[no-untyped-def]
    """How much of each penalty applies to a side (+1.0, -1.0), into shares[0:N_PENALTIES]; nan = not known.
    spread: its `spread_share`, the same for both.

    Spoofing counts in full for the side whose own walls are fake, half without a lean, not at all for the other.
    """
    x = inputs[0]
    shares[0] = 0.0
    if side > 0.0:
        if pump == _PUMPING:
            shares[0] = 1.0
        elif pump == _BLOWOFF:
            shares[0] = 2.0
    lean = 0.0 if math.isnan(x.spoof_lean) else clip1(x.spoof_lean)
    shares[1] = x.spoof * 0.005 * (1.0 + side * lean)
    shares[2] = x.layering * 0.01
    shares[3] = x.news * 0.01
    shares[4] = spread


@kernel
def update_score(trade, slot, signals, terms, raw, shares, inputs, now_ns, params):  # type: ignore[no-untyped-def]
    """Take the signals raw[0:N_SIGNALS] in and set both scores of the slot.

    signals: f8[cap, N_SIGNALS] smoothed; terms: f8[cap, 2, N_TERMS] contributions in score points, nan = not known;
    raw, shares: scratch. The smoothing weight is dt / (dt + tau): two events of one instant weigh nothing twice. A signal
    that becomes known starts at its value.
    """
    row = trade[slot]
    par = params[0]
    dt = float(max(now_ns - row.score_ns, 0))
    weight = 1.0 if row.score_ns == 0 else dt / (dt + par.score_tau_ns)
    row.score_ns = now_ns
    for k in range(N_SIGNALS):
        old = signals[slot, k]
        signals[slot, k] = raw[k] if math.isnan(old) else old + weight * (raw[k] - old)
    flow = signals[slot, SIGNAL_CVD_SLOPE]
    row.flow = 0.0 if math.isnan(flow) else flow
    spread = spread_share(inputs[0].spread_bps, par.max_spread_bps[row.category])
    for k in range(2):
        side = 1.0 - 2.0 * k
        gained, lost = 0.0, 0.0
        for term in range(N_SIGNALS):
            signal = side * signals[slot, term] if term < N_SIDED else signals[slot, term]
            points = par.weights[term] * (0.0 if signal <= 0.0 else signal)
            terms[slot, k, term] = points
            gained += points if points > 0.0 else 0.0
        penalty_shares(shares, inputs, row.pump, spread, side)
        for term in range(N_PENALTIES):
            points = 0.0 - par.penalties[term] * shares[term]
            terms[slot, k, N_SIGNALS + term] = points
            lost += points if points < 0.0 else 0.0
        total = min(max(gained + lost, 0.0), 100.0)
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
    for k in range(N_SIGNALS):
        signals[slot, k] = _NAN
    for k in range(N_TERMS):
        terms[slot, 0, k] = _NAN
        terms[slot, 1, k] = _NAN
