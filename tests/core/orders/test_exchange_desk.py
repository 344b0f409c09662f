"""Entries, fills and closes of the desk against the naive exchange."""

from __future__ import annotations

from core.enums import Cause, Gate, MessageKind, OrderRole
from core.orders.exchange_words import Cancel, Create, OrderType, TimeInForce
from tests.core.orders.naive_exchange import MS, Rig, instrument


def test_an_entry_filled_as_maker():
    rig = Rig().start()
    order = rig.submit(target=10_500)
    (create,) = rig.of_kind(Create)
    assert (create.tif, create.stop_ticks, create.target_ticks, create.reduce_only) == (
        TimeInForce.POST_ONLY, order.stop_ticks, 10_500, False)
    assert len(create.link_id) <= 30
    rig.run(100)
    venue_id = rig.venue.by_link[create.link_id]
    rig.venue.fill(venue_id, 30, 9_990)
    rig.run(50)
    rig.venue.fill(venue_id, 70, 9_990)
    rig.run(2_500)
    first, second = rig.fills()
    assert (first.qty_lots, first.leaves_lots, first.role, first.order_id) == (30, 70, OrderRole.ENTRY, 1)
    assert (second.qty_lots, second.leaves_lots, second.stop_ticks) == (70, 0, order.stop_ticks)
    assert rig.dones() == []
    assert not rig.desk.entries.working
    assert rig.desk.lots(0) == 100


def test_the_remainder_is_taken_after_the_deadline():
    rig = Rig().start()
    order = rig.submit(price=10_000)
    rig.run(100)
    rig.venue.fill(rig.venue.by_link[rig.link("E")], 40, 10_000)
    rig.run(1_600)
    _, taker = rig.of_kind(Create)
    assert (taker.tif, taker.qty_lots, taker.stop_ticks) == (TimeInForce.IOC, 60, order.stop_ticks)
    assert taker.price_ticks == 10_010  # 10 bps of collar
    assert [m.qty_lots for m in rig.fills()] == [40, 60]
    assert rig.fills()[-1].leaves_lots == 0
    assert len(rig.of_kind(Cancel)) == 1


def test_post_only_that_would_take_is_taken_at_once():
    rig = Rig().start()
    rig.submit(price=10_001)
    took = rig.until(lambda: rig.desk.lots(0) == 100)
    assert took < 200
    assert [c.tif for c in rig.of_kind(Create)] == [TimeInForce.POST_ONLY, TimeInForce.IOC]


def test_a_taker_that_finds_nothing_ends():
    rig = Rig().start()
    rig.venue.markets["AUSDT"].lots = 25
    rig.submit(price=10_001)
    rig.run(500)
    assert [m.qty_lots for m in rig.fills()] == [25]
    (done,) = rig.dones()
    assert (done.leaves_lots, done.order_id, done.reason) == (75, 1, Cause.EXPIRED)
    assert rig.desk.counters["partial_cancel"] + rig.desk.counters["fills"] > 0


def test_cancel_ends_the_whole_entry():
    rig = Rig().start()
    rig.submit()
    rig.run(100)
    assert rig.desk.cancel(rig.now_ns, 0, int(Cause.ZONE_LOST))
    rig.flush()
    rig.run(200)
    (done,) = rig.dones()
    assert (done.kind, done.reason, done.leaves_lots) == (MessageKind.DONE, Cause.ZONE_LOST, 100)
    assert len(rig.of_kind(Create)) == 1


def test_close_until_flat_with_wider_limits():
    rig = Rig().start()
    rig.open_position()
    market = rig.venue.markets["AUSDT"]
    market.lots = 40
    assert rig.desk.close(rig.now_ns, 0, OrderRole.EXIT, int(Cause.TIME_STOP))
    rig.flush()
    rig.until(lambda: rig.desk.flat)
    closes = [c for c in rig.of_kind(Create) if c.reduce_only]
    assert all(c.reduce_only for c in closes)
    assert [c.qty_lots for c in closes] == [100, 60, 20]
    assert closes[0].price_ticks > closes[1].price_ticks > closes[2].price_ticks
    assert rig.told_lots() == 0
    assert {m.role for m in rig.fills()[1:]} == {OrderRole.EXIT}


def test_dust_is_closed_with_everything():
    rig = Rig().start()
    rig.open_position(lots=3)
    rig.desk.know(instrument(0, min_lots=5))
    rig.desk.close(rig.now_ns, 0, OrderRole.EXIT, 0)
    rig.flush()
    rig.until(lambda: rig.desk.flat)
    last = rig.of_kind(Create)[-1]
    assert (last.qty_lots, last.reduce_only, last.close_on_trigger, last.order_type) == (0, True, True, OrderType.MARKET)


def test_lost_ack_of_an_order_that_landed():
    rig = Rig().start()
    rig.on_send = lambda r: "lose" if isinstance(r, Create) else ""
    rig.on_row = lambda row: False
    rig.submit()
    rig.run(1_100)
    assert rig.desk.counters["unknown_open"] == 1
    rig.on_send = lambda r: ""
    rig.until(lambda: not rig.desk.counters["unknown_open"], 3_000)
    assert rig.row(rig.link("E")).link_id in rig.desk.core.store.by_link
    assert rig.venue.creates == {rig.link("E"): 1}


def test_lost_order_that_never_landed_is_proved_absent_and_only_then():
    rig = Rig().start()
    rig.on_send = lambda r: "drop" if isinstance(r, Create) else ""
    rig.submit()
    took = rig.until(lambda: bool(rig.dones()))
    config = rig.config
    assert took * MS >= config.entry_ttl_ns + config.recv_window_ns + config.guard_ns
    assert took < 12_000
    assert rig.desk.counters["proved_absent"] == 1
    assert len(rig.of_kind(Create)) == 1


def test_not_ready_before_the_books_agree():
    rig = Rig()
    assert rig.desk.submit(rig.now_ns, rig.order(), instrument(0), 0) is Gate.FEED
    rig.start()
    assert rig.desk.submit(rig.now_ns, rig.order(), instrument(0), 0) is Gate.NONE
    assert rig.desk.submit(rig.now_ns, rig.order(number=2), instrument(0), 0) is Gate.IN_POSITION


def test_kill_to_flat():
    rig = Rig().start()
    rig.open_position()
    rig.open_position(symbol=1, number=2, side=-1, price=10_010)
    rig.submit(symbol=2, number=3)
    rig.run(50)
    rig.desk.kill(rig.now_ns)
    rig.flush()
    took = rig.until(lambda: rig.desk.flat)
    assert took < 1_000
    assert not any(rig.venue.lots(s) for s in ("AUSDT", "BUSDT", "CUSDT"))
    assert rig.desk.submit(rig.now_ns, rig.order(number=9), instrument(0), 0) is Gate.KILLED
