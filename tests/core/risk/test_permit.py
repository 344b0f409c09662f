"""LIVE by accident is impossible: every combination of what may be missing refuses, and names each of the things missing."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from core.risk.permit import (
    CONFIG,
    CREDENTIALS,
    DAY_MS,
    NEEDS,
    PREFLIGHT,
    USAGE,
    Ask,
    KeyFacts,
    refusals,
    warnings,
)
from core.risk.tiers import Rank

NOW = 1_700_000_000_000
KEY = KeyFacts("4711", False, ("ContractTrade:Order", "ContractTrade:Position"), ("1.2.3.4",), 0)
GOOD = Ask(
    now_ms=NOW, endpoint="https://api.bybit.com", practice=False, tape=False, flag=True, account="4711", pin_set=True,
    pin_trouble="", key_names=("BYBIT_API_KEY", "BYBIT_API_SECRET"), other_keys=(), clock_trouble="", key_present=True,
    key_trouble="",
    key=KEY, tier="MICRO", tier_allowed=Rank.MICRO, evidence_trouble="", locked_until="",
)
AXES: dict[str, tuple[tuple[dict[str, Any], str], ...]] = {  # of each thing: (how it can be, the row that refuses it; "": none)
    "market": (({}, ""), ({"tape": True}, "market")),
    "flag": (({}, ""), ({"flag": False}, "flag")),
    "key": (
        ({}, ""), ({"key_present": False, "key": None}, "key"), ({"key_trouble": "10003 invalid", "key": None}, "endpoint"),
        ({"key": None}, "endpoint"), ({"key": KEY._replace(read_only=True)}, "permission to trade"),
        ({"key": KEY._replace(permissions=(*KEY.permissions, "Wallet:Withdraw"))}, "no permission to withdraw"),
        ({"key": KEY._replace(expires_ms=NOW)}, "expiry"),
    ),
    "clock": (({}, ""), ({"clock_trouble": "this machine's clock is 900 ms off"}, "clock")),
    "account": (({}, ""), ({"account": ""}, "account"), ({"account": "4712"}, "account")),
    "PIN": (({}, ""), ({"pin_trouble": "wrong PIN, 4 tries left"}, "PIN"), ({"pin_set": False}, "PIN")),
    "tier": (({}, ""), ({"tier": "NONE"}, "tier"), ({"tier": "PAPER"}, "tier"), ({"tier": "SMALL"}, "earned tier")),
    "evidence": (({}, ""), ({"evidence_trouble": "damaged"}, "evidence"), ({"locked_until": "2026-11-24"}, "incident")),
}
REAL_MONEY = {"flag", "account", "PIN", "evidence", "incident", "earned tier"}  # rows that practice is not asked for


def test_everything_in_place_is_permitted():
    assert refusals(GOOD) == []
    assert warnings(GOOD) == []
    assert (USAGE, CONFIG, CREDENTIALS, PREFLIGHT) == (2, 3, 4, 5)  # what scripts test for


def test_every_combination_of_everything_that_can_be_wrong_names_all_of_it():
    """Seven ways of a key, four of a tier, three of account, PIN and evidence ...: 12,096 starts, for real money and practice."""
    order = [need.name for need in NEEDS]
    for ways in product(*AXES.values()):
        change, wanted = {}, set()
        for way, row in ways:
            change |= way
            wanted.add(row)
        wanted -= {""}
        if {"key", "endpoint"} & wanted:
            wanted.discard("account")  # an exchange that does not take the key does not tell whose account it is
        if "incident" in wanted:
            wanted.discard("earned tier")  # PAPER only: no tier is a question
        ask = GOOD._replace(**change)
        found = refusals(ask)
        assert [row.name for row in found] == sorted(wanted, key=order.index), change
        assert all(row.cause and row.fix for row in found)
        if "key" in change and change["key"] is None and ask.key_present and not ask.key_trouble:
            wanted.discard("endpoint")  # an exchange of this machine may not run yet: it is not asked
        assert {row.name for row in refusals(ask._replace(practice=True))} == wanted - REAL_MONEY, change


@pytest.mark.parametrize(("change", "row_name", "code", "words"), [
    ({"tape": True}, "market", USAGE, "--mode SIM"),
    ({"flag": False}, "flag", USAGE, "--live"),
    ({"account": ""}, "account", USAGE, "--i-understand"),
    ({"account": ""}, "account", USAGE, "second confirmation is missing"),
    ({"account": "", "key": KEY._replace(account="")}, "account", USAGE, "second confirmation is missing"),
    ({"pin_trouble": "wrong PIN, 4 tries left"}, "PIN", CREDENTIALS, "4 tries left"),
    ({"pin_trouble": "it was not given"}, "PIN", CREDENTIALS, "SCALPER_LIVE_PIN"),
    ({"key_trouble": "10003 API key is invalid", "key": None}, "endpoint", CREDENTIALS, "10003"),
    ({"key_trouble": "10003", "key": KEY._replace(read_only=True), "account": ""}, "endpoint", CREDENTIALS, "10003"),
    ({"key": None}, "endpoint", CREDENTIALS, "told nothing"),
    ({"clock_trouble": "this machine's clock is 900 ms off"}, "clock", PREFLIGHT, "900 ms"),
    ({"tier": "NONE"}, "tier", CONFIG, "CAPITAL_TIER=MICRO"),
    ({"evidence_trouble": "damaged"}, "evidence", PREFLIGHT, "rollout reset"),
    ({"locked_until": "2026-11-24"}, "incident", PREFLIGHT, "2026-11-24"),
    ({"key_present": False}, "key", CREDENTIALS, "BYBIT_API_KEY and BYBIT_API_SECRET"),
    ({"key_present": False, "key": None, "other_keys": ("BYBIT_DEMO_API_KEY",)}, "key", CREDENTIALS, "BYBIT_DEMO_API_KEY"),
    ({"pin_set": False, "pin_trouble": "x"}, "PIN", CREDENTIALS, "no PIN is set"),
    ({"pin_set": False, "pin_trouble": "x"}, "PIN", CREDENTIALS, "launch.py pin set"),
    ({"account": "4712"}, "account", USAGE, "not the account of this key"),
    ({"key": KEY._replace(read_only=True)}, "permission to trade", CREDENTIALS, "read-only"),
    ({"key": KEY._replace(permissions=("ContractTrade:Order",))}, "permission to trade", CREDENTIALS, "Position"),
    ({"key": KEY._replace(permissions=("ContractTrade:Position",))}, "permission to trade", CREDENTIALS, "Order"),
    ({"key": KEY._replace(permissions=(*KEY.permissions, "Wallet:Withdraw"))}, "no permission to withdraw", CREDENTIALS,
     "withdraw"),
    ({"key": KEY._replace(expires_ms=NOW)}, "expiry", CREDENTIALS, "expired"),
    ({"tier": "PAPER"}, "tier", CONFIG, "CAPITAL_TIER"),
    ({"tier": "HUGE"}, "tier", CONFIG, "CAPITAL_TIER"),
    ({"tier": "SMALL"}, "earned tier", PREFLIGHT, "CAPITAL_TIER=MICRO"),
    ({"tier_allowed": Rank.PAPER}, "earned tier", PREFLIGHT, "PAPER"),
])
def test_each_alone_has_its_code_cause_and_fix(change, row_name, code, words):
    (row,) = refusals(GOOD._replace(**change))
    assert (row.name, row.code) == (row_name, code)
    assert words in row.cause + row.fix
    assert ("separate keys" in row.cause) == ("other_keys" in change)


def test_a_locked_account_is_told_of_the_lock_only():
    (row,) = refusals(GOOD._replace(locked_until="tomorrow", tier_allowed=Rank.PAPER))
    assert row.name == "incident"


def test_practice_needs_a_key_and_a_tier_and_says_what_it_is():
    bare = GOOD._replace(practice=True, flag=False, account="", pin_set=False, pin_trouble="none", key=None,
                         tier_allowed=Rank.PAPER, evidence_trouble="x", locked_until="y")
    assert refusals(bare) == []
    assert [row.name for row in refusals(bare._replace(tier="NONE", key_present=False, tape=True))] == ["market", "key", "tier"]
    (line,) = warnings(bare)
    assert "PRACTICE" in line and "no real money" in line
    assert [row.name for row in refusals(bare._replace(key=KEY._replace(permissions=("Wallet:Withdraw",))))] == [
        "permission to trade", "no permission to withdraw"]


def test_warnings_of_a_key():
    open_key = KEY._replace(ips=(), expires_ms=NOW + 90 * DAY_MS)
    unbound, expiry = warnings(GOOD._replace(key=open_key))
    assert "not bound" in unbound and expiry == "the key expires in 90 days"
    assert "make a new one" in warnings(GOOD._replace(key=open_key._replace(expires_ms=NOW + 13 * DAY_MS)))[1]
    for ms, soon in ((14 * 86_400_000 - 1, True), (14 * 86_400_000, False)):
        assert ("make a new one" in warnings(GOOD._replace(key=open_key._replace(expires_ms=NOW + ms)))[1]) == soon
    assert refusals(GOOD._replace(key=open_key._replace(expires_ms=NOW + 1))) == []
    assert warnings(GOOD._replace(key=open_key, key_trouble="10003")) == []
