"""Sessions from the command line.

    python -m tests.sim --seed 17 --trace            one session, every event and effect
    python -m tests.sim --seeds 2000                 seeds 0..1999 on every core
    python -m tests.sim --seeds 20000 --first 5000   seeds 5000..24999; progress says how to go on after a break
    python -m tests.sim --coverage --seeds 500       which faults were met, and whether their handlers ran
    python -m tests.sim --mutants --seeds 200        which historic bugs the seeds catch

Exit code 1 when a session failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from config.fingerprint import use_cache

use_cache(Path(__file__).resolve().parents[2])  # before anything imports numba


def main() -> int:
    from tests.sim import mutants, runner

    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--plan", default="", help="O01..O46, kill, crash: sessions with that laid on thick")
    parser.add_argument("--mutant", default="", choices=["", *mutants.MUTANTS])
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--mutants", action="store_true")
    options = parser.parse_args()
    if options.seed is not None:
        outcome = runner.run_seed(options.seed, options.plan, options.mutant, options.trace, digest=True)
        for line in outcome.trace:
            print(line)
        print(f"seed {outcome.seed}: {outcome.intents} intents, {outcome.orders} orders, {outcome.fills} executions, "
              f"crashes {outcome.crashes}, settled after {outcome.settle_ms} ms, digest {outcome.digest}")
        for text in outcome.violations:
            print("VIOLATION", text)
        return 1 if outcome.violations else 0
    seeds = range(options.first, options.first + (options.seeds or 100))
    if options.mutants:
        survivors = 0
        for name, mutant in mutants.MUTANTS.items():
            caught = runner.caught_by(name, len(seeds))
            survivors += caught is None
            print(f"{name:28} {mutant.source:45}", f"{caught.command}: {caught.violations[0]}" if caught else "SURVIVES",
                  flush=True)
        return 1 if survivors else 0
    totals = runner.run_many(
        seeds, options.workers, options.plan, options.mutant, lambda text: print(text, file=sys.stderr, flush=True))
    print(totals.text())
    if options.coverage:
        from tests.sim import coverage

        print(coverage.table(totals))
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
