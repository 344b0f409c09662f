"""The synthetic exchange as one object: a market of N symbols, its streams, its answers. No clock, no socket.

`step(now_ms)` advances by STEP_MS and returns the frames that are due. Everything follows from (symbols, seed, rate)
and the sequence of step times; listening clients change nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gateway.venue import market_kernels
from gateway.venue.book_kernels import open_book
from gateway.venue.book_stream_kernels import capture, snapshot_frame
from gateway.venue.history import History
from gateway.venue.instruments import Instrument, invented_coin
from gateway.venue.market import name_seed, new_market, seat
from gateway.venue.stream_kernels import publish
from gateway.venue.streams import (
    DEPTHS,
    KIND_KLINE,
    KIND_LIQUIDATION,
    KIND_NAMES,
    KIND_TICKERS,
    KIND_TRADES,
    KINDS,
    STEP_MS,
    new_streams,
    parse_topic,
    set_name,
)
from gateway.venue.ticker_stream_kernels import capture_ticker, ticker_snapshot

NEW_LISTINGS = 16  # room for symbols that are listed while we run
OUT_BYTES = 16 * 1024 * 1024
MAX_FRAMES = 32768

class SyntheticExchange:
    """Market and streams of `instruments` (most active first), starting at `start_ms` (Unix ms).

    rate scales all activity; 1.0 looks like an ordinary hour.
    """

    def __init__(self, instruments: list[Instrument], seed: int, start_ms: int, rate: float = 1.0) -> None:
        self.seed = seed
        self.rate = rate
        self.start_ms = self.now_ms = start_ms
        self.steps = 0
        capacity = len(instruments) + NEW_LISTINGS
        self.market = new_market(capacity)
        self.market.random[-1] = np.uint64(name_seed("BTC factor", seed))
        self.streams = new_streams(capacity)
        self.instruments: list[Instrument] = []
        self.histories: list[History] = []
        self.row_of: dict[str, int] = {}
        self.by_symbol: dict[str, Instrument] = {}
        self.settled: dict[int, list[tuple[int, int]]] = {}  # row -> (funding instant ms, rate 1e-8) since the start
        self.first_minute_ms: list[int] = []  # per row: from here on candles are traded, before they are history
        self._out = np.zeros(OUT_BYTES, np.uint8)
        self._frames = np.zeros((MAX_FRAMES, 4), np.int64)
        self._view = self._out.data
        for rank, instrument in enumerate(instruments):
            self._seat(instrument, rank)

    # -- symbols -----------------------------------------------------------------------------------------------------
    def _seat(self, instrument: Instrument, rank: int) -> int:
        row = len(self.instruments)
        history = History(name_seed(instrument.symbol, self.seed) % 2**63, instrument.price, self.now_ms)
        set_name(self.streams, row, instrument.symbol)
        seat(self.market, row, instrument, rank, self.seed, self.rate, self.now_ms, history)
        open_book(self.market, row, self.now_ms)
        self.histories.append(history)
        self.instruments.append(instrument)
        self.row_of[instrument.symbol] = row
        self.by_symbol[instrument.symbol] = instrument
        self.first_minute_ms.append(self.now_ms // 60_000 * 60_000)
        return row

    def list_new(self, instrument: Instrument | None = None) -> str:
        """List one more symbol now, as busy as a hot new coin; returns its name. Raises IndexError when full."""
        if len(self.instruments) >= len(self.market.symbols):
            raise IndexError("no room for another listing")
        number = len(self.instruments)
        if instrument is None:
            draw = np.random.default_rng([self.seed, 79, number])
            instrument = invented_coin(number + 4000, draw, launch_ms=self.now_ms)
        self._seat(instrument, rank=min(12, number))
        return instrument.symbol

    def delist(self, symbol: str) -> None:
        """Stop trading a symbol: it leaves the Trading list, its streams fall silent, its row is not used again."""
        row = self.row_of[symbol]
        self.market.symbols[row].listed = 0
        old = self.instruments[row]
        answer = {**old.answer, "status": "Closed", "deliveryTime": str(self.now_ms)}
        self.instruments[row] = Instrument(
            old.symbol, answer, old.tick_mant, old.price_exp, old.lot_mant, old.qty_exp, old.price
        )
        self.by_symbol[symbol] = self.instruments[row]

    # -- time --------------------------------------------------------------------------------------------------------
    def step(self, now_ms: int) -> list[tuple[tuple[int, int], memoryview]]:
        """Advance one step that ends at `now_ms`; returns ((kind, row), frame) of what is due.

        The frames are views into a buffer that the next call of this object overwrites.
        """
        n = len(self.instruments)
        before_ms, self.now_ms = self.now_ms, now_ms
        market_kernels.step_market(self.market, n, now_ms, STEP_MS / 1000.0)
        self.steps += 1
        if self.steps % (1000 // STEP_MS) == 0:
            market_kernels.mark_prices(self.market, n, now_ms, 1.0)
        if self.steps % (60_000 // STEP_MS) == 0:
            self._roll_day_figures()
        if now_ms // 60_000 != before_ms // 60_000:
            self._note_settlements(now_ms // 60_000)
        market_kernels.close_candles(self.market, n, now_ms)
        count = publish(self.market, self.streams, n, self.steps, now_ms, self._out, self._frames)
        view = self._view
        return [
            ((kind, row), view[start:start + length]) for start, length, kind, row in self._frames[:count].tolist()
        ]

    def _note_settlements(self, minute: int) -> None:
        """A new minute: the symbols whose funding instant it is settle at the rate of now."""
        symbols = self.market.symbols[: len(self.instruments)]
        for row in np.flatnonzero(minute % symbols["funding_min"] == 0):
            self.settled.setdefault(int(row), []).append((minute * 60_000, int(symbols["funding_e8"][row])))

    def _roll_day_figures(self) -> None:
        """Once a minute: prices of 24 h and 1 h ago move on, the minute of a day ago leaves the day's volume."""
        for row, instrument in enumerate(self.instruments):
            s = self.market.symbols[row]
            before = self.histories[row].price(np.array([self.now_ms - 86_400_000, self.now_ms - 3_600_000]))
            s.prev24 = max(1, round(float(before[0]) / instrument.tick_size))
            kept = int(s.minute_head)
            if kept >= 60:
                s.prev1h = self.market.minutes[row, (kept - 60) % self.market.minutes.shape[1]].open
            else:
                s.prev1h = max(1, round(float(before[1]) / instrument.tick_size))
            s.turnover24 -= s.turnover24 // 1440
            s.volume24 -= s.volume24 // 1440

    # -- topics ------------------------------------------------------------------------------------------------------
    def find(self, topic: str) -> tuple[int, int] | None:
        """(kind, row) of a topic that can be subscribed now, else None."""
        parsed = parse_topic(topic)
        if parsed is None:
            return None
        row = self.row_of.get(parsed[1])
        if row is None or self.market.symbols[row].listed == 0:
            return None
        return parsed[0], row

    def name_of(self, key: tuple[int, int]) -> str:
        """The topic of a key, as `find` takes it."""
        return f"{KIND_NAMES[key[0]]}.{self.instruments[key[1]].symbol}"

    def topics_of(self, row: int) -> list[tuple[int, int]]:
        return [(kind, row) for kind in range(KINDS)]

    def activate(self, key: tuple[int, int]) -> None:
        """The topic gets its first subscriber: from now on it is computed."""
        kind, row = key
        streams, s = self.streams, self.market.symbols[row]
        if kind < len(DEPTHS):
            capture(self.market, streams, self._levels(kind), kind, row, self.now_ms)
        elif kind == KIND_TRADES:
            streams.trade_sent[row] = s.trade_head
        elif kind == KIND_TICKERS:
            capture_ticker(self.market, streams, row)
        elif kind == KIND_LIQUIDATION:
            streams.liquidation_sent[row] = s.liquidation_head
        else:
            streams.kline_key[kind - KIND_KLINE, row] = -1
        streams.active[kind, row] = 1

    def deactivate(self, key: tuple[int, int]) -> None:
        """The last subscriber left."""
        self.streams.active[key] = 0

    def snapshot(self, key: tuple[int, int]) -> bytes | None:
        """The frame a new subscriber gets at once (books, tickers): exactly what the topic has published so far."""
        kind, row = key
        if kind >= KIND_TRADES and kind != KIND_TICKERS:
            return None
        if kind == KIND_TICKERS:
            ticker_snapshot(self.market, self.streams, row, self.now_ms, self._out, 0, self._frames, 0)
        else:
            levels = self._levels(kind)
            snapshot_frame(self.market, self.streams, levels, kind, row, self.now_ms, self._out, 0, self._frames, 0)
        start, length = self._frames[0, :2].tolist()
        return bytes(self._view[start:start + length])

    def _levels(self, kind: int) -> Any:
        s = self.streams
        return (s.levels1, s.levels50, s.levels200, s.levels1000)[kind]

    # -- faults ------------------------------------------------------------------------------------------------------
    def restart_book(self, key: tuple[int, int], again: bool = True) -> bytes:
        """A snapshot nobody asked for. again: the service restarted, u = 1, and the counter goes on from there."""
        kind, row = key
        if again:
            self.streams.u[kind, row] = 0
        capture(self.market, self.streams, self._levels(kind), kind, row, self.now_ms)
        frame = self.snapshot((kind, row))
        assert frame is not None
        return frame

    def restart_counters(self) -> None:
        """All book topics restart: whoever subscribes next gets a snapshot with u = 1."""
        self.streams.u[:] = 0
