"""One engine inside this process: what `workers/shard.py` is to a market ring, without ring, boards and clock.

It is a `gateway.publisher.RingWriter`: published cells are kept by reference, not copied, so whoever publishes must let
the lane work them off (`work` until `idle`) before it writes into that memory again.
"""

from __future__ import annotations

import numpy as np

from core.engine.decision import take_decisions
from core.engine.engine import (
    NO_ROOM,
    P_BLOCKED,
    P_DECISIONS,
    P_EVENTS,
    P_LOGS,
    P_OUT,
    P_REPORTS_USED,
    P_WATERMARK,
    P_WORDS,
    run_batch,
)
from core.engine.state import C_LAST_SEQ, C_LAST_TS, C_N_SLOTS, new_state
from core.explain import naming_of
from core.orders.wire import Message, Report, read_messages, write_reports
from core.records import LOG, MESSAGE, REPORT

ROWS = 1024  # messages and log records of one call
COUNTS = ("stepped", "decisions", "recorded", "records_lost")


class LaneSink:
    """Takes what a lane writes beside its messages; the default keeps nothing. Arrays are valid during the call only."""

    def decisions(self, records: np.ndarray) -> None:
        """DECISION records."""

    def logs(self, records: np.ndarray) -> None:
        """LOG records."""


class BothSinks(LaneSink):
    """Hands everything to two sinks."""

    def __init__(self, first: LaneSink, second: LaneSink) -> None:
        self._sinks = (first, second)

    def decisions(self, records: np.ndarray) -> None:
        for sink in self._sinks:
            sink.decisions(records)

    def logs(self, records: np.ndarray) -> None:
        for sink in self._sinks:
            sink.logs(records)


class Lane:
    """An engine for up to `slots` symbols with books of `levels` per side, and the reports on their way to it."""

    def __init__(self, slots: int, levels: int, *, paced: bool, sink: LaneSink | None = None) -> None:
        self.state = new_state(slots, levels, paced=paced)
        self.counts = dict.fromkeys(COUNTS, 0)
        self.watermark = 0
        self._sink = sink or LaneSink()
        self._cells: np.ndarray = np.zeros((0, 8), np.int64)
        self._at = self._n_cells = 0
        self._reports: np.ndarray = np.zeros(ROWS, REPORT.dtype)
        self._n_reports = 0
        self._out: np.ndarray = np.zeros(ROWS, MESSAGE.dtype)
        self._logs: np.ndarray = np.zeros(ROWS, LOG.dtype)
        self._progress: np.ndarray = np.zeros(P_WORDS, np.int64)

    # --- what comes in ---------------------------------------------------------------------------------------------
    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool:
        """Take int64[n_cells, 8] whole messages; what came before must have been worked off."""
        assert self.idle, "cells published over cells not yet stepped"
        self._cells, self._at, self._n_cells = cells, 0, n_cells
        return True

    def answer(self, reports: list[Report]) -> None:
        """Reports for this engine, behind those already waiting."""
        need = self._n_reports + len(reports)
        if need > len(self._reports):
            more: np.ndarray = np.zeros(2 * need, REPORT.dtype)
            more[: self._n_reports] = self._reports[: self._n_reports]
            self._reports = more
        self._reports[self._n_reports : need] = write_reports(reports)
        self._n_reports = need

    # --- work ------------------------------------------------------------------------------------------------------
    @property
    def idle(self) -> bool:
        """Everything published has been stepped."""
        return self._at >= self._n_cells

    @property
    def stuck(self) -> bool:
        """After `work`: it waits for an answer."""
        return not self.idle

    def reached(self) -> tuple[int, int]:
        """The last event stepped and its receive time in ns."""
        return int(self.state.control[C_LAST_SEQ]), int(self.state.control[C_LAST_TS])

    def work(self) -> list[Message]:
        """Step what is there until it is used up or an answer is missing; the messages it led to, in order."""
        messages: list[Message] = []
        progress = self._progress
        while self._at < self._n_cells:
            self._at = run_batch(
                self.state, self._cells, self._at, self._n_cells, self._reports, self._n_reports, self._out,
                self._logs, progress,
            )
            used = int(progress[P_REPORTS_USED])
            if used:
                self._reports[: self._n_reports - used] = self._reports[used : self._n_reports].copy()
                self._n_reports -= used
            n_out = int(progress[P_OUT])
            if n_out:
                messages += read_messages(self._out, n_out)
            self._tell()
            self.watermark = int(progress[P_WATERMARK])
            if self._at < self._n_cells and progress[P_BLOCKED] != NO_ROOM:
                break
        return messages

    def _tell(self) -> None:
        progress, counts = self._progress, self.counts
        counts["stepped"] += int(progress[P_EVENTS])
        counts["decisions"] += int(progress[P_DECISIONS])
        n_logs = int(progress[P_LOGS])
        if n_logs:
            self._sink.logs(self._logs[:n_logs])
        records, lost = take_decisions(self.state)
        counts["records_lost"] += lost
        if len(records):
            counts["recorded"] += len(records)
            self._sink.decisions(records)

    # --- what it came to -------------------------------------------------------------------------------------------
    @property
    def n_slots(self) -> int:
        return int(self.state.control[C_N_SLOTS])

    def digests(self) -> tuple[np.ndarray, np.ndarray]:
        """(name hashes, decision digests), uint64, of all symbols this engine ever had."""
        n = self.n_slots
        return (
            np.ascontiguousarray(self.state.symbols["name_hash"][:n]).astype(np.uint64),
            np.ascontiguousarray(self.state.trade["digest"][:n]).astype(np.uint64),
        )

    def books(self) -> dict[str, int]:
        """Digest of each symbol's book as END left it (0 = none), by name."""
        symbols, trade = self.state.symbols, self.state.trade
        return {naming_of(symbols[slot]).name: int(trade["book_digest"][slot]) for slot in range(self.n_slots)}
