"""The other process of a stress test: `python -m tests.stress.peer <what> <segment> <numbers...>`.

It joins the segment by name like any process of the plant, works, and prints its result words on one line.
"""

from __future__ import annotations

import sys

import numpy as np

from shm.atomics import set_word
from shm.broadcast import BroadcastRing
from shm.segment import Segment
from shm.seqlock import Board
from shm.spsc import SpscRing
from tests.stress import kernels as k

CONTROL_BYTES = 4096
LONGEST = 5
SLOT_BYTES = 128
BOARD_DTYPE = np.dtype((np.record, [("words", "(32,)i8")]))


def control_of(segment: Segment) -> np.ndarray:
    return segment.body[:CONTROL_BYTES].view(np.int64)


def scratch(cells: int) -> np.ndarray:
    return np.zeros((cells, 8), np.int64)


def finished() -> np.ndarray:
    """Control words of a run that is over: a loop started on them ends at once, compiled."""
    control = np.zeros(CONTROL_BYTES // 8, np.int64)
    control[k.DONE] = 1
    return control


def write_ring(segment: Segment, first: int, last: int, batch: int, gated: int) -> list[int]:
    ring = BroadcastRing.attach(segment.body[CONTROL_BYTES:])
    control = control_of(segment)
    number = k.write_ring(
        ring.words, ring.cells, ring.bells, control, first, last, LONGEST, batch, gated, scratch(LONGEST * batch)
    )
    set_word(control, k.DONE, 1)
    return [int(number)]


def read_ring(segment: Segment, slot: int, slow: int, gating: int, room: int) -> list[int]:
    ring = BroadcastRing.attach(segment.body[CONTROL_BYTES:])
    reader = ring.reader(slot, gating=bool(gating), from_start=True)
    result = np.zeros(k.RESULT_WORDS, np.int64)
    empty = BroadcastRing.format(np.zeros(BroadcastRing.bytes_needed(16), np.uint8), 16)
    k.read_ring(empty.words, empty.cells, empty.bells, slot, finished(), LONGEST, slow, scratch(room), result)
    print("ready", flush=True)
    k.read_ring(ring.words, ring.cells, ring.bells, slot, control_of(segment), LONGEST, slow, scratch(room), result)
    return [*result.tolist(), reader.lost_messages, reader.laps, reader.messages]


def read_queue(segment: Segment, n_records: int, room: int) -> list[int]:
    ring = SpscRing.attach(segment.body[CONTROL_BYTES:])
    reader = ring.reader()
    result = np.zeros(k.RESULT_WORDS, np.int64)
    dst = np.zeros((room, SLOT_BYTES // 8), np.int64)
    k.read_queue(ring.words, ring.slots, ring.bells, reader.bell, 0, dst, result)
    print("ready", flush=True)
    k.read_queue(ring.words, ring.slots, ring.bells, reader.bell, n_records, dst, result)
    return result.tolist()


def read_board(segment: Segment, rows: int) -> list[int]:
    board = Board.attach(segment.body[CONTROL_BYTES:], BOARD_DTYPE)
    result = np.zeros(k.RESULT_WORDS, np.int64)
    seen = np.full(rows, -1, np.int64)
    record = np.zeros((1, board.record_words), np.int64)
    k.read_board(board.words, finished(), rows, record, seen, result)
    print("ready", flush=True)
    k.read_board(board.words, control_of(segment), rows, record, seen, result)
    return [*result.tolist(), *seen.tolist()]


def sleep_pong(segment: Segment, ring_bytes: int, rounds: int, timeout_ns: int) -> list[int]:
    there = BroadcastRing.attach(segment.body[CONTROL_BYTES : CONTROL_BYTES + ring_bytes])
    back = BroadcastRing.attach(segment.body[CONTROL_BYTES + ring_bytes :])
    there.reader(0, from_start=True)
    result = np.zeros(k.RESULT_WORDS, np.int64)
    src = scratch(16)
    ends = (back.words, back.cells, back.bells, there.words, there.cells, there.bells)
    k.sleep_ping(*ends, 0, timeout_ns, 0, src, result)
    print("ready", flush=True)
    k.sleep_ping(*ends, rounds, timeout_ns, 0, src, result)
    return result.tolist()


COMMANDS = {
    "write_ring": write_ring, "read_ring": read_ring, "read_queue": read_queue, "read_board": read_board,
    "sleep_pong": sleep_pong,
}


def main(argv: list[str]) -> int:
    what, name, *numbers = argv
    print(*COMMANDS[what](Segment.join(name), *map(int, numbers)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
