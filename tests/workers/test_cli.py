"""What the command line refuses before anything starts: a sentence with cause and fix, and the documented exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import workers.supervisor
from config.paths import DataPaths
from tests.workers.made_runs import MadeRun
from workers import compiling, console, control
from workers.cli import cli

T0 = 1_763_640_000_000_000_000


def said(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is not refused would start the plant: here it ends with code 99."""

    class Started:
        def __init__(self, options: Any, loaded: Any) -> None:
            pass

        def main(self) -> int:
            return 99

    monkeypatch.setattr(workers.supervisor, "Supervisor", Started)
    monkeypatch.setattr(compiling, "warm", lambda *a, **k: None)
    for name in ("TRADING_MODE", "CAPITAL_TIER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("arguments", [[], ["--shards", "2"], ["--duration", "5"], ["--symbols", "BTCUSDT,ETHUSDT"]])
def test_what_is_right_starts(arguments: list[str]) -> None:
    assert said(*arguments).exit_code == 99


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "max"], "--tape"),  # an exchange runs at its own pace
        (["--speed", "10"], "--tape"),
        (["--instruments", __file__], "--tape"),
        (["--live"], "--mode LIVE"),  # the confirmation of a mode that is not asked for
        (["--i-understand", "12345"], "--mode LIVE"),
        (["--duration", "nan"], "nan"),
        (["--duration", "inf"], "inf"),
        (["--tape", str(Path(__file__).parent)], "folder"),
        (["replay", "latest", "--speed", "3"], "--page"),
        (["replay", "latest", "--paused"], "--page"),
        (["replay", "latest", "--admin-port", "0"], "--page"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], words: str) -> None:
    done = said(*arguments)
    assert done.exit_code == 2 and words in done.output, done.output


def test_an_export_of_a_time_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    run = MadeRun(tmp_path / "data", "r1", T0)
    run.end()
    times = ("--from", "2026-11-22", "--until", "2026-11-21")
    done = said("export", "parquet", run.paths.mode_dir, "--to", tmp_path / "out", *times)
    assert done.exit_code == 2 and "--from must be before --until" in done.output
    assert not (tmp_path / "out").exists()


def test_db_status_where_nothing_has_run_says_so(tmp_path: Path) -> None:
    for verb in ("status", "catch-up"):
        done = said("db", verb, "--data-dir", tmp_path)
        assert done.exit_code == 1 and "nothing has run in" in done.output, done.output
    assert not list(tmp_path.rglob("*.sqlite"))


def test_backtest_by_run_id_looks_in_the_data_folder(tmp_path: Path) -> None:
    done = said("backtest", "--run", "20261121T000000-dead", "--data-dir", tmp_path)
    assert done.exit_code == 2 and str(tmp_path) in done.output and "name what to run on" not in done.output


def test_backtest_of_the_latest_run_looks_in_the_data_folder_that_was_given(tmp_path: Path) -> None:
    done = said("backtest", "--journal", "latest", "--data-dir", tmp_path)
    assert done.exit_code == 2 and str(tmp_path) in done.output


def test_status_prints_the_page_and_a_fresh_login_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the login page promises to somebody whose link is used up."""
    monkeypatch.setattr(control, "status_of", lambda data_dir: {"mode": "SIM"})
    monkeypatch.setattr(console, "print_status", lambda state: None)
    paths = DataPaths(tmp_path, "SIM")
    paths.make()
    assert "page: down" in said("status", "--data-dir", tmp_path).output
    paths.admin_file.write_text('{"port": 4711, "url": "http://127.0.0.1:4711/", "login_token": "fresh-token"}')
    done = said("status", "--data-dir", tmp_path)
    assert done.exit_code == 0
    assert "page: http://127.0.0.1:4711/\n  one-time login: http://127.0.0.1:4711/login#fresh-token" in done.output
    told = json.loads(said("status", "--data-dir", tmp_path, "--json").output)
    assert told == {"mode": "SIM", "page": "http://127.0.0.1:4711/"}  # machine output is logged: no ticket in it
