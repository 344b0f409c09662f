"""State of a margin account and the figures that follow from it: margins per position and order, totals, wallet.

Figures of a position are computed again only when it, its mark or its holds change; totals move by the difference, so a
mark price costs the same with one open position as with fifty. Nothing here moves money.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.sim.ledger import Ledger
from core.sim.margin_holds import SymbolHolds
from core.sim.margin_math import close_fee_e8, margin_fee_rate_e8, mark_value_e8
from core.sim.margin_types import (
    AccountSpec,
    MarginInstrument,
    MarginMode,
    MarginOrder,
    MarginRule,
    PositionMode,
    WalletSnapshot,
)
from core.sim.money import E8, ceil_div, initial_margin_e8
from core.sim.positions import SimPosition
from core.sim.risk_tiers import maintenance_e8, tier_of


class MarginBook:
    """Positions, holds, marks and cached totals of one account. `instruments` is read when a symbol is used, so the
    exchange may add to it later."""

    def __init__(self, uid: int, spec: AccountSpec, instruments: Mapping[str, MarginInstrument]) -> None:
        self.uid = uid
        self.spec = spec
        self.margin_mode = spec.margin_mode
        self.ledger = Ledger()
        self.instruments = instruments
        self.by_key: dict[tuple[str, int], SimPosition] = {}
        self.position_modes: dict[str, PositionMode] = {}
        self.default_position_mode = spec.position_mode
        self.marks_e10: dict[str, int] = {}
        self.holds: dict[str, SymbolHolds] = {}
        self.order_symbol: dict[str, str] = {}
        self.order_margins_e8: dict[str, int] = {}
        self.unrealised_e8 = self.im_e8 = self.mm_e8 = self.extra_e8 = self.order_im_e8 = 0
        self.liquidating = False  # cross: the last look found the account due

    def position(self, symbol: str, idx: int = 0) -> SimPosition:
        """The position (flat ones exist too); idx 0 one-way, 1 hedge long, 2 hedge short."""
        position = self.by_key.get((symbol, idx))
        if position is None:
            instrument = self.instruments[symbol]
            leverage = min(max(self.spec.leverage_e2, instrument.min_leverage_e2), instrument.max_leverage_e2)
            position = self.by_key[symbol, idx] = SimPosition(instrument, idx, leverage)
        return position

    def positions(self, symbol: str | None = None) -> list[SimPosition]:
        """Every position of the symbol's mode (two in hedge mode), or all open ones."""
        if symbol is None:
            return list(self.open_positions())
        return [self.position(symbol, idx) for idx in self.indices(symbol)]

    def position_mode(self, symbol: str) -> PositionMode:
        return self.position_modes.get(symbol, self.default_position_mode)

    def fee_rate_e8(self, symbol: str, *, maker: bool) -> int:
        rates = self.spec.symbol_fees_e8.get(symbol, (self.spec.maker_fee_e8, self.spec.taker_fee_e8))
        return rates[0] if maker else rates[1]

    @property
    def cross(self) -> bool:
        return self.margin_mode is MarginMode.REGULAR

    @property
    def margin_balance_e8(self) -> int:
        return self.ledger.balance_e8 + self.unrealised_e8

    def available_e8(self) -> int:
        """What may still be held; negative when losses have eaten margins that are in use."""
        backing = self.margin_balance_e8 if self.cross else self.ledger.balance_e8 - self.extra_e8
        return backing - self.im_e8 - self.order_im_e8

    def order_margin_e8(self, symbol: str) -> int:
        """What the working orders of a symbol hold beyond its position."""
        return self.order_margins_e8.get(symbol, 0)

    def wallet(self) -> WalletSnapshot:
        position_im = self.im_e8 + self.extra_e8
        balance = self.margin_balance_e8
        rated = self.cross and balance > 0
        return WalletSnapshot(
            uid=self.uid,
            equity_e8=balance,
            wallet_balance_e8=self.ledger.balance_e8,
            margin_balance_e8=balance,
            available_e8=max(0, self.available_e8()),
            unrealised_e8=self.unrealised_e8,
            initial_margin_e8=position_im + self.order_im_e8,
            maintenance_margin_e8=self.mm_e8,
            im_rate_e8=(position_im + self.order_im_e8) * E8 // balance if rated else 0,
            mm_rate_e8=self.mm_e8 * E8 // balance if rated else 0,
            order_im_e8=self.order_im_e8,
            position_im_e8=position_im,
            position_mm_e8=self.mm_e8,
            cum_realised_e8=sum(p.cum_realised_e8 for p in self.by_key.values()),
        )

    # --- figures ------------------------------------------------------------------------------------------------

    def open_positions(self) -> Iterator[SimPosition]:
        return (p for p in self.by_key.values() if p.lots)

    def indices(self, symbol: str) -> tuple[int, ...]:
        return (1, 2) if self.position_mode(symbol) is PositionMode.HEDGE else (0,)

    def leverage_of(self, symbol: str, side: int) -> int:
        hedge = self.position_mode(symbol) is PositionMode.HEDGE
        return self.position(symbol, (1 if side > 0 else 2) if hedge else 0).leverage_e2

    def closes_leg(self, symbol: str, idx: int, side: int) -> bool:
        return self.position_mode(symbol) is PositionMode.HEDGE and (idx == 1) != (side > 0)

    def margin_fee_e8(self, symbol: str) -> int:
        return margin_fee_rate_e8(self.fee_rate_e8(symbol, maker=False))

    def margin_price(self, order: MarginOrder) -> int:
        """A sell is margined at its limit or at the mark, whichever is higher: it may fill up there."""
        instrument = self.instruments[order.symbol]
        mark = self.marks_e10.get(order.symbol, 0)
        if order.side > 0 or mark <= 0:
            return order.price_ticks
        return max(order.price_ticks, mark * 10**instrument.price_exp // (instrument.tick_mant * 10**10))

    def close_fee_e8(self, p: SimPosition) -> int:
        return close_fee_e8(p.value_e8, p.side, p.leverage_e2, self.margin_fee_e8(p.instrument.symbol))

    def mark_or_entry_e8(self, p: SimPosition, lots: int, *, round_up: bool) -> int:
        """Value of some of the position's lots at the mark; at the entry price while no mark is known."""
        mark = self.marks_e10.get(p.instrument.symbol, 0)
        if mark > 0:
            return mark_value_e8(p.instrument, lots, mark, round_up=round_up)
        return ceil_div(p.value_e8 * lots, p.size)

    def margin_value_e8(self, p: SimPosition, lots: int) -> int:
        """Value of some of the position's lots at the price the rule charges maintenance margin on."""
        if self.spec.rule is MarginRule.MARK_2025:
            return self.mark_or_entry_e8(p, lots, round_up=True)
        return ceil_div(p.value_e8 * lots, p.size)

    def exposed_lots(self, p: SimPosition) -> int:
        """Lots that need maintenance margin: in cross margin a hedge leg only for what the other leg does not offset."""
        other = self.by_key.get((p.instrument.symbol, 3 - p.position_idx)) if self.cross and p.position_idx else None
        return max(0, p.size - other.size) if other is not None else p.size

    def risk_value_e8(self, symbol: str) -> int:
        """Position plus order value of a symbol, the larger side: what chooses the risk tier shown and limits orders."""
        sides = {1: 0, -1: 0}
        for p in self.positions(symbol):
            if p.lots:
                sides[p.side] += self.margin_value_e8(p, p.size)
        holds = self.holds.get(symbol)
        if holds:
            for side in sides:
                lots = self.position(symbol).lots if self.position_mode(symbol) is PositionMode.ONE_WAY else 0
                against = lots * side < 0
                sides[side] += holds.surplus(lots, 100, 0)[0] if against else holds.value_e8[side]
        return max(sides.values())

    def set_extra(self, p: SimPosition, extra_e8: int) -> None:
        self.extra_e8 += extra_e8 - p.extra_margin_e8
        p.extra_margin_e8 = extra_e8

    def refresh_all(self) -> None:
        for symbol in {key[0] for key in self.by_key} | set(self.holds):
            self.refresh_symbol(symbol)

    def refresh_symbol(self, symbol: str) -> None:
        for idx in self.indices(symbol):
            position = self.by_key.get((symbol, idx))
            if position is not None:
                self._refresh_position(position)
        self.refresh_orders(symbol)

    def _refresh_position(self, p: SimPosition) -> None:
        unrealised = initial = maintenance = 0
        if p.lots:
            unrealised = p.side * (self.mark_or_entry_e8(p, p.size, round_up=p.side < 0) - p.value_e8)
            fee = self.close_fee_e8(p)
            im_base = self.margin_value_e8(p, p.size) if self.cross else p.value_e8
            tier_rate = tier_of(p.instrument.tiers, im_base).im_rate_e8
            initial = max(initial_margin_e8(im_base, p.leverage_e2), ceil_div(im_base * tier_rate, E8)) + fee
            exposed = self.margin_value_e8(p, self.exposed_lots(p))
            maintenance = maintenance_e8(p.instrument.tiers, exposed) + fee
        self.unrealised_e8 += unrealised - p.unrealised_e8
        self.im_e8 += initial - p.im_e8
        self.mm_e8 += maintenance - p.mm_e8
        p.unrealised_e8, p.im_e8, p.mm_e8 = unrealised, initial, maintenance

    def refresh_orders(self, symbol: str) -> None:
        holds = self.holds.get(symbol)
        margin = self._symbol_order_margin_e8(symbol, holds) if holds else 0
        self.order_im_e8 += margin - self.order_margins_e8.get(symbol, 0)
        self.order_margins_e8[symbol] = margin

    def _symbol_order_margin_e8(self, symbol: str, holds: SymbolHolds) -> int:
        if self.position_mode(symbol) is PositionMode.HEDGE:
            return holds.margin_e8[1] + holds.margin_e8[-1]
        p = self.position(symbol)
        if p.lots == 0:
            return max(holds.margin_e8.values())
        against = holds.surplus(p.lots, p.leverage_e2, self.margin_fee_e8(symbol))[1]
        return max(p.im_e8 + holds.margin_e8[p.side], against) - p.im_e8
