"""The whole plant under a fixed load: how long after a frame was *due* had it been read, published, stepped, acted on?

A generator process (`load_generator`) sends 700 symbols' worth of Bybit frames over loopback WebSockets, open loop, at
10,000, 25,000 and 50,000 frames a second, with bursts (see `load_market`), and at 25,000 also without them: a burst is
CPU time, and how much of a tail is the burst shows in the difference. The plant is the real one: Plant.create and
the processes gateway, two shards, execution and recorder, started as the supervisor starts them.

Every latency begins at the due time of the frame, which travels to the ring in the frame's own sequence number, to the
ns; so the generator's lateness, the kernel's sockets and every stall are charged to each frame that waited.

    due -> read        exact: EVENT.mono_recv_ns, stamped when the gateway was handed the first frame of a socket read
    due -> published   its event is in the shard's market ring      } seen from outside by `wire_observer`, every ~100 µs:
    due -> stepped     the shard's watermark has passed it          } an upper bound, never early
    due -> intent sent exact: MESSAGE.mono_sent_ns, for ENTER, CANCEL and EXIT caused by a frame
    due -> intent      execution has taken it out of the intent ring; seen from outside like the two above

Frames of the first second of a run are sent and checked for loss, but not in the percentiles. Thresholds are set so low
that symbols want to enter again and again; most entries are refused by the limits, as they would be in life. An intent
also waits while execution makes the answers to earlier ones durable (fdatasync): the disk is part of the figure. Stages
the plant itself recorded in the same time stand below for comparison (they begin at the read); `longest turn` is the
longest working turn of a process's loop since it started.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from config.fingerprint import use_cache

use_cache()  # before numba is imported

import numpy as np  # noqa: E402
import psutil  # noqa: E402

from bench import load_market as market  # noqa: E402
from bench import wire_observer as seen  # noqa: E402
from bench.harness import Bench  # noqa: E402
from bench.load_generator import be_punctual  # noqa: E402
from config.load import load as load_settings  # noqa: E402
from config.paths import ROOT, DataPaths  # noqa: E402
from core.enums import EventKind  # noqa: E402
from core.histogram import H_MAX, hist_count, hist_max, hist_merge, hist_percentile, new_histogram  # noqa: E402
from core.orders.broker import INTENTS  # noqa: E402
from shm.run_spec import ROLES, VenueAddress  # noqa: E402
from shm.segment import SHM_FOLDER  # noqa: E402
from shm.topology import Plant  # noqa: E402
from workers.compiling import warm  # noqa: E402
from workers.starting import Options, first_line, make_spec  # noqa: E402

SHARDS = 2
MODULES = {role.name: role.module for role in ROLES}
START_S = 60.0
SETTLE_NS = 10_000_000_000
STEP_NS = 100_000_000  # the observer's kernel returns this often
WARM_S = 1  # of every run, not in the percentiles
FRAME_KINDS = {
    market.BOOK: (EventKind.BOOK_DELTA, EventKind.BOOK_SNAPSHOT), market.TRADE: (EventKind.TRADES,),
    market.TICKER: (EventKind.TICKER,),
}
STAGES = ("recv_to_publish", "recv_to_shard", "wire_to_decision", "wire_to_intent", "intent_hop", "execution")
LOSSES = ("gaps", "rejected", "unknown_topic", "unknown_symbol", "off_grid", "duplicates", "no_base", "resyncs",
          "shed_events", "lost_messages", "laps", "degraded_entered", "disconnects", "crossed", "stale", "log_lost")
EXCLUDED = (
    "TLS and a real network; the order's way to an exchange (paper account); the admin page (not started); "
    "generator and observer run on the same cores as the plant, and their CPU is shown"
)


def cooldown_s(symbols: int) -> float:
    """Rest of a symbol after an entry: about a hundred entries are wanted per second."""
    return max(0.5, symbols / 100.0)


def overrides(symbols: int) -> dict[str, Any]:
    """Settings of the run: every symbol wants to enter as soon as it may; the symbol list is not asked for again."""
    return {
        "thresholds.score.watch": [1.0, 1.0, 1.0], "thresholds.score.arm": [2.0, 2.0, 2.0],
        "thresholds.score.hysteresis": 0.5, "thresholds.windows.warmup_s": 0.5,
        "thresholds.signal.cooldown_s": cooldown_s(symbols), "thresholds.signal.rest_s": cooldown_s(symbols),
        "safety.feed.instruments_refresh_s": 3600.0,
        "trading.mode": "SIM",
    }


class Load(NamedTuple):
    """What a run sends."""

    rate: int  # frames a second
    bursts: bool = True

    @property
    def label(self) -> str:
        return f"{self.rate // 1000} k/s" + ("" if self.bursts else " without bursts")


SMALL_LOADS = (Load(2_000),)
LOADS = (Load(10_000), Load(25_000), Load(25_000, bursts=False), Load(50_000))


@dataclass
class Child:
    """A process of the plant."""

    role: str
    index: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def name(self) -> str:
        return f"{self.role}-{self.index}" if self.role == "shard" else self.role


class Rig:
    """Generator and plant of one bench, in a folder of its own; `close` leaves nothing behind."""

    def __init__(self, symbols: int, folder: Path) -> None:
        self.children: list[Child] = []
        self.plant: Plant | None = None
        self.paths = DataPaths(folder, "SIM")
        self.paths.make()
        self.generator = subprocess.Popen(
            [sys.executable, "-m", "bench.load_generator", "--symbols", str(symbols)], cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        settings = load_settings([], os.environ, overrides(symbols)).settings
        self.spec = make_spec(Options(shards=SHARDS, data_dir=folder, admin=False, overrides=overrides(symbols)),
                              settings, self.paths)

    def start(self) -> Plant:
        """Addresses, shared memory, processes; as the supervisor does it, the gateway last."""
        assert self.generator.stdout is not None
        addresses = json.loads(first_line(self.generator.stdout, START_S) or "{}")
        self.spec.venue = VenueAddress(rest=addresses["rest"], ws_public=addresses["ws_public"])
        self.plant = Plant.create(self.spec)
        self.spec.save(self.paths.run_file)
        for role, index in (("recorder", 0), *(("shard", i) for i in range(SHARDS)), ("execution", 0)):
            self._spawn(role, index)
        self._wait()
        self._spawn("gateway", 0)
        self._wait()
        return self.plant

    def _spawn(self, role: str, index: int) -> None:
        arguments = ["--run", str(self.paths.run_file)] + (["--index", str(index)] if role == "shard" else [])
        log = self.paths.log_dir / f"{role}-{index}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", MODULES[role], *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output,
            )
        self.children.append(Child(role, index, process, log))

    def _wait(self) -> None:
        assert self.plant is not None
        deadline = time.monotonic() + START_S
        while not all(self.plant.cnc(c.role, c.index).ready for c in self.children):
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready within {START_S:.0f} s: see the logs of {[c.name for c in self.children]}")
            time.sleep(0.01)

    def check(self) -> None:
        """RuntimeError with its last words when a process has ended."""
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                raise RuntimeError(f"{child.name} ended ({code}):\n{child.log.read_text(errors='replace')[-2000:]}")
        if self.generator.poll() is not None:
            raise RuntimeError("the generator ended")

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time used so far by each process and by this one."""
        used = {}
        for child in self.children:
            times = psutil.Process(child.process.pid).cpu_times()
            used[child.name] = times.user + times.system
        return used | {"observer": time.process_time()}

    def close(self) -> None:
        """Stop word, SIGTERM, SIGKILL; shared memory and generator gone."""
        if self.plant is not None:
            self.plant.control.request_stop()
        for child in self.children:
            child.process.terminate()
        for child in self.children:
            try:
                child.process.wait(10.0)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        for stream in (self.generator.stdin, self.generator.stdout):
            if stream is not None:
                stream.close()
        self.generator.terminate()
        self.generator.wait()
        if self.plant is not None:
            self.plant.destroy()


def stage_histograms(plant: Plant) -> dict[str, np.ndarray]:
    """Latency stages so far, all processes merged."""
    merged = {name: new_histogram() for name in STAGES}
    for page in plant.pages().values():
        for name, total in merged.items():
            hist_merge(total, page.hist(name))
    return merged


def since(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What was counted between two states of one histogram (its maximum stays that of the whole run)."""
    difference = after - before
    difference[H_MAX] = after[H_MAX]
    return difference


class Run:
    """One run of one load, and what was seen of it."""

    def __init__(self, rig: Rig, observer: seen.Observer, load: Load, seconds: int, ramp_s: float = 0.0) -> None:
        plant, generator = rig.plant, rig.generator
        assert plant is not None and generator.stdin is not None and generator.stdout is not None
        before, stages = plant.totals(), stage_histograms(plant)
        cpu, begin = rig.cpu_seconds(), time.monotonic()
        observer.begin()
        generator.stdin.write(f"run {load.rate} {seconds} {ramp_s} {int(load.bursts)}\n".encode())
        generator.stdin.flush()
        os.set_blocking(generator.stdout.fileno(), False)
        answer = b""
        while not answer.endswith(b"\n"):
            observer.watch(time.monotonic_ns() + STEP_NS)
            rig.check()
            answer += generator.stdout.read() or b""
        os.set_blocking(generator.stdout.fileno(), True)
        self.sent: dict[str, Any] = json.loads(answer)
        deadline = time.monotonic_ns() + SETTLE_NS
        wanted = sum(self.sent["frames"])
        while time.monotonic_ns() < deadline:
            observer.watch(time.monotonic_ns() + STEP_NS)
            if plant.totals()["frames"] - before["frames"] >= wanted and observer.is_settled():
                break
        wall = time.monotonic() - begin
        self.cpu = {name: 100.0 * (used - cpu[name]) / wall for name, used in rig.cpu_seconds().items()}
        time.sleep(1.1)  # the gateway brings its counters up to date once a second
        observer.check()
        self.counted = {name: value - before[name] for name, value in plant.totals().items()}
        self.raw_lost = self.counted["raw_lost"]
        self.stages = {name: since(stages[name], after) for name, after in stage_histograms(plant).items()}
        self.turn_max_us = {
            name: hist_max(page.hist("loop_stall")) / 1e3 for name, page in plant.pages().items()
            if hist_count(page.hist("loop_stall"))
        }
        self.gap_p99_us = hist_percentile(observer.gaps, 99.0) / 1e3
        self._evaluate(observer)

    def _evaluate(self, observer: seen.Observer) -> None:
        rows = observer.events()
        data = rows[rows[:, seen.E_XSEQ] >= market.SEQ_BASE]
        kinds = data[:, seen.E_KIND]
        self.events = [int(np.isin(kinds, [int(k) for k in of]).sum()) for of in FRAME_KINDS.values()]
        due = data[:, seen.E_XSEQ] - market.SEQ_BASE + self.sent["epoch_ns"]
        measured = due >= self.sent["start_ns"] + WARM_S * 10**9
        self.unstepped = int((data[:, seen.E_STEPPED] == 0).sum())
        self.us: dict[str, np.ndarray] = {}
        for name, column in (("due -> read", seen.E_READ), ("due -> published", seen.E_PUBLISHED),
                             ("due -> stepped", seen.E_STEPPED)):
            self.us[name] = (data[:, column] - due)[measured & (data[:, column] > 0)] / 1e3
        messages = observer.messages()
        intents = messages[np.isin(messages[:, seen.I_KIND], [int(kind) for kind in INTENTS])]
        cause = np.searchsorted(data[:, seen.E_SEQ], intents[:, seen.I_SEQ])
        known = cause < len(data)
        known[known] = data[cause[known], seen.E_SEQ] == intents[known, seen.I_SEQ]
        self.intents, self.timer_intents = len(intents), int((~known).sum())
        known[known] = measured[cause[known]]
        origin = due[cause[known]]
        self.us["due -> intent sent"] = (intents[known, seen.I_SENT] - origin) / 1e3
        taken = intents[known, seen.I_TAKEN]
        self.us["due -> intent"] = (taken - origin)[taken > 0] / 1e3
        self.untaken = int((messages[:, seen.I_TAKEN] == 0).sum())

    @property
    def lost(self) -> int:
        """Frames sent that did not become an event in a market ring, or were not stepped."""
        return sum(self.sent["frames"]) - sum(self.events) + self.unstepped


def report(bench: Bench, load: Load, runs: Sequence[Run]) -> None:
    """Figures of one load over its runs."""
    label = load.label
    sent = sum(sum(run.sent["frames"]) for run in runs)
    bench.figure(f"{label}: frames sent", sent, "frames")
    bench.figure(f"{label}: frames received", sum(run.counted["frames"] - run.counted["other"] for run in runs), "frames")
    lost = sum(run.lost for run in runs)
    bench.figure(f"{label}: frames lost before a shard", lost, "frames", "0")
    bench.figure(f"{label}: raw frames lost (recorder)", sum(run.raw_lost for run in runs), "frames", "0")
    bench.figure(f"{label}: frames in the largest ms", max(run.sent["largest_slot"] for run in runs), "frames")
    for name in runs[0].us:
        values = np.concatenate([run.us[name] for run in runs])
        bench.figure(f"{label}: {name}, values", len(values), "1")
        if not len(values):
            continue
        for q, text in ((50, "p50"), (99, "p99"), (99.9, "p99.9"), (100, "max")):
            goal = "<= 1000" if q == 99 and load.rate == 25_000 and name in ("due -> stepped", "due -> intent") else ""
            bench.figure(f"{label}: {name} {text}", float(np.percentile(values, q)), "µs", goal)
        if len(runs) > 1:
            each = [float(np.percentile(run.us[name], 99)) for run in runs if len(run.us[name])]
            bench.figure(f"{label}: {name} p99, best run", min(each), "µs")
            bench.figure(f"{label}: {name} p99, worst run", max(each), "µs")
    for quantile, text in enumerate(("p50", "p99", "p99.9", "max")):
        late = float(np.median([run.sent["late_us"][quantile] for run in runs]))
        bench.figure(f"{label}: of it the generator's lateness {text}", late, "µs")
    for stage in STAGES:
        total = new_histogram()
        for run in runs:
            hist_merge(total, run.stages[stage])
        if hist_count(total):
            for q in (50.0, 99.0):
                bench.figure(f"{label}: stage {stage} p{q:.0f}", hist_percentile(total, q) / 1e3, "µs")
    bench.figure(f"{label}: intents", sum(run.intents for run in runs), "1")
    bench.figure(f"{label}: of them at a TIMER (not timed)", sum(run.timer_intents for run in runs), "1")
    bench.figure(f"{label}: messages execution did not take", sum(run.untaken for run in runs), "1", "0")
    for name in LOSSES:
        count = sum(run.counted[name] for run in runs)
        if count:
            bench.figure(f"{label}: {name}", count, "1")
    for name, longest in runs[-1].turn_max_us.items():
        bench.figure(f"{label}: longest turn of {name}", longest, "µs")
    for name in runs[0].cpu:
        bench.figure(f"{label}: CPU of {name}", float(np.median([run.cpu[name] for run in runs])), "% of a core")
    bench.figure(f"{label}: CPU of generator", 100 * float(np.median([run.sent["cpu_share"] for run in runs])), "% of a core")
    bench.figure(f"{label}: observer's gap between looks p99", max(run.gap_p99_us for run in runs), "µs")
    events = [sum(run.events[kind] for run in runs) for kind in FRAME_KINDS]
    bench.digest(f"{label}: {sent} frames sent, {sum(events)} events: "
                 + ", ".join(f"{count} {name}" for count, name in zip(events, market.KINDS, strict=True)))


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_wire_to_intent", argv, excluded=EXCLUDED)
    symbols, loads, seconds, rounds = (60, SMALL_LOADS, 1, 1) if bench.small else (700, LOADS, 6, 3)
    warm(Path(os.environ["NUMBA_CACHE_DIR"]), show=False)
    is_punctual = not bench.small and be_punctual()  # a test leaves the cores to others
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # through `finally`: nothing is left behind
    bench.figure("load average at the start", os.getloadavg()[0], "1")
    bench.figure("generator and observer have real-time priority", int(is_punctual), "bool")
    runs: dict[Load, list[Run]] = {load: [] for load in loads}
    with tempfile.TemporaryDirectory(prefix="scalper-bench-") as folder:
        rig = Rig(symbols, Path(folder))
        try:
            plant = rig.start()
            observer = seen.Observer(plant, int(max(load.rate for load in loads) * (seconds + WARM_S) * 0.7) + 20_000)
            ramp_s = cooldown_s(symbols)
            if not bench.small:  # for a test the first second of the run is enough
                Run(rig, observer, loads[0], int(ramp_s) + 1, ramp_s)
                ramp_s = 0.0
            for _ in range(rounds):
                for load in loads:
                    runs[load].append(Run(rig, observer, load, seconds + WARM_S, ramp_s))
        finally:
            rig.close()
    left = [path.name for path in SHM_FOLDER.glob(f"scalper-{rig.spec.run_id}-*")]
    assert not left, f"left behind in shared memory: {left}"
    for load in loads:
        report(bench, load, runs[load])
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
