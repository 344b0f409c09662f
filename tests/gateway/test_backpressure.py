"""DEGRADED and shedding as tables: (time in ms, measurement) rows and what is in force after each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import Degraded
from core.enums import Category, FeedState
from gateway.backpressure import (
    NEXT_LEVEL,
    SHED_CATEGORIES,
    BackPressure,
    Band,
    DegradedSwitch,
    FeedLag,
    ProgressClock,
    ShedLevel,
    feed_state,
)

MS = 1_000_000
SETTINGS = Degraded()  # enter 300 ms after 300 ms, leave 150 ms after 2,000 ms; backlog 50 %, resume 10 %


@pytest.mark.parametrize(("rows", "why"), [
    ([(0, 0, 0), (100, 299, 0), (5000, 299, 0)], "never over the limit"),
    ([(0, 400, 0), (100, 400, 0), (299, 400, 0), (300, 400, 1)], "over the limit long enough"),
    ([(0, 400, 0), (200, 250, 0), (300, 400, 0), (599, 400, 0), (600, 400, 1)], "a dip starts the count anew"),
    ([(0, 400, 0), (300, 400, 1), (400, 200, 1), (9000, 200, 1)], "between the limits nothing changes"),
    ([(0, 400, 0), (300, 400, 1), (400, 100, 1), (2399, 100, 1), (2400, 100, 0)], "calm long enough"),
    ([(0, 400, 0), (300, 400, 1), (400, 100, 1), (1000, 160, 1), (1100, 100, 1), (3099, 0, 1), (3100, 0, 0)], "calm, but"),
])  # fmt: skip
def test_degraded(rows: list[tuple[int, int, int]], why: str) -> None:
    switch = DegradedSwitch(SETTINGS)
    for at, latency, expected in rows:
        assert switch.update(latency * MS, at * MS) == bool(expected), (why, at)


@pytest.mark.parametrize(("rows", "why"), [
    ([(0, 49, 0), (1000, 49, 0)], "under the backlog"),
    ([(0, 50, 1), (499, 60, 1), (500, 60, 2), (2000, 99, 2)], "WILD, then NORMAL when that did not help, never PRIME"),
    ([(0, 60, 1), (100, 30, 1), (600, 60, 2)], "between the limits the level stays"),
    ([(0, 60, 1), (100, 5, 1), (2099, 5, 1), (2100, 5, 0)], "low long enough"),
    ([(0, 60, 1), (100, 5, 1), (1000, 20, 1), (1100, 5, 1), (3099, 5, 1), (3100, 5, 0)], "low starts anew"),
    ([(0, 60, 1), (500, 60, 2), (600, 0, 2), (2600, 0, 1), (2700, 0, 1), (4700, 0, 0)], "one level at a time"),
])  # fmt: skip
def test_shedding(rows: list[tuple[int, float, int]], why: str) -> None:
    level = ShedLevel(SETTINGS)
    for at, lag, expected in rows:
        assert level.update(lag, at * MS) == expected, (why, at)


def test_the_table_is_complete_and_prime_is_never_shed() -> None:
    assert set(NEXT_LEVEL) == {(level, band) for level in range(3) for band in Band}
    assert all(int(Category.PRIME) not in categories for categories in SHED_CATEGORIES)
    assert SHED_CATEGORIES[1] < SHED_CATEGORIES[2]


@given(st.lists(st.tuples(st.integers(1, 900), st.floats(0, 100)), max_size=100))
def test_levels_move_one_step_and_only_upwards_when_high(rows: list[tuple[int, float]]) -> None:
    level, now, before = ShedLevel(SETTINGS), 0, 0
    for wait, lag in rows:
        now += wait * MS
        after = level.update(lag, now)
        assert abs(after - before) <= 1
        assert after <= before or lag >= SETTINGS.backlog_cells_pct
        assert after >= before or lag <= SETTINGS.resume_cells_pct
        before = after


def test_the_worst_of_all_inputs_counts_and_changed_shards_are_named() -> None:
    pressure = BackPressure(SETTINGS, 2)
    verdict = pressure.update([0, 350 * MS], [0.0, 70.0], 0, 0)
    assert (verdict.latency_ns, verdict.levels, verdict.changed, verdict.is_degraded) == (350 * MS, [0, 1], [1], False)
    verdict = pressure.update([0, 0], [0.0, 70.0], 400 * MS, 300 * MS)
    assert verdict.is_degraded and verdict.latency_ns == 400 * MS and verdict.changed == []


def test_new_limits_keep_the_state() -> None:
    pressure = BackPressure(SETTINGS, 1)
    pressure.update([400 * MS], [0.0], 0, 0)
    assert pressure.update([400 * MS], [0.0], 0, 300 * MS).is_degraded
    pressure.configure(Degraded(enter_ms=1000.0, leave_ms=900.0, leave_after_ms=0.0))
    assert not pressure.update([400 * MS], [0.0], 0, 400 * MS).is_degraded


def test_progress_clock_gives_the_age_of_the_oldest_unhandled_event() -> None:
    clock = ProgressClock()
    for seq, at in [(10, 0), (20, 100), (25, 100), (30, 200)]:
        clock.published(seq, at * MS)
    assert clock.ages_ns([30, 30], 30, 500 * MS) == [0, 0]
    clock = ProgressClock()
    for seq, at in [(10, 0), (20, 100), (30, 200)]:
        clock.published(seq, at * MS)
    assert clock.ages_ns([9, 15, 30], 30, 500 * MS) == [500 * MS, 400 * MS, 0]
    assert clock.ages_ns([25, 25, 30], 30, 500 * MS) == [300 * MS, 300 * MS, 0]


def test_progress_clock_forgets_the_oldest_when_full() -> None:
    clock = ProgressClock(grain_ns=0, capacity=8)
    for seq in range(1, 100):
        clock.published(seq, seq * MS)
    assert len(clock._marks) <= 8
    assert 0 < clock.ages_ns([0], 99, 100 * MS)[0] <= 100 * MS


@pytest.mark.parametrize(("n_open", "n_all", "closed_s", "state"), [
    (2, 2, 0.0, FeedState.CONNECTED), (1, 2, 0.0, FeedState.RECONNECTING), (0, 2, 9.9, FeedState.RECONNECTING),
    (0, 2, 10.1, FeedState.DOWN), (0, 0, 11.0, FeedState.DOWN), (1, 2, 99.0, FeedState.RECONNECTING),
])  # fmt: skip
def test_feed_state(n_open: int, n_all: int, closed_s: float, state: FeedState) -> None:
    assert feed_state(n_open, n_all, int(closed_s * 1e9), int(10e9)) == state


def test_feed_lag_is_measured_against_the_best_of_the_last_minute() -> None:
    lag = FeedLag()
    assert [lag.update(skew, frames) for skew, frames in [(100, 60), (90, 60), (400, 60), (9999, 3), (95, 60)]] == [
        0, 0, 310, 0, 5
    ]  # fmt: skip
    assert lag.baseline_ns == 90
