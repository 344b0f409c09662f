"""`launch.py latency` from the journals on disk: rows of this and of earlier runs, CSV and JSON, damage told."""

from __future__ import annotations

import csv
import io
import json

import pytest

from config.paths import DataPaths
from core.enums import ReportKind
from core.orders.wire import Message
from tests.workers.execution_rig import Rig, enter, fill
from workers.latency_export import as_csv, as_json, export, ledger_rows


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    yield made
    made.plant.destroy()


def test_export(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    (accepted,) = rig.turn(enter())
    rig.turn(fill(accepted.order_id, accepted.qty_lots))
    assert rig.turn(enter(0, 5))[0].kind == ReportKind.REJECTED
    rig.turn()
    paths = DataPaths(rig.tmp_path / "data", "SIM")
    damaged: list[str] = []
    rows = list(ledger_rows(paths, damaged.append))
    assert [(row.run_id, int(row.row["number"])) for row in rows] == [(rig.plant.spec.run_id, 1), (rig.plant.spec.run_id, 2)]
    table = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [(line["state"], line["gate"], line["wire_ns"]) for line in table] == [
        ("FILLED", "NONE", ""), ("REJECTED", "IN_POSITION", "")]
    told = json.loads(as_json(rows))
    assert len(told["orders"]) == 2 and {row["stage"] for row in told["stages"]} >= {"taken_to_durable", "wire_to_ack"}
    assert damaged == []
    (paths.execution_journal.parent / "execution-17.journal").write_bytes(b"nonsense")
    assert len(list(ledger_rows(paths, damaged.append))) == 2 and "execution-17" in damaged[0]
    assert export(rig.tmp_path / "data", "SIM", "table") and "taken_to_durable" in capsys.readouterr().out
    assert not export(rig.tmp_path / "data", "LIVE", "table")


def test_a_restarted_execution_keeps_the_rows(rig: Rig) -> None:
    (accepted,) = rig.turn(enter())
    rig.turn(fill(accepted.order_id, accepted.qty_lots))
    rig.turn(ms=200)
    before = rig.plant.orders().read(1)[0].copy()
    rig.restart()
    rig.turn(Message(symbol=-1, reason=2), ms=200)
    assert rig.plant.orders().read(1)[0].tobytes() == before.tobytes()
    assert rig.execution.ledger.last == 1 and rig.execution.ledger.ended == []
