"""Global regime: shocks and volatility of the leaders, hysteresis, breadth."""

from __future__ import annotations

import itertools
import math
import random

from config.schema import Settings
from core.constants import NS_PER_S
from core.enums import GlobalRegime
from core.params import params_row
from core.regime.global_regime import GlobalRegimeTracker

PARAMS = params_row(Settings(), 1)


def run(tracker: GlobalRegimeTracker, start_s: int, prices: list[float], name: str = "BTCUSDT") -> GlobalRegime:
    for k, price in enumerate(prices):
        tracker.feed((start_s + k) * NS_PER_S, name, price)
        tracker.verdict((start_s + k) * NS_PER_S)
    return tracker.regime


def test_quiet_market_is_normal_and_unknown_is_normal() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    row = tracker.verdict(NS_PER_S)[0]
    assert row["regime"] == GlobalRegime.GLOBAL_NORMAL and math.isnan(row["btc_vol_bps"])
    assert run(tracker, 10, [60_000.0 + k % 3 for k in range(100)]) == GlobalRegime.GLOBAL_NORMAL


def test_a_shock_turns_the_regime_at_once_and_calm_turns_it_back_late() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    run(tracker, 0, [60_000.0] * 60)
    assert run(tracker, 60, [60_000.0 * 0.985]) == GlobalRegime.GLOBAL_PANIC  # 150 bps within a second
    calm = [60_000.0 * 0.985] * 200
    assert run(tracker, 61, calm[:80]) == GlobalRegime.GLOBAL_PANIC  # the shock leaves the window after a minute
    assert run(tracker, 141, calm) == GlobalRegime.GLOBAL_NORMAL


def test_a_slow_move_is_risk_off() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    fall = [3000.0 * (1 - 0.0002 * k) for k in range(61)]  # 120 bps in a minute, 15 bps of volatility
    assert run(tracker, 0, fall, "ETHUSDT") == GlobalRegime.GLOBAL_RISK_OFF
    assert tracker.verdict(61 * NS_PER_S)[0]["eth_return_bps"] < -100


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


def test_breadth_and_bad_prices() -> None:
    tracker = GlobalRegimeTracker(PARAMS)
    for name, price in (("AUSDT", 1.0), ("BUSDT", 2.0), ("CUSDT", 3.0)):
        tracker.feed(NS_PER_S, name, price)
    tracker.feed(61 * NS_PER_S, "AUSDT", 0.9)
    tracker.feed(61 * NS_PER_S, "BUSDT", 2.1)
    for bad in (0.0, -1.0, math.nan, math.inf):
        tracker.feed(62 * NS_PER_S, "BUSDT", bad)
    assert abs(tracker.verdict(62 * NS_PER_S)[0]["breadth"] - 1 / 3) < 1e-12
