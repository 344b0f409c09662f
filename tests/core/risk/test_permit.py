"""LIVE by accident is impossible: every combination of what may be missing refuses, and names each of the things missing."""

from __future__ import annotations

from itertools import chain, combinations

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
MISSING = {  # what can be missing or wrong: (change, name of the row, exit code, words of cause or fix)
    "tape": ({"tape": True}, "market", USAGE, "--mode SIM"),
    "flag": ({"flag": False}, "flag", USAGE, "--live"),
    "account": ({"account": ""}, "account", USAGE, "--i-understand"),
    "pin": ({"pin_trouble": "wrong PIN, 4 tries left"}, "PIN", CREDENTIALS, "4 tries left"),
    "endpoint": ({"key_trouble": "10003 API key is invalid"}, "endpoint", CREDENTIALS, "10003"),
    "clock": ({"clock_trouble": "this machine's clock is 900 ms off"}, "clock", PREFLIGHT, "900 ms"),
    "tier": ({"tier": "NONE"}, "tier", CONFIG, "CAPITAL_TIER=MICRO"),
    "evidence": ({"evidence_trouble": "damaged"}, "evidence", PREFLIGHT, "rollout reset"),
    "incident": ({"locked_until": "2026-11-24"}, "incident", PREFLIGHT, "2026-11-24"),
}
HIDES = {"endpoint": {"account"}}  # an exchange that does not take the key does not tell whose account it is


def test_everything_in_place_is_permitted():
    assert refusals(GOOD) == []
    assert warnings(GOOD) == []


SUBSETS = list(chain.from_iterable(combinations(MISSING, n) for n in range(1, len(MISSING) + 1)))


@pytest.mark.parametrize("key_present", [True, False])
def test_every_combination_of_what_is_missing_names_all_of_it(key_present):
    for names in SUBSETS:
        ask = GOOD._replace(key_present=key_present)
        for name in names:
            ask = ask._replace(**MISSING[name][0])
        found = refusals(ask)
        wanted = {MISSING[name][1] for name in names}
        for name in names:
            wanted -= HIDES.get(name, set())
        if not key_present:
            wanted = (wanted | {"key"}) - {"endpoint", "account"}
        assert {row.name for row in found} == wanted, names
        order = [need.name for need in NEEDS]
        assert [row.name for row in found] == sorted(wanted, key=order.index)
        assert all(row.cause and row.fix for row in found)


@pytest.mark.parametrize("name", MISSING)
def test_each_alone_has_its_code_cause_and_fix(name):
    change, row_name, code, words = MISSING[name]
    (row,) = refusals(GOOD._replace(**change))
    assert (row.name, row.code) == (row_name, code)
    assert words in row.cause + row.fix


@pytest.mark.parametrize(("change", "row_name", "code", "words"), [
    ({"key_present": False, "key": None, "other_keys": ("BYBIT_DEMO_API_KEY",)}, "key", CREDENTIALS, "BYBIT_DEMO_API_KEY"),
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
def test_what_a_key_or_a_tier_may_be(change, row_name, code, words):
    (row,) = refusals(GOOD._replace(**change))
    assert (row.name, row.code) == (row_name, code)
    assert words in row.cause + row.fix


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
    assert refusals(GOOD._replace(key=open_key._replace(expires_ms=NOW + 1))) == []
    assert warnings(GOOD._replace(key=open_key, key_trouble="10003")) == []
