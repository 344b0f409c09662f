"""An append-only log whose records become durable only some time after they were written. A crash loses a tail."""

from __future__ import annotations

from collections.abc import Callable

from core.sim.link_faults import Dice
from core.sim.scheduler import Scheduler


class Disk:
    """Group commit as `workers.outbox.Committer` does it: one block under way, what gathers meanwhile is the next.

    `append` returns a ticket; `durable` counts the records that a crash leaves. `flushed` is called after every block."""

    def __init__(self, scheduler: Scheduler, dice: Dice, sync_ns: tuple[int, int]) -> None:
        self.records: list[bytes] = []
        self.durable = 0
        self.sync_ns = sync_ns
        self.flushed: Callable[[], None] = lambda: None
        self.lost = 0
        self._scheduler = scheduler
        self._dice = dice
        self._flying = False
        self._run = 0

    def append(self, record: bytes) -> int:
        self.records.append(record)
        if not self._flying:
            self._start()
        return len(self.records)

    def _start(self) -> None:
        self._flying = True
        self._scheduler.after(self._dice.between(self.sync_ns), self._done, len(self.records), self._run)

    def _done(self, count: int, run: int) -> None:
        if run != self._run:
            return
        self._flying = False
        self.durable = count
        if len(self.records) > count:
            self._start()
        self.flushed()

    def crash(self) -> None:
        """What was not durable may or may not be there: a random part of the tail survives."""
        self._run += 1
        self._flying = False
        self.flushed = lambda: None
        keep = self.durable + self._dice.below(len(self.records) - self.durable + 1)
        self.lost += len(self.records) - keep
        del self.records[keep:]
        self.durable = keep
