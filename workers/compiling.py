"""Warm the kernel cache once, with a progress bar; a start with a warm cache skips straight over it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from config.fingerprint import is_warm, mark_warm
from config.paths import ROOT
from shm.topology import leftovers

WARM_MODULES = ("gateway.warm", "workers.warm")
"""Run side by side: one per core. Each lists its steps (see `shm/warm.py`)."""


class CompileError(Exception):
    """A warm-up process failed; the text is the end of its output."""


def warm(cache: Path, *, show: bool = True, stopping: Callable[[], bool] = lambda: False) -> None:
    """Compile every kernel into `cache`, showing progress on standard error.

    Raises CompileError when a warm-up process fails, KeyboardInterrupt when `stopping` says so; what was compiled until
    then is kept, the processes and their files are gone.
    """
    if is_warm(cache):
        return
    with tempfile.TemporaryDirectory(prefix="scalper-warm-") as folder:
        _compile(cache, folder, show, stopping)
    mark_warm(cache)


def _compile(cache: Path, folder: str, show: bool, stopping: Callable[[], bool]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("compiling kernels (once)"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    done: dict[str, tuple[int, int, str]] = {}
    children = {
        module: subprocess.Popen(
            [sys.executable, "-m", module], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "TMPDIR": folder}, start_new_session=True,  # Ctrl-C is ours
        )
        for module in WARM_MODULES
    }
    errors: dict[str, str] = {}

    def follow(module: str, output: IO[str]) -> None:
        for line in output:
            parts = line.split(maxsplit=4)
            if len(parts) == 5 and parts[0] == "step":
                done[module] = (int(parts[1]), int(parts[2]), parts[4].strip())

    def drain(module: str, output: IO[str]) -> None:
        errors[module] = output.read()

    threads = []
    for module, child in children.items():
        assert child.stdout is not None and child.stderr is not None
        threads += [
            threading.Thread(target=follow, args=(module, child.stdout)),
            threading.Thread(target=drain, args=(module, child.stderr)),
        ]
    for thread in threads:
        thread.start()
    try:
        with Progress(*columns, console=Console(stderr=True), disable=not show, transient=False) as progress:
            task = progress.add_task("starting", total=None)
            while any(thread.is_alive() for thread in threads):
                if stopping():
                    raise KeyboardInterrupt
                threads[0].join(0.1)
                for thread in threads[1:]:
                    thread.join(0.01)
                if len(done) == len(WARM_MODULES):
                    steps = sum(row[0] for row in done.values())
                    progress.update(
                        task, total=sum(row[1] for row in done.values()), completed=steps,
                        description=", ".join(row[2] for row in done.values()),
                    )
            progress.update(task, description="done")
    except BaseException:
        for child in children.values():
            child.kill()
            child.wait()
        leftovers()  # their shared memory
        raise
    for module, child in children.items():
        if child.wait():
            raise CompileError(f"{module} failed:\n{errors.get(module, '')[-2000:]}")
