"""What does a shadow (`run --shadow FILE`) cost the live path? One run of the whole plant; its shadow is stopped (SIGSTOP) and
goes on (SIGCONT) in turn, so both halves see the same processes on the same market.

Told per half: CPU of gateway, shards, execution and recorder per event stepped, and how old a message is when its shard takes it.
A shadow reads the journal's files at nice 10 and shares no memory with the run, so what it can cost is cores, caches and disk.
The shadow's own CPU stands beside; behind a pause it catches up, which makes its half the harder one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from bench.harness import Bench
from config.paths import ROOT, DataPaths
from core.histogram import hist_percentile
from shm.counters import S_RECV_TO_SHARD
from shm.topology import Plant

SHARDS = 2
SETTLE_S = 12.0  # listings, snapshots, warm-up
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CANDIDATE = "[thresholds.score]\nwatch = [30.0, 30.0, 30.0]\narm = [40.0, 40.0, 40.0]\n"


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def child_with(parent: int, word: str) -> int:
    """The child of `parent` whose command line holds `word`, 0 = none."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1]) == parent:
                if word.encode() in path.joinpath("cmdline").read_bytes().split(b"\0"):
                    return int(path.name)
        except OSError:
            continue  # ended while we looked
    return 0


class Window:
    """What the plant did in one stretch of time."""

    def __init__(self, plant: Plant, shadow: int) -> None:
        self._plant, self._shadow = plant, shadow
        rows = [("gateway", 0), *(("shard", k) for k in range(SHARDS)), ("execution", 0), ("recorder", 0)]
        self._pids = [plant.cnc(role, index).pid for role, index in rows]
        self._ages = [plant.counters("shard", k).hist(S_RECV_TO_SHARD) for k in range(SHARDS)]
        self._before = self._look()

    def _look(self) -> tuple[float, float, int, np.ndarray]:
        events = sum(self._plant.counters("shard", k).get("events") for k in range(SHARDS))
        ages = np.sum([each.copy() for each in self._ages], axis=0)
        return sum(map(cpu_s, self._pids)), cpu_s(self._shadow), events, ages

    def close(self) -> tuple[float, float, float, float]:
        """(us of CPU per event, p50 and p99 age in us, CPU seconds of the shadow) since it was opened."""
        (cpu, shadow, events, ages), (cpu0, shadow0, events0, ages0) = self._look(), self._before
        ages = ages - ages0
        ages[: len(ages)] = np.maximum(ages, 0)
        return (1e6 * (cpu - cpu0) / max(events - events0, 1), hist_percentile(ages, 50.0) / 1e3,
                hist_percentile(ages, 99.0) / 1e3, shadow - shadow0)


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("shadow", argv, "the disk; a machine whose cores are all taken")
    pairs, seconds = (1, 2.0) if bench.small else (6, 8.0)
    with tempfile.TemporaryDirectory() as name:
        data, candidate = Path(name) / "data", Path(name) / "candidate.toml"
        candidate.write_text(CANDIDATE)
        run = subprocess.Popen(
            [sys.executable, str(ROOT / "launch.py"), "run", "--data-dir", str(data), "--json", "--no-admin", "--shards",
             str(SHARDS), "--symbols", "8" if bench.small else "40", "--shadow", str(candidate)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | {"SCALPER_NO_VENV": "1"}, cwd=ROOT,
        )
        shadow = 0
        try:
            status = DataPaths(data, "SIM").shadow_dir
            while not list(status.glob("*/status.json")):
                if run.poll() is not None:
                    raise SystemExit("the run ended before its shadow began")
                time.sleep(0.1)
            shadow = child_with(run.pid, "workers.shadow")
            found = next(iter(Path(name).rglob("run.json")))
            plant = Plant.join(found, "admin")
            time.sleep(2.0 if bench.small else SETTLE_S)
            halves: dict[str, list[tuple[float, float, float, float]]] = {"off": [], "on": []}
            for _ in range(pairs):
                for half, word in (("off", signal.SIGSTOP), ("on", signal.SIGCONT)):
                    os.kill(shadow, word)
                    window = Window(plant, shadow)
                    time.sleep(seconds)
                    halves[half].append(window.close())
            for half, rows in halves.items():
                for k, (label, unit) in enumerate((("CPU per event", "us"), ("age p50", "us"), ("age p99", "us"))):
                    bench.figure(f"{label}, shadow {half}", median(row[k] for row in rows), unit)
            for k, label in enumerate(("CPU per event", "age p50", "age p99")):
                bench.ratio(f"{label}, on/off", median(r[k] for r in halves["on"]), median(r[k] for r in halves["off"]))
            bench.figure("shadow's own CPU", median(row[3] for row in halves["on"]) / seconds, "s/s")
            plant.close()
        finally:
            if shadow:
                os.kill(shadow, signal.SIGCONT)
            run.send_signal(signal.SIGINT)
            out, _ = run.communicate(timeout=120)
        bench.digest(json.loads(out.strip().splitlines()[-1]).get("run_id", "") != "")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
