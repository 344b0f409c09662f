"""Types that threads decode are known to msgspec at import: learning one in two threads at once ends the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEARNS = """
import typing
import msgspec
from config.schema import Settings
from config.profiles import ProfileFile
learnt = []
real = typing._eval_type  # msgspec resolves annotations with it, once per type
typing._eval_type = lambda *a, **k: learnt.append(a[0]) or real(*a, **k)
msgspec.convert({{}}, {name})
print(len(learnt))
"""


@pytest.mark.parametrize("name", ["Settings", "ProfileFile"])
def test_known_at_import(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", LEARNS.format(name=name)], cwd=ROOT, capture_output=True, text=True,
                          timeout=240, check=True)
    assert done.stdout.strip() == "0"
