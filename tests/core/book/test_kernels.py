"""Flat-array books against the dict twin: generated, hypothesis and recorded streams."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.book import kernels as K
from core.enums import EventKind
from tests.core.streams import DERIVED_TAPE, REAL_TAPE, XRP_ARCHIVE, Levels, Market, level_array, recorded_events
from tests.reference.book import NaiveBook
from tests.shared_data import recording

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # digests wrap; numpy says so when uncompiled


class Pair:
    """The same events into kernels (slot 1 of 3, so that neighbours would show) and twin."""

    def __init__(self, levels: int) -> None:
        self.book = K.new_book(3, levels)
        self.twin = NaiveBook(levels)

    def apply(self, bids: Levels, asks: Levels, is_snapshot: bool, pad: int = 3) -> int:
        levels = level_array(bids, asks, pad)
        apply = K.apply_snapshot if is_snapshot else K.apply_delta
        code = apply(self.book, 1, levels, pad, len(bids), len(asks))
        assert code == (self.twin.snapshot if is_snapshot else self.twin.delta)(bids, asks)
        return code

    def side(self, side: int) -> Levels:
        count = self.book.count[1, side]
        prices, lots = (a[1, side, :count].tolist() for a in (self.book.price, self.book.qty))
        return list(zip(prices, lots, strict=True))

    def check(self) -> None:
        assert K.is_sound(self.book, 1)
        for side in (0, 1):
            assert self.side(side) == self.twin.side(side)
            assert K.best(self.book, 1, side) == self.twin.best(side)
        assert not self.book.count[0].any() and not self.book.count[2].any()
        assert int(K.book_digest(self.book, 1)) == self.twin.digest()
        assert K.is_crossed(self.book, 1) == self.twin.is_crossed()
        assert K.shape(self.book, 1) == bool(self.twin.sides[0]) + 2 * bool(self.twin.sides[1])
        pairs = [
            (K.mid_ticks(self.book, 1), self.twin.mid()),
            (K.spread_bps(self.book, 1), self.twin.spread_bps()),
            (K.microprice_ticks(self.book, 1), self.twin.microprice()),
            (K.imbalance(self.book, 1, 1), self.twin.imbalance(1)),
            (K.imbalance(self.book, 1, 7), self.twin.imbalance(7)),
        ]
        for got, expected in pairs:
            assert got == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def run_market(seed: int, n: int, levels: int, check_every: int) -> None:
    pair = Pair(levels)
    for i, event in enumerate(Market(seed).events(n)):
        if event.kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            pair.apply(event.bids, event.asks, event.kind is EventKind.BOOK_SNAPSHOT)
        if i % check_every == 0:
            pair.check()
    pair.check()
    assert pair.book.meta[1].overflows > 0 or levels > 40


@pytest.mark.parametrize("levels", [1, 2, 30, 100])
def test_generated_stream_equals_twin(levels: int) -> None:
    run_market(seed=levels, n=1500, levels=levels, check_every=7)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [2, 30, 100])
def test_long_generated_stream_equals_twin(levels: int) -> None:
    run_market(seed=100 + levels, n=220_000, levels=levels, check_every=23)  # about half of them are books


any_levels = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 40), st.integers(-1, 1), st.integers(1 << 40, (1 << 40) + 5)),
        st.one_of(st.integers(0, 3), st.integers(-1, 1 << 40)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 8), st.lists(st.tuples(st.booleans(), any_levels, any_levels), max_size=8))
def test_any_levels_in_any_order_equal_twin(levels: int, calls: list[tuple[bool, Levels, Levels]]) -> None:
    pair = Pair(levels)
    for is_snapshot, bids, asks in calls:
        pair.apply(bids, asks, is_snapshot)
        pair.check()


def test_more_edits_than_fit_in_one_pass() -> None:
    n = 3 * K.MAX_EDITS
    pair = Pair(2 * n)
    pair.apply([(2 * i + 2, 5) for i in reversed(range(n))], [(10**6 + 2 * i, 5) for i in range(n)], True)
    pair.check()
    bids = [(2 * i + 1, 3) if i % 3 else (2 * i + 2, 0) for i in reversed(range(n))]
    asks = [(10**6 + 2 * i + i % 2, (i % 2) * 9) for i in range(n)]
    assert pair.apply(bids, asks, False) == K.OK
    pair.check()


def test_codes() -> None:
    pair = Pair(2)
    assert pair.apply([(10, 1), (9, 1)], [(11, 1)], True) == K.OK
    assert pair.apply([(8, 0)], [], False) == K.ABSENT
    assert pair.apply([(8, 1)], [], False) == K.OVERFLOW  # itself the worst
    assert pair.apply([(12, 1)], [], False) == K.OVERFLOW | K.CROSSED
    assert pair.apply([(12, 0), (0, 1), (5, -1)], [], False) == K.MALFORMED
    pair.check()
    meta = pair.book.meta[1]
    assert (meta.snapshots, meta.deltas, meta.absent_deletes, meta.overflows) == (1, 4, 1, 2)
    assert (meta.malformed, meta.crossed_updates) == (2, 1)


def test_empty_and_one_sided_books_are_states_of_their_own() -> None:
    pair = Pair(4)
    pair.check()
    assert K.shape(pair.book, 1) == 0 and K.mid2(pair.book, 1) == 0
    pair.apply([(10, 1)], [], True)
    pair.check()
    assert K.shape(pair.book, 1) == K.HAS_BIDS and not K.is_crossed(pair.book, 1)
    pair.apply([], [(12, 1)], False)
    assert K.shape(pair.book, 1) == K.TWO_SIDED and K.mid2(pair.book, 1) == 22
    K.clear(pair.book, 1)
    assert K.shape(pair.book, 1) == 0


def test_quantities_by_price_and_depth() -> None:
    pair = Pair(200)
    bids, asks = [(1000 - 2 * i, i + 1) for i in range(150)], [(1002 + 2 * i, i + 1) for i in range(150)]
    pair.apply(bids, asks, True)
    for side, levels in enumerate((bids, asks)):
        for price, qty in levels:
            assert K.qty_at(pair.book, 1, side, price) == qty
            assert K.qty_at(pair.book, 1, side, price + 1) == 0
        assert K.depth_lots(pair.book, 1, side, 10) == 55
        assert K.depth_lots(pair.book, 1, side, 10_000) == 150 * 151 // 2
    assert K.qty_at(pair.book, 0, 0, 1000) == 0


def test_worked_example_of_the_readme() -> None:
    pair = Pair(8)
    pair.apply([(999, 30), (998, 50)], [(1001, 10), (1003, 20)], True)
    assert K.mid2(pair.book, 1) == 2000
    assert K.spread_bps(pair.book, 1) == pytest.approx(20.0)
    assert K.microprice_ticks(pair.book, 1) == pytest.approx(1000.5)
    assert K.imbalance(pair.book, 1, 1) == pytest.approx(0.5)
    assert K.imbalance(pair.book, 1, 2) == pytest.approx(50 / 110)


@pytest.mark.parametrize("name", [REAL_TAPE, XRP_ARCHIVE, DERIVED_TAPE])
def test_recorded_books_equal_twin(name: str) -> None:
    events, digits = recorded_events(recording(name))
    books: dict[tuple[str, int], Pair] = {}
    frames = 0
    for event in events:
        if event.kind not in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA) or event.depth == 1:
            continue
        if name == DERIVED_TAPE and frames > 4000:
            break
        pair = books.setdefault((event.symbol, event.depth), Pair(event.depth + 56))
        code = pair.apply(event.bids, event.asks, event.kind is EventKind.BOOK_SNAPSHOT)
        assert code == K.OK, "recorded feeds are clean"
        frames += 1
        if frames % 25 == 0:
            pair.check()
    assert books and set(digits) == {symbol for symbol, _ in books}
    for (_, depth), pair in books.items():
        pair.check()
        assert pair.book.count[1].tolist() == [depth, depth]
