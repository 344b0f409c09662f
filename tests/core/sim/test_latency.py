"""Delays, lines that keep their order, and the two views of a market."""

from __future__ import annotations

import numpy as np
import pytest

from core.histogram import hist_record, new_histogram
from core.sim.latency import ConstantDelay, DelayLine, Delays, Link, Place, SampledDelay

MS = 1_000_000


def histogram(*values_ns: int) -> np.ndarray:
    h = new_histogram()
    for value in values_ns:
        hist_record(h, np.int64(value))
    return h


class Scripted:
    def __init__(self, *delays: int) -> None:
        self.left = list(delays)

    def next_ns(self) -> int:
        return self.left.pop(0)


def test_constant() -> None:
    assert ConstantDelay(5).next_ns() == 5
    with pytest.raises(ValueError, match="negative"):
        ConstantDelay(-1)


def test_sampled_is_seeded_stays_inside_and_has_the_measured_shape() -> None:
    h = histogram(*[1 * MS] * 90, *[50 * MS] * 10)
    draws = [SampledDelay(h, 3).next_ns() for _ in range(3)]
    assert len(set(draws)) == 1
    delay, again, other = SampledDelay(h, 3), SampledDelay(h, 3), SampledDelay(h, 4)
    values = [delay.next_ns() for _ in range(5000)]
    assert values == [again.next_ns() for _ in range(5000)]
    assert values != [other.next_ns() for _ in range(5000)]
    assert min(values) >= 1 * MS and max(values) <= 50 * MS
    slow = sum(v > 10 * MS for v in values) / len(values)
    assert 0.08 < slow < 0.12
    assert all(v <= 1 * MS * 65 // 64 or v >= 50 * MS * 63 // 64 for v in values)


def test_sampled_single_values_and_empty() -> None:
    for value in (0, 1, 63, 64, 12_345_678):
        delay = SampledDelay(histogram(value), 1)
        assert {delay.next_ns() for _ in range(50)} == {value}
    with pytest.raises(ValueError, match="empty"):
        SampledDelay(new_histogram(), 1)


def test_a_line_keeps_its_order() -> None:
    line: DelayLine[str] = DelayLine(Scripted(100, 10, 10))
    assert (line.send(0, "a"), line.send(5, "b"), line.send(200, "c")) == (100, 100, 210)
    assert [line.pop() for _ in range(3)] == [(100, "a"), (100, "b"), (210, "c")]
    assert line.next_ns is None and len(line) == 0


def test_two_views() -> None:
    link: Link[str] = Link(Delays(ConstantDelay(30), ConstantDelay(20), ConstantDelay(10)))
    assert link.next_ns is None
    link.publish(100, "book 1")
    link.publish(125, "book 2")
    seen = []
    while link.next_ns is not None:
        ts, place, item = link.pop()
        seen.append((ts, place, item))
        if place is Place.LOCAL_MARKET and item == "book 1":
            link.request(ts, "order")
        if place is Place.EXCHANGE_REQUEST:
            link.respond(ts, "ack")
    assert seen == [
        (100, Place.EXCHANGE_MARKET, "book 1"),
        (125, Place.EXCHANGE_MARKET, "book 2"),
        (130, Place.LOCAL_MARKET, "book 1"),  # what we saw at 130 was 30 old: the order meets book 2
        (150, Place.EXCHANGE_REQUEST, "order"),
        (155, Place.LOCAL_MARKET, "book 2"),
        (160, Place.LOCAL_RESPONSE, "ack"),
    ]


def test_ties_reach_the_exchange_first() -> None:
    link: Link[str] = Link(Delays(ConstantDelay(0), ConstantDelay(0), ConstantDelay(0)))
    link.respond(5, "r")
    link.request(5, "q")
    link.publish(5, "m")
    assert [link.pop()[1:] for _ in range(4)] == [
        (Place.EXCHANGE_MARKET, "m"), (Place.EXCHANGE_REQUEST, "q"), (Place.LOCAL_RESPONSE, "r"),
        (Place.LOCAL_MARKET, "m")]
