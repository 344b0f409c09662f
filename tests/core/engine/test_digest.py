"""Digest arithmetic: kernels and plain integers agree, order and content matter, shard order does not."""

from __future__ import annotations

import random

import numpy as np

from core.engine.digest import combine, fold, fold_int
from core.mixing import mix64, mix64_int


def test_kernels_and_integers_agree() -> None:
    rng = random.Random(4)
    for _ in range(200):
        digest, value = rng.randrange(1 << 64), rng.randrange(-(1 << 63), 1 << 63)
        with np.errstate(over="ignore"):  # wrapping is the point, and plain Python warns of it (NUMBA_DISABLE_JIT)
            assert int(mix64(np.uint64(digest))) == mix64_int(digest)
            assert int(fold(np.uint64(digest), np.int64(value))) == fold_int(digest, value)


def test_order_and_content_matter() -> None:
    assert fold_int(fold_int(0, 1), 2) != fold_int(fold_int(0, 2), 1)
    assert len({fold_int(0, k) for k in range(1000)}) == 1000


def test_combine_ignores_order_and_empty_rows() -> None:
    names, digests = np.array([5, 6, 7], np.uint64), np.array([1, 2, 3], np.uint64)
    text = combine(names, digests, 9)
    assert len(text) == 16 and int(text, 16) >= 0
    assert combine(names[::-1], digests[::-1], 9) == text
    assert combine(np.append(names, np.uint64(0)), np.append(digests, np.uint64(77)), 9) == text
    assert combine(names, digests, 8) != text
    assert combine(names, digests[::-1], 9) != text
