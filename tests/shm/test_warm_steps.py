from __future__ import annotations

from pathlib import Path

import pytest

from tests.shm.support import needs_jit, run_python

CODE = """
from core.jit import KERNELS
from shm.warm import run
from shm.warm_steps import steps

assert run(steps()) == 0
ours = [k for k in KERNELS if k.__module__.startswith("shm.") or k.__module__ == "core.histogram"]
print("kernels", len(ours) > 20)
for k in ours:
    if len(k.signatures) > 1:  # none: only called by kernels that came from the cache
        print(k.__module__, k.__name__, k.signatures)
"""


@needs_jit
@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_transport_kernel_has_one_signature(
    fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one would be compiled in flight, at the first market event that needs it."""
    if fresh:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    result = run_python(CODE)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if not line.startswith("step ")]
    assert lines == ["kernels True"]
