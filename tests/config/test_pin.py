"""The PIN: hashed, readable by the owner only, few tries, and a lock that survives restarts."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from config import pin as pins
from config.pin import LOCK_MS, TRIES, PinError, check_pin, is_set, set_pin

SHIPPED_N = pins.N


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "N", 2**4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "live" / "pin.json"
    set_pin(file, "a good pin")
    return file


def test_the_right_one_and_what_is_on_disk(path: Path) -> None:
    check_pin(path, "a good pin", 0)
    text = path.read_text()
    assert "good" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    set_pin(path, "a good pin")
    assert path.read_text() != text  # another salt
    assert is_set(path)


@pytest.mark.parametrize("weak", ["", "12345", "111111", "123456", "987654"])
def test_weak_ones_are_not_taken(path: Path, weak: str) -> None:
    with pytest.raises(PinError):
        set_pin(path, weak)
    check_pin(path, "a good pin", 0)


def test_five_wrong_ones_lock_and_the_right_one_must_wait(path: Path) -> None:
    for left in range(TRIES - 1, 0, -1):
        with pytest.raises(PinError, match=f"{left} tries left"):
            check_pin(path, "wrong", 1000)
    with pytest.raises(PinError, match="locked for 15 min"):
        check_pin(path, "wrong", 1000)
    for later in (1000, 1000 + LOCK_MS - 1):
        with pytest.raises(PinError, match="locked for"):
            check_pin(path, "a good pin", later)
    check_pin(path, "a good pin", 1000 + LOCK_MS)


def test_a_right_one_forgets_the_wrong_ones(path: Path) -> None:
    for _ in range(3):
        for _ in range(TRIES - 1):
            with pytest.raises(PinError):
                check_pin(path, "wrong", 0)
        check_pin(path, "a good pin", 0)


def test_a_try_counts_before_it_is_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killing the process between the try and its verdict does not make it free."""
    def dies(pin: str, file: pins.PinFile) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pins, "_hash", dies)
        for _ in range(TRIES):
            with pytest.raises(KeyboardInterrupt):
                check_pin(path, "a good pin", 5)
    with pytest.raises(PinError, match="locked"):
        check_pin(path, "a good pin", 6)


def test_no_file_and_a_broken_one(tmp_path: Path) -> None:
    path = tmp_path / "pin.json"
    assert not is_set(path)
    with pytest.raises(PinError, match="pin set"):
        check_pin(path, "a good pin", 0)
    path.write_text("{")
    with pytest.raises(PinError, match="pin set"):
        check_pin(path, "a good pin", 0)


def test_the_shipped_cost_is_the_one_meant() -> None:
    assert (SHIPPED_N, pins.R, pins.P) == (2**15, 8, 1)
