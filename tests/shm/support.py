"""Names, memory and interpreters for the shared-memory tests."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core import config as numba_config

from core.records import EVENT

ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count()

needs_jit = pytest.mark.skipif(bool(numba_config.DISABLE_JIT), reason="needs compiled kernels")


def fresh_name(what: str) -> str:
    """A segment or run name nobody else uses."""
    return f"scalpertest-{os.getpid()}-{what}-{next(_numbers)}"


def fresh_run() -> str:
    return f"test{os.getpid()}x{next(_numbers)}"


def zeros(size: int) -> np.ndarray:
    """Page-aligned zeroed memory, like a segment's body."""
    raw: np.ndarray = np.zeros(size + 4096, np.uint8)
    start = -raw.ctypes.data % 4096
    return raw[start : start + size]


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in an interpreter of its own, with the project on its path."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, env=environment, cwd=ROOT,
    )


def message(number: int, length: int) -> np.ndarray:
    """A message of `length` cells, every payload word derived from its number."""
    cells: np.ndarray = np.zeros((length, 8), np.int64)
    cells[1:] = number * 1000 + np.arange((length - 1) * 8).reshape(-1, 8)
    header = cells[0].view(EVENT.dtype)
    header["seq"] = number
    header["n_cells"] = length
    return cells
