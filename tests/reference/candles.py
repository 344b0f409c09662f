"""The obvious micro-candles: every trade is kept with its time, and a candle is made from the list when asked for."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import NamedTuple

from tests.reference.tape import BLOCK, Trade


class Candle(NamedTuple):
    start_ns: int
    open: int
    high: int
    low: int
    close: int
    buy: int
    sell: int
    trades: int


class NaiveCandles:
    """Candles of one interval. Time never goes back: an older trade counts as arriving with the newest event."""

    def __init__(self, interval_ns: int) -> None:
        self.interval_ns = interval_ns
        self.times: list[int] = []
        self.trades: list[Trade] = []
        self.now_ns = 0

    def roll(self, ts_ns: int) -> None:
        if self.trades:
            self.now_ns = max(self.now_ns, ts_ns)

    def add(self, ts_ns: int, trades: list[Trade]) -> None:
        for trade in trades:
            if trade.flags & BLOCK:
                self.roll(ts_ns)
                continue
            self.now_ns = max(self.now_ns, ts_ns) if self.trades else ts_ns
            self.times.append(self.now_ns)
            self.trades.append(trade)

    def candle(self, period: int) -> Candle:
        start = period * self.interval_ns
        lo = bisect_left(self.times, start)
        inside = self.trades[lo : bisect_left(self.times, start + self.interval_ns)]
        if not inside:
            close = self.trades[lo - 1].price
            return Candle(start, close, close, close, close, 0, 0, 0)
        prices = [t.price for t in inside]
        return Candle(
            start, prices[0], max(prices), min(prices), prices[-1],
            sum(t.qty for t in inside if t.side > 0), sum(t.qty for t in inside if t.side < 0), len(inside),
        )  # fmt: skip

    def last(self, n: int) -> list[Candle]:
        """The newest `n` candles, the open one included, oldest first."""
        if not self.trades:
            return []
        newest, first = self.now_ns // self.interval_ns, self.times[0] // self.interval_ns
        return [self.candle(p) for p in range(max(first, newest - n + 1), newest + 1)]

    def atr_bps(self, n: int, minimum: int) -> float:
        closed = self.last(n + 2)[:-1]
        ranges = [
            max(c.high, before.close) - min(c.low, before.close) for before, c in pairwise(closed)
        ][-n:]
        if len(ranges) < max(minimum, 1):
            return math.nan
        return sum(ranges) / len(ranges) / closed[-1].close * 1e4
