"""Formulas of margin and result in exact integers, one function per published figure; sources in MARGIN.md.

`side` +1 long, -1 short; `entry_value_e8` >= 0 here (size * average entry price). Every figure is rounded once, at its
end, against the account: requirements up, results down. Average prices alone are rounded to the nearest 1e-8, as Bybit
writes them.
"""

from __future__ import annotations

from core.sim.margin_types import MarginInstrument
from core.sim.money import E8, ceil_div, nearest_div

MIN_MARGIN_FEE_E8 = 55_000
"""Margin figures reserve the closing fee at the account's taker rate, but at no less than 0.055 %: the recorded account
paid 0.014 % and was margined with 0.055 %; the break-even formula names the same floor."""


def margin_fee_rate_e8(taker_fee_e8: int) -> int:
    """Fee rate inside margins, break-even and liquidation prices."""
    return max(taker_fee_e8, MIN_MARGIN_FEE_E8)


def mark_value_e8(instrument: MarginInstrument, lots: int, mark_e10: int, *, round_up: bool) -> int:
    """Value of `lots` >= 0 at the mark price."""
    numerator = lots * instrument.lot_mant * mark_e10
    scale = 10 ** (instrument.qty_exp + 2)
    return ceil_div(numerator, scale) if round_up else numerator // scale


def price_e8(instrument: MarginInstrument, value_e8: int, lots: int) -> int:
    """Average price of a value, nearest 1e-8; 0 for no lots."""
    if lots == 0:
        return 0
    return nearest_div(value_e8 * 10**instrument.qty_exp, lots * instrument.lot_mant)


def close_fee_e8(entry_value_e8: int, side: int, leverage_e2: int, fee_rate_e8: int) -> int:
    """Fee to close at the bankruptcy price: entry value * (1 -/+ 1/leverage) * rate (minus long, plus short)."""
    return ceil_div(entry_value_e8 * (leverage_e2 - side * 100) * fee_rate_e8, leverage_e2 * E8)


def open_fee_e8(value_e8: int, fee_rate_e8: int) -> int:
    """Taker fee reserved for opening an order of this value."""
    return ceil_div(value_e8 * fee_rate_e8, E8)


def break_even_price_e8(
    instrument: MarginInstrument, side: int, lots: int, entry_value_e8: int, cur_realised_e8: int, fee_rate_e8: int
) -> int:
    """(entry * qty - realised) / (qty - |qty| * fee), qty signed; nearest 1e-8; 0 where it is not positive."""
    if lots == 0:
        return 0
    numerator = (entry_value_e8 - side * cur_realised_e8) * E8 * 10**instrument.qty_exp
    return max(0, nearest_div(numerator, lots * instrument.lot_mant * (E8 - side * fee_rate_e8)))
