"""The margin account of one user: positions, holds, margins, funding, liquidation, and a ledger of every cent.

    wallet balance = sum of ledger entries                                    (exactly, after every call)
    available      = wallet + unrealised - position margins - order margins   (cross)
                   = wallet - position margins - added margins - order margins (isolated)

Pure and deterministic: time, prices and ids come in. Formulas, rounding and sources: MARGIN.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.sim.funding import funding_fee_e8
from core.sim.ledger import Ledger
from core.sim.liquidation import (
    Ratio,
    adl_rank,
    bankruptcy_ratio,
    bankruptcy_ticks,
    entry_price_e8,
    leg_of,
    liquidation_price_e8,
)
from core.sim.margin_holds import SymbolHolds
from core.sim.margin_math import break_even_price_e8, close_fee_e8, margin_fee_rate_e8, mark_value_e8
from core.sim.margin_types import (
    AccountSpec,
    Cause,
    Due,
    DueKind,
    ExecType,
    FillResult,
    FundingResult,
    MarginCode,
    MarginInstrument,
    MarginMode,
    MarginOrder,
    MarginRule,
    PositionMode,
    PositionSnapshot,
    PositionStatus,
    WalletSnapshot,
)
from core.sim.money import E8, ceil_div, fee_up_e8, initial_margin_e8
from core.sim.positions import SimPosition
from core.sim.risk_tiers import maintenance_e8, tier_index, tier_of, value_allowed_e8

CLOSING_CAUSE = {
    ExecType.TRADE: Cause.REALISED,
    ExecType.ADL_TRADE: Cause.ADL,
    ExecType.BUST_TRADE: Cause.LIQUIDATION,
}


class MarginAccount:
    """One account in USDT. `instruments` is read when a symbol is used, so the exchange may add to it later."""

    def __init__(self, uid: int, spec: AccountSpec, instruments: Mapping[str, MarginInstrument]) -> None:
        self.uid = uid
        self.spec = spec
        self.margin_mode = spec.margin_mode
        self.ledger = Ledger()
        self._instruments = instruments
        self._positions: dict[tuple[str, int], SimPosition] = {}
        self._position_mode: dict[str, PositionMode] = {}
        self._default_position_mode = spec.position_mode
        self._marks_e10: dict[str, int] = {}
        self._holds: dict[str, SymbolHolds] = {}
        self._order_symbol: dict[str, str] = {}
        self._order_margin_e8: dict[str, int] = {}
        self._unrealised_e8 = self._im_e8 = self._mm_e8 = self._extra_e8 = self._order_im_e8 = 0
        if spec.deposit_e8:
            self.transfer(0, spec.deposit_e8, "deposit")

    # --- what is asked ------------------------------------------------------------------------------------------

    def position(self, symbol: str, idx: int = 0) -> SimPosition:
        """The position (flat ones exist too); idx 0 one-way, 1 hedge long, 2 hedge short."""
        position = self._positions.get((symbol, idx))
        if position is None:
            instrument = self._instruments[symbol]
            leverage = min(max(self.spec.leverage_e2, instrument.min_leverage_e2), instrument.max_leverage_e2)
            position = self._positions[symbol, idx] = SimPosition(instrument, idx, leverage)
        return position

    def positions(self, symbol: str | None = None) -> list[SimPosition]:
        """Every position of the symbol's mode (two in hedge mode), or all open ones."""
        if symbol is None:
            return list(self._open())
        return [self.position(symbol, idx) for idx in self._indices(symbol)]

    def position_mode(self, symbol: str) -> PositionMode:
        return self._position_mode.get(symbol, self._default_position_mode)

    def fee_rate_e8(self, symbol: str, *, maker: bool) -> int:
        rates = self.spec.symbol_fees_e8.get(symbol, (self.spec.maker_fee_e8, self.spec.taker_fee_e8))
        return rates[0] if maker else rates[1]

    @property
    def cross(self) -> bool:
        return self.margin_mode is MarginMode.REGULAR

    @property
    def margin_balance_e8(self) -> int:
        return self.ledger.balance_e8 + self._unrealised_e8

    def available_e8(self) -> int:
        """What may still be held; negative when losses have eaten margins that are in use."""
        backing = self.margin_balance_e8 if self.cross else self.ledger.balance_e8 - self._extra_e8
        return backing - self._im_e8 - self._order_im_e8

    def order_margin_e8(self, symbol: str) -> int:
        """What the working orders of a symbol hold beyond its position."""
        return self._order_margin_e8.get(symbol, 0)

    def wallet(self) -> WalletSnapshot:
        position_im = self._im_e8 + self._extra_e8
        balance = self.margin_balance_e8
        rated = self.cross and balance > 0
        return WalletSnapshot(
            uid=self.uid,
            equity_e8=balance,
            wallet_balance_e8=self.ledger.balance_e8,
            margin_balance_e8=balance,
            available_e8=max(0, self.available_e8()),
            unrealised_e8=self._unrealised_e8,
            initial_margin_e8=position_im + self._order_im_e8,
            maintenance_margin_e8=self._mm_e8,
            im_rate_e8=ceil_div((position_im + self._order_im_e8) * E8, balance) if rated else 0,
            mm_rate_e8=ceil_div(self._mm_e8 * E8, balance) if rated else 0,
            order_im_e8=self._order_im_e8,
            position_im_e8=position_im,
            position_mm_e8=self._mm_e8,
            cum_realised_e8=sum(p.cum_realised_e8 for p in self._positions.values()),
        )

    def snapshot(self, symbol: str, idx: int = 0) -> PositionSnapshot:
        """The row of a position with every computed figure."""
        p = self.position(symbol, idx)
        tier = tier_of(p.instrument.tiers, self._risk_value_e8(symbol))
        fee = self._margin_fee_e8(symbol)
        return PositionSnapshot(
            uid=self.uid,
            symbol=symbol,
            position_idx=idx,
            side=p.side,
            lots=p.size,
            entry_price_e8=entry_price_e8(p),
            position_value_e8=p.value_e8,
            leverage_e2=p.leverage_e2,
            risk_id=tier.id,
            risk_limit_value_e8=tier.limit_value_e8,
            mark_e10=self._marks_e10.get(symbol, 0),
            im_e8=p.im_e8,
            mm_e8=p.mm_e8,
            liq_price_e8=self._liquidation_price_e8(p) if p.lots else 0,
            bust_price_e8=max(0, self._bankruptcy(p).nearest_e8) if p.lots else 0,
            break_even_price_e8=break_even_price_e8(p.instrument, p.side, p.size, p.value_e8, p.cur_realised_e8, fee),
            unrealised_e8=p.unrealised_e8,
            cur_realised_e8=p.cur_realised_e8,
            cum_realised_e8=p.cum_realised_e8,
            margin_balance_e8=0 if self.cross else p.im_e8 + p.extra_margin_e8,
            take_profit_ticks=p.take_profit_ticks,
            stop_loss_ticks=p.stop_loss_ticks,
            trailing_stop_ticks=p.trailing_stop_ticks,
            status=p.status,
            adl_rank=adl_rank(p),
            auto_add_margin=p.auto_add_margin,
            is_reduce_only=False,
            created_ns=p.created_ns,
            updated_ns=p.updated_ns,
            opened_ns=p.opened_ns,
            seq=p.seq,
        )

    def adl_rank(self, symbol: str, idx: int = 0) -> int:
        return adl_rank(self.position(symbol, idx))

    # --- settings -----------------------------------------------------------------------------------------------

    def set_leverage(self, symbol: str, buy_e2: int, sell_e2: int) -> MarginCode:
        """Leverage of the long and of the short side; equal in one-way mode and in cross margin."""
        instrument = self._instruments[symbol]
        positions = self.positions(symbol)
        wanted = [buy_e2, sell_e2][: len(positions)]
        if (self.cross or len(positions) == 1) and buy_e2 != sell_e2:
            return MarginCode.PARAMETER
        if any(
            not instrument.min_leverage_e2 <= value <= instrument.max_leverage_e2 or value % instrument.leverage_step_e2
            for value in wanted
        ):
            return MarginCode.PARAMETER
        before = [p.leverage_e2 for p in positions]
        if wanted == before:
            return MarginCode.LEVERAGE_UNCHANGED
        if self._risk_value_e8(symbol) > value_allowed_e8(instrument.tiers, max(wanted)):
            return MarginCode.LEVERAGE_OVER_TIER
        code = self._try_leverage(symbol, positions, wanted)
        if code is not MarginCode.OK:
            self._apply_leverage(symbol, positions, before)
        return code

    def _try_leverage(self, symbol: str, positions: list[SimPosition], wanted: list[int]) -> MarginCode:
        before = self.available_e8()
        self._apply_leverage(symbol, positions, wanted)
        if self.available_e8() < min(0, before):
            return MarginCode.NOT_ENOUGH_BALANCE
        if not self.cross and any(p.lots and self._isolated_due(p) for p in positions):
            return MarginCode.MARGIN_TOO_LOW
        return MarginCode.OK

    def _apply_leverage(self, symbol: str, positions: list[SimPosition], leverages: list[int]) -> None:
        for position, leverage in zip(positions, leverages, strict=True):
            position.leverage_e2 = leverage
        holds = self._holds.get(symbol)
        if holds:
            for held in list(holds.orders.values()):
                leverage = self._leverage_of(symbol, held.side)
                held = holds.orders[held.order_id]
                holds.put(
                    held.order_id, held.side, held.lots, held.price_ticks, held.free, leverage, self._margin_fee_e8(symbol)
                )
        self._refresh_symbol(symbol)

    def switch_position_mode(self, mode: PositionMode, symbol: str | None = None) -> MarginCode:
        """For one symbol, or for all (symbol None); refused while there are positions or working orders."""
        if symbol is None:
            symbols = {key[0] for key in self._positions} | set(self._holds) | set(self._position_mode)
            unchanged = self._default_position_mode is mode
        else:
            symbols, unchanged = {symbol}, self.position_mode(symbol) is mode
        if unchanged and all(self.position_mode(name) is mode for name in symbols):
            return MarginCode.MODE_UNCHANGED
        if any(p.lots for (name, _), p in self._positions.items() if name in symbols):
            return MarginCode.POSITION_EXISTS
        if any(self._holds[name] for name in symbols if name in self._holds):
            return MarginCode.ORDERS_EXIST
        for name in symbols:
            self._position_mode[name] = mode
        if symbol is None:
            self._default_position_mode = mode
        return MarginCode.OK

    def set_margin_mode(self, mode: MarginMode) -> MarginCode:
        """Isolated or cross for the whole account; refused where the positions could not be carried in it."""
        if mode is self.margin_mode:
            return MarginCode.MARGIN_MODE_UNCHANGED
        before = self.margin_mode
        self.margin_mode = mode
        self._refresh_all()
        if self.available_e8() < 0 or any(not self.cross and self._isolated_due(p) for p in self._open()):
            self.margin_mode = before
            self._refresh_all()
            return MarginCode.NOT_ENOUGH_BALANCE
        if self.cross:
            for position in self._open():
                self._set_extra(position, 0)
        return MarginCode.OK

    def add_margin(self, symbol: str, amount_e8: int, idx: int = 0) -> MarginCode:
        """Add (positive) or take back (negative) margin of an isolated position; the wallet balance does not change."""
        position = self.position(symbol, idx)
        if self.cross or position.lots == 0:
            return MarginCode.PARAMETER
        if amount_e8 == 0:
            return MarginCode.MARGIN_UNCHANGED
        if amount_e8 > self.available_e8():
            return MarginCode.NOT_ENOUGH_BALANCE
        if position.extra_margin_e8 + amount_e8 < 0:
            return MarginCode.MARGIN_TOO_LOW
        before = position.extra_margin_e8
        self._set_extra(position, before + amount_e8)
        if amount_e8 < 0 and self._isolated_due(position):
            self._set_extra(position, before)
            return MarginCode.MARGIN_TOO_LOW
        return MarginCode.OK

    # --- orders -------------------------------------------------------------------------------------------------

    def hold(self, order: MarginOrder) -> bool:
        """`reserve` as yes or no."""
        return self.reserve(order) is MarginCode.OK

    def reserve(self, order: MarginOrder) -> MarginCode:
        """Hold the margin of a working order, or of its amended form; unchanged where it is refused.

        An order that needs no more margin than before is never refused for money (it closes, or is hidden behind the
        larger other side)."""
        symbol = order.symbol
        holds = self._holds.get(symbol)
        if holds is None:
            holds = self._holds[symbol] = SymbolHolds(self._instruments[symbol].grid)
        leverage, fee = self._leverage_of(symbol, order.side), self._margin_fee_e8(symbol)
        free = order.reduce_only or self._closes_leg(symbol, order.position_idx, order.side)
        before, risk_before = self._order_margin_e8.get(symbol, 0), self._risk_value_e8(symbol)
        available = self.available_e8()
        old = holds.orders.get(order.order_id)
        holds.put(order.order_id, order.side, order.leaves_lots, self._margin_price(order), free, leverage, fee)
        self._order_symbol[order.order_id] = symbol
        self._refresh_orders(symbol)
        needed = self._order_margin_e8[symbol] - before
        risk = self._risk_value_e8(symbol)
        code = MarginCode.OK
        if risk > risk_before and risk > value_allowed_e8(self._instruments[symbol].tiers, leverage):
            code = MarginCode.RISK_LIMIT
        elif needed > 0 and needed > available:
            code = MarginCode.NOT_ENOUGH_BALANCE
        if code is not MarginCode.OK:
            holds.take(order.order_id)
            if old is not None:
                holds.restore(old)
            else:
                del self._order_symbol[order.order_id]
            self._refresh_orders(symbol)
        return code

    def release(self, order_id: str) -> None:
        """The order ended (or waits for its trigger): nothing is held for it; unknown ids are ignored."""
        symbol = self._order_symbol.pop(order_id, None)
        if symbol is not None:
            self._holds[symbol].take(order_id)
            self._refresh_orders(symbol)

    def _shrink_hold(self, order_id: str, filled_lots: int) -> None:
        symbol = self._order_symbol.get(order_id)
        if symbol is None:
            return
        holds = self._holds[symbol]
        held = holds.orders[order_id]
        if held.lots <= filled_lots:
            holds.take(order_id)
            del self._order_symbol[order_id]
            return
        leverage, fee = self._leverage_of(symbol, held.side), self._margin_fee_e8(symbol)
        holds.put(order_id, held.side, held.lots - filled_lots, held.price_ticks, held.free, leverage, fee)

    # --- what moves money ---------------------------------------------------------------------------------------

    def apply_fill(
        self,
        ts_ns: int,
        order_id: str,
        exec_id: str,
        symbol: str,
        idx: int,
        side: int,
        qty_lots: int,
        price_ticks: int,
        fee_rate_e8: int,
        exec_type: ExecType = ExecType.TRADE,
    ) -> FillResult:
        """Book an execution: position, result, fee; what the order holds shrinks by the filled lots."""
        position = self.position(symbol, idx)
        self._extra_e8 -= position.extra_margin_e8
        booked, fees = position.fill(ts_ns, side * qty_lots, price_ticks, fee_rate_e8)
        self._extra_e8 += position.extra_margin_e8
        changes = ((CLOSING_CAUSE[exec_type], booked.realised_e8), (Cause.FEE, -fees.total_e8))
        for cause, change in changes:
            if change:
                self.ledger.add(
                    ts_ns, cause, change, symbol=symbol, position_idx=idx, order_id=order_id, ref=exec_id
                )
        self._shrink_hold(order_id, qty_lots)
        self._refresh_symbol(symbol)
        if exec_type is ExecType.BUST_TRADE:
            self.cover_shortfall(ts_ns, exec_id)
        return FillResult(
            fees.total_e8,
            booked.realised_e8,
            booked.closed_lots,
            booked.opened_lots,
            abs(position.instrument.grid.signed_value_e8(price_ticks, side * qty_lots)),
            abs(booked.closed_entry_e8),
            abs(booked.exit_e8),
            fees.opened_before_e8,
            fees.close_e8,
        )

    def mark(self, symbol: str, mark_e10: int) -> None:
        """A new mark price: only the symbol's own positions are computed again."""
        self._marks_e10[symbol] = mark_e10
        if any((p := self._positions.get((symbol, idx))) is not None and p.lots for idx in (0, 1, 2)):
            self._refresh_symbol(symbol)

    def funding(self, ts_ns: int, symbol: str, rate_e10: int) -> list[FundingResult]:
        """Settle the open positions of a symbol at its mark price; nothing without a mark."""
        results = []
        mark = self._marks_e10.get(symbol, 0)
        for position in self.positions(symbol):
            if position.lots == 0 or mark <= 0:
                continue
            cost = funding_fee_e8(position.instrument, position.lots, mark, rate_e10)
            position.charge(ts_ns, cost)
            self.ledger.add(
                ts_ns, Cause.FUNDING, -cost, symbol=symbol, position_idx=position.position_idx, ref=str(ts_ns)
            )
            value = mark_value_e8(position.instrument, position.size, mark, round_up=False)
            results.append(
                FundingResult(
                    symbol, position.position_idx, position.side, position.size, value, cost, rate_e10, mark
                )
            )
        return results

    def transfer(self, ts_ns: int, amount_e8: int, ref: str) -> MarginCode:
        """Deposit (positive) or withdrawal (negative, at most what is available)."""
        if amount_e8 < 0 and -amount_e8 > self.available_e8():
            return MarginCode.NOT_ENOUGH_BALANCE
        self.ledger.add(ts_ns, Cause.DEPOSIT if amount_e8 >= 0 else Cause.WITHDRAWAL, amount_e8, ref=ref)
        return MarginCode.OK

    def cover_shortfall(self, ts_ns: int, ref: str) -> int:
        """A negative balance without positions left is taken over by the insurance fund; returns what it paid."""
        missing = -self.ledger.balance_e8
        if missing <= 0 or any(self._open()):
            return 0
        self.ledger.add(ts_ns, Cause.INSURANCE, missing, ref=ref)
        return missing

    # --- liquidation --------------------------------------------------------------------------------------------

    def liquidations(self) -> list[Due]:
        """What is to be done now; [] when every margin holds. Ask again after doing it (the ladder of MARGIN.md)."""
        if self.cross:
            due = list(self._open()) if self._cross_due() else []
            for position in self._open():
                position.status = PositionStatus.LIQ if due else PositionStatus.NORMAL
            working = tuple(symbol for symbol, holds in self._holds.items() if holds)
            # the position with the largest maintenance margin first: it frees most
            worst = sorted(due, key=lambda p: (-p.mm_e8, p.instrument.symbol, p.position_idx))
            return [self._step(position, working) for position in worst[:1]]
        steps = []
        for position in list(self._open()):
            if self._isolated_due(position) and position.auto_add_margin:
                self._set_extra(position, position.extra_margin_e8 + max(0, min(self.available_e8(), position.im_e8)))
            position.status = PositionStatus.LIQ if self._isolated_due(position) else PositionStatus.NORMAL
            if position.status is PositionStatus.LIQ:
                symbol = position.instrument.symbol
                steps.append(self._step(position, (symbol,) if self._holds.get(symbol) else ()))
        return steps

    def liquidation_refused(self, symbol: str, idx: int) -> None:
        """The FillOrKill of a REDUCE step was not filled: the takeover follows."""
        self.position(symbol, idx).reduce_refused = True

    def bankruptcy_price_ticks(self, symbol: str, idx: int) -> int:
        """Price at which a takeover closes the position."""
        position = self.position(symbol, idx)
        return bankruptcy_ticks(position.instrument, position.side, self._bankruptcy(position))

    def _step(self, p: SimPosition, working: tuple[str, ...]) -> Due:
        symbol = p.instrument.symbol
        bust = self.bankruptcy_price_ticks(symbol, p.position_idx)
        if working:
            return Due(DueKind.CANCEL, symbol, p.position_idx, -p.side, 0, bust, working)
        reduction = 0 if p.reduce_refused else self._reduction_lots(p)
        kind, lots = (DueKind.REDUCE, reduction) if reduction else (DueKind.TAKEOVER, p.size)
        return Due(kind, symbol, p.position_idx, -p.side, lots, bust, ())

    def _reduction_lots(self, p: SimPosition) -> int:
        """Lots to close, at the mark, to reach the highest lower tier that ends the liquidation; 0: there is none."""
        tiers = p.instrument.tiers
        value = self._margin_base_e8(p)
        for index in range(tier_index(tiers, value) - 1, -1, -1):
            left = p.size * tiers[index].limit_value_e8 // value
            if left > 0 and not self._due_after(p, left):
                return p.size - left
        return 0

    def _due_after(self, p: SimPosition, left: int) -> bool:
        base = ceil_div(self._margin_base_e8(p) * left, p.size)
        maintenance = maintenance_e8(p.instrument.tiers, base)
        if not self.cross:
            return maintenance >= (self._isolated_buffer_e8(p) + p.unrealised_e8) * left // p.size
        symbol = p.instrument.symbol
        closed = self._mark_or_entry_e8(p, round_up=True) * (p.size - left) // p.size
        fee = int(fee_up_e8(closed, self.fee_rate_e8(symbol, maker=False)))
        close_fee = self._close_fee_e8(p) * left // p.size
        return self.margin_balance_e8 - fee <= self._mm_e8 - p.mm_e8 + maintenance + close_fee

    def _cross_due(self) -> bool:
        return self._mm_e8 > 0 and self.margin_balance_e8 <= self._mm_e8

    def _isolated_due(self, p: SimPosition) -> bool:
        maintenance = maintenance_e8(p.instrument.tiers, self._margin_base_e8(p))
        return maintenance >= self._isolated_buffer_e8(p) + p.unrealised_e8

    def _isolated_buffer_e8(self, p: SimPosition) -> int:
        """What carries an isolated position: initial margin without the fee, added margin net of the fee it changes."""
        fee = self._margin_fee_e8(p.instrument.symbol)
        return p.im_e8 - self._close_fee_e8(p) + p.extra_margin_e8 * E8 // (E8 - p.side * fee)

    def _liquidation_price_e8(self, p: SimPosition) -> int:
        by_mark = self.spec.rule is MarginRule.MARK_2025
        if not self.cross:
            return liquidation_price_e8(p.instrument, [leg_of(p)], self._isolated_buffer_e8(p), by_mark=by_mark)
        legs = [q for q in self.positions(p.instrument.symbol) if q.lots]
        others = self.margin_balance_e8 - self._mm_e8
        own = sum(q.mm_e8 - q.unrealised_e8 - self._close_fee_e8(q) for q in legs)
        return liquidation_price_e8(p.instrument, [leg_of(q) for q in legs], others + own, by_mark=by_mark)

    def _bankruptcy(self, p: SimPosition) -> Ratio:
        if not self.cross:
            return bankruptcy_ratio(p.instrument, leg_of(p), self._isolated_buffer_e8(p), 0)
        fee = self._margin_fee_e8(p.instrument.symbol)
        return bankruptcy_ratio(p.instrument, leg_of(p), self.margin_balance_e8 - p.unrealised_e8, fee)

    # --- figures ------------------------------------------------------------------------------------------------

    def _open(self) -> Iterator[SimPosition]:
        return (p for p in self._positions.values() if p.lots)

    def _indices(self, symbol: str) -> tuple[int, ...]:
        return (1, 2) if self.position_mode(symbol) is PositionMode.HEDGE else (0,)

    def _leverage_of(self, symbol: str, side: int) -> int:
        hedge = self.position_mode(symbol) is PositionMode.HEDGE
        return self.position(symbol, (1 if side > 0 else 2) if hedge else 0).leverage_e2

    def _closes_leg(self, symbol: str, idx: int, side: int) -> bool:
        return self.position_mode(symbol) is PositionMode.HEDGE and (idx == 1) != (side > 0)

    def _margin_fee_e8(self, symbol: str) -> int:
        return margin_fee_rate_e8(self.fee_rate_e8(symbol, maker=False))

    def _margin_price(self, order: MarginOrder) -> int:
        """A sell is margined at its limit or at the mark, whichever is higher: it may fill up there."""
        instrument = self._instruments[order.symbol]
        mark = self._marks_e10.get(order.symbol, 0)
        if order.side > 0 or mark <= 0:
            return order.price_ticks
        return max(order.price_ticks, mark * 10**instrument.price_exp // (instrument.tick_mant * 10**10))

    def _close_fee_e8(self, p: SimPosition) -> int:
        return close_fee_e8(p.value_e8, p.side, p.leverage_e2, self._margin_fee_e8(p.instrument.symbol))

    def _mark_or_entry_e8(self, p: SimPosition, *, round_up: bool) -> int:
        mark = self._marks_e10.get(p.instrument.symbol, 0)
        return mark_value_e8(p.instrument, p.size, mark, round_up=round_up) if mark > 0 else p.value_e8

    def _margin_base_e8(self, p: SimPosition) -> int:
        """Value the maintenance margin is charged on."""
        by_mark = self.spec.rule is MarginRule.MARK_2025
        return self._mark_or_entry_e8(p, round_up=True) if by_mark else p.value_e8

    def _risk_value_e8(self, symbol: str) -> int:
        """Position plus order value of a symbol, the larger side: what chooses the risk tier shown and limits orders."""
        sides = {1: 0, -1: 0}
        for p in self.positions(symbol):
            if p.lots:
                sides[p.side] += self._margin_base_e8(p)
        holds = self._holds.get(symbol)
        if holds:
            for side in sides:
                lots = self.position(symbol).lots if self.position_mode(symbol) is PositionMode.ONE_WAY else 0
                against = lots * side < 0
                sides[side] += holds.surplus(lots, 100, 0)[0] if against else holds.value_e8[side]
        return max(sides.values())

    def _set_extra(self, p: SimPosition, extra_e8: int) -> None:
        self._extra_e8 += extra_e8 - p.extra_margin_e8
        p.extra_margin_e8 = extra_e8

    def _refresh_all(self) -> None:
        for symbol in {key[0] for key in self._positions} | set(self._holds):
            self._refresh_symbol(symbol)

    def _refresh_symbol(self, symbol: str) -> None:
        for idx in self._indices(symbol):
            position = self._positions.get((symbol, idx))
            if position is not None:
                self._refresh_position(position)
        self._refresh_orders(symbol)

    def _refresh_position(self, p: SimPosition) -> None:
        unrealised = initial = maintenance = 0
        if p.lots:
            base = self._margin_base_e8(p)
            unrealised = p.side * (self._mark_or_entry_e8(p, round_up=p.side < 0) - p.value_e8)
            fee = self._close_fee_e8(p)
            im_base = base if self.cross else p.value_e8
            tier_rate = tier_of(p.instrument.tiers, im_base).im_rate_e8
            initial = max(initial_margin_e8(im_base, p.leverage_e2), ceil_div(im_base * tier_rate, E8)) + fee
            maintenance = maintenance_e8(p.instrument.tiers, base) + fee
        self._unrealised_e8 += unrealised - p.unrealised_e8
        self._im_e8 += initial - p.im_e8
        self._mm_e8 += maintenance - p.mm_e8
        p.unrealised_e8, p.im_e8, p.mm_e8 = unrealised, initial, maintenance

    def _refresh_orders(self, symbol: str) -> None:
        holds = self._holds.get(symbol)
        margin = self._symbol_order_margin_e8(symbol, holds) if holds else 0
        self._order_im_e8 += margin - self._order_margin_e8.get(symbol, 0)
        self._order_margin_e8[symbol] = margin

    def _symbol_order_margin_e8(self, symbol: str, holds: SymbolHolds) -> int:
        if self.position_mode(symbol) is PositionMode.HEDGE:
            return holds.margin_e8[1] + holds.margin_e8[-1]
        p = self.position(symbol)
        if p.lots == 0:
            return max(holds.margin_e8.values())
        against = holds.surplus(p.lots, p.leverage_e2, self._margin_fee_e8(symbol))[1]
        return max(p.im_e8 + holds.margin_e8[p.side], against) - p.im_e8
