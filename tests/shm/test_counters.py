from __future__ import annotations

import numpy as np
import pytest

from core.histogram import hist_record
from shm import counters
from shm.counters import (
    COUNTER_INDEX,
    COUNTERS,
    PAGE_WORDS,
    STAGE_INDEX,
    STAGES,
    CounterPage,
    merged_latency,
    sum_counters,
)


def page() -> CounterPage:
    return CounterPage(np.zeros(PAGE_WORDS, np.int64))


def test_constants_are_named_like_their_rows() -> None:
    for name, index in COUNTER_INDEX.items():
        assert getattr(counters, f"C_{name.upper()}") == index
    for name, index in STAGE_INDEX.items():
        assert getattr(counters, f"S_{name.upper()}") == index
    assert len(COUNTER_INDEX) == len(COUNTERS)
    assert len(STAGE_INDEX) == len(STAGES)
    assert all(row.sentence and row.unit for row in COUNTERS)


def test_counting() -> None:
    one = page()
    one.add("frames", 3)
    one.add("frames")
    one.set("connections", 2)
    assert (one.get("frames"), one.array[counters.C_FRAMES]) == (4, 4)
    assert one.as_dict() == {"frames": 4, "connections": 2}
    assert set(one.as_dict(zeros=True)) == set(COUNTER_INDEX)
    two = page()
    two.add("frames", 10)
    assert sum_counters([one, two])["frames"] == 14
    with pytest.raises(KeyError):
        one.add("no_such_counter")


def test_merged_latency_is_in_microseconds() -> None:
    one, two = page(), page()
    one.record("decode", 1000)
    hist_record(two.hist(counters.S_DECODE), 3000)
    assert merged_latency([one, two]) == {
        "decode": {"count": 2, "p50": pytest.approx(1.0, rel=1 / 64), "p99": 3.0, "p99_9": 3.0, "max": 3.0}
    }


def test_stages_do_not_overlap() -> None:
    one = page()
    for index in range(len(STAGES)):
        one.record(index, 10 + index)
    for index in range(len(STAGES)):
        assert one.hist(index)[1] == 10 + index
    assert one.as_dict() == {}


def test_a_page_has_a_type_and_a_size() -> None:
    with pytest.raises(ValueError, match="counter page"):
        CounterPage(np.zeros(10, np.int64))
