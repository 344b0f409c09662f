"""State of the walls of every symbol: its arrays and its sizes. Formulas: WALLS.md."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from core.features.depth import N_SAMPLES
from core.features.walls_records import SAMPLE, WALL_TRACK, WALLS, WATCH, ZONE

WATCHED = 12  # prices watched per side
SAID = 32  # verdicts of one event: each of the 2 x 12 watched levels can say one thing
SAID_FATE, SAID_SIDE, SAID_PRICE, SAID_PEAK, SAID_EATEN, SAID_CANCELLED = range(6)


class WallState(NamedTuple):
    """State of all slots.

    row: WALLS[cap]; track: WALL_TRACK[cap]; zone: ZONE[cap, 2]; ring: SAMPLE[cap, N_SAMPLES]; price: int64[cap, 2,
    WATCHED], 0 = free; watch: WATCH[cap, 2, WATCHED]; average_s: int64[1], length of the averages in use;
    said: int64[SAID, 6] and said_x: f8[SAID, 2] (size in average levels, age in s), said_n: int64[1]: fates that
    changed in the last call, see SAID_*.
    """

    row: Any
    track: Any
    zone: Any
    ring: Any
    price: Any
    watch: Any
    average_s: Any
    said: Any
    said_x: Any
    said_n: Any


def new_walls(cap: int) -> WallState:
    """State for `cap` slots, nothing known: 9 KiB a slot."""
    row = np.zeros(cap, WALLS.dtype)
    row.view(np.float64)[:] = math.nan
    return WallState(
        row, np.zeros(cap, WALL_TRACK.dtype), np.zeros((cap, 2), ZONE.dtype), np.zeros((cap, N_SAMPLES), SAMPLE.dtype),
        np.zeros((cap, 2, WATCHED), np.int64), np.zeros((cap, 2, WATCHED), WATCH.dtype), np.array([60], np.int64),
        np.zeros((SAID, 6), np.int64), np.zeros((SAID, 2)), np.zeros(1, np.int64),
    )  # fmt: skip
