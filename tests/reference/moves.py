"""The obvious move features: beside the naive features, whose history they read when asked for."""

from __future__ import annotations

import math
from typing import Any

from tests.reference.features import BUCKET, SECOND, NaiveFeatures
from tests.reference.tape import BLOCK, Trade

TURNOVER, FUNDING, INTEREST = 9, 11, 8  # words of TICKER


class NaiveNews:
    """The flag in force: (type, happened, half-life, ttl, impact)."""

    def __init__(self) -> None:
        self.flag: tuple[int, int, int, int, float] | None = None

    def impact(self, ts_ns: int) -> float:
        if self.flag is None:
            return 0.0
        _, happened, half_life, ttl, impact = self.flag
        age = ts_ns - happened
        if age >= ttl:
            return 0.0
        if age <= 0 or half_life <= 0:
            return impact
        halvings, rest = divmod(age, half_life)
        return impact * 0.5**halvings * (1 - rest / half_life / 2) if halvings < 60 else 0.0

    def take(self, ts_ns: int, kind: int, impact: float, happened: int, half_life: int, ttl: int) -> bool:
        if kind == 0 or not impact > 0:
            falls = self.flag is not None and kind in (0, self.flag[0])
            if falls:
                self.flag = None
            return falls
        if self.flag is not None and self.flag[0] != kind and impact < self.impact(ts_ns):
            return False
        self.flag = (kind, min(happened, ts_ns) if happened > 0 else ts_ns, half_life, ttl, min(impact, 100.0))
        return True


class NaiveMoves:
    """Move features of one symbol. `p`: PARAMS by name; `s`: SYMBOL by name. Call after the naive features' hooks."""

    def __init__(self, features: NaiveFeatures, s: dict[str, Any], p: dict[str, Any]) -> None:
        self.f, self.s, self.p = features, s, p
        self.bucket, self.news_ns = -1, features.now_ns
        self.explosion = math.nan
        self.news = NaiveNews()
        if s["flags"] & 1:
            self.news.take(
                features.now_ns, 1, p["listing_impact"], s["listed_ns"], p["listing_half_life_ns"], p["listing_ttl_ns"]
            )
        self.interest: list[tuple[int, int]] = []  # (second, open interest)
        self.shares: list[int] = []
        self.size = self.bought = self.sold = 0

    # events
    def at(self, ts_ns: int) -> None:
        if self.f.now_ns // BUCKET == self.bucket:
            return
        self.bucket, self.news_ns = self.f.now_ns // BUCKET, ts_ns
        atr = self.f._atrs()["atr_1s_bps"]
        if math.isnan(atr):
            self.explosion = math.nan
        else:
            share = self.p["explosion_leave_share"] if self.explosion == 1 else 1
            self.explosion = float(atr >= share * self.p["explosion_bps"])

    def on_trades(self, ts_ns: int, trades: list[Trade]) -> None:
        self.at(ts_ns)
        unit = self.f.tick_size * self.f.lot_size
        turnover = self.f.ticker.get(TURNOVER, 0)
        size = max(math.floor(turnover * 1e-4 / self.p["vpin_buckets_per_day"] / unit), 1) if turnover > 0 else 0
        for t in trades:
            left = 0 if t.flags & BLOCK else t.price * t.qty
            while left:
                if not self.bought + self.sold:
                    if not size:
                        break
                    self.size = size
                    if left > 200 * size:
                        self.shares += [10**9] * 100
                        left = left % size + 100 * size
                taken = min(left, self.size - self.bought - self.sold)
                self.bought, self.sold = self.bought + taken * (t.side > 0), self.sold + taken * (t.side <= 0)
                left -= taken
                if self.bought + self.sold == self.size:
                    self.shares.append(math.floor(1e9 * (abs(self.bought - self.sold) / self.size) + 0.5))
                    self.bought = self.sold = 0

    def on_ticker(self, ts_ns: int) -> None:
        self.at(ts_ns)
        if INTEREST in self.f.ticker:
            self.interest.append((self.f.now_ns // SECOND, self.f.ticker[INTEREST]))

    def on_news(self, ts_ns: int, kind: int, impact: float, happened: int, half_life: int, ttl: int) -> None:
        self.news.take(ts_ns, kind, impact, happened, half_life, ttl)
        self.news_ns = ts_ns

    # answers
    def _baseline(self) -> tuple[int, int]:
        """(first second, behind the last second) of the baseline."""
        stop = self.f.now_ns // SECOND - math.ceil(self.f.slow / 10)
        return max(stop - self.f.baseline_s, self.f.start_ns // SECOND), stop

    def _surges(self) -> tuple[float, float]:
        start, stop = self._baseline()
        if stop - start < self.f.baseline_min:
            return math.nan, math.nan
        now, first = self.f.now_ns // BUCKET, self.f.start_ns // BUCKET
        window_s = min(now - first + 1, self.f.slow) / 10
        usual = [t for _, s, t in self.f.trades if start <= s < stop]
        recent = [t for b, _, t in self.f.trades if b > now - self.f.slow]
        surge = (len(recent) / window_s) / (len(usual) / (stop - start)) if usual else math.nan
        liquidated = [t for b, t in self.f.liquidations if start <= b // 10 < stop]
        value = max(
            sum(t.price * t.qty for t in liquidated), self.p["liq_floor_share"] * sum(t.price * t.qty for t in usual)
        )
        burst = sum(t.price * t.qty * t.side for b, t in self.f.liquidations if b > now - self.f.slow) / window_s
        return surge, burst / (value / (stop - start)) if value else math.nan

    def _cvd(self) -> float:
        anchor_s = round(self.p["cvd_anchor_ns"] / SECOND)
        period = self.f.now_ns // SECOND // anchor_s
        value = sum(t.price * t.qty * t.side for _, s, t in self.f.trades if s // anchor_s == period)
        return value * (self.f.tick_size * self.f.lot_size)

    def _interest_change(self) -> float:
        second = self.f.now_ns // SECOND
        closed = [(s, value) for s, value in self.interest if s < second]
        if not closed:
            return math.nan
        back = second - 1 - round(self.p["oi_window_ns"] / SECOND)
        then = ([value for s, value in closed if s <= back] or [[v for s, v in closed if s == closed[0][0]][-1]])[-1]
        return (self.interest[-1][1] / then - 1) * 100 if then > 0 else math.nan

    def values(self) -> dict[str, float]:
        f, p, s, nan = self.f, self.p, self.s, math.nan
        mid2 = f.mids[-1][1]
        near, middle, _, far = (round(w / SECOND) for w in p["pump_windows_ns"])
        atr, realised = f._atrs()["atr_1s_bps"], f._volatility()
        sigma = max((x for x in (atr * math.sqrt(60) / math.sqrt(8 / math.pi), realised) if x >= 0), default=nan)
        shares = self.shares[-p["vpin_buckets"] :]
        surge, burst = self._surges()
        stop = min(max(p["stop_atr"] * atr, p["stop_min_bps"]), p["stop_max_bps"])
        leverage = min(p["leverage_e2"], s["max_leverage_e2"] or p["leverage_e2"]) / 100
        maintenance = (s["maintenance_e8"] or p["maintenance_e8"][s["category"]]) / 1e8
        distance = (1 / leverage - maintenance) * 1e4
        safety = max(0.0, 100 * (1 - max(stop, p["liq_sigmas"] * sigma) / distance)) if distance > 0 else 0.0
        fees = 2 * (s["taker_fee_e8"] or p["taker_fee_e8"]) / 1e4
        impact = self.news.impact(self.news_ns)
        flag = self.news.flag if impact > 0 else None
        known = FUNDING in f.ticker and s["funding_interval_min"] > 0
        return {
            "change_5s_pct": f.change(mid2, near),
            "change_15s_pct": f.change(mid2, middle),
            "change_5m_pct": f.change(mid2, far),
            "trades_surge": surge,
            "cvd": self._cvd(),
            "vpin": sum(shares) / len(shares) / 1e9 if len(shares) >= p["vpin_minimum"] else nan,
            "volatility": 100 * sigma / (sigma + p["volatility_half_bps"]),
            "explosion": self.explosion,
            "min_move_bps": fees * (1 + p["fee_buffer"]) + (f.book.spread_bps() if f.book else nan),
            "liq_safety": safety if atr >= 0 else nan,
            "oi_change_pct": self._interest_change(),
            "funding_8h_bps": f.ticker[FUNDING] / 1e10 * 1e4 * 480 / s["funding_interval_min"] if known else nan,
            "liq_burst": burst,
            "news_impact": impact,
            "news_age_s": (self.news_ns - flag[1]) / SECOND if flag else nan,
            "news_type": float(flag[0]) if flag else 0.0,
        }
