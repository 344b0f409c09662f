"""The pump detector and the symbol regime in plain words."""

from __future__ import annotations

import math
from typing import Any

from core.enums import Pump, Regime


class NaivePump:
    """Pump state and regime of one symbol; `p`: PARAMS by name."""

    def __init__(self, p: dict[str, Any]) -> None:
        self.p, self.state, self.since, self.top, self.top_since = p, Pump.NONE, 0, 0.0, 0
        self.regime, self.regime_since = Regime.NORMAL, 0

    def take(self, now: int, f: dict[str, float], thinning: float = math.nan, spoof: float = math.nan) -> None:
        """`f`: features and move features by name."""
        mid = f["mid"]
        above = not mid > 0 or mid > self.top
        if mid > self.top and self.state in (Pump.PUMPING, Pump.BLOWOFF):
            self.top, self.top_since = mid, now
        fall = max((self.top - mid) / self.top * 100, 0.0) if mid > 0 and self.top > 0 else 0.0
        after = self._next(now, f, thinning, fall, above)
        if after is Pump.NONE:
            self.top = 0.0 if self.state is not Pump.NONE else self.top
        if after is not self.state:
            if after is Pump.PUMPING:
                self.top, self.top_since = mid if mid > 0 else 0.0, now
            self.state, self.since = after, now
        regime = self._regime(now - self.regime_since, spoof, f["news_impact"])
        if regime is not self.regime:
            self.regime, self.regime_since = regime, now

    def _next(self, now: int, f: dict[str, float], thinning: float, fall: float, above: bool) -> Pump:
        p, state, age = self.p, self.state, now - self.since
        stayed = age >= p["pump_dwell_ns"]
        changes = [f[name] for name in ("change_5s_pct", "change_15s_pct", "change_1m_pct", "change_5m_pct")]
        up = max([c / n for c, n in zip(changes, p["pump_change_pct"], strict=True) if c > 0], default=0.0)
        down = max([-c / n for c, n in zip(changes, p["pump_change_pct"], strict=True) if c < 0], default=0.0)
        votes = [
            agrees for value, agrees in (
                (f["volume_surge"], f["volume_surge"] >= p["pump_surge"]),
                (f["trades_surge"], f["trades_surge"] >= p["pump_trades_surge"]),
                (thinning, thinning <= p["pump_thinning"]),
            ) if not math.isnan(value)
        ]  # fmt: skip
        enough = p["pump_witnesses"] == 0 or (bool(votes) and sum(votes) >= min(p["pump_witnesses"], len(votes)))
        exploding = f["explosion"] == 1
        fresh = changes[1]
        falling = fresh <= -p["pump_fresh_pct"] and (exploding or (down >= 1 and enough))
        rising = not falling and (exploding or (fresh >= p["pump_fresh_pct"] and up >= 1 and enough))
        limits = [p["pump_leave_share"] * n for n in p["pump_change_pct"][:2]]
        calm = not exploding and not any(abs(c) >= n for c, n in zip(changes, limits, strict=False))
        over = calm and now - self.top_since >= p["pump_stall_ns"] and stayed
        if state in (Pump.NONE, Pump.PREPUMP):
            if falling:
                return Pump.DUMP
            if rising:
                return Pump.PUMPING
            if state is Pump.PREPUMP:
                faded = up < p["prepump_share"] * p["pump_leave_share"]
                return Pump.NONE if faded and stayed else Pump.PREPUMP
            witness = any(votes) or p["pump_witnesses"] == 0
            lifts = fresh >= p["pump_fresh_pct"] and up >= p["prepump_share"] and witness
            return Pump.PREPUMP if lifts else Pump.NONE
        if state in (Pump.PUMPING, Pump.BLOWOFF):
            if fall >= p["pump_dump_pct"]:
                return Pump.DUMP
            if state is Pump.PUMPING and up >= p["pump_blowoff_x"]:
                return Pump.BLOWOFF
            return Pump.COOLDOWN if over else state
        if state is Pump.DUMP:
            return Pump.COOLDOWN if calm and stayed else state
        if stayed and falling:
            return Pump.DUMP
        if stayed and rising and (exploding or above):
            return Pump.PUMPING
        return Pump.NONE if age >= p["pump_cooldown_ns"] else state

    def _regime(self, age: int, spoof: float, news: float) -> Regime:
        p = self.p

        def stands(regime: Regime, score: float, name: str) -> bool:
            inside = self.regime is regime and (score >= p[f"{name}_leave"] or age < p["regime_dwell_ns"])
            return score >= p[f"{name}_enter"] or inside

        if self.state in (Pump.PUMPING, Pump.BLOWOFF, Pump.DUMP):
            return Regime.PUMP
        if stands(Regime.MANIPULATED, spoof, "spoof"):
            return Regime.MANIPULATED
        if stands(Regime.NEWS_DRIVEN, news, "news"):
            return Regime.NEWS_DRIVEN
        if self.state is Pump.COOLDOWN:
            return Regime.COOLDOWN
        if self.regime is Regime.COOLDOWN:
            return Regime.COOLDOWN_DONE
        if self.regime is Regime.COOLDOWN_DONE and age < p["cooldown_done_ns"]:
            return Regime.COOLDOWN_DONE
        return Regime.NORMAL
