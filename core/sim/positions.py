"""One position of the margin account: lots, entry value, results, and the margin figures cached from the last mark.

Averaging, partial close and flip are `core.position.position.book_fill`, the rule of the paper account too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.position.position import Booked, book_fill
from core.sim.margin_types import MarginInstrument, PositionStatus
from core.sim.money import fee_up_e8


class Fees(NamedTuple):
    """Fee of a fill, split between what it closed and what it opened, and the opening fees of the closed lots."""

    total_e8: int
    close_e8: int
    open_e8: int
    opened_before_e8: int


@dataclass(slots=True)
class SimPosition:
    """`lots` and `entry_value_e8` signed (long positive). Results: `cur_realised_e8` of the present holding, back to 0
    when flat, `cum_realised_e8` of all time; both with fees and funding. TP/SL, trailing stop and `seq` are kept here
    for the row and belong to the exchange. `unrealised_e8`, `im_e8`, `mm_e8` are caches of `MarginAccount`."""

    instrument: MarginInstrument
    position_idx: int
    leverage_e2: int
    lots: int = 0
    entry_value_e8: int = 0
    cur_realised_e8: int = 0
    cum_realised_e8: int = 0
    open_fees_e8: int = 0
    extra_margin_e8: int = 0  # isolated: added by hand or by auto-add-margin
    auto_add_margin: bool = False
    reduce_refused: bool = False  # the FillOrKill of a liquidation found no counterparty: takeover is next
    status: PositionStatus = PositionStatus.NORMAL
    take_profit_ticks: int = 0
    stop_loss_ticks: int = 0
    trailing_stop_ticks: int = 0
    created_ns: int = 0
    updated_ns: int = 0
    opened_ns: int = 0
    seq: int = 0
    unrealised_e8: int = 0
    im_e8: int = 0
    mm_e8: int = 0

    @property
    def side(self) -> int:
        return (self.lots > 0) - (self.lots < 0)

    @property
    def size(self) -> int:
        return abs(self.lots)

    @property
    def value_e8(self) -> int:
        """Position value: size * average entry price."""
        return abs(self.entry_value_e8)

    def fill(self, ts_ns: int, signed_lots: int, price_ticks: int, fee_rate_e8: int) -> tuple[Booked, Fees]:
        """Book one fill; the fee is rounded up once for the whole fill, its closing part up, the rest opens."""
        grid = self.instrument.grid
        value = abs(grid.signed_value_e8(price_ticks, signed_lots))
        before = self.size
        booked = book_fill(grid, self.lots, self.entry_value_e8, signed_lots, price_ticks)
        total = int(fee_up_e8(value, fee_rate_e8))
        if booked.opened_lots == 0:
            close = total
        else:
            close = int(fee_up_e8(abs(booked.exit_e8), fee_rate_e8)) if booked.closed_lots else 0
        opened_before = self.open_fees_e8 * booked.closed_lots // before if before else 0
        self.open_fees_e8 += total - close - opened_before
        if booked.closed_lots and before:
            self.extra_margin_e8 -= self.extra_margin_e8 * booked.closed_lots // before
        if before == booked.closed_lots:  # was flat, or is closed by this fill: a new holding begins with what opens
            self.cur_realised_e8 = 0
            self.opened_ns = ts_ns if booked.opened_lots else 0
            self.cur_realised_e8 -= total - close
        else:
            self.cur_realised_e8 += booked.realised_e8 - total
        self.cum_realised_e8 += booked.realised_e8 - total
        self.lots, self.entry_value_e8 = booked.lots, booked.entry_value_e8
        self.created_ns = self.created_ns or ts_ns
        self.updated_ns = ts_ns
        if self.lots == 0:
            self.status = PositionStatus.NORMAL
        self.reduce_refused = False
        return booked, Fees(total, close, total - close, opened_before)

    def charge(self, ts_ns: int, cost_e8: int) -> None:
        """Funding (positive: paid) goes into the results of the holding."""
        self.cur_realised_e8 -= cost_e8
        self.cum_realised_e8 -= cost_e8
        self.updated_ns = ts_ns
