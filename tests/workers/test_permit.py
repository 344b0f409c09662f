"""The start of LIVE with a real exchange to ask: what the key says, who types what, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.paths import DataPaths
from config.pin import set_pin
from config.rollout_file import write_rollout
from config.schema import Clock
from core.performance.promotion import Rollout
from core.risk.tiers import Rank
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.running import Running, new_exchange, served_venue
from workers import permit as permits
from workers.permit import Person, Refused, is_practice, live_permit
from workers.rollout import note_incident
from workers.starting import Options, StartError, permit_live

NOW = 1_800_000_000_000
PIN = "a good pin"
CLOCK = Clock()


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(2, seed=11)), accounts=1) as running:
        yield running


@dataclass
class World:
    """A start on the served exchange as if it were a real one. `typed`: what the person would type, in order."""

    venue: Running
    paths: DataPaths
    key: dict[str, Any]

    def key_of(self, kind: str) -> dict[str, Any]:
        return self.venue.post("key", {"uid": self.key["uid"], "kind": kind})

    def ask(self, *, key: dict[str, Any] | None = None, live: bool = True, account: str = "", pin: str = PIN,
            tier: str = "MICRO", keys: bool = True, **environ: str) -> permits.Permit:
        key = key or self.key
        rest = self.venue.addresses["rest"]
        env = dict(environ)
        if keys:
            env |= {"SCALPER_API_KEY": key["api_key"], "SCALPER_API_SECRET": key["api_secret"]}
        if pin:
            env["SCALPER_LIVE_PIN"] = pin
        options = Options(venue=rest, live=live, account=account or str(key["uid"]))
        return live_permit(options, rest, tier, self.paths, env, Person(env, terminal=False), CLOCK, lambda: NOW)

    def names(self, **how: Any) -> list[str]:
        with pytest.raises(Refused) as caught:
            self.ask(**how)
        return [row.name for row in caught.value.found]


@pytest.fixture
def world(venue: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(permits, "LOOPBACK", ())
    paths = DataPaths(tmp_path, "LIVE")
    set_pin(paths.pin_file, PIN)
    return World(venue, paths, venue.venue.accounts.announced()[0])


def test_a_start_that_has_everything(world: World) -> None:
    permit = world.ask()
    assert (permit.tier_allowed, permit.account, permit.practice) == (Rank.MICRO, str(world.key["uid"]), False)
    assert any("not bound" in line for line in permit.said)
    bound = world.ask(key=world.key_of("bound"))
    assert bound.said == ()


@pytest.mark.parametrize(("kind", "names"), [
    ("read_only", ["permission to trade"]), ("order_only", ["permission to trade"]), ("spot_only", ["permission to trade"]),
    ("withdraw", ["no permission to withdraw"]), ("bound_elsewhere", ["endpoint"]), ("expired", ["endpoint"]),
])
def test_keys_that_are_not_fit(world: World, kind: str, names: list[str]) -> None:
    found = world.names(key=world.key_of(kind))
    assert [name for name in found if name not in ("account", "PIN")] == names


def test_every_lack_together(world: World) -> None:
    assert world.names(keys=False, live=False, tier="NONE", pin="") == ["flag", "key", "PIN", "tier"]
    wrong = world.key | {"api_secret": "x" * 36}
    with pytest.raises(Refused) as caught:
        world.ask(key=wrong, BYBIT_DEMO_API_KEY="k" * 18)
    assert caught.value.code == 4
    text = str(caught.value)
    assert "10004" in text and "BYBIT_DEMO_API_KEY" in text and "x" * 36 not in text and world.key["api_key"] not in text


@pytest.fixture
def asked_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the exchange says about the key, asked once: it answers ten times a second."""
    answer = permits.ask_exchange(world.venue.addresses["rest"], {
        "SCALPER_API_KEY": world.key["api_key"], "SCALPER_API_SECRET": world.key["api_secret"]}, "x")
    assert answer[0] is not None
    monkeypatch.setattr(permits, "ask_exchange", lambda *_: answer)


@pytest.mark.usefixtures("asked_once")
def test_a_wrong_account_costs_no_try_and_a_wrong_pin_does(world: World) -> None:
    for _ in range(9):
        assert world.names(account="99", pin="wrong") == ["account", "PIN"]
    for _ in range(5):
        assert world.names(pin="wrong") == ["PIN"]
    with pytest.raises(Refused, match="locked for"):
        world.ask()


@pytest.mark.usefixtures("asked_once")
def test_nobody_is_asked_for_a_pin_in_vain(world: World) -> None:
    for _ in range(9):
        assert "tier" in world.names(tier="NONE", pin="wrong")
    assert world.ask().tier_allowed == Rank.MICRO


@pytest.mark.usefixtures("asked_once")
def test_evidence_of_another_account_damaged_evidence_and_incidents(world: World) -> None:
    write_rollout(world.paths.rollout_file, Rollout("https://elsewhere", "4711"))
    assert world.names() == ["PIN", "evidence"]
    rest = world.venue.addresses["rest"]
    write_rollout(world.paths.rollout_file, Rollout(rest, str(world.key["uid"])))
    assert world.ask().tier_allowed == Rank.MICRO
    assert world.names(tier="SMALL") == ["PIN", "earned tier"]
    world.paths.rollout_file.write_bytes(world.paths.rollout_file.read_bytes().replace(b"[", b"[ ", 1))
    assert world.names() == ["PIN", "evidence", "earned tier"]
    world.paths.rollout_file.unlink()
    note_incident(world.paths, "technical", True, "something", now_ms=NOW - 1000)
    assert world.names() == ["PIN", "incident"]


def test_practice_asks_for_a_key_and_a_tier(venue: Running, tmp_path: Path) -> None:
    rest, key = venue.addresses["rest"], venue.venue.accounts.announced()[0]
    env = {"SCALPER_API_KEY": key["api_key"], "SCALPER_API_SECRET": key["api_secret"]}
    paths = DataPaths(tmp_path, "LIVE")
    options = Options(venue=rest)
    permit = live_permit(options, rest, "NORMAL", paths, env, Person(env, terminal=False), CLOCK, lambda: NOW)
    assert (permit.practice, permit.tier_allowed) == (True, Rank.NORMAL)
    assert "PRACTICE" in permit.said[0]
    embedded = live_permit(Options(), "embedded", "MICRO", paths, {}, Person({}, terminal=False), CLOCK, lambda: NOW)
    assert embedded.practice
    with pytest.raises(Refused, match="CAPITAL_TIER"):
        live_permit(Options(), "embedded", "NONE", paths, {}, Person({}, terminal=False), CLOCK, lambda: NOW)


def test_what_practice_is() -> None:
    assert all(map(is_practice, ("embedded", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1")))
    assert not any(map(is_practice, ("https://api.bybit.com", "http://10.0.0.1:1", "http://127.0.0.1.evil.com", "mainnet")))


def test_a_person_types(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text: seen.append(text) or " 4711 ")
    monkeypatch.setattr(permits.getpass, "getpass", lambda text: seen.append(text) or "secret")
    person = Person({}, terminal=True)
    assert person.account("", "4711") == "4711" and person.pin() == "secret"
    assert "711" in seen[0] and "4711" not in seen[0] and "real money" in seen[0]
    assert person.account("12", "4711") == "12"
    service = Person({"SCALPER_LIVE_ACCOUNT": "5", "SCALPER_LIVE_PIN": "6"}, terminal=True)
    assert (service.account("", "4711"), service.pin()) == ("5", "6")
    assert Person({}, terminal=False).account("", "4711") == Person({}, terminal=False).pin() == ""
    assert len(seen) == 2


@pytest.mark.parametrize("ms", [-900, 900])
def test_a_clock_that_is_off_refuses(world: World, ms: int) -> None:
    world.venue.fault("clock.step", ms=ms)
    try:
        assert world.names() == ["clock", "PIN"], "nobody is asked for a PIN that would not help"
    finally:
        world.venue.fault("clock.step", ms=-ms)
    assert not world.ask().practice


def test_an_exchange_that_is_not_there_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits, "LOOPBACK", ())
    monkeypatch.setattr(permits, "PROBE_S", 1.0)
    env = {"SCALPER_API_KEY": "k" * 18, "SCALPER_API_SECRET": "s" * 36}
    with pytest.raises(Refused, match="no connection"):
        live_permit(Options(venue="http://127.0.0.1:9", live=True), "http://127.0.0.1:9", "MICRO", DataPaths(tmp_path, "LIVE"),
                    env, Person(env, terminal=False), CLOCK, lambda: NOW)


def test_the_start_reports_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from config.schema import Settings, Trading

    for name in ("BYBIT_API_KEY", "BYBIT_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(trading=Trading(mode="LIVE"))
    with pytest.raises(StartError, match="--live") as caught:
        permit_live(Options(venue="mainnet"), settings, DataPaths(tmp_path, "LIVE"))
    assert caught.value.code == 2
    with pytest.raises(StartError, match="BYBIT_API_KEY") as caught:
        permit_live(Options(venue="mainnet", live=True), settings, DataPaths(tmp_path, "LIVE"))
    assert caught.value.code == 4
