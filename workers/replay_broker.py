"""Execution's account in a replay: a Broker driven by the notes of the one that ran (workers/noted_broker.py).

It answers and books the messages of then, in that order and under the controls of then; the reports it gives are kept.
Every life of execution begins with an empty account and the bookings its recovery made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from core.consumption import (
    Booked,
    BrokerStart,
    CheckAccount,
    ControlsNote,
    Hello,
    InstrumentNote,
    Latched,
    MessageNote,
    ModeNote,
    PolicyNote,
    Roll,
    StandDown,
    signed,
)
from core.enums import Mode
from core.orders.broker import ANSWERED, Broker, Controls, Note
from core.orders.router import ExecutionRouter
from core.orders.wire import Message, Report, read_messages, unpack_entry
from core.records import MESSAGE
from core.risk.policy import Instrument, Policy

decode = msgspec.json.decode


class AccountCheck(NamedTuple):
    """Where execution wrote down its account, and what the replay has there."""

    number: int
    recorded: CheckAccount
    replayed: CheckAccount


class ReplayBroker:
    """Feed `apply` the notes of execution in order.

    given: (shard, report) handed out; entries: (message, report) of everything that belongs into the execution journal;
    checks: the account at every check. `told`: each message with its answer and what execution logged of it.
    """

    def __init__(self, told: Callable[[Message, Report | None, list[Note]], None] = lambda message, report, notes: None) -> None:
        self._told = told
        self.broker: Broker | None = None
        self.lives = 0
        self.given: list[tuple[int, Report]] = []
        self.entries: list[tuple[Message, Report | None]] = []
        self.checks: list[AccountCheck] = []
        self._controls = Controls()
        self._handled = 0

    def apply(self, note: Any) -> None:
        """One note. ValueError where it cannot stand."""
        if isinstance(note, BrokerStart):
            self.lives += 1
            self.broker = Broker(decode(note.payload, type=Policy), ExecutionRouter(Mode(note.mode)))
            self._handled = 0
            return
        broker = self.broker
        if broker is None:
            raise ValueError("notes of execution before its start")
        if isinstance(note, MessageNote):
            self._handle(broker, note)
        elif isinstance(note, ControlsNote):
            self._controls = decode(note.payload, type=Controls)
        elif isinstance(note, InstrumentNote):
            instrument = decode(note.payload, type=Instrument | None)
            if instrument is None:
                broker.instruments.pop(note.symbol, None)
            else:
                broker.instruments[note.symbol] = instrument
        elif isinstance(note, PolicyNote):
            broker.policy = decode(note.payload, type=Policy)
        elif isinstance(note, ModeNote):
            broker.router = ExecutionRouter(Mode(note.mode))
        elif isinstance(note, Roll):
            broker.restore_roll(note.payload)
        elif isinstance(note, Latched):
            broker.ledger.latched = decode(note.payload, type=dict[int, int])
        elif isinstance(note, Booked):
            broker.book(*unpack_entry(note.payload))
        elif isinstance(note, StandDown):
            symbols = decode(note.payload, type=set[int] | None)
            self._give(broker, broker.stand_down(note.cause, symbols))
        elif isinstance(note, Hello):
            self._give(broker, broker.position_reports(broker.symbols_of(note.shard)))
        elif isinstance(note, CheckAccount):
            account = broker.account
            mine = CheckAccount(self._handled, signed(account.digest), account.balance_e8, len(account.positions))
            self.checks.append(AccountCheck(len(self.checks), note, mine))
        else:
            raise ValueError(f"no note of execution: {note}")

    def _handle(self, broker: Broker, note: MessageNote) -> None:
        message = read_messages(np.frombuffer(note.payload, MESSAGE.dtype), 1)[0]
        self._handled += 1
        report, notes = broker.handle(message, self._controls)
        self._told(message, report, notes)
        if message.kind in ANSWERED:
            self.entries.append((message, report))
        if report is not None:
            self.given.append((note.shard, report))

    def _give(self, broker: Broker, reports: list[Report]) -> None:
        self.given += [(broker.instruments[report.symbol].shard, report) for report in reports]
