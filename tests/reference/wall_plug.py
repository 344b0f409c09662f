"""Wall features for the engine's twin: the real wall kernels over one slot and a book of their own.

Their naive twin is tested beside them; what the engine's twin proves is where the engine calls them and what it does with
the answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.book.kernels import OVERFLOW, apply_delta, apply_snapshot, new_book
from core.features.walls import (
    configure_walls,
    list_walls,
    new_walls,
    walls_book,
    walls_broken,
    walls_timer,
    walls_trades,
)
from core.features.walls_records import WALLS
from core.params import PARAMS
from core.records import LEVEL, TRADE
from tests.reference.tape import Trade

SLOT = np.int64(0)


class KernelWalls:
    """One symbol. `p`: PARAMS by name; `s`: SYMBOL by name."""

    def __init__(self, s: dict[str, Any], p: dict[str, Any], levels: int) -> None:
        self.params = np.zeros(1, PARAMS.dtype)
        for name in PARAMS.dtype.names or ():
            if name != "reserved":
                self.params[name] = p[name]
        self.state, self.book = new_walls(1), new_book(1, levels)
        configure_walls(self.state, self.params, np.int64(1))
        list_walls(self.state, SLOT, s["tick_size"], s["lot_size"])
        self.rows = np.zeros(512, LEVEL.dtype)
        self.code = 0

    def apply(self, bids: list, asks: list, snapshot: bool) -> None:
        """The same levels into the own book; features follow with `on_book` when the book is believed."""
        for k, (price, lots) in enumerate([*bids, *asks]):
            self.rows[k]["price_ticks"], self.rows[k]["qty_lots"] = price, lots
        take = apply_snapshot if snapshot else apply_delta
        self.code = take(self.book, SLOT, self.rows, np.int64(0), np.int64(len(bids)), np.int64(len(asks)))

    def on_book(self, ts: int, n_bids: int, n_asks: int, snapshot: bool) -> None:
        fresh = np.int64(snapshot or self.code & OVERFLOW != 0)
        walls_book(
            self.state, self.book, SLOT, self.rows, np.int64(0), np.int64(n_bids), np.int64(n_asks), fresh, np.int64(ts),
            self.params,
        )

    def on_trades(self, ts: int, trades: list[Trade]) -> None:
        rows = np.zeros(len(trades), TRADE.dtype)
        for row, trade in zip(rows, trades, strict=True):
            row["price_ticks"], row["qty_lots"], row["side"] = trade.price, trade.qty, trade.side
            row["flags"], row["ts_exch_ns"] = trade.flags, trade.ts_exch_ns
        walls_trades(self.state, self.book, SLOT, rows, np.int64(0), np.int64(len(rows)), np.int64(ts), self.params)

    def at(self, ts: int) -> None:
        walls_timer(self.state, self.book, SLOT, np.int64(ts), self.params)

    def broken(self) -> None:
        walls_broken(self.state, SLOT)

    def values(self) -> dict[str, float]:
        return {field.name: float(self.state.row[0][field.name]) for field in WALLS.fields}
