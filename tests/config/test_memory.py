from __future__ import annotations

import subprocess
import sys

import pytest

from config import memory

CODE = """
import pathlib
import numpy as np
from config.memory import return_large_blocks
if {asked}:
    assert return_large_blocks()
np.zeros(30 << 20, np.uint8)  # freed: from here on glibc keeps blocks of this size
kept = []
for _ in range(40):
    block = np.ones(20 << 20, np.uint8)
    kept.append(bytes(100_000))  # on top of it
    del block
print(int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20)
"""


def megabytes(asked: bool) -> int:
    command = [sys.executable, "-c", CODE.format(asked=asked)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not memory.return_large_blocks(), reason="the C library has no such setting")
def test_large_blocks_go_back() -> None:
    assert megabytes(True) + 15 < megabytes(False)


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.return_large_blocks()
