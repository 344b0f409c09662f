"""The margin account of one user: positions, holds, margins, funding, liquidation, and a ledger of every cent.

    wallet balance = sum of ledger entries                                     (exactly, after every call)
    available      = wallet + unrealised - position margins - order margins    (cross)
                   = wallet - position margins - added margins - order margins (isolated)

Pure and deterministic: time, prices and ids come in. Formulas, rounding and sources: MARGIN.md. The figures are in
`margin_book`, the ladder of a liquidation in `margin_liquidation`.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.sim.funding import funding_fee_e8
from core.sim.liquidation import adl_rank, bankruptcy_ticks, entry_price_e8
from core.sim.margin_book import MarginBook
from core.sim.margin_holds import SymbolHolds
from core.sim.margin_liquidation import bankruptcy, isolated_due, liquidation_price, next_steps
from core.sim.margin_math import break_even_price_e8, mark_value_e8
from core.sim.margin_types import (
    AccountSpec,
    Cause,
    Due,
    ExecType,
    FillResult,
    FundingResult,
    MarginInstrument,
    MarginMode,
    MarginOrder,
    PositionMode,
    PositionSnapshot,
)
from core.sim.positions import SimPosition
from core.sim.ret_codes import RetCode
from core.sim.risk_tiers import tier_of, value_allowed_e8

CLOSING_CAUSE = {
    ExecType.TRADE: Cause.REALISED,
    ExecType.ADL_TRADE: Cause.ADL,
    ExecType.BUST_TRADE: Cause.LIQUIDATION,
    ExecType.SETTLE: Cause.DELIVERY,
}


class MarginAccount(MarginBook):
    """One account in USDT: what changes it, and the rows it shows."""

    def __init__(self, uid: int, spec: AccountSpec, instruments: Mapping[str, MarginInstrument]) -> None:
        super().__init__(uid, spec, instruments)
        if spec.deposit_e8:
            self.transfer(0, spec.deposit_e8, "deposit")

    def snapshot(self, symbol: str, idx: int = 0) -> PositionSnapshot:
        """The row of a position with every computed figure."""
        p = self.position(symbol, idx)
        tier = tier_of(p.instrument.tiers, self.risk_value_e8(symbol))
        fee = self.margin_fee_e8(symbol)
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
            mark_e10=self.marks_e10.get(symbol, 0),
            im_e8=p.im_e8,
            mm_e8=p.mm_e8,
            liq_price_e8=liquidation_price(self, p) if p.lots else 0,
            bust_price_e8=max(0, bankruptcy(self, p).nearest_e8) if p.lots else 0,
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
            is_reduce_only=self.risk_value_e8(symbol) > value_allowed_e8(p.instrument.tiers, p.leverage_e2),
            created_ns=p.created_ns,
            updated_ns=p.updated_ns,
            opened_ns=p.opened_ns,
            seq=p.seq,
        )

    def adl_rank(self, symbol: str, idx: int = 0) -> int:
        return adl_rank(self.position(symbol, idx))

    # --- settings -----------------------------------------------------------------------------------------------

    def set_leverage(self, symbol: str, buy_e2: int, sell_e2: int) -> RetCode:
        """Leverage of the long and of the short side; equal in one-way mode and in cross margin."""
        instrument = self.instruments[symbol]
        positions = self.positions(symbol)
        wanted = [buy_e2, sell_e2][: len(positions)]
        if (self.cross or len(positions) == 1) and buy_e2 != sell_e2:
            return RetCode.PARAMETER
        if any(
            not instrument.min_leverage_e2 <= value <= instrument.max_leverage_e2 or value % instrument.leverage_step_e2
            for value in wanted
        ):
            return RetCode.PARAMETER
        before = [p.leverage_e2 for p in positions]
        if wanted == before:
            return RetCode.LEVERAGE_UNCHANGED
        if self.risk_value_e8(symbol) > value_allowed_e8(instrument.tiers, max(wanted)):
            return RetCode.LEVERAGE_OVER_TIER
        code = self._try_leverage(symbol, positions, wanted)
        if code is not RetCode.OK:
            self._apply_leverage(symbol, positions, before)
        return code

    def _try_leverage(self, symbol: str, positions: list[SimPosition], wanted: list[int]) -> RetCode:
        before = self.available_e8()
        self._apply_leverage(symbol, positions, wanted)
        if self.available_e8() < min(0, before):
            return RetCode.NOT_ENOUGH_BALANCE
        if not self.cross and any(p.lots and isolated_due(self, p) for p in positions):
            return RetCode.WOULD_LIQUIDATE
        return RetCode.OK

    def _apply_leverage(self, symbol: str, positions: list[SimPosition], leverages: list[int]) -> None:
        for position, leverage in zip(positions, leverages, strict=True):
            position.leverage_e2 = leverage
        holds = self.holds.get(symbol)
        if holds:
            for held in list(holds.orders.values()):
                leverage = self.leverage_of(symbol, held.side)
                held = holds.orders[held.order_id]
                holds.put(
                    held.order_id, held.side, held.lots, held.price_ticks, held.free, leverage, self.margin_fee_e8(symbol)
                )
        self.refresh_symbol(symbol)

    def switch_position_mode(self, mode: PositionMode, symbol: str | None = None) -> RetCode:
        """For one symbol, or for all (symbol None); refused while there are positions or working orders."""
        if symbol is None:
            symbols = {key[0] for key in self.by_key} | set(self.holds) | set(self.position_modes)
            unchanged = self.default_position_mode is mode
        else:
            symbols, unchanged = {symbol}, self.position_mode(symbol) is mode
        if unchanged and all(self.position_mode(name) is mode for name in symbols):
            return RetCode.MODE_UNCHANGED
        if any(p.lots for (name, _), p in self.by_key.items() if name in symbols):
            return RetCode.POSITION_EXISTS
        if any(self.holds[name] for name in symbols if name in self.holds):
            return RetCode.ORDERS_EXIST
        for name in symbols:
            before = [p.leverage_e2 for p in self.positions(name)]
            self.position_modes[name] = mode
            for position, leverage in zip(self.positions(name), (before[0], before[-1]), strict=False):
                position.leverage_e2 = leverage
        if symbol is None:
            self.default_position_mode = mode
        return RetCode.OK

    def set_margin_mode(self, mode: MarginMode) -> RetCode:
        """Isolated or cross for the whole account; refused where the positions could not be carried in it."""
        if mode is self.margin_mode:
            return RetCode.MARGIN_MODE_UNCHANGED
        before = self.margin_mode
        self.margin_mode = mode
        self.refresh_all()
        if self.available_e8() < 0 or any(not self.cross and isolated_due(self, p) for p in self.open_positions()):
            self.margin_mode = before
            self.refresh_all()
            return RetCode.NOT_ENOUGH_BALANCE
        if self.cross:
            for position in self.open_positions():
                self.set_extra(position, 0)
        return RetCode.OK

    def add_margin(self, symbol: str, amount_e8: int, idx: int = 0) -> RetCode:
        """Add (positive) or take back (negative) margin of an isolated position; the wallet balance does not change."""
        position = self.position(symbol, idx)
        if self.cross or position.lots == 0:
            return RetCode.PARAMETER
        if amount_e8 == 0:
            return RetCode.MARGIN_UNCHANGED
        if amount_e8 > self.available_e8():
            return RetCode.NOT_ENOUGH_BALANCE
        if position.extra_margin_e8 + amount_e8 < 0:
            return RetCode.WOULD_LIQUIDATE
        before = position.extra_margin_e8
        self.set_extra(position, before + amount_e8)
        if amount_e8 < 0 and isolated_due(self, position):
            self.set_extra(position, before)
            return RetCode.WOULD_LIQUIDATE
        return RetCode.OK

    # --- orders -------------------------------------------------------------------------------------------------

    def hold(self, order: MarginOrder) -> bool:
        """`reserve` as yes or no."""
        return self.reserve(order) is RetCode.OK

    def reserve(self, order: MarginOrder) -> RetCode:
        """Hold the margin of a working order, or of its amended form; unchanged where it is refused.

        An order that needs no more margin than before is never refused for money (it closes, or is hidden behind the
        larger other side)."""
        symbol = order.symbol
        holds = self.holds.get(symbol)
        if holds is None:
            holds = self.holds[symbol] = SymbolHolds(self.instruments[symbol].grid)
        leverage, fee = self.leverage_of(symbol, order.side), self.margin_fee_e8(symbol)
        free = order.reduce_only or self.closes_leg(symbol, order.position_idx, order.side)
        before, risk_before = self.order_margins_e8.get(symbol, 0), self.risk_value_e8(symbol)
        available = self.available_e8()
        old = holds.orders.get(order.order_id)
        holds.put(order.order_id, order.side, order.leaves_lots, self.margin_price(order), free, leverage, fee)
        self.order_symbol[order.order_id] = symbol
        self.refresh_orders(symbol)
        needed = self.order_margins_e8[symbol] - before
        risk = self.risk_value_e8(symbol)
        code = RetCode.OK
        if risk > risk_before and risk > value_allowed_e8(self.instruments[symbol].tiers, leverage):
            code = RetCode.RISK_LIMIT
        elif needed > 0 and needed > available:
            code = RetCode.NOT_ENOUGH_BALANCE
        if code is not RetCode.OK:
            holds.take(order.order_id)
            if old is not None:
                holds.restore(old)
            else:
                del self.order_symbol[order.order_id]
            self.refresh_orders(symbol)
        return code

    def release(self, order_id: str) -> None:
        """The order ended (or waits for its trigger): nothing is held for it; unknown ids are ignored."""
        symbol = self.order_symbol.pop(order_id, None)
        if symbol is not None:
            self.holds[symbol].take(order_id)
            self.refresh_orders(symbol)

    def _shrink_hold(self, order_id: str, filled_lots: int) -> None:
        symbol = self.order_symbol.get(order_id)
        if symbol is None:
            return
        holds = self.holds[symbol]
        held = holds.orders[order_id]
        if held.lots <= filled_lots:
            holds.take(order_id)
            del self.order_symbol[order_id]
            return
        leverage, fee = self.leverage_of(symbol, held.side), self.margin_fee_e8(symbol)
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
        if self.closes_leg(symbol, idx, side) and qty_lots > position.size:
            raise ValueError(f"{qty_lots} lots would turn hedge leg {idx} of {symbol} over; it holds {position.size}")
        self.extra_e8 -= position.extra_margin_e8
        booked, fees = position.fill(ts_ns, side * qty_lots, price_ticks, fee_rate_e8)
        self.extra_e8 += position.extra_margin_e8
        changes = ((CLOSING_CAUSE[exec_type], booked.realised_e8), (Cause.FEE, -fees.total_e8))
        for cause, change in changes:
            if change:
                self.ledger.add(
                    ts_ns, cause, change, symbol=symbol, position_idx=idx, order_id=order_id, ref=exec_id
                )
        self._shrink_hold(order_id, qty_lots)
        self.refresh_symbol(symbol)
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
        self.marks_e10[symbol] = mark_e10
        if any((p := self.by_key.get((symbol, idx))) is not None and p.lots for idx in (0, 1, 2)):
            self.refresh_symbol(symbol)

    def funding(self, ts_ns: int, symbol: str, rate_e10: int) -> list[FundingResult]:
        """Settle the open positions of a symbol at its mark price; nothing without a mark."""
        results = []
        mark = self.marks_e10.get(symbol, 0)
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

    def transfer(self, ts_ns: int, amount_e8: int, ref: str) -> RetCode:
        """Deposit (positive) or withdrawal (negative, at most what is available)."""
        if amount_e8 < 0 and -amount_e8 > self.available_e8():
            return RetCode.NOT_ENOUGH_BALANCE
        self.ledger.add(ts_ns, Cause.DEPOSIT if amount_e8 >= 0 else Cause.WITHDRAWAL, amount_e8, ref=ref)
        return RetCode.OK

    def cover_shortfall(self, ts_ns: int, ref: str) -> int:
        """A negative balance without positions left is taken over by the insurance fund; returns what it paid."""
        missing = -self.ledger.balance_e8
        if missing <= 0 or any(self.open_positions()):
            return 0
        self.ledger.add(ts_ns, Cause.INSURANCE, missing, ref=ref)
        return missing

    # --- liquidation --------------------------------------------------------------------------------------------

    def liquidations(self) -> list[Due]:
        """What is to be done now; [] when every margin holds. Ask again after doing it (`margin_liquidation`)."""
        return next_steps(self)

    def liquidation_refused(self, symbol: str, idx: int) -> None:
        """The FillOrKill of a REDUCE step was not filled: the takeover follows."""
        self.position(symbol, idx).reduce_refused = True

    def bankruptcy_price_ticks(self, symbol: str, idx: int) -> int:
        """Price at which a takeover closes the position."""
        p = self.position(symbol, idx)
        return bankruptcy_ticks(p.instrument, p.side, bankruptcy(self, p))
