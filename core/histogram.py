"""Log-linear histogram of durations in one int64 array: constant memory, constant time, error under 1/64.

Values below 64 ns have a bucket each; every further power of two is split into 64 equal buckets (the HdrHistogram
scheme), up to 2^37 ns = 137 s; larger values count in the last bucket, negative ones in the first. One writer; readers
may look at any time and see a value or not yet. Words 0-3: sum, max, min + 1 (0 = empty), reserved; buckets follow.
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel

SUB_BITS = 6
SUB_BUCKETS = 1 << SUB_BITS
MAX_BITS = 37
BUCKETS = SUB_BUCKETS * (MAX_BITS - SUB_BITS + 1)
H_SUM = 0
H_MAX = 1
H_MIN1 = 2
H_BUCKETS = 8
WORDS = H_BUCKETS + BUCKETS


def new_histogram() -> np.ndarray:
    """An empty histogram: int64[WORDS]."""
    return np.zeros(WORDS, np.int64)


@kernel
def bucket_of(value_ns):
    """Bucket of a value (ns)."""
    if value_ns < SUB_BUCKETS:
        return max(value_ns, 0)
    if value_ns >> MAX_BITS != 0:
        return BUCKETS - 1
    exponent = 0
    rest = value_ns
    step = 32
    while step > 0:
        if rest >> step != 0:
            rest >>= step
            exponent += step
        step >>= 1
    shift = exponent - SUB_BITS
    return SUB_BUCKETS * shift + (value_ns >> shift)


@kernel
def bucket_top(bucket):
    """Largest value (ns) that counts in a bucket."""
    if bucket < SUB_BUCKETS:
        return bucket
    shift = bucket // SUB_BUCKETS - 1
    return ((bucket - SUB_BUCKETS * shift + 1) << shift) - 1


@kernel
def hist_record(h, value_ns):
    """Count one value (ns)."""
    h[H_BUCKETS + bucket_of(value_ns)] += 1
    h[H_SUM] += value_ns
    if value_ns > h[H_MAX]:
        h[H_MAX] = value_ns
    if h[H_MIN1] == 0 or value_ns + 1 < h[H_MIN1]:
        h[H_MIN1] = max(value_ns, 0) + 1


@kernel
def hist_count(h):
    """Number of values."""
    total = 0
    for bucket in range(BUCKETS):
        total += h[H_BUCKETS + bucket]
    return total


@kernel
def hist_max(h):
    """Largest value (ns), exact; 0 when empty."""
    return h[H_MAX]


@kernel
def hist_mean(h):
    """Mean (ns), exact; nan when empty."""
    count = hist_count(h)
    return h[H_SUM] / count if count > 0 else np.nan


@kernel
def hist_percentile(h, q):
    """Smallest bucket top (ns) under which at least q percent of the values lie, never above the maximum; 0 when empty.

    `q` float in 0..100. Never below the true percentile, and above it by less than 1/64.
    """
    total = hist_count(h)
    if total == 0:
        return 0
    rank = max(1, int(np.ceil(total * q / 100.0)))
    below = 0
    for bucket in range(BUCKETS):
        below += h[H_BUCKETS + bucket]
        if below >= rank:
            if bucket == BUCKETS - 1:
                return h[H_MAX]
            return min(bucket_top(bucket), h[H_MAX])
    return h[H_MAX]


@kernel
def hist_merge(into, other):
    """Add all values of `other` to `into`."""
    into[H_SUM] += other[H_SUM]
    into[H_MAX] = max(into[H_MAX], other[H_MAX])
    if other[H_MIN1] != 0 and (into[H_MIN1] == 0 or other[H_MIN1] < into[H_MIN1]):
        into[H_MIN1] = other[H_MIN1]
    for bucket in range(BUCKETS):
        into[H_BUCKETS + bucket] += other[H_BUCKETS + bucket]
