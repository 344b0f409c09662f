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
from pathlib import Path

import numpy as np

from config.load import ConfigError, load
from config.paths import DataPaths
from config.schema import Settings
from core.consumption import CheckAccount, Hello, signed
from core.enums import Cause, ControlBits, DataState, FeedState, LogKind, MessageKind, Mode, ReportKind, Severity
from core.journal import EXECUTION, JournalError, encode_record
from core.orders.broker import ANSWERED, INTENTS, Controls, Note
from core.orders.router import ExecutionRouter
from core.orders.rows import account_row, position_row
from core.orders.wire import Message, Report, read_messages, write_messages, write_reports
from core.records import ACCOUNT_ROW, MESSAGE, POSITION_ROW, REPORT
from core.risk.policy import instrument, policy
from shm.agent import die_with_parent, run
from shm.counters import S_EXECUTION, S_INTENT_HOP, S_WIRE_TO_INTENT
from shm.tap import Tap
from shm.topology import Plant
from workers.journal_files import DurableLog
from workers.kill_switch import KillSwitch
from workers.noted_broker import NotedBroker
from workers.outbox import Committer, Outbox

BATCH = 256
ANSWERS_KEPT = 8192
BOARD_NS = 100_000_000
HOUSEKEEPING_NS = 250_000_000
SHARD_LOST_NS = 30_000_000_000  # a shard silent this long does not manage its positions any more
EXIT_NOTE_NS = 10_000_000_000
# handshakes: `reason` of messages and reports of kind NONE
SYNC_HELLO = 1  # a shard (re)started with nothing in hand; answered with the same decision_id, then its open positions
SYNC_RESTART = 2  # execution (re)started; the shard echoes it and sends its unanswered messages again
ENTRY_RECORD = 1  # kind of a record in the execution journal


def load_settings(plant: Plant) -> Settings:
    """The settings of the run, with its mode. Raises ConfigError."""
    spec = plant.spec
    overrides = dict(spec.overrides) | {"trading.mode": spec.mode}
    return load([Path(f) for f in spec.config_files], os.environ, overrides).settings


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
        rules = policy(self._settings)
        self._tap = Tap(plant.tap())
        self.broker = NotedBroker(rules, ExecutionRouter(Mode[plant.spec.mode]), self._tap.note)
        self.control = plant.control
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
        self._position_rows: np.ndarray = np.zeros(1, POSITION_ROW.dtype)
        self._account: np.ndarray = np.zeros(1, ACCOUNT_ROW.dtype)
        self._symbol_row: np.ndarray = np.zeros(1, plant.symbol_rows().dtype)
        self._account_dirty = True
        self._board_ns = self._housekeeping_ns = 0
        self._config_version = self.control.get("config_version")
        self._threaded = threaded
        self._committer: Committer | None = None
        self._disk_failed = False
        self._controls = Controls()
        self._lost: set[int] = set()
        self.kill = KillSwitch(
            self.control, self.paths.kill_file, lambda: self.broker.stand_down(int(Cause.KILL)),
            lambda: self.broker.flat and self._outbox.empty, self._tell_kill, self._disk_error,
        )

    # --- life ------------------------------------------------------------------------------------------------------
    def on_start(self) -> None:
        """Recover the account, latch an old kill, tell the shards."""
        self.kill.start()
        self._recover()
        self._log(Note(LogKind.PROCESS, -1, time.time_ns(), 0, b=os.getpid(), text=f"execution {self.plant.spec.mode}"))
        for shard in range(self.plant.spec.shards):
            self._outbox.hand(shard, [Report(kind=int(ReportKind.NONE), reason=SYNC_RESTART)])
            self.plant.bell_of("shard", shard).ring()
        self._commit()
        self._write_boards(self._clock(), force=True)

    def _recover(self) -> None:
        path = self.paths.execution_journal
        spec = self.plant.spec
        if path.exists():
            try:
                run_id, frames, found = DurableLog.load(path)
            except (JournalError, OSError) as error:
                run_id, frames, found = "", [], None
                self._error(error)
            if run_id == spec.run_id:
                self._replay([frame.data for frame in frames])
                if found is not None and found.gaps:
                    self.control.request_pause("exec", True)
                    self._log(Note(LogKind.ERROR, -1, time.time_ns(), 0, a=len(found.gaps), severity=Severity.CRITICAL,
                                   text="execution journal damaged: paused"))
            elif path.exists():  # another run's account: kept beside, never continued
                path.replace(path.with_name(f"execution-{time.time_ns()}.journal"))
        log = DurableLog(path, EXECUTION, spec.run_id, time.time_ns())
        self._committer = Committer(log, not self.paced, self.plant.bell.ring if self._threaded else None)

    def _replay(self, records: list[bytes]) -> None:
        for data in records:
            message = read_messages(np.frombuffer(data[: MESSAGE.size], MESSAGE.dtype), 1)[0]
            report = None
            if len(data) > MESSAGE.size:
                row = np.frombuffer(data[MESSAGE.size :], REPORT.dtype)[0].tolist()
                report = Report._make(row[:-1])
            self._know(message.symbol)
            self.broker.book(message, report)
            if report is not None and message.seq:
                self._remember(message, report)
        self.broker.dirty |= self.broker.account.positions.keys() | self.broker.account.closed.keys()
        self._log(Note(LogKind.PROCESS, -1, time.time_ns(), 0, a=len(records), b=os.getpid(),
                       text=f"account recovered from {len(records)} records"))

    def do_work(self) -> int:
        """One turn: control words, messages, reports, boards."""
        now = self._clock()
        bits = self.control.bits()
        unsolicited = self.kill.turn(bits, now)
        self._controls = Controls(
            killed=self.kill.killed or bool(bits & ControlBits.KILL),
            paused=bool(bits & ControlBits.PAUSE) or self._disk_failed,
            degraded=not self.paced and bool(bits & ControlBits.DEGRADED),
            feed_down=not self.paced and self.control.get("feed_state") != FeedState.CONNECTED,
        )
        self._send(unsolicited)
        done = len(unsolicited)
        messages = self._take(now)
        if messages:
            done += self._handle(messages)
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
        """Everything booked on disk, last answers, last boards."""
        if self._committer is not None:
            error = self._committer.close(self.broker.account.updated_ns)
            if error is not None:
                self._disk_error(error)
            self._outbox.flush(self._committer.durable)
            self._committer = None
        self._write_boards(self._clock(), force=True)
        self._check()

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
            self._log(note)
        self._account_dirty = True
        return len(messages)

    def _answer(self, shard: int, message: Message, now: int) -> tuple[Report | None, list[Note]]:
        known = self._answers.get(message.key)
        if known is not None:
            self.counters.add("duplicate_intents")
            return known, []
        self._know(message.symbol)
        controls = self._controls
        if message.kind == MessageKind.ENTER and not self.paced:
            controls = controls._replace(
                age_ns=max(now - message.mono_sent_ns, 0) if message.mono_sent_ns else 0,
                quarantined=self._quarantined(message.symbol),
            )
        report, notes = self.broker.handle(message, controls)
        if message.kind in ANSWERED:
            self._journal_record(shard, message, report)
            if report is not None:
                self._remember(message, report)
        return report, notes

    def _remember(self, message: Message, report: Report) -> None:
        self._answers[message.key] = report
        if len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)

    def _quarantined(self, symbol: int) -> bool:
        """Does the shard's board say that the book may not be believed? A row never written says nothing."""
        rows = self.plant.symbol_rows()
        if not 0 <= symbol < rows.rows or rows.read_into(symbol, self._symbol_row) <= 0:
            return False
        return int(self._symbol_row[0]["data_state"]) != DataState.OK

    def _know(self, symbol: int) -> None:
        """Read the instrument of a symbol once; `_housekeep` refreshes it in free runs."""
        if symbol in self.broker.instruments or not 0 <= symbol < self.plant.symbols().rows:
            return
        row = self.plant.symbols().read(symbol)[0]
        if int(row["name_hash"]):
            self.broker.instruments[symbol] = instrument(row)

    # --- shards that came back, or will not -------------------------------------------------------------------------
    def _hello(self, shard: int, message: Message, answers: list[tuple[int, Report]], notes: list[Note]) -> None:
        """A shard (re)started with an empty desk: its working entries are gone, its positions are handed back."""
        answers[:] = [(s, r) for s, r in answers if s != shard]  # answers to what the dead one asked are void
        self._outbox.clear(shard)
        symbols = self.broker.symbols_of(shard)
        notes += self._book_own(shard, self.broker.end_working(symbols))
        self._lost.discard(shard)
        self._tap.note(Hello(shard, message.decision_id))
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
            notes = self._book_own(shard, self.broker.end_working(symbols) + self.broker.close_at_mark(symbols))
            notes.append(Note(LogKind.RISK, -1, self.broker.account.updated_ns, 0, b=shard, severity=Severity.CRITICAL,
                              text=f"shard {shard} lost: closed at last mark"))
            # should it wake up after all, it must not go on with what is gone
            self._hand(shard, [Report(symbol=s, kind=int(ReportKind.POSITION)) for s in sorted(symbols)])
            self._account_dirty = True
            for note in notes:
                self._log(note)

    # --- journal ---------------------------------------------------------------------------------------------------
    def _journal_record(self, shard: int, message: Message, report: Report | None) -> None:
        if self._committer is None:
            return
        data = write_messages([message]).tobytes()
        if report is not None:
            data += write_reports([report]).tobytes()
        self._committer.append(
            encode_record(message.ts_event_ns, message.mono_recv_ns, shard, ENTRY_RECORD, data)
        )

    def _commit(self) -> int:
        """Start and finish blocks; send what may leave. Returns how many reports left."""
        if self._committer is None:
            return 0
        before = self._committer.durable
        error = self._committer.turn(self.broker.account.updated_ns)
        written = self._committer.durable - before
        self.counters.add("orders_journalled", written)
        if error is not None:
            if not self._disk_failed:
                self._log(Note(LogKind.ERROR, -1, time.time_ns(), 0, severity=Severity.CRITICAL,
                               text="journal not writable: entries refused"))
            self._disk_failed = True
            self._disk_error(error)
        elif self._disk_failed and written:
            self._disk_failed = False
            self._log(Note(LogKind.ERROR, -1, time.time_ns(), 0, text="journal writable again"))
        return self._outbox.flush(self._committer.durable, self._disk_failed)

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
        """Behind everything booked so far."""
        self._outbox.hand(shard, reports, self._committer.booked if self._committer is not None else 0)

    def _check(self) -> None:
        """The account for the journal: where a replay first differs shows within a quarter of a second."""
        account, handled = self.broker.account, self.broker.handled
        self._tap.note(CheckAccount(handled, signed(account.digest), account.balance_e8, len(account.positions)))

    # --- boards, log, settings ---------------------------------------------------------------------------------------
    def _write_boards(self, now: int, force: bool) -> None:
        broker = self.broker
        if not force and now - self._board_ns < BOARD_NS:
            return
        self._board_ns = now
        for symbol in sorted(broker.dirty):
            position = broker.account.positions.get(symbol) or broker.account.closed.get(symbol)
            if position is not None:
                position_row(self._position_rows, position, broker.instruments[symbol])
                self.plant.positions().write(symbol, self._position_rows)
        broker.dirty.clear()
        if force or self._account_dirty:
            self._account_dirty = False
            gate = broker.risk_off(broker.account.updated_ns, self._controls)
            account_row(self._account, broker, gate)
            self.plant.account().write(0, self._account)
            account = broker.account
            for name, value in (
                ("intents", broker.intents), ("orders", broker.orders), ("fills", account.fills),
                ("rejects", broker.rejects), ("trades_closed", account.trades_closed), ("wins", account.wins),
                ("dry_run_orders", broker.router.dry_runs),
            ):
                self.counters.set(name, value)

    def _housekeep(self, now: int) -> None:
        self._account_dirty = True  # control words change what may be entered
        self._check()
        if self.paced:
            return
        for symbol in self.plant.symbols().changed_since():
            if int(symbol) in self.broker.instruments:
                del self.broker.instruments[int(symbol)]
                self._know(int(symbol))
        self._close_lost_shards(now)
        version = self.control.get("config_version")
        if version != self._config_version:
            self._config_version = version
            self._reload(version)

    def _reload(self, version: int) -> None:
        try:
            settings = load_settings(self.plant)
        except ConfigError as error:
            self._error(error)
            self._log(Note(LogKind.CONFIG, -1, time.time_ns(), 0, a=version, severity=Severity.ERROR,
                           text="execution keeps the old settings"))
            return
        self._settings = settings
        self.broker.policy = policy(settings)
        self.cnc.config_seen = version

    def _tell_kill(self, text: str, ms: float) -> None:
        self._log(Note(LogKind.CONTROL, -1, time.time_ns(), 0, a=int(ControlBits.KILL), x=ms, text=text,
                       severity=Severity.CRITICAL))

    def _log(self, note: Note) -> None:
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
