"""Naive twin of `core.sim.desk_funding`: fractions and a list of instants."""

from __future__ import annotations

from fractions import Fraction
from math import ceil


class NaiveFunding:
    """One contract. `paid`: (instant, 1e-8 USDT) of every settlement with a position."""

    def __init__(self, lot: Fraction, interval_ns: int) -> None:
        self.lot, self.interval_ns = lot, interval_ns
        self.due: int | None = None
        self.mark = self.rate = Fraction(0)
        self.paid: list[tuple[int, int]] = []

    def settle(self, now: int, lots: int) -> None:
        if self.due is None or now < self.due:
            return
        if lots and self.mark:
            self.paid.append((self.due, ceil(lots * self.lot * self.mark * self.rate * 10**8)))
        self.due = self.due + self.interval_ns if self.interval_ns else None

    def ticker(self, now: int, due: int | None = None, mark: Fraction | None = None, rate: Fraction | None = None) -> None:
        self.mark = self.mark if mark is None else mark
        self.rate = self.rate if rate is None else rate
        if due is not None and due > now:
            self.due = due
