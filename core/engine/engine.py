"""The pipeline of requirement A4, for every event, in this order (`step`):

    market data -> microstructure -> features -> regime -> score -> state machine -> local risk -> execution -> logs -> metrics

`run_batch` walks a batch of market-ring cells through it. It is a pure function of the state, the cells and the
reports: no clock, no chance, no order of dictionaries; cutting the same cells into other batches, running again, or
spreading the symbols over more engines gives the same messages and digests.

Reports take effect before the first event with ts_recv_ns >= effect_ns and at their own time; they move states but
never send. In paced mode (control[C_PACED]) an event that is not earlier than `message time + latency` of a message
without an answer is not stepped until the answer is in the buffer: P_BLOCKED. Of an answer, the later of its effect_ns
and that moment counts, so it can never be early for one event order and late for another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.book.kernels import book_digest
from core.engine.decide import apply_report, decide, send
from core.engine.entry import entry
from core.engine.market import quarantine as quarantine_book
from core.engine.market import (
    slot_of_symbol,
    take_book,
    take_data_state,
    take_liquidations,
    take_news,
    take_ticker,
    take_trades,
)
from core.engine.state import (
    APPLIED_NS,
    APPLIED_SEQ,
    C_BITS,
    C_BROKEN,
    C_CURSOR,
    C_DIRTY,
    C_FEED,
    C_GLOBAL,
    C_LAST_SEQ,
    C_LAST_TS,
    C_MATCHED,
    C_MONO,
    C_N_SLOTS,
    C_OUTSTANDING,
    C_PACED,
    C_RESYNCS,
    C_TRANSITIONS,
    C_UNKNOWN,
    OUT_DUE,
    OUT_SEQ,
    OUT_SYMBOL,
    EngineState,
    mark_dirty,
)
from core.engine.system import desk_flags, pay_funding, room, sweep, take_listing, take_params, take_profile
from core.enums import DataReason, EventKind
from core.jit import entry_kernel, kernel
from core.records import LEVEL, LEVELS_PER_CELL, TRADE, TRADES_PER_CELL
from core.sim.desk import MATCH_BOOK_CHANGED, desk_match

# progress, written on every call
P_OUT = 0  # messages in `out`
P_LOGS = 1  # rows in `logs`
P_REPORTS_USED = 2  # reports taken: drop so many from the front of the buffer
P_LAST_SEQ = 3  # seq of the last event fully handled (of the whole run)
P_LAST_TS = 4  # its ts_recv_ns
P_BLOCKED = 5  # NOT_BLOCKED, WAITING or NO_ROOM
P_EVENTS = 6  # events handled in this call
P_DECISIONS = 7  # state transitions in this call
P_END = 8  # seq of END once it was stepped, else 0
P_WATERMARK = 9  # everything up to this seq is handled as far as this engine is concerned
P_OUTSTANDING = 10  # messages without an answer (paced)
P_RESYNC = 11  # resync wishes raised in this call
P_DIRTY = 12  # symbols whose board row is out of date
P_UNKNOWN = 13  # events of unknown kind or symbol in this call
P_BROKEN = 14  # books this engine declared BROKEN in this call
P_MONO = 15  # mono_recv_ns of the last market event
P_WORDS = 16

NOT_BLOCKED, WAITING, NO_ROOM = 0, 1, 2
MIN_ROWS = 256  # of `out` and `logs`

_SNAPSHOT, _DELTA, _TRADES = int(EventKind.BOOK_SNAPSHOT), int(EventKind.BOOK_DELTA), int(EventKind.TRADES)
_TICKER, _KLINE, _BBO = int(EventKind.TICKER), int(EventKind.KLINE), int(EventKind.BBO)
_LIQUIDATION, _TIMER, _LISTING = int(EventKind.LIQUIDATION), int(EventKind.TIMER), int(EventKind.LISTING)
_DELISTING, _SYMBOL_DATA, _SHED = int(EventKind.DELISTING), int(EventKind.SYMBOL_DATA), int(EventKind.SHED)
_FEED, _CONFIG, _GLOBAL = int(EventKind.FEED), int(EventKind.CONFIG), int(EventKind.GLOBAL)
_CONTROL, _END, _NEWS = int(EventKind.CONTROL), int(EventKind.END), int(EventKind.NEWS)
_PROFILE = int(EventKind.PROFILE)
_R_SHED = np.int64(DataReason.SHED)
_CHANGED = np.int64(MATCH_BOOK_CHANGED)
ZERO = np.int64(0)


@kernel
def step(state, kind, slot, cells, levels, trades, at, out, n_out, logs, n_logs):  # type: ignore[no-untyped-def]
    """One event of one symbol through the whole pipeline. Returns (n_out, n_logs).

    cells[at]: its header; levels, trades: the same cells seen as LEVEL and TRADE records.
    """
    seq, ts_ns, mono_ns = cells[at, 0], cells[at, 2], cells[at, 3]
    n_bids, n_asks = cells[at, 7] & 0xFFFF, (cells[at, 7] >> 16) & 0xFFFF
    flags = ZERO
    first_trade, n_trades = ZERO, ZERO
    first_message = n_out

    # what the exchange settled before this event
    n_out = pay_funding(state, slot, max(ts_ns, cells[at, 1]), ts_ns, seq, mono_ns, out, n_out)

    # market data -> microstructure -> features
    if kind == _DELTA or kind == _SNAPSHOT:
        changed, n_logs = take_book(
            state, slot, levels, (at + 1) * LEVELS_PER_CELL, n_bids, n_asks, kind == _SNAPSHOT, ts_ns, seq, logs, n_logs
        )
        if changed != 0:
            flags |= _CHANGED
    elif kind == _TRADES:
        first_trade, n_trades = (at + 1) * TRADES_PER_CELL, n_bids
        n_logs = take_trades(state, slot, trades, first_trade, n_trades, ts_ns, seq, logs, n_logs)
    elif kind == _TICKER:
        take_ticker(state, slot, cells, at + 1, ts_ns, cells[at, 1])
    elif kind == _LIQUIDATION:
        take_liquidations(state, slot, trades, (at + 1) * TRADES_PER_CELL, n_bids, ts_ns)
    elif kind == _SYMBOL_DATA:
        take_data_state(state, slot, cells[at, 4], cells[at, 5])
    elif kind == _SHED:
        quarantine_book(state, slot, _R_SHED, ZERO)
    elif kind == _DELISTING:
        state.trade[slot].leaving = 1
    elif kind == _PROFILE:
        take_profile(state, slot, cells, at + 1)
    elif kind == _NEWS:
        n_logs = take_news(state, slot, cells, at + 1, ts_ns, seq, logs, n_logs)
    # BBO and KLINE change nothing: the book and our own candles know it

    # regime -> score -> state machine -> local risk
    n_out, n_logs = decide(state, slot, kind == _TIMER, ts_ns, seq, mono_ns, out, n_out, logs, n_logs)

    # execution: the paper desk sees the event after the decisions; then every message is accounted for
    n_out = desk_match(
        state.desk, slot, state.book, desk_flags(state.trade, slot) | flags, trades, first_trade, n_trades, ts_ns,
        state.symbols, slot, state.params, out, n_out, seq, ts_ns, mono_ns,
    )
    if n_out > first_message:
        send(state, slot, out, first_message, n_out)

    # logs were written where things happened; metrics
    row = state.trade[slot]
    row.touched = 1
    row.events += 1
    row.seq = seq
    row.ts_exch_ns = cells[at, 1]
    row.ts_recv_ns = ts_ns
    mark_dirty(state.trade, slot, state.control)
    return n_out, n_logs


@kernel
def step_system(state, kind, symbol_id, cells, trades, at, out, n_out, logs, n_logs):  # type: ignore[no-untyped-def]
    """An event for all symbols, or LISTING. Returns (n_out, n_logs); control[C_CURSOR] != 0: not finished, call again."""
    seq, ts_ns, mono_ns, u = cells[at, 0], cells[at, 2], cells[at, 3], cells[at, 4]
    control = state.control
    if kind == _LISTING:
        take_listing(state, symbol_id, cells, at + 1, ts_ns)
        return n_out, n_logs
    if kind == _END:
        for slot in range(control[C_N_SLOTS]):
            state.trade[slot].book_digest = book_digest(state.book, slot)
            mark_dirty(state.trade, slot, control)
        return n_out, n_logs
    if control[C_CURSOR] == 0:
        if kind == _CONFIG:
            take_params(state, cells, at + 1)
        elif kind == _FEED:
            control[C_FEED] = u
        elif kind == _CONTROL:
            control[C_BITS] = u
        elif kind == _GLOBAL:
            control[C_GLOBAL] = cells[at + 1, 0]
    return sweep(state, kind == _TIMER, trades, ts_ns, seq, mono_ns, out, n_out, logs, n_logs)


@kernel
def match_answers(state, reports, n_reports):  # type: ignore[no-untyped-def]
    """Tick off the messages the new reports answer, and make no answer effective before its message's due time."""
    control, outstanding = state.control, state.outstanding
    for i in range(control[C_MATCHED], n_reports):
        report = reports[i]
        n = control[C_OUTSTANDING]
        for k in range(n):
            if outstanding[k, OUT_SEQ] == report.seq and outstanding[k, OUT_SYMBOL] == report.symbol:
                report.effect_ns = max(report.effect_ns, outstanding[k, OUT_DUE])
                for j in range(k, n - 1):
                    for c in range(3):
                        outstanding[j, c] = outstanding[j + 1, c]
                control[C_OUTSTANDING] = n - 1
                break
    control[C_MATCHED] = n_reports


@kernel
def must_wait(state, ts_ns, is_end):  # type: ignore[no-untyped-def]
    """Paced: an answer that holds from ts_ns or earlier is missing. The END of a tape waits for all answers."""
    n = state.control[C_OUTSTANDING]
    if is_end:
        return n > 0
    for k in range(n):
        if state.outstanding[k, OUT_DUE] <= ts_ns:
            return True
    return False


@entry_kernel
def run_cells(state, cells, levels, trades, start, n_cells, reports, n_reports, out, logs, progress):  # type: ignore[no-untyped-def]
    """See `run_batch`."""
    control = state.control
    transitions, resyncs, unknown, broken = (
        control[C_TRANSITIONS], control[C_RESYNCS], control[C_UNKNOWN], control[C_BROKEN],
    )
    for k in range(P_WORDS):
        progress[k] = 0
    match_answers(state, reports, n_reports)
    n_out, n_logs, used, events = ZERO, ZERO, ZERO, ZERO
    blocked, waits_at = NOT_BLOCKED, ZERO
    at = start
    while at < n_cells:
        word = cells[at, 6]
        symbol_id = (word << 32) >> 32
        kind = (word >> 32) & 0xFF
        length = max((word >> 48) & 0xFFFF, 1)
        seq, ts_ns = cells[at, 0], cells[at, 2]

        if control[C_CURSOR] == 0:  # reports wait for the end of an interrupted sweep
            while used < n_reports and reports[used].effect_ns <= ts_ns:
                if not room(state, n_out, out, n_logs, logs) or used >= state.applied.shape[0]:
                    break
                slot = slot_of_symbol(state.slot_of, state.trade, np.int64(reports[used].symbol))
                when = reports[used].effect_ns if reports[used].effect_ns > 0 else control[C_LAST_TS]
                state.applied[used, APPLIED_SEQ] = seq
                state.applied[used, APPLIED_NS] = when
                if slot >= 0:
                    n_logs = apply_report(state, slot, reports, used, when, out, logs, n_logs)
                used += 1
            if control[C_PACED] != 0 and must_wait(state, ts_ns, kind == _END):
                blocked, waits_at = WAITING, seq
                break
        if not room(state, n_out, out, n_logs, logs) or used >= state.applied.shape[0]:
            blocked = NO_ROOM
            break

        of_symbol = kind == _SYMBOL_DATA or kind == _SHED or kind == _DELISTING or kind == _NEWS or kind == _PROFILE
        if kind < 16 or of_symbol:
            slot = slot_of_symbol(state.slot_of, state.trade, symbol_id)
            if slot < 0 or kind == 0 or kind > _BBO and kind < 16:
                control[C_UNKNOWN] += 1
            else:
                n_out, n_logs = step(
                    state, kind, slot, cells, levels, trades, at, out, n_out, logs, n_logs
                )
                control[C_MONO] = cells[at, 3]
        elif kind <= _END:
            n_out, n_logs = step_system(state, kind, symbol_id, cells, trades, at, out, n_out, logs, n_logs)
            if control[C_CURSOR] != 0:
                blocked = NO_ROOM
                break
            if kind == _END:
                progress[P_END] = seq
        else:
            control[C_UNKNOWN] += 1
        control[C_LAST_SEQ] = seq
        control[C_LAST_TS] = ts_ns
        events += 1
        at += length
    control[C_MATCHED] = n_reports - used
    progress[P_OUT] = n_out
    progress[P_LOGS] = n_logs
    progress[P_REPORTS_USED] = used
    progress[P_LAST_SEQ] = control[C_LAST_SEQ]
    progress[P_LAST_TS] = control[C_LAST_TS]
    progress[P_BLOCKED] = blocked
    progress[P_EVENTS] = events
    progress[P_DECISIONS] = control[C_TRANSITIONS] - transitions
    progress[P_WATERMARK] = waits_at - 1 if blocked == WAITING else control[C_LAST_SEQ]
    progress[P_OUTSTANDING] = control[C_OUTSTANDING]
    progress[P_RESYNC] = control[C_RESYNCS] - resyncs
    progress[P_DIRTY] = control[C_DIRTY]
    progress[P_UNKNOWN] = control[C_UNKNOWN] - unknown
    progress[P_BROKEN] = control[C_BROKEN] - broken
    progress[P_MONO] = control[C_MONO]
    return at


_views: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}


def _views_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(cells, as LEVEL records, as TRADE records); remembered, because a view costs more than an event."""
    views = _views.get(id(cells))
    if views is None or views[0] is not cells:
        if cells.dtype != np.int64 or cells.ndim != 2 or cells.shape[1] != 8 or not cells.flags.c_contiguous:
            raise ValueError(f"cells: int64[n, 8], C order expected, received {cells.dtype}{cells.shape}")
        if len(_views) >= 8:
            _views.clear()
        flat = cells.reshape(-1)
        views = _views[id(cells)] = (cells, flat.view(LEVEL.dtype), flat.view(TRADE.dtype))
    return views


def run_batch(
    state: EngineState,
    cells: np.ndarray,
    start: int,
    n_cells: int,
    reports: np.ndarray,
    n_reports: int,
    out: np.ndarray,
    logs: np.ndarray,
    progress: np.ndarray,
) -> int:
    """Walk the whole messages in cells[start:n_cells]; returns the index of the first cell not consumed.

    cells: int64[:, 8]. reports: REPORT[:], of which the first n_reports are received and unused, in arrival order; an
    answer's effect_ns may be raised in place. out: MESSAGE[:], logs: LOG[:], at least MIN_ROWS each, filled from row 0.
    progress: int64[16], see P_*. It stops early when `out` or `logs` might overflow (NO_ROOM: push them and call again)
    or, paced, when an answer is missing (WAITING: call again when reports came).
    """
    if out.shape[0] < MIN_ROWS or logs.shape[0] < MIN_ROWS:
        raise ValueError(f"out and logs: at least {MIN_ROWS} rows expected, received {out.shape[0]}, {logs.shape[0]}")
    _, levels, trades = _views_of(cells)
    run: Any = entry(run_cells)
    consumed = run(
        state, cells, levels, trades, int(start), int(n_cells), reports, int(n_reports), out, logs, progress
    )
    return int(consumed)
