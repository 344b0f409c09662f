"""Execution's journal and what waits for it: records in, and once they are durable, orders and reports out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from core.constants import FLAG_EXTERNAL
from core.enums import LogKind, Severity
from core.journal import encode_record
from core.orders.broker import Note
from core.orders.latency import LEDGER_RECORD
from core.orders.wire import ENTRY_RECORD, Message, Report, pack_entry
from workers.journal_files import DurableLog
from workers.outbox import Committer, Outbox

if TYPE_CHECKING:
    from workers.execution import Execution

ROLL_RECORD = 2  # kind of a record of the execution journal: baselines of the daily loss (core.risk.ledger)


class Records:
    """Works for one Execution. Before `open` and after `close` nothing is kept: a journal is being booked, or all is over."""

    def __init__(self, host: Execution) -> None:
        self._host = host
        plant = host.plant
        self._outbox = Outbox(
            [plant.reports(i).writer() for i in range(plant.spec.shards)], host.counters, host.clock)
        self._committer: Committer | None = None
        self.disk_failed = False  # the disk refused the last block: entries are refused until it takes one

    def open(self, log: DurableLog) -> None:
        host = self._host
        self._committer = Committer(log, not host.paced, host.plant.bell.ring if host.threaded else None)

    def close(self) -> None:
        """Everything booked on disk, what waited for it handed out."""
        if self._committer is None:
            return
        error = self._committer.close(self._host.broker.account.updated_ns)
        if error is not None:
            self._host.disk_error(error)
        self._outbox.flush(self._committer.durable)
        self._committer = None

    # --- in ----------------------------------------------------------------------------------------------------------
    @property
    def booked(self) -> int:
        """Records taken so far: the ticket of whatever comes next."""
        return self._committer.booked if self._committer is not None else 0

    def append(self, record: bytes) -> None:
        """Take a record (core.journal.encode_record)."""
        assert self._committer is not None, "the journal is open while orders are worked"
        self._committer.append(record)

    def answered(self, shard: int, message: Message, report: Report | None) -> None:
        """A message and its answer."""
        if self._committer is None:
            return
        data = pack_entry(message, report)
        self.append(encode_record(message.ts_event_ns, message.mono_recv_ns, shard, ENTRY_RECORD, data))

    def roll(self, message: Message) -> None:
        """A roll that was just made, before the record of the message that made it."""
        ledger = self._host.broker.ledger
        if self._committer is not None and ledger.dirty:
            for data in ledger.records():
                self.append(encode_record(message.ts_event_ns, message.mono_recv_ns, 0, ROLL_RECORD, data))

    # --- out ---------------------------------------------------------------------------------------------------------
    def hand(self, shard: int, reports: list[Report]) -> None:
        """Behind everything booked so far. In LIVE they are not for the shard's paper desk."""
        if self._host.live is not None:
            reports = [report._replace(flags=report.flags | FLAG_EXTERNAL) for report in reports]
        self._outbox.hand(shard, reports, self.booked)

    def forget(self, shard: int) -> None:
        """The shard that asked is gone: what waits for it is void."""
        self._outbox.clear(shard)

    @property
    def all_handed(self) -> bool:
        return self._outbox.empty

    def commit(self) -> int:
        """Start and finish blocks; send what may leave. Returns how many orders and reports left."""
        if self._committer is None:
            return 0
        host = self._host
        for rows in host.ledger.rows(host.ledger.ended):
            self.append(encode_record(int(rows[0]["wall_ns"]), 0, 0, LEDGER_RECORD, rows.tobytes()))
        host.ledger.ended.clear()
        before = self._committer.durable
        error = self._committer.turn(host.broker.account.updated_ns)
        durable = self._committer.durable
        host.counters.add("orders_journalled", durable - before)
        if durable > before:
            host.ledger.durable(durable, host.clock())
        self._see_disk(error, durable > before)
        sent = host.live.release(durable, self.disk_failed) if host.live is not None else 0
        return sent + self._outbox.flush(durable, self.disk_failed)

    def _see_disk(self, error: OSError | None, wrote: bool) -> None:
        host = self._host
        if error is not None:
            if not self.disk_failed:
                host.note(Note(LogKind.ERROR, -1, time.time_ns(), 0, severity=Severity.CRITICAL,
                               text="journal not writable: entries refused"))
            self.disk_failed = True
            host.disk_error(error)
        elif self.disk_failed and wrote:
            self.disk_failed = False
            host.note(Note(LogKind.ERROR, -1, time.time_ns(), 0, text="journal writable again"))
