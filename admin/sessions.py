"""Trading sessions over REST (requirement D5): the running system is one; backtests started from here are others.

The running system's session is started, paused and stopped by its entries: a pause keeps positions managed to their end, a
stop also closes them. A backtest is a process of its own at the lowest priority, one at a time.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from admin.files import read_json
from admin.recordings import Recordings
from admin.snapshot import Snapshot
from config.paths import ROOT, DataPaths
from core.enums import Mode

STOPPED_BY = "session stopped by"
KEPT = 20
NICE = 19


def session_type(mode: Mode) -> str:
    """live or paper; SIM and DRY_RUN risk no money."""
    return "live" if mode == Mode.LIVE else "paper"


def trading_session(snapshot: Snapshot, run: dict[str, Any], mode: Mode, latch: dict[str, Any] | None) -> dict[str, Any]:
    """The running system as a session. `run`: Views.run_json; `latch`: the PAUSE file."""
    control = snapshot.control
    why = str((latch or {}).get("reason", ""))
    dead = [row["name"] for row in snapshot.processes if row["role"] == "execution" and row["alive"] is False]
    error = ""
    if control["killed"]:
        status, error = "ERROR", "KILL is latched; a person must clear it"
    elif dead:
        status, error = "ERROR", "execution does not answer"
    elif control["paused"]:
        status = "STOPPED" if why.startswith(STOPPED_BY) else "PAUSED"
    else:
        status = "RUNNING"
    listed = sorted(snapshot.symbols[int(symbol)].name for symbol in snapshot.ids)
    return {"session_id": run["run_id"], "session_type": session_type(mode), "mode": mode.name, "status": status, "error": error,
            "symbols": listed, "started_ts": run["started_ts"], "reason": why,
            "open_positions": int(snapshot.account[0]["open_positions"])}


class BacktestBusy(Exception):
    """One backtest runs at a time; the text names it."""


@dataclass
class BacktestRun:
    """One backtest that was started from here."""

    session_id: str
    symbols: list[str]
    config: dict[str, Any]
    started_ts: int
    process: subprocess.Popen[bytes]
    output: Path
    errors: Path
    progress: Path
    stopped: bool = False
    ended_ts: int = 0

    def row(self) -> dict[str, Any]:
        """As a session: RUNNING, STOPPED (done, or ended by a person), ERROR. `progress`: {doing, share, left_s} of one
        that runs, None while it prepares; `result`: what `backtest --json` says, with the `id` in the list of backtests."""
        code = self.process.poll()
        status, error, result = "RUNNING", "", None
        if code is not None:
            self.progress.unlink(missing_ok=True)
            self.ended_ts = self.ended_ts or time.time_ns() // 1_000_000
            status = "STOPPED" if self.stopped or code == 0 else "ERROR"
            if code == 0:
                result = _last_object(self.output)
            elif not self.stopped:
                error = _tail(self.errors) or f"exit code {code}"
        return {"session_id": self.session_id, "session_type": "backtest", "mode": "SIM", "status": status, "error": error,
                "symbols": self.symbols, "strategy_config": self.config, "started_ts": self.started_ts,
                "ended_ts": self.ended_ts or None, "progress": read_json(self.progress), "was_stopped": self.stopped,
                "result": result}


class BacktestRuns:
    """Backtests started from here; safe to call from several threads."""

    def __init__(self, paths: DataPaths, config_files: Sequence[str] = ()) -> None:
        self._paths = paths
        self.recordings = Recordings(paths)
        self.config_files = tuple(config_files)
        self._runs: list[BacktestRun] = []
        self._lock = threading.Lock()

    def start(self, symbols: list[str], config: dict[str, Any], arguments: list[str], name: str = "") -> dict[str, Any]:
        """Start `launch.py backtest` with `arguments`; `name` of the result, "" = the session's. Raises BacktestBusy, OSError."""
        with self._lock:
            busy = next((run for run in self._runs if run.process.poll() is None), None)
            if busy is not None:
                raise BacktestBusy(busy.session_id)
            number = f"backtest-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
            folder = self._paths.log_dir
            folder.mkdir(parents=True, exist_ok=True)
            output, errors, progress = (folder / f"{number}.{kind}" for kind in ("json", "log", "progress"))
            command = [sys.executable, str(ROOT / "launch.py"), "backtest", "--json", "--no-check", "--name", name or number,
                       "--progress", str(progress), "--data-dir", str(self._paths.data_dir), *arguments]
            with output.open("wb") as out, errors.open("wb") as err:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT,
                                           env=os.environ | {"SCALPER_NO_VENV": "1"})
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
            run = BacktestRun(number, symbols, config, time.time_ns() // 1_000_000, process, output, errors, progress)
            self._runs = [*self._runs, run][-KEPT:]
            return run.row()

    def rows(self) -> list[dict[str, Any]]:
        """Newest first."""
        with self._lock:
            return [run.row() for run in reversed(self._runs)]

    def stop(self, session_id: str) -> dict[str, Any] | None:
        """End it; None where there is no such run."""
        with self._lock:
            run = next((each for each in self._runs if each.session_id == session_id), None)
            if run is None:
                return None
            if run.process.poll() is None:
                run.stopped = True
                run.process.terminate()
                try:
                    run.process.wait(3)
                except subprocess.TimeoutExpired:
                    run.process.kill()
                    run.process.wait()
            return run.row()

    def close(self) -> None:
        """End what still runs."""
        for row in self.rows():
            if row["status"] == "RUNNING":
                self.stop(row["session_id"])


def _last_object(path: Path) -> dict[str, Any] | None:
    try:
        lines = path.read_bytes().strip().splitlines()
        found = msgspec.json.decode(lines[-1]) if lines else None
    except (OSError, msgspec.DecodeError):
        return None
    return found if isinstance(found, dict) else None


def _tail(path: Path, lines: int = 3) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").strip().splitlines()[-lines:])[-600:]
    except OSError:
        return ""
