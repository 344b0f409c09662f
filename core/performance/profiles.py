"""Symbol profiles from a symbol's own history (requirement A2): higher thresholds, smaller size, blacklist, all bounded.

A profile never makes an entry easier or larger than the settings do. Rules and bounds are `[system.profiles]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from config.schema import ProfileRules
from core.constants import DAY_NS
from core.performance.figures import summary
from core.performance.trades import Trade

RAISE_SPOOFS = RAISE_PUMPS = 5.0
SPOOF_SIZE = 0.5
DIGITS = 4


class Sightings(NamedTuple):
    """How often something was seen on a symbol in `days` days of watching."""

    days: float = 0.0
    spoofs: int = 0
    pumps: int = 0

    def per_day(self, count: int) -> float:
        return count / max(self.days, 1.0)  # a spoof in the first minute is not 1,440 a day


def profile(trades: Sequence[Trade], seen: Sightings, rules: ProfileRules, now_ns: int) -> dict[str, Any]:
    """One symbol's entry of profiles.json: what acts (raise_points, size, blacklisted), and the figures behind it."""
    recent = sorted((t for t in trades if t.closed_ns > now_ns - rules.days * DAY_NS), key=lambda t: t.closed_ns)
    recent = recent[-rules.trades :]
    figures = summary(recent)
    raised, size, blacklisted, why = 0.0, 1.0, False, []
    if len(recent) >= rules.minimum:
        win_rate, expectancy = figures["win_rate"], figures["expectancy_r"]
        if win_rate < rules.win_rate:
            raised += (rules.win_rate - win_rate) * 100 * rules.raise_per_pct
            why.append(f"win rate {win_rate:.0%}")
        if expectancy is not None and expectancy < 0:
            size *= 1 + expectancy
            why.append(f"expectancy {expectancy:.2f} R")
        slippage = figures["slippage_bps"]
        if slippage is not None and slippage > rules.slippage_bps:
            raised += slippage - rules.slippage_bps
            why.append(f"slippage {slippage:.1f} bps")
        blacklisted = (len(recent) >= rules.blacklist_minimum and win_rate < rules.blacklist_win_rate
                       and expectancy is not None and expectancy < rules.blacklist_expectancy_r)
    if seen.per_day(seen.spoofs) > rules.spoofs_per_day:
        raised, size = raised + RAISE_SPOOFS, size * SPOOF_SIZE
        why.append(f"{seen.per_day(seen.spoofs):.0f} spoofs a day")
    if seen.per_day(seen.pumps) > rules.pumps_per_day:
        raised += RAISE_PUMPS
        why.append(f"{seen.per_day(seen.pumps):.0f} pumps a day")
    return {
        "raise_points": round(min(max(raised, 0.0), rules.raise_max), 2),
        "size": round(min(max(size, rules.size_min), 1.0), DIGITS),
        "blacklisted": blacklisted, "trades": len(recent),
        "win_rate": _rounded(figures["win_rate"]), "expectancy_r": _rounded(figures["expectancy_r"]),
        "mean_mfe_r": _rounded(figures["mean_mfe_r"]), "mean_mae_r": _rounded(figures["mean_mae_r"]),
        "slippage_bps": _rounded(figures["slippage_bps"]), "net_usdt": round(figures["net_usdt"], 8),
        "spoofs_per_day": _rounded(seen.per_day(seen.spoofs)), "pumps_per_day": _rounded(seen.per_day(seen.pumps)),
        "why": why,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
