from __future__ import annotations

import platform
import threading

import numpy as np
import pytest
from numba import njit

from shm.atomics import (
    fence_acquire,
    fence_full,
    fence_release,
    get_word,
    load_acquire,
    set_word,
    spin_until_not,
    store_release,
)
from tests.shm.support import needs_jit

x86_only = pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 assembly")


def test_words_from_python() -> None:
    words = np.zeros(16, np.int64)
    set_word(words, 3, -7)
    assert get_word(words, 3) == -7
    assert words.tolist() == [0, 0, 0, -7] + [0] * 12
    assert spin_until_not(words, 3, -7, 100) == -7
    assert spin_until_not(words, 3, 5, 100) == -7


@needs_jit
def test_a_spin_sees_a_store_of_another_thread() -> None:
    """A hoisted load would spin its turns out and return the old value."""
    words = np.zeros(8, np.int64)
    spin_until_not(words, 0, 1, 1)  # compiled before the race
    result: list[int] = []
    thread = threading.Thread(target=lambda: result.append(int(spin_until_not(words, 0, 0, 20_000_000_000))))
    thread.start()
    set_word(words, 0, 9)
    thread.join()
    assert result == [9]


def assembly(function: object) -> str:
    """Assembly of the compiled body, without the Python wrappers."""
    text = next(iter(function.inspect_asm().values()))  # type: ignore[attr-defined]
    return text.split(".size", 1)[0]


@needs_jit
@x86_only
def test_acquire_and_release_cost_plain_moves_on_x86() -> None:
    @njit
    def loop(words, index):  # type: ignore[no-untyped-def]
        while load_acquire(words, index) == 0:
            pass
        fence_acquire()
        fence_release()
        store_release(words, index, 2)

    words = np.ones(8, np.int64)
    loop(words, 0)
    assert words[0] == 2
    body = assembly(loop)
    assert "mfence" not in body
    assert "lock" not in body.replace(".Lfunc", "").replace("block", "")


@needs_jit
@x86_only
def test_the_full_fence_is_there() -> None:
    @njit
    def flag(words):  # type: ignore[no-untyped-def]
        store_release(words, 0, 1)
        fence_full()
        return load_acquire(words, 8)

    assert flag(np.zeros(16, np.int64)) == 0
    body = assembly(flag)
    assert "mfence" in body or "lock" in body


@needs_jit
def test_other_arrays_are_refused_at_compile_time() -> None:
    @njit
    def wrong(words):  # type: ignore[no-untyped-def]
        return load_acquire(words, 0)

    with pytest.raises(Exception, match="load_acquire"):
        wrong(np.zeros(8, np.int32))
