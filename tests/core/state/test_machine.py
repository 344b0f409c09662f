"""The table of the state machine, walked: every legal move, every condition a state ignores, what no row may do."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.enums import Cause, State
from core.state import machine
from core.state.kernels import find_row
from core.state.machine import FIRST_REPORT, TABLE, Action, When, compiled_table, mask
from tests.reference.state import move

ROWS, FIRST, INTEREST = compiled_table()


def fire(state: State, true: set[When]) -> tuple[State, Cause, Action] | None:
    """What the compiled table does."""
    at = find_row(ROWS, FIRST, INTEREST, int(state), mask(tuple(true)))
    if at < 0:
        return None
    row = ROWS[at]
    return State(row[machine.ROW_TO]), Cause(row[machine.ROW_CAUSE]), Action(row[machine.ROW_ACTION])


@pytest.mark.parametrize("row", TABLE, ids=lambda r: f"{r.state.name}-{r.when.name}")
def test_every_row_fires_on_its_own_condition(row: machine.Row) -> None:
    assert fire(row.state, {row.when}) == (row.to, row.cause, row.action)
    assert move(row.state, {row.when}) == (row.to, row.cause, row.action)


@pytest.mark.parametrize("state", State, ids=lambda s: s.name)
def test_a_condition_without_a_row_moves_nothing(state: State) -> None:
    legal = {row.when for row in TABLE if row.state is state}
    illegal = [when for when in When if when not in legal]
    for when in illegal:
        assert fire(state, {when}) is None
        assert move(state, {when}) is None
    assert fire(state, set(illegal)) is None
    assert fire(state, set()) is None


def test_priorities_are_those_of_the_plain_chains() -> None:
    rng = random.Random(12)
    for state in State:
        for first in When:
            for second in When:
                assert fire(state, {first, second}) == move(state, {first, second})
        for _ in range(500):
            true = {when for when in When if rng.random() < 0.3}
            assert fire(state, true) == move(state, true), (state, true)


def test_no_row_is_twice() -> None:
    keys = [(row.state, row.when) for row in TABLE]
    assert len(keys) == len(set(keys))


def test_report_rows_send_nothing() -> None:
    for row in TABLE:
        if row.when >= FIRST_REPORT:
            assert row.action in (Action.NONE, Action.START_COOLDOWN), row


def test_an_open_position_is_never_forgotten() -> None:
    """From every state that can hold a position the only ways on keep it in sight until a CLOSED report."""
    closing = {When.CLOSED_TAKE_PROFIT, When.CLOSED_STOP, When.CLOSED_EXIT}
    holding = {State.IN_POSITION, State.MANAGING, State.BLOCKED_REGIME}
    for row in TABLE:
        if row.state in (State.IN_POSITION, State.MANAGING):
            assert row.to in holding or row.when in closing, row
        if row.to is State.EXITED:
            assert row.when in closing
    # BLOCKED_REGIME is left with nothing open only: its conditions say so
    assert {r.when for r in TABLE if r.state is State.BLOCKED_REGIME and r.to not in holding} == closing | {
        When.LEFT, When.REGIME_GOOD, When.REGIME_GOOD_RESTING,
    }
    # every state answers a fill
    assert {r.state for r in TABLE if r.when is When.OPENED} == set(State) - {State.IN_POSITION, State.MANAGING}


def test_any_state_before_an_exit_is_blocked_by_a_bad_regime() -> None:
    assert {r.state for r in TABLE if r.when is When.REGIME_BAD} == set(State) - {State.BLOCKED_REGIME}
    for row in TABLE:
        if row.when is When.REGIME_BAD:
            assert row.to is State.BLOCKED_REGIME and row.cause is Cause.REGIME_BLOCKED
            if row.state in (State.IN_POSITION, State.MANAGING):
                assert row.action is Action.NONE  # managed out: its exit is a row of BLOCKED_REGIME
            if row.state is State.ORDER_PLACED:
                assert row.action is Action.CANCEL


def test_every_state_can_be_reached_and_left() -> None:
    reached, frontier = {State.FLAT}, [State.FLAT]
    while frontier:
        state = frontier.pop()
        for row in TABLE:
            if row.state is state and row.to not in reached:
                reached.add(row.to)
                frontier.append(row.to)
    assert reached == set(State)
    for state in State:
        assert any(row.state is state and row.to is not state for row in TABLE)


def test_orders_are_asked_for_only_from_armed() -> None:
    assert {r.state for r in TABLE if r.action is Action.ENTER} == {State.ARMED_LONG, State.ARMED_SHORT}
    assert all(r.to is State.ORDER_PLACED for r in TABLE if r.action is Action.ENTER)


def test_compiled_arrays() -> None:
    assert ROWS.dtype == np.int64 and len(ROWS) == len(TABLE) and FIRST[-1] == len(TABLE)
    for state in State:
        own = ROWS[FIRST[state] : FIRST[state + 1], machine.ROW_BIT]
        assert int(INTEREST[state]) == sum(int(b) for b in own)
    assert len(When) <= 62
