"""A backtest that a person asks for, checked before anything starts, as arguments of `launch.py backtest`.

Every refusal names the field it is about (`field` beside the answer: source, symbols, from, to, settings, name), so that the form
of the history page can say it there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from admin.recordings import Recording, Recordings
from admin.web import ApiError
from config.load import ConfigError, load, parse_set
from core.constants import NS_PER_MS

FIELDS = frozenset({"run", "tapes", "from", "to", "settings", "name"})
SHAPE = ('strategy_config of a backtest: {"run": "RUN ID" | "tapes": ["FILE"], "from": epoch ms, "to": epoch ms, "settings": '
         '{"thresholds.score.arm": [60, 60, 60]} | ["trading.exits.stop_atr=3"], "name": "TEXT"}; without run and tapes it is '
         'the newest run of this data folder')
NAME_LENGTH = 60


def refusal(field: str, cause: str, fix: str = SHAPE) -> ApiError:
    return ApiError(400, cause, fix, beside={"success": False, "field": field})


def arguments_of(
    symbols: list[str], config: dict[str, Any], recordings: Recordings, config_files: Sequence[str]
) -> list[str]:
    """Arguments of `launch.py backtest`. `config_files`: of the running system, the base of `settings`. Raises ApiError."""
    if unknown := set(config) - FIELDS:
        raise refusal("", f"unknown in strategy_config: {', '.join(sorted(unknown))}")
    tapes, run_id = config.get("tapes", []), config.get("run", "")
    if not isinstance(tapes, list) or not isinstance(run_id, str) or (tapes and run_id):
        raise refusal("source", "'tapes' is a list of files, 'run' the id of a recorded run; one of them")
    run = None if tapes else _run(run_id, recordings)
    arguments = _source(run, tapes, recordings) + _window(config, run)
    for key, value in _settings(config.get("settings", {}), config_files).items():
        arguments += ["--set", f"{key}={msgspec.json.encode(value).decode()}"]
    if symbols and run is not None:
        raise refusal("symbols", "a recorded run brings its own symbols", "leave them out, or make the backtest of a tape")
    if symbols:
        arguments += ["--symbols", ",".join(symbols)]
    for file in config_files:
        arguments += ["--config", file]
    return arguments


def name_of(config: dict[str, Any]) -> str:
    """What to call the result, "" = nothing in particular. Raises ApiError."""
    name = config.get("name", "")
    if not isinstance(name, str) or len(name.strip()) > NAME_LENGTH or not name.isprintable():
        raise refusal("name", f"'name' is not text of at most {NAME_LENGTH} characters", "send a shorter one, or none")
    return name.strip()


def _run(run_id: str, recordings: Recordings) -> Recording:
    """The run asked for, or the newest."""
    if run_id:
        found = recordings.run(run_id)
        if found is None:
            raise refusal("source", f"this data folder holds no run {run_id[:40]}", "GET /api/backtests/sources lists them")
    else:
        found = next((run for run in recordings.runs() if not run.trouble), None)
        if found is None:
            raise refusal("source", "no run is recorded in this data folder",
                          f"let the system run for a while, or put a tape into {recordings.tape_dir}")
    if found.trouble:
        raise refusal("source", f"of run {found.run_id} no backtest can be made: {found.trouble}", "choose another recording")
    return found


def _source(run: Recording | None, tapes: list[Any], recordings: Recordings) -> list[str]:
    if run is not None:
        return ["--journal", str(run.folder), "--run", run.run_id]
    arguments = []
    for name in tapes:
        path = recordings.tape(str(name))
        if path is None:
            raise refusal("source", f"'{str(name)[:80]}' is no file in the data folder", f"put it into {recordings.tape_dir}")
        arguments += ["--tape", str(path)]
    return arguments


def _window(config: dict[str, Any], run: Recording | None) -> list[str]:
    """--from and --to, which must leave something of the recording."""
    times = {}
    for key in ("from", "to"):
        value = config.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 43:
            raise refusal(key, f"'{key}' is no time in epoch ms")
        times[key] = value * NS_PER_MS
    if "from" in times and times["from"] >= times.get("to", 1 << 62):
        raise refusal("from", "it begins where it ends, or later", "choose an earlier 'from' or a later 'to'")
    if run is not None and run.from_ns:
        if times.get("from", 0) >= run.to_ns:
            raise refusal("from", "the recording ends before", "choose an earlier time, or none for the whole recording")
        if times.get("to", 1 << 62) <= run.from_ns:
            raise refusal("to", "the recording begins later", "choose a later time, or none for the whole recording")
    return [part for key, value in times.items() for part in (f"--{key}", str(value))]


def _settings(given: Any, config_files: Sequence[str]) -> dict[str, Any]:
    """Settings to change, {dotted key: value}, as `launch.py backtest --set` takes and checks them."""
    if isinstance(given, list) and all(isinstance(line, str) for line in given):
        lines = given
    elif isinstance(given, dict):
        lines = [f"{key}={msgspec.json.encode(value).decode()}" for key, value in given.items()]
    else:
        raise refusal("settings", "'settings' is neither an object of settings nor a list of key=value")
    try:
        changed = parse_set(lines)
        load([Path(name) for name in config_files], os.environ, {**changed, "trading.mode": "SIM"})
    except ConfigError as error:
        told = " ".join(text.removeprefix("command line: ") for text in error.errors)
        raise refusal("settings", told.rstrip("."), "`launch.py show-config` prints every setting with its value") from None
    return changed
