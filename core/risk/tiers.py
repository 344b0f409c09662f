"""Capital tiers (requirement B2): how much of the account may be at work, one table. Money in 1e-8 USDT.

A tier only tightens: the smaller of a setting and of the tier holds. Without a tier (SIM) the settings alone hold. What no
setting and no tier can loosen stands here too.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from core.constants import E8

MAX_LEVERAGE_E2 = 2500  # absolute ceilings: never configured
MAX_DAILY_LOSS_PCT = 5.0


class Rank(IntEnum):
    """How far an account may go; PAPER: no real orders at all."""

    PAPER = 0
    MICRO = 1
    SMALL = 2
    NORMAL = 3


class Growth(NamedTuple):
    """From `equity_e8` on: capital per trade, and whether heat replaces the number of positions as the limit."""

    equity_e8: int
    per_trade_e8: int
    heat_decides: bool


class Tier(NamedTuple):
    """One row of B2. `per_trade_e8` is margin: the capital one entry ties up."""

    rank: Rank
    max_capital_e8: int
    per_trade_e8: int
    concurrent: int
    trades_a_day: int
    daily_loss_pct: float
    growth: tuple[Growth, ...] = ()  # rising equity

    def grown(self, equity_e8: int) -> Growth:
        """What holds at an equity: the last step of growth reached, else the row itself."""
        reached = Growth(0, self.per_trade_e8, False)
        for step in self.growth:
            if equity_e8 > step.equity_e8:
                reached = step
        return reached


TIERS: dict[str, Tier] = {
    "MICRO": Tier(Rank.MICRO, 200 * E8, 25 * E8, 1, 3, 2.0),
    "SMALL": Tier(Rank.SMALL, 500 * E8, 50 * E8, 2, 5, 3.0),
    "NORMAL": Tier(Rank.NORMAL, 1_000 * E8, 100 * E8, 3, 7, 5.0, (
        Growth(2_000 * E8, 150 * E8, False),
        Growth(5_000 * E8, 150 * E8, True),
    )),
}  # fmt: skip
