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
    """A process as the slot sees it; `status` as psutil tells it."""

    def __init__(self, pid: int) -> None:
        self.pid, self.kills = pid, 0
        self.told = psutil.STATUS_RUNNING

    def kill(self) -> None:
        self.kills += 1

    def status(self) -> str:
        return self.told


def silent_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Child, Silent, list[float]]:
    child, process, now = Child("recorder", 0, tmp_path / "log"), Silent(7), [100.0]
    child.process = child._usage = process  # type: ignore[assignment]
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return child, process, now


def test_a_process_without_a_heartbeat_is_killed_and_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child, process, _ = silent_child(tmp_path, monkeypatch)
    assert [child.end_silence(10.0) for _ in range(3)] == ["hangs: killed", "", ""]
    assert process.kills == 3
    child.process = child._usage = Silent(8)  # type: ignore[assignment]
    assert child.end_silence(10.0) == "hangs: killed"
    child.process = None
    assert child.end_silence(10.0) == ""


def test_a_process_that_waits_for_the_disk_is_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child, process, now = silent_child(tmp_path, monkeypatch)
    process.told = psutil.STATUS_DISK_SLEEP
    assert [child.end_silence(10.0) for _ in range(2)] == ["waits for the disk", ""]
    process.told = psutil.STATUS_SLEEPING  # the disk has answered, the heartbeat comes behind what is left of the turn
    now[0] += 10.0
    assert child.end_silence(10.0) == "" and process.kills == 0
    now[0] += 0.1
    assert child.end_silence(10.0) == "hangs: killed" and process.kills == 1
