"""Features against a twin that keeps every event and makes each feature from the whole history."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from config.schema import Settings
from core.book import kernels as book_kernels
from core.candles import kernels as candle_kernels
from core.enums import EventKind
from core.features import kernels as K
from core.features.records import FEATURE_NAMES, FEATURES
from core.jit import KERNELS
from core.params import params_row
from tests.core.streams import (
    DERIVED_TAPE,
    REAL_TAPE,
    Event,
    Market,
    level_array,
    recorded_events,
    ticker_cells,
    trade_array,
    with_timers,
)
from tests.reference.book import NaiveBook
from tests.reference.features import NaiveFeatures
from tests.reference.tape import Trade
from tests.shared_data import recording

SECOND = 1_000_000_000
SLOT = 1
INTEGERS = ("streak", "last", "warm", "atr_provisional")


class Pair:
    """The same events into the kernels (slot 1 of 3) and the twin, in the order the engine uses."""

    def __init__(self, ts_ns: int, tick_size: float = 0.1, lot_size: float = 0.001, levels: int = 200) -> None:
        self.book = book_kernels.new_book(3, levels)
        self.candles = candle_kernels.new_candles(3)
        self.state = K.new_features(3)
        self.naive_book = NaiveBook(levels)
        self.twin = NaiveFeatures(tick_size, lot_size, ts_ns)
        K.list_symbol(self.state, SLOT, tick_size, lot_size, ts_ns)

    def feed(self, event: Event) -> None:
        ts_ns = event.ts_ns
        if event.kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            is_snapshot = event.kind is EventKind.BOOK_SNAPSHOT
            levels = level_array(event.bids, event.asks)
            apply = book_kernels.apply_snapshot if is_snapshot else book_kernels.apply_delta
            apply(self.book, SLOT, levels, 0, len(event.bids), len(event.asks))
            (self.naive_book.snapshot if is_snapshot else self.naive_book.delta)(event.bids, event.asks)
            K.on_book(self.state, self.book, self.candles, SLOT, ts_ns, int(is_snapshot))
            self.twin.on_book(ts_ns, self.naive_book, is_snapshot)
        elif event.kind is EventKind.TRADES:
            trades = trade_array(event.trades)
            candle_kernels.add_trades(self.candles, SLOT, ts_ns, trades, 0, len(trades))
            K.on_trades(self.state, self.candles, SLOT, ts_ns, trades, 0, len(trades))
            self.twin.on_trades(ts_ns, event.trades)
        elif event.kind is EventKind.LIQUIDATION:
            trades = trade_array(event.trades)
            K.on_liquidations(self.state, self.candles, SLOT, ts_ns, trades, 0, len(trades))
            self.twin.on_liquidations(ts_ns, event.trades)
        elif event.kind is EventKind.TICKER:
            K.on_ticker(self.state, self.candles, SLOT, ts_ns, ticker_cells(event.ticker), 0)
            self.twin.on_ticker(ts_ns, event.ticker)
        elif event.kind is EventKind.SYMBOL_DATA:
            K.on_broken(self.state, SLOT)
            self.twin.on_broken()
        else:
            K.on_timer(self.state, self.candles, SLOT, ts_ns)
            self.twin.at(ts_ns)

    def values(self) -> dict[str, float]:
        return {name: float(self.state.row[SLOT][name]) for name in FEATURE_NAMES}

    def check(self) -> None:
        expected = self.twin.features()
        assert list(expected) == list(FEATURE_NAMES)
        for name, value in self.values().items():
            if name in INTEGERS:
                assert value == expected[name] or (math.isnan(value) and math.isnan(expected[name])), name
            else:
                # sums are exact integers on both sides; what cancels (micro, basis, change) needs an absolute floor
                floor = 1e-7 if name in ("micro_bps", "basis_bps", "change_1m_pct") else 1e-9
                assert value == pytest.approx(expected[name], rel=1e-9, abs=floor, nan_ok=True), name
        assert np.isnan(self.state.row[0].mid) and self.state.track[0].bucket == 0

    def check_no_drift(self) -> None:
        """The rolling sums are equal, as integers, to sums made anew from the rings."""
        s = self.state
        parts = (s.fast, s.slow, s.track)
        before = [part[SLOT].tobytes() for part in parts]
        K.sum_windows(s.track, s.fast, s.slow, s.bucket, s.second, s.config, SLOT)
        assert [part[SLOT].tobytes() for part in parts] == before


def run_market(seed: int, n: int, check_every: int, wild: bool = True) -> set[str]:
    """Returns the names of the features that were known at some check."""
    market = Market(seed, wild=wild)
    pair = Pair(market.now_ns)
    seen: set[str] = set()
    for i, event in enumerate(market.events(n)):
        pair.feed(event)
        if i % check_every == 0:
            pair.check()
            pair.check_no_drift()
            seen |= {name for name, value in pair.values().items() if not math.isnan(value)}
    pair.check()
    return seen


@pytest.mark.parametrize("seed", [11, 12])
def test_generated_stream_equals_twin(seed: int) -> None:
    assert run_market(seed, 4_000, 19) == set(FEATURE_NAMES), "every feature was known and compared"


def test_calm_stream_equals_twin() -> None:
    assert run_market(13, 3_000, 17, wild=False) == set(FEATURE_NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21, 22])
def test_long_generated_stream_equals_twin(seed: int) -> None:
    run_market(seed, 400_000, 401)  # about 100,000 trade events and twice as many books


steps = st.one_of(st.integers(0, 300_000_000), st.integers(0, 3 * SECOND), st.sampled_from([700 * SECOND]))
levels = st.lists(st.tuples(st.integers(90, 110), st.integers(0, 50)), max_size=4)
trades = st.lists(
    st.builds(
        Trade, st.integers(90, 110), st.integers(1, 10**6), st.sampled_from([-1, 1]), st.integers(0, 1), st.just(0)
    ),
    max_size=3,
)
tickers = st.dictionaries(st.sampled_from([6, 7, 8, 11]), st.integers(0, 1 << 50), max_size=3)
kinds = st.one_of(
    st.tuples(st.sampled_from([EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA]), levels, levels),
    st.tuples(st.sampled_from([EventKind.TRADES, EventKind.LIQUIDATION]), trades, st.none()),
    st.tuples(st.just(EventKind.TICKER), tickers, st.none()),
    st.tuples(st.sampled_from([EventKind.SYMBOL_DATA, EventKind.TIMER]), st.none(), st.none()),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(steps, kinds), max_size=40))
def test_any_order_of_events_equals_twin(calls: list) -> None:
    ts_ns = 1_000_000 * SECOND + 950_000_000
    pair = Pair(ts_ns)
    for step, (kind, a, b) in calls:
        ts_ns += step
        if kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            pair.feed(Event(kind, "X", ts_ns, bids=a, asks=b))
        elif kind in (EventKind.TRADES, EventKind.LIQUIDATION):
            pair.feed(Event(kind, "X", ts_ns, trades=a))
        else:
            pair.feed(Event(kind, "X", ts_ns, ticker=a or {}))
        pair.check()
        pair.check_no_drift()


@pytest.mark.parametrize("name", [REAL_TAPE, DERIVED_TAPE])
def test_recorded_tape_equals_twin(name: str) -> None:
    events, digits = recorded_events(recording(name))
    if name == DERIVED_TAPE:
        events = events[:7_000]
    depth = max(e.depth for e in events) if name == REAL_TAPE else 50
    pairs = {
        symbol: Pair(events[0].ts_ns, 10.0 ** -digits[symbol][0], 10.0 ** -digits[symbol][1], depth + 56)
        for symbol in sorted({e.symbol for e in events})
    }
    for i, event in enumerate(with_timers(events)):
        if event.depth not in (0, depth):
            continue
        for symbol, pair in pairs.items():
            if event.symbol in (symbol, ""):
                pair.feed(event)
        if i % 97 == 0:
            for pair in pairs.values():
                pair.check()
    for pair in pairs.values():
        pair.check()
        pair.check_no_drift()
        assert pair.values()["warm"] == 1.0
    assert max(pair.values()["realised_vol_bps"] for pair in pairs.values()) > 0.0


def test_two_runs_give_the_same_bits() -> None:
    rows = []
    for _ in range(2):
        market = Market(31)
        pair = Pair(market.now_ns)
        for event in market.events(1_500):
            pair.feed(event)
        rows.append(pair.state.row[SLOT].tobytes())
    assert rows[0] == rows[1]


def test_unknown_is_always_the_same_nan() -> None:
    """0/0 gives another nan than `nan`; digests of feature bits would differ."""
    market = Market(33)
    pair = Pair(market.now_ns)
    quiet = np.array([np.nan]).view(np.uint64)[0]
    for event in market.events(1_500):
        pair.feed(event)
        words = pair.state.row[SLOT : SLOT + 1].view(np.float64)
        assert set(words[np.isnan(words)].view(np.uint64).tolist()) <= {int(quiet)}


def worked_example() -> Pair:
    """The example of README.md: tick 0.1 USDT, lot 0.001 coin."""
    t0 = 1_000_000 * SECOND
    pair = Pair(t0)
    pair.feed(Event(EventKind.BOOK_SNAPSHOT, "X", t0, bids=[(9_990, 30), (9_980, 50)], asks=[(10_010, 10), (10_030, 20)]))
    pair.feed(Event(EventKind.BOOK_DELTA, "X", t0 + SECOND // 2, bids=[(9_990, 40)], asks=[(10_010, 0), (10_020, 5)]))
    pair.feed(Event(EventKind.TRADES, "X", t0 + SECOND, trades=[Trade(10_010, 100, 1), Trade(10_000, 40, -1)]))
    return pair


def test_worked_example_of_the_readme() -> None:
    pair = worked_example()
    v = pair.values()
    assert v["mid"] == 10_005.0
    assert v["spread_bps"] == pytest.approx(30 / 10_005 * 1e4)
    assert v["microprice"] == pytest.approx((9_990 * 5 + 10_020 * 40) / 45)
    assert v["imbalance_top"] == pytest.approx(35 / 45)
    assert v["imbalance_n"] == pytest.approx((90 - 25) / 115)
    assert v["ofi_1s"] == pytest.approx((40 - 30 + 10) * 10_005 * 0.0001)  # bid grew by 10, the ask of 10 left
    assert v["buy_1s"] == pytest.approx(10_010 * 100 * 0.0001)
    assert v["delta_1s"] == pytest.approx((10_010 * 100 - 10_000 * 40) * 0.0001)
    assert v["streak"] == -1.0
    assert v["trades_per_s"] == pytest.approx(2.0)
    assert v["trades_per_s_10s"] == pytest.approx(2 / 1.1)  # eleven buckets old
    assert v["warm"] == 0.0
    K.on_timer(pair.state, pair.candles, SLOT, 1_000_005 * SECOND)
    assert pair.values()["warm"] == 1.0 and pair.values()["buy_1s"] == 0.0 and pair.values()["buy_10s"] > 0.0


def test_a_broken_book_makes_its_features_unknown_and_restarts_the_warm_up() -> None:
    pair = worked_example()
    K.on_timer(pair.state, pair.candles, SLOT, 1_000_006 * SECOND)
    assert pair.values()["warm"] == 1.0
    pair.feed(Event(EventKind.SYMBOL_DATA, "X", 1_000_006 * SECOND))
    v = pair.values()
    assert all(math.isnan(v[n]) for n in ("mid", "spread_bps", "microprice", "imbalance_top", "imbalance_n", "ofi_1s"))
    assert v["warm"] == 0.0 and v["buy_10s"] > 0.0, "the tape is still known"
    pair.feed(Event(EventKind.BOOK_SNAPSHOT, "X", 1_000_007 * SECOND, bids=[(9_000, 1)], asks=[(9_010, 1)]))
    v = pair.values()
    assert v["mid"] == 9_005.0 and v["warm"] == 0.0
    K.on_timer(pair.state, pair.candles, SLOT, 1_000_012 * SECOND)
    assert pair.values()["warm"] == 1.0


def test_ticker_fields_not_in_a_frame_keep_their_value() -> None:
    pair = Pair(SECOND)
    assert math.isnan(pair.values()["mark"]) and math.isnan(pair.values()["basis_bps"])
    pair.feed(Event(EventKind.TICKER, "X", SECOND, ticker={6: 101 * 10**10, 11: -5_000_000}))
    pair.feed(Event(EventKind.TICKER, "X", SECOND, ticker={7: 100 * 10**10, 8: 12_345}))
    v = pair.values()
    assert (v["mark"], v["index"], v["funding_rate"], v["open_interest"]) == (101.0, 100.0, -0.0005, 1.2345)
    assert v["basis_bps"] == pytest.approx(100.0)
    ticker = K.ticker_record(pair.state, SLOT)[0]
    assert ticker.mark_e10 == 101 * 10**10 and ticker.mask == (1 << 6 | 1 << 7 | 1 << 8 | 1 << 11)


def test_new_windows_are_as_if_they_had_always_been() -> None:
    market = Market(41, wild=False)
    pair = Pair(market.now_ns)
    for event in market.events(2_500):
        pair.feed(event)
    params = params_row(Settings(), 1)
    for name, seconds in (
        ("flow_fast", 2), ("flow_slow", 20), ("volatility_window", 40), ("baseline", 100),
        ("warmup", 60),
    ):  # fmt: skip
        params[f"{name}_ns"] = seconds * SECOND
    params["pump_windows_ns"] = 30 * SECOND
    params["imbalance_levels"] = 5
    K.configure(pair.state, params)
    t = pair.twin
    t.fast, t.slow, t.change_s, t.vol_s, t.baseline_s, t.levels, t.warmup_ns = 20, 200, 30, 40, 100, 5, 60 * SECOND
    for event in market.events(200):
        pair.feed(event)
        pair.check_no_drift()
    market.now_ns = (market.now_ns // SECOND + 1) * SECOND
    pair.feed(next(e for e in market.events(100) if e.kind is EventKind.BOOK_DELTA))
    pair.check()


def test_windows_beyond_the_rings_are_cut_to_them() -> None:
    state = K.new_features(1)
    params = params_row(Settings(), 1)
    params["flow_fast_ns"] = params["imbalance_levels"] = 0
    for name in ("flow_slow", "volatility_window", "baseline"):
        params[f"{name}_ns"] = 10**13
    params["pump_windows_ns"] = 10**13
    K.configure(state, params)
    cfg = state.config[0]
    assert (cfg.fast_buckets, cfg.slow_buckets) == (1, K.N_BUCKETS - 1)
    assert cfg.slow_s + cfg.baseline_s == K.N_SECONDS - 1
    assert (cfg.change_s, cfg.volatility_s, cfg.levels) == (K.N_SECONDS - 2, K.N_SECONDS - 2, 1)


def test_default_windows_are_those_of_the_settings() -> None:
    state = K.new_features(1)
    K.configure(state, params_row(Settings(), 1))
    wanted = K.DEFAULT_CONFIG | {"warmup_ns": int(Settings().thresholds.windows.warmup_s * SECOND)}  # unconfigured: longer
    assert {name: state.config[0][name] for name in K.DEFAULT_CONFIG} == wanted


def test_a_micro_atr_is_estimated_from_the_mid_until_there_are_candles() -> None:
    """The example of README.md: the mid jumps between 10000 and 10002 ticks every 100 ms."""
    t0 = 1_000_000 * SECOND
    pair = Pair(t0)
    for i in range(12):  # every 100 ms the quote moves by two ticks
        assert math.isnan(pair.values()["atr_1s_bps"]) == (i < 9), "eight closed buckets are needed"
        at = 2 * (i % 2)
        pair.feed(
            Event(EventKind.BOOK_SNAPSHOT, "X", t0 + i * SECOND // 10, bids=[(9_999 + at, 9)], asks=[(10_001 + at, 9)])
        )
        pair.check()
    v = pair.values()
    assert v["atr_1s_bps"] == pytest.approx(10 / 11 * 2.0 / 10_000 * 1e4 * math.sqrt(10))  # 10 of 11 buckets moved
    assert v["atr_3s_bps"] == pytest.approx(v["atr_1s_bps"] * math.sqrt(3)) and v["atr_provisional"] == 2.0
    assert v["warm"] == 0.0, "the state was not configured: five seconds"
    for second in range(1, 12):
        pair.feed(Event(EventKind.TRADES, "X", t0 + second * SECOND, trades=[Trade(10_000 + second % 2, 1, 1)]))
        pair.check()
        candles_of_3s = (1_000_000 + second) // 3 - 1_000_001 // 3
        assert pair.values()["atr_provisional"] == (2.0 if second < 5 else 1.0 if candles_of_3s < 4 else 0.0)
    assert pair.values()["atr_1s_bps"] == pytest.approx(1e4 / 10_000, rel=1e-3)


def test_a_symbol_is_warm_a_second_after_its_first_book() -> None:
    """Start-up: with the default settings nothing but the warm-up time keeps a symbol from its first decision."""
    t0 = 1_000_000 * SECOND + 123_456_789
    pair = Pair(t0)
    K.configure(pair.state, params_row(Settings(), 1))
    pair.feed(Event(EventKind.BOOK_SNAPSHOT, "X", t0, bids=[(9_999, 9)], asks=[(10_001, 9)]))
    due = t0 // (SECOND // 10) + 1
    for timer in range(due, due + 11):
        K.on_timer(pair.state, pair.candles, SLOT, timer * (SECOND // 10))
        v = pair.values()
        assert (v["warm"] == 1.0 and v["atr_1s_bps"] >= 0.0) == (timer * (SECOND // 10) >= t0 + SECOND)
    assert v["warm"] == 1.0 and v["atr_provisional"] == 2.0


def test_a_slot_listed_again_remembers_nothing() -> None:
    market = Market(51)
    pair = Pair(market.now_ns)
    for event in market.events(1_000):
        pair.feed(event)
    K.list_symbol(pair.state, SLOT, 0.1, 0.001, market.now_ns)
    fresh = K.new_features(3)
    K.list_symbol(fresh, SLOT, 0.1, 0.001, market.now_ns)
    for part, clean in zip(pair.state[:-1], fresh[:-1], strict=True):
        assert part[SLOT].tobytes() == clean[SLOT].tobytes()


def test_record_has_only_floats() -> None:
    assert {f.type for f in FEATURES.fields} == {"f8"}


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="kernels are not compiled")
def test_every_kernel_has_one_signature() -> None:
    """Two would mean that some caller passes another type: slower, and compiled again in every process."""
    run_market(61, 600, 100)
    ours = tuple(f"core.{name}." for name in ("book", "tape", "candles", "features"))
    compiled = [k for k in KERNELS if k.__module__.startswith(ours) and k.signatures]
    assert all(len(k.signatures) == 1 for k in compiled), [k.__name__ for k in compiled if len(k.signatures) > 1]
    assert compiled  # with a warm cache only the outermost kernels count signatures
