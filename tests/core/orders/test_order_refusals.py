"""Orders the exchange refuses, ends or changes, by reason (order faults O26-O38, O44)."""

from __future__ import annotations

import pytest

from core.enums import Cause, Gate, OrderRole
from core.orders.exchange_words import (
    Create,
    InstrumentRow,
    Query,
    QueryKind,
    QueryRows,
    Quote,
    SetLeverage,
)
from tests.core.orders.desk_cases import A, refusing, rig
from tests.core.orders.naive_exchange import MS, instrument


def test_o26_no_margin():
    r = rig()
    r.venue.refuse = refusing(110007, "ab not enough for new order")
    r.submit()
    r.run(100)
    assert r.dones()[0].reason == Cause.ORDER_REJECTED
    assert r.desk.counters["margin_reject"] == 1
    assert r.desk.submit(r.now_ns, r.order(symbol=1, number=2), instrument(1), 0) is Gate.BALANCE
    r.venue.refuse = lambda q: None
    r.run(31_000)
    assert r.desk.submit(r.now_ns, r.order(symbol=1, number=2), instrument(1), 0) is Gate.NONE


def test_o26_three_refusals_in_a_minute_switch_the_symbol_off():
    r = rig()
    r.venue.refuse = refusing(110094, "Order does not meet minimum order value 5USDT")
    for n in range(3):
        r.submit(number=n + 1)
        r.run(100)
    assert r.desk.submit(r.now_ns, r.order(number=9), instrument(0), 0) is Gate.BLACKLIST
    r.run(61_000)
    assert r.desk.submit(r.now_ns, r.order(number=9), instrument(0), 0) is Gate.NONE


def test_o29_filters_that_changed_are_read_again_after_a_refusal():
    r = rig()
    r.venue.refuse = refusing(10001, "Qty invalid")
    r.submit()
    r.run(30)
    (asked,) = [q for q in r.of_kind(Query) if q.what is QueryKind.INSTRUMENT]
    row = InstrumentRow(A, "Trading", 1, 2, 1, 2, 5, 900, 500, 5, 2500)
    r.event(QueryRows(asked.req_id, QueryKind.INSTRUMENT, (row,)))
    known = r.desk.core.instruments[A]
    assert (known.min_qty_lots, known.max_qty_lots, known.min_notional_e8) == (5, 500, 5)
    assert r.desk.counters["instr_change"] == 1


def test_o30_leverage_is_set_and_read_back_before_the_entry():
    r = rig()
    gate = r.desk.submit(r.now_ns, r.order(), instrument(0), 1500 * MS, leverage_e2=700)
    assert gate is Gate.NONE
    r.flush()
    r.run(100)
    kinds = [type(q) for q in r.sent if isinstance(q, SetLeverage | Create)]
    assert kinds == [SetLeverage, Create]
    assert r.venue.position(A).leverage_e2 == 700


def test_o30_unchanged_is_success_and_read_back_too():
    r = rig()
    r.venue.refuse = refusing(110043, "leverage not modified", SetLeverage)
    r.desk.submit(r.now_ns, r.order(), instrument(0), 1500 * MS, leverage_e2=500)
    r.flush()
    r.run(100)
    assert len(r.of_kind(Create)) == 1
    r.desk.submit(r.now_ns, r.order(symbol=1, number=2), instrument(1), 1500 * MS, leverage_e2=900)
    r.flush()
    r.run(200)
    assert len(r.of_kind(Create)) == 1  # 500 stands where 900 was wanted
    assert r.desk.counters["lev_mismatch"] == 1
    assert r.dones()[0].order_id == 2


def test_o31_hedge_mode_switches_the_symbol_off():
    r = rig()
    r.event(r.venue.position(A)._replace(position_idx=1, side=1, lots=5, seq=99))
    assert [t.code for t in r.desk.trouble] == ["MODE"]
    assert r.desk.submit(r.now_ns, r.order(), instrument(0), 0) is Gate.DATA
    assert r.desk.submit(r.now_ns, r.order(symbol=1), instrument(1), 0) is Gate.NONE


def test_o31_the_code_behind_10001_switches_the_symbol_off():
    r = rig()
    r.venue.refuse = refusing(10001, "position idx not match position mode")
    r.submit()
    r.run(100)
    assert "venue" in r.desk.core.holdings[A].off


def test_o32_stop_fills_while_closing():
    r = rig()
    r.open_position()
    r.on_row = lambda row: False
    r.venue.trigger_stop(A)
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.run(100)
    assert r.desk.counters["close_race"] == 1
    r.on_row = lambda row: True
    r.until(lambda: r.desk.flat, 3_000)
    assert r.told_lots() == 0


@pytest.mark.parametrize(("code", "text"), [
    (110118, "There is no liquidity in the market for this order."), (10001, "buy: [9000,11000] invalid"),
    (110003, "Order price exceeds the allowable range."), (110121, "price limit"),
])
def test_o33_o34_a_refused_exit_is_tried_again(code, text):
    r = rig()
    r.open_position()
    r.venue.refuse = refusing(code, text, times=4)
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.until(lambda: r.desk.flat, 10_000)
    assert r.venue.lots(A) == 0
    assert r.desk.counters["close_refused"] == 1


def test_o33_a_vacuum_is_waited_out():
    r = rig()
    r.open_position()
    r.venue.markets[A].lots = 0
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.run(3_000)
    assert r.desk.counters["ioc_leaves"] > 5
    r.venue.markets[A].lots = 1 << 40
    r.until(lambda: r.desk.flat, 1_000)


def test_o34_exits_stay_inside_the_price_limit():
    r = rig()
    r.open_position()
    r.event(Quote(A, 9_999, 10_001, 10_000, 10_050, 9_990))
    r.venue.markets[A].lots = 10
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.run(500)
    limits = [c.price_ticks for c in r.of_kind(Create) if c.reduce_only and c.price_ticks]
    assert limits
    assert min(limits) == 9_990


def test_o35_post_only_that_died_is_no_error():
    r = rig()
    r.submit(price=10_001, flags=1)
    r.run(100)
    assert r.dones()[0].reason == Cause.ORDER_REJECTED
    assert r.desk.counters["integrity"] == 0
    assert not r.desk.core.holdings[A].refusals


def test_o36_the_desk_uses_no_conditional_slots():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 9_950, ((10_050, 50), (10_070, 50)))
    r.flush()
    r.run(300)
    assert not any(c.trigger_ticks for c in r.of_kind(Create))


def test_o38_a_dead_key_stops_entries_until_a_person_has_looked():
    r = rig()
    r.venue.refuse = refusing(33004, "Your api key has expired.", times=1)
    r.submit()
    r.run(100)
    assert [t.code for t in r.desk.trouble] == ["KEY"]
    assert not r.desk.ready
    assert r.desk.clear_trouble(r.now_ns, -1, "KEY")
    assert r.desk.ready


def test_o44_the_venue_only_reduces():
    r = rig()
    r.open_position()
    r.venue.put_position(r.venue.position(A)._replace(is_reduce_only=True))
    r.run(50)
    assert r.desk.counters["venue_reduce_only"] >= 1
    assert r.desk.submit(r.now_ns, r.order(number=2), instrument(0), 0) is Gate.BLACKLIST
