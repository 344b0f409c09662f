"""What the exchange does to positions by itself: funding, liquidation, auto-deleveraging, the end of a contract."""

from __future__ import annotations

from core.sim.exchange_state import AccountState, SymbolState
from core.sim.exchange_stops import StopEngine
from core.sim.exchange_types import (
    CancelType,
    CreateType,
    Execution,
    OrderStatus,
    OrderType,
    RejectReason,
    StopOrderType,
    SymbolStatus,
    TimeInForce,
)
from core.sim.funding import next_funding_ns
from core.sim.liquidation import adl_score_e8
from core.sim.margin_types import Due, DueKind, ExecType

MAX_LIQUIDATION_STEPS = 64


class SettlingEngine(StopEngine):
    """Engine with funding and liquidation."""

    # --- funding ------------------------------------------------------------------------------------------------

    def settle_funding(self, ts_ns: int, state: SymbolState) -> None:
        """Every settlement instant up to `ts_ns`, at the mark price and rate known now."""
        interval = state.spec.funding_interval_ns
        if not state.next_funding_ns:
            state.next_funding_ns = next_funding_ns(ts_ns - 1, interval)
        while 0 < state.next_funding_ns <= ts_ns:
            at = state.next_funding_ns
            for uid in sorted(state.holders):
                self._fund(at, state, self.accounts[uid])
            self.flush(ts_ns)
            state.next_funding_ns = next_funding_ns(at, interval)

    def _fund(self, ts_ns: int, state: SymbolState, account: AccountState) -> None:
        symbol = state.spec.symbol
        for result in account.margin.funding(ts_ns, symbol, state.funding_rate_e10):
            self.seq += 1
            execution = Execution(
                uid=account.uid, ts_ns=ts_ns, exec_id=self.ids.next(), exec_type=ExecType.FUNDING, symbol=symbol,
                side=result.side, position_idx=result.position_idx, order_id=self.ids.next(), order_link_id="",
                order_type=OrderType.UNKNOWN, stop_order_type=StopOrderType.NONE, create_type=CreateType.USER,
                order_price_ticks=0, order_qty_lots=0, leaves_lots=0, price_ticks=0, qty_lots=result.lots,
                value_e8=result.value_e8, fee_e8=result.fee_e8, fee_rate_e8=state.funding_rate_e10 // 100,
                is_maker=False, closed_lots=0, exec_pnl_e8=0, mark_e10=result.mark_e10, index_e10=state.index_e10,
                seq=self.seq,
            )
            account.executions.append(execution)
            self.events.append(execution)
            self.touch_position(account.uid, symbol, result.position_idx)

    # --- liquidation --------------------------------------------------------------------------------------------

    def check_margins(self, ts_ns: int, state: SymbolState) -> None:
        """A new mark price: carry out the liquidations it makes due."""
        symbol = state.spec.symbol
        for uid in sorted(state.holders):
            account = self.accounts[uid]
            if not any(account.margin.position(symbol, p.position_idx).lots for p in account.margin.positions(symbol)):
                state.holders.discard(uid)
                continue
            account.margin.mark(symbol, state.mark_e10)
            self.liquidate(ts_ns, account)

    def liquidate(self, ts_ns: int, account: AccountState) -> None:
        """Step by step until every margin holds: cancel orders, reduce to a lower tier, take over."""
        for _ in range(MAX_LIQUIDATION_STEPS):
            steps = account.margin.liquidations()
            if not steps:
                return
            self._liquidation_step(ts_ns, account, steps[0])
            self.flush(ts_ns)

    def _liquidation_step(self, ts_ns: int, account: AccountState, due: Due) -> None:
        if due.kind is DueKind.CANCEL:
            for symbol in due.cancel_symbols:
                for order in account.open_orders(symbol):
                    if order.status is not OrderStatus.UNTRIGGERED:
                        self.end(ts_ns, order, OrderStatus.CANCELLED, CancelType.ALL_BEFORE_LIQ,
                                 RejectReason.PER_CANCEL_REQUEST)
            return
        if due.kind is DueKind.REDUCE:
            order = self.system_order(ts_ns, account, due.symbol, due.position_idx, due.side, due.lots,
                                      due.bust_price_ticks, CreateType.LIQUIDATION)
            order.tif = TimeInForce.FOK
            self.arrive(ts_ns, self.symbols[due.symbol], account, order)
            if order.cum_qty_lots < due.lots:
                account.margin.liquidation_refused(due.symbol, due.position_idx)
            return
        self.take_over(ts_ns, account, due.symbol, due.position_idx, due.side, due.lots, due.bust_price_ticks)

    def take_over(
        self, ts_ns: int, account: AccountState, symbol: str, idx: int, side: int, lots: int, bust_ticks: int
    ) -> None:
        """The liquidation engine takes a position at its bankruptcy price. The insurance fund carries the difference to
        the mark; a fund without money deleverages the other side instead."""
        state = self.symbols[symbol]
        order = self.system_order(ts_ns, account, symbol, idx, side, lots, bust_ticks, CreateType.TAKE_OVER)
        self.fill(ts_ns, order, lots, bust_ticks, maker=False, exec_type=ExecType.BUST_TRADE)
        exit_ticks = state.ticks(state.mark_e10, round_up=False) or bust_ticks
        change = self.fund.settle(state.spec, -side, lots, bust_ticks, exit_ticks)
        if self.fund.balance_e8 < 0 and change < 0:
            self.fund.balance_e8 -= change
            self.deleverage(ts_ns, state, -side, lots, bust_ticks)

    def deleverage(self, ts_ns: int, state: SymbolState, side: int, lots: int, price_ticks: int) -> int:
        """Close up to `lots` of positions against a bankrupt one of sign `side`, best ranked first. Returns the lots
        closed (who else would be deleveraged does not exist here)."""
        symbol = state.spec.symbol
        ranked = []
        for uid in sorted(state.holders):
            for position in self.accounts[uid].margin.positions(symbol):
                if position.side == -side:
                    ranked.append((-adl_score_e8(position), uid, position.position_idx, position.size))
        left = lots
        for _, uid, idx, size in sorted(ranked):
            if left == 0:
                break
            self.adl(ts_ns, self.accounts[uid], symbol, idx, min(left, size), price_ticks)
            left -= min(left, size)
        return lots - left

    def adl(
        self, ts_ns: int, account: AccountState, symbol: str, idx: int, lots: int, price_ticks: int
    ) -> None:
        """Auto-deleverage a position: its orders go, `lots` are closed at the price without fee."""
        position = account.margin.position(symbol, idx)
        if position.lots == 0:
            return
        for order in account.open_orders(symbol):
            if order.position_idx == idx and order.status is not OrderStatus.UNTRIGGERED:
                self.end(ts_ns, order, OrderStatus.CANCELLED, CancelType.ALL_BEFORE_ADL,
                         RejectReason.PER_CANCEL_REQUEST)
        lots = min(lots, position.size)
        order = self.system_order(ts_ns, account, symbol, idx, -position.side, lots, price_ticks, CreateType.ADL)
        self.fill(ts_ns, order, lots, price_ticks, maker=False, exec_type=ExecType.ADL_TRADE)

    # --- the end of a contract ----------------------------------------------------------------------------------

    def close_contract(self, ts_ns: int, state: SymbolState, status: SymbolStatus) -> None:
        """Delivering: only reducing orders live on. Closed: all orders go (CancelBySettle), then every position is
        settled without fee at the index price, without one at the mark or the last price. (Bybit takes the mean index
        of the last half hour.)"""
        state.status = status
        for account in self.accounts.values():
            for order in account.open_orders(state.spec.symbol):
                if status is SymbolStatus.CLOSED or not self.only_reduces(order):
                    waiting = order.status is OrderStatus.UNTRIGGERED
                    self.end(ts_ns, order, OrderStatus.DEACTIVATED if waiting else OrderStatus.CANCELLED,
                             CancelType.SETTLE, RejectReason.INVALID_SYMBOL_STATUS)
        if status is SymbolStatus.CLOSED:
            self._settle_positions(ts_ns, state)
        self.flush(ts_ns)

    def _settle_positions(self, ts_ns: int, state: SymbolState) -> None:
        symbol = state.spec.symbol
        price = state.ticks(state.index_e10 or state.mark_e10, round_up=False) or state.reference_ticks()
        for uid in sorted(state.holders) if price else ():
            account = self.accounts[uid]
            for position in account.margin.positions(symbol):
                if position.lots:
                    order = self.system_order(ts_ns, account, symbol, position.position_idx, -position.side,
                                              position.size, price, CreateType.SETTLE)
                    self.fill(ts_ns, order, order.qty_lots, price, maker=False, exec_type=ExecType.SETTLE)
