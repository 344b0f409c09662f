"""Events that are not market data: listings, parameters, and the sweep over all symbols they and TIMER cause."""

from __future__ import annotations

import numpy as np

from core.book import kernels as book_kernels
from core.candles import kernels as candle_kernels
from core.constants import MAX_BATCH_ROWS, MAX_IDS, MAX_OUTSTANDING, SIZE_FULL
from core.engine.decide import decide, send
from core.engine.digest import TAG_FEATURES, fold, fold_row
from core.engine.manage import mark_position
from core.engine.market import check_crossed, tell_fates
from core.engine.state import (
    C_CURSOR,
    C_N_SLOTS,
    C_OUTSTANDING,
    C_REFUSED_LISTINGS,
    C_RESYNCS,
    mark_dirty,
)
from core.enums import DataReason, DataState, State
from core.features.kernels import configure, list_symbol, on_timer
from core.features.moves import configure_moves, list_moves, list_news, moves_on_timer
from core.features.walls import configure_walls, list_walls, walls_timer
from core.jit import kernel
from core.params import PARAMS_CELLS
from core.records import CELL_WORDS, SYMBOL
from core.score.kernels import reset_score
from core.sim.desk import MATCH_BOOK_OK, MATCH_NO_TAKER, desk_clear, desk_match
from core.sim.desk_funding import settle_funding
from core.tape import kernels as tape_kernels

ZERO = np.int64(0)
SYMBOL_CELLS = SYMBOL.size // 64
_W_TICK, _W_LOT = SYMBOL.dtype.fields["tick_mant"][1] // 8, SYMBOL.dtype.fields["lot_mant"][1] // 8  # type: ignore[index]
_W_EXP = SYMBOL.dtype.fields["price_exp"][1] // 8  # type: ignore[index]
_WARMUP, _OK = int(DataState.WARMUP), int(DataState.OK)
_R_NONE = int(DataReason.NONE)
_FLAT = int(State.FLAT)
_ORDER_PLACED = int(State.ORDER_PLACED)
_BOOK_OK, _BOOK_DARK, _NO_TAKER = np.int64(MATCH_BOOK_OK), np.int64(0), np.int64(MATCH_NO_TAKER)


@kernel
def desk_flags(trade, slot):  # type: ignore[no-untyped-def]
    """MATCH_BOOK_OK when the book of the slot may be believed; MATCH_NO_TAKER when its entry must not turn taker: a
    cancel is on its way, or the price has left the zone."""
    row = trade[slot]
    flags = _BOOK_OK if row.data_state == _OK and row.crossed_ns == 0 else _BOOK_DARK
    if row.cancel_ns != 0 or row.state == _ORDER_PLACED and row.zone_out_ns != 0:
        flags |= _NO_TAKER
    return flags


@kernel
def pay_funding(state, slot, now_ns, ts_ns, seq, mono_ns, out, n_out):  # type: ignore[no-untyped-def]
    """The funding settlement that is due for the slot at `now_ns`, if one is. Returns n_out."""
    row = state.trade[slot]
    return settle_funding(
        state.desk, slot, now_ns, row.mark_e10, row.funding_rate_e10, state.symbols, slot, out, n_out,
        (np.int64(state.symbols[slot].id), seq, ts_ns, mono_ns),
    )


@kernel
def take_params(state, cells, first):  # type: ignore[no-untyped-def]
    """CONFIG: the parameters in cells[first:] hold from this event on."""
    for c in range(PARAMS_CELLS):
        for w in range(CELL_WORDS):
            state.params_words[c * CELL_WORDS + w] = cells[first + c, w]
    configure_walls(state.walls, state.params, state.control[C_N_SLOTS])
    configure(state.features, state.params)
    configure_moves(state.moves, state.features, state.params)


@kernel
def take_profile(state, slot, cells, first):  # type: ignore[no-untyped-def]
    """PROFILE in cells[first]: effects of the slot's symbol profile from this event on (they outlive a relisting)."""
    row = state.trade[slot]
    row.profile_version = cells[first, 0]
    row.profile_raise = cells[first, 1] / 100.0
    row.profile_size = cells[first, 2] / SIZE_FULL
    row.profile_blacklisted = cells[first, 3]


@kernel
def _forget_data(state, slot, ts_ns):  # type: ignore[no-untyped-def]
    """Market data of the slot starts anew."""
    symbol = state.symbols[slot]
    book_kernels.clear(state.book, slot)
    tape_kernels.clear(state.tape, slot)
    candle_kernels.clear(state.candles, slot)
    list_symbol(state.features, slot, symbol.tick_size, symbol.lot_size, ts_ns)
    list_walls(state.walls, slot, symbol.tick_size, symbol.lot_size)
    list_moves(state.moves, slot, ts_ns)
    reset_score(state.trade, slot, state.signals, state.terms)
    row = state.trade[slot]
    row.data_state = _WARMUP
    row.data_reason = _R_NONE
    row.crossed_ns = 0
    row.last_ticks = 0


@kernel
def take_listing(state, symbol_id, cells, first, ts_ns):  # type: ignore[no-untyped-def]
    """LISTING: a symbol gets a slot, returns to its old one, or has its instrument record replaced.

    A changed tick or lot makes the old numbers mean something else: the data starts anew and a snapshot is wished for.
    """
    if symbol_id < 0 or symbol_id >= MAX_IDS:
        state.control[C_REFUSED_LISTINGS] += 1
        return
    slot = np.int64(state.slot_of[symbol_id])
    fresh = slot < 0
    if fresh:
        slot = state.control[C_N_SLOTS]
        if slot >= state.trade.shape[0]:
            state.control[C_REFUSED_LISTINGS] += 1
            return
        state.control[C_N_SLOTS] = slot + 1
        state.slot_of[symbol_id] = slot
    words = state.symbol_words
    same = True
    for c in range(SYMBOL_CELLS):
        for w in range(CELL_WORDS):
            k = c * CELL_WORDS + w
            value = cells[first + c, w]
            if (k == _W_TICK or k == _W_LOT or k == _W_EXP) and words[slot, k] != value:
                same = False
            words[slot, k] = value
    row = state.trade[slot]
    if row.profile_version == 0:
        row.profile_size = 1.0
    row.category = min(max(np.int64(state.symbols[slot].category), ZERO), np.int64(2))
    if fresh:
        row.digest = fold(np.uint64(0), np.int64(state.symbols[slot].name_hash))
    if fresh or row.active == 0 or not same:
        _forget_data(state, slot, ts_ns)
        if not same and not fresh:
            state.resync_wish[slot] += 1
            state.control[C_RESYNCS] += 1
    list_news(state.moves, slot, state.symbols, state.params, ts_ns, np.int64(fresh))
    row.active = 1
    row.leaving = 0
    mark_dirty(state.trade, slot, state.control)


@kernel
def _leave(state, slot):  # type: ignore[no-untyped-def]
    """A delisted symbol with nothing open and back in FLAT gives up its place."""
    row = state.trade[slot]
    row.active = 0
    row.gate = 0
    desk_clear(state.desk, slot)
    mark_dirty(state.trade, slot, state.control)


@kernel
def room(state, n_out, out, n_logs, logs):  # type: ignore[no-untyped-def]
    """True when one more event, or one more slot of a sweep, certainly fits."""
    return (
        out.shape[0] - n_out >= MAX_BATCH_ROWS
        and logs.shape[0] - n_logs >= MAX_BATCH_ROWS
        and state.control[C_OUTSTANDING] + MAX_BATCH_ROWS <= MAX_OUTSTANDING
    )


@kernel
def sweep(state, is_timer, trades, ts_ns, seq, mono_ns, out, n_out, logs, n_logs):  # type: ignore[no-untyped-def]
    """Every symbol, in slot order: time-driven features (TIMER only), decisions, desk, MARK.

    Stops before a slot for which there is no room and leaves its number in control[C_CURSOR]; called again with the
    same event it goes on there. Symbols do not influence each other, so where it was cut does not matter.
    Returns (n_out, n_logs).
    """
    control = state.control
    slots = control[C_N_SLOTS]
    slot = control[C_CURSOR]
    while slot < slots:
        if not room(state, n_out, out, n_logs, logs):
            control[C_CURSOR] = slot
            return n_out, n_logs
        row = state.trade[slot]
        if row.active != 0:
            first_message = n_out
            n_out = pay_funding(state, slot, ts_ns, ts_ns, seq, mono_ns, out, n_out)
            if is_timer:
                on_timer(state.features, state.candles, slot, ts_ns)
                moves_on_timer(state.moves, state.features, slot, ts_ns, state.symbols, state.params)
                if row.crossed_ns != 0:
                    n_logs = check_crossed(state, slot, ts_ns, seq, logs, n_logs)
                walls_timer(state.walls, state.book, slot, ts_ns, state.params)
                if state.walls.said_n[0] > 0:
                    n_logs = tell_fates(state, slot, ts_ns, seq, logs, n_logs)
                if row.touched != 0:
                    row.touched = 0
                    digest = fold(row.digest, np.int64(TAG_FEATURES))
                    digest = fold_row(digest, state.feature_words, slot)
                    digest = fold_row(digest, state.wall_words, slot)
                    row.digest = fold_row(digest, state.move_words, slot)
                    mark_dirty(state.trade, slot, control)
            n_out, n_logs = decide(state, slot, is_timer, ts_ns, seq, mono_ns, out, n_out, logs, n_logs)
            if state.desk.active[slot] != 0:
                n_out = desk_match(
                    state.desk, slot, state.book, desk_flags(state.trade, slot), trades, ZERO, ZERO, ts_ns,
                    state.symbols, slot, state.params, out, n_out, seq, ts_ns, mono_ns,
                )
            if is_timer:
                n_out = mark_position(state, slot, ts_ns, seq, mono_ns, out, n_out)
            if n_out > first_message:
                send(state, slot, out, first_message, n_out)
            if row.leaving != 0 and row.state == _FLAT and row.working == 0 and row.pending == 0:
                if row.position_lots == 0:
                    _leave(state, slot)
        slot += 1
    control[C_CURSOR] = 0
    return n_out, n_logs
