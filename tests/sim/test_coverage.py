"""Every order fault of the catalogue happens, its handler runs, and the money rules hold all the while."""

from __future__ import annotations

import pytest

from tests.sim.coverage import FAULTS, Fault, missing
from tests.sim.runner import run_seed
from tests.sim.totals import Totals

SESSIONS = 6
HERE = [fault for fault in FAULTS if not fault.elsewhere]


def test_all_46_are_named() -> None:
    assert [fault.id for fault in FAULTS] == [f"O{n:02}" for n in range(1, 47)]
    assert all(fault.elsewhere or fault.counters for fault in FAULTS)


@pytest.mark.sim
@pytest.mark.parametrize("fault", HERE, ids=[fault.id for fault in HERE])
def test_fault(fault: Fault) -> None:
    totals = Totals()
    for seed in range(SESSIONS):
        totals.add(run_seed(seed, fault.id))
        if not missing(fault, totals):
            break
    assert not missing(fault, totals)
    assert not totals.failed, totals.text()
