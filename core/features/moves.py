"""Move features, kept up by every event: formulas, sources and worked examples are in MOVES.md beside this file.

Every hook is called right after the hook of the same name in `core/features/kernels.py`, whose windows it reads.
"""

from __future__ import annotations

import math

import numpy as np

from core.features.costs import (
    liq_safety,
    liquidation_bps,
    min_move_bps,
    minute_sigma_bps,
    round_trip_fee_bps,
    stop_distance_bps,
)
from core.features.kernels import T_FUNDING_RATE, T_OPEN_INTEREST, T_TURNOVER24H
from core.features.moves_flow import add_flow_trades, anchor, bucket_size, vpin
from core.features.moves_records import MOVE_NAMES
from core.features.moves_windows import (
    DEFAULT_MOVE_CONFIG,
    MovesState,
    clear_moves,
    close_move_second,
    new_moves,
    skip_move_seconds,
    sum_moves,
)
from core.features.news import clear_flag, raise_flag, write_news
from core.features.windows import N_SECONDS, SECOND_NS, length
from core.jit import kernel

__all__ = [
    "DEFAULT_MOVE_CONFIG", "MOVE_NAMES", "MovesState", "configure_moves", "list_moves", "list_news", "moves_on_book",
    "moves_on_broken", "moves_on_liquidations", "moves_on_news", "moves_on_ticker", "moves_on_timer", "moves_on_trades",
    "new_moves", "sum_moves",
]  # fmt: skip

_SECOND = np.int64(SECOND_NS)
_MOST_SECONDS = np.int64(N_SECONDS - 2)
_LONGEST_ANCHOR_S = np.int64(7 * 86_400)
_LISTED_NEW = 1  # SYMBOL.flags
_LISTING = np.int64(1)  # NewsType.LISTING


# --- feature rows ----------------------------------------------------------------------------------------------------
@kernel
def _change(mid2, reference2):  # type: ignore[no-untyped-def]
    if mid2 > 0 and reference2 > 0:
        return 100.0 * (np.float64(mid2 - reference2) / np.float64(reference2))
    return math.nan


@kernel
def _refresh_changes(moves, mid2, slot):  # type: ignore[no-untyped-def]
    now = moves.track[slot]
    out = moves.row[slot]
    out.change_5s_pct = _change(mid2, now.near2)
    out.change_15s_pct = _change(mid2, now.middle2)
    out.change_5m_pct = _change(mid2, now.far2)


@kernel
def _mid_before(features, slot, back_s):  # type: ignore[no-untyped-def]
    """Mid x 2 at the close of the second back_s before the last closed one; a younger series: at its start; 0 = none."""
    now = features.track[slot]
    if now.known_second < 0:
        return np.int64(0)
    s = max(now.second - 1 - back_s, now.known_second)
    return features.second[slot, s & (N_SECONDS - 1)].mid2


@kernel
def _baseline_s(features, slot):  # type: ignore[no-untyped-def]
    """Seconds the baseline has, 0 = too few."""
    now = features.track[slot]
    cfg = features.config[0]
    seconds = min(now.second - cfg.slow_s - now.first_second, cfg.baseline_s)
    return seconds if seconds >= cfg.baseline_minimum_s else np.int64(0)


@kernel
def _refresh_surges(moves, features, slot, params):  # type: ignore[no-untyped-def]
    """Trades and liquidations of the slow window against the baseline."""
    now = moves.track[slot]
    track = features.track[slot]
    far = features.slow[slot]
    out = moves.row[slot]
    out.trades_surge = math.nan
    out.liq_burst = math.nan
    seconds = _baseline_s(features, slot)
    if seconds == 0:
        return
    window_s = 0.1 * min(track.bucket - track.first_bucket + 1, features.config[0].slow_buckets)
    if now.baseline_trades > 0:
        out.trades_surge = (far.trades / window_s) / (np.float64(now.baseline_trades) / seconds)
    usual = max(
        np.float64(now.baseline_long + now.baseline_short), params[0].liq_floor_share * np.float64(track.baseline_value)
    )
    if usual > 0.0:
        out.liq_burst = (np.float64(far.long_value - far.short_value) / window_s) / (usual / seconds)


@kernel
def _refresh_volatility(moves, features, slot, symbols, params):  # type: ignore[no-untyped-def]
    """VolatilityScore, ExplosionFlag and LiqSafetyScore: they move with the micro-ATR."""
    out = moves.row[slot]
    feature = features.row[slot]
    par = params[0]
    atr = feature.atr_1s_bps
    sigma = minute_sigma_bps(atr, feature.realised_vol_bps)
    out.volatility = math.nan
    if sigma >= 0.0:
        out.volatility = 100.0 * sigma / (sigma + par.volatility_half_bps)
    if math.isnan(atr):
        out.explosion = math.nan
        out.liq_safety = math.nan
        return
    share = par.explosion_leave_share if out.explosion == 1.0 else 1.0
    out.explosion = 1.0 if atr >= share * par.explosion_bps else 0.0
    category = min(max(np.int64(symbols[slot].category), np.int64(0)), np.int64(2))
    adverse = max(stop_distance_bps(atr, params), par.liq_sigmas * sigma)
    out.liq_safety = liq_safety(adverse, liquidation_bps(symbols, slot, category, params))


@kernel
def _refresh_costs(moves, features, slot, symbols, params):  # type: ignore[no-untyped-def]
    fees = round_trip_fee_bps(symbols, slot, params)
    moves.row[slot].min_move_bps = min_move_bps(fees, features.row[slot].spread_bps, params)


@kernel
def _refresh_interest(moves, slot):  # type: ignore[no-untyped-def]
    now = moves.track[slot]
    out = moves.row[slot]
    out.oi_change_pct = math.nan
    if now.open_interest >= 0 and now.oi_reference > 0:
        out.oi_change_pct = 100.0 * (np.float64(now.open_interest - now.oi_reference) / np.float64(now.oi_reference))


@kernel
def _advance(moves, features, slot, ts_ns, symbols, params):  # type: ignore[no-untyped-def]
    """Follow the windows of the features to where they stand."""
    now = moves.track[slot]
    track = features.track[slot]
    cfg = moves.config[0]
    if track.second > now.second:
        if track.second - now.second >= N_SECONDS:
            skip_move_seconds(moves, slot, track.second)
            sum_moves(moves, features.config[0], slot)
        else:
            while now.second < track.second:
                close_move_second(moves, features.config[0], slot)
        now.near2 = _mid_before(features, slot, cfg.near_s)
        now.middle2 = _mid_before(features, slot, cfg.middle_s)
        now.far2 = _mid_before(features, slot, cfg.far_s)
        _refresh_changes(moves, track.mid2, slot)
        anchor(moves, slot)
        now.oi_reference = -1
        if now.oi_second >= 0:
            s = max(now.second - 1 - cfg.oi_s, now.oi_second)
            now.oi_reference = moves.second[slot, s & (N_SECONDS - 1)].open_interest
        _refresh_interest(moves, slot)
    if track.bucket != now.bucket:
        now.bucket = track.bucket
        moves.row[slot].cvd = track.unit_usdt * now.cvd_value
        _refresh_surges(moves, features, slot, params)
        _refresh_volatility(moves, features, slot, symbols, params)
        _refresh_costs(moves, features, slot, symbols, params)
        write_news(moves.row[slot], moves.flag[slot], ts_ns)


# --- events ----------------------------------------------------------------------------------------------------------
@kernel
def configure_moves(moves, features, params):  # type: ignore[no-untyped-def]
    """Take the windows of `params` (PARAMS[1]) into use for every slot, after `configure` of the features."""
    cfg = moves.config[0]
    par = params[0]
    cfg.near_s = length(par.pump_windows_ns[0], _SECOND, _MOST_SECONDS)
    cfg.middle_s = length(par.pump_windows_ns[1], _SECOND, _MOST_SECONDS)
    cfg.far_s = length(par.pump_windows_ns[3], _SECOND, _MOST_SECONDS)
    cfg.oi_s = length(par.oi_window_ns, _SECOND, _MOST_SECONDS)
    cfg.anchor_s = length(par.cvd_anchor_ns, _SECOND, _LONGEST_ANCHOR_S)
    cfg.vpin_buckets = par.vpin_buckets
    cfg.vpin_minimum = par.vpin_minimum
    cfg.vpin_per_day = par.vpin_buckets_per_day
    for slot in range(moves.track.shape[0]):
        if moves.track[slot].second > 0:
            sum_moves(moves, features.config[0], np.int64(slot))


@kernel
def list_moves(moves, slot, ts_ns):  # type: ignore[no-untyped-def]
    """Start the slot anew, after `list_symbol`; its news flag stays."""
    clear_moves(moves, slot, ts_ns)
    write_news(moves.row[slot], moves.flag[slot], ts_ns)


@kernel
def list_news(moves, slot, symbols, params, ts_ns, fresh):  # type: ignore[no-untyped-def]
    """A LISTING event: a new listing is news. fresh != 0: a symbol never seen here, so no flag stands."""
    symbol = symbols[slot]
    par = params[0]
    if fresh != 0:
        clear_flag(moves.flag[slot])
    if symbol.flags & _LISTED_NEW:
        raise_flag(
            moves.flag[slot], _LISTING, par.listing_impact, np.int64(symbol.listed_ns), par.listing_half_life_ns,
            par.listing_ttl_ns, ts_ns,
        )
    write_news(moves.row[slot], moves.flag[slot], ts_ns)


@kernel
def moves_on_broken(moves, slot):  # type: ignore[no-untyped-def]
    """The book is not to be believed any more."""
    out = moves.row[slot]
    out.change_5s_pct = math.nan
    out.change_15s_pct = math.nan
    out.change_5m_pct = math.nan
    out.min_move_bps = math.nan


@kernel
def moves_on_timer(moves, features, slot, ts_ns, symbols, params):  # type: ignore[no-untyped-def]
    """Time passed."""
    _advance(moves, features, slot, ts_ns, symbols, params)


@kernel
def moves_on_book(moves, features, slot, ts_ns, symbols, params):  # type: ignore[no-untyped-def]
    """The book changed: price moves and the smallest profitable move."""
    _advance(moves, features, slot, ts_ns, symbols, params)
    _refresh_changes(moves, features.track[slot].mid2, slot)
    _refresh_costs(moves, features, slot, symbols, params)


@kernel
def moves_on_trades(moves, features, slot, ts_ns, trades, first, n, symbols, params):  # type: ignore[no-untyped-def]
    """`n` entries of `trades` (TRADE[:]) from index `first`, received at ts_ns."""
    _advance(moves, features, slot, ts_ns, symbols, params)
    now = moves.track[slot]
    track = features.track[slot]
    size = np.int64(0)
    if features.ticker[slot, 0] >> T_TURNOVER24H & 1:
        size = bucket_size(features.ticker[slot, T_TURNOVER24H], track.unit_usdt, moves.config[0].vpin_per_day)
    moves.second[slot, now.second & (N_SECONDS - 1)].trades += add_flow_trades(moves, slot, trades, first, n, size)
    out = moves.row[slot]
    out.cvd = track.unit_usdt * now.cvd_value
    out.vpin = vpin(moves, slot)
    _refresh_surges(moves, features, slot, params)


@kernel
def moves_on_liquidations(moves, features, slot, ts_ns, trades, first, n, symbols, params):  # type: ignore[no-untyped-def]
    """`n` liquidations (TRADE records, side = side of the liquidated position)."""
    _advance(moves, features, slot, ts_ns, symbols, params)
    row = moves.second[slot, moves.track[slot].second & (N_SECONDS - 1)]
    for i in range(first, first + n):
        value = trades[i].price_ticks * trades[i].qty_lots
        if trades[i].side > 0:
            row.long_value += value
        else:
            row.short_value += value
    _refresh_surges(moves, features, slot, params)


@kernel
def moves_on_ticker(moves, features, slot, ts_ns, symbols, params):  # type: ignore[no-untyped-def]
    """The merged ticker of the features changed."""
    _advance(moves, features, slot, ts_ns, symbols, params)
    known = features.ticker[slot, 0]
    out = moves.row[slot]
    if known >> T_OPEN_INTEREST & 1:
        moves.track[slot].open_interest = max(features.ticker[slot, T_OPEN_INTEREST], np.int64(0))
        _refresh_interest(moves, slot)
    minutes = np.int64(symbols[slot].funding_interval_min)
    if known >> T_FUNDING_RATE & 1 and minutes > 0:
        out.funding_8h_bps = features.ticker[slot, T_FUNDING_RATE] / 1e6 * (480.0 / minutes)


@kernel
def moves_on_news(moves, slot, ts_ns, news_type, impact, happened_ns, half_life_ns, ttl_ns):  # type: ignore[no-untyped-def]
    """A NEWS event of the symbol. Returns 1 when the flag changed, 0 when a weightier one stands."""
    changed = raise_flag(moves.flag[slot], news_type, impact, happened_ns, half_life_ns, ttl_ns, ts_ns)
    write_news(moves.row[slot], moves.flag[slot], ts_ns)
    return changed
