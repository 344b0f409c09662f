"""The slot of a child process in the supervisor."""

from __future__ import annotations

import os
import threading
import time
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
    """A process as the slot sees it; `status` as psutil tells it."""

    def __init__(self, pid: int) -> None:
        self.pid, self.kills = pid, 0
        self.told = psutil.STATUS_RUNNING

    def kill(self) -> None:
        self.kills += 1

    def status(self) -> str:
        return self.told


class Scene:
    """A silent recorder, the clock, and what its threads ran and stood in line for a core, in s."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.child, self.process, self.now = Child("recorder", 0, tmp_path / "log"), Silent(7), 100.0
        self.cores = (0.0, 0.0)
        self.child.process = self.child._usage = self.process  # type: ignore[assignment]
        monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(processes, "core_times", lambda pid: self.cores)

    def look(self, later_s: float = 0.0, heartbeat_ns: int = 1) -> str:
        self.now += later_s
        return self.child.end_silence(10.0, heartbeat_ns)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_a_process_without_a_heartbeat_is_killed_and_told_once(scene: Scene) -> None:
    assert [scene.look(), scene.look(0.5)] == ["", ""] and scene.process.kills == 0, "first it is seen what it waits for"
    assert [scene.look(0.5), scene.look(0.1), scene.look(5.0)] == ["hangs: killed", "", ""]
    assert scene.process.kills == 3
    scene.child.process = scene.child._usage = Silent(8)  # type: ignore[assignment]
    assert [scene.look(), scene.look(1.0)] == ["", "hangs: killed"]
    scene.child.process = None
    assert scene.look() == ""


def test_a_process_that_waits_for_the_disk_is_not_killed(scene: Scene) -> None:
    scene.process.told = psutil.STATUS_DISK_SLEEP
    assert [scene.look() for _ in range(2)] == ["waits for the disk", ""]
    scene.process.told = psutil.STATUS_SLEEPING  # the disk has answered, the heartbeat comes behind what is left of the turn
    assert scene.look(10.0) == "" and scene.process.kills == 0
    assert scene.look(1.0) == "hangs: killed" and scene.process.kills == 1


def test_a_process_that_gets_no_core_is_not_killed(scene: Scene) -> None:
    """Killed, it would not run sooner, and its successor has more to catch up with: five of them ended the run."""
    assert scene.look() == ""
    said = []
    for _ in range(60):
        ran_s, queued_s = scene.cores
        scene.cores = ran_s + 0.02, queued_s + 0.7
        said.append(scene.look(1.0))
    assert [text for text in said if text] == ["waits for a core"] and scene.process.kills == 0
    assert scene.look(10.0) == "" and scene.process.kills == 0
    assert scene.look(1.0) == "hangs: killed", "it could have run and did not"


def test_one_that_runs_and_runs_without_a_heartbeat_hangs_on_a_busy_machine_too(scene: Scene) -> None:
    assert scene.look() == ""
    said = []
    for _ in range(60):
        ran_s, queued_s = scene.cores
        scene.cores = ran_s + 0.2, queued_s + 0.8
        said.append(scene.look(1.0))
    assert [text for text in said if text] == ["waits for a core", "hangs: killed"]
    assert said.index("hangs: killed") == pytest.approx((processes.RAN_S / 0.2) + 10, abs=2)
    scene.process.kills = 0
    assert scene.look(heartbeat_ns=2) == "", "it has beaten since"
    scene.cores = scene.cores[0] + 0.01, scene.cores[1] + 0.9
    assert scene.look(1.0, heartbeat_ns=2) == "waits for a core" and scene.process.kills == 0


def test_core_times_are_those_of_all_threads() -> None:
    stop = threading.Event()
    before = processes.core_times(os.getpid())
    thread = threading.Thread(target=lambda: [sum(range(1000)) for _ in iter(stop.is_set, True)])
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while processes.core_times(os.getpid())[0] < before[0] + 0.05:
            assert time.monotonic() < deadline
    finally:
        stop.set()
        thread.join()
    assert processes.core_times(2**22 + 1) == (0.0, 0.0), "no such process"
