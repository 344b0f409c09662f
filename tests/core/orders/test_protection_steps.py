"""The watchdog of stops, to the nanosecond: since when a position is naked, what is asked and set when, what ends it."""

from __future__ import annotations

from typing import Any

import pytest

from core.enums import Cause, OrderRole
from core.orders.exchange_words import (
    LinkState,
    OrderStatus,
    QueryKind,
    Quote,
    Send,
    StopOrderType,
    Stream,
    TradingStop,
)
from core.orders.protection import Guard
from tests.core.orders.by_hand import A, B, ByHand, execution, order, position
from tests.core.orders.naive_exchange import MS, S

POSITIONS = QueryKind.POSITIONS
DAY = 86_400 * S
HOUR = 3600 * S


def held(side: int = 1, stands: int | None = None, wanted: int | None = None, lots: int = 100, **config: Any) -> ByHand:
    """A position of ours, entered at 10 000 ticks, its stop `stands` at the exchange (0: none). No pass is due for a day."""
    h = ByHand(poll_ns=DAY, wallet_ns=DAY, **config).start()
    h.after(0)
    h.waiting.clear()
    h.event(execution(side * lots, link_id="scother-1E"))
    stop = 10_000 - side * 100 if stands is None else stands
    h.core.holdings[A].stop_ticks = 10_000 - side * 100 if wanted is None else wanted
    h.event(position(side * lots, stop_ticks=stop))
    return h


def tell(h: ByHand, lots: int, stop: int, seq: int = 2, **fields: Any) -> None:
    h.event(position(lots, stop_ticks=stop, seq=seq, **fields))


def guard(h: ByHand) -> Guard:
    return h.desk.protection.guards[A]


def stops(requests: list[Any]) -> list[int | None]:
    return [r.stop_ticks for r in requests if isinstance(r, TradingStop)]


def asks(requests: list[Any]) -> int:
    return sum(getattr(r, "what", None) is POSITIONS and r.symbol == A for r in requests)


# --- naked -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("closing", [False, True])
def test_a_position_told_without_a_stop_gets_the_wanted_one_after_300_ms(side, closing):
    h = held(side, stands=0)
    began = h.now_ns
    if closing:
        h.desk.closes.begin(h.core.holdings[A], OrderRole.EXIT, 0)
        h.drain()
    assert stops(h.at(began + 300 * MS - 1)) == []
    assert stops(h.at(began + 300 * MS)) == [10_000 - side * 100]
    assert h.core.counters["naked_ms_max"] == 300 and h.core.counters["sl_set"] == 1
    h.at(began + 450 * MS)
    h.at(began + 100 * MS)
    assert h.core.counters["naked_ms_max"] == 450
    tell(h, side * 100, 10_000 - side * 100)
    assert guard(h).naked_ns == 0


@pytest.mark.parametrize(("row", "known"), [
    (None, False), (position(0, seq=1), False), (position(100, seq=4), False), (position(100, seq=5), True),
    (position(100, seq=6), True), (position(1, seq=6), True),
])
def test_a_fill_the_exchange_has_not_told_the_position_of_is_asked_about_first(row, known):
    h = ByHand(poll_ns=DAY, wallet_ns=DAY).start()
    h.event(execution(100, seq=5, link_id="scother-1E"))
    h.core.holdings[A].stop_ticks = 9_900
    if row is not None:
        h.event(row)
    began = h.now_ns
    made = h.at(began + 300 * MS - 1)
    assert stops(made) == [] and not h.desk.protection._guard(h.core.holdings[A]).asked_ns >= 0
    h.recon._suspects.clear()
    made = h.at(began + 300 * MS)
    assert (stops(made), asks(made)) == (([9_900], 0) if known else ([], 1))
    if not known:
        assert stops(h.at(began + 600 * MS - 1)) == [] and stops(h.at(began + 600 * MS)) == [9_900], "and no longer than that"


def test_a_late_fill_of_a_position_told_as_gone_is_asked_about_first():
    h = ByHand(poll_ns=DAY, wallet_ns=DAY).start()
    h.event(position(0, seq=9))
    h.now_ns += 1
    h.event(execution(100, seq=5, link_id="scother-1E"))
    h.core.holdings[A].stop_ticks = 9_900
    h.recon._suspects.clear()
    made = h.after(300 * MS)
    assert (stops(made), asks(made)) == ([], 1)


def test_a_strangers_part_of_a_position_needs_no_stop():
    h = ByHand(poll_ns=DAY, adopt="ignore").start()
    h.event(execution(100))
    h.event(position(100))
    assert h.core.holdings[A].ignored_lots == 100
    assert stops(h.after(5 * S)) == [] and guard(h).naked_ns == 0


def test_it_is_asked_at_most_every_300_ms_and_the_answer_counts():
    h = ByHand(poll_ns=DAY, wallet_ns=DAY, naked_ns=2 * S).start()
    h.recon.on_timer = lambda: None
    h.event(execution(100, link_id="scother-1E"))
    h.core.holdings[A].stop_ticks = 9_900
    began = h.now_ns
    assert asks(h.at(began + 2 * S)) == 1
    assert asks(h.at(began + 2300 * MS - 1)) == 0 and asks(h.at(began + 2300 * MS)) == 1
    h.event(LinkState(Stream.REST, False, 1))
    assert asks(h.at(began + 3 * S)) == 0
    h.event(LinkState(Stream.REST, True, 2))
    h.rows(POSITIONS, position(100, stop_ticks=9_900), symbol=A)
    assert guard(h).naked_ns == 0 and stops(h.at(began + 9 * S)) == []


@pytest.mark.parametrize("answer", ["lost", "other rows"])
def test_an_answer_without_a_position_changes_nothing(answer):
    h = ByHand(poll_ns=DAY, wallet_ns=DAY).start()
    h.recon.on_timer = lambda: None
    h.event(execution(100, link_id="scother-1E"))
    h.after(300 * MS)
    h.lose(POSITIONS) if answer == "lost" else h.rows(POSITIONS, order(), symbol=A)
    assert h.core.holdings[A].venue is None and guard(h).naked_ns


def test_nothing_is_looked_after_where_nothing_is_held():
    h = ByHand().start()
    h.core.holding(B)
    h.event(position(0))
    h.core.holding_changed(h.core.holdings[B])
    assert h.desk.protection.guards == {}


@pytest.mark.parametrize(("lots", "venue"), [(0, position(100)), (100, None), (100, position(100))])
def test_a_position_either_side_tells_is_looked_after(lots, venue):
    h = ByHand().start()
    holding = h.core.holding(A)
    holding.lots, holding.venue, holding.venue_ns = lots, venue, h.now_ns
    h.desk.protection.holding_changed(holding)
    assert guard(h).naked_ns == h.now_ns


# --- flat ------------------------------------------------------------------------------------------------------------
def test_what_was_wanted_of_a_position_ends_with_it():
    h = held(wanted=9_850)
    holding = h.core.holdings[A]
    holding.targets, holding.order_id, holding.decision_id = ((10_500, 1),), 4, 5
    g = guard(h)
    g.wished, g.yielded, g.refusals, g.triggered_ns, g.beyond_ns, g.changed_ns, g.attached = True, True, 1, 1, 1, 1, {7}
    h.event(execution(-100, seq=2))
    h.event(position(0, seq=2))
    assert (holding.stop_ticks, holding.targets, holding.order_id, holding.decision_id) == (0, None, 0, 0)
    assert h.desk.protection.guards == {}
    assert g == Guard(holding, next_ns=g.next_ns, asked_ns=g.asked_ns), "and nothing of it is left for the next one"


@pytest.mark.parametrize("case", ["a request on its way", "venue tells some", "fills to come", "ignored", "ignored short"])
def test_a_position_that_is_gone_for_us_only_or_has_a_request_on_its_way_is_kept_in_mind(case):
    h = held()
    holding = h.core.holdings[A]
    if case == "a request on its way":
        guard(h).req_id = 9
        h.event(execution(-100, seq=2))
        h.event(position(0, seq=2))
    elif case == "venue tells some":
        h.event(execution(-100, seq=2))
    elif case == "fills to come":
        h.event(position(0, seq=2))
    else:
        sign = 1 if case == "ignored" else -1
        holding.lots = holding.ignored_lots = sign
        holding.venue = position(0, seq=7)
        h.core.holding_changed(holding)
        holding.ignored_lots = sign
        holding.venue = position(sign, seq=8)
        holding.stop_ticks = 9_900
        h.desk.protection.check(guard(h))
    assert holding.at_stake == 0 and holding.stop_ticks == 9_900 and A in h.desk.protection.guards


@pytest.mark.parametrize(("rearmed", "kept"), [
    ([], False), ([-HOUR], True), ([-HOUR - 1], False), ([-2 * HOUR, -HOUR], True), ([-2 * HOUR, -HOUR - 1], False), ([0], True),
])
def test_how_often_a_stop_was_set_again_is_remembered_for_an_hour(rearmed, kept):
    h = held()
    h.now_ns += 3 * HOUR
    guard(h).rearmed = [h.now_ns + at for at in rearmed]
    h.event(execution(-100, seq=2))
    h.event(position(0, seq=2))
    assert (A in h.desk.protection.guards) == kept


# --- a stop that triggers --------------------------------------------------------------------------------------------
STOPPING = [StopOrderType.STOP_LOSS, StopOrderType.PARTIAL_STOP_LOSS, StopOrderType.TRAILING_STOP]
DONE = [OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED]


@pytest.mark.parametrize(("kind", "status", "counts"), [
    *((kind, status, True) for kind in STOPPING for status in DONE),
    (StopOrderType.STOP_LOSS, OrderStatus.UNTRIGGERED, False), (StopOrderType.STOP_LOSS, OrderStatus.DEACTIVATED, False),
    (StopOrderType.TAKE_PROFIT, OrderStatus.TRIGGERED, False), (StopOrderType.STOP, OrderStatus.TRIGGERED, False),
])
def test_a_stop_that_triggered_has_half_a_second_to_close_the_position(kind, status, counts):
    h = held()
    child = order(order_id="child", stop_order_type=kind, status=status, reduce_only=True)
    began = h.now_ns
    h.event(child)
    h.event(child._replace(symbol="ZUSDT"))
    h.now_ns += 100 * MS
    h.event(child)
    h.at(began + 500 * MS - 1)
    assert not h.desk.closes.jobs
    h.at(began + 500 * MS)
    assert [(j.role, j.reason) for j in h.desk.closes.jobs.values()] == ([(OrderRole.STOP, Cause.STOP)] if counts else [])
    assert h.core.counters["sl_local"] == counts and guard(h).triggered_ns == 0 if counts else not guard(h).triggered_ns


def test_a_stop_told_of_before_the_position_is_known_is_kept():
    h = ByHand().start()
    h.event(order(order_id="child", stop_order_type=StopOrderType.STOP_LOSS, status=OrderStatus.TRIGGERED))
    assert guard(h).triggered_ns == h.now_ns


# --- the price beyond a stop that stands -----------------------------------------------------------------------------
@pytest.mark.parametrize(("side", "bid", "ask", "beyond"), [
    (1, 9_871, 9_999, False), (1, 9_870, 9_999, True), (1, 9_870, 9_880, True), (1, 9_999, 9_500, False),
    (-1, 10_000, 10_130, False), (-1, 10_000, 10_131, True), (-1, 10_500, 10_100, False),
])
def test_a_price_beyond_the_stop_by_more_than_30_bps_for_half_a_second_is_closed_by_ourselves(side, bid, ask, beyond):
    h = held(side)  # stops at 9 900 and 10 100: 29 and 30 ticks
    h.event(Quote(A, bid, ask, 10_000))
    h.after(0)
    began = h.now_ns
    h.at(began + 500 * MS - 1)
    assert not h.desk.closes.jobs and guard(h).beyond_ns == (began if beyond else 0)
    h.at(began + 500 * MS)
    assert [j.role for j in h.desk.closes.jobs.values()] == ([OrderRole.STOP] if beyond else [])
    if beyond:
        price, stop = (bid, 9_900) if side > 0 else (ask, 10_100)
        assert h.core.counters["sl_slip_bp"] == abs(price - stop) * 10_000 // stop
        assert guard(h).beyond_ns == 0
        (log,) = [log for log in h.logs if log.word == "sl_local"]
        assert (log.a, log.b) == (stop, price)


@pytest.mark.parametrize("ends", ["price", "quote too old"])
def test_a_price_that_comes_back_or_is_not_known_any_more_is_not_beyond(ends):
    h = held(quote_ns=300 * MS)
    h.event(Quote(A, 9_800, 9_801, 9_800))
    h.after(0)
    began = h.now_ns
    h.at(began + 300 * MS)
    assert guard(h).beyond_ns == began
    if ends == "price":
        h.event(Quote(A, 9_990, 9_991, 9_990))
    h.at(began + 301 * MS)
    assert guard(h).beyond_ns == 0


def test_the_worst_slip_is_kept_and_one_close_is_enough():
    h = held()
    holding = h.core.holdings[A]
    worst = []
    for bid in (9_800, 9_850, 9_700):
        h.event(Quote(A, bid, bid + 1, bid))
        h.desk.protection._stop_ourselves(guard(h), "")
        h.desk.protection._stop_ourselves(guard(h), "")
        worst.append(h.core.counters["sl_slip_bp"])
        h.desk.closes.jobs.clear()
    assert worst == [101, 101, 202] and h.core.counters["sl_local"] == 3
    holding.stop_ticks = 0
    h.desk.protection._stop_ourselves(guard(h), "")
    h.desk.closes.jobs.clear()
    h.now_ns += 60 * S
    h.event(position(100, seq=9, mark_price_e8=0))
    holding.stop_ticks = 9_900
    h.desk.protection._stop_ourselves(guard(h), "")
    assert h.core.counters["sl_slip_bp"] == 202, "unknown where there is no stop or no price"


def test_a_stop_is_sent_before_everything_else_and_not_later_than_a_close():
    h = held(stands=0)
    h.now_ns += 300 * MS
    h.desk.on_timer(h.now_ns)
    (send,) = [e for e in h.desk.drain() if isinstance(e, Send) and isinstance(e.request, TradingStop)]
    assert send.urgent and send.deadline_ns == h.now_ns + h.core.config.close_ttl_ns
