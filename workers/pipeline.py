"""The whole system in one process, paced: source -> engines -> broker -> reports, in virtual time, without sockets.

    source (gateway core) -> Publisher -> Lane per shard -> messages by (seq, symbol, arrival) -> Broker -> reports

It decides what a paced run of the processes decides (DESIGN.md 4): same code for decoding, order, engine and broker,
same rules of who may go first, so the digest is the same for any number of lanes. A source is anything with
`on_start`, `do_work`, `on_close` and `is_done` whose GatewayService writes into `Pipeline.sinks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from config.schema import Settings
from core.engine.digest import combine
from core.enums import MessageKind, Mode
from core.orders.broker import Broker, Controls, Note
from core.orders.router import ExecutionRouter
from core.orders.wire import Message, Report
from core.risk.policy import Instrument, instrument, policy
from gateway.service import Sinks
from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from shm.regions import MAX_SYMBOLS
from shm.run_spec import RunSpec
from shm.topology import Plant
from workers.intake import PacedOrder
from workers.lane import COUNTS, Lane, LaneSink
from workers.shard import TAPE_DEPTH, book_levels

NO_CONTROLS = Controls()
NO_FOLDER = "/nonexistent"  # data folder of a run that has none: no symbol profiles
GATEWAY_COUNTS = ("frames", "decoded", "other", "rejected", "unknown_topic", "unknown_symbol", "off_grid", "gaps", "events")


class Source(Protocol):
    """Where events come from."""

    @property
    def is_done(self) -> bool: ...
    def on_start(self) -> None: ...
    def do_work(self) -> int: ...
    def on_close(self) -> None: ...


class Observer(LaneSink):
    """Watches a pipeline; the default keeps nothing."""

    def controls(self, message: Message) -> Controls:
        """What is in force when the broker handles this message."""
        return NO_CONTROLS

    def booked(self, message: Message, report: Report | None, notes: list[Note]) -> None:
        """A message was handled by the broker: the answer it got and what is to be logged of it."""


def local_spec(shards: int, *, mode: str = "SIM", run_id: str = "local", **changes: Any) -> RunSpec:
    """Description of a paced run inside this process: rings nobody reads are as small as they may be."""
    small = {"market_cells": 1024, "raw_cells": 1024, "intent_slots": 64, "report_slots": 64}
    return RunSpec(run_id=run_id, mode=mode, shards=shards, paced=True, **{**small, **changes})


class Pipeline:
    """Engines and broker behind a source. `plant` is private memory: what the gateway's core writes beside its events
    (symbol table, counters, log ring) is found there."""

    def __init__(
        self, spec: RunSpec, settings: Settings, observer: Observer | None = None, depth: int = TAPE_DEPTH
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.plant = Plant.private(spec, "gateway")
        self.observer = observer or Observer()
        self.lanes = self.make_lanes(book_levels(depth))
        self.broker = Broker(policy(settings), ExecutionRouter(Mode[spec.mode]))
        self.sinks = Sinks(self.lanes, self._published)
        self.seq = 0
        self._pending = PacedOrder()

    def make_lanes(self, levels: int) -> Sequence[Lane]:
        """One engine per shard, with books of `levels` per side."""
        return [Lane(MAX_SYMBOLS, levels, paced=True, sink=self.observer) for _ in range(self.spec.shards)]

    def place(self, record: np.ndarray) -> int:
        """The lane of a SYMBOL record."""
        return int(record["id"][0]) % len(self.lanes)

    def run(self, source: Source) -> None:
        """Drive the source to its end."""
        source.on_start()
        while not source.is_done:
            source.do_work()
        source.on_close()

    # --- one publication -------------------------------------------------------------------------------------------
    def _published(self, seq: int) -> None:
        """Step everything up to `seq` and answer it. RuntimeError where neither a lane nor the broker can go on."""
        self.seq = seq
        while True:
            moved = False
            for shard, lane in enumerate(self.lanes):
                if lane.idle:
                    continue
                for message in lane.work():
                    self._pending.put(shard, message)
                    moved = True
                moved |= lane.idle
            limit = min(seq if lane.idle else lane.watermark for lane in self.lanes)
            for shard, message in self._pending.up_to(limit):
                self._handle(shard, message)
                moved = True
            if all(lane.idle for lane in self.lanes):
                return
            if not moved:
                raise RuntimeError(f"no engine can go on behind event {seq}: an answer is missing")

    def _handle(self, shard: int, message: Message) -> None:
        if message.kind == MessageKind.NONE:
            return
        self._know(message.symbol)
        report, notes = self.broker.handle(message, self.observer.controls(message))
        if report is not None:
            self.lanes[shard].answer([report])
        self.observer.booked(message, report, notes)

    def listed(self, symbol: int, found: Instrument) -> None:
        """The source lists a symbol."""
        self.broker.instruments[symbol] = found

    def _know(self, symbol: int) -> None:
        if symbol in self.broker.instruments or not 0 <= symbol < MAX_SYMBOLS:
            return
        row = self.plant.symbols().read(symbol)[0]
        if int(row["name_hash"]):
            self.broker.instruments[symbol] = instrument(row)

    # --- what it came to -------------------------------------------------------------------------------------------
    def digest(self) -> str:
        """Digest over all decisions and the account: `decision_digest` of a run of the processes."""
        pairs = [lane.digests() for lane in self.lanes]
        names, digests = (np.concatenate(column) for column in zip(*pairs, strict=True))
        return combine(names, digests, self.broker.account.digest)

    def books(self) -> dict[str, str]:
        """Digest of every book at END, by symbol."""
        return {name: f"{digest:016x}" for lane in self.lanes for name, digest in lane.books().items() if digest}

    def counts(self) -> dict[str, int]:
        """Gateway and engine counters, orders and fills, by the names of the run summary."""
        page, account = self.plant.counters(), self.broker.account
        counts = {name: page.get(name) for name in GATEWAY_COUNTS}
        counts |= {name: sum(lane.counts[name] for lane in self.lanes) for name in COUNTS}
        return counts | {
            "intents": self.broker.intents, "orders": self.broker.orders, "rejects": self.broker.rejects,
            "fills": account.fills, "trades_closed": account.trades_closed, "wins": account.wins,
            "open_positions": len(account.positions),
        }


def run_tape(
    settings: Settings, tapes: list[Path], *, shards: int = 1, instruments: Path | None = None, symbols: str = "",
    data_dir: Path | None = None, mode: str = "SIM", observer: Observer | None = None,
) -> Pipeline:
    """Recorded frames through the whole pipeline at full speed, as `launch.py --tape ... --speed max` does with its
    processes. `data_dir` gives symbol profiles. Raises TapeError."""
    spec = local_spec(
        shards, mode=mode, tape=[str(path) for path in tapes], symbols=symbols,
        instruments=str(instruments) if instruments else "", data_dir=str(data_dir) if data_dir else NO_FOLDER,
    )
    pipeline = Pipeline(spec, settings, observer)
    source = TapeSource(pipeline.plant, settings, StopFlag(), lambda: settings, pipeline.sinks)
    pipeline.run(source)
    return pipeline
