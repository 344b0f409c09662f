"""The events of a recorded run under other settings: a source for `Pipeline`, and the run's own order of events.

    raw stream -> RawFeed -> ReplayGateway (own settings) -> lanes

Same frames, same TIMERs, same numbers of events as in the run: what decides differently does so because of its settings or of
the paper engine's latency, never because it saw something else. Decisions of one event carry the same id in both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.consumption import Kind
from core.risk.policy import instrument
from gateway.replay import Finding, ReplayGateway
from gateway.tape import TapeError
from workers.pipeline import GATEWAY_COUNTS, Pipeline
from workers.raw_feed import RawFeed
from workers.run_journal import Record, RunJournal

BATCH = 512  # records of one turn


class JournalSource:
    """`until_ns`: stop before the first frame received later (0 = at the end). `now_ns`, `first_ns`: of the frames."""

    def __init__(self, journal: RunJournal, pipeline: Pipeline, until_ns: int = 0) -> None:
        lanes = len(pipeline.lanes)
        self.journal = journal
        self.is_done = False
        self.first_ns = 0
        self._pipeline = pipeline
        self._until_ns, self._last_ns = until_ns, 0
        self.gateway = ReplayGateway(
            pipeline.sinks, lambda record: int(record["id"][0]) % lanes, self._found, self._listed, pipeline.settings
        )
        self._feed = RawFeed(self.gateway)
        self._records: Iterator[Record] = iter(())

    @property
    def until_ns(self) -> int:
        """Where it will end, as far as is known now."""
        return self._until_ns or self._last_ns

    @property
    def now_ns(self) -> int:
        return self._feed.now_ns

    @property
    def frames(self) -> int:
        return self._feed.frames

    def on_start(self) -> None:
        self._last_ns = self.journal.last_ns("raw")
        self._records = self.journal.read("raw")

    def do_work(self) -> int:
        """Up to BATCH records; fewer than that only at the end."""
        for count in range(BATCH):
            record = next(self._records, None)
            late = record is not None and self._until_ns and record.frame.ts_recv_ns > self._until_ns
            if record is None or (late and record.frame.kind <= Kind.FRAME_END):
                self._end()
                return count
            self.first_ns = self.first_ns or (record.frame.ts_recv_ns if record.frame.kind <= Kind.FRAME_END else 0)
            self._feed.take(record)
        return BATCH

    def on_close(self) -> None:
        """Counters are told as a gateway tells them."""
        page, counters = self._pipeline.plant.counters(), self.gateway.counters
        for name in GATEWAY_COUNTS:
            page.set(name, counters.get(name))
        page.set("frames", self.frames)

    def _end(self) -> None:
        self.is_done = True
        self._feed.finish()
        if not self.frames:
            why = self.journal.state["raw"].hole or "it is empty (the frames of a tape run are in its tape)"
            raise TapeError(f"the journal of run {self.journal.run_id} holds no public frames: {why}")

    def _found(self, finding: Finding) -> None:
        raise AssertionError(f"with settings of its own a gateway compares nothing: {finding}")

    def _listed(self, record: np.ndarray) -> None:
        symbol = int(record["id"][0])
        self._pipeline.plant.symbols().write(symbol, record)
        self._pipeline.broker.instruments[symbol] = instrument(record[0])
