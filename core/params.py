"""Settings as the kernels see them: one PARAMS record, times in ns, fees as 1e-8 fractions, categories as (3,) columns.

A CONFIG event carries this record; the engine copies it at that event, so a change of settings is part of the stream
and replays. Where a number has no setting of its own yet, its default and reason stand in `params_row`.
"""

from __future__ import annotations

import math

import numpy as np

from config.schema import Settings
from core.constants import BPS_PER_PCT, E8_PER_BPS, E8_PER_PCT, NS_PER_MS, NS_PER_S
from core.records import CELL_BYTES, _record
from core.score.terms import PENALTY_KEYS, WEIGHT_KEYS

PARAMS = _record(
    "PARAMS", 768, "every tunable of the kernels; payload of CONFIG events",
    ("config_version", "i8", "1", "version of the configuration, from 1"),
    ("latency_ns", "i8", "ns", "decision to exchange; also the time a report needs back"),
    ("maker_deadline_ns", "i8", "ns", "an unfilled maker entry turns taker after this"),
    ("price_buffer_e8", "i8", "1e-8", "latency price buffer of a taker entry"),
    ("slippage_cap_e8", "i8", "1e-8", "a market order never fills farther than this from the touch"),
    ("maker_fee_e8", "i8", "1e-8", "maker fee where the instrument names none"),
    ("taker_fee_e8", "i8", "1e-8", "taker fee where the instrument names none"),
    ("crossed_ns", "i8", "ns", "a book crossed this long is BROKEN"),
    ("warmup_ns", "i8", "ns", "features must be this old before a symbol may signal"),
    ("cooldown_ns", "i8", "ns", "rest after a signal that sent an order"),
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
    ("weights", f"({len(WEIGHT_KEYS)},)f8", "score", "points of each term at full signal, in the order of score.terms"),
    ("penalties", f"({len(PENALTY_KEYS)},)f8", "score", "points of each penalty at share 1, in the order of score.terms"),
    ("imbalance_full", "f8", "-1..1", "an imbalance of this and more counts in full"),
    ("ofi_full", "f8", "1", "order-flow imbalance, as a share of the depth, that counts in full"),
    ("flow_full", "f8", "1", "share of one-sided volume that counts in full"),
    ("rate_half", "f8", "1/s", "trade rate at which the flow counts half"),
    ("streak_half", "f8", "trades", "streak that gives half the signal"),
    ("horizon_s", "f8", "s", "movement of so many seconds must pay the fees"),
    ("walls_against", "f8", "0..100", "wall score against a side that forbids it"),
    ("news_veto", "f8", "0..100", "news impact that forbids entries"),
    ("liq_safety_min", "f8", "0..100", "LiqSafetyScore under which nothing is entered"),
    ("rest_ns", "i8", "ns", "rest after a signal that sent no order"),
    ("record_every_ns", "i8", "ns", "a decision that stays the same is recorded this often"),
    ("record_gap_ns", "i8", "ns", "a flickering one not more often than this"),
    ("zone_width_bps", "f8", "bps", "smallest width of the entry zone"),
    ("zone_width_atr", "f8", "ATR", "width in 1 s ranges where that is wider"),
    ("zone_width_max_bps", "f8", "bps", "largest width"),
    ("zone_distance_bps", "f8", "bps", "price farther from the zone: the signal is dead"),
    ("zone_nudge_ns", "i8", "ns", "price outside this long: the zone follows"),
    ("zone_nudges", "i8", "1", "so many times at most"),
    ("skip_enabled", "i8", "bool", "the skip filters apply"),
    ("skip_days", "i8", "bits", "bit k: entries on weekday k, Monday = 0"),
    ("skip_from_hour", "i8", "h", "first hour (UTC) of entries"),
    ("skip_to_hour", "i8", "h", "hour (UTC) at which they end"),
    ("skip_volatility", "f8", "index", "external volatility index, 0 = not known"),
    ("skip_volatility_max", "f8", "index", "no entries over it"),
    ("stop_atr", "f8", "ATR", "stop distance"),
    ("stop_min_bps", "f8", "bps", "smallest stop distance"),
    ("stop_max_bps", "f8", "bps", "largest stop distance"),
    ("target_r", "f8", "R", "take profit in stop distances"),
    ("fee_buffer", "f8", "1", "profit must exceed fees x (1 + this)"),
    ("pump_change_pct", "f8", "%", "PUMPING over this change"),
    ("pump_surge", "f8", "1", "and this volume surge"),
    ("pump_blowoff_pct", "f8", "%", "BLOWOFF over this change"),
    ("pump_dump_pct", "f8", "%", "DUMP at this fall from the top"),
    ("explosion_bps", "f8", "bps", "a 1 s ATR over this is handled as a pump"),
    ("global_vol_off_bps", "f8", "bps", "BTC or ETH volatility of one minute: RISK_OFF over it"),
    ("global_vol_panic_bps", "f8", "bps", "PANIC over it"),
    ("global_shock_off_bps", "f8", "bps", "BTC or ETH move of one minute: RISK_OFF over it"),
    ("global_shock_panic_bps", "f8", "bps", "PANIC over it"),
    ("reserved", "(16,)u1", "", "zero"),
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
    signal, zone, skip = thresholds.signal, thresholds.zone, settings.skip
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
        "cooldown_ns": _ns(signal.cooldown_s, NS_PER_S),
        "signal_ttl_ns": _ns(signal.ttl_s, NS_PER_S),
        "max_hold_ns": _ns(trading.exits.max_hold_s, NS_PER_S),
        "exit_retry_ns": 5 * NS_PER_S,  # several round trips of the slowest order path
        "max_attempts": signal.attempts,
        "flow_fast_ns": _ns(windows.flow_fast_s, NS_PER_S),
        "flow_slow_ns": _ns(windows.flow_slow_s, NS_PER_S),
        "imbalance_levels": windows.imbalance_levels,
        "score_tau_ns": _ns(score.smoothing_s, NS_PER_S),
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
        "weights": tuple(getattr(score, key) for key in WEIGHT_KEYS),
        "penalties": tuple(getattr(score, key) for key in PENALTY_KEYS),
        "imbalance_full": score.imbalance_full,
        "ofi_full": score.ofi_full,
        "flow_full": score.flow_full,
        "rate_half": score.rate_half,
        "streak_half": score.streak_half,
        "horizon_s": score.horizon_s,
        "walls_against": signal.walls_against,
        "news_veto": signal.news_veto,
        "liq_safety_min": signal.liq_safety_min,
        "rest_ns": _ns(signal.rest_s, NS_PER_S),
        "record_every_ns": _ns(signal.record_every_s, NS_PER_S),
        "record_gap_ns": _ns(signal.record_gap_ms, NS_PER_MS),
        "zone_width_bps": zone.width_pct * BPS_PER_PCT,
        "zone_width_atr": zone.width_atr,
        "zone_width_max_bps": max(zone.width_max_pct, zone.width_pct) * BPS_PER_PCT,
        "zone_distance_bps": zone.max_distance_pct * BPS_PER_PCT,
        "zone_nudge_ns": _ns(zone.nudge_after_s, NS_PER_S),
        "zone_nudges": zone.nudges,
        "skip_enabled": int(skip.enabled),
        "skip_days": sum(1 << day for day in set(skip.weekdays)),
        "skip_from_hour": skip.from_hour_utc,
        "skip_to_hour": skip.to_hour_utc,
        "skip_volatility": skip.volatility_index,
        "skip_volatility_max": skip.volatility_index_max,
        "stop_atr": trading.exits.stop_atr,
        "stop_min_bps": trading.exits.stop_min_bps,
        "stop_max_bps": max(trading.exits.stop_max_bps, trading.exits.stop_min_bps),
        "target_r": trading.exits.target_r,
        "fee_buffer": trading.exits.fee_buffer,
        "pump_change_pct": pump.change_pct,
        "pump_surge": pump.volume_surge,
        "pump_blowoff_pct": pump.blowoff_pct,
        "pump_dump_pct": pump.dump_pct,
        "explosion_bps": 60.0,
        "global_vol_off_bps": 60.0,
        "global_vol_panic_bps": 150.0,
        "global_shock_off_bps": 100.0,
        "global_shock_panic_bps": 300.0,
    }
    for name, value in values.items():
        row[name] = value
    return row
