"""The way from Python into a compiled kernel without numba's type dispatch, for calls made once per batch.

Dispatch looks at the type of every argument; for a NamedTuple of some forty arrays that costs several times what the
call itself does (measured: 6.7 against 1.6 us for 36 arrays). A kernel of this project has exactly one compiled
signature, so after the first, checked call the compiled entry point can be called directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_entries: dict[int, Callable[..., Any]] = {}


def entry(kernel: Any) -> Callable[..., Any]:
    """`kernel` itself until it is compiled, then its only compiled entry point.

    The entry point checks no types: use it only where the argument types are the same by construction.
    """
    found = _entries.get(id(kernel))
    if found is not None:
        return found
    overloads = getattr(kernel, "overloads", None)
    if overloads is not None and len(overloads) == 1:
        (compiled,) = overloads.values()
        _entries[id(kernel)] = compiled.entry_point
    return kernel
