"""Order value and fees in integers of 1e-8 USDT, always rounded against us.

value = price_ticks * tick * qty_lots * lot, with tick = tick_mant / 10^price_exp and lot = lot_mant / 10^qty_exp.
For every instrument with price_exp + qty_exp <= 8 the value is exact; beyond that one unit of 1e-8 USDT is rounded.
Range: |value| < 9e10 USDT and |fee rate| <= 100 % stay inside int64.
"""

from __future__ import annotations

from core.jit import kernel

E8 = 100_000_000
VALUE_DECIMALS = 8


@kernel
def value_e8(price_ticks, qty_lots, tick_mant, lot_mant, decimals, round_up):
    """Value of `qty_lots` >= 0 at `price_ticks` in 1e-8 USDT; `decimals` = price_exp + qty_exp.

    `round_up` 1: to the next unit (what we pay), 0: to the unit below (what we receive).
    """
    value = (price_ticks * tick_mant) * (qty_lots * lot_mant)
    if decimals <= VALUE_DECIMALS:
        for _ in range(VALUE_DECIMALS - decimals):
            value *= 10
        return value
    scale = 1
    for _ in range(decimals - VALUE_DECIMALS):
        scale *= 10
    if round_up:
        return -((-value) // scale)
    return value // scale


@kernel
def fee_up_e8(value, rate_e8):
    """Fee on `value` (1e-8 USDT, >= 0) at `rate_e8`, rounded up; a rebate (negative rate) is so rounded toward zero."""
    whole = value // E8
    rest = value - whole * E8
    return whole * rate_e8 - ((-(rest * rate_e8)) // E8)


def ceil_div(numerator: int, denominator: int) -> int:
    """Quotient rounded up, exact for integers of any size; `denominator` > 0."""
    return -(-numerator // denominator)


def nearest_div(numerator: int, denominator: int) -> int:
    """Quotient rounded to the nearest integer, halves up; `denominator` > 0. How Bybit writes average prices."""
    return (2 * numerator + denominator) // (2 * denominator)


def initial_margin_e8(value: int, leverage_e2: int) -> int:
    """Initial margin without fees: |value| / leverage, rounded up."""
    return ceil_div(abs(value) * 100, leverage_e2)
