"""The kill switch alone: what it says in the log beside what it says in its word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from core.constants import NS_PER_MS
from core.enums import ControlBits
from core.orders.wire import Report
from workers.kill_switch import KillSwitch


class Words(Counter[str]):
    """Control words of one process, without shared memory."""

    def get(self, name: str) -> int:  # type: ignore[override]
        return self[name]

    def set(self, name: str, value: int) -> None:
        self[name] = value

    def request_kill(self, source: str) -> None:
        self[f"kill_{source}"] = 1

    def kill_sources(self) -> list[str]:
        return ["cli"]


class Closing:
    """Says what the test says."""

    def __init__(self) -> None:
        self.at_stake = self.unsent = False

    def stand_down(self, now_ns: int) -> list[Report]:
        return []

    @property
    def flat(self) -> bool:
        return not self.at_stake and not self.unsent


class Rig:
    def __init__(self, folder: Path) -> None:
        self.control = Words()
        self.closing = Closing()
        self.said: list[str] = []
        self.now_ns = 10**18
        self.switch = KillSwitch(self.control, folder / "KILL", self.closing, lambda text, ms: self.said.append(text), print)

    def turn(self, ms: float = 1.0, **told: bool) -> list[str]:
        """One turn after `ms`; returns what was logged."""
        for name, value in told.items():
            setattr(self.closing, name, value)
        self.now_ns += int(ms * NS_PER_MS)
        del self.said[:]
        self.switch.turn(ControlBits.KILL, self.now_ns)
        return list(self.said)

    @property
    def flat(self) -> int:
        return self.control.get("flat")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_proof_of_flat_is_told_once_and_each_new_one_again(rig: Rig) -> None:
    assert rig.turn() == ["KILL latched by cli"]
    assert rig.turn() == ["KILL flat, first look"]
    assert rig.turn(60) == ["KILL verified flat"] and rig.flat == 1
    for _ in range(3):  # a stranger's order is cancelled, an entry refused: nothing of ours is open meanwhile
        assert rig.turn(unsent=True) == [] and rig.flat == 0
        assert rig.turn(unsent=False) == [] and rig.flat == 0
        assert rig.turn(60) == [] and rig.flat == 1, "not sure for a moment: proved again, and nothing has changed"
    assert rig.turn(at_stake=True) == ["KILL not flat any more"] and rig.flat == 0
    assert rig.turn() == []
    assert rig.turn(at_stake=False) == ["KILL flat, first look"] and rig.flat == 0
    assert rig.turn(60) == ["KILL verified flat"] and rig.flat == 1


def test_what_comes_and_goes_between_the_two_looks_is_told_once(rig: Rig) -> None:
    rig.turn()
    assert rig.turn() == ["KILL flat, first look"]
    for _ in range(3):
        assert rig.turn(unsent=True) == rig.turn(unsent=False) == []
    assert rig.turn(at_stake=True) == []
    assert rig.turn(at_stake=False) == ["KILL flat, first look"]
    assert rig.turn(60) == ["KILL verified flat"]
