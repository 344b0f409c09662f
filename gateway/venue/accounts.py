"""Accounts and API keys of the venue: seeded, so that the same seed gives the same keys and secrets.

    accounts = Accounts(3, seed=7)
    key = accounts.issue(accounts.uids[0], "read_only", now_ms)

A key answers 10003 when it is unknown, 33004 when it has expired, 10010 from an address it is not bound to and 10005
where it lacks the permission; a key that may withdraw works, and /v5/user/query-api shows that it may.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from gateway.venue.ret_texts import TEXTS

FIRST_UID = 100_542_583
DAY_MS = 86_400_000
KEY_LIFE_MS = 90 * DAY_MS  # of a key without bound address
LOOPBACK = "127.0.0.1"
ELSEWHERE = "203.0.113.7"  # an address of the range for documentation: nobody calls from there
LETTERS = np.frombuffer((string.ascii_letters + string.digits).encode(), np.uint8)

PERMISSION_GROUPS = (
    "ContractTrade", "Spot", "Wallet", "Options", "Derivatives", "CopyTrading", "BlockTrade", "Exchange", "NFT",
    "Affiliate", "Earn",
)
ORDER, POSITION, TRANSFER, WITHDRAW = (
    ("ContractTrade", "Order"), ("ContractTrade", "Position"), ("Wallet", "AccountTransfer"), ("Wallet", "Withdraw"),
)
Right = tuple[str, str]


@dataclass(frozen=True)
class KeyKind:
    """What a kind of key may do. ips () = not bound, then the key expires `life_ms` after its making."""

    rights: tuple[Right, ...] = (ORDER, POSITION)
    read_only: bool = False
    ips: tuple[str, ...] = ()
    life_ms: int = KEY_LIFE_MS


KEY_KINDS = {
    "trade": KeyKind(),
    "read_only": KeyKind(read_only=True),
    "order_only": KeyKind(rights=(ORDER,)),
    "spot_only": KeyKind(rights=(("Spot", "SpotTrade"),)),
    "withdraw": KeyKind(rights=(ORDER, POSITION, TRANSFER, WITHDRAW), ips=(LOOPBACK,)),
    "bound": KeyKind(ips=(LOOPBACK,)),
    "bound_elsewhere": KeyKind(ips=(ELSEWHERE,)),
    "expired": KeyKind(life_ms=-DAY_MS),
}


@dataclass(frozen=True)
class ApiKey:
    """One key. Times in Unix ms; expires_ms 0 = never."""

    number: int
    uid: int
    key: str
    secret: str
    kind: KeyKind
    created_ms: int
    expires_ms: int

    def may(self, right: Right, write: bool) -> bool:
        """Does the key allow a call that needs `right`; `write`: and changes something."""
        return right in self.kind.rights and not (write and self.kind.read_only)

    def bound_away(self, ip: str) -> bool:
        return bool(self.kind.ips) and ip not in self.kind.ips


def refusal_of(key: ApiKey | None, ip: str, now_ms: int) -> tuple[int, str] | None:
    """(retCode, retMsg) why this key may not be used from this address now, or None."""
    code = 0
    if key is None:
        code = 10003
    elif key.expires_ms and now_ms >= key.expires_ms:
        code = 33004
    elif key.bound_away(ip):
        code = 10010
    return (code, TEXTS[code]) if code else None


@dataclass
class Account:
    """What the venue knows of a user beside the money, which is the exchange's."""

    uid: int
    keys: list[ApiKey] = field(default_factory=list)
    price_limit_rejects: bool = False  # set-limit-px-action modifyEnable=false
    info_updated_ms: int = 0


class Accounts:
    """All accounts and keys. Account n of a seed always has the same uid, key and secret."""

    def __init__(self, count: int, seed: int, now_ms: int = 0) -> None:
        self._seed = seed
        self._by_key: dict[str, ApiKey] = {}
        self._issued = 0
        self.accounts: dict[int, Account] = {}
        for number in range(count):
            uid = FIRST_UID + 17 * number
            self.accounts[uid] = Account(uid, info_updated_ms=now_ms)
            self.issue(uid, "trade", now_ms)

    @property
    def uids(self) -> list[int]:
        return list(self.accounts)

    def issue(self, uid: int, kind: str, now_ms: int) -> ApiKey:
        """Make a key of one of KEY_KINDS. Raises KeyError for an unknown account or kind."""
        account, what = self.accounts[uid], KEY_KINDS[kind]
        random = np.random.default_rng([self._seed, 91, self._issued])
        text = LETTERS[random.integers(0, len(LETTERS), 18 + 36)].tobytes().decode()
        expires_ms = 0 if what.ips else now_ms + what.life_ms
        made = ApiKey(10_000_000 + self._issued, uid, text[:18], text[18:], what, now_ms, expires_ms)
        self._issued += 1
        self._by_key[made.key] = made
        account.keys.append(made)
        return made

    def find(self, key: str) -> ApiKey | None:
        return self._by_key.get(key)

    def revoke(self, key: str) -> bool:
        """Delete a key; from now on it is unknown. False: it was."""
        found = self._by_key.pop(key, None)
        if found is not None:
            self.accounts[found.uid].keys.remove(found)
        return found is not None

    def announced(self) -> list[dict[str, object]]:
        """What the venue tells its starter: the first key of each account."""
        return [
            {"uid": account.uid, "api_key": account.keys[0].key, "api_secret": account.keys[0].secret}
            for account in self.accounts.values()
        ]


def order_key(accounts: Accounts, body: object, now_ms: int) -> dict[str, object]:
    """The control request /venue/key: {"uid", "kind"} makes a key, {"revoke": key} deletes one. Raises ValueError."""
    asked = body if isinstance(body, dict) else {}
    if "revoke" in asked:
        return {"ok": accounts.revoke(str(asked["revoke"]))}
    uid, kind = asked.get("uid", next(iter(accounts.accounts), 0)), asked.get("kind")
    if uid not in accounts.accounts or kind not in KEY_KINDS:
        raise ValueError(f"uid must be an account of this venue, kind one of {', '.join(KEY_KINDS)}")
    key = accounts.issue(uid, kind, now_ms)
    return {"ok": True, "uid": uid, "kind": kind, "api_key": key.key, "api_secret": key.secret}


def iso_time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_information(key: ApiKey, account: Account, now_ms: int) -> dict[str, object]:
    """`result` of /v5/user/query-api."""
    permissions: dict[str, list[str]] = {group: [] for group in PERMISSION_GROUPS}
    for group, name in key.kind.rights:
        permissions[group].append(name)
    left = key.expires_ms - now_ms if key.expires_ms else 0
    return {
        "id": str(key.number), "note": "", "apiKey": key.key, "readOnly": int(key.kind.read_only), "secret": "",
        "permissions": permissions, "ips": list(key.kind.ips) or ["*"], "type": 1,
        "deadlineDay": max(0, left // DAY_MS) if key.expires_ms else 0,
        "expiredAt": iso_time(key.expires_ms) if key.expires_ms else "1970-01-01T00:00:00Z",
        "createdAt": iso_time(key.created_ms), "unified": 0, "uta": 1, "userID": account.uid, "inviterID": 0,
        "vipLevel": "No VIP", "mktMakerLevel": "0",
        "affiliateID": 0, "rsaPublicKey": "", "isMaster": True, "parentUid": "0", "kycLevel": "LEVEL_1",
        "kycRegion": "",
    }
