"""Shared by the decoder tests: an index, both decoders on one frame, cells read back as plain Python."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import numpy as np

from core.enums import EventKind
from core.records import EVENT, KLINE, LEVEL, SYMBOL, TICKER, TRADE
from core.units import SLACK_BYTES, grid_from_text
from gateway.bybit.decode import Decoded, Outcome, decode_slow
from gateway.bybit.decode_kernels import S_AT, S_MESSAGES, S_STOP, STATUS_WORDS, STOP_UNUSUAL, decode_batch
from gateway.bybit.symbol_index import SymbolIndex
from tests.reference import decode as reference
from tests.shared_data import recording

RECV_NS, MONO_NS, CONN = 1_786_310_818_200_000_001, 77_000_000_003, 65_535
OUT_CELLS = 2048
STEPS = {"BTCUSDT": ("0.10", "0.001"), "DOGEUSDT": ("0.00001", "1"), "ODDUSDT": ("0.0025", "0.5")}
STEPS |= {"XRPUSDT": ("0.0001", "0.1"), "1000000BABYDOGEUSDT": ("0.0000001", "100"), "TENUSDT": ("5", "10")}


def symbol_record(name: str, symbol_id: int, tick: str, lot: str) -> np.ndarray:
    """SYMBOL record (array of one) with what a decoder reads."""
    record = np.zeros(1, SYMBOL.dtype)
    raw = name.encode("utf-8")
    record["name"][0, : len(raw)] = np.frombuffer(raw, np.uint8)
    record["id"] = symbol_id
    record["tick_mant"], record["price_exp"] = grid_from_text(tick)
    record["lot_mant"], record["qty_exp"] = grid_from_text(lot)
    return record


class Rig:
    """Both decoders and the naive twin over the same symbols."""

    def __init__(self, steps: dict[str, tuple[str, str]] | None = None, out_cells: int = OUT_CELLS) -> None:
        self.steps = STEPS if steps is None else steps
        self.index = SymbolIndex()
        self.symbols: dict[str, reference.Symbol] = {}
        for symbol_id, (name, (tick, lot)) in enumerate(self.steps.items()):
            self.index.add(symbol_record(name, symbol_id, tick, lot))
            self.symbols[name] = reference.Symbol(symbol_id, Decimal(tick), Decimal(lot))
        self.out = np.zeros((out_cells, 8), np.int64)
        self.slow_out = np.full((out_cells, 8), -1, np.int64)
        self.status = np.zeros(STATUS_WORDS, np.int64)

    def scan(self, frame: bytes) -> np.ndarray | None:
        """Cells from the scanner, None where it stops at the frame. Bytes after the frame are hostile."""
        stage, frames = stage_frames([frame], tail=b'"}],0123456789' * 4)
        self.out[:] = -2
        self.status[:] = 0
        with np.errstate(over="ignore"):  # NUMBA_DISABLE_JIT=1: words wrap on purpose
            done = decode_batch(stage, frames, 0, 1, self.index.table, self.out, self.status)
        if done == 0:
            assert self.status[S_STOP] == STOP_UNUSUAL
            assert self.status[S_AT] == 0
            return None
        assert self.status[S_MESSAGES] == 1
        cells = self.out[: self.status[S_AT]]
        assert (self.out[self.status[S_AT] :] == -2).all() or len(cells) < len(self.out)
        return cells

    def slow(self, frame: bytes) -> tuple[Decoded, np.ndarray]:
        self.slow_out[:] = -1
        decoded = decode_slow(frame, self.index, RECV_NS, MONO_NS, CONN, self.slow_out, 0)
        assert (self.slow_out[decoded.n_cells :] == -1).all(), "wrote outside its message"
        return decoded, self.slow_out[: decoded.n_cells]

    def both(self, frame: bytes) -> tuple[Decoded, np.ndarray, bool]:
        """msgspec's verdict and cells, after checking that the scanner agrees or stopped; True where it decoded."""
        decoded, cells = self.slow(frame)
        scanned = self.scan(frame)
        if scanned is not None:
            assert decoded.kind is Outcome.DECODED, (decoded, frame)
            assert np.array_equal(scanned, cells), frame
        return decoded, cells, scanned is not None

    def all_three(self, frame: bytes) -> tuple[Decoded, bool]:
        """As `both`, and the naive twin agrees too."""
        decoded, cells, scanned = self.both(frame)
        outcome, event = reference.decode(frame, self.symbols)
        assert decoded.kind.name == outcome, (decoded, outcome, frame)
        if event is not None:
            assert read_event(cells) == event, frame
        return decoded, scanned


def stage_frames(frames: list[bytes], tail: bytes = b"\0" * SLACK_BYTES) -> tuple[np.ndarray, np.ndarray]:
    """Frames -> (staging buffer, frame rows), all received at RECV_NS."""
    stage = np.frombuffer(b"".join(frames) + tail[:SLACK_BYTES].ljust(SLACK_BYTES, b"0"), np.uint8).copy()
    rows = np.zeros((len(frames), 5), np.int64)
    offset = 0
    for i, frame in enumerate(frames):
        rows[i] = (offset, len(frame), RECV_NS, MONO_NS, CONN)
        offset += len(frame)
    return stage, rows


def read_event(cells: np.ndarray) -> reference.Event:
    """Cells of one message -> the naive twin's Event; checks the header's constants and that the rest is zero."""
    header = cells[:1].view(np.uint8).reshape(-1).view(EVENT.dtype)[0]
    assert header["seq"] == 0
    assert header["flags"] == 0
    assert (header["ts_recv_ns"], header["mono_recv_ns"], header["conn"]) == (RECV_NS, MONO_NS, CONN)
    assert header["n_cells"] == len(cells)
    kind = EventKind(int(header["kind"]))
    n_bids, n_asks = int(header["n_bids"]), int(header["n_asks"])
    payload = cells[1:].reshape(-1)
    bids: list[Any]
    asks: list[Any] = []
    if kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
        used = 2 * (n_bids + n_asks)
        levels = [tuple(row) for row in payload[:used].view(LEVEL.dtype).tolist()]
        bids, asks = levels[:n_bids], levels[n_bids:]
    elif kind in (EventKind.TRADES, EventKind.LIQUIDATION):
        used = 4 * n_bids
        rows = payload[:used].view(TRADE.dtype)
        assert not rows["reserved"].any()
        bids = [(int(r["price_ticks"]), int(r["qty_lots"]), int(r["ts_exch_ns"]), int(r["side"]), int(r["flags"])) for r in rows]
    elif kind is EventKind.KLINE:
        used = 8 * n_bids
        bids = [tuple(row) for row in payload[:used].view(KLINE.dtype).tolist()]
    else:
        used = 16
        assert kind is EventKind.TICKER
        row = payload[:used].view(TICKER.dtype)[0]
        names = TICKER.dtype.names or ()
        bids = [{name: int(row[name]) for k, name in enumerate(names) if int(row["mask"]) >> k & 1}]
        absent = [name for k, name in enumerate(names) if k and not int(row["mask"]) >> k & 1]
        assert not any(int(row[name]) for name in absent)
    assert not payload[used:].any()
    return reference.Event(
        kind.name, int(header["symbol"]), int(header["ts_exch_ns"]), int(header["u"]), int(header["xseq"]),
        int(header["depth"]), bids, asks,
    )  # fmt: skip


def read_tape(name: str) -> list[bytes]:
    """Raw frames of a recording: `<recv_ns> <frame>` lines (gz) or bare lines."""
    path = recording(name)
    if path.suffix == ".gz":
        with gzip.open(path) as lines:
            return [line.split(b" ", 1)[1].rstrip(b"\n") for line in lines]
    return path.read_bytes().splitlines(keepends=True)


def instrument_steps() -> dict[str, tuple[str, str]]:
    """Tick and lot texts of the recorded instruments-info answer."""
    with gzip.open(recording("bybit_v5_instruments_info_linear_20260809.json.gz")) as file:
        rows = json.load(file)["result"]["list"]
    return {row["symbol"]: (row["priceFilter"]["tickSize"], row["lotSizeFilter"]["qtyStep"]) for row in rows}
