"""Compile (or load) every kernel of shard, execution and recorder: `python -m workers.warm`. See shm/warm.py.

A tiny plant in shared memory of its own: one symbol, a few events, the real agents turned by hand.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from config.schema import Settings
from core.decision import FUNNEL
from core.detail import DETAIL
from core.enums import EventKind, MessageKind, ReportKind
from core.orders.wire import Message, write_messages
from core.params import PARAMS, params_row
from core.records import ACCOUNT_ROW, CELL_BYTES, CELL_WORDS, EVENT, POSITION_ROW, REPORT, SYMBOL, SYMBOL_ROW
from shm.regions import MAX_SYMBOLS
from shm.run_spec import RunSpec, new_run_id
from shm.topology import Plant
from shm.warm import Step, run
from workers.execution import Execution
from workers.recorder import Recorder
from workers.shard import Shard
from workers.summary import decision_digest, status

_TS = 1_700_000_000_000_000_000
_DEFAULTS = Settings()


def event(kind: EventKind, seq: int, symbol: int = -1, payload: np.ndarray | None = None) -> np.ndarray:
    """Cells of one event without levels."""
    n_cells = 1 + (payload.nbytes // CELL_BYTES if payload is not None else 0)
    header: np.ndarray = np.zeros(1, EVENT.dtype)
    header["seq"], header["ts_recv_ns"], header["symbol"] = seq, _TS + seq, symbol
    header["kind"], header["n_cells"] = int(kind), n_cells
    cells: np.ndarray = np.zeros((n_cells, CELL_WORDS), np.int64)
    cells[0] = header.view(np.int64)
    if payload is not None:
        cells[1:] = payload.view(np.int64).reshape(-1, CELL_WORDS)
    return cells


def _symbol() -> np.ndarray:
    row: np.ndarray = np.zeros(1, SYMBOL.dtype)
    row["name"][0, :5] = np.frombuffer(b"AUSDT", np.uint8)
    for name, value in (("name_hash", 1), ("tick_mant", 1), ("lot_mant", 1), ("tick_size", 1.0), ("lot_size", 1.0),
                        ("status", 1), ("depth", 50)):
        row[name] = value
    return row


class _Warm:
    """The agents of a run over a plant that nobody else sees."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "run" / "run.json"
        self.spec = RunSpec(run_id=f"warm-{new_run_id()}",
                            data_dir=str(folder), market_cells=4096, raw_cells=4096,
                            intent_slots=64, report_slots=64, log_records=1024)

    def plant(self) -> None:
        """Segments, rings, boards, control words."""
        self.owner = Plant.create(self.spec)
        self.spec.save(self.file)
        self.shard_plant = Plant.join(self.file, "shard", 0)
        self.execution_plant = Plant.join(self.file, "execution")
        self.recorder_plant = Plant.join(self.file, "recorder")
        self.gateway = Plant.join(self.file, "gateway")
        rows: dict[str, Any] = {"symbols": SYMBOL, "symbol_rows": SYMBOL_ROW, "positions": POSITION_ROW, "detail": DETAIL,
                                "funnel": FUNNEL}
        for name, record in rows.items():
            board = getattr(self.owner, name)()
            board.write_rows(np.zeros(1, np.int64), 1, np.zeros(1, record.dtype))
            board.changed_since(None)
        self.owner.account().write(0, np.zeros(1, ACCOUNT_ROW.dtype))

    def engine(self) -> None:
        """The engine's batch over one symbol's life (the longest step: it compiles every rule)."""
        self.shard_plant.cnc().start()
        self.shard = Shard(self.shard_plant, 0, _DEFAULTS)
        self.shard.on_start()
        symbol = _symbol()
        self.gateway.symbols().write(0, symbol)
        cells = np.concatenate([
            event(EventKind.CONFIG, 1, payload=params_row(_DEFAULTS, 1)), event(EventKind.LISTING, 2, 0, symbol),
            event(EventKind.TIMER, 3),
        ])
        assert PARAMS.size % CELL_BYTES == 0
        self.gateway.market(0).writer().publish(cells, len(cells), 3)
        self.shard_plant.reports(0).writer().push(_answer(self.shard), 1)
        self.shard.do_work()

    def execution(self) -> None:
        """Messages in, reports out, boards."""
        self.execution_plant.cnc().start()
        self.agent = Execution(self.execution_plant, _DEFAULTS)
        self.agent.on_start()
        enter = Message(seq=3, ts_event_ns=_TS, symbol=0, kind=int(MessageKind.ENTER), side=1, price_ticks=100,
                        stop_ticks=90, target_ticks=120)
        self.shard_plant.intents(0).writer().push(write_messages([enter]), 1)
        self.agent.do_work()

    def recorder(self) -> None:
        """Raw frames and log records."""
        self.recorder_plant.cnc().start()
        agent = Recorder(self.recorder_plant)
        agent.on_start()
        agent.do_work()
        agent.on_close()

    def tables(self) -> None:
        """What status, summary and page read, with a symbol opened on the page."""
        self.owner.control.want_detail(0, 0)
        self.shard.on_close()
        self.agent.on_close()
        rows: np.ndarray = np.zeros(MAX_SYMBOLS, SYMBOL_ROW.dtype)
        self.owner.symbol_rows().read_all(rows)
        status(self.owner)
        decision_digest(self.owner)
        self.owner.destroy()


def _answer(shard: Shard) -> np.ndarray:
    """What execution says to a HELLO: the shard steps nothing before it."""
    report: np.ndarray = np.zeros(1, REPORT.dtype)
    report["kind"], report["reason"], report["decision_id"] = int(ReportKind.NONE), 1, shard.dialogue.nonce
    report["symbol"] = -1
    return report


def steps(folder: Path) -> list[Step]:
    """Steps in the order they must run."""
    subject = _Warm(folder)
    return [
        ("shared memory", subject.plant), ("engine", subject.engine), ("execution", subject.execution),
        ("recorder", subject.recorder), ("tables", subject.tables),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        code = run(steps(Path(name)))
    sys.exit(code)
