"""Walls and depth zones against their naive twin, the numbers of WALLS.md, and what must not look like a pulled wall."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import config

from config.schema import Settings
from core.book import kernels as book_kernels
from core.enums import EventKind, WallFate
from core.features import walls as K
from core.features.depth import fresh_zone, sum_samples
from core.features.walls_records import WALLS
from core.features.walls_state import new_walls
from core.jit import KERNELS
from core.params import params_row
from tests.core.streams import (
    DERIVED_TAPE,
    REAL_TAPE,
    Event,
    Levels,
    Market,
    level_array,
    recorded_events,
    trade_array,
    with_timers,
)
from tests.reference.book import NaiveBook
from tests.reference.tape import Trade
from tests.reference.walls import NaiveWalls
from tests.shared_data import recording

SECOND = 1_000_000_000
MS = 1_000_000
SLOT = 1
NAMES = tuple(f.name for f in WALLS.fields)
SMALL_WALLS: dict[str, Any] = {  # walls often, in books of few levels
    "wall_x": 2.5, "wall_leave_x": 1.5, "wall_full_x": 5.0, "wall_min_usdt": 100.0, "spoof_approach_bps": 0.1,
    "spoof_verdict": 0.1, "iceberg_refills": 2, "wall_move_size": 0.3,
}  # fmt: skip


class Pair:
    """The same events into the kernels (slot 1 of 3) and the twin, in the order the engine uses."""

    def __init__(self, levels: int = 200, tick_size: float = 0.1, lot_size: float = 0.001, **params: Any) -> None:
        self.params = params_row(Settings(), 1)
        for name, value in params.items():
            self.params[name] = value
        self.book = book_kernels.new_book(3, levels)
        self.state = new_walls(3)
        self.naive_book = NaiveBook(levels)
        row = self.params[0]
        self.twin = NaiveWalls({n: row[n].item() for n in row.dtype.names if row[n].ndim == 0}, tick_size, lot_size)
        K.list_walls(self.state, SLOT, tick_size, lot_size)
        K.configure_walls(self.state, self.params, np.int64(3))
        self.fates: Counter[WallFate] = Counter()

    def feed(self, event: Event) -> None:
        ts_ns = event.ts_ns
        if event.kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            self._book(event, ts_ns)
        elif event.kind is EventKind.TRADES:
            trades = trade_array(event.trades)
            K.walls_trades(self.state, self.book, SLOT, trades, 0, len(trades), ts_ns, self.params)
            self.twin.on_trades(ts_ns, event.trades)
            self._said()
        elif event.kind is EventKind.SYMBOL_DATA:
            K.walls_broken(self.state, SLOT)
            self.twin.on_broken()
        elif event.kind is EventKind.TIMER:
            K.walls_timer(self.state, self.book, SLOT, ts_ns, self.params)
            self.twin.on_timer(ts_ns)
            self._said()

    def _book(self, event: Event, ts_ns: int) -> None:
        is_snapshot = event.kind is EventKind.BOOK_SNAPSHOT
        levels = level_array(event.bids, event.asks)
        apply = book_kernels.apply_snapshot if is_snapshot else book_kernels.apply_delta
        code = apply(self.book, SLOT, levels, 0, len(event.bids), len(event.asks))
        prior = (dict(self.naive_book.sides[0]), dict(self.naive_book.sides[1]))
        (self.naive_book.snapshot if is_snapshot else self.naive_book.delta)(event.bids, event.asks)
        fresh = np.int64(is_snapshot or code & book_kernels.OVERFLOW != 0)
        K.walls_book(
            self.state, self.book, SLOT, levels, 0, len(event.bids), len(event.asks), fresh, ts_ns, self.params
        )
        self.twin.on_book(ts_ns, self.naive_book, prior, (event.bids, event.asks), code, is_snapshot)
        self._said()

    def _said(self) -> None:
        s = self.state
        n = int(s.said_n[0])
        assert [tuple(row) for row in s.said[:n].tolist()] == [row[:6] for row in self.twin.said]
        for mine, theirs in zip(s.said_x[:n].tolist(), self.twin.said, strict=True):
            assert mine == pytest.approx(theirs[6:], rel=1e-9, abs=1e-12)
        for row in self.twin.said:
            self.fates[WallFate(row[0])] += 1

    def values(self) -> dict[str, float]:
        return {name: float(self.state.row[SLOT][name]) for name in NAMES}

    def check(self) -> None:
        assert list(self.twin.values) == list(NAMES)
        for name, value in self.values().items():
            assert value == pytest.approx(self.twin.values[name], rel=1e-9, abs=1e-9, nan_ok=True), name
        for side in range(2):
            watched = [
                (int(p), int(w.lots), int(w.wall), int(w.peak_lots), int(w.traded_lots), int(w.eaten_lots), int(w.refills))
                for p, w in zip(self.state.price[SLOT, side], self.state.watch[SLOT, side], strict=True) if p
            ]  # fmt: skip
            twins = [
                (w.price, w.lots, int(w.wall), w.peak, w.traded, w.eaten, w.refills) for w in self.twin.slots[side] if w
            ]
            assert watched == twins
            assert self.state.track[SLOT].watched[side] == len(twins)
            places = list(enumerate(self.state.watch[SLOT, side]))
            assert self.state.track[SLOT].walls[side] == sum(1 << k for k, w in places if w.wall)
            assert self.state.track[SLOT].standing[side] == sum(1 << k for k, w in places if w.wall and not w.ended_ns)
            assert int(self.state.track[SLOT].walls[side]).bit_count() == sum(w[2] for w in twins)
        assert np.isnan(self.state.row[0].spoof) and not self.state.price[0].any()

    def check_no_drift(self) -> None:
        """Zone sums and averages are equal, as integers, to sums made anew."""
        s = self.state
        if s.track[SLOT].believed:
            for side in (book_kernels.BIDS, book_kernels.ASKS):
                before = s.zone[SLOT, side].tobytes()
                fresh_zone(s.zone, self.book, np.int64(SLOT), side, self.params)
                assert s.zone[SLOT, side].tobytes() == before
        before = s.track[SLOT].tobytes()
        sum_samples(s.track, s.ring, SLOT, s.average_s[0])
        assert s.track[SLOT].tobytes() == before


class WallMarket(Market):
    """A market where big orders are placed, eaten (book and trades in either order), refilled, pulled and moved."""

    def __init__(self, seed: int, book: NaiveBook, levels: int = 24) -> None:
        super().__init__(seed, levels)
        self.book = book
        self.due: list[Event] = []

    def _next(self) -> Event:
        if self.due:
            return self.due.pop(0)._replace(ts_ns=self.now_ns)
        if self.broken or self.random.random() < 0.4 or not self.book.is_whole():
            return super()._next()
        side = int(self.random.integers(0, 2))
        levels = self.book.side(side)
        price, lots = levels[min(int(self.random.geometric(0.3)) - 1, len(levels) - 1)]
        big = int(self.random.integers(8_000, 40_000))
        roll = self.random.random()
        if roll < 0.25:
            return self._delta(side, [(price, big)])
        if roll < 0.35:
            return self._delta(side, [(price, 0)])
        if roll < 0.5:
            other = max(price + int(self.random.integers(-12, 13)), 1)
            frames = [self._delta(side, [(price, 0)]), self._delta(side, [(other, lots)])]
            if self.random.random() < 0.5:
                frames.reverse()
            self.due = frames[1:]
            return frames[0]
        eaten = int(self.random.integers(1, lots + 1))
        trade = Event(EventKind.TRADES, "X", 0, trades=[Trade(price, eaten, 1 if side else -1)])
        frames = [self._delta(side, [(price, lots - eaten)]), trade]
        if self.random.random() < 0.5:
            frames.reverse()
        if roll < 0.8:
            frames.append(self._delta(side, [(price, lots)]))  # refilled
        self.due = frames[1:]
        return frames[0]._replace(ts_ns=self.now_ns)

    def _delta(self, side: int, levels: Levels) -> Event:
        bids, asks = ([], levels) if side else (levels, [])
        return Event(EventKind.BOOK_DELTA, "X", self.now_ns, 50, bids, asks)


def run(pair: Pair, events: Iterator[Event], check_every: int) -> Pair:
    for i, event in enumerate(events):
        pair.feed(event)
        if i % check_every == 0:
            pair.check()
            pair.check_no_drift()
    pair.check()
    return pair


def run_market(seed: int, n: int, check_every: int, levels: int = 200) -> Pair:
    pair = Pair(levels, **SMALL_WALLS)
    return run(pair, WallMarket(seed, pair.naive_book).events(n), check_every)


@pytest.mark.parametrize(("seed", "levels"), [(1, 200), (2, 200), (3, 30), (4, 200)])
def test_twin_on_generated_markets(seed: int, levels: int) -> None:
    pair = run_market(seed, 2_500, 7, levels)
    said = set(pair.fates)
    assert levels < 100 or said == set(WallFate) - {WallFate.STANDING, WallFate.WITHDRAWN}, said


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twin_on_generated_markets_full() -> None:
    """At least 100,000 events of each kind."""
    for seed in range(100, 120):
        run_market(seed, 36_000, 50, 200 if seed % 3 else 30)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_drift_after_five_million_events() -> None:
    """The kernels alone; the sums are compared with fresh ones now and then, to the last bit."""
    market = Market(9)
    pair = Pair(200, **SMALL_WALLS)
    s, params, book = pair.state, pair.params, pair.book
    for i, e in enumerate(market.events(5_000_000)):
        if e.kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            levels, snapshot = level_array(e.bids, e.asks), e.kind is EventKind.BOOK_SNAPSHOT
            apply = book_kernels.apply_snapshot if snapshot else book_kernels.apply_delta
            code = apply(book, SLOT, levels, 0, len(e.bids), len(e.asks))
            fresh = np.int64(snapshot or code & book_kernels.OVERFLOW != 0)
            K.walls_book(s, book, SLOT, levels, 0, len(e.bids), len(e.asks), fresh, e.ts_ns, params)
        elif e.kind is EventKind.TRADES:
            K.walls_trades(s, book, SLOT, trade_array(e.trades), 0, len(e.trades), e.ts_ns, params)
        elif e.kind is EventKind.SYMBOL_DATA:
            K.walls_broken(s, SLOT)
        else:
            K.walls_timer(s, book, SLOT, e.ts_ns, params)
        if i % 50_000 == 0:
            pair.check_no_drift()
    pair.check_no_drift()


def _tape(path: Path, symbol: str, depth: int, n: int) -> list[Event]:
    events = [
        e for e in recorded_events(path)[0]
        if e.symbol == symbol and (e.depth == depth or e.kind is EventKind.TRADES)
    ]  # fmt: skip
    return events[:n]


@pytest.mark.parametrize(
    ("tape", "symbol", "depth"),
    [(REAL_TAPE, "BTCUSDT", 200), (REAL_TAPE, "DOGEUSDT", 200), (DERIVED_TAPE, "BTCUSDT", 50), (DERIVED_TAPE, "ETHUSDT", 50)],
)
@pytest.mark.parametrize("n", [1_500, pytest.param(10**9, marks=pytest.mark.slow)])
def test_twin_on_tapes(tape: str, symbol: str, depth: int, n: int) -> None:
    path = recording(tape)
    price_exp, qty_exp = recorded_events(path)[1][symbol]
    pair = Pair(512, 10.0**-price_exp, 10.0**-qty_exp)
    run(pair, with_timers(_tape(path, symbol, depth, n)), 23 if n < 10_000 else 211)


# --- one book by hand -------------------------------------------------------------------------------------------------
T0 = 1_000_000 * SECOND


def settled(**params: Any) -> Pair:
    """Ten levels of 10 lots a side, tick 1 USDT, lot 1 coin, prices 9999 down and 10001 up; averages known."""
    pair = Pair(200, 1.0, 1.0, **params)
    bids = [(9_999 - k, 10) for k in range(10)]
    asks = [(10_001 + k, 10) for k in range(10)]
    pair.feed(Event(EventKind.BOOK_SNAPSHOT, "X", T0, 50, bids, asks))
    pair.feed(Event(EventKind.TRADES, "X", T0, trades=[Trade(10_001, 1, 1)]))
    for step in range(31):
        pair.feed(Event(EventKind.TIMER, "X", T0 + step * 100 * MS))
    return pair


def delta(ts_ns: int, bids: Levels, asks: Levels | None = None) -> Event:
    return Event(EventKind.BOOK_DELTA, "X", ts_ns, 50, bids, asks or [])


def wait(pair: Pair, ts_ns: int, ms: int) -> int:
    """TIMERs over the next `ms`."""
    for step in range(0, ms, 100):
        pair.feed(Event(EventKind.TIMER, "X", ts_ns + (step + 100) * MS))
    return ts_ns + ms * MS


def test_worked_example() -> None:
    """The example of WALLS.md."""
    pair = settled()
    now = T0 + 3_100 * MS
    v = pair.values()
    assert v["imbalance_ticks"] == v["imbalance_bps"] == 0.0 and v["thinning"] == 1.0
    assert v["depth_bid_usdt"] == sum(10 * (9_999 - k) for k in range(10)) == 999_45 * 10
    assert (v["wall_bid_x"], v["spoof"]) == (0.0, 0.0) and math.isnan(v["wall_bid_bps"])
    pair.feed(delta(now, [(9_993, 240)]))  # 7 ticks from the mid
    now = wait(pair, now, 2_000)
    v = pair.values()
    assert v["wall_bid_bps"] == pytest.approx(7.0) and v["wall_bid_x"] == 24.0 and v["wall_bid_age_s"] == 2.0
    assert v["wall_support"] == pytest.approx(100 * 1.0 * (10 / 17) * (2 / 4)) == pytest.approx(29.4118, abs=1e-4)
    assert v["imbalance_bps"] == pytest.approx(230 / 430)
    pair.feed(delta(now, [(9_999 - k, 0) for k in range(4)], [(10_001, 0), (9_997, 5)]))  # the price comes nearer
    assert pair.values()["wall_bid_bps"] == pytest.approx(1e4 * 3 / 9_996)
    pair.feed(delta(now + MS, [(9_993, 0)]))  # pulled, and no trade
    assert not pair.twin.said, "not before trades had their time"
    wait(pair, now, 400)
    v = pair.values()
    evidence = min((7.0 - 1e4 * 3 / 9_996) / 3.5, 1.0) * 30 / (30 + 2.001)
    assert pair.fates == {WallFate.SPOOFING: 1} and evidence == pytest.approx(0.9375, abs=1e-4)
    assert v["spoof"] == pytest.approx(100 * evidence / (1 + evidence)) and v["spoof_lean"] == 1.0
    wait(pair, now + 400 * MS, 20_000)  # a half-life later
    assert pair.values()["spoof"] == pytest.approx(100 * evidence / 2 / (1 + evidence / 2))


@pytest.mark.parametrize("book_first", [True, False])
@pytest.mark.parametrize("apart_ms", [0, 100, 290])
def test_a_wall_eaten_by_trades_is_not_pulled_whichever_topic_comes_first(book_first: bool, apart_ms: int) -> None:
    pair = settled()
    now = T0 + 3_200 * MS
    pair.feed(delta(now, [(9_999, 240)]))
    now = wait(pair, now, 1_000)
    book = delta(now, [(9_999, 0)])
    trade = Event(EventKind.TRADES, "X", now, trades=[Trade(9_999, 240, -1)])
    first, second = (book, trade) if book_first else (trade, book)
    pair.feed(first)
    pair.feed(second._replace(ts_ns=now + apart_ms * MS))
    wait(pair, now + 300 * MS, 1_000)
    assert pair.fates == {WallFate.ABSORBING: 1, WallFate.EATEN: 1}
    v = pair.values()
    assert v["spoof"] == 0.0 and v["absorb_bid"] > 40.0 and v["absorb_ask"] == 0.0


def test_trades_at_other_prices_or_against_the_other_side_explain_nothing() -> None:
    pair = settled()
    now = T0 + 3_200 * MS
    pair.feed(delta(now, [(9_993, 240)]))
    now = wait(pair, now, 1_000)
    pair.feed(Event(EventKind.TRADES, "X", now, trades=[Trade(9_994, 240, -1), Trade(9_993, 240, 1), Trade(9_993, 240, -1, 1)]))
    pair.feed(delta(now, [(9_999 - k, 0) for k in range(4)], [(10_001, 0), (9_997, 5)]))
    pair.feed(delta(now, [(9_993, 0)]))
    wait(pair, now, 1_000)
    assert pair.fates == {WallFate.SPOOFING: 1}


def test_a_wall_that_leaves_the_visible_book_is_not_pulled() -> None:
    pair = settled()
    now = T0 + 3_200 * MS
    pair.feed(delta(now, [(9_990, 240)]))  # the worst bid
    now = wait(pair, now, 1_000)
    pair.feed(delta(now, [(10_000, 10), (9_990, 0)]))  # the book moved up by a level, the exchange drops the tenth
    wait(pair, now, 1_000)
    assert not pair.fates and pair.values()["wall_bid_x"] == 0.0


@pytest.mark.parametrize("broken", [True, False])
def test_a_snapshot_is_no_verdict(broken: bool) -> None:
    pair = settled()
    now = T0 + 3_200 * MS
    pair.feed(delta(now, [(9_998, 240)]))
    now = wait(pair, now, 1_000)
    if broken:
        pair.feed(Event(EventKind.SYMBOL_DATA, "X", now))
        assert all(math.isnan(value) for value in pair.values().values())
        wait(pair, now, 500)
        assert math.isnan(pair.values()["spoof"])
    now += 600 * MS
    pair.feed(Event(EventKind.BOOK_SNAPSHOT, "X", now, 50, [(9_999, 10), (9_997, 200)], [(10_001, 10)]))
    v = pair.values()
    assert v["wall_bid_age_s"] == 0.0 and v["wall_bid_x"] == 20.0, "the age of what was there before is not known"
    wait(pair, now, 1_000)
    assert not pair.fates and pair.values()["spoof"] == 0.0


def test_without_a_tape_nothing_is_called_spoofing() -> None:
    """No trade was ever seen: that a wall went without trades then says nothing."""
    pair = Pair(200, 1.0, 1.0)
    bids, asks = [(9_999 - k, 10) for k in range(10)], [(10_001 + k, 10) for k in range(10)]
    pair.feed(Event(EventKind.BOOK_SNAPSHOT, "X", T0, 50, bids, asks))
    now = wait(pair, T0, 3_100)
    pair.feed(delta(now, [(9_993, 240)]))
    now = wait(pair, now, 1_000)
    pair.feed(delta(now, [(9_999 - k, 0) for k in range(4)], [(10_001, 0), (9_997, 5)]))
    pair.feed(delta(now, [(9_993, 0)]))
    wait(pair, now, 1_000)
    assert not pair.fates


@pytest.mark.parametrize("ticks", [3, -3])
def test_a_wall_that_reappears_near_has_moved_and_keeps_its_age(ticks: int) -> None:
    pair = settled()
    now = T0 + 3_200 * MS
    pair.feed(delta(now, [], [(10_006, 240)]))
    now = wait(pair, now, 1_000)
    pair.feed(delta(now, [], [(10_006, 10), (10_006 + ticks, 250)]))
    wait(pair, now, 1_000)
    assert pair.fates == {WallFate.LAYERING: 1}
    v = pair.values()
    assert v["layering"] > 40.0 and v["spoof"] == 0.0 and v["wall_ask_age_s"] == 2.0


def test_a_level_refilled_again_and_again_is_an_iceberg() -> None:
    pair = settled()
    now = T0 + 3_200 * MS
    for _ in range(4):
        pair.feed(Event(EventKind.TRADES, "X", now, trades=[Trade(10_001, 8, 1)]))
        pair.feed(delta(now + 10 * MS, [], [(10_001, 2)]))
        pair.feed(delta(now + 60 * MS, [], [(10_001, 10)]))
        now = wait(pair, now, 500)
    assert pair.fates == {WallFate.ICEBERG: 1}
    assert pair.values()["iceberg_ask"] > 50.0 and pair.values()["iceberg_bid"] == 0.0


def test_nothing_is_known_before_a_book_and_averages_need_three_seconds() -> None:
    pair = Pair()
    assert all(math.isnan(value) for value in pair.values().values())
    pair.feed(Event(EventKind.BOOK_SNAPSHOT, "X", T0, 50, [(9_999, 10)], [(10_001, 10)]))
    v = pair.values()
    assert v["imbalance_bps"] == 0.0 and math.isnan(v["thinning"]) and math.isnan(v["spoof"])
    wait(pair, T0, 2_500)
    assert pair.values()["thinning"] == 1.0 and pair.values()["spoof"] == 0.0
    pair.feed(delta(T0 + 3 * SECOND, [(9_999, 0)]))
    assert all(math.isnan(value) for value in pair.values().values()), "one-sided"


def test_before_a_config_nothing_happens() -> None:
    state, book = new_walls(1), book_kernels.new_book(1, 8)
    params = np.zeros_like(params_row(Settings(), 1))
    K.walls_book(state, book, 0, level_array([], []), 0, 0, 0, np.int64(1), T0, params)
    K.walls_trades(state, book, 0, trade_array([]), 0, 0, T0, params)
    K.walls_timer(state, book, 0, T0, params)
    assert np.isnan(state.row.view(np.float64)).all() and state.said_n[0] == 0


def test_averages_of_another_length_are_as_if_they_had_always_been() -> None:
    pair = settled()
    now = wait(pair, T0 + 3_100 * MS, 20_000)
    pair.params["depth_average_s"] = pair.twin.p["depth_average_s"] = 7
    K.configure_walls(pair.state, pair.params, np.int64(3))
    pair.check_no_drift()
    assert pair.state.track[SLOT].samples == 7
    wait(pair, now, 3_000)
    pair.check()


def test_a_slot_listed_again_remembers_nothing() -> None:
    pair = run_market(5, 400, 50)
    K.list_walls(pair.state, SLOT, 0.1, 0.001)
    assert all(math.isnan(value) for value in pair.values().values())
    assert not pair.state.price[SLOT].any() and not pair.state.track[SLOT].spoof.any()


def test_record_has_only_floats() -> None:
    assert {f.type for f in WALLS.fields} == {"f8"}


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="kernels are not compiled")
def test_every_kernel_has_one_signature() -> None:
    run_market(6, 400, 100)
    compiled = [k for k in KERNELS if k.__module__.startswith(("core.features.walls", "core.features.depth")) and k.signatures]
    assert compiled and all(len(k.signatures) == 1 for k in compiled), [k.__name__ for k in compiled if len(k.signatures) > 1]
