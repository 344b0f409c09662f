"""No order of events crashes the engine or puts a nan into a score, a threshold or a decision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schema import Profile
from core.engine.decision import take_decisions
from core.enums import Category, DataReason, DataState, EventKind, Gate, ReportKind, State
from core.params import profile_row
from core.records import GLOBAL, TICKER
from tests.core.engine.rig import MS, Rig
from tests.core.engine.streams import symbol_record

SMALL = st.integers(0, 6)
PRICE = st.integers(99_950, 100_060)
LEVELS = st.lists(st.tuples(PRICE, st.sampled_from((0, 1, 500, 40_000))), max_size=6)
SIDE = st.sampled_from((1, -1))
EVENTS = st.lists(st.one_of(
    st.tuples(st.just("book"), LEVELS, LEVELS, st.booleans()),
    st.tuples(st.just("trades"), st.lists(st.tuples(PRICE, st.integers(1, 5000), SIDE), min_size=1, max_size=4)),
    st.tuples(st.just("warm"), st.sampled_from((1, -1)), st.integers(1, 4)),
    st.tuples(st.just("time"), st.sampled_from((0, 1, 99, 100, 1000, 7000, 90_000))),
    st.tuples(st.just("ticker"), st.integers(0, 2**15 - 1), st.integers(-(10**12), 10**12)),
    st.tuples(st.just("liquidation"), st.integers(0, 10**6)),
    st.tuples(st.just("data"), st.sampled_from(list(DataState)), st.sampled_from(list(DataReason))),
    st.tuples(st.just("control"), SMALL), st.tuples(st.just("feed"), st.integers(0, 2)),
    st.tuples(st.just("global"), st.integers(0, 2)), st.tuples(st.just("delist")),
    st.tuples(st.just("list"), st.sampled_from(list(Category)), st.sampled_from((1, 5))),
    st.tuples(st.just("profile"), st.floats(0, 100), st.floats(0.01, 1), st.booleans()),
    st.tuples(st.just("report"), st.sampled_from(list(ReportKind)), st.sampled_from((0, 0, 50, -50)), SMALL),
    st.tuples(st.just("shed")),
), max_size=40)  # fmt: skip


def feed(rig: Rig, event: tuple[Any, ...]) -> None:
    stream, (what, *rest) = rig.stream, event
    if what == "book":
        bids, asks, snapshot = rest
        stream.book(5, bids, asks, snapshot=snapshot)
    elif what == "trades":
        stream.trades(5, rest[0])
    elif what == "warm":
        rig.warm(rest[0], rest[1])
    elif what == "time":
        stream.now_ns += rest[0] * MS
        stream.timer()
    elif what == "ticker":
        row = np.zeros(1, TICKER.dtype)
        row["mask"] = rest[0] << 1
        for name in TICKER.dtype.names or ():
            if name not in ("mask", "reserved"):
                row[name] = rest[1]
        stream.event(EventKind.TICKER, 5, row)
    elif what == "liquidation":
        stream.event(EventKind.LIQUIDATION, 5, np.array([100_000, rest[0], stream.now_ns, 1], np.int64), n_bids=1)
    elif what == "data":
        stream.event(EventKind.SYMBOL_DATA, 5, u=int(rest[0]), xseq=int(rest[1]))
    elif what == "control":
        stream.event(EventKind.CONTROL, u=rest[0])
    elif what == "feed":
        stream.event(EventKind.FEED, u=rest[0])
    elif what == "global":
        row = np.zeros(1, GLOBAL.dtype)
        row["regime"] = rest[0]
        stream.event(EventKind.GLOBAL, payload=row)
    elif what == "delist":
        stream.event(EventKind.DELISTING, 5)
    elif what == "list":
        stream.listing(symbol_record(5, "AAAUSDT", rest[0], tick_mant=rest[1]))
    elif what == "profile":
        stream.event(EventKind.PROFILE, 5, profile_row(Profile(raise_points=rest[0], size=rest[1], blacklisted=rest[2]), 1))
    elif what == "shed":
        stream.event(EventKind.SHED, 5, u=1)
    else:
        kind, lots, seq = rest
        rig.report(kind, seq, stream.now_ns, qty_lots=lots, price_ticks=100_000, stop_ticks=99_000, target_ticks=101_000)
        stream.timer()


def check(rig: Rig) -> None:
    row = rig.trade
    for name in ("score_long", "score_short", "flow", "watch", "arm", "zone_distance_bps", "profile_size"):
        assert np.isfinite(row[name]), name
    assert 0.0 <= row["score_long"] <= 100.0 and 0.0 <= row["score_short"] <= 100.0
    assert int(row["state"]) in set(State) and int(row["gate"]) in set(Gate)
    records, _ = take_decisions(rig.state)
    for name in ("score_long", "score_short", "watch", "arm", "profile_raise", "profile_size", "weights"):
        assert np.isfinite(records[name]).all(), name
    planned = records[records["verdict"] == 1]
    assert (planned["price_ticks"] > 0).all() and (planned["stop_ticks"] > 0).all()
    assert (planned["zone_min_ticks"] <= planned["price_ticks"]).all()
    assert (planned["price_ticks"] <= planned["zone_max_ticks"]).all()


def walk(events: list[tuple[Any, ...]]) -> None:
    rig = Rig()
    for event in events:
        feed(rig, event)
        rig.go()
        rig.n_reports = 0
        check(rig)


@settings(deadline=None, max_examples=60)
@given(EVENTS)
def test_any_order(events: list[tuple[Any, ...]]) -> None:
    walk(events)


@pytest.mark.slow
@settings(deadline=None, max_examples=3000)
@given(EVENTS)
def test_any_order_full(events: list[tuple[Any, ...]]) -> None:
    walk(events)
