"""A disk that refuses is told on the terminal: once, and again when it goes on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.workers.support import make_plant
from workers import disk_watch
from workers.disk_watch import AGAIN_S, LOOK_S, DiskWatch
from workers.summary import summarise


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(disk_watch.time, "monotonic", lambda: now[0])
    plant = make_plant(tmp_path)
    said: list[str] = []
    watch = DiskWatch(plant, said.append)

    def refuse(role: str) -> None:
        plant.counters(role).add("disk_errors")
        plant.cnc(role).errors.record(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/x"))

    def look(later_s: float) -> list[str]:
        now[0] += later_s
        said.clear()
        watch.turn()
        return list(said)

    try:
        assert look(LOOK_S) == []
        refuse("recorder")
        assert look(LOOK_S / 2) == [], "looked a moment ago"
        told = look(LOOK_S)
        assert len(told) == 1 and told[0].startswith("the recorder cannot write: [Errno 28] No space left on device: '/data/x'")
        assert "Free some space" in told[0] and "waits in memory" in told[0]
        refuse("recorder")
        refuse("execution")
        told = look(LOOK_S)
        assert len(told) == 1 and told[0].startswith("execution cannot write: ") and "entries are refused" in told[0]
        assert look(AGAIN_S) != [] and look(AGAIN_S) == [], "told again while it goes on, then no more"
        assert summarise(plant, [], 1.0)["disk_errors"] == 3
    finally:
        plant.destroy()
