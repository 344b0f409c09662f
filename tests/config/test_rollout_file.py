"""The rollout file: what was written comes back, anything else proves nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from config.rollout_file import Damaged, read_rollout, write_rollout
from core.performance.promotion import Incident, LiveTrade, Rollout

STATE = Rollout("https://x", "4711", 1, 5, 6, (LiveTrade("BTCUSDT", 1, 2, 1, 3, 4, "MICRO", "PUMP"),),
                (Incident(7, "safety", True, False, "text"),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "live" / "rollout.json"
    write_rollout(file, STATE)
    return file


def test_round_trip(path: Path) -> None:
    assert read_rollout(path, Rollout) == STATE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_rollout(path.with_name("none.json"), Rollout) is None


def test_any_changed_byte_is_found(path: Path) -> None:
    """A byte that is no white space: the checksum or the shape gives it away."""
    data = path.read_bytes().rstrip(b"\n")
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        with pytest.raises(Damaged):
            read_rollout(path, Rollout)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b'{"version": 2, "sha256": "", "rollout": {}}'])
def test_other_files(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(Damaged):
        read_rollout(path, Rollout)


def test_an_unreadable_one(tmp_path: Path) -> None:
    (tmp_path / "rollout.json").mkdir()
    with pytest.raises(Damaged):
        read_rollout(tmp_path / "rollout.json", Rollout)
