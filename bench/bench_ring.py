"""How fast is the broadcast ring between two processes, against a bare cache-line hop and against multiprocessing?

Round trips: a 64-byte message there and back, both ends compiled loops that spin; timed in blocks of 16 and quoted as
the median block, because on a shared machine the mean measures the scheduler. "bare" is two words on two cache lines.
"parked" sleeps on a futex at both ends. Throughput: bursts of 64-byte messages through a gated ring (nothing lost), from
the first publication until the reader has added all of them up; the median burst. `multiprocessing.Queue` and `Pipe`
carry 64-byte `bytes`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from bench.harness import Bench
from core.histogram import hist_percentile, hist_record, new_histogram
from core.jit import kernel
from shm.agent import die_with_parent
from shm.atomics import LINE_WORDS, get_word, load_acquire, set_word, store_release
from shm.broadcast import N_CELLS_SHIFT, N_CELLS_WORD, BroadcastRing, ring_park, ring_publish, ring_read
from shm.parking import now_mono_ns, park
from shm.segment import Segment
from shm.spsc import SpscRing, spsc_pop, spsc_push

ROOT = Path(__file__).resolve().parent.parent
CONTROL_BYTES = 4096
CAPACITY = 8192
SMALL_CAPACITY = 1024
BLOCK = 16
PATIENCE = 4_000_000_000  # empty loads before a side gives the other up

# control words, one cache line each
TASK = 0
TASK_ROUNDS = LINE_WORDS
TASK_BATCH = 2 * LINE_WORDS
READY = 3 * LINE_WORDS
RESULT = 4 * LINE_WORDS
FINISHED = 5 * LINE_WORDS
PING = 6 * LINE_WORDS
PONG = 7 * LINE_WORDS

T_QUIT, T_BARE, T_RING, T_PARKED, T_QUEUE, T_STREAM = range(1, 7)


@kernel
def await_word(words, index, value):
    """Spin until `words[index] == value`; 0 when it did not come."""
    for _ in range(PATIENCE):
        if load_acquire(words, index) == value:
            return 1
    return 0


@kernel
def bare_ping(control, rounds, h):
    """The least that two processes need: one word there, one word back."""
    for block in range(rounds // BLOCK):
        begin = now_mono_ns()
        for i in range(BLOCK):
            number = block * BLOCK + i + 1
            store_release(control, PING, number)
            if await_word(control, PONG, number) == 0:
                return 0
        hist_record(h, (now_mono_ns() - begin) // BLOCK)
    return rounds


@kernel
def bare_pong(control, rounds):
    for number in range(1, rounds + 1):
        if await_word(control, PING, number) == 0:
            return 0
        store_release(control, PONG, number)
    return rounds


@kernel
def take(words, cells, bells, dst, parked):
    """Next message of a ring in slot 0: spinning, or sleeping when there is none."""
    for _ in range(PATIENCE):
        n = ring_read(words, cells, 0, dst)
        if n != 0:
            return n
        if parked != 0:
            ring_park(words, 0, bells, 0, 1_000_000_000)
    return 0


@kernel
def ring_ping(out, out_cells, out_bells, back, back_cells, back_bells, rounds, parked, gated, src, dst, h):
    total = 0
    for block in range(rounds // BLOCK):
        begin = now_mono_ns()
        for i in range(BLOCK):
            src[0, 0] = block * BLOCK + i
            ring_publish(out, out_cells, src, 1, 1, gated, out_bells)
            if take(back, back_cells, back_bells, dst, parked) == 0:
                return 0
            total += dst[0, 0]
        hist_record(h, (now_mono_ns() - begin) // BLOCK)
    return total


@kernel
def ring_pong(out, out_cells, out_bells, back, back_cells, back_bells, rounds, parked, gated, dst):
    for _ in range(rounds):
        if take(out, out_cells, out_bells, dst, parked) == 0:
            return 0
        ring_publish(back, back_cells, dst, 1, 1, gated, back_bells)
    return rounds


@kernel
def queue_ping(out, out_slots, out_bells, back, back_slots, rounds, src, dst, h):
    total = 0
    for block in range(rounds // BLOCK):
        begin = now_mono_ns()
        for i in range(BLOCK):
            src[0, 0] = block * BLOCK + i
            spsc_push(out, out_slots, src, 0, 1, out_bells)
            for _ in range(PATIENCE):
                if spsc_pop(back, back_slots, dst, 0, 1) != 0:
                    break
            total += dst[0, 0]
        hist_record(h, (now_mono_ns() - begin) // BLOCK)
    return total


@kernel
def queue_pong(out, out_slots, back, back_slots, back_bells, rounds, dst):
    for _ in range(rounds):
        for _ in range(PATIENCE):
            if spsc_pop(out, out_slots, dst, 0, 1) != 0:
                break
        spsc_push(back, back_slots, dst, 0, 1, back_bells)
    return rounds


@kernel
def stream_out(words, cells, bells, control, rounds, batch, gated, src):
    """Publish messages numbered 0.. in batches; returns ns until the reader says that all have arrived."""
    begin = now_mono_ns()
    number = 0
    while number < rounds:
        count = min(batch, rounds - number)
        for i in range(count):
            src[i, 0] = number + i
            src[i, N_CELLS_WORD] = 1 << N_CELLS_SHIFT
        while ring_publish(words, cells, src, count, 1 * count, gated, bells) == 0:
            pass
        number += count
    await_word(control, FINISHED, rounds)
    return now_mono_ns() - begin


@kernel
def stream_in(words, cells, control, rounds, dst):
    """Add up the numbers of `rounds` messages."""
    total = 0
    seen = 0
    while seen < rounds:
        n = ring_read(words, cells, 0, dst)
        for i in range(n):
            total += dst[i, 0]
        seen += n
    store_release(control, RESULT, total)
    store_release(control, FINISHED, rounds)
    return seen


class Parts:
    """The rings of the bench in one segment, as seen by one of its two processes."""

    def __init__(self, segment: Segment, make: bool) -> None:
        self.control: np.ndarray = segment.body[:CONTROL_BYTES].view(np.int64)
        big, small = BroadcastRing.bytes_needed(CAPACITY), BroadcastRing.bytes_needed(SMALL_CAPACITY)
        queue = SpscRing.bytes_needed(64, SMALL_CAPACITY)
        at = CONTROL_BYTES
        bodies = []
        for size in (big, small, small, queue, queue):
            bodies.append(segment.body[at : at + size])
            at += size
        if make:
            BroadcastRing.format(bodies[0], CAPACITY, gating_slots=(0,))
            for body in bodies[1:3]:
                BroadcastRing.format(body, SMALL_CAPACITY)
            for body in bodies[3:]:
                SpscRing.format(body, 64, SMALL_CAPACITY)
        self.stream, self.out, self.back = (BroadcastRing.attach(body) for body in bodies[:3])
        self.queue_out, self.queue_back = (SpscRing.attach(body) for body in bodies[3:])
        self.src: np.ndarray = np.zeros((4096, 8), np.int64)
        self.src[:, N_CELLS_WORD] = 1 << N_CELLS_SHIFT
        self.dst: np.ndarray = np.zeros((4096, 8), np.int64)

    @staticmethod
    def size() -> int:
        rings = BroadcastRing.bytes_needed(CAPACITY) + 2 * BroadcastRing.bytes_needed(SMALL_CAPACITY)
        return CONTROL_BYTES + rings + 2 * SpscRing.bytes_needed(64, SMALL_CAPACITY)

    def ends(self) -> tuple[np.ndarray, ...]:
        out, back = self.out, self.back
        return out.words, out.cells, out.bells, back.words, back.cells, back.bells


def _use_core(number: int) -> None:
    """Give the process a core of its own where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def peer(name: str) -> int:
    """The other process: takes tasks from the control words until told to quit."""
    die_with_parent(signal.SIGKILL)  # it spins: an orphan would take a core for ever
    _use_core(1)
    parts = Parts(Segment.join(name), make=False)
    parts.out.reader(0)
    parts.queue_out.reader()
    parts.stream.reader(0, gating=True)
    control, dst = parts.control, parts.dst
    queues = parts.queue_out, parts.queue_back
    tasks: dict[int, Callable[[int], object]] = {
        T_BARE: lambda rounds: bare_pong(control, rounds),
        T_RING: lambda rounds: ring_pong(*parts.ends(), rounds, 0, 0, dst),
        T_PARKED: lambda rounds: ring_pong(*parts.ends(), rounds, 1, 0, dst),
        T_QUEUE: lambda rounds: queue_pong(
            queues[0].words, queues[0].slots, queues[1].words, queues[1].slots, queues[1].bells, rounds, dst
        ),
        T_STREAM: lambda rounds: stream_in(parts.stream.words, parts.stream.cells, control, rounds, dst),
    }
    for task in tasks.values():
        if task is not tasks[T_STREAM]:
            task(0)
    stream_in(parts.stream.words, parts.stream.cells, np.zeros(CONTROL_BYTES // 8, np.int64), 0, dst)
    done = 0
    set_word(control, READY, -1)
    while True:
        order = get_word(control, TASK)
        if order == done:
            park(control, TASK, done, 1_000_000)
            continue
        done = order
        what = order & 0xFF
        if what == T_QUIT:
            return 0
        rounds = get_word(control, TASK_ROUNDS)
        set_word(control, READY, order)
        tasks[what](rounds)


class Driver:
    """Gives the peer its part of a task, waits until it is in its loop, and runs our part."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.number = 0
        h = new_histogram()  # compile our sides before the peer begins to wait: it gives up after seconds
        bare_ping(parts.control, 0, h)
        ring_ping(*parts.ends(), 0, 0, 0, parts.src, parts.dst, h)
        out, back = parts.queue_out, parts.queue_back
        queue_ping(out.words, out.slots, out.bells, back.words, back.slots, 0, parts.src, parts.dst, h)

    def order(self, what: int, rounds: int) -> None:
        control = self.parts.control
        self.number += 1
        for index in (PING, PONG, FINISHED, RESULT):
            set_word(control, index, 0)
        set_word(control, TASK_ROUNDS, rounds)
        order = self.number << 8 | what
        set_word(control, TASK, order)
        while what != T_QUIT and get_word(control, READY) != order:
            time.sleep(0)

    def bare(self, rounds: int) -> tuple[float, np.ndarray, int]:
        h = new_histogram()
        self.order(T_BARE, rounds)
        total = int(bare_ping(self.parts.control, rounds, h))
        return hist_percentile(h, 50.0), h, total

    def ring(self, rounds: int, parked: int) -> tuple[float, np.ndarray, int]:
        h = new_histogram()
        self.order(T_PARKED if parked else T_RING, rounds)
        parts = self.parts
        total = int(ring_ping(*parts.ends(), rounds, parked, 0, parts.src, parts.dst, h))
        return hist_percentile(h, 50.0), h, total

    def queue(self, rounds: int) -> tuple[float, np.ndarray, int]:
        h = new_histogram()
        self.order(T_QUEUE, rounds)
        out, back = self.parts.queue_out, self.parts.queue_back
        total = queue_ping(
            out.words, out.slots, out.bells, back.words, back.slots, rounds, self.parts.src, self.parts.dst, h
        )
        return hist_percentile(h, 50.0), h, int(total)

    def stream(self, rounds: int, batch: int) -> tuple[float, int]:
        """Records per second, and the sum the reader found."""
        self.order(T_STREAM, rounds)
        ring = self.parts.stream
        ns = stream_out(ring.words, ring.cells, ring.bells, self.parts.control, rounds, batch, 1, self.parts.src)
        return rounds / ns * 1e9, get_word(self.parts.control, RESULT)


def _echo(inbox: multiprocessing.Queue, outbox: multiprocessing.Queue, pipe: object) -> None:
    """Child of the multiprocessing peers: ("q" | "p", n) streams n messages and answers once, ("Q" | "P", n) echoes."""
    _use_core(1)
    while True:
        what, n = inbox.get()
        if what == "end":
            return
        outbox.put(b"go")
        for _ in range(n):
            message = inbox.get() if what in "qQ" else pipe.recv_bytes()  # type: ignore[attr-defined]
            if what == "Q":
                outbox.put(message)
            elif what == "P":
                pipe.send_bytes(message)  # type: ignore[attr-defined]
        if what in "qp":
            outbox.put(message)


class Multiprocessing:
    """Queue and Pipe with one child process."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.there: multiprocessing.Queue = context.Queue()
        self.back: multiprocessing.Queue = context.Queue()
        self.pipe, other = context.Pipe()
        self.child = context.Process(target=_echo, args=(self.there, self.back, other), daemon=True)
        self.child.start()
        self.payload = bytes(64)

    def round_trip(self, what: str, n: int) -> float:
        """Median ns of n round trips over "Q" or "P"."""
        self.there.put((what, n))
        self.back.get()
        samples = []
        for _ in range(n):
            begin = time.perf_counter_ns()
            if what == "Q":
                self.there.put(self.payload)
                self.back.get()
            else:
                self.pipe.send_bytes(self.payload)
                self.pipe.recv_bytes()
            samples.append(time.perf_counter_ns() - begin)
        return median(samples)

    def stream(self, what: str, n: int) -> float:
        """Messages per second over "q" or "p"."""
        self.there.put((what, n))
        self.back.get()
        begin = time.perf_counter_ns()
        for _ in range(n):
            if what == "q":
                self.there.put(self.payload)
            else:
                self.pipe.send_bytes(self.payload)
        self.back.get()
        return n / (time.perf_counter_ns() - begin) * 1e9

    def end(self) -> None:
        self.there.put(("end", 0))
        self.child.join(timeout=30)
        for queue in (self.there, self.back):
            queue.close()
            queue.join_thread()


def _measure(bench: Bench, driver: Driver, peers: Multiprocessing) -> None:
    # bursts of four rings (one by one: a quarter): short, because a burst in which a side lost its core says nothing
    records, single = 4 * CAPACITY, CAPACITY // 4
    rounds, bursts, slow, repeats = (1600, 10, 400, 1) if bench.small else (64_000, 100, 8000, 9)
    parked_rounds = rounds // 20 // BLOCK * BLOCK
    samples: dict[str, list[float]] = {}
    sums: dict[str, int] = {}
    tail = new_histogram()

    def note(name: str, value: float, total: int = 0) -> None:
        samples.setdefault(name, []).append(float(value))
        if total:
            sums[name] = total

    driver.stream(1000, 16)  # warm
    for _ in range(repeats):
        value, _, total = driver.bare(rounds)
        note("bare", value, total)
        value, h, total = driver.ring(rounds, 0)
        tail = h
        note("ring", value, total)
        value, _, total = driver.queue(rounds)
        note("spsc", value, total)
        value, _, total = driver.ring(parked_rounds, 1)
        note("parked", value, total)
        for _ in range(bursts):
            rate, total = driver.stream(records, 64)
            note("batched", rate, total)
            rate, total = driver.stream(single, 1)
            note("single", rate, total)
        note("queue_rtt", peers.round_trip("Q", slow // 4))
        note("pipe_rtt", peers.round_trip("P", slow // 4))
        note("queue_rate", peers.stream("q", slow))
        note("pipe_rate", peers.stream("p", slow))
    middle = {name: median(values) for name, values in samples.items()}
    bench.figure("bare cache-line round trip", middle["bare"], "ns")
    bench.figure("ring round trip", middle["ring"], "ns")
    bench.figure("ring round trip, p99 of blocks of 16", float(hist_percentile(tail, 99.0)), "ns")
    bench.figure("single-reader ring round trip", middle["spsc"], "ns")
    bench.figure("ring round trip, both ends parked", middle["parked"], "ns")
    bench.figure("Queue round trip", middle["queue_rtt"], "ns")
    bench.figure("Pipe round trip", middle["pipe_rtt"], "ns")
    bench.figure("ring, batches of 64", middle["batched"] / 1e6, "M records/s", ">= 10")
    bench.figure("ring, batches of 64, best burst", max(samples["batched"]) / 1e6, "M records/s")
    bench.figure("ring, one by one", middle["single"] / 1e6, "M records/s")
    bench.figure("Queue", middle["queue_rate"] / 1e6, "M records/s")
    bench.figure("Pipe", middle["pipe_rate"] / 1e6, "M records/s")
    bench.ratio("ring round trip / bare hop", middle["ring"], middle["bare"], "<= 3")
    bench.ratio("Queue round trip / ring", middle["queue_rtt"], middle["ring"])
    bench.ratio("Pipe round trip / ring", middle["pipe_rtt"], middle["ring"])
    bench.ratio("Queue round trip / parked ring", middle["queue_rtt"], middle["parked"])
    bench.ratio("ring throughput / Queue", middle["batched"], middle["queue_rate"], ">= 100")
    bench.ratio("ring one by one / Queue", middle["single"], middle["queue_rate"])
    expected = {
        "bare": rounds, "ring": rounds * (rounds - 1) // 2, "spsc": rounds * (rounds - 1) // 2,
        "parked": parked_rounds * (parked_rounds - 1) // 2, "batched": records * (records - 1) // 2,
        "single": single * (single - 1) // 2,
    }
    if sums != expected:
        raise AssertionError(f"messages were lost or changed: {sums}, expected {expected}")
    bench.digest(" ".join(f"{name}={value}" for name, value in sums.items()))


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_ring", argv, "encoding of the payload; more than one reader; processes on one core")
    affinity = os.sched_getaffinity(0)
    segment = Segment.create(f"scalperbench-{os.getpid()}-ring", Parts.size())
    child = None
    peers = None
    try:
        parts = Parts(segment, make=True)
        parts.back.reader(0)
        parts.queue_back.reader()
        child = subprocess.Popen([sys.executable, "-m", "bench.bench_ring", "--peer", segment.name], cwd=ROOT)
        peers = Multiprocessing()
        _use_core(0)
        while get_word(parts.control, READY) != -1:
            if child.poll() is not None:
                raise RuntimeError(f"the peer ended with {child.returncode}")
            time.sleep(0.001)
        driver = Driver(parts)
        _measure(bench, driver, peers)
        driver.order(T_QUIT, 0)
        child.wait(timeout=30)
    finally:
        os.sched_setaffinity(0, affinity)
        if child is not None and child.poll() is None:
            child.kill()
            child.wait()
        if peers is not None:
            peers.end()
        segment.unlink()
    return bench.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        sys.exit(peer(sys.argv[2]))
    sys.exit(main(sys.argv[1:]))
