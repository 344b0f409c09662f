"""Stops that stand elsewhere or are gone: whose doing it was, how long it is watched, how often it is set against a will."""

from __future__ import annotations

import pytest

from core.enums import OrderRole
from core.orders.exchange_desk_core import FOREVER
from core.orders.exchange_words import OrderType, Quote, TimeInForce, TradingStop
from core.orders.order_store import DeskOrder, Leg
from tests.core.orders.by_hand import A, ByHand, position
from tests.core.orders.naive_exchange import MS, S
from tests.core.orders.test_protection_steps import HOUR, guard, held, stops, tell


def entry(stop_ticks: int, side: int = 1) -> DeskOrder:
    return DeskOrder(link_id="x", leg=Leg.MAKER, symbol=A, side=side, order_type=OrderType.LIMIT, tif=TimeInForce.POST_ONLY,
                     qty_lots=1, price_ticks=10_000, reduce_only=False, role=OrderRole.ENTRY, reason=0, order_id=1,
                     decision_id=1, stop_ticks=stop_ticks)


def protects(h: ByHand) -> list[bytes]:
    return [payload for kind, payload in h.records if kind == 6]


# --- a stop that stands ----------------------------------------------------------------------------------------------
def test_where_none_was_wanted_the_one_that_stands_is():
    h = held(stands=9_850, wanted=0)
    assert h.core.holdings[A].stop_ticks == 9_850 and guard(h).stood_ticks == 9_850
    assert stops(h.after(10 * S)) == []


def test_the_wanted_stop_seen_ends_whatever_was_under_way():
    h = held()
    g = guard(h)
    g.changed_ns, g.refusals, g.wished, g.naked_ns = 1, 1, True, 1
    tell(h, 100, 9_900)
    assert (g.changed_ns, g.refusals, g.wished, g.naked_ns) == (0, 0, False, 0)


@pytest.mark.parametrize(("side", "stands", "kept"), [
    (1, 9_901, True), (1, 9_899, False), (-1, 10_099, True), (-1, 10_101, False),
])
def test_a_stop_moved_by_somebody_is_taken_over_where_it_is_tighter_and_moved_back_where_it_is_not(side, stands, kept):
    h = held(side)
    wanted = h.core.holdings[A].stop_ticks
    tell(h, side * 100, stands)
    began = h.now_ns
    assert stops(h.at(began + 1 * S - 1)) == [] and h.core.counters["sl_changed"] == 0
    assert stops(h.at(began + 1 * S)) == ([] if kept else [wanted])
    assert h.core.holdings[A].stop_ticks == (stands if kept else wanted)
    assert h.core.counters["sl_changed"] == 1 and h.core.counters["sl_rearmed"] == (not kept)
    assert guard(h).changed_ns == 0
    assert protects(h) == ([b"%s\x1f%d\x1f" % (A.encode(), stands)] if kept else [])


def test_a_stop_that_is_elsewhere_for_less_than_a_second_was_a_race():
    h = held()
    tell(h, 100, 9_950)
    h.after(900 * MS)
    tell(h, 100, 9_900, seq=3)
    tell(h, 100, 9_950, seq=4)
    h.after(900 * MS)
    assert h.core.holdings[A].stop_ticks == 9_900


def test_while_a_request_is_on_its_way_a_stop_elsewhere_tells_nothing():
    h = held()
    tell(h, 100, 9_950)
    guard(h).req_id = 7
    h.after(5 * S)
    assert h.core.holdings[A].stop_ticks == 9_900
    guard(h).req_id = 0
    h.after(0)
    assert h.core.holdings[A].stop_ticks == 9_950


@pytest.mark.parametrize("why", ["wished", "attached"])
def test_what_we_asked_for_or_brought_ourselves_is_put_right_at_once(why):
    h = held()
    g = guard(h)
    g.wished = why == "wished"
    g.attached = {9_850} if why == "attached" else set()
    assert stops(h.event(position(100, stop_ticks=9_850, seq=2))) == [9_900]
    assert h.core.counters["sl_rearmed"] == h.core.counters["sl_changed"] == 0


def test_a_stop_moved_away_a_third_time_in_an_hour_is_left_where_it_is_and_entries_stop():
    h = held()
    for n in range(3):
        tell(h, 100, 9_800, seq=2 + 2 * n)
        h.after(1 * S)
        h.after(0)
        if n < 2:
            assert stops(h.waiting) == [9_900], n
            h.ack(TradingStop)
            tell(h, 100, 9_900, seq=3 + 2 * n)
    assert stops(h.waiting) == [] and h.core.holdings[A].stop_ticks == 9_800
    assert h.core.counters["sl_yielded"] == 1 and h.core.holdings[A].off == {"operator": FOREVER} and not h.desk.closes.jobs
    assert guard(h).yielded and protects(h)
    tell(h, 100, 9_700, seq=20)
    assert stops(h.after(10 * S)) == [] and h.core.holdings[A].stop_ticks == 9_800, "no fight any more"
    tell(h, 100, 0, seq=21)
    assert stops(h.after(10 * S)) == [], "nor where it is removed"


# --- a stop that is gone ---------------------------------------------------------------------------------------------
def test_a_stop_that_was_removed_is_set_again_at_once_twice_then_the_position_is_closed():
    h = held()
    for n in range(2):
        assert stops(h.event(position(100, seq=2 + 2 * n))) == [9_900], n
        assert guard(h).stood_ticks == 0
        h.after(0)
        h.ack(TradingStop)
        tell(h, 100, 9_900, seq=3 + 2 * n)
        h.after(300 * MS)
    assert h.core.counters["sl_lost"] == h.core.counters["sl_rearmed"] == 2
    h.event(position(100, seq=9))
    assert [j.role for j in h.desk.closes.jobs.values()] == [OrderRole.STOP] and stops(h.waiting) == []
    assert h.core.counters["sl_yielded"] == 1


@pytest.mark.parametrize(("rearmed", "again"), [
    ([-HOUR, -HOUR], True), ([-HOUR + 1, -HOUR], True), ([-HOUR + 1, -1], False), ([-HOUR - 1, -1], True),
])
def test_what_was_set_again_counts_for_an_hour(rearmed, again):
    h = held()
    h.now_ns += 3 * HOUR
    guard(h).rearmed = [h.now_ns + at for at in rearmed]
    assert stops(h.event(position(100, seq=2))) == ([9_900] if again else [])
    assert len(guard(h).rearmed) <= 2 and bool(h.desk.closes.jobs) != again


@pytest.mark.parametrize("case", ["a request on its way", "too soon", "a close is under way", "a fill, not told yet"])
def test_a_stop_may_be_gone_for_a_reason(case):
    h = held()
    g = guard(h)
    if case == "a request on its way":
        g.req_id = 7
    elif case == "too soon":
        g.next_ns = h.now_ns + 1
    elif case == "a close is under way":
        h.desk.closes.begin(h.core.holdings[A], OrderRole.EXIT, 0)
    else:
        h.core.holdings[A].exec_seq = 9
    assert stops(h.event(position(100, seq=2))) == []
    assert h.core.counters["sl_lost"] == 0 and g.stood_ticks == 9_900
    if case == "too soon":
        assert stops(h.after(1)) == [9_900]


# --- what is wanted --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("stop", "targets", "kept", "ladder"), [
    (9_950, None, 9_950, ((10_500, 1),)), (0, None, 9_900, ((10_500, 1),)), (9_950, (), 9_950, ()),
    (9_950, ((10_600, 2),), 9_950, ((10_600, 2),)),
])
def test_a_stop_and_a_ladder_are_replaced_where_they_are_given(stop, targets, kept, ladder):
    h = held()
    holding = h.core.holdings[A]
    holding.targets = ((10_500, 1),)
    g = guard(h)
    g.yielded, g.refusals = True, 1
    h.desk.protection.want(holding, stop, targets)
    made = [r for r in h.drain() if isinstance(r, TradingStop)]
    assert (holding.stop_ticks, holding.targets) == (kept, ladder)
    assert (g.yielded, g.refusals) == (False, 0)
    assert [(r.stop_ticks, r.target_ticks) for r in made] == ([(9_950, 0)] if kept == 9_950 else [])
    text = ",".join(f"{t}:{n}" for t, n in ladder)
    (payload,) = protects(h)
    assert payload.startswith(b"%s\x1f%d\x1f" % (A.encode(), kept)) and bool(text) == (len(payload.split(b"\x1f")[2]) > 0)
    assert g.wished == (kept == 9_950), "seen already, or asked for"


def test_without_a_ladder_the_target_is_left_as_it_is():
    h = held()
    h.desk.protection.want(h.core.holdings[A], 9_950, None)
    (made,) = [r for r in h.drain() if isinstance(r, TradingStop)]
    assert made.target_ticks is None


@pytest.mark.parametrize(("stop", "wished"), [(0, False), (1, True), (9_900, True)])
def test_after_a_restart_a_stop_that_was_wanted_is_wanted(stop, wished):
    h = ByHand()
    holding = h.core.holding(A)
    holding.stop_ticks = stop
    h.desk.protection.recover(holding)
    assert guard(h).wished == wished


@pytest.mark.parametrize(("side", "had", "brings", "then", "attached"), [
    (1, 9_900, 0, 9_900, None), (1, 0, 9_850, 9_850, None), (1, 9_900, 9_900, 9_900, None),
    (1, 9_900, 9_901, 9_901, {9_900, 9_901}), (1, 9_900, 9_899, 9_900, {9_900, 9_899}),
    (1, 9_900, 9_950, 9_950, {9_900, 9_950}), (-1, 10_100, 10_050, 10_050, {10_100, 10_050}),
    (-1, 10_100, 10_099, 10_099, {10_100, 10_099}), (-1, 10_100, 10_101, 10_100, {10_100, 10_101}),
])
def test_the_tighter_stop_of_two_entries_is_wanted_and_either_may_stand(side, had, brings, then, attached):
    h = held(side)
    holding, g = h.core.holdings[A], guard(h)
    holding.stop_ticks, g.wished = had, False
    h.desk.protection.entry_stop(holding, entry(brings, side))
    assert holding.stop_ticks == then
    assert (g.attached, g.wished) == (attached or set(), attached is not None)


def test_what_entries_brought_adds_up():
    h = held()
    for stop in (9_910, 9_920):
        h.desk.protection.entry_stop(h.core.holdings[A], entry(stop))
    assert guard(h).attached == {9_900, 9_910, 9_920}


def test_a_guard_is_made_once():
    h = held()
    assert h.desk.protection._guard(h.core.holdings[A]) is guard(h)
    h.event(Quote(A, 1, 2, 1))
    assert list(h.desk.protection.guards) == [A]
