"""What is true of a symbol (`conditions`), which row of the table fires, what a report means, and the entry plan."""

from __future__ import annotations

import math

from core.constants import FLAG_ENTRY_OVER, FLAG_EXTERNAL, FLAG_TOOK
from core.enums import (
    ControlBits,
    DataState,
    FeedState,
    GlobalRegime,
    OrderRole,
    Regime,
    ReportKind,
    State,
)
from core.jit import kernel
from core.position.kernels import plan_ladder
from core.sim.desk_records import FLAG_ADD, FLAG_REFUSED
from core.state.machine import CANCEL_MASK, EXIT_MASK, ROW_BIT, When
from core.state.zone import zone_lost

# plain integers: numba would type an enum member as a type of its own and compile twice
_DATA_OK = int(DataState.OK)
_FEED_CONNECTED = int(FeedState.CONNECTED)
_PAUSE, _KILL, _DEGRADED = int(ControlBits.PAUSE), int(ControlBits.KILL), int(ControlBits.DEGRADED)
_GLOBAL_NORMAL = int(GlobalRegime.GLOBAL_NORMAL)
_NORMAL, _COOLDOWN_DONE, _REGIME_COOLDOWN = int(Regime.NORMAL), int(Regime.COOLDOWN_DONE), int(Regime.COOLDOWN)
_S_FLAT, _S_ORDER_PLACED = int(State.FLAT), int(State.ORDER_PLACED)
_S_IN_POSITION, _S_MANAGING = int(State.IN_POSITION), int(State.MANAGING)
_S_BLOCKED = int(State.BLOCKED_REGIME)
_OVER = FLAG_EXTERNAL | FLAG_ENTRY_OVER

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
B_ZONE_LOST, B_DUST = 1 << When.ZONE_LOST, 1 << When.DUST
B_SPREAD_WIDE, B_NEWS_BAD = 1 << When.SPREAD_WIDE, 1 << When.NEWS_BAD
B_WALLS_BAD, B_FLOW_BAD = 1 << When.WALLS_BAD, 1 << When.FLOW_BAD
B_ENDED, B_OPENED, B_CLOSED_TAKE_PROFIT = 1 << When.ENDED, 1 << When.OPENED, 1 << When.CLOSED_TAKE_PROFIT
B_CLOSED_STOP, B_CLOSED_EXIT = 1 << When.CLOSED_STOP, 1 << When.CLOSED_EXIT

_ACCEPTED, _REJECTED = int(ReportKind.ACCEPTED), int(ReportKind.REJECTED)
_POSITION, _DONE = int(ReportKind.POSITION), int(ReportKind.DONE)
_CLOSE, _CANCEL = int(ReportKind.CLOSE), int(ReportKind.CANCEL)
_PROTECTED = int(ReportKind.PROTECTED)
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
def conditions(trade, slot, ready, may_signal, agrees, seen, feed, bits, global_regime, now_ns, params):  # type: ignore[no-untyped-def]
    """Bits (`When`) of what is true of the symbol now, report conditions excepted.

    ready: no gate is shut; may_signal: none of those that keep a signal from starting; agrees: walls, flow and news let
    the side of interest arm; seen: bits that need more than the trade state (picture of a working entry, dust).
    """
    row = trade[slot]
    par = params[0]
    open_lots = row.position_lots
    open_or_working = open_lots != 0 or row.working != 0
    bad_regime = row.regime != _NORMAL and row.regime != _COOLDOWN_DONE
    state = row.state
    found = seen
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
    if row.data_state != _DATA_OK or row.warm == 0:
        found |= B_DATA_BAD
    if global_regime != _GLOBAL_NORMAL:
        found |= B_GLOBAL_BAD
    if may_signal and state == _S_FLAT and not open_or_working and row.pending == 0:
        if row.score_long >= row.watch and row.score_long >= row.score_short:
            found |= B_LONG_OVER_WATCH
        elif row.score_short >= row.watch:
            found |= B_SHORT_OVER_WATCH
    score = row.score_long if row.side > 0 else row.score_short
    if score >= row.arm and agrees:
        found |= B_OVER_ARM
    if not (score >= row.arm - par.hysteresis):
        found |= B_UNDER_ARM
    if not (score >= row.watch - par.hysteresis):
        found |= B_UNDER_WATCH
    if row.signal_ns != 0 and now_ns - row.signal_ns >= par.signal_ttl_ns:
        found |= B_SIGNAL_EXPIRED
    if row.zone_ideal_ticks != 0 and zone_lost(trade, slot, params):
        found |= B_ZONE_LOST
    if ready:
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
        elif state == _S_BLOCKED:
            if found & EXIT_MASK != 0 or now_ns - row.since_ns >= par.blocked_hold_ns:
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
def _follow(row, report):  # type: ignore[no-untyped-def]
    """Stop and targets in force, as execution tells them."""
    row.stop_ticks = report.stop_ticks
    row.target_ticks[0] = report.target_ticks
    row.target_ticks[1] = report.target2_ticks
    row.target_ticks[2] = report.target3_ticks
    row.target_lots[0] = report.target_lots
    row.target_lots[1] = report.target2_lots
    row.target_lots[2] = report.target3_lots


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
        adds = report["flags"] & FLAG_ADD != 0
        row.order_lots = report.qty_lots + (row.order_lots if adds else 0)
        return 0
    if kind == _PROTECTED:
        row.protect_ns = 0
        if row.position_lots != 0 and report["flags"] & FLAG_REFUSED == 0:
            _follow(row, report)
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
    told = report["flags"] & _OVER == _OVER  # of an exchange's order our desk knows nothing
    if (row.entry_leaves == 0 or told) and row.working != 0:
        row.working = 0
        row.cancel_ns = 0
    if after != 0:
        row.side = 1 if after > 0 else -1
        _follow(row, report)
        row.took = 1 if report["flags"] & FLAG_TOOK != 0 else 0
        row.risk_ticks = report.risk_ticks
        row.risk_lots = report.risk_lots
        if before != 0:
            return 0
        row.opened_ns = now_ns
        row.exit_ns = 0
        row.mark_ns = 0
        row.first_ticks = 0.0
        row.peak_ticks = 0
        row.protect_ns = 0
        row.moved_ns = 0
        row.widened = 0
        row.additions = 0
        row.order_lots = max(row.order_lots, abs(after))
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
    """Price, stop and three targets of an entry into plan[0:5] (ticks). Returns 1, or 0 when there is no sane plan.

    The entry rests on its own side of the book; stop and targets: core/position/README.md.
    """
    price = bid_ticks if side > 0 else ask_ticks
    if price <= 0 or ask_ticks <= bid_ticks or math.isnan(atr_bps):
        return 0
    spread_bps = (ask_ticks - bid_ticks) / price * 1e4
    if plan_ladder(side, price, atr_bps, round_trip_fee_bps, spread_bps, plan, params) == 0:
        return 0
    plan[0] = price
    return 1
