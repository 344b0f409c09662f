"""Raw frames to the recorder: every frame exactly as received, over a lossy ring.

    cell 0                                         cell 1 ..
    [EVENT header: kind RAW, u = payload bytes]    [payload, last cell padded with zeros]

`seq` numbers the frames, so the recorder sees what it lost. A frame too long for one message is counted, not offered.
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from core.records import CELL_BYTES, CELL_WORDS
from gateway.publisher import RingWriter
from gateway.tape import copy_bytes

RAW_KIND = 254
RAW_CELLS = 65_536
MAX_PAYLOAD_BYTES = (RAW_CELLS - 2) * CELL_BYTES


@kernel
def pack_raw(stage, frames, start, n_frames, cells, payload, first_number, status):
    """Pack frames `start..` into `cells` (int64[:, 8], `payload` the same memory as uint8[:]) until full.

    status int64[4]: cells used, messages, frames too long. Returns the index of the next frame.
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
        cells[at, 5] = 0
        cells[at, 6] = 0xFFFFFFFF | (RAW_KIND << 32) | (n_cells << 48)
        cells[at, 7] = frames[index, 4] << 48
        offset = frames[index, 0]
        begin = (at + 1) * CELL_BYTES
        copy_bytes(payload, begin, stage, offset, length)
        for byte in range(begin + length, (at + n_cells) * CELL_BYTES):
            payload[np.uint64(byte)] = 0
        at += n_cells
        messages += 1
        index += 1
    status[0] = at
    status[1] = messages
    status[2] = too_long
    return index


class RawTap:
    """Writer side; `offer` what one socket read gave."""

    def __init__(self, writer: RingWriter, limit_cells: int = RAW_CELLS) -> None:
        self._writer = writer
        self._cells: np.ndarray = np.zeros((min(RAW_CELLS, limit_cells), CELL_WORDS), np.int64)
        self._payload: np.ndarray = self._cells.view(np.uint8).reshape(-1)
        self._status: np.ndarray = np.zeros(4, np.int64)
        self._words = memoryview(self._status)  # type: ignore[arg-type]
        self.offered = 0
        self.not_offered = 0

    def offer(self, stage: np.ndarray, frames: np.ndarray, n_frames: int) -> None:
        """Publish the frames (uint8[:], int64[:, 5])."""
        at = 0
        while at < n_frames:
            at = pack_raw(stage, frames, at, n_frames, self._cells, self._payload, self.offered + 1, self._status)
            used, messages, too_long = self._words[0], self._words[1], self._words[2]
            if messages == 0 and too_long == 0:  # longer than our ring may carry
                at += 1
                too_long = 1
            if messages:
                self._writer.publish(self._cells, used, messages)
            self.offered += messages
            self.not_offered += too_long
