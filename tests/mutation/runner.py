"""Runs tests against mutants: each in a forked child that imports the wrong module instead of the right one.

    python -m tests.mutation.runner core/risk/gate.py [EVERY]     every mutant (or every EVERY-th); prints who survives

A mutant is killed when a test fails, or does not end within the limit.
"""

from __future__ import annotations

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, settings

import core.orders.broker  # imported once here, it brings numpy and numba to every child  # noqa: F401
from core.sim.money import fee_up_e8, value_e8
from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120
PROFILE = "mutation"
settings.register_profile(PROFILE, phases=(Phase.explicit, Phase.generate), max_examples=60, deadline=None, database=None)
WITHOUT = ("cacheprovider", "xdist", "unraisableexception", "benchmark")  # plugins that cost more than the tests
FORGET = ("core.risk", "core.orders", "core.performance", "tests.core", "tests.reference.risk")
DESK = tuple(f"tests/core/orders/test_{name}.py" for name in (
    "exchange_desk_kill", "exchange_desk_recovery", "order_faults", "protection", "reconcile", "exchange_desk_ladder"))
TESTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "core/risk/gate.py": (("tests/core/risk/test_gate.py",), ("tests/core/orders/test_exposure.py",)),
    "core/risk/sizing.py": (("tests/core/risk/test_sizing.py",),),
    "core/risk/policy.py": (("tests/core/risk/test_policy.py",), ("tests/core/orders/test_exposure.py",)),
    "core/risk/ledger.py": (("tests/core/risk/test_ledger.py",), ("tests/core/orders/test_exposure.py",)),
    "core/risk/tiers.py": (
        ("tests/core/risk/test_tiers.py",), ("tests/core/risk/test_gate.py", "tests/core/risk/test_policy.py")),
    "core/risk/permit.py": (("tests/core/risk/test_permit.py",),),
    "core/orders/exposure.py": (("tests/core/orders/test_exposure.py",), ("tests/core/orders/test_broker.py",)),
    "core/performance/promotion.py": (("tests/core/performance/test_promotion.py",),),
    "core/orders/kill_triggers.py": (("tests/core/orders/test_kill_triggers.py",),),
    "core/orders/guard_duty.py": (("tests/core/orders/test_guard_duty.py",),),
    "core/orders/exchange_desk_kill.py": (
        ("tests/core/orders/test_exchange_desk_kill.py", "tests/core/orders/test_after_a_kill.py"), DESK),
    "core/orders/reconcile.py": (("tests/core/orders/test_reconcile.py",), DESK),
    "core/orders/reconcile_cash.py": (("tests/core/orders/test_reconcile_cash.py",),),
    "core/orders/reconcile_pages.py": (("tests/core/orders/test_reconcile.py",), DESK),
    "core/orders/protection.py": (("tests/core/orders/test_protection.py",), DESK),
}
"""Tests of a module, quick ones first: a later stage sees only what survived the earlier ones."""


class _Wrong(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a given source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: object) -> None:
        exec(compile(self._source, str(self._path), "exec"), module.__dict__)


def _in_child(target: str, mutant: Mutant, tests: Sequence[str]) -> int:
    """0: the tests passed with the mutant in place."""
    signal.alarm(LIMIT_S)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for name in [name for name in sys.modules if name.startswith(FORGET)]:
        del sys.modules[name]
    module = target.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, _Wrong(module, ROOT / target, mutant.source))
    settings.load_profile(PROFILE)
    return int(pytest.main(["-x", "-q", "--assert=plain", *(f"-pno:{name}" for name in WITHOUT), *tests]))


def survives(target: str, mutant: Mutant, tests: Sequence[str]) -> bool:
    """Do the tests pass although the module is wrong?"""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = _in_child(target, mutant, tests)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _warm() -> None:
    """What every child would do again: load the kernels of money, look through the memory of the parent."""
    value_e8(1, 1, 1, 1, 8, 0)
    fee_up_e8(1, 1)
    gc.freeze()


def survivors(target: str, every: int = 1, start: int = 0) -> tuple[int, list[str]]:
    """(mutants tried, keys of those that survive every stage of the module's tests)."""
    _warm()
    right = Mutant("", (ROOT / target).read_text())
    if not all(survives(target, right, stage) for stage in TESTS[target]):
        raise AssertionError(f"{target}: its tests fail without a mistake, too")
    tried, left = 0, []
    for number, mutant in enumerate(mutants((ROOT / target).read_text())):
        if number % every != start:
            continue
        tried += 1
        if all(survives(target, mutant, stage) for stage in TESTS[target]):
            left.append(mutant.key)
    return tried, left


def main() -> None:
    """Command line."""
    target, every = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    started = time.monotonic()
    tried, left = survivors(target, every)
    print(f"{target}: {tried} mutants, {len(left)} survive, {time.monotonic() - started:.0f} s")
    for key in left:
        print(f"  {key}")


if __name__ == "__main__":
    main()
