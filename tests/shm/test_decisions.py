"""Decision rings: records arrive whole; a reader that is too slow loses some and knows how many; writing never waits."""

from __future__ import annotations

import numpy as np

from core.decision import DECISION
from shm.broadcast import BroadcastRing
from shm.decisions import MESSAGE_CELLS, DecisionReader, DecisionWriter
from tests.shm.support import zeros

CELLS = 8192


def ring() -> BroadcastRing:
    body = zeros(BroadcastRing.bytes_needed(CELLS))
    BroadcastRing.format(body, CELLS)
    return BroadcastRing.attach(body)


def rows(first: int, n: int) -> np.ndarray:
    records = np.zeros(n, DECISION.dtype)
    records["seq"] = np.arange(first, first + n)
    records["features"][:, -1] = records["seq"] * 0.5
    return records


def test_records_arrive_whole_and_in_order() -> None:
    shared = ring()
    writer, reader = DecisionWriter(shared), DecisionReader(shared.reader(1, from_start=True))
    writer.write(rows(1, 0))
    assert len(reader.read()) == 0
    writer.write(rows(1, 150))
    seen = np.concatenate([reader.read() for _ in range(4)])
    np.testing.assert_array_equal(seen, rows(1, 150))
    assert reader.lost_messages == 0


def test_a_slow_reader_loses_and_the_writer_never_waits() -> None:
    shared = ring()
    writer, reader = DecisionWriter(shared), DecisionReader(shared.reader(2, from_start=True))
    assert 40 * 64 * MESSAGE_CELLS > 2 * CELLS
    for k in range(40):
        writer.write(rows(1 + 64 * k, 64))
    assert len(reader.read()) == 0 and reader.lost_messages == 40 * 64  # overtaken: it goes on at the newest batch
    writer.write(rows(40 * 64 + 1, 10))
    np.testing.assert_array_equal(reader.read(), rows(40 * 64 + 1, 10))
    assert reader.lost_messages == 40 * 64
