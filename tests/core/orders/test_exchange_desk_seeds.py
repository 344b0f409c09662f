"""Whole lives of the desk from seeds: every kind of trouble at once, the naive exchange's books as the judge.

A failing seed is run alone by `pytest tests/core/orders/test_exchange_desk_seeds.py -k "seed and 17"`.
"""

from __future__ import annotations

import random

import pytest

from core.enums import OrderRole
from core.orders.exchange_desk import DeskConfig
from core.orders.exchange_words import Create, LinkState, Query, Stream
from tests.core.orders.naive_exchange import MS, SYMBOLS, TAG, Crash, Rig, instrument

STEPS = 250


class Life:
    """One seed: wishes, market moves and faults drawn by turns; crashes in the middle of effects."""

    def __init__(self, seed: int, crashes: bool = True) -> None:
        self.random = random.Random(seed)
        self.rig = Rig(DeskConfig(run_tag=TAG))
        self.rig.on_send = self.fate
        self.rig.on_row = lambda row: self.random.random() > self.loss
        self.loss = 0.0
        self.trouble = 0.0
        self.number = 0
        self.booked = 0
        self.crashes = crashes
        self.crashed = 0
        self.working: dict[int, object] = {}
        self.rig.connect()
        self.rig.run(300)

    def fate(self, request) -> str:
        if self.random.random() >= self.trouble:
            return ""
        return self.random.choice(("drop", "lose", "error", "unsent"))

    # --- steps -------------------------------------------------------------------------------------------------------
    def wish(self) -> None:
        rig, r = self.rig, self.random
        symbol = r.randrange(3)
        what = r.random()
        if what < 0.45:
            if rig.desk.lots(symbol):
                return
            self.number += 1
            side = r.choice((1, -1))
            price = r.choice((9_990, 10_000, 10_001, 9_999))
            order = rig.order(self.number, symbol, side, r.randrange(1, 200), price, stop=price - side * 150)
            gate = rig.desk.submit(rig.now_ns, order, instrument(symbol), r.choice((0, 300, 1500)) * MS)
            if not gate:
                self.working[order.order_id] = order
        elif what < 0.6:
            rig.desk.cancel(rig.now_ns, symbol, 17)
        elif what < 0.8:
            rig.desk.close(rig.now_ns, symbol, OrderRole.EXIT, 19)
        elif rig.desk.lots(symbol):
            side = 1 if rig.desk.lots(symbol) > 0 else -1
            lots = abs(rig.desk.lots(symbol))
            targets = ((10_000 + side * 50, lots // 2), (10_000 + side * 80, lots - lots // 2))
            rig.desk.protect(rig.now_ns, symbol, 10_000 - side * r.randrange(40, 90), r.choice((None, targets)))
        rig.flush()

    def market(self) -> None:
        r, venue = self.random, self.rig.venue
        resting = [o for o in venue.orders.values() if o.status in (0, 1)]
        what = r.random()
        if resting and what < 0.6:
            order = r.choice(resting)
            venue.fill(order.order_id, r.randrange(1, order.qty_lots - order.cum_lots + 1), order.price_ticks)
        elif what < 0.7:
            symbol = r.choice(SYMBOLS)
            if venue.lots(symbol) and venue.position(symbol).stop_ticks:
                venue.trigger_stop(symbol, r.choice((None, 1)))
        elif what < 0.75:
            symbol = r.choice(SYMBOLS)
            if venue.lots(symbol):
                venue.funding(symbol, r.randrange(-5, 6))
        elif what < 0.9:
            venue.markets[r.choice(SYMBOLS)].lots = r.choice((0, 5, 50, 1 << 40))
        elif what < 0.93:
            symbol = r.choice(SYMBOLS)
            held = venue.position(symbol)
            if held.lots:
                venue.put_position(held._replace(stop_ticks=0, target_ticks=0))  # a person
        elif what < 0.95 and resting:
            venue.end(r.choice(resting), "CancelByUser")

    def weather(self) -> None:
        r = self.random
        self.trouble = r.choice((0.0, 0.0, 0.1, 0.4))
        self.loss = r.choice((0.0, 0.0, 0.3, 1.0))
        if r.random() < 0.2:
            stream = r.choice(list(Stream))
            self.rig.event(LinkState(stream, False, 1))
            self.rig.run(r.choice((50, 500)))
            self.rig.event(LinkState(stream, True, 2))
        if self.crashes and r.random() < 0.15:
            self.rig.crash_in = r.randrange(1, 40)

    def crash(self) -> None:
        self.crashed += 1
        booked = max((m.seq for m in self.rig.told), default=0)
        lost = self.random.randrange(0, 3)  # the last messages told were not booked before the crash
        kept = self.rig.told[: len(self.rig.told) - lost] if lost else self.rig.told
        self.rig.told = list(kept)
        booked = max((m.seq for m in kept), default=0)
        done = {m.order_id for m in kept if not m.leaves_lots or m.kind == 5}
        self.rig.crash(booked=booked, working=tuple(o for n, o in self.working.items() if n not in done))

    def run(self) -> Life:
        for _ in range(STEPS):
            try:
                step = self.random.random()
                (self.wish if step < 0.3 else self.market if step < 0.8 else self.weather)()
                self.rig.run(self.random.choice((10, 20, 50, 200)))
            except Crash:
                self.crash()
        return self

    def settle(self) -> None:
        """Faults end; a little later everything must be in order."""
        self.trouble = self.loss = 0.0
        self.rig.crash_in = 0
        for market in self.rig.venue.markets.values():
            market.lots = 1 << 40
        self.rig.connect()
        self.rig.run(40_000)


def judge(life: Life) -> None:
    rig = life.rig
    venue, desk = rig.venue, rig.desk
    assert all(n == 1 for n in venue.creates.values()), "an intent became two orders"
    for number, symbol in enumerate(SYMBOLS):
        assert desk.lots(number) == venue.lots(symbol), f"{symbol}: books differ"
        assert rig.told_lots(number) == venue.lots(symbol), f"{symbol}: the Broker was told otherwise"
    paid = sum(e.fee_e8 for e in venue.executions)
    assert sum(m.fee_e8 for m in rig.told) == paid, "fees and funding differ"
    seqs = [m.seq for m in rig.told]
    assert len(seqs) == len(set(seqs))
    for symbol in SYMBOLS:
        held = venue.position(symbol)
        assert not held.lots or held.stop_ticks or symbol in desk.closes.jobs, f"{symbol} naked"
    assert not desk.trouble
    cash = sum(h.entry_value_e8 for h in desk.core.holdings.values())
    assert cash == sum(venue.values.values()), "entry values differ"
    assert desk.counters["unknown_open"] == 0
    assert desk.ready or desk.core.killed
    times = dict(zip([id(r) for r in rig.sent], rig.sent_ns, strict=True))
    for request in rig.sent:
        if isinstance(request, Create) and not request.reduce_only:
            order = desk.core.store.by_link.get(request.link_id)
            assert order is None or not order.ttl_ns or times[id(request)] <= order.ttl_ns


def live_and_settle(seed: int) -> None:
    life = Life(seed).run()
    life.settle()
    judge(life)
    for number in range(3):
        life.rig.desk.close(life.rig.now_ns, number, OrderRole.EXIT, 1)
    life.rig.flush()
    life.rig.until(lambda: life.rig.desk.flat, 10_000)
    life.rig.run(1000)
    judge(life)


@pytest.mark.parametrize("seed", range(40))
def test_seed(seed):
    live_and_settle(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_many_seeds(block):
    for seed in range(10_000 + 100 * block, 10_100 + 100 * block):
        live_and_settle(seed)
        kill_in_the_middle(seed)


@pytest.mark.parametrize("seed", range(20))
def test_kill_in_the_middle(seed):
    kill_in_the_middle(1000 + seed)


def kill_in_the_middle(seed: int) -> None:
    life = Life(seed).run()
    rig = life.rig
    rig.crash_in = 0
    life.trouble = 0.1
    rig.desk.kill(rig.now_ns)
    rig.flush()
    at = rig.now_ns
    for market in rig.venue.markets.values():
        market.lots = 1 << 40
    for stream in Stream:
        rig.event(LinkState(stream, True, 3))
    rig.until(lambda: rig.desk.flat, 60_000)
    life.settle()
    judge(life)
    assert not any(rig.venue.lots(s) for s in SYMBOLS)
    for request, ns in zip(rig.sent, rig.sent_ns, strict=True):
        assert ns <= at or not isinstance(request, Create) or request.reduce_only, "an entry left after the kill"


def test_a_seed_is_the_same_every_time():
    one, two = Life(7).run(), Life(7).run()
    assert one.rig.sent == two.rig.sent
    assert one.rig.records == two.rig.records
    assert [r for r in one.rig.sent if isinstance(r, Query)]
