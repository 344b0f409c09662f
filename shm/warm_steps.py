"""Warm-up steps of the transport kernels: each is called once, through its public door, on private memory."""

from __future__ import annotations

import numpy as np

from core.histogram import hist_mean
from core.records import LOG, MESSAGE
from shm.agent import compile_turn
from shm.atomics import get_word, set_word, spin_until_not
from shm.broadcast import BroadcastRing
from shm.control import CONTROL_ROWS, ControlBlock
from shm.counters import PAGE_WORDS, CounterPage, merged_latency
from shm.logs import LOG_EVENT_KIND, LogReader, LogWriter
from shm.parking import Bell, now_mono_ns, park, wake
from shm.seqlock import Board
from shm.spsc import SpscRing
from shm.warm import Step


def _words() -> None:
    words = np.zeros(64, np.int64)
    set_word(words, 0, 1)
    spin_until_not(words, 0, get_word(words, 0), 1)
    now_mono_ns()
    park(words, 0, 0, 1000)
    wake(words, 0)
    bell = Bell(words, 1)
    bell.arm()
    bell.ring()
    bell.arm()
    bell.disarm()
    bell.wait(1000)


def _broadcast() -> None:
    ring = BroadcastRing.format(np.zeros(BroadcastRing.bytes_needed(64), np.uint8), 64)
    log = LogReader(ring, 0)
    LogWriter(ring, 0).emit(LOG_EVENT_KIND)
    log.read()
    log.reader.park(1000)
    log.reader.jump_to_newest()


def _queue() -> None:
    ring = SpscRing.format(np.zeros(SpscRing.bytes_needed(MESSAGE.size, 4), np.uint8), MESSAGE.size, 4)
    records = np.zeros(2, MESSAGE.dtype)
    ring.writer().push(records, 1)
    reader = ring.reader()
    reader.pop(records)
    reader.park(1000)


def _board() -> None:
    board = Board.format(np.zeros(Board.bytes_needed(LOG.dtype, 2), np.uint8), LOG.dtype, 2)
    records = np.zeros(2, LOG.dtype)
    board.write(0, records)
    board.write_rows(np.zeros(1, np.int64), 1, records)
    board.read(0)
    board.read_all(records)
    board.changed_since()


def _pages() -> None:
    page = CounterPage(np.zeros(PAGE_WORDS, np.int64))
    page.record(0, 1)
    merged_latency([page])
    hist_mean(page.hist(0))
    control = ControlBlock.format(np.zeros(CONTROL_ROWS * 8, np.int64))
    control.bits()
    compile_turn(control, page)


def steps() -> list[Step]:
    return [
        ("words, parking", _words), ("broadcast ring, logs", _broadcast), ("queue", _queue), ("board", _board),
        ("counters, control, agent", _pages),
    ]
