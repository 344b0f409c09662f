"""The events of a recorded run under other settings: a source for `Pipeline`, and the run's own order of events.

    raw stream -> RawFeed -> ReplayGateway (own settings) -> lanes

Same frames, same TIMERs, same numbers of events as in the run: what decides differently does so because of its settings or of
the paper engine's latency, never because it saw something else. Decisions of one event carry the same id in both.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from config.schema import Settings
from core.consumption import Kind, SettingsNote
from core.params import params_row
from core.risk.policy import instrument, policy
from gateway.replay import Finding, ReplayGateway
from gateway.tape import TapeError
from workers.html_page import when
from workers.pipeline import GATEWAY_COUNTS, Pipeline
from workers.raw_feed import RawFeed
from workers.run_journal import Record, RunJournal

BATCH = 512  # records of one turn


def run_settings(journal: RunJournal) -> Settings | None:
    """The settings the run began with, None where its journal does not tell them to this version."""
    for _, note in journal.read("raw"):
        if isinstance(note, SettingsNote):
            try:
                return msgspec.json.decode(note.payload, type=Settings)
            except msgspec.MsgspecError:
                return None
    return None


def decide_alike(a: Settings, b: Settings) -> bool:
    """Do engines and account decide the same under both?"""
    b = msgspec.structs.replace(b, trading=msgspec.structs.replace(b.trading, mode=a.trading.mode))
    return params_row(a, 1).tobytes() == params_row(b, 1).tobytes() and policy(a) == policy(b)


class JournalSource:
    """`until_ns`: stop before the first frame received later (0 = at the end). `now_ns`, `first_ns`: of the frames.
    `as_run`: the settings are the run's own, and so are CONFIG and GLOBAL, also after a reload."""

    def __init__(self, journal: RunJournal, pipeline: Pipeline, until_ns: int = 0, as_run: bool = False) -> None:
        self.journal = journal
        self.is_done = False
        self.first_ns = 0
        self._pipeline = pipeline
        self._until_ns, self._last_ns = until_ns, 0
        self.gateway = ReplayGateway(
            pipeline.sinks, pipeline.place, self._found, self._listed, None if as_run else pipeline.settings
        )
        self.findings: list[Finding] = []  # where the gateway's core of today computes something else
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

    def remarks(self) -> list[str]:
        """What is wrong with the frames."""
        hole = self.journal.state["raw"].hole
        return [f"the frames end early: {hole}"] if hole else []

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
            why = self.journal.state["raw"].hole or (
                f"nothing was received before --to {when(self._until_ns)}" if self._until_ns
                else "it is empty (the frames of a tape run are in its tape)"
            )
            raise TapeError(f"the journal of run {self.journal.run_id} holds no public frames: {why}")

    def _found(self, finding: Finding) -> None:
        self.findings.append(finding)

    def _listed(self, record: np.ndarray) -> None:
        symbol = int(record["id"][0])
        self._pipeline.plant.symbols().write(symbol, record)
        self._pipeline.listed(symbol, instrument(record[0]))
