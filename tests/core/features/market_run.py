"""The venue's synthetic market through the real decoder into one engine: in process, virtual time, no socket.

    run = MarketRun(Timeline((Event(30.0, "spoof", "LINKUSDT"),)), symbols=12, seed=7)
    run.go(60.0, each=sample)          # `each(run)` is called after every TIMER (100 ms)
    run.logs                           # LOG rows of the engine, in order
    run.truth.happenings               # what the venue really did; times in ms, like run.now_ms
    run.feature("LINKUSDT", "spoof")

Frames reach the engine `delay_ms` after the venue's step that made them (a delay per topic family), in order of arrival:
books and trades are separate topics and may overtake each other, as they do on the exchange.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np

from config.schema import Settings
from core.constants import NS_PER_MS
from core.engine.engine import NO_ROOM, P_BLOCKED, P_LOGS, P_WORDS, run_batch
from core.engine.state import EngineState, new_state
from core.enums import Category
from core.features.registry import TABLES
from core.records import EVENT, LOG, MESSAGE, REPORT
from gateway.bybit.decode import Outcome, decode_slow
from gateway.bybit.symbol_index import SymbolIndex
from gateway.bybit.universe import parse_instrument
from gateway.venue.faults import Faults
from gateway.venue.hub import Counters, Hub
from gateway.venue.instruments import synthetic_instruments
from gateway.venue.scenarios import ScenarioEngine, Timeline
from gateway.venue.streams import KIND_TRADES, STEP_MS
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Truth
from tests.core.engine.streams import Stream, symbol_record
from tests.reference.venue import payload

START_MS = 1_786_310_760_000 + 37_000  # 37 s into a minute
TIMER_MS = 100
TOPICS = ("orderbook.50", "publicTrade", "tickers", "allLiquidation")
KEPT_LOGS = 4096


class MarketRun:
    """One venue and one engine (free pacing, nobody answers its messages)."""

    def __init__(
        self, timeline: Timeline, *, symbols: int = 12, seed: int = 1, rate: float = 1.0, category: Category = Category.NORMAL,
        settings: Settings | None = None, book_delay_ms: int = 5, trade_delay_ms: int = 5, levels: int = 64, **params: Any,
    ) -> None:  # fmt: skip
        self.exchange = SyntheticExchange(synthetic_instruments(symbols, seed), seed, START_MS, rate)
        self.truth = Truth()
        hub = Hub(self.exchange, Counters())
        self.scenario = ScenarioEngine(self.exchange, timeline, self.truth, Faults(hub, self.truth, self.exchange))
        self.state: EngineState = new_state(symbols, levels)
        self.names = [item.symbol for item in self.exchange.instruments]
        self.slot_of = {name: slot for slot, name in enumerate(self.names)}
        self.logs: list[np.void] = []
        self.frames = 0
        self._delays = (book_delay_ms, trade_delay_ms)
        self._waiting: list[tuple[int, int, bytes]] = []
        self._place = 0
        self._index = SymbolIndex(4 * symbols)
        self._scratch = np.zeros((4096, 8), np.int64)
        self._stream = Stream(START_MS * NS_PER_MS)
        self._stream.config(settings, **params)
        self._stream.feed()
        self._out, self._rows = np.zeros(4096, MESSAGE.dtype), np.zeros(KEPT_LOGS, LOG.dtype)
        self._reports, self._progress = np.zeros(1, REPORT.dtype), np.zeros(P_WORDS, np.int64)
        for slot, name in enumerate(self.names):
            item = parse_instrument(self.exchange.instruments[slot].answer)
            assert item is not None
            (tick, price_exp), (lot, qty_exp) = item.tick, item.lot
            record = symbol_record(
                slot, name, category, tick_mant=tick, price_exp=price_exp, tick_size=tick / 10**price_exp,
                lot_mant=lot, qty_exp=qty_exp, lot_size=lot / 10**qty_exp, depth=50,
            )  # fmt: skip
            self._index.add(record)
            self._stream.listing(record)
            for topic in TOPICS:
                key = self.exchange.find(f"{topic}.{name}")
                assert key is not None
                self.exchange.activate(key)
                snapshot = self.exchange.snapshot(key)
                if snapshot is not None:
                    self._put(self.exchange.now_ms, key, payload(snapshot))

    @property
    def now_ms(self) -> int:
        return self.exchange.now_ms

    def feature(self, symbol: str, name: str) -> float:
        """A feature now, from whichever table has it."""
        slot = self.slot_of[symbol]
        tables = (self.state.features.row, self.state.walls.row, self.state.moves.row)
        assert len(tables) == len(TABLES)
        return float(next(t for t in tables if name in (t.dtype.names or ()))[slot][name])

    def go(self, seconds: float, each: Callable[[MarketRun], None] | None = None) -> MarketRun:
        """Advance virtual time; `each` sees the run after every TIMER."""
        for _ in range(round(seconds * 1000) // STEP_MS):
            now_ms = self.exchange.now_ms + STEP_MS
            self.scenario.advance(now_ms)
            for key, frame in self.exchange.step(now_ms):
                self._put(now_ms, key, payload(frame))
            while self._waiting and self._waiting[0][0] <= now_ms:
                at_ms, _, frame = heapq.heappop(self._waiting)
                self._take(at_ms, frame)
            if now_ms % TIMER_MS == 0:
                self._stream.now_ns = now_ms * NS_PER_MS
                self._stream.timer()
                self._run()
                if each is not None:
                    each(self)
        self._run()
        return self

    def _put(self, now_ms: int, key: tuple[int, int], frame: bytes) -> None:
        self._place += 1
        heapq.heappush(self._waiting, (now_ms + self._delays[key[0] == KIND_TRADES], self._place, frame))

    def _take(self, at_ms: int, frame: bytes) -> None:
        self._stream.now_ns = at_ms * NS_PER_MS
        decoded = decode_slow(frame, self._index, self._stream.now_ns, 0, 0, self._scratch, 0)
        assert decoded.kind is Outcome.DECODED, decoded
        cells = self._scratch[: decoded.n_cells].copy()
        self._stream.seq += 1
        self.frames += 1
        cells[:1].reshape(-1).view(EVENT.dtype)["seq"] = self._stream.seq
        self._stream.parts.append(cells)

    def _run(self) -> None:
        cells = self._stream.cells()
        self._stream.parts.clear()
        at = 0
        while at < len(cells):
            at = run_batch(
                self.state, cells, at, len(cells), self._reports, 0, self._out, self._rows, self._progress
            )  # fmt: skip
            assert self._progress[P_BLOCKED] in (0, NO_ROOM)
            self.logs += list(self._rows[: self._progress[P_LOGS]].copy())
