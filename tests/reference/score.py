"""The obvious score: one side at a time, from unsmoothed numbers kept in a dict."""

from __future__ import annotations

import math

NAMES = ("imbalance", "flow", "microprice", "streak")


def clip(x: float) -> float:
    return 0.0 if math.isnan(x) else max(-1.0, min(1.0, x))


def volatility(atr_bps: float, min_move_bps: float, explosion_bps: float) -> float:
    if math.isnan(atr_bps) or math.isnan(min_move_bps) or atr_bps <= 0 or min_move_bps <= 0:
        return 0.0
    reach = atr_bps * 60.0**0.5 / min_move_bps
    return reach / (reach + 0.5) / (1 + (atr_bps / explosion_bps) ** 2)


def signals(f: dict[str, float], volatility_signal: float) -> dict[str, float]:
    volume = f["buy_10s"] + f["sell_10s"]
    flow = 0.0
    if volume > 0 and f["trades_per_s_10s"] > 0:
        flow = clip(f["delta_10s"] / volume / 0.5) * f["trades_per_s_10s"] / (f["trades_per_s_10s"] + 0.1)
    half_spread = 0.5 * f["spread_bps"] * f["mid"] * 1e-4
    offset = (f["microprice"] - f["mid"]) / half_spread if half_spread > 0 else 0.0
    return {
        "imbalance": clip((0.4 * f["imbalance_top"] + 0.6 * f["imbalance_n"]) / 0.5),
        "flow": flow,
        "microprice": clip(offset),
        "streak": clip(f["streak"] / (abs(f["streak"]) + 2.0)),
        "volatility": volatility_signal,
    }


class NaiveScore:
    """Smoothed signals of one symbol and the score of either side."""

    def __init__(self, weights: dict[str, float], tau_ns: float) -> None:
        self.weights = weights
        self.tau_ns = tau_ns
        self.smooth: dict[str, float] = {}
        self.last_ns: int | None = None

    def reset(self) -> None:
        self.smooth = {}
        self.last_ns = None

    def take(self, now_ns: int, raw: dict[str, float]) -> None:
        if self.last_ns is None:
            self.smooth = dict(raw)
        else:
            dt = max(now_ns - self.last_ns, 0)
            weight = dt / (dt + self.tau_ns)
            self.smooth = {k: s + weight * (raw[k] - s) for k, s in self.smooth.items()}
        self.last_ns = now_ns

    def score(self, side: int, pump_level: int, spread_bps: float, max_spread_bps: float) -> float:
        """pump_level: 0 none, 1 PUMPING, 2 BLOWOFF."""
        if not self.smooth:
            return 0.0
        total = sum(self.weights[k] * max(0.0, side * self.smooth[k]) for k in NAMES)
        total += self.weights["volatility"] * self.smooth["volatility"]
        if side > 0:
            total -= self.weights["pump"] * pump_level
        if spread_bps > max_spread_bps / 2:
            total -= self.weights["spread"] * min((spread_bps - max_spread_bps / 2) / (max_spread_bps / 2), 1.0)
        return max(0.0, min(100.0, total))
