"""Small makers for gateway tests: event cells, frames, rings that keep what was published."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np

from config.schema import Settings
from core.enums import EventKind
from core.records import CELL_WORDS, EVENT, LEVEL, TRADE
from gateway.bybit.universe import Instrument, Selector, Universe
from gateway.publisher import Publisher

MS = 1_000_000
T0 = 1_700_000_000_000 * MS


class Event(NamedTuple):
    """A published event, as a test likes to compare it."""

    seq: int
    kind: EventKind
    symbol: int
    u: int
    xseq: int
    ts_ns: int


class KeepingWriter:
    """Stands for a ring writer; `refusals` publications are refused first."""

    def __init__(self, refusals: int = 0) -> None:
        self.cells: list[np.ndarray] = []
        self.messages = 0
        self.refusals = refusals

    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.cells.append(cells[:n_cells].copy())
        self.messages += n_messages
        return True

    def events(self) -> list[Event]:
        return split_events(np.concatenate(self.cells) if self.cells else np.zeros((0, CELL_WORDS), np.int64))


def split_events(cells: np.ndarray) -> list[Event]:
    """Headers of whole messages."""
    found, at = [], 0
    while at < len(cells):
        header = cells[at : at + 1].view(EVENT.dtype)[0, 0]
        found.append(Event(
            int(header["seq"]), EventKind(int(header["kind"])), int(header["symbol"]), int(header["u"]),
            int(header["xseq"]), int(header["ts_recv_ns"]),
        ))  # fmt: skip
        at += int(header["n_cells"])
    return found


def message(
    kind: EventKind, symbol: int, ts_ns: int, *, u: int = 0, depth: int = 50, levels: int = 1, ts_exch_ns: int = 0
) -> np.ndarray:
    """Cells of one decoded message (seq unset)."""
    item = TRADE if kind in (EventKind.TRADES, EventKind.LIQUIDATION) else LEVEL
    n_cells = 1 + (levels * item.size + 63) // 64
    cells = np.zeros((n_cells, CELL_WORDS), np.int64)
    header = cells[:1].view(EVENT.dtype)[0, 0]
    header["kind"], header["symbol"], header["u"], header["depth"] = int(kind), symbol, u, depth
    header["ts_recv_ns"], header["ts_exch_ns"], header["n_cells"], header["n_bids"] = ts_ns, ts_exch_ns, n_cells, levels
    payload = cells[1:].view(np.uint8).reshape(-1)[: levels * item.size].view(item.dtype)
    payload["price_ticks"] = 100 + np.arange(levels)
    return cells


def a_publisher(shards: int = 2, symbols: int = 4, **options: Any) -> tuple[Publisher, list[KeepingWriter], Universe]:
    """A started publisher with symbols S0USDT.. listed; their shard is id % shards."""
    writers = [KeepingWriter() for _ in range(shards)]
    publisher = Publisher(writers, 1024, options.pop("set_published", lambda seq: None), lambda: True, **options)
    settings = Settings()
    universe = Universe(settings.symbols, settings.trading.fees, Selector(), shards)
    universe.start([Instrument(f"S{i}USDT", True, (1, 1), (1, 3)) for i in range(symbols)], {}, T0)
    publisher.start(T0)
    for symbol in range(symbols):
        publisher.listing(universe.records[symbol : symbol + 1].copy())
    publisher.publish()
    return publisher, writers, universe


def book_frame(symbol: str, is_delta: bool, u: int, ts_ms: int, depth: int = 50, qty: str = "1.000") -> bytes:
    """An order-book frame as Bybit writes it."""
    return msgspec.json.encode({
        "topic": f"orderbook.{depth}.{symbol}", "type": "delta" if is_delta else "snapshot", "ts": ts_ms,
        "data": {"s": symbol, "b": [["100.0", qty]], "a": [["100.1", "2.000"]], "u": u, "seq": u * 10}, "cts": ts_ms - 1,
    })  # fmt: skip


def trade_frame(symbol: str, ts_ms: int, price: str = "100.0") -> bytes:
    return msgspec.json.encode({
        "topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": ts_ms,
        "data": [{"T": ts_ms - 1, "s": symbol, "S": "Buy", "v": "0.500", "p": price, "L": "PlusTick",
                  "i": "9e7b0e56-0000-5b54-a6d4-9a5d4f4b1b7d", "BT": False, "RPI": False, "seq": 5}],
    })  # fmt: skip


def line(recv_ns: int, frame: bytes) -> bytes:
    return b"%d %s\n" % (recv_ns, frame)
