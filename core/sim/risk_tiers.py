"""Risk limit tiers: which margin rates hold for which position value.

Tiers are marginal (BYBIT.md 12): maintenance = value * mm_rate - mm_deduction with the rate of the tier the value lies
in, and the deductions make it continuous, so a step of a tier never jumps:

    deduction(k) = deduction(k-1) + limit(k-1) * (mm_rate(k) - mm_rate(k-1))
"""

from __future__ import annotations

from core.sim.margin_types import RiskTier
from core.sim.money import E8, ceil_div


def tier_index(tiers: tuple[RiskTier, ...], value_e8: int) -> int:
    """Index of the tier for a value: the first whose limit is not passed; the last one beyond all limits."""
    for index, tier in enumerate(tiers):
        if value_e8 <= tier.limit_value_e8:
            return index
    return len(tiers) - 1


def tier_of(tiers: tuple[RiskTier, ...], value_e8: int) -> RiskTier:
    return tiers[tier_index(tiers, value_e8)]


def maintenance_e8(tiers: tuple[RiskTier, ...], value_e8: int) -> int:
    """Maintenance margin of a position value without the closing fee, rounded up."""
    tier = tier_of(tiers, value_e8)
    return ceil_div(value_e8 * tier.mm_rate_e8, E8) - tier.mm_deduction_e8


def value_allowed_e8(tiers: tuple[RiskTier, ...], leverage_e2: int) -> int:
    """Largest position plus order value that may be held with a leverage: the limit of the last tier allowing it."""
    return max((tier.limit_value_e8 for tier in tiers if tier.max_leverage_e2 >= leverage_e2), default=0)


def ladder(
    first_limit_e8: int, max_leverage_e2: int, mm_rate_e8: int, steps: int, first_id: int = 1
) -> tuple[RiskTier, ...]:
    """A regular ladder in the manner of Bybit's tables, for instruments whose real tiers are not at hand: equal steps of
    value, each adding `mm_rate_e8` to the maintenance and to the initial margin rate; deductions as in the head of the
    module. The first tier has 1 / max leverage (rounded up) as initial margin rate and allows all of it."""
    tiers: list[RiskTier] = []
    im_rate = ceil_div(100 * E8, max_leverage_e2)
    deduction = 0
    for step in range(steps):
        if step:
            deduction += ceil_div(tiers[-1].limit_value_e8 * mm_rate_e8, E8)
        im = im_rate + step * mm_rate_e8
        leverage_e2 = min(max_leverage_e2, 100 * E8 // im) if step else max_leverage_e2
        tiers.append(
            RiskTier(first_id + step, first_limit_e8 * (step + 1), im, mm_rate_e8 * (step + 1), deduction, leverage_e2)
        )
    return tuple(tiers)
