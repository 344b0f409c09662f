"""Orders that have been seen are not sent again; closed ones cost nothing, and nothing of them is booked twice."""

from __future__ import annotations

from core.enums import Cause, OrderRole
from core.orders.exchange_desk import DeskConfig
from core.orders.exchange_words import Create, OrderStatus
from core.orders.order_store import Leg
from tests.core.orders.naive_exchange import MS, TAG, Rig, S


def rig(**config) -> Rig:
    return Rig(DeskConfig(run_tag=TAG, **config)).start()


def test_a_rung_whose_answer_is_lost_is_not_sent_again_once_the_stream_shows_it():
    r = rig()
    r.open_position()
    r.on_send = lambda q: "lose" if isinstance(q, Create) else ""
    r.desk.protect(r.now_ns, 0, 0, ((10_500, 100),))
    r.flush()
    r.run(3_000)
    rungs = [c.link_id for c in r.of_kind(Create) if c.reduce_only]
    assert len(rungs) == len(set(rungs)) == 1
    assert r.row(rungs[0]).status is OrderStatus.NEW
    assert r.desk.counters["dup_attempt"] == 0 and not [log for log in r.logs if log.word == "integrity"]


def trade(r: Rig, number: int) -> None:
    r.open_position(number=number)
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, int(Cause.CONTROL))
    r.flush()
    r.until(lambda: r.desk.lots(0) == 0 and not r.desk.closes.jobs, 5_000)


def test_closed_orders_leave_the_open_ones_and_later_the_memory():
    r = rig(fillable_ns=60 * S, overlap_ms=30_000)
    for number in range(1, 11):
        trade(r, number)
    r.run(500)
    store = r.desk.core.store
    assert len(list(store)) >= 20 and store.unclosed() == []
    executions, told = list(r.venue.executions), len(r.told)
    r.run(200_000)
    assert list(store) == [] and not r.desk.entries.by_order
    assert len(store.execs) == 0 < store.forgotten_ms
    for row in executions:  # an old page of the exchange, long after: nothing is booked a second time
        r.event(row)
    assert len(r.told) == told and r.desk.lots(0) == 0
    trade(r, 11)  # and the desk trades on, with ids nobody has used
    ids = [c.link_id for c in r.of_kind(Create)]
    assert len(ids) == len(set(ids))


def test_a_late_fill_of_a_closed_order_is_booked():
    r = rig()
    order = r.submit()
    r.run(200)
    r.desk.cancel(r.now_ns, 0, int(Cause.CONTROL))
    r.flush()
    r.until(lambda: bool(r.dones()))
    r.run(1_000)
    store = r.desk.core.store
    assert store.unclosed() == []
    link = r.link("E")
    r.venue.execute("AUSDT", 1, 40, 9_990, store.by_link[link].venue_id, link)
    r.run(50)
    assert r.desk.lots(0) == 40 and store.by_link[link].cum_lots == 40 and store.by_link[link].leg is Leg.MAKER
    assert order.order_id == r.fills()[-1].order_id
    assert r.now_ns > MS
