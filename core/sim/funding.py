"""Funding: who pays whom at a settlement, and when the settlements are.

payment = size * mark price * rate; positive rate: longs pay shorts (BYBIT.md 12). Instants are the multiples of the
symbol's interval since the start of the UTC day (00:00, 08:00, 16:00 for eight hours).
"""

from __future__ import annotations

from core.sim.margin_types import MarginInstrument
from core.sim.money import ceil_div

DAY_NS = 86_400_000_000_000


def funding_fee_e8(instrument: MarginInstrument, signed_lots: int, mark_e10: int, rate_e10: int) -> int:
    """What the position pays (positive) or receives (negative): execFee of the Funding execution. Rounded once, up:
    paid one unit more, received one unit less."""
    return ceil_div(signed_lots * instrument.lot_mant * mark_e10 * rate_e10, 10 ** (instrument.qty_exp + 12))


def next_funding_ns(ts_ns: int, interval_ns: int) -> int:
    """The first settlement after `ts_ns`; 0 for a contract without funding (interval 0)."""
    if interval_ns <= 0:
        return 0
    day = ts_ns - ts_ns % DAY_NS
    return min(day + ((ts_ns - day) // interval_ns + 1) * interval_ns, day + DAY_NS)
