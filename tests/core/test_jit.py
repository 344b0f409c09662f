"""The door to compilation: what an entry kernel may forget of the kernels it calls, and what it must not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import config

from core.jit import KERNELS, entry_kernel, kernel

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")


class Pair(NamedTuple):
    left: Any
    right: Any


@kernel
def _add_left(pair, at, by):  # type: ignore[no-untyped-def]
    """Calls itself, so that it cannot vanish into its callers."""
    if at > 0:
        pair.left[at] += by + 0.25 * _add_left(pair, at - 1, by)
    return pair.left[at] * 0.5


@kernel
def plain(pair, n):  # type: ignore[no-untyped-def]
    total = 0.0
    for at in range(n):
        total += _add_left(pair, at % 7, pair.right[at % 5]) * 1e-3
    return total


@entry_kernel
def entered(pair, n):  # type: ignore[no-untyped-def]
    total = 0.0
    for at in range(n):
        total += _add_left(pair, at % 7, pair.right[at % 5]) * 1e-3
    return total


@kernel
def calls_an_entry(pair, n):  # type: ignore[no-untyped-def]
    return entered(pair, n) + _add_left(pair, 0, 1.0)


def _pair() -> Pair:
    return Pair(np.linspace(0.1, 0.7, 7), np.linspace(-3.3, 9.1, 5))


def test_an_entry_gives_the_bits_of_a_plain_kernel() -> None:
    one, other = _pair(), _pair()
    assert plain(one, np.int64(1000)) == entered(other, np.int64(1000))
    assert one.left.tobytes() == other.left.tobytes()


def test_what_an_entry_calls_is_its_own_and_harms_no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry's own copies have another calling convention: a kernel linked after it must not find them by name (as
    internal functions it did, and crashed)."""
    expected = plain.py_func(_pair(), 100)
    for make, linkage in ((entry_kernel, "private"), (kernel, "linkonce_odr"), (entry_kernel, "private")):
        fresh = make(entered.py_func)
        KERNELS.remove(fresh)
        monkeypatch.setattr(fresh._cache, "load_overload", lambda *_: None)  # code from the cache cannot be looked at
        assert fresh(_pair(), np.int64(100)) == expected
        (compiled,) = fresh.overloads.values()
        found = [function.linkage.name for function in compiled.library.get_defined_functions()
                 if "9_add_left" in function.name and not function.name.startswith(("_ZN7cpython", "cfunc"))]
        assert found == [linkage]


def test_an_entry_can_be_called_by_a_kernel() -> None:
    one, other = _pair(), _pair()
    expected = plain(one, np.int64(10)) + _add_left(one, 0, 1.0)
    assert calls_an_entry(other, np.int64(10)) == expected
    assert len(entered.signatures) == 1
