"""Two and three processes on one ring: everything received or counted as lost, nothing torn, nobody asleep for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from shm.atomics import get_word, set_word
from shm.broadcast import BroadcastRing
from shm.parking import park
from shm.segment import Segment
from shm.seqlock import Board
from shm.spsc import SpscRing
from tests.shm.support import ROOT, fresh_name, needs_jit
from tests.stress import kernels as k
from tests.stress.peer import BOARD_DTYPE, CONTROL_BYTES, LONGEST, SLOT_BYTES, control_of, scratch

pytestmark = [pytest.mark.stress, needs_jit]

SIZES = [1_000_000, pytest.param(20_000_000, marks=pytest.mark.slow)]
FEWER = [300_000, pytest.param(10_000_000, marks=pytest.mark.slow)]
BATCH = 16


class Peers:
    """Processes of one test; all ended when it ends."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object, ready: bool = True) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.stress.peer", *map(str, arguments)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.running.append(process)
        assert process.stdout is not None
        if ready and process.stdout.readline() != "ready\n":
            raise AssertionError(process.communicate(timeout=240)[1])
        return process

    def result(self, process: subprocess.Popen[str]) -> list[int]:
        out, err = process.communicate(timeout=280)
        assert (process.returncode, err) == (0, "")
        return [int(word) for word in out.split()]


@pytest.fixture
def peers() -> Iterator[Peers]:
    made = Peers()
    yield made
    for process in made.running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def segment_for(size: int) -> Segment:
    return Segment.create(fresh_name("stress"), CONTROL_BYTES + size)


def new_ring(capacity: int, gating: tuple[int, ...] = ()) -> tuple[Segment, BroadcastRing]:
    segment = segment_for(BroadcastRing.bytes_needed(capacity))
    return segment, BroadcastRing.format(segment.body[CONTROL_BYTES:], capacity, gating)


def write_all(segment: Segment, ring: BroadcastRing, n: int, gated: int = 0, batch: int = BATCH) -> None:
    control = control_of(segment)
    k.write_ring(
        ring.words, ring.cells, ring.bells, control, 0, n, LONGEST, batch, gated, scratch(LONGEST * batch)
    )
    set_word(control, k.DONE, 1)


@pytest.mark.parametrize("n", SIZES)
def test_a_lossy_ring_loses_nothing_uncounted_and_tears_nothing(n: int, peers: Peers) -> None:
    """A small ring with a fast and a slow reader: received + counted lost = sent, for both."""
    segment, ring = new_ring(1024)
    try:
        fast = peers.start("read_ring", segment.name, 0, 0, 0, 512)
        slow = peers.start("read_ring", segment.name, 1, 30_000, 0, 512)
        write_all(segment, ring, n)
        for peer in (fast, slow):
            *result, lost, laps, position = peers.result(peer)
            assert (result[k.R_TORN], result[k.R_DISORDER]) == (0, 0)
            assert result[k.R_MESSAGES] + lost == n == position
            # what is missing between numbers received is what was counted, up to the losses behind the last of them
            assert result[k.R_MISSING] + n - result[k.R_NEXT] == lost
            if peer is slow:
                assert laps > 0
    finally:
        segment.unlink()


@pytest.mark.parametrize("n", SIZES)
def test_a_gated_ring_loses_nothing(n: int, peers: Peers) -> None:
    segment, ring = new_ring(256, gating=(0,))
    try:
        reader = peers.start("read_ring", segment.name, 0, 100, 1, 100)
        write_all(segment, ring, n, gated=1)
        *result, lost, laps, position = peers.result(reader)
        assert result[:6] == [n, result[k.R_CELLS], 0, 0, 0, n]
        assert (lost, laps, position) == (0, 0, n)
    finally:
        segment.unlink()


@pytest.mark.parametrize("n", FEWER)
def test_a_queue_loses_nothing(n: int, peers: Peers) -> None:
    segment = segment_for(SpscRing.bytes_needed(SLOT_BYTES, 64))
    try:
        ring = SpscRing.format(segment.body[CONTROL_BYTES:], SLOT_BYTES, 64)
        reader = peers.start("read_queue", segment.name, n, 50)
        source = np.zeros((8, SLOT_BYTES // 8), np.int64)
        k.write_queue(ring.words, ring.slots, ring.bells, control_of(segment), n, 8, source)
        result = peers.result(reader)
        assert result[:6] == [n, 0, 0, 0, 0, n]
    finally:
        segment.unlink()


@pytest.mark.parametrize("n", FEWER)
def test_a_board_never_shows_a_torn_row(n: int, peers: Peers) -> None:
    rows = 3
    segment = segment_for(Board.bytes_needed(BOARD_DTYPE, rows))
    try:
        board = Board.format(segment.body[CONTROL_BYTES:], BOARD_DTYPE, rows)
        reader = peers.start("read_board", segment.name, rows)
        k.write_board(board.words, control_of(segment), rows, n, np.zeros((1, 32), np.int64))
        result = peers.result(reader)
        assert (result[k.R_TORN], result[k.R_DISORDER]) == (0, 0)
        assert sorted(result[k.RESULT_WORDS :]) == [n - 3, n - 2, n - 1]
        assert 3 <= result[k.R_MESSAGES] <= n
    finally:
        segment.unlink()


@pytest.mark.parametrize("rounds", [4000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_no_wake_up_is_lost_between_processes(rounds: int, peers: Peers) -> None:
    """Both ends sleep at every turn with a timeout of twenty seconds; no wait may come near it."""
    size = BroadcastRing.bytes_needed(16)
    segment = segment_for(2 * size)
    try:
        there = BroadcastRing.format(segment.body[CONTROL_BYTES : CONTROL_BYTES + size], 16)
        back = BroadcastRing.format(segment.body[CONTROL_BYTES + size :], 16)
        back.reader(0, from_start=True)
        timeout_ns = 20_000_000_000
        src = scratch(16)
        src[0, 6] = 1 << 48  # a message of one cell
        result = np.zeros(k.RESULT_WORDS, np.int64)
        ends = (there.words, there.cells, there.bells, back.words, back.cells, back.bells)
        k.sleep_ping(*ends, 0, timeout_ns, 1, src, result)  # compiled before the race
        pong = peers.start("sleep_pong", segment.name, size, rounds, timeout_ns)
        k.sleep_ping(*ends, rounds, timeout_ns, 1, src, result)
        for words in (result.tolist(), peers.result(pong)):
            assert (words[k.R_MESSAGES], words[k.R_DISORDER], words[k.R_MISSING]) == (rounds, 0, 0)
    finally:
        segment.unlink()


def test_a_writer_killed_at_any_moment_leaves_whole_messages(peers: Peers) -> None:
    """SIGKILL in full flight, a successor goes on: the reader sees no torn message and every number once or counted."""
    segment, ring = new_ring(1024)
    control = control_of(segment)
    try:
        reader = peers.start("read_ring", segment.name, 0, 0, 0, 512)
        published = 0
        for _ in range(3):
            writer = peers.start("write_ring", segment.name, published, 1 << 40, BATCH, 0, ready=False)
            while (seen := get_word(control, k.STARTED)) < published + 20_000:
                assert writer.poll() is None
                park(control, k.STARTED, seen, 1_000_000)
            writer.send_signal(signal.SIGKILL)
            writer.wait(timeout=240)
            probe = ring.reader(5)
            published = probe.messages
            set_word(control, k.STARTED, published)
        set_word(control, k.DONE, 1)
        *result, lost, _, position = peers.result(reader)
        assert (result[k.R_TORN], result[k.R_DISORDER]) == (0, 0)
        assert result[k.R_MESSAGES] + lost == published == position
    finally:
        segment.unlink()
