"""A whole free run in one process and seeded order: synthetic market, gateway core, shards, execution, recorder.

Everything real but sockets and processes: real rings, real agents, turned by hand. What is thrown at it is what happens
to a plant: restarts of anybody, a lapped shard, a hot reload, pause and kill, a lost connection, shedding, silence.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from config.paths import DataPaths
from config.schema import Settings
from core.enums import DataReason, DataState, FeedState
from gateway import routing
from gateway.bybit.book_sync import depth_column_of
from gateway.bybit.universe import Universe
from gateway.connection import fill_frames
from gateway.service import GatewayService
from gateway.tape import FRAME_COLUMNS, STAGE_TAIL
from gateway.tape_scan import scan_tape
from gateway.tape_source import tape_universe
from shm.tap import Tap
from shm.topology import Plant
from tests.gateway.venue.running import new_exchange, run_virtual
from tests.reference.venue import payload
from tests.workers.support import EAGER, make_plant
from workers.execution import Execution
from workers.recorder import Recorder
from workers.shard import Shard

NS_PER_MS = 1_000_000
TURN_NS = 4 * NS_PER_MS
BOOK, TRADES, TICKER = 1, 0, 2


def market(seed: int, seconds: float, symbols: int = 5) -> list[list[tuple[int, bytes]]]:
    """Frames of a synthetic market as reads of a socket: lists of (receive ns, frame)."""
    exchange = new_exchange(symbols, seed=seed, rate=2.0)
    keys = [(kind, row) for row in range(symbols) for kind in (0, 1, 2, 4, 5, 7)]
    start = exchange.now_ms
    for key in keys:
        exchange.activate(key)
    first = [payload(frame) for key in keys if (frame := exchange.snapshot(key)) is not None]
    reads = [[(start * NS_PER_MS, bytes(frame)) for frame in first]]
    for now_ms, _, body in run_virtual(exchange, seconds):
        if reads[-1][0][0] != now_ms * NS_PER_MS:
            reads.append([])
        reads[-1].append((now_ms * NS_PER_MS, bytes(body)))
    return reads


def end_threads(recorder: Recorder) -> None:
    """Those of a recorder that was dropped as if killed: each would keep the shared memory of its run (50 runs: 16 GB)."""
    recorder.retention.stop()
    if recorder.market_files is not None:
        recorder.market_files.stop()
    if recorder.database is not None:
        recorder.database.stop(0.0)


class Rig:
    """`changes` go to the run description (market_cells, shards); `reads` replaces the market of the seed."""

    def __init__(self, folder: Path, seed: int, shards: int = 2, settings: Settings = EAGER, **changes: Any) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.settings = settings
        self.reads = changes.pop("reads", None) or market(seed, changes.pop("seconds", 25.0))
        self.now_ns = 10**9
        values: dict[str, Any] = {"shards": shards, "market_cells": 1 << 17, "intent_slots": 1024, "report_slots": 1024,
                                  "raw_cells": 1 << 18, **changes}
        self.plant = make_plant(folder, **values)
        self.data_dir = folder / "data"
        self.universe, self._changes = self._make_universe()
        self.gateways = 0
        self.new_gateway()
        self.recorders: list[Recorder] = []
        self.recorder = self.new_recorder()
        self.shards = [self.new_shard(i) for i in range(shards)]
        self.execution = self.new_execution()
        self.turns_of: dict[int, bool] = dict.fromkeys(range(shards), True)
        self.at = 0

    # --- parts -----------------------------------------------------------------------------------------------------
    def clock(self) -> int:
        return self.now_ns

    def join(self, role: str, index: int = 0) -> Plant:
        return Plant.join(self.folder / "run.json", role, index)

    def _make_universe(self) -> tuple[Universe, Any]:
        path = self.folder / "market.frames"
        path.write_bytes(b"".join(b"%d %s\n" % row for read in self.reads for row in read))
        contents = scan_tape([path])
        return tape_universe(self.plant.spec, self.settings, contents)

    def new_gateway(self) -> None:
        """A gateway, as its process begins; behind the first one it finds the run in memory."""
        plant = self.join("gateway")
        self.tap = Tap(plant.tap())
        self.service = GatewayService(plant, self.universe, self.settings, lambda: True, lambda: self.settings,
                                      tap=self.tap)
        self.service.on_resync = self._on_resync
        now_ns = self.reads[0][0][0] if self.gateways == 0 else self.reads[self.at][0][0]
        if self.gateways:
            symbols = list(range(self.universe.count))
            self._changes = self._changes.__class__(**{**vars(self._changes), "listed": symbols}) if hasattr(
                self._changes, "__dict__") else self._changes
        self.service.start(now_ns, self._changes, FeedState.CONNECTED)
        self.gateways += 1

    def new_shard(self, index: int) -> Shard:
        plant = self.join("shard", index)
        shard = Shard(plant, index, self.settings, self.clock, lambda: self.reads[0][0][0])
        plant.cnc().start()
        shard.on_start()
        return shard

    def new_execution(self) -> Execution:
        plant = self.join("execution")
        execution = Execution(plant, self.settings, self.clock)
        plant.cnc().start()
        execution.on_start()
        return execution

    def new_recorder(self) -> Recorder:
        plant = self.join("recorder")
        recorder = Recorder(plant, self.settings, self.clock)
        plant.cnc().start()
        recorder.on_start()
        self.recorders.append(recorder)
        return recorder

    # --- the gateway's work ----------------------------------------------------------------------------------------
    def _on_resync(self, symbol: int, depth: int, what: int) -> None:
        if what in (routing.A_GAP, routing.A_NO_BASE):
            self.ask(symbol)

    def ask(self, symbol: int) -> None:
        column = depth_column_of(int(self.service.publisher.routes.driving[symbol]))
        self.service.publisher.ask(symbol, column)

    def read(self) -> None:
        """The next read of the socket, decoded and published."""
        rows = self.reads[self.at]
        self.at += 1
        lengths = np.array([len(frame) for _, frame in rows], np.int64)
        frames: np.ndarray = np.zeros((len(rows), FRAME_COLUMNS), np.int64)
        fill_frames(frames, lengths, len(rows), rows[0][0], self.now_ns, 1)
        joined = bytearray(1).join([*(frame for _, frame in rows), bytes(STAGE_TAIL)])
        stage = np.frombuffer(joined, np.uint8)
        self.tap.offer(stage, frames, len(rows))
        self.service.intake.process(stage, frames, len(rows), int(lengths.sum()))

    # --- things that happen ----------------------------------------------------------------------------------------
    def restart_shard(self) -> None:
        index = self.rng.randrange(len(self.shards))
        self.shards[index] = self.new_shard(index)

    def restart_execution(self) -> None:
        self.execution = self.new_execution()

    def restart_recorder(self) -> None:
        self.recorder = self.new_recorder()

    def reload(self) -> None:
        scale = self.rng.choice((0.9, 1.1))
        thresholds = self.settings.thresholds
        score = msgspec.structs.replace(thresholds.score, arm=tuple(scale * x for x in thresholds.score.arm))
        self.settings = msgspec.structs.replace(self.settings, thresholds=msgspec.structs.replace(thresholds, score=score))
        self.plant.control.request_config("cli")

    def pause(self) -> None:
        self.plant.control.request_pause("cli", not self.plant.control.get("pause_cli"))

    def kill(self) -> None:
        if self.plant.control.kill_sources():
            self.plant.control.clear_kill()
            DataPaths(self.data_dir, self.plant.spec.mode).kill_file.unlink(missing_ok=True)
        else:
            self.plant.control.request_kill("cli")

    def lose_connection(self) -> None:
        for symbol in self.rng.sample(range(self.universe.count), 2):
            self.service.publisher.data_state(symbol, DataState.BROKEN, DataReason.DISCONNECTED)
        state = FeedState.CONNECTED if self.service.feed_state != FeedState.CONNECTED else FeedState.RECONNECTING
        self.service.set_feed(state)

    def shed(self) -> None:
        symbol = self.rng.randrange(self.universe.count)
        publisher = self.service.publisher
        on = not publisher.routes.shedding[symbol]
        publisher.shed(symbol, bool(on))
        publisher.data_state(symbol, DataState.BROKEN, DataReason.SHED)
        if not on:
            self.ask(symbol)

    def drop_frames(self) -> None:
        """A hole in the update ids of whoever was in this read."""
        self.at = min(self.at + 1, len(self.reads) - 1)

    def silence(self) -> None:
        """Time passes without data."""
        now_ns = self.reads[min(self.at, len(self.reads) - 1)][0][0]
        self.service.publisher.tick(now_ns, self.now_ns)

    def stall_shard(self) -> None:
        index = self.rng.randrange(len(self.shards))
        self.turns_of[index] = not self.turns_of[index]

    # --- run -------------------------------------------------------------------------------------------------------
    def turn(self) -> int:
        """Somebody has a turn."""
        self.now_ns += self.rng.randrange(1, 2 * TURN_NS)
        index = self.rng.randrange(len(self.shards) + 2)
        if index < len(self.shards):
            return self.shards[index].do_work() if self.turns_of[index] else 0
        return (self.execution if index == len(self.shards) else self.recorder).do_work()

    def play(self, faults: dict[int, Callable[[Rig], None]]) -> None:
        """All reads, each followed by a few turns; `faults` by number of the read."""
        while self.at < len(self.reads):
            for number in [n for n in faults if n <= self.at]:
                faults.pop(number)(self)
            self.play_one()

    def play_one(self) -> None:
        """One read and a few turns."""
        if self.at < len(self.reads):
            self.read()
        if self.rng.random() < 0.1:
            self.silence()
        for _ in range(self.rng.randrange(6)):
            self.turn()

    def settle(self) -> None:
        self.turns_of = dict.fromkeys(self.turns_of, True)
        idle = 0
        while idle < 3:  # rounds in which nobody who decides had anything to do
            self.now_ns += TURN_NS
            done = sum(agent.do_work() for agent in (*self.shards, self.execution))
            idle = 0 if done else idle + 1
        self.recorder.do_work()

    def close(self) -> None:
        """An orderly end."""
        self.service.publisher.publish()
        self.settle()
        for shard in self.shards:
            shard.on_close()
        self.execution.on_close()
        self.recorder.on_close()

    def destroy(self) -> None:
        for recorder in self.recorders:
            end_threads(recorder)
        self.plant.destroy()
