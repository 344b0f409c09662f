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
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import Phase, settings

import core.orders.broker  # imported once here, it brings numpy and numba to every child  # noqa: F401
from core.position.position import Grid
from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 20  # of processor time: a busy machine kills no mutant
PROFILE = "mutation"
BYTECODE = ROOT / ".cache" / "mutation"  # children compile what is not the mutant once, not once each
settings.register_profile(PROFILE, phases=(Phase.explicit, Phase.generate), max_examples=60, deadline=None, database=None)
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
        ("tests/core/orders/test_exchange_desk_kill_steps.py", "tests/core/orders/test_exchange_desk_kill.py"),
        ("tests/core/orders/test_after_a_kill.py", *DESK)),
    "core/orders/reconcile.py": (
        tuple(f"tests/core/orders/test_reconcile_{name}.py" for name in ("passes", "rows", "suspects")),
        ("tests/core/orders/test_earlier_run.py", *DESK)),
    "core/orders/reconcile_cash.py": (("tests/core/orders/test_reconcile_cash.py",),),
    "core/orders/reconcile_pages.py": (("tests/core/orders/test_reconcile_pages.py",), DESK),
    "core/orders/protection.py": (
        tuple(f"tests/core/orders/test_protection_{name}.py" for name in ("requests", "moves", "steps")), DESK),
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
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for name in [name for name in sys.modules if name.startswith(FORGET)]:
        del sys.modules[name]
    module = target.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, _Wrong(module, ROOT / target, mutant.source))
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(BYTECODE)  # the mutant itself is executed from memory
    settings.load_profile(PROFILE)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return int(pytest.main([
        "-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "pytest_timeout", "-p", "no:unraisableexception", *tests]))


def survives(target: str, mutant: Mutant, tests: Sequence[str]) -> bool:
    """Do the tests pass although the module is wrong?"""
    Grid(1, 1, 4).value_e8(1, 1, round_up=True)  # its kernel is loaded here, not in every child
    gc.freeze()  # nor is what is here already looked at again in each
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = _in_child(target, mutant, tests)
        finally:
            os._exit(code)
    gc.unfreeze()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


def survivors(
    target: str, every: int = 1, start: int = 0, tell: Callable[[str], None] = lambda key: None
) -> tuple[int, list[str]]:
    """(mutants tried, keys of those that survive every stage of the module's tests), each told as it is found. AssertionError
    where the tests fail without a mistake, too."""
    right = Mutant("", (ROOT / target).read_text())
    assert all(survives(target, right, stage) for stage in TESTS[target]), f"{target}: nothing can be told from its tests"
    tried, left = 0, []
    for number, mutant in enumerate(mutants((ROOT / target).read_text())):
        if number % every != start:
            continue
        tried += 1
        if all(survives(target, mutant, stage) for stage in TESTS[target]):
            left.append(mutant.key)
            tell(mutant.key)
    return tried, left


def main() -> None:
    """Command line."""
    target, every = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    started = time.monotonic()
    tried, left = survivors(target, every, tell=lambda key: print(f"  {key}", flush=True))
    print(f"{target}: {tried} mutants, {len(left)} survive, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
