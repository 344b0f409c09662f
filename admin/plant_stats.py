"""Processes, stage latencies, rings: what the plant tells about itself, as JSON-ready rows. Reads pages and cursors only."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
import psutil

from core.histogram import hist_count, hist_max, hist_merge, hist_percentile, new_histogram
from shm.control import ProcessState
from shm.counters import STAGES
from shm.topology import SLOT_ADMIN, SLOT_RECORDER, SLOT_SHARD, SLOT_SUPERVISOR, Plant

WHOLE = "wire_to_intent"
RECENT_SECONDS = 10
OUTSIDE = ("supervisor", "venue")
"""Processes that take no part in the control words: nobody waits for them to see a KILL."""
SILENT_MS = 3000.0
"""A heartbeat older than this makes a running process count as not alive."""


def process_rows(plant: Plant, cpu: CpuMeter) -> list[dict]:
    """One row per process that was ever started, in the order of the process table."""
    now = time.monotonic_ns()
    rows = []
    kill_ns = plant.control.get("kill_ns")
    for number, (role, index) in enumerate(plant.rows):
        page = plant.cnc(role, index)
        state = page.state
        if page.pid == 0 or state == ProcessState.OFF:
            continue
        beat_ms = max(0, now - page.heartbeat_ns) / 1e6 if page.heartbeat_ns else None
        seen = page.kill_seen_ns
        running = state in (ProcessState.RUN, ProcessState.BOOT)
        rows.append({
            "row": number, "name": "player" if plant.spec.replay and role == "shard" else plant.row_name(number),
            "role": role, "state": state.name, "pid": page.pid,
            "alive": cpu.exists(page.pid) and (not running or beat_ms is None or beat_ms < SILENT_MS),
            "cpu_pct": cpu.percent(page.pid), "beat_ms": round(beat_ms, 1) if beat_ms is not None else None,
            "loops": page.loops, "stall_max_ms": round(page.stall_max_ns / 1e6, 2), "restarts": page.restarts,
            "acks": role not in OUTSIDE, "kill_seen_ns": seen,
            "kill_ms": round(max(0, seen - kill_ns) / 1e6, 1) if seen and kill_ns else None,
            "pause_seen": page.pause_seen, "progress_seq": page.progress_seq, "ready": page.ready,
            "errors": page.errors.total(), "last_error": page.last_error, "given_up": bool(page.supervisor_get("given_up")),
        })
    return rows


class CpuMeter:
    """CPU share of processes between two looks; one look a second is enough and cheap."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}
        self._percent: dict[int, float | None] = {}

    def look(self, pids: list[int]) -> None:
        """Measure since the previous look; forget processes that ended."""
        for pid in set(self._processes) - set(pids):
            del self._processes[pid]
        self._percent = {}
        for pid in sorted(set(pids)):
            try:
                if pid not in self._processes:
                    self._processes[pid] = psutil.Process(pid)
                    self._processes[pid].cpu_percent()
                    self._percent[pid] = None
                elif self._processes[pid].status() == psutil.STATUS_ZOMBIE:
                    self._processes.pop(pid)
                else:
                    self._percent[pid] = self._processes[pid].cpu_percent()
            except psutil.Error:
                self._processes.pop(pid, None)

    def exists(self, pid: int) -> bool:
        return pid in self._percent

    def percent(self, pid: int) -> float | None:
        """Percent of one core; None until the second look."""
        value = self._percent.get(pid)
        return round(value, 1) if value is not None else None


class StageMeter:
    """Latencies of every stage over all processes: since the start, over the last ten seconds, and over the last one."""

    def __init__(self, plant: Plant) -> None:
        self._pages = list(plant.pages().values())
        self._past: deque[np.ndarray] = deque(maxlen=RECENT_SECONDS + 1)
        self._now = self._total()
        self._past.append(self._now)

    def _total(self) -> np.ndarray:
        total = np.zeros((len(STAGES), len(new_histogram())), np.int64)
        for k in range(len(STAGES)):
            for page in self._pages:
                hist_merge(total[k], page.hist(k))
        return total

    def look(self) -> None:
        """Take the histograms of now; call once a second."""
        self._now = self._total()
        self._past.append(self._now)

    def rows(self) -> list[dict]:
        """One row per stage that has a measurement, in µs; `recent` is None when nothing came in ten seconds."""
        rows = []
        for k, stage in enumerate(STAGES):
            whole = figures(self._now[k])
            if whole is None:
                continue
            recent = figures(self._now[k] - self._past[0][k], self._now[k]) if len(self._past) > 1 else None
            rows.append({"stage": stage.name, "sentence": stage.sentence, "whole": stage.name == WHOLE, **whole,
                         "recent": recent})
        return rows

    def last_second_p99_us(self, names: tuple[str, ...]) -> float | None:
        """p99 over the last second of the first stage of `names` that was measured in it."""
        if len(self._past) < 2:
            return None
        for name in names:
            k = next(i for i, stage in enumerate(STAGES) if stage.name == name)
            found = figures(self._past[-1][k] - self._past[-2][k], self._now[k])
            if found:
                return float(found["p99_us"])
        return None


def figures(h: np.ndarray, bound: np.ndarray | None = None) -> dict | None:
    """{n, p50_us, p99_us, p999_us, max_us} of a histogram; None when empty. For a difference of two histograms `bound`
    is the later one: the maximum is then the top of the highest bucket with a value."""
    n = int(hist_count(h))
    if n <= 0:
        return None
    if bound is not None:
        h = h.copy()
        h[1] = int(hist_max(bound))
    values = [int(hist_percentile(h, q)) / 1000.0 for q in (50.0, 99.0, 99.9, 100.0)]
    return dict(zip(("n", "p50_us", "p99_us", "p999_us", "max_us"), (n, *values), strict=True))


def ring_rows(plant: Plant) -> list[dict]:
    """One row per ring and reader. The log rings of all processes count as one ring with their worst lag."""
    rows = []
    for shard in range(plant.spec.shards):
        rows += _broadcast(f"market-{shard}", plant.market(shard), {SLOT_SHARD: f"shard-{shard}"})
    rows += _broadcast("raw", plant.raw(), {})
    logs: dict[str, dict] = {}
    for role, index in plant.rows:
        for row in _broadcast("logs", plant.log(role, index), {}):
            kept = logs.setdefault(row["reader"], row)
            if kept is not row:
                worst = max(kept, row, key=lambda r: r["lag_pct"])
                logs[row["reader"]] = {**worst, "lost": kept["lost"] + row["lost"], "laps": kept["laps"] + row["laps"]}
    rows += logs.values()
    for shard in range(plant.spec.shards):
        for name, ring, reader in ((f"intents-{shard}", plant.intents(shard), "execution"),
                                   (f"reports-{shard}", plant.reports(shard), f"shard-{shard}")):
            lag = len(ring)
            rows.append({"ring": name, "reader": reader, "lag": lag, "capacity": ring.capacity, "unit": "slots",
                         "lag_pct": round(100 * lag / ring.capacity, 2), "lost": 0, "laps": 0,
                         "refused": ring.refused, "gating": True})
    return rows


_READERS = {SLOT_SHARD: "shard", SLOT_RECORDER: "recorder", SLOT_ADMIN: "admin", SLOT_SUPERVISOR: "supervisor"}


def _broadcast(name: str, ring: object, names: dict[int, str]) -> list[dict]:
    capacity = ring.capacity_cells  # type: ignore[attr-defined]
    return [{"ring": name, "reader": names.get(lag["slot"], _READERS.get(lag["slot"], f"slot {lag['slot']}")),
             "lag": lag["lag_cells"], "capacity": capacity, "unit": "cells",
             "lag_pct": round(100 * min(1.0, lag["lag_cells"] / capacity), 2), "lost": lag["lost_messages"],
             "laps": lag["laps"], "refused": 0, "gating": bool(lag["gating"])}
            for lag in ring.lags()]  # type: ignore[attr-defined]


class Timeline:
    """One point a second of the last ten minutes: the back-pressure picture. Counters are told as differences."""

    SECONDS = 600

    def __init__(self) -> None:
        self.points: deque[dict] = deque(maxlen=self.SECONDS)
        self._shed = self._lost = self._events = -1

    def add(self, wall_ns: int, rings: list[dict], p99_us: float | None, control: dict, shed: int, lost: int,
            events: int) -> None:
        worst = max(rings, key=lambda ring: ring["lag_pct"], default=None)
        self.points.append({
            "ts": wall_ns // 1_000_000, "lag_pct": worst["lag_pct"] if worst else 0.0,
            "ring": f"{worst['ring']} → {worst['reader']}" if worst else "", "p99_us": p99_us,
            "degraded": control["degraded"], "paused": control["paused"], "killed": control["killed"],
            "shed": max(0, shed - self._shed) if self._shed >= 0 else 0,
            "lost": max(0, lost - self._lost) if self._lost >= 0 else 0,
            "events": max(0, events - self._events) if self._events >= 0 else 0,
        })
        self._shed, self._lost, self._events = shed, lost, events

    def newest(self) -> dict | None:
        return self.points[-1] if self.points else None
