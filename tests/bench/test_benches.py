"""Each `bench/bench_*.py` runs to its end with `--small` and proves with a digest that it computed something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHES = sorted(path.stem for path in (ROOT / "bench").glob("bench_*.py"))
LIMIT_S = 600.0  # a warm small run takes some seconds; a cold one compiles first


def test_there_are_benches() -> None:
    assert len(BENCHES) >= 6


@pytest.mark.bench
@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize("name", BENCHES)
def test_small_run(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--small", "--out", str(tmp_path / "result.json")],
        cwd=ROOT, env=os.environ | {"PYTHONWARNINGS": "default"}, capture_output=True, text=True, timeout=LIMIT_S,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert any(line.startswith("  digest ") for line in done.stdout.splitlines()), done.stdout[-2000:]
    assert (tmp_path / "result.json").stat().st_size > 0
