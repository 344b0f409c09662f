"""Move features against a twin that makes each from the whole history; news; worked examples of MOVES.md."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from config.schema import Settings
from core.enums import EventKind, NewsType
from core.features import kernels as K
from core.features import moves as M
from core.features.costs import liq_safety, liquidation_bps
from core.features.moves_records import MOVE_NAMES, MOVES
from core.features.moves_windows import VPIN_KEPT
from core.jit import KERNELS
from core.params import PARAMS, params_row
from core.records import SYMBOL
from tests.core.features.test_kernels import SECOND, SLOT, Pair
from tests.core.streams import DERIVED_TAPE, REAL_TAPE, Event, Market, recorded_events, trade_array, with_timers
from tests.reference.moves import NaiveMoves
from tests.reference.tape import Trade
from tests.shared_data import recording

T0 = 1_000_000 * SECOND
EXACT = ("explosion", "news_type", "news_impact")


def symbols(**fields: int) -> np.ndarray:
    table = np.zeros(3, SYMBOL.dtype)
    values = {"taker_fee_e8": 55_000, "max_leverage_e2": 2_500, "funding_interval_min": 240, "category": 1} | fields
    for name, value in values.items():
        table[SLOT][name] = value
    return table


def params(**fields: float) -> np.ndarray:
    row = params_row(Settings(), 1)
    for name, value in fields.items():
        row[name] = value
    return row


def by_name(row: np.void) -> dict:
    return {name: row[name].tolist() for name in row.dtype.names}


class MovePair(Pair):
    """Features and move features of slot 1, and both twins, fed with the same events."""

    def __init__(
        self, ts_ns: int, tick_size: float = 0.1, lot_size: float = 0.001, levels: int = 200,
        record: np.ndarray | None = None, par: np.ndarray | None = None,
    ) -> None:
        super().__init__(ts_ns, tick_size, lot_size, levels)
        self.symbols = symbols() if record is None else record
        self.params = params() if par is None else par
        self.moves = M.new_moves(3)
        K.configure(self.state, self.params)
        M.configure_moves(self.moves, self.state, self.params)
        self.twin.warmup_ns = int(self.params["warmup_ns"][0])
        M.list_moves(self.moves, SLOT, ts_ns)
        M.list_news(self.moves, SLOT, self.symbols, self.params, ts_ns, 1)
        self.naive = NaiveMoves(self.twin, by_name(self.symbols[SLOT]), by_name(self.params[0]))

    def feed(self, event: Event) -> None:
        super().feed(event)
        ts_ns, args = event.ts_ns, (self.symbols, self.params)
        if event.kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            M.moves_on_book(self.moves, self.state, SLOT, ts_ns, *args)
            self.naive.at(ts_ns)
        elif event.kind is EventKind.TRADES:
            rows = trade_array(event.trades)
            M.moves_on_trades(self.moves, self.state, SLOT, ts_ns, rows, 0, len(rows), *args)
            self.naive.on_trades(ts_ns, event.trades)
        elif event.kind is EventKind.LIQUIDATION:
            rows = trade_array(event.trades)
            M.moves_on_liquidations(self.moves, self.state, SLOT, ts_ns, rows, 0, len(rows), *args)
            self.naive.at(ts_ns)
        elif event.kind is EventKind.TICKER:
            M.moves_on_ticker(self.moves, self.state, SLOT, ts_ns, *args)
            self.naive.on_ticker(ts_ns)
        elif event.kind is EventKind.SYMBOL_DATA:
            M.moves_on_broken(self.moves, SLOT)
        else:
            M.moves_on_timer(self.moves, self.state, SLOT, ts_ns, *args)
            self.naive.at(ts_ns)

    def news(self, ts_ns: int, kind: int, impact: float, half_life_ns: int, ttl_ns: int, happened_ns: int = 0) -> int:
        self.naive.on_news(ts_ns, kind, impact, happened_ns, half_life_ns, ttl_ns)
        return int(M.moves_on_news(self.moves, SLOT, ts_ns, int(kind), impact, happened_ns, half_life_ns, ttl_ns))

    def move(self) -> dict[str, float]:
        return {name: float(self.moves.row[SLOT][name]) for name in MOVE_NAMES}

    def check_moves(self) -> None:
        expected = self.naive.values()
        assert list(expected) == list(MOVE_NAMES)
        for name, value in self.move().items():
            if name in EXACT:
                assert value == expected[name] or (math.isnan(value) and math.isnan(expected[name])), name
            else:
                assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-7, nan_ok=True), name
        assert np.isnan(self.moves.row[0].volatility) and self.moves.track[0].second == 0

    def check_sums(self) -> None:
        """The rolling sums are equal, as integers, to sums made anew from the rings."""
        before = self.moves.track[SLOT].tobytes()
        M.sum_moves(self.moves, self.state.config[0], SLOT)
        assert self.moves.track[SLOT].tobytes() == before


def with_news(events: Iterator[Event], seed: int) -> Iterator[Event | tuple]:
    random = np.random.default_rng(seed)
    for event in events:
        yield event
        if random.random() < 0.01:
            kind, impact = int(random.integers(0, len(NewsType))), float(random.integers(0, 101))
            happened = event.ts_ns - int(random.integers(0, 5 * SECOND)) if random.random() < 0.5 else 0
            half_life = int(random.integers(0, 60 * SECOND))
            yield (event.ts_ns, kind, impact, half_life, int(random.integers(1, 300 * SECOND)), happened)


def run_market(seed: int, n: int, check_every: int, wild: bool = True) -> set[str]:
    market = Market(seed, wild=wild)
    pair = MovePair(market.now_ns, par=params(vpin_buckets_per_day=3e5, explosion_bps=20.0))
    pair.feed(Event(EventKind.TICKER, "X", market.now_ns, ticker={9: 10**12}))
    seen: set[str] = set()
    for i, event in enumerate(with_news(market.events(n), seed)):
        if isinstance(event, tuple) and not isinstance(event, Event):
            pair.news(*event)
        else:
            pair.feed(event)
        if i % check_every == 0:
            pair.check_moves()
            pair.check_sums()
            seen |= {name for name, value in pair.move().items() if not math.isnan(value)}
    pair.check()
    pair.check_moves()
    return seen


@pytest.mark.parametrize(("seed", "wild"), [(11, True), (12, True), (13, False)])
def test_generated_stream_equals_twin(seed: int, wild: bool) -> None:
    assert run_market(seed, 2_500, 29, wild) == set(MOVE_NAMES), "every feature was known and compared"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [21, 22])
def test_long_generated_stream_equals_twin(seed: int) -> None:
    run_market(seed, 400_000, 1_009)


steps = st.one_of(st.integers(0, 300_000_000), st.integers(0, 3 * SECOND), st.sampled_from([700 * SECOND]))
levels = st.lists(st.tuples(st.integers(90, 110), st.integers(0, 50)), max_size=4)
trades = st.lists(
    st.builds(
        Trade, st.integers(90, 110), st.integers(1, 10**6), st.sampled_from([-1, 1]), st.integers(0, 1), st.just(0)
    ),
    max_size=3,
)
tickers = st.dictionaries(st.sampled_from([6, 7, 8, 9, 11]), st.integers(0, 1 << 50), max_size=3)
kinds = st.one_of(
    st.tuples(st.sampled_from([EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA]), levels, levels),
    st.tuples(st.sampled_from([EventKind.TRADES, EventKind.LIQUIDATION]), trades, st.none()),
    st.tuples(st.just(EventKind.TICKER), tickers, st.none()),
    st.tuples(st.just(EventKind.NEWS), st.integers(0, 8), st.integers(0, 110)),
    st.tuples(st.sampled_from([EventKind.SYMBOL_DATA, EventKind.TIMER]), st.none(), st.none()),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(steps, kinds), max_size=40))
def test_any_order_of_events_equals_twin(calls: list) -> None:
    ts_ns = T0 + 950_000_000
    pair = MovePair(ts_ns, par=params(vpin_minimum=1))
    for step, (kind, a, b) in calls:
        ts_ns += step
        if kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            pair.feed(Event(kind, "X", ts_ns, bids=a, asks=b))
        elif kind in (EventKind.TRADES, EventKind.LIQUIDATION):
            pair.feed(Event(kind, "X", ts_ns, trades=a))
        elif kind is EventKind.NEWS:
            pair.news(ts_ns, a, float(b), 10 * SECOND, 60 * SECOND)
        else:
            pair.feed(Event(kind, "X", ts_ns, ticker=a or {}))
        pair.check_moves()
        pair.check_sums()


@pytest.mark.parametrize("name", [REAL_TAPE, DERIVED_TAPE])
def test_recorded_tape_equals_twin(name: str) -> None:
    events, digits = recorded_events(recording(name))
    events = events[:6_000] if name == DERIVED_TAPE else events
    depth = max(e.depth for e in events) if name == REAL_TAPE else 50
    pairs = {
        symbol: MovePair(events[0].ts_ns, 10.0 ** -digits[symbol][0], 10.0 ** -digits[symbol][1], depth + 56)
        for symbol in sorted({e.symbol for e in events})
    }
    for i, event in enumerate(with_timers(events)):
        if event.depth not in (0, depth):
            continue
        for symbol, pair in pairs.items():
            if event.symbol in (symbol, ""):
                pair.feed(event)
        if i % 211 == 0:
            for pair in pairs.values():
                pair.check_moves()
    for pair in pairs.values():
        pair.check_moves()
        pair.check_sums()
        assert 0.0 < pair.move()["volatility"] < 100.0 and pair.move()["min_move_bps"] > 11.0


def drift(n: int) -> None:
    """Rolling sums over `n` random calls of the kernels alone; a full recount at the end and now and then."""
    random = np.random.default_rng(5)
    pair = MovePair(T0, par=params(vpin_buckets_per_day=1e6))
    pair.feed(Event(EventKind.TICKER, "X", T0, ticker={9: 10**12, 8: 10**9}))
    rows = trade_array(
        [Trade(int(p), int(q), 1 if s else -1) for p, q, s in zip(
            random.integers(9_000, 11_000, 4096), random.integers(1, 5_000, 4096), random.integers(0, 2, 4096), strict=True
        )]
    )  # fmt: skip
    ts_ns = T0
    for i in range(n):
        ts_ns += 7_000_000
        first = i * 3 % 4000
        if i % 17 == 0:
            K.on_liquidations(pair.state, pair.candles, SLOT, ts_ns, rows, first, 2)
            M.moves_on_liquidations(pair.moves, pair.state, SLOT, ts_ns, rows, first, 2, pair.symbols, pair.params)
        else:
            K.on_trades(pair.state, pair.candles, SLOT, ts_ns, rows, first, 3)
            M.moves_on_trades(pair.moves, pair.state, SLOT, ts_ns, rows, first, 3, pair.symbols, pair.params)
        if i % 100_000 == 99_999:
            pair.check_sums()
            pair.check_no_drift()
    pair.check_sums()
    pair.check_no_drift()
    assert pair.moves.track[SLOT].vpin_closed > n // 50 and pair.moves.track[SLOT].baseline_trades > 0


def test_no_drift() -> None:
    drift(20_000)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_drift_over_five_million_events() -> None:
    drift(5_000_000)


def test_vpin_of_the_worked_example() -> None:
    """MOVES.md: buckets of 1000 USDT (turnover 5 M a day / 5000), unit 0.0001 USDT."""
    pair = MovePair(T0, par=params(vpin_minimum=2))
    pair.feed(Event(EventKind.TICKER, "X", T0, ticker={9: 5_000_000 * 10**4}))
    pair.feed(Event(EventKind.TRADES, "X", T0, trades=[Trade(10_000, 800, 1), Trade(10_000, 400, -1)]))
    assert math.isnan(pair.move()["vpin"]), "one bucket closed: 800 bought, 200 sold"
    pair.feed(Event(EventKind.TRADES, "X", T0, trades=[Trade(10_000, 800, 1)]))
    assert pair.move()["vpin"] == pytest.approx((0.6 + 0.6) / 2)
    assert pair.move()["cvd"] == pytest.approx(800 - 400 + 800)
    pair.check_moves()
    pair.feed(Event(EventKind.TRADES, "X", T0, trades=[Trade(10_000, 10**9, 1)]))
    assert pair.move()["vpin"] == 1.0 and pair.moves.track[SLOT].vpin_closed > VPIN_KEPT
    pair.check_moves()
    pair.check_sums()


def test_cvd_starts_anew_at_its_anchor() -> None:
    hour = 3600 * SECOND
    start = hour * 400_000
    pair = MovePair(start - 5 * SECOND)
    pair.feed(Event(EventKind.TRADES, "X", start - SECOND, trades=[Trade(10_000, 100, 1)]))
    assert pair.move()["cvd"] == pytest.approx(100.0)
    pair.feed(Event(EventKind.TIMER, "", start))
    assert pair.move()["cvd"] == 0.0
    pair.feed(Event(EventKind.TRADES, "X", start + SECOND, trades=[Trade(10_000, 30, -1)]))
    assert pair.move()["cvd"] == pytest.approx(-30.0)
    pair.check_moves()


def test_liquidation_of_the_worked_example() -> None:
    """MOVES.md: leverage 5, maintenance 1 %: 1900 bps away; a stop of 60 bps uses up 3 % of it."""
    table, par = symbols(), params()
    assert liquidation_bps(table, SLOT, 1, par) == pytest.approx(1900.0)
    assert liq_safety(60.0, 1900.0) == pytest.approx(96.842, abs=1e-3)
    table[SLOT]["maintenance_e8"] = 500_000  # the tier of the exchange says 0.5 %
    assert liquidation_bps(table, SLOT, 1, par) == pytest.approx(1950.0)
    table[SLOT]["max_leverage_e2"] = 200
    assert liquidation_bps(table, SLOT, 1, par) == pytest.approx(4950.0)
    assert liq_safety(60.0, 0.0) == 0.0 and liq_safety(5_000.0, 1900.0) == 0.0 and math.isnan(liq_safety(math.nan, 9.0))


def test_funding_interest_and_liquidations_of_the_worked_example() -> None:
    pair = MovePair(T0, par=params(baseline_minimum_ns=20 * SECOND))
    pair.feed(Event(EventKind.TICKER, "X", T0, ticker={8: 1_000_000, 11: 5_000_000}))
    assert pair.move()["funding_8h_bps"] == pytest.approx(10.0)  # 0.05 % every four hours
    for second in range(1, 40):
        pair.feed(Event(EventKind.TRADES, "X", T0 + second * SECOND, trades=[Trade(10_000, 1_000, 1)]))
    assert pair.move()["trades_surge"] == pytest.approx(1.0, rel=0.1) and pair.move()["liq_burst"] == 0.0
    pair.feed(Event(EventKind.LIQUIDATION, "X", T0 + 40 * SECOND, trades=[Trade(10_000, 5_000, 1)]))
    assert pair.move()["liq_burst"] == pytest.approx((5_000 / 10) / (0.01 * 1_000), rel=0.1)  # 1 % of the usual volume
    pair.feed(Event(EventKind.TICKER, "X", T0 + 41 * SECOND, ticker={8: 1_020_000}))
    assert pair.move()["oi_change_pct"] == pytest.approx(2.0)
    pair.check_moves()


def test_news_decay_and_precedence() -> None:
    pair = MovePair(T0)
    assert pair.move()["news_impact"] == 0.0 and math.isnan(pair.move()["news_age_s"])
    assert pair.news(T0, NewsType.HACK, 80.0, 60 * SECOND, 200 * SECOND) == 1
    assert pair.news(T0, NewsType.OTHER, 79.0, 60 * SECOND, 200 * SECOND) == 0, "a weightier flag stands"
    expected = {0: 80.0, 30: 60.0, 60: 40.0, 90: 30.0, 120: 20.0, 199: 80 / 8 * (1 - 19 / 120), 200: 0.0}
    for second, impact in expected.items():
        pair.feed(Event(EventKind.TIMER, "", T0 + second * SECOND))
        assert pair.move()["news_impact"] == pytest.approx(impact)
        pair.check_moves()
    assert pair.move()["news_type"] == 0.0
    assert pair.news(T0 + 201 * SECOND, NewsType.OTHER, 10.0, SECOND, SECOND) == 1
    assert pair.news(T0 + 201 * SECOND, NewsType.HACK, 0.0, 0, 0) == 0, "no such flag"
    assert pair.news(T0 + 201 * SECOND, NewsType.OTHER, 0.0, 0, 0) == 1 and pair.move()["news_impact"] == 0.0


def test_a_new_listing_is_news() -> None:
    pair = MovePair(T0, record=symbols(flags=1, listed_ns=T0 - 300 * SECOND))
    assert pair.move()["news_impact"] == 40.0 and pair.move()["news_type"] == NewsType.LISTING
    assert pair.move()["news_age_s"] == 300.0
    pair.check_moves()
    M.list_moves(pair.moves, SLOT, T0)
    assert pair.move()["news_impact"] == 40.0, "a new tick size does not end the news"


def test_explosion_has_hysteresis() -> None:
    pair = MovePair(T0, par=params(explosion_bps=100.0))
    for i in range(400):
        size = 200 if i < 100 else 0
        mid = 10_000 + size * (i % 2)
        book = Event(EventKind.BOOK_SNAPSHOT, "X", T0 + i * SECOND // 10, bids=[(mid - 1, 9)], asks=[(mid + 1, 9)])
        pair.feed(book)
        pair.check_moves()
        if i == 99:
            assert pair.move()["explosion"] == 1.0 and pair.move()["volatility"] > 90.0
    assert pair.move()["explosion"] == 0.0


def test_a_slot_listed_again_remembers_nothing_but_news() -> None:
    market = Market(51)
    pair = MovePair(market.now_ns)
    for event in market.events(1_000):
        pair.feed(event)
    M.list_moves(pair.moves, SLOT, market.now_ns)
    fresh = MovePair(market.now_ns)
    for part, clean in zip(pair.moves[:-1], fresh.moves[:-1], strict=True):
        if part is pair.moves.second:
            assert (part[SLOT]["trades"] == 0).all()
        else:
            assert part[SLOT].tobytes() == clean[SLOT].tobytes()


def test_records() -> None:
    assert {f.type for f in MOVES.fields} == {"f8"}
    assert params().dtype == PARAMS.dtype


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="kernels are not compiled")
def test_every_kernel_has_one_signature() -> None:
    run_market(61, 600, 100)
    compiled = [k for k in KERNELS if k.__module__.startswith("core.features.") and k.signatures]
    assert all(len(k.signatures) == 1 for k in compiled), [k.__name__ for k in compiled if len(k.signatures) > 1]
