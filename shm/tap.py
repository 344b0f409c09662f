"""Taps: what a process received and consumed, exactly as it was, over a lossy ring to the recorder.

    cell 0                                                      cell 1 ..
    [EVENT header: kind TAP, u = payload bytes, xseq = journal kind]  [payload, last cell padded with zeros]

`seq` numbers the records, so the recorder sees what it lost. In place of a record too long for one message stands a HOLE:
behind it nothing can be replayed. The writer never waits: a reader that is too slow loses.
The ring of the gateway is `Plant.raw`, that of execution and of the shards `Plant.tap`.
"""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np

from core.consumption import ROW_TOO_LONG, Hole, Kind, pack
from core.jit import kernel
from core.records import CELL_BYTES, CELL_WORDS
from shm.broadcast import BroadcastRing

TAP_KIND = 254
TAP_CELLS = 65_536
MAX_PAYLOAD_BYTES = (TAP_CELLS - 2) * CELL_BYTES
_HEADER = struct.Struct("<6qQQ")  # the header cell, as `pack_tap` writes it
_ZEROS = bytes(CELL_BYTES)
NOTE_CELLS = 1024  # scratch of the first notes; grows with the longest


@kernel
def pack_tap(stage, frames, start, n_frames, kind, last_kind, cells, payload, first_number, status):
    """Pack frames `start..` of `stage` into `cells` (int64[:, 8], `payload` the same memory as uint8[:]) until full.

    The last of all frames gets journal kind `last_kind`, the others `kind`. status int64[4]: cells used, messages,
    frames too long. Returns the index of the next frame.
    """
    at = 0
    messages = 0
    too_long = 0
    index = start
    while index < n_frames:
        length = frames[index, 1]
        if length > MAX_PAYLOAD_BYTES:
            too_long += 1
            index += 1
            continue
        n_cells = 1 + (length + CELL_BYTES - 1) // CELL_BYTES
        if at + n_cells > cells.shape[0]:
            break
        cells[at, 0] = first_number + messages
        cells[at, 1] = 0
        cells[at, 2] = frames[index, 2]
        cells[at, 3] = frames[index, 3]
        cells[at, 4] = length
        cells[at, 5] = last_kind if index == n_frames - 1 else kind
        cells[at, 6] = 0xFFFFFFFF | (TAP_KIND << 32) | (n_cells << 48)
        cells[at, 7] = frames[index, 4] << 48
        offset = frames[index, 0]
        begin = (at + 1) * CELL_BYTES
        for byte in range(length):
            payload[np.uint64(begin + byte)] = stage[np.uint64(offset + byte)]
        for byte in range(begin + length, (at + n_cells) * CELL_BYTES):
            payload[np.uint64(byte)] = 0
        at += n_cells
        messages += 1
        index += 1
    status[0] = at
    status[1] = messages
    status[2] = too_long
    return index


class Tap:
    """Writer side of one ring; one thread only. A restarted process goes on numbering behind what the ring holds."""

    def __init__(self, ring: BroadcastRing) -> None:
        self._writer = ring.writer()
        self._limit = min(TAP_CELLS, ring.capacity_cells // 4)
        self._first = ring.total_messages
        self._make_room(NOTE_CELLS)
        self._status: np.ndarray = np.zeros(4, np.int64)
        self._words = memoryview(self._status)  # type: ignore[arg-type]
        self.offered = 0
        self.not_offered = 0

    def _make_room(self, n_cells: int) -> None:
        self._cells: np.ndarray = np.zeros((min(n_cells, self._limit), CELL_WORDS), np.int64)
        self._payload: np.ndarray = self._cells.view(np.uint8).reshape(-1)
        self._bytes = memoryview(self._payload)  # type: ignore[arg-type]

    def offer(
        self, stage: np.ndarray, frames: np.ndarray, n_frames: int, kind: int = Kind.FRAME,
        last_kind: int = Kind.FRAME_END,
    ) -> None:
        """Publish what one socket read gave: bytes uint8[:], rows int64[:, 5] (offset, length, times, connection)."""
        at = 0
        while at < n_frames:
            at = pack_tap(
                stage, frames, at, n_frames, int(kind), int(last_kind), self._cells, self._payload,
                self._first + self.offered + 1, self._status,
            )
            used, messages, too_long = self._words[0], self._words[1], self._words[2]
            if messages == 0 and too_long == 0:  # longer than our scratch
                if len(self._cells) < self._limit:
                    self._make_room(2 * len(self._cells))
                    continue
                at += 1  # longer than our ring may carry
                too_long = 1
            if messages:
                self._writer.publish(self._cells, used, messages)
            self.offered += messages
            if too_long:
                self._too_long(too_long)

    def put(self, kind: int, data: bytes, ts_recv_ns: int = 0, mono_ns: int = 0, conn: int = 0) -> None:
        """Publish one record: bytes of a link (Kind.PRIVATE, TRADE_ACK, REST, SENT with its times), or a packed note.

        As `offer` of one frame, without a kernel: this stands on the way of orders."""
        size = len(data)
        n_cells = 1 + (size + CELL_BYTES - 1) // CELL_BYTES
        if n_cells > len(self._cells):
            if n_cells > self._limit:
                self._too_long(1)
                return
            self._make_room(max(n_cells, 2 * len(self._cells)))
        _HEADER.pack_into(
            self._bytes, 0, self._first + self.offered + 1, 0, ts_recv_ns or time.time_ns(), mono_ns, size, int(kind),
            0xFFFFFFFF | TAP_KIND << 32 | n_cells << 48, conn << 48,
        )
        end, room = CELL_BYTES + size, n_cells * CELL_BYTES
        self._bytes[CELL_BYTES:end] = data
        self._bytes[end:room] = _ZEROS[: room - end]
        self._writer.publish(self._cells, n_cells, 1)
        self.offered += 1

    def _too_long(self, count: int) -> None:
        self.not_offered += count
        self.note(Hole(ROW_TOO_LONG, count))

    def note(self, note: Any) -> None:
        """Publish a note of core/consumption.py."""
        self.put(*pack(note))
