"""Gathers what a LIVE start is judged by (core.risk.permit), and asks the person for what only a person knows.

    options, environment, rollout file, incidents, kill latch --> Ask --> refusals: StartError with causes and fixes
                                  exchange: query-api ------------^ ^---- account number and PIN, typed or from the environment

The exchange is asked about the key before anything starts, over REST with the same signing the orders will have.
"""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from config.incidents import utc
from config.paths import DataPaths
from config.pin import PinError, check_pin, is_set
from config.rollout_file import Damaged
from config.schema import Clock
from core.constants import NS_PER_S
from core.orders.exchange_words import KeyRow, Query, QueryKind
from core.performance.promotion import standing
from core.risk.permit import Ask, KeyFacts, Refusal, refusals, warnings
from core.risk.tiers import Rank
from gateway.bybit.rest_codec import envelope, page_of, server_ns
from gateway.bybit.sign import ENVIRONMENT, KeyProblem, from_environment, key_names
from gateway.bybit.wire_units import WireError
from gateway.signed_rest import SignedRest
from gateway.venue_clock import VenueClock
from workers.exchange_clock import clock_trouble
from workers.rollout import load_rollout

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ACCOUNT_VARIABLE, PIN_VARIABLE = "SCALPER_LIVE_ACCOUNT", "SCALPER_LIVE_PIN"
PROBE_S = 10.0
RECV_WINDOW_MS = 5000
ASKED_LAST = frozenset({"account", "PIN"})  # a person is asked only when nothing else stands in the way


class Permit(NamedTuple):
    """A start that may go on."""

    tier_allowed: Rank
    account: str
    practice: bool
    said: tuple[str, ...]


class Refused(Exception):
    """No LIVE: `code` for the shell, the message lists every reason with its fix."""

    def __init__(self, found: list[Refusal]) -> None:
        rows = [f"   {row.name}: {row.cause}.\n      {row.fix}." for row in found]
        super().__init__("mode LIVE is not permitted, nothing was started:\n" + "\n".join(rows))
        self.code = found[0].code
        self.found = found


class Request(Protocol):
    """What the command line asked for (`workers.starting.Options`)."""

    @property
    def venue(self) -> str: ...
    @property
    def tape(self) -> tuple[str, ...]: ...
    @property
    def live(self) -> bool: ...
    @property
    def account(self) -> str: ...


class Person:
    """Somebody at the terminal, or nobody (a service): then only the environment answers."""

    def __init__(self, environ: Mapping[str, str], terminal: bool | None = None) -> None:
        self._environ = environ
        self._terminal = sys.stdin.isatty() if terminal is None else terminal

    def account(self, given: str, right: str) -> str:
        """The account number: from the command, the environment, or typed."""
        number = given or self._environ.get(ACCOUNT_VARIABLE, "")
        if number or not self._terminal:
            return number
        return input(f"LIVE trades real money. Type the number of the account (ends in …{right[-3:]}): ").strip()

    def pin(self) -> str:
        """The PIN: from the environment, or typed unseen."""
        pin = self._environ.get(PIN_VARIABLE, "")
        if pin or not self._terminal:
            return pin
        return getpass.getpass("PIN: ")


class Judged(NamedTuple):
    """What the rollout file and the incidents say."""

    allowed: Rank
    trouble: str
    locked_until: str


def is_practice(rest: str) -> bool:
    """An exchange on this machine: `embedded`, or a loopback address."""
    return rest == "embedded" or (urlsplit(rest).hostname or "") in LOOPBACK


def ask_exchange(rest: str, environ: Mapping[str, str], venue: str) -> tuple[KeyFacts | None, str]:
    """(what the exchange says about the key, "") or (None, why it does not take it)."""
    try:
        keys = from_environment(venue, environ)
    except KeyProblem as error:
        return None, str(error)
    clock = VenueClock()
    client = SignedRest(rest, keys, clock, RECV_WINDOW_MS, PROBE_S / 2)
    try:
        for path, signed in (("/v5/market/time", False), ("/v5/user/query-api", True)):
            answer = client.call("GET", path, b"", time.monotonic_ns() + int(PROBE_S * NS_PER_S), signed)
            if answer.status == 0:
                return None, answer.why
            said = envelope(answer.body)
            if said.code:
                return None, f"{said.code} {said.text}"
            if not signed:
                clock.take(server_ns(said), answer.sent_ns, answer.received_ns)
    except WireError as error:
        return None, f"an answer that is not Bybit's ({error})"
    finally:
        client.close()
    row = page_of(Query(0, QueryKind.API_KEY), said, lambda symbol: None).rows[0]
    assert isinstance(row, KeyRow)
    return KeyFacts(row.user_id, row.read_only, row.permissions, row.ips, row.expires_ms), ""


def judge(paths: DataPaths, endpoint: str, account: str, now_ms: int) -> Judged:
    """The evidence of this data folder, for an account at an endpoint."""
    try:
        state = load_rollout(paths)
    except Damaged as error:
        return Judged(Rank.PAPER, str(error), "")
    trouble = ""
    if state.endpoint and (state.endpoint, state.account) != (endpoint, account or state.account):
        trouble = f"{paths.live_dir} holds the evidence of account …{state.account[-4:]} at {state.endpoint}"
    found = standing(state, now_ms)
    return Judged(found.rank, trouble, utc(found.locked_until_ms) if found.locked_until_ms else "")


def live_permit(
    request: Request, rest: str, tier: str, paths: DataPaths, environ: Mapping[str, str], person: Person, clock: Clock,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Permit:
    """Permission to trade real money, or `Refused` with every reason. `rest`: address of the exchange, `embedded` where
    it does not run yet."""
    now, practice = now_ms(), is_practice(rest)
    embedded = rest == "embedded"
    names = ("the embedded exchange's own",) if embedded else key_names(request.venue)
    present = embedded or all(environ.get(name) for name in names)
    key, trouble = (None, "") if embedded or not present else ask_exchange(rest, environ, request.venue)
    others = tuple(
        f"{prefix}_API_KEY" for prefix in ENVIRONMENT.values()
        if environ.get(f"{prefix}_API_KEY") and f"{prefix}_API_KEY" not in names
    )
    judged = Judged(Rank.NORMAL, "", "") if practice else judge(paths, rest, key.account if key else "", now)
    ask = Ask(
        now_ms=now, endpoint=rest, practice=practice, tape=bool(request.tape), flag=request.live, account=request.account,
        pin_set=is_set(paths.pin_file), pin_trouble="it was not given", key_names=names, other_keys=others,
        clock_trouble="" if embedded or not present else clock_trouble(rest, clock)[1],
        key_present=present, key_trouble=trouble, key=key, tier=tier, tier_allowed=judged.allowed,
        evidence_trouble=judged.trouble, locked_until=judged.locked_until,
    )
    if not practice and key is not None and not [row for row in refusals(ask) if row.name not in ASKED_LAST]:
        ask = _with_person(ask, request.account, key, person, paths.pin_file)
    found = refusals(ask)
    if found:
        raise Refused(found)
    return Permit(judged.allowed, key.account if key else "", practice, tuple(warnings(ask)))


def _with_person(ask: Ask, given: str, key: KeyFacts, person: Person, pin_file: Path) -> Ask:
    """The account number, and with the right one the PIN: a wrong number costs no try."""
    ask = ask._replace(account=person.account(given, key.account))
    if ask.account != key.account or not ask.pin_set:
        return ask
    pin = person.pin()
    if not pin:
        return ask
    try:
        check_pin(pin_file, pin, ask.now_ms)
    except PinError as error:
        return ask._replace(pin_trouble=str(error))
    return ask._replace(pin_trouble="")
