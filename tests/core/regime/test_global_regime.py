"""Global regime: shocks and volatility of the leaders, falling together, a silent feed, hysteresis and shortest stay."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from config.schema import Settings
from core.constants import NS_PER_S
from core.enums import FeedState, GlobalRegime
from core.params import params_row
from core.regime.global_regime import RULE_NAMES, RULES, GlobalRegimeTracker, Limits, Measures, judge

PARAMS = params_row(Settings(), 1)
NORMAL, OFF, PANIC = GlobalRegime
NAN = math.nan


def run(tracker: GlobalRegimeTracker, start_s: int, prices: list[float], name: str = "BTCUSDT") -> GlobalRegime:
    for k, price in enumerate(prices):
        tracker.feed((start_s + k) * NS_PER_S, name, price)
        tracker.verdict((start_s + k) * NS_PER_S)
    return tracker.regime


LIMITS = Limits((60.0, 150.0), (100.0, 300.0), 0.8, 0.8, 30.0, 10.0)


@pytest.mark.parametrize(
    ("measures", "name"),
    [
        (Measures(NAN, NAN, NAN, NAN, NAN, -1.0), "calm"),
        (Measures(59.0, 99.0, 1.0, 1.0, -29.0, 9.0), "calm"),
        (Measures(60.0, 0.0, 0.0, 0.5, 0.0, -1.0), "volatility"),
        (Measures(150.0, 0.0, 0.0, 0.5, 0.0, -1.0), "panic_volatility"),
        (Measures(0.0, 100.0, 0.0, 0.5, 0.0, -1.0), "shock"),
        (Measures(0.0, 300.0, 0.0, 0.5, 0.0, -1.0), "panic_shock"),
        (Measures(0.0, 0.0, 0.8, 0.8, -30.0, -1.0), "together"),
        (Measures(0.0, 0.0, 0.8, 0.8, 30.0, -1.0), "calm"),
        (Measures(0.0, 0.0, 0.0, 0.5, 0.0, 10.0), "feed_down"),
    ],
)
def test_rules(measures: Measures, name: str) -> None:
    assert RULE_NAMES[judge(measures, LIMITS)] == name
    assert [regime for _, regime, _ in RULES] == sorted((regime for _, regime, _ in RULES), reverse=True)


def test_quiet_market_is_normal_and_unknown_is_normal() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    row = tracker.verdict(NS_PER_S)[0]
    assert row["regime"] == NORMAL and math.isnan(row["btc_vol_bps"]) and math.isnan(row["correlation"])
    assert run(tracker, 10, [60_000.0 + k % 3 for k in range(100)]) == NORMAL


def test_a_shock_turns_the_regime_at_once_and_calm_turns_it_back_late() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    run(tracker, 0, [60_000.0] * 60)
    assert run(tracker, 60, [60_000.0 * 0.985]) == PANIC  # 150 bps within a second: volatility
    assert RULE_NAMES[tracker.rule] == "panic_volatility"
    calm = [60_000.0 * 0.985] * 200
    assert run(tracker, 61, calm[:80]) == PANIC  # the shock leaves the window after a minute
    assert run(tracker, 141, calm) == NORMAL


def test_a_slow_move_is_risk_off() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    fall = [3000.0 * (1 - 0.0002 * k) for k in range(61)]  # 120 bps in a minute, 15 bps of volatility
    assert run(tracker, 0, fall, "ETHUSDT") == OFF
    assert tracker.verdict(61 * NS_PER_S)[0]["eth_return_bps"] < -100


def test_a_regime_is_left_below_its_threshold_and_not_before_its_shortest_stay() -> None:
    params = PARAMS.copy()
    params["global_calm_ns"], params["global_dwell_ns"] = 0, 90 * NS_PER_S
    tracker = GlobalRegimeTracker(params)
    fall = [3000.0 * (1 - 0.00018 * k) for k in range(60)]  # 106 bps in a minute
    assert run(tracker, 0, fall, "ETHUSDT") == OFF
    entered = tracker._since_ns // NS_PER_S
    slower = [fall[-1] * (1 - 0.00011 * k) for k in range(1, 70)]  # 66 bps: under 100, over 60
    assert run(tracker, 60, slower, "ETHUSDT") == OFF, "hysteresis"
    assert run(tracker, 129, [slower[-1]] * 15, "ETHUSDT") == OFF, "shortest stay"
    assert run(tracker, 144, [slower[-1]] * (entered + 90 - 144), "ETHUSDT") == OFF
    assert run(tracker, entered + 90, [slower[-1]] * 60, "ETHUSDT") == NORMAL


def test_volatility_against_a_plain_sum() -> None:
    rng = random.Random(3)
    tracker = GlobalRegimeTracker(PARAMS)
    prices = [100.0]
    for _ in range(40):
        prices.append(prices[-1] * (1 + rng.gauss(0, 0.0003)))
    run(tracker, 5, prices)
    row = tracker.verdict(46 * NS_PER_S)[0]
    expected = math.sqrt(sum(math.log(b / a) ** 2 for a, b in itertools.pairwise(prices))) * 1e4
    assert abs(row["btc_vol_bps"] - expected) < 1e-9


def test_quiet_seconds_count_as_no_change_and_a_long_silence_forgets() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    tracker.feed(0, "BTCUSDT", 100.0)
    tracker.feed(5 * NS_PER_S, "BTCUSDT", 101.0)
    assert abs(tracker.verdict(5 * NS_PER_S)[0]["btc_return_bps"] - 100.0) < 1e-6
    tracker.feed(500 * NS_PER_S, "BTCUSDT", 50.0)
    assert math.isnan(tracker.verdict(500 * NS_PER_S)[0]["btc_return_bps"])
    assert math.isnan(tracker.verdict(600 * NS_PER_S)[0]["btc_return_bps"])


def test_breadth_median_and_bad_prices() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    for name, price in (("AUSDT", 1.0), ("BUSDT", 2.0), ("CUSDT", 3.0)):
        tracker.feed(NS_PER_S, name, price)
    tracker.verdict(NS_PER_S)
    tracker.feed(40 * NS_PER_S, "AUSDT", 0.9)
    tracker.feed(40 * NS_PER_S, "BUSDT", 2.1)
    for bad in (0.0, -1.0, NAN, math.inf):
        tracker.feed(41 * NS_PER_S, "BUSDT", bad)
    row = tracker.verdict(41 * NS_PER_S)[0]
    assert abs(row["breadth"] - 1 / 3) < 1e-12 and row["median_bps"] == 0.0
    row = tracker.verdict(110 * NS_PER_S)[0]
    assert math.isnan(row["breadth"]), "more than a minute without a sample: too little is known"


def universe(seed: int, n: int, share: float, drift: float, seconds: int) -> tuple[GlobalRegimeTracker, np.void, list]:
    """`n` symbols whose returns share `share` of their variance with BTC."""
    random_ = np.random.default_rng(seed)
    tracker = GlobalRegimeTracker(PARAMS)
    names = ["BTCUSDT", *(f"S{k}USDT" for k in range(n))]
    prices = np.full(n + 1, 100.0)
    paths = []
    row = None
    for second in range(seconds):
        common = random_.normal()
        own = random_.normal(size=n + 1)
        own[0] = common
        prices *= 1 + 1e-4 * (math.sqrt(share) * common + math.sqrt(1 - share) * own) + drift
        paths.append(prices.copy())
        for name, price in zip(names, prices.tolist(), strict=True):
            tracker.feed(second * NS_PER_S, name, price)
        row = tracker.verdict(second * NS_PER_S)[0]
    assert row is not None
    return tracker, row, paths


@pytest.mark.parametrize("n", [5, 100])
def test_correlation_with_btc_against_numpy(n: int) -> None:
    tracker, row, paths = universe(1, n, 0.6, 0.0, 90)
    returns = np.diff(np.log(np.array(paths[-61:])), axis=0)
    expected = np.corrcoef(returns.T)[0, 1:].mean()
    assert row["correlation"] == pytest.approx(expected, rel=1e-9) and 0.5 < expected < 0.95
    assert tracker.regime == NORMAL, "moving together is no harm as such"


def test_everything_falling_together_is_risk_off() -> None:
    tracker, row, _ = universe(2, 60, 0.95, -0.8e-4, 90)
    assert row["breadth"] > 0.9 and -100 < row["median_bps"] < -30 and row["correlation"] > 0.8
    assert tracker.regime == OFF and RULE_NAMES[tracker.rule] == "together"
    tracker, row, _ = universe(2, 60, 0.1, -0.8e-4, 90)
    assert row["breadth"] > 0.9 and tracker.regime == NORMAL, "each for itself"


def test_a_feed_down_too_long_is_risk_off() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    tracker.set_feed(0, FeedState.CONNECTED)
    tracker.set_feed(5 * NS_PER_S, FeedState.RECONNECTING)
    tracker.set_feed(8 * NS_PER_S, FeedState.DOWN)
    for second in range(5, 15):
        assert tracker.verdict(second * NS_PER_S)[0]["regime"] == NORMAL
    assert tracker.verdict(15 * NS_PER_S)[0]["regime"] == OFF and RULE_NAMES[tracker.rule] == "feed_down"
    tracker.set_feed(20 * NS_PER_S, FeedState.CONNECTED)
    assert tracker.verdict(20 * NS_PER_S)[0]["regime"] == OFF
    assert tracker.verdict(49 * NS_PER_S)[0]["regime"] == OFF
    assert tracker.verdict(50 * NS_PER_S)[0]["regime"] == NORMAL, "thirty seconds of calm"
