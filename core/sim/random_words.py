"""Seeded random words without a library: the same sequence on every machine and version."""

from __future__ import annotations

MASK64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


class RandomWords:
    """splitmix64 (Steele, Lea, Flood 2014) of a counter that starts at the seed."""

    def __init__(self, seed: int) -> None:
        self._state = seed & MASK64

    def word(self) -> int:
        """64 random bits."""
        self._state = (self._state + GOLDEN) & MASK64
        x = self._state
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK64
        return x ^ (x >> 31)

    def below(self, limit: int) -> int:
        """An even draw from 0 .. limit - 1 (its bias is below limit / 2^64)."""
        return (self.word() * limit) >> 64
