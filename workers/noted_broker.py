"""A Broker that tells the journal everything that changes it, in order: the same calls make the same account again.

The notes stand at the door of the Broker, not in the process around it: recovery, control words, a person's commands and
the shards all come through here, and what they do not change needs no note.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from core.consumption import (
    Booked,
    BrokerStart,
    CancelWorking,
    Carried,
    ControlsNote,
    InstrumentNote,
    Latched,
    MessageNote,
    ModeNote,
    PolicyNote,
    Roll,
    StandDown,
    Wallet,
)
from core.enums import Mode
from core.orders.broker import Broker, Controls, Note
from core.orders.router import ExecutionRouter
from core.orders.wire import Message, Report, pack_entry
from core.risk.ledger import RiskLedger
from core.risk.policy import Instrument, Policy

Tell = Callable[[Any], None]
encode = msgspec.json.encode
NO_CONTROLS = Controls()


class _Instruments(dict[int, Instrument]):
    """The broker's instruments; every change is told."""

    def __init__(self, note: Tell) -> None:
        super().__init__()
        self._note = note

    def __setitem__(self, symbol: int, instrument: Instrument) -> None:
        self._note(InstrumentNote(symbol, encode(instrument)))
        super().__setitem__(symbol, instrument)

    def __delitem__(self, symbol: int) -> None:
        self._note(InstrumentNote(symbol, encode(None)))
        super().__delitem__(symbol)

    def pop(self, symbol: int, *default: Any) -> Any:
        if symbol in self:
            self._note(InstrumentNote(symbol, encode(None)))
        return super().pop(symbol, *default)


class NotedBroker(Broker):
    """`note(note)` takes the notes of core/consumption.py, `now(now_ns)` the clock of what follows where an exchange desk
    works the orders. `handled`: messages answered and booked."""

    _note: Tell
    _inside: bool

    def __init__(
        self, policy: Policy, router: ExecutionRouter, note: Tell, now: Callable[[int], None] = lambda now_ns: None
    ) -> None:
        object.__setattr__(self, "_note", note)
        self._now = now
        self._inside = True
        super().__init__(policy, router)
        self._inside = False
        self.instruments = _Instruments(note)
        self.handled = 0
        self._mode: Mode = router.mode
        self._controls: Controls | None = None
        self._latched: dict[int, int] = {}
        self._wallet: tuple[int, int] | None = None
        note(BrokerStart(int(router.mode), encode(policy)))

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "policy" and not self._inside:
            self._note(PolicyNote(encode(value)))
        object.__setattr__(self, name, value)

    def handle(self, message: Message, controls: Controls = NO_CONTROLS) -> tuple[Report | None, list[Note]]:
        if controls != self._controls:
            self._controls = controls
            self._note(ControlsNote(encode(controls)))
        if self.router.mode != self._mode:
            self._mode = self.router.mode
            self._note(ModeNote(int(self._mode)))
        if self.ledger.latched != self._latched:
            self._note(Latched(encode(self.ledger.latched)))
        self._at_now()
        known = self.instruments.get(message.symbol)
        self._note(MessageNote(known.shard if known is not None else -1, pack_entry(message, None)))
        self.handled += 1
        self._inside = True
        try:
            return super().handle(message, controls)
        finally:
            self._inside = False
            self._latched = dict(self.ledger.latched)

    def _at_now(self) -> None:
        if self.router.desk is not None:
            self._now(self.router.now_ns)

    def carry(self, earlier: RiskLedger) -> None:
        """Baselines and trades of the day of an earlier run: LIVE, where it is the same money."""
        hours = encode(list(earlier.hours))
        self._note(Carried(earlier.day, earlier.day_start_equity_e8, earlier.trades_day, hours))
        self.ledger.carry(earlier)

    def see_wallet(self, balance_e8: int) -> int:
        """The exchange's cash while nothing is open (LIVE); what came or went beside our trades, 0: nothing."""
        seen = (balance_e8, self.account.realised_e8)
        if seen != self._wallet:  # the same again changes nothing
            self._wallet = seen
            self._note(Wallet(balance_e8))
        return self.ledger.see_wallet(*seen)

    def restore_roll(self, record: bytes) -> None:
        self._note(Roll(record))
        super().restore_roll(record)

    def book(self, message: Message, report: Report | None) -> list[Note]:
        if not self._inside:
            self._note(Booked(pack_entry(message, report)))
        return super().book(message, report)

    def stand_down(self, reason: int, symbols: set[int] | None = None) -> list[Report]:
        self._at_now()
        self._note(StandDown(reason, encode(None if symbols is None else sorted(symbols))))
        return super().stand_down(reason, symbols)

    def cancel_working(self, symbols: set[int], reason: int) -> None:
        self._at_now()
        self._note(CancelWorking(reason, encode(sorted(symbols))))
        super().cancel_working(symbols, reason)
