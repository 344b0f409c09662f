"""Verbs that steer, where the disk or the rights of the caller refuse: a sentence, and whatever can be done is done."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import click.testing
import pytest

from config import latch_file, news_file
from config.paths import DataPaths
from workers import control
from workers.cli import cli


def call(*arguments: str) -> click.testing.Result:
    done = click.testing.CliRunner().invoke(cli, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def refusing(number: int) -> Any:
    def refuse(path: Path, *arguments: Any) -> None:
        raise OSError(number, os.strerror(number), str(path))

    return refuse


def test_a_kill_reaches_a_running_system_also_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def apply(folder: Path, verb: str, **more: Any) -> list[str]:
        asked.append(verb)
        return ["KILL requested"]

    monkeypatch.setattr(latch_file, "write_latch", refusing(errno.ENOSPC))
    monkeypatch.setattr(control, "apply", apply)
    done = call("kill", "--data-dir", str(tmp_path))
    assert asked == ["kill"] and "KILL requested" in done.output
    assert done.exit_code == 1 and "No space left" in done.output and "would not survive a restart" in done.output


@pytest.mark.parametrize("verb", ["kill", "pause"])
def test_a_latch_that_is_not_written_while_nothing_runs_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    for module in (latch_file, control):
        monkeypatch.setattr(module, "write_latch", refusing(errno.EACCES))
    done = call(verb, "--data-dir", str(tmp_path))
    assert done.exit_code == 1 and "Permission denied" in done.output and "owner" in done.output
    assert "holds for the next start" not in done.output


def test_rights_that_lack_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_file.os, "open", refusing(errno.EACCES))
    done = call("news", "BTCUSDT", "LISTING", "--data-dir", str(tmp_path))
    assert done.exit_code == 1 and done.output.startswith(f"E1 {DataPaths(tmp_path, 'SIM').news_file}: Permission denied. ")


def test_whoever_may_not_look_is_not_told_that_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path, *arguments: Any, **more: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", closed)
    done = call("status", "--data-dir", str(tmp_path))
    assert done.exit_code == 1 and "nothing runs" not in done.output and "Permission denied" in done.output


def test_other_faults_of_the_system_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "apply", refusing(errno.EBADF))
    done = click.testing.CliRunner().invoke(cli, ["pause", "--data-dir", str(tmp_path)])
    assert isinstance(done.exception, OSError)
