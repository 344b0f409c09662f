"""INPUTS of the score and the gates, gathered from the feature tables of one slot. The only place that knows which table
a number comes from."""

from __future__ import annotations

import math

from core.jit import kernel

_NAN = math.nan


@kernel
def gather_inputs(state, slot):  # type: ignore[no-untyped-def]
    """Fill `state.inputs` for the slot; what is not known is nan."""
    x = state.inputs[0]
    f = state.features.row[slot]
    w = state.walls.row[slot]
    m = state.moves.row[slot]
    half_spread = 0.5 * f.spread_bps * f.mid * 1e-4
    x.imbalance_top = f.imbalance_top
    x.imbalance_levels = f.imbalance_n
    x.imbalance_zone = w.imbalance_bps
    x.micro_offset = (f.microprice - f.mid) / half_spread if half_spread > 0.0 else _NAN
    x.ofi = f.ofi_10s
    x.depth = 0.5 * (w.depth_bid_usdt + w.depth_ask_usdt)
    x.support = w.wall_support
    x.resistance = w.wall_resistance
    x.absorb_bid = max(w.absorb_bid, w.iceberg_bid)
    x.absorb_ask = max(w.absorb_ask, w.iceberg_ask)
    x.delta_fast = f.delta_1s
    x.volume_fast = f.buy_1s + f.sell_1s
    x.delta_slow = f.delta_10s
    x.volume_slow = f.buy_10s + f.sell_10s
    x.rate_slow = f.trades_per_s_10s
    x.streak = f.streak
    x.vpin = m.vpin
    x.atr_bps = f.atr_1s_bps
    x.min_move_bps = m.min_move_bps
    x.spread_bps = f.spread_bps
    x.liq_safety = m.liq_safety
    x.spoof = w.spoof
    x.spoof_lean = w.spoof_lean
    x.layering = w.layering
    x.news = m.news_impact
    x.explosion = m.explosion
    x.wall_bid_bps = w.wall_bid_bps
    x.wall_ask_bps = w.wall_ask_bps
