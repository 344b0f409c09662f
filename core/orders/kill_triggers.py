"""When the system kills itself (requirement A17), as one table: what must hold, for how long, and what is said.

The facts are gathered by the caller, so the same facts always trip the same trigger. A trigger whose limit is 0 is off.
A person, a file and the guardian kill through words and the latch file (`workers/kill_switch.py`), not through here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from config.schema import Settings
from core.constants import NS_PER_S
from core.enums import GlobalRegime


@dataclass(frozen=True, slots=True)
class KillLimits:
    """The settings [kill] of safety.toml and skip.volatility_index_max."""

    network_s: float
    panic_s: float
    spread_bps: float
    spread_s: float
    failures_per_min: int
    daily_loss_pct: float
    volatility_index_max: float


def kill_limits(settings: Settings) -> KillLimits:
    """The settings as limits; the volatility index counts only where the skip filter is on."""
    kill, skip = settings.safety.kill, settings.skip
    return KillLimits(
        network_s=kill.network_s, panic_s=kill.panic_s, spread_bps=kill.spread_bps, spread_s=kill.spread_s,
        failures_per_min=kill.failures_per_min, daily_loss_pct=kill.daily_loss_pct,
        volatility_index_max=skip.volatility_index_max if skip.enabled else 0.0,
    )


@dataclass(frozen=True, slots=True)
class KillFacts:
    """What the triggers look at. Without a link to an exchange (SIM, DRY_RUN) the network is up and nothing fails."""

    exposed: bool  # a position, or an entry that may still fill
    private_up: bool = True
    rest_up: bool = True
    global_regime: int = int(GlobalRegime.GLOBAL_NORMAL)
    spread_bps: float = 0.0  # widest of the symbols we are exposed in
    failures_per_min: int = 0  # orders refused by the exchange or of unknown outcome
    day_loss_pct: float = 0.0
    volatility_index: float = 0.0  # 0 = not known


class Trigger(NamedTuple):
    """`over` says whether the limit is broken now; it must stay broken for `hold_s`. `exposed_only`: with nothing open
    and nothing working there is nothing to stand down, and the gate alone keeps entries out."""

    name: str
    exposed_only: bool
    limit: Callable[[KillLimits], float]
    over: Callable[[KillFacts, KillLimits], bool]
    value: Callable[[KillFacts], float]
    hold_s: Callable[[KillLimits], float]
    sentence: str


def _at_once(limits: KillLimits) -> float:
    return 0.0


TRIGGERS: tuple[Trigger, ...] = (
    Trigger("private_stream", True, lambda li: li.network_s, lambda f, li: not f.private_up, lambda f: 0.0,
            lambda li: li.network_s, "the private stream of the exchange is down"),
    Trigger("rest", True, lambda li: li.network_s, lambda f, li: not f.rest_up, lambda f: 0.0,
            lambda li: li.network_s, "the REST interface of the exchange does not answer"),
    Trigger("panic", True, lambda li: li.panic_s, lambda f, li: f.global_regime == GlobalRegime.GLOBAL_PANIC,
            lambda f: float(f.global_regime), lambda li: li.panic_s, "the whole market is in PANIC"),
    Trigger("spread", True, lambda li: li.spread_bps, lambda f, li: f.spread_bps > li.spread_bps,
            lambda f: f.spread_bps, lambda li: li.spread_s, "the spread of a symbol we hold is extreme, bps"),
    Trigger("failures", False, lambda li: float(li.failures_per_min),
            lambda f, li: f.failures_per_min >= li.failures_per_min, lambda f: float(f.failures_per_min), _at_once,
            "orders refused or lost within a minute"),
    Trigger("daily_loss", False, lambda li: li.daily_loss_pct, lambda f, li: f.day_loss_pct >= li.daily_loss_pct,
            lambda f: f.day_loss_pct, _at_once, "loss of the UTC day on equity, percent"),
    Trigger("volatility_index", True, lambda li: li.volatility_index_max,
            lambda f, li: f.volatility_index > li.volatility_index_max, lambda f: f.volatility_index, _at_once,
            "the external volatility index is over its limit"),
)


class Trip(NamedTuple):
    """Why the system killed itself."""

    trigger: str
    reason: str


class KillWatch:
    """Remembers since when each trigger has been over its limit."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}

    def look(self, now_ns: int, facts: KillFacts, limits: KillLimits) -> Trip | None:
        """The first trigger that has been over its limit for long enough; `now_ns` of a monotonic clock."""
        tripped = None
        for row in TRIGGERS:
            limit = row.limit(limits)
            over = limit > 0 and (facts.exposed or not row.exposed_only) and row.over(facts, limits)
            if not over:
                self._since.pop(row.name, None)
                continue
            held_ns = now_ns - self._since.setdefault(row.name, now_ns)
            if tripped is None and held_ns >= row.hold_s(limits) * NS_PER_S:
                tripped = Trip(row.name, f"{row.sentence} ({row.value(facts):g}, limit {limit:g})")
        return tripped
