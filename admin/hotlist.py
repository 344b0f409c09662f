"""SYMBOL_ROW records to int32 planes: the hot list's columns, their scales, and who changed since the last tick."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from admin import frames

UNKNOWN = -(2**31)
"""Plane value of a number that is not known yet (nan in the row)."""
LIMIT = 2**31 - 1


class Column(NamedTuple):
    """A column as HELLO announces it: `planes` int32 planes from `first` on, value = plane / scale."""

    name: str
    planes: int
    scale: int
    unit: str


COLUMNS: tuple[Column, ...] = (
    Column("last", 2, 1, "ticks"),  # low word (unsigned), high word: ticks are 64-bit and exact
    Column("spread", 1, 100, "bps"),
    Column("change", 1, 100, "%"),
    Column("delta", 1, 1, "USDT"),
    Column("imbalance", 1, 1000, "1"),
    Column("trades", 1, 10, "1/s"),
    Column("spoof", 1, 100, "1"),
    Column("news", 1, 100, "1"),
    Column("volatility", 1, 100, "1"),
    Column("support", 1, 100, "1"),
    Column("resistance", 1, 100, "1"),
    Column("long", 1, 100, "1"),
    Column("short", 1, 100, "1"),
    Column("watch", 1, 100, "1"),  # thresholds in force for the symbol
    Column("arm", 1, 100, "1"),
    Column("codes", 1, 1, "bytes"),  # state | regime << 8 | pump << 16 | gate << 24
    Column("marks", 1, 1, "bytes"),  # category | data_state << 8 | flags << 16 | (side + 1) << 24
    Column("seen", 1, 1, "ms"),  # server milliseconds at which an event of the symbol was last noticed
)
_SCORES = ("spoof", "news", "volatility", "wall_support", "wall_resistance", "score_long", "score_short", "watch", "arm")
N_PLANES = sum(column.planes for column in COLUMNS)


def columns_json() -> list[dict]:
    """The column list of HELLO."""
    at = 0
    rows = []
    for column in COLUMNS:
        rows.append({"name": column.name, "first": at, "planes": column.planes, "scale": column.scale,
                     "unit": column.unit})
        at += column.planes
    return rows


def _scaled(values: np.ndarray, scale: int) -> np.ndarray:
    """float -> int32, rounded half to even, clipped; nan becomes UNKNOWN."""
    scaled = np.rint(values * scale)
    known = ~np.isnan(scaled)
    return np.where(known, np.clip(np.where(known, scaled, 0.0), -LIMIT, LIMIT), UNKNOWN).astype(np.int32)


def to_planes(rows: np.ndarray, seen_ms: np.ndarray) -> np.ndarray:
    """int32 (N_PLANES, n) of SYMBOL_ROW records `rows` (n,) and `seen_ms` int64 (n,)."""
    n = len(rows)
    planes = np.empty((N_PLANES, n), np.int32)
    last = rows["last_ticks"].astype(np.int64)
    planes[0] = (last & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    planes[1] = (last >> 32).astype(np.int32)
    planes[2] = _scaled(rows["spread_bps"], 100)
    planes[3] = _scaled(rows["change_1m_pct"], 100)
    planes[4] = _scaled(rows["delta_10s"], 1)
    planes[5] = _scaled(rows["imbalance"], 1000)
    planes[6] = _scaled(rows["trades_per_s"], 10)
    for plane, name in enumerate(_SCORES, 7):
        planes[plane] = rows[f"{name}_e2"]
    planes[-3] = _bytes(rows["state"], rows["regime"], rows["pump"], rows["gate"])
    planes[-2] = _bytes(rows["category"], rows["data_state"], rows["flags"], (rows["side"] + 1).astype(np.uint8))
    planes[-1] = np.clip(seen_ms, -1, LIMIT)
    return planes


def _bytes(b0: np.ndarray, b1: np.ndarray, b2: np.ndarray, b3: np.ndarray) -> np.ndarray:
    packed = b0.astype(np.uint32) | b1.astype(np.uint32) << 8 | b2.astype(np.uint32) << 16 | b3.astype(np.uint32) << 24
    return packed.view(np.int32)


class TableChannel:
    """The table as one rate group of clients sees it: every frame is encoded at most once a tick and shared.

    `update` takes the live rows; `delta()` is against the previous update, `snap()` is the whole table. A client that
    missed a tick gets `snap()` next, so nothing is ever queued for it.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._ids = np.zeros(0, np.int64)
        self._planes = np.zeros((N_PLANES, 0), np.int32)
        self._dirty: np.ndarray | None = None  # None: the set of rows changed, only a SNAP can tell
        self._snap: bytes | None = None
        self._delta: bytes | None = None
        self._ts_ns = 0

    def update(self, ids: np.ndarray, planes: np.ndarray, ts_ns: int) -> None:
        """Take the table of this tick: `ids` int64 (n,) ascending, `planes` int32 (N_PLANES, n)."""
        same_rows = len(ids) == len(self._ids) and bool(np.array_equal(ids, self._ids))
        self._dirty = np.flatnonzero((planes != self._planes).any(axis=0)) if same_rows else None
        self._ids, self._planes, self._ts_ns = ids, planes, ts_ns
        self._snap = self._delta = None
        self.seq += 1

    def snap(self) -> bytes:
        """The whole table."""
        if self._snap is None:
            self._snap = frames.encode(frames.SNAP, self.seq, self._ts_ns, self._ids, self._planes)
        return self._snap

    def delta(self) -> bytes:
        """The rows that changed in the last `update` (a SNAP when rows came or went)."""
        if self._dirty is None:
            return self.snap()
        if self._delta is None:
            self._delta = frames.encode(frames.DELTA, self.seq, self._ts_ns, self._ids[self._dirty],
                                        self._planes[:, self._dirty])
        return self._delta
