"""Stops on their way: which one is sent, what its answer means, where a stop of nobody's plan is put."""

from __future__ import annotations

import pytest

from core.enums import OrderRole
from core.orders.exchange_words import LinkState, QueryKind, Quote, Stream, TradingStop
from core.orders.protection import average_ticks
from core.position.position import Grid
from core.risk.policy import Instrument
from tests.core.orders.by_hand import A, ByHand, position
from tests.core.orders.naive_exchange import MS, S
from tests.core.orders.test_protection_moves import protects
from tests.core.orders.test_protection_steps import asks, guard, held, stops, tell

POSITIONS = QueryKind.POSITIONS


def naked(side: int = 1, **fields) -> ByHand:
    """A position without a stop, and 300 ms later its stop is on the way."""
    h = held(side, stands=0, **fields)
    h.after(300 * MS)
    return h


# --- answers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("code", "text"), [(0, ""), (34040, "not modified")])
def test_a_stop_that_is_taken_is_read_back_and_sent_again_300_ms_later_where_it_is_not_seen(code, text):
    h = naked()
    guard(h).asked_ns = h.now_ns - 1
    began = h.now_ns
    h.ack(TradingStop, code, text)
    assert asks(h.waiting) == 1 and guard(h).req_id == 0
    assert stops(h.at(began + 300 * MS - 1)) == [] and stops(h.at(began + 300 * MS)) == [9_900]
    h.rows(POSITIONS, position(100, stop_ticks=9_900, seq=2), symbol=A)
    assert guard(h).naked_ns == 0


@pytest.mark.parametrize("code", [None, 10006, 10016, 10002, 99999])
def test_a_stop_nobody_knows_the_fate_of_is_sent_again_200_ms_later(code):
    h = naked()
    began = h.now_ns
    if code is None:
        h.lose(TradingStop)
    else:
        h.ack(TradingStop, code)
    assert stops(h.waiting) == [] and asks(h.waiting) == 0
    assert stops(h.at(began + 200 * MS - 1)) == [] and stops(h.at(began + 200 * MS)) == [9_900]
    assert h.core.counters["sl_refused"] == 0 and h.core.counters["clock_asked"] == (code == 10002)


@pytest.mark.parametrize("code", [10001, 10003, 110023])
def test_refused_twice_it_is_closed(code):
    h = naked()
    h.ack(TradingStop, code, "no")
    assert not h.desk.closes.jobs and guard(h).refusals == 1
    h.after(200 * MS)
    h.ack(TradingStop, code, "no")
    assert [j.role for j in h.desk.closes.jobs.values()] == [OrderRole.STOP]
    assert (h.core.counters["sl_refused"], h.core.counters["sl_close"], guard(h).refusals) == (2, 1, 0)
    (log, _) = [log for log in h.logs if log.word == "sl_refused"]
    assert log.a == 9_900


@pytest.mark.parametrize(("text", "standing", "closed"), [
    ("should be lower than base_price:4", False, True), ("should be lower than base_price:4", True, False), ("no", False, False),
])
def test_refused_because_the_price_has_passed_a_naked_position_is_closed_at_once(text, standing, closed):
    h = held() if standing else naked()
    if standing:
        h.desk.protection.want(h.core.holdings[A], 9_950, None)
        h.drain()
    h.ack(TradingStop, 10001, text)
    assert bool(h.desk.closes.jobs) == closed


@pytest.mark.parametrize(("bid", "closed"), [(9_951, False), (9_950, True), (9_949, True)])
def test_refused_twice_while_one_stands_that_one_is_kept_unless_the_price_is_at_the_wanted_one(bid, closed):
    h = held()
    h.event(Quote(A, bid, 9_999, 9_990))
    h.desk.protection.want(h.core.holdings[A], 9_950, None)
    h.drain()
    h.ack(TradingStop, 10001, "no")
    h.after(200 * MS)
    h.ack(TradingStop, 10001, "no")
    assert guard(h).wished == closed
    assert bool(h.desk.closes.jobs) == closed and h.core.counters["sl_close"] == closed
    if not closed:
        assert h.core.holdings[A].stop_ticks == 9_900 and protects(h)[-1].startswith(b"AUSDT\x1f9900\x1f")
        assert stops(h.after(5 * S)) == []


@pytest.mark.parametrize("case", ["flat", "closing"])
def test_a_refusal_that_comes_when_it_is_flat_or_being_closed_is_only_counted(case):
    h = naked()
    guard(h).refusals = 1
    if case == "flat":
        tell(h, 0, 0, seq=5)
        guard(h).refusals = 1
    else:
        h.desk.closes.begin(h.core.holdings[A], OrderRole.EXIT, 0)
    h.ack(TradingStop, 10001, "no")
    assert h.core.counters["sl_refused"] == 1 and h.core.counters["sl_close"] == 0
    assert [j.role for j in h.desk.closes.jobs.values()] == ([] if case == "flat" else [OrderRole.EXIT])


def test_short_of_one_lot_a_refusal_closes_too():
    for lots in (1, -1):
        h = held(1 if lots > 0 else -1, stands=0, lots=1)
        h.after(300 * MS)
        guard(h).refusals = 1
        h.ack(TradingStop, 10001, "no")
        assert list(h.desk.closes.jobs) == [A]


# --- when ------------------------------------------------------------------------------------------------------------
def test_one_at_a_time_not_before_its_time_and_not_to_nowhere():
    h = naked()
    assert stops(h.after(5 * S)) == [], "the first one is on its way"
    h.lose(TradingStop)
    guard(h).next_ns = h.now_ns + 1 * S
    for stream in Stream:
        h.event(LinkState(stream, False, 1))
    assert stops(h.after(1 * S)) == []
    h.event(LinkState(Stream.TRADE, True, 2))
    guard(h).next_ns = h.now_ns + 50
    assert stops(h.after(49)) == [] and stops(h.after(1)) == [9_900]


# --- the price is there already --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("side", "bid", "ask", "passed"), [
    (1, 9_901, 9_950, False), (1, 9_900, 9_950, True), (1, 9_899, 9_950, True), (1, 9_950, 9_890, False),
    (-1, 9_950, 10_099, False), (-1, 9_950, 10_100, True), (-1, 10_200, 10_099, False), (1, 1, 2, True),
])
def test_a_stop_the_price_has_reached_is_not_sent_the_position_is_closed(side, bid, ask, passed):
    h = held(side, stands=0)
    h.event(Quote(A, bid, ask, 10_000))
    h.after(300 * MS)
    assert bool(h.desk.closes.jobs) == passed and (stops(h.waiting) == []) == passed
    assert h.core.counters["sl_local"] == passed


def test_without_any_price_the_wanted_stop_is_sent():
    h = held(stands=0, quote_ns=100 * MS)
    assert stops(h.after(300 * MS)) == [9_900]


def test_a_position_under_its_stop_moved_by_us_keeps_the_one_that_stands_meanwhile():
    """Wanted tighter than the price allows: sent all the same, the exchange refuses, and the old one stands."""
    h = held()
    h.event(Quote(A, 9_940, 9_941, 9_940))
    h.desk.protection.want(h.core.holdings[A], 9_950, None)
    assert stops(h.drain()) == [9_950] and not h.desk.closes.jobs


# --- a stop nobody planned -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("side", "bid", "ask", "entry", "stop"), [
    (1, 10_000, 10_002, 10_000, 9_900), (1, 10_200, 10_202, 10_000, 9_898), (1, 9_700, 9_702, 10_000, 9_603),
    (1, 9_900, 9_902, 9_998, 9_899), (1, 9_900, 9_902, 9_999, 9_801), (1, 10_000, 10_002, 0, 9_900), (1, 9_999, 10_002, 0, 9_900),
    (-1, 9_998, 10_000, 10_000, 10_100), (-1, 9_798, 9_800, 10_000, 10_098), (-1, 10_298, 10_300, 10_000, 10_403),
    (-1, 10_098, 10_100, 9_999, 10_201), (-1, 10_098, 10_100, 10_000, 10_101), (1, 50, 52, 51, 49), (1, 1, 3, 2, 1),
    (1, 1, 3, 1, 1), (-1, 1, 1, 1, 2),
])
def test_a_position_without_a_plan_gets_a_stop_one_percent_behind_its_entry_or_the_price(side, bid, ask, entry, stop):
    h = held(side, stands=0, wanted=0)
    h.event(position(side * 100, seq=2, entry_value_e8=100 * entry * 10_000))
    h.event(Quote(A, bid, ask, 0))
    assert stops(h.after(300 * MS)) == [stop]
    assert h.core.holdings[A].stop_ticks == stop and len(protects(h)) == 1, "and it is wanted from here on"


def test_without_a_plan_and_without_a_price_the_position_is_asked_for():
    h = held(stands=0, wanted=0)
    tell(h, 100, 0, seq=2, mark_price_e8=0)
    h.waiting.clear()
    made = h.after(300 * MS)
    assert stops(made) == [] and asks(made) == 1 and protects(h) == []


@pytest.mark.parametrize("passed", [True, False])
def test_while_it_is_being_closed_a_stop_the_price_has_passed_is_replaced_by_one_that_is_taken(passed):
    h = held(stands=0)
    h.event(Quote(A, 9_890 if passed else 9_950, 9_951, 9_890))
    h.desk.closes.begin(h.core.holdings[A], OrderRole.EXIT, 0)
    assert stops(h.after(300 * MS)) == [9_792 if passed else 9_900]
    assert h.core.holdings[A].stop_ticks == (9_792 if passed else 9_900) and h.core.counters["sl_local"] == 0


def test_a_wanted_stop_is_sent_as_it_is_and_written_down_no_second_time():
    h = naked()
    assert stops(h.waiting) == [9_900] and protects(h) == []


# --- average price ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("grid", "lots", "value_e8", "ticks"), [
    (Grid(1, 1, 4), 50, 50 * 10_000 * 10_000, 10_000), (Grid(1, 1, 4), 3, 3 * 10_000 * 10_000 + 29_999, 10_000),
    (Grid(5, 1, 4), 2, 10_000 * 10_000, 1_000), (Grid(1, 100, 4), 2, 10**9, 500), (Grid(1, 1, 0), 2, 4 * 10**8, 2),
    (Grid(1, 1, 4), 0, 10**9, 0),
])
def test_the_average_price_in_ticks_rounded_down(grid, lots, value_e8, ticks):
    h = ByHand()
    holding = h.core.holding(A)
    assert average_ticks(holding) == 0, "nothing was told"
    holding.instrument = Instrument(0, A, 100, 0, grid, 0.01, 0.01, 1, 0, 0, 0, 0, True, False)
    holding.venue = position(lots, entry_value_e8=value_e8)
    assert average_ticks(holding) == ticks
