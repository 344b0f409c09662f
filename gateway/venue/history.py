"""The past of a synthetic symbol: a price at every moment before the start, computed from a seed, stored nowhere.

The log price is a sum of smooth noises at scales from 7 minutes to 60 days, pinned to the start price at the start
time, so candles of every interval, 24 h statistics and yesterday's price all agree with each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCALES_MS = np.array([420_000, 1_800_000, 7_200_000, 43_200_000, 259_200_000, 5_184_000_000], np.int64)
AMPLITUDES = np.array([0.0012, 0.0025, 0.005, 0.012, 0.03, 0.12])
WIGGLE = 0.0006  # high and low of a minute reach this far beyond its ends
PIECES = 12  # points inside a candle that its high and low are taken from


def lattice(cells: NDArray, salt: int) -> NDArray:
    """Uniform numbers in [-1, 1) for integer cells, by hashing (splitmix64)."""
    x = cells.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0


class History:
    """Prices (USDT) of one symbol at and before `anchor_ms`, where the price is `anchor_price`."""

    def __init__(self, seed: int, anchor_price: float, anchor_ms: int) -> None:
        self._salts = [int(v) for v in np.random.default_rng([seed, 9]).integers(1, 2**62, len(SCALES_MS))]
        self._anchor_price = anchor_price
        self._level = 0.0
        self._level = float(self._noise(np.array([anchor_ms], np.int64))[0])

    def _noise(self, at_ms: NDArray) -> NDArray:
        total = np.zeros(len(at_ms))
        for scale, amplitude, salt in zip(SCALES_MS, AMPLITUDES, self._salts, strict=True):
            cell = at_ms // scale
            part = (at_ms - cell * scale) / float(scale)
            smooth = part * part * (3.0 - 2.0 * part)
            left, right = lattice(cell, salt), lattice(cell + 1, salt)
            total += amplitude * (left + (right - left) * smooth)
        return total - self._level

    def price(self, at_ms: NDArray) -> NDArray:
        """float64[n] prices at int64[n] ms."""
        return self._anchor_price * np.exp(self._noise(np.asarray(at_ms, np.int64)))

    def bars(self, length_ms: int, first_ms: int, end_ms: int) -> NDArray:
        """float64[n, 4] open, high, low, close of the candles starting at first_ms, first_ms + length_ms, ... < end_ms."""
        starts = np.arange(first_ms, max(end_ms, first_ms + 1), length_ms, dtype=np.int64)
        offsets = np.linspace(0, length_ms, PIECES + 1).astype(np.int64)
        at = np.minimum(starts[:, None] + offsets[None, :], max(end_ms, first_ms + 1))
        points = self.price(at.ravel()).reshape(at.shape)
        reach = WIGGLE * (length_ms / 60_000) ** 0.25 * np.abs(lattice(starts // 60_000, self._salts[0]))
        high = points.max(axis=1) * (1.0 + reach)
        low = points.min(axis=1) * (1.0 - reach)
        return np.column_stack([points[:, 0], high, low, points[:, -1]])
