"""One open position in exact integers: entry value, realised and unrealised result, risk to the stop, MFE and MAE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.position.ladder import NO_TARGETS, Targets, laid, taken, within
from core.sim.money import E8, fee_up_e8, initial_margin_e8, value_e8


@dataclass(frozen=True, slots=True)
class Grid:
    """What turns ticks and lots of an instrument into money: steps as mantissas, `decimals` = price_exp + qty_exp."""

    tick_mant: int
    lot_mant: int
    decimals: int

    def value_e8(self, price_ticks: int, lots: int, *, round_up: bool) -> int:
        """Value of `lots` >= 0 in 1e-8 USDT."""
        return int(value_e8(price_ticks, lots, self.tick_mant, self.lot_mant, self.decimals, int(round_up)))

    def signed_value_e8(self, price_ticks: int, signed_lots: int) -> int:
        """What a trade of `signed_lots` costs (buying, positive, rounded up) or brings (selling, negative, rounded
        toward zero): never in our favour."""
        if signed_lots >= 0:
            return self.value_e8(price_ticks, signed_lots, round_up=True)
        return -self.value_e8(price_ticks, -signed_lots, round_up=False)


    def least_lots(self, price_ticks: int, min_qty_lots: int, min_notional_e8: int) -> int:
        """Smallest order at a price in lots; less than this is dust."""
        one = price_ticks * self.tick_mant * self.lot_mant  # value of a lot in 10^-decimals USDT
        if one <= 0:
            return max(min_qty_lots, 1)
        return max(min_qty_lots, -(-min_notional_e8 * 10**self.decimals // (one * E8)), 1)


class Booked(NamedTuple):
    """What one fill did. `lots` and `entry_value_e8` signed, after it; `closed_lots` and `opened_lots` >= 0;
    `closed_entry_e8` and `exit_e8` are the signed shares of the entry value and of the fill that met: their difference
    is `realised_e8`."""

    lots: int
    entry_value_e8: int
    closed_lots: int
    opened_lots: int
    closed_entry_e8: int
    exit_e8: int

    @property
    def realised_e8(self) -> int:
        return self.exit_e8 - self.closed_entry_e8


def book_fill(grid: Grid, lots: int, entry_value_e8: int, signed_lots: int, price_ticks: int) -> Booked:
    """Book a fill of `signed_lots` on a position: the one rule of averaging, of the paper and of the margin account.

    What is closed takes its share of the entry value (rounded, the rest stays, so that nothing is lost when flat). A
    fill larger than the position closes it and opens the remainder on the other side.
    """
    share = exit_value = closing = 0
    if lots * signed_lots < 0:
        closing = signed_lots if abs(signed_lots) <= abs(lots) else -lots
        share = entry_value_e8 * abs(closing) // abs(lots)
        exit_value = -grid.signed_value_e8(price_ticks, closing)
    opening = signed_lots - closing
    opened = grid.signed_value_e8(price_ticks, opening) if opening else 0
    return Booked(lots + signed_lots, entry_value_e8 - share + opened, abs(closing), abs(opening), share, exit_value)


@dataclass(slots=True)
class Position:
    """`lots` and `entry_value_e8` are signed (long positive). `realised_e8` includes all fees paid so far."""

    symbol: int
    grid: Grid
    lots: int = 0
    entry_value_e8: int = 0
    realised_e8: int = 0
    fees_e8: int = 0
    mark2_ticks: int = 0
    unrealised_e8: int = 0
    stop_ticks: int = 0
    targets: Targets = NO_TARGETS  # (ticks, lots left) of the three targets
    took: bool = False  # a target was filled
    risk_ticks: int = 0  # R: stop distance the risk gate saw
    risk_lots: int = 0  # size it saw
    gated_risk_e8: int = 0  # open risk it allowed
    gated_value_e8: int = 0  # value it allowed
    additions: int = 0
    order_id: int = 0
    decision_id: int = 0
    leverage_e2: int = 100
    opened_ns: int = 0
    updated_ns: int = 0
    best_ticks: int = 0
    worst_ticks: int = 0
    closing: bool = False

    @property
    def side(self) -> int:
        return (self.lots > 0) - (self.lots < 0)

    @property
    def target_ticks(self) -> int:
        """The next target, 0 = none."""
        return next((ticks for ticks, lots in self.targets if lots > 0), 0)

    def lay(self, order: Targets, filled_before: int, lots: int) -> None:
        """An entry with the ladder `order` filled by `lots` more: the targets grow (see `core.position.ladder.laid`)."""
        gains = laid(order, filled_before, lots)
        self.targets = tuple(
            (ticks or planned, left + gain)
            for (ticks, left), (planned, _), gain in zip(self.targets, order, gains, strict=True)
        )

    def reduce(self, lots: int, rung: int, by_target: bool) -> None:
        """The position was reduced by `lots`, by target `rung` (0: not told which) or otherwise."""
        if by_target:
            self.took = True
            self.targets = taken(self.targets, lots, rung)
        self.targets = within(self.targets, abs(self.lots))

    @property
    def margin_e8(self) -> int:
        """Initial margin: entry value / leverage, rounded up."""
        return initial_margin_e8(self.entry_value_e8, self.leverage_e2)

    def apply(self, signed_lots: int, price_ticks: int, fee_e8: int) -> int:
        """Book one fill (`book_fill`); returns the realised result of it without the fee."""
        side = self.side
        booked = book_fill(self.grid, self.lots, self.entry_value_e8, signed_lots, price_ticks)
        self.lots, self.entry_value_e8 = booked.lots, booked.entry_value_e8
        realised = booked.realised_e8
        self.fees_e8 += fee_e8
        self.realised_e8 += realised - fee_e8
        self._reach(side or self.side, price_ticks)  # the fill that closes it is part of it, too
        self.see(2 * price_ticks)
        return realised

    def see(self, mark2_ticks: int) -> None:
        """A price (mid x 2, in half ticks) was seen: unrealised result, best and worst price."""
        self.mark2_ticks = mark2_ticks
        if self.lots == 0:
            self.unrealised_e8 = 0
            return
        # the value at x 2 carries one more binary digit; half of it is rounded down
        double = self.grid.value_e8(mark2_ticks, abs(self.lots), round_up=self.lots < 0)
        self.unrealised_e8 = self.side * double // 2 - self.entry_value_e8
        self._reach(self.side, mark2_ticks // 2)

    def _reach(self, side: int, price_ticks: int) -> None:
        """Best and worst price of a position of that side."""
        if self.best_ticks == 0 or side * (price_ticks - self.best_ticks) > 0:
            self.best_ticks = price_ticks
        if self.worst_ticks == 0 or side * (price_ticks - self.worst_ticks) < 0:
            self.worst_ticks = price_ticks

    def risk_e8(self, fee_rate_e8: int) -> int:
        """Loss from the entry if the stop fills at its price, with the fee of that fill; 0 when it locks profit in.
        Without a stop the whole entry value is at risk."""
        return open_risk_e8(self.grid, self.lots, self.entry_value_e8, self.stop_ticks, fee_rate_e8)


def open_risk_e8(grid: Grid, signed_lots: int, entry_value_e8: int, stop_ticks: int, fee_rate_e8: int) -> int:
    """Loss in 1e-8 USDT of `signed_lots` with `entry_value_e8` at the stop, closing fee included, never negative."""
    if signed_lots == 0:
        return 0
    if stop_ticks <= 0:
        return abs(entry_value_e8)
    exit_value = grid.signed_value_e8(stop_ticks, -signed_lots)
    return max(0, entry_value_e8 + exit_value + int(fee_up_e8(abs(exit_value), fee_rate_e8)))
