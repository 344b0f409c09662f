"""What a run was, in a file of its own: `<mode>/system/runs/<run id>.jsonl`. Symbol ids mean something within a run only:
with this file the run's journals can be read when its shared memory is gone.

    {"t":"run", settings, seed, ...}   {"t":"instrument", "id":3, "name":"BTCUSDT", ...} ...   {"t":"end", ...}
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from config.load import digest
from config.schema import Settings
from shm.regions import MAX_SYMBOLS
from shm.topology import Plant
from workers.journal_files import write_all

INSTRUMENT_FIELDS = ("id", "tick_mant", "lot_mant", "price_exp", "qty_exp", "taker_fee_e8", "maker_fee_e8", "max_leverage_e2",
                     "category", "shard", "status")


def instrument_line(row: np.void) -> dict[str, Any]:
    """One SYMBOL record as a line of the file."""
    name = bytes(row["name"]).rstrip(b"\0").decode("ascii", "replace")
    return {"t": "instrument", "name": name, **{key: int(row[key]) for key in INSTRUMENT_FIELDS}}


class RunFile:
    """Appends to the file of the running plant. A disk that refuses is told; the lines wait."""

    def __init__(
        self, folder: Path, plant: Plant, settings: Settings, on_error: Callable[[OSError], None] = lambda error: None
    ) -> None:
        self.path = folder / f"{plant.spec.run_id}.jsonl"
        self._plant, self._settings, self._on_error = plant, settings, on_error
        self._seen: np.ndarray = np.zeros(MAX_SYMBOLS, np.int64)
        self._waiting: list[bytes] = []
        self.names: dict[int, str] = {}  # of every symbol id met so far

    def begin(self) -> None:
        """Say what the run is, once; a restarted recorder goes on in the file it finds."""
        if self.path.exists():
            return
        spec = self._plant.spec
        source = ", ".join(Path(tape).name for tape in spec.tape) or (spec.venue["rest"] if spec.venue else "embedded")
        self._add({
            "t": "run", "run_id": spec.run_id, "mode": spec.mode, "ts_ns": spec.created_ns, "seed": spec.seed,
            "shards": spec.shards, "paced": spec.paced, "source": source, "symbols": spec.symbols,
            "code_hash": spec.code_hash, "settings_digest": digest(self._settings),
            "start_balance_e8": round(self._settings.trading.account.start_balance_usdt * 100_000_000),
            "settings": msgspec.to_builtins(self._settings),
        })
        self.turn()

    def turn(self) -> None:
        """Instruments that are new or have changed."""
        board = self._plant.symbols()
        for row in board.changed_since(self._seen):
            record = board.read(int(row))[0]
            if int(record["name_hash"]):
                line = instrument_line(record)
                self.names[line["id"]] = line["name"]
                self._add(line)
        self._write()

    def end(self) -> None:
        self.turn()
        self._add({"t": "end", "ts_ns": time.time_ns()})
        self._write()

    def _add(self, line: dict[str, Any]) -> None:
        self._waiting.append(msgspec.json.encode(line) + b"\n")

    def _write(self) -> None:
        if not self._waiting:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                write_all(handle, b"".join(self._waiting))
            finally:
                os.close(handle)
        except OSError as error:  # what stands there may end inside a line: the repetition begins a new one
            self._on_error(error)
            self._waiting.insert(0, b"\n")
            return
        self._waiting.clear()
