"""Micro-candles against a twin that makes each candle from the whole list of trades."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candles import kernels as K
from core.enums import EventKind
from tests.core.streams import DERIVED_TAPE, REAL_TAPE, Market, recorded_events, trade_array
from tests.reference.candles import Candle, NaiveCandles
from tests.reference.tape import Trade
from tests.shared_data import recording

SECOND = 1_000_000_000


class Pair:
    def __init__(self) -> None:
        self.candles = K.new_candles(3)
        self.twins = [NaiveCandles(ns) for ns in K.INTERVALS_NS]
        self.out = np.zeros(2 * K.KEPT, K.CANDLE)

    def add(self, ts_ns: int, trades: list[Trade]) -> None:
        K.add_trades(self.candles, 1, ts_ns, trade_array([Trade(9, 9, 1), *trades]), 1, len(trades))
        for twin in self.twins:
            twin.roll(ts_ns)
            twin.add(ts_ns, trades)

    def roll(self, ts_ns: int) -> None:
        K.roll(self.candles, 1, ts_ns)
        for twin in self.twins:
            twin.roll(ts_ns)

    def check(self, n: int) -> None:
        assert (self.candles.last[[0, 2]] < 0).all()
        for interval, twin in enumerate(self.twins):
            got = K.copy_last(self.candles, 1, interval, n, self.out)
            expected = twin.last(min(n, K.KEPT))
            assert [Candle(*row) for row in self.out[:got].tolist()] == expected
            series = (twin.now_ns // twin.interval_ns - twin.times[0] // twin.interval_ns) if twin.trades else 0
            assert K.closed(self.candles, 1, interval) == min(series, K.KEPT - 1)
            for length, minimum in ((14, 3), (1, 1), (100, 20)):
                atr = K.atr_bps(self.candles, 1, interval, length, minimum)
                assert atr == pytest.approx(twin.atr_bps(length, minimum), rel=1e-9, nan_ok=True)


def run_market(seed: int, n: int, check_every: int) -> None:
    pair = Pair()
    for i, event in enumerate(Market(seed).events(n)):
        if event.kind is EventKind.TRADES:
            pair.add(event.ts_ns, event.trades)
        else:
            pair.roll(event.ts_ns)
        if i % check_every == 0:
            pair.check(30)
    pair.check(K.KEPT + 3)


def test_generated_stream_equals_twin() -> None:
    run_market(5, 4_000, 40)


@pytest.mark.slow
def test_long_generated_stream_equals_twin() -> None:
    run_market(6, 170_000, 50)  # about 100,000 trades


trades = st.builds(
    Trade, st.integers(1, 10**9), st.integers(1, 10**9), st.sampled_from([-1, 1]), st.integers(0, 3), st.just(0)
)
steps = st.one_of(st.integers(-3 * SECOND, 4 * SECOND), st.integers(0, 3000 * SECOND))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(steps, st.one_of(st.none(), st.lists(trades, max_size=4))), max_size=20))
def test_any_times_equal_twin(calls: list[tuple[int, list[Trade] | None]]) -> None:
    """Also with a clock that steps back: closed candles stay final."""
    pair = Pair()
    ts_ns = 10**6 * SECOND
    for step, batch in calls:
        ts_ns += step
        if batch is None:
            pair.roll(ts_ns)
        else:
            pair.add(ts_ns, batch)
        pair.check(20)


@pytest.mark.parametrize("name", [REAL_TAPE, DERIVED_TAPE])
def test_recorded_trades_equal_twin(name: str) -> None:
    pairs: dict[str, Pair] = {}
    for event in recorded_events(recording(name))[0]:
        pair = pairs.setdefault(event.symbol, Pair())
        if event.kind is EventKind.TRADES:
            pair.add(event.ts_ns, event.trades)
        else:
            pair.roll(event.ts_ns)
    assert pairs
    for pair in pairs.values():
        pair.check(K.KEPT)


def test_worked_example_of_the_readme() -> None:
    pair = Pair()
    pair.add(100 * SECOND, [Trade(1000, 5, 1), Trade(1004, 2, -1), Trade(1002, 1, 1)])
    pair.add(103 * SECOND, [Trade(1008, 4, 1)])
    pair.roll(105 * SECOND)
    pair.check(10)
    got = K.copy_last(pair.candles, 1, int(K.CANDLE_1S), 10, pair.out)
    assert [Candle(*row)[1:] for row in pair.out[:got].tolist()] == [
        (1000, 1004, 1000, 1002, 6, 2, 3),
        (1002, 1002, 1002, 1002, 0, 0, 0),
        (1002, 1002, 1002, 1002, 0, 0, 0),
        (1008, 1008, 1008, 1008, 4, 0, 1),
        (1008, 1008, 1008, 1008, 0, 0, 0),
        (1008, 1008, 1008, 1008, 0, 0, 0),
    ]
    # closed with a predecessor: three of them, true ranges 0, 0, 6 and 0 over the last four
    assert K.atr_bps(pair.candles, 1, int(K.CANDLE_1S), 14, 3) == pytest.approx(6 / 4 / 1008 * 1e4)
    assert math.isnan(K.atr_bps(pair.candles, 1, int(K.CANDLE_1S), 14, 5))


def test_a_week_of_silence_costs_one_ring() -> None:
    pair = Pair()
    pair.add(100 * SECOND, [Trade(1000, 5, 1)])
    pair.roll(604_800 * SECOND)
    got = K.copy_last(pair.candles, 1, int(K.CANDLE_1S), K.KEPT, pair.out)
    assert got == K.KEPT and set(pair.out[:got]["close"].tolist()) == {1000} and not pair.out[:got]["trades"].any()
    K.clear(pair.candles, 1)
    assert K.copy_last(pair.candles, 1, int(K.CANDLE_1S), K.KEPT, pair.out) == 0
    assert math.isnan(K.atr_bps(pair.candles, 1, int(K.CANDLE_1S), 1, 1))
