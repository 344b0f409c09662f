"""What a replay compares, and how it tells a difference: messages, reports, durable records, decisions."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from core.consumption import BrokerStart, Hello, MessageNote, Taken
from core.enums import MessageKind, ReportKind
from core.explain import Naming, plain, sentences
from core.journal import JournalError
from core.orders.broker import ANSWERED
from core.orders.wire import ENTRY_RECORD, Message, Report, read_messages, read_reports, unpack_entry
from core.records import MESSAGE, REPORT
from shm.journal_reader import read_frames, segments
from workers.decision_files import PREFIX as DECISIONS
from workers.lane import LaneSink

NOTHING = "nothing"
OWN_SEQ = 1 << 60  # messages from here on, and those below 1, were made by execution


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


# --- messages ----------------------------------------------------------------------------------------------------------
STAMPS = ("mono_", "ts_exch_")  # beginnings of the names of fields the shard's process adds on the way out
_NO_TIMES = {name: 0 for name in Message._fields if name.startswith(STAMPS)}
_NO_REPORT_TIMES = {name: 0 for name in Report._fields if name.startswith(STAMPS)} | {"effect_ns": 0}


def message_key(message: Message) -> Message:
    """A message without the stamps of its way, which no engine makes."""
    return message._replace(**_NO_TIMES)


def report_key(report: Report) -> Report:
    return report._replace(**_NO_REPORT_TIMES)


def differing_fields(a: Any, b: Any) -> tuple[str, str]:
    """The fields in which two NamedTuples differ, as text."""
    names = [name for name, x, y in zip(a._fields, a, b, strict=True) if x != y]
    first, second = (", ".join(f"{name} = {getattr(row, name)}" for name in names) for row in (a, b))
    return first, second


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
        starts = 0
        for note in notes:
            if isinstance(note, BrokerStart):
                starts += 1
            elif isinstance(note, Hello) and nonces.get(note.shard) != note.nonce:
                nonces[note.shard] = note.nonce
                lives[note.shard] = lives.get(note.shard, -1) + 1
            elif isinstance(note, MessageNote):
                message = message_key(read_messages(np.frombuffer(note.payload, MESSAGE.dtype), 1)[0])
                if not 0 < message.seq < OWN_SEQ:
                    continue
                life = lives.get(note.shard, 0)
                if starts > 1:
                    self._lossy.add((message.symbol, life))
                    if (life, message) in taken:
                        continue  # sent again
                taken.add((life, message))
                self._expected[message.symbol, life].append(message)

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
            *(differing_fields(theirs, mine) if theirs.seq == mine.seq else (f"{tell(theirs)} at event {theirs.seq}",
                                                                             f"{tell(mine)} at event {mine.seq}")),
        ))

    def unsaid(self, proven_seq: int) -> Iterator[Message]:
        """Messages execution took and no replayed engine said, up to event `proven_seq`."""
        for expected in self._expected.values():
            if expected and expected[0].seq <= proven_seq:
                yield expected[0]


def is_given(mine: Report, theirs: Report) -> bool:
    """The answer itself, or told without being asked (seq 0)."""
    return theirs in (mine, mine._replace(seq=0))


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
            if theirs == Report(symbol=report.symbol, kind=int(ReportKind.POSITION)):
                continue  # "nothing is open": said by the process to a shard it had given up
            if any(is_given(mine, theirs) for mine in queue):
                while not is_given(queue.popleft(), theirs):
                    pass  # void: handed to a shard that was gone, or in the air when it was restarted
                continue
            near = next((mine for mine in queue if (mine.seq, mine.kind) == (theirs.seq, theirs.kind)), None)
            told = differing_fields(theirs, near) if near is not None else (tell(theirs), NOTHING)
            differ(Difference(note.before_seq, note.when_ns, f"report to shard {shard} about symbol {report.symbol}",
                              *told))
    return count


def compare_entries(
    path: Path, run_id: str, entries: list[tuple[Message, Report | None]], is_closed: bool
) -> Iterator[Difference]:
    """What execution made durable must have been answered so in the replay, while the file is still this run's.

    A journal whose recorder crashed may end before what execution wrote.
    """
    try:
        with path.open("rb") as file:
            if run_id.encode() not in file.read(64):
                return
        frames = [frame for frame in read_frames(path) if frame.kind == ENTRY_RECORD]
    except (OSError, JournalError):
        return
    known = {entry_key(*entry) for entry in entries}
    for number, frame in enumerate(frames):
        entry = unpack_entry(frame.data)
        if entry_key(*entry) not in known and is_closed:
            message, report = entry
            answer = tell(report) if report is not None else NOTHING
            yield Difference(message.seq, message.ts_event_ns, f"record {number} of the execution journal",
                             f"{tell(message)} answered {answer}", NOTHING)
            return


def entry_key(message: Message, report: Report | None) -> tuple[Any, ...]:
    return message_key(message), None if report is None else report_key(report)


# --- decisions ---------------------------------------------------------------------------------------------------------
class DecisionLog(LaneSink):
    """Decision records of the replay against the recorder's files: equal line for line, first difference explained.

    `proven`: up to which seq it is known what the shard of a symbol took. Its files may go on where a run was shot."""

    def __init__(
        self, folder: Path, run_id: str, differ: Callable[[Difference], None], proven: Callable[[int], int]
    ) -> None:
        self._recorded = self._load(folder, run_id)
        self._differ = differ
        self._proven = proven
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
            if not lines or seq > self._proven(symbol):
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
