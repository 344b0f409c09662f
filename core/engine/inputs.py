"""INPUTS of the score and the gates, gathered from the feature tables of one slot. The only place that knows which table
a number comes from."""

from __future__ import annotations

import math

from core.jit import kernel

_NAN = math.nan


@kernel
def gather_inputs(state, slot, min_move_bps):  # type: ignore[no-untyped-def]
    """Fill `state.inputs` for the slot; what is not known is nan."""
    x = state.inputs[0]
    f = state.features.row[slot]
    half_spread = 0.5 * f.spread_bps * f.mid * 1e-4
    x.imbalance_top = f.imbalance_top
    x.imbalance_levels = f.imbalance_n
    x.imbalance_zone = _NAN
    x.micro_offset = (f.microprice - f.mid) / half_spread if half_spread > 0.0 else _NAN
    x.ofi = f.ofi_10s
    x.depth = _NAN
    x.support = _NAN
    x.resistance = _NAN
    x.absorb_bid = _NAN
    x.absorb_ask = _NAN
    x.delta_fast = f.delta_1s
    x.volume_fast = f.buy_1s + f.sell_1s
    x.delta_slow = f.delta_10s
    x.volume_slow = f.buy_10s + f.sell_10s
    x.rate_slow = f.trades_per_s_10s
    x.streak = f.streak
    x.vpin = _NAN
    x.atr_bps = f.atr_1s_bps
    x.min_move_bps = min_move_bps
    x.spread_bps = f.spread_bps
    x.liq_safety = _NAN
    x.spoof = _NAN
    x.spoof_lean = _NAN
    x.layering = _NAN
    x.news = _NAN
    x.explosion = _NAN
    x.wall_bid_bps = _NAN
    x.wall_ask_bps = _NAN
