"""Conditional orders, attached take profit and stop loss, trading-stop, trailing stop."""

from __future__ import annotations

from typing import Any

import pytest

from core.sim.exchange_types import (
    CancelType,
    CreateType,
    OrderFilter,
    OrderStatus,
    OrderType,
    StopOrderType,
    TpslMode,
    TradingStopRequest,
    TriggerBy,
)
from core.sim.ret_codes import RetCode
from tests.core.sim.exchange_rig import A, Rig


def stop(rig: Rig, **kw: Any) -> int:
    return rig.ex.set_trading_stop(rig.tick(), A, TradingStopRequest(symbol=rig.symbol, **kw)).ret_code


def kinds(rig: Rig) -> dict[StopOrderType, Any]:
    return {o.stop_order_type: o for o in rig.ex.open_orders(A)}


class TestConditional:
    def test_life(self):
        rig = Rig()
        r = rig.market(1, 10, trigger_price_ticks=10020, trigger_direction=1)
        assert rig.told() == [("order", "Untriggered", 0), ("position", 0)]  # nothing is held: no wallet
        assert rig.ex.wallet(A).order_im_e8 == 0
        rig.trades((10019, 1, 1))
        assert rig.told() == []
        rig.trades((10020, 1, 1))
        assert [row for row in rig.told() if row[0] != "wallet"] == [
            ("order", "Triggered", 0), ("order", "Filled", 10), ("exec", 1, 10010, 10, False), ("position", 10)]
        assert rig.order(r.order_id).stop_order_type is StopOrderType.STOP

    def test_limit_rests_after_its_trigger(self):
        rig = Rig()
        rig.limit(1, 9990, 10, trigger_price_ticks=9995, trigger_direction=2)
        rig.told()
        rig.trades((9995, 1, -1))
        assert rig.states() == ["Triggered", "New"]
        assert rig.ex.wallet(A).order_im_e8 > 0

    @pytest.mark.parametrize("by", [TriggerBy.MARK, TriggerBy.INDEX])
    def test_by_mark_and_index(self, by):
        rig = Rig()
        rig.limit(1, 9990, 10, trigger_price_ticks=10050, trigger_direction=1, trigger_by=by)
        rig.told()
        rig.trades((10060, 1, 1))
        rig.prices(10050 if by is TriggerBy.INDEX else 10049, 10049 if by is TriggerBy.INDEX else 10050)
        assert rig.states() == []
        rig.prices(10050, 10050)
        assert rig.states() == ["Triggered", "New"]

    def test_refusals(self):
        rig = Rig()
        code = lambda **kw: rig.limit(1, 9990, 10, **kw).ret_code  # noqa: E731
        assert code(trigger_price_ticks=9999, trigger_direction=1) == RetCode.TRIGGER_NOT_RISING
        assert code(trigger_price_ticks=10000, trigger_direction=1) == RetCode.TRIGGER_NOT_RISING
        assert code(trigger_price_ticks=10001, trigger_direction=2) == RetCode.TRIGGER_NOT_FALLING
        assert code(trigger_price_ticks=10001) == RetCode.PARAMETER
        for _ in range(10):
            assert code(trigger_price_ticks=10001, trigger_direction=1) == 0
        assert code(trigger_price_ticks=10001, trigger_direction=1) == RetCode.STOP_ORDERS_LIMIT

    def test_no_margin_at_the_trigger(self):
        rig = Rig()
        r = rig.limit(1, 9990, 1_400_000, trigger_price_ticks=9995, trigger_direction=2)
        assert r.ret_code == 0
        rig.trades((9995, 1, -1))
        assert rig.states() == ["Untriggered", "Triggered", "Rejected"]

    def test_cancel_and_amend(self):
        rig = Rig()
        r = rig.limit(1, 9990, 10, trigger_price_ticks=9995, trigger_direction=2)
        assert rig.amend(r.order_id, trigger_price_ticks=9994, price_ticks=9980).ret_code == 0
        assert rig.amend(r.order_id, trigger_price_ticks=10001).ret_code == RetCode.TRIGGER_NOT_FALLING
        rig.trades((9995, 1, -1))
        rig.cancel(r.order_id)
        assert rig.states() == ["Untriggered", "Untriggered", "Deactivated"]

    def test_a_close_without_position_is_cancelled(self):
        rig = Rig()
        r = rig.market(-1, 10, trigger_price_ticks=9995, trigger_direction=2, reduce_only=True)
        rig.trades((9995, 1, -1))
        order = rig.order(r.order_id)
        assert order.status is OrderStatus.CANCELLED and order.cancel_type is CancelType.REDUCE_ONLY


@pytest.mark.parametrize("side", [1, -1])
class TestAttached:
    def price(self, side: int, value: int) -> int:
        return 10000 + side * (value - 10000)

    def test_full_pair_and_oco(self, side):
        rig = Rig()
        p = lambda value: self.price(side, value)  # noqa: E731
        r = rig.limit(side, p(9990), 10, take_profit_ticks=p(10100), stop_loss_ticks=p(9900), order_link_id="p")
        assert kinds(rig).keys() == {StopOrderType.NONE}
        rig.trades((p(9980), 4, -side))
        found = kinds(rig)
        tp, sl = found[StopOrderType.TAKE_PROFIT], found[StopOrderType.STOP_LOSS]
        assert (tp.side, tp.trigger_price_ticks, tp.qty_lots, tp.create_type) == (
            -side, p(10100), 4, CreateType.TAKE_PROFIT)
        assert sl.parent_order_link_id == "p" and sl.reduce_only and sl.close_on_trigger
        position = rig.ex.positions(A, rig.symbol)[0]
        assert (position.take_profit_ticks, position.stop_loss_ticks) == (p(10100), p(9900))
        rig.cancel(r.order_id)
        rig.trades((p(9900), 1, -side))
        assert rig.order(sl.order_id).status is OrderStatus.FILLED and rig.lots() == 0
        ended = rig.order(tp.order_id)
        assert (ended.status, ended.cancel_type) == (OrderStatus.DEACTIVATED, CancelType.TP_BY_SL)
        position = rig.ex.positions(A, rig.symbol)[0]
        assert (position.take_profit_ticks, position.stop_loss_ticks) == (0, 0)

    def test_partial_pair_grows_with_its_order(self, side):
        rig = Rig()
        p = lambda value: self.price(side, value)  # noqa: E731
        rig.limit(side, p(9990), 10, take_profit_ticks=p(10100), stop_loss_ticks=p(9900), tpsl_mode=TpslMode.PARTIAL,
                  tp_order_type=OrderType.LIMIT, tp_limit_ticks=p(10090))
        rig.trades((p(9980), 4, -side))
        rig.trades((p(9980), 6, -side))
        found = kinds(rig)
        tp, sl = found[StopOrderType.PARTIAL_TAKE_PROFIT], found[StopOrderType.PARTIAL_STOP_LOSS]
        assert tp.qty_lots == sl.qty_lots == 10 and tp.oco_order_id == sl.order_id
        rig.told()
        rig.trades((p(10100), 1, side))
        tp = rig.order(tp.order_id)
        assert tp.order_type is OrderType.LIMIT and tp.status is OrderStatus.NEW
        assert rig.order(sl.order_id).cancel_type is CancelType.SL_BY_TP

    def test_closed_position_clears_its_stops(self, side):
        rig = Rig()
        p = lambda value: self.price(side, value)  # noqa: E731
        rig.market(side, 10, take_profit_ticks=p(10100), stop_loss_ticks=p(9900))
        before = kinds(rig)
        rig.market(-side, 10, reduce_only=True)
        assert rig.ex.open_orders(A) == []
        for order in before.values():
            assert rig.order(order.order_id).cancel_type is CancelType.TPSL_CLEAR

    def test_a_turned_position_gets_the_stops_of_the_order_that_turned_it(self, side):
        rig = Rig()
        p = lambda value: self.price(side, value)  # noqa: E731
        rig.market(side, 10, take_profit_ticks=p(10100), stop_loss_ticks=p(9900))
        rig.market(-side, 20, take_profit_ticks=p(9800), stop_loss_ticks=p(10150))
        found = kinds(rig)
        assert {k: (o.side, o.trigger_price_ticks, o.qty_lots) for k, o in found.items()} == {
            StopOrderType.TAKE_PROFIT: (side, p(9800), 10), StopOrderType.STOP_LOSS: (side, p(10150), 10)}
        position = rig.ex.positions(A)[0]
        assert (position.take_profit_ticks, position.stop_loss_ticks) == (p(9800), p(10150))

    def test_wrong_side_is_refused(self, side):
        rig = Rig()
        p = lambda value: self.price(side, value)  # noqa: E731
        assert rig.limit(side, p(9990), 10, take_profit_ticks=p(9980)).ret_code == RetCode.PARAMETER
        assert rig.limit(side, p(9990), 10, stop_loss_ticks=p(9995)).ret_code == RetCode.PARAMETER
        assert rig.market(side, 10, stop_loss_ticks=p(10001)).ret_code == RetCode.PARAMETER


class TestTradingStop:
    def test_full(self):
        rig = Rig()
        assert stop(rig, take_profit_ticks=10100) == RetCode.PARAMETER  # no position
        rig.market(1, 10)
        assert stop(rig, take_profit_ticks=10100, stop_loss_ticks=9900) == 0
        assert stop(rig, take_profit_ticks=10100, stop_loss_ticks=9900) == RetCode.TPSL_UNCHANGED
        assert stop(rig, take_profit_ticks=9999) == RetCode.PARAMETER
        assert stop(rig, stop_loss_ticks=9950, sl_trigger_by=TriggerBy.MARK) == 0
        assert kinds(rig)[StopOrderType.STOP_LOSS].trigger_by is TriggerBy.MARK
        assert stop(rig, take_profit_ticks=0) == 0
        assert kinds(rig).keys() == {StopOrderType.STOP_LOSS}
        rig.prices(9950)
        assert rig.lots() == 0

    def test_partial_adds_up_to_twenty(self):
        rig = Rig()
        rig.market(1, 20)
        kw = {"tpsl_mode": TpslMode.PARTIAL, "take_profit_ticks": 10100, "stop_loss_ticks": 9900}
        assert stop(rig, tp_size_lots=5, sl_size_lots=6, **kw) == RetCode.PARAMETER
        for _ in range(10):
            assert stop(rig, tp_size_lots=5, sl_size_lots=5, **kw) == 0
        assert stop(rig, tp_size_lots=5, sl_size_lots=5, **kw) == RetCode.PARTIAL_TPSL_LIMIT
        rig.trades((9900, 1, -1))
        assert rig.lots() == 0 and rig.ex.open_orders(A) == []

    @pytest.mark.parametrize("side", [1, -1])
    def test_trailing(self, side):
        rig = Rig()
        p = lambda value: 10000 + side * (value - 10000)  # noqa: E731
        rig.market(side, 10)
        assert stop(rig, trailing_ticks=50, active_price_ticks=p(10100)) == 0
        assert stop(rig, trailing_ticks=50) == RetCode.TPSL_UNCHANGED
        rig.trades((p(9930), 1, -side))
        assert rig.lots() == 10 * side  # not active yet
        rig.trades((p(10100), 1, side), (p(10120), 1, side), (p(10071), 1, -side))
        assert kinds(rig)[StopOrderType.TRAILING_STOP].trigger_price_ticks == p(10070)
        assert rig.ex.positions(A)[0].trailing_stop_ticks == 50
        rig.trades((p(10070), 1, -side))
        assert rig.lots() == 0
        assert rig.ex.order_history(A)[0].create_type is CreateType.TRAILING_STOP

    def test_cancel_all_takes_the_stops_unless_told_otherwise(self):
        rig = Rig()
        rig.market(1, 10, stop_loss_ticks=9900)
        rig.limit(1, 9900, 10)
        got = rig.ex.cancel_all(rig.tick(), A, rig.symbol, OrderFilter.ORDER)
        assert len(got.cancelled) == 1 and kinds(rig).keys() == {StopOrderType.STOP_LOSS}
        rig.ex.cancel_all(rig.tick(), A, rig.symbol)
        assert rig.ex.open_orders(A) == [] and rig.ex.positions(A)[0].stop_loss_ticks == 0

    def test_stop_in_a_vacuum_leaves_the_position_naked(self):
        rig = Rig()
        rig.market(1, 10, stop_loss_ticks=9900)
        rig.ex.vacuum(rig.now, rig.symbol, 5.0)
        rig.told()
        rig.trades((9900, 1, -1))
        assert rig.states() == ["Triggered", "Cancelled"] and rig.lots() == 10
