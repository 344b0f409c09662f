"""Funding: who pays whom at a settlement, and when the settlements are.

payment = size * mark price * rate; positive rate: longs pay shorts (BYBIT.md 12). Instants are the multiples of the
symbol's interval since the start of the UTC day (00:00, 08:00, 16:00 for eight hours).
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from core.sim.margin_types import MarginInstrument
from core.sim.money import ceil_div

DAY_NS = 86_400_000_000_000
MOST_DIGITS = np.int64(18)  # of a divisor below 2**62


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


@kernel
def mul_div(a, b, c):  # type: ignore[no-untyped-def]
    """(quotient, remainder) of a * b / c for 0 <= a, b and 0 < c < 2**62, although a * b may be beyond int64; the
    quotient must not be. Schoolbook, bit by bit: for what happens rarely."""
    quotient, rest = np.int64(0), np.int64(0)
    a_quotient, a_rest = a // c, a % c
    for k in range(63):
        quotient, rest = 2 * quotient, 2 * rest
        if rest >= c:
            quotient, rest = quotient + 1, rest - c
        if b >> (62 - k) & 1:
            quotient, rest = quotient + a_quotient, rest + a_rest
            if rest >= c:
                quotient, rest = quotient + 1, rest - c
    return quotient, rest


@kernel
def funding_e8(signed_lots, lot_mant, qty_exp, mark_e10, rate_e10):  # type: ignore[no-untyped-def]
    """`funding_fee_e8` for kernels, exact to the last 1e-8 for payments below 9e10 USDT."""
    digits = qty_exp + 12
    first = min(digits, MOST_DIGITS)
    lower, upper = np.int64(1), np.int64(1)
    for _ in range(first):
        lower *= 10
    for _ in range(digits - first):
        upper *= 10
    rate = abs(rate_e10)
    whole, part = mul_div(abs(signed_lots) * lot_mant, mark_e10, lower)
    more, rest = mul_div(part, rate, lower)
    size = whole * rate + more  # and rest / lower
    pays = signed_lots > 0 and rate_e10 > 0 or signed_lots < 0 and rate_e10 < 0
    if not pays:
        return -(size // upper)
    return size // upper + (1 if rest > 0 or size % upper > 0 else 0)
