"""A run that crashed leaves orders and positions behind; the next run (another tag, an empty journal) knows them as ours."""

from __future__ import annotations

import pytest

from core.enums import Cause, Gate
from core.orders.exchange_desk import DeskConfig
from core.orders.exchange_words import Cancel, OrderStatus
from core.orders.order_store import Leg, link_id_of, run_of
from tests.core.orders.naive_exchange import TAG, Rig, instrument

A, B = "AUSDT", "BUSDT"


def first_run() -> Rig:
    """A position with a rung and its stop in A, an entry at work in B; then the machine is gone."""
    first = Rig(DeskConfig(run_tag=TAG)).start()
    first.open_position()
    first.desk.protect(first.now_ns, 0, 0, ((10_500, 100),))
    first.flush()
    first.submit(number=2, symbol=1)
    first.run(100)
    assert {run_of(row.link_id) for row in working(first)} == {TAG} and len(working(first)) == 2
    return first


def working(r: Rig) -> list:
    return [row for row in r.venue.orders.values() if row.link_id and row.status is OrderStatus.NEW]


def next_run(first: Rig, inherit: bool = True, **config) -> Rig:
    second = Rig(DeskConfig(run_tag="next", **config), now_ns=first.now_ns, venue=first.venue)
    if inherit:
        second.desk.inherit(first.records)
    return second.start()


def words(r: Rig) -> list[str]:
    return [log.word for log in r.logs]


@pytest.mark.parametrize("adopt", ["adopt", "ignore", "close"])
def test_what_an_earlier_run_left_is_ours_whatever_becomes_of_strangers(adopt):
    first = first_run()
    stop = first.venue.position(A).stop_ticks
    second = next_run(first, adopt=adopt)
    second.run(5_000)
    assert working(second) == [], "its entry and its rung are cancelled: their time has passed"
    assert len(second.of_kind(Cancel)) == 2 and second.desk.counters["earlier_order"] == 2
    assert second.desk.lots(0) == second.venue.lots(A) == 100, "its position is ours, and stays"
    assert second.venue.position(A).stop_ticks == stop, "behind the stop it had"
    assert second.desk.counters["ext_position"] == second.desk.counters["ext_order"] == 0
    assert {"earlier_order", "earlier_run"} <= set(words(second)), "and the trader is told"
    assert second.told_lots() == 100 and second.desk.ready
    second.desk.close(second.now_ns, 0, 1, int(Cause.CONTROL))
    second.flush()
    second.until(lambda: second.desk.flat, 5_000)
    assert second.desk.submit(second.now_ns, second.order(), instrument(0), 0) is Gate.NONE


def test_a_fill_of_an_order_of_an_earlier_run_is_ours_too():
    """It fills between the start of the new run and its cancel."""
    first = first_run()
    second = Rig(DeskConfig(run_tag="next", adopt="close"), now_ns=first.now_ns, venue=first.venue)
    second.on_send = lambda q: "drop" if isinstance(q, Cancel) else ""
    second.start()
    row = next(row for row in working(second) if row.symbol == B)
    second.venue.fill(row.order_id, 100, 9_990)
    second.run(1_000)
    assert second.desk.lots(1) == 100 == second.venue.lots(B), "kept and protected, not closed as a stranger's"
    assert second.desk.counters["earlier_run"] == 1
    assert second.venue.position(B).stop_ticks


def test_without_its_journal_its_orders_are_still_known_and_its_position_is_somebodys():
    second = next_run(first_run(), inherit=False)
    second.run(5_000)
    assert working(second) == [] and second.desk.counters["earlier_order"] == 2
    assert second.desk.counters["ext_position"] >= 1 and second.desk.lots(0) == 100


def test_more_than_it_left_is_somebody_elses():
    first = first_run()
    first.venue.execute(A, 1, 50, 10_000, "web", "")
    second = next_run(first)
    assert second.desk.counters["ext_position"] >= 1


def test_the_run_is_read_from_the_id():
    assert run_of(link_id_of("t1", Leg.CLOSE, 3)) == "t1"
    assert run_of(link_id_of("0123456789", Leg.TAKER, 10**15)) == "0123456789"
    for other in ("", "sct1", "by-hand", "sct1-1", "sct1-1A", "xsct1-1E", "sc-1E", "sct1-1E2", "scalping-bot-7E"):
        assert run_of(other) is None, other
