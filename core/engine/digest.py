"""Digests of decisions: the proof that live, replay and any number of shards decided the same.

Per symbol one u64 chain, folded over every state transition, message and applied report, and at each TIMER over the
features of symbols touched since the last one. Nothing goes in that differs between equal runs: no ids (they depend on
the order of listing), no shard numbers, no order ids, no wall or monotonic times; event times and `seq` do.
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from core.mixing import MASK, mix64, mix64_int

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# what a fold is about, so that equal numbers of different meaning do not cancel
TAG_STATE = np.int64(1)
TAG_MESSAGE = np.int64(2)
TAG_REPORT = np.int64(3)
TAG_FEATURES = np.int64(4)
TAG_REGIME = np.int64(5)


@kernel
def fold(digest, value):  # type: ignore[no-untyped-def]
    """`digest` (uint64) with `value` (int64) taken in: order matters."""
    return mix64((digest ^ np.uint64(value)) + _GOLDEN)


def fold_int(digest: int, value: int) -> int:
    """`fold` on plain Python integers (also for the account digest of execution)."""
    return mix64_int(((digest ^ (value & MASK)) + int(_GOLDEN)) & MASK)


@kernel
def fold_row(digest, words, slot):  # type: ignore[no-untyped-def]
    """`digest` (uint64) with words[slot, :] taken in, each in its place.

    A sum of words that are scrambled each for itself: none waits for the one before it, so they are worked on four or
    more at a time. The 68 words of a symbol's features in one chain were an eighth of an event.
    """
    total = np.uint64(0)
    for k in range(words.shape[1]):
        total += mix64(np.uint64(words[slot, k]) + _GOLDEN * np.uint64(k + 1))
    return fold(digest, np.int64(total))


@kernel
def digest_sum(symbols, trade, n_slots, shard, found):  # type: ignore[no-untyped-def]
    """Sum of the folded digests of the symbols of `shard` in slots [0, n_slots): their order does not matter.

    found int64[2]: the sum (a uint64 as int64), and how many symbols.
    """
    total = np.uint64(0)
    count = 0
    for slot in range(n_slots):
        if symbols[slot].shard == shard:
            total += fold(np.uint64(symbols[slot].name_hash), np.int64(trade[slot].digest))
            count += 1
    found[0] = np.int64(total)
    found[1] = count


def combine(names_hash: np.ndarray, digests: np.ndarray, account_digest: int) -> str:
    """Digest of a whole run as 16 hex digits.

    names_hash, digests: uint64, one entry per symbol (SYMBOL_ROW.name_hash and .digest); rows with hash 0 are empty
    and skipped. A sum over symbols, so neither their order nor their split into shards can matter.
    """
    total = mix64_int(int(account_digest) & MASK)
    for name_hash, digest in zip(names_hash.tolist(), digests.tolist(), strict=True):
        if name_hash:
            total = (total + fold_int(int(name_hash), int(digest))) & MASK
    return f"{mix64_int(total):016x}"
