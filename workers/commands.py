"""What a person asks of execution: trades, closes, stops, the mode, the blacklist. Nothing here bypasses anything.

A manual trade becomes an ENTER message and goes through the same gate, sizing, journal and router as a shard's intent;
a close is an EXIT. Such a message carries a negative seq, minus the number of the command: no market event has one, so
the order's id is unique and the journal tells a person's orders from the system's. Its report reaches the shard as an
unsolicited one (seq 0).

Limits of a person, before the gate: the entry zone is kept, a symbol rests after an entry (signal.cooldown_s), and an
entry may be tried signal.attempts times within signal.ttl_s.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import numpy as np

from config.blacklist_file import Listed, read_blacklist, write_blacklist
from config.schema import Signal
from core.constants import NS_PER_S
from core.enums import Cause, CommandKind, Gate, LogKind, MessageKind, Mode, ReportKind, Severity
from core.orders.broker import Broker, Note
from core.orders.command_words import Answer, Command, position_id, read_commands, write_answer
from core.orders.wire import Message, Report
from core.records import COMMAND, SYMBOL_ROW
from core.risk.policy import Instrument
from shm.topology import Plant

COMMAND_TTL_NS = 2 * NS_PER_S  # what waited longer was asked in another situation
BATCH = 16
TOLD = frozenset({ReportKind.ACCEPTED, ReportKind.CANCEL, ReportKind.CLOSE})  # reports a shard must hear of


_KINDS = {int(kind): kind.name for kind in CommandKind}


class Desk(Protocol):
    """The part of execution that carries commands out."""

    @property
    def broker(self) -> Broker: ...

    def take_intent(self, shard: int, message: Message) -> tuple[Report | None, list[Note]]:
        """Gate, book, journal and log a message as if a shard had sent it."""
        ...

    def tell_shard(self, shard: int, report: Report) -> None:
        """Behind everything booked so far."""
        ...

    def instrument_of(self, symbol: int) -> Instrument | None: ...

    def set_mode(self, mode: Mode) -> None: ...

    def set_blacklist(self, names: frozenset[str]) -> None: ...

    def note(self, note: Note) -> None: ...


class Refused(Exception):
    """A command is not carried out: the gate with its two numbers, or the reason in words."""

    def __init__(self, text: str, gate: Gate = Gate.NONE, value: float = 0.0, limit: float = 0.0) -> None:
        super().__init__(text)
        self.gate, self.value, self.limit = gate, value, limit


class Commands:
    """Takes commands from the ring and answers every one of them."""

    def __init__(self, plant: Plant, desk: Desk, blacklist_file: Path) -> None:
        self._plant = plant
        self._desk = desk
        self._blacklist_file = blacklist_file
        self._reader = plant.commands().reader()
        self._writer = plant.answers().writer()
        self._rows: np.ndarray = np.zeros(BATCH, COMMAND.dtype)
        self._symbol_row: np.ndarray = np.zeros(1, SYMBOL_ROW.dtype)
        self._entered_ns: dict[int, int] = {}  # wall time of the last entry by a person, per symbol
        self._tries_ns: dict[int, list[int]] = {}
        self._blacklist: dict[str, Listed] = {}

    def start(self) -> None:
        """Take the blacklist up. Raises ValueError, OSError when it cannot be read."""
        self._blacklist = read_blacklist(self._blacklist_file)
        self._desk.set_blacklist(frozenset(self._blacklist))

    def recover(self, message: Message, report: Report | None) -> None:
        """A message of the journal: a person's entries count for the rest of their symbols."""
        if message.seq < 0 and message.kind == MessageKind.ENTER and report and report.kind == ReportKind.ACCEPTED:
            self._entered_ns[message.symbol] = message.ts_event_ns

    def turn(self, signal: Signal, now_ns: int) -> int:
        """Carry out what was asked; returns how many commands. `now_ns` of CLOCK_MONOTONIC."""
        n = self._reader.pop(self._rows)
        for command in read_commands(self._rows, n):
            answer = self._answer(command, signal, now_ns)
            self._writer.push(write_answer(answer), 1)  # a full ring means that nobody waits for answers
        return n

    def _answer(self, command: Command, signal: Signal, now_ns: int) -> Answer:
        base = Answer(command.id, time.time_ns(), symbol=command.symbol, kind=command.kind, side=command.side)
        try:
            if self._plant.spec.paced:
                raise Refused("a tape run takes no commands: its result must depend on the tape alone")
            if now_ns - command.mono_ns > COMMAND_TTL_NS:
                raise Refused("asked too long ago", Gate.EXPIRED, now_ns - command.mono_ns, COMMAND_TTL_NS)
            if command.kind == CommandKind.TRADE:
                answer = self._trade(command, signal, base)
            elif command.kind == CommandKind.CLOSE:
                answer = self._close(command, base)
            elif command.kind == CommandKind.PROTECT:
                answer = self._protect(command, base)
            elif command.kind == CommandKind.MODE:
                answer = self._mode(command, base)
            elif command.kind == CommandKind.BLACKLIST:
                answer = self._list(command, base)
            else:
                raise Refused(f"command {command.kind} is unknown")
        except Refused as refusal:
            answer = base._replace(
                gate=int(refusal.gate), value=float(refusal.value), limit=float(refusal.limit), text=str(refusal)
            )
        word = _KINDS.get(command.kind, str(command.kind))
        self._desk.note(Note(
            LogKind.CONTROL, command.symbol, base.wall_ns, 0, int(self._plant.control.bits()), command.kind,
            command.side, answer.qty_lots, answer.order_id, int(answer.ok),
            text=f"{word} {'done' if answer.ok else 'refused'}: {answer.text or Gate(answer.gate).name}",
            severity=Severity.INFO if answer.ok else Severity.WARNING,
        ))
        return answer

    # --- trade -----------------------------------------------------------------------------------------------------
    def _trade(self, command: Command, signal: Signal, base: Answer) -> Answer:
        instrument = self._instrument(command.symbol)
        if command.side not in (-1, 1):
            raise Refused("direction must be LONG or SHORT")
        bid, ask = self._touch(command.symbol)
        entry = command.price_ticks or (bid if command.side > 0 else ask)
        self._check_prices(command, entry)
        self._check_zone(command, ask if command.side > 0 else bid, instrument.tick_size)
        self._check_tries(command, signal)
        message = Message(
            seq=-command.id, ts_event_ns=command.wall_ns, mono_recv_ns=command.mono_ns, mono_sent_ns=command.mono_ns,
            price_ticks=entry, stop_ticks=command.stop_ticks, target_ticks=command.target_ticks,
            zone_min_ticks=command.zone_min_ticks, zone_max_ticks=command.zone_max_ticks, symbol=command.symbol,
            kind=int(MessageKind.ENTER), side=command.side, score_e2=command.confidence_e2,
        )
        report, notes = self._desk.take_intent(instrument.shard, message)
        assert report is not None, "ENTER is always answered"
        label = next((note.text for note in notes if note.kind == LogKind.ORDER), "")
        if report.kind == ReportKind.ACCEPTED:
            self._entered_ns[command.symbol] = command.wall_ns
            self._tries_ns.pop(command.symbol, None)
            self._desk.tell_shard(instrument.shard, report._replace(seq=0))
            return base._replace(
                ok=True, order_id=report.order_id, price_ticks=report.price_ticks, qty_lots=report.qty_lots,
                stop_ticks=report.stop_ticks, target_ticks=report.target_ticks, text=label,
            )
        if report.reason == Gate.MODE and label:
            return base._replace(
                ok=True, dry_run=True, price_ticks=entry, qty_lots=report.qty_lots, stop_ticks=command.stop_ticks,
                target_ticks=command.target_ticks, text=label,
            )
        risk = next((note for note in notes if note.kind == LogKind.RISK), None)
        raise Refused("", Gate(report.reason), risk.x if risk else 0.0, risk.y if risk else 0.0)

    def _instrument(self, symbol: int) -> Instrument:
        instrument = self._desk.instrument_of(symbol)
        if instrument is None:
            raise Refused("the symbol is not listed", Gate.DATA)
        return instrument

    def _touch(self, symbol: int) -> tuple[int, int]:
        """Best bid and ask in ticks as the shard shows them."""
        if self._plant.symbol_rows().read_into(symbol, self._symbol_row) <= 0:
            raise Refused("no price of the symbol is known yet", Gate.DATA)
        return int(self._symbol_row[0]["bid_ticks"]), int(self._symbol_row[0]["ask_ticks"])

    @staticmethod
    def _check_prices(command: Command, entry: int) -> None:
        side = command.side
        if entry <= 0:
            raise Refused("no entry price", Gate.DATA)
        if command.stop_ticks <= 0 or side * (entry - command.stop_ticks) <= 0:
            raise Refused("sl must stand on the losing side of entry: no position without a stop")
        if command.target_ticks and side * (command.target_ticks - entry) <= 0:
            raise Refused("tp must stand on the winning side of entry")

    @staticmethod
    def _check_zone(command: Command, ticks: int, tick_size: float) -> None:
        """`ticks`: what an entry would have to pay now."""
        low, high = command.zone_min_ticks, command.zone_max_ticks
        if high and not low <= ticks <= high:
            price, first, last = (round(each * tick_size, 10) for each in (ticks, low, high))
            raise Refused(f"price {price:.10g} is outside the entry zone {first:.10g} to {last:.10g}", Gate.ZONE, price,
                          first if ticks < low else last)

    def _check_tries(self, command: Command, signal: Signal) -> None:
        now, symbol = command.wall_ns, command.symbol
        rest_s = (self._entered_ns.get(symbol, 0) - now) / NS_PER_S + signal.cooldown_s
        if rest_s > 0:
            raise Refused(f"cooldown active: {rest_s:.0f} s left", Gate.COOLDOWN, rest_s, signal.cooldown_s)
        tries = [ns for ns in self._tries_ns.get(symbol, []) if now - ns < signal.ttl_s * NS_PER_S]
        if len(tries) >= signal.attempts:
            raise Refused(f"max attempts reached: {len(tries)} within {signal.ttl_s:g} s", Gate.ATTEMPTS, len(tries),
                          signal.attempts)
        self._tries_ns[symbol] = [*tries, now]

    # --- close -----------------------------------------------------------------------------------------------------
    def _close(self, command: Command, base: Answer) -> Answer:
        instrument = self._instrument(command.symbol)
        broker = self._desk.broker
        position = broker.account.positions.get(command.symbol)
        working = broker.working.get(command.symbol)
        if position is None and working is None:
            raise Refused("no position and no working order", Gate.NONE)
        seen = position.order_id if position else working.order.order_id if working else 0
        if command.position_id >= 0 and command.position_id != position_id(seen):
            raise Refused("the position is another one than the page showed")
        message = Message(
            seq=-command.id, ts_event_ns=command.wall_ns, mono_recv_ns=command.mono_ns, mono_sent_ns=command.mono_ns,
            symbol=command.symbol, kind=int(MessageKind.EXIT), reason=int(Cause.CONTROL), order_id=seen,
        )
        report, _ = self._desk.take_intent(instrument.shard, message)
        if report is not None and report.kind in TOLD:
            self._desk.tell_shard(instrument.shard, report._replace(seq=0))
        return base._replace(
            ok=True, order_id=seen, qty_lots=position.lots if position else 0, side=position.side if position else 0,
            text="closing reduce-only" if position else "cancelling the entry",
        )

    def _protect(self, command: Command, base: Answer) -> Answer:
        """Another stop, another first target, or both; what is 0 stays. The rules of core/orders/stops.py hold for a
        person, too: a stop goes away from the market only within the risk that was gated, a target only comes nearer."""
        instrument = self._instrument(command.symbol)
        position = self._desk.broker.account.positions.get(command.symbol)
        if position is None:
            raise Refused("no position")
        if command.position_id >= 0 and command.position_id != position_id(position.order_id):
            raise Refused("the position is another one than the page showed")
        bid, ask = self._touch(command.symbol)
        price = bid if position.side > 0 else ask
        if command.stop_ticks and position.side * (price - command.stop_ticks) <= 0:
            raise Refused("sl must stand on the losing side of the price: it would close at once")
        if command.target_ticks and position.side * (command.target_ticks - price) <= 0:
            raise Refused("tp must stand on the winning side of the price: it would close at once")
        wider = position.stop_ticks > 0 and command.stop_ticks > 0 and position.side * (
            command.stop_ticks - position.stop_ticks) < 0
        message = Message(
            seq=-command.id, ts_event_ns=command.wall_ns, mono_recv_ns=command.mono_ns, mono_sent_ns=command.mono_ns,
            symbol=command.symbol, kind=int(MessageKind.PROTECT), side=position.side, order_id=position.order_id,
            stop_ticks=command.stop_ticks, target_ticks=command.target_ticks,
            reason=int(Cause.WIDEN if wider else Cause.CONTROL),
        )
        report, notes = self._desk.take_intent(instrument.shard, message)
        if report is None or report.kind != ReportKind.PROTECTED or report.flags:
            risk = next((note for note in notes if note.kind == LogKind.RISK), None)
            raise Refused("the stop may not go so far away from the market" if wider else "this stop is not taken",
                          Gate(risk.a) if risk else Gate.NONE, risk.x if risk else 0.0, risk.y if risk else 0.0)
        self._desk.tell_shard(instrument.shard, report._replace(seq=0))
        return base._replace(
            ok=True, order_id=position.order_id, qty_lots=position.lots, side=position.side, stop_ticks=report.stop_ticks,
            target_ticks=report.target_ticks, text="moved",
        )

    # --- mode and blacklist ------------------------------------------------------------------------------------------
    def _mode(self, command: Command, base: Answer) -> Answer:
        wanted, now = Mode(command.value), self._desk.broker.router.mode
        if Mode.LIVE in (wanted, now) and wanted != now:
            raise Refused("a running system never goes to or from LIVE: its account, keys and journal are another "
                          "system's", Gate.MODE)
        self._desk.set_mode(wanted)
        return base._replace(ok=True, text=f"{now.name} to {wanted.name}")

    def _list(self, command: Command, base: Answer) -> Answer:
        instrument = self._instrument(command.symbol)
        listed = dict(self._blacklist)
        if command.value:
            listed[instrument.name] = Listed(command.text, command.wall_ns)
        else:
            listed.pop(instrument.name, None)
        try:
            write_blacklist(self._blacklist_file, listed)
        except OSError as error:
            raise Refused(f"not written, nothing changed: {error}") from None
        self._blacklist = listed
        self._desk.set_blacklist(frozenset(listed))
        if command.value and command.symbol in self._desk.broker.working:
            message = Message(seq=-command.id, ts_event_ns=command.wall_ns, symbol=command.symbol,
                              kind=int(MessageKind.CANCEL), reason=int(Cause.CONTROL))
            report, _ = self._desk.take_intent(instrument.shard, message)
            if report is not None and report.kind in TOLD:
                self._desk.tell_shard(instrument.shard, report._replace(seq=0))
        return base._replace(ok=True, text="taken out of trading" if command.value else "back in trading")
