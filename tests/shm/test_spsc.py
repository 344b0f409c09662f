from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import MESSAGE, REPORT
from shm.spsc import SpscRing
from tests.shm.support import zeros

CAPACITY = 16


def make(capacity: int = CAPACITY) -> SpscRing:
    return SpscRing.format(zeros(SpscRing.bytes_needed(MESSAGE.size, capacity)), MESSAGE.size, capacity)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_sequence_equals_a_deque(steps: list[tuple[bool, int]]) -> None:
    """Nothing lost, nothing twice, order kept; a push is all or nothing and refused only when it does not fit."""
    ring = make()
    writer, reader = ring.writer(), ring.reader()
    twin: deque[int] = deque()
    source = np.zeros(32, MESSAGE.dtype)
    target = np.zeros(32, MESSAGE.dtype)
    number = 0
    refused = 0
    for is_push, n in steps:
        if is_push:
            source["seq"][:n] = np.arange(number, number + n)
            source["symbol"][:n] = -np.arange(number, number + n)
            if n > CAPACITY:
                with pytest.raises(ValueError, match="never fit"):
                    writer.push(source, n)
                continue
            pushed = writer.push(source, n)
            if len(twin) + n > CAPACITY:
                assert pushed == 0
                refused += 1
            else:
                assert pushed == n
                twin.extend(range(number, number + n))
                number += n
        else:
            popped = reader.pop(target, n)
            expected = [twin.popleft() for _ in range(popped)]
            assert target["seq"][:popped].tolist() == expected
            assert target["symbol"][:popped].tolist() == [-value for value in expected]
            assert popped == n or popped > 0 or not twin
        assert writer.free() <= CAPACITY - len(twin)
        assert len(ring) == len(twin)
    assert ring.refused == refused


def test_pop_takes_everything_that_fits_and_honours_first() -> None:
    ring = make()
    source = np.zeros(10, MESSAGE.dtype)
    source["seq"] = np.arange(10)
    assert ring.writer().push(source, 4, first=3) == 4
    target = np.zeros(3, MESSAGE.dtype)
    reader = ring.reader()
    assert reader.has_data()
    assert reader.pop(target, first=1) == 2
    assert target["seq"].tolist() == [0, 3, 4]
    assert reader.pop(target) == 2
    assert target["seq"].tolist() == [5, 6, 4]


def test_both_sides_go_on_after_a_restart() -> None:
    body = zeros(SpscRing.bytes_needed(MESSAGE.size, CAPACITY))
    SpscRing.format(body, MESSAGE.size, CAPACITY)
    source = np.zeros(2, MESSAGE.dtype)
    target = np.zeros(8, MESSAGE.dtype)
    for number in range(20):
        source["seq"] = [2 * number, 2 * number + 1]
        assert SpscRing.attach(body).writer().push(source, 2) == 2
        assert SpscRing.attach(body).reader().pop(target, 2) == 2
        assert target["seq"][:2].tolist() == [2 * number, 2 * number + 1]


def test_refused_uses() -> None:
    with pytest.raises(ValueError, match="power of two"):
        make(12)
    with pytest.raises(ValueError, match="multiple of 8"):
        SpscRing.format(zeros(8192), 12, 4)
    with pytest.raises(ValueError, match="too few"):
        SpscRing.format(zeros(4096), 64, 64)
    with pytest.raises(ValueError, match="no single-reader ring"):
        SpscRing.attach(zeros(8192))
    ring = make()
    with pytest.raises(ValueError, match="bytes in a ring"):
        ring.writer().push(np.zeros(4, np.int64), 4)
    with pytest.raises(ValueError, match=r"records 0\.\.5 of 4"):
        ring.writer().push(np.zeros(4, REPORT.dtype), 5)
