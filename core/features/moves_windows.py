"""State behind the move features: a ring of seconds, one of volume buckets, and sums over windows of them.

Everything in a ring is an integer, so rolling sums never drift: `sum_moves` adds the rings up afresh and gives the very
same numbers. The seconds run in step with those of `core/features/windows.py`, whose baseline they share.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from core.features.moves_records import MOVE_CONFIG, MOVE_SECOND, MOVE_TRACK, MOVES, NEWS_FLAG
from core.features.windows import N_SECONDS, SECOND_NS
from core.jit import kernel

VPIN_KEPT = 64
SHARE_E9 = 1_000_000_000

DEFAULT_MOVE_CONFIG: dict[str, float] = {
    "near_s": 5, "middle_s": 15, "far_s": 300, "oi_s": 300, "anchor_s": 3600, "vpin_buckets": 50,
    "vpin_minimum": 10, "vpin_per_day": 5000.0,
}  # fmt: skip


class MovesState(NamedTuple):
    """Move features of all slots and what they are made from; 17 KiB a slot, touched lazily.

    row: MOVES[cap]; track: MOVE_TRACK[cap]; flag: NEWS_FLAG[cap]; second: MOVE_SECOND[cap, N_SECONDS]; share:
    int64[cap, VPIN_KEPT], one-sided shares of the closed volume buckets (1e-9); config: MOVE_CONFIG[1].
    """

    row: Any
    track: Any
    flag: Any
    second: Any
    share: Any
    config: Any


def new_moves(cap: int) -> MovesState:
    """Move features of `cap` unlisted slots with the default windows."""
    row = np.zeros(cap, MOVES.dtype)
    row.view(np.float64)[:] = np.nan
    config = np.zeros(1, MOVE_CONFIG.dtype)
    for name, value in DEFAULT_MOVE_CONFIG.items():
        config[name] = value
    return MovesState(
        row,
        np.zeros(cap, MOVE_TRACK.dtype),
        np.zeros(cap, NEWS_FLAG.dtype),
        np.zeros((cap, N_SECONDS), MOVE_SECOND.dtype),
        np.zeros((cap, VPIN_KEPT), np.int64),
        config,
    )


@kernel
def clear_second(row):  # type: ignore[no-untyped-def]
    row.trades = 0
    row.long_value = 0
    row.short_value = 0
    row.open_interest = -1


@kernel
def add_second(now, row, sign):  # type: ignore[no-untyped-def]
    """A second enters (+1) or leaves (-1) the baseline."""
    now.baseline_trades += sign * row.trades
    now.baseline_long += sign * row.long_value
    now.baseline_short += sign * row.short_value


@kernel
def close_move_second(moves, cfg, slot):  # type: ignore[no-untyped-def]
    """Close the open second and open the next one. cfg: FEATURE_CONFIG record, whose baseline is shared."""
    now = moves.track[slot]
    ring = moves.second
    s = now.second
    ring[slot, s & (N_SECONDS - 1)].open_interest = now.open_interest
    if now.oi_second < 0 and now.open_interest >= 0:
        now.oi_second = s
    entering = s - cfg.slow_s
    if entering >= now.first_second:
        add_second(now, ring[slot, entering & (N_SECONDS - 1)], np.int64(1))
    leaving = entering - cfg.baseline_s
    if leaving >= now.first_second:
        add_second(now, ring[slot, leaving & (N_SECONDS - 1)], np.int64(-1))
    now.second = s + 1
    clear_second(ring[slot, (s + 1) & (N_SECONDS - 1)])


@kernel
def skip_move_seconds(moves, slot, newest):  # type: ignore[no-untyped-def]
    """Jump to second `newest` over more seconds than the ring holds: all of it becomes quiet."""
    now = moves.track[slot]
    for s in range(newest - N_SECONDS + 1, newest + 1):
        row = moves.second[slot, s & (N_SECONDS - 1)]
        clear_second(row)
        row.open_interest = now.open_interest
    if now.oi_second < 0 and now.open_interest >= 0:
        now.oi_second = newest - 1
    now.second = newest


@kernel
def sum_moves(moves, cfg, slot):  # type: ignore[no-untyped-def]
    """Sum every window of the slot anew from its rings. cfg: FEATURE_CONFIG record."""
    now = moves.track[slot]
    now.baseline_trades = 0
    now.baseline_long = 0
    now.baseline_short = 0
    stop = now.second - cfg.slow_s
    for s in range(max(stop - cfg.baseline_s, now.first_second), stop):
        add_second(now, moves.second[slot, s & (N_SECONDS - 1)], np.int64(1))
    now.vpin_sum = 0
    for b in range(max(now.vpin_closed - moves.config[0].vpin_buckets, 0), now.vpin_closed):
        now.vpin_sum += moves.share[slot, b & (VPIN_KEPT - 1)]


@kernel
def clear_moves(moves, slot, ts_ns):  # type: ignore[no-untyped-def]
    """Nothing is known of the slot from ts_ns on; its news flag stays."""
    now = moves.track[slot]
    if now.second > 0:
        for s in range(N_SECONDS):
            clear_second(moves.second[slot, s])
        for b in range(VPIN_KEPT):
            moves.share[slot, b] = 0
    now.bucket = -1
    now.second = ts_ns // SECOND_NS
    now.first_second = now.second
    clear_second(moves.second[slot, now.second & (N_SECONDS - 1)])
    now.near2 = 0
    now.middle2 = 0
    now.far2 = 0
    now.baseline_trades = 0
    now.baseline_long = 0
    now.baseline_short = 0
    now.open_interest = -1
    now.oi_second = -1
    now.oi_reference = -1
    now.cvd_value = 0
    now.cvd_period = now.second // moves.config[0].anchor_s
    now.vpin_size = 0
    now.vpin_buy = 0
    now.vpin_sell = 0
    now.vpin_closed = 0
    now.vpin_sum = 0
    out = moves.row[slot]
    out.change_5s_pct = math.nan
    out.change_15s_pct = math.nan
    out.change_5m_pct = math.nan
    out.trades_surge = math.nan
    out.cvd = 0.0
    out.vpin = math.nan
    out.volatility = math.nan
    out.explosion = math.nan
    out.min_move_bps = math.nan
    out.liq_safety = math.nan
    out.oi_change_pct = math.nan
    out.funding_8h_bps = math.nan
    out.liq_burst = math.nan
