from __future__ import annotations

import numpy as np

from core.enums import LogKind, Severity
from core.records import LOG
from shm.broadcast import BroadcastRing
from shm.errors import get_text
from shm.logs import BATCH, LOG_CELLS, LogReader, LogWriter
from tests.shm.support import zeros


def make(capacity: int = 4096) -> BroadcastRing:
    return BroadcastRing.format(zeros(BroadcastRing.bytes_needed(capacity)), capacity)


def test_what_is_emitted_is_read() -> None:
    ring = make()
    writer = LogWriter(ring, 200, clock=lambda: 42)
    reader = LogReader(ring, 1)
    writer.emit(LogKind.STATE, 7, Severity.WARNING, 99, 5, a=1, b=-2, c=3, d=4, e=5, f=6, x=1.5, y=-2.5, text="flätt")
    writer.emit(LogKind.PROCESS, text="x" * 60)
    first, second = reader.read()
    assert [first[name] for name in ("ts_ns", "seq", "a", "b", "c", "d", "e", "f", "x", "y")] == [
        99, 5, 1, -2, 3, 4, 5, 6, 1.5, -2.5,
    ]
    assert (first["symbol"], first["kind"], first["severity"], first["process"]) == (7, LogKind.STATE, 2, 200)
    assert get_text(first["text"]) == "flätt"
    assert (second["ts_ns"], second["symbol"], second["severity"]) == (42, -1, Severity.INFO)
    assert get_text(second["text"]) == "x" * 40
    assert len(reader.read()) == 0
    assert writer.written == 2


def test_records_of_a_kernel_go_out_in_batches() -> None:
    ring = make()
    records = np.zeros(2 * BATCH + 9, LOG.dtype)
    records["seq"] = np.arange(len(records))
    LogWriter(ring, 3).write_records(records, len(records) - 1)
    reader = LogReader(ring, 1)
    got = np.concatenate([reader.read() for _ in range(3)])
    assert got["seq"].tolist() == list(range(len(records) - 1))
    assert set(got["process"].tolist()) == {3}
    assert set(records["process"].tolist()) == {0}


def test_losses_are_counted_in_records() -> None:
    ring = make(64)
    writer = LogWriter(ring, 1)
    reader = LogReader(ring, 1)
    for i in range(100):
        writer.emit(LogKind.ERROR, a=i)
    assert len(reader.read()) == 0
    assert reader.lost_messages == 100
    writer.emit(LogKind.ERROR, a=100)
    assert reader.read()["a"].tolist() == [100]
    assert LOG_CELLS == 3
