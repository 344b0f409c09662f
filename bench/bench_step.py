"""Cost of one event in the engine, from header to messages: does it stay flat from one symbol to the whole universe?

What is timed: `run_batch` over batches of market-ring cells already in memory (books, trades and TIMERs in their real
proportion), free pacing, nothing answering. Excluded: reading the ring, publishing messages, compilation (printed).
Times are CPU times of this process: the question is the cost of the code, not of the neighbours on the machine. Sizes and
stages take turns; medians of the rounds are told, and of differences of stages the median of the differences in a round.
The peer is the naive twin of the tests on the same events: same decisions, plain Python.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import import_module
from statistics import median

import numpy as np

from bench.harness import Bench
from config.schema import Settings
from core.engine.decide import decide
from core.engine.decision import take_decisions
from core.engine.digest import combine
from core.engine.engine import NO_ROOM, P_BLOCKED, P_EVENTS, P_LOGS, P_OUT, P_WORDS, run_batch, step_system
from core.engine.market import slot_of_symbol, take_book, take_trades
from core.engine.state import C_DECISIONS, new_state
from core.enums import EventKind
from core.jit import entry_kernel
from core.params import params_row
from core.records import LEVEL, LEVELS_PER_CELL, LOG, MESSAGE, REPORT, TRADE, TRADES_PER_CELL
from tests.core.engine.plant import event_starts
from tests.core.engine.streams import Market, Stream
from tests.shared_data import SHARED

ZERO = np.int64(0)
EVENTS_A_CALL = 1024  # decisions are taken after every call, as a shard does
_LISTING, _CONFIG, _FEED = int(EventKind.LISTING), int(EventKind.CONFIG), int(EventKind.FEED)
_TRADES, _SNAPSHOT, _TIMER = int(EventKind.TRADES), int(EventKind.BOOK_SNAPSHOT), int(EventKind.TIMER)


class Runner:
    """One engine over one array of cells, from the start on every call."""

    def __init__(self, cells: np.ndarray, slots: int, levels: int) -> None:
        self.cells, self.slots, self.levels = cells, slots, levels
        starts = event_starts(cells)
        self.own = float(np.count_nonzero((cells[starts[:-1], 6] >> 32) & 0xFF < 16))  # events of one symbol
        self.stops = [*starts[EVENTS_A_CALL:-1:EVENTS_A_CALL].tolist(), len(cells)]
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
        for n in self.stops:
            while at < n:
                at = run_batch(self.state, self.cells, at, n, self.reports, 0, self.out, self.logs, self.progress)
                self.events += int(self.progress[P_EVENTS])
                self.messages += int(self.progress[P_OUT])
                self.rows += int(self.progress[P_LOGS])
                take_decisions(self.state)
                if self.progress[P_BLOCKED] not in (0, NO_ROOM):
                    raise AssertionError("a free engine never waits")

    def ns_per_event(self) -> float:
        """CPU time of one run by a fresh engine."""
        self.prepare()
        begin = time.process_time_ns()
        self()
        return (time.process_time_ns() - begin) / self.events

    def digest(self) -> str:
        return combine(self.state.symbols["name_hash"], self.state.trade["digest"], 0)


def stream_of(symbols: int, events: int) -> Stream:
    """About `events` market events over `symbols` symbols at 25 a second each, in 1 s to minutes of event time."""
    rate = 25.0 * symbols if symbols > 1 else 100.0
    stream = Market(symbols, 11).run(events / rate, rate)
    stream.end()
    return stream


@entry_kernel
def walk(state, cells, levels, trades, n_cells, stages, out, logs):
    """The first `stages` of the pipeline over all events of symbols; listings and settings always, TIMERs never.

    0: only the walk; 1: market data, microstructure, features; 2: regime, score, zone, gates, state machine, records.
    """
    at = ZERO
    while at < n_cells:
        word = cells[at, 6]
        symbol_id, kind = (word << 32) >> 32, (word >> 32) & 0xFF
        seq, ts_ns, first = cells[at, 0], cells[at, 2], at + 1
        n_bids, n_asks = cells[at, 7] & 0xFFFF, (cells[at, 7] >> 16) & 0xFFFF
        if kind in (_LISTING, _CONFIG, _FEED):
            step_system(state, kind, symbol_id, cells, trades, at, out, ZERO, logs, ZERO)
        elif kind < 16 and stages > 0:
            slot = slot_of_symbol(state.slot_of, state.trade, symbol_id)
            if kind == _TRADES:
                take_trades(state, slot, trades, first * TRADES_PER_CELL, n_bids, ts_ns, seq, logs, ZERO)
            else:
                take_book(
                    state, slot, levels, first * LEVELS_PER_CELL, n_bids, n_asks, kind == _SNAPSHOT, ts_ns, seq, logs, ZERO
                )
            if stages > 1:
                decide(state, slot, kind == _TIMER, ts_ns, seq, ZERO, out, ZERO, logs, ZERO)
                state.control[C_DECISIONS] = 0
        at += max((word >> 48) & 0xFFFF, 1)


def shares(bench: Bench, runner: Runner, rounds: int) -> None:
    """Print what the stages of `runner`'s events cost; TIMERs are what is left of the whole."""
    flat = runner.cells.reshape(-1)
    levels, trades = flat.view(LEVEL.dtype), flat.view(TRADE.dtype)

    def walked(stages: int) -> float:
        runner.prepare()
        begin = time.process_time_ns()
        walk(runner.state, runner.cells, levels, trades, np.int64(len(runner.cells)), np.int64(stages), runner.out, runner.logs)
        return float(time.process_time_ns() - begin)

    walked(0)  # compiled or loaded
    samples = []
    for _ in range(rounds):
        only_walk, fed, decided = (walked(stages) for stages in range(3))
        samples.append((runner.ns_per_event() * runner.events, fed - only_walk, decided - fed))
    whole, market, decisions = (median(column) for column in zip(*samples, strict=True))
    bench.figure("share of market data and features", 100 * market / whole, "%")
    bench.figure("share of regime, score, gates, states", 100 * decisions / whole, "%")
    bench.figure("share of desk, messages, TIMER sweeps", 100 * (whole - market - decisions) / whole, "%")
    bench.figure("market data and features", market / runner.own, "ns/event")
    bench.figure("regime, score, gates, states", decisions / runner.own, "ns/event", "<= 300")


def state_bytes(cap: int) -> int:
    """Memory of an engine for `cap` symbols, bytes; views of the same memory counted once."""
    parts, total = list(new_state(cap, 128)), 0
    while parts:
        part = parts.pop()
        if isinstance(part, tuple):
            parts += list(part)
        elif part.base is None:
            total += part.nbytes
    return total


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
    rounds = 3 if bench.small else 9
    runners = {symbols: Runner(stream_of(symbols, events).cells(), symbols, 128) for symbols in sizes}
    for symbols, runner in runners.items():
        runner()
        bench.digest(f"{symbols} symbols: {runner.events} events, {runner.digest()}")
    samples = [[runner.ns_per_event() for runner in runners.values()] for _ in range(rounds)]
    per_event = dict(zip(sizes, map(median, zip(*samples, strict=True)), strict=True))
    for symbols, ns in per_event.items():
        bench.figure(f"{symbols} symbols", ns, "ns/event", "<= 3000")
    shares(bench, runners[sizes[-1]], rounds)
    bench.figure("memory per symbol", (state_bytes(200) - state_bytes(100)) / 100 / 1024, "KiB")
    bench.ratio(f"growth 10 -> {sizes[-1]} symbols", per_event[sizes[-1]], per_event[10], "<= 1.3")

    if (SHARED / "recordings").exists():
        from tests.core.engine.tapes import REAL, tape_stream

        runner = Runner(tape_stream(REAL).cells(), 2, 512)
        runner()
        bench.digest(f"real tape: {runner.events} events, {runner.digest()}")
        real = median(runner.ns_per_event() for _ in range(rounds))
        bench.figure("real tape, depth 200", real, "ns/event", "<= 3000")

    small = stream_of(4, 400 if bench.small else 1500)
    naive = twin_ns(small)
    runner = Runner(small.cells(), 4, 64)
    bench.ratio("naive twin / engine", naive, median(runner.ns_per_event() for _ in range(rounds)))
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
