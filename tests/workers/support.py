"""A plant in one process: a stand-in gateway that publishes prepared cells, real shards and a real execution, turned by
hand in any order."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from config.schema import Limits, Safety, Score, Settings, Signal, Thresholds, Trading, Windows
from core.engine.digest import combine
from core.enums import FeedState
from core.records import EVENT, SYMBOL, SYMBOL_ROW
from shm.regions import MAX_SYMBOLS
from shm.run_spec import RunSpec
from shm.topology import Plant
from tests.shm.support import fresh_run
from workers.execution import Execution
from workers.shard import Shard

EAGER = Settings(
    trading=Trading(),
    safety=Safety(limits=Limits(daily_loss_pct=5.0, max_heat_pct=50.0, max_unrealised_loss_pct=50.0)),
    thresholds=Thresholds(
        score=Score(watch=(20.0, 20.0, 20.0), arm=(30.0, 30.0, 30.0), max_spread_bps=(50.0, 50.0, 50.0)),
        windows=Windows(warmup_s=1.0),
        signal=Signal(cooldown_s=1.0, rest_s=1.0),
    ),
)


def make_plant(tmp_path: Path, **changes: Any) -> Plant:
    """A small plant; its run.json and data folder lie in `tmp_path`."""
    values: dict[str, Any] = {
        "run_id": fresh_run(), "shards": 1, "market_cells": 65_536, "raw_cells": 4096, "intent_slots": 64,
        "report_slots": 64, "log_records": 4096, "data_dir": str(tmp_path / "data"),
    }
    plant = Plant.create(RunSpec(**{**values, **changes}))
    plant.spec.save(tmp_path / "run.json")
    return plant


class System:
    """Shards and execution over one plant. `publish` plays the gateway."""

    def __init__(self, tmp_path: Path, settings: Settings = EAGER, **changes: Any) -> None:
        self.tmp_path = tmp_path
        self.settings = settings
        self.plant = make_plant(tmp_path, **changes)
        self.spec = self.plant.spec
        self.shards = [self.new_shard(i) for i in range(self.spec.shards)]
        self.execution = self.new_execution()
        self.plant.control.set("feed_state", int(FeedState.CONNECTED))
        self._gateway = Plant.join(tmp_path / "run.json", "gateway")
        self._writers = [self._gateway.market(i).writer(gated=self.spec.paced) for i in range(self.spec.shards)]

    def join(self, role: str, index: int = 0) -> Plant:
        return Plant.join(self.tmp_path / "run.json", role, index)

    def new_shard(self, index: int) -> Shard:
        plant = self.join("shard", index)
        shard = Shard(plant, index, self.settings)
        plant.cnc().start()
        shard.on_start()
        return shard

    def new_execution(self) -> Execution:
        plant = self.join("execution")
        execution = Execution(plant, self.settings)
        plant.cnc().start()
        execution.on_start()
        return execution

    def list_symbols(self, records: list[np.ndarray]) -> None:
        """Symbol table rows as the gateway writes them."""
        for record in records:
            record["shard"] = int(record["id"][0]) % self.spec.shards
            self._gateway.symbols().write(int(record["id"][0]), record)

    def publish(self, shard: int, cells: np.ndarray) -> bool:
        return self._writers[shard].publish(np.ascontiguousarray(cells), len(cells), n_messages(cells))

    def published(self, seq: int) -> None:
        self.plant.control.set("published_seq", seq)

    def settle(self, turns: int = 400) -> None:
        """Turn everybody until nobody has work."""
        for _ in range(turns):
            done = self.execution.do_work() + sum(shard.do_work() for shard in self.shards)
            if done == 0:
                return
        raise AssertionError("the system does not come to rest")

    def digest(self) -> str:
        rows = np.zeros(MAX_SYMBOLS, SYMBOL_ROW.dtype)
        self.plant.symbol_rows().read_all(rows)
        rows = rows[rows["name_hash"] != 0]
        account = self.plant.account().read(0)[0]
        return combine(np.ascontiguousarray(rows["name_hash"]), np.ascontiguousarray(rows["digest"]),
                       int(account["digest"]))

    def account(self) -> dict[str, int]:
        row = self.plant.account().read(0)[0]
        return {name: int(row[name]) for name in row.dtype.names}

    def destroy(self) -> None:
        self.execution.on_close()
        for shard in self.shards:
            shard.on_close()
        self.plant.destroy()


def n_messages(cells: np.ndarray) -> int:
    return len(starts(cells))


def starts(cells: np.ndarray) -> list[int]:
    """Index of the header of every message."""
    at, found = 0, []
    while at < len(cells):
        found.append(at)
        at += (int(cells[at, 6]) >> 48) & 0xFFFF
    return found


def symbols_in(cells: np.ndarray) -> list[np.ndarray]:
    """SYMBOL records of all LISTING events."""
    headers = cells.view(EVENT.dtype).reshape(-1)
    found = []
    for at in starts(cells):
        if headers[at]["kind"] == 17:
            found.append(np.frombuffer(cells[at + 1 : at + 5].tobytes(), SYMBOL.dtype).copy())
    return found


def play(system: System, stream: Any, seed: int = 0, batch: int = 40) -> None:
    """Publish a whole stream in random batches with random turns of everybody in between, until drained."""
    rng = random.Random(seed)
    count = system.spec.shards
    system.list_symbols(symbols_in(stream.cells()))
    cells = [stream.shard(i, count) for i in range(count)]
    headers = [[int(c[at, 0]) for at in starts(c)] for c in cells]
    places = [[*starts(c), len(c)] for c in cells]
    at = [0] * count
    last = stream.seq
    seq = 0
    everybody = [system.execution, *system.shards]
    idle = 0
    while not system.plant.control.get("drained"):
        if seq < last:
            target = min(seq + rng.randint(1, batch), last)
            for i in range(count):
                n = bisect.bisect_right(headers[i], target) - at[i]
                while n and not system.publish(i, cells[i][places[i][at[i]] : places[i][at[i] + n]]):
                    for agent in everybody:  # gated: somebody must read first
                        agent.do_work()
                at[i] += n
            seq = target
            system.published(seq)
        done = sum(rng.choice(everybody).do_work() for _ in range(rng.randint(1, 4)))
        idle = 0 if done or seq < last else idle + 1
        assert idle < 2000, "stuck"


def taken_down(kind: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Body of a fixture: a function that builds rigs of a kind; their plants are destroyed at the end."""
    made: list[Any] = []

    def build(**changes: Any) -> Any:
        made.append(kind(tmp_path, **changes))
        return made[-1]

    yield build
    for rig in made:
        rig.plant.destroy()
