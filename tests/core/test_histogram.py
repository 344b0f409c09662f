from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.histogram import (
    BUCKETS,
    MAX_BITS,
    WORDS,
    bucket_of,
    bucket_top,
    hist_count,
    hist_max,
    hist_mean,
    hist_merge,
    hist_percentile,
    hist_record,
    new_histogram,
)
from tests.reference.histogram import percentile

durations = st.one_of(st.integers(0, 200), st.integers(0, 10**6), st.integers(0, 100 * 10**9))
QUANTILES = (0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0)


def filled(values: list[int]) -> np.ndarray:
    h = new_histogram()
    for value in values:
        hist_record(h, value)
    return h


def test_buckets_are_contiguous_and_narrow() -> None:
    """Every bucket starts where the one before ended and is under 1/64 of its start wide."""
    start = 0
    for bucket in range(BUCKETS):
        top = bucket_top(bucket)
        assert top >= start
        assert bucket_of(start) == bucket
        assert bucket_of(top) == bucket
        assert top - start <= start / 64
        start = top + 1
    assert start == 1 << MAX_BITS
    assert start > 100 * 10**9


def test_out_of_range_values_are_counted_at_the_ends() -> None:
    h = filled([-5, 1 << MAX_BITS, 1 << 50])
    assert hist_count(h) == 3
    assert h[8] == 1
    assert h[8 + BUCKETS - 1] == 2
    assert hist_max(h) == 1 << 50
    assert hist_percentile(h, 100.0) == 1 << 50


def test_empty() -> None:
    h = new_histogram()
    assert (hist_count(h), hist_max(h), hist_percentile(h, 50.0), len(h)) == (0, 0, 0, WORDS)
    assert math.isnan(hist_mean(h))


@given(st.lists(durations, min_size=1, max_size=200))
@settings(max_examples=100, deadline=None)
def test_percentiles_against_the_sorted_list(values: list[int]) -> None:
    h = filled(values)
    assert hist_count(h) == len(values)
    assert hist_max(h) == max(values)
    assert math.isclose(hist_mean(h), sum(values) / len(values), rel_tol=1e-12)
    for q in QUANTILES:
        exact = percentile(values, q)
        assert exact <= hist_percentile(h, q) <= exact + exact / 64


@given(st.lists(durations, max_size=60), st.lists(durations, max_size=60))
@settings(max_examples=60, deadline=None)
def test_merging_equals_recording_together(one: list[int], two: list[int]) -> None:
    h = filled(one)
    hist_merge(h, filled(two))
    np.testing.assert_array_equal(h, filled(one + two))
