"""The matching kernels against their naive twin on random markets, and the queue models one by one."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.jit import KERNELS
from core.sim.matching import PUBLIC, match_prints
from core.sim.matching_book import NO_TRIGGER, MatchingBook
from core.sim.queue_model import QUEUE_SCALE, QueueModel, queue_after_change
from tests.reference.matching import NaiveMatching

MID = 1000


def rows(levels):
    return np.array(sorted(levels), np.int64).reshape(-1, 2)


class Pair:
    """The matcher and its twin, driven alike and compared after every step."""

    def __init__(self, seed: int, model: QueueModel) -> None:
        self.random = random.Random(seed)
        self.fast, self.naive = MatchingBook(model, 2.0), NaiveMatching(model.name, 2.0)
        self.sides: dict[int, int] = {}
        self.next_handle = 0
        self.fills = 0

    def step(self) -> None:
        kind = self.random.choices(("delta", "snapshot", "print", "rest", "take", "reduce"), (8, 1, 6, 4, 3, 2))[0]
        getattr(self, kind)()
        self.compare()

    def market(self, n):
        mid = MID + self.random.randint(-3, 3)
        pick = lambda sign: {mid + sign * self.random.randint(1, 8): self.random.randint(0, 12) for _ in range(n)}  # noqa: E731
        return pick(-1), pick(1)

    def delta(self):
        bids, asks = self.market(self.random.randint(0, 4))
        for levels, other in ((bids, -1), (asks, 1)):  # never a crossed public book
            for price in [p for p, q in levels.items() if q]:
                for opposite in [p for p in self.naive.shown[other] if other * (p - price) >= 0]:
                    (asks if other < 0 else bids)[opposite] = 0
        self.apply(bids, asks, False)

    def snapshot(self):
        if self.random.random() < 0.5:  # the same book again: lots taken stay gone
            bids, asks = dict(self.naive.shown[1]), dict(self.naive.shown[-1])
        else:
            bids, asks = ({p: q for p, q in side.items() if q} for side in self.market(6))
        self.apply(bids, asks, True)

    def apply(self, bids, asks, is_snapshot):
        bids, asks = list(bids.items()), list(asks.items())
        fast = self.fast.apply(rows(bids), rows(asks), is_snapshot)
        if fast:
            self.fast.sweep()
        self.same(fast, self.naive.apply(bids, asks, is_snapshot))

    def print(self):
        price = MID + self.random.randint(-8, 8)
        lots, aggressor = self.random.randint(1, 15), self.random.choice((1, -1, 0))
        _, fast = self.fast.match_next(np.array([[price, lots, aggressor]], np.int64), 0, *NO_TRIGGER)
        self.fast.sweep()
        self.same(fast, self.naive.print(price, lots, aggressor))

    def rest(self):
        side = self.random.choice((1, -1))
        price = MID + self.random.randint(-9, 9)
        best = self.fast.best(-side)
        if best and side * (price - best) >= 0:
            price = best - side
        self.sides[self.next_handle] = side
        lots = self.random.randint(1, 10)
        self.fast.rest(side, price, lots, self.next_handle)
        self.naive.rest(side, price, lots, self.next_handle)
        self.next_handle += 1

    def take(self):
        side = self.random.choice((1, -1))
        limit, lots = MID + self.random.randint(-9, 9), self.random.randint(1, 30)
        fast, left = [], lots
        while left:
            fills, met = self.fast.take(side, limit, left, public=True)
            fast += fills
            left -= sum(f[2] for f in fills)
            self.fast.sweep()
            if met == PUBLIC:
                break
        assert all(side * (limit - price) >= 0 for _, price, _ in fast)
        self.same(fast, self.naive.take(side, limit, lots))

    def reduce(self):
        if self.naive.own:
            order = self.random.choice(self.naive.own)
            lots = self.random.randint(0, order.leaves)
            self.fast.reduce(order.side, order.handle, lots)
            self.naive.reduce(order.handle, lots)

    def same(self, fast, naive):
        self.fills += len(naive)
        assert fast == naive

    def compare(self):
        for index, side in ((0, 1), (1, -1)):
            expected = [(o.handle, o.price, o.leaves, -1 if o.queue is None else o.queue)
                        for o in self.naive.in_order(side)]
            got = [(int(r.handle), int(r.price_ticks), int(r.leaves_lots), int(r.queue))
                   for r in self.fast.working[index, : self.fast.count[index]]]
            assert got == expected
            assert self.fast.public_levels(side) == [
                (p, self.naive.available(side, p)) for p in self.naive.prices(side)]


@pytest.mark.parametrize("model", QueueModel)
def test_twin(model):
    for seed in range(4):
        pair = Pair(seed, model)
        for _ in range(500):
            pair.step()
        assert pair.fills > 100


@pytest.mark.slow
@pytest.mark.parametrize("model", QueueModel)
def test_twin_full(model):
    for seed in range(40):
        pair = Pair(1000 + seed, model)
        for _ in range(1000):
            pair.step()


def after(model, ahead, before, now, traded=0, power=1.0):
    return queue_after_change(
        np.int64(model), np.float64(power), np.int64(ahead * QUEUE_SCALE), np.int64(before), np.int64(now),
        np.int64(traded)) / QUEUE_SCALE


def test_queue_models_by_hand():
    averse, power, log = QueueModel
    assert after(averse, 30, 100, 50) == 30  # cancels are behind us
    assert after(power, 50, 100, 50) == 25  # half ahead, half behind: they cancel alike
    assert after(power, 20, 100, 50) == pytest.approx(20 - 0.2 * 50, abs=1 / 512)
    assert after(power, 20, 100, 50, power=3.0) == pytest.approx(20 - 50 * 20**3 / (20**3 + 80**3), abs=1 / 512)
    assert after(log, 20, 100, 70) == pytest.approx(
        20 - 30 * np.log(21) / (np.log(21) + np.log(81)), abs=1 / 512)
    assert after(power, 50, 100, 50, traded=50) == 50  # the prints explain the change
    assert after(power, 50, 100, 120) == 50  # grew: behind us
    assert after(power, 50, 100, 20) <= 20  # never more than displayed
    assert after(power, 100, 100, 60) == 60  # nobody behind
    assert after(power, 0, 100, 60) == 0


def test_one_compiled_signature_each():
    for model in QueueModel:
        pair = Pair(1, model)
        for _ in range(200):
            pair.step()
        pair.fast.fillable(1, MID, public=True)
        pair.fast.queue_ahead(1, 0)
    for kernel in KERNELS:
        if kernel.py_func.__module__ in ("core.sim.matching", "core.sim.queue_model"):
            signatures = [s for s in kernel.signatures if not str(s[0]).startswith("TestBook")]  # of the desk's own rig
            assert len(signatures) <= 1, (kernel.py_func.__name__, signatures)
    assert match_prints.signatures
