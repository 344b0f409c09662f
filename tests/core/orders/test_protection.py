"""Stops: missing, refused, removed, moved, triggered and not filled (order faults O13-O17)."""

from __future__ import annotations

from core.enums import Cause, OrderRole
from core.orders.exchange_words import (
    Create,
    Quote,
    TradingStop,
)
from tests.core.orders.desk_cases import A, refusing, rig


def test_o12_a_stop_already_through_refuses_the_entry_too():
    r = rig()
    r.submit(price=9_990, stop=10_050, flags=1, side=1)
    r.run(100)
    assert r.desk.lots(0) == 0
    assert r.dones()[0].reason == Cause.ORDER_REJECTED
    assert len(r.of_kind(Create)) == 1


def test_o13_a_missing_stop_is_set_within_a_second():
    r = rig()
    r.open_position()
    held = r.venue.position(A)
    r.venue.put_position(held._replace(stop_ticks=0))
    took = r.until(lambda: r.venue.position(A).stop_ticks == 9_890)
    assert took <= 1_000


def test_o13_a_missing_stop_is_set_as_soon_while_a_close_is_under_way():
    """Simulation seed 0 of O42: a naked position, its close on a slow wire; the stop came after 1.2 s."""
    r = rig()
    r.open_position()
    r.on_send = lambda request: "drop" if isinstance(request, Create) else ""
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
    assert r.until(lambda: r.venue.position(A).stop_ticks == 9_890, 2_000) <= 400
    r.on_send = lambda request: ""
    r.until(lambda: r.desk.flat, 5_000)
    assert r.venue.lots(A) == 0


def test_o13_no_stop_the_price_beyond_and_a_close_that_meets_nobody():
    """Simulation seed 3 of O33: the wanted stop was sent and refused again and again, the position stayed naked."""
    r = rig()
    r.open_position()
    r.venue.markets[A].lots = 0
    r.venue.markets[A].bid, r.venue.markets[A].ask = 9_880, 9_881
    r.event(Quote(A, 9_880, 9_881, 9_880))
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
    assert r.until(lambda: 0 < r.venue.position(A).stop_ticks < 9_880, 3_000) <= 1_000
    r.run(3_000)
    assert len(r.of_kind(TradingStop)) == 1
    r.venue.markets[A].lots = 1 << 40
    r.until(lambda: r.desk.flat, 5_000)


def test_o13_refused_twice_is_closed():
    r = rig()
    r.open_position()
    r.venue.refuse = refusing(10001, "something about the request", TradingStop)
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
    r.until(lambda: r.desk.flat, 3_000)
    assert r.desk.counters["sl_refused"] == 2
    assert r.fills()[-1].role == OrderRole.STOP


def test_o13_refused_because_the_price_has_passed_is_closed_at_once():
    r = rig()
    r.open_position()
    r.venue.refuse = refusing(10001, "StopLoss:5 set for Buy position should be lower than base_price:4", TradingStop)
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
    assert r.until(lambda: r.desk.flat, 3_000) <= 500
    assert r.desk.counters["sl_refused"] == 1


def test_o13_no_stop_and_the_price_beyond_is_closed_without_asking():
    r = rig()
    r.open_position()
    r.venue.markets[A].bid, r.venue.markets[A].ask = 9_880, 9_881
    r.event(Quote(A, 9_880, 9_881, 9_880))
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
    assert r.until(lambda: r.desk.flat, 3_000) <= 500
    assert not r.of_kind(TradingStop)


def test_o14_a_stop_that_triggers_into_a_vacuum():
    r = rig()
    r.open_position()
    r.venue.markets[A].bid, r.venue.markets[A].ask = 9_800, 9_810
    r.venue.trigger_stop(A, lots=20)
    took = r.until(lambda: r.desk.flat, 5_000)
    assert took <= 1_500
    closes = [c for c in r.of_kind(Create) if c.reduce_only]
    assert closes
    assert r.venue.lots(A) == 0
    assert r.told_lots() == 0


def test_o14_price_beyond_a_stop_that_stands():
    r = rig()
    r.open_position()
    r.venue.markets[A].bid, r.venue.markets[A].ask = 9_700, 9_701
    for _ in range(12):
        r.event(Quote(A, 9_700, 9_701, 9_700))
        r.run(100)
    assert r.desk.counters["sl_local"] == 1
    assert r.desk.counters["sl_slip_bp"] > 150
    r.until(lambda: r.desk.flat, 3_000)


def test_o15_a_removed_stop_is_set_again_twice_an_hour_then_the_position_goes():
    r = rig()
    r.open_position()
    for n in range(2):
        r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
        assert r.until(lambda: r.venue.position(A).stop_ticks > 0) <= 1_000, n
        r.run(1_000)
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
    assert r.until(lambda: r.venue.lots(A) == 0) <= 1_000
    assert r.desk.counters["sl_rearmed"] == 2
    assert r.desk.counters["sl_yielded"] == 1
    assert "operator" in r.desk.core.holdings[A].off


def test_o16_a_second_entry_keeps_the_tighter_stop():
    r = rig()
    r.open_position()
    r.submit(number=2, stop=9_850, price=9_990, lots=50)
    r.run(50)
    r.venue.fill(r.venue.by_link[r.link("E", 1)], 50, 9_990)
    r.run(50)
    r.until(lambda: r.venue.position(A).stop_ticks == 9_890, 2_000)  # Full mode: the last one, 9 850, stood before
    assert r.desk.counters["sl_set"] >= 1
    assert r.desk.lots(0) == 150
    assert r.desk.counters["sl_rearmed"] == 0


def test_o16_a_stop_moved_by_hand_tighter_is_taken_over():
    r = rig()
    r.open_position()
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=9_950))
    r.run(2_000)
    assert r.venue.position(A).stop_ticks == 9_950
    assert r.desk.core.holdings[A].stop_ticks == 9_950
    assert r.desk.counters["sl_changed"] == 1


def test_o17_children_without_a_link_id_close_the_position_as_a_stop():
    r = rig()
    r.open_position()
    r.venue.trigger_stop(A)
    r.run(100)
    assert r.fills()[-1].role == OrderRole.STOP
    assert r.desk.lots(0) == 0
    assert not r.desk.core.holdings[A].off
    assert r.desk.counters["orphan_child"] >= 1
