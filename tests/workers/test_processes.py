"""The slot of a child process in the supervisor."""

from __future__ import annotations

import os
import threading
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
    """A process as the slot sees it; `told` as psutil tells it."""

    def __init__(self, pid: int) -> None:
        self.pid, self.kills = pid, 0
        self.told = psutil.STATUS_SLEEPING

    def kill(self) -> None:
        self.kills += 1

    def status(self) -> str:
        return self.told


class Watch:
    """The supervisor's looks at one child, half a second apart; the shares of the time that it runs and stands in line."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.beat, self.runs, self.queues = 100.0, 5, 0.0, 0.0
        self.cores = (0.0, 0.0)
        self.child = Child("recorder", 0, tmp_path / "log")
        self.take(Silent(7))
        monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(processes, "core_times", lambda pid: self.cores)
        self.look()

    def take(self, process: Silent) -> None:
        self.process = process
        self.child.process = self.child._usage = process  # type: ignore[assignment]

    def look(self, after_s: float = 0.5) -> str:
        self.now += after_s
        self.cores = (self.cores[0] + self.runs * after_s, self.cores[1] + self.queues * after_s)
        return self.child.end_silence(self.beat, 10.0)

    def said(self, seconds: float) -> list[str]:
        return [said for _ in range(round(seconds / 0.5)) if (said := self.look())]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(tmp_path, monkeypatch)


@pytest.mark.parametrize(("status", "runs", "queues"), [
    (psutil.STATUS_SLEEPING, 0.0, 0.0), (psutil.STATUS_RUNNING, 1.0, 0.0), (psutil.STATUS_RUNNING, 0.6, 0.4),
    (psutil.STATUS_STOPPED, 0.0, 0.0),
])
def test_a_process_without_a_heartbeat_is_killed_and_told_once(
    watch: Watch, status: str, runs: float, queues: float
) -> None:
    """A lock that never comes, an endless loop (also beside others), a process that somebody stopped."""
    watch.process.told, watch.runs, watch.queues = status, runs, queues
    assert watch.said(9.5) == [] and watch.process.kills == 0
    assert watch.said(2.0) == ["hangs: killed"] and watch.process.kills > 1
    watch.take(Silent(8))
    assert watch.said(9.5) == []
    assert watch.said(2.0) == ["hangs: killed"]
    watch.child.process = None
    assert watch.said(20.0) == []


def test_an_endless_loop_on_an_overloaded_machine(watch: Watch) -> None:
    watch.process.told, watch.runs, watch.queues = psutil.STATUS_RUNNING, 0.1, 0.9
    assert watch.said(45.0) == ["waits for a processor"]
    assert watch.said(20.0) == ["hangs: killed"]


def test_a_heartbeat_begins_anew(watch: Watch) -> None:
    for _ in range(3):
        assert watch.said(9.5) == []
        watch.beat += 1
    assert watch.process.kills == 0


@pytest.mark.parametrize(("status", "queues", "word"), [
    (psutil.STATUS_DISK_SLEEP, 0.0, "waits for the disk"), (psutil.STATUS_RUNNING, 0.9, "waits for a processor"),
    (psutil.STATUS_SLEEPING, 0.9, "waits for a processor"),  # a thread of it does
])
def test_a_process_that_waits_for_the_machine_is_not_killed(watch: Watch, status: str, queues: float, word: str) -> None:
    watch.process.told, watch.runs, watch.queues = status, 0.02, queues
    assert watch.said(60.0) == [word] and watch.process.kills == 0
    watch.process.told, watch.queues = psutil.STATUS_SLEEPING, 0.0  # it has what it needs, and could beat
    assert watch.said(9.0) == [] and watch.process.kills == 0
    assert watch.said(2.0) == ["hangs: killed"]


def test_core_times_are_those_of_all_threads() -> None:
    stop = threading.Event()
    before = processes.core_times(os.getpid())
    if before[0] == 0:
        pytest.skip("this kernel keeps no schedstat")
    thread = threading.Thread(target=lambda: [sum(range(1000)) for _ in iter(stop.is_set, True)])
    thread.start()
    try:
        while processes.core_times(os.getpid())[0] < before[0] + 0.05:
            assert thread.is_alive()
    finally:
        stop.set()
        thread.join()
    assert processes.core_times(2**22 + 1) == (0.0, 0.0), "no such process"


def test_time_in_which_nobody_looked_is_not_held_against_it(watch: Watch) -> None:
    """Ctrl-Z and fg, a paused machine: everybody's heartbeat is old then, and nobody hangs."""
    assert watch.said(5.0) == []
    assert watch.look(after_s=3600.0) == ""
    assert watch.said(4.0) == [] and watch.process.kills == 0
    watch.beat += 1
    assert watch.said(9.5) == []
