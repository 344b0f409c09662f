"""The pipeline in one process decides what shards and execution decide over real rings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.orders.wire import Message
from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from tests.reference.frames_tape import final_book_digests
from tests.shared_data import recording
from tests.workers.support import EAGER, System
from workers.pipeline import Observer, run_tape

REAL = "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz"
DERIVED = "DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz"


def over_rings(tmp_path: Path, tape: Path, shards: int) -> tuple[str, dict[str, int]]:
    """The tape through gateway, shards and execution of a plant, turned by hand."""
    system = System(tmp_path, shards=shards, paced=True, tape=[str(tape)], market_cells=1 << 18)
    try:
        source = TapeSource(system.join("gateway"), EAGER, StopFlag(), lambda: EAGER)
        source.on_start()
        while not source.is_done:
            source.do_work()
            system.settle()
        while not system.plant.control.get("drained"):
            system.settle()
        return system.digest(), system.account()
    finally:
        system.destroy()


@pytest.mark.parametrize("name", [REAL, pytest.param(DERIVED, marks=pytest.mark.slow)])
def test_the_same_decisions_as_the_processes(tmp_path: Path, name: str) -> None:
    tape = recording(name)
    digest, account = over_rings(tmp_path / "rings", tape, 2)
    for shards in (1, 2, 3):
        pipeline = run_tape(EAGER, [tape], shards=shards)
        assert pipeline.digest() == digest
        counts = pipeline.counts()
        for key in ("intents", "orders", "fills", "trades_closed"):
            assert counts[key] == account[key]
        assert pipeline.broker.account.balance_e8 == account["balance_e8"]
        assert pipeline.books() == final_book_digests(tape)


def test_an_observer_sees_what_is_booked(tmp_path: Path) -> None:
    class Kept(Observer):
        def __init__(self) -> None:
            self.records = self.log_rows = 0
            self.messages: list[Message] = []

        def decisions(self, records: Any) -> None:
            self.records += len(records)

        def logs(self, records: Any) -> None:
            self.log_rows += len(records)

        def booked(self, message: Message, report: Any, notes: Any) -> None:
            self.messages.append(message)

    kept = Kept()
    pipeline = run_tape(EAGER, [recording(REAL)], observer=kept)
    assert kept.records == pipeline.counts()["recorded"] > 0
    assert kept.log_rows > 0
    order = [(message.seq, message.symbol) for message in kept.messages]
    assert order == sorted(order) and len(order) > 0


def test_other_settings_are_another_digest(tmp_path: Path) -> None:
    from config.schema import Score, Settings, Thresholds

    quiet = Settings(thresholds=Thresholds(score=Score(watch=(99.0,) * 3, arm=(99.5,) * 3)))
    tape = recording(REAL)
    assert run_tape(EAGER, [tape]).digest() != run_tape(quiet, [tape]).digest()
