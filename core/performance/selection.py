"""How much of the best of many tries is luck: the deflated Sharpe ratio.

Bailey and Lopez de Prado, "The Deflated Sharpe Ratio" (2014). With N independent tries whose Sharpe ratios have the
variance V, the best of them has, without any skill, the expected Sharpe ratio

    SR0 = sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)))          g = Euler-Mascheroni, Z = normal quantile

and the deflated ratio is the probability that the true one is above it, given n returns with skewness and kurtosis:

    DSR = Phi((SR - SR0) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1)/4 SR^2))

Ratios are per return (not annualised). Here a return is the net result of a trade in R, else in shares of the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

EULER_GAMMA = 0.5772156649015329
NORMAL = NormalDist()


class Moments(NamedTuple):
    """Of returns: Sharpe ratio (sample deviation), skewness, kurtosis (normal = 3)."""

    n: int
    sharpe: float
    skew: float
    kurtosis: float


def moments(returns: Sequence[float]) -> Moments | None:
    """None with less than two returns or without variation."""
    n = len(returns)
    if n < 2:
        return None
    mean = math.fsum(returns) / n
    central = [r - mean for r in returns]
    second = math.fsum(x * x for x in central) / n
    if second <= (1e-12 * (abs(mean) + 1e-12)) ** 2:
        return None
    return Moments(
        n, mean / math.sqrt(second * n / (n - 1)), math.fsum(x**3 for x in central) / n / second**1.5,
        math.fsum(x**4 for x in central) / n / second**2,
    )


def luck(sharpes: Sequence[float]) -> float:
    """SR0: what the best of these tries is expected to show without skill; 0 for a single one."""
    n = len(sharpes)
    if n < 2:
        return 0.0
    mean = math.fsum(sharpes) / n
    variance = math.fsum((s - mean) ** 2 for s in sharpes) / (n - 1)
    first, second = NORMAL.inv_cdf(1 - 1 / n), NORMAL.inv_cdf(1 - 1 / (n * math.e))
    return math.sqrt(variance) * ((1 - EULER_GAMMA) * first + EULER_GAMMA * second)


def deflated_sharpe(best: Moments, sharpes: Sequence[float]) -> float:
    """Probability, 0..1, that the ratio of `best` is more than the luck of having tried all of `sharpes`."""
    spread = 1 - best.skew * best.sharpe + (best.kurtosis - 1) / 4 * best.sharpe**2
    if spread <= 0:  # skewed beyond what the approximation can carry
        return 0.0
    return NORMAL.cdf((best.sharpe - luck(sharpes)) * math.sqrt(best.n - 1) / math.sqrt(spread))
