"""Naive twin of `core.histogram`: keep every value, sort, count."""

from __future__ import annotations

import math


def percentile(values: list[int], q: float) -> int:
    """Smallest value under or at which at least q percent of the values lie; 0 when there is none."""
    if not values:
        return 0
    return sorted(values)[max(1, math.ceil(len(values) * q / 100.0)) - 1]
