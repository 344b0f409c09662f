"""Latency between us and the exchange: two views of one market, with delays between them.

        exchange view                                  local view
    market event at t  ------------- feed ----------->  seen at t + feed
    request reaches matching  <----- entry -----------  sent at t'
    event of the exchange  --------- response ------->  known at t + response

A `Delay` says how long a message takes: constant, or drawn (seeded) from a measured `core.histogram`. A `DelayLine` is
one direction: messages keep their order, as on one TCP connection, so a slow one holds up those behind it. A `Link`
is the three lines together; `pop` gives the earliest arrival on either side and so drives a backtest:

    while (at := link.next_ns) is not None:
        ts_ns, place, item = link.pop()
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from core.histogram import BUCKETS, H_BUCKETS, H_MAX, H_MIN1, bucket_top
from core.sim.random_words import RandomWords

T = TypeVar("T")


class Delay(Protocol):
    """How long the next message takes, in ns >= 0."""

    def next_ns(self) -> int: ...


class ConstantDelay:
    """Every message takes the same time."""

    def __init__(self, delay_ns: int) -> None:
        if delay_ns < 0:
            raise ValueError(f"delay {delay_ns} ns is negative")
        self._delay_ns = delay_ns

    def next_ns(self) -> int:
        return self._delay_ns


class SampledDelay:
    """Draws from a measured histogram (int64[WORDS] of `core.histogram`), the same sequence for the same seed.

    A bucket is drawn by its count, then a value evenly from the bucket, never outside what was measured."""

    def __init__(self, histogram: np.ndarray, seed: int) -> None:
        counts = histogram[H_BUCKETS : H_BUCKETS + BUCKETS]
        self._total = int(counts.sum())
        if self._total == 0:
            raise ValueError("the histogram is empty: nothing to draw from")
        self._up_to = np.cumsum(counts)
        self._least, self._most = int(histogram[H_MIN1]) - 1, int(histogram[H_MAX])
        self._random = RandomWords(seed)

    def next_ns(self) -> int:
        bucket = int(np.searchsorted(self._up_to, self._random.below(self._total), side="right"))
        top = min(int(bucket_top(np.int64(bucket))), self._most)
        bottom = max(int(bucket_top(np.int64(bucket - 1))) + 1 if bucket else 0, self._least, 0)
        return bottom + self._random.below(max(top - bottom, 0) + 1)


class DelayLine(Generic[T]):
    """Messages on their way in one direction. They arrive in the order sent."""

    def __init__(self, delay: Delay) -> None:
        self._delay = delay
        self._under_way: deque[tuple[int, T]] = deque()
        self._last_ns = 0

    def send(self, ts_ns: int, item: T) -> int:
        """Put a message on the line at `ts_ns`; returns when it arrives."""
        self._last_ns = max(self._last_ns, ts_ns + self._delay.next_ns())
        self._under_way.append((self._last_ns, item))
        return self._last_ns

    @property
    def next_ns(self) -> int | None:
        """Arrival of the next message, None where there is none."""
        return self._under_way[0][0] if self._under_way else None

    def pop(self) -> tuple[int, T]:
        """The next message and its arrival."""
        return self._under_way.popleft()

    def __len__(self) -> int:
        return len(self._under_way)


class Place(Enum):
    """Where something arrives, in the order that settles a tie: what reaches the exchange happens first."""

    EXCHANGE_MARKET = 0  # a public event happens at the exchange
    EXCHANGE_REQUEST = 1  # our request reaches it
    LOCAL_RESPONSE = 2  # its answer or private event reaches us
    LOCAL_MARKET = 3  # the public event reaches us


class Delays(NamedTuple):
    feed: Delay
    entry: Delay
    response: Delay


class Link(Generic[T]):
    """The exchange's and our view of one market, and everything under way between them."""

    def __init__(self, delays: Delays) -> None:
        self._lines: dict[Place, DelayLine[T]] = {
            Place.EXCHANGE_MARKET: DelayLine(ConstantDelay(0)),
            Place.EXCHANGE_REQUEST: DelayLine(delays.entry),
            Place.LOCAL_RESPONSE: DelayLine(delays.response),
            Place.LOCAL_MARKET: DelayLine(delays.feed),
        }

    def publish(self, ts_ns: int, item: T) -> None:
        """A public market event of exchange time `ts_ns`: it happens there, and is seen here later."""
        self._lines[Place.EXCHANGE_MARKET].send(ts_ns, item)
        self._lines[Place.LOCAL_MARKET].send(ts_ns, item)

    def request(self, ts_ns: int, item: T) -> int:
        """We send something; returns when it reaches the exchange."""
        return self._lines[Place.EXCHANGE_REQUEST].send(ts_ns, item)

    def respond(self, ts_ns: int, item: T) -> int:
        """The exchange sends us something; returns when it reaches us."""
        return self._lines[Place.LOCAL_RESPONSE].send(ts_ns, item)

    @property
    def next_ns(self) -> int | None:
        """The earliest arrival anywhere, None where nothing is under way."""
        return min((line.next_ns for line in self._lines.values() if line.next_ns is not None), default=None)

    def pop(self) -> tuple[int, Place, T]:
        """The earliest arrival; ties in the order of `Place`."""
        place = min(
            (p for p, line in self._lines.items() if line.next_ns is not None),
            key=lambda p: (self._lines[p].next_ns, p.value),
        )
        ts_ns, item = self._lines[place].pop()
        return ts_ns, place, item
