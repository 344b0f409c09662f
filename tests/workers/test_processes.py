"""The slot of a child process in the supervisor."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from workers import processes
from workers.processes import Child


def test_last_words_are_those_of_the_child_that_runs(tmp_path: Path) -> None:
    """The log of a role is kept over starts; the complaint of an earlier one is not this one's cause of death."""
    log = tmp_path / "venue.log"
    log.write_text("an old complaint\n")
    child = Child("venue", 0, log)
    output = child.spawn(["--symbols", "0"], show_output=False)
    assert output.read() == b""
    assert child.process is not None and child.process.wait() == 2
    assert "out of range" in child.last_words() and "old complaint" not in child.last_words()
    output.close()


class Silent:
    """A process as the slot sees it; `told` and `cpu_s` as psutil tells them."""

    def __init__(self, pid: int) -> None:
        self.pid, self.kills = pid, 0
        self.told, self.cpu_s = psutil.STATUS_SLEEPING, 0.0

    def kill(self) -> None:
        self.kills += 1

    def status(self) -> str:
        return self.told

    def cpu_times(self) -> SimpleNamespace:
        return SimpleNamespace(user=self.cpu_s, system=0.0)


class Watch:
    """The supervisor's looks at one child, half a second apart."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.beat, self.share = 100.0, 5, 0.0
        self.child = Child("recorder", 0, tmp_path / "log")
        self.take(Silent(7))
        monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.look()

    def take(self, process: Silent) -> None:
        self.process = process
        self.child.process = self.child._usage = process  # type: ignore[assignment]

    def look(self, after_s: float = 0.5) -> str:
        self.now += after_s
        self.process.cpu_s += self.share * after_s
        return self.child.end_silence(self.beat, 10.0)

    def said(self, seconds: float) -> list[str]:
        return [said for _ in range(round(seconds / 0.5)) if (said := self.look())]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(tmp_path, monkeypatch)


@pytest.mark.parametrize(("status", "share"), [(psutil.STATUS_SLEEPING, 0.0), (psutil.STATUS_RUNNING, 1.0),
                                               (psutil.STATUS_RUNNING, 0.5), (psutil.STATUS_STOPPED, 0.0)])
def test_a_process_without_a_heartbeat_is_killed_and_told_once(watch: Watch, status: str, share: float) -> None:
    """A lock that never comes, an endless loop (also beside others), a process that somebody stopped."""
    watch.process.told, watch.share = status, share
    assert watch.said(9.5) == [] and watch.process.kills == 0
    assert watch.said(2.0) == ["hangs: killed"] and watch.process.kills > 1
    watch.take(Silent(8))
    assert watch.said(9.5) == []
    assert watch.said(2.0) == ["hangs: killed"]
    watch.child.process = None
    assert watch.said(20.0) == []


def test_a_heartbeat_begins_anew(watch: Watch) -> None:
    for _ in range(3):
        assert watch.said(9.5) == []
        watch.beat += 1
    assert watch.process.kills == 0


@pytest.mark.parametrize(("status", "word"), [(psutil.STATUS_DISK_SLEEP, "waits for the disk"),
                                              (psutil.STATUS_RUNNING, "waits for a processor")])
def test_a_process_that_waits_for_the_machine_is_not_killed(watch: Watch, status: str, word: str) -> None:
    watch.process.told, watch.share = status, 0.05
    assert watch.said(60.0) == [word] and watch.process.kills == 0
    watch.process.told = psutil.STATUS_SLEEPING  # it has what it needs, the heartbeat comes behind what is left of the turn
    assert watch.said(9.0) == [] and watch.process.kills == 0
    assert watch.said(2.0) == ["hangs: killed"]


def test_time_in_which_nobody_looked_is_not_held_against_it(watch: Watch) -> None:
    """Ctrl-Z and fg, a paused machine: everybody's heartbeat is old then, and nobody hangs."""
    assert watch.said(5.0) == []
    assert watch.look(after_s=3600.0) == ""
    assert watch.said(4.0) == [] and watch.process.kills == 0
    watch.beat += 1
    assert watch.said(9.5) == []
