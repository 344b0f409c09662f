"""Book updates: ns per level and per frame, one hot book and 700 cold ones, against two Python books.

What is timed: the recorded deltas of `orderbook.200` (BTCUSDT moves much, DOGEUSDT little) applied in order, and after
every frame the best prices and the quantity in the best five levels a side are read. A pass is the whole stream with
snapshots and reads: that is what the peers are compared with. The figures per level and per frame are of the deltas
alone: a pass that skips them is measured too and taken off.

    hot    one book, its deltas again and again
    cold   700 books; which one gets its next frame is drawn at random (seeded), so each is out of cache by then
    peers  dict + sorted(), and sortedcontainers.SortedDict: one pass, one book, the same reads

Without the recording a seeded synthetic stream stands in; the table says so. Every book must end with one digest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from sortedcontainers import SortedDict

from bench.harness import Bench
from core.book.kernels import apply_delta, apply_snapshot, best, book_digest, depth_lots, new_book
from core.enums import EventKind
from core.jit import kernel
from core.records import LEVEL
from tests.core.streams import REAL_TAPE, Event, Market, level_array, recorded_events
from tests.reference.book import NaiveBook
from tests.shared_data import SHARED

TOP = 5


class Stream(NamedTuple):
    """Frames of one symbol: `frames` int64[n, 4] = is_snapshot, first level, bids, asks; `events` for the peers."""

    name: str
    levels: np.ndarray
    frames: np.ndarray
    events: list[Event]

    @property
    def n_delta_levels(self) -> int:
        return int(self.frames[self.frames[:, 0] == 0, 2:].sum())

    @property
    def n_deltas(self) -> int:
        return int((self.frames[:, 0] == 0).sum())


@kernel
def replay(book, levels, frames, schedule, position, snapshots_only):  # type: ignore[no-untyped-def]
    """Give each slot in `schedule` its next frame; returns the sum of what is read after every frame."""
    total = np.int64(0)
    for i in range(schedule.shape[0]):
        slot = schedule[i]
        k = position[slot]
        position[slot] = k + 1 if k + 1 < frames.shape[0] else 0
        if frames[k, 0] != 0:
            apply_snapshot(book, slot, levels, frames[k, 1], frames[k, 2], frames[k, 3])
        elif snapshots_only == 0:
            apply_delta(book, slot, levels, frames[k, 1], frames[k, 2], frames[k, 3])
        for side in range(2):
            total += best(book, slot, np.int64(side))[0] + depth_lots(book, slot, np.int64(side), np.int64(TOP))
    return total


def stream_of(name: str, events: list[Event]) -> Stream:
    rows, parts, at = [], [], 0
    for e in events:
        rows.append((int(e.kind is EventKind.BOOK_SNAPSHOT), at, len(e.bids), len(e.asks)))
        parts.append(level_array(e.bids, e.asks))
        at += len(e.bids) + len(e.asks)
    return Stream(name, np.concatenate(parts).astype(LEVEL.dtype), np.array(rows, np.int64), events)


def streams(small: bool) -> tuple[list[Stream], str]:
    """The streams to run and where they come from."""
    books = (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA)
    path = SHARED / "recordings" / REAL_TAPE
    if not path.exists():
        events = [e for e in Market(1, levels=100, wild=False).events(1_000) if e.kind in books]
        start = next(i for i, e in enumerate(events) if e.kind is EventKind.BOOK_SNAPSHOT)
        return [stream_of("synthetic", events[start:])], "seeded synthetic stream"
    events, _ = recorded_events(path)
    limit = 60 if small else None
    found = []
    for symbol in ("BTCUSDT", "DOGEUSDT"):
        own = [e for e in events if e.symbol == symbol and e.kind in books]
        found.append(stream_of(symbol, own[:limit]))
    return found, path.name


def schedule_of(n_slots: int, n_frames: int, seed: int = 7) -> np.ndarray:
    order = np.repeat(np.arange(n_slots, dtype=np.int64), n_frames)
    if n_slots > 1:
        np.random.default_rng(seed).shuffle(order)
    return order


class Timing(NamedTuple):
    pass_ns: float
    level_ns: float
    digests: set[int]


def timed(bench: Bench, stream: Stream, label: str, n_slots: int, passes: int, repeats: int) -> Timing:
    """Record ns per pass, delta level and delta frame."""
    book = new_book(n_slots, 512)
    schedule = schedule_of(n_slots, passes * len(stream.frames))
    position = np.zeros(n_slots, np.int64)

    def run(snapshots_only: int) -> Callable[[], object]:
        return lambda: replay(book, stream.levels, stream.frames, schedule, position, snapshots_only)

    run(0)()
    prefix = f"{stream.name} {label}"
    scale = float(n_slots * passes)
    per = {f"{prefix}: pass": scale, f"{prefix}: pass without deltas": scale}
    ns = bench.interleave(dict(zip(per, (run(0), run(1)), strict=True)), repeats, per)
    run(0)()
    delta_ns = ns[f"{prefix}: pass"] - ns[f"{prefix}: pass without deltas"]
    per_level = delta_ns / stream.n_delta_levels
    bench.figure(f"{prefix}: per level", per_level, "ns", "<= 30")
    bench.figure(f"{prefix}: per frame", delta_ns / stream.n_deltas, "ns")
    digests = {int(book_digest(book, slot)) for slot in range(n_slots)}
    return Timing(ns[f"{prefix}: pass"], per_level, digests)


class DictBook:
    """Python peer: a dict a side, sorted when read."""

    def __init__(self) -> None:
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def top(self, side: int) -> list[tuple[int, int]]:
        book = self.sides[side]
        return [(p, book[p]) for p in sorted(book, reverse=side == 0)[:TOP]]

    def apply(self, event: Event) -> int:
        total = 0
        for side, levels in enumerate((event.bids, event.asks)):
            book = self.sides[side]
            if event.kind is EventKind.BOOK_SNAPSHOT:
                book.clear()
            for price, lots in levels:
                if lots:
                    book[price] = lots
                else:
                    book.pop(price, None)
            top = self.top(side)
            total += top[0][0] + sum(lots for _, lots in top)
        return total


class SortedBook(DictBook):
    """Python peer: sortedcontainers, keys negated for bids so that the best comes first."""

    def __init__(self) -> None:
        self.sides = (SortedDict(lambda price: -price), SortedDict())  # type: ignore[assignment]

    def top(self, side: int) -> list[tuple[int, int]]:
        return list(islice(self.sides[side].items(), TOP))


def digest_of(book: DictBook) -> int:
    twin = NaiveBook(10_000)
    twin.delta(list(book.sides[0].items()), list(book.sides[1].items()))
    return twin.digest()


def run_peer(make: Callable[[], DictBook], stream: Stream) -> DictBook:
    book = make()
    for event in stream.events:
        book.apply(event)
    return book


def peers_of(stream: Stream) -> dict[str, Callable[[], DictBook]]:
    return {
        f"{stream.name} dict + sorted: pass": lambda: run_peer(DictBook, stream),
        f"{stream.name} sortedcontainers: pass": lambda: run_peer(SortedBook, stream),
    }


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_book", argv, excluded="decoding, sequence checks, features; peers pay Python's call costs")
    found, source = streams(bench.small)
    bench.digest(f"source {source}")
    n_cold, passes, repeats = (50, 2, 3) if bench.small else (700, 200, 9)
    for stream in found:
        hot = timed(bench, stream, "hot", 1, passes, repeats)
        cold = timed(bench, stream, f"cold x{n_cold}", n_cold, 1, repeats)
        bench.ratio(f"{stream.name}: cold / hot per level", cold.level_ns, hot.level_ns, "<= 3")
        peers = peers_of(stream)
        for label, ns in bench.interleave(peers, 3).items():
            bench.ratio(f"{label} / hot pass", ns, hot.pass_ns)
        digests = hot.digests | cold.digests | {digest_of(run()) for run in peers.values()}
        if len(digests) != 1:
            raise AssertionError(f"{stream.name}: books differ: {sorted(digests)}")
        bench.digest(f"{stream.name} {digests.pop():016x}, {stream.n_deltas} deltas, {stream.n_delta_levels} levels")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
