"""Tiers: which one holds, no jump at a limit, what a leverage allows."""

from __future__ import annotations

import pytest

from core.sim.money import E8
from core.sim.risk_tiers import ladder, maintenance_e8, tier_index, tier_of, value_allowed_e8

TIERS = ladder(2_000_000 * E8, 10_000, 500_000, 5)


def test_ladder_values() -> None:
    """2,000,000 per step, 0.5 % each; deduction(2) = 2,000,000 * 0.5 % = 10,000; (3) = 10,000 + 4,000,000 * 0.5 %."""
    assert [t.mm_rate_e8 for t in TIERS] == [500_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000]
    assert [t.mm_deduction_e8 // E8 for t in TIERS] == [0, 10_000, 30_000, 60_000, 100_000]
    assert [t.im_rate_e8 for t in TIERS] == [1_000_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000]
    assert [t.max_leverage_e2 for t in TIERS] == [10_000, 6_666, 5_000, 4_000, 3_333]
    assert [t.id for t in TIERS] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("index", range(4))
def test_maintenance_is_continuous_at_a_limit(index: int) -> None:
    limit = TIERS[index].limit_value_e8
    assert tier_index(TIERS, limit) == index and tier_index(TIERS, limit + 1) == index + 1
    step = maintenance_e8(TIERS, limit + 1) - maintenance_e8(TIERS, limit)
    assert 0 <= step <= 1


def test_beyond_the_last_limit_the_last_tier_holds() -> None:
    assert tier_of(TIERS, 10**18) is TIERS[-1]


def test_value_allowed() -> None:
    assert value_allowed_e8(TIERS, 10_000) == 2_000_000 * E8
    assert value_allowed_e8(TIERS, 5_000) == 6_000_000 * E8
    assert value_allowed_e8(TIERS, 100) == 10_000_000 * E8
    assert value_allowed_e8(TIERS, 10_001) == 0
