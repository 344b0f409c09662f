"""The ladder of targets in whole lots: how a position is shared out over three prices, and what is left of it.

A ladder is always three `(ticks, lots)`; lots 0 = nothing (more) to take there. What no target takes rides with the
trailing stop. Pure integers, the same for SIM, DRY_RUN and LIVE; the formulas stand in core/position/README.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.constants import SIZE_FULL

Targets = tuple[tuple[int, int], ...]
RUNGS = 3
NO_TARGETS: Targets = ((0, 0),) * RUNGS


def share_out(lots: int, ticks: Sequence[int], shares_e4: Sequence[int], least: int) -> Targets:
    """The ladder of a position of `lots`.

    A target gets its share in whole lots (rounded down, of the cumulative share, so that roundings do not add up). One
    that would be smaller than `least`, or stands at the price of the next, leaves its lots to the next. A rest
    smaller than `least` goes to the last target that has any; a position too small to be shared goes to the first.
    """
    taken = cumulative = 0
    sizes = [0] * RUNGS
    wanted = [k for k in range(RUNGS) if shares_e4[k] > 0 and ticks[k] > 0]
    for at, k in enumerate(wanted):
        cumulative = min(cumulative + shares_e4[k], SIZE_FULL)
        if at + 1 < len(wanted) and ticks[wanted[at + 1]] == ticks[k]:
            continue
        size = lots * cumulative // SIZE_FULL - taken
        if size >= least:
            sizes[k] = size
            taken += size
    if wanted and 0 < lots - taken < least or wanted and taken == 0:
        used = [k for k in range(RUNGS) if sizes[k] > 0] or wanted[:1]
        sizes[used[-1]] += lots - taken
    return tuple((ticks[k] if k in wanted else 0, sizes[k]) for k in range(RUNGS))


def laid(order: Targets, filled_before: int, filled_lots: int) -> tuple[int, ...]:
    """Lots each target gains when an entry with the ladder `order` went from `filled_before` by `filled_lots`: the first
    lots that fill are the nearest target's."""
    gains, below = [], 0
    for _, size in order:
        before = min(max(filled_before - below, 0), size)
        after = min(max(filled_before + filled_lots - below, 0), size)
        gains.append(after - before)
        below += size
    return tuple(gains)


def taken(targets: Targets, lots: int, rung: int) -> Targets:
    """What is left of the ladder after `lots` were sold at target `rung` (from 1; 0 = not told: the nearest first)."""
    left = []
    for k, (ticks, size) in enumerate(targets, start=1):
        take = min(size, lots) if rung in (0, k) else 0
        lots -= take
        left.append((ticks, size - take))
    return tuple(left)


def within(targets: Targets, lots: int) -> Targets:
    """The ladder cut to a position of `lots`, the farthest target first."""
    left = []
    for ticks, size in targets:
        size = min(size, lots)
        lots -= size
        left.append((ticks, size))
    return tuple(left)
