"""Many seeds: one after the other or on every core, and what they add up to."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.sim.mutants import MUTANTS, applied
from tests.sim.rig import live_host
from tests.sim.session import Outcome, Session

CHUNK = 20


def command(seed: int, mutant: str = "") -> str:
    """What reproduces a seed."""
    return f"python -m tests.sim --seed {seed} --trace" + (f" --mutant {mutant}" if mutant else "")


def run_seed(seed: int, mutant: str = "", trace: bool = False, digest: bool = False) -> Outcome:
    """One session; with a mutant: of a desk that has that bug."""
    with applied(MUTANTS[mutant] if mutant else None):
        return Session(seed, live_host, trace=trace, digest=digest).run()


@dataclass
class Totals:
    """What a number of sessions add up to. Times in ms."""

    sessions: int = 0
    intents: int = 0
    orders: int = 0
    fills: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    wall_s: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)
    settle_ms: list[int] = field(default_factory=list)
    kill_ms: list[int] = field(default_factory=list)
    naked_ms: list[int] = field(default_factory=list)
    few: list[int] = field(default_factory=list)  # seeds with fewer intents than asked for

    def add(self, outcome: Outcome) -> None:
        self.sessions += 1
        self.intents += outcome.intents
        self.orders += outcome.orders
        self.fills += outcome.fills
        self.crashes += len(outcome.crashes)
        self.virtual_s += outcome.virtual_s
        self.hits += outcome.hits
        self.counters += outcome.counters
        self.settle_ms.append(outcome.settle_ms)
        self.naked_ms.append(outcome.naked_ms)
        if outcome.kill_ms:
            self.kill_ms.append(outcome.kill_ms)
        if outcome.violations:
            self.failed[outcome.seed] = outcome.violations

    def text(self) -> str:
        """A page for people."""
        lines = [
            f"{self.sessions} sessions, {self.intents} intents, {self.orders} exchange orders, {self.fills} executions, "
            f"{self.crashes} crashes, {self.virtual_s / 3600:.1f} virtual hours in {self.wall_s:.0f} s: "
            f"{self.sessions / max(self.wall_s, 1e-9):.1f} sessions/s",
            f"settled after ms: {spread(self.settle_ms)};  kill to flat ms: {spread(self.kill_ms)};  "
            f"without stop ms: {spread(self.naked_ms)}",
            f"failed: {len(self.failed)}",
        ]
        for seed, violations in sorted(self.failed.items())[:20]:
            lines.append(f"  {command(seed)}")
            lines += [f"      {text}" for text in violations[:4]]
        return "\n".join(lines)


def spread(values: list[int]) -> str:
    """Median, 95th, 99th percentile and largest."""
    if not values:
        return "-"
    ranked = sorted(values)
    return " / ".join(str(ranked[min(int(q * len(ranked)), len(ranked) - 1)]) for q in (0.5, 0.95, 0.99, 1.0))


def _one(job: tuple[int, str]) -> Outcome:
    return run_seed(*job)


def outcomes(seeds: Iterable[int], workers: int = 0, mutant: str = "") -> Iterator[Outcome]:
    """The sessions of `seeds`, on `workers` processes (0 = every core, 1 = here), in order."""
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from (run_seed(seed, mutant) for seed in seeds)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_one, ((seed, mutant) for seed in seeds), CHUNK)


def run_many(seeds: Iterable[int], workers: int = 0, mutant: str = "", first_failure: bool = False) -> Totals:
    """Run them all, or up to the first that fails."""
    totals = Totals()
    start = time.perf_counter()
    for outcome in outcomes(seeds, workers, mutant):
        totals.add(outcome)
        if first_failure and totals.failed:
            break
    totals.wall_s = time.perf_counter() - start
    return totals
