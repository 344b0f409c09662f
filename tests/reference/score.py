"""The obvious score: one side at a time, from numbers kept in dicts; None is "not known"."""

from __future__ import annotations

import math

SIDED = ("imbalance_top", "imbalance_zone", "microprice", "ofi", "walls", "absorption", "flow", "cvd_slope", "streak", "vpin")
UNSIDED = ("volatility", "fee", "leverage")
PENALTIES = ("pump", "spoof", "layering", "news", "spread")

Numbers = dict[str, float | None]


def known(x: float | None) -> float | None:
    return None if x is None or math.isnan(x) else x


def clip(x: float) -> float:
    return max(-1.0, min(1.0, x))


def _share(delta: float | None, volume: float | None, full: float) -> float | None:
    if volume is None or delta is None:
        return None
    return clip(delta / volume / full) if volume > 0 else 0.0


def signals(x: Numbers, p: dict[str, float]) -> Numbers:
    """x: the fields of INPUTS; p: those of PARAMS."""
    x = {k: known(v) for k, v in x.items()}

    def of(name: str, scale: float) -> float | None:
        value = x[name]
        return None if value is None else clip(value / scale)

    def difference(a: str, b: str) -> float | None:
        left, right = x[a], x[b]
        return None if left is None or right is None else (left - right) / 100

    zones = [v for v in (x["imbalance_levels"], x["imbalance_zone"]) if v is not None]
    slow, rate, depth = _share(x["delta_slow"], x["volume_slow"], p["flow_full"]), x["rate_slow"], x["depth"]
    atr, cost, vpin, streak = x["atr_bps"], x["min_move_bps"], x["vpin"], x["streak"]
    fee = None
    if atr is not None and cost is not None:
        reach = atr * math.sqrt(p["horizon_s"]) / cost
        fee = reach / (reach + 0.5)
    return {
        "imbalance_top": of("imbalance_top", p["imbalance_full"]),
        "imbalance_zone": clip(sum(zones) / len(zones) / p["imbalance_full"]) if zones else None,
        "microprice": of("micro_offset", 1.0),
        "ofi": of("ofi", p["ofi_full"] * depth) if depth else None,
        "walls": difference("support", "resistance"),
        "absorption": difference("absorb_bid", "absorb_ask"),
        "flow": _share(x["delta_fast"], x["volume_fast"], p["flow_full"]),
        "cvd_slope": None if slow is None or rate is None else slow * rate / (rate + p["rate_half"]),
        "streak": None if streak is None else streak / (abs(streak) + p["streak_half"]),
        "vpin": None if slow is None or vpin is None else vpin * slow,
        "volatility": None if atr is None else 1 / (1 + (atr / p["explosion_bps"]) ** 2),
        "fee": fee,
        "leverage": None if x["liq_safety"] is None else x["liq_safety"] / 100,
    }


def shares(x: Numbers, side: int, pump_level: int, widest_bps: float) -> Numbers:
    """How much of each penalty applies. pump_level: 0 none, 1 PUMPING, 2 BLOWOFF."""
    x = {k: known(v) for k, v in x.items()}
    spoof, lean, spread = x["spoof"], x["spoof_lean"], x["spread_bps"]
    own = (1 + side * clip(lean)) / 2 if lean is not None else 0.5
    half = widest_bps / 2
    return {
        "pump": float(pump_level) if side > 0 else 0.0,
        "spoof": None if spoof is None else spoof / 100 * own,
        "layering": None if x["layering"] is None else x["layering"] / 100,
        "news": None if x["news"] is None else x["news"] / 100,
        "spread": None if spread is None else max(0.0, min((spread - half) / half, 1.0)),
    }


class NaiveScore:
    """Smoothed signals of one symbol, and score and contributions of either side. `p`: the fields of PARAMS."""

    def __init__(self, p: dict) -> None:
        self.p = p
        self.weights = dict(zip(SIDED + UNSIDED, p["weights"], strict=True))
        self.penalties = dict(zip(PENALTIES, p["penalties"], strict=True))
        self.smooth: Numbers = {}
        self.last_ns: int | None = None

    def reset(self) -> None:
        self.smooth = {}
        self.last_ns = None

    def take(self, now_ns: int, x: Numbers) -> None:
        raw = signals(x, self.p)
        if self.last_ns is None:
            self.smooth = dict(raw)
        else:
            dt = max(now_ns - self.last_ns, 0)
            weight = dt / (dt + self.p["score_tau_ns"])
            for name, new in raw.items():
                old = self.smooth[name]
                self.smooth[name] = None if new is None else new if old is None else old + weight * (new - old)
        self.last_ns = now_ns

    def flow(self) -> float:
        return self.smooth.get("cvd_slope") or 0.0

    def terms(self, side: int, pump_level: int, x: Numbers, widest_bps: float) -> Numbers:
        """Points of every term; None = not known."""
        if not self.smooth:
            return dict.fromkeys(SIDED + UNSIDED + PENALTIES)
        out: Numbers = {}
        for name, value in self.smooth.items():
            signed = value if name in UNSIDED or value is None else side * value
            out[name] = None if signed is None else self.weights[name] * max(0.0, signed)
        for name, share in shares(x, side, pump_level, widest_bps).items():
            out[name] = None if share is None else -self.penalties[name] * share
        return out

    def score(self, side: int, pump_level: int, x: Numbers, widest_bps: float) -> float:
        points = self.terms(side, pump_level, x, widest_bps).values()
        return max(0.0, min(100.0, sum(p for p in points if p is not None)))
