"""What a shard and execution say to each other, as the shard sees it: messages in order, answers, handshakes.

    HELLO ─►  ... ◄─ HELLO with the same number; what came before it is void, nothing is stepped until then
    messages ─► ◄─ reports; each message that is answered stays here until its answer came
              ◄─ RESTART (execution began anew): RESTART ─►, then everything unanswered once more, before anything new
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.enums import ReportKind
from core.orders.broker import ANSWERED, INTENTS
from core.orders.wire import SYNC_HELLO, SYNC_RESTART, Message, write_messages
from core.records import REPORT
from shm.counters import S_REPORT_HOP, S_WIRE_TO_DECISION
from shm.topology import Plant

SEND_ROWS = 1024
REPORT_ROWS = 1024


class Dialogue:
    """A shard's ends of its intent and report rings. `clock` gives CLOCK_MONOTONIC ns."""

    def __init__(self, plant: Plant, index: int, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._counters = plant.counters()
        self._intents = plant.intents(index).writer()
        self._incoming = plant.reports(index).reader()
        self.reports: np.ndarray = np.zeros(REPORT_ROWS, REPORT.dtype)  # [:n_reports] are for the engine
        self.n_reports = 0
        self.unsent: list[Message] = []
        self.unanswered: dict[tuple[int, int], list[Message]] = {}
        self.nonce = 0  # of the HELLO whose answer is awaited, 0 = answered
        self._until_ns = 0
        self._end: Message | None = None

    def hello(self, nonce: int, until_ns: int) -> None:
        """Begin; `until_ns`: event time up to which somebody else may have acted for these symbols."""
        self.nonce, self._until_ns = nonce, until_ns
        self._say_hello()

    def _say_hello(self) -> None:
        self.unsent.insert(0, Message(decision_id=self.nonce, ts_event_ns=self._until_ns, symbol=-1, reason=SYNC_HELLO))

    def end(self, message: Message) -> None:
        """The last message; said again to an execution that starts after it."""
        self._end = message
        self.unsent.append(message)

    @property
    def ended(self) -> bool:
        return self._end is not None

    def push(self) -> bool:
        """Push waiting messages; False while some do not fit (they stay, in order)."""
        if not self.unsent:
            return True
        now = self._clock()
        n = min(len(self.unsent), max(self._intents.free(), 1), SEND_ROWS)
        batch = [message._replace(mono_sent_ns=now) for message in self.unsent[:n]]
        if not self._intents.push(write_messages(batch), n):
            self._counters.add("push_refused")
            return False
        del self.unsent[:n]
        for message in batch:
            if message.kind in ANSWERED:
                self.unanswered.setdefault((message.seq, message.symbol), []).append(message)
            if message.kind in INTENTS:
                self._counters.add("intents")
                if message.mono_recv_ns > 0:
                    self._counters.record(S_WIRE_TO_DECISION, max(self._clock() - message.mono_recv_ns, 0))
        self._counters.add("messages", n)
        return not self.unsent

    def take(self) -> int:
        """Move new reports into the buffer of the engine; handshakes are handled here."""
        taken = 0
        while self.n_reports < REPORT_ROWS:
            first = self.n_reports
            n = self._incoming.pop(self.reports, first=first)
            if n == 0:
                break
            taken += n
            now = self._clock()
            rows = self.reports[first : first + n]
            columns = zip(rows["kind"].tolist(), rows["seq"].tolist(), rows["symbol"].tolist(),
                          rows["mono_sent_ns"].tolist(), strict=True)
            keep = [self._accept(first + i, *row, now) for i, row in enumerate(columns)]
            if not all(keep):
                kept = rows[np.array(keep)]
                self.reports[first : first + len(kept)] = kept
                n = len(kept)
            self.n_reports += n
        self._counters.add("reports", taken)
        return taken

    def used(self, n: int) -> None:
        """The engine has taken the first `n` reports."""
        self.reports[: self.n_reports - n] = self.reports[n : self.n_reports].copy()
        self.n_reports -= n

    def _accept(self, at: int, kind: int, seq: int, symbol: int, sent_ns: int, now: int) -> bool:
        """Is this report for the engine? Handshakes, void answers and second answers are not."""
        if sent_ns > 0:
            self._counters.record(S_REPORT_HOP, max(now - sent_ns, 0))
        if kind == ReportKind.NONE:
            reason, nonce = int(self.reports[at]["reason"]), int(self.reports[at]["decision_id"])
            if reason == SYNC_HELLO and nonce == self.nonce:
                self.nonce = 0
            elif reason == SYNC_RESTART:
                self._send_again()
            return False
        if self.nonce:
            return False
        if seq == 0:
            return True
        waiting = self.unanswered.get((seq, symbol))
        if waiting is None:
            return False
        waiting.pop(0)
        if not waiting:
            del self.unanswered[(seq, symbol)]
        return True

    def _send_again(self) -> None:
        """Execution was (re)started: what it has not answered goes out once more, before anything new."""
        if self.nonce:
            if not self.unsent:
                self._say_hello()
            return
        again = [message for messages in self.unanswered.values() for message in messages]
        self.unanswered.clear()
        if self._end is not None:
            again.append(self._end)
        self.unsent[:0] = [Message(symbol=-1, reason=SYNC_RESTART), *again]
