"""Frames in, events out: stage -> decode -> route -> publish, with every frame accounted for.

    frames = decoded + other + rejected            exactly, at any moment between two calls
    other    holds acknowledgements, pongs, topics we do not use, and what unknown_topic and unknown_symbol count
    rejected holds malformed frames, and what off_grid counts; on tapes also lines that are no frame

One `process` call handles everything one socket read (or one tape chunk) gave: the scanner decodes runs of ordinary
frames in one kernel call, the msgspec path takes the others one by one, in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from core.histogram import hist_record
from core.jit import kernel
from core.records import CELL_WORDS
from gateway.bybit.decode import Decoded, Outcome, decode_slow
from gateway.bybit.decode_kernels import (
    S_AT,
    S_MESSAGES,
    S_STOP,
    STATUS_WORDS,
    STOP_FULL,
    STOP_UNUSUAL,
    decode_batch,
)
from gateway.bybit.messages import Control
from gateway.bybit.symbol_index import SymbolIndex
from gateway.publisher import Publisher
from gateway.tape import FRAME_COLUMNS
from shm.counters import C_BYTES, C_DECODED, C_FRAMES, S_DECODE, S_RECV_TO_PUBLISH, CounterPage

OUT_CELLS = 8192
MAX_FRAMES = 4096
F_MONO = 3

_COUNTER_OF = {
    Outcome.OTHER: ("other",),
    Outcome.UNKNOWN_TOPIC: ("other", "unknown_topic"),
    Outcome.UNKNOWN_SYMBOL: ("other", "unknown_symbol"),
    Outcome.REJECTED: ("rejected",),
    Outcome.OFF_GRID: ("rejected", "off_grid"),
}


@kernel
def account(page, decode_stage, publish_stage, frames, n_frames, n_bytes, decoded, begin_ns, decoded_ns, now_ns):
    """Count a batch on the counter page (int64[:]) and in the histograms of its two stages, in one call."""
    page[C_FRAMES] += n_frames
    page[C_BYTES] += n_bytes
    page[C_DECODED] += decoded
    if n_frames > 0:
        hist_record(decode_stage, (decoded_ns - begin_ns) // n_frames)
        for index in range(n_frames):
            hist_record(publish_stage, now_ns - frames[index, F_MONO])


class Intake:
    """Decodes and routes staged frames for one publisher.

    `on_control(conn, control)` gets acknowledgements and pongs; `on_refused(conn, decoded)` gets frames that were
    rejected, off the grid or unknown.
    """

    def __init__(
        self,
        publisher: Publisher,
        counters: CounterPage,
        symbols: SymbolIndex,
        on_control: Callable[[int, Control], None] = lambda conn, control: None,
        on_refused: Callable[[int, Decoded], None] = lambda conn, decoded: None,
    ) -> None:
        self.publisher = publisher
        self.counters = counters
        self.symbols = symbols
        self.on_control = on_control
        self.on_refused = on_refused
        self._out: np.ndarray = np.zeros((OUT_CELLS, CELL_WORDS), np.int64)
        self._status: np.ndarray = np.zeros(STATUS_WORDS, np.int64)
        self._words = memoryview(self._status)  # type: ignore[arg-type]  # the same; single words read in a third of the time
        self._decode_stage = counters.hist(S_DECODE)
        self._publish_stage = counters.hist(S_RECV_TO_PUBLISH)

    def process(self, stage: np.ndarray, frames: np.ndarray, n_frames: int, n_bytes: int) -> None:
        """Decode, route and publish `frames[:n_frames]` (int64[:, 5]) of `stage` (uint8[:]); raises publisher.Stopped.

        `n_bytes` is their payload in total, for the counter only.
        """
        status, words, out = self._status, self._words, self._out
        begin_ns = time.monotonic_ns()
        at = decoded = 0
        while at < n_frames:
            words[S_AT] = words[S_MESSAGES] = 0
            at = decode_batch(stage, frames, at, n_frames, self.symbols.table, out, status)
            if words[S_MESSAGES]:
                decoded += words[S_MESSAGES]
                self.publisher.route(out, words[S_AT])
            stop = words[S_STOP]
            if stop == STOP_UNUSUAL:
                self._decode_one(stage, frames, at)
                at += 1
            elif stop != STOP_FULL:
                break
        decoded_ns = time.monotonic_ns()
        if self.publisher.publish():
            self.counters.add("batches")
        account(
            self.counters.array, self._decode_stage, self._publish_stage, frames, n_frames, n_bytes, decoded,
            begin_ns, decoded_ns, time.monotonic_ns(),
        )

    def reject(self, count: int) -> None:
        """Count units of input that are no frame at all (lines of a tape)."""
        self.counters.add("frames", count)
        self.counters.add("rejected", count)

    def _decode_one(self, stage: np.ndarray, frames: np.ndarray, index: int) -> None:
        """The msgspec path for one frame."""
        offset, length, ts_recv_ns, mono_ns, conn = (int(value) for value in frames[index, :FRAME_COLUMNS])
        frame = stage[offset : offset + length].tobytes()
        decoded = decode_slow(frame, self.symbols, ts_recv_ns, mono_ns, conn, self._out, 0)
        if decoded.kind == Outcome.DECODED:
            self.counters.add("decoded")
            self.counters.add("decoded_slow")
            self.publisher.route(self._out, decoded.n_cells)
            return
        for name in _COUNTER_OF[decoded.kind]:
            self.counters.add(name)
        if decoded.control is not None:
            self.on_control(conn, decoded.control)
        elif decoded.kind != Outcome.OTHER:
            self.on_refused(conn, decoded)
