"""The one door to compilation: every kernel of the project is made by `kernel`.

Why each flag:
  cache=True          a start compiles nothing; where, and when a kernel is stale: `config/kernel_cache.py`.
  nogil=True          a kernel never touches Python objects, so a thread of the same process may run beside it.
  error_model=numpy   1/0 is inf and 0/0 is nan, as in the naive twins; kernels test for both before they divide.
  _nrt=False          no reference counting: kernels own no memory, they work on arrays given to them, and counting the
                      ~36 arrays of an engine state on every call cost two thirds of the time (measured 2415 -> 656 ns
                      per event). A kernel that allocates or returns an array fails to compile, which is wanted.
  fastmath off        with it `isnan(nan)` is False, and replays differ.
`entry_kernel` is the same for a kernel that Python calls once per batch and that hands a large state on to others: see there.
No `parallel`, `guvectorize` or `jitclass`: their caches race between processes or do not exist.
Tunables never travel as globals (numba freezes them at compile time): they arrive in a params record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import config, njit
from numba.core.caching import IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

config.CACHE_LOCATOR_CLASSES = (  # type: ignore[attr-defined]
    "config.kernel_cache.SourceLocator,UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator"
)
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
KERNELS: list[Any] = []
"""Every kernel of the imported modules, in order of definition: tests assert one compiled signature for each."""


class _CacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """numba's files of one kernel. What cannot be read (cut off by a full disk, or naming a class that is gone) is compiled
    again; numba would end the process."""

    def _load_index(self) -> dict[Any, Any]:
        try:
            return dict(super()._load_index())
        except Exception:
            return {}

    def _load_data(self, name: str) -> Any:
        try:
            return super()._load_data(name)
        except Exception as error:
            raise OSError(f"{name}: not readable") from error  # numba takes that for a file that is gone


class _EntryLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of an entry: what it calls is nobody else's business here, and becomes part of it."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage.name == "linkonce_odr":  # numba's mark of what was linked in
                function.linkage = "private"  # internal ones can still be found by name, by kernels that call them otherwise
                function.add_function_attribute("alwaysinline")
        super()._optimize_final_module()


class _EntryCompiler(Compiler):  # type: ignore[misc]
    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        library = _EntryLibrary(target.codegen(), "entry")
        library.enable_object_caching()
        super().__init__(typing, target, library, *rest)


def entry_kernel(function: Callable[..., Any]) -> Any:
    """`kernel` for the outermost of many: all it calls is compiled into it, as one function.

    numba hands a NamedTuple of arrays on field by field, seven words for each array, and LLVM may not change that while a
    function can be called from elsewhere: some 900 words pushed for every call that takes the state of an engine, half of
    the time of an event. ns per event, same digests, as kernels / private to the entry / inlined: 1863 / 813 / 702 on a
    recorded tape, 2484 / 1170 / 892 with 700 symbols. It takes LLVM 23 s longer.
    """
    return kernel(function, pipeline_class=_EntryCompiler)


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Compile `function` on first call (cached on disk) and remember it in `KERNELS`."""
    compiled = njit(**_OPTIONS, **options)(function)
    if not config.DISABLE_JIT:  # type: ignore[attr-defined]
        compiled._cache._cache_file.__class__ = _CacheFile
    KERNELS.append(compiled)
    return compiled
