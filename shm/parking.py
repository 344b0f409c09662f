"""Waiting without spinning: futex on a word in shared memory, bells, and the monotonic clock for kernels.

A *bell* is one word per waiting process. The waiter sets it to 1, passes a full fence, looks at its rings once more and
only then sleeps in the kernel while the word is still 1. A writer publishes, passes a full fence, and when it sees 1
sets it to 0 and wakes. With both fences at least one side sees the other: no wake-up is lost, and while nobody sleeps
no system call is made. One bell serves any number of rings. Every wait has a timeout all the same.
"""

from __future__ import annotations

import platform
import sys
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic

from core.jit import kernel
from shm.atomics import LINE_WORDS, fence_full, load_acquire, store_release

if sys.platform != "linux" or sys.byteorder != "little":
    raise ImportError("shm.parking needs Linux (futex) on a little-endian machine")

_FUTEX_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
if platform.machine() not in _FUTEX_NUMBERS:
    raise ImportError(f"shm.parking does not know the futex system call of {platform.machine()}")
_SYS_FUTEX = _FUTEX_NUMBERS[platform.machine()]
_FUTEX_WAIT = 0  # without FUTEX_PRIVATE_FLAG: the word is shared between processes
_FUTEX_WAKE = 1
_WAKE_ALL = 2**31 - 1
_CLOCK_MONOTONIC = 1
_NS = 1_000_000_000

if numba_config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _futex_wait(array: Any, index: int, expected: int, timeout_ns: int) -> int:
        if int(array[index]) == expected:
            time.sleep(min(timeout_ns, 1_000_000) / _NS)
        return 0

    def _futex_wake(array: Any, index: int) -> int:
        return 0

    def _clock_ns() -> int:
        return time.monotonic_ns()

else:
    from shm.atomics import element_pointer

    _I64 = ir.IntType(64)
    _I32 = ir.IntType(32)

    def _futex(context: Any, builder: Any, pointer: Any, operation: int, value: Any, timeout: Any) -> Any:
        """Call `syscall(SYS_futex, pointer, operation, value, timeout, 0, 0)` by symbol name (so it can be cached)."""
        function_type = ir.FunctionType(_I64, [_I64] * 7)
        function = cgutils.get_or_insert_function(builder.module, function_type, "syscall")
        zero = _I64(0)
        address = builder.ptrtoint(pointer, _I64)
        return builder.call(function, [_I64(_SYS_FUTEX), address, _I64(operation), value, timeout, zero, zero])

    @intrinsic
    def _futex_wait(typingctx: Any, array: Any, index: Any, expected: Any, timeout_ns: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
            timespec = cgutils.alloca_once(builder, ir.ArrayType(_I64, 2))
            zero = _I32(0)
            builder.store(builder.sdiv(args[3], _I64(_NS)), builder.gep(timespec, [zero, zero]))
            builder.store(builder.srem(args[3], _I64(_NS)), builder.gep(timespec, [zero, _I32(1)]))
            return _futex(context, builder, pointer, _FUTEX_WAIT, args[2], builder.ptrtoint(timespec, _I64))

        return types.int64(array, types.intp, types.int64, types.int64), codegen

    @intrinsic
    def _futex_wake(typingctx: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
            return _futex(context, builder, pointer, _FUTEX_WAKE, _I64(_WAKE_ALL), _I64(0))

        return types.int64(array, types.intp), codegen

    @intrinsic
    def _clock_ns(typingctx: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            timespec = cgutils.alloca_once(builder, ir.ArrayType(_I64, 2))
            zero = _I32(0)
            seconds = builder.gep(timespec, [zero, zero])
            function_type = ir.FunctionType(_I32, [_I32, seconds.type])
            function = cgutils.get_or_insert_function(builder.module, function_type, "clock_gettime")
            builder.call(function, [_I32(_CLOCK_MONOTONIC), seconds])
            nanoseconds = builder.load(builder.gep(timespec, [zero, _I32(1)]))
            return builder.add(builder.mul(builder.load(seconds), _I64(_NS)), nanoseconds)

        return types.int64(), codegen


@kernel
def now_mono_ns():
    """CLOCK_MONOTONIC in ns: the clock of `time.monotonic_ns()`, inside kernels."""
    return _clock_ns()


@kernel
def park(word, index, expected, timeout_ns):
    """Sleep while the low 32 bits of `word[index]` equal those of `expected`, at most `timeout_ns`; may wake early."""
    if timeout_ns > 0:
        _futex_wait(word, index, expected & 0xFFFFFFFF, timeout_ns)


@kernel
def wake(word, index):
    """Wake everybody who sleeps on `word[index]`."""
    _futex_wake(word, index)


@kernel
def arm_bell(bells, bell):
    """Say 'about to sleep'. The caller must look at all its sources after this and before `wait_bell`."""
    store_release(bells, bell * LINE_WORDS, 1)
    fence_full()


@kernel
def disarm_bell(bells, bell):
    """Take the announcement back: there was work after all."""
    store_release(bells, bell * LINE_WORDS, 0)


@kernel
def wait_bell(bells, bell, timeout_ns):
    """Sleep until somebody rings, or `timeout_ns` is over; returns at once when rung since `arm_bell`."""
    if timeout_ns > 0:
        _futex_wait(bells, bell * LINE_WORDS, 1, timeout_ns)
    store_release(bells, bell * LINE_WORDS, 0)


@kernel
def ring_bell(bells, bell):
    """Wake the owner of `bell` when it sleeps. Call after the publishing store and a `fence_full()`."""
    if load_acquire(bells, bell * LINE_WORDS) == 1:
        store_release(bells, bell * LINE_WORDS, 0)
        _futex_wake(bells, bell * LINE_WORDS)


class Bell:
    """The parking word of one process. `bells` is int64[8 * n]: one cache line per bell."""

    def __init__(self, bells: np.ndarray, index: int) -> None:
        self.bells = bells
        self.index = int(index)

    def arm(self) -> None:
        """Announce sleep; then check every source once, then `wait` or `disarm`."""
        arm_bell(self.bells, self.index)

    def disarm(self) -> None:
        disarm_bell(self.bells, self.index)

    def wait(self, timeout_ns: int) -> None:
        wait_bell(self.bells, self.index, int(timeout_ns))

    def ring(self) -> None:
        """Wake the owner from any process (for instance after setting a control word)."""
        _ring_after_fence(self.bells, self.index)


@kernel
def _ring_after_fence(bells, bell):
    fence_full()
    ring_bell(bells, bell)
