"""EngineState: everything a shard's engine knows, as a NamedTuple of arrays (one row per slot where not said otherwise).

A slot belongs to one symbol for the whole run: slots are given in order of LISTING and never reused, so that walking
slots upwards walks symbol ids upwards, which is the order messages of one event must have.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from core.book.kernels import DEFAULT_LEVELS, Book, new_book
from core.candles.kernels import Candles, new_candles
from core.constants import MAX_APPLIED, MAX_IDS, MAX_OUTSTANDING
from core.decision import DECISION, N_FUNNEL
from core.enums import DataState, FeedState
from core.features.kernels import FeatureState, new_features, on_broken
from core.features.moves import MovesState, moves_on_broken, new_moves
from core.features.walls import walls_broken
from core.features.walls_state import WallState, new_walls
from core.jit import kernel
from core.params import PARAMS
from core.records import SYMBOL
from core.score.kernels import reset_score
from core.score.terms import INPUTS, N_PENALTIES, N_SIGNALS, N_TERMS
from core.sim.desk import Desk, new_desk
from core.state.machine import compiled_table
from core.state.trade import TRADE_STATE
from core.tape.kernels import Tape, new_tape

# indices of EngineState.control
C_PACED = 0  # 1: wait for answers (see engine.run_batch)
C_N_SLOTS = 1  # slots in use
C_FEED = 2  # FeedState
C_BITS = 3  # ControlBits in force
C_GLOBAL = 4  # GlobalRegime
C_CURSOR = 5  # slot at which an interrupted sweep goes on
C_MATCHED = 6  # reports at the front of the buffer whose messages are already ticked off
C_OUTSTANDING = 7  # rows of `outstanding` in use
C_LAST_SEQ = 8
C_LAST_TS = 9
C_DIRTY = 10  # dirty slots
C_ROW_CURSOR = 11  # slot at which fill_rows goes on
C_UNKNOWN = 12  # events of unknown kind or symbol, so far
C_LEVEL_ERRORS = 13  # book calls that named absent levels or overflowed, so far
C_RESYNCS = 14  # resync wishes raised, so far
C_BROKEN = 15  # books the engine itself declared BROKEN, so far
C_TRANSITIONS = 16  # state transitions, so far
C_MONO = 17  # mono_recv_ns of the last own event
C_REPORTS = 18  # reports applied, so far
C_REFUSED_LISTINGS = 19  # LISTINGs that found no free slot
C_DECISIONS = 20  # rows of `decisions` in use
C_DECISIONS_LOST = 21  # records dropped because nobody took them
C_WORDS = 64

OUT_SEQ, OUT_SYMBOL, OUT_DUE = 0, 1, 2  # columns of EngineState.outstanding
APPLIED_SEQ, APPLIED_NS = 0, 1  # columns of EngineState.applied

MAX_DECISIONS = 256  # records kept until they are taken
N_PLAN = 8


class EngineState(NamedTuple):
    book: Book
    tape: Tape
    candles: Candles
    features: FeatureState
    walls: WallState
    moves: MovesState
    desk: Desk
    symbols: Any  # SYMBOL[cap]
    symbol_words: Any  # the same memory, int64[cap, words]
    trade: Any  # TRADE_STATE[cap]
    params: Any  # PARAMS[1]
    params_words: Any  # the same memory, int64[words]
    slot_of: Any  # int32[MAX_IDS]: symbol id -> slot, -1 = none
    control: Any  # int64[C_WORDS]
    outstanding: Any  # int64[MAX_OUTSTANDING, 3]: seq, symbol id, due_ns of messages without an answer (paced)
    applied: Any  # int64[MAX_APPLIED, 2]: per report of the last run_batch, the seq it was applied before, and its time
    resync_wish: Any  # int64[cap]: counter; a rise asks the gateway for a new snapshot
    signals: Any  # f8[cap, N_SIGNALS] smoothed score signals
    terms: Any  # f8[cap, 2, N_TERMS] score contributions, long and short
    feature_values: Any  # f8[cap, words]: the FEATURES rows as a matrix
    feature_words: Any  # uint64[cap, words]: the FEATURES rows as bits, for the digest
    wall_values: Any  # f8[cap, words]: the WALLS rows as a matrix
    wall_words: Any  # uint64[cap, words]: the WALLS rows as bits, for the digest
    move_values: Any  # f8[cap, words]: the MOVES rows as a matrix
    move_words: Any  # uint64[cap, words]: the MOVES rows as bits
    rows: Any  # int64[n, 4]: the compiled state table
    first: Any  # int64[states + 1]
    interest: Any  # int64[states]
    decisions: Any  # DECISION[MAX_DECISIONS]: see engine/decision.py
    funnel: Any  # int64[cap, N_FUNNEL]: see FUNNEL.looks
    raw: Any  # f8[N_SIGNALS] scratch
    shares: Any  # f8[N_PENALTIES] scratch
    inputs: Any  # INPUTS[1] scratch
    plan: Any  # int64[N_PLAN] scratch


def new_state(cap: int, levels: int = DEFAULT_LEVELS, paced: bool = False) -> EngineState:
    """An engine for `cap` symbols (ever). Nothing happens before a CONFIG event brought the parameters."""
    features = new_features(cap)
    walls = new_walls(cap)
    moves = new_moves(cap)
    symbols = np.zeros(cap, SYMBOL.dtype)
    params = np.zeros(1, PARAMS.dtype)
    control = np.zeros(C_WORDS, np.int64)
    control[C_PACED] = int(paced)
    control[C_FEED] = int(FeedState.DOWN)
    rows, first, interest = compiled_table()
    return EngineState(
        book=new_book(cap, levels),
        tape=new_tape(cap),
        candles=new_candles(cap),
        features=features,
        walls=walls,
        moves=moves,
        desk=new_desk(cap),
        symbols=symbols,
        symbol_words=symbols.view(np.int64).reshape(cap, -1),
        trade=np.zeros(cap, TRADE_STATE.dtype),
        params=params,
        params_words=params.view(np.int64),
        slot_of=np.full(MAX_IDS, -1, np.int32),
        control=control,
        outstanding=np.zeros((MAX_OUTSTANDING, 3), np.int64),
        applied=np.zeros((MAX_APPLIED, 2), np.int64),
        resync_wish=np.zeros(cap, np.int64),
        signals=np.full((cap, N_SIGNALS), np.nan),
        terms=np.full((cap, 2, N_TERMS), np.nan),
        feature_values=features.row.view(np.float64).reshape(cap, -1),
        feature_words=features.row.view(np.uint64).reshape(cap, -1),
        wall_values=walls.row.view(np.float64).reshape(cap, -1),
        wall_words=walls.row.view(np.uint64).reshape(cap, -1),
        move_values=moves.row.view(np.float64).reshape(cap, -1),
        move_words=moves.row.view(np.uint64).reshape(cap, -1),
        rows=rows,
        first=first,
        interest=interest,
        decisions=np.zeros(MAX_DECISIONS, DECISION.dtype),
        funnel=np.zeros((cap, N_FUNNEL), np.int64),
        raw=np.zeros(N_SIGNALS),
        shares=np.zeros(N_PENALTIES),
        inputs=np.zeros(1, INPUTS.dtype),
        plan=np.zeros(N_PLAN, np.int64),
    )


_BROKEN = int(DataState.BROKEN)


@kernel
def put_log(logs, n, kind, severity, symbol_id, ts_ns, seq, a, b, c, d, e, f, x, y):  # type: ignore[no-untyped-def]
    """Write row `n` of `logs` (LOG) and return n + 1. Text is left empty; the shard fills in its process row."""
    row = logs[n]
    row.ts_ns = ts_ns
    row.seq = seq
    row.a = a
    row.b = b
    row.c = c
    row.d = d
    row.e = e
    row.f = f
    row.x = x
    row.y = y
    row.symbol = symbol_id
    row.kind = kind
    row.severity = severity
    row.process = 0
    for k in range(row.text.shape[0]):
        row.text[k] = 0
    return n + 1


@kernel
def mark_dirty(trade, slot, control):  # type: ignore[no-untyped-def]
    """The board row of the slot is out of date."""
    if trade[slot].dirty == 0:
        trade[slot].dirty = 1
        control[C_DIRTY] += 1


@kernel
def break_book(trade, slot, control, resync_wish, reason, wish):  # type: ignore[no-untyped-def]
    """Quarantine: no entries until the next snapshot; exits stay possible. wish != 0 asks for that snapshot."""
    trade[slot].data_state = _BROKEN
    trade[slot].data_reason = reason
    trade[slot].crossed_ns = 0
    control[C_BROKEN] += 1
    mark_dirty(trade, slot, control)
    if wish != 0:
        resync_wish[slot] += 1
        control[C_RESYNCS] += 1


@kernel
def mark_all_broken(state, reason, ts_ns, seq, wish):  # type: ignore[no-untyped-def]
    """Every listed symbol's book -> BROKEN(reason): the reader was lapped after event `seq` at ts_ns, or restarted.

    wish != 0 asks for new snapshots. Returns how many books. Not for paced runs: nothing is ever lost there.
    """
    n = 0
    for slot in range(state.control[C_N_SLOTS]):
        if state.trade[slot].active != 0:
            break_book(state.trade, slot, state.control, state.resync_wish, reason, wish)
            on_broken(state.features, slot)
            walls_broken(state.walls, slot)
            moves_on_broken(state.moves, slot)
            reset_score(state.trade, slot, state.signals, state.terms)
            state.trade[slot].seq = seq
            state.trade[slot].ts_recv_ns = ts_ns
            n += 1
    return n
