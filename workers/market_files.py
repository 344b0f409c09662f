"""The stores `trades_stream` and `microcandles` of requirement A20, made from the journal while it is written.

    trades_stream/DAY/SYMBOL.jsonl   {"ts_ns", "n", "trades": [[match ms, price, quantity, "Buy"|"Sell", id], ...]}
    microcandles/DAY/SYMBOL.jsonl    {"ts_ns", "s": 1|3|5|15, "o", "h", "l", "c", "volume", "delta", "trades"}    closed ones

One line per publicTrade frame and per closed candle; candles go by receive time, as the engine's do, leave block trades out and
are not written for periods without trades. Prices and quantities are decimal texts as they came; `n` counts the records of
the raw stream. A thread reads the files of the journal, never a ring, and takes at most a tenth of a core from the recorder: in
a storm the files lag behind, and catch up after it. (No lower priority: with the interpreter's lock in hand and no core, it would
keep the recorder waiting.) It goes on where `market_files.mark` says: a line may stand
twice after a kill, none is missing; candles open at a restart are left out. What lags when the run ends is read for 10 s more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from config.atomic_file import write_replacing
from config.paths import DataPaths
from core.constants import NS_PER_S
from core.consumption import Kind
from shm.journal_reader import runs
from workers.journal_follow import FollowedJournal
from workers.run_journal import Record
from workers.stores import NAME, Stores

TRADES, CANDLES, MARK = "trades_stream", "microcandles", "market_files.mark"
SECONDS = (1, 3, 5, 15)
LOOK_S = 0.5
FLUSH_S = 5.0
LOOK_RECORDS = 256
SHARE = 0.1  # of a core
STOP_S = 10.0


def rest_s(cpu_s: float, wall_s: float) -> float:
    """How long to wait so that `cpu_s` of work in `wall_s` become SHARE of the time."""
    return max(0.0, cpu_s / SHARE - wall_s)


class PublicTrade(msgspec.Struct):
    """What is kept of a row of publicTrade."""

    T: int
    S: str
    v: str
    p: str
    i: str = ""
    BT: bool = False


class TradeFrame(msgspec.Struct):
    topic: str
    data: list[PublicTrade]


class Mark(msgspec.Struct):
    """How far a run's raw stream is in the files."""

    run_id: str
    records: int


class Candle:
    """One open candle; prices as texts with their numbers beside them."""

    __slots__ = ("close", "delta", "high", "low", "open", "period", "trades", "volume")

    def __init__(self, period: int, price: str) -> None:
        self.period = period
        self.open = self.high = self.low = self.close = price
        self.volume = self.delta = Decimal(0)
        self.trades = 0

    def add(self, trade: PublicTrade) -> None:
        price, quantity = Decimal(trade.p), Decimal(trade.v)
        if price > Decimal(self.high):
            self.high = trade.p
        if price < Decimal(self.low):
            self.low = trade.p
        self.close = trade.p
        self.volume += quantity
        self.delta += quantity if trade.S == "Buy" else -quantity
        self.trades += 1

    def line(self, seconds: int) -> dict[str, Any]:
        return {
            "ts_ns": self.period * seconds * NS_PER_S, "s": seconds, "o": self.open, "h": self.high, "l": self.low,
            "c": self.close, "volume": format(self.volume.normalize(), "f"), "delta": format(self.delta.normalize(), "f"),
            "trades": self.trades,
        }


class MarketLines:
    """Records of the raw stream in, lines of the two stores out. `skip`: records that were taken before."""

    def __init__(self, stores: Stores, skip: int = 0) -> None:
        self.records = 0
        self._stores = stores
        self._skip = skip
        self._candles: dict[tuple[str, int], Candle] = {}
        self._first: dict[tuple[str, int], int] = {}  # with `skip`: the period that may have begun before
        self._swept_ns = 0
        self._decoder = msgspec.json.Decoder(TradeFrame)

    def take(self, record: Record) -> None:
        self.records += 1
        frame = record.frame
        if self.records <= self._skip or frame.kind > Kind.FRAME_END:
            return
        if frame.ts_recv_ns - self._swept_ns >= NS_PER_S:
            self._swept_ns = frame.ts_recv_ns
            self._close_older(frame.ts_recv_ns)
        if b"publicTrade." not in frame.data[:64] and b'"topic":"publicTrade.' not in frame.data:
            return
        try:
            found = self._decoder.decode(frame.data)
        except msgspec.MsgspecError:
            return
        symbol = found.topic.rpartition(".")[2]
        if not found.topic.startswith("publicTrade.") or not found.data or not NAME.fullmatch(symbol):
            return
        self._stores.append(TRADES, symbol, {
            "ts_ns": frame.ts_recv_ns, "n": self.records,
            "trades": [[trade.T, trade.p, trade.v, trade.S, trade.i] for trade in found.data],
        })
        for trade in found.data:
            if not trade.BT:
                self._candle(symbol, frame.ts_recv_ns, trade)

    def _candle(self, symbol: str, ts_ns: int, trade: PublicTrade) -> None:
        for seconds in SECONDS:
            key, period = (symbol, seconds), ts_ns // (seconds * NS_PER_S)
            candle = self._candles.get(key)
            if candle is not None and period > candle.period:
                self._write(key, candle)
                candle = None
            if candle is None:
                candle = self._candles[key] = Candle(period, trade.p)
                self._first.setdefault(key, period)
            candle.add(trade)

    def _close_older(self, ts_ns: int) -> None:
        """Candles whose period is over, traded again or not."""
        for key, candle in list(self._candles.items()):
            if (candle.period + 1) * key[1] * NS_PER_S <= ts_ns:
                del self._candles[key]
                self._write(key, candle)

    def _write(self, key: tuple[str, int], candle: Candle) -> None:
        symbol, seconds = key
        if not self._skip or candle.period > self._first[key]:
            self._stores.append(CANDLES, symbol, candle.line(seconds))

    def finish(self) -> None:
        """The stream has ended: what is open is written as it is."""
        for key, candle in self._candles.items():
            self._write(key, candle)
        self._candles.clear()


class MarketFiles:
    """The thread. `start`, and `stop` once the journal is closed: it then reads to the end, for `STOP_S` at most."""

    def __init__(
        self, paths: DataPaths, run_id: str, on_error: Callable[[OSError], None] = lambda error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths, self._run_id, self._on_error, self._clock = paths, run_id, on_error, clock
        self._stores = Stores(paths, on_error)
        self._stopping = threading.Event()
        self._give_up_s = 0.0
        self._flushed_s = clock()
        self._cpu_s = self._wall_s = 0.0
        self._thread: threading.Thread | None = None
        self._lines = MarketLines(self._stores)

    @property
    def mark_file(self) -> Path:
        return self._paths.system_dir / MARK

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="market-files", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._give_up_s = self._clock() + STOP_S
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S + 1.0)

    def _run(self) -> None:
        ended = False
        while self._run_id not in runs(self._paths.journal_dir):
            if ended:
                return
            ended = self._stopping.wait(LOOK_S)  # the journal may have come meanwhile: one more look
        self.work()

    def work(self) -> None:
        """Everything from the mark to the end of the run."""
        self._lines = lines = MarketLines(self._stores, self._marked())
        self._cpu_s, self._wall_s = time.thread_time(), self._clock()
        journal = FollowedJournal(self._paths.journal_dir, self._run_id, self._more)
        for record in journal.read("raw"):
            lines.take(record)
            if lines.records % LOOK_RECORDS == 0:
                if self._stopping.is_set() and self._clock() > self._give_up_s:
                    break
                if self._clock() - self._flushed_s >= FLUSH_S:  # behind: what is read must not gather
                    self._flush()
                self._rest()
        else:
            lines.finish()
        self._flush()

    def _rest(self) -> None:
        """Keep to the share, except at the end."""
        wait_s = rest_s(time.thread_time() - self._cpu_s, self._clock() - self._wall_s)
        if wait_s > 0.005:
            self._stopping.wait(wait_s)
            self._cpu_s, self._wall_s = time.thread_time(), self._clock()

    def _more(self) -> bool:
        self._cpu_s, self._wall_s = time.thread_time(), self._clock()  # what was idle is not saved up
        if self._clock() - self._flushed_s >= FLUSH_S:
            self._flush()
        return not self._stopping.wait(LOOK_S)

    def _marked(self) -> int:
        try:
            mark = msgspec.json.decode(self.mark_file.read_bytes(), type=Mark)
        except (OSError, msgspec.MsgspecError):
            return 0
        return mark.records if mark.run_id == self._run_id else 0

    def _flush(self) -> None:
        """Lines, then the mark. The files are closed: there may be more of them than a process may hold open."""
        self._flushed_s = self._clock()
        if not self._stores.flush():
            return
        self._stores.close()
        try:
            write_replacing(self.mark_file, msgspec.json.encode(Mark(self._run_id, self._lines.records)))
        except OSError as error:
            self._on_error(error)
