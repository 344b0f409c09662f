"""Numbers of private frames: text to ticks, lots and money, and back; everything exact.

What we send must be on the grid and read back to the same integer (`price_text`, `qty_text`). What we are told is taken
as it is meant: "" and "0" are nothing, a price between two ticks (an average, a mark, a bankruptcy price) is the nearest
tick, a quantity must be on the grid, because a wrong one would be a wrong position.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from core.units import UnitsError, format_fixed, format_units, parse_fixed, parse_units

_INTEGER = re.compile(r"-?[0-9]{1,19}")
E8 = 8


class WireError(ValueError):
    """A number, word or shape that cannot be understood; the message names the field."""


class WireGrid(NamedTuple):
    """Steps of a symbol: a tick is `tick_mant / 10**price_exp`, a lot `lot_mant / 10**qty_exp`."""

    tick_mant: int
    price_exp: int
    lot_mant: int
    qty_exp: int

    def price_text(self, ticks: int) -> str:
        """A price for a request. Raises WireError unless the text reads back as the same ticks."""
        return _checked(ticks, self.tick_mant, self.price_exp)

    def qty_text(self, lots: int) -> str:
        """A quantity for a request. Raises WireError unless the text reads back as the same lots."""
        return _checked(lots, self.lot_mant, self.qty_exp)

    def ticks(self, text: str) -> int:
        """A price from a frame, to the nearest tick (half up); 0 where there is none."""
        if not text:
            return 0
        scaled = fixed(text, self.price_exp + 1)  # one digit more decides about the half
        return (scaled * 2 + 10 * self.tick_mant) // (20 * self.tick_mant)

    def exact_ticks(self, text: str) -> int:
        """A price from a frame, 0 where there is none or where it lies between two ticks."""
        try:
            return parse_units(text, self.tick_mant, self.price_exp) if text else 0
        except UnitsError:
            return 0

    def lots(self, text: str) -> int:
        """A quantity from a frame; "" is 0."""
        if not text:
            return 0
        try:
            return parse_units(text, self.lot_mant, self.qty_exp)
        except UnitsError as error:
            raise WireError(f"quantity: {error}") from None

    def value_e8(self, price_e8: int, lots: int) -> int:
        """Value of `lots` at a price of 1e-8, rounded half up."""
        scale = 10**self.qty_exp
        return (2 * price_e8 * lots * self.lot_mant + scale) // (2 * scale)


Grids = Callable[[str], WireGrid | None]
"""The grid of a symbol by its name; None where it is not known."""


def _checked(steps: int, mant: int, exp: int) -> str:
    try:
        text = format_units(steps, mant, exp)
        if parse_units(text, mant, exp) == steps:
            return text
    except UnitsError as error:
        raise WireError(str(error)) from None
    raise WireError(f"{text} does not read back as {steps} steps")


def fixed(text: str, exp: int, *, signed: bool = False) -> int:
    """A decimal text -> value * 10**exp, cut towards zero; "" is 0."""
    if not text:
        return 0
    try:
        return parse_fixed(text, exp, signed=signed)
    except UnitsError as error:
        raise WireError(str(error)) from None


def money(text: str) -> int:
    """Money or a rate with its sign in 1e-8; "" is 0."""
    return fixed(text, E8, signed=True)


def fixed_text(value: int, exp: int) -> str:
    """value / 10**exp without trailing zeros."""
    text = format_fixed(value, exp)
    return text.rstrip("0").rstrip(".") if exp else text


def integer(value: object) -> int:
    """A whole number given as JSON integer or as text; "" and null are 0."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if value is None or value == "":
        return 0
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise WireError(f"{str(value)[:40]!r} is not a whole number")
