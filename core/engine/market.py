"""First three stages of the pipeline for one symbol: market data, microstructure, features."""

from __future__ import annotations

import numpy as np

from core.book.kernels import ABSENT, CROSSED, MALFORMED, OVERFLOW, apply_delta, apply_snapshot, is_crossed
from core.candles.kernels import add_trades
from core.constants import MAX_IDS
from core.engine.state import C_LEVEL_ERRORS, break_book, mark_dirty, put_log
from core.enums import DataReason, DataState, LogKind, Severity, WallFate
from core.features.kernels import (
    T_FUNDING_RATE,
    T_INDEX,
    T_LAST,
    T_MARK,
    T_NEXT_FUNDING,
    on_book,
    on_broken,
    on_liquidations,
    on_ticker,
    on_trades,
)
from core.features.moves import (
    moves_on_book,
    moves_on_broken,
    moves_on_liquidations,
    moves_on_news,
    moves_on_ticker,
    moves_on_trades,
)
from core.features.walls import walls_book, walls_broken, walls_trades
from core.features.walls_state import SAID_CANCELLED, SAID_EATEN, SAID_FATE, SAID_PEAK, SAID_PRICE, SAID_SIDE
from core.jit import kernel
from core.score.kernels import reset_score
from core.sim.desk_funding import funding_told
from core.tape.kernels import append

# numpy scalars: a plain int handed to a kernel is a literal type and would compile it again
ZERO, ONE = np.int64(0), np.int64(1)
NEWS_TEXT_BYTES = 24  # NEWS.text, the last three words of the record
_WARMUP, _OK, _STALE, _BROKEN = (
    int(DataState.WARMUP), int(DataState.OK), int(DataState.STALE), int(DataState.BROKEN),
)
_R_SNAPSHOT, _R_NONE = int(DataReason.SNAPSHOT), int(DataReason.NONE)
_R_CROSSED = np.int64(DataReason.CROSSED)
_LOG_DATA_STATE = np.int64(LogKind.DATA_STATE)
_LOG_WALL, _LOG_SPOOF = np.int64(LogKind.WALL), np.int64(LogKind.SPOOF)
_SPOOFING = int(WallFate.SPOOFING)
_LOG_NEWS = np.int64(LogKind.NEWS)
_INFO, _WARNING = np.int64(Severity.INFO), np.int64(Severity.WARNING)
_BAD_LEVELS = ABSENT | OVERFLOW | MALFORMED


@kernel
def slot_of_symbol(slot_of, trade, symbol_id):  # type: ignore[no-untyped-def]
    """Slot of a listed symbol, -1 = not here."""
    if symbol_id < 0 or symbol_id >= MAX_IDS:
        return np.int64(-1)
    slot = np.int64(slot_of[symbol_id])
    if slot >= 0 and trade[slot].active == 0:
        return np.int64(-1)
    return slot


@kernel
def quarantine(state, slot, reason, wish):  # type: ignore[no-untyped-def]
    """The book of the slot is not believed any more: book features and scores start over."""
    break_book(state.trade, slot, state.control, state.resync_wish, reason, wish)
    on_broken(state.features, slot)
    walls_broken(state.walls, slot)
    moves_on_broken(state.moves, slot)
    reset_score(state.trade, slot, state.signals, state.terms)


@kernel
def check_crossed(state, slot, ts_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """Quarantine a book that has been crossed for params.crossed_ns or longer. Returns n_logs."""
    row = state.trade[slot]
    if not is_crossed(state.book, slot):
        row.crossed_ns = 0
        return n_logs
    if row.crossed_ns == 0:
        row.crossed_ns = ts_ns
    since = row.crossed_ns
    if ts_ns - since < state.params[0].crossed_ns:
        return n_logs
    quarantine(state, slot, _R_CROSSED, ONE)
    return put_log(
        logs, n_logs, _LOG_DATA_STATE, _WARNING, np.int64(state.symbols[slot].id), ts_ns, seq,
        np.int64(_BROKEN), _R_CROSSED, ts_ns - since, ZERO, ZERO, ZERO, 0.0, 0.0,
    )


@kernel
def take_book(state, slot, levels, first, n_bids, n_asks, is_snapshot, ts_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """A snapshot or delta of the slot's book. Returns (1 when the book was changed and is believed, n_logs).

    A delta on a book that is not believed is dropped and counted: only a snapshot ends a quarantine. A delta on a STALE
    book ends the silence.
    """
    row = state.trade[slot]
    if is_snapshot:
        code = apply_snapshot(state.book, slot, levels, first, n_bids, n_asks)
        row.data_state = _OK
        row.data_reason = _R_SNAPSHOT
        row.crossed_ns = 0
    else:
        if row.data_state == _WARMUP or row.data_state == _BROKEN:
            row.ignored_deltas += 1
            return ZERO, n_logs
        code = apply_delta(state.book, slot, levels, first, n_bids, n_asks)
        if row.data_state == _STALE:
            row.data_state = _OK
            row.data_reason = _R_NONE
    if code & _BAD_LEVELS:
        state.control[C_LEVEL_ERRORS] += 1
    if code & CROSSED or row.crossed_ns != 0:
        n_logs = check_crossed(state, slot, ts_ns, seq, logs, n_logs)
        if row.data_state == _BROKEN:
            return ZERO, n_logs
    on_book(state.features, state.book, state.candles, slot, ts_ns, np.int64(is_snapshot))
    fresh = np.int64(is_snapshot or code & OVERFLOW != 0)
    walls_book(state.walls, state.book, slot, levels, first, n_bids, n_asks, fresh, ts_ns, state.params)
    moves_on_book(state.moves, state.features, slot, ts_ns, state.symbols, state.params)
    if state.walls.said_n[0] > 0:
        n_logs = tell_fates(state, slot, ts_ns, seq, logs, n_logs)
    return ONE, n_logs


@kernel
def tell_fates(state, slot, ts_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """Log the fates of walls that changed in the last call of core/features/walls. Returns n_logs."""
    walls = state.walls
    for i in range(walls.said_n[0]):
        row = walls.said[i]
        kind = _LOG_SPOOF if row[SAID_FATE] == _SPOOFING else _LOG_WALL
        n_logs = put_log(
            logs, n_logs, kind, _INFO, np.int64(state.symbols[slot].id), ts_ns, seq,
            row[SAID_FATE], row[SAID_SIDE], row[SAID_PRICE], row[SAID_PEAK], row[SAID_EATEN], row[SAID_CANCELLED],
            walls.said_x[i, 0], walls.said_x[i, 1],
        )
    walls.said_n[0] = 0
    return n_logs


@kernel
def take_trades(state, slot, trades, first, n, ts_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """Public trades of the slot. Returns n_logs."""
    append(state.tape, slot, trades, first, n)
    add_trades(state.candles, slot, ts_ns, trades, first, n)
    on_trades(state.features, state.candles, slot, ts_ns, trades, first, n)
    moves_on_trades(state.moves, state.features, slot, ts_ns, trades, first, n, state.symbols, state.params)
    last = state.tape.totals[slot].last_ticks
    if last > 0:
        state.trade[slot].last_ticks = last
    walls_trades(state.walls, state.book, slot, trades, first, n, ts_ns, state.params)
    if state.walls.said_n[0] > 0:
        n_logs = tell_fates(state, slot, ts_ns, seq, logs, n_logs)
    return n_logs


@kernel
def take_liquidations(state, slot, trades, first, n, ts_ns):  # type: ignore[no-untyped-def]
    """Liquidations of the slot."""
    on_liquidations(state.features, state.candles, slot, ts_ns, trades, first, n)
    moves_on_liquidations(state.moves, state.features, slot, ts_ns, trades, first, n, state.symbols, state.params)
    state.trade[slot].liquidation_ns = ts_ns


@kernel
def take_ticker(state, slot, cells, first, ts_ns, exch_ns):  # type: ignore[no-untyped-def]
    """Changed fields of the slot's ticker, sent at `exch_ns`."""
    on_ticker(state.features, state.candles, slot, ts_ns, cells, first)
    moves_on_ticker(state.moves, state.features, slot, ts_ns, state.symbols, state.params)
    row = state.trade[slot]
    ticker = state.features.ticker
    row.mark_e10 = ticker[slot, T_MARK]
    row.index_e10 = ticker[slot, T_INDEX]
    row.funding_rate_e10 = ticker[slot, T_FUNDING_RATE]
    funding_told(state.desk, slot, ticker[slot, T_NEXT_FUNDING], max(ts_ns, exch_ns))
    if row.last_ticks == 0:
        row.last_ticks = ticker[slot, T_LAST]


@kernel
def take_news(state, slot, cells, first, ts_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """A NEWS record about the slot's symbol, in cells[first]. Returns n_logs."""
    news_type, impact = cells[first, 0], cells[first, 1] / 100.0
    taken = moves_on_news(
        state.moves, slot, ts_ns, news_type, impact, cells[first, 2], cells[first, 3], cells[first, 4]
    )
    n_logs = put_log(
        logs, n_logs, _LOG_NEWS, _INFO, np.int64(state.symbols[slot].id), ts_ns, seq, news_type, np.int64(taken),
        ZERO, ZERO, ZERO, ZERO, impact, cells[first, 3] / 1e9,
    )
    for k in range(NEWS_TEXT_BYTES):
        logs[n_logs - 1].text[k] = (cells[first, 5 + k // 8] >> (8 * (k % 8))) & 0xFF
    return n_logs


@kernel
def take_data_state(state, slot, data_state, reason):  # type: ignore[no-untyped-def]
    """What the gateway says of the slot's data. It may end a silence, but only a snapshot ends a quarantine."""
    row = state.trade[slot]
    if data_state == _OK:
        if row.data_state != _STALE:
            return
    elif data_state != _STALE:
        on_broken(state.features, slot)
        walls_broken(state.walls, slot)
        moves_on_broken(state.moves, slot)
        reset_score(state.trade, slot, state.signals, state.terms)
        row.crossed_ns = 0
    elif row.data_state != _OK:
        return
    row.data_state = data_state
    row.data_reason = reason
    mark_dirty(state.trade, slot, state.control)
