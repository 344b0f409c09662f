"""Execution in a replay: the process's own code over private memory, driven by the notes it left.

It handles the messages it handled then, in that order and under the controls of then, and the reports it gives are kept
instead of sent. Every life of the process begins with an empty account, or with the one booked from the first n durable
records of the run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np

from config.schema import Settings
from core.consumption import (
    CheckAccount,
    ControlsNote,
    InstrumentNote,
    MessageNote,
    PolicyNote,
    Recovered,
    ShardLost,
    StandDown,
    signed,
)
from core.orders.broker import Controls
from core.orders.wire import Message, Report, read_messages, write_messages, write_reports
from core.records import MESSAGE, SYMBOL
from core.risk.policy import instrument, policy
from shm.topology import Plant, RunSpec
from workers.execution import Execution


class AccountCheck(NamedTuple):
    """Where execution wrote a digest of its account, and what the replay has there."""

    number: int
    recorded: CheckAccount
    replayed: CheckAccount


class _Life(Execution):
    """One life of the process; `given` collects (shard, report)."""

    def __init__(self, spec: RunSpec, settings: Settings, durable: list[bytes]) -> None:
        super().__init__(Plant.private(spec, "execution"), settings)
        self.given: list[tuple[int, Report]] = []
        self._silent.clear()
        self._durable = durable
        self._note: Controls = Controls()

    def set_controls(self, note: ControlsNote) -> None:
        killed, paused, degraded, feed_down = (bool(value) for value in note)
        self._controls = Controls(killed, paused, degraded, feed_down)
        self.kill.killed = killed

    def take(self, note: MessageNote) -> Message:
        message = read_messages(np.frombuffer(note.payload, MESSAGE.dtype), 1)[0]
        self._note = self._controls._replace(age_ns=note.age_ns, quarantined=bool(note.quarantined))
        self._handle([(note.shard, message)])
        return message

    def recover(self, records: list[bytes]) -> None:
        self._replay(records)

    def lose(self, shard: int) -> None:
        self._close_lost(shard)

    def check(self) -> CheckAccount:
        account = self.broker.account
        return CheckAccount(self._handled, signed(account.digest), account.balance_e8, len(account.positions))

    # --- what the process asked the world for, the notes know ------------------------------------------------------
    def _around(self, shard: int, message: Message, now: int) -> Controls:
        self._handled += 1
        return self._note

    def _know(self, symbol: int) -> None:
        """Instruments come with their notes."""

    def _journal_record(self, shard: int, message: Message, report: Report | None) -> None:
        data = write_messages([message]).tobytes()
        self._durable.append(data if report is None else data + write_reports([report]).tobytes())

    def _hand(self, shard: int, reports: list[Report]) -> None:
        self.given += [(shard, report) for report in reports]


class ReplayExecution:
    """Feed `apply` the notes of execution in order. `durable`: every record its journal should hold."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self.life: _Life | None = None
        self.lives = 0
        self.durable: list[bytes] = []
        self.given: list[tuple[int, Report]] = []
        self.handled: list[tuple[int, Message]] = []
        self.recovered_at: list[int] = []  # indices into `handled` at which a life with a recovered account begins
        self.checks: list[AccountCheck] = []
        self._recover = -1
        self._checks = 0

    def apply(self, note: Any) -> None:
        """One note."""
        if isinstance(note, PolicyNote):
            settings = msgspec.json.decode(note.payload, type=Settings)
            if note.is_start:
                self.lives += 1
                self.life = _Life(self._spec, settings, self.durable)
                self.life.given = self.given
            elif self.life is not None:
                self.life.broker.policy = policy(settings)
            return
        life = self.life
        if life is None:
            raise ValueError("notes of execution before its settings")
        if isinstance(note, InstrumentNote):
            life.broker.instruments[note.symbol] = instrument(np.frombuffer(note.payload, SYMBOL.dtype)[0])
            return
        if isinstance(note, Recovered):
            self._recover = note.records
            return
        if self._recover >= 0:  # the instruments it needs stand behind RECOVERED
            del self.durable[self._recover :]
            self.recovered_at.append(len(self.handled))
            life.recover(self.durable[: self._recover])
            self._recover = -1
        self._act(life, note)

    def _act(self, life: _Life, note: Any) -> None:
        if isinstance(note, ControlsNote):
            life.set_controls(note)
        elif isinstance(note, MessageNote):
            self.handled.append((note.shard, life.take(note)))
        elif isinstance(note, StandDown):
            for report in life.broker.stand_down(note.cause):
                self.given.append((life.broker.instruments[report.symbol].shard, report))
        elif isinstance(note, ShardLost):
            life.lose(note.shard)
        elif isinstance(note, CheckAccount):
            self.checks.append(AccountCheck(self._checks, note, life.check()))
            self._checks += 1
        else:
            raise TypeError(f"no note of execution: {note}")

    @property
    def account_digest(self) -> int:
        """Digest of the account as it stands."""
        return self.life.broker.account.digest if self.life is not None else 0
