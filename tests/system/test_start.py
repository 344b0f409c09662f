"""A start that cannot work says why, with the documented exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.system.plant_runner import ROOT, environment, launch


def test_symbols_that_cannot_be_are_a_fault_of_usage(tmp_path: Path) -> None:
    done = launch("--symbols", "0", "--no-admin", "--data-dir", str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert "--symbols 0 is out of range" in done.stderr


def test_an_exchange_that_nobody_answers_for_is_told_while_it_waits(tmp_path: Path) -> None:
    """Before, 60 s of silence, and then the name of a folder with empty logs."""
    where = ("--venue", "http://127.0.0.1:1", "--no-admin", "--data-dir", str(tmp_path))
    command = [sys.executable, str(ROOT / "launch.py"), *where]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT) as process:
        assert process.stderr is not None
        told = next(line for line in process.stderr if "gateway" in line)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
    assert "Connection refused" in told and "http://127.0.0.1:1" in told and "again" in told
    lines = [line for path in tmp_path.rglob("system.jsonl") for line in path.read_text().splitlines() if '"error"' in line]
    assert lines and all("Connection refused" in line for line in lines)  # the log record keeps the cause, not the address
