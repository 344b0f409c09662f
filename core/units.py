"""Text <-> ticks and lots: the only converter, exact in both directions.

A *grid* is `(mant, exp)`: one step is `mant / 10**exp` (tick size 0.10 -> mant 1, exp 1; lot 100 -> mant 100, exp 0).
Prices and quantities become a whole number of steps; statistics (open interest, turnover, funding rate) become
fixed-point numbers `value * 10**exp`, cut towards zero. No float takes part.

Accepted forms (ASCII digits only; no plus, exponent, NaN, underscore, blank, leading or trailing dot):

    price, quantity   1..12 digits, optionally a dot and 1..12 digits
    statistic         optional minus where the field may be negative, 1..15 digits, optionally a dot and 1..18 digits

Magnitudes stay below 10**18 steps of 10**-exp, so int64 never wraps. The kernels read the same forms from bytes; they
refuse a little more (many leading zeros), never less, and never answer differently.
"""

from __future__ import annotations

import re

import numpy as np

from core.jit import kernel

WHOLE_DIGITS_MAX = 12
FRACTION_DIGITS_MAX = 12
STATISTIC_WHOLE_DIGITS_MAX = 15
STATISTIC_FRACTION_DIGITS_MAX = 18
EXP_MAX = 12
MANTISSA_DIGITS = 18
MANTISSA_LIMIT = 10**MANTISSA_DIGITS
NS_PER_MS = 1_000_000
TIME_MS_MAX = 9_000_000_000_000  # year 2255: times NS_PER_MS still fits int64
TIME_TEXT_DIGITS_MAX = 13

_STEP = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,12}))?")
_STATISTIC = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,18}))?")
_TIME_MS = re.compile(r"[0-9]{1,13}")
_POW10 = np.array([10**k for k in range(MANTISSA_DIGITS + 1)], dtype=np.int64)


class UnitsError(ValueError):
    """The text is not a number in the accepted form, or too large."""


class OffGrid(UnitsError):
    """A proper number that is not a whole number of steps."""


def grid_from_text(text: str) -> tuple[int, int]:
    """Tick or lot size as sent by the exchange -> `(mant, exp)` with the smallest exp ("0.10" -> (1, 1)).

    Raises UnitsError where it is not a positive decimal number.
    """
    match = _STEP.fullmatch(text)
    if match is None:
        raise UnitsError(f"step {text[:40]!r} is not a decimal number")
    whole, fraction = match[1], (match[2] or "").rstrip("0")
    mant = int(whole + fraction)
    if mant <= 0:
        raise UnitsError(f"step {text[:40]!r} is not positive")
    return mant, len(fraction)


def reduce_grid(mant: int, exp: int) -> tuple[int, int]:
    """The same grid with the smallest exp: (10, 2) -> (1, 1)."""
    if mant <= 0 or not 0 <= exp <= EXP_MAX:
        raise UnitsError(f"grid ({mant}, {exp}) is not positive or has more than {EXP_MAX} decimals")
    while exp > 0 and mant % 10 == 0:
        mant //= 10
        exp -= 1
    return mant, exp


def parse_units(text: str, mant: int, exp: int) -> int:
    """Price or quantity text -> steps of `mant / 10**exp`. Raises UnitsError, OffGrid."""
    whole, dot, fraction = text.partition(".")
    if not (
        text.isascii()
        and whole.isdigit()
        and len(whole) <= WHOLE_DIGITS_MAX
        and (fraction.isdigit() if dot else True)
        and len(fraction) <= FRACTION_DIGITS_MAX
    ):
        raise UnitsError(f"{text[:40]!r} is not a plain decimal number")
    missing = exp - len(fraction)
    if missing < 0:
        if fraction[exp:].strip("0"):
            raise OffGrid(f"{text} is off the grid of {format_units(1, mant, exp)}")
        value = int(whole + fraction[:exp])
    else:
        value = int(whole + fraction) * 10**missing
    if value >= MANTISSA_LIMIT:
        raise UnitsError(f"{text} is too large")
    units, rest = divmod(value, mant)
    if rest:
        raise OffGrid(f"{text} is off the grid of {format_units(1, mant, exp)}")
    return units


def format_units(units: int, mant: int, exp: int) -> str:
    """Steps -> the canonical wire text: exactly `exp` decimals, no sign. Raises UnitsError when negative."""
    if units < 0:
        raise UnitsError(f"{units} steps: wire numbers carry no sign")
    return format_fixed(units * mant, exp)


def parse_fixed(text: str, exp: int, *, signed: bool = False) -> int:
    """Statistic text -> value * 10**exp, further digits cut (towards zero). Raises UnitsError."""
    match = _STATISTIC.fullmatch(text)
    if match is None or (match[1] and not signed):
        raise UnitsError(f"{text[:40]!r} is not a plain decimal number")
    value = int(match[2] + (match[3] or "")[:exp].ljust(exp, "0"))
    if value >= MANTISSA_LIMIT:
        raise UnitsError(f"{text} is too large")
    return -value if match[1] else value


def format_fixed(value: int, exp: int) -> str:
    """Fixed-point number -> text with exactly `exp` decimals; a minus where negative."""
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(exp + 1, "0")
    return f"{sign}{digits[:-exp]}.{digits[-exp:]}" if exp else sign + digits


def parse_time_ms(text: str) -> int:
    """Milliseconds since the epoch as text (tickers.nextFundingTime) -> ns. Raises UnitsError."""
    if _TIME_MS.fullmatch(text) is None or int(text) > TIME_MS_MAX:
        raise UnitsError(f"{text[:40]!r} is not a time in ms")
    return int(text) * NS_PER_MS


# Kernels. `buffer` is bytes (u1) with something other than a digit at or after `p`, and SLACK_BYTES readable after it;
# `p` is at the first digit. Digit by digit is the fastest way there is: branches on the lengths of real prices predict
# well, while reading eight digits as one word makes every next position wait for the length before it (tried: slower).
SLACK_BYTES = 32
"""Bytes that must be readable after the last one that counts."""

MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=np.uint64)
"""MASKS[n] keeps the first n bytes of a word."""


def each_byte(value: int) -> np.uint64:
    """A word of eight equal bytes."""
    return np.uint64(value * 0x0101010101010101)


ONES, HIGHS, ALL = each_byte(1), each_byte(0x80), each_byte(0xFF)
ZEROS = each_byte(ord("0"))
_ABOVE_NINE = each_byte(0x80 - 10)
_PAIRS = np.uint64(0x000000FF000000FF)
_WEIGHTS_EVEN = np.uint64(100 + (1_000_000 << 32))
_WEIGHTS_ODD = np.uint64(1 + (10_000 << 32))
DOT_DIGIT = ord(".") - 48  # as a "digit", like every byte the loops look at
_MINUS = ord("-")


@kernel
def word(buffer, p):
    """Eight bytes from `p` as a little-endian uint64 (the compiler makes one load of it)."""
    q = np.uint64(p)
    return (
        np.uint64(buffer[q])
        | np.uint64(buffer[q + np.uint64(1)]) << np.uint64(8)
        | np.uint64(buffer[q + np.uint64(2)]) << np.uint64(16)
        | np.uint64(buffer[q + np.uint64(3)]) << np.uint64(24)
        | np.uint64(buffer[q + np.uint64(4)]) << np.uint64(32)
        | np.uint64(buffer[q + np.uint64(5)]) << np.uint64(40)
        | np.uint64(buffer[q + np.uint64(6)]) << np.uint64(48)
        | np.uint64(buffer[q + np.uint64(7)]) << np.uint64(56)
    )


@kernel
def bytes_below(marks):
    """How many bytes lie below the lowest marked one (a mark is bit 7 of a byte); 8 where none is marked."""
    return np.int64(((((marks - np.uint64(1)) & (marks ^ ALL) & HIGHS) >> np.uint64(7)) * ONES) >> np.uint64(56))


@kernel
def digit_marks(digits):
    """Marks the bytes ('0' taken off) that are no digit; exact up to the lowest mark."""
    return ((digits + _ABOVE_NINE) | digits) & HIGHS


@kernel
def eight_digits(digits):
    """Eight digit values, the most significant in the lowest byte -> their number."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    even = (pairs & _PAIRS) * _WEIGHTS_EVEN
    odd = ((pairs >> np.uint64(16)) & _PAIRS) * _WEIGHTS_ODD
    return np.int64((even + odd) >> np.uint64(32))


@kernel
def units_from_digits(value, whole, rest, mant, exp):
    """Digits already read -> steps, -1 where refused. `whole` digits, then `rest` characters: a dot and digits, or 0."""
    fraction = rest - 1 if rest > 0 else rest
    digits = whole + fraction
    if whole < 1 or rest == 1 or digits > MANTISSA_DIGITS or whole + exp > MANTISSA_DIGITS:
        return np.int64(-1)
    if whole > WHOLE_DIGITS_MAX or fraction > FRACTION_DIGITS_MAX:
        return np.int64(-1)
    while fraction > exp:
        kept = np.int64(np.uint64(value) // np.uint64(10))
        if kept * 10 != value:
            return np.int64(-1)
        value = kept
        fraction -= 1
    value *= _POW10[np.uint64(exp - fraction)]
    if mant == 1:
        return value
    units = value // mant
    return units if units * mant == value else np.int64(-1)


@kernel
def scan_units(buffer, p, mant, exp):
    """As `parse_units` -> (position after the text, steps); steps are -1 where refused."""
    first = p
    value = np.int64(0)
    digit = np.int64(buffer[np.uint64(p)]) - 48
    while 0 <= digit <= 9:
        value = value * 10 + digit
        p += 1
        digit = np.int64(buffer[np.uint64(p)]) - 48
    dot = p
    if digit == DOT_DIGIT:
        p += 1
        digit = np.int64(buffer[np.uint64(p)]) - 48
        while 0 <= digit <= 9:
            value = value * 10 + digit
            p += 1
            digit = np.int64(buffer[np.uint64(p)]) - 48
    return p, units_from_digits(value, dot - first, p - dot, mant, exp)


@kernel
def scan_fixed(buffer, p, exp, signed):
    """As `parse_fixed` -> (position after the text, value, 1), or (position, 0, 0) where refused. `signed`: 0 or 1."""
    negative = signed == 1 and buffer[np.uint64(p)] == _MINUS
    if negative:
        p += 1
    first = p
    value = np.int64(0)
    digit = np.int64(buffer[np.uint64(p)]) - 48
    while 0 <= digit <= 9:
        value = value * 10 + digit
        p += 1
        digit = np.int64(buffer[np.uint64(p)]) - 48
    whole = p - first
    missing = exp
    rest = np.int64(0)
    if digit == DOT_DIGIT:
        first = p
        p += 1
        digit = np.int64(buffer[np.uint64(p)]) - 48
        while 0 <= digit <= 9:
            if missing > 0:
                value = value * 10 + digit
                missing -= 1
            p += 1
            digit = np.int64(buffer[np.uint64(p)]) - 48
        rest = p - first
    if whole < 1 or whole > STATISTIC_WHOLE_DIGITS_MAX or whole + exp > MANTISSA_DIGITS:
        return p, np.int64(0), np.int64(0)
    if rest == 1 or rest > STATISTIC_FRACTION_DIGITS_MAX + 1:
        return p, np.int64(0), np.int64(0)
    value *= _POW10[np.uint64(missing)]
    return p, -value if negative else value, np.int64(1)
