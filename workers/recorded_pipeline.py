"""A pipeline that goes by the order of a recorded run: its backtest under the same settings is the run.

    events -> RecordedLane per shard of the run -> messages -> by the order execution took them -> Broker -> reports

What is the same as in the run (same event, symbol and kind of message) is handled when it was handled then, under the
controls of then, and its answer takes effect where it took effect then. What is not goes by the model: behind everything of
earlier events, and answered `latency_ms` of event time later. What a person, a kill or a reload did to execution is done
again in its place. The number of engines is the run's: what ran apart from what is part of the order.

Order of handling: by (latest event handled by then, number), the same for any way the events are cut into batches, because
something is handled only when every engine has reached that event or waits itself (a Kahn network).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from config.schema import Settings
from core.consumption import InstrumentNote, Latched, ModeNote, PolicyNote, StandDown
from core.enums import Cause, Mode, ReportKind
from core.orders.broker import ANSWERED, Controls
from core.orders.wire import Message, Report
from core.risk.policy import Instrument, Policy
from shm.regions import MAX_SYMBOLS
from shm.run_spec import RunSpec
from workers.commands import TOLD
from workers.lane import Lane
from workers.pipeline import Observer, Pipeline
from workers.recorded_lane import RecordedLane
from workers.recorded_order import NEVER, KeyCount, Op, Place, RecordedOrder

decode = msgspec.json.decode
BEHIND = 1 << 62  # number of a message that the run did not have
NOBODY = Place(0, NEVER, 0, 0)


class RecordedPipeline(Pipeline):
    """`as_run`: the settings are the run's own, so its reloads are followed, too."""

    def __init__(
        self, spec: RunSpec, settings: Settings, order: RecordedOrder, as_run: bool, observer: Observer | None = None
    ) -> None:
        self._order = order
        self._as_run = as_run
        self._in_force = Controls()
        self._arrived = 0
        self._queue: list[tuple[int, int, int, int, int, int, Op | None, Message | None]] = []
        self._timed: list[RecordedLane] = []
        super().__init__(spec, settings, observer)
        own = self.broker.policy
        self._keeps_places = order.policy is not None and own.latency_ns == order.policy.latency_ns
        self._blacklist = own.blacklist
        if order.policy is not None:
            self._take_policy(order.policy)
        for op in order.ops:
            if op.key is None:
                heapq.heappush(self._queue, (op.seq, op.number, 0, 0, -1, 0, op, op.message))
        for shard, lane in enumerate(self._timed):
            lane.set_gates([(gate_of(op, shard), op.number) for op in order.ops if is_gate(op)])

    def make_lanes(self, levels: int) -> Sequence[Lane]:
        for _ in range(self._order.shards):
            self._timed.append(RecordedLane(MAX_SYMBOLS, self._order.levels or levels, self.observer, self._finder()))
        return self._timed

    def place(self, record: np.ndarray) -> int:
        return int(record["shard"][0])

    def listed(self, symbol: int, found: Instrument) -> None:
        """Execution learns of symbols when the run's did."""

    def _finder(self) -> Callable[[Message], tuple[Op | None, Place | None]]:
        """Finds the messages of one lane in the run."""
        keys, order = KeyCount(), self._order

        def find(message: Message) -> tuple[Op | None, Place | None]:
            op = order.of_message.get(keys.key(message))
            if op is None or not self._keeps_places:
                return op, None
            return op, op.places.get((message.symbol, 0)) or (NOBODY if order.is_whole else None)

        return find

    # --- one publication -------------------------------------------------------------------------------------------
    def _published(self, seq: int) -> None:
        """Step what may be stepped up to `seq`, and handle what may be handled."""
        self.seq = seq
        while True:
            for shard, lane in enumerate(self._timed):
                for number, message, op in lane.advance():
                    self._arrived += 1
                    place = (message.seq, BEHIND, message.symbol) if op is None else (op.seq, op.number, 0)
                    heapq.heappush(self._queue, (*place, self._arrived, shard, number, op, message))
            if not self._queue or (self._queue[0][0] > seq and not all(lane.stuck for lane in self._timed)):
                return
            *_, shard, number, op, next_message = heapq.heappop(self._queue)
            if shard >= 0 and next_message is not None:
                self._take_message(shard, number, op, next_message)
            elif op is not None:
                self._take_op(op)

    def _take_message(self, shard: int, number: int, op: Op | None, message: Message) -> None:
        if op is not None:
            self._in_force = op.controls
        report = self._answer(message, self._in_force if op is not None else of_nobody(self._in_force))
        if message.kind in ANSWERED:
            assert report is not None, "what a lane waits for is answered"
            self._timed[shard].give(number, report)

    def _answer(self, message: Message, controls: Controls) -> Report | None:
        self._know(message.symbol)
        if self.observer.controls(message).paused:
            controls = controls._replace(paused=True)
        report, notes = self.broker.handle(message, controls)
        self.observer.booked(message, report, notes)
        return report

    # --- what execution did of its own ----------------------------------------------------------------------------
    def _take_op(self, op: Op) -> None:
        note, broker = op.note, self.broker
        reports: list[Report] = []
        if isinstance(note, InstrumentNote):
            instrument = decode(note.payload, type=Instrument | None)
            if instrument is None:
                broker.instruments.pop(note.symbol, None)
            else:
                broker.instruments[note.symbol] = instrument
        elif isinstance(note, PolicyNote):
            self._take_policy(decode(note.payload, type=Policy))
        elif isinstance(note, ModeNote):
            if self._order.mode == Mode.SIM:  # what a DRY_RUN would have done is what is asked
                broker.router.mode = Mode(note.mode)
        elif isinstance(note, Latched):
            broker.ledger.latched = decode(note.payload, type=dict[int, int])
        elif isinstance(note, StandDown):
            if self._as_run or note.cause != Cause.GLOBAL:  # the riskiest position of another account is another one
                reports = broker.stand_down(note.cause, decode(note.payload, type=set[int] | None))
        elif op.message is not None:
            report = self._answer(op.message, op.controls)
            if report is not None and (report.kind in TOLD or (report.kind == ReportKind.PROTECTED and not report.flags)):
                reports = [report._replace(seq=0)]
        if is_gate(op):
            for shard, lane in enumerate(self._timed):
                lane.open_gate(op.number, [
                    (report, op.places.get((report.symbol, report.kind))) for report in reports
                    if broker.instruments[report.symbol].shard == shard
                ])

    def waiting(self) -> list[Message]:
        return [message for *_, shard, _, _, message in self._queue if shard >= 0 and message is not None]

    def counts(self) -> dict[str, int]:
        return super().counts() | {"late_answers": sum(lane.late for lane in self._timed)}

    def _take_policy(self, noted: Policy) -> None:
        """The run's, where the settings are the run's; else ours, with what a person has taken out of trading since."""
        if self._as_run:
            self.broker.policy = noted
        elif self._order.policy is not None:
            added = noted.blacklist - self._order.policy.blacklist
            self.broker.policy = replace(self.broker.policy, blacklist=self._blacklist | added)


def is_gate(op: Op) -> bool:
    """Does it tell shards something they did not ask for?"""
    return op.key is None and (op.message is not None or isinstance(op.note, StandDown))


def gate_of(op: Op, shard: int) -> int:
    """The event that the shard may not step before the op is done."""
    return min([op.seq + 1, *(place.before_seq for place in op.places.values() if place.shard == shard)])


def of_nobody(controls: Controls) -> Controls:
    """The controls in force, without what was true of one message only."""
    return controls._replace(age_ns=0, quarantined=False, regime_bad=False)
