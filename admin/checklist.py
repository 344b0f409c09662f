"""The pre-live checklist for the page: made by `python -m workers.checklist` in a process of its own, one at a time, kept for a
while. The page must not wait half a second in a thread that serves others, and admin imports no workers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from config.paths import ROOT

KEPT_S = 10.0
LIMIT_S = 30.0


class Checklist:
    """`get` answers {ready, rows: [{name, level, finding, fix}], ts}; `error` instead where it could not be made."""

    def __init__(self, data_dir: Path, config_files: Sequence[str] = (), command: Sequence[str] | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        files = [part for file in config_files for part in ("-c", file)]
        self._command = list(command) if command else [
            sys.executable, "-m", "workers.checklist", "--data-dir", str(data_dir), *files]
        self._clock = clock
        self._lock = threading.Lock()
        self._made_s = -KEPT_S
        self._found: dict[str, Any] = {}

    def get(self) -> dict[str, Any]:
        """The list, at most `KEPT_S` old."""
        with self._lock:
            if self._clock() - self._made_s >= KEPT_S:
                self._found = self._make()
                self._made_s = self._clock()
            return self._found

    def _make(self) -> dict[str, Any]:
        try:
            done = subprocess.run(self._command, cwd=ROOT, capture_output=True, timeout=LIMIT_S, check=True)
            found: dict[str, Any] = msgspec.json.decode(done.stdout, type=dict)
        except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
            return {"ready": False, "rows": [], "error": f"the checklist could not be made: {type(error).__name__}"}
        return found
