"""Liquidation and bankruptcy prices, what a liquidation reduces, ADL order, insurance fund.

Everything follows from one line, the margin of one or two legs of a symbol at a price P, solved for P:

    buffer + sum(side * (size * P - entry value)) = sum(size * P * rate - deduction)

Liquidation: rate and deduction of the risk tier, buffer = the margin that carries the legs. Bankruptcy: isolated
rate 0 (the closing fee is reserved beside the margin), cross rate = closing fee. Formulas and sources: MARGIN.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from core.sim.margin_math import price_e8
from core.sim.margin_types import MarginInstrument
from core.sim.money import E8, ceil_div, nearest_div
from core.sim.positions import SimPosition
from core.sim.risk_tiers import maintenance_e8, tier_of


class Leg(NamedTuple):
    """`exposed`: the lots that are charged (maintenance rate, or closing fee)."""

    side: int
    lots: int
    entry_value_e8: int
    exposed: int


class Ratio(NamedTuple):
    """A price in 1e-8 USDT as an exact fraction, denominator > 0."""

    numerator: int
    denominator: int

    @property
    def nearest_e8(self) -> int:
        return nearest_div(self.numerator, self.denominator)


def leg_of(position: SimPosition, exposed: int) -> Leg:
    return Leg(position.side, position.size, position.value_e8, exposed)


def _solve(
    instrument: MarginInstrument, legs: Sequence[Leg], buffer_e8: int, rates_e8: Sequence[int], deduction_e8: int
) -> Ratio | None:
    numerator = sum(leg.side * leg.entry_value_e8 for leg in legs) - buffer_e8 - deduction_e8
    denominator = sum(
        leg.lots * leg.side * E8 - leg.exposed * rate for leg, rate in zip(legs, rates_e8, strict=True)
    )
    if denominator == 0:
        return None
    sign = 1 if denominator > 0 else -1
    return Ratio(sign * numerator * E8 * 10**instrument.qty_exp, sign * denominator * instrument.lot_mant)


def liquidation_price_e8(instrument: MarginInstrument, legs: Sequence[Leg], buffer_e8: int, *, by_mark: bool) -> int:
    """Mark price at which the legs' maintenance margin has eaten the buffer, nearest 1e-8; 0 where there is none inside
    the symbol's price range (Bybit writes ""). `by_mark`: maintenance of the tier at that price; else of the entry."""
    values = [ceil_div(leg.entry_value_e8 * leg.exposed, leg.lots) for leg in legs]
    if not by_mark:
        fixed = sum(maintenance_e8(instrument.tiers, value) for value in values)
        return _shown(instrument, _solve(instrument, legs, buffer_e8 - fixed, [0] * len(legs), 0))
    price = 0
    for _ in instrument.tiers:  # the tier at the price found decides, until it is the one assumed
        tiers = [tier_of(instrument.tiers, value) for value in values]
        rates = [tier.mm_rate_e8 for tier in tiers]
        ratio = _solve(instrument, legs, buffer_e8, rates, sum(tier.mm_deduction_e8 for tier in tiers))
        price = _shown(instrument, ratio)
        values = [value_at_e8(instrument, leg.exposed, price) for leg in legs]
        if price == 0 or [tier_of(instrument.tiers, value) for value in values] == tiers:
            break
    return price


def _shown(instrument: MarginInstrument, ratio: Ratio | None) -> int:
    if ratio is None or ratio.numerator <= 0:
        return 0
    price = ratio.nearest_e8
    return price if in_range(instrument, price) else 0


def value_at_e8(instrument: MarginInstrument, lots: int, price: int) -> int:
    """Value of `lots` at a price in 1e-8, rounded up."""
    return ceil_div(lots * instrument.lot_mant * price, 10**instrument.qty_exp)


def in_range(instrument: MarginInstrument, price: int) -> bool:
    tick = instrument.tick_mant * E8
    scale = 10**instrument.price_exp
    return instrument.min_price_ticks * tick <= price * scale <= instrument.max_price_ticks * tick


def bankruptcy_ratio(instrument: MarginInstrument, leg: Leg, buffer_e8: int, fee_rate_e8: int) -> Ratio:
    """Price at which the buffer is gone, after a closing fee of `fee_rate_e8` (0: it is reserved elsewhere)."""
    ratio = _solve(instrument, [leg], buffer_e8, [fee_rate_e8], 0)
    assert ratio is not None  # lots > 0 and a fee rate below 100 %
    return ratio


def bankruptcy_ticks(instrument: MarginInstrument, side: int, ratio: Ratio) -> int:
    """Bankruptcy price on the tick grid, toward the entry (a long up, a short down), so that the loss of the takeover
    stays inside the margin; kept inside the price range."""
    numerator = ratio.numerator * 10**instrument.price_exp
    denominator = ratio.denominator * E8 * instrument.tick_mant
    ticks = ceil_div(numerator, denominator) if side > 0 else numerator // denominator
    return min(max(ticks, instrument.min_price_ticks), instrument.max_price_ticks)


def adl_score_e8(position: SimPosition) -> int:
    """Order of auto-deleveraging: result in the currency of the margin it uses (unrealised / initial margin). Bybit
    ranks by profit and effective leverage; their product is this return on margin."""
    return position.unrealised_e8 * E8 // position.im_e8 if position.im_e8 > 0 else 0


ADL_BANDS_E8 = (-E8 // 2, E8 // 2, E8, 2 * E8)
"""Lights by return on margin. Bybit's lights are quintiles among all traders, who do not exist here: an assumption,
chosen so that the recorded positions (-9 %, 0 %, +49 %) show the two lights they showed."""


def adl_rank(position: SimPosition) -> int:
    """adlRankIndicator: 0 flat, 1 (last) to 5 (first in the queue)."""
    if position.lots == 0:
        return 0
    score = adl_score_e8(position)
    return 1 + sum(score >= band for band in ADL_BANDS_E8)


class InsuranceFund:
    """Takes what taken-over positions leave or cost: (market fill - bankruptcy price) * size of the position side."""

    def __init__(self, balance_e8: int) -> None:
        self.balance_e8 = balance_e8

    def settle(self, instrument: MarginInstrument, side: int, lots: int, bust_ticks: int, fill_ticks: int) -> int:
        """Book a takeover of a position (`side` +1 long) closed in the market at `fill_ticks`; returns the change.
        Below zero the exchange deleverages (`adl_rank`) instead of filling in the market."""
        grid = instrument.grid
        value = grid.value_e8(abs(fill_ticks - bust_ticks), lots, round_up=False)
        change = value if side * (fill_ticks - bust_ticks) >= 0 else -value
        self.balance_e8 += change
        return change


def entry_price_e8(position: SimPosition) -> int:
    """Average entry price, nearest 1e-8; 0 when flat."""
    return price_e8(position.instrument, position.value_e8, position.size)
