from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import EVENT
from shm.broadcast import (
    MODE_GATING,
    S_MODE,
    W_BATCH,
    W_INTENT,
    W_SLOTS,
    BroadcastReader,
    BroadcastRing,
)
from tests.reference.ring import ReaderModel, RingModel
from tests.shm.support import message, zeros

CAPACITY = 64


def make(capacity: int = CAPACITY, gating: tuple[int, ...] = ()) -> BroadcastRing:
    return BroadcastRing.format(zeros(BroadcastRing.bytes_needed(capacity)), capacity, gating)


def batch(messages: list[tuple[int, int]]) -> np.ndarray:
    return np.concatenate([message(number, length) for number, length in messages])


def numbers_in(cells: np.ndarray) -> list[int]:
    """Message numbers in a read; every payload word is checked."""
    numbers = []
    at = 0
    while at < len(cells):
        header = cells[at].view(EVENT.dtype)[0]
        length = int(header["n_cells"])
        np.testing.assert_array_equal(cells[at : at + length], message(int(header["seq"]), length))
        numbers.append(int(header["seq"]))
        at += length
    return numbers


def read(reader: BroadcastReader, room: int = CAPACITY) -> list[int]:
    dst = np.zeros((room, 8), np.int64)
    return numbers_in(dst[: reader.read(dst)])


publish_step = st.tuples(st.just("publish"), st.lists(st.integers(1, 9), min_size=1, max_size=9))
read_step = st.tuples(st.sampled_from(["read 0", "read 1", "read 2"]), st.integers(1, 70))
fresh_step = st.tuples(st.just("attach"), st.integers(0, 2))


@given(st.lists(st.one_of(publish_step, publish_step, read_step, fresh_step), max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_sequence_equals_the_model(steps: list) -> None:
    """Whole messages in order, and every message either read or counted as lost, exactly as the contract computes it."""
    ring = make()
    model = RingModel(CAPACITY, ring.chunk_cells)
    writer = ring.writer()
    readers = [ring.reader(slot, from_start=True) for slot in range(3)]
    twins = [ReaderModel(model) for _ in range(3)]
    number = 0
    for step, argument in steps:
        if step == "publish":
            messages = [(number + i, length) for i, length in enumerate(argument)]
            cells = batch(messages)
            if model.fits(len(cells)):
                number += len(messages)
                model.publish(messages)
                assert writer.publish(cells, len(cells), len(messages))
            else:
                with pytest.raises(ValueError, match="batch of"):
                    writer.publish(cells, len(cells), len(messages))
        elif step == "attach":
            readers[argument] = ring.reader(argument)
            twins[argument] = ReaderModel(model, model.tail, len(model.messages))
        else:
            slot = int(step[-1])
            expected = twins[slot].read(argument)
            if expected is None:
                with pytest.raises(ValueError, match="does not fit"):
                    read(readers[slot], argument)
            else:
                assert read(readers[slot], argument) == expected
        for reader, twin in zip(readers, twins, strict=True):
            state = (reader.position, reader.messages, reader.lost_messages, reader.laps, reader.lag_cells())
            assert state == (twin.position, twin.at, twin.lost, twin.laps, model.tail - twin.position)


def test_a_gating_reader_loses_nothing_and_holds_the_writer() -> None:
    ring = make(gating=(0,))
    writer = ring.writer(gated=True)
    cells = message(1, 16)
    for _ in range(4):
        assert writer.publish(cells, 16, 1)
    assert not writer.publish(cells, 16, 1)  # nobody has joined yet, still nothing is overwritten
    assert ring.refused == 1
    reader = ring.reader(0, gating=True)
    lossy = ring.reader(1, from_start=True)
    assert read(reader, 20) == [1]
    assert writer.publish(cells, 16, 1)
    assert read(reader) == [1] * 4
    assert (reader.lost_messages, reader.laps) == (0, 0)
    assert read(lossy) == []
    assert (lossy.lost_messages, lossy.laps) == (5, 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=60))
@settings(max_examples=80, deadline=None)
def test_gated_ring_never_laps_its_gating_reader(steps: list[tuple[bool, int]]) -> None:
    ring = make(gating=(0,))
    writer = ring.writer(gated=True)
    reader = ring.reader(0, gating=True)
    sent: list[int] = []
    got: list[int] = []
    for is_publish, size in steps:
        if is_publish:
            if writer.publish(message(len(sent), size), size, 1):
                sent.append(len(sent))
            else:
                assert reader.lag_cells() + size > CAPACITY
        else:
            got += read(reader)
    got += read(reader)
    assert got == sent
    assert reader.laps == 0


def test_a_late_gating_reader_starts_at_the_newest_and_then_gates() -> None:
    ring = make()
    writer = ring.writer(gated=True)
    for _ in range(10):
        assert writer.publish(message(1, 32), 32, 1)
    reader = ring.reader(3, gating=True)
    assert writer.publish(message(2, 32), 32, 1)
    assert writer.publish(message(3, 32), 32, 1)
    assert not writer.publish(message(4, 32), 32, 1)
    assert read(reader) == [2, 3]
    reader.release()
    for _ in range(5):
        assert writer.publish(message(5, 32), 32, 1)


def test_a_restarted_gating_reader_goes_on_where_it_stood() -> None:
    ring = make(gating=(0,))
    writer = ring.writer(gated=True)
    first = ring.reader(0, gating=True)
    writer.publish(batch([(1, 2), (2, 2)]), 4, 2)
    assert read(first, 2) == [1]
    assert read(ring.reader(0, gating=True)) == [2]


def test_a_writer_that_died_inside_a_batch_leaves_no_trace() -> None:
    ring = make()
    reader = ring.reader(0)
    ring.writer().publish(message(1, 4), 4, 1)
    ring.words[W_INTENT] = 4 + 60  # it had announced and half-written a batch
    ring.cells[4:30] = -1
    writer = ring.writer()
    writer.publish(message(2, 4), 4, 1)
    assert read(reader) == [1, 2]


def test_batch_number_and_pairs_stay_in_step() -> None:
    ring = make()
    writer = ring.writer()
    for i in range(7):
        writer.publish(message(i, 3), 3, 1)
        assert int(ring.words[W_BATCH]) == i + 1
        assert ring.tail_cells == 3 * (i + 1)


def test_garbage_instead_of_a_message_is_an_error() -> None:
    ring = make()
    reader = ring.reader(0)
    ring.writer().publish(np.zeros((2, 8), np.int64), 2, 1)
    with pytest.raises(LookupError, match="not the start"):
        read(reader)


def test_lags_are_visible_to_everybody() -> None:
    body = zeros(BroadcastRing.bytes_needed(CAPACITY))
    ring = BroadcastRing.format(body, CAPACITY)
    ring.reader(2)
    ring.writer().publish(message(1, 5), 5, 1)
    other = BroadcastRing.attach(body)
    assert [(row["slot"], row["lag_cells"], row["gating"]) for row in other.lags()] == [(2, 5, 0)]
    assert other.slot_lag_cells(2) == 5
    assert other.slot_lag_cells(1) == 0


def test_refused_uses() -> None:
    with pytest.raises(ValueError, match="power of two"):
        make(48)
    with pytest.raises(ValueError, match="too few"):
        BroadcastRing.format(zeros(4096), 64)
    with pytest.raises(ValueError, match="no broadcast ring"):
        BroadcastRing.attach(zeros(BroadcastRing.bytes_needed(64)))
    ring = make()
    with pytest.raises(ValueError, match="reader slot 8"):
        ring.reader(8)
    assert ring.writer().publish(message(1, 1), 0, 0)
    assert ring.tail_cells == 0


def test_jump_to_newest_counts_nothing() -> None:
    ring = make()
    reader = ring.reader(0)
    ring.writer().publish(message(1, 5), 5, 1)
    assert reader.has_data()
    reader.jump_to_newest()
    assert not reader.has_data()
    assert (reader.lost_messages, reader.laps) == (0, 0)


def test_gating_mode_is_set_before_the_reader_joins() -> None:
    ring = make(gating=(0, 5))
    assert [int(ring.words[W_SLOTS + slot * 8 + S_MODE]) == MODE_GATING for slot in range(8)] == [
        True, False, False, False, False, True, False, False,
    ]
