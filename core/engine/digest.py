"""Digests of decisions: the proof that live, replay and any number of shards decided the same.

Per symbol one u64 chain, folded over every state transition, message and applied report, and at each TIMER over the
features of symbols touched since the last one. Nothing goes in that differs between equal runs: no ids (they depend on
the order of listing), no shard numbers, no order ids, no wall or monotonic times; event times and `seq` do.

The mixing function is splitmix64's finaliser (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_MASK = (1 << 64) - 1

# what a fold is about, so that equal numbers of different meaning do not cancel
TAG_STATE = np.int64(1)
TAG_MESSAGE = np.int64(2)
TAG_REPORT = np.int64(3)
TAG_FEATURES = np.int64(4)
TAG_REGIME = np.int64(5)


@kernel
def mix64(x):  # type: ignore[no-untyped-def]
    """Scramble a uint64: bijective, every input bit reaches every output bit."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@kernel
def fold(digest, value):  # type: ignore[no-untyped-def]
    """`digest` (uint64) with `value` (int64) taken in: order matters."""
    return mix64((digest ^ np.uint64(value)) + _GOLDEN)


def mix64_int(x: int) -> int:
    """`mix64` on plain Python integers."""
    x = ((x ^ (x >> 30)) * int(_M1)) & _MASK
    x = ((x ^ (x >> 27)) * int(_M2)) & _MASK
    return x ^ (x >> 31)


def fold_int(digest: int, value: int) -> int:
    """`fold` on plain Python integers (also for the account digest of execution)."""
    return mix64_int(((digest ^ (value & _MASK)) + int(_GOLDEN)) & _MASK)


def combine(names_hash: np.ndarray, digests: np.ndarray, account_digest: int) -> str:
    """Digest of a whole run as 16 hex digits.

    names_hash, digests: uint64, one entry per symbol (SYMBOL_ROW.name_hash and .digest); rows with hash 0 are empty
    and skipped. A sum over symbols, so neither their order nor their split into shards can matter.
    """
    total = mix64_int(int(account_digest) & _MASK)
    for name_hash, digest in zip(names_hash.tolist(), digests.tolist(), strict=True):
        if name_hash:
            total = (total + fold_int(int(name_hash), int(digest))) & _MASK
    return f"{mix64_int(total):016x}"
