"""Walls of every symbol: big resting orders, how long they stand and what becomes of them. Formulas: WALLS.md."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from core.features.walls_records import WALLS
from core.jit import kernel


class WallState(NamedTuple):
    """State of all slots: row WALLS[cap]."""

    row: Any


@kernel
def forget_row(row, slot):  # type: ignore[no-untyped-def]
    """Nothing is known of the slot."""
    out = row[slot]
    out.imbalance_ticks = math.nan
    out.imbalance_bps = math.nan
    out.depth_bid_usdt = math.nan
    out.depth_ask_usdt = math.nan
    out.thinning = math.nan
    out.wall_bid_bps = math.nan
    out.wall_bid_x = math.nan
    out.wall_bid_age_s = math.nan
    out.wall_ask_bps = math.nan
    out.wall_ask_x = math.nan
    out.wall_ask_age_s = math.nan
    out.wall_support = math.nan
    out.wall_resistance = math.nan
    out.spoof = math.nan
    out.spoof_lean = math.nan
    out.absorb_bid = math.nan
    out.absorb_ask = math.nan
    out.iceberg_bid = math.nan
    out.iceberg_ask = math.nan
    out.layering = math.nan


def new_walls(cap: int) -> WallState:
    """State for `cap` slots, nothing known."""
    row = np.zeros(cap, WALLS.dtype)
    row.view(np.float64)[:] = math.nan
    return WallState(row)


@kernel
def list_walls(state, slot, tick_size, lot_size):  # type: ignore[no-untyped-def]
    """Start a slot anew for a symbol: nothing is known."""
    forget_row(state.row, slot)


@kernel
def walls_broken(state, slot):  # type: ignore[no-untyped-def]
    """The book of the slot is not believed any more."""
    forget_row(state.row, slot)
