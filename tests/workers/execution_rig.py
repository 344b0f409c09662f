"""An execution process alone: its rig, and the messages a shard sends it."""

from __future__ import annotations

import numpy as np

from config.paths import DataPaths
from core.enums import FeedState, MessageKind, OrderRole
from core.orders.wire import SYNC_HELLO, SYNC_RESTART, Message, Report, read_reports, write_messages
from core.records import REPORT
from shm.topology import SLOT_ADMIN, Plant
from tests.core.engine.streams import symbol_record
from tests.workers.support import EAGER, make_plant, taken_down
from workers.execution import Execution

S = 10**9


class Rig:
    """An execution with a clock of its own, and the shard side of its rings."""

    def __init__(self, tmp_path, **changes) -> None:
        self.tmp_path = tmp_path
        self.now = S
        self.plant = make_plant(tmp_path, **changes)
        self.control = self.plant.control
        self.control.set("feed_state", int(FeedState.CONNECTED))
        for symbol in range(6):
            record = symbol_record(symbol, f"SYM{symbol}USDT", shard=symbol % self.plant.spec.shards)
            self.plant.symbols().write(symbol, record)
        shards = range(self.plant.spec.shards)
        sides = [Plant.join(tmp_path / "run.json", "shard", i) for i in shards]
        self.cncs = [side.cnc() for side in sides]
        self.intents = [side.intents(i).writer() for i, side in enumerate(sides)]
        self.reports = [side.reports(i).reader() for i, side in enumerate(sides)]
        self.logs = self.plant.log_readers(SLOT_ADMIN)
        self.paths = DataPaths(tmp_path / "data", "SIM")
        self.execution = self.start()
        for shard in shards:
            self.push(Message(decision_id=5 + shard, symbol=-1, reason=SYNC_HELLO), shard=shard)
        self.execution.do_work()
        for shard in shards:
            assert [r.reason for r in self.take(shard)] == [SYNC_RESTART, SYNC_HELLO]

    def start(self) -> Execution:
        plant = Plant.join(self.tmp_path / "run.json", "execution")
        plant.cnc().start()
        execution = Execution(plant, EAGER, clock=lambda: self.now)
        execution.on_start()
        return execution

    def restart(self) -> None:
        """As after kill -9: nothing is closed, a new one joins."""
        self.execution = self.start()

    def push(self, *messages: Message, shard: int = 0) -> None:
        assert self.intents[shard].push(write_messages(list(messages)), len(messages))

    def take(self, shard: int = 0) -> list[Report]:
        rows = np.zeros(256, REPORT.dtype)
        return read_reports(rows, self.reports[shard].pop(rows))

    def turn(self, *messages: Message, shard: int = 0, ms: float = 1.0) -> list[Report]:
        if messages:
            self.push(*messages, shard=shard)
        self.now += int(ms * 1e6)
        self.execution.do_work()
        return self.take(shard)

    def log_texts(self) -> list[str]:
        rows = self.logs["execution"].read()
        return [bytes(row["text"]).rstrip(b"\0").decode() for row in rows]

    def account(self) -> dict[str, int]:
        row = self.plant.account().read(0)[0]
        return {name: int(row[name]) for name in row.dtype.names}


def made_rigs(tmp_path):
    """Body of the fixture `make`: rigs that are taken down."""
    yield from taken_down(Rig, tmp_path)


def enter(symbol=0, seq=1, side=1) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=int(MessageKind.ENTER), side=side,
                   price_ticks=1_000_000, stop_ticks=1_000_000 - side * 3000, target_ticks=1_000_000 + side * 5000,
                   decision_id=seq)


def fill(order_id, qty, symbol=0, seq=2, side=1, leaves=0, role=OrderRole.ENTRY, price=1_000_000) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=int(MessageKind.FILL), side=side, qty_lots=qty,
                   price_ticks=price, order_id=order_id, leaves_lots=leaves, role=int(role), fee_e8=5)


def done(order_id, symbol=0, seq=3, leaves=1) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=int(MessageKind.DONE), order_id=order_id,
                   leaves_lots=leaves)
