"""The WALLS features of a symbol from its watched levels, and the fading of their evidence. Formulas: WALLS.md."""

from __future__ import annotations

import math

import numpy as np

from core.book.kernels import ASKS, BIDS
from core.features.depth import refresh_depth
from core.features.walls_levels import distance_bps
from core.jit import kernel

DECAY_NS = 100_000_000  # scores decay in steps of a TIMER
MAX_DECAY_STEPS = 10_000
NO_EVIDENCE = 1e-12  # faded to nothing
FAINT_EVIDENCE = 0.01  # less than this on both sides together leans nowhere


@kernel
def _score(evidence):  # type: ignore[no-untyped-def]
    """Evidence (0 and more) as a score of 0..100: 1 is 50, 3 is 75."""
    return 100.0 * evidence / (1.0 + evidence) if evidence != 0.0 else 0.0


@kernel
def _side_strength(state, slot, side, ts_ns, par):  # type: ignore[no-untyped-def]
    """(score 0..100, then of the strongest wall: distance bps, size in average levels, age s; nan, 0, 0 without one) of a
    side: see WALLS.md."""
    now = state.track[slot]
    standing = now.standing[side]
    if standing == 0:
        return 0.0, math.nan, 0.0, 0.0
    size = 1.0 / (now.average_lots * par.wall_full_x)
    near = par.wall_near_bps * now.mid2
    half_ns = 1e9 * par.wall_age_s
    trust = 1.0 / (1.0 + now.spoof[side])
    doubt, most = 1.0, -1.0
    strongest = k = np.int64(0)
    while standing >> k != 0:
        if standing >> k & 1 != 0:
            w = state.watch[slot, side, k]
            away = 1e4 * abs(2 * state.price[slot, side, k] - now.mid2)
            age_ns = np.float64(max(ts_ns - w.since_ns, 0))
            strength = min(size * w.lots, 1.0) * (near * age_ns / ((near + away) * (age_ns + half_ns)))  # one division
            doubt *= 1.0 - trust * strength
            strongest = k if strength > most else strongest
            most = max(strength, most)
        k += 1
    w = state.watch[slot, side, strongest]
    bps = distance_bps(now, state.price[slot, side, strongest])
    return 100.0 * (1.0 - doubt), bps, w.lots / now.average_lots, max(ts_ns - w.since_ns, 0) / 1e9


@kernel
def forget_walls(out):  # type: ignore[no-untyped-def]
    out.wall_bid_bps = math.nan
    out.wall_bid_x = math.nan
    out.wall_bid_age_s = math.nan
    out.wall_ask_bps = math.nan
    out.wall_ask_x = math.nan
    out.wall_ask_age_s = math.nan
    out.wall_support = math.nan
    out.wall_resistance = math.nan
    out.spoof = math.nan
    out.spoof_lean = math.nan
    out.absorb_bid = math.nan
    out.absorb_ask = math.nan
    out.iceberg_bid = math.nan
    out.iceberg_ask = math.nan
    out.layering = math.nan


@kernel
def refresh_walls(state, slot, ts_ns, par):  # type: ignore[no-untyped-def]
    """Every feature of the slot. Walls and scores are unknown without a believed mid and a known average."""
    refresh_depth(state.row, state.zone, state.track, slot)
    now, out = state.track[slot], state.row[slot]
    if now.mid2 == 0 or not now.average_lots > 0.0:
        forget_walls(out)
        return
    out.wall_support, out.wall_bid_bps, out.wall_bid_x, out.wall_bid_age_s = _side_strength(state, slot, BIDS, ts_ns, par)
    out.wall_resistance, out.wall_ask_bps, out.wall_ask_x, out.wall_ask_age_s = _side_strength(
        state, slot, ASKS, ts_ns, par
    )
    spoof = now.spoof[0] + now.spoof[1]
    out.spoof = _score(spoof)
    out.spoof_lean = (now.spoof[0] - now.spoof[1]) / spoof if spoof >= FAINT_EVIDENCE else 0.0
    out.absorb_bid = _score(now.absorb[0])
    out.absorb_ask = _score(now.absorb[1])
    out.iceberg_bid = _score(now.iceberg[0])
    out.iceberg_ask = _score(now.iceberg[1])
    out.layering = _score(now.layer[0] + now.layer[1])


@kernel
def _faded(evidence):  # type: ignore[no-untyped-def]
    return evidence if evidence > NO_EVIDENCE else 0.0


@kernel
def _is_at_rest(now):  # type: ignore[no-untyped-def]
    """No wall and no evidence: time alone changes nothing."""
    total = 0.0
    for side in range(2):
        total += now.walls[side] + now.spoof[side] + now.absorb[side] + now.iceberg[side] + now.layer[side]
    return total == 0.0


@kernel
def decay_scores(now, ts_ns, par):  # type: ignore[no-untyped-def]
    """Let the evidence fade up to `ts_ns`, in whole steps of 100 ms. Returns False when time alone changes nothing."""
    rests = _is_at_rest(now)
    if now.decayed_ns == 0:
        now.decayed_ns = ts_ns
    steps = min((ts_ns - now.decayed_ns) // DECAY_NS, np.int64(MAX_DECAY_STEPS))
    if steps <= 0:
        return not rests
    now.decayed_ns += ((ts_ns - now.decayed_ns) // DECAY_NS) * DECAY_NS
    if rests:
        return False
    keep = 1.0
    for _ in range(steps):
        keep *= par.spoof_keep
    for side in range(2):
        now.spoof[side] = _faded(now.spoof[side] * keep)
        now.absorb[side] = _faded(now.absorb[side] * keep)
        now.iceberg[side] = _faded(now.iceberg[side] * keep)
        now.layer[side] = _faded(now.layer[side] * keep)
    return True
