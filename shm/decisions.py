"""Decision rings: one lossy broadcast ring of DECISION records per shard, read by the recorder and the admin page.

A message is a header cell (EVENT with kind 254) and one record. Writing never waits: who reads too slowly loses records
and counts them.
"""

from __future__ import annotations

import numpy as np

from core.decision import DECISION, DECISION_CELLS
from core.records import CELL_WORDS, EVENT
from shm.broadcast import N_CELLS_SHIFT, N_CELLS_WORD, BroadcastReader, BroadcastRing

MESSAGE_CELLS = 1 + DECISION_CELLS
DECISION_EVENT_KIND = 254
BATCH = 64

_KIND_OFFSET = EVENT.dtype.fields["kind"][1]  # type: ignore[index]
_HEADER = (DECISION_EVENT_KIND << 8 * (_KIND_OFFSET % 8)) | (MESSAGE_CELLS << N_CELLS_SHIFT)
if _KIND_OFFSET // 8 != N_CELLS_WORD:
    raise AssertionError("EVENT changed: shm/decisions.py packs a message by hand")


class DecisionWriter:
    """Writer of one shard's decision ring."""

    def __init__(self, ring: BroadcastRing) -> None:
        self._writer = ring.writer()
        self._cells: np.ndarray = np.zeros((MESSAGE_CELLS * BATCH, CELL_WORDS), np.int64)
        self._messages = self._cells.reshape(BATCH, MESSAGE_CELLS, CELL_WORDS)
        self._messages[:, 0, N_CELLS_WORD] = _HEADER

    def write(self, records: np.ndarray) -> None:
        """Publish DECISION records (n,)."""
        words = records.view(np.int64).reshape(len(records), DECISION_CELLS, CELL_WORDS)
        for first in range(0, len(records), BATCH):
            n = min(BATCH, len(records) - first)
            self._messages[:n, 1:] = words[first : first + n]
            self._writer.publish(self._cells, MESSAGE_CELLS * n, n)


class DecisionReader:
    """Reader of one decision ring; `reader` may be a predecessor's slot taken over."""

    def __init__(self, reader: BroadcastReader) -> None:
        self.reader = reader
        self._cells: np.ndarray = np.zeros((MESSAGE_CELLS * BATCH, CELL_WORDS), np.int64)

    def read(self) -> np.ndarray:
        """Up to 64 new DECISION records (a fresh array, possibly empty)."""
        n = self.reader.read(self._cells) // MESSAGE_CELLS
        words = self._cells[: n * MESSAGE_CELLS].reshape(n, MESSAGE_CELLS, CELL_WORDS)[:, 1:]
        return np.ascontiguousarray(words).reshape(-1).view(DECISION.dtype)

    @property
    def lost_messages(self) -> int:
        return self.reader.lost_messages
