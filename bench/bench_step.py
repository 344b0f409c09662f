"""Cost of one event in the engine, from header to messages: does it stay flat from one symbol to the whole universe?

What is timed: `run_batch` over batches of market-ring cells already in memory (books, trades and TIMERs in their real
proportion), free pacing, nothing answering. Excluded: reading the ring, publishing messages, compilation (printed).
Times are CPU times of this process: the question is the cost of the code, not of the neighbours on the machine.
The peer is the naive twin of the tests on the same events: same decisions, plain Python.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import import_module

import numpy as np

from bench.harness import Bench
from config.schema import Settings
from core.engine.digest import combine
from core.engine.engine import NO_ROOM, P_BLOCKED, P_EVENTS, P_LOGS, P_OUT, P_WORDS, run_batch
from core.engine.state import new_state
from core.params import params_row
from core.records import LOG, MESSAGE, REPORT
from tests.core.engine.streams import Market, Stream
from tests.shared_data import SHARED

BATCH_CELLS = 8192


class Runner:
    """One engine over one array of cells, from the start on every call."""

    def __init__(self, cells: np.ndarray, slots: int, levels: int) -> None:
        self.cells, self.slots, self.levels = cells, slots, levels
        self.out, self.logs = np.zeros(4096, MESSAGE.dtype), np.zeros(4096, LOG.dtype)
        self.reports, self.progress = np.zeros(1, REPORT.dtype), np.zeros(P_WORDS, np.int64)
        self.state = new_state(slots, levels)
        self.events = self.messages = self.rows = 0

    def prepare(self) -> None:
        """A fresh engine with every page of it touched, as in a system that has run for a while."""
        self.state = new_state(self.slots, self.levels)
        parts = list(self.state)
        while parts:
            part = parts.pop()
            if isinstance(part, tuple):
                parts += list(part)
            else:
                part.reshape(-1).view(np.uint8)[::4096] |= np.uint8(0)

    def __call__(self) -> None:
        at = self.events = self.messages = self.rows = 0
        n = len(self.cells)
        while at < n:
            at = run_batch(self.state, self.cells, at, n, self.reports, 0, self.out, self.logs, self.progress)
            self.events += int(self.progress[P_EVENTS])
            self.messages += int(self.progress[P_OUT])
            self.rows += int(self.progress[P_LOGS])
            if self.progress[P_BLOCKED] not in (0, NO_ROOM):
                raise AssertionError("a free engine never waits")

    def digest(self) -> str:
        return combine(self.state.symbols["name_hash"], self.state.trade["digest"], 0)


def stream_of(symbols: int, events: int) -> Stream:
    """About `events` market events over `symbols` symbols at 25 a second each, in 1 s to minutes of event time."""
    rate = 25.0 * symbols if symbols > 1 else 100.0
    stream = Market(symbols, 11).run(events / rate, rate)
    stream.end()
    return stream


def twin_ns(stream: Stream) -> float:
    """ns per event of the naive twin."""
    shard = import_module("tests.core.engine.test_twin").NaiveShard(stream.cells(), params_row(Settings(), 1)[0])
    shard.twin.must_wait = lambda ts, is_end: False
    start = time.process_time_ns()
    shard.run(len(shard.cells))
    return (time.process_time_ns() - start) / stream.seq


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_step", argv, excluded="ring copy, publication, compilation; no reports")
    start = time.perf_counter()
    warm = Runner(stream_of(1, 200).cells(), 1, 64)
    warm()
    warm()
    bench.figure("first call (compile or load from cache)", time.perf_counter() - start, "s")

    events = 4_000 if bench.small else 120_000
    sizes = (1, 10, 100) if bench.small else (1, 10, 100, 700)
    per_event: dict[int, float] = {}
    for symbols in sizes:
        runner = Runner(stream_of(symbols, events).cells(), symbols, 128)
        runner()
        bench.digest(f"{symbols} symbols: {runner.events} events, {runner.digest()}")
        samples = []
        for _ in range(3):
            runner.prepare()
            begin = time.process_time_ns()
            runner()
            samples.append((time.process_time_ns() - begin) / runner.events)
        per_event[symbols] = sorted(samples)[1]
        bench.figure(f"{symbols} symbols", per_event[symbols], "ns/event", "<= 3000")
    bench.ratio(f"growth 10 -> {sizes[-1]} symbols", per_event[sizes[-1]], per_event[10], "<= 1.3")

    if (SHARED / "recordings").exists():
        from tests.core.engine.tapes import REAL, tape_stream

        runner = Runner(tape_stream(REAL).cells(), 2, 512)
        runner()
        bench.digest(f"real tape: {runner.events} events, {runner.digest()}")
        runner.prepare()
        begin = time.process_time_ns()
        runner()
        bench.figure("real tape, depth 200", (time.process_time_ns() - begin) / runner.events, "ns/event", "<= 3000")

    small = stream_of(4, 400 if bench.small else 1500)
    naive = twin_ns(small)
    runner = Runner(small.cells(), 4, 64)
    runner.prepare()
    begin = time.process_time_ns()
    runner()
    bench.ratio("naive twin / engine", naive, (time.process_time_ns() - begin) / runner.events)
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
