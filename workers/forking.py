"""Start a role by fork from the supervisor, which has imported everything already.

An interpreter of its own costs every process 0.8 s of imports, and seven of them share two cores; a fork costs some
milliseconds and shares the pages of the code. It is safe because the supervisor has one thread (its helper threads
have ended before the first fork), holds no lock and runs no kernel; what a child must not keep, it drops first thing.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

PRELOAD = ("gateway.market_data", "workers.shard", "workers.execution", "workers.recorder")
_PR_SET_NAME = 15
_POLL_S = 0.005


class Forked:
    """A forked child with the few methods of `subprocess.Popen` that the supervisor uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises TimeoutError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(_POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def preload(modules: Sequence[str] = PRELOAD) -> None:
    """Import what the children will need."""
    for name in modules:
        importlib.import_module(name)


def fork(
    module: str, arguments: Sequence[str], title: str, log_path: Path | None, in_child: Callable[[], None]
) -> Forked:
    """Run `module.main(arguments)` in a child; its output goes to `log_path` (None: stays on the terminal).

    `in_child` runs there first: it drops what belongs to the supervisor alone.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Forked(pid)
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        in_child()
        _redirect(log_path)
        ctypes.CDLL(None).prctl(_PR_SET_NAME, title.encode()[:15], 0, 0, 0)
        code = importlib.import_module(module).main(list(arguments)) or 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # no atexit handlers, no finalizers: they are the supervisor's


def _redirect(log_path: Path | None) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if log_path is None:
        os.dup2(2, 1)
        return
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
