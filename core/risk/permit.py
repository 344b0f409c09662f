"""May this start trade real money? One table (requirements A18, B1, P01, P02): every row that fails is named, with its fix.

LIVE by accident is impossible: it takes the mode, two confirmations of different kinds (a flag, and the account's number
typed or given), the PIN, a key that belongs to the endpoint and may trade but not withdraw, a capital tier, and evidence
that allows the tier. An exchange on this machine (`practice`: embedded, loopback) has no real money: it needs neither
confirmations nor PIN nor evidence, and says everywhere that it is practice.

A latched kill switch is no row: a killed system must be able to start, close what is open and prove that it is flat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core.risk.tiers import Rank

USAGE, CONFIG, CREDENTIALS, PREFLIGHT = 2, 3, 4, 5  # exit codes (INTERFACE: 3.3)
DAY_MS = 86_400_000
EXPIRY_WARN_MS = 14 * DAY_MS
ORDER, POSITION = "ContractTrade:Order", "ContractTrade:Position"
WITHDRAW = "Wallet:Withdraw"


class KeyFacts(NamedTuple):
    """What the exchange says about the key."""

    account: str
    read_only: bool
    permissions: tuple[str, ...]  # "Group:Right"
    ips: tuple[str, ...]  # empty: usable from everywhere
    expires_ms: int  # 0 = never


class Ask(NamedTuple):
    """Everything a LIVE start is judged by."""

    now_ms: int
    endpoint: str
    practice: bool
    tape: bool
    flag: bool  # --live
    account: str  # number of the account as the person gave it, "" = not given
    pin_set: bool
    pin_trouble: str  # why the PIN was not accepted; "" = right
    key_names: tuple[str, ...]  # variables the key is expected in
    other_keys: tuple[str, ...]  # keys of other endpoints that are set
    clock_trouble: str  # this machine's clock is too far from the exchange's, or it did not tell its time; "" = neither
    key_present: bool
    key_trouble: str  # why the exchange did not take the key; "" = it did
    key: KeyFacts | None
    tier: str
    tier_allowed: Rank
    evidence_trouble: str  # the rollout file is damaged, or of another account or endpoint; "" = neither
    locked_until: str  # PAPER only until (text); "" = not locked


class Need(NamedTuple):
    """`practice`: also asked of an exchange without real money."""

    name: str
    code: int
    practice: bool
    met: Callable[[Ask], bool]
    cause: Callable[[Ask], str]
    fix: Callable[[Ask], str]


class Refusal(NamedTuple):
    name: str
    code: int
    cause: str
    fix: str


def _told(a: Ask) -> KeyFacts | None:
    """What the exchange has told about the key; None where it was not asked, or does not take it."""
    return a.key if a.key_present and not a.key_trouble else None


def _of_key(met: Callable[[Ask, KeyFacts], bool]) -> Callable[[Ask], bool]:
    """A row about what the exchange has told: without it the rows `key` and `endpoint` speak."""
    def row(a: Ask) -> bool:
        key = _told(a)
        return key is None or met(a, key)

    return row


def _names(a: Ask) -> str:
    return " and ".join(a.key_names)


def _other(a: Ask) -> str:
    return f" Bybit has separate keys for mainnet, testnet and demo; set are {', '.join(a.other_keys)}." if a.other_keys else ""


NEEDS: tuple[Need, ...] = (
    Need("market", USAGE, True, lambda a: not a.tape, lambda a: "a tape is no market: nothing can be traded on it",
         lambda a: "leave --tape away, or use --mode SIM"),
    Need("flag", USAGE, False, lambda a: a.flag, lambda a: "the first confirmation is missing: the flag --live",
         lambda a: "add --live to the command"),
    Need("key", CREDENTIALS, True, lambda a: a.key_present, lambda a: f"no API key for {a.endpoint}.{_other(a)}",
         lambda a: f"set {_names(a)} in the environment"),
    Need("endpoint", CREDENTIALS, True,
         lambda a: not a.key_present or not a.key_trouble and (a.practice or a.key is not None),
         lambda a: f"{a.endpoint} does not take the key: {a.key_trouble or 'it told nothing about it'}.{_other(a)}",
         lambda a: f"give the key of {a.endpoint} in {_names(a)}, or choose its endpoint with --venue"),
    Need("permission to trade", CREDENTIALS, True,
         _of_key(lambda a, key: not key.read_only and {ORDER, POSITION} <= set(key.permissions)),
         lambda a: "the key is read-only or may not trade contracts",
         lambda a: f"make a key with {ORDER} and {POSITION}, not read-only"),
    Need("no permission to withdraw", CREDENTIALS, True, _of_key(lambda a, key: WITHDRAW not in key.permissions),
         lambda a: "the key may withdraw money: whoever gets it gets everything",
         lambda a: "make a key without the permission Withdraw"),
    Need("expiry", CREDENTIALS, True, _of_key(lambda a, key: key.expires_ms == 0 or key.expires_ms > a.now_ms),
         lambda a: "the key has expired", lambda a: "make a new key; one bound to an IP address does not expire"),
    Need("clock", PREFLIGHT, True, lambda a: not a.clock_trouble, lambda a: a.clock_trouble,
         lambda a: "let NTP run, and look at the network; `launch.py doctor --venue NAME` measures, safety.clock has the limits"),
    Need("account", USAGE, False, _of_key(lambda a, key: a.account != "" and a.account == key.account),
         lambda a: ("the second confirmation is missing: the number of the account" if not a.account else
                    "the number given is not the account of this key"),
         lambda a: "type it when asked, or give --i-understand ACCOUNT (SCALPER_LIVE_ACCOUNT for services)"),
    Need("PIN", CREDENTIALS, False, lambda a: a.pin_set and not a.pin_trouble,
         lambda a: a.pin_trouble if a.pin_set else "no PIN is set",
         lambda a: "type it when asked, or SCALPER_LIVE_PIN for services" if a.pin_set else "launch.py pin set"),
    Need("tier", CONFIG, True, lambda a: a.tier in Rank.__members__ and a.tier != Rank.PAPER.name,
         lambda a: "no capital tier is set", lambda a: "CAPITAL_TIER=MICRO (or SMALL, NORMAL) in the environment"),
    Need("evidence", PREFLIGHT, False, lambda a: not a.evidence_trouble, lambda a: a.evidence_trouble,
         lambda a: "use the --data-dir of this account, or start its evidence anew: launch.py rollout reset"),
    Need("incident", PREFLIGHT, False, lambda a: not a.locked_until,
         lambda a: f"PAPER only until {a.locked_until}, after a serious incident",
         lambda a: "use --mode SIM until then; `launch.py rollout status` and INCIDENTS.md tell what happened"),
    Need("earned tier", PREFLIGHT, False,
         lambda a: a.locked_until != "" or a.tier not in Rank.__members__ or Rank[a.tier] <= a.tier_allowed,
         lambda a: f"tier {a.tier} is not earned: the evidence allows {a.tier_allowed.name}",
         lambda a: f"CAPITAL_TIER={a.tier_allowed.name}; `launch.py rollout status` tells what is missing"),
)  # fmt: skip


def refusals(ask: Ask) -> list[Refusal]:
    """Every row that fails, in the order of the table; none: the start may go on."""
    return [
        Refusal(need.name, need.code, need.cause(ask), need.fix(ask))
        for need in NEEDS if (need.practice or not ask.practice) and not need.met(ask)
    ]


def warnings(ask: Ask) -> list[str]:
    """What does not stop the start but should be known."""
    said = []
    if ask.practice:
        said.append("PRACTICE: the exchange is on this machine, no real money; no confirmation, PIN or evidence is asked for")
    key = _told(ask)
    if key is not None:
        if not key.ips:
            said.append("the key is not bound to an IP address: bind it, or whoever copies it can use it; unbound keys expire")
        if key.expires_ms:
            days = (key.expires_ms - ask.now_ms) / DAY_MS
            said.append(f"the key expires in {days:.0f} days" + (": make a new one" if days * DAY_MS < EXPIRY_WARN_MS else ""))
    return said
