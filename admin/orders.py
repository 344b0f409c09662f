"""The order ledger for the pages: orders at work, orders of the past, where their time went. Reads one board."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from admin.catalogue import gate_reason
from core.enums import Cause
from core.orders.latency import STAGES, as_dict, elapsed_us, percentiles
from core.orders.lifecycle import ENDED, OrderState
from core.records import ORDER_ROW
from shm.regions import ORDER_ROWS
from shm.topology import Plant

SLOWEST = 20
SLOWEST_BY = ("recv_to_wire", "taken_to_durable")
"""Stages by which the slowest orders are chosen: the whole way where bytes left, else what execution needed."""


class Orders:
    """Copies of the board's rows; safe to call from several threads."""

    def __init__(self, plant: Plant) -> None:
        self._board = plant.orders()
        self._rows: np.ndarray = np.zeros(ORDER_ROWS, ORDER_ROW.dtype)
        self._versions: np.ndarray = np.zeros(ORDER_ROWS, np.int64)
        self._lock = threading.Lock()

    def rows(self) -> list[np.void]:
        """Every intent still on the board, newest first."""
        with self._lock:
            for place in self._board.changed_since(self._versions).tolist():
                if self._board.read_into(place, self._rows, place) < 0:
                    self._versions[place] = -1  # look again
            known = self._rows[self._rows["number"] > 0].copy()
        return list(known[np.argsort(-known["number"])])

    def history(self, limit: int, symbol: str = "", state: str = "", before: int = 0) -> tuple[list[dict], int]:
        """(rows newest first, number to go on before; 0 = the end)."""
        found: list[dict] = []
        for row in self.rows():
            if before and int(row["number"]) >= before:
                continue
            told = order_json(row)
            if (symbol and told["symbol"] != symbol) or (state and told["state"] != state):
                continue
            if len(found) == limit:
                return found, int(found[-1]["number"])
            found.append(told)
        return found, 0

    def active(self) -> list[dict]:
        """Orders that may still fill."""
        return [order_json(row) for row in self.rows() if OrderState(int(row["state"])) not in ENDED]

    def latency(self) -> dict:
        """Stages over the orders on the board, and the slowest of these orders."""
        rows = [row for row in self.rows() if row["taken_ns"]]
        by_name = {stage.name: stage for stage in STAGES}
        stage = next((by_name[name] for name in SLOWEST_BY
                      if any(elapsed_us(row, by_name[name]) is not None for row in rows)), by_name[SLOWEST_BY[-1]])
        timed = [(us, row) for row in rows if (us := elapsed_us(row, stage)) is not None]
        timed.sort(key=lambda pair: -pair[0])
        return {"orders": len(rows), "stages": percentiles(rows), "slowest_by": stage.name,
                "slowest": [order_json(row) for _, row in timed[:SLOWEST]]}


def order_json(row: np.void) -> dict[str, Any]:
    """A row of /api/orders/recent: the ledger's, with the refusal in words and the stages that were measured."""
    told = {name: value for name, value in as_dict(row).items() if not name.endswith("_us")}
    stages = {stage.name: elapsed_us(row, stage) for stage in STAGES}
    refused = told["gate"] != "NONE"
    told |= {
        "ts": int(row["wall_ns"]) // 1_000_000, "order_id": str(told["order_id"]), "decision_id": str(told["decision_id"]),
        "reason": gate_reason(str(told["gate"])) if refused else "",
        "cause": Cause(int(row["cause"])).name if int(row["cause"]) in _CAUSES else str(row["cause"]),
        "stages_us": {name: round(us, 1) if us is not None else None for name, us in stages.items()},
    }
    return told


_CAUSES = frozenset(int(cause) for cause in Cause)
