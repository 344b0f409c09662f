"""Accounts and keys: seeded, refused for the documented reasons, described by query-api."""

from __future__ import annotations

import pytest

from gateway.venue.accounts import (
    DAY_MS,
    ELSEWHERE,
    KEY_KINDS,
    KEY_LIFE_MS,
    LOOPBACK,
    ORDER,
    POSITION,
    Accounts,
    key_information,
    order_key,
    refusal_of,
)

NOW = 1_790_000_000_000


def test_same_seed_same_keys() -> None:
    first, again, other = Accounts(3, 7, NOW), Accounts(3, 7, NOW + 5), Accounts(3, 8, NOW)
    assert first.announced() == again.announced()
    keys = [row["api_key"] for row in first.announced()] + [row["api_key"] for row in other.announced()]
    assert len(set(keys)) == 6 and len(set(first.uids)) == 3
    for row in first.announced():
        assert len(str(row["api_key"])) == 18 and len(str(row["api_secret"])) == 36
    assert Accounts(5, 7, NOW).announced()[:3] == first.announced()


@pytest.mark.parametrize(("kind", "ip", "later_ms", "code"), [
    ("trade", LOOPBACK, 0, 0), ("trade", ELSEWHERE, 0, 0), ("trade", LOOPBACK, KEY_LIFE_MS - 1, 0),
    ("trade", LOOPBACK, KEY_LIFE_MS, 33004), ("expired", LOOPBACK, 0, 33004), ("bound", LOOPBACK, KEY_LIFE_MS * 9, 0),
    ("bound", ELSEWHERE, 0, 10010), ("bound_elsewhere", LOOPBACK, 0, 10010), ("withdraw", LOOPBACK, 0, 0),
])
def test_refusals(kind: str, ip: str, later_ms: int, code: int) -> None:
    accounts = Accounts(1, 1, NOW)
    key = accounts.issue(accounts.uids[0], kind, NOW)
    found = refusal_of(accounts.find(key.key), ip, NOW + later_ms)
    assert (found[0] if found else 0) == code


def test_unknown_and_revoked_keys() -> None:
    accounts = Accounts(1, 1, NOW)
    key = accounts.issue(accounts.uids[0], "trade", NOW)
    assert accounts.revoke(key.key) and not accounts.revoke(key.key)
    assert refusal_of(accounts.find(key.key), LOOPBACK, NOW) == (10003, "API key is invalid.")


@pytest.mark.parametrize(("kind", "reads", "trades", "manages"), [
    ("trade", True, True, True), ("read_only", True, False, False), ("order_only", True, True, False),
    ("spot_only", False, False, False), ("withdraw", True, True, True),
])
def test_rights(kind: str, reads: bool, trades: bool, manages: bool) -> None:
    accounts = Accounts(1, 1, NOW)
    key = accounts.issue(accounts.uids[0], kind, NOW)
    assert (key.may(ORDER, False), key.may(ORDER, True), key.may(POSITION, True)) == (reads, trades, manages)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_information(kind: str) -> None:
    accounts = Accounts(1, 1, NOW)
    account = accounts.accounts[accounts.uids[0]]
    key = accounts.issue(account.uid, kind, NOW)
    told = key_information(key, account, NOW)
    assert told["apiKey"] == key.key and told["secret"] == "" and told["userID"] == account.uid
    permissions = told["permissions"]
    assert isinstance(permissions, dict)
    assert ("Withdraw" in permissions["Wallet"]) is (kind == "withdraw")
    assert told["readOnly"] == int(kind == "read_only")
    if KEY_KINDS[kind].ips:
        assert told["ips"] == list(KEY_KINDS[kind].ips) and told["deadlineDay"] == 0
    else:
        assert told["ips"] == ["*"]
        assert told["deadlineDay"] == max(0, KEY_KINDS[kind].life_ms // DAY_MS)


def test_unknown_kind_and_account() -> None:
    accounts = Accounts(1, 1, NOW)
    for uid, kind in ((accounts.uids[0], "moon"), (1, "trade")):
        with pytest.raises(KeyError):
            accounts.issue(uid, kind, NOW)


def test_keys_by_control() -> None:
    accounts = Accounts(2, 1, NOW)
    made = order_key(accounts, {"uid": accounts.uids[1], "kind": "withdraw"}, NOW)
    key = accounts.find(str(made["api_key"]))
    assert key is not None and key.uid == accounts.uids[1] and key.secret == made["api_secret"]
    assert order_key(accounts, {"kind": "trade"}, NOW)["uid"] == accounts.uids[0]
    assert order_key(accounts, {"revoke": made["api_key"]}, NOW) == {"ok": True}
    assert order_key(accounts, {"revoke": made["api_key"]}, NOW) == {"ok": False}
    for bad in (None, [], {}, {"kind": "moon"}, {"uid": 5, "kind": "trade"}):
        with pytest.raises(ValueError, match="kind one of trade, read_only"):
            order_key(accounts, bad, NOW)
