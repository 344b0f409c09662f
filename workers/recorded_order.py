"""Who took what before what, as a run's journal holds it: the order in which a backtest of it handles messages and answers.

    order stream -> RecordedOrder: Ops of execution in their order, and a Place in a shard's events for every report it took

A paced backtest assumes that execution handles messages in the order of events and that every answer is there when it is due.
A run does neither: shards run apart, and a report that comes late takes effect late. Under this order a backtest with the
run's settings is the run; what it decides otherwise goes by the model (see `workers/recorded_pipeline.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from core.consumption import (
    Born,
    Broken,
    BrokerStart,
    ControlsNote,
    InstrumentNote,
    Latched,
    MessageNote,
    ModeNote,
    PolicyNote,
    StandDown,
    Taken,
)
from core.enums import Mode
from core.orders.broker import Controls
from core.orders.wire import Message, Report, read_messages, read_reports
from core.records import MESSAGE, REPORT
from core.risk.policy import Policy
from workers.replay import Order, read_order
from workers.replay_broker import ReplayBroker
from workers.replay_compare import OWN_SEQ, is_given, report_key
from workers.run_journal import RunJournal

NEVER = 1 << 62  # place of a report that nobody took
MessageKey = tuple[int, int, int, int]  # seq, symbol, kind, how many like it came before
APPLIED = (InstrumentNote, Latched, ModeNote, PolicyNote, StandDown)


class Place(NamedTuple):
    """A report took effect in its shard before event `before_seq`, at event time `when_ns`, as the shard's `number`th."""

    shard: int
    before_seq: int
    when_ns: int
    number: int


class Op(NamedTuple):
    """Something execution did. `note`: what changed its account, None where it handled a shard's message `key`. `seq`: the
    latest event behind what it had handled by then. `places`: of its reports, by symbol and kind (any kind: 0)."""

    number: int
    seq: int
    key: MessageKey | None
    note: Any
    message: Message | None
    controls: Controls
    places: dict[tuple[int, int], Place]


class Interruption(NamedTuple):
    """Shard `shard` (-1: execution) saw or did other things than an uninterrupted one from event `seq` on."""

    shard: int
    seq: int
    text: str


@dataclass
class RecordedOrder:
    """`policy`: of the first life of execution, None where the journal says nothing of it. `hole`: behind it nothing is
    known, and everything goes by the model."""

    shards: int
    levels: int
    policy: Policy | None
    mode: Mode
    ops: list[Op]
    of_message: dict[MessageKey, Op]
    interruptions: list[Interruption] = field(default_factory=list)
    hole: str = ""
    is_closed: bool = False

    @property
    def is_whole(self) -> bool:
        """Nothing is missing, and nobody died: a report nobody took never took effect."""
        return self.is_closed and not self.hole and not self.interruptions


class KeyCount:
    """Gives messages their keys, in the order of each (seq, symbol, kind)."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, int, int]] = Counter()

    def key(self, message: Message) -> MessageKey:
        short = (message.seq, message.symbol, message.kind)
        self._seen[short] += 1
        return (*short, self._seen[short] - 1)


def recorded_order(journal: RunJournal) -> RecordedOrder:
    """From the order stream of a SIM or DRY_RUN journal. Raises NoJournal."""
    order = read_order(journal)
    mode = Mode[order.spec.mode]
    levels = max((note.levels for notes in order.shards.values() for note in notes if isinstance(note, Born)), default=0)
    found = RecordedOrder(order.spec.shards, levels, None, mode, [], {}, hole=journal.state["order"].hole)
    if mode == Mode.LIVE:
        return found
    given = _operations(order, found)
    _places(order, found, given)
    _interruptions(order, found)
    found.is_closed = journal.state["order"].is_closed
    return found


def _operations(order: Order, found: RecordedOrder) -> dict[tuple[int, int], deque[tuple[Report, int]]]:
    """Fills in `ops`; returns the reports given, by (shard, symbol), with the number of the op."""
    broker, keys, controls, seq, lives = ReplayBroker(), KeyCount(), Controls(), 0, 0
    given: dict[tuple[int, int], deque[tuple[Report, int]]] = defaultdict(deque)
    for note in order.execution:
        before = len(broker.given)
        broker.apply(note)
        number = len(found.ops)
        op: Op | None = None
        if isinstance(note, BrokerStart):
            lives += 1
            if lives == 1:
                found.policy = msgspec.json.decode(note.payload, type=Policy)
        elif isinstance(note, ControlsNote):
            controls = msgspec.json.decode(note.payload, type=Controls)
        elif isinstance(note, MessageNote):
            message = read_messages(np.frombuffer(note.payload, MESSAGE.dtype), 1)[0]
            if 0 < message.seq < OWN_SEQ:
                seq = max(seq, message.seq)
                op = Op(number, seq, keys.key(message), None, message, controls, {})
                found.of_message[op.key] = op  # type: ignore[index]
            elif message.seq < 0:
                op = Op(number, seq, None, note, message, controls, {})
            else:
                found.interruptions.append(Interruption(note.shard, seq, "execution ended its orders and positions"))
        elif isinstance(note, APPLIED):
            op = Op(number, seq, None, note, None, controls, {})
        if op is not None:
            found.ops.append(op)
            for shard, report in broker.given[before:]:
                given[shard, report.symbol].append((report_key(report), number))
    return given


def _places(order: Order, found: RecordedOrder, given: dict[tuple[int, int], deque[tuple[Report, int]]]) -> None:
    """Where each report took effect. One that was skipped over was void: nobody took it."""
    for shard, notes in order.shards.items():
        for number, note in enumerate(note for note in notes if isinstance(note, Taken)):
            report = report_key(read_reports(np.frombuffer(note.payload, REPORT.dtype), 1)[0])
            queue = given[shard, report.symbol]
            if not any(is_given(mine, report) for mine, _ in queue):
                continue  # said by the process, or handed back to a shard that began anew
            while True:
                mine, op = queue.popleft()
                if is_given(mine, report):
                    break
            place = Place(shard, note.before_seq, note.when_ns, number)
            found.ops[op].places[report.symbol, report.kind if found.ops[op].key is None else 0] = place


def _interruptions(order: Order, found: RecordedOrder) -> None:
    for shard, notes in order.shards.items():
        seq = 0
        for note in notes:
            seq = max(seq, getattr(note, "seq", 0), getattr(note, "before_seq", 0))
            if isinstance(note, Born) and note.restarted:
                found.interruptions.append(Interruption(shard, seq, "was restarted"))
            elif isinstance(note, Broken):
                found.interruptions.append(Interruption(shard, note.seq, "lost events of its ring: all its books were broken"))
    found.interruptions.sort(key=lambda each: each.seq)


def remarks_of(order: RecordedOrder) -> list[str]:
    """Why a backtest by this order may differ from its run."""
    said = []
    if order.mode == Mode.LIVE:
        said.append("the orders of a LIVE run are filled by the exchange, those of a backtest by the paper desk; answers come "
                    "after latency_ms, not when they came")
    elif order.policy is None:
        said.append("the journal does not say what execution did: answers come after latency_ms, not when they came")
    said += [f"shard {each.shard} {each.text} (behind event {each.seq})" for each in order.interruptions]
    if order.hole:
        said.append(f"{order.hole}: from there on answers come after latency_ms, not when they came")
    return said
