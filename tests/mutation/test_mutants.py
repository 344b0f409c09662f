"""The mutation tester itself, and (with --full) what it finds in the modules that keep the money."""

from __future__ import annotations

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.runner import ROOT, TESTS, survives, survivors
from tests.mutation.survivors import SURVIVORS

SOURCE = '''"""Not mutated: 1 < 2."""
LIMIT: int = 3
ROWS = (1.5, "a", True)
def f(a: int, b: int = 2) -> int:
    """Nor is this."""
    if not a < b and a in (1, 2):
        return -min(a, b)
    return a + b
'''


def test_every_kind_of_mistake_is_made_once_each():
    found = {m.key: m.source for m in mutants(SOURCE)}
    for key in ("LIMIT: 3 -> 4", "f: a < b -> a <= b", "f: a + b -> a - b", "f: min(a, b) -> max(a, b)",
                "f: a in (1, 2) -> a not in (1, 2)"):
        assert any(key.split(" -> ")[1] in k and k.startswith(key.split(":")[0]) for k in found), (key, sorted(found))
    assert any("ROWS" in key and "'a', True" in key for key in found)
    assert all('"""Not mutated: 1 < 2."""' in source and "Nor is this." in source for source in found.values())
    assert len(set(found.values())) == len(found)
    for source in found.values():
        compile(source, "mutant", "exec")


def test_the_tests_of_the_gate_notice_a_wrong_gate_and_pass_the_right_one():
    target = "core/risk/gate.py"
    right = (ROOT / target).read_text()
    wrong = right.replace("f.positions < concurrent_limit(f, li)", "f.positions <= concurrent_limit(f, li)")
    assert wrong != right
    assert survives(target, Mutant("same", right), TESTS[target][0])
    assert not survives(target, Mutant("one more position", wrong), TESTS[target][0])


@pytest.mark.slow
@pytest.mark.parametrize("target", sorted(SURVIVORS))
def test_nothing_else_survives(target):
    made = {mutant.key for mutant in mutants((ROOT / target).read_text())}
    assert set(SURVIVORS[target]) <= made, "the module has changed: a mistake of the list cannot be made any more"
    tried, left = survivors(target)
    assert tried == len(made) > 20
    assert set(left) <= set(SURVIVORS[target]), sorted(set(left) - set(SURVIVORS[target]))
