"""Microstructure features, kept up by every event: the formulas and their sources are in README.md beside this file.

Time is the event's receive time; an event older than the open bucket of the windows counts into the open bucket.
"""

from __future__ import annotations

import math

import numpy as np

from core.book.kernels import ASKS, BIDS, depth_lots
from core.candles.kernels import CANDLE_1S, CANDLE_3S, atr_bps, roll
from core.features.windows import (
    BUCKET_NS,
    DEFAULT_CONFIG,
    N_BUCKETS,
    N_SECONDS,
    SECOND_NS,
    FeatureState,
    clear_flow,
    close_second,
    length,
    new_features,
    open_bucket,
    skip_seconds,
    sum_windows,
)
from core.jit import kernel
from core.records import TICKER
from core.tape.kernels import BLOCK_TRADE

__all__ = [
    "DEFAULT_CONFIG", "N_BUCKETS", "N_SECONDS", "FeatureState", "configure", "list_symbol", "new_features", "on_book",
    "on_broken", "on_liquidations", "on_ticker", "on_timer", "on_trades", "sum_windows", "ticker_record",
    "T_LAST", "T_MARK", "T_INDEX", "T_OPEN_INTEREST", "T_TURNOVER24H", "T_FUNDING_RATE", "T_NEXT_FUNDING", "T_CHANGE24H",
]  # fmt: skip

_TICKER_NAMES = [f.name for f in TICKER.fields]
T_LAST = _TICKER_NAMES.index("last_ticks")  # words of `FeatureState.ticker`
T_MARK = _TICKER_NAMES.index("mark_e10")
T_INDEX = _TICKER_NAMES.index("index_e10")
T_OPEN_INTEREST = _TICKER_NAMES.index("open_interest_e4")
T_TURNOVER24H = _TICKER_NAMES.index("turnover24h_e4")
T_FUNDING_RATE = _TICKER_NAMES.index("funding_rate_e10")
T_NEXT_FUNDING = _TICKER_NAMES.index("next_funding_ns")
T_CHANGE24H = _TICKER_NAMES.index("price24h_pcnt_e8")
T_LAST_FIELD = _TICKER_NAMES.index("cs")

# numpy scalars: a plain int handed to a kernel is a literal type and would compile it again
_BUCKET, _SECOND = np.int64(BUCKET_NS), np.int64(SECOND_NS)
_MOST_BUCKETS, _MOST_SECONDS = np.int64(N_BUCKETS - 1), np.int64(N_SECONDS - 2)
ROOT_1S = math.sqrt(SECOND_NS / BUCKET_NS)  # from the range of a bucket to that of 1 s
ROOT_3S = math.sqrt(3 * SECOND_NS / BUCKET_NS)


@kernel
def _advance(state, candles, slot, ts_ns):  # type: ignore[no-untyped-def]
    """Bring every window of the slot to `ts_ns`; recompute what changes only with the second."""
    row, track, fast, slow, bucket, second, _, config = state
    now = track[slot]
    newest = ts_ns // BUCKET_NS
    if newest > now.bucket:
        open_bucket(track, fast, slow, bucket, config, slot, newest)
        if row[slot].atr_provisional != 0.0:
            _estimate_atr(row, track, slow, config, slot)
    newest = ts_ns // SECOND_NS
    if newest <= now.second:
        return
    if newest - now.second >= N_SECONDS:
        skip_seconds(track, second, slot, newest)
        sum_windows(track, fast, slow, bucket, second, config, slot)
    else:
        while now.second < newest:
            close_second(track, second, config, slot)
    roll(candles, slot, ts_ns)
    _refresh_second(row, track, slow, second, config, candles, slot)


@kernel
def _estimate_atr(row, track, slow, config, slot):  # type: ignore[no-untyped-def]
    """Micro-ATRs without enough closed candles, from the true ranges of the mid over 100 ms buckets: the range of a
    random walk grows with the root of time. Marked by `atr_provisional`."""
    now = track[slot]
    out = row[slot]
    estimate = math.nan
    known = slow[slot].ranges
    if known >= config[0].provisional_minimum and now.carried2 > 0:
        estimate = 10_000.0 * np.float64(slow[slot].range2) / (np.float64(known) * np.float64(now.carried2))
    out.atr_3s_bps = estimate * ROOT_3S
    if out.atr_provisional != 1.0:
        out.atr_1s_bps = estimate * ROOT_1S
        out.atr_provisional = math.nan if math.isnan(estimate) else 2.0


# --- feature rows ----------------------------------------------------------------------------------------------------
@kernel
def _refresh_second(row, track, slow, second, config, candles, slot):  # type: ignore[no-untyped-def]
    """Features that move when a second closes: micro-ATR, realised volatility, the reference of the change."""
    now = track[slot]
    cfg = config[0]
    out = row[slot]
    out.atr_1s_bps = atr_bps(candles, slot, CANDLE_1S, cfg.atr_candles, cfg.atr_minimum)
    out.atr_3s_bps = atr_bps(candles, slot, CANDLE_3S, cfg.atr_candles, cfg.atr_minimum)
    out.atr_provisional = 0.0
    if math.isnan(out.atr_3s_bps):
        out.atr_provisional = 2.0 if math.isnan(out.atr_1s_bps) else 1.0
        _estimate_atr(row, track, slow, config, slot)
    out.realised_vol_bps = math.nan
    if now.square_count >= cfg.volatility_minimum:
        mean = np.float64(now.square_sum) / np.float64(now.square_count)
        out.realised_vol_bps = 1e-5 * math.sqrt(60.0 * mean)
    now.reference2 = 0
    if now.known_second >= 0:
        s = max(now.second - 1 - cfg.change_s, now.known_second)
        now.reference2 = second[slot, s & (N_SECONDS - 1)].mid2
    _refresh_change(out, now)


@kernel
def _refresh_change(out, now):  # type: ignore[no-untyped-def]
    out.change_1m_pct = math.nan
    if now.mid2 > 0 and now.reference2 > 0:
        out.change_1m_pct = 100.0 * (np.float64(now.mid2 - now.reference2) / np.float64(now.reference2))


@kernel
def _refresh_flow(row, track, fast, slow, config, slot, ts_ns):  # type: ignore[no-untyped-def]
    """Features that are sums over the bucket windows, and the warm flag."""
    now = track[slot]
    cfg = config[0]
    out = row[slot]
    near = fast[slot]
    far = slow[slot]
    unit = now.unit_usdt
    out.buy_1s = unit * near.buy_value
    out.sell_1s = unit * near.sell_value
    out.delta_1s = unit * (near.buy_value - near.sell_value)
    out.buy_10s = unit * far.buy_value
    out.sell_10s = unit * far.sell_value
    out.delta_10s = unit * (far.buy_value - far.sell_value)
    out.liq_long_10s = unit * far.long_value
    out.liq_short_10s = unit * far.short_value
    out.streak = np.float64(now.streak)
    age = now.bucket - now.first_bucket + 1
    out.trades_per_s = 10.0 * near.trades / min(age, cfg.fast_buckets)
    far_buckets = min(age, cfg.slow_buckets)
    out.trades_per_s_10s = 10.0 * far.trades / far_buckets
    out.ofi_1s = math.nan
    out.ofi_10s = math.nan
    if now.mid2 > 0:
        lot_value = 0.5 * now.mid2 * unit
        out.ofi_1s = lot_value * near.ofi_lots
        out.ofi_10s = lot_value * far.ofi_lots
    baseline_s = min(now.second - cfg.slow_s - now.first_second, cfg.baseline_s)
    out.volume_surge = math.nan
    if baseline_s >= cfg.baseline_minimum_s and now.baseline_value > 0:
        value = 10.0 * np.float64(far.buy_value + far.sell_value)
        out.volume_surge = value * baseline_s / (np.float64(now.baseline_value) * far_buckets)
    warm = now.mid2 > 0 and now.since_ns > 0 and ts_ns - now.since_ns >= cfg.warmup_ns
    out.warm = 1.0 if warm else 0.0


@kernel
def _forget_book(row, track, slot):  # type: ignore[no-untyped-def]
    """There is no top to believe: everything read from it is unknown."""
    now = track[slot]
    now.mid2 = 0
    now.bid_ticks = 0
    now.bid_lots = 0
    now.ask_ticks = 0
    now.ask_lots = 0
    now.high2 = 0
    now.low2 = 0
    out = row[slot]
    out.mid = math.nan
    out.spread_bps = math.nan
    out.microprice = math.nan
    out.micro_bps = math.nan
    out.imbalance_top = math.nan
    out.imbalance_n = math.nan
    out.ofi_1s = math.nan
    out.ofi_10s = math.nan
    out.change_1m_pct = math.nan
    out.warm = 0.0


@kernel
def _refresh_ticker(row, ticker, slot):  # type: ignore[no-untyped-def]
    out = row[slot]
    known = ticker[slot, 0]
    out.mark = math.nan
    out.index = math.nan
    out.basis_bps = math.nan
    out.funding_rate = math.nan
    out.open_interest = math.nan
    if known >> T_MARK & 1:
        out.mark = ticker[slot, T_MARK] / 1e10
    if known >> T_INDEX & 1:
        out.index = ticker[slot, T_INDEX] / 1e10
    if known >> T_MARK & known >> T_INDEX & 1 and ticker[slot, T_INDEX] > 0:
        out.basis_bps = 10_000.0 * (ticker[slot, T_MARK] - ticker[slot, T_INDEX]) / ticker[slot, T_INDEX]
    if known >> T_FUNDING_RATE & 1:
        out.funding_rate = ticker[slot, T_FUNDING_RATE] / 1e10
    if known >> T_OPEN_INTEREST & 1:
        out.open_interest = ticker[slot, T_OPEN_INTEREST] / 1e4


# --- events ----------------------------------------------------------------------------------------------------------
@kernel
def configure(state, params):  # type: ignore[no-untyped-def]
    """Take the windows of `params` (PARAMS[1]) into use for every slot; sums are made anew from the rings.

    Flow windows are rounded to buckets (1 .. N_BUCKETS - 1), the others to seconds; together slow window and baseline
    reach at most N_SECONDS - 1 seconds back, change and volatility N_SECONDS - 2.
    """
    _, track, fast, slow, bucket, second, _, config = state
    cfg = config[0]
    par = params[0]
    cfg.fast_buckets = length(par.flow_fast_ns, _BUCKET, _MOST_BUCKETS)
    cfg.slow_buckets = length(par.flow_slow_ns, _BUCKET, _MOST_BUCKETS)
    cfg.slow_s = (cfg.slow_buckets + 9) // 10
    cfg.change_s = length(par.pump_windows_ns[2], _SECOND, _MOST_SECONDS)
    cfg.volatility_s = length(par.volatility_window_ns, _SECOND, _MOST_SECONDS)
    cfg.volatility_minimum = length(par.volatility_minimum_ns, _SECOND, cfg.volatility_s)
    cfg.baseline_s = length(par.baseline_ns, _SECOND, _MOST_SECONDS + 1 - cfg.slow_s)
    cfg.baseline_minimum_s = length(par.baseline_minimum_ns, _SECOND, cfg.baseline_s)
    cfg.atr_candles = par.atr_candles
    cfg.atr_minimum = par.atr_minimum
    cfg.provisional_minimum = length(par.provisional_ns, _BUCKET, cfg.slow_buckets - 1)
    cfg.levels = max(par.imbalance_levels, 1)
    cfg.warmup_ns = par.warmup_ns
    for slot in range(track.shape[0]):
        if track[slot].bucket > 0:
            sum_windows(track, fast, slow, bucket, second, config, np.int64(slot))


@kernel
def list_symbol(state, slot, tick_size, lot_size, ts_ns):  # type: ignore[no-untyped-def]
    """Start the slot for a new symbol: nothing is known yet. Sizes are f8 (SYMBOL.tick_size, .lot_size)."""
    row, track, fast, slow, bucket, second, ticker, _ = state
    now = track[slot]
    if now.bucket > 0:
        for b in range(N_BUCKETS):
            clear_flow(bucket[slot, b])
        for s in range(N_SECONDS):
            second[slot, s].mid2 = 0
            second[slot, s].value = 0
            second[slot, s].square = 0
    clear_flow(fast[slot])
    clear_flow(slow[slot])
    ticker[slot, :] = 0
    now.bucket = ts_ns // BUCKET_NS
    now.first_bucket = now.bucket
    now.second = ts_ns // SECOND_NS
    now.first_second = now.second
    now.known_second = -1
    now.since_ns = 0
    now.carried2 = 0
    now.closed_known = 0
    now.reference2 = 0
    now.streak = 0
    now.baseline_value = 0
    now.square_sum = 0
    now.square_count = 0
    now.tick_size = tick_size
    now.lot_size = lot_size
    now.unit_usdt = tick_size * lot_size
    _forget_book(row, track, slot)
    out = row[slot]
    out.atr_1s_bps = math.nan
    out.atr_3s_bps = math.nan
    out.atr_provisional = math.nan
    out.realised_vol_bps = math.nan
    out.last = math.nan
    _refresh_ticker(row, ticker, slot)
    _refresh_flow(row, track, fast, slow, state.config, slot, ts_ns)


@kernel
def on_broken(state, slot):  # type: ignore[no-untyped-def]
    """The book is not to be believed any more: its features are unknown and warm-up starts over with the next book."""
    _forget_book(state.row, state.track, slot)
    state.track[slot].since_ns = 0


@kernel
def on_timer(state, candles, slot, ts_ns):  # type: ignore[no-untyped-def]
    """Time passed without an event of this symbol."""
    _advance(state, candles, slot, ts_ns)
    _refresh_flow(state.row, state.track, state.fast, state.slow, state.config, slot, ts_ns)


@kernel
def _order_flow(now, bid_ticks, bid_lots, ask_ticks, ask_lots):  # type: ignore[no-untyped-def]
    """Contribution of one change of the top (Cont, Kukanov, Stoikov 2014, e_n), in lots."""
    e = np.int64(0)
    if bid_ticks >= now.bid_ticks:
        e += bid_lots
    if bid_ticks <= now.bid_ticks:
        e -= now.bid_lots
    if ask_ticks <= now.ask_ticks:
        e -= ask_lots
    if ask_ticks >= now.ask_ticks:
        e += now.ask_lots
    return e


@kernel
def on_book(state, book, candles, slot, ts_ns, is_snapshot):  # type: ignore[no-untyped-def]
    """The book of the slot changed (already applied). `is_snapshot` (0 or 1): not comparable with the book before.

    A book that is empty, one-sided, locked or crossed makes everything read from it unknown until it is whole again.
    """
    _advance(state, candles, slot, ts_ns)
    row, track, fast, slow, bucket, _, _, config = state
    price, qty, count, _, _, _ = book
    now = track[slot]
    out = row[slot]
    if now.since_ns == 0:
        now.since_ns = ts_ns
    now_bucket = bucket[slot, now.bucket & (N_BUCKETS - 1)]
    if count[slot, 0] == 0 or count[slot, 1] == 0 or price[slot, 0, 0] >= price[slot, 1, 0]:
        _forget_book(row, track, slot)
        _refresh_flow(row, track, fast, slow, config, slot, ts_ns)
        return
    bid_ticks = price[slot, 0, 0]
    ask_ticks = price[slot, 1, 0]
    bid_lots = qty[slot, 0, 0]
    ask_lots = qty[slot, 1, 0]
    if is_snapshot == 0 and now.bid_ticks > 0:
        e = _order_flow(now, bid_ticks, bid_lots, ask_ticks, ask_lots)
        now_bucket.ofi_lots += e
        fast[slot].ofi_lots += e
        slow[slot].ofi_lots += e
    now.bid_ticks = bid_ticks
    now.bid_lots = bid_lots
    now.ask_ticks = ask_ticks
    now.ask_lots = ask_lots
    now.mid2 = bid_ticks + ask_ticks
    now.carried2 = now.mid2
    now.high2 = max(now.high2, now.mid2)
    now.low2 = min(now.low2, now.mid2) if now.low2 > 0 else now.mid2
    mid = 0.5 * now.mid2
    top = np.float64(bid_lots) + np.float64(ask_lots)
    half_spread = 0.5 * (ask_ticks - bid_ticks)
    lean = np.float64(bid_lots - ask_lots) / top
    out.mid = mid
    out.spread_bps = 20_000.0 * half_spread / mid
    out.microprice = (bid_ticks * np.float64(ask_lots) + ask_ticks * np.float64(bid_lots)) / top
    out.micro_bps = 0.5 * out.spread_bps * lean
    out.imbalance_top = lean
    bids = np.float64(depth_lots(book, slot, BIDS, config[0].levels))
    asks = np.float64(depth_lots(book, slot, ASKS, config[0].levels))
    out.imbalance_n = (bids - asks) / (bids + asks)
    _refresh_change(out, now)
    _refresh_flow(row, track, fast, slow, config, slot, ts_ns)


@kernel
def on_trades(state, candles, slot, ts_ns, trades, first, n):  # type: ignore[no-untyped-def]
    """`n` entries of `trades` (TRADE[:]) from index `first`, received at `ts_ns`, already in tape and candles.

    Block trades are left out: they met no order of the book. Arguments are int64.
    """
    _advance(state, candles, slot, ts_ns)
    row, track, fast, slow, bucket, second, _, config = state
    now = track[slot]
    bought = np.int64(0)
    sold = np.int64(0)
    count = np.int64(0)
    for i in range(first, first + n):
        if trades[i]["flags"] & BLOCK_TRADE:
            continue
        value = trades[i].price_ticks * trades[i].qty_lots
        count += 1
        if trades[i].side > 0:
            bought += value
            now.streak = max(now.streak, np.int64(0)) + 1
        else:
            sold += value
            now.streak = min(now.streak, np.int64(0)) - 1
        row[slot].last = np.float64(trades[i].price_ticks)
    piece = bucket[slot, now.bucket & (N_BUCKETS - 1)]
    piece.buy_value += bought
    piece.sell_value += sold
    piece.trades += count
    fast[slot].buy_value += bought
    fast[slot].sell_value += sold
    fast[slot].trades += count
    slow[slot].buy_value += bought
    slow[slot].sell_value += sold
    slow[slot].trades += count
    second[slot, now.second & (N_SECONDS - 1)].value += bought + sold
    _refresh_flow(row, track, fast, slow, config, slot, ts_ns)


@kernel
def on_liquidations(state, candles, slot, ts_ns, trades, first, n):  # type: ignore[no-untyped-def]
    """`n` liquidations (TRADE records, side = side of the liquidated position) from index `first`."""
    _advance(state, candles, slot, ts_ns)
    row, track, fast, slow, bucket, _, _, config = state
    longs = np.int64(0)
    shorts = np.int64(0)
    for i in range(first, first + n):
        value = trades[i].price_ticks * trades[i].qty_lots
        if trades[i].side > 0:
            longs += value
        else:
            shorts += value
    piece = bucket[slot, track[slot].bucket & (N_BUCKETS - 1)]
    piece.long_value += longs
    piece.short_value += shorts
    fast[slot].long_value += longs
    fast[slot].short_value += shorts
    slow[slot].long_value += longs
    slow[slot].short_value += shorts
    _refresh_flow(row, track, fast, slow, config, slot, ts_ns)


@kernel
def on_ticker(state, candles, slot, ts_ns, cells, first):  # type: ignore[no-untyped-def]
    """Merge the TICKER record that starts at cell `first` of `cells` (int64[:, 8]): only fields in its mask change."""
    _advance(state, candles, slot, ts_ns)
    row, track, fast, slow, _, _, ticker, config = state
    mask = cells[first, 0]
    for k in range(1, T_LAST_FIELD + 1):
        if mask >> k & 1:
            ticker[slot, k] = cells[first + (k >> 3), k & 7]
    ticker[slot, 0] |= mask
    _refresh_ticker(row, ticker, slot)
    _refresh_flow(row, track, fast, slow, config, slot, ts_ns)


def ticker_record(state: FeatureState, slot: int) -> np.ndarray:
    """The merged ticker of a slot as a TICKER array of shape (1,) (a copy)."""
    return state.ticker[slot].copy().view(TICKER.dtype)


