"""The shadow of a run as a child of the supervisor: a process of its own that may die without the run noticing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from config.paths import ROOT, DataPaths

STOP_S = 60.0  # it decides what it has not decided yet
RESTARTS = 3


class ShadowChild:
    """`job`: a `workers.backtest.Job` as JSON. `start` once, `look` now and then, `stop` when the run is over."""

    def __init__(self, paths: DataPaths, run_id: str, job: str, say: Callable[[str], None]) -> None:
        self._command = [
            sys.executable, "-m", "workers.shadow", "--data-dir", str(paths.data_dir), "--mode", paths.mode, "--run-id", run_id,
            "--job", job,
        ]
        self._log: Path = paths.log_dir / "shadow.log"
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._left = RESTARTS

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                                             preexec_fn=_hold_sigterm)

    def look(self) -> None:
        """Begin anew after a death (from the start of the journal, so nothing is lost), a few times."""
        if self._process is None or self._process.poll() is None:
            return
        code, self._process = self._process.returncode, None
        self._left -= 1
        self._say(f"shadow died ({code}), see {self._log}" + ("; it begins anew" if self._left > 0 else "; given up"))
        if self._left > 0:
            self.start()

    def stop(self) -> None:
        """After the recorder: everything is written, and it reads to the end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._say(f"shadow did not end within {time.monotonic() - begun:.0f} s: killed; `launch.py backtest --journal` "
                      "repeats it")
            self._process.kill()
            self._process.wait()


def _hold_sigterm() -> None:
    """Until it has its handler: a stop that came while it imports would end it, with nothing decided."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
