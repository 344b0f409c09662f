"""Replay: a journalled run again, through the same gateway core, engines and execution, compared with what it recorded.

    raw stream   -> ReplayGateway -> lanes (engines)      digests at every check, messages, decision records
    order stream -> notes of shards ----^
                 -> notes of execution -> ReplayExecution  account digests, reports the shards took, durable records

Engines are fed the reports the shards took, execution the messages it took; each side's output is compared with the
other side's recorded input. Where all of it agrees, the closed loop is the recorded run, bit for bit.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from config.fingerprint import source_digest
from core.consumption import (
    Born,
    CheckShard,
    EventNote,
    Kind,
    MessageNote,
    Recovered,
    SettingsNote,
    Start,
    Taken,
    unpack,
)
from core.enums import EventKind, MessageKind, ReportKind
from core.explain import Naming, naming_of, plain, sentences
from core.journal import Frame
from core.mixing import MASK, mix64_int
from core.orders.broker import ANSWERED
from core.orders.wire import Message, Report, read_messages, read_reports
from core.records import MESSAGE, REPORT
from gateway.replay import Finding, ReplayGateway
from gateway.service import Sinks
from gateway.tape import FRAME_COLUMNS, TapeReader
from gateway.tape_source import BATCH_FRAMES, STAGE_BYTES
from shm.journal_reader import read_frames, segments
from shm.layout import LAYOUT_HASH
from shm.topology import RunSpec, process_rows
from workers.decision_files import PREFIX as DECISIONS
from workers.execution import SYNC_HELLO
from workers.lane import LaneSink
from workers.replay_execution import ReplayExecution
from workers.replay_lanes import ReplayLane, ShardScript, shard_script
from workers.run_journal import NoJournal, RunJournal

CODE = ("config", "core", "shm", "gateway", "workers", "admin")
KEPT = 20  # differences listed
NOTHING = "nothing"


class Difference(NamedTuple):
    """One place where the replay is not the run. `seq`: event at or before which it happened; -1: not of one event."""

    seq: int
    ts_ns: int
    where: str
    recorded: str
    replayed: str

    def text(self) -> str:
        at = f"event {self.seq}" if self.seq >= 0 else "the run"
        return f"{at}, {self.where}\n  recorded: {self.recorded}\n  replayed: {self.replayed}"


@dataclass
class Outcome:
    """What a replay found."""

    run_id: str
    shards: int
    recorded_shards: int
    differences: list[Difference] = field(default_factory=list)
    more: int = 0
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
    until_ns: int = 0
    wall_s: float = 0.0

    @property
    def identical(self) -> bool:
        """No difference, and something was compared."""
        return not self.differences and self.checks > 0 and self.digest == self.recorded_digest

    def as_dict(self) -> dict[str, Any]:
        out = {k: v for k, v in vars(self).items() if k != "differences"}
        return out | {"identical": self.identical, "differences": [d._asdict() for d in self.differences]}


# --- the order stream --------------------------------------------------------------------------------------------------
@dataclass
class Order:
    """The order stream of a run, by process."""

    spec: RunSpec
    shards: dict[int, list[Any]]
    execution: list[Any]


def read_order(journal: RunJournal) -> Order:
    """All notes of shards and execution. Raises NoJournal where not even the run description is there."""
    spec: RunSpec | None = None
    shards: dict[int, list[Any]] = {}
    execution: list[Any] = []
    names: list[tuple[str, int]] = []
    for frame in journal.read("order"):
        if frame.kind == Kind.RUN:
            spec = msgspec.json.decode(unpack(frame.kind, frame.data).payload, type=RunSpec, strict=False)
            names = process_rows(spec.shards)
        elif frame.kind >= Kind.BORN:
            role, index = names[frame.conn >> 16]
            note = unpack(frame.kind, frame.data)
            if role == "shard":
                shards.setdefault(index, []).append(note)
            else:
                execution.append(note)
    if spec is None:
        raise NoJournal(f"{journal.folder}: the journal of run {journal.run_id} says nothing of the run")
    return Order(spec, shards, execution)


# --- messages ----------------------------------------------------------------------------------------------------------
def message_key(message: Message) -> Message:
    """A message without what may differ between equal runs."""
    return message._replace(mono_recv_ns=0, mono_sent_ns=0)


def report_key(report: Report) -> Report:
    return report._replace(mono_sent_ns=0, effect_ns=0)


def tuple_differences(a: Any, b: Any) -> tuple[str, str]:
    """The fields in which two NamedTuples differ, as text, with the kind in front."""
    names = [name for name, x, y in zip(a._fields, a, b, strict=True) if x != y]

    def tell(row: Any) -> str:
        return f"{kind_name(row)} " + ", ".join(f"{name} = {getattr(row, name)}" for name in names)

    return tell(a), tell(b)


def kind_name(row: Any) -> str:
    kinds: Any = MessageKind if isinstance(row, Message) else ReportKind
    return kinds(row.kind).name


def tell(row: Any) -> str:
    """A message or report in one line: what is not zero."""
    fields = ", ".join(f"{n} = {v}" for n, v in zip(row._fields, row, strict=True) if v and n not in ("kind", "seq"))
    return f"{kind_name(row)} ({fields})"


class Conversation:
    """Messages the run's execution took, per symbol and life of its shard, against those the replayed engines say."""

    def __init__(self, notes: list[Any], differ: Callable[[Difference], None]) -> None:
        self._expected: dict[tuple[int, int], deque[Message]] = defaultdict(deque)
        self._lossy: set[tuple[int, int]] = set()  # execution was restarted: messages nobody answers may be missing
        self._differ = differ
        self.said = 0
        lives: dict[int, int] = {}
        nonces: dict[int, int] = {}
        taken: set[tuple[int, Message]] = set()
        recovered = False
        for note in notes:
            if isinstance(note, Recovered):
                recovered = True
            elif isinstance(note, MessageNote):
                message = read_messages(np.frombuffer(note.payload, MESSAGE.dtype), 1)[0]
                if message.kind == MessageKind.NONE:
                    if message.reason == SYNC_HELLO and nonces.get(note.shard) != message.decision_id:
                        nonces[note.shard] = message.decision_id
                        lives[note.shard] = lives.get(note.shard, -1) + 1
                elif message.kind != MessageKind.END:
                    life = lives.get(note.shard, 0)
                    key = (life, message_key(message))
                    if recovered:
                        self._lossy.add((message.symbol, life))
                        if key in taken:
                            continue  # sent again
                    taken.add(key)
                    self._expected[message.symbol, life].append(key[1])

    def say(self, life: int, message: Message, ts_ns: int, proven_seq: int) -> None:
        """A replayed engine says a message in the `life`th life of its shard."""
        self.said += 1
        expected = self._expected[message.symbol, life]
        mine = message_key(message)
        if expected and expected[0] == mine:
            expected.popleft()
            return
        if message.kind not in ANSWERED and (message.symbol, life) in self._lossy:
            return
        if message.seq > proven_seq or not expected:
            return  # behind the end of the journal, or the life of the shard; digests judge
        theirs = expected.popleft()
        self._differ(Difference(
            min(mine.seq, theirs.seq), ts_ns, f"message of symbol {message.symbol} to execution",
            *(tuple_differences(theirs, mine) if theirs.seq == mine.seq else (f"{tell(theirs)} at event {theirs.seq}",
                                                                             f"{tell(mine)} at event {mine.seq}")),
        ))

    def unsaid(self, proven_seq: int) -> Iterator[Message]:
        """Messages execution took and no replayed engine said, up to event `proven_seq`."""
        for expected in self._expected.values():
            if expected and expected[0].seq <= proven_seq:
                yield expected[0]


def compare_reports(
    given: list[tuple[int, Report]], shards: dict[int, list[Any]], differ: Callable[[Difference], None]
) -> int:
    """Every report a shard took must be one that the replayed execution gave it, in order. Returns how many were."""
    waiting: dict[tuple[int, int], deque[Report]] = defaultdict(deque)
    for shard, report in given:
        waiting[shard, report.symbol].append(report_key(report))
    count = 0
    for shard, notes in shards.items():
        for note in notes:
            if not isinstance(note, Taken):
                continue
            count += 1
            report = read_reports(np.frombuffer(note.payload, REPORT.dtype), 1)[0]
            theirs = report_key(report)
            queue = waiting[shard, report.symbol]
            if theirs in queue:
                while queue.popleft() != theirs:
                    pass  # void: handed to a shard that was gone, or in the air when it was restarted
                continue
            near = next((mine for mine in queue if (mine.seq, mine.kind) == (theirs.seq, theirs.kind)), None)
            told = tuple_differences(theirs, near) if near is not None else (tell(theirs), NOTHING)
            differ(Difference(note.before_seq, note.when_ns, f"report to shard {shard} about symbol {report.symbol}",
                              *told))
    return count


# --- decisions ---------------------------------------------------------------------------------------------------------
class DecisionLog(LaneSink):
    """Decision records of the replay against the recorder's files: equal line for line, first difference explained."""

    def __init__(self, folder: Path, run_id: str, differ: Callable[[Difference], None]) -> None:
        self._recorded = self._load(folder, run_id)
        self._differ = differ
        self.namings: dict[int, Naming] = {}
        self.compared = 0
        self.latest_seq = 0

    @staticmethod
    def _load(folder: Path, run_id: str) -> dict[tuple[int, int], deque[bytes]]:
        """Lines by (seq, symbol)."""
        lines: dict[tuple[int, int], deque[bytes]] = defaultdict(deque)
        for day in sorted(path for path in folder.glob("*") if path.is_dir()):
            for path in segments(day, DECISIONS):
                with path.open("rb") as file:
                    if run_id.encode() not in file.read(64):
                        continue
                for frame in read_frames(path):
                    lines[frame.mono_ns, frame.conn].append(frame.data)
        return lines

    def decisions(self, records: np.ndarray) -> None:
        """Compare; a record the run's recorder lost is not missed."""
        for record in records:
            seq, symbol = int(record["seq"]), int(record["symbol"])
            lines = self._recorded.get((seq, symbol))
            if not lines:
                continue
            theirs = lines.popleft()
            mine = plain(record, self.namings[symbol])
            self.compared += 1
            if msgspec.json.encode(mine) != theirs:
                self._differ(decision_difference(msgspec.json.decode(theirs), mine))


def decision_difference(theirs: dict[str, Any], mine: dict[str, Any]) -> Difference:
    """Two decisions of one event, told in words, with the names of what differs."""
    names = [name for name in theirs if theirs[name] != mine.get(name)]
    inner = {
        name: [key for key in theirs[name] if theirs[name][key] != mine[name].get(key)]
        for name in names if isinstance(theirs[name], dict) and isinstance(mine.get(name), dict)
    }
    what = ", ".join(f"{name} ({', '.join(inner[name])})" if name in inner else name for name in names)
    seq = int(theirs["id"].split("-", 1)[0])
    return Difference(seq, int(theirs["ts_ns"]), f"decision {theirs['id']}: {what}", " ".join(sentences(theirs)),
                      " ".join(sentences(mine)))


# --- the replay --------------------------------------------------------------------------------------------------------
class Replay:
    """One run through `shards` engines (0: as many as it had). `to_ns`: stop at this receive time."""

    def __init__(
        self, journal: RunJournal, shards: int = 0, to_ns: int = 0, progress: Callable[[int], None] = lambda ts_ns: None
    ) -> None:
        self.journal = journal
        self.order = read_order(journal)
        spec = self.order.spec
        self.outcome = Outcome(journal.run_id, shards or spec.shards, spec.shards)
        self._to_ns = to_ns
        self._progress = progress
        scripts = {shard: shard_script(self.order.shards.get(shard, [])) for shard in range(spec.shards)}
        self._proven = {shard: self._last_check(shard) for shard in range(spec.shards)}
        self.execution = ReplayExecution(spec)
        self._talk = Conversation(self.order.execution, self._differ)
        self._decisions = DecisionLog(journal.mode_dir / "decisions", journal.run_id, self._differ)
        self._shard_of: dict[int, int] = {}
        self._parts: dict[tuple[int, int], list[tuple[CheckShard, int, int]]] = defaultdict(list)
        self._digests: dict[int, tuple[int, int]] = {}  # by shard: recorded and replayed digest of its last check
        self.lanes = self._make_lanes(scripts)
        self.gateway = ReplayGateway(
            Sinks(self.lanes, lambda seq: None), self._place, self._found, self._on_listing
        )

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
        return [
            ReplayLane(group, self._owner(index), levels, self._decisions, self._said, self._checked)
            for index, (group, _) in enumerate(groups)
        ]

    def _owner(self, lane: int) -> Callable[[int], bool]:
        """Does a symbol live in lane `lane`? Before it is listed its home is not known: asked only of listed ones."""
        return lambda symbol: self._lane_of(symbol) == lane

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
        if len(self.outcome.differences) < KEPT:
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
                f"{note.digest & MASK:016x} over {note.symbols} symbols", f"{replayed:016x} over {count} symbols",
            ))

    # --- run -------------------------------------------------------------------------------------------------------
    def run(self) -> Outcome:
        """Replay everything; the outcome lists differences in the order of events."""
        begun = time.monotonic()
        outcome = self.outcome
        self._run_execution()
        outcome.reports = compare_reports(self.execution.given, self.order.shards, self._differ)
        self._run_events()
        end = self.gateway.publisher.seq if self.gateway.publisher is not None else 0
        for lane in self.lanes:
            lane.finish(end)
        for message in self._talk.unsaid(min(end, min(self._proven.values(), default=0))):
            self._differ(Difference(message.seq, message.ts_event_ns, f"message of symbol {message.symbol}",
                                    tell(message), NOTHING))
        self._conclude(end)
        outcome.differences.sort(key=lambda d: (d.seq < 0, d.seq))
        outcome.wall_s = round(time.monotonic() - begun, 3)
        return outcome

    def _run_execution(self) -> None:
        for note in self.order.execution:
            self.execution.apply(note)
        for check in self.execution.checks:
            self.outcome.account_checks += 1
            if check.recorded != check.replayed:
                self._differ(Difference(
                    -1, 0, f"account after {check.recorded.handled} messages (check {check.number})",
                    *tuple_account(check.recorded, check.replayed),
                ))
                break
        self._compare_durable()

    def _compare_durable(self) -> None:
        """The execution journal, where it is still this run's."""
        path = self.journal.mode_dir / "execution.journal"
        try:
            frames = list(read_frames(path))
            with path.open("rb") as file:
                if self.journal.run_id.encode() not in file.read(64):
                    return
        except (OSError, ValueError):
            return
        mine = self.execution.durable
        for number, (frame, record) in enumerate(zip(frames, mine, strict=False)):
            if durable_key(frame.data) != durable_key(record):
                self._differ(Difference(-1, frame.ts_recv_ns, f"record {number} of the execution journal",
                                        frame.data.hex()[:80], record.hex()[:80]))
                return
        if len(frames) > len(mine) and self.journal.state["order"].is_closed:
            self._differ(Difference(-1, 0, "execution journal", f"{len(frames)} records", f"{len(mine)} records"))

    def _run_events(self) -> None:
        if self.order.spec.tape:
            self._run_tape()
        else:
            self._run_frames()

    def _run_tape(self) -> None:
        """A paced run: its frames are in its tapes, and where they were cut into batches does not matter. Its notes,
        which only TIMERs and the two ends have, are all read first."""
        paths = [Path(name) for name in self.order.spec.tape]
        for path in paths:
            if not path.is_file():
                raise NoJournal(f"the run read the tape {path}, which is not there any more. Put it back.")
        notes = [unpack(f.kind, f.data) for f in self.journal.read("raw") if f.kind not in (Kind.RUN, Kind.CLOSED)]
        last = [note for note in notes if isinstance(note, EventNote) and note.kind == EventKind.END]
        for note in notes:
            if isinstance(note, SettingsNote):
                self.gateway.settings(note)
            elif getattr(note, "timer_seq", 0):
                self.gateway.stash(note)
            elif note not in last:
                self._apply(note)
        reader = TapeReader(paths)
        stage: np.ndarray = np.zeros(STAGE_BYTES, np.uint8)
        frames: np.ndarray = np.zeros((BATCH_FRAMES, FRAME_COLUMNS), np.int64)
        while count := reader.read(stage, frames, 0):
            ts_ns = int(frames[count - 1, 2])
            if self._to_ns and ts_ns > self._to_ns:
                self._stop_here()
                break
            self.gateway.staged(stage, frames, count, int(frames[:count, 1].sum()))
            self.outcome.frames += count
            self.outcome.until_ns = ts_ns
            self._progress(ts_ns)
        reader.close()
        if self.outcome.is_complete:
            for note in last:
                self._apply(note)
        self.gateway.publish()

    def _stop_here(self) -> None:
        self.outcome.notes.append("stopped at the time asked for")
        self.outcome.is_complete = False

    def _run_frames(self) -> None:
        """The raw stream: frames by socket read, notes in between; a read waits for the notes of its TIMERs."""
        gateway, outcome = self.gateway, self.outcome
        batch: list[Frame] = []
        waiting: list[Frame] = []
        for frame in self.journal.read("raw"):
            if self._to_ns and frame.ts_recv_ns > self._to_ns and frame.kind <= Kind.FRAME_END:
                self._stop_here()
                break
            if frame.kind <= Kind.FRAME_END:
                if waiting:
                    self._flush(waiting)
                outcome.frames += 1
                outcome.until_ns = frame.ts_recv_ns
                batch.append(frame)
                if frame.kind == Kind.FRAME_END:
                    waiting, batch = batch, []
                continue
            if frame.kind in (Kind.RUN, Kind.CLOSED):
                continue
            note = unpack(frame.kind, frame.data)
            if isinstance(note, SettingsNote):
                gateway.settings(note)
            elif getattr(note, "timer_seq", 0):
                gateway.stash(note)
            else:
                if waiting:
                    self._flush(waiting)
                self._apply(note)
        if waiting:
            self._flush(waiting)
        gateway.publish()

    def _flush(self, waiting: list[Frame]) -> None:
        self.gateway.frames(waiting)
        self._progress(waiting[-1].ts_recv_ns)
        waiting.clear()

    def _apply(self, note: Any) -> None:
        gateway = self.gateway
        if isinstance(note, Start):
            gateway.publish()
            gateway.start(note)
        else:
            gateway.apply(note)

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
        recorded = self.execution.checks[-1].recorded.digest if self.execution.checks else 0
        replayed = self.execution.checks[-1].replayed.digest if self.execution.checks else 0
        outcome.recorded_digest = run_digest([pair[0] for pair in self._digests.values()], recorded & MASK)
        outcome.digest = run_digest([pair[1] for pair in self._digests.values()], replayed & MASK)


def run_digest(shards: list[int], account: int) -> str:
    """`core.engine.digest.combine` from the sums of the shards."""
    return f"{mix64_int((mix64_int(account) + sum(shards)) & MASK):016x}"


def tuple_account(a: Any, b: Any) -> tuple[str, str]:
    names = [name for name, x, y in zip(a._fields, a, b, strict=True) if x != y]
    return tuple(", ".join(f"{n} = {getattr(row, n)}" for n in names) for row in (a, b))  # type: ignore[return-value]


def durable_key(data: bytes) -> tuple[Any, ...]:
    """A record of the execution journal without the times of its way."""
    message = message_key(read_messages(np.frombuffer(data[: MESSAGE.size], MESSAGE.dtype), 1)[0])
    if len(data) == MESSAGE.size:
        return (message,)
    report = read_reports(np.frombuffer(data[MESSAGE.size :], REPORT.dtype), 1)[0]
    return message, report_key(report)

