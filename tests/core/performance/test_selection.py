"""The deflated Sharpe ratio against what chance really does."""

from __future__ import annotations

import math
import random

import pytest

from core.performance.selection import deflated_sharpe, luck, moments


def noise(rng: random.Random, n: int, mean: float = 0.0) -> list[float]:
    return [rng.gauss(mean, 1.0) for _ in range(n)]


def test_moments_of_a_known_series() -> None:
    found = moments([1.0, 2.0, 3.0, 4.0])
    assert found is not None
    assert found.sharpe == pytest.approx(2.5 / math.sqrt(5 / 3))
    assert found.skew == pytest.approx(0.0)
    assert found.kurtosis == pytest.approx((2 * 1.5**4 + 2 * 0.5**4) / 4 / 1.25**2)
    assert moments([1.0]) is None and moments([2.0, 2.0]) is None


def test_luck_is_what_the_best_of_many_without_skill_shows() -> None:
    rng = random.Random(5)
    best, expected = [], []
    for _ in range(200):
        sharpes = [m.sharpe for m in (moments(noise(rng, 60)) for _ in range(40)) if m]
        best.append(max(sharpes))
        expected.append(luck(sharpes))
    assert sum(best) / len(best) == pytest.approx(sum(expected) / len(expected), rel=0.05)


def test_noise_is_called_luck_and_skill_is_not() -> None:
    rng = random.Random(6)
    tries = [moments(noise(rng, 200)) for _ in range(50)]
    sharpes = [m.sharpe for m in tries if m]
    lucky = max((m for m in tries if m), key=lambda m: m.sharpe)
    assert deflated_sharpe(lucky, sharpes) < 0.9
    skilled = moments(noise(rng, 200, 0.6))
    assert skilled is not None
    assert deflated_sharpe(skilled, [*sharpes, skilled.sharpe]) > 0.99


def test_a_single_try_has_no_luck_to_take_off() -> None:
    assert luck([0.3]) == 0.0
