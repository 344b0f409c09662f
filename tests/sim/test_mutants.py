"""The suite against historic bugs: each is put back into the desk, and some seed must say so."""

from __future__ import annotations

import pytest

from tests.sim.mutants import MUTANTS
from tests.sim.runner import caught_by, run_seed

SESSIONS = 16


@pytest.mark.sim
@pytest.mark.parametrize("name", MUTANTS)
def test_the_seeds_catch(name: str) -> None:
    caught = caught_by(name, SESSIONS)
    assert caught is not None, f"{name} ({MUTANTS[name].source}) survives {SESSIONS} sessions of {MUTANTS[name].faults}"
    healthy = run_seed(caught.seed, caught.plan)
    assert not healthy.violations, f"the desk itself fails: {healthy.command}"
