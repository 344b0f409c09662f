"""The pause word follows the file; a disk that refuses cannot take a pause away, and a person always can."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.latch_file import clear_latch, read_latch, write_latch
from workers import pause_latch
from workers.pause_latch import FILE_POLL_NS, PauseLatch


class Words(dict[str, int]):
    def get(self, name: str) -> int:  # type: ignore[override]
        return super().get(name, 0)

    def set(self, name: str, value: int) -> None:
        self[name] = value


@pytest.fixture
def rig(tmp_path: Path):
    words, errors = Words(), []
    return PauseLatch(words, tmp_path / "run" / "PAUSE", errors.append), words, errors, tmp_path / "run" / "PAUSE"


def test_the_word_follows_the_file(rig) -> None:
    latch, words, _, path = rig
    write_latch(path, "cli", "lunch")
    latch.look()
    assert words.get("pause_exec") == 1
    assert clear_latch(path)
    latch.turn(10 * FILE_POLL_NS)
    assert words.get("pause_exec") == 0
    path.touch()  # somebody with nothing but a shell
    latch.turn(10 * FILE_POLL_NS + 1)
    assert words.get("pause_exec") == 0  # not looked at yet
    latch.turn(11 * FILE_POLL_NS)
    assert words.get("pause_exec") == 1


def test_own_pause_is_durable(rig) -> None:
    latch, words, errors, path = rig
    latch.hold("journal damaged")
    found = read_latch(path)
    assert words.get("pause_exec") == 1 and not errors
    assert found is not None and (found["source"], found["reason"]) == ("exec", "journal damaged")


def test_a_refusing_disk_leaves_the_word_until_a_person_resumes(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    latch, words, errors, path = rig

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pause_latch, "write_latch", full)
    latch.hold("journal damaged")
    latch.look()
    latch.look()
    assert words.get("pause_exec") == 1 and len(errors) == 1 and not path.exists()
    words.set("pause_exec", 0)  # `resume`
    latch.look()
    assert words.get("pause_exec") == 0
