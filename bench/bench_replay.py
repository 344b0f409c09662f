"""How fast is recorded data replayed, against hftbacktest and nautilus_trader on the same data, in one run?

    books      level events into books, best prices read after every frame
    pipeline   books and prints through the engine: features, regime, score, zone, state machine, paper desk, TIMERs
    orders     the same with thresholds at which it trades all the time, every message through gate and account
    quotes     books and prints through the simulated exchange, and one strategy in it: a bid and an ask of one lot at the
               touch, looked at every 100 ms, 1 ms to the exchange and back (`quoting.py`, hftbacktest's own machinery on the
               other side). The orders sent and the time and price of every fill must be the same before a rate is shown
    file       from the recorded frames: ours decodes, checks sequences and runs the whole pipeline; the peers' own Bybit
               converters, without running anything after them

A level event is a level of a book frame or a print; rates count the events of the input that each side was given, so
our TIMERs, tickers and best-price frames cost time but count for nothing. `ours quotes` against hftbacktest's is the one
comparison of the same load with orders: `ours orders` is our whole system and has no like there. For the sake of it ours
takes three definitions of hftbacktest's; the digest says what our exchange's own rules give instead. hftbacktest keeps two
books for it, one at its exchange and one for the strategy. Without feed latency they are the same and ours keeps one, as the
shard does on paper; `two books` keeps both. Peers, as their users run them:

    hashmap    hftbacktest, HashMapMarketDepth: its exchange and its local side each keep a book
    roivector  hftbacktest's faster depth: one array over all prices of the day, which it must be told beforehand
    local      roivector, and events hidden from its exchange: one book, as ours, but no order could ever be filled
    engine     nautilus BacktestEngine, a strategy with managed books, one OrderBookDeltas per frame
    book       nautilus OrderBook.apply_deltas alone, in a loop

All times are CPU times of the process that did the work, in rounds that take turns; building of objects and compilation
are excluded. The final books of all of them must be the same, level by level. Peers live in environments of their own
under `.cache/`, made here; where that fails the table says why.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bench.harness import Bench
from bench.peers import HFTBACKTEST, NAUTILUS, Package, Peer, environment
from bench.quoting import new_quoting, run_quotes
from config.schema import Limits, Safety, Score, Settings, Signal, Thresholds, Windows
from core.book.kernels import Book, apply_delta, apply_snapshot, best, new_book
from core.enums import EventKind
from core.jit import entry_kernel
from core.records import LEVEL, LEVELS_PER_CELL, TRADE, TRADES_PER_CELL
from gateway.service import Sinks
from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from tests.core.streams import DERIVED_TAPE, REAL_TAPE
from tests.shared_data import SHARED
from workers.lane import Lane
from workers.pipeline import NO_FOLDER, Pipeline, local_spec, run_tape

DELTA, SNAPSHOT, TRADES = int(EventKind.BOOK_DELTA), int(EventKind.BOOK_SNAPSHOT), int(EventKind.TRADES)
HFT_BOOKS = (("hashmap", "hashmap", "both"), ("roivector", "roivector", "both"), ("local", "roivector", "local"))
HFT_QUOTES = ("hashmap", "roivector")
BUSY = Settings(  # low thresholds and short pauses: it trades all the time
    safety=Safety(limits=Limits(daily_loss_pct=5.0, max_heat_pct=50.0, max_unrealised_loss_pct=50.0)),
    thresholds=Thresholds(
        score=Score(watch=(20.0,) * 3, arm=(30.0,) * 3, max_spread_bps=(50.0,) * 3), windows=Windows(warmup_s=1.0),
        signal=Signal(cooldown_s=1.0, rest_s=1.0),
    ),
)
Rows = list[list[int]]


class Tape(NamedTuple):
    label: str
    file: str
    depth: int
    repeats: int  # passes of one sample: a short tape is over too soon to be timed


TAPES = (
    Tape("real Bybit, depth 200", REAL_TAPE, 200, 20), Tape("derived, depth 50", DERIVED_TAPE, 50, 1),
    Tape("derived, depth 200", DERIVED_TAPE, 200, 1),
)


class Captured(NamedTuple):
    """What the gateway's core made of a tape: publications in order, and the plant that knows the symbols."""

    pipeline: Pipeline
    parts: list[tuple[np.ndarray, int]]  # cells, seq of the last one
    cells: np.ndarray
    symbols: int


class Tee:
    """A writer that keeps what is published. Cells are copied: the gateway writes into the same memory again."""

    def __init__(self) -> None:
        self.cells: list[np.ndarray] = []

    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool:
        self.cells.append(cells[:n_cells].copy())
        return True


def settings_for(settings: Settings, depth: int) -> Settings:
    symbols = msgspec.structs.replace(settings.symbols, depth=(depth,) * 3)
    return msgspec.structs.replace(settings, symbols=symbols)


def capture(path: Path, settings: Settings) -> Captured:
    """The events of a tape as the gateway's core publishes them to one shard."""
    pipeline = Pipeline(local_spec(1, tape=[str(path)], data_dir=NO_FOLDER), settings)
    tee, parts = Tee(), []

    def published(seq: int) -> None:
        parts.append((np.concatenate(tee.cells), seq))
        tee.cells = []

    source = TapeSource(pipeline.plant, settings, StopFlag(), lambda: settings, Sinks([tee], published))
    Pipeline.run(pipeline, source)
    cells = np.concatenate([part for part, _ in parts])
    return Captured(pipeline, parts, cells, len(source.contents.symbols))


def cells_of(captured: Captured) -> list[np.ndarray]:
    """Per symbol the messages of its books and prints, in the order of `rows_of`."""
    cells = captured.cells
    found: dict[int, list[np.ndarray]] = {}
    at = 0
    while at < len(cells):
        word = int(cells[at, 6])
        after = at + max((word >> 48) & 0xFFFF, 1)
        if (word >> 32) & 0xFF in (DELTA, SNAPSHOT, TRADES):
            found.setdefault(word & 0xFFFFFFFF, []).append(cells[at:after])
        at = after
    return [np.concatenate(found[symbol]) for symbol in sorted(found)]


def rows_of(captured: Captured) -> list[np.ndarray]:
    """Per symbol int64[n, 5] = time ns, kind (1, 2 bid, ask level; 3, 4 buy, sell print), price, lots, frame."""
    cells = captured.cells
    flat = cells.reshape(-1)
    levels, trades = flat.view(LEVEL.dtype), flat.view(TRADE.dtype)
    found: dict[int, list[tuple[int, int, int, int, int]]] = {}
    at = 0
    while at < len(cells):
        word, counts, now = int(cells[at, 6]), int(cells[at, 7]), int(cells[at, 2])
        symbol, kind = word & 0xFFFFFFFF, (word >> 32) & 0xFF
        n_bids, n_asks = counts & 0xFFFF, (counts >> 16) & 0xFFFF
        if kind in (DELTA, SNAPSHOT):
            own = found.setdefault(symbol, [])
            if kind == SNAPSHOT and own:
                raise ValueError("a second snapshot: the peers' input has no word for it")
            first = (at + 1) * LEVELS_PER_CELL
            own += [(now, 1 + (k >= n_bids), int(level["price_ticks"]), int(level["qty_lots"]), at)
                    for k, level in enumerate(levels[first : first + n_bids + n_asks])]
        elif kind == TRADES:
            first = (at + 1) * TRADES_PER_CELL
            if trades[first : first + n_bids]["flags"].any():
                raise ValueError("a block or RPI print: the peers' input has no word for it")
            found.setdefault(symbol, []).extend(
                (now, 3 if trade["side"] > 0 else 4, int(trade["price_ticks"]), int(trade["qty_lots"]), at)
                for trade in trades[first : first + n_bids])
        at += max((word >> 48) & 0xFFFF, 1)
    return [np.array(found[symbol], np.int64) for symbol in sorted(found)]


# --- ours ---------------------------------------------------------------------------------------------------------------
@entry_kernel
def play_books(book, cells, levels):  # type: ignore[no-untyped-def]
    """All book frames of `cells` into `book` (a slot per symbol id); returns the sum of best prices after each."""
    total = np.int64(0)
    at = np.int64(0)
    while at < cells.shape[0]:
        word = cells[at, 6]
        slot, kind = word & 0xFFFFFFFF, (word >> 32) & 0xFF
        if kind in (DELTA, SNAPSHOT):
            n_bids, n_asks = cells[at, 7] & 0xFFFF, (cells[at, 7] >> 16) & 0xFFFF
            if kind == SNAPSHOT:
                apply_snapshot(book, slot, levels, (at + 1) * LEVELS_PER_CELL, n_bids, n_asks)
            else:
                apply_delta(book, slot, levels, (at + 1) * LEVELS_PER_CELL, n_bids, n_asks)
            total += best(book, slot, np.int64(0))[0] + best(book, slot, np.int64(1))[0]
        at += max((word >> 48) & 0xFFFF, 1)
    return total


class Ours:
    """Our side of one tape; every method runs it once and returns CPU ns."""

    def __init__(self, path: Path, depth: int) -> None:
        self.path = path
        self.settings = settings_for(BUSY, depth)
        self.quiet = capture(path, settings_for(Settings(), depth))
        self.busy = capture(path, self.settings)
        self.book: Book = new_book(self.quiet.symbols, 512)
        self.symbol_cells = cells_of(self.quiet)
        self.orders_sent = 0
        self.decisions = ""

    def books(self) -> int:
        cells = self.quiet.cells
        levels = cells.reshape(-1).view(LEVEL.dtype)
        self.book = new_book(self.quiet.symbols, 512)
        for part in self.book:
            part.reshape(-1).view(np.uint8)[::4096] |= np.uint8(0)  # as the peers' are: every page there beforehand
        begin = time.process_time_ns()
        play_books(self.book, cells, levels)
        return time.process_time_ns() - begin

    def pipeline(self) -> int:
        lane = self._lane(paced=False)
        begin = time.process_time_ns()
        for cells, _ in self.quiet.parts:
            lane.publish(cells, len(cells), 0)
            lane.work()
        spent = time.process_time_ns() - begin
        self.decisions = f"{lane.counts['stepped']} events, {lane.counts['decisions']} transitions"
        return spent

    def orders(self) -> int:
        run = Pipeline(self.busy.pipeline.spec, self.settings)
        run.plant = self.busy.pipeline.plant  # it knows the symbols
        run.lanes = [self._lane(paced=True)]
        begin = time.process_time_ns()
        for cells, seq in self.busy.parts:
            run.lanes[0].publish(cells, len(cells), 0)
            run._published(seq)
        spent = time.process_time_ns() - begin
        self.orders_sent = run.broker.orders
        return spent

    def quotes(self, books: int) -> int:
        return self._quotes(books, as_peer=True)[0]

    def sent_quotes(self, books: int, as_peer: bool) -> list[Rows]:
        """Per symbol the quotes as `hftbacktest_replay` tells them."""
        return self._quotes(books, as_peer)[1]

    def _quotes(self, books: int, as_peer: bool) -> tuple[int, list[Rows]]:
        spent, sent = 0, []
        for cells in self.symbol_cells:
            market = new_quoting(len(cells), books)
            begin = time.process_time_ns()
            found = run_quotes(market, cells, as_peer)
            spent += time.process_time_ns() - begin
            sent.append([list(row) for row in found.tolist()])
        return spent, sent

    def file(self) -> int:
        begin = time.process_time_ns()
        run_tape(self.settings, [self.path])
        return time.process_time_ns() - begin

    def _lane(self, paced: bool) -> Lane:
        lane = Lane(self.quiet.symbols, 512, paced=paced)
        parts: list[Any] = list(lane.state)
        while parts:
            part = parts.pop()
            if isinstance(part, tuple):
                parts += list(part)
            else:
                part.reshape(-1).view(np.uint8)[::4096] |= np.uint8(0)
        return lane

    def final_books(self) -> list[Rows]:
        self.books()
        price, qty, count = self.book.price, self.book.qty, self.book.count
        return [sorted(([1 + side, int(price[slot, side, k]), int(qty[slot, side, k])]
                        for side in range(2) for k in range(count[slot, side])), key=lambda row: (row[1], row[0]))
                for slot in range(self.quiet.symbols)]


# --- one tape -----------------------------------------------------------------------------------------------------------
def measure(bench: Bench, tape: Tape, ours: Ours, peers: dict[str, Peer], folder: Path) -> dict[str, float]:
    """Record events/s of everybody, in rounds that take turns; returns them."""
    rows = rows_of(ours.quiet)
    files = []
    for k, own in enumerate(rows):
        files.append(str(folder / f"{tape.depth}-{tape.file[:4]}-{k}.npy"))
        np.save(files[-1], own)
    n_levels = sum(int((own[:, 1] < 3).sum()) for own in rows)
    n_all = sum(len(own) for own in rows)
    bench.figure(f"{tape.label}: level events, of them prints", n_all, f"({n_all - n_levels} prints)")
    runs: dict[str, tuple[int, Callable[[], int]]] = {
        "ours books": (n_levels, ours.books), "ours pipeline": (n_all, ours.pipeline), "ours orders": (n_all, ours.orders),
        "ours quotes": (n_all, lambda: ours.quotes(1)), "ours quotes, two books": (n_all, lambda: ours.quotes(2)),
    }
    books = {"ours": ours.final_books()}
    quotes = {"ours": ours.sent_quotes(1, as_peer=True), "ours with two books": ours.sent_quotes(2, as_peer=True)}
    for name, peer in peers.items():
        peer.ask(do="load", rows=files)
        if name == "hftbacktest":
            for label, depth, feed in HFT_BOOKS:
                books[label] = peer.ask(do="books", depth=depth, feed=feed, books=True)["books"]
                runs[f"hftbacktest {label} books"] = (n_levels, _asking(peer, do="books", depth=depth, feed=feed, books=False))
            for depth in HFT_QUOTES:
                quotes[depth] = peer.ask(do="quotes", depth=depth, rows=True)["rows"]
                runs[f"hftbacktest {depth} quotes"] = (n_all, _asking(peer, do="quotes", depth=depth, rows=False))
        else:
            for how in ("engine", "book"):
                books[how] = peer.ask(do="books", how=how, books=True)["books"]
                runs[f"nautilus {how} books"] = (n_levels, _asking(peer, do="books", how=how, books=False))
    check(bench, tape, books)
    check_quotes(bench, tape, quotes, ours.sent_quotes(1, as_peer=False))
    rates = {}
    samples: dict[str, list[float]] = {label: [] for label in runs}
    for _, once in runs.values():
        once()  # compiles, and touches what will be touched
    for _ in range(2 if bench.small else 9):
        for label, (events, once) in runs.items():
            passes = 1 if bench.small or "nautilus" in label else tape.repeats
            samples[label].append(events * passes / sum(once() for _ in range(passes)) * 1e3)
    for label, found in samples.items():
        rates[label] = median(found)
        bench.figure(f"{tape.label}: {label}", rates[label], "M events/s")
    bench.digest(f"{tape.label}: {ours.decisions}, {ours.orders_sent} orders")
    return rates


def _asking(peer: Peer, **what: Any) -> Callable[[], int]:
    return lambda: int(peer.ask(**what)["ns"])


def check(bench: Bench, tape: Tape, books: dict[str, list[Rows]]) -> None:
    """Every final book is ours, level by level. AssertionError names who differs."""
    for name, found in books.items():
        if found != books["ours"]:
            raise AssertionError(f"{tape.label}: the final books of {name} are not ours")
    digest = hashlib.sha256(repr(books["ours"]).encode()).hexdigest()[:16]
    bench.digest(f"{tape.label}: final books {digest}, the same in {', '.join(books)}")


def check_quotes(bench: Bench, tape: Tape, quotes: dict[str, list[Rows]], own_rules: list[Rows]) -> None:
    """Every quote sent and every fill is ours: side, price, times and price of the fill. AssertionError names who differs."""
    for name, found in quotes.items():
        if found != quotes["ours"]:
            raise AssertionError(f"{tape.label}: the quotes of {name} are not ours")
    digest = hashlib.sha256(repr(quotes["ours"]).encode()).hexdigest()[:16]
    bench.digest(f"{tape.label}: {_count(quotes['ours'])} {digest}, the same in {', '.join(quotes)}; by the rules of our "
                 f"exchange {_count(own_rules)}")


def _count(quotes: list[Rows]) -> str:
    sent = [row for rows in quotes for row in rows]
    return f"{len(sent)} quotes sent, {sum(row[3] > 0 for row in sent)} filled"


GOALS = (  # ours, against, goal
    ("ours books", "hftbacktest hashmap books", ">= 2"), ("ours books", "hftbacktest roivector books", ""),
    ("ours books", "hftbacktest local books", ""), ("ours books", "nautilus engine books", ">= 50"),
    ("ours books", "nautilus book books", ""), ("ours pipeline", "hftbacktest hashmap books", ">= 1"),
    ("ours pipeline", "hftbacktest roivector books", ""), ("ours pipeline", "nautilus engine books", ""),
    ("ours quotes", "hftbacktest hashmap quotes", ">= 2"), ("ours quotes", "hftbacktest roivector quotes", ""),
    ("ours quotes, two books", "hftbacktest hashmap quotes", ""), ("ours quotes, two books", "hftbacktest roivector quotes", ""),
    ("ours orders", "hftbacktest hashmap quotes", ""), ("ours orders", "hftbacktest roivector quotes", ""),
)


def ratios(bench: Bench, tape: Tape, rates: dict[str, float]) -> None:
    for mine, theirs, goal in GOALS:
        if theirs in rates:
            bench.ratio(f"{tape.label}: {mine} / {theirs}", rates[mine], rates[theirs], goal)


# --- from the file ------------------------------------------------------------------------------------------------------
def from_file(bench: Bench, tape: Tape, ours: Ours, peers: dict[str, Peer], folder: Path, n_events: int) -> None:
    """Recorded frames to results: ours whole, the peers' converters alone. Per frame of the depth and trade topics."""
    topics = (f"orderbook.{tape.depth}.", "publicTrade.")
    lines = [line for line in gzip.decompress(ours.path.read_bytes()).splitlines()
             if any(topic.encode() in line[:80] for topic in topics)]
    symbol = lines[0].partition(b'"topic":"')[2].partition(b'"')[0].rpartition(b".")[2]
    own = [line for line in lines if b"." + symbol + b'"' in line[:80]]
    packed, archive = folder / "tape.gz", folder / "day.jsonl"
    packed.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", 1))
    books = [line.partition(b" ")[2] for line in own if b'"orderbook.' in line[:60]]
    archive.write_bytes(b"\n".join(books) + b"\n")
    mine = median(ours.file() for _ in range(2 if bench.small else 5))
    with gzip.open(ours.path, "rb") as file:
        n_frames = sum(1 for _ in file)
    bench.figure(f"{tape.label}: ours, file to orders", mine / n_frames, "ns/frame")
    if "hftbacktest" in peers:
        theirs = peers["hftbacktest"].ask(do="convert", file=str(packed), depth=tape.depth, events=2 * n_events)["ns"]
        bench.figure(f"{tape.label}: hftbacktest, conversion alone", theirs / len(lines), "ns/frame")
        bench.ratio(f"{tape.label}: hftbacktest conversion / ours whole, per frame", theirs / len(lines), mine / n_frames)
    if "nautilus" in peers:
        digits = {"price_digits": 2, "size_digits": 3}
        theirs = peers["nautilus"].ask(do="convert", lines=str(archive), **digits)["ns"]
        bench.figure(f"{tape.label}: nautilus, loader and wrangler alone", theirs / len(books), "ns/frame")
        bench.ratio(f"{tape.label}: nautilus conversion / ours whole, per frame", theirs / len(books), mine / n_frames)


def start_peers(bench: Bench) -> dict[str, Peer]:
    """Peers that can be had; the small size asks for none."""
    peers: dict[str, Peer] = {}
    wanted: tuple[tuple[str, Package, str], ...] = (
        ("hftbacktest", HFTBACKTEST, "hftbacktest_replay.py"), ("nautilus", NAUTILUS, "nautilus_replay.py"))
    for name, package, script in wanted:
        if bench.small:
            python, why = None, "not asked in the small size"
        else:
            python, why = environment(package)
        bench.digest(f"peer {name}: {why}")
        if python is not None:
            peers[name] = Peer(python, script)
    return peers


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_replay", argv, excluded="compilation, building of objects; peers' own logging is off; only BTC, "
                  "ETH and DOGE; 'ours orders' is the whole system, against 'quotes' it is another load: compare quotes")
    folder = SHARED / "recordings"
    if not folder.exists():
        bench.digest("no recordings beside the project: nothing measured")
        return bench.finish()
    peers = start_peers(bench)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for tape in TAPES[:1] if bench.small else TAPES:
                ours = Ours(folder / tape.file, tape.depth)
                ratios(bench, tape, measure(bench, tape, ours, peers, Path(scratch)))
                if tape.repeats == 1:  # a short tape would only show what starting costs
                    from_file(bench, tape, ours, peers, Path(scratch), sum(len(rows) for rows in rows_of(ours.quiet)))
    finally:
        for peer in peers.values():
            peer.close()
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
