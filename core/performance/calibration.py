"""How far the paper engine is from the account's own fills (requirement G10): latency, queue, money. Pure.

    latency    decision -> exchange, ms: time until our bytes left, and half of the way from there to the acknowledgement
    queue      share of the lots ahead of a resting order that had to trade before it was filled: `trading.orders.queue_share`
               (1: no cancel ahead of us ever helps). Orders that ended unfilled say only "more than this": Kaplan-Meier 1958
    divergence what the account earned less than paper on the same period, in bps of the value it traded

Medians, because both distributions have long tails; their intervals are of order statistics (binomial), the queue's of
Greenwood's variance on the log-log scale. Below `MINIMUM` observations nothing is suggested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from core.performance.comparison import Pair, shortfall
from core.performance.figures import Z95

MINIMUM = 30
BPS = 10_000


class Estimate(NamedTuple):
    """A median with its 95 % interval, of `n` observations; None = cannot be known."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def is_enough(self) -> bool:
        return self.n >= MINIMUM and None not in (self.value, self.low, self.high)


class OwnOrder(NamedTuple):
    """Stamps of one order, CLOCK_MONOTONIC ns (0 = none): decided, bytes written, acknowledged."""

    decided_ns: int
    wire_ns: int
    ack_ns: int


class QueueWatch(NamedTuple):
    """One maker order: `ahead_lots` displayed at its price when it came, `traded_lots` that traded there against its side
    until its first fill (its own lots left out) or its end."""

    ahead_lots: int
    traded_lots: int
    filled: bool


def median(values: Sequence[float], z: float = Z95) -> Estimate:
    """The sample median with the interval of order statistics n/2 -+ z sqrt(n)/2."""
    ordered = sorted(values)
    n = len(ordered)
    if n == 0:
        return Estimate(None, None, None, 0)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    reach = z * math.sqrt(n) / 2
    low, high = math.floor(n / 2 - reach), math.ceil(n / 2 + reach)
    return Estimate(middle, ordered[max(low - 1, 0)] if low >= 1 else None, ordered[high] if high < n else None, n)


def latency_ms(orders: Sequence[OwnOrder]) -> Estimate:
    """What `trading.orders.latency_ms` stands for, from orders with all three stamps."""
    return median([
        ((o.wire_ns - o.decided_ns) + (o.ack_ns - o.wire_ns) / 2) / 1e6
        for o in orders if 0 < o.decided_ns <= o.wire_ns <= o.ack_ns
    ])


def queue_share(watches: Sequence[QueueWatch], z: float = Z95) -> Estimate:
    """Median share of the queue ahead that traded before the fill; `n` counts fills. Orders with nothing ahead say nothing."""
    seen = sorted((min(w.traded_lots / w.ahead_lots, 1.0), not w.filled) for w in watches if w.ahead_lots > 0)
    fills = sum(not censored for _, censored in seen)
    at_risk, alive, spread = len(seen), 1.0, 0.0
    value = low = high = None
    for k, (share, censored) in enumerate(seen):
        if censored:
            at_risk -= 1
            continue
        spread += 1.0 / (at_risk * (at_risk - 1)) if at_risk > 1 else math.inf
        alive *= 1.0 - 1.0 / at_risk
        at_risk -= 1
        if k + 1 < len(seen) and seen[k + 1] == (share, False):
            continue  # equal shares are one step
        lower, upper = _band(alive, spread, z)
        low = share if low is None and lower <= 0.5 else low
        value = share if value is None and alive <= 0.5 else value
        high = share if high is None and upper <= 0.5 else high
    return Estimate(value, low, high, fills)


def _band(alive: float, spread: float, z: float) -> tuple[float, float]:
    """Log-log interval of a survival share."""
    if not 0.0 < alive < 1.0 or math.isinf(spread):
        return (0.0, 1.0) if alive > 0.0 else (0.0, 0.0)
    reach = z * math.sqrt(spread) / abs(math.log(alive))
    return alive ** math.exp(reach), alive ** math.exp(-reach)


class Divergence(NamedTuple):
    """Account (a) against paper (b): `bps` of the value the account's trades turned over, positive = the account earned less;
    None without a trade. `matched_share`: of all trades of either."""

    bps: float | None
    matched_share: float | None
    less_e8: int
    value_e8: int
    trades: int


def divergence(pairs: Sequence[Pair]) -> Divergence:
    """Of the pairs of a LIVE run and the backtest of its journal."""
    short = shortfall(pairs)
    value = sum(pair.a.entry_value_e8 for pair in pairs if pair.a) or sum(pair.b.entry_value_e8 for pair in pairs if pair.b)
    total = len(pairs)
    return Divergence(
        BPS * short.total_e8 / value if value else None, short.matched / total if total else None, short.total_e8, value, total,
    )
