"""Estimates from own fills: they find what the fills were made with, and say when they cannot know."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.performance.calibration import MINIMUM, OwnOrder, QueueWatch, divergence, latency_ms, median, queue_share
from core.performance.comparison import Pair, pairs, shortfall
from core.performance.trades import Trade

MS = 1_000_000
MINUTE = 60_000_000_000


def orders(delays_ms: list[float], ours_ms: float = 0.4) -> list[OwnOrder]:
    """Answered after `ours` + twice the way."""
    return [OwnOrder(1, 1 + round(ours_ms * MS), 1 + round((ours_ms + 2 * d) * MS)) for d in delays_ms]


@pytest.mark.parametrize(("centre", "seed"), [(3.0, 1), (20.0, 2), (150.0, 3)])
def test_latency_is_found(centre: float, seed: int) -> None:
    """Log-normal ways with a median of `centre` ms: 400 orders find it within 8 %."""
    r = random.Random(seed)
    found = latency_ms(orders([centre * r.lognormvariate(0, 0.4) for _ in range(400)]))
    assert found.is_enough and found.value == pytest.approx(centre + 0.4, rel=0.08)
    assert found.low < centre + 0.4 < found.high


def test_the_interval_covers_as_often_as_it_says() -> None:
    r = random.Random(7)
    inside = 0
    for _ in range(500):
        found = median([r.gauss(10, 3) for _ in range(61)])
        inside += found.low <= 10 <= found.high
    assert 0.92 <= inside / 500 <= 0.995


def test_few_orders_suggest_nothing() -> None:
    assert not latency_ms(orders([5.0] * (MINIMUM - 1))).is_enough
    assert latency_ms(orders([5.0] * MINIMUM)).is_enough
    assert latency_ms([]) == latency_ms([OwnOrder(5, 0, 9), OwnOrder(0, 1, 2), OwnOrder(5, 4, 9)]) == (None, None, None, 0)


@pytest.mark.parametrize("truth", [0.3, 0.6, 0.9])
def test_the_share_of_the_queue_is_found_among_orders_that_gave_up(truth: float) -> None:
    """Every order needs about `truth` of what was ahead; a third of them is cancelled before. Within 0.05."""
    r = random.Random(round(100 * truth))
    watches = []
    for _ in range(600):
        ahead = r.randint(50, 500)
        needed = min(max(r.gauss(truth, 0.08), 0.01), 1.0)
        patience = r.random() * 1.5
        filled = needed <= patience
        watches.append(QueueWatch(ahead, round(min(needed, patience) * ahead), filled))
    found = queue_share(watches)
    assert found.is_enough and found.value == pytest.approx(truth, abs=0.05)
    assert found.low <= truth <= found.high
    naive = float(np.median([w.traded_lots / w.ahead_lots for w in watches if w.filled]))
    if truth == 0.9:  # leaving out those who gave up would flatter the queue
        assert naive < found.value


def test_what_cannot_be_known_is_none() -> None:
    assert queue_share([]) == (None, None, None, 0)
    assert queue_share([QueueWatch(0, 5, True)] * 50) == (None, None, None, 0)  # nothing was ahead
    assert queue_share([QueueWatch(10, 2, False)] * 50)[0] is None  # nobody was filled
    same = queue_share([QueueWatch(10, 10, True)] * 40)
    assert (same.value, same.n) == (1.0, 40)


def trade(no: int, net: int, opened: int = 0, **more: object) -> Trade:
    values = {"session_id": "x", "position_no": no, "symbol": "AUSDT", "side": 1, "opened_ns": opened + no * MINUTE,
              "closed_ns": opened + no * MINUTE + 5, "entry_value_e8": 10**10, "gross_e8": net + 100,
              "fees_e8": 100, "funding_e8": 0,
              "net_e8": net, "decision_id": f"d{no}", "entry_price": "100", "exit_price": "101"} | more
    return Trade(**values)  # type: ignore[arg-type]


def test_the_shortfall_adds_up() -> None:
    a = [trade(1, 500, entry_price="100.1", gross_e8=600), trade(2, -300), trade(3, 50)]
    b = [trade(1, 900, gross_e8=990, fees_e8=90), trade(2, -300), trade(4, 70)]
    short = shortfall(pairs(a, b))
    assert (short.matched, short.missed, short.extra) == (2, 1, 1)
    assert (short.prices_e8, short.costs_e8, short.missed_e8, short.extra_e8) == (390, 10, 70, -50)
    assert short.total_e8 == sum(t.net_e8 for t in b) - sum(t.net_e8 for t in a) == 420
    assert short.entry_bps == pytest.approx(5.0)
    assert (short.exit_bps, short.later_ms) == (0.0, 0.0)
    found = divergence(pairs(a, b))
    assert found.bps == pytest.approx(10_000 * 420 / (3 * 10**10)) and found.matched_share == 0.5


def test_a_short_pays_more_when_it_sells_lower() -> None:
    pair = Pair(trade(1, 0, side=-1, entry_price="99"), trade(1, 0, side=-1, entry_price="100"))
    assert pair.entry_bps == pytest.approx(100) and pair.exit_bps == pytest.approx(0)


def test_the_same_decision_is_the_same_trade_although_it_filled_later() -> None:
    late = trade(1, 0, opened=5_000_000_000)
    assert pairs([late], [trade(1, 0)]) == [Pair(late, trade(1, 0))]
    other = late._replace(decision_id="other")
    assert [p.b is None for p in pairs([other], [trade(1, 0)])] == [False, True]
    tomorrow = trade(1, 0, opened=86_400 * 10**9)  # another run, which counts anew
    assert len(pairs([tomorrow], [trade(1, 0)])) == 2


def test_nothing_traded() -> None:
    assert divergence([]) == (None, None, 0, 0, 0)
