"""The execution process of LIVE without its process: Broker, ExchangeDesk, journal, outbox, as `workers` puts them together.

    shard message, exchange event, timer -> Broker / desk -> journal (tests.sim.disk) -> outbox -> link, reports

What leaves waits until everything journalled before it is durable. `crash_points` are places where the process may die;
the next one starts from what the disk kept.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any

from core.enums import MessageKind, OrderRole
from core.orders.broker import ANSWERED, Broker, Controls
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exchange_words import (
    Ack,
    Create,
    Event,
    ExecutionRow,
    Lost,
    Persist,
    QueryRows,
    RecordKind,
    Send,
    Tell,
)
from core.orders.exposure import ExchangeFacts
from core.orders.wire import Message, Report
from tests.sim.disk import Disk

CRASH_POINTS = (
    "before_append",  # CP1: a message or event is read, nothing written
    "appended",  # CP2: written, not durable
    "durable_not_sent",  # CP3
    "sent",  # CP5: on the wire, no answer yet
    "answer_read",  # CP6: read, nothing done about it
    "fill_read",  # CP7
    "fill_journalled",  # CP8: written, not booked by the Broker
    "fill_applied",  # CP9: booked, stop not confirmed
    "kill_latched",  # CP12a
    "kill_cancelling",  # CP12b
    "kill_closing",  # CP12c
    "kill_verifying",  # CP12d
    "recovering",  # restarted, not ready yet
    "idle",
)


class Crash(Exception):
    """The process dies here."""


class Host:
    """One life of the process. `send` hands a request to the link, `report` tells the strategy."""

    def __init__(
        self, disk: Disk, broker: Broker, desk: Any, clock: Callable[[], int], send: Callable[[Send], None],
        report: Callable[[Report], None], trace: Callable[[str, object], None],
        facts: Callable[[int], ExchangeFacts],
    ) -> None:
        self.disk = disk
        self.broker = broker
        self.desk = desk
        self.clock = clock
        self.send = send
        self.report = report
        self.trace = trace
        self.facts = facts  # what the exchange has said, for the gate
        self.killed = False
        self.paused = False  # the guardian is on duty
        self.counters: Counter[str] = Counter()
        self.crash_at: dict[str, int] = {}
        self.was_ready = False
        self._answers: OrderedDict[tuple[int, ...], Report | None] = OrderedDict()
        self._outbox: deque[tuple[int, str, Any]] = deque()

    def point(self, name: str) -> None:
        """Die here, if it is this place's turn."""
        left = self.crash_at.get(name)
        if left is not None:
            self.crash_at[name] = left - 1
            if left <= 0:
                raise Crash(name)

    # --- life --------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Recover from what the disk kept."""
        desk_records, booked = [], 0
        for record in self.disk.records:
            if record[0] == "desk":
                desk_records.append((record[1], record[2]))
                continue
            _, message, report = record
            self.broker.book(message, report)
            self._answers[message.key] = report
            if message.seq >= DESK_SEQ:
                booked = max(booked, message.seq)
        self.broker.router.now_ns = self.clock()
        self.desk.recover(self.clock(), desk_records, booked, [w.order for w in self.broker.working.values()])
        self._effects()

    def message(self, message: Message) -> None:
        """From a shard."""
        self.point("before_append")
        if message.key in self._answers:
            known = self._answers[message.key]
            if known is not None:
                self._outbox.append((len(self.disk.records), "report", known))
            self.flush()
            return
        age = max(self.clock() - message.mono_sent_ns, 0)
        self._handle(message, Controls(
            killed=self.killed, paused=self.paused, age_ns=age, exchange=self.facts(message.symbol)))
        self._effects()

    def _handle(self, message: Message, controls: Controls) -> None:
        self.broker.router.now_ns = self.clock()
        report, _ = self.broker.handle(message, controls)
        if message.kind in ANSWERED or message.seq >= DESK_SEQ:
            ticket = self.disk.append(("broker", message, report))
            self._answers[message.key] = report
            if report is not None:
                self._outbox.append((ticket, "report", report))

    def protect(self, symbol: int, stop_ticks: int, targets: tuple[tuple[int, int], ...] | None) -> None:
        self.desk.protect(self.clock(), symbol, stop_ticks, targets)
        self._effects()

    def kill(self) -> None:
        self.killed = True
        self.desk.kill(self.clock())
        self.point("kill_latched")
        self._effects()

    def event(self, event: Event) -> None:
        """From the exchange."""
        if isinstance(event, ExecutionRow):
            self.point("fill_read")
        elif isinstance(event, Ack | Lost | QueryRows):
            self.point("answer_read")
        if not self.desk.ready:
            self.point("recovering")
        self.desk.on_event(self.clock(), event)
        self._effects()

    def timer(self) -> None:
        self.point("idle")
        self.desk.on_timer(self.clock())
        self._effects()

    # --- effects -------------------------------------------------------------------------------------------------------
    def _effects(self) -> None:
        while effects := self.desk.drain():
            for effect in effects:
                self.trace("effect", effect)
                if isinstance(effect, Persist):
                    self.disk.append(("desk", int(effect.kind), effect.payload))
                    if effect.kind == RecordKind.EXECUTION:
                        self.point("fill_journalled")
                    elif effect.kind == RecordKind.INTENT:
                        self.point("appended")
                elif isinstance(effect, Send):
                    if self.killed:
                        closes = isinstance(effect.request, Create)
                        self.point("kill_closing" if closes else "kill_cancelling")
                    self._outbox.append((len(self.disk.records), "send", effect))
                elif isinstance(effect, Tell):
                    if effect.message.key not in self._answers:
                        self._handle(effect.message, Controls(killed=self.killed))
                        if effect.message.kind == MessageKind.FILL and effect.message.role == OrderRole.ENTRY:
                            self.point("fill_applied")
        if self.killed and self.desk.flat:
            self.point("kill_verifying")
        self.flush()

    def flush(self) -> None:
        """Let out what only told of durable records."""
        while self._outbox and self._outbox[0][0] <= self.disk.durable:
            _, kind, item = self._outbox.popleft()
            if kind == "report":
                self.report(item)
                continue
            self.point("durable_not_sent")
            self.send(item)
            self.point("sent")
