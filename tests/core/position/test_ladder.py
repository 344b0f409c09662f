"""The ladder in whole lots: shares, dust, partial entries, what is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.position.ladder import NO_TARGETS, laid, share_out, taken, within
from core.position.position import Grid, Position
from tests.reference.exits import shares

TICKS = (1010, 1016, 1024)
SHARES = (4000, 3000, 2000)


def sizes(targets):
    return [lots for _, lots in targets]


@pytest.mark.parametrize(("lots", "least", "expected"), [
    (100, 5, [40, 30, 20]),  # the page's example: 10 ride
    (101, 5, [40, 30, 20]),
    (12, 5, [0, 12, 0]),  # 4 are dust and go on; 8 stand; 2 and the rest of 2 are dust: to the last that has any
    (26, 5, [10, 8, 8]),  # the rest of 3 is dust
    (4, 5, [4, 0, 0]),  # too small to be shared
    (1, 1, [1, 0, 0]),
    (0, 1, [0, 0, 0]),
])
def test_whole_lots_and_dust(lots, least, expected):
    assert sizes(share_out(lots, TICKS, SHARES, least)) == expected


def test_targets_at_one_price_are_one_order():
    assert share_out(100, (1010, 1010, 1024), SHARES, 1) == ((1010, 0), (1010, 70), (1024, 20))


def test_without_shares_everything_rides():
    assert share_out(100, TICKS, (0, 0, 0), 1) == NO_TARGETS
    assert share_out(100, (0, 0, 0), SHARES, 1) == NO_TARGETS
    assert share_out(100, TICKS, (0, 10_000, 0), 1) == ((0, 0), (1016, 100), (0, 0))


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.integers(0, 6000)] * 3),
       st.integers(1, 50))
def test_equals_its_twin_and_adds_up(lots, ticks, parts, least):
    ladder = share_out(lots, ticks, parts, least)
    assert sizes(ladder) == shares(lots, ticks, parts, least)
    assert 0 <= sum(sizes(ladder)) <= lots and min(sizes(ladder)) >= 0
    rest = lots - sum(sizes(ladder))
    if any(part > 0 and price > 0 for part, price in zip(parts, ticks, strict=True)) and lots:
        assert rest == 0 or rest >= least
        assert all(size == 0 or size >= least or size == lots for size in sizes(ladder))


@settings(max_examples=300, deadline=None)
@given(st.tuples(*[st.integers(0, 30)] * 3), st.lists(st.integers(1, 20), max_size=8), st.data())
def test_lots_of_targets_and_done_are_the_position(planned, fills, data):
    """However an entry fills and the targets are hit: laid = done + left, and never more than the position."""
    order = tuple(zip(TICKS, planned, strict=True))
    position, opened = Position(0, Grid(1, 1, 4)), 0
    done = [0, 0, 0]
    for lots in fills:
        position.apply(lots, 1000, 0)
        position.lay(order, opened, lots)
        opened += lots
        rung = data.draw(st.integers(0, 3))
        left = sizes(position.targets)
        if rung and left[rung - 1]:
            hit = data.draw(st.integers(1, left[rung - 1]))
            position.apply(-hit, 1010, 0)
            position.reduce(hit, rung, True)
            done[rung - 1] += hit
            assert position.took
        below = 0
        for k in range(3):
            due = min(max(opened - below, 0), planned[k])
            assert done[k] + position.targets[k][1] == due
            below += planned[k]
        assert sum(sizes(position.targets)) + sum(done) <= opened
        assert sum(sizes(position.targets)) <= position.lots == opened - sum(done)


def test_a_fill_that_names_no_target_takes_the_nearest():
    ladder = share_out(100, TICKS, SHARES, 1)
    assert sizes(taken(ladder, 50, 0)) == [0, 20, 20]
    assert sizes(taken(ladder, 20, 3)) == [40, 30, 0]


def test_an_outside_reduction_cuts_the_farthest_first():
    assert sizes(within(share_out(100, TICKS, SHARES, 1), 75)) == [40, 30, 5]
    position = Position(0, Grid(1, 1, 4), lots=100, entry_value_e8=1, targets=share_out(100, TICKS, SHARES, 1))
    position.lots = 45
    position.reduce(55, 0, False)
    assert sizes(position.targets) == [40, 5, 0] and not position.took and position.target_ticks == 1010


def test_the_first_lots_of_an_entry_are_the_nearest_targets():
    order = share_out(100, TICKS, SHARES, 1)
    assert laid(order, 0, 25) == (25, 0, 0)
    assert laid(order, 25, 50) == (15, 30, 5)
    assert laid(order, 75, 25) == (0, 0, 15)


def test_least_lots_of_an_instrument():
    grid = Grid(1, 1, 4)  # a lot at 1000 ticks is worth 0.1 USDT
    assert grid.least_lots(1000, 1, 5 * 10**8) == 50
    assert grid.least_lots(1000, 80, 5 * 10**8) == 80
    assert grid.least_lots(999, 1, 5 * 10**8) == 51
    assert grid.least_lots(1000, 0, 0) == 1
