"""Position size: never over the margin, the risk cap or the largest order; one lot more would be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.position.position import Grid
from core.risk.sizing import order_risk_e8, size_lots

E8 = 10**8
GRID = Grid(5, 1, 4)
NO_CAP = 10**15


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(-10**4, 10**4), st.sampled_from([1, -1]), st.integers(0, 100 * E8),
       st.integers(100, 2500), st.integers(0, 50 * E8), st.integers(0, 10**6), st.integers(-E8, 500 * E8),
       st.integers(0, 10**6))
def test_bounds(price, distance, side, margin, leverage, risk_cap, max_lots, max_value, buffer):
    stop = max(price - side * abs(distance), 0)
    lots = size_lots(GRID, side, price, stop, margin, leverage, risk_cap, 55_000, max_lots, max_value, buffer)
    assert lots >= 0
    assert not max_lots or lots <= max_lots
    assert GRID.value_e8(price, lots, round_up=True) * 100 <= margin * leverage
    assert GRID.value_e8(price, lots, round_up=True) <= max(max_value, 0)
    assert order_risk_e8(GRID, side, price, stop, lots, 55_000, buffer) <= max(risk_cap, 0) + 4  # roundings of four values


def test_margin_bound_is_tight():
    lots = size_lots(GRID, 1, 1000, 990, 25 * E8, 500, 10**15, 0, 0, NO_CAP, 0)
    one = GRID.value_e8(1000, 1, round_up=True)
    assert lots * one <= 125 * E8 < (lots + 1) * one


def test_nothing_for_nonsense():
    assert size_lots(GRID, 1, 0, 0, 25 * E8, 500, 10**15, 0, 0, NO_CAP, 0) == 0
    assert size_lots(GRID, 1, -1, 0, -25 * E8, 500, 10**15, 0, 0, NO_CAP, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, 0, 500, 10**15, 0, 0, NO_CAP, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, -25 * E8, -500, 10**15, 0, 0, NO_CAP, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, 25 * E8, 0, 10**15, 0, 0, NO_CAP, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, 25 * E8, 500, 0, 0, 0, NO_CAP, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, 25 * E8, 500, -5, 0, 0, NO_CAP, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, 25 * E8, 500, 10**15, 0, 0, -1, 0) == 0
    assert order_risk_e8(GRID, 1, 1000, 990, 0, 0, 0) == 0
    assert order_risk_e8(GRID, 1, 1000, 1010, -1, 0, 0) == 0
    assert order_risk_e8(GRID, 1, 1000, 990, 1, 0, 0) > 0


@pytest.mark.parametrize(("change", "lots"), [
    ({}, 250), ({"margin": 0}, 0), ({"leverage": 0}, 0), ({"margin": -1, "leverage": -500}, 0),
    ({"margin": 100, "leverage": 1}, 50), ({"largest": 1}, 1), ({"value": 4}, 200), ({"value": 0, "cap": 0}, 0),
    ({"cap": 5}, 250), ({"cap": 4}, 200), ({"cap": 0}, 0), ({"cap": -5}, 0),
])
def test_the_smallest_numbers(change, lots):
    """One tick, 2e-10 USDT a lot, a margin of 1e-8 USDT at 5x: 250 lots, all of them at risk without a stop."""
    how = {"margin": 1, "leverage": 500, "cap": NO_CAP, "largest": 0, "value": NO_CAP} | change
    assert size_lots(Grid(1, 2, 10), 1, 1, 0, how["margin"], how["leverage"], how["cap"], 0, how["largest"],
                     how["value"], 0) == lots


def test_without_a_stop_all_of_it_is_at_risk():
    assert order_risk_e8(GRID, 1, 1000, 0, 10, 0, 0) == GRID.value_e8(1000, 10, round_up=True)


@pytest.mark.parametrize("side", [1, -1])
def test_the_risk_of_an_entry_by_hand(side):
    """100 lots at 1000 ticks of 0.0005 USDT: 50 USDT; stop 10 ticks away: 0.5 USDT; fees 1 % of 50 and of what the stop
    brings; buffer 0.1 % of 50."""
    exit_value = 50 * E8 - side * E8 // 2
    wanted = E8 // 2 + E8 // 2 + exit_value // 100 + 5 * E8 // 100
    assert order_risk_e8(GRID, side, 1000, 1000 - side * 10, 100, E8 // 100, E8 // 1000) == wanted


@pytest.mark.parametrize("side", [1, -1])
def test_the_largest_size_the_risk_allows(side):
    """One lot: 0.5 USDT, at risk 0.005 to the stop and 0.0005 buffer. 100 of them fit 0.55 USDT, 99 fit a bit less."""
    def lots(cap, largest=0):
        return size_lots(GRID, side, 1000, 1000 - side * 10, 1000 * E8, 500, cap, 0, largest, NO_CAP, E8 // 1000)

    assert lots(55 * E8 // 100) == 100
    assert lots(55 * E8 // 100 - 1) == 99
    assert lots(55 * E8 // 100, 7) == 7
    assert lots(0) == 0
    assert lots(NO_CAP) == 10_000


def test_the_largest_value_cuts():
    def lots(cap):
        return size_lots(GRID, 1, 1000, 990, 1000 * E8, 500, NO_CAP, 0, 0, cap, 0)

    assert lots(10 * E8) == 20
    assert lots(10 * E8 - 1) == 19
    assert lots(0) == 0
