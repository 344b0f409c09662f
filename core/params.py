"""Settings as the kernels see them: one PARAMS record, times in ns, fees as 1e-8 fractions, categories as (3,) columns.

A CONFIG event carries this record; the engine copies it at that event, so a change of settings is part of the stream
and replays. Where a number has no setting of its own yet, its default and reason stand in `params_row`.
"""

from __future__ import annotations

import math

import numpy as np

from config.schema import Settings
from core.constants import E8_PER_BPS, E8_PER_PCT, MAX_ATTEMPTS, NS_PER_MS, NS_PER_S, TIMER_NS, ZONE_WIDTH_BPS
from core.records import CELL_BYTES, _record

PARAMS = _record(
    "PARAMS", 832, "every tunable of the kernels; payload of CONFIG events",
    ("config_version", "i8", "1", "version of the configuration, from 1"),
    ("latency_ns", "i8", "ns", "decision to exchange; also the time a report needs back"),
    ("maker_deadline_ns", "i8", "ns", "an unfilled maker entry turns taker after this"),
    ("price_buffer_e8", "i8", "1e-8", "latency price buffer of a taker entry"),
    ("slippage_cap_e8", "i8", "1e-8", "a market order never fills farther than this from the touch"),
    ("maker_fee_e8", "i8", "1e-8", "maker fee where the instrument names none"),
    ("taker_fee_e8", "i8", "1e-8", "taker fee where the instrument names none"),
    ("crossed_ns", "i8", "ns", "a book crossed this long is BROKEN"),
    ("warmup_ns", "i8", "ns", "features must be this old before a symbol may signal"),
    ("cooldown_ns", "i8", "ns", "rest after a trade, a refusal or a dead signal"),
    ("signal_ttl_ns", "i8", "ns", "life of a signal from its first detection"),
    ("max_hold_ns", "i8", "ns", "time stop of a position"),
    ("exit_retry_ns", "i8", "ns", "an exit that led nowhere is asked again after this"),
    ("max_attempts", "i8", "1", "entries tried per signal"),
    ("flow_fast_ns", "i8", "ns", "fast flow window"),
    ("flow_slow_ns", "i8", "ns", "slow flow window"),
    ("imbalance_levels", "i8", "levels", "depth of the zonal imbalance"),
    ("score_tau_ns", "i8", "ns", "time constant of the smoothed score terms"),
    ("pump_window_ns", "i8", "ns", "window of the pump detector"),
    ("pump_cooldown_ns", "i8", "ns", "rest after a pump"),
    ("pump_dwell_ns", "i8", "ns", "shortest stay in a pump state"),
    ("news_listing_ns", "i8", "ns", "a new listing is news-driven this long"),
    ("start_balance_e8", "i8", "1e-8 USDT", "paper balance"),
    ("margin_per_trade_e8", "i8", "1e-8 USDT", "margin of one entry"),
    ("leverage_e2", "i8", "1e-2", "leverage"),
    ("max_positions", "i8", "1", "positions open at once"),
    ("min_balance_e8", "i8", "1e-8 USDT", "no entry below this balance"),
    ("break_even", "i8", "bool", "move the stop to break-even once the trade has paid for itself"),
    ("watch", "(3,)f8", "score", "WATCHING over this, per category"),
    ("arm", "(3,)f8", "score", "ARMED over this, per category"),
    ("max_spread_bps", "(3,)f8", "bps", "no entry at a wider spread, per category"),
    ("hysteresis", "f8", "score", "a threshold once passed is left only this far below it"),
    ("w_imbalance", "f8", "score", "weight of the book imbalance"),
    ("w_flow", "f8", "score", "weight of the aggressive flow"),
    ("w_microprice", "f8", "score", "weight of the microprice"),
    ("w_streak", "f8", "score", "weight of the streak of trades"),
    ("w_volatility", "f8", "score", "weight of the volatility"),
    ("penalty_pump", "f8", "score", "taken from longs in PUMPING, twice in BLOWOFF"),
    ("penalty_spread", "f8", "score", "taken at the widest spread allowed, growing from half of it"),
    ("stop_atr", "f8", "ATR", "stop distance"),
    ("stop_min_bps", "f8", "bps", "smallest stop distance"),
    ("stop_max_bps", "f8", "bps", "largest stop distance"),
    ("target_r", "f8", "R", "take profit in stop distances"),
    ("fee_buffer", "f8", "1", "profit must exceed fees x (1 + this)"),
    ("zone_width_bps", "f8", "bps", "width of the entry zone"),
    ("pump_change_pct", "f8", "%", "PUMPING over this change"),
    ("pump_surge", "f8", "1", "and this volume surge"),
    ("pump_blowoff_pct", "f8", "%", "BLOWOFF over this change"),
    ("pump_dump_pct", "f8", "%", "DUMP at this fall from the top"),
    ("explosion_bps", "f8", "bps", "a 1 s ATR over this is handled as a pump"),
    ("global_vol_off_bps", "f8", "bps", "BTC or ETH volatility of one minute: RISK_OFF over it"),
    ("global_vol_panic_bps", "f8", "bps", "PANIC over it"),
    ("global_shock_off_bps", "f8", "bps", "BTC or ETH move of one minute: RISK_OFF over it"),
    ("global_shock_panic_bps", "f8", "bps", "PANIC over it"),
    ("depth_average_s", "i8", "s", "averages of depth and level size reach this far back"),
    ("zone_ticks", "i8", "ticks", "near depth zone, from the touch of its side"),
    ("zone_bps", "f8", "bps", "wider depth zone, from the touch of its side"),
    ("wall_x", "f8", "x", "a level of so many average levels is a wall"),
    ("wall_leave_x", "f8", "x", "and is one until it shows less than this"),
    ("wall_min_usdt", "f8", "USDT", "no wall below this value"),
    ("wall_reach_bps", "f8", "bps", "walls are looked for this far from the mid"),
    ("wall_full_x", "f8", "x", "size that counts fully in the scores"),
    ("wall_near_bps", "f8", "bps", "distance at which a wall counts half"),
    ("wall_age_s", "f8", "s", "age at which a wall counts half"),
    ("wall_match_ns", "i8", "ns", "a trade explains a decrease of its level this long before and after"),
    ("wall_absorb_share", "f8", "1", "ABSORBING when trades have eaten this share of the wall"),
    ("wall_move_bps", "f8", "bps", "a wall that reappears this near has moved ..."),
    ("wall_move_size", "f8", "1", "... when its size differs by at most this share"),
    ("spoof_verdict", "f8", "1", "evidence from which a pulled wall is called SPOOFING"),
    ("spoof_approach_bps", "f8", "bps", "the price must have come this much nearer to a pulled wall to count fully"),
    ("spoof_stay_s", "f8", "s", "a pulled wall that stood shorter counts less"),
    ("spoof_life_s", "f8", "s", "a pulled wall that stood this long counts half"),
    ("spoof_keep", "f8", "1", "part of the evidence left after 100 ms (from walls.half_life_s)"),
    ("iceberg_refills", "i8", "1", "refills from which a level is called an iceberg"),
    ("reserved", "(192,)u1", "", "zero"),
)
PARAMS_CELLS = PARAMS.size // CELL_BYTES
assert PARAMS.size % CELL_BYTES == 0 and PARAMS.size <= 1024


def _ns(value: float, unit_ns: int) -> int:
    return math.floor(value * unit_ns + 0.5)


def params_row(settings: Settings, version: int) -> np.ndarray:
    """`settings` as a PARAMS array of shape (1,), marked with `version`."""
    row = np.zeros(1, PARAMS.dtype)
    trading, safety, thresholds = settings.trading, settings.safety, settings.thresholds
    score, windows, pump = thresholds.score, thresholds.windows, thresholds.pump
    depth, walls = thresholds.depth, thresholds.walls
    values: dict[str, object] = {
        "config_version": version,
        "latency_ns": _ns(trading.orders.latency_ms, NS_PER_MS),
        "maker_deadline_ns": _ns(trading.orders.maker_deadline_ms, NS_PER_MS),
        "price_buffer_e8": _ns(trading.orders.price_buffer_bps, E8_PER_BPS),
        "slippage_cap_e8": _ns(trading.orders.slippage_cap_bps, E8_PER_BPS),
        "maker_fee_e8": _ns(trading.fees.maker_pct, E8_PER_PCT),
        "taker_fee_e8": _ns(trading.fees.taker_pct, E8_PER_PCT),
        "crossed_ns": _ns(safety.feed.crossed_ms, NS_PER_MS),
        "warmup_ns": _ns(windows.warmup_s, NS_PER_S),
        "cooldown_ns": _ns(windows.cooldown_s, NS_PER_S),
        "signal_ttl_ns": _ns(windows.signal_ttl_s, NS_PER_S),
        "max_hold_ns": _ns(trading.exits.max_hold_s, NS_PER_S),
        "exit_retry_ns": 5 * NS_PER_S,  # several round trips of the slowest order path
        "max_attempts": MAX_ATTEMPTS,
        "flow_fast_ns": _ns(windows.flow_fast_s, NS_PER_S),
        "flow_slow_ns": _ns(windows.flow_slow_s, NS_PER_S),
        "imbalance_levels": windows.imbalance_levels,
        "score_tau_ns": 500 * NS_PER_MS,  # a 20 ms book tick must not arm a symbol by itself
        "pump_window_ns": _ns(pump.window_s, NS_PER_S),
        "pump_cooldown_ns": _ns(pump.cooldown_s, NS_PER_S),
        "pump_dwell_ns": 2 * NS_PER_S,  # long enough not to flicker, short enough for a flash pump
        "news_listing_ns": 300 * NS_PER_S,
        "start_balance_e8": _ns(trading.account.start_balance_usdt, 100_000_000),
        "margin_per_trade_e8": _ns(trading.account.margin_per_trade_usdt, 100_000_000),
        "leverage_e2": _ns(trading.account.leverage, 100),
        "max_positions": trading.account.max_positions,
        "min_balance_e8": _ns(trading.account.min_balance_usdt, 100_000_000),
        "break_even": int(trading.exits.break_even),
        "watch": score.watch,
        "arm": score.arm,
        "max_spread_bps": score.max_spread_bps,
        "hysteresis": score.hysteresis,
        "w_imbalance": score.weight_imbalance,
        "w_flow": score.weight_flow,
        "w_microprice": score.weight_microprice,
        "w_streak": score.weight_streak,
        "w_volatility": score.weight_volatility,
        "penalty_pump": 40.0,
        "penalty_spread": 30.0,
        "stop_atr": trading.exits.stop_atr,
        "stop_min_bps": trading.exits.stop_min_bps,
        "stop_max_bps": max(trading.exits.stop_max_bps, trading.exits.stop_min_bps),
        "target_r": trading.exits.target_r,
        "fee_buffer": trading.exits.fee_buffer,
        "zone_width_bps": ZONE_WIDTH_BPS,
        "pump_change_pct": pump.change_pct,
        "pump_surge": pump.volume_surge,
        "pump_blowoff_pct": pump.blowoff_pct,
        "pump_dump_pct": pump.dump_pct,
        "explosion_bps": 60.0,
        "global_vol_off_bps": 60.0,
        "global_vol_panic_bps": 150.0,
        "global_shock_off_bps": 100.0,
        "global_shock_panic_bps": 300.0,
        "depth_average_s": _ns(depth.average_s, 1),
        "zone_ticks": depth.zone_ticks,
        "zone_bps": depth.zone_bps,
        "wall_x": walls.size_x,
        "wall_leave_x": min(walls.leave_x, walls.size_x),
        "wall_min_usdt": walls.min_usdt,
        "wall_reach_bps": walls.reach_bps,
        "wall_full_x": max(walls.full_x, walls.size_x),
        "wall_near_bps": walls.near_bps,
        "wall_age_s": walls.age_s,
        "wall_match_ns": _ns(walls.match_ms, NS_PER_MS),
        "wall_absorb_share": walls.absorb_share_pct / 100.0,
        "wall_move_bps": walls.move_bps,
        "wall_move_size": walls.move_size_pct / 100.0,
        "spoof_verdict": walls.spoof_verdict,
        "spoof_approach_bps": walls.spoof_approach_bps,
        "spoof_stay_s": walls.spoof_stay_s,
        "spoof_life_s": walls.spoof_life_s,
        "spoof_keep": 0.5 ** (TIMER_NS / NS_PER_S / walls.half_life_s),
        "iceberg_refills": walls.iceberg_refills,
    }
    for name, value in values.items():
        row[name] = value
    return row
