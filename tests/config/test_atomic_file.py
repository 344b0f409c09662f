"""A file is replaced whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from config.atomic_file import write_atomic, write_replacing


def test_replaces_whole_with_the_mode_asked_for_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "run" / "state.json"
    write_atomic(path, b"first")
    write_atomic(path, b"second", 0o644)
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 & ~_umask()
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]


def test_a_disk_that_refuses_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"


def test_unsynced_writing_replaces_whole_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: pytest.fail("marks are written often: nothing is synced"))
    path = tmp_path / "system" / "ring.marks"
    write_replacing(path, b"first")
    write_replacing(path, b"second")
    assert [(p.name, p.read_bytes()) for p in path.parent.iterdir()] == [("ring.marks", b"second")]
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_replacing(path, b"third")
    assert path.read_bytes() == b"second"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
