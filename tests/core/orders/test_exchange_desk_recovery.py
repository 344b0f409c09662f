"""The desk after a crash at every place where it matters."""

from __future__ import annotations

from core.enums import Cause, OrderRole
from core.orders.exchange_words import (
    Create,
)
from tests.core.orders.desk_cases import A, rig


def test_crash_between_the_brokers_record_and_the_intent_ends_the_entry():
    r = rig()
    order = r.order()
    r.crash(working=(order,))
    (done,) = r.dones()
    assert (done.order_id, done.leaves_lots) == (order.order_id, 100)
    r.crash(booked=done.seq, working=())
    assert len(r.dones()) == 1


def test_crash_after_the_intent_before_the_send():
    r = rig()
    r.on_send = lambda q: "drop" if isinstance(q, Create) else ""
    order = r.submit()
    r.crash(working=(order,))
    took = r.until(lambda: bool(r.dones()), 15_000)
    assert took >= 7_000  # proof, not hope
    assert len([c for c in r.of_kind(Create) if c.link_id == r.link("E")]) == 1


def test_restart_upon_restart_does_not_put_the_proof_off():
    """Kills with kill -9 every few seconds: each restart took every order of all lives before it for one that may have
    left just now, so none was ever proved absent, and the look-ups grew until the exchange banned the address."""
    r = rig()
    r.on_send = lambda q: "drop" if isinstance(q, Create) else ""
    order = r.submit()
    r.turn()
    for _ in range(3):
        r.crash(working=(order,))
        r.run(3_000)
    assert r.until(lambda: bool(r.dones()), 3_000) <= 2_000
    assert not r.desk.looks.looks


def test_crash_after_the_send():
    r = rig()
    order = r.submit()
    r.turn()
    r.run(20)
    r.crash(working=(order,))
    r.until(lambda: bool(r.dones()), 5_000)  # found alive, and cancelled: its time has passed
    assert r.row(r.link("E")).cancel_type == "CancelByUser"


def test_fills_while_we_were_down_are_imported_and_protected():
    r = rig()
    order = r.submit()
    r.run(50)
    r.crash(working=(order,))
    r.venue.fill(r.venue.by_link[r.link("E")], 100, 9_990)
    r.venue.out.clear()
    r.venue.put_position(r.venue.position(A)._replace(stop_ticks=0))
    r.venue.out.clear()
    took = r.until(lambda: r.venue.position(A).stop_ticks == order.stop_ticks, 5_000)
    assert took <= 2_000
    assert r.told_lots() == 100


def test_messages_the_broker_has_not_booked_are_told_again():
    r = rig()
    r.open_position()
    told = list(r.told)
    r.told.clear()
    r.crash(booked=0)
    assert [m._replace(mono_recv_ns=0) for m in r.told] == [m._replace(mono_recv_ns=0) for m in told]
    r.told.clear()
    r.crash(booked=told[-1].seq)
    assert r.told == []
    assert r.desk.lots(0) == 100


def test_a_closing_job_goes_on_after_a_crash():
    r = rig()
    r.open_position()
    r.venue.markets[A].lots = 0
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, int(Cause.TIME_STOP))
    r.flush()
    r.run(200)
    r.crash(booked=r.told[-1].seq)
    r.venue.markets[A].lots = 1 << 40
    r.until(lambda: r.desk.flat, 15_000)
    assert r.fills()[-1].reason == Cause.TIME_STOP
    r.crash(booked=r.told[-1].seq)
    r.run(500)
    assert not r.desk.closes.jobs


def test_the_ladder_goes_on_after_a_crash():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 9_950, ((10_050, 60), (10_080, 40)))
    r.flush()
    r.run(50)
    r.crash(booked=r.told[-1].seq)
    r.run(3_000)
    resting = sorted((o.price_ticks, o.qty_lots) for o in r.venue.orders.values() if o.status in (0, 1))
    assert resting == [(10_050, 60), (10_080, 40)]
    assert r.venue.position(A).stop_ticks == 9_950
    assert r.venue.position(A).target_ticks == 0
