"""A real guardian process: it outlives execution and supervisor, protects within seconds, and leaves no orphan behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.latch_file import write_latch
from core.enums import LogKind
from gateway.venue.synthetic_feed import SyntheticFeed
from shm.topology import SLOT_ADMIN, Plant
from tests.conftest import Goal
from tests.gateway.venue.running import Running, new_exchange, served_venue
from tests.workers.support import make_plant
from tests.workers.test_guardian import Account

FAST = {"safety.guardian.poll_s": 0.1, "safety.guardian.orphan_s": 200.0, "safety.guardian.silent_s": 4.0}
PROTECTED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(4, seed=22)), accounts=8) as running:
        yield running


def wait(look: Callable[[], Any], what: str, seconds: float = 240.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # perhaps just now
        return True


class House:
    """A plant in LIVE with a guardian under a supervisor, and an execution that beats."""

    def __init__(self, tmp_path: Path, venue: Running, number: int) -> None:
        self.account = Account(venue, number)
        account = venue.venue.accounts.announced()[number]
        self.plant = make_plant(tmp_path, mode="LIVE", overrides=FAST, venue={
            "rest": venue.addresses["rest"], "ws_public": venue.addresses["ws_public"]})
        self.run_file = tmp_path / "data" / "run" / "run.json"
        self.plant.spec.save(self.run_file)
        self.environment = os.environ | {"SCALPER_GUARDIAN_KEY": account["api_key"],
                                         "SCALPER_GUARDIAN_SECRET": account["api_secret"]}
        self.children: list[subprocess.Popen[bytes]] = []
        self.execution = self.start_execution()
        self.supervisor = self._start("supervisor", str(tmp_path / "guardian.pid"))
        self.guardian_pid = int(wait(lambda: (tmp_path / "guardian.pid").exists()
                                     and (tmp_path / "guardian.pid").read_text(), "guardian started"))
        wait(lambda: self.plant.cnc("guardian").ready, "guardian runs")
        self.logs = self.plant.log_readers(SLOT_ADMIN)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        part, *rest = arguments
        child = subprocess.Popen([sys.executable, "-m", "tests.workers.guardian_parts", part, str(self.run_file), *rest],
                                 env=self.environment)
        self.children.append(child)
        return child

    def start_execution(self) -> subprocess.Popen[bytes]:
        child = self._start("execution")
        wait(lambda: self.plant.cnc("execution").pid == child.pid and self.plant.cnc("execution").ready, "execution runs")
        return child

    def texts(self) -> list[str]:
        rows = self.logs["guardian"].read()
        return [bytes(row["text"]).rstrip(b"\0").decode() for row in rows if row["kind"] == LogKind.RISK]

    def protected(self, symbol: str) -> bool:
        """Has the position a stop? It must be there."""
        return float(self.account.positions()[symbol]["stopLoss"] or 0) > 0

    def end(self) -> None:
        self.plant.control.request_stop()
        for child in self.children:
            child.kill()
            child.wait()
        if not gone(self.guardian_pid):
            os.kill(self.guardian_pid, signal.SIGKILL)
        self.account.door.close()
        self.plant.destroy()


_numbers = iter(range(8))


@pytest.fixture
def house(tmp_path: Path, venue: Running) -> Iterator[House]:
    made = House(tmp_path, venue, next(_numbers))
    yield made
    made.end()


def test_kill_9_of_execution_with_a_naked_position(house: House, goal: Goal) -> None:
    """A stop was removed by hand, execution dies before it sees it: protected within seconds; it comes back: stand down."""
    house.account.buy("BTCUSDT", "0.01", stopLoss="1000")
    house.account.trader.set_trading_stop(category="linear", symbol="BTCUSDT", stopLoss="0", tpslMode="Full", positionIdx=0)
    house.account.rest("ETHUSDT", 0.9)
    assert not house.protected("BTCUSDT") and len(house.account.orders()) == 1
    time_of_death = time.monotonic()
    house.execution.kill()
    house.execution.wait()
    wait(lambda: house.protected("BTCUSDT"), "a stop stands")
    goal("execution shot: a stop stands", time.monotonic() - time_of_death, PROTECTED_WITHIN_S)
    wait(lambda: [row for row in house.account.orders() if not row["stopOrderType"]] == [], "the entry is cancelled")
    assert house.plant.control.guardian_duty == 1
    house.start_execution()
    wait(lambda: house.plant.control.guardian_duty == 0, "it stands down")
    said = house.texts()
    assert any("on duty" in text for text in said) and any("standing by" in text for text in said)
    assert house.plant.control.kill_sources() == []


@pytest.mark.slow
def test_a_frozen_execution_is_gone_too(house: House) -> None:
    house.account.buy("BTCUSDT", "0.01")
    os.kill(house.execution.pid, signal.SIGSTOP)
    wait(lambda: house.protected("BTCUSDT"), "a stop stands")
    os.kill(house.execution.pid, signal.SIGCONT)  # it wakes, looks at the exchange, says so
    wait(lambda: house.plant.control.guardian_duty == 0, "it stands down")


@pytest.mark.slow
def test_nothing_is_touched_while_execution_beats(house: House) -> None:
    house.account.buy("BTCUSDT", "0.01")
    house.account.rest("ETHUSDT", 0.9)
    wait(lambda: house.plant.cnc("guardian").loops > 40, "it has looked many times")
    assert not house.protected("BTCUSDT") and len(house.account.orders()) == 1
    assert house.plant.control.guardian_duty == 0


@pytest.mark.slow
def test_a_kill_is_carried_out_without_execution(house: House) -> None:
    house.account.buy("BTCUSDT", "0.01")
    house.execution.kill()
    house.execution.wait()
    write_latch(house.run_file.parent / "KILL", "cli", "drill")
    wait(lambda: house.account.positions() == {}, "flat")


def test_it_outlives_execution_and_supervisor_then_ends(house: House) -> None:
    house.account.buy("ETHUSDT", "0.2", "Sell")
    house.supervisor.kill()
    house.supervisor.wait()
    house.execution.kill()
    house.execution.wait()
    wait(lambda: house.protected("ETHUSDT"), "a stop stands")
    wait(lambda: gone(house.guardian_pid), "no orphan")
    assert any("everything is protected; ending" in text for text in house.texts())


@pytest.mark.slow
def test_it_does_not_leave_while_execution_lives(house: House) -> None:
    """The supervisor is gone, execution still trades: the guardian stays with it."""
    house.supervisor.kill()
    house.supervisor.wait()
    wait(lambda: any("supervisor is gone" in text for text in house.texts()), "it has noticed")
    before = house.plant.cnc("guardian").loops
    wait(lambda: house.plant.cnc("guardian").loops > before + 20, "it goes on watching")
    assert not gone(house.guardian_pid) and house.plant.control.guardian_duty == 0
    Plant.join(house.run_file, "supervisor").spec.save(house.run_file)
    house.run_file.unlink()  # a new run begins: it will have a guardian of its own
    wait(lambda: gone(house.guardian_pid), "it leaves")


@pytest.mark.slow
def test_orderly_stop(house: House) -> None:
    """It ends after execution, having looked once more."""
    house.account.buy("BTCUSDT", "0.01")
    house.plant.control.request_stop()
    house.execution.wait(240)
    assert house.supervisor.wait(240) == 0
    assert house.protected("BTCUSDT") and gone(house.guardian_pid)


@pytest.mark.slow
def test_a_guardian_that_dies_on_duty_is_taken_over(house: House, tmp_path: Path) -> None:
    house.execution.kill()
    house.execution.wait()
    wait(lambda: house.plant.control.guardian_duty == 1, "on duty")
    os.kill(house.guardian_pid, signal.SIGKILL)
    house.supervisor.wait(240)
    house.account.buy("BTCUSDT", "0.01")
    house.supervisor = house._start("supervisor", str(tmp_path / "guardian.pid"))
    wait(lambda: house.protected("BTCUSDT"), "the next one goes on")
    assert house.plant.control.guardian_duty == 1
    house.guardian_pid = house.plant.cnc("guardian").pid
    house.start_execution()
    wait(lambda: house.plant.control.guardian_duty == 0, "it stands down")
