"""Group commit and the way of reports to the shards: none leaves before what it tells is durable.

    book a message -> Committer.append -> (thread: one block, fdatasync) -> durable
    its answer     -> Outbox.hand ------- waits for that --------------> report ring of the shard

While one block is on its way to the disk the loop goes on taking and booking, and what gathers meanwhile is the next
block. Reports of one shard keep their order, whatever they wait for.

When the disk refuses, exits must stay possible: an ACCEPTED, and what stands behind it for the same symbol, waits until
the disk takes it; everything else leaves.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from core.enums import ReportKind
from core.orders.wire import Report, write_reports
from shm.counters import CounterPage
from shm.spsc import SpscWriter
from workers.journal_files import DurableLog

BATCH = 256


class Block(NamedTuple):
    records: list[bytes]
    ts_ns: int


class Committer:
    """Makes records durable in order. With `wake` in a thread, which calls it after every block; else in `turn`.

    `booked` counts records appended, `durable` those that are on disk: a ticket is a value of `booked`.
    """

    def __init__(self, log: DurableLog, durable: bool, wake: Callable[[], None] | None) -> None:
        self._log = log
        self._sync = durable
        self._wake = wake
        self._waiting: list[bytes] = []
        self.booked = 0
        self.durable = 0
        self._work: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Block, OSError | None]] = queue.SimpleQueue()
        self._flying = False
        self._thread: threading.Thread | None = None
        if wake is not None:
            self._thread = threading.Thread(target=self._write_blocks, name="commit", daemon=True)
            self._thread.start()

    def append(self, record: bytes) -> None:
        """Take a record (core.journal.encode_record) into the next block."""
        self._waiting.append(record)
        self.booked += 1

    def turn(self, ts_ns: int) -> OSError | None:
        """Note what has become durable, start the next block. Returns why the disk refused a block (it stays first)."""
        error = self._collect(wait=False)
        if error is None and self._waiting and not self._flying:
            self._start(ts_ns)
            if self._thread is None:
                error = self._collect(wait=True)
        return error

    def close(self, ts_ns: int) -> OSError | None:
        """Everything booked on disk, thread and file ended; or the error that prevented it."""
        error = self._collect(wait=True)
        if self._waiting:
            self._start(ts_ns)
            error = self._collect(wait=True)
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()
        self._log.close()
        return error

    def _start(self, ts_ns: int) -> None:
        block = Block(self._waiting, ts_ns)
        self._waiting = []
        self._flying = True
        if self._thread is None:
            self._write(block)
        else:
            self._work.put(block)

    def _collect(self, wait: bool) -> OSError | None:
        if not self._flying:
            return None
        try:
            block, error = self._done.get(block=wait)
        except queue.Empty:
            return None
        self._flying = False
        if error is None:
            self.durable += len(block.records)
        else:
            self._waiting[:0] = block.records
        return error

    def _write(self, block: Block) -> None:
        try:
            self._log.write(block.records, block.ts_ns, self._sync)
        except OSError as error:
            self._done.put((block, error))
        else:
            self._done.put((block, None))

    def _write_blocks(self) -> None:
        assert self._wake is not None
        while (block := self._work.get()) is not None:
            self._write(block)
            self._wake()


class Outbox:
    """Reports waiting for their ticket or for room in the ring, per shard and in order."""

    def __init__(self, writers: list[SpscWriter], counters: CounterPage, clock: Callable[[], int]) -> None:
        self._writers = writers
        self._counters = counters
        self._clock = clock
        self._queues: list[deque[tuple[int, Report]]] = [deque() for _ in writers]

    def hand(self, shard: int, reports: list[Report], ticket: int = 0) -> None:
        """Queue reports that may leave once `ticket` records are durable."""
        self._queues[shard].extend((ticket, report) for report in reports)

    def clear(self, shard: int) -> None:
        """The shard that asked is gone: what waits for it is void."""
        self._queues[shard].clear()

    @property
    def empty(self) -> bool:
        return not any(self._queues)

    def flush(self, durable: int, disk_failed: bool = False) -> int:
        """Push what may leave and fits; the rest stays, nothing is dropped. Returns how many left."""
        pushed = 0
        for shard in range(len(self._queues)):
            while self._queues[shard]:
                free = min(BATCH, max(self._writers[shard].free(), 1))
                ready, kept = self._split(self._queues[shard], durable, disk_failed, free)
                if not ready or not self._push(shard, ready):
                    break
                pushed += len(ready)
                self._queues[shard] = kept
        self._counters.add("reports", pushed)
        return pushed

    @staticmethod
    def _split(
        waiting: deque[tuple[int, Report]], durable: int, disk_failed: bool, limit: int
    ) -> tuple[list[Report], deque[tuple[int, Report]]]:
        """(what may leave now, what stays), both in order; tickets never fall from front to back."""
        ready: list[Report] = []
        kept: deque[tuple[int, Report]] = deque()
        held: set[int] = set()  # symbols whose ACCEPTED waits for the disk
        for ticket, report in waiting:
            unwritten = ticket > durable
            if unwritten and report.kind == ReportKind.ACCEPTED:
                held.add(report.symbol)
            if len(ready) == limit or (unwritten and not disk_failed) or report.symbol in held:
                kept.append((ticket, report))
            else:
                ready.append(report)
        return ready, kept

    def _push(self, shard: int, ready: list[Report]) -> bool:
        now = self._clock()
        rows = write_reports([report._replace(mono_sent_ns=now) for report in ready])
        if self._writers[shard].push(rows, len(ready)):
            return True
        self._counters.add("push_refused")
        return False
