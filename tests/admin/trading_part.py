"""A real execution on the plant of the admin tests, in a thread, and the shards' desks played: every order fills at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from admin import controls
from admin.commands import CommandClient
from core.enums import CommandKind, MessageKind, OrderRole, ReportKind
from core.orders.command_words import Answer
from core.orders.wire import SYNC_HELLO, Message, Report, read_reports, write_messages
from core.records import REPORT
from core.risk import policy
from shm.topology import Plant
from tests.admin.engine_part import EnginePart
from tests.workers.support import EAGER
from workers import commands
from workers.execution import Execution

PATIENCE_NS = 120 * 10**9
PATIENT = msgspec.structs.replace(  # a person's limits last longer than any test
    EAGER, thresholds=msgspec.structs.replace(EAGER.thresholds, signal=msgspec.structs.replace(
        EAGER.thresholds.signal, cooldown_s=3600.0, ttl_s=3600.0)))


def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command and no intent gets too old by itself."""
    monkeypatch.setattr(commands, "COMMAND_TTL_NS", PATIENCE_NS)
    monkeypatch.setattr(policy, "INTENT_TTL_NS", PATIENCE_NS)


def wait_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an execution runs it is waited for, however long it takes."""
    ask = CommandClient.ask

    def patiently(client: CommandClient, kind: CommandKind, **fields: Any) -> Answer:
        client._answer_s = PATIENCE_NS / 1e9
        return ask(client, kind, **fields)

    monkeypatch.setattr(CommandClient, "ask", patiently)
    monkeypatch.setattr(controls, "ACK_TIMEOUT_S", PATIENCE_NS / 1e9)
    monkeypatch.setattr(controls.Controls.wait_flat, "__defaults__", (PATIENCE_NS / 1e9,))


class TradingPart:
    """`fills` False: orders stay working until they are cancelled. `seen`: every report the shards got."""

    def __init__(self, engine: EnginePart, settings=PATIENT) -> None:
        self.engine = engine
        self.plant = engine.plant
        self.run_file = Path(self.plant.spec.data_dir) / "run" / "run.json"
        self.settings = settings
        self.fills = True
        self.seen: list[Report] = []
        for number, record in enumerate(engine.infos):
            record["name_hash"], record["min_qty_lots"], record["max_leverage_e2"] = number + 1, 1, 2500
            self.plant.symbols().write(number, record)
            row = engine.rows[number]
            row["bid_ticks"], row["ask_ticks"] = int(row["last_ticks"]) - 1, int(row["last_ticks"])
            row["position_lots"] = 0
            self.plant.symbol_rows().write(number, engine.rows[number : number + 1])
        engine.position[0]["side"] = 0
        self.plant.positions().write(0, engine.position)
        self._sides = [Plant.join(self.run_file, "shard", i) for i in range(self.plant.spec.shards)]
        self._intents = [side.intents(i).writer() for i, side in enumerate(self._sides)]
        self._reports = [side.reports(i).reader() for i, side in enumerate(self._sides)]
        self._rows = np.zeros(64, REPORT.dtype)
        self._seq = 1000
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.execution = self.new_execution()

    def new_execution(self) -> Execution:
        """Also as after kill -9: a new one joins, nothing was closed."""
        plant = Plant.join(self.run_file, "execution")
        execution = Execution(plant, self.settings)
        execution.on_start()
        for shard in range(plant.spec.shards):
            self._push(shard, Message(decision_id=1, symbol=-1, reason=SYNC_HELLO))
        return execution

    def _push(self, shard: int, *messages: Message) -> None:
        assert self._intents[shard].push(write_messages(list(messages)), len(messages))

    def turn(self) -> None:
        """One turn of execution, then of the desks."""
        self.execution.do_work()
        for shard, reader in enumerate(self._reports):
            for report in read_reports(self._rows, reader.pop(self._rows)):
                self.seen.append(report)
                self._seq += 1
                answer = self._desk(report)
                if answer is not None:
                    self._push(shard, answer)

    def _desk(self, report: Report) -> Message | None:
        base = Message(seq=self._seq, ts_event_ns=time.time_ns(), symbol=report.symbol, order_id=report.order_id,
                       decision_id=report.decision_id, kind=int(MessageKind.FILL), fee_e8=1000)
        if report.kind == ReportKind.ACCEPTED and self.fills:
            return base._replace(price_ticks=report.price_ticks, qty_lots=report.qty_lots, side=report.side,
                                 role=int(OrderRole.ENTRY))
        position = self.execution.broker.account.positions.get(report.symbol)
        if report.kind == ReportKind.CLOSE and position is not None:
            return base._replace(price_ticks=position.mark2_ticks // 2, qty_lots=abs(position.lots), side=-position.side,
                                 role=report.role)
        if report.kind in (ReportKind.CANCEL, ReportKind.CLOSE):
            return base._replace(kind=int(MessageKind.DONE), leaves_lots=1)
        return None

    def start(self) -> None:
        """Returns when execution has answered the shards: what it accepted before their hello would have ended with it."""
        while sum(report.reason == SYNC_HELLO and report.decision_id == 1 for report in self.seen) < len(self._sides):
            self.engine.beat()
            self.turn()

        def loop() -> None:
            while not self._stop.is_set():
                self.turn()
                self.engine.beat()
                time.sleep(0.001)

        self._thread = threading.Thread(target=loop, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def reports(self, kind: ReportKind) -> list[Report]:
        return [report for report in self.seen if report.kind == kind]
