"""The embedded exchange: Bybit's linear perpetuals for any number of accounts, inside a public market fed from outside.

Pure and deterministic: the same calls give the same events and ids. Time comes in as `ts_ns`. Requests answer with a
`Result` at once (accepted or refused); what becomes of an order is told by events (`drain`).

    requests --> checks --> margin --> matching --> events: OrderUpdate, Execution, PositionUpdate, WalletUpdate
    market ----> on_book, on_trades, on_prices, on_funding_rate, advance
    faults ----> force_liquidate, force_adl, force_fill, external_order, vacuum, delist
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core.sim.exchange_settle import SettlingEngine
from core.sim.exchange_state import AccountState, SymbolState
from core.sim.exchange_types import (
    OPEN_STATUSES,
    AmendRequest,
    CancelAllResult,
    CancelType,
    CreateType,
    Event,
    InstrumentSpec,
    OrderFilter,
    OrderRequest,
    OrderStatus,
    OrderType,
    PreCheckResult,
    RejectReason,
    Result,
    SimOrder,
    StopOrderType,
    SymbolStatus,
    TpslMode,
    TradingStopRequest,
    TriggerBy,
)
from core.sim.exchange_views import Views
from core.sim.margin import MarginAccount
from core.sim.margin_types import AccountSpec, MarginMode, PositionMode
from core.sim.orders import order_from
from core.sim.orders_checks import (
    bad,
    check_amend,
    check_create,
    check_notional,
    closes_all,
    largest_lots,
)
from core.sim.queue_model import QueueModel
from core.sim.ret_codes import TEXTS, Refused, RetCode

CANCEL_ALL_MAX = 500


class Exchange(Views):
    """See the module. `seed` chooses the ids; `queue_model` and `power` (exponent of POWER) the queue of our orders."""

    def __init__(self, seed: int = 0, queue_model: QueueModel = QueueModel.RISK_AVERSE, power: float = 3.0) -> None:
        super().__init__(SettlingEngine(seed, queue_model, power))

    # --- set-up -------------------------------------------------------------------------------------------------

    def add_instrument(self, spec: InstrumentSpec) -> None:
        """List a contract."""
        engine = self._engine
        engine.instruments[spec.symbol] = spec
        engine.symbols[spec.symbol] = SymbolState(spec, engine.new_market(), spec.status)

    def add_account(self, uid: int, spec: AccountSpec) -> None:
        """Open an account with its deposit."""
        engine = self._engine
        margin = MarginAccount(uid, spec, engine.instruments)
        engine.accounts[uid] = AccountState(uid, margin, wallet_mark=(margin.wallet().wallet_balance_e8, 0, 0))

    def drain(self) -> list[Event]:
        """Events since the last call, in the order they happened."""
        events, self._engine.events = self._engine.events, []
        return events

    # --- orders -------------------------------------------------------------------------------------------------

    def create_order(
        self, ts_ns: int, uid: int, request: OrderRequest, create_type: CreateType = CreateType.USER
    ) -> Result:
        """Place an order. Accepted does not mean alive: a post-only order that would take is Cancelled by event."""
        engine = self._engine

        def create(state: SymbolState, account: AccountState) -> tuple[str, str]:
            check_create(state, account, request)
            order = order_from(ts_ns, uid, engine.ids.next(), request, state.last_ticks, create_type)
            if order.status is OrderStatus.UNTRIGGERED:
                engine.admit(account, order)
                return order.order_id, order.order_link_id
            left = self._prepare(state, account, order, request)
            engine.admit(account, order)
            engine.arrive(ts_ns, state, account, order)
            while left > 0 and engine.closable_lots(order):  # a reduce-only order above the largest size is split
                rest = replace(request, order_link_id="", qty_lots=left)
                part = order_from(ts_ns, uid, engine.ids.next(), rest, state.last_ticks, create_type)
                left = self._prepare(state, account, part, rest)
                engine.admit(account, part)
                engine.arrive(ts_ns, state, account, part)
            return order.order_id, order.order_link_id

        return self._do(ts_ns, uid, request.symbol, create, request.order_link_id)

    def _prepare(self, state: SymbolState, account: AccountState, order: SimOrder, request: OrderRequest) -> int:
        """Fit quantity and price, then hold the margin. Returns the lots beyond the largest order size that a
        reduce-only order still wants. Raises Refused; nothing is left held then."""
        engine = self._engine
        beyond = 0
        if engine.only_reduces(order):
            closable = engine.closable_lots(order)
            if closable == 0:
                raise Refused(RetCode.REDUCE_ONLY)
            largest = largest_lots(state, market=order.order_type is OrderType.MARKET)
            wanted = largest if closes_all(request) else order.qty_lots
            order.qty_lots = order.leaves_lots = min(wanted, closable, largest)
            beyond = min(wanted, closable) - order.qty_lots
        if order.order_type is OrderType.MARKET:
            order.price_ticks = engine.market_price_ticks(state, order)
            if not order.price_ticks:
                raise Refused(RetCode.NO_LIQUIDITY)
        else:
            order.price_ticks = engine.inside_limit(state, order.side, order.price_ticks)
        if not engine.only_reduces(order):
            value_ticks = order.price_ticks if order.order_type is OrderType.LIMIT else state.reference_ticks()
            check_notional(state, order.qty_lots, value_ticks)
        code = engine.reserve(account, order)
        if code is not RetCode.OK:
            raise Refused(code)
        return beyond

    def amend_order(self, ts_ns: int, uid: int, request: AmendRequest) -> Result:
        """Change a working or untriggered order. Fewer lots keep the queue place; a new price or more lots lose it."""

        def amend(state: SymbolState, account: AccountState) -> tuple[str, str]:
            order = self._open_order(account, request.symbol, request.order_id, request.order_link_id)
            check_amend(state, order, request)
            self._amend(ts_ns, state, account, order, request)
            return order.order_id, order.order_link_id

        return self._do(ts_ns, uid, request.symbol, amend, request.order_link_id)

    def _amend(
        self, ts_ns: int, state: SymbolState, account: AccountState, order: SimOrder, request: AmendRequest
    ) -> None:
        engine = self._engine
        price, lots, leaves = order.price_ticks, order.qty_lots, order.leaves_lots
        if request.price_ticks is not None:
            order.price_ticks = request.price_ticks
            if order.status is not OrderStatus.UNTRIGGERED:
                order.price_ticks = engine.inside_limit(state, order.side, request.price_ticks)
        if request.qty_lots is not None:
            order.qty_lots = request.qty_lots
            order.leaves_lots = request.qty_lots - order.cum_qty_lots
            if engine.only_reduces(order) and order.status is not OrderStatus.UNTRIGGERED:
                order.leaves_lots = min(order.leaves_lots, engine.closable_lots(order))
                order.qty_lots = order.cum_qty_lots + order.leaves_lots
        if order.status is not OrderStatus.UNTRIGGERED:
            code = engine.reserve(account, order)
            if code is not RetCode.OK:
                order.price_ticks, order.qty_lots, order.leaves_lots = price, lots, leaves
                raise Refused(code)
        for name in ("trigger_price_ticks", "trigger_by", "take_profit_ticks", "stop_loss_ticks", "tp_trigger_by",
                     "sl_trigger_by", "tpsl_mode", "tp_limit_ticks", "sl_limit_ticks"):
            value = getattr(request, name)
            if value is not None:
                setattr(order, name, value)
        self._name_defaults(order)
        engine.touch(order)
        if order.stop_order_type in (StopOrderType.TAKE_PROFIT, StopOrderType.STOP_LOSS):
            self._move_position_stop(account, order)
        if order.status is OrderStatus.UNTRIGGERED:
            return
        if order.price_ticks != price or order.leaves_lots > leaves:
            engine.requeue(ts_ns, state, account, order)
        elif order.leaves_lots < leaves:
            engine.resize(order)

    @staticmethod
    def _name_defaults(order: SimOrder) -> None:
        if order.take_profit_ticks and order.tp_trigger_by is TriggerBy.NONE:
            order.tp_trigger_by = TriggerBy.LAST
        if order.stop_loss_ticks and order.sl_trigger_by is TriggerBy.NONE:
            order.sl_trigger_by = TriggerBy.LAST
        if (order.take_profit_ticks or order.stop_loss_ticks) and order.tpsl_mode is TpslMode.NONE:
            order.tpsl_mode = TpslMode.FULL

    @staticmethod
    def _move_position_stop(account: AccountState, order: SimOrder) -> None:
        position = account.margin.position(order.symbol, order.position_idx)
        if order.stop_order_type is StopOrderType.TAKE_PROFIT:
            position.take_profit_ticks = order.trigger_price_ticks
        else:
            position.stop_loss_ticks = order.trigger_price_ticks

    def cancel_order(
        self, ts_ns: int, uid: int, symbol: str, order_id: str = "", order_link_id: str = "",
        cancel_type: CancelType = CancelType.USER,
    ) -> Result:
        """Cancel one order by id (wins) or link id."""

        def cancel(_state: SymbolState, account: AccountState) -> tuple[str, str]:
            order = self._open_order(account, symbol, order_id, order_link_id)
            self._cancel(ts_ns, account, order, cancel_type)
            return order.order_id, order.order_link_id

        return self._do(ts_ns, uid, symbol, cancel, order_link_id)

    def _cancel(self, ts_ns: int, account: AccountState, order: SimOrder, cancel_type: CancelType) -> None:
        waiting = order.status is OrderStatus.UNTRIGGERED
        self._engine.end(
            ts_ns, order, OrderStatus.DEACTIVATED if waiting else OrderStatus.CANCELLED, cancel_type,
            RejectReason.PER_CANCEL_REQUEST,
        )
        self._engine.position_changed(ts_ns, account, order.symbol, order.position_idx)

    def cancel_all(
        self, ts_ns: int, uid: int, symbol: str | None = None, order_filter: OrderFilter = OrderFilter.ALL,
        cancel_type: CancelType = CancelType.USER,
    ) -> CancelAllResult:
        """Cancel the orders of a symbol, or of all, of the kinds the filter names; at most 500."""
        account = self._engine.accounts[uid]
        if symbol is not None and symbol not in self._engine.symbols:
            return CancelAllResult(Result(RetCode.PARAMETER, "params error: symbol invalid"), [])
        wanted = [o for o in account.open_orders(symbol) if self.matches(o, order_filter)][:CANCEL_ALL_MAX]
        for order in wanted:
            if order.status in OPEN_STATUSES:
                self._cancel(ts_ns, account, order, cancel_type)
        self._engine.flush(ts_ns)
        return CancelAllResult(
            Result(RetCode.OK, TEXTS[RetCode.OK]), [(o.order_id, o.order_link_id) for o in wanted]
        )

    def pre_check(self, ts_ns: int, uid: int, request: OrderRequest) -> PreCheckResult:
        """What margin rates the account would have with this order (cross margin, no conditional orders)."""
        rates: list[int] = []

        def check(state: SymbolState, account: AccountState) -> tuple[str, str]:
            if request.trigger_price_ticks or not account.margin.cross:
                raise bad("pre-check supports neither conditional orders nor isolated margin")
            check_create(state, account, request)
            order = order_from(ts_ns, uid, "pre-check", request, state.last_ticks, CreateType.USER)
            before = account.margin.wallet()
            self._prepare(state, account, order, request)
            after = account.margin.wallet()
            account.margin.release(order.order_id)
            rates.extend(
                rate // 10_000
                for rate in (before.im_rate_e8, before.mm_rate_e8, after.im_rate_e8, after.mm_rate_e8)
            )
            return "", request.order_link_id

        result = self._do(ts_ns, uid, request.symbol, check, request.order_link_id)
        return PreCheckResult(result, *rates)

    @staticmethod
    def _open_order(account: AccountState, symbol: str, order_id: str, order_link_id: str) -> SimOrder:
        if not order_id and not order_link_id:
            raise bad("params error: orderId and orderLinkId cannot both be empty")
        order = account.find(order_id, order_link_id)
        if order is None or order.symbol != symbol or order.status not in OPEN_STATUSES:
            raise Refused(RetCode.ORDER_NOT_FOUND)
        return order

    def _do(
        self, ts_ns: int, uid: int, symbol: str, action: Callable[[SymbolState, AccountState], tuple[str, str]],
        order_link_id: str = "",
    ) -> Result:
        """Run one request: its events are flushed, its refusal becomes the Result."""
        state = self._engine.symbols.get(symbol)
        if state is None:
            return Result(RetCode.PARAMETER, "params error: symbol invalid", "", order_link_id)
        try:
            ids = action(state, self._engine.accounts[uid])
        except Refused as refused:
            return Result(refused.code, refused.text, "", order_link_id)
        self._engine.flush(ts_ns)
        return Result(RetCode.OK, TEXTS[RetCode.OK], *ids)

    # --- positions ----------------------------------------------------------------------------------------------

    def set_trading_stop(self, ts_ns: int, uid: int, request: TradingStopRequest) -> Result:
        """Take profit, stop loss and trailing stop of an open position."""

        def change(_state: SymbolState, account: AccountState) -> tuple[str, str]:
            self._engine.trading_stop(ts_ns, account, request)
            return "", ""

        return self._do(ts_ns, uid, request.symbol, change)

    def _setting(self, ts_ns: int, uid: int, symbol: str, change: Callable[[MarginAccount], RetCode]) -> Result:
        def apply(state: SymbolState, account: AccountState) -> tuple[str, str]:
            if state.mark_e10:
                account.margin.mark(symbol, state.mark_e10)
            code = change(account.margin)
            if code is not RetCode.OK:
                raise Refused(code)
            for position in account.margin.positions(symbol):
                self._engine.touch_position(uid, symbol, position.position_idx)
            return "", ""

        return self._do(ts_ns, uid, symbol, apply)

    def set_leverage(self, ts_ns: int, uid: int, symbol: str, buy_e2: int, sell_e2: int) -> Result:
        """Leverage in 1/100 for the long and the short side."""
        return self._setting(ts_ns, uid, symbol, lambda margin: margin.set_leverage(symbol, buy_e2, sell_e2))

    def add_margin(self, ts_ns: int, uid: int, symbol: str, amount_e8: int, position_idx: int = 0) -> Result:
        """Add (or with a minus take back) margin of an isolated position."""
        return self._setting(ts_ns, uid, symbol, lambda margin: margin.add_margin(symbol, amount_e8, position_idx))

    def switch_position_mode(self, uid: int, mode: PositionMode, symbol: str | None = None) -> Result:
        """One-way or hedge, for a symbol or for all of them; refused with positions or any open order."""
        account = self._engine.accounts[uid]
        if symbol is not None and symbol not in self._engine.symbols:
            return Result(RetCode.PARAMETER, "params error: symbol invalid")
        waiting = any(account.margin.position_mode(o.symbol) is not mode for o in account.open_orders(symbol))
        if waiting and not any(p.lots for p in account.margin.positions(symbol)):
            return Result(RetCode.ORDERS_EXIST, TEXTS[RetCode.ORDERS_EXIST])  # untriggered ones too: they hold no margin
        code = account.margin.switch_position_mode(mode, symbol)
        return Result(code, TEXTS[code])

    def set_margin_mode(self, ts_ns: int, uid: int, mode: MarginMode) -> Result:
        """Isolated or cross, account-wide."""
        account = self._engine.accounts[uid]
        code = account.margin.set_margin_mode(mode)
        if code is RetCode.OK:
            for position in account.margin.positions():
                self._engine.touch_position(uid, position.instrument.symbol, position.position_idx)
            self._engine.flush(ts_ns)
        return Result(code, TEXTS[code])

    def set_risk_id(self, uid: int, symbol: str) -> Result:
        """Risk limits are automatic: Bybit refuses to set them."""
        known = symbol in self._engine.symbols and uid in self._engine.accounts
        return Result(RetCode.PARAMETER, "Risk limit is adjusted automatically" if known else "symbol invalid")

    # --- the market ---------------------------------------------------------------------------------------------

    def on_book(self, ts_ns: int, symbol: str, bids: np.ndarray, asks: np.ndarray, is_snapshot: bool) -> None:
        """New levels int64[n, 2] (price ticks, lots; lots 0 deletes a level; a snapshot replaces the book)."""
        state = self._engine.symbols[symbol]
        fills = state.market.apply(bids, asks, is_snapshot)
        if fills:
            self._engine.book_resting(ts_ns, state, fills)
            self._engine.flush(ts_ns)

    def on_trades(self, ts_ns: int, symbol: str, rows: np.ndarray) -> None:
        """Public trades int64[n, 3]: price ticks, lots, aggressor (+1, -1; 0 for RPI prints, which meet no displayed
        order). Block trades are not to be passed."""
        engine = self._engine
        state = engine.symbols[symbol]
        if not len(rows):
            return
        if not state.market.n_own and not state.stops:
            state.last_ticks = int(rows[-1, 0])
            return
        rows = np.array(rows, np.int64)  # a read-only or strided array would compile the kernel once more
        at = 0
        while at < len(rows):
            rise, fall = engine.thresholds(state)
            at, fills = state.market.match_next(rows, at, rise, fall)
            state.last_ticks = int(rows[at - 1, 0])
            if fills:
                engine.book_resting(ts_ns, state, fills)
                engine.flush(ts_ns)
            if state.stops:
                engine.check_stops(ts_ns, state, (TriggerBy.LAST,))

    def on_prices(self, ts_ns: int, symbol: str, mark_e10: int, index_e10: int) -> None:
        """Mark and index price in 1e-10 USDT (0 = unchanged)."""
        engine = self._engine
        state = engine.symbols[symbol]
        state.mark_e10 = mark_e10 or state.mark_e10
        state.index_e10 = index_e10 or state.index_e10
        state.note_premium(ts_ns)
        if state.stops:
            engine.check_stops(ts_ns, state, (TriggerBy.MARK, TriggerBy.INDEX))
        if state.holders:
            engine.check_margins(ts_ns, state)
            engine.flush(ts_ns)

    def on_funding_rate(self, symbol: str, rate_e10: int) -> None:
        """The rate of the next settlement, 1e-10."""
        self._engine.symbols[symbol].funding_rate_e10 = rate_e10

    def advance(self, ts_ns: int) -> None:
        """Timers: funding settlements due up to `ts_ns`."""
        for state in self._engine.symbols.values():
            if ts_ns >= state.next_funding_ns:
                self._engine.settle_funding(ts_ns, state)

    # --- happenings on demand -----------------------------------------------------------------------------------

    def force_liquidate(self, ts_ns: int, uid: int, symbol: str, position_idx: int = 0) -> bool:
        """Take a position over at its bankruptcy price, whatever its margin. False: there is none."""
        account = self._engine.accounts[uid]
        position = account.margin.position(symbol, position_idx)
        if position.lots == 0:
            return False
        for order in account.open_orders(symbol):
            if order.status is not OrderStatus.UNTRIGGERED:
                self._engine.end(ts_ns, order, OrderStatus.CANCELLED, CancelType.ALL_BEFORE_LIQ,
                                 RejectReason.PER_CANCEL_REQUEST)
        price = account.margin.bankruptcy_price_ticks(symbol, position_idx)
        self._engine.take_over(ts_ns, account, symbol, position_idx, -position.side, position.size, price)
        self._engine.flush(ts_ns)
        return True

    def force_adl(
        self, ts_ns: int, uid: int, symbol: str, lots: int = 0, price_ticks: int = 0, position_idx: int = 0
    ) -> bool:
        """Auto-deleverage `lots` (0 = all) of a position at a price (0 = the mark). False: there is none."""
        state, account = self._engine.symbols[symbol], self._engine.accounts[uid]
        position = account.margin.position(symbol, position_idx)
        price = price_ticks or state.ticks(state.mark_e10, round_up=False) or state.reference_ticks()
        if position.lots == 0 or not price:
            return False
        self._engine.adl(ts_ns, account, symbol, position_idx, lots or position.size, price)
        self._engine.flush(ts_ns)
        return True

    def force_fill(self, ts_ns: int, uid: int, order_id: str, lots: int = 0) -> bool:
        """Fill `lots` (0 = all) of a working order at its price, as if somebody had hit it."""
        order = self._engine.accounts[uid].orders.get(order_id)
        if order is None or order.status not in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
            return False
        lots = min(lots or order.leaves_lots, order.leaves_lots)
        self._engine.fill(ts_ns, order, lots, order.price_ticks, maker=True)
        if order.leaves_lots:
            self._engine.resize(order)
        self._engine.flush(ts_ns)
        return True

    def external_order(
        self, ts_ns: int, uid: int, request: OrderRequest, create_type: CreateType = CreateType.USER
    ) -> Result:
        """An order of the same account that our client has not sent (a phone, another key, a grid bot)."""
        return self.create_order(ts_ns, uid, request, create_type)

    def vacuum(self, ts_ns: int, symbol: str, seconds: float) -> None:
        """For so long no arriving order meets public liquidity."""
        self._engine.symbols[symbol].vacuum_until_ns = ts_ns + int(seconds * 1e9)

    def delist(self, ts_ns: int, symbol: str, *, final: bool = False) -> None:
        """Delivering: only orders that reduce; `final`: closed, all orders cancelled."""
        status = SymbolStatus.CLOSED if final else SymbolStatus.DELIVERING
        self._engine.close_contract(ts_ns, self._engine.symbols[symbol], status)
