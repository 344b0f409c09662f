from __future__ import annotations

import subprocess
import sys

import pytest

from config import memory

CODE = """
import pathlib
import numpy as np
from config.memory import return_large_blocks
assert return_large_blocks()
np.zeros(30 << 20, np.uint8)  # freed: from here on glibc keeps blocks of this size
kept = []
before = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
for _ in range(40):
    block = np.ones(20 << 20, np.uint8)
    kept.append(bytes(100_000))  # on top of it
    del block
print(int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 - before >> 20)
"""


@pytest.mark.skipif(not memory.return_large_blocks(), reason="the C library has no such setting")
def test_large_blocks_go_back() -> None:
    """A block between pieces that stay: gone when it is freed (a process that did not ask may keep it, and need not)."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 15


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.return_large_blocks()
