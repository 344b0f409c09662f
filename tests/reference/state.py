"""The state machine of requirement A12 told as plain if-chains: what a state does when these conditions hold."""

from __future__ import annotations

from collections.abc import Set

from core.enums import Cause, State
from core.state.machine import Action, When

Move = tuple[State, Cause, Action] | None
_CLOSED = {
    When.CLOSED_TAKE_PROFIT: Cause.TAKE_PROFIT, When.CLOSED_STOP: Cause.STOP, When.CLOSED_EXIT: Cause.EXIT_FILLED,
}


def _closed(true: Set[When]) -> Move:
    for when, cause in _CLOSED.items():
        if when in true:
            return State.EXITED, cause, Action.NONE
    return None


def _signal_dies(true: Set[When]) -> Move:
    """What takes WATCHING and ARMED down."""
    if When.OPENED in true:  # a fill nobody waited for any more: never forgotten
        return State.IN_POSITION, Cause.FILLED, Action.NONE
    if When.LEFT in true:
        return State.FLAT, Cause.DELISTED, Action.NONE
    if When.KILLED in true:
        return State.FLAT, Cause.KILL, Action.NONE
    if When.REGIME_BAD in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.NONE
    if When.DATA_BAD in true:
        return State.FLAT, Cause.DATA_BROKEN, Action.NONE
    if When.GLOBAL_BAD in true:
        return State.FLAT, Cause.GLOBAL, Action.NONE
    if When.SIGNAL_EXPIRED in true:
        return State.COOLDOWN, Cause.EXPIRED, Action.START_COOLDOWN
    if When.ZONE_LOST in true:
        return State.COOLDOWN, Cause.ZONE_LOST, Action.START_COOLDOWN
    if When.UNDER_WATCH in true:
        return State.FLAT, Cause.SCORE_UNDER_WATCH, Action.NONE
    return None


def _flat(true: Set[When]) -> Move:
    if When.OPENED in true:
        return State.IN_POSITION, Cause.FILLED, Action.NONE
    if When.REGIME_BAD in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.NONE
    if When.LONG_OVER_WATCH in true:
        return State.WATCHING_LONG, Cause.SCORE_OVER_WATCH, Action.START_SIGNAL
    if When.SHORT_OVER_WATCH in true:
        return State.WATCHING_SHORT, Cause.SCORE_OVER_WATCH, Action.START_SIGNAL
    return None


def _order_placed(true: Set[When]) -> Move:
    if When.OPENED in true:
        return State.IN_POSITION, Cause.FILLED, Action.NONE
    if When.REJECTED in true:
        return State.COOLDOWN, Cause.ORDER_REJECTED, Action.START_COOLDOWN
    if When.ENDED_LONG in true:
        return State.WATCHING_LONG, Cause.ORDER_DONE, Action.NONE
    if When.ENDED_SHORT in true:
        return State.WATCHING_SHORT, Cause.ORDER_DONE, Action.NONE
    if When.ENDED in true:
        return State.COOLDOWN, Cause.ORDER_DONE, Action.START_COOLDOWN
    if When.REGIME_BAD in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.CANCEL
    for when, cause in (
        (When.KILLED, Cause.KILL), (When.DELISTED, Cause.DELISTED), (When.DATA_BAD, Cause.DATA_BROKEN),
        (When.GLOBAL_BAD, Cause.GLOBAL), (When.ENTRIES_OFF, Cause.CONTROL), (When.SIGNAL_EXPIRED, Cause.EXPIRED),
        (When.ZONE_LOST, Cause.ZONE_LOST), (When.UNDER_WATCH, Cause.SCORE_UNDER_WATCH), (When.NEWS_BAD, Cause.NEWS),
        (When.SPREAD_WIDE, Cause.SPREAD_WIDE), (When.WALLS_BAD, Cause.WALLS_AGAINST),
        (When.FLOW_BAD, Cause.FLOW_AGAINST),
    ):  # fmt: skip
        if when in true:
            return State.ORDER_PLACED, cause, Action.CANCEL
    return None


def _open(state: State, true: Set[When]) -> Move:
    closed = _closed(true)
    if closed:
        return closed
    if When.REGIME_BAD in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.NONE
    for when, cause in (
        (When.KILLED, Cause.KILL), (When.DELISTED, Cause.DELISTED), (When.TIME_UP, Cause.TIME_STOP),
        (When.DUST, Cause.DUST),
    ):  # fmt: skip
        if when in true:
            return state, cause, Action.EXIT
    if state is State.IN_POSITION and When.WORKING_OVER in true:
        return State.MANAGING, Cause.MANAGE, Action.NONE
    return None


def _exited(true: Set[When]) -> Move:
    if When.OPENED in true:
        return State.IN_POSITION, Cause.FILLED, Action.NONE
    if When.SETTLED in true:
        return State.COOLDOWN, Cause.COOLDOWN_START, Action.START_COOLDOWN
    if When.REGIME_BAD in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.START_COOLDOWN
    return None


def _cooldown(true: Set[When]) -> Move:
    if When.OPENED in true:
        return State.IN_POSITION, Cause.FILLED, Action.NONE
    if When.LEFT in true:
        return State.FLAT, Cause.DELISTED, Action.NONE
    if When.REGIME_BAD in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.NONE
    if When.COOLDOWN_OVER in true:
        return State.FLAT, Cause.COOLDOWN_END, Action.NONE
    return None


def _blocked(true: Set[When]) -> Move:
    closed = _closed(true)
    if closed:
        return closed
    if When.OPENED in true:
        return State.BLOCKED_REGIME, Cause.FILLED, Action.NONE
    if When.STILL_OPEN in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.EXIT
    if When.STILL_WORKING in true:
        return State.BLOCKED_REGIME, Cause.REGIME_BLOCKED, Action.CANCEL
    if When.LEFT in true:
        return State.FLAT, Cause.DELISTED, Action.NONE
    if When.REGIME_GOOD_RESTING in true:
        return State.COOLDOWN, Cause.REGIME_CLEAR, Action.NONE
    if When.REGIME_GOOD in true:
        return State.FLAT, Cause.REGIME_CLEAR, Action.NONE
    return None


def move(state: State, true: Set[When]) -> Move:
    """(to, cause, action) of `state` when the conditions `true` hold, None = stays."""
    if state is State.FLAT:
        return _flat(true)
    if state in (State.WATCHING_LONG, State.WATCHING_SHORT):
        armed = State.ARMED_LONG if state is State.WATCHING_LONG else State.ARMED_SHORT
        return _signal_dies(true) or ((armed, Cause.ARMED, Action.NONE) if When.OVER_ARM in true else None)
    if state in (State.ARMED_LONG, State.ARMED_SHORT):
        down = _signal_dies(true)
        if down:
            return down
        if When.UNDER_ARM in true:
            watching = State.WATCHING_LONG if state is State.ARMED_LONG else State.WATCHING_SHORT
            return watching, Cause.DISARMED, Action.NONE
        return (State.ORDER_PLACED, Cause.ORDER_SENT, Action.ENTER) if When.READY in true else None
    if state is State.ORDER_PLACED:
        return _order_placed(true)
    if state in (State.IN_POSITION, State.MANAGING):
        return _open(state, true)
    if state is State.EXITED:
        return _exited(true)
    if state is State.COOLDOWN:
        return _cooldown(true)
    return _blocked(true)
