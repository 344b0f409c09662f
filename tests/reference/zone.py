"""The entry zone in plain words."""

from __future__ import annotations

import math
from typing import Any


class NaiveZone:
    """Zone of one side, made around the price an entry would rest at. `p`: PARAMS by name."""

    def __init__(
        self, side: int, bid: int, ask: int, wall_bps: float, spread_bps: float, atr_bps: float, p: dict[str, Any]
    ) -> None:
        self.p = p
        price = bid if side > 0 else ask
        wanted = [p["zone_width_bps"], spread_bps, p["zone_width_atr"] * atr_bps]
        width = min(max(w for w in wanted if not math.isnan(w)), p["zone_width_max_bps"])
        half = max(math.floor(price * width * 0.5e-4), 1)
        self.low, self.high, self.ideal = price - half, price + half, price
        if not math.isnan(wall_bps):
            front = math.floor((bid + ask) / 2 * (1 - side * wall_bps * 1e-4) + 0.5) + side
            behind = (price - front) * side
            if 0 < behind <= half:
                self.ideal = front
        self.out_ns: int | None = None
        self.distance_bps = 0.0

    def follow(self, price: int, ts: int) -> bool:
        """Take the price in; True when the zone has to follow it."""
        if self.low <= price <= self.high:
            self.out_ns, self.distance_bps = None, 0.0
            return False
        gap = self.low - price if price < self.low else price - self.high
        self.distance_bps = gap / self.ideal * 1e4
        if self.out_ns is None:
            self.out_ns = ts
        return ts - self.out_ns >= self.p["zone_nudge_ns"]
