"""The paper account in exact integers of 1e-8 USDT.

    balance = start + sum of realised results - sum of fees        (exactly, after every fill)
    equity  = balance + unrealised at the last marks
    position of a symbol = sum of its fills

The UTC day rolls with event time and never backwards. The digest folds every verdict and fill in handling order.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.constants import DAY_NS
from core.engine.digest import fold_int
from core.position.position import Grid, Position


class Account:
    """Balance, positions, day figures and counters of one paper account."""

    def __init__(self, start_balance_e8: int) -> None:
        self.start_balance_e8 = start_balance_e8
        self.balance_e8 = start_balance_e8
        self.realised_e8 = 0  # of the run, fees included
        self.realised_day_e8 = 0
        self.fees_e8 = 0
        self.day = -1
        self.day_start_equity_e8 = start_balance_e8
        self.max_equity_e8 = start_balance_e8
        self.positions: dict[int, Position] = {}
        self.closed: dict[int, Position] = {}  # the last closed one of each symbol, for the board
        self.fills = 0
        self.trades_closed = 0
        self.wins = 0
        self.updated_ns = 0
        self.digest = 0

    @property
    def unrealised_e8(self) -> int:
        return sum(p.unrealised_e8 for p in self.positions.values())

    @property
    def equity_e8(self) -> int:
        return self.balance_e8 + self.unrealised_e8

    @property
    def margin_used_e8(self) -> int:
        return sum(p.margin_e8 for p in self.positions.values())

    def heat_e8(self, taker_fee_e8: int) -> int:
        """Sum of open risk to the stops."""
        return sum(p.risk_e8(taker_fee_e8) for p in self.positions.values())

    @property
    def day_loss_e8(self) -> int:
        """Equity lost since the start of the UTC day (negative: gained)."""
        return self.day_start_equity_e8 - self.equity_e8

    def roll(self, ts_ns: int) -> bool:
        """Advance event time; True when a new UTC day begins (its figures start from the equity of now)."""
        self.updated_ns = max(self.updated_ns, ts_ns)
        day = ts_ns // DAY_NS
        if day <= self.day:
            return False
        first = self.day < 0
        self.day = day
        self.day_start_equity_e8 = self.equity_e8
        self.realised_day_e8 = 0
        return not first

    def fold(self, values: Iterable[int]) -> None:
        """Fold numbers into the digest."""
        for value in values:
            self.digest = fold_int(self.digest, value)

    def fill(
        self, symbol: int, grid: Grid, side: int, price_ticks: int, lots: int, fee_e8: int, ts_ns: int
    ) -> Position:
        """Book one fill; returns the position after it (`lots` 0 when it closed; then it has left `positions`)."""
        self.roll(ts_ns)
        position = self.positions.get(symbol)
        if position is None:
            position = Position(symbol, grid, opened_ns=ts_ns)
            self.positions[symbol] = position
        realised = position.apply(side * lots, price_ticks, fee_e8)
        position.updated_ns = ts_ns
        self.balance_e8 += realised - fee_e8
        self.realised_e8 += realised - fee_e8
        self.realised_day_e8 += realised - fee_e8
        self.fees_e8 += fee_e8
        self.fills += 1
        if position.lots == 0:
            del self.positions[symbol]
            self.closed[symbol] = position
            self.trades_closed += 1
            self.wins += position.realised_e8 > 0
        self.max_equity_e8 = max(self.max_equity_e8, self.equity_e8)
        return position

    def cash(self, symbol: int, paid_e8: int) -> None:
        """Book a payment that is no trade (funding; negative: received), also in the symbol's open position."""
        self.balance_e8 -= paid_e8
        self.realised_e8 -= paid_e8
        self.realised_day_e8 -= paid_e8
        position = self.positions.get(symbol)
        if position is not None:
            position.realised_e8 -= paid_e8
        self.max_equity_e8 = max(self.max_equity_e8, self.equity_e8)

    def mark(self, symbol: int, mark2_ticks: int, ts_ns: int) -> bool:
        """A mid price (x 2) of an open position; False when there is none."""
        self.roll(ts_ns)
        position = self.positions.get(symbol)
        if position is None or mark2_ticks <= 0:
            return False
        position.see(mark2_ticks)
        position.updated_ns = ts_ns
        self.max_equity_e8 = max(self.max_equity_e8, self.equity_e8)
        return True
