"""Entry zones: the worked example of core/state/README.md, the life of a zone, both sides alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schema import Settings
from core.constants import NS_PER_S
from core.params import params_row
from core.state.trade import TRADE_STATE
from core.state.zone import clear_zone, follow_zone, make_zone, zone_lost
from tests.reference.zone import NaiveZone

PARAMS = params_row(Settings(), 1)
P = {name: PARAMS[0][name].tolist() for name in PARAMS.dtype.names or ()}
T0 = 10**18


def made(side: int, bid: int, ask: int, wall: float = math.nan, spread: float = 1.0, atr: float = 1.0) -> np.ndarray:
    trade = np.zeros(1, TRADE_STATE.dtype)
    trade[0]["side"] = side
    make_zone(trade, 0, np.int64(bid), np.int64(ask), wall, spread, atr, PARAMS)
    return trade


def bounds(trade: np.ndarray) -> tuple[int, int, int]:
    return tuple(int(trade[0][f"zone_{name}_ticks"]) for name in ("min", "ideal", "max"))  # type: ignore[return-value]


def test_the_worked_example_of_the_page() -> None:
    assert bounds(made(1, 100_000, 100_010)) == (99_980, 100_000, 100_020)
    assert bounds(made(1, 100_000, 100_010, atr=8.0)) == (99_960, 100_000, 100_040)
    assert bounds(made(1, 100_000, 100_010, atr=90.0)) == (99_925, 100_000, 100_075)  # never wider than 0.15 %
    assert bounds(made(1, 100_000, 100_010, wall=1.5)) == (99_980, 99_991, 100_020)  # one tick in front of the wall


def test_a_wall_outside_or_ahead_changes_nothing() -> None:
    assert bounds(made(1, 100_000, 100_010, wall=40.0))[1] == 100_000
    assert bounds(made(-1, 100_000, 100_010, wall=0.0))[1] == 100_010


def test_a_zone_has_at_least_a_tick_each_way() -> None:
    assert bounds(made(1, 50, 51, spread=200.0)) == (49, 50, 51)


def test_outside_for_its_time_the_zone_has_to_follow() -> None:
    trade = made(1, 100_000, 100_010)
    assert not follow_zone(trade, 0, np.int64(100_020), np.int64(T0), PARAMS) and trade[0]["zone_out_ns"] == 0
    assert not follow_zone(trade, 0, np.int64(100_030), np.int64(T0), PARAMS)
    assert trade[0]["zone_distance_bps"] == pytest.approx(1.0)
    assert not follow_zone(trade, 0, np.int64(100_030), np.int64(T0 + 2 * NS_PER_S - 1), PARAMS)
    assert follow_zone(trade, 0, np.int64(100_030), np.int64(T0 + 2 * NS_PER_S), PARAMS)
    assert not follow_zone(trade, 0, np.int64(100_000), np.int64(T0 + 3 * NS_PER_S), PARAMS)  # back inside
    assert trade[0]["zone_out_ns"] == 0 and not zone_lost(trade, 0, PARAMS)


def test_too_far_or_nudged_too_often_is_lost() -> None:
    trade = made(1, 100_000, 100_010)
    follow_zone(trade, 0, np.int64(100_020 + 500), np.int64(T0), PARAMS)
    assert not zone_lost(trade, 0, PARAMS)  # 0.5 % is still alive
    follow_zone(trade, 0, np.int64(100_020 + 501), np.int64(T0), PARAMS)
    assert zone_lost(trade, 0, PARAMS)
    trade = made(1, 100_000, 100_010)
    trade[0]["nudges"] = 2
    assert not zone_lost(trade, 0, PARAMS)
    trade[0]["nudges"] = 3
    assert zone_lost(trade, 0, PARAMS)
    clear_zone(trade, 0)
    assert bounds(trade) == (0, 0, 0) and not zone_lost(trade, 0, PARAMS)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from((1, -1)), st.integers(2, 10**9), st.integers(1, 1000),
    st.one_of(st.just(math.nan), st.floats(0, 100)), st.floats(0.01, 200), st.one_of(st.just(math.nan), st.floats(0, 500)),
    st.lists(st.integers(-10**6, 10**6), max_size=8),
)  # fmt: skip
def test_kernels_equal_the_twin(
    side: int, bid: int, width: int, wall: float, spread: float, atr: float, steps: list[int]
) -> None:
    trade = made(side, bid, bid + width, wall, spread, atr)
    twin = NaiveZone(side, bid, bid + width, wall, spread, atr, P)
    assert bounds(trade) == (twin.low, twin.ideal, twin.high)
    assert twin.low < twin.high and twin.low <= twin.ideal <= twin.high
    now = T0
    for step in steps:
        now += 700_000_000
        price = max(bid + step, 1)
        assert follow_zone(trade, 0, np.int64(price), np.int64(now), PARAMS) == twin.follow(price, now)
        assert trade[0]["zone_distance_bps"] == pytest.approx(twin.distance_bps, rel=1e-12)
