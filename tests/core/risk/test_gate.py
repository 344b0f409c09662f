"""The gate: every row of the table at its edge (the last value that passes, the first that does not), alone and in order."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.constants import DAY_NS, HOUR_NS
from core.enums import Gate
from core.risk.gate import (
    CHECKS,
    FAR,
    UNKNOWN,
    Facts,
    Limits,
    Verdict,
    check,
    collar_bps,
    nonsense,
    price_limit_bps,
    risk_off,
)
from core.risk.tiers import TIERS

E8 = 10**8
S = 10**9
MONDAY_10H = 4 * DAY_NS + 10 * HOUR_NS  # 1970-01-05 10:00 UTC

LIMITS = Limits(
    max_positions=3, min_balance_e8=100 * E8, daily_loss_pct=3.0, max_heat_pct=5.0, max_unrealised_loss_pct=3.0,
    max_correlated_pct=60.0, min_margin_ratio_pct=50.0, max_orders_per_minute=10, collar_bps=100.0, liquidation_stops=2.0,
    open_liquidation_bps=300.0, max_adl_rank=3,
    skip_enabled=True, skip_weekdays=(0, 1, 2, 3, 4), skip_from_hour=9, skip_to_hour=18, volatility_index=20.0,
    volatility_index_max=30.0, intent_ttl_ns=2 * S,
)
GOOD = Facts(
    ts_ns=MONDAY_10H, age_ns=0, killed=False, paused=False, degraded=False, feed_down=False, mode_allows=True,
    live=False, settled=True, tier_allowed=0, churned=False, category_positions=2, max_category_positions=3, trades_day=2,
    orders_minute=9, available_e8=950 * E8, rolling_start_equity_e8=1000 * E8, correlated_e8=250 * E8,
    correlated_new_e8=125 * E8, max_notional_e8=125 * E8, leverage_e2=500, price_ticks=100_000, stop_ticks=99_500,
    mark_ticks=UNKNOWN, price_limit_e8=0, liquidation_bps=1900, open_liquidation_bps=FAR, adl_rank=0,
    blacklisted=False, trading=True, quarantined=False, duplicate=False, in_position=False, order_working=False,
    positions=2, balance_e8=1000 * E8, equity_e8=1000 * E8, day_start_equity_e8=1000 * E8, unrealised_e8=0,
    margin_used_e8=50 * E8, margin_new_e8=25 * E8, heat_e8=10 * E8, risk_new_e8=10 * E8, qty_lots=100, min_qty_lots=1,
    max_qty_lots=1000, notional_e8=125 * E8, min_notional_e8=5 * E8,
)
LIVE = replace(GOOD, live=True, tier_allowed=3, mark_ticks=100_500, price_limit_e8=E8 // 100, positions=1)
MICRO = replace(LIMITS, tier=TIERS["MICRO"])
NORMAL = replace(LIMITS, tier=TIERS["NORMAL"], max_positions=9)
SMALL_ACCOUNT = replace(
    LIVE, positions=0, trades_day=2, balance_e8=200 * E8, equity_e8=200 * E8, available_e8=200 * E8, margin_used_e8=0,
    day_start_equity_e8=200 * E8, rolling_start_equity_e8=200 * E8, heat_e8=0, risk_new_e8=E8, correlated_e8=0,
    correlated_new_e8=110 * E8, notional_e8=110 * E8,
)


class Edge(NamedTuple):
    """A change of the facts that just passes, one that just does not, and the refusal with its two numbers."""

    passes: dict[str, Any]
    fails: dict[str, Any]
    gate: Gate
    value: float = 0.0
    limit: float = 0.0
    facts: Facts = GOOD
    limits: Limits = LIMITS


EDGES = [
    Edge({}, {"killed": True}, Gate.KILLED),
    Edge({}, {"paused": True}, Gate.PAUSED),
    Edge({}, {"feed_down": True}, Gate.FEED),
    Edge({}, {"degraded": True}, Gate.DEGRADED),
    Edge({}, {"settled": False}, Gate.INTEGRITY),
    Edge({"tier_allowed": 1}, {"tier_allowed": 0}, Gate.TIER, 1, 0, SMALL_ACCOUNT, MICRO),
    Edge({"live": False}, {"live": True}, Gate.TIER, 0, 3, LIVE),
    Edge({"age_ns": 2 * S}, {"age_ns": 2 * S + 1}, Gate.EXPIRED, 2 * S + 1, 2 * S),
    Edge({}, {"duplicate": True}, Gate.DUPLICATE),
    Edge({}, {"blacklisted": True}, Gate.BLACKLIST),
    Edge({}, {"trading": False}, Gate.BLACKLIST),
    Edge({}, {"churned": True}, Gate.CHURN),
    Edge({}, {"quarantined": True}, Gate.DATA),
    Edge({"equity_e8": 1000 * E8}, {"equity_e8": 0}, Gate.DATA, 1, 0),
    Edge({"min_qty_lots": 0, "heat_e8": 0}, {"min_qty_lots": -1, "heat_e8": -1}, Gate.DATA, 2, 0),
    Edge({"ts_ns": MONDAY_10H + 4 * DAY_NS}, {"ts_ns": MONDAY_10H + 5 * DAY_NS}, Gate.SKIP_DAY, 5, 0),
    Edge({"ts_ns": MONDAY_10H + 8 * HOUR_NS - 1}, {"ts_ns": MONDAY_10H + 8 * HOUR_NS}, Gate.SKIP_HOURS, 18, 18),
    Edge({"ts_ns": MONDAY_10H - HOUR_NS}, {"ts_ns": MONDAY_10H - HOUR_NS - 1}, Gate.SKIP_HOURS, 8, 18),
    Edge({}, {"in_position": True}, Gate.IN_POSITION),
    Edge({}, {"order_working": True}, Gate.IN_POSITION),
    Edge({"positions": 2}, {"positions": 3}, Gate.MAX_POSITIONS, 3, 3),
    Edge({"positions": 0}, {"positions": 1}, Gate.MAX_POSITIONS, 1, 1, SMALL_ACCOUNT, MICRO),
    Edge({"category_positions": 2}, {"category_positions": 3}, Gate.SYMBOL_LIMIT, 3, 3),
    Edge({"trades_day": 2}, {"trades_day": 3}, Gate.TRADES_A_DAY, 3, 3, SMALL_ACCOUNT, MICRO),
    Edge({"orders_minute": 9}, {"orders_minute": 10}, Gate.ORDER_RATE, 10, 10),
    Edge({"equity_e8": 970 * E8 + 1}, {"equity_e8": 970 * E8}, Gate.DAILY_LOSS, 3.0, 3.0),
    Edge({"day_start_equity_e8": 1030 * E8}, {"day_start_equity_e8": 1250 * E8}, Gate.DAILY_LOSS, 20.0, 3.0),
    Edge({"rolling_start_equity_e8": 1030 * E8}, {"rolling_start_equity_e8": 1250 * E8}, Gate.DAILY_LOSS, 20.0, 3.0),
    # MICRO: 2 % of 200 USDT of capital
    Edge({"equity_e8": 196 * E8 + 1}, {"equity_e8": 196 * E8}, Gate.DAILY_LOSS, 2.0, 2.0, SMALL_ACCOUNT, MICRO),
    # no setting allows more than the ceiling
    Edge({"equity_e8": 950 * E8 + 1}, {"equity_e8": 950 * E8}, Gate.DAILY_LOSS, 5.0, 5.0, GOOD,
         replace(LIMITS, daily_loss_pct=80.0)),
    Edge({"unrealised_e8": -30 * E8 + 1}, {"unrealised_e8": -30 * E8}, Gate.HEAT, 3.0, 3.0),
    Edge({"adl_rank": 3}, {"adl_rank": 4}, Gate.ADL, 4, 3),
    Edge({"adl_rank": 0}, {"adl_rank": UNKNOWN}, Gate.ADL, -1, 3, LIVE, NORMAL),
    Edge({"open_liquidation_bps": 300}, {"open_liquidation_bps": 299}, Gate.LIQUIDATION, 299, 300),
    Edge({"open_liquidation_bps": 300}, {"open_liquidation_bps": UNKNOWN}, Gate.LIQUIDATION, -1, 300, LIVE, NORMAL),
    Edge({"leverage_e2": 2500}, {"leverage_e2": 2501}, Gate.LEVERAGE, 25.01, 25.0),
    Edge({"leverage_e2": 100}, {"leverage_e2": 99}, Gate.LEVERAGE, 0.99, 25.0),
    Edge({"stop_ticks": 99_500}, {"stop_ticks": 0}, Gate.NO_STOP, 0, 1),
    Edge({"mark_ticks": 101_000, "price_ticks": 102_010, "stop_ticks": 102_000, "price_limit_e8": E8},
         {"mark_ticks": 100_000, "price_ticks": 102_010, "stop_ticks": 102_000, "price_limit_e8": E8},
         Gate.COLLAR, 201.0, 100.0, LIVE, NORMAL),
    Edge({"mark_ticks": 101_000}, {"mark_ticks": 101_100}, Gate.COLLAR, 1100 / 101_100 * 10_000, 100.0, LIVE, NORMAL),
    Edge({"mark_ticks": 100_001}, {"mark_ticks": UNKNOWN}, Gate.COLLAR, -1, 100.0, LIVE, NORMAL),
    Edge({"mark_ticks": 100_001}, {"mark_ticks": 0}, Gate.COLLAR, -1, 100.0, LIVE, NORMAL),
    Edge({"price_limit_e8": E8 // 1000, "mark_ticks": 100_100}, {"price_limit_e8": E8 // 1000, "mark_ticks": 100_125},
         Gate.COLLAR, 125 / 100_125 * 10_000, 10.0, LIVE, NORMAL),
    Edge({"price_limit_e8": E8}, {"price_limit_e8": 0}, Gate.COLLAR, 500 / 100_500 * 10_000, -1, LIVE, NORMAL),
    Edge({"liquidation_bps": 100}, {"liquidation_bps": 99}, Gate.LIQUIDATION, 99, 100.0),
    Edge({"qty_lots": 1, "min_qty_lots": 0}, {"qty_lots": 0, "min_qty_lots": 0}, Gate.MIN_SIZE, 0, 0),
    Edge({"min_qty_lots": 100}, {"min_qty_lots": 101}, Gate.MIN_SIZE, 100, 101),
    Edge({"min_notional_e8": 125 * E8}, {"min_notional_e8": 126 * E8}, Gate.MIN_SIZE, 125.0, 126.0),
    Edge({"max_qty_lots": 100}, {"max_qty_lots": 99}, Gate.SYMBOL_LIMIT, 100, 99),
    Edge({"max_qty_lots": 0}, {"max_qty_lots": 1}, Gate.SYMBOL_LIMIT, 100, 1),
    Edge({"notional_e8": 125 * E8}, {"notional_e8": 126 * E8}, Gate.SYMBOL_LIMIT, 126.0, 125.0),
    Edge({"balance_e8": 100 * E8}, {"balance_e8": 99 * E8}, Gate.BALANCE, 99.0, 100.0),
    Edge({"margin_used_e8": 975 * E8}, {"margin_used_e8": 976 * E8}, Gate.BALANCE, 1001.0, 1000.0, GOOD,
         replace(LIMITS, min_margin_ratio_pct=0.0)),
    Edge({"available_e8": 25 * E8}, {"available_e8": 24 * E8}, Gate.BALANCE, 25.0, 24.0),
    Edge({"margin_new_e8": 25 * E8}, {"margin_new_e8": 26 * E8}, Gate.TIER, 26.0, 25.0, SMALL_ACCOUNT, MICRO),
    Edge({"margin_used_e8": 175 * E8}, {"margin_used_e8": 176 * E8}, Gate.TIER, 201.0, 200.0,
         replace(SMALL_ACCOUNT, equity_e8=500 * E8, available_e8=500 * E8), replace(MICRO, daily_loss_pct=5.0)),
    Edge({"margin_used_e8": 475 * E8}, {"margin_used_e8": 485 * E8}, Gate.MARGIN_RATIO, 49.0, 50.0),
    Edge({"risk_new_e8": 40 * E8}, {"risk_new_e8": 50 * E8}, Gate.HEAT, 6.0, 5.0),
    Edge({"risk_new_e8": 10 * E8}, {"risk_new_e8": 12 * E8}, Gate.HEAT, 6.0, 5.0, SMALL_ACCOUNT, MICRO),
    Edge({"correlated_e8": 475 * E8}, {"correlated_e8": 485 * E8}, Gate.CORRELATED, 61.0, 60.0),
    Edge({}, {"mode_allows": False}, Gate.MODE),
]  # fmt: skip


def test_nothing_wrong_passes():
    assert check(GOOD, LIMITS) == (Gate.NONE, 0.0, 0.0) and check(GOOD, LIMITS).allowed
    assert check(LIVE, NORMAL).allowed
    assert check(SMALL_ACCOUNT, MICRO).allowed
    assert risk_off(GOOD, LIMITS) == Gate.NONE
    assert not Verdict(Gate.MODE, 0, 0).allowed


@pytest.mark.parametrize("edge", EDGES, ids=lambda e: f"{e.gate.name}-{'-'.join(e.fails)}")
def test_each_row_at_its_edge(edge):
    assert check(replace(edge.facts, **edge.passes), edge.limits) == (Gate.NONE, 0.0, 0.0)
    verdict = check(replace(edge.facts, **edge.fails), edge.limits)
    assert verdict.gate == edge.gate
    assert verdict[1:] == pytest.approx((edge.value, edge.limit), abs=1e-9)
    assert not verdict.allowed


def test_every_check_has_an_edge():
    for number, row in enumerate(CHECKS):
        assert len(row.sentence) > 10
        if row.gate == Gate.SKIP_VOLATILITY:  # depends on the settings alone: its own test
            continue
        assert any(not row.passes(replace(e.facts, **e.fails), e.limits) and row.gate == e.gate for e in EDGES), (
            f"check {number} ({row.sentence}) never fails in this table")
        assert row.passes(GOOD, LIMITS)


def test_the_first_failing_row_names_the_reason():
    for i, first in enumerate(EDGES):
        for second in EDGES[i + 1:]:
            if first.facts is not GOOD or second.facts is not GOOD or first.fails.keys() & second.fails.keys():
                continue
            if first.limits is not LIMITS or second.limits is not LIMITS:
                continue
            facts = replace(GOOD, **first.fails, **second.fails)
            verdict = check(facts, LIMITS)
            failing = [row.gate for row in CHECKS if not row.passes(facts, LIMITS)]
            assert verdict.gate == failing[0] and {first.gate, second.gate} & set(failing)


NUMBERS = [f.name for f in fields(Facts) if f.type in ("int", int) and f.name not in ("ts_ns", "tier_allowed", "unrealised_e8")]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-10**15, math.nan])
def test_nonsense_refuses_in_live(name, value):
    """Negative or not a number: refused in LIVE whatever it is. Only a few may be unknown in SIM."""
    facts = replace(LIVE, **{name: value})
    optional = {"price_limit_e8"} if value == value else set()  # a negative limit is an unknown one
    assert not check(facts, NORMAL).allowed or name in optional
    if name not in ("mark_ticks", "price_limit_e8", "open_liquidation_bps", "adl_rank"):
        assert not check(replace(GOOD, **{name: value}), LIMITS).allowed


@pytest.mark.parametrize("name", [
    f.name for f in fields(Limits) if f.type in ("int", int, "float", float) and not f.name.startswith("skip")])
def test_a_limit_that_is_no_number_refuses(name):
    assert not check(LIVE, replace(NORMAL, **{name: math.nan})).allowed


def test_unknown_numbers_pass_in_sim_and_refuse_in_live():
    unknown = {"mark_ticks": UNKNOWN, "price_limit_e8": 0, "open_liquidation_bps": UNKNOWN, "adl_rank": UNKNOWN}
    assert check(replace(GOOD, **unknown), LIMITS).allowed
    for name, value in unknown.items():
        assert not check(replace(LIVE, **{name: value}), NORMAL).allowed
    assert nonsense(GOOD) == 0


def test_normal_grows_with_the_account():
    rich = replace(LIVE, equity_e8=2000 * E8, available_e8=2000 * E8, balance_e8=2000 * E8, day_start_equity_e8=2000 * E8,
                   rolling_start_equity_e8=2000 * E8, positions=2, margin_new_e8=101 * E8, notional_e8=125 * E8)
    assert check(rich, NORMAL) == (Gate.TIER, 101.0, 100.0)
    more = replace(rich, equity_e8=2000 * E8 + 1)
    assert check(more, NORMAL).allowed
    assert check(replace(more, margin_new_e8=150 * E8), NORMAL).allowed
    assert check(replace(more, margin_new_e8=151 * E8), NORMAL) == (Gate.TIER, 151.0, 150.0)
    assert check(replace(more, positions=3), NORMAL) == (Gate.MAX_POSITIONS, 3, 3)
    assert check(replace(more, margin_used_e8=900 * E8), NORMAL) == (Gate.TIER, 1001.0, 1000.0)
    over = replace(rich, positions=8, equity_e8=5000 * E8 + 1, day_start_equity_e8=5000 * E8, margin_used_e8=1900 * E8,
                   rolling_start_equity_e8=5000 * E8, heat_e8=240 * E8, available_e8=3000 * E8)
    assert check(over, NORMAL).allowed  # heat and the settings decide now
    assert check(replace(over, positions=9), NORMAL) == (Gate.MAX_POSITIONS, 9, 9)
    assert check(replace(over, heat_e8=241 * E8), NORMAL).gate == Gate.HEAT
    assert check(replace(over, equity_e8=5000 * E8), NORMAL).gate != Gate.NONE
    assert check(replace(over, trades_day=7), NORMAL) == (Gate.TRADES_A_DAY, 7, 7)


def test_a_setting_tighter_than_the_tier_holds():
    assert check(replace(LIVE, positions=1), replace(NORMAL, max_positions=1)) == (Gate.MAX_POSITIONS, 1, 1)
    assert check(replace(LIVE, equity_e8=989 * E8), replace(NORMAL, daily_loss_pct=1.0)).gate == Gate.DAILY_LOSS


@settings(deadline=None)
@given(st.integers(1, 10**13), st.integers(-10**13, 10**13), st.integers(0, 10**13))
def test_limits_hold_whatever_the_numbers(balance, equity, risk):
    facts = replace(GOOD, balance_e8=balance, equity_e8=equity, risk_new_e8=risk)
    if check(facts, LIMITS).allowed:
        assert balance >= LIMITS.min_balance_e8
        assert (facts.heat_e8 + risk) * 100 <= equity * LIMITS.max_heat_pct
        assert (facts.day_start_equity_e8 - equity) * 100 < 3.0 * facts.day_start_equity_e8


@pytest.mark.parametrize(("change", "gate"), [
    ({"killed": True}, Gate.KILLED), ({"paused": True}, Gate.PAUSED), ({"feed_down": True}, Gate.FEED),
    ({"degraded": True}, Gate.DEGRADED), ({"settled": False}, Gate.INTEGRITY), ({"positions": 3}, Gate.MAX_POSITIONS),
    ({"unrealised_e8": -30 * E8}, Gate.HEAT), ({"unrealised_e8": -30 * E8 + 1}, Gate.NONE),
    ({"balance_e8": 100 * E8}, Gate.NONE), ({"balance_e8": 99 * E8}, Gate.BALANCE), ({"blacklisted": True}, Gate.NONE),
    ({"qty_lots": 0}, Gate.NONE), ({"ts_ns": MONDAY_10H + 5 * DAY_NS}, Gate.SKIP_DAY), ({"mode_allows": False}, Gate.MODE),
    ({"ts_ns": MONDAY_10H + 8 * HOUR_NS}, Gate.SKIP_HOURS), ({"orders_minute": 10}, Gate.ORDER_RATE),
    ({"equity_e8": 970 * E8}, Gate.DAILY_LOSS), ({"adl_rank": 4}, Gate.ADL), ({"live": True}, Gate.TIER),
])
def test_risk_off_tells_what_concerns_every_symbol(change, gate):
    assert risk_off(replace(GOOD, **change), LIMITS) == gate


def test_risk_off_of_a_tier():
    assert risk_off(SMALL_ACCOUNT, MICRO) == Gate.NONE
    assert risk_off(replace(SMALL_ACCOUNT, trades_day=3), MICRO) == Gate.TRADES_A_DAY


def test_a_volatility_index_over_its_limit_stops_entries():
    wild = replace(LIMITS, volatility_index=30.5)
    assert check(GOOD, wild) == (Gate.SKIP_VOLATILITY, 30.5, 30.0) and risk_off(GOOD, wild) == Gate.SKIP_VOLATILITY
    assert check(GOOD, replace(wild, volatility_index=30.0)).allowed
    assert check(GOOD, replace(wild, skip_enabled=False)).allowed
    assert check(GOOD, replace(wild, volatility_index=0.0)).allowed  # not known


def test_without_the_skip_filters_every_hour_is_good():
    always = replace(LIMITS, skip_enabled=False)
    assert check(replace(GOOD, ts_ns=MONDAY_10H + 5 * DAY_NS), always).allowed
    assert check(replace(GOOD, ts_ns=MONDAY_10H + 10 * HOUR_NS), always).allowed


@pytest.mark.parametrize("name", [
    "age_ns", "positions", "category_positions", "trades_day", "orders_minute", "balance_e8", "margin_used_e8",
    "margin_new_e8", "heat_e8", "risk_new_e8", "correlated_e8", "correlated_new_e8", "qty_lots", "min_qty_lots",
    "max_qty_lots", "notional_e8", "min_notional_e8", "stop_ticks", "equity_e8", "day_start_equity_e8",
    "rolling_start_equity_e8", "price_ticks",
])
def test_each_number_that_cannot_be_is_counted(name):
    assert nonsense(replace(GOOD, **{name: -1})) == 1
    positive = name in ("equity_e8", "day_start_equity_e8", "rolling_start_equity_e8", "price_ticks")
    assert nonsense(replace(GOOD, **{name: 0})) == int(positive)
    assert nonsense(replace(GOOD, **{name: 1})) == 0


def test_no_tier_is_above_the_ceiling():
    loose = replace(LIMITS, daily_loss_pct=80.0, tier=TIERS["NORMAL"]._replace(daily_loss_pct=90.0))
    assert check(replace(LIVE, equity_e8=950 * E8, available_e8=950 * E8), loose) == (Gate.DAILY_LOSS, 5.0, 5.0)


def test_an_empty_account_is_told_and_divides_by_nothing():
    empty = replace(GOOD, balance_e8=0, equity_e8=0, day_start_equity_e8=0, rolling_start_equity_e8=0)
    assert risk_off(empty, LIMITS) == Gate.BALANCE
    assert check(empty, LIMITS).gate == Gate.DATA


def test_a_price_exactly_at_the_limit_and_the_smallest_numbers():
    at = replace(LIVE, price_ticks=100_100, mark_ticks=100_000, price_limit_e8=E8 // 1000)
    assert check(at, NORMAL).allowed
    assert collar_bps(replace(LIVE, mark_ticks=1, price_ticks=1)) == 0.0
    assert price_limit_bps(replace(LIVE, price_limit_e8=1)) == 1e-4
