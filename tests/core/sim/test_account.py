"""The account: identities after every fill, the naive twin, marks, days."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.constants import DAY_NS
from core.position.position import Grid
from core.sim.account import Account
from tests.reference.account import NaiveAccount

GRID = Grid(5, 2, 6)
ODD = Grid(1, 1, 11)  # one lot at one tick is a thousandth of the smallest unit
fills = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, -1]), st.integers(1, 10**6), st.integers(1, 10**4),
              st.integers(-50, 10**6)),
    max_size=30,
)


@pytest.mark.parametrize("grid", [GRID, ODD])
@settings(deadline=None)
@given(fills)
def test_identities_and_twin(grid, steps):
    account = Account(10**11)
    step = Fraction(grid.tick_mant * grid.lot_mant * 10**8, 10**grid.decimals)
    twin = NaiveAccount(10**11, step)
    realised_without_fees = 0
    for ts, (symbol, side, price, lots, fee) in enumerate(steps):
        balance = account.balance_e8
        account.fill(symbol, grid, side, price, lots, fee, ts)
        twin.fill(str(symbol), side, price, lots, fee)
        realised_without_fees += account.balance_e8 - balance + fee
        assert account.balance_e8 == account.start_balance_e8 + realised_without_fees - account.fees_e8
        assert account.balance_e8 == twin.balance()
        assert account.balance_e8 - account.start_balance_e8 == account.realised_e8 == account.realised_day_e8
        assert account.fees_e8 == twin.fees()
        for s in (1, 2):
            position = account.positions.get(s)
            assert (position.lots if position else 0) == twin.lots(str(s))
            assert (position.entry_value_e8 if position else 0) == twin.walk(str(s))[1]
        assert account.equity_e8 == account.balance_e8 + account.unrealised_e8


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(2, 2 * 10**6), st.sampled_from([1, -1]))
def test_unrealised_is_the_half_tick_value_rounded_down(price, lots, mark2, side):
    account = Account(0)
    account.fill(1, ODD, side, price, lots, 0, 0)
    assert account.mark(1, mark2, 5)
    position = account.positions[1]
    exact = side * Fraction(mark2 * lots * 10**8, 2 * 10**11) - position.entry_value_e8
    assert exact - 1 <= account.unrealised_e8 <= exact  # the value is rounded once, its half once more
    assert position.worst_ticks <= position.best_ticks if side > 0 else position.worst_ticks >= position.best_ticks
    assert not account.mark(2, mark2, 6)


def test_round_trip_loses_what_rounding_took():
    account = Account(10**10)
    account.fill(1, GRID, 1, 1000, 7, 11, 1)
    account.fill(1, GRID, -1, 1000, 7, 11, 2)
    assert account.balance_e8 == 10**10 - 22
    assert (account.trades_closed, account.wins, account.positions) == (1, 0, {})
    account.fill(1, GRID, -1, 1000, 7, 11, 3)
    account.fill(1, GRID, 1, 990, 7, 11, 4)
    assert account.wins == 1
    assert account.closed[1].realised_e8 > 0


def test_flip_closes_and_opens():
    account = Account(10**12)
    account.fill(1, GRID, 1, 1000, 5, 0, 1)
    position = account.fill(1, GRID, -1, 1100, 8, 0, 2)
    assert position.lots == -3
    assert position.entry_value_e8 == -GRID.value_e8(1100, 3, round_up=False)
    assert account.balance_e8 - 10**12 == GRID.value_e8(1100, 5, round_up=False) - GRID.value_e8(1000, 5, round_up=True)


def test_risk_to_the_stop_margin_and_heat():
    account = Account(10**12)
    position = account.fill(1, GRID, 1, 1000, 10, 0, 1)
    assert position.risk_e8(0) == position.entry_value_e8  # no stop: all of it
    position.stop_ticks = 990
    assert position.risk_e8(0) == GRID.value_e8(10, 10, round_up=True)
    assert position.risk_e8(55_000) > position.risk_e8(0)
    position.stop_ticks = 1010
    assert position.risk_e8(0) == 0
    position.leverage_e2 = 300
    assert position.margin_e8 == -(-position.entry_value_e8 // 3)
    assert account.margin_used_e8 == position.margin_e8
    assert account.heat_e8(0) == 0


def test_day_rolls_with_event_time_and_never_back():
    account = Account(10**10)
    assert not account.roll(DAY_NS - 1)  # the first day of the run is no roll
    account.fill(1, GRID, 1, 1000, 1, 500, DAY_NS - 1)
    assert account.realised_day_e8 == -500
    assert account.roll(DAY_NS)
    assert (account.day, account.realised_day_e8) == (1, 0)
    assert account.day_start_equity_e8 == account.equity_e8
    assert not account.roll(DAY_NS - 1)
    assert account.day == 1


def test_digest_depends_on_order():
    one, two = Account(0), Account(0)
    one.fold((1, 2))
    two.fold((2, 1))
    assert one.digest != two.digest
