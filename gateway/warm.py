"""Compile (or load) every kernel of the gateway: `python -m gateway.warm`. See shm/warm.py.

The steps run a tiny tape through the same objects the process uses, over rings in private memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from config.schema import Settings
from core.enums import DataReason, DataState, EventKind, LogKind
from core.params import params_row
from core.records import SYMBOL
from gateway.bybit.symbol_index import SymbolIndex
from gateway.bybit.universe import Selector, Universe
from gateway.connection import Stage, WallClock
from gateway.intake import Intake
from gateway.publisher import Publisher
from gateway.tape import FRAME_COLUMNS, TapeReader
from gateway.tape_scan import TapeContents, scan_tape, tape_instruments
from gateway.venue.warm import warm_up, warm_up_private
from shm import warm
from shm.broadcast import BroadcastRing
from shm.control import CncPage, ControlBlock, cnc_turn
from shm.counters import PAGE_WORDS, CounterPage
from shm.logs import LogWriter
from shm.seqlock import Board
from shm.tap import Tap

_TS = 1_700_000_000_000
_FRAMES = (
    b'{"topic":"orderbook.50.AUSDT","type":"snapshot","ts":%d,"data":{"s":"AUSDT","b":[["1.5","2"]],"a":[],"u":5,"seq":7}}',
    b'{"topic":"orderbook.50.AUSDT","type":"delta","ts":%d,"data":{"s":"AUSDT","b":[["1.5","0"]],"a":[],"u":6,"seq":8}}',
    b'{"topic":"publicTrade.AUSDT","type":"snapshot","ts":%d,"data":[{"T":1,"s":"AUSDT","S":"Buy","v":"1","p":"1.6"}]}',
    b'{"topic":"tickers.AUSDT","type":"delta","data":{"symbol":"AUSDT","lastPrice":"1.6"},"cs":3,"ts":%d}',
    (
        b'{"topic":"kline.1.AUSDT","data":[{"start":1,"end":2,"interval":"1","open":"1.5","close":"1.6","high":"1.6",'
        b'"low":"1.5","volume":"3","turnover":"4.6","confirm":false,"timestamp":2}],"ts":%d,"type":"snapshot"}'
    ),
    b'{ "success":true, "ret_msg":"%d", "op":"subscribe", "req_id":"1" }',
)


def ring(cells: int = 4096) -> BroadcastRing:
    """A ring in private memory."""
    body: np.ndarray = np.zeros(BroadcastRing.bytes_needed(cells), np.uint8)
    return BroadcastRing.format(body, cells)


class _Warm:
    """The objects of a run, small."""

    def __init__(self) -> None:
        settings = Settings()
        self.counters = CounterPage(np.zeros(PAGE_WORDS, np.int64))
        self.publisher = Publisher([ring().writer(gated=True)], 1024, lambda seq: None, lambda: True)
        self.symbols = SymbolIndex(1024)
        self.intake = Intake(self.publisher, self.counters, self.symbols)
        self.universe = Universe(settings.symbols, settings.trading.fees, Selector(), 1)
        self.row = params_row(settings, 1)
        self.contents: TapeContents | None = None

    def tape(self) -> None:
        """Scan and read a tape."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "warm.frames"
            lines = [b"%d000000 " % (_TS + i) + frame % (_TS + i) for i, frame in enumerate(_FRAMES)]
            path.write_bytes(b"\n".join([*lines, _FRAMES[0] % _TS]))
            self.contents = scan_tape([path])
            self.reader = TapeReader([path])
            self.stage: np.ndarray = np.zeros(1 << 16, np.uint8)
            self.frames: np.ndarray = np.zeros((64, FRAME_COLUMNS), np.int64)
            self.count = self.reader.read(self.stage, self.frames, time.monotonic_ns())
            self.reader.close()

    def order(self) -> None:
        """The gateway's own events and publication."""
        assert self.contents is not None
        changes = self.universe.start(tape_instruments(self.contents, {}), {}, self.contents.first_ns)
        self.publisher.start(self.contents.first_ns)
        self.publisher.broadcast(EventKind.CONFIG, payload=self.row)
        for symbol in changes.listed:
            record = self.universe.records[symbol : symbol + 1].copy()
            self.symbols.add(record)
            self.publisher.listing(record)
        self.publisher.data_state(0, DataState.BROKEN, DataReason.GAP)
        self.publisher.tick(self.contents.first_ns + 200_000_000, 0)
        self.publisher.publish()

    def decode(self) -> None:
        """Frames to events, by the socket's stage as well."""
        self.intake.process(self.stage, self.frames, self.count, 0)
        stage = Stage(self.intake.process, WallClock())
        stage.pending.append(_FRAMES[1] % _TS)
        stage.flush(1)
        Tap(ring()).offer(self.stage, self.frames, self.count)

    def tables(self) -> None:
        """Boards, logs, control words."""
        body: np.ndarray = np.zeros(Board.bytes_needed(SYMBOL.dtype, 4), np.uint8)
        board = Board.format(body, SYMBOL.dtype, 4)
        board.write(0, self.universe.records[:1].copy())
        board.read_all(np.zeros(4, SYMBOL.dtype))
        LogWriter(ring(4096), 1).emit(LogKind.FEED, text="warm")
        control = ControlBlock.format(np.zeros(ControlBlock.bytes_needed() // 8, np.int64))
        control.bits()
        control.set("feed_state", control.get("feed_state"))
        cnc = CncPage(np.zeros(CncPage.bytes_needed(), np.uint8))
        cnc_turn(control.words, cnc.words, 0, 0)


def steps() -> list[warm.Step]:
    """Steps in the order they must run."""
    subject = _Warm()
    return [
        ("gateway: tapes", subject.tape), ("gateway: order of events", subject.order),
        ("gateway: decoding", subject.decode), ("gateway: tables", subject.tables),
        ("gateway: embedded venue", warm_up), ("gateway: embedded venue, orders", warm_up_private),
    ]


if __name__ == "__main__":
    sys.exit(warm.run(steps()))
