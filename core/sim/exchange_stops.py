"""Orders that wait for a price: conditional orders, take profit / stop loss (Full and Partial), trailing stops.

    create with triggerPrice ----> Untriggered --price reaches it--> Triggered -> arrives as a market or limit order
    attached TP/SL: entry fills -> Untriggered pair, Full: for the whole position, Partial: for what the entry filled
    one of a pair triggers ------> the other is Deactivated (OCO);  position closed -> all Deactivated (TpSlTsClear)

A trailing stop follows the best last price since it became active at `trailing_ticks` distance. No margin is held for
an untriggered order; one that cannot be held at its trigger is Rejected.
"""

from __future__ import annotations

from core.sim.exchange_engine import Engine
from core.sim.exchange_state import AccountState, SymbolState
from core.sim.exchange_types import (
    OPEN_STATUSES,
    CancelType,
    CreateType,
    OrderStatus,
    OrderType,
    RejectReason,
    SimOrder,
    StopOrderType,
    SymbolStatus,
    TimeInForce,
    TpslMode,
    TradingStopRequest,
    TriggerBy,
)
from core.sim.matching_book import NO_TRIGGER
from core.sim.orders_checks import MAX_PARTIAL_TPSL, bad, check_position_idx, check_tpsl_prices
from core.sim.ret_codes import Refused, RetCode

TP, SL = True, False
KINDS = {
    (TpslMode.FULL, TP): (StopOrderType.TAKE_PROFIT, CreateType.TAKE_PROFIT),
    (TpslMode.FULL, SL): (StopOrderType.STOP_LOSS, CreateType.STOP_LOSS),
    (TpslMode.PARTIAL, TP): (StopOrderType.PARTIAL_TAKE_PROFIT, CreateType.PARTIAL_TAKE_PROFIT),
    (TpslMode.PARTIAL, SL): (StopOrderType.PARTIAL_STOP_LOSS, CreateType.PARTIAL_STOP_LOSS),
}
TAKE_PROFITS = (StopOrderType.TAKE_PROFIT, StopOrderType.PARTIAL_TAKE_PROFIT)
PARTIALS = (StopOrderType.PARTIAL_TAKE_PROFIT, StopOrderType.PARTIAL_STOP_LOSS)
FULLS = (StopOrderType.TAKE_PROFIT, StopOrderType.STOP_LOSS)
POSITION_STOPS = (*FULLS, *PARTIALS, StopOrderType.TRAILING_STOP)


class StopEngine(Engine):
    """Engine with stop orders."""

    # --- triggers -----------------------------------------------------------------------------------------------

    def thresholds(self, state: SymbolState) -> tuple[int, int]:
        """Last prices that reach a trigger: (rise, fall). A trailing stop wants to see every price."""
        rise, fall = NO_TRIGGER
        for order in state.stops.values():
            if order.stop_order_type is StopOrderType.TRAILING_STOP:
                return fall, fall
            if order.trigger_by is TriggerBy.LAST:
                if order.trigger_direction == 1:
                    rise = min(rise, order.trigger_price_ticks)
                else:
                    fall = max(fall, order.trigger_price_ticks)
        return rise, fall

    def check_stops(self, ts_ns: int, state: SymbolState, sources: tuple[TriggerBy, ...]) -> None:
        """Trigger what the present prices of these sources reach, oldest first."""
        if state.status is SymbolStatus.CLOSED:
            return
        for order in list(state.stops.values()):
            if order.order_id not in state.stops or order.trigger_by not in sources:
                continue
            if order.stop_order_type is StopOrderType.TRAILING_STOP:
                self._trail(order, state.last_ticks)
            now = state.trigger_e10(order.trigger_by)
            if not now or not order.trigger_price_ticks:
                continue
            trigger = state.e10(order.trigger_price_ticks)
            if now >= trigger if order.trigger_direction == 1 else now <= trigger:
                self._trigger(ts_ns, state, order)
                self.flush(ts_ns)

    def _trail(self, order: SimOrder, last_ticks: int) -> None:
        """Move the trigger of a trailing stop; `order.side` closes the position, so the stop follows against it."""
        if not last_ticks:
            return
        side = -order.side
        if order.active_price_ticks:
            if side * (last_ticks - order.active_price_ticks) < 0:
                return
            order.active_price_ticks = 0
        trigger = last_ticks - side * order.trailing_ticks
        if not order.trigger_price_ticks or side * (trigger - order.trigger_price_ticks) > 0:
            order.trigger_price_ticks = trigger

    def _trigger(self, ts_ns: int, state: SymbolState, order: SimOrder) -> None:
        account = self.accounts[order.uid]
        del state.stops[order.order_id]
        order.status = OrderStatus.TRIGGERED
        self.tell_now(ts_ns, order)
        self._end_other(ts_ns, account, order)
        if self.only_reduces(order):
            closable = self.closable_lots(order)
            if closable == 0:
                self.shrink(ts_ns, order, 0)
                return
            lots = min(order.leaves_lots, closable) if order.stop_order_type not in FULLS else closable
            order.qty_lots = order.leaves_lots = lots
        if order.order_type is OrderType.MARKET:
            order.price_ticks = self.market_price_ticks(state, order)
        else:
            order.price_ticks = self.inside_limit(state, order.side, order.price_ticks)
        if self.reserve(account, order) is not RetCode.OK:
            self.end(ts_ns, order, OrderStatus.REJECTED, reject=RejectReason.OTHERS)
            return
        self.arrive(ts_ns, state, account, order)

    @staticmethod
    def inside_limit(state: SymbolState, side: int, price_ticks: int) -> int:
        """A limit price beyond the price limit is silently moved to it."""
        limit = state.price_limit_ticks(side)
        return limit if limit and side * (price_ticks - limit) > 0 else price_ticks

    def _end_other(self, ts_ns: int, account: AccountState, order: SimOrder) -> None:
        """One cancels the other: the rest of a TP/SL pair goes when one of it triggers."""
        is_tp = order.stop_order_type in TAKE_PROFITS
        cancel = CancelType.SL_BY_TP if is_tp else CancelType.TP_BY_SL
        if order.stop_order_type in PARTIALS:
            other = account.orders.get(order.oco_order_id)
            if other is not None and other.status is OrderStatus.UNTRIGGERED:
                self.end(ts_ns, other, OrderStatus.DEACTIVATED, cancel)
        elif order.stop_order_type in FULLS:
            position = account.margin.position(order.symbol, order.position_idx)
            position.take_profit_ticks = position.stop_loss_ticks = 0
            for other in self.position_stops(account, order.symbol, order.position_idx, FULLS):
                if other is not order:
                    self.end(ts_ns, other, OrderStatus.DEACTIVATED, cancel)

    # --- take profit and stop loss ------------------------------------------------------------------------------

    def position_stops(
        self, account: AccountState, symbol: str, idx: int, kinds: tuple[StopOrderType, ...]
    ) -> list[SimOrder]:
        """Untriggered TP/SL/trailing orders of a position, oldest first."""
        return [
            order for order in account.open.get(symbol, {}).values()
            if order.stop_order_type in kinds and order.position_idx == idx
            and order.status is OrderStatus.UNTRIGGERED
        ]

    def after_fill(self, ts_ns: int, order: SimOrder) -> None:
        account = self.accounts[order.uid]
        position = account.margin.position(order.symbol, order.position_idx)
        self.position_changed(ts_ns, account, order.symbol, order.position_idx)  # first: a turned position has none left
        if position.side == order.side and (order.take_profit_ticks or order.stop_loss_ticks):
            self._attach(ts_ns, account, order)

    def position_changed(self, ts_ns: int, account: AccountState, symbol: str, idx: int) -> None:
        """Orders that may only reduce are fitted to the position; stops of a closed or turned position go."""
        position = account.margin.position(symbol, idx)
        for order in list(account.open.get(symbol, {}).values()):
            if order.position_idx != idx or order.status not in OPEN_STATUSES:
                continue
            against = order.side * position.lots < 0
            if order.stop_order_type in POSITION_STOPS and order.status is OrderStatus.UNTRIGGERED:
                if not against:
                    self.end(ts_ns, order, OrderStatus.DEACTIVATED, CancelType.TPSL_CLEAR)
                elif order.stop_order_type not in PARTIALS:
                    order.qty_lots = order.leaves_lots = position.size
            elif self.only_reduces(order) and order.status is not OrderStatus.UNTRIGGERED:
                room = position.size if against else 0
                if order.leaves_lots > room:
                    self.shrink(ts_ns, order, room)
        kinds = {order.stop_order_type for order in self.position_stops(account, symbol, idx, POSITION_STOPS)}
        if StopOrderType.TAKE_PROFIT not in kinds:
            position.take_profit_ticks = 0
        if StopOrderType.STOP_LOSS not in kinds:
            position.stop_loss_ticks = 0
        if StopOrderType.TRAILING_STOP not in kinds:
            position.trailing_stop_ticks = 0

    def _attach(self, ts_ns: int, account: AccountState, order: SimOrder) -> None:
        """The entry filled (more): its TP/SL come to life, or grow with it."""
        wanted = (
            (TP, order.take_profit_ticks, order.tp_trigger_by, order.tp_order_type, order.tp_limit_ticks),
            (SL, order.stop_loss_ticks, order.sl_trigger_by, order.sl_order_type, order.sl_limit_ticks),
        )
        made: list[SimOrder] = []
        for is_tp, trigger, by, order_type, limit in wanted:
            if not trigger:
                continue
            if order.tpsl_mode is not TpslMode.PARTIAL:
                self._set_full(ts_ns, account, order.symbol, order.position_idx, is_tp, trigger, by,
                               order.order_link_id)
                continue
            kind = KINDS[TpslMode.PARTIAL, is_tp][0]
            own = [
                stop for stop in self.position_stops(account, order.symbol, order.position_idx, (kind,))
                if stop.parent_order_id == order.order_id
            ]
            if own:
                own[0].qty_lots = own[0].leaves_lots = order.cum_qty_lots
                self.touch(own[0])
                continue
            stop = self._stop_order(ts_ns, account, order.symbol, order.position_idx, order.side, is_tp,
                                    TpslMode.PARTIAL, trigger, by, order.cum_qty_lots, order_type, limit)
            stop.parent_order_link_id, stop.parent_order_id = order.order_link_id, order.order_id
            made.append(stop)
        if len(made) == 2:
            made[0].oco_order_id, made[1].oco_order_id = made[1].order_id, made[0].order_id

    def _set_full(
        self, ts_ns: int, account: AccountState, symbol: str, idx: int, is_tp: bool, trigger: int, by: TriggerBy,
        parent_link_id: str = "",
    ) -> None:
        """Make, move or (trigger 0) remove the Full take profit or stop loss of a position."""
        position = account.margin.position(symbol, idx)
        kind = KINDS[TpslMode.FULL, is_tp][0]
        present = self.position_stops(account, symbol, idx, (kind,))
        if is_tp:
            position.take_profit_ticks = trigger
        else:
            position.stop_loss_ticks = trigger
        self.touch_position(account.uid, symbol, idx)
        if present and trigger:
            if (present[0].trigger_price_ticks, present[0].trigger_by) != (trigger, by):
                present[0].trigger_price_ticks, present[0].trigger_by = trigger, by
                self.touch(present[0])
        elif present:
            self.end(ts_ns, present[0], OrderStatus.DEACTIVATED, CancelType.USER, RejectReason.PER_CANCEL_REQUEST)
        elif trigger:
            stop = self._stop_order(ts_ns, account, symbol, idx, position.side, is_tp, TpslMode.FULL, trigger, by,
                                    position.size, OrderType.MARKET, 0)
            stop.parent_order_link_id = parent_link_id

    def _stop_order(
        self, ts_ns: int, account: AccountState, symbol: str, idx: int, side: int, is_tp: bool, mode: TpslMode,
        trigger: int, by: TriggerBy, lots: int, order_type: OrderType, limit_ticks: int,
    ) -> SimOrder:
        """A new untriggered TP or SL of a position of sign `side`."""
        kind, create_type = KINDS[mode, is_tp]
        limit = order_type is OrderType.LIMIT
        order = SimOrder(
            order_id=self.ids.next(), order_link_id="", uid=account.uid, symbol=symbol, side=-side,
            order_type=order_type, tif=TimeInForce.GTC if limit else TimeInForce.IOC,
            price_ticks=limit_ticks if limit else 0, qty_lots=lots, leaves_lots=lots, status=OrderStatus.UNTRIGGERED,
            position_idx=idx, create_type=create_type, stop_order_type=kind, trigger_price_ticks=trigger,
            trigger_direction=1 if (side > 0) == is_tp else 2, trigger_by=by, reduce_only=True, close_on_trigger=True,
            tpsl_mode=mode, last_price_on_created_ticks=self.symbols[symbol].last_ticks, created_ns=ts_ns,
            updated_ns=ts_ns,
        )
        self.admit(account, order)
        return order

    # --- POST /v5/position/trading-stop -------------------------------------------------------------------------

    def trading_stop(self, ts_ns: int, account: AccountState, request: TradingStopRequest) -> None:
        """Set, move or remove stops of an open position. Raises Refused."""
        state = self.symbols[request.symbol]
        check_position_idx(account, request.symbol, request.position_idx)
        position = account.margin.position(request.symbol, request.position_idx)
        if position.lots == 0:
            raise bad("can not set tp/sl/ts for zero position")
        tp, sl = request.take_profit_ticks, request.stop_loss_ticks
        check_tpsl_prices(position.side, tp or 0, 0, self._base_ticks(state, request.tp_trigger_by))
        check_tpsl_prices(position.side, 0, sl or 0, self._base_ticks(state, request.sl_trigger_by))
        if request.tpsl_mode is TpslMode.PARTIAL:
            self._add_partial(ts_ns, account, request)
        else:
            self._set_position(ts_ns, account, request)
        if request.trailing_ticks is not None:
            self._set_trailing(ts_ns, account, request)
        self.touch_position(account.uid, request.symbol, request.position_idx)

    @staticmethod
    def _base_ticks(state: SymbolState, by: TriggerBy) -> int:
        if by is TriggerBy.LAST:
            return state.reference_ticks()
        return state.ticks(state.trigger_e10(by), round_up=False)

    def _set_position(self, ts_ns: int, account: AccountState, request: TradingStopRequest) -> None:
        symbol, idx = request.symbol, request.position_idx
        position = account.margin.position(symbol, idx)
        changes = []
        for is_tp, trigger, by, now in (
            (TP, request.take_profit_ticks, request.tp_trigger_by, position.take_profit_ticks),
            (SL, request.stop_loss_ticks, request.sl_trigger_by, position.stop_loss_ticks),
        ):
            present = self.position_stops(account, symbol, idx, (KINDS[TpslMode.FULL, is_tp][0],))
            if trigger is not None and (trigger != now or (present and trigger and present[0].trigger_by is not by)):
                changes.append((is_tp, trigger, by))
        trailing = request.trailing_ticks is not None and (
            request.trailing_ticks != position.trailing_stop_ticks or request.active_price_ticks is not None
        )
        if not changes and not trailing:
            raise Refused(RetCode.TPSL_UNCHANGED)
        for is_tp, trigger, by in changes:
            self._set_full(ts_ns, account, symbol, idx, is_tp, trigger, by)

    def _add_partial(self, ts_ns: int, account: AccountState, request: TradingStopRequest) -> None:
        symbol, idx = request.symbol, request.position_idx
        position = account.margin.position(symbol, idx)
        tp, sl = request.take_profit_ticks or 0, request.stop_loss_ticks or 0
        if tp and sl and request.tp_size_lots != request.sl_size_lots:
            raise bad("tpSize and slSize must be equal")
        made: list[SimOrder] = []
        for is_tp, trigger, by, lots, order_type, limit in (
            (TP, tp, request.tp_trigger_by, request.tp_size_lots, request.tp_order_type, request.tp_limit_ticks),
            (SL, sl, request.sl_trigger_by, request.sl_size_lots, request.sl_order_type, request.sl_limit_ticks),
        ):
            if not trigger:
                continue
            if len(self.position_stops(account, symbol, idx, PARTIALS)) >= MAX_PARTIAL_TPSL:
                raise Refused(RetCode.PARTIAL_TPSL_LIMIT)
            if not 0 < lots <= position.size:
                raise bad("tpSize or slSize is invalid")
            made.append(
                self._stop_order(ts_ns, account, symbol, idx, position.side, is_tp, TpslMode.PARTIAL, trigger, by,
                                 lots, order_type, limit)
            )
        if len(made) == 2:
            made[0].oco_order_id, made[1].oco_order_id = made[1].order_id, made[0].order_id

    def _set_trailing(self, ts_ns: int, account: AccountState, request: TradingStopRequest) -> None:
        symbol, idx = request.symbol, request.position_idx
        state = self.symbols[symbol]
        position = account.margin.position(symbol, idx)
        distance = request.trailing_ticks or 0
        active = request.active_price_ticks or 0
        last = state.reference_ticks()
        if distance < 0 or (distance and distance >= last):
            raise bad("trailingStop invalid")
        if active and position.side * (active - last) <= 0:
            raise bad("activePrice is on the wrong side of the last price")
        for order in self.position_stops(account, symbol, idx, (StopOrderType.TRAILING_STOP,)):
            self.end(ts_ns, order, OrderStatus.DEACTIVATED, CancelType.USER, RejectReason.PER_CANCEL_REQUEST)
        position.trailing_stop_ticks = distance
        if distance:
            order = SimOrder(
                order_id=self.ids.next(), order_link_id="", uid=account.uid, symbol=symbol, side=-position.side,
                order_type=OrderType.MARKET, tif=TimeInForce.IOC, price_ticks=0, qty_lots=position.size,
                leaves_lots=position.size, status=OrderStatus.UNTRIGGERED, position_idx=idx,
                create_type=CreateType.TRAILING_STOP, stop_order_type=StopOrderType.TRAILING_STOP,
                trigger_direction=2 if position.side > 0 else 1, trigger_by=TriggerBy.LAST, reduce_only=True,
                close_on_trigger=True, trailing_ticks=distance, active_price_ticks=active,
                last_price_on_created_ticks=state.last_ticks, created_ns=ts_ns, updated_ns=ts_ns,
            )
            self._trail(order, last)
            self.admit(account, order)
