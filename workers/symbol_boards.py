"""What an engine shows of its symbols: rows, detail of the few that are looked at, the funnel."""

from __future__ import annotations

import numpy as np

from core.decision import FUNNEL
from core.detail import DETAIL, DETAIL_WISHES
from core.engine.board import fill_detail, fill_rows
from core.engine.state import C_N_SLOTS, EngineState
from core.records import SYMBOL_ROW
from shm.topology import Plant

BATCH = 256


class SymbolBoards:
    """Writer of the boards symbol_rows, detail and funnel for the symbols of one engine."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._ids: np.ndarray = np.zeros(BATCH, np.int64)
        self._rows: np.ndarray = np.zeros(BATCH, SYMBOL_ROW.dtype)
        self._details: np.ndarray = np.zeros(DETAIL_WISHES, DETAIL.dtype)

    def write(self, state: EngineState) -> int:
        """Rows of symbols that changed since the last call, and the details wished for; how many rows."""
        board = self._plant.symbol_rows()
        written = 0
        while n := int(fill_rows(state, self._ids, self._rows)):
            board.write_rows(self._ids, n, self._rows)
            written += n
            if n < BATCH:
                break
        for row, symbol in enumerate(self._plant.control.detail_symbols):
            if symbol >= 0 and fill_detail(state, symbol, self._details, row):
                self._plant.detail().write(row, self._details, row)
        return written

    def write_funnel(self, state: EngineState, ts_ns: int) -> None:
        """Counts of every symbol; `ts_ns`: event time of them."""
        n = int(state.control[C_N_SLOTS])
        rows: np.ndarray = np.zeros(n, FUNNEL.dtype)
        rows["symbol"] = state.symbols["id"][:n]
        rows["ts_ns"] = ts_ns
        rows["looks"] = state.funnel[:n]
        self._plant.funnel().write_rows(rows["symbol"].copy(), n, rows)
