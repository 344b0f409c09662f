"""What limits remember between entries: equity at every hour, trades of the day, order rates, symbols latched off.

    roll(ts, equity)      once per hour and UTC day of event time, whatever the number of calls, restarts or repeats
    observe(message)      entries, exits and fills as they are booked
    records / restore     rolls as bytes, for the execution journal: a replayed roll is the roll that was made

A symbol that is traded in circles (RELIABILITY.md O43) is latched: more than so many orders, or round trips, within a minute.
Only `enable` takes the latch off; nothing does it by itself.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from core.constants import DAY_NS, HOUR_NS, NS_PER_S
from core.enums import MessageKind, OrderRole, ReportKind
from core.orders.wire import Message, Report

WINDOW_HOURS = 24
CASH_SLACK_E8 = 100_000  # 0.001 USDT: roundings of many fills are no deposit
MINUTE_NS = 60 * NS_PER_S
_ROLL = struct.Struct("<qqqqq")  # hour, equity of its start, day, equity of its start, trades of the day


@dataclass(frozen=True, slots=True)
class ChurnLimits:
    """Of one symbol, within a minute of event time; one more latches it."""

    orders: int
    round_trips: int


def _stamp(times: deque[int], ts_ns: int) -> int:
    """Note a time and forget what is a minute older; how many are left."""
    times.append(ts_ns)
    while times[0] <= ts_ns - MINUTE_NS:
        times.popleft()
    return len(times)


class RiskLedger:
    """One per account. `latched` maps a symbol to the time it was latched; `dirty` while rolls wait to be journalled."""

    def __init__(self, start_equity_e8: int) -> None:
        self.hours: deque[tuple[int, int]] = deque()  # (hour, equity at its first event)
        self.day = -1
        self.day_start_equity_e8 = start_equity_e8
        self.trades_day = 0
        self.latched: dict[int, int] = {}
        self._cash_base_e8: int | None = None
        self._unrecorded = 0  # of `hours`, from the end
        self._entries: deque[int] = deque()
        self._orders: dict[int, deque[int]] = {}
        self._round_trips: dict[int, deque[int]] = {}
        self._lots: dict[int, int] = {}

    # --- baselines of the daily loss -------------------------------------------------------------------------------
    def roll(self, ts_ns: int, equity_e8: int) -> bool:
        """Event time has come to `ts_ns`: True when an hour begins (`equity_e8` is then its baseline)."""
        hour = ts_ns // HOUR_NS
        if self.hours and hour <= self.hours[-1][0]:
            return False
        self.hours.append((hour, equity_e8))
        while self.hours[0][0] < hour - WINDOW_HOURS:
            self.hours.popleft()
        day = ts_ns // DAY_NS
        if day > self.day:
            self.day, self.day_start_equity_e8, self.trades_day = day, equity_e8, 0
        self._unrecorded = min(self._unrecorded + 1, len(self.hours))
        return True

    @property
    def dirty(self) -> bool:
        return self._unrecorded > 0

    def baselines(self, ts_ns: int, equity_e8: int) -> tuple[int, int]:
        """Equity at the start of the UTC day, and 24 to 25 hours ago (or at the first event we know of), as they are once
        `roll(ts_ns, equity_e8)` was called: the days of a quiet account end, too."""
        if not self.hours:
            return self.day_start_equity_e8, self.day_start_equity_e8
        day_start = equity_e8 if ts_ns // DAY_NS > self.day else self.day_start_equity_e8
        oldest = ts_ns // HOUR_NS - WINDOW_HOURS
        return day_start, next((equity for hour, equity in self.hours if hour >= oldest), equity_e8)

    def see_wallet(self, balance_e8: int, realised_e8: int) -> int:
        """The wallet and what we booked, at a moment when nothing is on its way (LIVE). What the wallet has changed beside
        our trades is a deposit or withdrawal, no result: every baseline moves with it. Returns it (0: none)."""
        base, old = balance_e8 - realised_e8, self._cash_base_e8
        self._cash_base_e8 = base
        moved = 0 if old is None or abs(base - old) <= CASH_SLACK_E8 else base - old
        if moved:
            self.hours = deque((hour, equity + moved) for hour, equity in self.hours)
            self.day_start_equity_e8 += moved
            self._unrecorded = len(self.hours)
        return moved

    def records(self) -> list[bytes]:
        """The rolls that have not been journalled, oldest first."""
        rows = list(self.hours)[len(self.hours) - self._unrecorded:]
        self._unrecorded = 0
        return [_ROLL.pack(*row, self.day, self.day_start_equity_e8, self.trades_day) for row in rows]

    def restore(self, record: bytes) -> None:
        """Take a roll from the journal. Raises struct.error when it is not one."""
        hour, equity, self.day, self.day_start_equity_e8, self.trades_day = _ROLL.unpack(record)
        while self.hours and self.hours[-1][0] >= hour:
            self.hours.pop()
        self.hours.append((hour, equity))
        while self.hours[0][0] < hour - WINDOW_HOURS:
            self.hours.popleft()

    def carry(self, other: RiskLedger) -> None:
        """Start from what an earlier run of the same account knew: baselines and trades of the day, nothing that names a
        symbol by its number (numbers differ between runs). All of it is to be journalled again."""
        self.hours, self.day = deque(other.hours), other.day
        self.day_start_equity_e8, self.trades_day = other.day_start_equity_e8, other.trades_day
        self._unrecorded = len(self.hours)

    # --- rates and churn -------------------------------------------------------------------------------------------
    def observe(self, message: Message, report: Report | None, limits: ChurnLimits) -> None:
        """A message is booked with its answer."""
        symbol, ts_ns = message.symbol, message.ts_event_ns
        if message.kind in (MessageKind.ENTER, MessageKind.ADD):
            if report is not None and report.kind == ReportKind.ACCEPTED:
                _stamp(self._entries, ts_ns)
                self._count(self._orders, symbol, ts_ns, limits.orders)
        elif message.kind == MessageKind.EXIT:
            self._count(self._orders, symbol, ts_ns, limits.orders)
        elif message.kind == MessageKind.FILL:
            before = self._lots.get(symbol, 0)
            after = before + message.side * message.qty_lots
            self._lots[symbol] = after
            if before == 0 and message.role == OrderRole.ENTRY:
                self.trades_day += 1
            if after == 0:
                self._count(self._round_trips, symbol, ts_ns, limits.round_trips)

    def _count(self, times: dict[int, deque[int]], symbol: int, ts_ns: int, limit: int) -> None:
        if _stamp(times.setdefault(symbol, deque()), ts_ns) > limit:
            self.latched.setdefault(symbol, ts_ns)

    def entries_minute(self, ts_ns: int) -> int:
        """Entries accepted within the minute before `ts_ns`."""
        return sum(at > ts_ns - MINUTE_NS for at in self._entries)

    def latch(self, symbol: int, ts_ns: int) -> None:
        """Keep a symbol off (a latch of an earlier run)."""
        self.latched.setdefault(symbol, ts_ns)

    def enable(self, symbol: int) -> bool:
        """A person takes the latch off; counting starts anew. True when there was one."""
        self._orders.pop(symbol, None)
        self._round_trips.pop(symbol, None)
        return self.latched.pop(symbol, None) is not None
