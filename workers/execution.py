"""Execution process: the one place where orders are decided, booked and answered. `python -m workers.execution --run F`

    intent rings -> order -> gate, account (core.orders.broker) -> execution journal -> report rings
                                                               \\-> boards, log ring

Order of handling: *free* as messages arrive; *paced* by (seq, symbol, arrival) and only up to the smallest watermark of
the shards, so that it does not depend on how many shards there are or how fast they run.

Durability (free): every answered message and its answer are one journal record, fdatasynced before the answer leaves, in
a thread beside the loop (`workers/outbox.py`). A restarted execution books the journal, tells the shards (they send
unanswered messages again, which are recognised), and goes on. When the disk refuses, entries are refused and exits go on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from config.paths import DataPaths
from config.schema import Settings
from core.consumption import CheckAccount, Hello, signed
from core.enums import (
    Cause,
    ControlBits,
    DataState,
    FeedState,
    GlobalRegime,
    LogKind,
    MessageKind,
    Mode,
    Regime,
    ReportKind,
    Severity,
)
from core.orders.broker import ANSWERED, ENTRIES, Controls, Note
from core.orders.exposure import ExchangeFacts
from core.orders.latency import Ledger
from core.orders.router import ExecutionRouter, LiveUnavailable, told_reports
from core.orders.wire import SYNC_HELLO, SYNC_RESTART, Message, Report
from core.records import GLOBAL
from core.risk.policy import Instrument, Policy, instrument, policy
from core.risk.tiers import Rank
from core.words import plural
from shm.agent import die_with_parent, run
from shm.counters import S_EXECUTION, CounterPage
from shm.scheduling import go_first
from shm.topology import Plant
from workers.account_boards import AccountBoards
from workers.churn_latch import ChurnLatch
from workers.commands import Commands
from workers.execution_records import Records
from workers.execution_recovery import Recovery
from workers.execution_rounds import Rounds
from workers.funding_handover import missed
from workers.intake import Intake
from workers.kill_switch import KillSwitch, PaperStandDown, StandDown
from workers.kill_watch import LinkHealth, PlantWatch
from workers.live import LiveOrders
from workers.live_evidence import LiveEvidence
from workers.noted_broker import NotedBroker
from workers.noted_desk import ExecutionTap
from workers.pause_latch import PauseLatch
from workers.rollout import RolloutKeeper
from workers.run_settings import load_settings

ANSWERS_KEPT = 8192
BOARD_NS = 100_000_000
HOUSEKEEPING_NS = 250_000_000
PAPER = frozenset({MessageKind.FILL, MessageKind.DONE, MessageKind.CASH})  # what only a paper desk says
LEAVE_NS = 2_000_000_000  # at an orderly end, for cancelling entries at the exchange
LEAVE_STEP_S = 0.005


class Execution:
    """Agent over `core.orders.broker.Broker`. `clock` gives CLOCK_MONOTONIC ns; `threaded`: commit beside the loop."""

    role_name = "execution"

    def __init__(
        self, plant: Plant, settings: Settings | None = None, clock: Callable[[], int] = time.monotonic_ns,
        threaded: bool = False,
    ) -> None:
        self.plant = plant
        self.paced = plant.spec.paced
        self.clock = clock
        self.settings = load_settings(plant) if settings is None else settings
        self._person_blacklist: frozenset[str] = frozenset()
        self.tap = ExecutionTap(plant.tap())
        self.control = plant.control
        live = Mode[plant.spec.mode] == Mode.LIVE
        if not plant.spec.permitted:
            raise LiveUnavailable("mode LIVE was not permitted: start it with launch.py, which asks for what it takes")
        self.ledger = Ledger()
        self.live = LiveOrders(plant, self, self.settings.safety.feed) if live else None
        desk = self.live.desk if self.live is not None else None
        self.broker = NotedBroker(
            self.make_policy(), ExecutionRouter(Mode(self.control.mode), desk), self.tap.note, self.tap.now
        )
        self.cnc = plant.cnc()
        self.counters: CounterPage = plant.counters()
        self.log = plant.log_writer()
        self.paths = DataPaths(Path(plant.spec.data_dir), plant.spec.mode)
        self.threaded = threaded
        self.intake = Intake(plant)
        self.records = Records(self)
        self._answers: OrderedDict[tuple[int, ...], Report] = OrderedDict()
        self._boards = AccountBoards(plant)
        self.symbol_row: np.ndarray = np.zeros(1, plant.symbol_rows().dtype)
        self._global: np.ndarray = np.zeros(1, GLOBAL.dtype)
        self.account_dirty = True
        self._board_ns = self._housekeeping_ns = 0
        self.controls = Controls()
        closing: StandDown = self.live or PaperStandDown(self.broker, lambda: self.records.all_handed)
        self.kill = KillSwitch(self.control, self.paths.kill_file, closing, self._tell_kill, self.disk_error)
        self.pause = PauseLatch(self.control, self.paths.pause_file, self.disk_error)
        self.rollout = RolloutKeeper(self.paths, plant.spec.venue["rest"], plant.spec.account, self.error) if (
            live and plant.spec.venue and not plant.spec.practice) else None
        self.evidence = LiveEvidence(
            self.live.desk, self.rollout, self.paths.trade_checks_file, self.note, self.error
        ) if self.live is not None else None
        health: Callable[[], LinkHealth] = LinkHealth
        if self.live is not None:
            health = self.live.health
        self.watch = PlantWatch(plant, self.broker, health)
        self.churn = ChurnLatch(self.paths.churn_dir, self.broker.ledger, self.disk_error)
        self.commands = Commands(plant, self, self.paths.blacklist_file)
        self.rounds = Rounds(self)

    # --- life ------------------------------------------------------------------------------------------------------
    def on_start(self) -> None:
        """Latch an old kill and an old pause, recover the account, tell the shards."""
        self.kill.start()
        self.pause.look()
        try:
            self.commands.start()
        except (OSError, ValueError) as error:
            self.error(error)
            self.pause.hold("blacklist file unreadable")
        Recovery(self).run()
        self.note(Note(LogKind.PROCESS, -1, time.time_ns(), 0, b=os.getpid(), text=f"execution {self.plant.spec.mode}"))
        for shard in range(self.plant.spec.shards):
            self.records.hand(shard, [Report(kind=int(ReportKind.NONE), reason=SYNC_RESTART)])
            self.plant.bell_of("shard", shard).ring()
        self.records.commit()
        self._write_boards(self.clock(), force=True)

    def do_work(self) -> int:
        """One turn: control words, messages, reports, boards."""
        now = self.clock()
        done = 0
        if self.live is not None:
            self.broker.router.now_ns = now
            done = self.live.turn(now)
        self.pause.turn(now)
        bits = self.control.bits()
        unsolicited = self.kill.turn(bits, now)
        self.controls = Controls(
            killed=self.kill.killed or bool(bits & ControlBits.KILL),
            paused=bool(bits & ControlBits.PAUSE) or self.records.disk_failed or self._guarded(),
            degraded=not self.paced and bool(bits & ControlBits.DEGRADED),
            feed_down=not self.paced and self.control.get("feed_state") != FeedState.CONNECTED,
            exchange=self.exchange(-1),
        )
        self.send(unsolicited)
        done += len(unsolicited) + self.commands.turn(self.settings.thresholds.signal, now)
        messages = self.intake.take(now)
        if messages:
            done += self._handle(messages)
        if self.live is not None:
            self.live.follow_kill(now, self.kill.killed)
            self.live.carry_out()
        done += self.records.commit()
        if now - self._housekeeping_ns >= HOUSEKEEPING_NS:
            self._housekeeping_ns = now
            self.rounds.turn(now)
        self._write_boards(now, force=False)
        if self.intake.at_end and self.records.all_handed:
            self._drained(now)
        return done

    def _drained(self, now: int) -> None:
        if not self.control.get("drained"):
            self._write_boards(now, force=True)
            self.control.set("drained", 1)

    def on_close(self) -> None:
        """Entries at the exchange cancelled, everything booked on disk, last answers, last boards."""
        if self.live is not None:
            self._leave_exchange(self.live)
        self.records.close()
        self._write_boards(self.clock(), force=True)
        self.check_account()

    def _leave_exchange(self, live: LiveOrders) -> None:
        """An orderly end leaves no entry behind; positions keep their stops at the exchange."""
        deadline = self.clock() + LEAVE_NS
        self.broker.router.now_ns = self.clock()
        self.broker.cancel_working(set(self.broker.working), int(Cause.CONTROL))
        while live.desk.entries.working and self.clock() < deadline and live.link.error is None:
            live.turn(self.clock())
            self.records.commit()
            time.sleep(LEAVE_STEP_S)
        live.stop()

    # --- messages --------------------------------------------------------------------------------------------------
    def _handle(self, messages: list[tuple[int, Message]]) -> int:
        """Answer and book. What is told of a record waits in the outbox until the record is durable."""
        answers: list[tuple[int, Report]] = []
        notes: list[Note] = []
        for shard, message in messages:
            start = self.clock()
            self.counters.add("messages")
            if message.kind == MessageKind.NONE:
                if message.reason == SYNC_HELLO:
                    self._hello(shard, message, answers, notes)
            elif message.kind == MessageKind.END:
                self.intake.end(shard)
            else:
                report, lines = self._answer(shard, message, start)
                notes += lines
                if report is not None:
                    answers.append((shard, report))
            self.counters.record(S_EXECUTION, max(self.clock() - start, 0))
        for shard, report in answers:
            self.records.hand(shard, [report])
        for note in notes:
            self.note(note)
        self.account_dirty = True
        return len(messages)

    def _answer(self, shard: int, message: Message, now: int) -> tuple[Report | None, list[Note]]:
        known = self._answers.get(message.key)
        if known is not None:
            self.counters.add("duplicate_intents")
            return known, []
        self.know(message.symbol)
        controls = self.controls
        if message.kind in ENTRIES and not self.paced:
            quarantined, regime_bad = self._picture(message)
            controls = controls._replace(
                age_ns=max(now - message.mono_sent_ns, 0) if message.mono_sent_ns else 0, quarantined=quarantined,
                regime_bad=regime_bad, exchange=self.exchange(message.symbol),
            )
        if self.live is not None and message.kind in PAPER:
            self.error(RuntimeError("a shard's paper desk spoke in LIVE"))
            return None, []
        report, notes = self.broker.handle(message, controls)
        self.records.roll(message)
        if message.kind in ANSWERED:
            self.records.answered(shard, message, report)
            if report is not None:
                self.remember(message, report)
            self.note_order(message, report, notes, now, self.clock())
        return report, notes

    def note_order(
        self, message: Message, report: Report | None, notes: list[Note], taken_ns: int, gated_ns: int
    ) -> None:
        """What the order ledger learns of an answered message; from the journal without times of ours."""
        if message.kind == MessageKind.ENTER and report is not None:
            label = next((note.text for note in notes if note.kind == LogKind.ORDER), "")
            numbers = next(((note.x, note.y) for note in notes if note.kind == LogKind.RISK), (0.0, 0.0))
            self.ledger.entered(
                message, report, self.broker.instruments.get(message.symbol), int(self.broker.router.mode), label, numbers,
                taken_ns, gated_ns, time.time_ns() if taken_ns else message.ts_event_ns,
                self.records.booked,
            )
        elif message.kind in (MessageKind.FILL, MessageKind.DONE) and message.symbol in self.broker.instruments:
            self.ledger.told(message, self.broker.instruments[message.symbol], gated_ns)

    def remember(self, message: Message, report: Report) -> None:
        self._answers[message.key] = report
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def _picture(self, message: Message) -> tuple[bool, bool]:
        """The last look before an entry leaves: (book not believed, regime turned bad), as the boards say. A row never
        written says nothing, and one from before the shard's decision nothing about the regime: the shard knew better."""
        globally = self.plant.global_regime()
        bad = globally.read_into(0, self._global) > 0 and int(self._global[0]["regime"]) != GlobalRegime.GLOBAL_NORMAL
        rows, symbol = self.plant.symbol_rows(), message.symbol
        if not 0 <= symbol < rows.rows or rows.read_into(symbol, self.symbol_row) <= 0:
            return False, bad
        row = self.symbol_row[0]
        if int(row["ts_recv_ns"]) >= message.ts_event_ns:
            bad = bad or int(row["regime"]) not in (Regime.NORMAL, Regime.COOLDOWN_DONE)
        return int(row["data_state"]) != DataState.OK, bad

    def exchange(self, symbol: int) -> ExchangeFacts:
        """What the exchange has told (LIVE), with the tier that the evidence allows by now."""
        if self.live is None:
            return ExchangeFacts()
        facts = self.live.facts(symbol)
        if self.rollout is None:
            return facts
        return facts._replace(tier_allowed=min(facts.tier_allowed, int(self.rollout.allowed)))

    def know(self, symbol: int) -> None:
        """Read the instrument of a symbol once; `_housekeep` refreshes it in free runs."""
        if symbol in self.broker.instruments or not 0 <= symbol < self.plant.symbols().rows:
            return
        row = self.plant.symbols().read(symbol)[0]
        if int(row["name_hash"]):
            self.broker.instruments[symbol] = found = instrument(row)
            if self.live is not None:
                self.live.know(found, row)

    def _guarded(self) -> bool:
        """Is the guardian on duty? Then say when we have looked at the exchange again; entries wait for it to leave."""
        duty = self.control.guardian_duty
        if duty and self.control.exec_back != duty and (self.live is None or self.live.reconciled_after(duty)):
            self.control.exec_back = duty
        return bool(duty)

    # --- commands of a person (workers.commands.Desk) -----------------------------------------------------------------
    def take_intent(self, shard: int, message: Message) -> tuple[Report | None, list[Note]]:
        """As if the shard had sent it, logged at once."""
        report, notes = self._answer(shard, message, self.clock())
        for note in notes:
            self.note(note)
        self.account_dirty = True
        return report, notes

    def tell_shard(self, shard: int, report: Report) -> None:
        self.records.hand(shard, [report])

    def instrument_of(self, symbol: int) -> Instrument | None:
        self.know(symbol)
        return self.broker.instruments.get(symbol)

    # --- what LIVE needs of us (workers.live.Host) -----------------------------------------------------------------------
    def tell(self, message: Message) -> None:
        """A FILL, DONE or CASH of the exchange desk: booked, journalled, reported to the shard as unsolicited."""
        self.know(message.symbol)
        report, notes = self.broker.handle(message, self.controls._replace(exchange=self.exchange(message.symbol)))
        if message.kind == MessageKind.FILL:
            self.rounds.note_fill(message)
        shard = self.broker.instruments[message.symbol].shard if message.symbol in self.broker.instruments else 0
        self.records.roll(message)
        self.records.answered(shard, message, report)
        now = self.clock()
        self.note_order(message, report, notes, now, now)
        if report is not None:
            self.records.hand(shard, told_reports(message, report))
        for note in notes:
            self.note(note)
        self.account_dirty = True

    def entries_stopped(self) -> bool:
        """Killed, paused, guarded, or the tier lost since the gate: asked right before an entry's first byte."""
        words = self.control.bits() & (ControlBits.KILL | ControlBits.PAUSE) or self.control.guardian_duty
        rank = Rank[self.settings.trading.capital_tier]
        return bool(words) or self.kill.killed or (self.rollout is not None and self.rollout.allowed < rank)

    def set_mode(self, mode: Mode) -> None:
        self.broker.router.mode = mode
        self.control.mode = mode
        self.account_dirty = True

    def set_blacklist(self, names: frozenset[str]) -> None:
        self._person_blacklist = names
        self.broker.policy = self.make_policy()

    def make_policy(self) -> Policy:
        """The settings in force, with what a person has taken out."""
        rules = policy(self.settings)
        return replace(rules, blacklist=rules.blacklist | self._person_blacklist)

    # --- shards that came back, or will not -------------------------------------------------------------------------
    def _hello(self, shard: int, message: Message, answers: list[tuple[int, Report]], notes: list[Note]) -> None:
        """A shard (re)started with an empty desk: its working entries are gone, its positions are handed back."""
        answers[:] = [(s, r) for s, r in answers if s != shard]  # answers to what the dead one asked are void
        self.records.forget(shard)
        symbols = self.broker.symbols_of(shard)
        if self.live is None:
            notes += self.book_own(shard, self.broker.end_working(symbols) + self._missed_funding(symbols, message.ts_event_ns))
        else:  # they work at the exchange: cancelled there, and their end is told like any other
            self.broker.cancel_working(symbols, int(Cause.CONTROL))
        self.rounds.lost.discard(shard)
        self.tap.note(Hello(shard, message.decision_id))
        answers.append((shard, Report(kind=int(ReportKind.NONE), reason=SYNC_HELLO, decision_id=message.decision_id)))
        handed = self.broker.position_reports(symbols)
        answers += [(shard, report) for report in handed]
        if self.kill.killed:
            answers += [(shard, report) for report in self.broker.stand_down(int(Cause.KILL), symbols)]
        if handed:
            notes.append(Note(LogKind.PROCESS, -1, self.broker.account.updated_ns, 0, a=len(handed), b=shard,
                              severity=Severity.WARNING, text=f"shard {shard} back: {plural(len(handed), 'position')}"))

    def _missed_funding(self, symbols: set[int], until_ns: int) -> list[Message]:
        """Payments of positions whose shard was dead at the settlement; `until_ns`: when it began anew."""
        found = []
        for symbol, position in sorted(self.broker.account.positions.items()):
            if symbol in symbols and self.plant.symbol_rows().read_into(symbol, self.symbol_row) > 0:
                found.append(missed(
                    position, self.broker.funding_ns.get(symbol, 0), self.symbol_row[0], self.plant.symbols().read(symbol)[0],
                    until_ns,
                ))
        return [message for message in found if message is not None]

    def book_own(self, shard: int, messages: list[Message]) -> list[Note]:
        """Book messages execution made itself (journalled like any other; nobody is answered)."""
        notes: list[Note] = []
        for message in messages:
            report, lines = self.broker.handle(message)
            self.records.roll(message)
            self.records.answered(shard, message, report)
            notes += lines
        return notes

    # --- reports, errors ---------------------------------------------------------------------------------------------
    def disk_error(self, error: OSError) -> None:
        self.counters.add("disk_errors")
        self.error(error)

    def error(self, error: Exception) -> None:
        self.counters.add("errors")
        self.cnc.errors.record(error)

    def send(self, reports: list[Report]) -> None:
        for report in reports:
            self.records.hand(self.broker.instruments[report.symbol].shard, [report])
            self.counters.add("cancels" if report.kind == ReportKind.CANCEL else "closes")

    def check_account(self) -> None:
        """The account for the journal: where a replay first differs shows within a quarter of a second."""
        account, handled = self.broker.account, self.broker.handled
        self.tap.note(CheckAccount(handled, signed(account.digest), account.balance_e8, len(account.positions)))

    # --- boards, log, settings ---------------------------------------------------------------------------------------
    def _write_boards(self, now: int, force: bool) -> None:
        broker = self.broker
        if not force and now - self._board_ns < BOARD_NS:
            return
        self._board_ns = now
        self._boards.write_changes(broker, self.ledger)
        if force or self.account_dirty:
            self.account_dirty = False
            event_ns = self.watch.event_ns(now)
            gate = broker.risk_off(event_ns, self.controls)
            self._boards.write_account(broker, event_ns, gate, self.controls.exchange if self.live is not None else None)
            account = broker.account
            for name, value in (
                ("intents", broker.intents), ("orders", broker.orders), ("fills", account.fills),
                ("rejects", broker.rejects), ("trades_closed", account.trades_closed), ("wins", account.wins),
                ("dry_run_orders", broker.router.dry_runs),
                ("troubles", len(self.live.desk.trouble) if self.live is not None else 0),
            ):
                self.counters.set(name, value)

    def _tell_kill(self, text: str, ms: float) -> None:
        self.note(Note(LogKind.CONTROL, -1, time.time_ns(), 0, a=int(ControlBits.KILL), x=ms, text=text,
                       severity=Severity.CRITICAL))

    def note(self, note: Note) -> None:
        self.log.emit(
            note.kind, note.symbol, note.severity, note.ts_ns, note.seq, note.a, note.b, note.c, note.d, note.e, note.f,
            note.x, note.y, note.text,
        )


def main(argv: list[str] | None = None) -> int:
    """Entry of the process: joins the plant named by --run and works until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m workers.execution")
    parser.add_argument("--run", required=True, help="run.json of the plant")
    options = parser.parse_args(argv)
    die_with_parent()
    go_first()
    plant = Plant.join(options.run, "execution")
    return run(Execution(plant, threaded=not plant.spec.paced), plant)


if __name__ == "__main__":
    sys.exit(main())
