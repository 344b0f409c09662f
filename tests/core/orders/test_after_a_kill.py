"""After a kill: what it cost is no reason for the next one, and flat stays flat."""

from __future__ import annotations

import pytest

from core.enums import Cause, OrderRole
from core.orders.exchange_desk_kill import KillPhase
from core.orders.exchange_words import Cancel, CancelEntries, Create, Query
from tests.core.orders.desk_cases import refusing, rig
from tests.core.orders.naive_exchange import SYMBOLS, Rig, S


def failures(r: Rig) -> int:
    return r.desk.failures(r.now_ns)


def test_losses_and_refusals_of_the_kill_do_not_count_and_those_before_it_are_forgotten_when_a_person_clears():
    r = rig()
    for symbol in range(len(SYMBOLS)):
        r.open_position(number=symbol + 1, symbol=symbol)
    r.venue.refuse = refusing(10006, times=1)
    r.submit(r.order(number=8, side=-1, price=10_010))
    r.until(lambda: failures(r) == 1)
    r.on_send = lambda q: "lose" if isinstance(q, Create | Cancel) else ""
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 30_000)
    r.run(2_000)
    assert len(r.of_kind(Create)) > len(SYMBOLS) + 1 and failures(r) == 1, "every closing order lost its answer"
    r.desk.clear_kill(r.now_ns)
    assert failures(r) == 0


@pytest.mark.parametrize(("code", "counts"), [(0, 0), (110017, 0), (110072, 0), (10001, 1), (110007, 1), (10016, 1), (10006, 1)])
def test_only_orders_refused_or_of_unknown_outcome_count(code, counts):
    r = rig()
    closing = code == 110017  # of a closing order: it was flat already
    if closing:
        r.open_position()
    if code:
        r.venue.refuse = refusing(code, times=1)
    if closing:
        r.desk.close(r.now_ns, 0, OrderRole.EXIT, int(Cause.CONTROL))
        r.flush()
    else:
        r.submit()
    r.run(1_000)
    assert failures(r) == counts


def test_lost_queries_and_cancels_are_not_lost_orders():
    r = rig()
    r.on_send = lambda q: "error" if isinstance(q, Query | Cancel) else ""
    r.submit()
    r.run(200)
    r.desk.cancel(r.now_ns, 0, 1)
    r.flush()
    r.run(6_000)
    assert failures(r) == 0


def test_a_failure_counts_for_a_minute():
    r = rig()
    r.venue.refuse = refusing(10001, times=1)
    r.submit()
    r.until(lambda: failures(r) == 1)
    assert r.desk.failures(r.now_ns + 59 * S) == 1
    assert r.desk.failures(r.now_ns + 61 * S) == 0


def test_asking_again_for_a_kill_that_is_flat_changes_nothing():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 3_000)
    sweeps = len(r.of_kind(CancelEntries))
    for _ in range(20):
        r.desk.kill(r.now_ns)
        r.flush()
        assert r.desk.flat
        r.run(1_000)
    assert len(r.of_kind(CancelEntries)) == sweeps


def test_what_comes_to_life_after_flat_is_closed_all_the_same():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 3_000)
    r.venue.execute(SYMBOLS[1], 1, 50, 10_000, "someone", "by-hand")
    r.until(lambda: r.desk.killing.phase is not KillPhase.FLAT, 1_000)
    r.until(lambda: r.desk.flat and r.venue.lots(SYMBOLS[1]) == 0, 10_000)
