from __future__ import annotations

import threading
import time

import numpy as np

from shm.broadcast import BroadcastRing
from shm.parking import Bell, now_mono_ns, park, wake
from shm.spsc import SpscRing
from tests.shm.support import message, needs_jit, zeros

LONG_NS = 60_000_000_000  # a wait this long would run into the test's own time limit


def test_the_kernel_clock_is_pythons_monotonic_clock() -> None:
    before = time.monotonic_ns()
    inside = now_mono_ns()
    assert before <= inside <= time.monotonic_ns()


@needs_jit
def test_park_returns_at_once_when_the_word_differs() -> None:
    word = np.zeros(8, np.int64)
    park(word, 0, 1, LONG_NS)
    word[3] = (5 << 32) | 7  # only the low half is compared
    park(word, 3, 8, LONG_NS)
    park(word, 0, 0, 0)
    park(word, 0, 0, 1000)  # ends by its timeout


@needs_jit
def test_wake_ends_a_wait() -> None:
    word = np.zeros(8, np.int64)
    thread = threading.Thread(target=lambda: park(word, 0, 0, LONG_NS))
    thread.start()
    while thread.is_alive():
        wake(word, 0)
    thread.join()


@needs_jit
def test_a_bell_rung_between_arming_and_waiting_is_not_lost() -> None:
    bells = np.zeros(16, np.int64)
    bell = Bell(bells, 1)
    bell.ring()
    assert bells.tolist() == [0] * 16  # nobody sleeps: nothing happens
    bell.arm()
    assert bells[8] == 1
    Bell(bells, 1).ring()
    bell.wait(LONG_NS)
    assert bells[8] == 0
    bell.arm()
    bell.disarm()
    assert bells[8] == 0


@needs_jit
def test_rings_ring_the_bell_of_their_reader() -> None:
    bells = np.zeros(24, np.int64)
    ring = BroadcastRing.format(zeros(BroadcastRing.bytes_needed(16)), 16, bells=bells, bell=2)
    queue = SpscRing.format(zeros(SpscRing.bytes_needed(64, 4)), 64, 4, bells=bells, bell=2)
    reader, taker = ring.reader(0), queue.reader()
    bell = Bell(bells, 2)
    for publish in (
        lambda: ring.writer().publish(message(1, 1), 1, 1),
        lambda: queue.writer().push(np.zeros((1, 8), np.int64), 1),
    ):
        bell.arm()
        publish()
        assert bells[16] == 0
        bell.wait(LONG_NS)
    reader.park(LONG_NS)  # there is something to read already
    taker.park(LONG_NS)
    assert bells.tolist() == [0] * 24


@needs_jit
def test_a_sleeping_reader_is_woken_by_each_publication() -> None:
    """Thousands of hand-overs between two sleepers; a single lost wake-up would stop them for a minute."""
    there = BroadcastRing.format(zeros(BroadcastRing.bytes_needed(64)), 64)
    back = SpscRing.format(zeros(SpscRing.bytes_needed(64, 4)), 64, 4)
    rounds = 3000
    reader, writer = there.reader(0), there.writer()
    taker, giver = back.reader(), back.writer()
    cells = message(1, 1)

    def echo() -> None:
        dst = np.zeros((16, 8), np.int64)
        for _ in range(rounds):
            while not reader.read(dst):
                reader.park(LONG_NS)
            giver.push(dst, 1)

    thread = threading.Thread(target=echo)
    thread.start()
    answer = np.zeros((1, 8), np.int64)
    for _ in range(rounds):
        writer.publish(cells, 1, 1)
        while not taker.pop(answer):
            taker.park(LONG_NS)
    thread.join()
