"""Recorded frames as engine events, the way the gateway makes them: CONFIG, FEED, LISTINGs, then data and TIMERs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from config.schema import Settings
from core.constants import NS_PER_MS
from core.enums import Category, EventKind
from core.records import EVENT
from gateway.bybit.decode import Outcome, decode_slow
from gateway.bybit.symbol_index import SymbolIndex
from gateway.bybit.universe import Instrument, load_instruments
from tests.core.engine.streams import Stream, symbol_record
from tests.shared_data import recording

REAL = ("bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz", ("BTCUSDT", "DOGEUSDT"), 200)
DERIVED = ("DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz", ("BTCUSDT", "ETHUSDT"), 50)
INSTRUMENTS = "bybit_v5_instruments_info_linear_20260809.json.gz"
TIMER_NS = 100 * NS_PER_MS
_BOOKS = (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA)


def _symbol(symbol_id: int, item: Instrument, depth: int) -> np.ndarray:
    (tick, price_exp), (lot, qty_exp) = item.tick, item.lot
    if (lot, qty_exp) == (1, 2):  # a lot that was smaller when the older tape was made
        lot, qty_exp = 1, 3
    return symbol_record(
        symbol_id, item.name, Category.PRIME, tick_mant=tick, price_exp=price_exp, tick_size=tick / 10**price_exp,
        lot_mant=lot, qty_exp=qty_exp, lot_size=lot / 10**qty_exp, depth=depth,
    )


def tape_stream(
    tape: tuple[str, tuple[str, ...], int], *, max_frames: int | None = None, settings: Settings | None = None,
    **params: Any,
) -> Stream:
    """The events of a tape: REAL or DERIVED. Skips the calling test when the recording is absent."""
    name, symbols, depth = tape
    path: Path = recording(name)
    instruments = {i.name: i for i in load_instruments(gzip.decompress(recording(INSTRUMENTS).read_bytes()))}
    stream = Stream()
    index = SymbolIndex(16)
    with gzip.open(path, "rb") as lines:
        first = True
        timer_ns = 0
        scratch = np.zeros((4096, 8), np.int64)
        for count, line in enumerate(lines):
            if max_frames is not None and count >= max_frames:
                break
            stamp, frame = line.rstrip(b"\n").split(b" ", 1)
            ts_ns = int(stamp)
            if first:
                first = False
                stream.now_ns = ts_ns
                stream.config(settings, **params)
                stream.feed()
                for symbol_id, symbol in enumerate(symbols):
                    record = _symbol(symbol_id, instruments[symbol], depth)
                    index.add(record)
                    stream.listing(record)
                timer_ns = (ts_ns // TIMER_NS + 1) * TIMER_NS
            while timer_ns <= ts_ns:
                stream.now_ns = timer_ns
                stream.timer()
                timer_ns += TIMER_NS
            stream.now_ns = ts_ns
            decoded = decode_slow(frame, index, ts_ns, 0, 0, scratch, 0)
            if decoded.kind is not Outcome.DECODED:
                continue
            cells = scratch[: decoded.n_cells].copy()
            header = cells[:1].reshape(-1).view(EVENT.dtype)
            if header["kind"][0] in _BOOKS and header["depth"][0] != depth:
                continue
            stream.seq += 1
            header["seq"] = stream.seq
            stream.parts.append(cells)
            stream.symbols.append(int(header["symbol"][0]))
    stream.end()
    return stream
