"""What every bench shares: interleaved timing, ratios, a digest, conditions, one JSON result.

Figures on a shared machine drift, so a bench times its candidates in turn (A B A B ...) and quotes medians and the
ratio of medians. A result names its commit, versions, conditions and what it leaves out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def _commit() -> str:
    try:
        out = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=RESULTS.parent, check=True
        )
        return out.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _steal_ticks() -> int:
    """CPU time taken by other guests so far: a run with much of it is not worth quoting."""
    try:
        return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
    except (OSError, IndexError, ValueError):
        return 0


class Bench:
    """One bench run: collects figures, prints them as a table, writes `--out` as JSON."""

    def __init__(self, name: str, argv: Sequence[str] | None, excluded: str = "") -> None:
        parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
        parser.add_argument("--small", action="store_true", help="the size the test suite runs")
        parser.add_argument("--out", type=Path, help="write the result as JSON (default folder: bench/results)")
        options = parser.parse_args(argv)
        self.name = name
        self.small: bool = options.small
        self.excluded = excluded
        self._out: Path | None = options.out
        self._figures: dict[str, dict[str, Any]] = {}
        self._digests: list[str] = []
        self._steal = _steal_ticks()
        self._started_ns = time.monotonic_ns()

    def figure(self, name: str, value: float, unit: str, goal: str = "") -> None:
        """Record one figure; `goal` is text such as '<= 3'."""
        self._figures[name] = {"value": value, "unit": unit} | ({"goal": goal} if goal else {})

    def digest(self, value: object) -> None:
        """Print proof of what was computed, so that nobody speeds a bench up by changing its meaning."""
        self._digests.append(str(value))

    def timeit(self, label: str, function: Callable[[], object], repeats: int = 5, per: float = 1.0) -> float:
        """Median ns of `function()` divided by `per` (items it handles); recorded as a figure."""
        return self.interleave({label: function}, repeats, {label: per})[label]

    def interleave(
        self,
        functions: Mapping[str, Callable[[], object]],
        repeats: int = 5,
        per: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Time the functions in turn and return (and record) the median ns of each, divided by `per[label]`."""
        samples: dict[str, list[float]] = {label: [] for label in functions}
        for _ in range(repeats):
            for label, function in functions.items():
                start = time.perf_counter_ns()
                function()
                samples[label].append(time.perf_counter_ns() - start)
        medians = {}
        for label, values in samples.items():
            share = per[label] if per else 1.0
            medians[label] = median(values) / share
            self._figures[label] = {
                "value": medians[label], "unit": "ns", "min": min(values) / share, "max": max(values) / share,
                "runs": len(values),
            }
        return medians

    def ratio(self, name: str, numerator: float, denominator: float, goal: str = "") -> float:
        """Record numerator / denominator."""
        value = numerator / denominator if denominator else float("nan")
        self.figure(name, value, "x", goal)
        return value

    def finish(self) -> int:
        """Print the table and the digests, write the JSON file when asked; 0 = the bench ran."""
        print(f"\n{self.name}{' (small)' if self.small else ''}")
        width = max((len(n) for n in self._figures), default=0)
        for name, row in self._figures.items():
            spread = f"  [{row['min']:,.1f} .. {row['max']:,.1f}]" if "min" in row else ""
            goal = f"  (goal {row['goal']})" if "goal" in row else ""
            print(f"  {name:<{width}}  {row['value']:>14,.3f} {row['unit']}{spread}{goal}")
        for value in self._digests:
            print(f"  digest {value}")
        if self.excluded:
            print(f"  left out: {self.excluded}")
        if self._out:
            self._write(self._out if self._out.suffix else RESULTS / f"{self.name}.json")
        sys.stdout.flush()
        return 0

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        packages = ("numba", "numpy", "llvmlite", "picows", "msgspec", "orjson")
        result = {
            "bench": self.name,
            "commit": _commit(),
            "small": self.small,
            "python": platform.python_version(),
            "versions": {name: version(name) for name in packages},
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "load_average": os.getloadavg(),
            "steal_ticks": _steal_ticks() - self._steal,
            "wall_s": (time.monotonic_ns() - self._started_ns) / 1e9,
            "left_out": self.excluded,
            "digests": self._digests,
            "figures": self._figures,
        }
        path.write_text(json.dumps(result, indent=1) + "\n")
