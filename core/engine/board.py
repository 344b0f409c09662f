"""What the pages see: SYMBOL_ROW of changed symbols, and DETAIL of the few symbols somebody looks at.

Kernels fill record arrays given by the caller; the engine never knows where they live.
"""

from __future__ import annotations

import math

import numpy as np

from core.book.kernels import ASKS, BIDS, best
from core.candles.kernels import CANDLE_1S, CANDLE_5S, CANDLE_15S, KEPT
from core.constants import NS_PER_S
from core.detail import DETAIL_CANDLES, DETAIL_LEVELS, DETAIL_TRADES, DETAIL_WALLS
from core.engine.market import slot_of_symbol
from core.engine.state import C_DIRTY, C_N_SLOTS, C_ROW_CURSOR
from core.features.moves_records import MOVE_NAMES
from core.features.records import FEATURE_NAMES
from core.features.walls_records import WALLS
from core.features.walls_state import WATCHED
from core.jit import kernel
from core.tape.kernels import TAPE_LENGTH

LIQUIDATION_SHOWN_NS = 10 * NS_PER_S
FLAG_WALL, FLAG_SPOOF, FLAG_NEWS, FLAG_LIQUIDATIONS = 1, 2, 4, 8
SPOOF_SHOWN = 50.0  # SpoofingScore from which a symbol is marked: about one fresh case
DETAIL_SERIES = (CANDLE_1S, CANDLE_5S, CANDLE_15S)  # DETAIL_INTERVALS_S as indices of the candle store
N_FEATURES, N_WALLS, N_MOVES = len(FEATURE_NAMES), len(WALLS.fields), len(MOVE_NAMES)


@kernel
def _e2(value):  # type: ignore[no-untyped-def]
    """A score as 1e-2 integer; nan is 0."""
    return 0 if math.isnan(value) else int(math.floor(value * 100.0 + 0.5))


@kernel
def _fill_row(state, slot, dst, k):  # type: ignore[no-untyped-def]
    trade = state.trade[slot]
    feature = state.features.row[slot]
    move = state.moves.row[slot]
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
    if move.news_impact > 0.0:
        flags |= FLAG_NEWS
    if trade.liquidation_ns != 0 and trade.ts_recv_ns - trade.liquidation_ns < LIQUIDATION_SHOWN_NS:
        flags |= FLAG_LIQUIDATIONS
    walls = state.walls.row[slot]
    if walls.wall_bid_x > 0.0 or walls.wall_ask_x > 0.0:
        flags |= FLAG_WALL
    if walls.spoof >= SPOOF_SHOWN:
        flags |= FLAG_SPOOF
    row.flags = flags
    row.score_long_e2 = _e2(trade.score_long)
    row.score_short_e2 = _e2(trade.score_short)
    row.watch_e2 = _e2(trade.watch)
    row.arm_e2 = _e2(trade.arm)
    row.spoof_e2 = _e2(walls.spoof)
    row.wall_support_e2 = _e2(walls.wall_support)
    row.wall_resistance_e2 = _e2(walls.wall_resistance)
    row.news_e2 = _e2(move.news_impact)
    row.volatility_e2 = _e2(move.volatility)
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
    row.mark_ticks = 0 if math.isnan(feature.mark) else int(math.floor(feature.mark / symbol.tick_size + 0.5))


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
    for k in range(N_WALLS):
        dst[N_FEATURES + k] = state.wall_values[slot, k]
    for k in range(N_MOVES):
        dst[N_FEATURES + N_WALLS + k] = state.move_values[slot, k]


@kernel
def _fill_walls(state, slot, row):  # type: ignore[no-untyped-def]
    """The standing walls nearest the touch, at most DETAIL_WALLS a side."""
    walls = state.walls
    average = walls.track[slot].average_lots
    for side in range(2):
        sign = 2 * side - 1
        n = 0
        last = -0x7FFF_FFFF_FFFF_FFFF
        for _ in range(DETAIL_WALLS):
            found = -1
            for k in range(WATCHED):
                w = walls.watch[slot, side, k]
                if w.wall == 0 or w.ended_ns != 0 or sign * walls.price[slot, side, k] <= last:
                    continue
                if found < 0 or sign * walls.price[slot, side, k] < sign * walls.price[slot, side, found]:
                    found = k
            if found < 0:
                break
            w = walls.watch[slot, side, found]
            last = sign * walls.price[slot, side, found]
            row.wall_ticks[side, n] = walls.price[slot, side, found]
            row.wall_lots[side, n] = w.lots
            row.wall_fate[side, n] = w.fate
            row.wall_x[side, n] = np.float64(w.lots) / average
            row.wall_age_s[side, n] = max(state.trade[slot].ts_recv_ns - w.since_ns, 0) / 1e9
            n += 1
        row.n_walls[side] = n


@kernel
def fill_detail(state, symbol_id, dst, k):  # type: ignore[no-untyped-def]
    """DETAIL of a symbol into dst[k]: ladder, walls, candles, trades, features. Returns 1, or 0 when it is not here."""
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
    for series, interval in enumerate(DETAIL_SERIES):
        newest = candles.last[slot, interval]
        n = np.int64(0)
        if newest >= 0:
            n = min(newest - candles.first[slot, interval] + 1, np.int64(min(DETAIL_CANDLES, KEPT)))
        row.n_candles[series] = n
        for i in range(n):
            candle = candles.candle[slot, interval, (newest - n + 1 + i) & (KEPT - 1)]
            row.candle_start_ns[series, i] = candle.start_ns
            row.candle_open_ticks[series, i] = candle.open
            row.candle_high_ticks[series, i] = candle.high
            row.candle_low_ticks[series, i] = candle.low
            row.candle_close_ticks[series, i] = candle.close
            row.candle_volume_lots[series, i] = candle.buy_lots + candle.sell_lots
            row.candle_delta_lots[series, i] = candle.buy_lots - candle.sell_lots
    count = state.tape.count[slot]
    n = min(count, np.int64(min(DETAIL_TRADES, TAPE_LENGTH)))
    row.n_trades = n
    for i in range(n):
        trade = state.tape.trades[slot, (count - 1 - i) & (TAPE_LENGTH - 1)]
        row.trade_ticks[i] = trade.price_ticks
        row.trade_lots[i] = trade.qty_lots
        row.trade_ts_ns[i] = trade.ts_exch_ns
        row.trade_side[i] = trade.side
    _fill_walls(state, slot, row)
    fill_features(state, slot, row.features)
    return 1
