"""Regime of the whole market (requirement A10): volatility and shocks of BTC and ETH, everything falling together, no feed.

Plain Python and numpy, fed by the gateway in the one total order of events, so the verdict is part of the stream (GLOBAL
events): every shard and every replay sees the same, however many shards there are. Prices are sampled once a second of
event time over the last minute. What leads to which regime is `RULES`; the numbers are settings ([global_regime]).

A worse regime is entered at once; a better one only after `dwell_s` in the present one and `calm_s` with every measure
under `leave_share` of its threshold.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from core.constants import NS_PER_S
from core.enums import FeedState, GlobalRegime
from core.records import GLOBAL

SAMPLES = 60  # seconds in the window
LEADERS = ("BTCUSDT", "ETHUSDT")
MIN_SAMPLES = 20  # a correlation over fewer seconds tells nothing
MIN_SYMBOLS = 3  # nor does a mean over fewer symbols

_NORMAL, _OFF, _PANIC = GlobalRegime.GLOBAL_NORMAL, GlobalRegime.GLOBAL_RISK_OFF, GlobalRegime.GLOBAL_PANIC


class Measures(NamedTuple):
    """What the verdict rests on; nan = not known."""

    volatility_bps: float  # the larger of BTC and ETH, one minute
    shock_bps: float  # the larger move of the two over the minute, without sign
    correlation: float  # mean correlation of the symbols with BTC
    breadth: float  # share of symbols that fell over the minute
    median_bps: float  # median move of all symbols
    feed_down_s: float  # how long the feed has not been connected


class Limits(NamedTuple):
    """Thresholds in force: (RISK_OFF, PANIC) pairs, or one number."""

    volatility_bps: tuple[float, float]
    shock_bps: tuple[float, float]
    correlation: float
    breadth: float
    together_bps: float
    feed_down_s: float

    def to_leave(self, share: float) -> Limits:
        """The lower thresholds at which a regime is left. Breadth is measured from one half, where nothing leans; the
        feed is either connected or not."""
        return Limits(
            (share * self.volatility_bps[0], share * self.volatility_bps[1]),
            (share * self.shock_bps[0], share * self.shock_bps[1]),
            share * self.correlation, 0.5 + share * (self.breadth - 0.5), share * self.together_bps, self.feed_down_s,
        )  # fmt: skip


def _together(m: Measures, li: Limits) -> bool:
    return m.correlation >= li.correlation and m.breadth >= li.breadth and m.median_bps <= -li.together_bps


# worst first: the first rule that holds names the regime
RULES: tuple[tuple[str, GlobalRegime, Callable[[Measures, Limits], bool]], ...] = (
    ("panic_volatility", _PANIC, lambda m, li: m.volatility_bps >= li.volatility_bps[1]),
    ("panic_shock", _PANIC, lambda m, li: m.shock_bps >= li.shock_bps[1]),
    ("volatility", _OFF, lambda m, li: m.volatility_bps >= li.volatility_bps[0]),
    ("shock", _OFF, lambda m, li: m.shock_bps >= li.shock_bps[0]),
    ("together", _OFF, _together),
    ("feed_down", _OFF, lambda m, li: m.feed_down_s >= li.feed_down_s),
    ("calm", _NORMAL, lambda m, li: True),
)
RULE_NAMES = tuple(name for name, _, _ in RULES)


def judge(measures: Measures, limits: Limits) -> int:
    """Index of the rule that holds."""
    return next(k for k, (_, _, holds) in enumerate(RULES) if holds(measures, limits))


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


class _Panel:
    """Prices of all symbols, one row per second of the last minute (ring), one column per symbol; nan = none yet."""

    def __init__(self) -> None:
        self._column: dict[str, int] = {}
        self._last = np.full(64, math.nan)
        self._rows = np.full((SAMPLES + 1, 64), math.nan)
        self._second = -1

    def feed(self, name: str, price: float) -> None:
        column = self._column.setdefault(name, len(self._column))
        if column >= len(self._last):
            self._last = np.concatenate((self._last, np.full(len(self._last), math.nan)))
            self._rows = np.concatenate((self._rows, np.full(self._rows.shape, math.nan)), axis=1)
        self._last[column] = price

    def close(self, ts_ns: int) -> None:
        """The second of ts_ns is sampled; seconds without a verdict repeat the row before them."""
        second = ts_ns // NS_PER_S
        if self._second < 0 or second - self._second > SAMPLES:
            self._rows[:] = math.nan
        else:
            for gap in range(self._second + 1, second):
                self._rows[gap % (SAMPLES + 1)] = self._rows[self._second % (SAMPLES + 1)]
        self._second = second
        self._rows[second % (SAMPLES + 1)] = self._last

    def measures(self) -> tuple[float, float, float]:
        """(mean correlation with BTC, share of symbols falling, median move in bps); nan = too little known."""
        order = np.arange(self._second - SAMPLES, self._second + 1) % (SAMPLES + 1)
        prices = self._rows[order][:, : len(self._column)]
        known = ~np.isnan(prices)
        columns = np.flatnonzero(known.sum(axis=0) >= 2)
        if not len(columns):
            return math.nan, math.nan, math.nan
        first = prices[known.argmax(axis=0)[columns], columns]
        moves = prices[-1, columns] / first - 1.0
        return self._correlation(prices), float(np.mean(moves < 0.0)), float(np.median(moves) * 1e4)

    def _correlation(self, prices: np.ndarray) -> float:
        leader = self._column.get(LEADERS[0])
        if leader is None:
            return math.nan
        returns = np.diff(np.log(prices), axis=0)
        returns = returns[~np.isnan(returns[:, leader])]
        if len(returns) < MIN_SAMPLES:
            return math.nan
        whole = returns[:, ~np.isnan(returns).any(axis=0)]
        centred = whole - whole.mean(axis=0)
        norms = np.sqrt((centred * centred).sum(axis=0))
        centred = centred[:, norms > 0.0] / norms[norms > 0.0]
        btc = returns[:, leader] - returns[:, leader].mean()
        norm = math.sqrt(float((btc * btc).sum()))
        if norm <= 0.0 or centred.shape[1] - 1 < MIN_SYMBOLS:
            return math.nan
        with_btc = centred.T @ (btc / norm)
        return float((with_btc.sum() - 1.0) / (len(with_btc) - 1))  # without BTC itself


class GlobalRegimeTracker:
    """Feed it prices and feed states in stream order, ask `verdict` when a GLOBAL event is due (the gateway: once a
    second)."""

    def __init__(self, params: np.ndarray) -> None:
        self.set_params(params)
        self.regime = GlobalRegime.GLOBAL_NORMAL
        self.rule = len(RULES) - 1  # of RULES, behind the last verdict
        self._leaders = {name: _Series() for name in LEADERS}
        self._panel = _Panel()
        self._since_ns = -1
        self._calm_since_ns = -1
        self._down_since_ns = -1  # -1 = connected, or never told

    def set_params(self, params: np.ndarray) -> None:
        """Thresholds from a PARAMS array (params.params_row): call it when a CONFIG event is published."""
        row = params[0]
        volatility, shock = row["global_volatility_bps"].tolist(), row["global_shock_bps"].tolist()
        self._limits = Limits(
            (volatility[0], volatility[1]), (shock[0], shock[1]), float(row["global_correlation"]),
            float(row["global_breadth"]), float(row["global_together_bps"]), float(row["feed_down_ns"]) / NS_PER_S,
        )  # fmt: skip
        self._leave_limits = self._limits.to_leave(float(row["global_leave_share"]))
        self._calm_ns, self._dwell_ns = int(row["global_calm_ns"]), int(row["global_dwell_ns"])

    def set_feed(self, ts_ns: int, state: FeedState) -> None:
        """A FEED event at ts_ns."""
        if state == FeedState.CONNECTED:
            self._down_since_ns = -1
        elif self._down_since_ns < 0:
            self._down_since_ns = ts_ns

    def feed(self, ts_ns: int, name: str, price: float) -> None:
        """A price (last or mid, any unit) of symbol `name` at event time ts_ns; not positive or not finite: ignored."""
        if not (price > 0.0) or math.isinf(price):
            return
        series = self._leaders.get(name)
        if series is not None:
            series.feed(ts_ns, price)
        self._panel.feed(name, price)

    def verdict(self, ts_ns: int) -> np.ndarray:
        """A GLOBAL array of shape (1,): measures and regime as of ts_ns."""
        leaders = [self._leaders[name].measures(ts_ns) for name in LEADERS]
        self._panel.close(ts_ns)
        correlation, breadth, median_bps = self._panel.measures()
        down_s = (ts_ns - self._down_since_ns) / NS_PER_S if self._down_since_ns >= 0 else -1.0
        self._step(
            ts_ns,
            Measures(
                _largest(vol for vol, _ in leaders), _largest(abs(shock) for _, shock in leaders), correlation, breadth,
                median_bps, down_s,
            ),
        )
        row = np.zeros(1, GLOBAL.dtype)
        row["regime"] = int(self.regime)
        row["btc_vol_bps"], row["btc_return_bps"] = leaders[0]
        row["eth_vol_bps"], row["eth_return_bps"] = leaders[1]
        row["correlation"], row["breadth"], row["median_bps"] = correlation, breadth, median_bps
        return row

    def _step(self, ts_ns: int, measures: Measures) -> None:
        rule = judge(measures, self._limits)
        if RULES[rule][1] > self.regime:
            self.regime, self.rule, self._since_ns, self._calm_since_ns = RULES[rule][1], rule, ts_ns, -1
            return
        rule = judge(measures, self._leave_limits)
        held = RULES[rule][1]
        if held >= self.regime:
            self._calm_since_ns = -1
            return
        if self._calm_since_ns < 0:
            self._calm_since_ns = ts_ns
        if ts_ns - self._calm_since_ns >= self._calm_ns and ts_ns - self._since_ns >= self._dwell_ns:
            self.regime, self.rule, self._since_ns, self._calm_since_ns = held, rule, ts_ns, -1


def _largest(values: Iterable[float]) -> float:
    """The largest known value, nan when none is."""
    known = [value for value in values if not math.isnan(value)]
    return max(known, default=math.nan)
