"""Evidence of a LIVE account while it trades: closed positions become LiveTrades, each compared with the exchange's history.

    fill booked --> TradeWatch --> LiveTrade --> rollout (real exchanges) and `trade_checks.jsonl`
                                       '--> executions and closed PnL of its time, asked over REST
                                                '--> matched, or the difference, logged and counted against promotion

The history may lag: a trade that does not agree yet is asked for again, and only after `TRIES` answers it is a mismatch. What
was not compared when the process ended is compared at the next start (real exchanges; practice begins anew).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from core.constants import NS_PER_S
from core.enums import Gate, LogKind, Severity
from core.orders.broker import Note
from core.orders.exchange_desk import ExchangeDesk
from core.orders.exchange_words import ClosedPnlRow, ExecutionRow, QueryKind
from core.orders.reconcile_pages import Listing
from core.performance.promotion import LiveTrade
from core.performance.trade_match import differences, history_of, told
from core.performance.trade_watch import TradeWatch
from workers.rollout import RolloutKeeper

FIRST_NS = 2 * NS_PER_S  # the exchange writes its history a moment later
AGAIN_NS = 5 * NS_PER_S
TRIES = 6
LATER_MS = 60_000  # a closing order may end after its last fill
WEEK_MS = 7 * 86_400_000  # of the listings


class TradeCheck:
    """Compares one trade after the other. `done(trade, difference)`: "" = it is matched.

    Two listings per trade, both asked for in `turn`: what an answer leads to must not depend on when it is handled, or a
    replay of the desk would number its requests otherwise.
    """

    def __init__(self, desk: ExchangeDesk, done: Callable[[LiveTrade, str], None]) -> None:
        self._desk = desk
        self._done = done
        self._waiting: deque[tuple[int, int, LiveTrade]] = deque()  # due, tries so far
        self._looked_at: tuple[int, LiveTrade] | None = None  # tries, the trade in hand
        self._executions: list[ExecutionRow] | None = None  # of it, once they have come
        self._asking = False

    @property
    def waiting(self) -> int:
        return len(self._waiting) + (self._looked_at is not None)

    def add(self, trade: LiveTrade, now_ns: int) -> None:
        """Compare it, once the exchange has had time to write it down."""
        self._waiting.append((now_ns + FIRST_NS, 0, trade))

    def turn(self, now_ns: int) -> None:
        """Ask for what is due."""
        if self._asking or not self._desk.core.can_ask:
            return
        if self._looked_at is None:
            if not self._waiting or self._waiting[0][0] > now_ns:
                return
            _, tries, trade = self._waiting.popleft()
            self._looked_at, self._executions = (tries, trade), None
        _, trade = self._looked_at
        self._asking = True
        if self._executions is None:
            self._desk.ask_history(now_ns, QueryKind.EXECUTIONS, trade.symbol, trade.opened_ms, trade.closed_ms + 1,
                                   lambda listing: self._executed(now_ns, listing))
        else:
            self._desk.ask_history(now_ns, QueryKind.CLOSED_PNL, trade.symbol, trade.opened_ms, trade.closed_ms + LATER_MS,
                                   lambda listing: self._compare(now_ns, listing))

    def _executed(self, now_ns: int, listing: Listing) -> None:
        self._asking = False
        if listing.rows is None:
            self._later(now_ns, 0)
        else:
            self._executions = [row for row in listing.rows if isinstance(row, ExecutionRow)]

    def _compare(self, now_ns: int, closed: Listing) -> None:
        self._asking = False
        assert self._looked_at is not None and self._executions is not None
        if closed.rows is None:
            self._later(now_ns, 0)
            return
        tries, trade = self._looked_at
        found = history_of(trade, self._executions, [row for row in closed.rows if isinstance(row, ClosedPnlRow)])
        unlike = differences(trade, found)
        if (unlike or not found.complete) and tries + 1 < TRIES:
            self._later(now_ns, 1)
            return
        self._looked_at = None
        self._done(trade, told(unlike) or ("" if found.complete else "the exchange's history of it is not complete"))

    def _later(self, now_ns: int, tried: int) -> None:
        """Behind the others; a listing that failed costs no try."""
        assert self._looked_at is not None
        (tries, trade), self._looked_at = self._looked_at, None
        self._waiting.append((now_ns + AGAIN_NS, tries + tried, trade))


class LiveEvidence:
    """One per LIVE run. `rollout` None: practice on this machine, where nothing is promoted."""

    def __init__(
        self, desk: ExchangeDesk, rollout: RolloutKeeper | None, file: Path, note: Callable[[Note], None],
        on_error: Callable[[Exception], None], now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.watch = TradeWatch()
        self.rollout = rollout
        self.check = TradeCheck(desk, self._compared)
        self._file, self._note, self._on_error, self._now_ms = file, note, on_error, now_ms
        self._desk = desk
        for trade in rollout.state.trades if rollout is not None else ():
            if trade.matched < 0 and trade.opened_ms > now_ms() - WEEK_MS:
                self.check.add(trade, 0)

    def closed(self, trade: LiveTrade, now_ns: int) -> None:
        """A position is flat again."""
        if self.rollout is not None:
            self.rollout.closed(trade)
        self.check.add(trade, now_ns)

    def _compared(self, trade: LiveTrade, difference: str) -> None:
        matched = not difference
        if self.rollout is not None:
            self.rollout.compared(trade, matched, difference)
        self._write({"checked_ms": self._now_ms(), **trade._replace(matched=int(matched), difference=difference)._asdict()})
        text = "trade as at the exchange" if matched else "trade differs from the exchange"
        self._note(Note(
            LogKind.RISK, self._desk.core.symbol_id(trade.symbol), time.time_ns(), 0,
            int(Gate.NONE), x=trade.result_e8 / 1e8, text=text, severity=Severity.INFO if matched else Severity.ERROR,
        ))

    def _write(self, row: dict[str, Any]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(row) + b"\n")
        except OSError as error:
            self._on_error(error)
