"""Every order fault of the catalogue happens, its handler runs, and the money rules hold all the while."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from core.orders.ret_classes import RetClass
from tests.sim.coverage import FAULTS, Fault, missing
from tests.sim.runner import run_seed
from tests.sim.totals import Totals

SESSIONS = 6
HERE = [fault for fault in FAULTS if not fault.tests]
ROOT = Path(__file__).resolve().parents[2]


def functions(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}


def test_all_46_are_named() -> None:
    assert [fault.id for fault in FAULTS] == [f"O{n:02}" for n in range(1, 47)]
    assert all(bool(fault.tests) != bool(fault.counters) for fault in FAULTS), "a session, or tests"


@pytest.mark.parametrize("node", [node for fault in FAULTS for node in fault.tests])
def test_what_no_session_can_have_is_in_a_test_that_exists(node: str) -> None:
    path, name = node.split("::")
    assert name in functions(path)


def test_every_handler_that_is_looked_for_counts_somewhere() -> None:
    """A counter that nothing counts would never be missed in a table of zeros."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "core" / "orders").glob("*.py")]
    texts = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    counted = {text.lower() for text in texts if isinstance(text, str)} | {f"ret_{each.value}" for each in RetClass}
    assert not {name for fault in HERE for name in fault.counters} - counted


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
