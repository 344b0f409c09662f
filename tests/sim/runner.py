"""Many seeds: one after the other or on every core."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.sim.coverage import plan_of
from tests.sim.mutants import MUTANTS, applied
from tests.sim.rig import live_host
from tests.sim.session import Outcome, Session
from tests.sim.totals import Totals

CHUNK = 20
PROGRESS = 200


def run_seed(seed: int, plan: str = "", mutant: str = "", trace: bool = False, digest: bool = False) -> Outcome:
    """One session of a plan by name (`coverage.plan_of`); with a mutant: of a desk that has that bug."""
    with applied(MUTANTS[mutant] if mutant else None):
        outcome = Session(seed, live_host, plan_of(plan, seed), trace=trace, digest=digest).run()
    outcome.plan, outcome.mutant = plan, mutant
    return outcome


def caught_by(mutant: str, sessions: int) -> Outcome | None:
    """The first failing session of a desk with that bug, over its plans in turn; None: not caught by so many each."""
    for seed in range(sessions):
        for plan in MUTANTS[mutant].faults:
            outcome = run_seed(seed, plan, mutant)
            if outcome.violations:
                return outcome
    return None


def _one(job: tuple[int, str, str]) -> Outcome:
    return run_seed(*job)


def outcomes(seeds: Iterable[int], workers: int = 0, plan: str = "", mutant: str = "") -> Iterator[Outcome]:
    """The sessions of `seeds`, on `workers` processes (0 = every core, 1 = here), in order."""
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from (run_seed(seed, plan, mutant) for seed in seeds)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_one, ((seed, plan, mutant) for seed in seeds), CHUNK)


def run_many(
    seeds: Sequence[int], workers: int = 0, plan: str = "", mutant: str = "", progress: Callable[[str], object] | None = None
) -> Totals:
    """Run them all. `progress` is told every `PROGRESS` sessions how far it is, with what goes on from there."""
    totals = Totals()
    start = time.perf_counter()
    for outcome in outcomes(seeds, workers, plan, mutant):
        totals.add(outcome)
        totals.wall_s = time.perf_counter() - start
        if progress is not None and (outcome.violations or totals.sessions % PROGRESS == 0):
            left = len(seeds) - totals.sessions
            progress(f"{totals.sessions} of {len(seeds)}, {len(totals.failed)} failed, "
                     f"{totals.sessions / totals.wall_s:.1f} sessions/s; on from here: --first {outcome.seed + 1} --seeds {left}")
    return totals
