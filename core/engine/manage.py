"""What keeps an open position protected: its stop, its targets, its additions, its MARK; and what speaks against a
working entry. The rules themselves are core/position/kernels.py; nothing here is asked of a symbol without either."""

from __future__ import annotations

import math

import numpy as np

from core.book.kernels import ASKS, BIDS, best
from core.constants import E8, MARK_NS
from core.engine.messages import put_message
from core.engine.state import C_BITS, C_FEED, C_GLOBAL, put_log
from core.enums import (
    Cause,
    DataState,
    FeedState,
    GlobalRegime,
    LogKind,
    MessageKind,
    Pump,
    Regime,
    Severity,
    State,
)
from core.features.costs import round_trip_fee_bps
from core.jit import kernel
from core.position.kernels import RUNGS, addition_due, propose_stop, pulled_target
from core.score.kernels import SIGNAL_WALLS
from core.state.kernels import B_DUST, B_FLOW_BAD, B_NEWS_BAD, B_SPREAD_WIDE, B_WALLS_BAD

ZERO = np.int64(0)
_OK, _CONNECTED, _MANAGING = int(DataState.OK), int(FeedState.CONNECTED), int(State.MANAGING)
_GLOBAL_NORMAL, _PANIC = int(GlobalRegime.GLOBAL_NORMAL), int(GlobalRegime.GLOBAL_PANIC)
_NORMAL, _COOLDOWN_DONE = int(Regime.NORMAL), int(Regime.COOLDOWN_DONE)
_MANIPULATED, _NEWS_DRIVEN, _BLOWOFF = int(Regime.MANIPULATED), int(Regime.NEWS_DRIVEN), int(Pump.BLOWOFF)
_M_MARK, _M_PROTECT, _M_ADD = np.int64(MessageKind.MARK), np.int64(MessageKind.PROTECT), np.int64(MessageKind.ADD)
_NO_CAUSE, _TIGHTEN = np.int64(Cause.NONE), np.int64(Cause.TIGHTEN)
_WIDEN, _ADDED = np.int64(Cause.WIDEN), np.int64(Cause.ADDED)
_LOG_PROTECT, _INFO = np.int64(LogKind.PROTECT), np.int64(Severity.INFO)
PLAN_TARGETS = 5  # of state.plan: where the targets of a PROTECT are put together


@kernel
def own_walls(state, slot):  # type: ignore[no-untyped-def]
    """Wall score behind the side of interest; 0 = none known."""
    x = state.inputs[0]
    score = x.support if state.trade[slot].side > 0 else x.resistance
    return score if score > 0.0 else 0.0


@kernel
def picture(state, slot):  # type: ignore[no-untyped-def]
    """Bits of what changed against a working entry (requirement A15): spread, news, walls, flow. Reads `state.inputs`.

    What is not known speaks against nothing: a book or tape that is not believed ends the entry by itself.
    """
    row = state.trade[slot]
    par = state.params[0]
    x = state.inputs[0]
    found = 0
    if x.spread_bps > par.max_spread_bps[row.category]:
        found |= B_SPREAD_WIDE
    if x.news >= par.news_veto:
        found |= B_NEWS_BAD
    against = -100.0 * row.side * state.signals[slot, SIGNAL_WALLS]
    if against > par.walls_against or row.entry_wall - own_walls(state, slot) > par.walls_pulled:
        found |= B_WALLS_BAD
    if row.flow * row.side < -par.flow_against:
        found |= B_FLOW_BAD
    return found


@kernel
def dust(state, slot):  # type: ignore[no-untyped-def]
    """B_DUST when the rest of a position, or of an entry that filled in part, is smaller than the smallest order."""
    row = state.trade[slot]
    symbol = state.symbols[slot]
    lots = abs(row.position_lots)
    if row.working != 0 or lots >= row.order_lots:
        return 0
    if lots < symbol.min_qty_lots or abs(row.entry_value_e8) < symbol.min_notional_e8:
        return B_DUST
    return 0


@kernel
def manage_position(state, slot, now_ns, seq, mono_ns, out, n_out, logs, n_logs):  # type: ignore[no-untyped-def]
    """PROTECT where a rule wants the stop or a target moved, ADD where an addition is due. Returns (n_out, n_logs).

    At most one PROTECT is unanswered, and two are `step_ns` apart; none while an exit is under way, an entry works or
    the book is not believed.
    """
    row = state.trade[slot]
    par = state.params[0]
    bid, _ = best(state.book, slot, BIDS)
    ask, _ = best(state.book, slot, ASKS)
    if row.data_state != _OK or row.crossed_ns != 0 or bid == 0 or ask <= bid:
        return n_out, n_logs
    side = np.int64(1) if row.position_lots > 0 else np.int64(-1)
    touch = bid if side > 0 else ask
    lots = abs(row.position_lots)
    one = state.symbols[slot].tick_size * state.symbols[slot].lot_size * E8
    entry = abs(row.entry_value_e8) / (lots * one)
    if not entry > 0.0 or math.isinf(entry):
        return n_out, n_logs
    row.entry_ticks = entry
    if row.first_ticks == 0.0:
        row.first_ticks = entry
    if row.risk_ticks == 0 and row.stop_ticks != 0:  # adopted from somebody who did not know it
        row.risk_ticks = int(math.floor(abs(row.first_ticks - row.stop_ticks) + 0.5))
        row.risk_lots = lots
    if row.peak_ticks == 0 or side * (touch - row.peak_ticks) > 0:
        row.peak_ticks = touch
    if row.exit_ns != 0 or row.working != 0:
        return n_out, n_logs
    if row.protect_ns != 0 and (row.pending > 0 or now_ns - row.protect_ns < par.exit_retry_ns):
        return n_out, n_logs
    if row.moved_ns != 0 and now_ns - row.moved_ns < par.step_ns:
        return n_out, n_logs

    fees_bps = round_trip_fee_bps(state.symbols, slot, state.params)
    spread_bps = (ask - bid) / touch * 1e4
    atr_bps = state.features.row[slot].atr_1s_bps
    risk = float(row.risk_ticks)
    profit = side * (touch - entry)
    tight = row.pump == _BLOWOFF or state.control[C_GLOBAL] == _PANIC
    wide = (row.regime == _MANIPULATED or row.regime == _NEWS_DRIVEN) and row.widened == 0
    trails = row.took != 0 or row.target_ticks[0] != 0 and side * (row.peak_ticks - row.target_ticks[0]) >= 0
    stop, rule = propose_stop(
        side, entry, touch, row.peak_ticks, row.stop_ticks, risk, risk * row.risk_lots / lots, trails, tight, wide,
        atr_bps, fees_bps, spread_bps, state.params,
    )
    next_target = ZERO
    for k in range(RUNGS):
        target = row.target_ticks[k]
        if row.target_lots[k] > 0:
            if tight and profit > 0.0 and row.risk_ticks > 0:
                target = pulled_target(
                    side, entry, target, par.tp_r[k], risk, fees_bps, spread_bps, touch, state.params
                )
                if target != row.target_ticks[k] and rule == _NO_CAUSE:
                    rule = _TIGHTEN
            if next_target == 0:
                next_target = target
        state.plan[PLAN_TARGETS + k] = target
    symbol_id = np.int64(state.symbols[slot].id)
    if rule == _NO_CAUSE:
        return _add(state, slot, symbol_id, side, bid, ask, touch, now_ns, seq, mono_ns, out, n_out), n_logs
    n_out = put_message(
        out, n_out, _M_PROTECT, symbol_id, seq, now_ns, mono_ns, row.decision_id, row.order_id, side, rule
    )
    message = out[n_out - 1]
    message.stop_ticks = stop
    message.target_ticks = state.plan[PLAN_TARGETS]
    message.target2_ticks = state.plan[PLAN_TARGETS + 1]
    message.target3_ticks = state.plan[PLAN_TARGETS + 2]
    row.protect_ns = now_ns
    row.moved_ns = now_ns
    if rule == _WIDEN:
        row.widened = 1
    n_logs = put_log(
        logs, n_logs, _LOG_PROTECT, _INFO, symbol_id, now_ns, seq, side, row.stop_ticks, stop, rule, next_target, touch,
        profit / entry * 1e4, profit / risk if risk > 0.0 else 0.0,
    )
    return n_out, n_logs


@kernel
def _add(state, slot, symbol_id, side, bid, ask, touch, now_ns, seq, mono_ns, out, n_out):  # type: ignore[no-untyped-def]
    """An ADD where an addition is due and nothing forbids entries. Returns n_out."""
    row = state.trade[slot]
    control = state.control
    if state.params[0].add_max == 0 or row.state != _MANAGING or row.took != 0 or row.pending != 0:
        return n_out
    if row.regime != _NORMAL and row.regime != _COOLDOWN_DONE or row.leaving != 0:
        return n_out
    if control[C_BITS] != 0 or control[C_FEED] != _CONNECTED or control[C_GLOBAL] != _GLOBAL_NORMAL:
        return n_out
    if not addition_due(side, row.first_ticks, touch, row.risk_ticks, row.additions, state.params):
        return n_out
    n_out = put_message(out, n_out, _M_ADD, symbol_id, seq, now_ns, mono_ns, seq, row.order_id, side, _ADDED)
    out[n_out - 1].price_ticks = bid if side > 0 else ask
    out[n_out - 1].stop_ticks = row.stop_ticks
    row.additions += 1
    row.working = 1
    row.entry_leaves = -1
    row.cancel_ns = 0
    row.decision_id = seq
    return n_out


@kernel
def mark_position(state, slot, now_ns, seq, mono_ns, out, n_out):  # type: ignore[no-untyped-def]
    """A MARK message for an open position, at most one per second of event time. Returns n_out."""
    row = state.trade[slot]
    if row.position_lots == 0 or now_ns - row.mark_ns < MARK_NS:
        return n_out
    bid, _ = best(state.book, slot, BIDS)
    ask, _ = best(state.book, slot, ASKS)
    if bid == 0 or ask == 0:
        return n_out
    row.mark_ns = now_ns
    n_out = put_message(
        out, n_out, _M_MARK, np.int64(state.symbols[slot].id), seq, now_ns, mono_ns, row.decision_id, row.order_id,
        row.side, _NO_CAUSE,
    )
    message = out[n_out - 1]
    message.price_ticks = bid + ask
    message.stop_ticks = row.stop_ticks
    message.target_ticks = row.target_ticks[0]
    message.target2_ticks = row.target_ticks[1]
    message.target3_ticks = row.target_ticks[2]
    message.target_lots = row.target_lots[0]
    message.target2_lots = row.target_lots[1]
    message.target3_lots = row.target_lots[2]
    return n_out
