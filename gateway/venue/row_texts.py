"""Numbers of private rows as texts: trimmed or with the decimals of the contract, exact."""

from __future__ import annotations

from typing import NamedTuple

from core.constants import NS_PER_MS
from core.units import format_fixed
from gateway.venue.instruments import Instrument


def trimmed(value: int, digits: int) -> str:
    """value / 10**digits without trailing zeros."""
    text = format_fixed(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def e8(value: int) -> str:
    """Money, rates and computed prices of 1e-8."""
    return trimmed(value, 8)


def ms(ns: int) -> str:
    return str(ns // NS_PER_MS)


def blank(value: int, text: str, empty: str = "") -> str:
    """`text` unless the value it comes from is 0."""
    return text if value else empty


def average_e8(value_e8: int, lots: int, instrument: Instrument) -> int:
    """Value / quantity as a price of 1e-8, rounded half up; 0 without quantity."""
    if not lots:
        return 0
    return (2 * value_e8 * 10**instrument.qty_exp + lots * instrument.lot_mant) // (2 * lots * instrument.lot_mant)


class Figures(NamedTuple):
    """How a surface writes numbers: the streams trim zeros, REST orders keep the decimals of the contract."""

    instrument: Instrument
    trim: bool

    def price(self, ticks: int) -> str:
        mantissa, digits = ticks * self.instrument.tick_mant, self.instrument.price_exp
        return trimmed(mantissa, digits) if self.trim else format_fixed(mantissa, digits)

    def size(self, lots: int) -> str:
        """A position's size: trimmed everywhere."""
        return trimmed(lots * self.instrument.lot_mant, self.instrument.qty_exp)

    def qty(self, lots: int) -> str:
        mantissa, digits = lots * self.instrument.lot_mant, self.instrument.qty_exp
        return trimmed(mantissa, digits) if self.trim else format_fixed(mantissa, digits)

    def value(self, ticks: int, lots: int) -> str:
        i = self.instrument
        return trimmed(ticks * i.tick_mant * lots * i.lot_mant, i.price_exp + i.qty_exp)
