"""Prices to the tracker of the global regime, in event order: the same calls in the gateway and in a replay."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.constants import NS_PER_S
from core.regime.global_regime import LEADERS, GlobalRegimeTracker


class RegimeFeed:
    """`params`: PARAMS array of shape (1,). The tracker's other inputs (`set_params`, `set_feed`) go to it directly."""

    def __init__(self, params: np.ndarray) -> None:
        self.tracker = GlobalRegimeTracker(params)
        self._second = -1

    def turn(
        self, ts_ns: int, ids: Mapping[str, int], last_ticks: np.ndarray, tick_size: np.ndarray
    ) -> np.ndarray | None:
        """At each TIMER: the leaders' prices; once a second everybody's, then the verdict (GLOBAL, shape (1,)).

        ids: symbol ids by name, ascending; last_ticks, tick_size: by id, a price is their product, 0 = unknown.
        """
        second = ts_ns // NS_PER_S
        if second == self._second:
            for name in LEADERS:
                symbol = ids.get(name)
                if symbol is not None and last_ticks[symbol] > 0:
                    self.tracker.feed(ts_ns, name, float(last_ticks[symbol] * tick_size[symbol]))
            return None
        self._second = second
        count = max(ids.values(), default=-1) + 1
        prices = (last_ticks[:count] * tick_size[:count]).tolist()
        for name, symbol in ids.items():
            if prices[symbol] > 0.0:
                self.tracker.feed(ts_ns, name, prices[symbol])
        return self.tracker.verdict(ts_ns)
