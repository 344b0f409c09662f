"""Gathers from boards, account and link what the kill triggers look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from config.schema import Settings
from core.enums import DataState, GlobalRegime
from core.orders.broker import Broker, Controls
from core.orders.kill_triggers import KillFacts, KillWatch, Trip, kill_limits
from core.records import GLOBAL
from core.risk.gate import UNKNOWN, daily_loss_pct
from shm.topology import Plant


class LinkHealth(NamedTuple):
    """The state of the connections to the exchange, and how many orders it refused or lost in the last minute."""

    private_up: bool = True
    rest_up: bool = True
    failures_per_min: int = 0


class PlantWatch:
    """`link()` tells the health of the order link; without one (SIM, DRY_RUN) nothing can fail there."""

    def __init__(self, plant: Plant, broker: Broker, link: Callable[[], LinkHealth] = LinkHealth) -> None:
        self._plant = plant
        self._broker = broker
        self.link = link
        self._watch = KillWatch()
        self._symbol_row: np.ndarray = np.zeros(1, plant.symbol_rows().dtype)
        self._global_row: np.ndarray = np.zeros(1, GLOBAL.dtype)
        self._regime = int(GlobalRegime.GLOBAL_NORMAL)
        self._told = (0, 0)  # event time of the account's last message, and when that was seen

    def event_ns(self, now_ns: int) -> int:
        """Event time at `now_ns` (monotonic): it goes on when nothing is told, as after a kill."""
        if self._told[0] != self._broker.account.updated_ns or not self._told[1]:
            self._told = self._broker.account.updated_ns, now_ns
        return self._told[0] + now_ns - self._told[1]

    def look(self, now_ns: int, controls: Controls, settings: Settings) -> Trip | None:
        """The trigger that has tripped, if any."""
        return self._watch.look(now_ns, self.facts(now_ns, controls, settings), kill_limits(settings))

    def facts(self, now_ns: int, controls: Controls, settings: Settings) -> KillFacts:
        """What holds now."""
        broker, link = self._broker, self.link()
        held = broker.account.positions.keys() | broker.working.keys()
        if self._plant.global_regime().read_into(0, self._global_row) > 0:
            self._regime = int(self._global_row[0]["regime"])
        return KillFacts(
            exposed=bool(held), private_up=link.private_up, rest_up=link.rest_up, global_regime=self._regime,
            spread_bps=self._widest_spread_bps(held), failures_per_min=link.failures_per_min,
            day_loss_pct=self._day_loss_pct(now_ns, controls),
            volatility_index=settings.skip.volatility_index,
        )

    def _day_loss_pct(self, now_ns: int, controls: Controls) -> float:
        """Of the UTC day or of 24 h, the larger; 0 while the exchange has not told the equity."""
        facts = self._broker.facts(self.event_ns(now_ns), controls)
        return 0.0 if facts.equity_e8 == UNKNOWN else daily_loss_pct(facts, self._broker.policy.limits)

    def _widest_spread_bps(self, symbols: Iterable[int]) -> float:
        """Of books that are believed; a broken one is the business of the quarantine."""
        rows, row = self._plant.symbol_rows(), self._symbol_row
        spreads = [
            float(row[0]["spread_bps"]) for symbol in symbols
            if rows.read_into(symbol, row) > 0 and row[0]["data_state"] == DataState.OK
        ]
        return max(spreads, default=0.0)
