"""Acquire/release loads, stores and fences on the elements of an int64 array, for kernels.

Why intrinsics: LLVM may hoist a plain `array[i]` out of a waiting loop (seen: the loop never ends) and may move plain
copies across a plain flag. On x86-64 load_acquire, store_release, fence_acquire and fence_release are ordinary moves
that only stop the compiler; `fence_full` is the one instruction that orders a store before a later load. On ARM64 the
same code gives ldar, stlr and dmb. Indices are not checked. With NUMBA_DISABLE_JIT=1 plain Python stands in: the
interpreter never reorders, and the tests that need real concurrency are skipped there.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic

from core.jit import kernel

WORD_BYTES = 8
LINE_WORDS = 8
"""A cache line is 64 bytes: words with different writers sit this many words apart."""

if numba_config.DISABLE_JIT:  # type: ignore[attr-defined]

    def load_acquire(array: Any, index: int) -> int:
        return int(array[index])

    def store_release(array: Any, index: int, value: int) -> None:
        array[index] = value

    def fence_acquire() -> None:
        return None

    def fence_release() -> None:
        return None

    def fence_full() -> None:
        return None

else:

    def _is_word_array(array: types.Type) -> bool:
        return isinstance(array, types.Array) and array.dtype == types.int64 and array.ndim == 1

    def element_pointer(context: Any, builder: Any, array_type: Any, array_value: Any, index: Any) -> Any:
        """LLVM pointer to `array[index]`."""
        array = context.make_array(array_type)(context, builder, array_value)
        return cgutils.get_item_pointer(context, builder, array_type, array, [index])

    @intrinsic
    def load_acquire(typingctx: Any, array: Any, index: Any) -> Any:
        """`array[index]`; no later access of this thread moves above it."""
        if not _is_word_array(array):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
            return builder.load_atomic(pointer, "acquire", WORD_BYTES)

        return types.int64(array, types.intp), codegen

    @intrinsic
    def store_release(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
        """`array[index] = value`; no earlier access of this thread moves below it."""
        if not _is_word_array(array):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
            builder.store_atomic(args[2], pointer, "release", WORD_BYTES)
            return context.get_dummy_value()

        return types.void(array, types.intp, types.int64), codegen

    def _fence(ordering: str) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.fence(ordering)
            return context.get_dummy_value()

        return codegen

    @intrinsic
    def fence_acquire(typingctx: Any) -> Any:
        """Earlier loads stay above later accesses: between a lossy copy and the re-check."""
        return types.void(), _fence("acquire")

    @intrinsic
    def fence_release(typingctx: Any) -> Any:
        """Earlier accesses stay above later stores: between a 'busy' mark and the data it protects."""
        return types.void(), _fence("release")

    @intrinsic
    def fence_full(typingctx: Any) -> Any:
        """Also orders earlier stores before later loads: both sides of a parking flag need it."""
        return types.void(), _fence("seq_cst")


@kernel
def get_word(words, index):
    """Acquire load, callable from Python."""
    return load_acquire(words, index)


@kernel
def set_word(words, index, value):
    """Release store, callable from Python."""
    store_release(words, index, value)


@kernel
def spin_until_not(words, index, value, turns):
    """Wait while `words[index] == value`, at most `turns` loads; returns the last value read."""
    seen = load_acquire(words, index)
    while seen == value and turns > 0:
        seen = load_acquire(words, index)
        turns -= 1
    return seen
