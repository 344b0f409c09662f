"""Run launch.py as a person would and look at it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil

from config.paths import DataPaths

ROOT = Path(__file__).resolve().parent.parent.parent
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, timeout_s: float = 400.0) -> T:
    """Look again and again until the answer is true; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"did not happen within {timeout_s} s: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Is this process there, and no zombie? It may end while we ask."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def environment() -> dict[str, str]:
    """The children use the kernel cache of the suite and this interpreter."""
    return os.environ | {"SCALPER_NO_VENV": "1"}


def launch(*arguments: str, timeout_s: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run launch.py to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "launch.py"), *arguments], capture_output=True, text=True, timeout=timeout_s,
        env=environment(), cwd=ROOT,
    )


def last_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The object of the last line on standard output."""
    assert done.stdout.strip(), f"no output; stderr:\n{done.stderr[-3000:]}"
    return json.loads(done.stdout.strip().splitlines()[-1])


def leftovers(run_id: str) -> list[str]:
    return [path.name for path in Path("/dev/shm").glob(f"scalper-{run_id}-*")]


class Running:
    """A plant that runs while the test looks at it."""

    def __init__(self, process: subprocess.Popen[str], data_dir: Path, mode: str = "SIM") -> None:
        self.process = process
        self.data_dir = data_dir
        self.paths = DataPaths(data_dir, mode)
        self.started_ns = time.time_ns()

    def status(self) -> dict[str, Any]:
        done = launch("status", "--json", "--data-dir", str(self.data_dir))
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def stop(self, timeout_s: float = 400.0) -> tuple[int, dict[str, Any], str]:
        """Ctrl-C; exit code, summary, everything said on standard error."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=timeout_s)
        lines = out.strip().splitlines()
        return self.process.returncode, json.loads(lines[-1]) if lines else {}, err


@contextlib.contextmanager
def running(data_dir: Path, *arguments: str, mode: str = "SIM", **variables: str) -> Iterator[Running]:
    """Start launch.py (`mode` as the arguments say), with these environment variables; never leaves a process behind."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), "run", "--data-dir", str(data_dir), "--json", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment() | variables, cwd=ROOT,
    )
    plant = Running(process, data_dir, mode)
    try:
        yield plant
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        if process.stdout is not None and not process.stdout.closed:
            try:
                process.communicate(timeout=240)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
