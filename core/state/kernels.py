"""What is true of a symbol (`conditions`), which gate is shut (`local_gate`), and which row of the table fires."""

from __future__ import annotations

import math

from core.enums import (
    ControlBits,
    DataState,
    FeedState,
    Gate,
    GlobalRegime,
    OrderRole,
    Regime,
    ReportKind,
    State,
)
from core.features.costs import min_move_bps as least_move_bps
from core.features.costs import stop_distance_bps
from core.jit import kernel
from core.state.machine import CANCEL_MASK, EXIT_MASK, ROW_BIT, When

# plain integers: numba would type an enum member as a type of its own and compile twice
_DATA_OK = int(DataState.OK)
_FEED_CONNECTED = int(FeedState.CONNECTED)
_PAUSE, _KILL, _DEGRADED = int(ControlBits.PAUSE), int(ControlBits.KILL), int(ControlBits.DEGRADED)
_GLOBAL_NORMAL = int(GlobalRegime.GLOBAL_NORMAL)
_NORMAL, _COOLDOWN_DONE, _REGIME_COOLDOWN = int(Regime.NORMAL), int(Regime.COOLDOWN_DONE), int(Regime.COOLDOWN)
_BLACKLISTED = 2  # SYMBOL.flags

G_NONE, G_DATA, G_WARMUP, G_FEED = int(Gate.NONE), int(Gate.DATA), int(Gate.WARMUP), int(Gate.FEED)
G_DEGRADED, G_PAUSED, G_KILLED = int(Gate.DEGRADED), int(Gate.PAUSED), int(Gate.KILLED)
G_GLOBAL, G_REGIME, G_SPREAD = int(Gate.GLOBAL_REGIME), int(Gate.REGIME), int(Gate.SPREAD)
G_SCORE_WATCH, G_SCORE_ARM, G_FLOW = int(Gate.SCORE_WATCH), int(Gate.SCORE_ARM), int(Gate.FLOW)
G_COOLDOWN, G_ATTEMPTS, G_BLACKLIST = int(Gate.COOLDOWN), int(Gate.ATTEMPTS), int(Gate.BLACKLIST)
G_IN_POSITION, G_DUPLICATE, G_MIN_MOVE = int(Gate.IN_POSITION), int(Gate.DUPLICATE), int(Gate.MIN_MOVE)

_S_FLAT, _S_ORDER_PLACED, _S_COOLDOWN = int(State.FLAT), int(State.ORDER_PLACED), int(State.COOLDOWN)
_S_IN_POSITION, _S_MANAGING, _S_BLOCKED = int(State.IN_POSITION), int(State.MANAGING), int(State.BLOCKED_REGIME)

B_DELISTED, B_LEFT, B_KILLED = 1 << When.DELISTED, 1 << When.LEFT, 1 << When.KILLED
B_ENTRIES_OFF, B_REGIME_BAD, B_REGIME_GOOD = 1 << When.ENTRIES_OFF, 1 << When.REGIME_BAD, 1 << When.REGIME_GOOD
B_REGIME_GOOD_RESTING, B_DATA_BAD, B_GLOBAL_BAD = (
    1 << When.REGIME_GOOD_RESTING, 1 << When.DATA_BAD, 1 << When.GLOBAL_BAD,
)
B_LONG_OVER_WATCH, B_SHORT_OVER_WATCH = 1 << When.LONG_OVER_WATCH, 1 << When.SHORT_OVER_WATCH
B_OVER_ARM, B_UNDER_ARM, B_UNDER_WATCH = 1 << When.OVER_ARM, 1 << When.UNDER_ARM, 1 << When.UNDER_WATCH
B_SIGNAL_EXPIRED, B_READY, B_COOLDOWN_OVER = 1 << When.SIGNAL_EXPIRED, 1 << When.READY, 1 << When.COOLDOWN_OVER
B_SETTLED, B_WORKING_OVER, B_TIME_UP = 1 << When.SETTLED, 1 << When.WORKING_OVER, 1 << When.TIME_UP
B_STILL_OPEN, B_STILL_WORKING = 1 << When.STILL_OPEN, 1 << When.STILL_WORKING
B_REJECTED, B_ENDED_LONG, B_ENDED_SHORT = 1 << When.REJECTED, 1 << When.ENDED_LONG, 1 << When.ENDED_SHORT
B_ENDED, B_OPENED, B_CLOSED_TAKE_PROFIT = 1 << When.ENDED, 1 << When.OPENED, 1 << When.CLOSED_TAKE_PROFIT
B_CLOSED_STOP, B_CLOSED_EXIT = 1 << When.CLOSED_STOP, 1 << When.CLOSED_EXIT

_ACCEPTED, _REJECTED = int(ReportKind.ACCEPTED), int(ReportKind.REJECTED)
_POSITION, _DONE = int(ReportKind.POSITION), int(ReportKind.DONE)
_CLOSE, _CANCEL = int(ReportKind.CLOSE), int(ReportKind.CANCEL)
_ROLE_TAKE_PROFIT, _ROLE_STOP = int(OrderRole.TAKE_PROFIT), int(OrderRole.STOP)
_ROLE_LIQUIDATION = int(OrderRole.LIQUIDATION)


@kernel
def cancel_under_way(trade, slot, now_ns, params):  # type: ignore[no-untyped-def]
    """True while a CANCEL may still work."""
    asked = trade[slot].cancel_ns
    return asked != 0 and (trade[slot].pending > 0 or now_ns - asked < params[0].exit_retry_ns)


@kernel
def exit_under_way(trade, slot, now_ns, params):  # type: ignore[no-untyped-def]
    """True while an EXIT may still work; after `exit_retry_ns` with every message answered it is asked again."""
    asked = trade[slot].exit_ns
    return asked != 0 and (trade[slot].pending > 0 or now_ns - asked < params[0].exit_retry_ns)


@kernel
def local_gate(trade, slot, symbol_flags, spread_bps, warm, min_move_bps, feed, bits, global_regime, now_ns, params):  # type: ignore[no-untyped-def]
    """The first gate that keeps the symbol from an entry now (Gate), 0 = none. Part of the risk check that is local to
    the symbol; the portfolio's part is execution's. spread_bps, min_move_bps: nan = not known, which shuts the gate."""
    row = trade[slot]
    par = params[0]
    category = row.category
    if row.data_state != _DATA_OK or row.leaving != 0:
        return G_DATA
    if warm == 0:
        return G_WARMUP
    if feed != _FEED_CONNECTED:
        return G_FEED
    if bits & _DEGRADED:
        return G_DEGRADED
    if bits & _PAUSE:
        return G_PAUSED
    if bits & _KILL:
        return G_KILLED
    if global_regime != _GLOBAL_NORMAL:
        return G_GLOBAL
    if row.regime != _NORMAL and row.regime != _COOLDOWN_DONE:
        return G_REGIME
    if not (0.0 < spread_bps <= par.max_spread_bps[category]):  # a crossed book has a spread below 0
        return G_SPREAD
    best = max(row.score_long, row.score_short)
    score = best
    if row.side > 0:
        score = row.score_long
    elif row.side < 0:
        score = row.score_short
    if row.position_lots != 0:
        return G_IN_POSITION
    if row.working != 0 or row.pending != 0:
        return G_DUPLICATE
    if row.state == _S_COOLDOWN:
        return G_COOLDOWN
    if not (score >= par.watch[category] - par.hysteresis):
        return G_SCORE_WATCH
    if not (score >= par.arm[category] - par.hysteresis):
        return G_SCORE_ARM
    if not (row.flow * row.side > 0.0):
        return G_FLOW
    if row.attempts >= par.max_attempts:
        return G_ATTEMPTS
    if symbol_flags & _BLACKLISTED:
        return G_BLACKLIST
    if not (min_move_bps <= par.target_r * par.stop_max_bps):
        return G_MIN_MOVE
    return G_NONE


@kernel
def conditions(trade, slot, gate, warm, feed, bits, global_regime, now_ns, params):  # type: ignore[no-untyped-def]
    """Bits (`When`) of what is true of the symbol now, report conditions excepted."""
    row = trade[slot]
    par = params[0]
    category = row.category
    open_lots = row.position_lots
    open_or_working = open_lots != 0 or row.working != 0
    bad_regime = row.regime != _NORMAL and row.regime != _COOLDOWN_DONE
    state = row.state
    found = 0
    if row.leaving != 0:
        found |= B_DELISTED
        if not open_or_working and row.pending == 0:
            found |= B_LEFT
    if bits & _KILL:
        found |= B_KILLED
    if bits & (_PAUSE | _DEGRADED) or feed != _FEED_CONNECTED:
        found |= B_ENTRIES_OFF
    if bad_regime:
        if row.regime != _REGIME_COOLDOWN:
            found |= B_REGIME_BAD
    elif not open_or_working and row.pending == 0:
        found |= B_REGIME_GOOD if now_ns >= row.cooldown_until_ns else B_REGIME_GOOD_RESTING
    if row.data_state != _DATA_OK or warm == 0:
        found |= B_DATA_BAD
    if global_regime != _GLOBAL_NORMAL:
        found |= B_GLOBAL_BAD
    # a symbol may signal when nothing from DATA to SPREAD is shut; order matters only against its own earlier life
    may_signal = (gate == G_NONE or gate > G_SPREAD) and row.leaving == 0
    if may_signal and state == _S_FLAT and not open_or_working and row.pending == 0:
        over = par.watch[category]
        if row.score_long >= over and row.score_long >= row.score_short:
            found |= B_LONG_OVER_WATCH
        elif row.score_short >= over:
            found |= B_SHORT_OVER_WATCH
    side = row.side
    score = row.score_long if side > 0 else row.score_short
    if score >= par.arm[category] and row.flow * side > 0.0:
        found |= B_OVER_ARM
    if not (score >= par.arm[category] - par.hysteresis):
        found |= B_UNDER_ARM
    if not (score >= par.watch[category] - par.hysteresis):
        found |= B_UNDER_WATCH
    if row.signal_ns != 0 and now_ns - row.signal_ns >= par.signal_ttl_ns:
        found |= B_SIGNAL_EXPIRED
    if gate == G_NONE:
        found |= B_READY
    if now_ns >= row.cooldown_until_ns:
        found |= B_COOLDOWN_OVER
    if not open_or_working and row.pending == 0:
        found |= B_SETTLED
    if open_lots != 0:
        if row.working == 0:
            found |= B_WORKING_OVER
        if now_ns - row.opened_ns >= par.max_hold_ns:
            found |= B_TIME_UP
        if exit_under_way(trade, slot, now_ns, params):
            if state == _S_IN_POSITION or state == _S_MANAGING:
                found &= ~EXIT_MASK
        else:
            found |= B_STILL_OPEN
    if row.working != 0:
        if cancel_under_way(trade, slot, now_ns, params):
            if state == _S_ORDER_PLACED:
                found &= ~CANCEL_MASK
        else:
            found |= B_STILL_WORKING
    return found


@kernel
def find_row(rows, first, interest, state, found):  # type: ignore[no-untyped-def]
    """Index of the row of `state` that fires on the condition bits `found`, -1 = none (see machine.compiled_table)."""
    if found & interest[state] == 0:
        return -1
    for at in range(first[state], first[state + 1]):
        if found & rows[at, ROW_BIT]:
            return at
    return -1


@kernel
def take_report(trade, slot, reports, i, now_ns, params):  # type: ignore[no-untyped-def]
    """Book report `i` on the symbol's trade state; returns the condition bits it makes true (0 = nothing moved).

    A REJECTED or DONE that names another decision than the working entry's is an echo of an older order: ignored.
    """
    row = trade[slot]
    report = reports[i]
    kind = report.kind
    if kind == _ACCEPTED:
        row.order_id = report.order_id
        return 0
    if kind == _REJECTED or kind == _DONE:
        echo = report.decision_id != 0 and report.decision_id != row.decision_id
        if row.working == 0 or echo:
            return 0
        row.working = 0
        row.cancel_ns = 0
        if kind == _REJECTED:
            return B_REJECTED
        if row.position_lots != 0:
            return 0
        alive = now_ns - row.signal_ns < params[0].signal_ttl_ns and row.attempts < params[0].max_attempts
        if not alive:
            return B_ENDED
        return B_ENDED_LONG if row.side > 0 else B_ENDED_SHORT
    if kind == _CLOSE:  # also from the kill switch: an exit is under way from now on
        row.exit_ns = now_ns
        return 0
    if kind == _CANCEL:
        row.cancel_ns = now_ns
        return 0
    if kind != _POSITION:
        return 0
    before = row.position_lots
    after = report.qty_lots
    row.position_lots = after
    row.entry_value_e8 = report.entry_value_e8
    if row.entry_leaves == 0 and row.working != 0:
        row.working = 0
        row.cancel_ns = 0
    if after != 0:
        row.side = 1 if after > 0 else -1
        row.stop_ticks = report.stop_ticks
        row.target_ticks = report.target_ticks
        if before != 0:
            return 0
        row.opened_ns = now_ns
        row.exit_ns = 0
        row.mark_ns = 0
        return B_OPENED
    if before == 0:
        return 0
    row.exit_ns = 0
    role = report.role
    if role == _ROLE_TAKE_PROFIT:
        return B_CLOSED_TAKE_PROFIT
    if role == _ROLE_STOP or role == _ROLE_LIQUIDATION:
        return B_CLOSED_STOP
    return B_CLOSED_EXIT


@kernel
def plan_entry(side, bid_ticks, ask_ticks, atr_bps, round_trip_fee_bps, plan, params):  # type: ignore[no-untyped-def]
    """Price, stop, target and zone of an entry into plan[0:5] (ticks). Returns 1, or 0 when there is no sane plan.

    The entry rests on its own side of the book. Stop distance = stop_atr x ATR within [stop_min, stop_max];
    target = max(target_r x stop, MinMoveForProfit), MinMove = fees x (1 + buffer) + spread. Both rounded up to ticks.
    """
    par = params[0]
    price = bid_ticks if side > 0 else ask_ticks
    if price <= 0 or ask_ticks <= bid_ticks or math.isnan(atr_bps):
        return 0
    stop_bps = stop_distance_bps(atr_bps, params)
    least_bps = least_move_bps(round_trip_fee_bps, (ask_ticks - bid_ticks) / price * 1e4, params)
    target_bps = max(par.target_r * stop_bps, least_bps)
    stop_distance = max(int(math.ceil(price * stop_bps * 1e-4)), 1)
    target_distance = max(int(math.ceil(price * target_bps * 1e-4)), 1)
    half_zone = max(int(math.floor(price * par.zone_width_bps * 0.5e-4)), 1)
    stop = price - side * stop_distance
    target = price + side * target_distance
    if stop <= 0 or target <= 0:
        return 0
    plan[0] = price
    plan[1] = stop
    plan[2] = target
    plan[3] = price - half_zone
    plan[4] = price + half_zone
    return 1
