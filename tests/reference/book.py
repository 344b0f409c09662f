"""The obvious order book: one dict a side, everything sorted anew at every question."""

from __future__ import annotations

import math

from core.mixing import mix64_int

MASK = (1 << 64) - 1
ABSENT, OVERFLOW, CROSSED, MALFORMED = 1, 2, 4, 8


class NaiveBook:
    """Bids and asks as {price: quantity}; at most `levels` a side, the worst level goes when one comes too many."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def snapshot(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> int:
        self.clear()
        return self.delta(bids, asks)

    def delta(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> int:
        code = 0
        for side, levels in enumerate((bids, asks)):
            for price, qty in levels:
                code |= self._put(side, price, qty)
        return code | (CROSSED if self.is_crossed() else 0)

    def clear(self) -> None:
        self.sides[0].clear()
        self.sides[1].clear()

    def _put(self, side: int, price: int, qty: int) -> int:
        book = self.sides[side]
        if price <= 0 or qty < 0:
            return MALFORMED
        if qty == 0:
            return 0 if book.pop(price, 0) else ABSENT
        book[price] = qty
        if len(book) > self.levels:
            del book[self.side(side)[-1][0]]
            return OVERFLOW
        return 0

    def side(self, side: int) -> list[tuple[int, int]]:
        """(price, quantity) best first."""
        return sorted(self.sides[side].items(), reverse=side == 0)

    def best(self, side: int) -> tuple[int, int]:
        return self.side(side)[0] if self.sides[side] else (0, 0)

    def is_whole(self) -> bool:
        return bool(self.sides[0] and self.sides[1])

    def is_crossed(self) -> bool:
        return self.is_whole() and max(self.sides[0]) >= min(self.sides[1])

    def mid(self) -> float:
        return (self.best(0)[0] + self.best(1)[0]) / 2 if self.is_whole() else math.nan

    def spread_bps(self) -> float:
        return (self.best(1)[0] - self.best(0)[0]) / self.mid() * 1e4 if self.is_whole() else math.nan

    def microprice(self) -> float:
        if not self.is_whole():
            return math.nan
        (bid, bid_qty), (ask, ask_qty) = self.best(0), self.best(1)
        return (bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty)

    def depth(self, side: int, n: int) -> int:
        return sum(qty for _, qty in self.side(side)[:n])

    def imbalance(self, n: int) -> float:
        if not self.is_whole():
            return math.nan
        bids, asks = self.depth(0, n), self.depth(1, n)
        return (bids - asks) / (bids + asks)

    def digest(self) -> int:
        total = 0
        for side in (0, 1):
            for price, qty in self.sides[side].items():
                h = mix64_int((price + 0x9E3779B97F4A7C15 * (side + 1)) & MASK)
                total += mix64_int(h ^ qty)
        return mix64_int((total + len(self.sides[0]) + len(self.sides[1])) & MASK)
