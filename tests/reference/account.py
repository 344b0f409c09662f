"""Naive twin of `core.sim.account` and `core.position.position`: fractions and lists of fills, no running totals."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor


@dataclass
class Fill:
    side: int
    price: int
    lots: int
    fee: int


@dataclass
class NaiveAccount:
    """Everything is computed anew from the list of fills of each symbol."""

    start: int
    step_value: Fraction  # value of one lot at one tick, in 1e-8 USDT
    fills: dict[str, list[Fill]] = field(default_factory=dict)

    def fill(self, symbol: str, side: int, price: int, lots: int, fee: int) -> None:
        self.fills.setdefault(symbol, []).append(Fill(side, price, lots, fee))

    def lots(self, symbol: str) -> int:
        return sum(f.side * f.lots for f in self.fills.get(symbol, []))

    def fees(self) -> int:
        return sum(f.fee for fills in self.fills.values() for f in fills)

    def cash(self, side: int, price: int, lots: int) -> int:
        """What a trade moves, rounded against us: paid (negative) or received."""
        value = price * lots * self.step_value
        return -ceil(value) if side > 0 else floor(value)

    def walk(self, symbol: str) -> tuple[int, int]:
        """(realised, open entry value) by going through the fills."""
        position, entry, realised = 0, 0, 0
        for f in self.fills.get(symbol, []):
            left = f.lots
            if position * f.side < 0:
                closing = min(left, abs(position))
                share = entry * closing // abs(position)
                realised += self.cash(f.side, f.price, closing) - share
                entry -= share
                position += f.side * closing
                left -= closing
            if left:
                entry -= self.cash(f.side, f.price, left)
                position += f.side * left
        return realised, entry

    def balance(self) -> int:
        return self.start + sum(self.walk(s)[0] for s in self.fills) - self.fees()
