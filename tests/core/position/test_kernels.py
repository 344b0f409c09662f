"""The rules of core/position/README.md: its worked example, both sides alike, and equality with the twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schema import Settings
from core.enums import Cause
from core.params import params_row
from core.position.kernels import addition_due, plan_ladder, propose_stop, pulled_target
from tests.reference.exits import blow_off_target, ladder, wanted_stop

ENTRY, STOP, RISK, FEES, SPREAD, ATR = 100_000, 99_680, 320.0, 11.0, 1.0, 8.0
PARAMS = params_row(Settings(), 1)


def by_name(params):
    return {name: params[0][name].tolist() for name in params.dtype.names or ()}


def flip(side, price):
    """A price of the page's long, mirrored around the entry for the short."""
    return price if side > 0 or price == 0 else 2 * ENTRY - price


def plan(side, price=ENTRY, atr=ATR, spread=SPREAD, params=PARAMS):
    out = np.zeros(8, np.int64)
    made = plan_ladder(np.int64(side), np.int64(price), atr, FEES, spread, out, params)
    return made, out[1:5].tolist()


def stop_of(side, touch, peak=0, stop=STOP, room=RISK, trails=False, tight=False, wide=False, params=PARAMS, atr=ATR):
    touch, peak, stop = flip(side, touch), flip(side, peak or touch), flip(side, stop)
    arguments = (side, float(ENTRY), touch, peak, stop, RISK, room, trails, tight, wide, atr, FEES, SPREAD)
    kinds = (np.int64, float, np.int64, np.int64, np.int64, float, float, bool, bool, bool, float, float, float)
    found, rule = propose_stop(*(kind(a) for kind, a in zip(kinds, arguments, strict=True)), params)
    assert (int(found), Cause(rule)) == wanted_stop(*arguments, by_name(params))
    return flip(side, int(found)), Cause(rule)


@pytest.mark.parametrize("side", [1, -1])
class TestThePage:
    """Longs as written there. A short rounds the other way: a tick here or there where distances are shares of a price
    that itself is mirrored."""

    def test_plan(self, side):
        made, (stop, *targets) = plan(side)
        assert made == 1
        assert (flip(side, stop), [flip(side, t) for t in targets]) == (99_680, [100_320, 100_512, 100_768])

    def test_no_target_under_min_move(self, side):
        _, (stop, *targets) = plan(side, atr=1.0, spread=10.0)  # stop 15 bps, MinMove 13.75 + 10
        assert flip(side, stop) == 99_850
        assert [flip(side, t) for t in targets] == [100_238, 100_240, 100_360]

    def test_break_even(self, side):
        assert stop_of(side, 100_137) == (STOP, Cause.NONE)
        stop, rule = stop_of(side, 100_138)
        assert rule is Cause.BREAK_EVEN and abs(stop - 100_110) <= 1  # fees are covered
        stop, rule = stop_of(side, 100_166, stop=100_110)
        assert rule is Cause.BREAK_EVEN and abs(stop - 100_138) <= 1  # fees and buffer
        assert stop_of(side, 100_300, stop=100_138) == (100_138, Cause.NONE)

    def test_break_even_can_be_switched_off(self, side):
        params = PARAMS.copy()
        params["break_even"] = 0
        assert stop_of(side, 100_300, params=params) == (STOP, Cause.NONE)

    def test_trail_after_the_first_target(self, side):
        assert stop_of(side, 100_600, stop=100_138) == (100_138, Cause.NONE)
        stop, rule = stop_of(side, 100_600, stop=100_138, trails=True)
        assert rule is Cause.TRAIL and abs(stop - 100_278) <= 3
        assert stop_of(side, 100_500, peak=100_600, stop=stop, trails=True) == (stop, Cause.NONE)
        assert stop_of(side, 100_605, stop=stop, trails=True) == (stop, Cause.NONE)  # under a step

    def test_blow_off_tightens_trail_and_targets(self, side):
        stop, rule = stop_of(side, 100_400, stop=100_138, tight=True)
        assert rule is Cause.TIGHTEN and abs(stop - 100_239) <= 1
        assert stop_of(side, 99_900, tight=True) == (STOP, Cause.NONE)  # only what is in profit
        for target, multiple, expected in ((100_512, 1.6, 100_256), (100_768, 2.4, 100_384), (100_155, 0.5, 100_155)):
            arguments = (side, float(ENTRY), flip(side, target), multiple, RISK, FEES, SPREAD, flip(side, 100_100))
            kinds = (np.int64, float, np.int64, float, float, float, float, np.int64)
            found = pulled_target(*(kind(a) for kind, a in zip(kinds, arguments, strict=True)), PARAMS)
            assert flip(side, int(found)) == expected
            assert int(found) == blow_off_target(*arguments, by_name(PARAMS))

    def test_widening(self, side):
        assert stop_of(side, 99_900, wide=True) == (STOP, Cause.NONE)  # the whole size: no room beyond the gated risk
        assert stop_of(side, 99_900, wide=True, room=RISK * 100 / 60) == (99_520, Cause.WIDEN)  # 60 of 100 lots: 1.5 R
        assert stop_of(side, 99_900, wide=True, room=RISK * 100 / 80) == (99_600, Cause.WIDEN)  # 80 of them: 1.25 R
        assert stop_of(side, 99_900, room=1e6) == (STOP, Cause.NONE)
        assert stop_of(side, 100_120, stop=100_050, wide=True, room=1e6) == (100_050, Cause.NONE)  # profit is locked in
        params = PARAMS.copy()
        params["widen"], params["stop_max_bps"] = 9.0, 50.0
        assert stop_of(side, 99_900, wide=True, room=1e6, params=params) == (99_500, Cause.WIDEN)


def test_a_position_without_a_stop_gets_one():
    assert stop_of(1, 100_200, stop=0)[1] is Cause.BREAK_EVEN
    assert stop_of(1, 100_200, stop=0, trails=True, atr=math.nan)[1] is Cause.BREAK_EVEN


def test_a_plan_needs_positive_prices():
    assert plan(1, price=1)[0] == 0
    assert plan(-1, price=1)[0] == 0


def test_additions_are_due_step_by_step():
    params = PARAMS.copy()
    assert not addition_due(np.int64(1), 100_000.0, np.int64(99_000), np.int64(320), np.int64(0), params)
    params["add_max"] = 2
    for additions, due in ((0, 99_872), (1, 99_744)):
        for off, expected in ((0, True), (1, False)):
            assert addition_due(np.int64(1), 100_000.0, np.int64(due + off), np.int64(320), np.int64(additions),
                                params) == expected
    assert not addition_due(np.int64(1), 100_000.0, np.int64(99_000), np.int64(320), np.int64(2), params)


@settings(max_examples=400, deadline=None)
@given(
    side=st.sampled_from([1, -1]), entry=st.floats(200, 10**7), moves=st.tuples(*[st.floats(-0.02, 0.02)] * 3),
    stop=st.booleans(), risk=st.floats(0, 500), room=st.floats(0, 5000), flags=st.tuples(*[st.booleans()] * 3),
    atr=st.one_of(st.just(math.nan), st.floats(0, 100)), fees=st.floats(0, 30), spread=st.floats(0, 30),
    knobs=st.tuples(st.floats(0, 2), st.floats(0.1, 5), st.floats(0.1, 2), st.floats(0.1, 1), st.floats(1, 3),
                    st.floats(0.01, 20), st.booleans()),
)  # fmt: skip
def test_stops_equal_the_twin_and_move_only_in_our_favour(
    side, entry, moves, stop, risk, room, flags, atr, fees, spread, knobs
):
    params = PARAMS.copy()
    names = ("fee_buffer", "trail_atr", "trail_r", "tighten", "widen", "step_bps", "break_even")
    for name, value in zip(names, knobs, strict=True):
        params[name] = value
    touch, peak, at = (max(round(entry * (1 + move)), 1) for move in moves)
    peak = max(peak, touch, key=lambda price: side * price)
    at = at if stop else 0
    trails, tight, wide = flags
    arguments = (side, entry, touch, peak, at, risk, room, trails, tight, wide, atr, fees, spread)
    found, rule = propose_stop(
        np.int64(side), entry, np.int64(touch), np.int64(peak), np.int64(at), risk, room, trails, tight, wide, atr, fees,
        spread, params,
    )
    found, rule = int(found), Cause(rule)
    assert (found, rule) == wanted_stop(*arguments, by_name(params))
    if rule is Cause.NONE:
        assert found == at
    elif rule is Cause.WIDEN:
        assert wide and side * (found - at) < 0
        assert side * (entry - found) <= min(max(params["widen"][0] * risk, 0), room) + 1e-6 * entry
    else:
        assert at == 0 or side * (found - at) >= 1
        assert side * (touch - found) >= 1  # never through the market
        if wide and rule in (Cause.TRAIL, Cause.TIGHTEN):
            assert side * (found - entry) >= 0


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, -1]), st.integers(50, 10**8), st.floats(0, 200), st.floats(0, 30), st.floats(0, 50))
def test_plans_equal_the_twin(side, price, atr, fees, spread):
    out = np.zeros(8, np.int64)
    made = plan_ladder(np.int64(side), np.int64(price), atr, fees, spread, out, PARAMS)
    expected = ladder(side, price, atr, fees, spread, by_name(PARAMS))
    assert tuple(out[1:5].tolist()) == expected
    assert made == (1 if min(expected) > 0 else 0)
    least = price * (fees * 1.25 + spread) * 1e-4
    assert all(side * (target - price) >= least - 1e-6 * price for target in expected[1:])


@pytest.mark.parametrize("kernel", [plan_ladder, propose_stop, pulled_target, addition_due])
def test_one_signature(kernel):
    if hasattr(kernel, "signatures"):
        assert len(kernel.signatures) <= 1
