"""What single rows of the exchange mean: orders nobody of us knows, orders that are gone, what a position tells besides lots."""

from __future__ import annotations

import pytest

from core.enums import OrderRole
from core.orders.exchange_desk_core import FOREVER
from core.orders.exchange_words import (
    Cancel,
    OrderStatus,
    OrderType,
    QueryKind,
    StopOrderType,
    TimeInForce,
)
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder, Leg
from tests.core.orders.by_hand import A, ByHand, execution, order, position
from tests.core.orders.naive_exchange import MS, START_MS, TAG, S

ORDERS = QueryKind.ORDER_REALTIME
OURS, EARLIER = f"sc{TAG}-zzE", "scother-zzE"


def ours(link_id: str = f"sc{TAG}-1E", state: OrderState = OrderState.LIVE, **fields) -> DeskOrder:
    values = {"leg": Leg.MAKER, "symbol": A, "side": 1, "order_type": OrderType.LIMIT, "tif": TimeInForce.POST_ONLY,
              "qty_lots": 5, "price_ticks": 9_000, "reduce_only": False, "role": OrderRole.ENTRY, "reason": 0, "order_id": 1,
              "decision_id": 1}
    return DeskOrder(link_id=link_id, state=state, **(values | fields))


# --- orders nobody of us knows ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(("row", "word", "cancelled", "off"), [
    (order("by-hand"), "ext_order", False, True),
    (order("by-hand", stop_order_type=StopOrderType.STOP), "ext_order", False, True),
    (order("by-hand", symbol="ZUSDT"), "ext_order", False, False),
    (order("by-hand", status=OrderStatus.FILLED, leaves_lots=0), "", False, False),
    (order(OURS), "orphan_order", True, False),
    (order(EARLIER), "earlier_order", True, False),
    (order(EARLIER, status=OrderStatus.FILLED, leaves_lots=0), "", False, False),
    (order(stop_order_type=StopOrderType.STOP_LOSS, reduce_only=True), "orphan_child", False, False),
    (order(OURS, stop_order_type=StopOrderType.TAKE_PROFIT), "orphan_child", False, False),
])
@pytest.mark.parametrize("polled", [True, False])
def test_an_order_that_is_not_in_our_books(row, word, cancelled, off, polled):
    h = ByHand().start()
    if polled:
        h.recon.ask_now()
        h.round(orders=(row,))
    else:
        h.event(row)
    words = ("ext_order", "orphan_order", "earlier_order", "orphan_child")
    assert {w: h.core.counters[w] for w in words if h.core.counters[w]} == ({word: 1} if word else {})
    assert [(r.symbol, r.link_id, r.order_id) for r in h.waiting if isinstance(r, Cancel)] == (
        [(row.symbol, row.link_id, row.order_id)] if cancelled else [])
    until = h.core.config.cooldown_ns + h.now_ns
    assert {s: holding.off for s, holding in h.core.holdings.items() if holding.off} == (
        {A: {"ext_order": until}} if off else {})


def test_a_strangers_order_is_told_once_as_long_as_it_is_listed():
    h = ByHand().start()
    for listed, told in (((order(),), 1), ((order(),), 1), ((), 1), ((order(),), 2)):
        h.recon.ask_now()
        h.round(orders=listed)
        assert h.core.counters["ext_order"] == told


@pytest.mark.parametrize("answer", [lambda h: h.ack(Cancel), lambda h: h.lose(Cancel)])
def test_an_orphan_is_cancelled_again_where_the_first_cancel_did_not_help(answer):
    h = ByHand().start()
    h.event(order(OURS))
    h.event(order(OURS))
    assert len([r for r in h.asked if isinstance(r, Cancel)]) == 1, "one at a time"
    answer(h)
    h.event(order(OURS))
    assert len([r for r in h.asked if isinstance(r, Cancel)]) == 2


# --- orders that are gone --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("state", "listed", "missing"), [
    (OrderState.LIVE, False, True), (OrderState.PARTIALLY_FILLED, False, True), (OrderState.LIVE, True, False),
    (OrderState.SENT, False, False), (OrderState.CANCELLED, False, False),
])
def test_an_order_that_was_working_and_is_listed_no_more_is_looked_for_at_once(state, listed, missing):
    h = ByHand().start()
    held = ours(state=state, await_ns=FOREVER)
    h.core.store.add(held)
    h.recon.ask_now()
    h.round(orders=(order(held.link_id, "v1"),) if listed else ())
    assert (h.core.counters["order_missing"], h.core.counters["recon_diff"]) == (missing, missing)
    h.after(20 * MS - 1)
    assert not h.is_asked(ORDERS)
    h.after(1)
    assert h.is_asked(ORDERS) == missing


@pytest.mark.parametrize("gone", [True, False])
def test_an_order_that_ends_or_appears_while_the_list_is_under_way_is_not_missing(gone):
    h = ByHand().start()
    held = ours(await_ns=FOREVER)
    if gone:
        h.core.store.add(held)
    h.recon.ask_now()
    h.after(0)
    h.rows(QueryKind.EXECUTIONS)
    if gone:
        held.state = OrderState.CANCELLED
    else:
        h.core.store.add(held)
    h.rows(ORDERS)
    assert h.core.counters["order_missing"] == 0


# --- positions -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("first", "then", "kept"), [
    ({"seq": 5}, {"seq": 6}, "then"), ({"seq": 5}, {"seq": 4}, "first"), ({"seq": 5}, {"seq": 5}, "then"),
    ({"seq": 5, "updated_ms": 9}, {"seq": 5, "updated_ms": 8}, "first"),
    ({"seq": 5, "updated_ms": 9}, {"seq": 6, "updated_ms": 8}, "then"),
])
def test_an_older_telling_of_a_position_is_dropped(first, then, kept):
    h = ByHand().start()
    h.event(position(50, **first))
    h.event(position(70, **then))
    assert h.core.holdings[A].venue_lots == (70 if kept == "then" else 50)
    assert h.core.counters["old_position"] == (kept == "first")


def test_when_a_position_was_told_and_what_time_it_is_there():
    h = ByHand().start()
    h.event(position(50, updated_ms=START_MS + 70))
    assert (h.core.holdings[A].venue_ns, h.core.venue_ms) == (h.now_ns, START_MS + 70)
    h.event(position(50, seq=2, updated_ms=START_MS + 60))
    assert h.core.venue_ms == START_MS + 70


@pytest.mark.parametrize(("row", "trouble"), [
    (position(50, symbol="ZUSDT"), (-1, "INSTRUMENT")), (position(symbol="ZUSDT"), None),
    (position(50, position_idx=2), (0, "MODE")), (position(position_idx=1), None),
])
def test_a_position_that_cannot_be_ours_is_shown_where_it_holds_something_and_not_taken(row, trouble):
    h = ByHand().start()
    h.event(row)
    assert [(t.symbol, t.code) for t in h.desk.trouble] == ([trouble] if trouble else [])
    assert h.core.holding(A).venue is None
    if trouble == (0, "MODE"):
        assert h.core.counters["mode_mismatch"] == 1
        assert (h.desk.trouble[0].ours, h.desk.trouble[0].theirs) == ("0", "2")


@pytest.mark.parametrize(("ranks", "told"), [
    ((4,), 1), ((5,), 1), ((3,), 0), ((1, 4), 1), ((4, 4), 1), ((4, 5), 2), ((5, 4), 1), ((4, 1, 4), 2), ((3, 3), 0),
])
def test_close_to_deleveraging_is_told_whenever_it_comes_closer(ranks, told):
    h = ByHand().start()
    for n, rank in enumerate(ranks):
        h.event(position(adl_rank=rank, seq=n + 1))
    assert h.core.counters["adl_rank"] == told


@pytest.mark.parametrize(("levers", "told"), [((500,), 0), ((500, 500), 0), ((500, 300), 1), ((0, 300), 0), ((500, 300, 500), 2)])
def test_a_leverage_that_changes_is_told(levers, told):
    h = ByHand().start()
    for n, leverage in enumerate(levers):
        h.event(position(leverage_e2=leverage, seq=n + 1))
    assert h.core.counters["lev_mismatch"] == told


def test_liquidation_is_a_trouble_of_the_whole_and_survives_a_restart():
    h = ByHand().start()
    h.event(position())
    assert h.desk.ready and not h.core.counters["liquidation"]
    h.event(position(status="Liq", seq=2))
    assert [(t.symbol, t.code) for t in h.desk.trouble] == [(-1, "LIQUIDATION")] and h.core.counters["liquidation"] == 1
    assert any(payload.startswith(b"LIQUIDATION") for kind, payload in h.records)


@pytest.mark.parametrize("reduces", [True, False])
def test_a_venue_that_takes_only_reducing_orders_gets_no_entries_for_two_polls(reduces):
    h = ByHand().start()
    h.event(position(is_reduce_only=reduces))
    off = h.core.holdings[A].off
    assert off == ({"reduce_only": h.now_ns + 10 * S} if reduces else {})
    assert h.core.counters["venue_reduce_only"] == reduces


# --- executions that are not ours ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("row", "policy", "word", "off", "closing"), [
    (execution(50), "adopt", "ext_position", True, False), (execution(50), "ignore", "ext_position", True, False),
    (execution(50), "close", "ext_position", True, True), (execution(-50), "close", "ext_position", True, True),
    (execution(50, link_id=EARLIER), "close", "earlier_run", False, False),
])
def test_what_becomes_of_an_opening_execution_that_is_not_in_our_books(row, policy, word, off, closing):
    h = ByHand(adopt=policy).start()
    h.event(row)
    (log,) = [log for log in h.logs if log.word == word]
    assert log.a == row.side * row.qty_lots and h.core.counters[word] == 1
    assert ("ext_position" in h.core.holdings[A].off) == off
    assert [(job.role, job.holding.symbol) for job in h.desk.closes.jobs.values()] == ([(OrderRole.EXIT, A)] if closing else [])
    if off:
        assert h.core.holdings[A].off["ext_position"] > h.now_ns + 10**18 and not any(b"off:" in p for _, p in h.records)


def test_a_position_that_is_not_ours_keeps_entries_away_until_it_is_gone():
    h = ByHand(adopt="ignore").start()
    h.event(execution(50))
    h.event(position(50))
    holding = h.core.holdings[A]
    h.event(execution(-20, seq=2))
    h.event(position(30, seq=2))
    assert holding.ignored_lots == 30 and "ext_position" in holding.off
    h.event(execution(-30, seq=3))
    assert holding.ignored_lots == 0
    h.event(position(0, seq=3))
    assert holding.ignored_lots == 0 and not holding.off
