"""The kill latch on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.kill_file import clear_kill, read_kill, write_kill


def test_latch_is_idempotent_and_keeps_the_first_reason(tmp_path: Path) -> None:
    path = tmp_path / "run" / "KILL"
    assert read_kill(path) is None
    write_kill(path, "cli", "first")
    write_kill(path, "admin", "second")
    latch = read_kill(path)
    assert latch is not None and (latch["source"], latch["reason"]) == ("cli", "first")
    assert [p.name for p in path.parent.iterdir()] == ["KILL"]
    assert clear_kill(path) and not clear_kill(path)


def test_a_race_keeps_the_first_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: execution's "kill requested" replaced the person's words, because both had found no latch."""
    path = tmp_path / "KILL"
    monkeypatch.setattr(Path, "exists", lambda self: False)
    write_kill(path, "admin", "the person's words")
    write_kill(path, "exec", "kill requested")
    latch = read_kill(path)
    assert latch is not None and latch["reason"] == "the person's words"
    assert [p.name for p in tmp_path.iterdir()] == ["KILL"]


def test_an_unreadable_latch_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "KILL"
    for content in (b"", b"\xff\xfe", b"[1, 2]"):
        path.write_bytes(content)
        assert read_kill(path) is not None
