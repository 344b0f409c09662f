"""The tap: a record put alone is the record its kernel packs, whatever its size; what is too long is a hole; a reader that
sleeps costs the writer nothing but the records it loses."""

from __future__ import annotations

import numpy as np
import pytest

from core.consumption import ROW_TOO_LONG, Hole, Kind, Now, pack, unpack
from core.records import CELL_BYTES, CELL_WORDS
from shm.broadcast import BroadcastReader, BroadcastRing
from shm.tap import NOTE_CELLS, Tap
from tests.shm.support import zeros

CAPACITY = 16_384


def ring_of(capacity: int = CAPACITY) -> BroadcastRing:
    return BroadcastRing.format(zeros(BroadcastRing.bytes_needed(capacity)), capacity)


def cells_in(reader: BroadcastReader) -> np.ndarray:
    cells: np.ndarray = np.zeros((CAPACITY, CELL_WORDS), np.int64)
    return cells[: reader.read(cells)].copy()


def records_in(reader: BroadcastReader) -> list[tuple[int, bytes]]:
    """(kind, payload) of everything in the ring."""
    cells, found, at = cells_in(reader), [], 0
    data = cells.view(np.uint8).reshape(-1)
    while at < len(cells):
        begin = (at + 1) * CELL_BYTES
        found.append((int(cells[at, 5]), data[begin : begin + int(cells[at, 4])].tobytes()))
        at += (int(cells[at, 6]) >> 48) & 0xFFFF
    return found


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000, 64 * NOTE_CELLS, 100_000])
def test_put_writes_what_the_kernel_packs(size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    rings = ring_of(), ring_of()
    readers = [ring.reader(1, from_start=True) for ring in rings]
    put, offered = Tap(rings[0]), Tap(rings[1])
    frames: np.ndarray = np.array([[0, size, 7, 8, 9]], np.int64)
    stage = np.frombuffer(bytearray(data or b"\0"), np.uint8)
    for _ in range(2):  # the second over the remains of the first
        put.put(Kind.REST, data, 7, 8, 9)
        offered.offer(stage, frames, 1, Kind.REST, Kind.REST)
    assert np.array_equal(cells_in(readers[0]), cells_in(readers[1])) and put.offered == offered.offered == 2


def test_what_is_too_long_is_a_hole_in_its_place() -> None:
    ring = ring_of()
    reader, tap = ring.reader(1, from_start=True), Tap(ring)
    tap.note(Now(1))
    tap.put(Kind.REST, bytes(CAPACITY // 4 * CELL_BYTES))
    tap.note(Now(2))
    found = records_in(reader)
    assert [unpack(*record) for record in found] == [Now(1), Hole(ROW_TOO_LONG, 1), Now(2)]
    assert found[1] == pack(Hole(ROW_TOO_LONG, 1)) and tap.not_offered == 1


def test_a_reader_that_sleeps_loses_and_knows_how_many() -> None:
    ring = ring_of(1024)
    reader, tap = ring.reader(1, from_start=True), Tap(ring)
    for number in range(5000):
        tap.note(Now(number))
    cells: np.ndarray = np.zeros((1024, CELL_WORDS), np.int64)
    while reader.read(cells):
        pass
    assert tap.offered == 5000 and reader.lost_messages > 0
    assert reader.messages == 5000


def test_a_restarted_process_goes_on_numbering() -> None:
    ring = ring_of()
    reader = ring.reader(1, from_start=True)
    Tap(ring).note(Now(1))
    Tap(ring).note(Now(2))
    cells = cells_in(reader)
    assert cells[[0, 2], 0].tolist() == [1, 2]
