"""Event streams for the tests of books, tapes, candles and features: recorded frames and seeded generators."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.enums import EventKind
from core.records import LEVEL, TICKER, TRADE
from tests.reference.tape import Trade

Levels = list[tuple[int, int]]
REAL_TAPE = "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz"
DERIVED_TAPE = "DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz"
XRP_ARCHIVE = "2024-12-01_XRPUSDT_ob500.jsonl"
TICKER_WIRE = {  # field of the frame: (index in TICKER, decimals kept)
    "markPrice": (6, 10), "indexPrice": (7, 10), "openInterest": (8, 4), "turnover24h": (9, 4), "volume24h": (10, 4),
    "fundingRate": (11, 10), "price24hPcnt": (13, 8),
}  # fmt: skip


class Event(NamedTuple):
    kind: EventKind
    symbol: str
    ts_ns: int
    depth: int = 0
    bids: Levels = []  # noqa: RUF012
    asks: Levels = []  # noqa: RUF012
    trades: list[Trade] = []  # noqa: RUF012
    ticker: dict[int, int] = {}  # noqa: RUF012


def scaled(text: str, exponent: int) -> int:
    """Decimal text as an integer of 10^-exponent units; digits beyond are refused."""
    sign = -1 if text.startswith("-") else 1
    whole, _, fraction = text.lstrip("-").partition(".")
    if len(fraction.rstrip("0")) > exponent:
        raise ValueError(f"{text} has more than {exponent} decimals")
    return sign * int(whole + fraction[:exponent].ljust(exponent, "0"))


def recorded_messages(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(receive time, topic message) of every topic frame of a tape (`<ns> <frame>` lines) or an archive file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        for line in lines:
            stamp, _, frame = line.partition(" ") if line[0] != "{" else ("", "", line)
            message = json.loads(frame)
            if "topic" in message:
                yield int(stamp) if stamp else message["ts"] * 1_000_000, message


@cache
def recorded_events(path: Path) -> tuple[list[Event], dict[str, tuple[int, int]]]:
    """All book, trade and ticker events of a tape, and (price, quantity) decimals per symbol as seen in its frames.

    Cached: several tests read the same tape; callers leave the lists alone.
    """
    messages = list(recorded_messages(path))
    digits: dict[str, list[int]] = {}
    for _, m in messages:
        for price, qty in _pairs(m):
            row = digits.setdefault(m["topic"].rsplit(".", 1)[1], [0, 0])
            row[0] = max(row[0], len(price.partition(".")[2].rstrip("0")))
            row[1] = max(row[1], len(qty.partition(".")[2].rstrip("0")))
    events = []
    for ts_ns, m in messages:
        symbol = m["topic"].rsplit(".", 1)[1]
        if symbol in digits:
            event = _event(ts_ns, symbol, m, *digits[symbol])
            if event:
                events.append(event)
    return events, {symbol: (row[0], row[1]) for symbol, row in digits.items()}


def _pairs(message: dict[str, Any]) -> list[tuple[str, str]]:
    if message["topic"].startswith("orderbook"):
        return [(p, q) for p, q in message["data"]["b"] + message["data"]["a"]]
    if message["topic"].startswith("publicTrade"):
        return [(t["p"], t["v"]) for t in message["data"]]
    return []


def _event(ts_ns: int, symbol: str, message: dict[str, Any], price_exp: int, qty_exp: int) -> Event | None:
    topic, data = message["topic"], message["data"]
    if topic.startswith("orderbook"):
        bids, asks = ([(scaled(p, price_exp), scaled(q, qty_exp)) for p, q in data[side]] for side in "ba")
        kind = EventKind.BOOK_SNAPSHOT if message["type"] == "snapshot" else EventKind.BOOK_DELTA
        return Event(kind, symbol, ts_ns, int(topic.split(".")[1]), bids, asks)
    if topic.startswith("publicTrade"):
        trades = [
            Trade(
                scaled(t["p"], price_exp), scaled(t["v"], qty_exp), 1 if t["S"] == "Buy" else -1,
                int(t["BT"]) | 2 * int(t.get("RPI", False)), t["T"] * 1_000_000,
            )
            for t in data
        ]  # fmt: skip
        return Event(EventKind.TRADES, symbol, ts_ns, trades=trades)
    if topic.startswith("tickers"):
        fields = {k: scaled(data[name], exp) for name, (k, exp) in TICKER_WIRE.items() if data.get(name)}
        return Event(EventKind.TICKER, symbol, ts_ns, ticker=fields)
    return None


def with_timers(events: list[Event]) -> Iterator[Event]:
    """`events` with a TIMER at every 100 ms boundary between them, as the gateway does for a tape."""
    step = 100_000_000
    due = (events[0].ts_ns // step + 1) * step
    for event in events:
        while due <= event.ts_ns:
            yield Event(EventKind.TIMER, "", due)
            due += step
        yield event


def level_array(bids: Levels, asks: Levels, pad: int = 0) -> np.ndarray:
    """LEVEL[:] of bids then asks, after `pad` entries that must not be read."""
    levels = np.zeros(pad + len(bids) + len(asks), LEVEL.dtype)
    for i, (price, qty) in enumerate([(7, 7)] * pad + bids + asks):
        levels[i] = (price, qty)
    return levels


def trade_array(trades: list[Trade]) -> np.ndarray:
    array = np.zeros(len(trades), TRADE.dtype)
    for i, t in enumerate(trades):
        array[i] = (t.price, t.qty, t.ts_exch_ns, t.side, t.flags, 0)
    return array


def ticker_cells(fields: dict[int, int]) -> np.ndarray:
    words = np.zeros(TICKER.size // 8, np.int64)
    for k, value in fields.items():
        words[k] = value
        words[0] |= 1 << k
    return words.reshape(-1, 8)


class Market:
    """A seeded market of one symbol: a book that moves, refills and is eaten, with every irregularity a feed has."""

    def __init__(self, seed: int, levels: int = 24, start_ns: int = 1_700_000_000_000_000_000, wild: bool = True) -> None:
        self.random = np.random.default_rng(seed)
        self.levels, self.now_ns, self.wild = levels, start_ns, wild
        self.mid = 50_000
        self.broken = True

    def events(self, n: int) -> Iterator[Event]:
        for _ in range(n):
            self.now_ns += self._pause_ns()
            yield self._next()

    def _pause_ns(self) -> int:
        roll = self.random.random()
        if self.wild and roll < 0.0005:
            return int(self.random.integers(1, 900)) * 1_000_000_000  # silence, now and then beyond every window
        if roll < 0.01:
            return int(self.random.integers(0, 5_000_000_000))
        return int(self.random.exponential(30e6))

    def _side(self, sign: int, n: int) -> Levels:
        prices = self.mid + sign * np.sort(self.random.choice(np.arange(1, 3 * self.levels), n, replace=False))
        return [(int(p), int(q)) for p, q in zip(prices, self.random.integers(1, 5_000, n), strict=True)]

    def _change(self, sign: int) -> Levels:
        n = int(self.random.geometric(0.25))
        offsets = self.random.integers(0 if self.wild else 1, 3 * self.levels, n)
        if self.random.random() < 0.8:
            offsets = np.unique(offsets)
        deletes = self.random.random(len(offsets)) < 0.45
        lots = self.random.integers(1, 5_000, len(offsets))
        return [(int(self.mid + sign * o), int(0 if d else q)) for o, d, q in zip(offsets, deletes, lots, strict=True)]

    def _trades(self) -> list[Trade]:
        side = 1 if self.random.random() < 0.5 else -1
        n = int(self.random.geometric(0.4))
        out = []
        for _ in range(n):
            if self.random.random() < 0.2:
                side = -side
            flags = 1 if self.wild and self.random.random() < 0.02 else 0
            price = self.mid + int(self.random.integers(-5, 6))
            out.append(Trade(price, int(self.random.pareto(1.5) * 20) + 1, side, flags, self.now_ns - 5_000_000))
        return out

    def _next(self) -> Event:
        roll = self.random.random()
        self.mid = max(self.mid + int(self.random.integers(-1, 2)), 5_000)
        if roll < 0.02 and self.wild:
            self.mid = max(self.mid + int(self.random.normal(0, 400)), 5_000)
        if self.broken or roll < 0.003:
            self.broken = False
            n = int(self.random.integers(0, self.levels + 1)), int(self.random.integers(0, self.levels + 1))
            if self.random.random() < 0.8:
                n = self.levels, self.levels
            return Event(EventKind.BOOK_SNAPSHOT, "X", self.now_ns, 50, self._side(-1, n[0]), self._side(1, n[1]))
        if roll < 0.006 and self.wild:
            self.broken = True
            return Event(EventKind.SYMBOL_DATA, "X", self.now_ns)
        if roll < 0.55:
            return Event(EventKind.BOOK_DELTA, "X", self.now_ns, 50, self._change(-1), self._change(1))
        if roll < 0.80:
            return Event(EventKind.TRADES, "X", self.now_ns, trades=self._trades())
        if roll < 0.85:
            keys = self.random.choice([k for k, _ in TICKER_WIRE.values()], int(self.random.integers(1, 5)), replace=False)
            return Event(
                EventKind.TICKER, "X", self.now_ns, ticker={int(k): int(self.random.integers(1, 1 << 40)) for k in keys}
            )
        if roll < 0.86:
            return Event(EventKind.LIQUIDATION, "X", self.now_ns, trades=self._trades())
        return Event(EventKind.TIMER, "X", self.now_ns)
