"""What `doctor` finds on this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers import doctor


def test_a_folder_that_root_may_write_but_cannot_is_told() -> None:
    """/proc says yes to root's question and no to its file."""
    row = doctor.check_disk(Path("/proc/nothing-here"))
    assert (row.name, row.level) == ("disk", "fail")
    assert "not writable" in row.finding and "--data-dir" in row.fix


def test_a_folder_that_does_not_exist_yet_counts_as_the_one_above(tmp_path: Path) -> None:
    assert doctor.check_disk(tmp_path / "a" / "b").finding.endswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("free_gb, level", [(0.0, "warn"), (1e6, "ok")])
def test_little_room_is_a_warning(
    free_gb: float, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": free_gb * 1e9})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    assert doctor.check_disk(tmp_path).level == level
