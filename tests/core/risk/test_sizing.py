"""Position size: never over the margin, the risk cap or the largest order; one lot more would be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.position.position import Grid
from core.risk.sizing import order_risk_e8, size_lots

E8 = 10**8
GRID = Grid(5, 1, 4)


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(-10**4, 10**4), st.sampled_from([1, -1]), st.integers(0, 100 * E8),
       st.integers(100, 2500), st.integers(0, 50 * E8), st.integers(0, 10**6))
def test_bounds(price, distance, side, margin, leverage, risk_cap, max_lots):
    stop = max(price - side * abs(distance), 0)
    lots = size_lots(GRID, side, price, stop, margin, leverage, risk_cap, 55_000, max_lots)
    assert lots >= 0
    assert not max_lots or lots <= max_lots
    assert GRID.value_e8(price, lots, round_up=True) * 100 <= margin * leverage
    assert order_risk_e8(GRID, side, price, stop, lots, 55_000) <= max(risk_cap, 0) + 3  # roundings of three values


def test_margin_bound_is_tight():
    lots = size_lots(GRID, 1, 1000, 990, 25 * E8, 500, 10**15, 0, 0)
    one = GRID.value_e8(1000, 1, round_up=True)
    assert lots * one <= 125 * E8 < (lots + 1) * one


def test_nothing_for_nonsense():
    assert size_lots(GRID, 1, 0, 0, 25 * E8, 500, 10**15, 0, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, 0, 500, 10**15, 0, 0) == 0
    assert size_lots(GRID, 1, 1000, 990, 25 * E8, 500, 0, 0, 0) == 0
    assert order_risk_e8(GRID, 1, 1000, 990, 0, 0) == 0


def test_without_a_stop_all_of_it_is_at_risk():
    assert order_risk_e8(GRID, 1, 1000, 0, 10, 0) == GRID.value_e8(1000, 10, round_up=True)
