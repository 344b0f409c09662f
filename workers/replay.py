"""Replay: a journalled run again, through the same gateway core, engines and execution, compared with what it recorded.

    raw stream   -> ReplayGateway -> lanes (engines)      digests at every check, messages, decision records
    order stream -> notes of shards ----^
                 -> notes of execution -> ReplayBroker  account digests, reports the shards took, durable records

Engines are fed the reports the shards took, execution the messages it took; each side's output is compared with the
other side's recorded input. Where all of it agrees, the closed loop is the recorded run, bit for bit.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from config.fingerprint import source_digest
from core.consumption import Born, CheckShard, Closed, EventNote, Kind, Run, SettingsNote
from core.enums import EventKind
from core.explain import naming_of
from core.mixing import MASK, mix64_int
from core.orders.wire import Message
from core.words import plural
from gateway.replay import Finding, ReplayGateway
from gateway.service import Sinks
from gateway.tape import FRAME_COLUMNS, TapeReader
from gateway.tape_source import BATCH_FRAMES, STAGE_BYTES
from shm.layout import LAYOUT_HASH
from shm.run_spec import RunSpec, process_rows
from workers.lane import BothSinks, LaneSink
from workers.raw_feed import RawFeed, apply_note
from workers.replay_broker import ReplayBroker
from workers.replay_compare import (
    NOTHING,
    Conversation,
    DecisionLog,
    Difference,
    compare_entries,
    compare_reports,
    differing_fields,
    tell,
)
from workers.replay_desk import desk_of
from workers.replay_lanes import NEVER, ReplayLane, ShardScript, shard_script
from workers.run_journal import NoJournal, Place, RunJournal

CODE = ("config", "core", "shm", "gateway", "workers", "admin")
KEPT = 20  # differences listed


@dataclass
class Outcome:
    """What a replay found."""

    run_id: str
    shards: int
    recorded_shards: int
    differences: list[Difference] = field(default_factory=list)  # from the time asked for on, the first KEPT
    more: int = 0
    before: int = 0  # differences before the time asked for
    notes: list[str] = field(default_factory=list)
    is_complete: bool = True
    checks: int = 0
    digest: str = ""
    recorded_digest: str = ""
    frames: int = 0
    events: int = 0
    decisions: int = 0
    messages: int = 0
    reports: int = 0
    account_checks: int = 0
    link_frames: int = 0  # bytes of private links, in and out
    sent: int = 0
    told: int = 0  # by the exchange desk to the account
    until_ns: int = 0
    wall_s: float = 0.0

    @property
    def identical(self) -> bool:
        """No difference, and something was compared: checks of shards that had seen nothing yet prove nothing."""
        compared = self.checks > 0 and self.frames > 0
        return not self.differences and not self.before and compared and self.digest == self.recorded_digest

    def as_dict(self) -> dict[str, Any]:
        out = {k: v for k, v in vars(self).items() if k != "differences"}
        return out | {"identical": self.identical, "differences": [d._asdict() for d in self.differences]}


# --- the order stream --------------------------------------------------------------------------------------------------
@dataclass
class Order:
    """The order stream of a run, by process; of execution also the bytes of its links."""

    spec: RunSpec
    shards: dict[int, list[Any]]
    execution: list[Any]


def read_order(journal: RunJournal) -> Order:
    """All notes of shards and execution. Raises NoJournal where not even the run description is there."""
    spec: RunSpec | None = None
    shards: dict[int, list[Any]] = {}
    execution: list[Any] = []
    names: list[tuple[str, int]] = []
    for frame, note in journal.read("order"):
        if isinstance(note, Run):
            spec = journal.spec_of(note)
            names = process_rows(spec.shards)
        elif frame.kind < Kind.RUN:
            execution.append(frame)  # bytes of a private link
        elif frame.kind >= Kind.BORN:
            role, index = names[frame.conn >> 16]
            if role == "shard":
                shards.setdefault(index, []).append(note)
            else:
                execution.append(note)
    if spec is None:
        raise NoJournal(f"{journal.folder}: the journal of run {journal.run_id} says nothing of the run")
    return Order(spec, shards, execution)


# --- the replay --------------------------------------------------------------------------------------------------------
class Replay:
    """One run through `shards` engines (0: as many as it had). `from_ns`: what differs before it is counted only; `to_ns`: stop
    at this receive time.

    `pace` is told the time of the next read before it is stepped, and answers up to which time reads may be stepped
    without asking again; it may wait. `beside` gets what the engines log and decide, besides the comparison. `between` is
    called before each block of the raw stream, of a tape run before each batch of frames: what the Replay is then may be
    taken back to (workers/memento.py), and `resume`.
    """

    def __init__(
        self, journal: RunJournal, shards: int = 0, to_ns: int = 0, pace: Callable[[int], int] = lambda ts_ns: NEVER,
        beside: LaneSink | None = None, between: Callable[[], None] = lambda: None, from_ns: int = 0,
    ) -> None:
        self._from_ns = from_ns
        self.journal = journal
        self.order = read_order(journal)
        spec = self.order.spec
        self.outcome = Outcome(journal.run_id, shards or spec.shards, spec.shards)
        self._to_ns = to_ns
        self._pace = pace
        self._granted_ns = 0
        self._begun_s = 0.0
        self._beside = beside
        scripts = {shard: shard_script(self.order.shards.get(shard, [])) for shard in range(spec.shards)}
        self._proven = {shard: self._last_check(shard) for shard in range(spec.shards)}
        self.desk = desk_of(spec, self._differ)
        self.account = ReplayBroker(desk=self.desk)
        self._talk = Conversation(self.order.execution, self._differ)
        self._decisions = DecisionLog(
            journal.mode_dir / "decisions", journal.run_id, self._differ, lambda symbol: self._proven[self._shard_of[symbol]]
        )
        self._shard_of: dict[int, int] = {}
        self._parts: dict[tuple[int, int], list[tuple[CheckShard, int, int]]] = defaultdict(list)
        self._digests: dict[int, tuple[int, int]] = {}  # by shard: recorded and replayed digest of its last check
        self.lanes = self._make_lanes(scripts)
        self.gateway = ReplayGateway(
            Sinks(self.lanes, lambda seq: None), self._place, self._found, self._on_listing
        )
        self.feed = RawFeed(self.gateway, self._ask, self._read)
        self.place: Place | None = None  # block of the raw stream that comes next
        self._ends: list[Any] | None = None  # notes of a tape run for behind its frames, None: not read yet
        self._between = between

    def _last_check(self, shard: int) -> int:
        return max((n.seq for n in self.order.shards.get(shard, []) if isinstance(n, CheckShard)), default=0)

    def _make_lanes(self, scripts: dict[int, ShardScript]) -> list[ReplayLane]:
        shards = self.outcome.shards
        levels = max(
            (note.levels for notes in self.order.shards.values() for note in notes if isinstance(note, Born)), default=0
        )
        groups: list[tuple[dict[int, ShardScript], int]] = [(scripts, k) for k in range(shards)]
        self._split = any(script.interrupted for script in scripts.values())
        if self._split:
            groups = [({shard: script}, k) for shard, script in scripts.items() for k in range(shards)]
        sink = self._decisions if self._beside is None else BothSinks(self._decisions, self._beside)
        return [
            ReplayLane(group, self._owner(index), levels, sink, self._said, self._checked)
            for index, (group, _) in enumerate(groups)
        ]

    def _owner(self, lane: int) -> Callable[[int], bool]:
        """Does a symbol of the shards that lane `lane` follows live in it?"""
        part = lane % self.outcome.shards
        return lambda symbol: symbol % self.outcome.shards == part

    def _lane_of(self, symbol: int) -> int:
        part = symbol % self.outcome.shards
        return self._shard_of[symbol] * self.outcome.shards + part if self._split else part

    # --- callbacks -------------------------------------------------------------------------------------------------
    def _place(self, record: np.ndarray) -> int:
        return self._lane_of(int(record["id"][0]))

    def _on_listing(self, record: np.ndarray) -> None:
        symbol = int(record["id"][0])
        self._shard_of[symbol] = int(record["shard"][0])
        self._decisions.namings[symbol] = naming_of(record[0])

    def _said(self, life: int, messages: list[Message]) -> None:
        for message in messages:
            self._talk.say(life, message, message.ts_event_ns, self._proven[self._shard_of[message.symbol]])

    def _found(self, finding: Finding) -> None:
        self._differ(Difference(finding.seq, 0, finding.what, finding.recorded, finding.replayed))

    def _differ(self, difference: Difference) -> None:
        if 0 < difference.ts_ns < self._from_ns:
            self.outcome.before += 1
        elif len(self.outcome.differences) < KEPT:
            self.outcome.differences.append(difference)
        else:
            self.outcome.more += 1

    def _checked(self, shard: int, number: int, note: CheckShard, digest: int, symbols: int) -> None:
        """One lane's part of a check; compared when all lanes with symbols of the shard have given theirs."""
        parts = self._parts[shard, number]
        parts.append((note, digest, symbols))
        if len(parts) < self.outcome.shards:
            return
        del self._parts[shard, number]
        replayed = sum(part[1] for part in parts) & MASK
        count = sum(part[2] for part in parts)
        self.outcome.checks += 1
        self._digests[shard] = (note.digest & MASK, replayed)
        if (replayed, count) != (note.digest & MASK, note.symbols):
            self._differ(Difference(
                note.seq, note.ts_ns, f"digest of shard {shard}, check {number}",
                f"{note.digest & MASK:016x} over {plural(note.symbols, 'symbol')}",
                f"{replayed:016x} over {plural(count, 'symbol')}",
            ))

    @property
    def decisions_compared(self) -> int:
        return self._decisions.compared

    def shard_digests(self) -> list[int]:
        """Digest of each recorded shard's symbols as the engines stand now."""
        return [sum(lane.digest_of(shard)[0] for lane in self.lanes) & MASK for shard in range(self.outcome.recorded_shards)]

    # --- run -------------------------------------------------------------------------------------------------------
    def run(self) -> Outcome:
        """Replay everything; the outcome lists differences in the order of events."""
        self._begun_s = time.monotonic()
        self._run_execution()
        self.outcome.reports = compare_reports(self.account.given, self.order.shards, self._differ)
        return self.resume()

    def resume(self) -> Outcome:
        """From where it stands to the end; `pace` is asked anew."""
        outcome = self.outcome
        self._granted_ns = 0
        self._run_events()
        end = self.gateway.publisher.seq if self.gateway.publisher is not None else 0
        for lane in self.lanes:
            lane.finish(end)
        for message in self._talk.unsaid(min(end, min(self._proven.values(), default=0))):
            self._differ(Difference(message.seq, message.ts_event_ns, f"message of symbol {message.symbol}",
                                    tell(message), NOTHING))
        self._conclude(end)
        outcome.differences.sort(key=lambda d: (d.seq < 0, d.seq))
        outcome.wall_s = round(time.monotonic() - self._begun_s, 3)
        return outcome

    def _run_execution(self) -> None:
        for note in self.order.execution:
            self.account.apply(note)
        for check in self.account.checks:
            self.outcome.account_checks += 1
            if check.recorded != check.replayed:
                self._differ(Difference(
                    -1, 0, f"account after {plural(check.recorded.handled, 'message')} (check {check.number})",
                    *differing_fields(check.recorded, check.replayed),
                ))
                break
        journal = self.journal
        for difference in compare_entries(
            journal.mode_dir / "execution.journal", journal.run_id, self.account.entries, journal.state["order"].is_closed
        ):
            self._differ(difference)
        desk = self.desk
        if desk is not None:
            self.outcome.notes += desk.finish(
                journal.mode_dir / "execution.journal", journal.run_id, journal.state["order"].is_closed
            )
            self.outcome.link_frames, self.outcome.sent, self.outcome.told = desk.frames, desk.sent, desk.told

    def _run_events(self) -> None:
        if self.order.spec.tape:
            self._run_tape()
        else:
            self._run_frames()

    def _run_tape(self) -> None:
        """A paced run: its frames are in its tapes, and where they were cut into batches does not matter. Taken back, it reads
        the tapes again up to where it was; that costs little beside stepping what is in them."""
        paths = [Path(name) for name in self.order.spec.tape]
        for path in paths:
            if not path.is_file():
                raise NoJournal(f"the run read the tape {path}, which is not there any more. Put it back.")
        if self._ends is None:
            self._ends = self._read_tape_notes()
        stage: np.ndarray = np.zeros(STAGE_BYTES, np.uint8)
        frames: np.ndarray = np.zeros((BATCH_FRAMES, FRAME_COLUMNS), np.int64)
        with closing(TapeReader(paths)) as reader:
            left = self.outcome.frames  # of whole batches
            while left and (count := reader.read(stage, frames, 0)):
                left -= count
            while count := reader.read(stage, frames, 0):
                self._between()
                ts_ns = int(frames[count - 1, 2])
                if self._to_ns and ts_ns > self._to_ns:
                    self._stop_here()
                    break
                self._step_staged(stage, frames, count)
        if self.outcome.is_complete:
            for note in self._ends:
                apply_note(self.gateway, note)
        self.gateway.publish()

    def _read_tape_notes(self) -> list[Any]:
        """Take in the notes of a paced run, which only TIMERs and the two ends have, and give those of the far end."""
        notes = [note for _, note in self.journal.read("raw") if not isinstance(note, Run | Closed)]
        ends = [note for note in notes if isinstance(note, EventNote) and note.kind == EventKind.END]
        for note in notes:
            if isinstance(note, SettingsNote):
                self.gateway.settings(note)
            elif getattr(note, "timer_seq", 0):
                self.gateway.stash(note)
            elif note not in ends:
                apply_note(self.gateway, note)
        return ends

    def _step_staged(self, stage: np.ndarray, frames: np.ndarray, count: int) -> None:
        """Step `count` frames of a tape, up to the first one that is not granted yet, and on."""
        at = 0
        while at < count:
            self._ask(int(frames[at, 2]))
            later = np.flatnonzero(frames[at:count, 2] > self._granted_ns)
            until = at + int(later[0]) if len(later) else count
            self.gateway.staged(stage, frames[at:until], until - at, int(frames[at:until, 1].sum()))
            self.outcome.frames += until - at
            self._reached(int(frames[at:until, 2].max()))
            at = until

    def _ask(self, ts_ns: int) -> None:
        if ts_ns > self._granted_ns:
            self._granted_ns = self._pace(ts_ns)

    def _stop_here(self) -> None:
        self.outcome.notes.append("stopped at the time asked for")
        self.outcome.is_complete = False

    def _run_frames(self) -> None:
        """The raw stream up to its end, or to the time asked for."""
        for place, records in self.journal.read_blocks("raw", self.place):
            self.place = place
            self._between()
            for record in records:
                frame = record.frame
                if self._to_ns and frame.ts_recv_ns > self._to_ns and frame.kind <= Kind.FRAME_END:
                    self._stop_here()
                    self.feed.finish()
                    return
                self.feed.take(record)
        self.feed.finish()

    def _read(self, count: int, ts_ns: int) -> None:
        """A read of `count` frames was handed over."""
        self.outcome.frames += count
        self._reached(ts_ns)

    def _reached(self, ts_ns: int) -> None:
        """Times of a recording may go back: `until_ns` is the latest one, nothing behind it has been stepped."""
        self.outcome.until_ns = max(self.outcome.until_ns, ts_ns)

    # --- verdict ---------------------------------------------------------------------------------------------------
    def _conclude(self, end: int) -> None:
        outcome, order = self.outcome, self.order
        raw, consumed = self.journal.state["raw"], self.journal.state["order"]
        outcome.events = end
        outcome.decisions = self._decisions.compared
        outcome.messages = self._talk.said
        for name, state in (("raw", raw), ("order", consumed)):
            outcome.notes += state.notes
            if state.hole:
                outcome.is_complete = False
                outcome.notes.append(f"stream {name} has a hole, nothing behind it is proven: {state.hole}")
            elif not state.is_closed and not self._to_ns:
                outcome.notes.append(f"stream {name} was cut off: the run or its recorder crashed")
        undone = sum(isinstance(note, CheckShard) for lane in self.lanes for note in lane.undone)
        if undone and outcome.is_complete and raw.is_closed:
            self._differ(Difference(end, raw.last_ts_ns, "end of the frames", "checks behind it", f"{undone} not reached"))
        if outcome.is_complete and self.gateway.publisher is not None and raw.is_closed and self.gateway.stashed:
            seq = self.gateway.stashed[0]
            self._differ(Difference(seq, 0, "TIMER", f"notes behind TIMER {seq}", "no such TIMER"))
        if order.spec.code_hash and order.spec.code_hash != source_digest(CODE):
            outcome.notes.append("the run was made by other code than this")
        if order.spec.layout_hash != LAYOUT_HASH:
            outcome.notes.append("the run was made with another memory layout than this")
        recorded = self.account.checks[-1].recorded.digest if self.account.checks else 0
        replayed = self.account.checks[-1].replayed.digest if self.account.checks else 0
        outcome.recorded_digest = run_digest([pair[0] for pair in self._digests.values()], recorded & MASK)
        outcome.digest = run_digest([pair[1] for pair in self._digests.values()], replayed & MASK)


def run_digest(shards: list[int], account: int) -> str:
    """`core.engine.digest.combine` from the sums of the shards."""
    return f"{mix64_int((mix64_int(account) + sum(shards)) & MASK):016x}"
