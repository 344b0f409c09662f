"""Taking objects back to what they were: a checkpoint of a replay (workers/replay_player.py).

A Memento walks everything reachable from some roots and keeps contents, not copies: `restore` puts them back into the very same
objects, so identities, views of arrays and bound methods stay what they are. Of an array only what is not zero is kept (an
engine has room for 1024 symbols). What it cannot take back (a file, a generator, a thread) raises TypeError when it is made.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

import msgspec
import numpy as np

CHUNK_WORDS = 4096
ATOMS = (
    int, float, complex, str, bytes, type(None), type, Enum, Decimal, PurePath, np.generic, np.dtype, memoryview, range,
    types.BuiltinFunctionType, types.ModuleType,
)
"""Nothing in these changes. A memoryview changes with its array, which is kept where it is reachable, too."""


class Memento:
    """Contents of everything reachable from `roots`, but not of `outside` or through it. `nbytes`: of arrays kept."""

    def __init__(self, roots: Iterable[Any], outside: Iterable[Any] = ()) -> None:
        self._held: dict[int, Any] = {id(each): each for each in outside}  # held: an id is of one object while it lives
        self._contents: list[tuple[Any, Any]] = []
        self._arrays: list[_Kept] = []
        self.nbytes = 0
        waiting = list(roots)
        while waiting:
            each = waiting.pop()
            if isinstance(each, ATOMS) or id(each) in self._held:
                continue
            self._held[id(each)] = each
            waiting += self._keep(each)

    def restore(self) -> None:
        for each, content in self._contents:
            _put_back(each, content)
        for kept in self._arrays:
            kept.restore()

    def _keep(self, each: Any) -> Iterable[Any]:
        """Keep the content of one object; what it leads to."""
        if isinstance(each, np.ndarray):
            return self._keep_array(each)
        if isinstance(each, tuple | frozenset):
            return each
        if isinstance(each, types.MethodType):
            return (each.__self__,)
        if isinstance(each, types.FunctionType):
            return each.__closure__ or ()
        if isinstance(each, dict):
            content: Any = dict(each)
            leads: Iterable[Any] = [*content.keys(), *content.values()]
        elif isinstance(each, list | deque | set):
            content = leads = list(each)
        elif isinstance(each, types.CellType):
            content, leads = each.cell_contents, (each.cell_contents,)
        elif isinstance(each, msgspec.Struct):
            content = {name: getattr(each, name) for name in each.__struct_fields__}
            leads = content.values()
            if each.__struct_config__.frozen:
                return leads
        elif type(each).__module__.partition(".")[0] == "numba":
            return ()  # a compiled kernel
        elif hasattr(each, "__dict__"):
            content = dict(vars(each))
            leads = content.values()
        elif slots := _slots(each):
            content, leads = slots, slots.values()
        else:
            raise TypeError(f"a {type(each).__qualname__} cannot be taken back")
        self._contents.append((each, content))
        return leads

    def _keep_array(self, array: np.ndarray) -> Iterable[Any]:
        base: Any = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        if base is not array:
            return (base,)  # a view: what it shows is its owner's
        if array.base is not None or not array.flags.writeable:
            return ()  # over bytes, which do not change
        if array.dtype.hasobject:
            raise TypeError("an array of objects cannot be taken back")
        kept = _Kept(array)
        self._arrays.append(kept)
        self.nbytes += kept.nbytes
        return ()


class _Kept:
    """The content of one array, by chunks that are not all zero."""

    def __init__(self, array: np.ndarray) -> None:
        flat = array.reshape(-1).view(np.uint8)
        assert np.shares_memory(flat, array) or not array.size, "an array that owns its memory is contiguous"
        cut = flat.size // (8 * CHUNK_WORDS) * 8 * CHUNK_WORDS
        self._chunks = flat[:cut].view(np.uint64).reshape(-1, CHUNK_WORDS)
        self._rest = flat[cut:]
        self._used = self._chunks.any(axis=1)
        self._kept, self._kept_rest = self._chunks[self._used], self._rest.copy()
        self.nbytes = self._kept.nbytes + self._kept_rest.nbytes

    def restore(self) -> None:
        self._chunks[self._chunks.any(axis=1) & ~self._used] = 0  # and no page of memory is touched that never was
        self._chunks[self._used] = self._kept
        self._rest[:] = self._kept_rest


def _slots(each: Any) -> dict[str, Any]:
    """Values of an object without a dictionary."""
    names = [name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(each, name) for name in names if hasattr(each, name)}


def _put_back(each: Any, content: Any) -> None:
    if isinstance(each, list):
        each[:] = content
    elif isinstance(each, types.CellType):
        each.cell_contents = content
    elif not hasattr(each, "__dict__") and not isinstance(each, dict | deque | set):
        put = setattr if isinstance(each, msgspec.Struct) else object.__setattr__  # a frozen one, too: it is what it was
        for name, value in content.items():
            put(each, name, value)
    else:
        target = each if isinstance(each, dict | deque | set) else vars(each)
        target.clear()
        (target.extend if isinstance(target, deque) else target.update)(content)
