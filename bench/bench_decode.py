"""Decode: bytes of distinct real frames -> event cells, batch scanner against msgspec, orjson and json.

Candidates take the same frames in turn (every data frame of each recording, in order):

    scanner       decode_batch: bytes in one staging buffer -> checked, converted cells
    msgspec       typed Structs, decoder chosen per topic beforehand, numbers left as text: the baseline of the goal
    msgspec+cells decode_slow: the whole rule set and the same cells as the scanner (digests must be equal)
    orjson, json  generic objects, numbers left as text

Without the recordings seeded frames of the same shapes stand in; the table says so.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
import numpy as np
import orjson
from msgspec import Struct

from bench.harness import Bench
from gateway.bybit.decode import Outcome, decode_slow
from gateway.bybit.decode_kernels import S_AT, S_STOP, STATUS_WORDS, STOP_UNUSUAL, decode_batch
from gateway.bybit.messages import Book, Candle, Ticker, Trade
from gateway.bybit.symbol_index import SymbolIndex
from tests.gateway.bybit.decode_helpers import CONN, MONO_NS, RECV_NS, read_tape, stage_frames, symbol_record
from tests.shared_data import SHARED

REAL = "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz"
DERIVED = "DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz"
STEPS = {"BTCUSDT": ("0.10", "0.001"), "DOGEUSDT": ("0.00001", "1"), "ETHUSDT": ("0.01", "0.001")}
OUT_CELLS = 8192


class BookFrame(Struct):
    topic: str
    type: str
    ts: int
    data: Book
    cts: int = 0


class TradeFrame(Struct):
    topic: str
    type: str
    ts: int
    data: list[Trade]


class TickerFrame(Struct):
    topic: str
    type: str
    ts: int
    data: Ticker
    cs: int = 0


class KlineFrame(Struct):
    topic: str
    type: str
    ts: int
    data: list[Candle]


DECODERS = {
    b"o": msgspec.json.Decoder(BookFrame).decode,
    b"p": msgspec.json.Decoder(TradeFrame).decode,
    b"t": msgspec.json.Decoder(TickerFrame).decode,
    b"k": msgspec.json.Decoder(KlineFrame).decode,
}
TOPIC_AT = len(b'{"topic":"')


class Tape(NamedTuple):
    """`frames` are data frames that start with their topic, as Bybit writes them."""

    name: str
    frames: list[bytes]

    @property
    def bytes_per_frame(self) -> float:
        return sum(map(len, self.frames)) / len(self.frames)


def recorded(name: str, label: str, n_frames: int) -> Tape | None:
    """The first data frames of a recording, None where it is absent."""
    if not (SHARED / "recordings" / name).exists():
        return None
    return Tape(label, [f for f in read_tape(name) if f.startswith(b'{"topic"')][:n_frames])


def generated(n_frames: int, seed: int = 7) -> Tape:
    """Seeded book deltas and trades of BTCUSDT in Bybit's form."""
    rng = np.random.default_rng(seed)
    frames = []
    for u in range(n_frames):
        price = Decimal(int(rng.integers(600_000, 650_000))) / 10
        sides = [
            [[f"{price + sign * k:.2f}", f"{rng.integers(0, 90_000) / 1000:.3f}"] for k in range(int(rng.integers(1, 8)))]
            for sign in (-1, 1)
        ]
        data = {"s": "BTCUSDT", "b": sides[0], "a": sides[1], "u": u + 1, "seq": 9 * u + 7}
        frame = {"topic": "orderbook.50.BTCUSDT", "type": "delta", "ts": 1786310818129 + u, "data": data}
        frames.append(json.dumps(frame | {"cts": frame["ts"]}, separators=(",", ":")).encode())
    return Tape("generated", frames)


def symbol_index() -> SymbolIndex:
    index = SymbolIndex()
    for symbol_id, (name, (tick, lot)) in enumerate(STEPS.items()):
        index.add(symbol_record(name, symbol_id, tick, lot))
    return index


def scanner(tape: Tape, index: SymbolIndex, sink: Callable[[np.ndarray], None] | None = None) -> Callable[[], int]:
    """A pass over the tape; returns how many frames it left to the msgspec path. `sink` gets every batch of cells."""
    stage, rows = stage_frames(tape.frames)
    out = np.zeros((OUT_CELLS, 8), np.int64)
    status = np.zeros(STATUS_WORDS, np.int64)

    def run() -> int:
        at, unusual, n = 0, 0, len(tape.frames)
        while at < n:
            status[S_AT] = 0
            at = decode_batch(stage, rows, at, n, index.table, out, status)
            if sink is not None:
                sink(out[: status[S_AT]])
            if status[S_STOP] == STOP_UNUSUAL:
                at += 1
                unusual += 1
        return unusual

    return run


def slow(tape: Tape, index: SymbolIndex, sink: Callable[[np.ndarray], None] | None = None) -> Callable[[], int]:
    """The same pass through decode_slow; returns how many frames it did not decode."""
    out = np.zeros((OUT_CELLS, 8), np.int64)

    def run() -> int:
        refused = 0
        for frame in tape.frames:
            decoded = decode_slow(frame, index, RECV_NS, MONO_NS, CONN, out, 0)
            refused += decoded.kind is not Outcome.DECODED
            if sink is not None:
                sink(out[: decoded.n_cells])
        return refused

    return run


def typed(tape: Tape) -> Callable[[], None]:
    work = [(DECODERS[frame[TOPIC_AT : TOPIC_AT + 1]], frame) for frame in tape.frames]

    def run() -> None:
        for decode, frame in work:
            decode(frame)

    return run


def generic(tape: Tape, loads: Callable[[bytes], object]) -> Callable[[], None]:
    def run() -> None:
        for frame in tape.frames:
            loads(frame)

    return run


def cells_digest(tape: Tape, index: SymbolIndex) -> str:
    """Digest of all cells of the scanner, checked against those of the msgspec path."""
    hashes = []
    for make in (scanner, slow):
        digest = hashlib.sha256()
        left = make(tape, index, lambda cells, d=digest: d.update(cells.tobytes()))()  # type: ignore[misc]
        if left:
            raise AssertionError(f"{tape.name}: {left} frames not decoded by {make.__name__}")
        hashes.append(digest.hexdigest()[:16])
    if hashes[0] != hashes[1]:
        raise AssertionError(f"{tape.name}: scanner and msgspec path differ: {hashes}")
    return hashes[0]


def families(tape: Tape) -> list[Tape]:
    """The tape split by topic family, families of at least 30 frames."""
    groups: dict[str, list[bytes]] = {}
    for frame in tape.frames:
        topic = frame[TOPIC_AT : frame.index(b'"', TOPIC_AT)].decode()
        groups.setdefault(topic.rpartition(".")[0], []).append(frame)
    return [Tape(f"{tape.name} {name}", frames) for name, frames in sorted(groups.items()) if len(frames) >= 30]


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_decode", argv, excluded="copying frames into the staging buffer; unusual frames")
    repeats = 3 if bench.small else 9
    n_frames = 600 if bench.small else 20_000
    index = symbol_index()
    found = [recorded(REAL, "real", n_frames), recorded(DERIVED, "derived", n_frames)]
    tapes = [tape for tape in found if tape is not None] or [generated(n_frames)]
    for tape in tapes:
        bench.digest(f"{tape.name}: {len(tape.frames)} frames, cells {cells_digest(tape, index)}")
        n = len(tape.frames)
        label = f"{tape.name} %s, per frame of {tape.bytes_per_frame:.0f} B"
        candidates = {
            "scanner": scanner(tape, index),
            "msgspec": typed(tape),
            "msgspec+cells": slow(tape, index),
            "orjson": generic(tape, orjson.loads),
            "json": generic(tape, json.loads),
        }
        functions = {label % name: run for name, run in candidates.items()}
        ns = bench.interleave(functions, repeats, dict.fromkeys(functions, float(n)))
        ours = ns[label % "scanner"]
        for name in candidates:
            if name != "scanner":
                goal = ">= 4" if name == "msgspec" else ""
                bench.ratio(f"{tape.name} {name} / scanner", ns[label % name], ours, goal)
        bench.figure(f"{tape.name} scanner per 300 B", ours * 300 / tape.bytes_per_frame, "ns", "<= 500")
        bench.figure(f"{tape.name} scanner rate", tape.bytes_per_frame / ours * 1000, "MB/s")
    if not bench.small:
        for tape in (family for whole in tapes for family in families(whole)):
            pair = {f"{tape.name} scanner": scanner(tape, index), f"{tape.name} msgspec": typed(tape)}
            ns = bench.interleave(pair, repeats, dict.fromkeys(pair, float(len(tape.frames))))
            bench.ratio(f"{tape.name} msgspec / scanner", ns[f"{tape.name} msgspec"], ns[f"{tape.name} scanner"])
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
