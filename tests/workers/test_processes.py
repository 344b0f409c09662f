"""The slot of a child process in the supervisor."""

from __future__ import annotations

from pathlib import Path

import psutil

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


def test_a_process_without_a_heartbeat_is_killed_and_told_once(tmp_path: Path) -> None:
    child, process = Child("recorder", 0, tmp_path / "log"), Silent(7)
    child.process = child._usage = process  # type: ignore[assignment]
    assert [child.end_silence() for _ in range(3)] == ["hangs: killed", "", ""]
    assert process.kills == 3
    child.process = child._usage = Silent(8)  # type: ignore[assignment]
    assert child.end_silence() == "hangs: killed"
    child.process = None
    assert child.end_silence() == ""


def test_a_process_that_waits_for_the_disk_is_not_killed(tmp_path: Path) -> None:
    child, process = Child("recorder", 0, tmp_path / "log"), Silent(7)
    child.process = child._usage = process  # type: ignore[assignment]
    process.told = psutil.STATUS_DISK_SLEEP
    assert [child.end_silence() for _ in range(2)] == ["waits for the disk", ""]
    assert process.kills == 0
    process.told = psutil.STATUS_SLEEPING  # the disk answers, and still nothing
    assert child.end_silence() == "hangs: killed" and process.kills == 1
