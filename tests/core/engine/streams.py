"""Market-ring cells for tests and benches: an event builder and a seeded little market."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from config.schema import Settings
from core.constants import NS_PER_MS, NS_PER_S
from core.enums import Category, EventKind, FeedState
from core.params import params_row
from core.records import EVENT, LEVEL, SYMBOL, TRADE

START_NS = 1_750_000_000 * NS_PER_S


def fnv1a64(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    return value


def symbol_record(symbol_id: int, name: str, category: Category = Category.NORMAL, **fields: Any) -> np.ndarray:
    """A SYMBOL array (1,): tick 0.01, lot 0.001."""
    row = np.zeros(1, SYMBOL.dtype)
    row["name"][0, : len(name)] = np.frombuffer(name.encode(), np.uint8)
    values: dict[str, Any] = {
        "name_hash": fnv1a64(name), "id": symbol_id, "tick_mant": 1, "lot_mant": 1, "price_exp": 2, "qty_exp": 3,
        "tick_size": 0.01, "lot_size": 0.001, "min_qty_lots": 1, "max_qty_lots": 1_000_000_000,
        "max_market_lots": 100_000_000, "min_notional_e8": 500_000_000, "max_leverage_e2": 5000, "depth": 50,
        "category": int(category), "status": 1, "maker_fee_e8": 20_000, "taker_fee_e8": 55_000,
    }
    for key, value in (values | fields).items():
        row[key] = value
    return row


class Stream:
    """Events in one total order, as cells. Every method appends one event and returns its seq."""

    def __init__(self, start_ns: int = START_NS) -> None:
        self.parts: list[np.ndarray] = []
        self.symbols: list[int] = []  # symbol id of every event, -1 = all
        self.seq = 0
        self.now_ns = start_ns

    def event(
        self, kind: EventKind, symbol: int = -1, payload: np.ndarray | None = None, *, u: int = 0, xseq: int = 0,
        n_bids: int = 0, n_asks: int = 0,
    ) -> int:
        self.seq += 1
        data = b"" if payload is None else payload.tobytes()
        n_cells = 1 + (len(data) + 63) // 64
        header = np.zeros(1, EVENT.dtype)
        header["seq"], header["ts_recv_ns"], header["ts_exch_ns"] = self.seq, self.now_ns, self.now_ns - 5 * NS_PER_MS
        header["mono_recv_ns"] = self.seq * 1000
        header["u"], header["xseq"], header["symbol"], header["kind"] = u, xseq, symbol, int(kind)
        header["n_cells"], header["n_bids"], header["n_asks"], header["depth"] = n_cells, n_bids, n_asks, 50
        raw = header.tobytes() + data + b"\0" * (n_cells * 64 - 64 - len(data))
        self.parts.append(np.frombuffer(raw, np.int64).reshape(-1, 8))
        self.symbols.append(symbol)
        return self.seq

    def config(self, settings: Settings | None = None, version: int = 1, **fields: Any) -> int:
        row = params_row(settings or Settings(), version)
        for name, value in fields.items():
            row[name] = value
        return self.event(EventKind.CONFIG, payload=row, u=version)

    def feed(self, feed_state: FeedState = FeedState.CONNECTED) -> int:
        return self.event(EventKind.FEED, u=int(feed_state))

    def listing(self, symbol: np.ndarray) -> int:
        return self.event(EventKind.LISTING, int(symbol["id"][0]), symbol)

    def book(
        self, symbol: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]], *, snapshot: bool = False
    ) -> int:
        levels = np.array([*bids, *asks], dtype=np.int64).reshape(-1, 2)
        kind = EventKind.BOOK_SNAPSHOT if snapshot else EventKind.BOOK_DELTA
        return self.event(kind, symbol, levels, n_bids=len(bids), n_asks=len(asks))

    def trades(self, symbol: int, trades: list[tuple[int, int, int]]) -> int:
        """(price, lots, aggressor sign) each."""
        rows = np.zeros(len(trades), TRADE.dtype)
        for k, (price, lots, side) in enumerate(trades):
            rows[k]["price_ticks"], rows[k]["qty_lots"], rows[k]["side"] = price, lots, side
            rows[k]["ts_exch_ns"] = self.now_ns - 5 * NS_PER_MS
        return self.event(EventKind.TRADES, symbol, rows, n_bids=len(trades))

    def timer(self) -> int:
        return self.event(EventKind.TIMER)

    def end(self) -> int:
        return self.event(EventKind.END)

    def cells(self) -> np.ndarray:
        return np.concatenate(self.parts) if self.parts else np.zeros((0, 8), np.int64)

    def shard(self, index: int, count: int) -> np.ndarray:
        """The cells shard `index` of `count` sees: its symbols (id modulo count) and what goes to all."""
        parts = [p for p, s in zip(self.parts, self.symbols, strict=True) if s < 0 or s % count == index]
        return np.concatenate(parts)


assert LEVEL.size == 16


class Market:
    """A seeded random market over a Stream: books that lean, trades that follow the lean, TIMER every 100 ms."""

    DEPTH = 20

    def __init__(self, n_symbols: int, seed: int, *, settings: Settings | None = None, **params: Any) -> None:
        self.random = random.Random(seed)
        self.stream = Stream()
        self.n = n_symbols
        self.mid = [1_000_000 + 1000 * k for k in range(n_symbols)]
        self.lean = [0.0] * n_symbols
        self.levels: list[tuple[dict[int, int], dict[int, int]]] = [({}, {}) for _ in range(n_symbols)]
        self.stream.config(settings, **params)
        self.stream.feed()
        for k in range(n_symbols):
            self.stream.listing(symbol_record(k, f"SYM{k:03d}USDT", Category(k % 3)))
        for k in range(n_symbols):
            self._book(k, snapshot=True)
        self.next_timer_ns = self.stream.now_ns + 100 * NS_PER_MS

    def _wanted(self, k: int) -> tuple[dict[int, int], dict[int, int]]:
        rng, mid, lean = self.random, self.mid[k], self.lean[k]
        bids, asks = {}, {}
        for level in range(self.DEPTH):
            size = 2000 + rng.randrange(400)
            bids[mid - 5 - 10 * level] = max(int(size * (1 + 0.9 * lean)), 1)
            asks[mid + 5 + 10 * level] = max(int(size * (1 - 0.9 * lean)), 1)
        return bids, asks

    def _book(self, k: int, snapshot: bool = False) -> None:
        wanted = self._wanted(k)
        if snapshot:
            changes = [sorted(side.items(), reverse=not at) for at, side in enumerate(wanted)]
        else:
            changes = []
            for at, side in enumerate(wanted):
                old = self.levels[k][at]
                gone = [(price, 0) for price in old if price not in side]
                new = [(p, q) for p, q in side.items() if old.get(p) != q and (p not in old or self.random.random() < 0.3)]
                for price, lots in new:
                    old[price] = lots
                for price, _ in gone:
                    del old[price]
                changes.append(sorted(gone + new, reverse=not at))
            wanted = self.levels[k]
        self.levels[k] = wanted
        self.stream.book(k, changes[0], changes[1], snapshot=snapshot)

    def run(self, seconds: float, events_per_s: float) -> Stream:
        """Go on for so many seconds of event time."""
        rng, stream = self.random, self.stream
        end_ns = stream.now_ns + int(seconds * NS_PER_S)
        while True:
            at_ns = stream.now_ns + max(int(rng.expovariate(events_per_s) * NS_PER_S), 1)
            while self.next_timer_ns <= min(at_ns, end_ns):
                stream.now_ns = self.next_timer_ns
                stream.timer()
                self.next_timer_ns += 100 * NS_PER_MS
            if at_ns > end_ns:
                stream.now_ns = end_ns
                return stream
            stream.now_ns = at_ns
            self._event(rng.randrange(self.n))

    def _event(self, k: int) -> None:
        rng = self.random
        self.lean[k] = max(min(self.lean[k] * 0.995 + rng.gauss(0, 0.06), 1.0), -1.0)
        if rng.random() < 0.5:
            step = int(math.copysign(10, rng.random() - 0.5 + 0.35 * self.lean[k])) if rng.random() < 0.6 else 0
            self.mid[k] += step
            self._book(k)
            return
        trades = []
        for _ in range(rng.randrange(1, 4)):
            side = 1 if rng.random() < 0.5 + 0.45 * self.lean[k] else -1
            trades.append((self.mid[k] + 5 * side, rng.randrange(1, 500), side))
        self.stream.trades(k, trades)
