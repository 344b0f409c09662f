"""What the pages see: SYMBOL_ROW of changed symbols, and DETAIL of the few symbols somebody looks at.

Kernels fill record arrays given by the caller; the engine never knows where they live.
"""

from __future__ import annotations

import math

import numpy as np

from core.book.kernels import ASKS, BIDS, best
from core.candles.kernels import CANDLE_1S, KEPT
from core.constants import NS_PER_S
from core.detail import DETAIL_CANDLES, DETAIL_LEVELS, DETAIL_TRADES
from core.engine.market import slot_of_symbol
from core.engine.state import C_DIRTY, C_N_SLOTS, C_ROW_CURSOR
from core.enums import Regime
from core.features.records import FEATURE_NAMES
from core.jit import kernel
from core.score.kernels import N_TERMS
from core.tape.kernels import TAPE_LENGTH

LIQUIDATION_SHOWN_NS = 10 * NS_PER_S
FLAG_NEWS, FLAG_LIQUIDATIONS = 4, 8
_NEWS_DRIVEN = int(Regime.NEWS_DRIVEN)
VOLATILITY_TERM = 4  # column of `signals`
N_FEATURES = len(FEATURE_NAMES)


@kernel
def _e2(value):  # type: ignore[no-untyped-def]
    """A score as 1e-2 integer; nan is 0."""
    return 0 if math.isnan(value) else int(math.floor(value * 100.0 + 0.5))


@kernel
def _fill_row(state, slot, dst, k):  # type: ignore[no-untyped-def]
    trade = state.trade[slot]
    feature = state.features.row[slot]
    symbol = state.symbols[slot]
    row = dst[k]
    row.symbol = symbol.id
    row.category = trade.category
    row.state = trade.state
    row.regime = trade.regime
    row.pump = trade.pump
    row.data_state = trade.data_state
    row.gate = trade.gate
    row.side = trade.side
    flags = 0
    if trade.regime == _NEWS_DRIVEN:
        flags |= FLAG_NEWS
    if trade.liquidation_ns != 0 and trade.ts_recv_ns - trade.liquidation_ns < LIQUIDATION_SHOWN_NS:
        flags |= FLAG_LIQUIDATIONS
    row.flags = flags
    row.score_long_e2 = _e2(trade.score_long)
    row.score_short_e2 = _e2(trade.score_short)
    row.spoof_e2 = 0
    row.wall_support_e2 = 0
    row.wall_resistance_e2 = 0
    row.news_e2 = 0
    row.volatility_e2 = _e2(100.0 * state.signals[slot, VOLATILITY_TERM])
    row.bid_ticks, row.bid_lots = best(state.book, slot, BIDS)
    row.ask_ticks, row.ask_lots = best(state.book, slot, ASKS)
    row.last_ticks = trade.last_ticks
    row.ts_exch_ns = trade.ts_exch_ns
    row.ts_recv_ns = trade.ts_recv_ns
    row.seq = trade.seq
    row.events = trade.events
    row.tick_size = symbol.tick_size
    row.lot_size = symbol.lot_size
    row.spread_bps = feature.spread_bps
    row.microprice = feature.microprice
    row.imbalance = feature.imbalance_n
    row.change_1m_pct = feature.change_1m_pct
    row.delta_1s = feature.delta_1s
    row.delta_10s = feature.delta_10s
    row.trades_per_s = feature.trades_per_s
    row.atr_1s_bps = feature.atr_1s_bps
    row.position_lots = trade.position_lots
    row.digest = trade.digest
    row.since_ns = trade.since_ns
    row.funding_rate_e10 = trade.funding_rate_e10
    row.name_hash = symbol.name_hash
    row.book_digest = trade.book_digest


@kernel
def fill_rows(state, rows, dst):  # type: ignore[no-untyped-def]
    """SYMBOL_ROW of symbols whose row is out of date: rows[k] = symbol id, dst[k] = its row. Returns how many.

    At most len(dst); the rest stays dirty, and the next call goes on where this one stopped.
    """
    control = state.control
    slots = control[C_N_SLOTS]
    limit = min(dst.shape[0], rows.shape[0])
    n = 0
    slot = control[C_ROW_CURSOR]
    for _ in range(slots):
        if control[C_DIRTY] == 0 or n >= limit:
            break
        if slot >= slots:
            slot = 0
        if state.trade[slot].dirty != 0:
            _fill_row(state, slot, dst, n)
            rows[n] = state.symbols[slot].id
            state.trade[slot].dirty = 0
            control[C_DIRTY] -= 1
            n += 1
        slot += 1
    control[C_ROW_CURSOR] = slot
    return n


@kernel
def fill_features(state, slot, dst):  # type: ignore[no-untyped-def]
    """Every feature of the slot into dst f8[N_ALL_FEATURES], in the order of core/features/registry.py."""
    for k in range(N_FEATURES):
        dst[k] = state.feature_values[slot, k]


@kernel
def fill_detail(state, symbol_id, dst, k):  # type: ignore[no-untyped-def]
    """DETAIL of a symbol into dst[k]: ladder, 1 s candles, trades, features. Returns 1, or 0 when it is not here."""
    slot = slot_of_symbol(state.slot_of, state.trade, symbol_id)
    if slot < 0:
        return 0
    row = dst[k]
    row.symbol = symbol_id
    row.seq = state.trade[slot].seq
    row.ts_recv_ns = state.trade[slot].ts_recv_ns
    row.reserved = 0
    book = state.book
    row.n_bids = min(book.count[slot, 0], np.int64(DETAIL_LEVELS))
    row.n_asks = min(book.count[slot, 1], np.int64(DETAIL_LEVELS))
    for i in range(row.n_bids):
        row.bid_ticks[i] = book.price[slot, 0, i]
        row.bid_lots[i] = book.qty[slot, 0, i]
    for i in range(row.n_asks):
        row.ask_ticks[i] = book.price[slot, 1, i]
        row.ask_lots[i] = book.qty[slot, 1, i]
    candles = state.candles
    newest = candles.last[slot, CANDLE_1S]
    n = 0
    if newest >= 0:
        n = min(newest - candles.first[slot, CANDLE_1S] + 1, np.int64(min(DETAIL_CANDLES, KEPT)))
    row.n_candles = n
    for i in range(n):
        candle = candles.candle[slot, CANDLE_1S, (newest - n + 1 + i) & (KEPT - 1)]
        row.candle_start_ns[i] = candle.start_ns
        row.candle_open_ticks[i] = candle.open
        row.candle_high_ticks[i] = candle.high
        row.candle_low_ticks[i] = candle.low
        row.candle_close_ticks[i] = candle.close
        row.candle_volume_lots[i] = candle.buy_lots + candle.sell_lots
        row.candle_delta_lots[i] = candle.buy_lots - candle.sell_lots
    count = state.tape.count[slot]
    n = min(count, np.int64(min(DETAIL_TRADES, TAPE_LENGTH)))
    row.n_trades = n
    for i in range(n):
        trade = state.tape.trades[slot, (count - 1 - i) & (TAPE_LENGTH - 1)]
        row.trade_ticks[i] = trade.price_ticks
        row.trade_lots[i] = trade.qty_lots
        row.trade_ts_ns[i] = trade.ts_exch_ns
        row.trade_side[i] = trade.side
    fill_features(state, slot, row.features)
    return 1


@kernel
def fill_terms(state, symbol_id, dst):  # type: ignore[no-untyped-def]
    """Score contributions of a symbol into dst f8[2, N_TERMS] (long, short; see score.TERM_NAMES). Returns 1 or 0."""
    slot = slot_of_symbol(state.slot_of, state.trade, symbol_id)
    if slot < 0:
        return 0
    for side in range(2):
        for term in range(N_TERMS):
            dst[side, term] = state.terms[slot, side, term]
    return 1
