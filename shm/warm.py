"""Compile kernels before anything starts: one process warms the cache, all others load from it.

A folder offers `steps()`: (name, function) pairs that call every kernel of its hot path once, through the same public
functions with the same types as in production. `python -m <folder>.warm` runs them and prints one line per step, which
the supervisor turns into a progress bar.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from shm.agent import die_with_parent

Step = tuple[str, Callable[[], object]]


def run(steps: Sequence[Step]) -> int:
    """Run the steps in order; print `step <done> <all> <seconds> <name>` after each. Returns the exit code."""
    die_with_parent()
    for number, (name, function) in enumerate(steps, 1):
        started = time.monotonic()
        function()
        print(f"step {number} {len(steps)} {time.monotonic() - started:.2f} {name}", flush=True)
    sys.stdout.flush()
    return 0
