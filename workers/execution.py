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
import heapq
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from config.load import ConfigError
from config.paths import DataPaths
from config.reload import loosened
from config.schema import Settings
from core.constants import FLAG_EXTERNAL, NS_PER_MS
from core.consumption import CheckAccount, Hello, signed
from core.enums import (
    Cause,
    ControlBits,
    DataState,
    FeedState,
    Gate,
    GlobalRegime,
    LogKind,
    MessageKind,
    Mode,
    Regime,
    ReportKind,
    Severity,
)
from core.journal import EXECUTION, FILE_BYTES, Frame, JournalError, encode_record
from core.orders.broker import ANSWERED, ENTRIES, INTENTS, Controls, Note
from core.orders.desk_journal import DeskRecordError
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exposure import ExchangeFacts
from core.orders.latency import LEDGER_RECORD, Ledger
from core.orders.router import ExecutionRouter, LiveUnavailable, told_reports
from core.orders.wire import ENTRY_RECORD, Message, Report, pack_entry, read_messages, unpack_entry
from core.records import GLOBAL, MESSAGE
from core.risk.ledger import RiskLedger
from core.risk.policy import Instrument, Policy, instrument, policy
from core.risk.tiers import Rank
from shm.agent import die_with_parent, run
from shm.counters import S_EXECUTION, S_INTENT_HOP, S_WIRE_TO_INTENT
from shm.topology import Plant
from workers.account_boards import AccountBoards
from workers.churn_latch import ChurnLatch
from workers.commands import Commands
from workers.journal_compaction import compact_journal
from workers.journal_files import DurableLog
from workers.kill_switch import KillSwitch, PaperStandDown, StandDown
from workers.kill_watch import LinkHealth, PlantWatch
from workers.live import LiveOrders
from workers.live_evidence import LiveEvidence
from workers.noted_broker import NotedBroker
from workers.noted_desk import DESK_RECORD, ExecutionTap
from workers.outbox import Committer, Outbox
from workers.pause_latch import PauseLatch
from workers.rollout import RolloutKeeper
from workers.run_settings import load_settings

BATCH = 256
ANSWERS_KEPT = 8192
BOARD_NS = 100_000_000
HOUSEKEEPING_NS = 250_000_000
SHARD_LOST_NS = 30_000_000_000  # a shard silent this long does not manage its positions any more
EXIT_NOTE_NS = 10_000_000_000
CLOSE_RISKIEST_NS = 5_000_000_000
WALLET_AFTER_NS = 2_000_000_000  # a wallet read this long after the last fill has seen it
# handshakes: `reason` of messages and reports of kind NONE
SYNC_HELLO = 1  # a shard (re)started with nothing in hand; answered with the same decision_id, then its open positions
SYNC_RESTART = 2  # execution (re)started; the shard echoes it and sends its unanswered messages again
PAPER = frozenset({MessageKind.FILL, MessageKind.DONE, MessageKind.CASH})  # what only a paper desk says
LEAVE_NS = 2_000_000_000  # at an orderly end, for cancelling entries at the exchange
LEAVE_STEP_S = 0.005
ROLL_RECORD = 2  # kind of a record of the execution journal: baselines of the daily loss (core.risk.ledger)


class Execution:
    """Agent over `core.orders.broker.Broker`. `clock` gives CLOCK_MONOTONIC ns; `threaded`: commit beside the loop."""

    role_name = "execution"

    def __init__(
        self, plant: Plant, settings: Settings | None = None, clock: Callable[[], int] = time.monotonic_ns,
        threaded: bool = False,
    ) -> None:
        self.plant = plant
        self.paced = plant.spec.paced
        self._clock = clock
        self._settings = load_settings(plant) if settings is None else settings
        self._person_blacklist: frozenset[str] = frozenset()
        self.tap = ExecutionTap(plant.tap())
        self.control = plant.control
        live = Mode[plant.spec.mode] == Mode.LIVE
        if not plant.spec.permitted:
            raise LiveUnavailable("mode LIVE was not permitted: start it with launch.py, which asks for what it takes")
        self.ledger = Ledger()
        self.live = LiveOrders(plant, self, self._settings.safety.feed) if live else None
        desk = self.live.desk if self.live is not None else None
        self.broker = NotedBroker(
            self._policy(), ExecutionRouter(Mode(self.control.mode), desk), self.tap.note, self.tap.now
        )
        self.cnc = plant.cnc()
        self.counters = plant.counters()
        self.log = plant.log_writer()
        self.paths = DataPaths(Path(plant.spec.data_dir), plant.spec.mode)
        shards = range(plant.spec.shards)
        self._intents = [plant.intents(i).reader() for i in shards]
        self._outbox = Outbox([plant.reports(i).writer() for i in shards], self.counters, clock)
        self._scratch: np.ndarray = np.zeros(BATCH, MESSAGE.dtype)
        self._heap: list[tuple[int, int, int, int, Message]] = []
        self._arrivals = 0
        self._ended: set[int] = set()
        self._silent = set(shards)  # shards whose messages do not count until they have answered our start
        self._answers: OrderedDict[tuple[int, ...], Report] = OrderedDict()
        self._boards = AccountBoards(plant)
        self._symbol_row: np.ndarray = np.zeros(1, plant.symbol_rows().dtype)
        self._global: np.ndarray = np.zeros(1, GLOBAL.dtype)
        self._account_dirty = True
        self._board_ns = self._housekeeping_ns = self._riskiest_ns = 0
        self._config_version = self.control.get("config_version")
        self._threaded = threaded
        self._committer: Committer | None = None
        self._disk_failed = False
        self._controls = Controls()
        self._lost: set[int] = set()
        closing: StandDown = self.live or PaperStandDown(self.broker, lambda: self._outbox.empty)
        self.kill = KillSwitch(self.control, self.paths.kill_file, closing, self._tell_kill, self._disk_error)
        self.pause = PauseLatch(self.control, self.paths.pause_file, self._disk_error)
        self.rollout = RolloutKeeper(self.paths, plant.spec.venue["rest"], plant.spec.account, self._error) if (
            live and plant.spec.venue and not plant.spec.practice) else None
        self.evidence = LiveEvidence(
            self.live.desk, self.rollout, self.paths.trade_checks_file, self.note, self._error
        ) if self.live is not None else None
        health: Callable[[], LinkHealth] = LinkHealth
        if self.live is not None:
            health = self.live.health
        self.watch = PlantWatch(plant, self.broker, health)
        self.churn = ChurnLatch(self.paths.churn_dir, self.broker.ledger, self._disk_error)
        self.commands = Commands(plant, self, self.paths.blacklist_file)

    # --- life ------------------------------------------------------------------------------------------------------
    def on_start(self) -> None:
        """Latch an old kill and an old pause, recover the account, tell the shards."""
        self.kill.start()
        self.pause.look()
        try:
            self.commands.start()
        except (OSError, ValueError) as error:
            self._error(error)
            self.pause.hold("blacklist file unreadable")
        self._recover()
        self.note(Note(LogKind.PROCESS, -1, time.time_ns(), 0, b=os.getpid(), text=f"execution {self.plant.spec.mode}"))
        for shard in range(self.plant.spec.shards):
            self._outbox.hand(shard, [Report(kind=int(ReportKind.NONE), reason=SYNC_RESTART)])
            self.plant.bell_of("shard", shard).ring()
        self._commit()
        self._write_boards(self._clock(), force=True)

    def _recover(self) -> None:
        path = self.paths.execution_journal
        spec = self.plant.spec
        self._desk_records: list[tuple[int, bytes]] = []
        self._desk_booked = 0
        if self.live is not None:
            for symbol in self.plant.symbols().changed_since():
                self._know(int(symbol))
        if path.exists():
            try:
                run_id, frames, found = DurableLog.load(path)
                is_damaged = found.is_damaged
            except (JournalError, OSError) as error:
                run_id, frames = "", []
                is_damaged = path.stat().st_size >= FILE_BYTES  # whose it was is unknown; shorter: nothing was ever in it
                self._error(error)
            if is_damaged and (run_id in (spec.run_id, "") or spec.mode == Mode.LIVE.name):
                self.pause.hold("execution journal damaged")
                self.note(Note(LogKind.ERROR, -1, time.time_ns(), 0, severity=Severity.CRITICAL,
                               text="execution journal damaged: paused"))
            if run_id == spec.run_id:
                self._replay(frames)
                if self.live is not None and not is_damaged:
                    try:
                        self._desk_records = compact_journal(path, run_id, frames, DESK_RECORD, self._desk_booked)
                    except OSError as error:  # the long one stands
                        self._error(error)
            elif path.exists():  # another run's account: kept beside, never continued
                if spec.mode == Mode.LIVE.name:  # but its losses of today are today's: it is the same money
                    self.broker.carry(self._ledger_of(frames))
                path.replace(path.with_name(f"execution-{time.time_ns()}.journal"))
        if self.live is not None and not self._desk_records:
            self._inherit(self.live, path)
        log = DurableLog(path, EXECUTION, spec.run_id, time.time_ns())
        self._committer = Committer(log, not self.paced, self.plant.bell.ring if self._threaded else None)
        self._journal_roll(Message(ts_event_ns=time.time_ns()))
        if self.live is not None:
            working = [working.order for working in self.broker.working.values()]
            self.live.start(self._clock(), self._desk_records, self._desk_booked, working)

    def _inherit(self, live: LiveOrders, path: Path) -> None:
        """A first start: what the run before this one held at the exchange is ours, and not a stranger's."""
        before = max(path.parent.glob(f"{path.stem}-*{path.suffix}"), default=None)
        if before is None:
            return
        try:
            _, frames, _ = DurableLog.load(before)
            live.desk.inherit((f.kind - DESK_RECORD, f.data) for f in frames if f.kind >= DESK_RECORD)
        except (JournalError, DeskRecordError, OSError) as error:
            self._error(error)

    def _ledger_of(self, frames: list[Frame]) -> RiskLedger:
        """What a journal knows of losses and trades."""
        ledger = RiskLedger(self.broker.policy.start_balance_e8)
        for frame in frames:
            if frame.kind == ROLL_RECORD:
                ledger.restore(frame.data)
            elif frame.kind == ENTRY_RECORD:
                ledger.observe(*unpack_entry(frame.data), self.broker.policy.churn)
        return ledger

    def _replay(self, frames: list[Frame]) -> None:
        for frame in frames:
            if frame.kind == ROLL_RECORD:
                self.broker.restore_roll(frame.data)
                continue
            if frame.kind == LEDGER_RECORD:
                self.ledger.restore(frame.data)
                continue
            if frame.kind >= DESK_RECORD:
                self._desk_records.append((frame.kind - DESK_RECORD, frame.data))
                continue
            message, report = unpack_entry(frame.data)
            self._know(message.symbol)
            if message.seq >= DESK_SEQ:
                self._desk_booked = max(self._desk_booked, message.seq)
            self.broker.book(message, report)
            self.commands.recover(message, report)
            self._note_order(message, report, [], 0, 0)
            if report is not None and message.seq:
                self._remember(message, report)
        self.broker.dirty |= self.broker.account.positions.keys() | self.broker.account.closed.keys()
        self.note(Note(LogKind.PROCESS, -1, time.time_ns(), 0, a=len(frames), b=os.getpid(),
                       text=f"account recovered from {len(frames)} records"))

    def do_work(self) -> int:
        """One turn: control words, messages, reports, boards."""
        now = self._clock()
        done = 0
        if self.live is not None:
            self.broker.router.now_ns = now
            done = self.live.turn(now)
        self.pause.turn(now)
        bits = self.control.bits()
        unsolicited = self.kill.turn(bits, now)
        self._controls = Controls(
            killed=self.kill.killed or bool(bits & ControlBits.KILL),
            paused=bool(bits & ControlBits.PAUSE) or self._disk_failed or self._guarded(),
            degraded=not self.paced and bool(bits & ControlBits.DEGRADED),
            feed_down=not self.paced and self.control.get("feed_state") != FeedState.CONNECTED,
            exchange=self.exchange(-1),
        )
        self._send(unsolicited)
        done += len(unsolicited) + self.commands.turn(self._settings.thresholds.signal, now)
        messages = self._take(now)
        if messages:
            done += self._handle(messages)
        if self.live is not None:
            self.live.follow_kill(now, self.kill.killed)
            self.live.carry_out()
        done += self._commit()
        if now - self._housekeeping_ns >= HOUSEKEEPING_NS:
            self._housekeeping_ns = now
            self._housekeep(now)
        self._write_boards(now, force=False)
        if len(self._ended) == self.plant.spec.shards and not self._heap and self._outbox.empty:
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
        if self._committer is not None:
            error = self._committer.close(self.broker.account.updated_ns)
            if error is not None:
                self._disk_error(error)
            self._outbox.flush(self._committer.durable)
            self._committer = None
        self._write_boards(self._clock(), force=True)
        self._check()

    def _leave_exchange(self, live: LiveOrders) -> None:
        """An orderly end leaves no entry behind; positions keep their stops at the exchange."""
        deadline = self._clock() + LEAVE_NS
        self.broker.router.now_ns = self._clock()
        self.broker.cancel_working(set(self.broker.working), int(Cause.CONTROL))
        while live.desk.entries.working and self._clock() < deadline and live.link.error is None:
            live.turn(self._clock())
            self._commit()
            time.sleep(LEAVE_STEP_S)
        live.stop()

    # --- messages --------------------------------------------------------------------------------------------------
    def _take(self, now: int) -> list[tuple[int, Message]]:
        """What may be handled now, in order, as (shard, message)."""
        limit = self.plant.min_watermark() if self.paced else 0  # before the rings: what it promises is in them
        arrived: list[tuple[int, Message]] = []
        for shard, reader in enumerate(self._intents):
            while n := reader.pop(self._scratch):
                for message in read_messages(self._scratch, n):
                    if message.kind == MessageKind.NONE:
                        self._silent.discard(shard)
                    elif shard in self._silent:
                        continue  # will come again, in order, behind the shard's answer to our start
                    self._measure(message, now)
                    arrived.append((shard, message))
                if n < BATCH:
                    break
        if not self.paced:
            return arrived
        for shard, message in arrived:
            self._arrivals += 1
            heapq.heappush(self._heap, (message.seq, message.symbol, self._arrivals, shard, message))
        ready = []
        while self._heap and self._heap[0][0] <= limit:
            _, _, _, shard, message = heapq.heappop(self._heap)
            ready.append((shard, message))
        return ready

    def _measure(self, message: Message, now: int) -> None:
        if message.mono_sent_ns > 0:
            self.counters.record(S_INTENT_HOP, max(now - message.mono_sent_ns, 0))
        if message.kind in INTENTS and message.mono_recv_ns > 0:
            self.counters.record(S_WIRE_TO_INTENT, max(now - message.mono_recv_ns, 0))

    def _handle(self, messages: list[tuple[int, Message]]) -> int:
        """Answer and book. What is told of a record waits in the outbox until the record is durable."""
        answers: list[tuple[int, Report]] = []
        notes: list[Note] = []
        for shard, message in messages:
            start = self._clock()
            self.counters.add("messages")
            if message.kind == MessageKind.NONE:
                if message.reason == SYNC_HELLO:
                    self._hello(shard, message, answers, notes)
            elif message.kind == MessageKind.END:
                self._ended.add(shard)
            else:
                report, lines = self._answer(shard, message, start)
                notes += lines
                if report is not None:
                    answers.append((shard, report))
            self.counters.record(S_EXECUTION, max(self._clock() - start, 0))
        for shard, report in answers:
            self._hand(shard, [report])
        for note in notes:
            self.note(note)
        self._account_dirty = True
        return len(messages)

    def _answer(self, shard: int, message: Message, now: int) -> tuple[Report | None, list[Note]]:
        known = self._answers.get(message.key)
        if known is not None:
            self.counters.add("duplicate_intents")
            return known, []
        self._know(message.symbol)
        controls = self._controls
        if message.kind in ENTRIES and not self.paced:
            quarantined, regime_bad = self._picture(message)
            controls = controls._replace(
                age_ns=max(now - message.mono_sent_ns, 0) if message.mono_sent_ns else 0, quarantined=quarantined,
                regime_bad=regime_bad, exchange=self.exchange(message.symbol),
            )
        if self.live is not None and message.kind in PAPER:
            self._error(RuntimeError("a shard's paper desk spoke in LIVE"))
            return None, []
        report, notes = self.broker.handle(message, controls)
        self._journal_roll(message)
        if message.kind in ANSWERED:
            self._journal_record(shard, message, report)
            if report is not None:
                self._remember(message, report)
            self._note_order(message, report, notes, now, self._clock())
        return report, notes

    def _note_order(
        self, message: Message, report: Report | None, notes: list[Note], taken_ns: int, gated_ns: int
    ) -> None:
        """What the order ledger learns of an answered message; from the journal without times of ours."""
        if message.kind == MessageKind.ENTER and report is not None:
            label = next((note.text for note in notes if note.kind == LogKind.ORDER), "")
            numbers = next(((note.x, note.y) for note in notes if note.kind == LogKind.RISK), (0.0, 0.0))
            self.ledger.entered(
                message, report, self.broker.instruments.get(message.symbol), int(self.broker.router.mode), label, numbers,
                taken_ns, gated_ns, time.time_ns() if taken_ns else message.ts_event_ns,
                self._committer.booked if self._committer is not None else 0,
            )
        elif message.kind in (MessageKind.FILL, MessageKind.DONE) and message.symbol in self.broker.instruments:
            self.ledger.told(message, self.broker.instruments[message.symbol], gated_ns)

    def _remember(self, message: Message, report: Report) -> None:
        self._answers[message.key] = report
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def _picture(self, message: Message) -> tuple[bool, bool]:
        """The last look before an entry leaves: (book not believed, regime turned bad), as the boards say. A row never
        written says nothing, and one from before the shard's decision nothing about the regime: the shard knew better."""
        globally = self.plant.global_regime()
        bad = globally.read_into(0, self._global) > 0 and int(self._global[0]["regime"]) != GlobalRegime.GLOBAL_NORMAL
        rows, symbol = self.plant.symbol_rows(), message.symbol
        if not 0 <= symbol < rows.rows or rows.read_into(symbol, self._symbol_row) <= 0:
            return False, bad
        row = self._symbol_row[0]
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

    def _know(self, symbol: int) -> None:
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
        report, notes = self._answer(shard, message, self._clock())
        for note in notes:
            self.note(note)
        self._account_dirty = True
        return report, notes

    def tell_shard(self, shard: int, report: Report) -> None:
        self._hand(shard, [report])

    def instrument_of(self, symbol: int) -> Instrument | None:
        self._know(symbol)
        return self.broker.instruments.get(symbol)

    # --- what LIVE needs of us (workers.live.Host) -----------------------------------------------------------------------
    def append(self, record: bytes) -> None:
        assert self._committer is not None, "the journal is open while orders are worked"
        self._committer.append(record)

    @property
    def booked(self) -> int:
        return self._committer.booked if self._committer is not None else 0

    def tell(self, message: Message) -> None:
        """A FILL, DONE or CASH of the exchange desk: booked, journalled, reported to the shard as unsolicited."""
        self._know(message.symbol)
        report, notes = self.broker.handle(message, self._controls._replace(exchange=self.exchange(message.symbol)))
        if message.kind == MessageKind.FILL:
            self._evidence(message)
        shard = self.broker.instruments[message.symbol].shard if message.symbol in self.broker.instruments else 0
        self._journal_roll(message)
        self._journal_record(shard, message, report)
        now = self._clock()
        self._note_order(message, report, notes, now, now)
        if report is not None:
            self._hand(shard, told_reports(message, report))
        for note in notes:
            self.note(note)
        self._account_dirty = True

    def entries_stopped(self) -> bool:
        """Killed, paused, guarded, or the tier lost since the gate: asked right before an entry's first byte."""
        words = self.control.bits() & (ControlBits.KILL | ControlBits.PAUSE) or self.control.guardian_duty
        rank = Rank[self._settings.trading.capital_tier]
        return bool(words) or self.kill.killed or (self.rollout is not None and self.rollout.allowed < rank)

    def set_mode(self, mode: Mode) -> None:
        self.broker.router.mode = mode
        self.control.mode = mode
        self._account_dirty = True

    def set_blacklist(self, names: frozenset[str]) -> None:
        self._person_blacklist = names
        self.broker.policy = self._policy()

    def _policy(self) -> Policy:
        """The settings in force, with what a person has taken out."""
        rules = policy(self._settings)
        return replace(rules, blacklist=rules.blacklist | self._person_blacklist)

    # --- shards that came back, or will not -------------------------------------------------------------------------
    def _hello(self, shard: int, message: Message, answers: list[tuple[int, Report]], notes: list[Note]) -> None:
        """A shard (re)started with an empty desk: its working entries are gone, its positions are handed back."""
        answers[:] = [(s, r) for s, r in answers if s != shard]  # answers to what the dead one asked are void
        self._outbox.clear(shard)
        symbols = self.broker.symbols_of(shard)
        if self.live is None:
            notes += self._book_own(shard, self.broker.end_working(symbols))
        else:  # they work at the exchange: cancelled there, and their end is told like any other
            self.broker.cancel_working(symbols, int(Cause.CONTROL))
        self._lost.discard(shard)
        self.tap.note(Hello(shard, message.decision_id))
        answers.append((shard, Report(kind=int(ReportKind.NONE), reason=SYNC_HELLO, decision_id=message.decision_id)))
        handed = self.broker.position_reports(symbols)
        answers += [(shard, report) for report in handed]
        if self.kill.killed:
            answers += [(shard, report) for report in self.broker.stand_down(int(Cause.KILL), symbols)]
        if handed:
            notes.append(Note(LogKind.PROCESS, -1, self.broker.account.updated_ns, 0, a=len(handed), b=shard,
                              severity=Severity.WARNING, text=f"shard {shard} back: {len(handed)} positions"))

    def _book_own(self, shard: int, messages: list[Message]) -> list[Note]:
        """Book messages execution made itself (journalled like any other; nobody is answered)."""
        notes: list[Note] = []
        for message in messages:
            report, lines = self.broker.handle(message)
            self._journal_roll(message)
            self._journal_record(shard, message, report)
            notes += lines
        return notes

    def _close_lost_shards(self, now: int) -> None:
        """Positions of a shard that does not come back are closed at their last mark."""
        for shard in range(self.plant.spec.shards):
            cnc = self.plant.cnc("shard", shard)
            silent = cnc.heartbeat_ns > 0 and now - cnc.heartbeat_ns > SHARD_LOST_NS
            if not silent and not cnc.supervisor_get("given_up"):
                self._lost.discard(shard)
                continue
            symbols = self.broker.symbols_of(shard)
            if shard in self._lost or not symbols:
                continue
            self._lost.add(shard)
            if self.live is None:
                notes = self._book_own(shard, self.broker.end_working(symbols) + self.broker.close_at_mark(symbols))
            else:
                self.broker.stand_down(int(Cause.CONTROL), symbols)  # at the exchange, for real
                notes = []
            notes.append(Note(LogKind.RISK, -1, self.broker.account.updated_ns, 0, b=shard, severity=Severity.CRITICAL,
                              text=f"shard {shard} lost: closed {'at last mark' if self.live is None else 'at market'}"))
            # should it wake up after all, it must not go on with what is gone
            self._hand(shard, [Report(symbol=s, kind=int(ReportKind.POSITION)) for s in sorted(symbols)])
            self._account_dirty = True
            for note in notes:
                self.note(note)

    # --- journal ---------------------------------------------------------------------------------------------------
    def _journal_record(self, shard: int, message: Message, report: Report | None) -> None:
        if self._committer is None:
            return
        data = pack_entry(message, report)
        self._committer.append(encode_record(message.ts_event_ns, message.mono_recv_ns, shard, ENTRY_RECORD, data))

    def _journal_roll(self, message: Message) -> None:
        """A roll that was just made, before the record of the message that made it."""
        if self._committer is not None and self.broker.ledger.dirty:
            for data in self.broker.ledger.records():
                self._committer.append(encode_record(message.ts_event_ns, message.mono_recv_ns, 0, ROLL_RECORD, data))

    def _commit(self) -> int:
        """Start and finish blocks; send what may leave. Returns how many reports left."""
        if self._committer is None:
            return 0
        for rows in self.ledger.rows(self.ledger.ended):
            wall_ns = int(rows[0]["wall_ns"])
            self._committer.append(encode_record(wall_ns, 0, 0, LEDGER_RECORD, rows.tobytes()))
        self.ledger.ended.clear()
        before = self._committer.durable
        error = self._committer.turn(self.broker.account.updated_ns)
        written = self._committer.durable - before
        self.counters.add("orders_journalled", written)
        if written:
            self.ledger.durable(self._committer.durable, self._clock())
        if error is not None:
            if not self._disk_failed:
                self.note(Note(LogKind.ERROR, -1, time.time_ns(), 0, severity=Severity.CRITICAL,
                               text="journal not writable: entries refused"))
            self._disk_failed = True
            self._disk_error(error)
        elif self._disk_failed and written:
            self._disk_failed = False
            self.note(Note(LogKind.ERROR, -1, time.time_ns(), 0, text="journal writable again"))
        sent = self.live.release(self._committer.durable, self._disk_failed) if self.live is not None else 0
        return sent + self._outbox.flush(self._committer.durable, self._disk_failed)

    def _disk_error(self, error: OSError) -> None:
        self.counters.add("disk_errors")
        self._error(error)

    def _error(self, error: Exception) -> None:
        self.counters.add("errors")
        self.cnc.errors.record(error)

    # --- reports ---------------------------------------------------------------------------------------------------
    def _send(self, reports: list[Report]) -> None:
        for report in reports:
            self._hand(self.broker.instruments[report.symbol].shard, [report])
            self.counters.add("cancels" if report.kind == ReportKind.CANCEL else "closes")

    def _hand(self, shard: int, reports: list[Report]) -> None:
        """Behind everything booked so far. In LIVE they are not for the shard's paper desk."""
        if self.live is not None:
            reports = [report._replace(flags=report.flags | FLAG_EXTERNAL) for report in reports]
        self._outbox.hand(shard, reports, self._committer.booked if self._committer is not None else 0)

    def _check(self) -> None:
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
        if force or self._account_dirty:
            self._account_dirty = False
            gate = broker.risk_off(broker.account.updated_ns, self._controls)
            self._boards.write_account(broker, gate, self._controls.exchange if self.live is not None else None)
            account = broker.account
            for name, value in (
                ("intents", broker.intents), ("orders", broker.orders), ("fills", account.fills),
                ("rejects", broker.rejects), ("trades_closed", account.trades_closed), ("wins", account.wins),
                ("dry_run_orders", broker.router.dry_runs),
                ("troubles", len(self.live.desk.trouble) if self.live is not None else 0),
            ):
                self.counters.set(name, value)

    def _housekeep(self, now: int) -> None:
        self._account_dirty = True  # control words change what may be entered
        self._check()
        if self.paced:
            return
        for symbol in self.plant.symbols().changed_since():
            known = self.broker.instruments.pop(int(symbol), None)
            if known is not None or self.live is not None:  # LIVE hears of positions in any symbol
                self._know(int(symbol))
        self._close_lost_shards(now)
        self._watch_limits(now)
        self._close_riskiest(now)
        if self.evidence is not None:
            self.evidence.check.turn(now)
        self._keep_rollout()
        self._see_wallet()
        for name in self.churn.turn(self.broker.instruments):
            self.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.CHURN), severity=Severity.WARNING,
                           text=f"{name} {'latched off: churn' if name in self.churn.stands else 'enabled again'}"))
        version = self.control.get("config_version")
        if version != self._config_version:
            self._config_version = version
            self._reload(version)

    def _keep_rollout(self) -> None:
        """LIVE on a real exchange: a daily loss costs a tier, incidents are taken up, the file is written."""
        if self.rollout is None:
            return
        off = self.broker.risk_off(self.broker.account.updated_ns, self._controls)
        if off == Gate.DAILY_LOSS and self.rollout.daily_loss():
            self.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.TIER), severity=Severity.CRITICAL,
                           text=f"daily loss: tier now {self.rollout.allowed.name}"))
        if self.rollout.turn():
            self.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.TIER), severity=Severity.CRITICAL,
                           text=f"incident: tier now {self.rollout.allowed.name}"))

    def _see_wallet(self) -> None:
        """LIVE: deposits and withdrawals are told from results while nothing is open and the wallet is newer than the
        last fill."""
        account = self.broker.account
        wallet = self.live.desk.wallet if self.live is not None else None
        if wallet is None or not self.broker.flat:
            return
        last_fill_ns = max((position.updated_ns for position in account.closed.values()), default=0)
        if wallet.updated_ms * NS_PER_MS < last_fill_ns + WALLET_AFTER_NS:
            return
        moved = self.broker.see_wallet(wallet.balance_e8)
        if moved:
            self._journal_roll(Message(ts_event_ns=account.updated_ns))
            self.note(Note(LogKind.RISK, -1, time.time_ns(), 0, x=moved / 1e8, severity=Severity.WARNING,
                           text="cash moved beside our trades"))

    def _evidence(self, message: Message) -> None:
        """A fill of a LIVE account, booked: what it says about the next tier."""
        position = self.broker.account.positions.get(message.symbol) or self.broker.account.closed.get(message.symbol)
        found = self.instrument_of(message.symbol)
        if self.evidence is None or self.live is None or position is None or found is None:
            return
        rows, row = self.plant.symbol_rows(), self._symbol_row
        pump = int(row[0]["pump"]) if rows.read_into(message.symbol, row) > 0 else 0
        trade = self.evidence.watch.fill(
            message, position, found.name, self._settings.trading.capital_tier, pump, self.broker.policy.fee_of(found), 0,
            self.live.desk.counters,
        )
        if trade is not None:
            self.evidence.closed(trade, self._clock())

    def _close_riskiest(self, now: int) -> None:
        """At a risk limit, where the setting says so: the position with the most at risk goes, one after the other."""
        if not self.broker.policy.close_riskiest or now - self._riskiest_ns < CLOSE_RISKIEST_NS:
            return
        symbol = self.broker.riskiest(self._controls)
        if symbol is not None:
            self._riskiest_ns = now
            self.note(Note(LogKind.RISK, symbol, time.time_ns(), 0, int(Gate.HEAT), severity=Severity.WARNING,
                           text="RISK_OFF: closing the riskiest"))
            self._send(self.broker.stand_down(int(Cause.GLOBAL), {symbol}))

    def _watch_limits(self, now: int) -> None:
        """Kill where a trigger has tripped."""
        if self.kill.killed:
            return
        trip = self.watch.look(now, self._controls, self._settings)
        if trip is not None:
            self.note(Note(LogKind.RISK, -1, time.time_ns(), 0, int(Gate.KILLED), severity=Severity.CRITICAL,
                           text=f"KILL trigger {trip.trigger}"))
            self.kill.trip(trip.reason)

    def _reload(self, version: int) -> None:
        try:
            settings = load_settings(self.plant)
        except ConfigError as error:
            self._error(error)
            self.note(Note(LogKind.CONFIG, -1, time.time_ns(), 0, a=version, severity=Severity.ERROR,
                           text="execution keeps the old settings"))
            return
        loose = loosened(self._settings, settings) if self.live is not None else []
        if loose:  # tightening takes effect at once; allowing more takes the confirmations of a start
            self.note(Note(LogKind.CONFIG, -1, time.time_ns(), 0, a=version, severity=Severity.WARNING,
                           text=f"LIVE keeps old limits: {', '.join(loose)}"))
            return
        self._settings = settings
        self.broker.policy = self._policy()
        self.cnc.config_seen = version

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
    plant = Plant.join(options.run, "execution")
    return run(Execution(plant, threaded=not plant.spec.paced), plant)


if __name__ == "__main__":
    sys.exit(main())
