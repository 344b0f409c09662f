"""The quoting strategy that is timed against hftbacktest: its naive twin, and the classes of the embedded exchange."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numba import config

from bench.quoting import LATENCY_NS, STEP_NS, new_quoting, run_quotes
from core.enums import EventKind
from core.jit import KERNELS
from core.sim.latency import ConstantDelay, Delays, Link, Place
from core.sim.matching_book import NO_TRIGGER, MatchingBook
from core.sim.queue_model import QueueModel
from tests.core.engine.streams import Stream
from tests.core.streams import Event
from tests.reference.quoting import naive_quotes
from tests.reference.tape import Trade

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
Sent = list[tuple[int, int, int, int, int]]


def market_events(seed: int, n: int) -> list[Event]:
    """A snapshot, then changes and prints on whole ms (ties with looks and arrivals): levels shrink by more than is traded,
    prints come beside the touch and from the wrong side, the price jumps across quotes and requests on their way, now and
    then by more than the book shows, and back."""
    rng = random.Random(seed)
    now_ns, bid, away, shown = START_NS, 5_000, 0, {1: {}, -1: {}}  # type: ignore[var-annotated]
    events: list[Event] = []
    while len(events) < n:
        now_ns += rng.choice((0, 1, 2, 7, 20, 50)) * MS
        ask = bid + 1
        if events and rng.random() < 0.5:
            trades = []
            for _ in range(rng.randrange(1, 4)):
                side = rng.choice((1, -1))
                touch = bid if (side < 0) ^ (rng.random() < 0.05) else ask
                beside = rng.choice((-1, 1)) if rng.random() < 0.1 else 0
                trades.append(Trade(touch + beside, rng.randrange(1, 8), side, 0, now_ns))
            events.append(Event(EventKind.TRADES, "X", now_ns, trades=trades))
            continue
        bid, away = bid - away, 0
        bid += rng.choice((-1, 0, 0, 0, 0, 1)) if rng.random() < 0.95 else rng.randrange(-6, 7)
        if rng.random() < 0.05:
            away = rng.choice((-20, 20))
            bid += away
        changes = []
        for side, best in ((1, bid), (-1, bid + rng.choice((1, 1, 2)))):
            old = shown[side]
            new = {best - side * k: rng.randrange(1, 12) for k in range(12) if k == 0 or rng.random() < 0.9}
            new |= {price: lots for price, lots in old.items() if price in new and rng.random() < 0.7}
            levels = new | {price: 0 for price in old if price not in new}
            changes.append(sorted(((p, q) for p, q in levels.items() if old.get(p) != q), reverse=side > 0))
            shown[side] = new
        kind = EventKind.BOOK_DELTA if events else EventKind.BOOK_SNAPSHOT
        events.append(Event(kind, "X", now_ns, 50, *changes))
    return events


def cells_of(events: list[Event]) -> np.ndarray:
    stream = Stream()
    for event in events:
        stream.now_ns = event.ts_ns
        if event.kind is EventKind.TRADES:
            stream.trades(0, [(t.price, t.qty, t.side) for t in event.trades])
        else:
            stream.book(0, event.bids, event.asks, snapshot=event.kind is EventKind.BOOK_SNAPSHOT)
    return stream.cells()


def run(events: list[Event], as_peer: bool, books: int = 1) -> Sent:
    found = run_quotes(new_quoting(2 * len(events), books), cells_of(events), as_peer)
    return [tuple(row) for row in found.tolist()]  # type: ignore[misc]


def exchange_quotes(events: list[Event]) -> Sent:
    """The strategy on the embedded exchange's market and lines of messages."""
    market = MatchingBook(QueueModel.RISK_AVERSE, 1.0)
    link: Link[object] = Link(Delays(ConstantDelay(0), ConstantDelay(LATENCY_NS), ConstantDelay(LATENCY_NS)))
    sent: list[list[int]] = []
    working: dict[int, int] = {}  # side -> quote that rests
    known_gone: set[int] = set()
    latest: dict[int, int] = {}
    touch = {1: 0, -1: 0}

    def filled(ts_ns: int, number: int, price: int) -> None:
        sent[number][3:] = [ts_ns, price]
        working.pop(sent[number][0], None)
        link.respond(ts_ns, number)

    def request(ts_ns: int, old: int | None, number: int) -> None:
        side, price = sent[number][:2]
        if old is not None and working.get(side) == old:
            market.reduce(side, working.pop(side), 0)
        fills, _ = market.take(side, price, 1, public=True, stop_at=working.get(-side, -1))
        if fills:
            filled(ts_ns, number, fills[0][1])
        else:
            market.rest(side, price, 1, number)
            working[side] = number

    def public(event: Event) -> None:
        fills, rows, at = [], np.array([(t.price, t.qty, t.side) for t in event.trades], np.int64).reshape(-1, 3), 0
        if event.kind is not EventKind.TRADES:
            bids, asks = (np.array(side, np.int64).reshape(-1, 2) for side in (event.bids, event.asks))
            fills = market.apply(bids, asks, event.kind is EventKind.BOOK_SNAPSHOT)
            market.sweep()
            for side in (1, -1):
                touch[side] = next((price for price, _ in market.public_levels(side)), 0)
        while at < len(rows):
            at, got = market.match_next(rows, at, *NO_TRIGGER)
            market.sweep()
            fills += got
        for number, price, _ in fills:
            filled(event.ts_ns, number, price)

    def look(now_ns: int) -> None:
        for side in (1, -1) if 0 < touch[1] < touch[-1] else ():
            old = latest.get(side)
            old = None if old in known_gone else old
            if old is None or sent[old][1] != touch[side]:
                link.request(now_ns, (old, len(sent)))
                latest[side] = len(sent)
                sent.append([side, touch[side], now_ns, 0, 0])

    look_ns = events[0].ts_ns + STEP_NS
    for event in events:
        link.publish(event.ts_ns, event)
    last_ns = events[-1].ts_ns
    while (at := link.next_ns) is not None:
        if at > look_ns and look_ns < last_ns:
            look(look_ns)
            look_ns += STEP_NS
            continue
        ts_ns, place, item = link.pop()
        if place is Place.EXCHANGE_MARKET:
            public(item)
        elif place is Place.EXCHANGE_REQUEST:
            request(ts_ns, *item)
        elif place is Place.LOCAL_RESPONSE:
            known_gone.add(item)
    return [tuple(row) for row in sent]  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(6))
def test_as_the_peer_it_is_the_naive_twin(seed: int) -> None:
    events = market_events(seed, 4_000)
    expected = naive_quotes(events, STEP_NS, LATENCY_NS)
    assert len(expected) > 300 and sum(row[3] > 0 for row in expected) > 100
    assert run(events, as_peer=True) == expected
    assert run(events, as_peer=True, books=2) == expected


@pytest.mark.parametrize("seed", range(6))
def test_as_ourselves_it_is_the_exchange(seed: int) -> None:
    events = market_events(seed, 4_000)
    expected = exchange_quotes(events)
    assert sum(row[3] > 0 for row in expected) > 100
    assert run(events, as_peer=False) == expected
    assert run(events, as_peer=True) != expected  # the definitions do matter


LOOK_NS = START_NS + STEP_NS
SNAPSHOT = Event(EventKind.BOOK_SNAPSHOT, "X", START_NS, 50, [(10, 5)], [(12, 5)])
LOWER = Event(EventKind.BOOK_DELTA, "X", LOOK_NS + 1, 50, [(10, 0), (8, 5)], [(9, 1)])  # the bid at 10 will take at 9


@pytest.mark.parametrize("as_peer", [True, False])
def test_what_is_under_way_at_the_end_still_arrives(as_peer: bool) -> None:
    expected = [(1, 10, LOOK_NS, LOOK_NS + LATENCY_NS, 9), (-1, 12, LOOK_NS, 0, 0)]
    assert naive_quotes([SNAPSHOT, LOWER], STEP_NS, LATENCY_NS) == expected
    assert run([SNAPSHOT, LOWER], as_peer) == expected


def test_what_a_quote_took_is_gone_here_and_stays_there() -> None:
    """The next ask stands at 9, where one lot was shown and taken: a print of one lot fills it only if that is gone."""
    later_ns = LOOK_NS + STEP_NS + 2 * LATENCY_NS
    events = [SNAPSHOT, LOWER, Event(EventKind.TRADES, "X", later_ns, trades=[Trade(9, 1, 1, 0, later_ns)])]
    assert run(events, as_peer=True) == naive_quotes(events, STEP_NS, LATENCY_NS)
    assert run(events, as_peer=False) == exchange_quotes(events)
    assert [run(events, as_peer)[3] for as_peer in (True, False)] == [
        (-1, 9, LOOK_NS + STEP_NS, 0, 0), (-1, 9, LOOK_NS + STEP_NS, later_ns, 9)]


def test_deeper_than_the_book_nobody_is_ahead_there_and_all_are_here() -> None:
    """The price jumps away from a bid on its way; then a print at that bid."""
    away = Event(EventKind.BOOK_DELTA, "X", LOOK_NS + 1, 50, [(30, 5), (10, 0)], [(12, 0), (32, 5)])
    later_ns = LOOK_NS + 2 * LATENCY_NS
    events = [SNAPSHOT, away, Event(EventKind.TRADES, "X", later_ns, trades=[Trade(10, 1, -1, 0, later_ns)])]
    assert run(events, as_peer=True) == naive_quotes(events, STEP_NS, LATENCY_NS)
    assert run(events, as_peer=False) == exchange_quotes(events)
    assert [run(events, as_peer)[0] for as_peer in (True, False)] == [
        (1, 10, LOOK_NS, later_ns, 10), (1, 10, LOOK_NS, 0, 0)]


def test_no_room_for_orders_is_said() -> None:
    events = market_events(0, 400)
    with pytest.raises(ValueError, match="more than 3 orders"):
        run_quotes(new_quoting(3), cells_of(events))


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="interpreted")  # type: ignore[attr-defined]
def test_one_compiled_signature_each() -> None:
    """Also of the exchange's kernels, which this one calls from compiled code."""
    events = market_events(0, 400)
    run(events, as_peer=True, books=2)
    exchange_quotes(events)
    own = ("bench.quoting", "core.sim.matching", "core.sim.queue_model", "core.book")
    found = {kernel.__name__: len(kernel.signatures) for kernel in KERNELS if kernel.__module__.startswith(own)}
    assert found["play_quotes"] == 1 and max(found.values()) == 1
