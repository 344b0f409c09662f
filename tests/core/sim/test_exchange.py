"""Orders of the embedded exchange: life cycle, matching, and what is told in which order."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.sim.exchange_types import (
    CancelType,
    OrderFilter,
    OrderStatus,
    RejectReason,
    SlippageType,
    SmpType,
    TimeInForce,
)
from core.sim.margin_types import AccountSpec
from core.sim.ret_codes import RetCode
from tests.core.sim.exchange_rig import ASKS, BIDS, SPEC, A, B, Rig
from tests.shared_data import fixture


def test_limit_order_rests_and_is_cancelled():
    rig = Rig()
    r = rig.limit(1, 9990, 10, order_link_id="x")
    assert r.ret_code == 0 and r.order_link_id == "x"
    assert rig.told() == [("order", "New", 0), ("position", 0), ("wallet",)]
    assert rig.order(r.order_id).queue_ahead_lots == 20
    assert rig.cancel(link="x").ret_code == 0
    assert rig.told() == [("order", "Cancelled", 0), ("position", 0), ("wallet",)]
    order = rig.order(r.order_id)
    assert (order.cancel_type, order.reject_reason, order.leaves_lots) == (
        CancelType.USER, RejectReason.PER_CANCEL_REQUEST, 0)
    assert rig.cancel(r.order_id).ret_code == RetCode.ORDER_NOT_FOUND
    assert rig.ex.wallet(A).order_im_e8 == 0


def test_market_order_has_no_new_message_and_walks_the_book():
    rig = Rig()
    r = rig.market(1, 40)
    assert rig.told() == [
        ("order", "Filled", 40), ("exec", 1, 10010, 20, False), ("exec", 1, 10020, 20, False), ("position", 40),
        ("wallet",)]
    order = rig.order(r.order_id)
    assert order.price_ticks == 10100 and order.tif is TimeInForce.IOC  # the band: 1 % of the last price
    rig.market(1, 20, B)
    assert [row for row in rig.told() if row[0] == "exec"] == [("exec", 1, 10020, 10, False),
                                                               ("exec", 1, 10100, 10, False)]


def test_lots_taken_are_back_when_the_level_is_sent_again():
    rig = Rig()
    rig.market(1, 20)
    rig.book(asks=[(10020, 31)])
    rig.told()
    rig.limit(1, 10010, 5, tif=TimeInForce.IOC)
    assert rig.told()[0] == ("order", "Cancelled", 0)
    rig.book(BIDS, ASKS, snapshot=True)  # shows the level as before: still gone
    rig.limit(1, 10010, 5, tif=TimeInForce.IOC)
    assert rig.states() == ["Cancelled"]
    rig.book(asks=[(10010, 7)])
    rig.limit(1, 10010, 5, tif=TimeInForce.IOC)
    assert rig.states() == ["Filled"]


def test_market_order_ends_at_the_band():
    rig = Rig()
    rig.book(asks=[(10010, 0), (10020, 0), (10100, 3), (10101, 100)])
    rig.told()
    r = rig.market(1, 10)
    assert rig.told()[:2] == [("order", "Cancelled", 3), ("exec", 1, 10100, 3, False)]
    assert rig.order(r.order_id).reject_reason is RejectReason.NO_FULL_FILL
    assert rig.lots() == 3


def test_slippage_tolerance():
    rig = Rig()
    r = rig.market(1, 30, slippage_type=SlippageType.TICK_SIZE, slippage=5)
    assert rig.order(r.order_id).price_ticks == 10015 and rig.lots() == 20
    assert rig.market(1, 30, slippage_type=SlippageType.TICK_SIZE, slippage=0).ret_code == RetCode.PARAMETER


@pytest.mark.parametrize("side", [1, -1])
def test_post_only_that_would_take_is_cancelled(side):
    rig = Rig()
    r = rig.post_only(side, 10000 + 10 * side, 10)
    assert r.ret_code == 0
    assert rig.states() == ["Cancelled"]
    order = rig.order(r.order_id)
    assert order.reject_reason is RejectReason.POST_ONLY_WILL_TAKE and order.cancel_type is CancelType.NONE
    r = rig.post_only(side, 10000 + 9 * side, 10)
    assert rig.states() == ["New"]


def test_fok_fills_whole_or_not():
    rig = Rig()
    rig.limit(1, 10020, 51, tif=TimeInForce.FOK)
    assert rig.states() == ["Cancelled"] and rig.lots() == 0
    rig.limit(1, 10020, 50, tif=TimeInForce.FOK)
    assert rig.states() == ["Filled"] and rig.lots() == 50


def test_partial_fill_then_rest():
    rig = Rig()
    r = rig.limit(1, 10010, 30)
    assert rig.told()[:2] == [("order", "PartiallyFilled", 20), ("exec", 1, 10010, 20, False)]
    assert rig.order(r.order_id).leaves_lots == 10
    rig.trades((10010, 4, -1))
    assert rig.told() == [("order", "PartiallyFilled", 24), ("exec", 1, 10010, 4, True), ("position", 24),
                          ("wallet",)]
    rig.cancel(r.order_id)
    assert rig.states() == ["Cancelled"]
    assert rig.order(r.order_id).leaves_lots == 0 and rig.order(r.order_id).cum_qty_lots == 24


class TestQueue:
    def test_prints_fill_after_the_queue(self):
        rig = Rig()
        rig.limit(1, 9990, 10)
        rig.trades((9990, 15, -1), (9990, 9, 1))
        rig.told()
        rig.trades((9990, 9, -1))
        assert ("exec", 1, 9990, 4, True) in rig.told()
        rig.trades((9980, 3, -1))
        assert ("exec", 1, 9990, 3, True) in rig.told()

    def test_two_accounts_share_one_print_in_time_order(self):
        rig = Rig()
        rig.limit(1, 9990, 10, A)
        rig.limit(1, 9990, 10, B)
        rig.trades((9990, 35, -1))
        assert (rig.lots(A), rig.lots(B)) == (10, 5)
        rig.trades((9985, 2, -1))
        assert (rig.lots(A), rig.lots(B)) == (10, 7)

    def test_a_book_that_crosses_fills_what_it_shows(self):
        rig = Rig()
        rig.limit(1, 9995, 10, A)
        rig.limit(1, 9994, 10, B)
        rig.book(asks=[(9993, 12)])
        assert (rig.lots(A), rig.lots(B)) == (10, 2)
        rig.book(asks=[(9992, 1)])
        assert (rig.lots(A), rig.lots(B)) == (10, 3)

    def test_amend_down_keeps_and_up_loses_the_place(self):
        rig = Rig()
        first = rig.limit(1, 9990, 10, A).order_id
        rig.trades((9990, 12, -1))
        assert rig.order(first).queue_ahead_lots == 20  # as told when it was placed
        rig.amend(first, qty_lots=8)
        assert rig.order(first).queue_ahead_lots == 8
        rig.amend(first, qty_lots=9)
        assert rig.order(first).queue_ahead_lots == 20
        rig.amend(first, price_ticks=9995)
        assert rig.order(first).queue_ahead_lots == 0
        assert rig.amend(first, price_ticks=9995).ret_code == RetCode.PARAMETER
        rig.trades((9995, 2, -1))
        assert rig.amend(first, qty_lots=2).ret_code == RetCode.QTY_BELOW_FILLED


class TestOwnOrders:
    def test_accounts_meet_each_other_in_price_time_order(self):
        rig = Rig()
        rig.limit(-1, 10005, 10, B)
        rig.limit(-1, 10010, 10, B)  # behind the 20 public lots
        rig.told()
        rig.limit(1, 10010, 35, A)
        execs = [row for row in rig.told() if row[0] == "exec"]
        assert [row[1:] for row in execs if row[1] > 0] == [
            (1, 10005, 10, False), (1, 10010, 20, False), (1, 10010, 5, False)]
        assert rig.lots(A) == 35 and rig.lots(B) == -15

    @pytest.mark.parametrize(("smp", "maker", "taker", "lots"), [
        (SmpType.CANCEL_MAKER, "Cancelled", "Filled", 10), (SmpType.CANCEL_TAKER, "New", "Cancelled", 0),
        (SmpType.CANCEL_BOTH, "Cancelled", "Cancelled", 0), (SmpType.NONE, "Filled", "Filled", 0)])
    def test_self_match(self, smp, maker, taker, lots):
        rig = Rig()
        first = rig.limit(-1, 10005, 10).order_id
        second = rig.limit(1, 10010, 10, smp=smp).order_id
        assert (rig.order(first).status.text, rig.order(second).status.text) == (maker, taker)
        assert rig.lots() == lots
        if smp is not SmpType.NONE:
            ended = rig.order(second if smp is SmpType.CANCEL_TAKER else first)
            assert ended.cancel_type is CancelType.SMP


class TestReduceOnly:
    def test_needs_a_position_and_is_cut_to_it(self):
        rig = Rig()
        assert rig.limit(-1, 10050, 5, reduce_only=True).ret_code == RetCode.REDUCE_ONLY
        rig.market(1, 10)
        assert rig.limit(1, 9000, 5, reduce_only=True).ret_code == RetCode.REDUCE_ONLY
        r = rig.limit(-1, 10050, 50, reduce_only=True)
        assert rig.order(r.order_id).qty_lots == 10
        other = rig.limit(-1, 10060, 8, reduce_only=True)
        rig.told()
        rig.market(-1, 6)
        assert rig.order(r.order_id).leaves_lots == 4 and rig.order(other.order_id).leaves_lots == 4
        rig.market(-1, 4, reduce_only=True)
        order = rig.order(r.order_id)
        assert order.status is OrderStatus.CANCELLED and order.cancel_type is CancelType.REDUCE_ONLY

    def test_close_all_with_quantity_zero(self):
        rig = Rig()
        rig.market(1, 10)
        r = rig.market(-1, 0, reduce_only=True, close_on_trigger=True)
        assert r.ret_code == 0 and rig.lots() == 0
        assert rig.ex.closed_pnl(A)[0].closed_lots == 10

    def test_more_than_the_largest_size_is_split(self):
        rig = Rig(deposit_e8=10**16, spec=replace(SPEC, max_market_qty_lots=100))
        rig.book(asks=[(10010, 5000)], bids=[(9990, 5000)])
        for _ in range(3):
            rig.market(1, 100)
        assert rig.market(-1, 250).ret_code == RetCode.PARAMETER
        rig.told()
        assert rig.market(-1, 250, reduce_only=True, order_link_id="big").ret_code == 0
        assert [row[:3] for row in rig.told() if row[0] == "order"] == [
            ("order", "Filled", 100), ("order", "Filled", 100), ("order", "Filled", 50)]
        assert rig.lots() == 50

    def test_two_reduce_only_orders_in_one_print_do_not_turn_the_position(self):
        rig = Rig()
        rig.market(1, 10)
        rig.limit(-1, 10005, 10, reduce_only=True)
        rig.limit(-1, 10006, 10, reduce_only=True)
        rig.trades((10050, 100, 1))
        assert rig.lots() == 0
        assert rig.ex.open_orders(A) == []


class TestRefusals:
    def test_codes(self):
        rig = Rig()
        assert rig.limit(1, 9990, 10, position_idx=1).ret_code == RetCode.PARAMETER
        assert rig.limit(1, 9990, 0).ret_code == RetCode.PARAMETER
        assert rig.limit(1, 9990, 1_500_001).ret_code == RetCode.PARAMETER
        assert rig.market(1, 150_001).ret_code == RetCode.PARAMETER
        assert rig.limit(1, 9990, 1).ret_code == RetCode.MIN_NOTIONAL
        assert rig.limit(1, 9990, 1_000_000).ret_code == RetCode.NOT_ENOUGH_BALANCE
        assert rig.limit(1, 9990, 10, order_link_id="a" * 37).ret_code == RetCode.PARAMETER
        assert rig.limit(1, 9990, 10, order_link_id="a").ret_code == 0
        assert rig.limit(1, 9990, 10, order_link_id="a").ret_code == RetCode.DUPLICATE_LINK_ID
        assert rig.limit(1, 9990, 10, B, order_link_id="a").ret_code == 0
        assert rig.ex.cancel_order(1, A, "NONE", "x").ret_code == RetCode.PARAMETER
        assert Rig(book=False).market(1, 10).ret_code == RetCode.NO_LIQUIDITY

    def test_order_count(self):
        rig = Rig(deposit_e8=10**18)
        for _ in range(500):
            assert rig.limit(1, 9000, 10).ret_code == 0
        assert rig.limit(1, 9000, 10).ret_code == RetCode.ORDERS_LIMIT
        got = rig.ex.cancel_all(rig.tick(), A, order_filter=OrderFilter.ORDER)
        assert len(got.cancelled) == 500 and rig.ex.open_orders(A) == []

    def test_price_limit_moves_the_price_silently(self):
        rig = Rig()
        r = rig.limit(1, 10500, 5, tif=TimeInForce.IOC)
        assert r.ret_code == 0 and rig.order(r.order_id).price_ticks == 10100  # mark 10000 + 1 %
        assert rig.limit(1, 10500, 5, modify_enable=False).ret_code == RetCode.PRICE_OUT_OF_RANGE
        assert rig.ex.price_limits(SPEC.symbol) == (10100, 9900)


def test_vacuum_leaves_market_orders_unfilled():
    rig = Rig()
    rig.ex.vacuum(rig.now, rig.symbol, 1.0)
    r = rig.market(1, 10)
    assert rig.states() == ["Cancelled"]
    assert rig.order(r.order_id).reject_reason is RejectReason.NO_IMMEDIATE_QTY
    rig.now += 1_000_000_000
    rig.market(1, 10)
    assert rig.states() == ["Filled"]


def test_price_limits_follow_mark_index_and_premium():
    """max buy = min(mark 1.02, max(index, mark 1.01 + premium)), min sell mirrored; premium = 30 s mean of mid - mark."""
    rig = Rig()
    rig.now += 31_000_000_000
    rig.book([(10090, 5)], [(10110, 5)], snapshot=True)  # mid 10100
    rig.prices(10000)
    assert rig.ex.price_limits(SPEC.symbol) == (10200, 9900)  # 10100 + 100 meets mark + 2 %
    rig.now += 1_000_000_000
    rig.book([(10040, 5)], [(10060, 5)], snapshot=True)
    rig.prices(10000, 9850)
    assert rig.ex.price_limits(SPEC.symbol) == (10175, 9850)  # premium (100 + 50) / 2; the index is the lower one
    rig.now += 40_000_000_000
    rig.book([(9940, 5)], [(9960, 5)], snapshot=True)
    rig.prices(10000)
    assert rig.ex.price_limits(SPEC.symbol) == (10100, 9850)  # premium -50


def test_market_band_and_message_order_are_the_recorded_ones():
    """Real frames: a market order is first heard of as Filled, its price is 1 % from the last price, rounded inside; a
    cancelled one shows no lots left, CancelByUser and EC_PerCancelRequest."""
    path = fixture("private/bybit_order_stream_20241109_a.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    orders = [row for message in lines for row in message.get("data", ())]
    heard: set[str] = set()
    bands = cancels = 0
    for row in orders:
        if row["orderType"] == "Market" and row["orderId"] not in heard:
            bands += 1
            side = 1 if row["side"] == "Buy" else -1
            rig = Rig(book=False, deposit_e8=10**15)
            last = round(float(row["lastPriceOnCreated"]) * 10)
            rig.book([(last - 1, 100)], [(last + 1, 100)], snapshot=True)
            rig.trades((last, 1, 1))
            order = rig.order(rig.market(side, 10).order_id)
            assert order.price_ticks == round(float(row["price"]) * 10)
            assert rig.states() == [row["orderStatus"]] == ["Filled"]
            assert (row["timeInForce"], row["cancelType"], row["rejectReason"]) == (
                order.tif.text, order.cancel_type.text, order.reject_reason.text)
        if row["orderStatus"] == "Cancelled":
            cancels += 1
            rig = Rig()
            working = rig.limit(1, 9990, 10).order_id
            rig.cancel(working)
            order = rig.order(working)
            assert (row["cancelType"], row["rejectReason"], row["leavesQty"]) == (
                order.cancel_type.text, order.reject_reason.text, str(order.leaves_lots))
        heard.add(row["orderId"])
    assert bands == 8 and cancels == 3


def test_recorded_round_trip_to_the_last_digit():
    """The first two orders of the recorded stream: fee 0.2448, then 0.24357466 and closedPnl -4.31757466 at 0.032 %."""
    rig, uid = Rig(book=False), 303
    rig.ex.add_account(uid, AccountSpec(deposit_e8=10**12, taker_fee_e8=32_000))
    rig.book([(761_170, 8), (761_174, 2)], [(765_000, 50)], snapshot=True)
    rig.trades((764_368, 1, 1))
    bought = rig.order(rig.market(1, 10, uid).order_id, uid)
    sold = rig.order(rig.market(-1, 10, uid, reduce_only=True).order_id, uid)
    assert (bought.cum_value_e8, bought.cum_fee_e8, bought.closed_pnl_e8) == (765 * 10**8, 24_480_000, 0)
    assert (sold.cum_value_e8, sold.cum_fee_e8, sold.closed_pnl_e8) == (76_117_080_000, 24_357_466, -431_757_466)
    row = rig.ex.closed_pnl(uid)[0]
    assert (row.closed_pnl_e8, row.entry_value_e8, row.exit_value_e8) == (-431_757_466, 76_500_000_000, 76_117_080_000)
