"""Peers that cannot live in our environment: each gets its own under `.cache/`, and a child process that is told what to
do by lines of JSON, so that rounds of us and of them can take turns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

CACHE = Path(__file__).resolve().parent.parent / ".cache"
INSTALL_S = 900


class Package(NamedTuple):
    """What to install, and the module that shows that it is."""

    requirement: str
    module: str

    @property
    def python(self) -> Path:
        return CACHE / self.module.partition("_")[0] / "bin" / "python"


HFTBACKTEST = Package("hftbacktest==2.4.4", "hftbacktest")
NAUTILUS = Package("nautilus_trader==1.221.0", "nautilus_trader")  # the last one for Python 3.11


def environment(package: Package) -> tuple[Path | None, str]:
    """(Python of the peer's environment, its version); (None, why not) where it cannot be had. Made on first use."""
    python = package.python
    try:
        if not python.exists():
            folder = python.parent.parent
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, text=True)
        if subprocess.run([str(python), "-c", f"import {package.module}"], capture_output=True).returncode:
            subprocess.run([str(python), "-m", "pip", "install", "-q", package.requirement], check=True,
                           capture_output=True, text=True, timeout=INSTALL_S)
        subprocess.run([str(python), "-c", f"import {package.module}"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        return None, detail.strip().splitlines()[-1] if detail.strip() else repr(error)
    return python, package.requirement


class Peer:
    """A child that answers each line of JSON with one."""

    def __init__(self, python: Path, script: str) -> None:
        path = Path(__file__).resolve().with_name(script)
        self._child = subprocess.Popen([str(python), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **what: Any) -> Any:
        """Its answer. Raises RuntimeError when it is gone."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps(what) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        if not answer:
            raise RuntimeError(f"the peer ended with {self._child.wait()} when asked for {what}")
        return json.loads(answer)

    def close(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(30)
