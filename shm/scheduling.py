"""Who goes first when cores are short: what a process asks of the kernel's scheduler, without any privilege.

Linux serves ordinary processes in slices (about 3 ms). One that wakes for a frame waits until another's slice is over,
unless it asked for shorter slices: since 6.12 it then goes first at once, for the same share of the core. Older kernels
take the wish and ignore it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading

ORDER_PATH_SLICE_NS = 100_000  # the shortest the kernel grants
GIVING_WAY = 5  # nice: a third of the share of a process that does not give way
_SYSCALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # sched_setattr, sched_getattr


class _Attributes(ctypes.Structure):
    """`struct sched_attr` of linux/sched/types.h, first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("slice_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def _call(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))


def slice_ns() -> int:
    """Length of the calling thread's slice; 0 where the kernel does not tell."""
    numbers = _SYSCALLS.get(platform.machine())
    attributes = _Attributes()
    size = ctypes.sizeof(attributes)
    if numbers is None or _call(numbers[1], 0, ctypes.byref(attributes), size, 0) != 0:
        return 0
    return int(attributes.slice_ns)


def go_first() -> bool:
    """Ask for the shortest slices, for the calling thread and those it will start. For the processes of the order path.

    Returns whether the kernel agreed. Only for ordinary scheduling: who runs under real-time priority keeps it.
    """
    numbers = _SYSCALLS.get(platform.machine())
    if numbers is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    attributes = _Attributes(
        size=ctypes.sizeof(_Attributes), policy=os.SCHED_OTHER, nice=nice, slice_ns=ORDER_PATH_SLICE_NS
    )
    return _call(numbers[0], 0, ctypes.byref(attributes), 0) == 0 and slice_ns() == ORDER_PATH_SLICE_NS


def give_way() -> None:
    """Go behind the processes of the order path when cores are short. For those nobody waits for: their rings hold
    seconds."""
    os.nice(GIVING_WAY)
