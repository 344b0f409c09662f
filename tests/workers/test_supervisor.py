"""What the supervisor waits for at the end of a tape."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workers.processes import Child
from workers.supervisor import Supervisor


@pytest.mark.parametrize(("process", "done"), [
    (SimpleNamespace(pid=7, poll=lambda: None), True),
    (SimpleNamespace(pid=7, poll=lambda: -9), False),  # just died: nobody has noticed yet
    (None, False),  # waits for its restart
])
def test_a_tape_is_not_over_while_its_recorder_is_dead(tmp_path: Path, process: Any, done: bool) -> None:
    """Its successor takes what is left in the rings; a run that ended meanwhile had a journal without its end."""
    one: Any = object.__new__(Supervisor)
    one.children, one._signals = [Child("recorder", 0, tmp_path / "recorder.log", process)], 0
    one._plant = SimpleNamespace(recorder_lag_cells=lambda: 0, cnc=lambda *row: SimpleNamespace(pid=7, ready=True))
    assert one._recorder_caught_up() is done
    one.children = []
    assert one._recorder_caught_up(), "a run without one"


@pytest.mark.parametrize(("process", "revived"), [
    (SimpleNamespace(pid=7, poll=lambda: None), False), (SimpleNamespace(pid=7, poll=lambda: -9), True), (None, True),
])
def test_a_dead_recorder_comes_once_more_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: Any, revived: bool
) -> None:
    """What the rings hold then would be lost with them."""
    one: Any = object.__new__(Supervisor)
    child = Child("recorder", 0, tmp_path / "recorder.log", process)
    one.children = [child, Child("gateway", 0, tmp_path / "gateway.log")]
    looks = iter([False, False, True])
    monkeypatch.setattr(one, "_is_running", lambda child: next(looks))
    monkeypatch.setattr(one, "_restart", lambda child: setattr(child, "process", SimpleNamespace(pid=8, poll=lambda: None)))
    one._revive_recorder()
    assert (child.pid == 8) is revived and next(looks, "it was waited for") == ("it was waited for" if revived else False)
