"""The gate: every row of the table fails for exactly its reason, in the order of the table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.enums import Gate
from core.risk.gate import CHECKS, Facts, Limits, check, risk_off

E8 = 10**8
MONDAY_10H = 4 * 86_400 * 10**9 + 10 * 3_600 * 10**9  # 1970-01-05 10:00 UTC

LIMITS = Limits(
    max_positions=3, min_balance_e8=100 * E8, daily_loss_pct=3.0, max_heat_pct=5.0, max_unrealised_loss_pct=3.0,
    skip_enabled=True, skip_weekdays=(0, 1, 2, 3, 4), skip_from_hour=9, skip_to_hour=18, volatility_index=20.0,
    volatility_index_max=30.0, intent_ttl_ns=2 * 10**9,
)
GOOD = Facts(
    ts_ns=MONDAY_10H, age_ns=0, killed=False, paused=False, degraded=False, feed_down=False, mode_allows=True,
    blacklisted=False, trading=True, quarantined=False, duplicate=False, in_position=False, order_working=False,
    positions=2, balance_e8=1000 * E8, equity_e8=1000 * E8, day_start_equity_e8=1000 * E8, unrealised_e8=0,
    margin_used_e8=50 * E8, margin_new_e8=25 * E8, heat_e8=10 * E8, risk_new_e8=10 * E8, qty_lots=100, min_qty_lots=1,
    max_qty_lots=1000, notional_e8=125 * E8, min_notional_e8=5 * E8,
)
BREAKS: list[tuple[dict, Gate]] = [
    ({"killed": True}, Gate.KILLED),
    ({"paused": True}, Gate.PAUSED),
    ({"feed_down": True}, Gate.FEED),
    ({"degraded": True}, Gate.DEGRADED),
    ({"age_ns": 2 * 10**9 + 1}, Gate.EXPIRED),
    ({"duplicate": True}, Gate.DUPLICATE),
    ({"blacklisted": True}, Gate.BLACKLIST),
    ({"trading": False}, Gate.BLACKLIST),
    ({"quarantined": True}, Gate.DATA),
    ({"ts_ns": MONDAY_10H + 8 * 3_600 * 10**9}, Gate.SKIP_HOURS),
    ({"ts_ns": MONDAY_10H - 2 * 3_600 * 10**9}, Gate.SKIP_HOURS),
    ({"ts_ns": MONDAY_10H + 5 * 86_400 * 10**9}, Gate.SKIP_DAY),
    ({"in_position": True}, Gate.IN_POSITION),
    ({"order_working": True}, Gate.IN_POSITION),
    ({"positions": 3}, Gate.MAX_POSITIONS),
    ({"equity_e8": 970 * E8}, Gate.DAILY_LOSS),
    ({"unrealised_e8": -30 * E8}, Gate.HEAT),
    ({"qty_lots": 0, "min_qty_lots": 0}, Gate.MIN_SIZE),
    ({"min_qty_lots": 101}, Gate.MIN_SIZE),
    ({"min_notional_e8": 126 * E8}, Gate.MIN_SIZE),
    ({"max_qty_lots": 99}, Gate.SYMBOL_LIMIT),
    ({"balance_e8": 99 * E8}, Gate.BALANCE),
    ({"margin_used_e8": 976 * E8}, Gate.BALANCE),
    ({"risk_new_e8": 41 * E8}, Gate.HEAT),
    ({"mode_allows": False}, Gate.MODE),
]


def test_nothing_wrong_passes():
    assert check(GOOD, LIMITS).allowed
    assert check(replace(GOOD, max_qty_lots=0), LIMITS).allowed
    assert risk_off(GOOD, LIMITS) == Gate.NONE


@pytest.mark.parametrize(("change", "gate"), BREAKS)
def test_each_row_refuses_alone(change, gate):
    assert check(replace(GOOD, **change), LIMITS).gate == gate


def test_every_check_is_covered():
    for number, row in enumerate(CHECKS):
        if row.gate == Gate.SKIP_VOLATILITY:  # depends on the settings alone
            continue
        fails = [change for change, _ in BREAKS if not row.passes(replace(GOOD, **change), LIMITS)]
        assert fails, f"check {number} ({row.sentence}) never fails in this table"
        assert row.passes(GOOD, LIMITS)
        assert len(row.sentence) > 10


def test_the_first_failing_row_names_the_reason():
    order = [row.gate for row in CHECKS]
    for i, (first, gate) in enumerate(BREAKS):
        for second, other in BREAKS[i + 1:]:
            if first.keys() & second.keys():
                continue
            verdict = check(replace(GOOD, **first, **second), LIMITS).gate
            assert verdict in (gate, other)
            if gate != other and gate != Gate.HEAT and other != Gate.HEAT:
                assert verdict == min((gate, other), key=order.index)


@settings(deadline=None)
@given(st.integers(1, 10**13), st.integers(-10**13, 10**13), st.integers(0, 10**13))
def test_limits_hold_whatever_the_numbers(balance, equity, risk):
    facts = replace(GOOD, balance_e8=balance, equity_e8=equity, risk_new_e8=risk)
    if check(facts, LIMITS).allowed:
        assert balance >= LIMITS.min_balance_e8
        assert (facts.heat_e8 + risk) * 100 <= equity * LIMITS.max_heat_pct
        assert (facts.day_start_equity_e8 - equity) * 100 < 3.0 * facts.day_start_equity_e8


@pytest.mark.parametrize(("change", "gate"), [
    ({"killed": True}, Gate.KILLED), ({"positions": 3}, Gate.MAX_POSITIONS), ({"unrealised_e8": -50 * E8}, Gate.HEAT),
    ({"balance_e8": 50 * E8}, Gate.BALANCE), ({"blacklisted": True}, Gate.NONE), ({"qty_lots": 0}, Gate.NONE),
])
def test_risk_off_tells_what_concerns_every_symbol(change, gate):
    assert risk_off(replace(GOOD, **change), LIMITS) == gate


def test_a_volatility_index_over_its_limit_stops_entries():
    wild = replace(LIMITS, volatility_index=30.5)
    assert check(GOOD, wild) == (Gate.SKIP_VOLATILITY, 30.5, 30.0) and risk_off(GOOD, wild) == Gate.SKIP_VOLATILITY
    assert check(GOOD, replace(wild, skip_enabled=False)).allowed
    assert check(GOOD, replace(wild, volatility_index=0.0)).allowed  # not known
