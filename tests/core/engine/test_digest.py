"""Digest arithmetic: kernels and plain integers agree, order and content matter, shard order does not."""

from __future__ import annotations

import random

import numpy as np

from core.engine.digest import combine, fold, fold_int, fold_row
from core.mixing import MASK, mix64, mix64_int

GOLDEN = 0x9E3779B97F4A7C15


def test_kernels_and_integers_agree() -> None:
    rng = random.Random(4)
    for _ in range(200):
        digest, value = rng.randrange(1 << 64), rng.randrange(-(1 << 63), 1 << 63)
        with np.errstate(over="ignore"):  # wrapping is the point, and plain Python warns of it (NUMBA_DISABLE_JIT)
            assert int(mix64(np.uint64(digest))) == mix64_int(digest)
            assert int(fold(np.uint64(digest), np.int64(value))) == fold_int(digest, value)


def fold_row_int(digest: int, values: list[int]) -> int:
    """`fold_row` on plain Python integers."""
    places = range(GOLDEN, (len(values) + 1) * GOLDEN, GOLDEN)
    return fold_int(digest, sum(mix64_int((value + place) & MASK) for value, place in zip(values, places, strict=True)))


def test_a_row_is_folded_as_its_twin_folds_it() -> None:
    rng = random.Random(5)
    for count in (*range(10), 41, 68):
        rows = [[rng.randrange(-(1 << 63), 1 << 63) for _ in range(count)] for _ in range(3)]
        words = np.array(rows, np.int64).reshape(3, count)
        digest = rng.randrange(1 << 64)
        with np.errstate(over="ignore"):
            assert int(fold_row(np.uint64(digest), words, 1)) == fold_row_int(digest, words[1].tolist())


def test_every_word_of_a_row_and_its_place_matter() -> None:
    words = list(range(1, 12))
    seen = {fold_row_int(7, words), fold_row_int(8, words)}
    for k in range(len(words)):
        seen.add(fold_row_int(7, [*words[:k], 99, *words[k + 1:]]))
        seen.add(fold_row_int(7, [*words[k:], *words[:k]]))
    assert len(seen) == 2 + 2 * len(words) - 1  # turned by nothing it is itself
    assert fold_row_int(7, [0] * 4) != fold_row_int(7, [0] * 5) != fold_row_int(7, [0] * 8)


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
