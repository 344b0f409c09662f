"""The slot of a child process in the supervisor."""

from __future__ import annotations

from pathlib import Path

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
