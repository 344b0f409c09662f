"""The durable latches KILL and PAUSE on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.latch_file import clear_latch, read_latch, write_latch


def test_latch_is_idempotent_and_keeps_the_first_reason(tmp_path: Path) -> None:
    path = tmp_path / "run" / "KILL"
    assert read_latch(path) is None
    write_latch(path, "cli", "first")
    write_latch(path, "admin", "second")
    latch = read_latch(path)
    assert latch is not None and (latch["source"], latch["reason"]) == ("cli", "first")
    assert [p.name for p in path.parent.iterdir()] == ["KILL"]
    assert clear_latch(path) and not clear_latch(path)


def test_a_race_keeps_the_first_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: execution's "kill requested" replaced the person's words, because both had found no latch."""
    path = tmp_path / "KILL"
    monkeypatch.setattr(Path, "exists", lambda self: False)
    write_latch(path, "admin", "the person's words")
    write_latch(path, "exec", "kill requested")
    latch = read_latch(path)
    assert latch is not None and latch["reason"] == "the person's words"
    assert [p.name for p in tmp_path.iterdir()] == ["KILL"]


def test_an_unreadable_latch_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "KILL"
    for content in (b"", b"\xff\xfe", b"[1, 2]"):
        path.write_bytes(content)
        assert read_latch(path) is not None
