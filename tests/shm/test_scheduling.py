"""The kernel's own answer, in processes of their own: what is asked for cannot be given back by a test's process."""

from __future__ import annotations

import pytest

from shm import scheduling
from tests.shm.support import run_python

_HEAD = "import os, threading\nfrom shm.scheduling import *\nfrom shm.scheduling import ORDER_PATH_SLICE_NS as SHORT\n"


def grants_slices() -> bool:
    code = "print(go_first())"
    return run_python(_HEAD + code).stdout == "True\n"


def test_the_order_path_gets_short_slices_and_its_threads_too() -> None:
    if not grants_slices():
        pytest.skip("this kernel has no slices of a process's own (Linux 6.12 has)")
    code = (
        "before = slice_ns()\nassert go_first()\nseen = []\nthread = threading.Thread(target=lambda: seen.append(slice_ns()))\n"
        "thread.start(); thread.join()\nprint(before > SHORT, slice_ns() == SHORT, seen == [SHORT], os.nice(0))"
    )
    assert run_python(_HEAD + code).stdout == "True True True 0\n"


def test_a_nice_value_is_kept() -> None:
    if not grants_slices():
        pytest.skip("this kernel has no slices of a process's own (Linux 6.12 has)")
    assert run_python(_HEAD + "give_way(); print(go_first(), os.nice(0))").stdout == f"True {scheduling.GIVING_WAY}\n"


def test_real_time_priority_is_left_alone() -> None:
    code = (
        "try:\n    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))\nexcept PermissionError:\n    print('denied')\n"
        "else:\n    print(go_first(), os.sched_getscheduler(0) == os.SCHED_RR)"
    )
    assert run_python(_HEAD + code).stdout in ("denied\n", "False True\n")


def test_an_unknown_machine_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling.platform, "machine", lambda: "mips")
    assert (scheduling.go_first(), scheduling.slice_ns()) == (False, 0)
