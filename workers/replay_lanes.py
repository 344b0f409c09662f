"""The engines of a replay: recorded notes of shards say when reports took effect and what a shard never saw.

A lane is an engine for part of the symbols. Without laps and restarts of shards, lanes may be cut as one likes: a
symbol's decisions depend on its own events, the system events and its own reports. A shard that was lapped or restarted
saw less than was published, so then each of its symbols stays in a lane of that shard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from core.consumption import Born, Broken, CheckShard, Own, Resume, Taken
from core.engine.digest import digest_sum
from core.engine.state import mark_all_broken
from core.jit import kernel
from core.mixing import MASK
from core.orders.wire import Message, read_reports
from core.records import CELL_WORDS, REPORT
from shm.regions import MAX_SYMBOLS
from workers.lane import Lane, LaneSink

NEVER = 1 << 62
NO_EVENT = 0xFFFFFFFF | (1 << 48)  # words 6 of a header cell: kind NONE, symbol -1, one cell


@kernel
def find_seq(cells, start, n_cells, seq):
    """Index of the first message in cells[start:n_cells] whose seq is at least `seq`, else n_cells."""
    at = start
    while at < n_cells and cells[at, 0] < seq:
        at += max((cells[at, 6] >> 48) & 0xFFFF, 1)
    return min(at, n_cells)


class Step(NamedTuple):
    """What happens to an engine before it steps the first event with seq >= `before`."""

    before: int
    note: Any


@dataclass
class ShardScript:
    """The notes of one shard as steps, in order; `lives` counts its starts."""

    steps: list[Step] = field(default_factory=list)
    lives: int = 0
    interrupted: bool = False


def resumes_at(notes: list[Any], born: int) -> int:
    """First event of the life that begins with notes[born]: until there the old one may have gone on."""
    return next((note.seq for note in notes[born:] if isinstance(note, Resume)), NEVER)


def shard_script(notes: list[Any]) -> ShardScript:
    """Steps from the notes of one shard in the order they were written. Skipped events: from BROKEN to RESUME."""
    script = ShardScript()
    is_new = False  # restarted, and nothing read yet: what it says is not of the ring
    for index, note in enumerate(notes):
        if isinstance(note, Born):
            script.lives += 1
            script.interrupted |= bool(note.restarted)
            is_new = bool(note.restarted)
            script.steps.append(Step(resumes_at(notes, index) if note.restarted else 0, note))
        elif isinstance(note, Own):
            script.steps.append(Step(0, note))
        elif isinstance(note, Broken):
            script.interrupted = True
            script.steps.append(Step(0 if is_new else note.seq + 1, note))
        elif isinstance(note, Resume):
            script.steps.append(Step(0, note))
            is_new = False
        elif isinstance(note, Taken):
            script.steps.append(Step(note.before_seq, note))
        elif isinstance(note, CheckShard):
            script.steps.append(Step(0 if is_new else note.seq + 1, note))
    return script


class ReplayLane:
    """One engine and its script: a `RingWriter`. `shards`: scripts by recorded shard, of the shards it has symbols of;
    of TAKEN steps it takes those of its own symbols (`owns`)."""

    def __init__(
        self, scripts: dict[int, ShardScript], owns: Callable[[int], bool], levels: int, sink: LaneSink,
        said: Callable[[int, list[Message]], None], checked: Callable[[int, int, CheckShard, int, int], None],
    ) -> None:
        self._owns = owns
        self._levels = levels
        self._sink = sink
        self._said = said
        self._checked = checked
        self._life = 0
        self._skips_until = 0
        self._found: np.ndarray = np.zeros(2, np.int64)
        self._steps = deque(self._mine(scripts))
        self.lane = Lane(MAX_SYMBOLS, levels, paced=False, sink=sink)
        self.seq = 0

    def _mine(self, scripts: dict[int, ShardScript]) -> list[tuple[int, int, int, Any]]:
        """(before, shard, number of the check, note), in the order to be done."""
        rows: list[tuple[int, int, int, Any]] = []
        for shard, script in scripts.items():
            checks = 0
            reached = 0
            for before, note in script.steps:
                reached = max(reached, before)  # notes of one shard keep their order
                if isinstance(note, CheckShard):
                    checks += 1
                elif isinstance(note, Taken):
                    symbol = int(np.frombuffer(note.payload, REPORT.dtype)["symbol"][0])
                    if not self._owns(symbol):
                        continue
                rows.append((reached, shard, checks, note))
        return sorted(rows, key=lambda row: row[0]) if len(scripts) > 1 else rows

    # --- events ----------------------------------------------------------------------------------------------------
    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool:
        """Step int64[n_cells, 8] whole messages, doing what the script says in between."""
        at = 0
        while at < n_cells:
            seq = int(cells[at, 0])
            self._do_steps(seq)
            if seq < self._skips_until:
                at = int(find_seq(cells, at, n_cells, self._skips_until))
                continue
            until = int(find_seq(cells, at, n_cells, self._steps[0][0])) if self._steps else n_cells
            self._run(cells, at, until)
            at = until
        return True

    def finish(self, seq: int) -> None:
        """The journal ends with event `seq`: do what is due up to there."""
        self._do_steps(seq + 1)

    def digest_of(self, shard: int) -> tuple[int, int]:
        """(digest, symbols) of a recorded shard's symbols in this engine, as they are now."""
        digest_sum(self.lane.state.symbols, self.lane.state.trade, self.lane.n_slots, shard, self._found)
        return int(self._found[0]) & MASK, int(self._found[1])

    @property
    def undone(self) -> list[Any]:
        """Notes whose place was never reached."""
        return [step[3] for step in self._steps]

    def _run(self, cells: np.ndarray, start: int, stop: int) -> None:
        part = cells[start:stop]
        self.lane.publish(part, stop - start, 0)
        messages = self.lane.work()
        self.seq = max(self.seq, self.lane.watermark)
        if messages:
            self._said(self._life, messages)

    # --- script ----------------------------------------------------------------------------------------------------
    def _do_steps(self, seq: int) -> None:
        while self._steps and self._steps[0][0] <= seq:
            _, shard, number, note = self._steps.popleft()
            if isinstance(note, Taken):
                self._take(note)
            elif isinstance(note, CheckShard):
                self._checked(shard, number, note, *self.digest_of(shard))
            elif isinstance(note, Born):
                if note.restarted:
                    self._life += 1
                    self.lane = Lane(MAX_SYMBOLS, self._levels, paced=False, sink=self._sink)
                    self._skips_until = NEVER
            elif isinstance(note, Own):
                self._own(note)
            elif isinstance(note, Broken):
                mark_all_broken(self.lane.state, note.reason, note.ts_ns, note.seq, 1)
                self._skips_until = NEVER
            elif isinstance(note, Resume):
                self._skips_until = note.seq

    def _take(self, note: Taken) -> None:
        """Let a report take effect now: reports are looked at before an event, so step one that says nothing."""
        report = read_reports(np.frombuffer(note.payload, REPORT.dtype), 1)[0]
        self.lane.answer([report._replace(effect_ns=note.when_ns)])
        nothing: np.ndarray = np.zeros((1, CELL_WORDS), np.int64)
        nothing[0, 0], nothing[0, 2], nothing[0, 6] = self.seq, note.when_ns, NO_EVENT
        self._run(nothing, 0, 1)

    def _own(self, note: Own) -> None:
        """An event a restarted shard made itself: of its symbols, or for all of them."""
        cells = np.frombuffer(note.payload, np.int64).reshape(-1, CELL_WORDS).copy()
        symbol = (int(cells[0, 6]) << 32) >> 32 & 0xFFFFFFFF
        if symbol == 0xFFFFFFFF or self._owns(symbol):
            self._run(cells, 0, len(cells))
