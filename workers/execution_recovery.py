"""How a (re)started execution comes by its account: the journal of its run is booked again, without a side effect; what
another run left is kept beside, and in LIVE its losses of the day and its orders at the exchange are taken over."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from core.enums import LogKind, Mode, Severity
from core.journal import EXECUTION, FILE_BYTES, Frame, JournalError
from core.orders.broker import Note
from core.orders.desk_journal import DeskRecordError
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.latency import LEDGER_RECORD
from core.orders.wire import ENTRY_RECORD, Message, unpack_entry
from core.risk.ledger import RiskLedger
from core.words import plural
from workers.execution_records import ROLL_RECORD
from workers.journal_compaction import compact_journal
from workers.journal_files import DurableLog
from workers.live import LiveOrders
from workers.noted_desk import DESK_RECORD

if TYPE_CHECKING:
    from workers.execution import Execution



class Recovery:
    """Works for one Execution, once."""

    def __init__(self, host: Execution) -> None:
        self._host = host
        self._desk_records: list[tuple[int, bytes]] = []
        self._desk_booked = 0

    def run(self) -> None:
        """Book the journal of this run, or carry over what one of another run knows; then open the journal."""
        host = self._host
        path = host.paths.execution_journal
        spec = host.plant.spec
        if host.live is not None:
            for symbol in host.plant.symbols().changed_since():
                host.know(int(symbol))
        if path.exists():
            try:
                run_id, frames, found = DurableLog.load(path)
                is_damaged = found.is_damaged
            except (JournalError, OSError) as error:
                run_id, frames = "", []
                is_damaged = path.stat().st_size >= FILE_BYTES  # whose it was is unknown; shorter: nothing was ever in it
                host.error(error)
            if is_damaged and (run_id in (spec.run_id, "") or spec.mode == Mode.LIVE.name):
                host.pause.hold("execution journal damaged")
                host.note(Note(LogKind.ERROR, -1, time.time_ns(), 0, severity=Severity.CRITICAL,
                               text="execution journal damaged: paused"))
            if run_id == spec.run_id:
                self._book(frames)
                if host.live is not None and not is_damaged:
                    try:
                        self._desk_records = compact_journal(path, run_id, frames, DESK_RECORD, self._desk_booked)
                    except OSError as error:  # the long one stands
                        host.error(error)
            elif path.exists():  # another run's account: kept beside, never continued
                if spec.mode == Mode.LIVE.name:  # but its losses of today are today's: it is the same money
                    host.broker.carry(self._ledger_of(frames))
                path.replace(path.with_name(f"execution-{time.time_ns()}.journal"))
        if host.live is not None and not self._desk_records:
            self._inherit(host.live, path)
        log = DurableLog(path, EXECUTION, spec.run_id, time.time_ns())
        host.records.open(log)
        host.records.roll(Message(ts_event_ns=time.time_ns()))
        if host.live is not None:
            working = [working.order for working in host.broker.working.values()]
            host.live.start(host.clock(), self._desk_records, self._desk_booked, working)

    def _inherit(self, live: LiveOrders, path: Path) -> None:
        """A first start: what the run before this one held at the exchange is ours, and not a stranger's."""
        host = self._host
        before = max(path.parent.glob(f"{path.stem}-*{path.suffix}"), default=None)
        if before is None:
            return
        try:
            _, frames, _ = DurableLog.load(before)
            live.desk.inherit((f.kind - DESK_RECORD, f.data) for f in frames if f.kind >= DESK_RECORD)
        except (JournalError, DeskRecordError, OSError) as error:
            host.error(error)

    def _ledger_of(self, frames: list[Frame]) -> RiskLedger:
        """What a journal knows of losses and trades."""
        host = self._host
        ledger = RiskLedger(host.broker.policy.start_balance_e8)
        for frame in frames:
            if frame.kind == ROLL_RECORD:
                ledger.restore(frame.data)
            elif frame.kind == ENTRY_RECORD:
                ledger.observe(*unpack_entry(frame.data), host.broker.policy.churn)
        return ledger

    def _book(self, frames: list[Frame]) -> None:
        host = self._host
        for frame in frames:
            if frame.kind == ROLL_RECORD:
                host.broker.restore_roll(frame.data)
                continue
            if frame.kind == LEDGER_RECORD:
                host.ledger.restore(frame.data)
                continue
            if frame.kind >= DESK_RECORD:
                self._desk_records.append((frame.kind - DESK_RECORD, frame.data))
                continue
            message, report = unpack_entry(frame.data)
            host.know(message.symbol)
            if message.seq >= DESK_SEQ:
                self._desk_booked = max(self._desk_booked, message.seq)
            host.broker.book(message, report)
            host.commands.recover(message, report)
            host.note_order(message, report, [], 0, 0)
            if report is not None and message.seq:
                host.remember(message, report)
        host.broker.dirty |= host.broker.account.positions.keys() | host.broker.account.closed.keys()
        host.note(Note(LogKind.PROCESS, -1, time.time_ns(), 0, a=len(frames), b=os.getpid(),
                       text=f"account recovered from {plural(len(frames), 'record')}"))
