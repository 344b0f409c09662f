"""Regime of the whole market from BTC and ETH (requirement A10): volatility and shocks of the last minute.

Plain Python, fed by the gateway in the one total order of events, so the verdict is part of the stream (GLOBAL events)
and every shard and every replay sees the same. Prices are sampled once a second of event time; the minute's
volatility is the root of the sum of squared 1 s returns, the shock the return over the whole minute, both in bps.

Worse regimes are entered at once, better ones only after `CALM_NS` with every measure under `LEAVE` of its threshold.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from core.constants import NS_PER_S
from core.enums import GlobalRegime
from core.records import GLOBAL

SAMPLES = 60  # seconds in the window
CALM_NS = 30 * NS_PER_S
LEAVE = 0.6
LEADERS = ("BTCUSDT", "ETHUSDT")


class _Series:
    """One price per second of the last minute."""

    def __init__(self) -> None:
        self.second = -1
        self.prices: deque[float] = deque(maxlen=SAMPLES + 1)

    def feed(self, ts_ns: int, price: float) -> None:
        second = ts_ns // NS_PER_S
        if self.second < 0 or second - self.second > SAMPLES:
            self.prices.clear()
        elif second > self.second:
            self.prices.extend([self.prices[-1]] * (second - self.second - 1))
        elif self.prices:
            self.prices[-1] = price
            return
        self.second = second
        self.prices.append(price)

    def measures(self, ts_ns: int) -> tuple[float, float]:
        """(volatility, return) over the window in bps; nan while fewer than two samples are known or when stale."""
        if len(self.prices) < 2 or ts_ns // NS_PER_S - self.second > SAMPLES:
            return math.nan, math.nan
        prices = np.array(self.prices)
        returns = np.diff(np.log(prices))
        return float(np.sqrt(np.sum(returns * returns)) * 1e4), float((prices[-1] / prices[0] - 1.0) * 1e4)


class _Breadth:
    """Share of symbols that fell against their price of a minute ago (re-anchored once a minute)."""

    def __init__(self) -> None:
        self.anchor: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.minute = -1

    def feed(self, ts_ns: int, name: str, price: float) -> None:
        minute = ts_ns // (60 * NS_PER_S)
        if minute != self.minute:
            self.minute = minute
            self.anchor = dict(self.last)
        self.last[name] = price

    def share_falling(self) -> float:
        known = [(self.last[name], price) for name, price in self.anchor.items()]
        if not known:
            return math.nan
        return sum(1 for last, anchor in known if last < anchor) / len(known)


class GlobalRegimeTracker:
    """Feed it prices in stream order, ask `verdict` when a GLOBAL event is due (the gateway: once a second)."""

    def __init__(self, params: np.ndarray) -> None:
        self.set_params(params)
        self.regime = GlobalRegime.GLOBAL_NORMAL
        self._leaders = {name: _Series() for name in LEADERS}
        self._breadth = _Breadth()
        self._calm_since_ns = -1

    def set_params(self, params: np.ndarray) -> None:
        """Thresholds from a PARAMS array (params.params_row): call it when a CONFIG event is published."""
        row = params[0]
        self._off = (float(row["global_vol_off_bps"]), float(row["global_shock_off_bps"]))
        self._panic = (float(row["global_vol_panic_bps"]), float(row["global_shock_panic_bps"]))

    def feed(self, ts_ns: int, name: str, price: float) -> None:
        """A price (last or mid, any unit) of symbol `name` at event time ts_ns; not positive or not finite: ignored."""
        if not (price > 0.0) or math.isinf(price):
            return
        series = self._leaders.get(name)
        if series is not None:
            series.feed(ts_ns, price)
        self._breadth.feed(ts_ns, name, price)

    def verdict(self, ts_ns: int) -> np.ndarray:
        """A GLOBAL array of shape (1,): measures and regime as of ts_ns."""
        measures = [self._leaders[name].measures(ts_ns) for name in LEADERS]
        self._step(ts_ns, measures)
        row = np.zeros(1, GLOBAL.dtype)
        row["regime"] = int(self.regime)
        row["btc_vol_bps"], row["btc_return_bps"] = measures[0]
        row["eth_vol_bps"], row["eth_return_bps"] = measures[1]
        row["correlation"] = math.nan
        row["breadth"] = self._breadth.share_falling()
        return row

    def _level(self, measures: list[tuple[float, float]], share: float) -> GlobalRegime:
        """The regime the measures alone ask for, with thresholds scaled by `share`."""
        level = GlobalRegime.GLOBAL_NORMAL
        for vol, shock in measures:
            if vol >= share * self._panic[0] or abs(shock) >= share * self._panic[1]:
                return GlobalRegime.GLOBAL_PANIC
            if vol >= share * self._off[0] or abs(shock) >= share * self._off[1]:
                level = GlobalRegime.GLOBAL_RISK_OFF
        return level

    def _step(self, ts_ns: int, measures: list[tuple[float, float]]) -> None:
        asked = self._level(measures, 1.0)
        if asked > self.regime:
            self.regime = asked
            self._calm_since_ns = -1
            return
        held = self._level(measures, LEAVE)
        if held >= self.regime:
            self._calm_since_ns = -1
        elif self._calm_since_ns < 0:
            self._calm_since_ns = ts_ns
        elif ts_ns - self._calm_since_ns >= CALM_NS:
            self.regime = held
            self._calm_since_ns = -1
