"""Later stages of the pipeline for one symbol: regime, score, state machine, local risk, the messages that follow."""

from __future__ import annotations

import math

import numpy as np

from core.book.kernels import ASKS, BIDS, best
from core.constants import SIZE_FULL
from core.decision import FUNNEL_ACCEPTED
from core.engine.decision import decision_due, record_decision
from core.engine.digest import TAG_MESSAGE, TAG_REGIME, TAG_REPORT, TAG_STATE, fold
from core.engine.gate_list import FIRST_SIGNAL_GATE, GATE_CODES, GATES, N_GATES
from core.engine.gates import first_shut, side_agrees
from core.engine.inputs import gather_inputs
from core.engine.manage import dust, manage_position, own_walls, picture
from core.engine.messages import put_message
from core.engine.state import (
    C_BITS,
    C_FEED,
    C_GLOBAL,
    C_OUTSTANDING,
    C_PACED,
    C_REPORTS,
    C_TRANSITIONS,
    OUT_DUE,
    OUT_SEQ,
    OUT_SYMBOL,
    mark_dirty,
    put_log,
)
from core.enums import (
    Cause,
    DataState,
    Gate,
    LogKind,
    MessageKind,
    OrderRole,
    Pump,
    ReportKind,
    Severity,
    SignalPhase,
    State,
)
from core.features.costs import round_trip_fee_bps
from core.jit import kernel
from core.regime.kernels import update_regime
from core.regime.pump import strongest
from core.score.kernels import raw_signals, reset_score, update_score
from core.sim.desk import desk_report
from core.state.kernels import B_REJECTED, conditions, find_row, plan_entry, take_report
from core.state.machine import ROW_ACTION, ROW_CAUSE, ROW_TO, Action
from core.state.zone import clear_zone, follow_zone, make_zone

ZERO = np.int64(0)
MAX_MOVES = 4  # transitions of one symbol at one event: FLAT, WATCHING, ARMED, ORDER_PLACED

_OK = int(DataState.OK)
_P_DUMP = int(Pump.DUMP)
_FLAT, _WATCHING_LONG, _WATCHING_SHORT = int(State.FLAT), int(State.WATCHING_LONG), int(State.WATCHING_SHORT)
_ARMED_LONG, _ARMED_SHORT, _COOLDOWN = int(State.ARMED_LONG), int(State.ARMED_SHORT), int(State.COOLDOWN)
_START_SIGNAL, _ENTER, _CANCEL = int(Action.START_SIGNAL), int(Action.ENTER), int(Action.CANCEL)
_EXIT, _START_COOLDOWN = int(Action.EXIT), int(Action.START_COOLDOWN)
_ORDER_PLACED = int(State.ORDER_PLACED)
_AT_MIN_MOVE = GATES.index(Gate.MIN_MOVE)
_G_COOLDOWN, _G_ATTEMPTS = int(Gate.COOLDOWN), int(Gate.ATTEMPTS)
_CAUSE_ARMED, _CAUSE_FILLED = int(Cause.ARMED), int(Cause.FILLED)
_P_READY, _P_EXECUTING = np.int64(SignalPhase.READY), np.int64(SignalPhase.EXECUTING)
_P_EXECUTED, _P_FAILED = np.int64(SignalPhase.EXECUTED), np.int64(SignalPhase.FAILED)
_P_COOLDOWN, _P_ATTEMPTS = np.int64(SignalPhase.COOLDOWN_ACTIVE), np.int64(SignalPhase.MAX_ATTEMPTS)
_P_ZONE_MOVED = np.int64(SignalPhase.ZONE_MOVED)
_M_ENTER, _M_CANCEL = np.int64(MessageKind.ENTER), np.int64(MessageKind.CANCEL)
_M_EXIT, _M_MARK = np.int64(MessageKind.EXIT), int(MessageKind.MARK)
_M_FILL, _M_DONE = int(MessageKind.FILL), int(MessageKind.DONE)
_ROLE_ENTRY = int(OrderRole.ENTRY)
_ACCEPTED = int(ReportKind.ACCEPTED)
_LOG_STATE, _LOG_SIGNAL = np.int64(LogKind.STATE), np.int64(LogKind.SIGNAL)
_LOG_PUMP, _LOG_REGIME = np.int64(LogKind.PUMP), np.int64(LogKind.REGIME)
_DEBUG, _INFO = np.int64(Severity.DEBUG), np.int64(Severity.INFO)


@kernel
def fold_state(trade, slot, tag, a, b, c, ts_ns):  # type: ignore[no-untyped-def]
    """Take a tagged triple and its event time into the digest of the slot."""
    digest = fold(trade[slot].digest, np.int64(tag))
    digest = fold(digest, np.int64(a))
    digest = fold(digest, np.int64(b))
    digest = fold(digest, np.int64(c))
    trade[slot].digest = fold(digest, ts_ns)


@kernel
def log_signal(state, slot, phase, gate, now_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """A SIGNAL line of the slot (SignalPhase); price, stop and target from `state.plan`. Returns n_logs."""
    row = state.trade[slot]
    score = max(row.score_long, row.score_short)
    if row.side != 0:
        score = row.score_long if row.side > 0 else row.score_short
    planned = phase == _P_EXECUTING
    return put_log(
        logs, n_logs, _LOG_SIGNAL, _INFO, np.int64(state.symbols[slot].id), now_ns, seq, row.side,
        state.plan[0] if planned else ZERO, state.plan[1] if planned else ZERO, state.plan[2] if planned else ZERO,
        np.int64(math.floor(score * 100.0 + 0.5)), phase, float(row.attempts), float(gate),
    )


@kernel
def _hex_text(row, digest):  # type: ignore[no-untyped-def]
    """The digest as 16 hex digits into row.text."""
    for k in range(16):
        nibble = np.int64((digest >> np.uint64(60 - 4 * k)) & np.uint64(15))
        row.text[k] = nibble + (48 if nibble < 10 else 87)


@kernel
def transition(state, slot, at, now_ns, seq, mono_ns, out, n_out, logs, n_logs):  # type: ignore[no-untyped-def]
    """Fire row `at` of the table: move, act, log, digest. Returns (n_out, n_logs). `state.plan` holds the entry plan."""
    trade = state.trade
    row = trade[slot]
    before = row.state
    to = state.rows[at, ROW_TO]
    cause = state.rows[at, ROW_CAUSE]
    action = state.rows[at, ROW_ACTION]
    symbol_id = np.int64(state.symbols[slot].id)
    tried = row.attempts > 0 and row.order_id != 0
    row.state = to
    if to != before:
        row.since_ns = now_ns
        row.cause = cause
    if to == _FLAT or to == _COOLDOWN:
        row.side = 0
        row.signal_ns = 0
        row.attempts = 0
        clear_zone(trade, slot)
    if action == _START_SIGNAL:
        row.side = 1 if to == _WATCHING_LONG else -1
        row.signal_ns = now_ns
        row.attempts = 0
        clear_zone(trade, slot)
    elif action == _START_COOLDOWN:
        row.cooldown_until_ns = now_ns + (state.params[0].cooldown_ns if tried else state.params[0].rest_ns)
    elif action == _ENTER:
        side = row.side
        score = row.score_long if side > 0 else row.score_short
        n_out = put_message(out, n_out, _M_ENTER, symbol_id, seq, now_ns, mono_ns, seq, ZERO, side, cause)
        message = out[n_out - 1]
        message.price_ticks = state.plan[0]
        message.stop_ticks = state.plan[1]
        message.target_ticks = state.plan[2]
        message.target2_ticks = state.plan[3]
        message.target3_ticks = state.plan[4]
        message.target_lots = state.params[0].tp_share_e4[0]
        message.target2_lots = state.params[0].tp_share_e4[1]
        message.target3_lots = state.params[0].tp_share_e4[2]
        message.zone_min_ticks = row.zone_min_ticks
        message.zone_max_ticks = row.zone_max_ticks
        message.qty_lots = int(math.floor(row.profile_size * SIZE_FULL + 0.5))
        message.score_e2 = int(math.floor(score * 100.0 + 0.5))
        row.attempts += 1
        row.working = 1
        row.entry_leaves = -1
        row.cancel_ns = 0
        row.exit_ns = 0
        row.order_id = 0
        row.decision_id = seq
        row.stop_ticks = state.plan[1]
        row.entry_wall = own_walls(state, slot)
        n_logs = log_signal(state, slot, _P_EXECUTING, ZERO, now_ns, seq, logs, n_logs)
    elif action == _CANCEL:
        if row.working != 0 and row.cancel_ns == 0:
            n_out = put_message(
                out, n_out, _M_CANCEL, symbol_id, seq, now_ns, mono_ns, row.decision_id, row.order_id, row.side, cause
            )
            row.cancel_ns = now_ns
    elif action == _EXIT:
        n_out = put_message(
            out, n_out, _M_EXIT, symbol_id, seq, now_ns, mono_ns, row.decision_id, row.order_id, row.side, cause
        )
        row.exit_ns = now_ns
    fold_state(trade, slot, TAG_STATE, before, to, cause, now_ns)
    state.control[C_TRANSITIONS] += 1
    mark_dirty(trade, slot, state.control)
    bid, _ = best(state.book, slot, BIDS)
    ask, _ = best(state.book, slot, ASKS)
    severity = _INFO if to >= _ARMED_LONG or before >= _ARMED_LONG else _DEBUG
    n_logs = put_log(
        logs, n_logs, _LOG_STATE, severity, symbol_id, now_ns, seq, before, to, cause,
        np.int64(math.floor(row.score_long * 100.0 + 0.5)), np.int64(math.floor(row.score_short * 100.0 + 0.5)),
        (bid + ask) // 2, state.features.row[slot].spread_bps, row.flow,
    )
    _hex_text(logs[n_logs - 1], row.digest)
    if cause == _CAUSE_ARMED:
        n_logs = log_signal(state, slot, _P_READY, ZERO, now_ns, seq, logs, n_logs)
    elif cause == _CAUSE_FILLED:
        n_logs = log_signal(state, slot, _P_EXECUTED, ZERO, now_ns, seq, logs, n_logs)
    return n_out, n_logs


@kernel
def update_regime_stage(state, slot, now_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """Stage 'regime'. Returns n_logs."""
    row = state.trade[slot]
    feature = state.features.row[slot]
    move = state.moves.row[slot]
    pump, regime = row.pump, row.regime
    walls = state.walls.row[slot]
    fired, changed = update_regime(state.trade, slot, feature, move, walls.thinning, walls.spoof, now_ns, state.params)
    if fired < 0 and changed == 0:
        return n_logs
    symbol_id = np.int64(state.symbols[slot].id)
    fold_state(state.trade, slot, TAG_REGIME, row.pump, row.regime, ZERO, now_ns)
    mark_dirty(state.trade, slot, state.control)
    if fired >= 0:
        sign = -1.0 if row.pump == _P_DUMP else 1.0
        strength = strongest(
            move.change_5s_pct, move.change_15s_pct, feature.change_1m_pct, move.change_5m_pct, sign, state.params
        )
        n_logs = put_log(
            logs, n_logs, _LOG_PUMP, _INFO, symbol_id, now_ns, seq, pump, row.pump, np.int64(fired), ZERO, ZERO, ZERO,
            strength, feature.volume_surge,
        )
    if changed != 0:
        n_logs = put_log(
            logs, n_logs, _LOG_REGIME, _INFO, symbol_id, now_ns, seq, regime, row.regime, ZERO, ZERO, ZERO, ZERO,
            move.news_impact, feature.volume_surge,
        )
    return n_logs


@kernel
def update_score_stage(state, slot, now_ns):  # type: ignore[no-untyped-def]
    """Stage 'score': thresholds in force, inputs, both scores."""
    row = state.trade[slot]
    par = state.params[0]
    row.watch = par.watch[row.category] + row.profile_raise
    row.arm = par.arm[row.category] + row.profile_raise
    gather_inputs(state, slot)
    if row.warm == 0 or row.data_state != _OK:
        if row.score_ns != 0:
            reset_score(state.trade, slot, state.signals, state.terms)
        return
    raw_signals(state.raw, state.inputs, state.params)
    update_score(
        state.trade, slot, state.signals, state.terms, state.raw, state.shares, state.inputs, now_ns, state.params
    )


@kernel
def update_zone_stage(state, slot, now_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """Fast track (requirement C1): keep the entry zone of an armed or placed signal against the price. Returns n_logs."""
    row = state.trade[slot]
    if row.state != _ARMED_LONG and row.state != _ARMED_SHORT and row.state != _ORDER_PLACED:
        return n_logs
    bid, _ = best(state.book, slot, BIDS)
    ask, _ = best(state.book, slot, ASKS)
    if bid == 0 or ask == 0 or row.data_state != _OK:
        return n_logs
    x = state.inputs[0]
    wall_bps = x.wall_bid_bps if row.side > 0 else x.wall_ask_bps
    fresh = row.zone_ideal_ticks == 0
    if not fresh:
        if not follow_zone(state.trade, slot, bid if row.side > 0 else ask, now_ns, state.params):
            return n_logs
        if row.state == _ORDER_PLACED:
            return n_logs
        row.nudges += 1
        if row.nudges > state.params[0].zone_nudges:
            return n_logs
        n_logs = log_signal(state, slot, _P_ZONE_MOVED, ZERO, now_ns, seq, logs, n_logs)
    make_zone(state.trade, slot, bid, ask, wall_bps, x.spread_bps, x.atr_bps, state.params)
    return n_logs


@kernel
def plan_of(state, slot, side):  # type: ignore[no-untyped-def]
    """Entry plan of a side into `state.plan`; plan[0] is 0 when there is none. Returns 1 or 0."""
    state.plan[0] = 0
    if side == 0:
        return 0
    bid, _ = best(state.book, slot, BIDS)
    ask, _ = best(state.book, slot, ASKS)
    fees_bps = round_trip_fee_bps(state.symbols, slot, state.params)
    return plan_entry(side, bid, ask, state.inputs[0].atr_bps, fees_bps, state.plan, state.params)


@kernel
def tell_gate(state, slot, gate, now_ns, seq, logs, n_logs):  # type: ignore[no-untyped-def]
    """A line when a cooldown or the attempts begin to hold back a score that would arm (requirement C6). Returns n_logs."""
    row = state.trade[slot]
    if row.gate == gate or max(row.score_long, row.score_short) < row.arm:
        return n_logs
    if gate == _G_COOLDOWN:
        return log_signal(state, slot, _P_COOLDOWN, ZERO, now_ns, seq, logs, n_logs)
    if gate == _G_ATTEMPTS:
        return log_signal(state, slot, _P_ATTEMPTS, ZERO, now_ns, seq, logs, n_logs)
    return n_logs


@kernel
def decide(state, slot, is_look, now_ns, seq, mono_ns, out, n_out, logs, n_logs):  # type: ignore[no-untyped-def]
    """Stages regime, score, state machine and local risk of one symbol at one event. Returns (n_out, n_logs).

    is_look: count this evaluation in the funnel (TIMERs: every symbol is looked at equally often).
    """
    trade = state.trade
    row = trade[slot]
    feature = state.features.row[slot]
    row.warm = 1 if feature.warm == 1.0 and feature.mid > 0.0 and feature.atr_1s_bps >= 0.0 else 0

    n_logs = update_regime_stage(state, slot, now_ns, seq, logs, n_logs)
    update_score_stage(state, slot, now_ns)

    feed, bits, global_regime = state.control[C_FEED], state.control[C_BITS], state.control[C_GLOBAL]
    entered, moved = False, False
    gate, side = ZERO, ZERO
    for turn in range(MAX_MOVES + 1):
        n_logs = update_zone_stage(state, slot, now_ns, seq, logs, n_logs)
        shut = first_shut(state, slot, now_ns)
        state.plan[0] = 0
        if shut == N_GATES and (row.state == _ARMED_LONG or row.state == _ARMED_SHORT):
            if plan_of(state, slot, row.side) == 0:
                shut = _AT_MIN_MOVE
        found_gate = np.int64(GATE_CODES[shut]) if shut < N_GATES else ZERO
        if turn == 0 and is_look:
            state.funnel[slot, found_gate] += 1
        if not entered:  # after the order the gates say "order working": the record tells why it went out
            gate, side = found_gate, row.side
            n_logs = tell_gate(state, slot, found_gate, now_ns, seq, logs, n_logs)
        row.gate = found_gate
        watching = row.state == _WATCHING_LONG or row.state == _WATCHING_SHORT  # nobody else asks
        agrees = watching and side_agrees(state, slot, now_ns)
        seen = ZERO
        if row.state == _ORDER_PLACED:
            seen = np.int64(picture(state, slot))
        elif row.position_lots != 0:
            seen = np.int64(dust(state, slot))
        found = conditions(
            trade, slot, shut == N_GATES, shut >= FIRST_SIGNAL_GATE, agrees, seen, feed, bits, global_regime, now_ns,
            state.params,
        )
        at = find_row(state.rows, state.first, state.interest, row.state, found)
        if at < 0:
            break
        moved = moved or state.rows[at, ROW_TO] != row.state
        if state.rows[at, ROW_ACTION] == _ENTER:
            entered = True
        n_out, n_logs = transition(state, slot, at, now_ns, seq, mono_ns, out, n_out, logs, n_logs)
    if row.position_lots != 0:
        n_out, n_logs = manage_position(state, slot, now_ns, seq, mono_ns, out, n_out, logs, n_logs)
    if decision_due(state, slot, gate, moved, now_ns):
        if side == 0:
            side = row.side
        if side == 0:
            side = np.int64(1) if row.score_long >= row.score_short else np.int64(-1)
        plan_of(state, slot, side)
        record_decision(state, slot, gate, entered, side, now_ns, seq)
    return n_out, n_logs


@kernel
def send(state, slot, out, first, n_out):  # type: ignore[no-untyped-def]
    """Account for the messages out[first:n_out] of the slot: digest, answers awaited, what the desk told of the entry."""
    row = state.trade[slot]
    digest = row.digest
    for k in range(first, n_out):
        message = out[k]
        kind = np.int64(message.kind)
        digest = fold(digest, np.int64(TAG_MESSAGE))
        digest = fold(digest, kind)
        digest = fold(digest, message.ts_event_ns)
        digest = fold(digest, message.price_ticks)
        digest = fold(digest, message.qty_lots)
        digest = fold(digest, message.stop_ticks)
        digest = fold(digest, message.target_ticks)
        digest = fold(digest, message.zone_min_ticks)
        digest = fold(digest, message.zone_max_ticks)
        digest = fold(digest, message.fee_e8)
        digest = fold(digest, np.int64(message.side) * 65536 + np.int64(message.role) * 256 + np.int64(message.is_maker))
        digest = fold(digest, np.int64(message.score_e2))
        digest = fold(digest, np.int64(message.reason))
        digest = fold(digest, message.leaves_lots)
        digest = fold(digest, message.target2_ticks)
        digest = fold(digest, message.target3_ticks)
        digest = fold(digest, message.target_lots)
        digest = fold(digest, message.target2_lots)
        digest = fold(digest, message.target3_lots)
        digest = fold(digest, message.rung)
        if kind == _M_FILL and message.role == _ROLE_ENTRY:
            row.entry_leaves = message.leaves_lots
        elif kind == _M_DONE and message.decision_id == row.decision_id:
            row.entry_leaves = 0
        if kind != _M_MARK:
            row.pending += 1
            if state.control[C_PACED] != 0:
                n = state.control[C_OUTSTANDING]
                state.outstanding[n, OUT_SEQ] = message.seq
                state.outstanding[n, OUT_SYMBOL] = message.symbol
                state.outstanding[n, OUT_DUE] = message.ts_event_ns + state.params[0].latency_ns
                state.control[C_OUTSTANDING] = n + 1
    row.digest = digest


@kernel
def apply_report(state, slot, reports, i, now_ns, out, logs, n_logs):  # type: ignore[no-untyped-def]
    """Take report `i` for the slot at its own time: desk, trade state, state machine. Sends no message. Returns n_logs."""
    report = reports[i]
    row = state.trade[slot]
    desk_report(state.desk, slot, reports, i, now_ns, state.params)
    if report.seq != 0 and row.pending > 0:
        row.pending -= 1
    digest = fold(row.digest, np.int64(TAG_REPORT))
    digest = fold(digest, np.int64(report.kind))
    digest = fold(digest, now_ns)
    digest = fold(digest, report.price_ticks)
    digest = fold(digest, report.qty_lots)
    digest = fold(digest, report.entry_value_e8)
    digest = fold(digest, report.realised_e8)
    digest = fold(digest, report.stop_ticks)
    digest = fold(digest, report.target_ticks)
    digest = fold(digest, report.target2_ticks)
    digest = fold(digest, report.target3_ticks)
    row.digest = fold(digest, np.int64(report.reason))
    found = take_report(state.trade, slot, reports, i, now_ns, state.params)
    if np.int64(report.kind) == _ACCEPTED:
        state.funnel[slot, FUNNEL_ACCEPTED] += 1
    if found & B_REJECTED:
        state.funnel[slot, report.reason % FUNNEL_ACCEPTED] += 1
        n_logs = log_signal(state, slot, _P_FAILED, np.int64(report.reason), now_ns, report.seq, logs, n_logs)
    state.control[C_REPORTS] += 1
    mark_dirty(state.trade, slot, state.control)
    if found != 0:
        at = find_row(state.rows, state.first, state.interest, row.state, found)
        if at >= 0:
            _, n_logs = transition(state, slot, at, now_ns, report.seq, ZERO, out, ZERO, logs, n_logs)
    return n_logs
