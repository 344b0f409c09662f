"""The order faults of RELIABILITY.md 2.3 that concern the desk, each provoked by name, each handler seen to run.

Not here: O10 (error without reqId) and O11 (late answers) begin in the link's codec, of O20 and O38 only the desk's half;
O28 is a property of integer ticks; O37 concerns batches, which the desk does not use; O43 belongs to the gate.
"""

from __future__ import annotations

import itertools

import pytest

from core.enums import Cause, Gate, MessageKind, OrderRole
from core.orders.exchange_desk import DeskConfig
from core.orders.exchange_words import (
    Ack,
    Amend,
    Banned,
    Cancel,
    CancelEntries,
    Create,
    ExecutionRow,
    InstrumentRow,
    LinkState,
    Lost,
    Query,
    QueryKind,
    QueryRows,
    Quote,
    Send,
    SetLeverage,
    Stream,
    TradingStop,
)
from core.orders.lifecycle import OrderState
from core.orders.order_store import LINK_ID
from tests.core.orders.naive_exchange import MS, SYMBOLS, TAG, Rig, S, instrument

A = "AUSDT"


def rig(**config) -> Rig:
    return Rig(DeskConfig(run_tag=TAG, **config)).start()


def refusing(code: int, text: str = "", kind: type = Create, times: int = 1 << 30):
    left = [times]

    def refuse(request):
        if isinstance(request, kind) and left[0]:
            left[0] -= 1
            return code, text
        return None

    return refuse


def state(r: Rig, link_id: str) -> OrderState:
    return r.desk.core.store.by_link[link_id].state


# --- unknown, doubled, out of order ------------------------------------------------------------------------------------
@pytest.mark.parametrize("landed", [True, False])
def test_o01_ack_timeout(landed):
    r = rig()
    r.on_send = lambda q: ("lose" if landed else "drop") if isinstance(q, Create) else ""
    r.on_row = lambda row: False
    r.submit()
    r.until(lambda: r.desk.counters["unknown_open"] == 1)
    assert r.desk.entries.leaves_of(r.desk.core.store.by_link[r.link("E")]) == 100  # counts as working
    if landed:
        assert r.until(lambda: state(r, r.link("E")) is OrderState.LIVE) < 3_000
    else:
        r.until(lambda: state(r, r.link("E")) is OrderState.VOID)
        r.run(10)
        assert r.dones()[0].leaves_lots == 100
    assert len(r.of_kind(Create)) == 1
    looked = [q.what for q in r.of_kind(Query) if q.link_id]
    assert looked[0] is QueryKind.ORDER_REALTIME
    if not landed:
        assert looked[:3] == [QueryKind.ORDER_REALTIME, QueryKind.ORDER_HISTORY, QueryKind.EXECUTIONS]


def test_o02_a_retry_has_the_same_id_and_makes_no_second_order():
    r = rig()
    r.open_position()
    lost = []

    def lose_first(q):
        if isinstance(q, Create) and q.reduce_only and not lost:
            lost.append(q)
            return "lose"
        return ""

    r.on_send = lose_first
    r.on_row = lambda row: False
    r.venue.markets[A].lots = 40
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.run(2_000)
    r.on_row = lambda row: True
    r.until(lambda: r.desk.flat)
    assert set(r.venue.creates.values()) == {1}
    assert r.told_lots() == 0


def test_o02_duplicate_code_means_look():
    r = rig()
    r.venue.refuse = refusing(110072, "OrderLinkedID is duplicate", times=1)
    r.submit()
    r.run(100)
    assert state(r, r.link("E")) is OrderState.UNKNOWN
    assert r.desk.counters["dup_refused"] == 1
    r.until(lambda: bool(r.dones()), 15_000)


def test_o03_fill_before_ack():
    r = rig()
    r.submit(price=10_001, flags=2)
    create = r.of_kind(Create)[0]
    r.event(ExecutionRow("early", "Trade", "v9", create.link_id, A, 1, 10_001, 40, 3, False, 0, 1_700_000_000_100, 1))
    assert r.desk.counters["fill_before_ack"] == 1
    assert r.fills()[0].qty_lots == 40
    assert r.desk.lots(0) == 40


def test_o04_fill_after_cancel():
    r = rig()
    r.submit(flags=1)
    r.run(50)
    link = r.link("E")
    r.desk.cancel(r.now_ns, 0, 1)
    r.flush()
    r.until(lambda: bool(r.dones()))
    assert state(r, link) is OrderState.CANCELLED
    r.venue.execute(A, 1, 30, 9_990, r.venue.by_link[link], link)
    r.run(100)
    assert r.desk.counters["fill_after_cancel"] == 1
    (late,) = r.fills()
    assert (late.qty_lots, late.leaves_lots, late.role) == (30, 0, OrderRole.ENTRY)
    assert r.desk.lots(0) == 30
    r.until(lambda: r.venue.position(A).stop_ticks == 9_890, 2_000)  # it is protected like any other


def test_o04_double_filled():
    r = rig()
    r.open_position()
    row = r.row(r.link("E"))
    r.event(row._replace(cancel_type="CancelByUser", reject_reason="EC_OrigClOrdIDDoesNotExist", seq=row.seq + 1))
    assert state(r, r.link("E")) is OrderState.FILLED
    assert r.told_lots() == 100


def test_o05_partial_fill_then_cancelled():
    r = rig()
    r.submit(flags=1)
    r.run(50)
    r.venue.fill(r.venue.by_link[r.link("E")], 30, 9_990)
    r.venue.end(r.row(r.link("E")), "CancelByUser")
    r.run(100)
    assert r.desk.counters["partial_cancel"] == 1
    (done,) = r.dones()
    assert (done.leaves_lots, r.desk.lots(0)) == (70, 30)


def test_o06_amend_race_never_raises_the_quantity():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 0, ((10_050, 60), (10_080, 40)))
    r.flush()
    r.run(200)
    rung = r.link("P")
    r.desk.protect(r.now_ns, 0, 0, ((10_060, 50), (10_080, 40)))
    r.flush()
    r.venue.fill(r.venue.by_link[rung], 55, 10_050)  # meets the amend
    r.run(1_500)
    assert all(a.qty_lots is None or a.qty_lots <= 60 for a in r.of_kind(Amend))
    assert r.of_kind(Amend)
    assert r.desk.counters["amend_race"] >= 1
    resting = [o for o in r.venue.orders.values() if o.status in (0, 1)]
    assert sum(o.qty_lots - o.cum_lots for o in resting) <= abs(r.venue.lots(A))
    assert r.desk.lots(0) == r.venue.lots(A) == 45


def test_o07_duplicated_and_reordered_executions():
    r = rig()
    r.submit()
    r.run(50)
    r.on_row = lambda row: not isinstance(row, ExecutionRow)
    link = r.link("E")
    for lots in (10, 20, 70):
        r.venue.fill(r.venue.by_link[link], lots, 9_990)
    r.run(20)
    for row in (*reversed(r.venue.executions), *r.venue.executions):
        r.event(row)
    assert sum(m.qty_lots for m in r.fills()) == 100
    assert r.desk.counters["exec_dup"] == 3
    assert [m.leaves_lots for m in r.fills()] == [30, 10, 0]


def test_o08_silent_private_stream():
    r = rig()
    order = r.submit(work_ms=60_000)
    r.run(100)
    r.on_row = lambda row: False
    r.venue.fill(r.venue.by_link[r.link("E")], 100, 9_990)
    took = r.until(lambda: r.desk.lots(0) == 100)
    assert took <= 6_000
    assert r.desk.counters["recon_diff"] >= 1
    assert r.desk.core.holdings[A].stop_ticks == order.stop_ticks


def test_o09_reconnect_blocks_entries_until_reconciled():
    r = rig()
    r.submit()
    r.run(50)
    r.event(LinkState(Stream.PRIVATE, False, 1))
    r.private_up = False
    assert r.desk.submit(r.now_ns, r.order(number=2, symbol=1), instrument(1), 0) is Gate.FEED
    r.venue.fill(r.venue.by_link[r.link("E")], 100, 9_990)
    r.run(500)
    r.private_up = True
    r.event(LinkState(Stream.PRIVATE, True, 2))
    assert not r.desk.ready
    r.until(lambda: r.desk.ready, 3_000)
    assert r.desk.lots(0) == 100
    assert r.desk.counters["priv_gap_ms"] >= 500


def test_o11_an_answer_nobody_waits_for_is_a_hint():
    r = rig()
    r.on_send = lambda q: "drop" if isinstance(q, Create) else ""
    r.submit()
    create = r.of_kind(Create)[0]
    r.run(1_100)
    assert state(r, create.link_id) is OrderState.UNKNOWN
    late = r.desk.counters["late_ack"]
    r.event(Ack(create.req_id, 110007, "ab not enough for new order"))
    assert r.desk.counters["late_ack"] == late + 1
    assert state(r, create.link_id) is OrderState.UNKNOWN


# --- stops -------------------------------------------------------------------------------------------------------------
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


def test_o18_ids():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 0, ((10_050, 60),))
    r.flush()
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    assert all(LINK_ID.fullmatch(c.link_id) and len(c.link_id) <= 30 for c in r.of_kind(Create))


# --- limits, bans, clocks ------------------------------------------------------------------------------------------------
def test_o19_throttled_entries_wait_and_keep_their_id():
    r = rig()
    r.venue.refuse = refusing(10006, "Too many visits!", times=2)
    r.submit()
    r.until(lambda: bool(r.venue.creates), 2_000)
    assert r.venue.creates == {r.link("E"): 1}
    assert len({c.link_id for c in r.of_kind(Create)}) == 1
    assert r.desk.counters["rate_refused"] == 2


def test_o19_throttled_beyond_its_time_an_entry_is_over():
    r = rig()
    r.venue.refuse = refusing(10006, "Too many visits!")
    r.submit()
    r.until(lambda: bool(r.dones()), 5_000)
    ttl = r.config.entry_ttl_ns
    assert max(ns for q, ns in zip(r.sent, r.sent_ns, strict=True) if isinstance(q, Create)) <= r.sent_ns[0] + ttl + S
    assert not r.venue.creates


def test_o20_a_ban_stops_everything_but_the_trade_stream():
    r = rig()
    r.open_position()
    r.event(Banned(r.now_ns + 600 * S))
    assert not r.desk.ready
    sent = len(r.of_kind(Query))
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.until(lambda: r.venue.lots(A) == 0, 2_000)
    assert len(r.of_kind(Query)) == sent
    assert r.desk.counters["ip_ban"] == 1


def test_o46_clock_error_while_killing():
    r = rig()
    r.open_position()
    left = [6]

    def wrong_clock(q):
        if isinstance(q, Create | CancelEntries | Cancel) and left[0]:
            left[0] -= 1
            return 10002, "invalid request, please check your server timestamp"
        return None

    r.venue.refuse = wrong_clock
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 5_000)
    assert r.desk.counters["kill_attempts"] >= 2
    assert r.desk.counters["clock_asked"] >= 1
    assert r.venue.lots(A) == 0


def test_o46_reconnect_while_killing():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    r.flush()
    for stream in Stream:
        r.event(LinkState(stream, False, 1))
    r.on_send = lambda q: "error"
    r.run(500)
    r.on_send = lambda q: ""
    for stream in Stream:
        r.event(LinkState(stream, True, 2))
    r.until(lambda: r.desk.flat, 5_000)
    assert r.venue.lots(A) == 0


# --- other people, the venue ---------------------------------------------------------------------------------------------
def test_o21_a_position_from_outside_is_adopted_and_protected():
    r = rig()
    r.venue.execute(A, 1, 50, 10_000, "web", "")
    r.run(100)
    assert r.desk.lots(0) == 50
    assert r.desk.counters["ext_position"] == 1
    assert r.desk.submit(r.now_ns, r.order(), instrument(0), 0) is Gate.BLACKLIST
    assert r.until(lambda: r.venue.position(A).stop_ticks == 9_900, 2_000) <= 1_500
    r.venue.execute(A, -1, 50, 10_000, "web2", "")
    r.run(100)
    assert r.desk.submit(r.now_ns, r.order(), instrument(0), 0) is Gate.NONE
    assert r.told_lots() == 0


def test_o21_found_at_the_first_start():
    r = Rig(DeskConfig(run_tag=TAG))
    r.venue.execute(A, -1, 50, 10_000, "before", "")
    r.start()
    assert r.desk.lots(0) == -50
    assert r.told_lots() == -50
    r.run(3_000)
    assert r.venue.position(A).stop_ticks == 10_100
    assert r.told_lots() == -50
    assert r.desk.ready


def test_o21_a_strangers_fill_does_not_speak_for_our_working_entry():
    """Simulation seed 161: told with the order id of our half filled entry and nothing left, it ended that entry for the
    Broker, which rested at the exchange."""
    r = rig()
    order = r.submit()
    r.run(100)
    r.venue.fill(r.venue.by_link[r.link("E")], 40, order.price_ticks)
    r.run(50)
    r.venue.execute(A, order.side, 7, order.price_ticks, "web", "")
    r.run(50)
    ours, strange = r.fills()
    assert (ours.order_id, ours.leaves_lots) == (order.order_id, 60)
    assert (strange.role, strange.qty_lots, strange.order_id, strange.decision_id) == (OrderRole.ENTRY, 7, 0, 0)
    assert r.desk.entries.by_order[order.order_id].leaves_lots == 60
    r.venue.fill(r.venue.by_link[r.link("E")], 60, order.price_ticks)
    r.run(50)
    assert (r.fills()[-1].order_id, r.fills()[-1].leaves_lots) == (order.order_id, 0)
    assert r.told_lots() == 107


def test_o21_ignored_by_policy():
    r = rig(adopt="ignore")
    r.venue.execute(A, 1, 50, 10_000, "web", "")
    r.run(6_000)
    assert r.told == []
    assert r.venue.position(A).stop_ticks == 0
    assert not r.of_kind(TradingStop)
    assert r.desk.flat
    assert r.desk.ready
    r.venue.execute(A, -1, 50, 10_000, "web2", "")
    r.run(200)
    assert r.told == []
    assert r.desk.core.holdings[A].ignored_lots == 0


def test_o21_closed_by_policy():
    r = rig(adopt="close")
    r.venue.execute(A, 1, 50, 10_000, "web", "")
    r.until(lambda: bool(r.desk.flat and r.desk.counters["closed"]), 2_000)
    assert r.venue.lots(A) == 0
    assert r.told_lots() == 0


def test_o22_our_order_cancelled_outside_is_the_truth():
    r = rig()
    r.submit()
    r.run(50)
    r.venue.end(r.row(r.link("E")), "CancelByUser", "EC_PerCancelRequest")
    r.run(100)
    assert r.dones()[0].leaves_lots == 100
    assert len(r.of_kind(Create)) == 1


def test_o22_an_order_that_is_not_ours_cools_the_symbol_down():
    r = rig()
    r.venue.create(Create(0, "by-hand", A, 1, r.order and 1, 5, 9_000))
    r.run(100)
    assert r.desk.counters["ext_order"] == 1
    assert r.desk.submit(r.now_ns, r.order(), instrument(0), 0) is Gate.BLACKLIST
    assert r.desk.submit(r.now_ns, r.order(symbol=1), instrument(1), 0) is Gate.NONE


def test_o22_an_order_of_ours_that_the_journal_does_not_know_is_cancelled():
    r = rig()
    r.venue.create(Create(0, f"sc{TAG}-zzE", A, 1, 1, 5, 9_000))
    r.run(200)
    assert r.desk.counters["orphan_order"] == 1
    assert r.row(f"sc{TAG}-zzE").cancel_type == "CancelByUser"


def test_o23_liquidation_halts_and_stays_so_after_a_restart():
    r = rig()
    r.open_position()
    r.venue.execute(A, -1, 100, 9_000, "liq", "", exec_type="BustTrade")
    r.run(100)
    assert r.fills()[-1].role == OrderRole.LIQUIDATION
    assert not r.desk.ready
    assert [t.code for t in r.desk.trouble] == ["LIQUIDATION"]
    r.crash(booked=r.told[-1].seq)
    r.run(1_000)
    assert not r.desk.ready
    r.desk.clear_trouble(r.now_ns, -1, "LIQUIDATION")
    r.flush()
    assert r.desk.ready
    r.crash(booked=r.told[-1].seq)
    r.run(1_000)
    assert r.desk.ready


def test_o24_auto_deleveraging_is_booked_and_announced_before():
    r = rig()
    r.open_position()
    r.venue.put_position(r.venue.position(A)._replace(adl_rank=4))
    r.run(50)
    assert r.desk.counters["adl_rank"] == 1
    r.venue.execute(A, -1, 40, 10_100, "adl", "", exec_type="AdlTrade")
    r.run(100)
    assert r.desk.lots(0) == 60
    assert r.desk.counters["adl"] == 1
    assert r.desk.ready


def test_o25_funding_moves_cash_only():
    r = rig()
    r.open_position()
    r.venue.funding(A, 77)
    r.run(100)
    (cash,) = [m for m in r.told if m.kind == MessageKind.CASH]
    assert (cash.fee_e8, cash.qty_lots) == (77, 0)
    assert r.desk.lots(0) == 100
    assert r.desk.ready


def test_o25_an_execution_type_nobody_knows_stops_entries():
    r = rig()
    row = r.venue.execute(A, 1, 0, 1, "x", "", exec_type="CorporateAction")
    r.run(100)
    assert r.desk.counters["exec_unknown_type"] == 1
    assert not r.desk.ready
    assert row.exec_id in r.desk.core.store.execs


def test_o26_no_margin():
    r = rig()
    r.venue.refuse = refusing(110007, "ab not enough for new order")
    r.submit()
    r.run(100)
    assert r.dones()[0].reason == Cause.ORDER_REJECTED
    assert r.desk.counters["margin_reject"] == 1
    assert r.desk.submit(r.now_ns, r.order(symbol=1, number=2), instrument(1), 0) is Gate.BALANCE
    r.venue.refuse = lambda q: None
    r.run(31_000)
    assert r.desk.submit(r.now_ns, r.order(symbol=1, number=2), instrument(1), 0) is Gate.NONE


def test_o26_three_refusals_in_a_minute_switch_the_symbol_off():
    r = rig()
    r.venue.refuse = refusing(110094, "Order does not meet minimum order value 5USDT")
    for n in range(3):
        r.submit(number=n + 1)
        r.run(100)
    assert r.desk.submit(r.now_ns, r.order(number=9), instrument(0), 0) is Gate.BLACKLIST
    r.run(61_000)
    assert r.desk.submit(r.now_ns, r.order(number=9), instrument(0), 0) is Gate.NONE


def test_o29_filters_that_changed_are_read_again_after_a_refusal():
    r = rig()
    r.venue.refuse = refusing(10001, "Qty invalid")
    r.submit()
    r.run(30)
    (asked,) = [q for q in r.of_kind(Query) if q.what is QueryKind.INSTRUMENT]
    row = InstrumentRow(A, "Trading", 1, 2, 1, 2, 5, 900, 500, 5, 2500)
    r.event(QueryRows(asked.req_id, QueryKind.INSTRUMENT, (row,)))
    known = r.desk.core.instruments[A]
    assert (known.min_qty_lots, known.max_qty_lots, known.min_notional_e8) == (5, 500, 5)
    assert r.desk.counters["instr_change"] == 1


def test_o30_leverage_is_set_and_read_back_before_the_entry():
    r = rig()
    gate = r.desk.submit(r.now_ns, r.order(), instrument(0), 1500 * MS, leverage_e2=700)
    assert gate is Gate.NONE
    r.flush()
    r.run(100)
    kinds = [type(q) for q in r.sent if isinstance(q, SetLeverage | Create)]
    assert kinds == [SetLeverage, Create]
    assert r.venue.position(A).leverage_e2 == 700


def test_o30_unchanged_is_success_and_read_back_too():
    r = rig()
    r.venue.refuse = refusing(110043, "leverage not modified", SetLeverage)
    r.desk.submit(r.now_ns, r.order(), instrument(0), 1500 * MS, leverage_e2=500)
    r.flush()
    r.run(100)
    assert len(r.of_kind(Create)) == 1
    r.desk.submit(r.now_ns, r.order(symbol=1, number=2), instrument(1), 1500 * MS, leverage_e2=900)
    r.flush()
    r.run(200)
    assert len(r.of_kind(Create)) == 1  # 500 stands where 900 was wanted
    assert r.desk.counters["lev_mismatch"] == 1
    assert r.dones()[0].order_id == 2


def test_o31_hedge_mode_switches_the_symbol_off():
    r = rig()
    r.event(r.venue.position(A)._replace(position_idx=1, side=1, lots=5, seq=99))
    assert [t.code for t in r.desk.trouble] == ["MODE"]
    assert r.desk.submit(r.now_ns, r.order(), instrument(0), 0) is Gate.DATA
    assert r.desk.submit(r.now_ns, r.order(symbol=1), instrument(1), 0) is Gate.NONE


def test_o31_the_code_behind_10001_switches_the_symbol_off():
    r = rig()
    r.venue.refuse = refusing(10001, "position idx not match position mode")
    r.submit()
    r.run(100)
    assert "venue" in r.desk.core.holdings[A].off


def test_o32_stop_fills_while_closing():
    r = rig()
    r.open_position()
    r.on_row = lambda row: False
    r.venue.trigger_stop(A)
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.run(100)
    assert r.desk.counters["close_race"] == 1
    r.on_row = lambda row: True
    r.until(lambda: r.desk.flat, 3_000)
    assert r.told_lots() == 0


@pytest.mark.parametrize(("code", "text"), [
    (110118, "There is no liquidity in the market for this order."), (10001, "buy: [9000,11000] invalid"),
    (110003, "Order price exceeds the allowable range."), (110121, "price limit"),
])
def test_o33_o34_a_refused_exit_is_tried_again(code, text):
    r = rig()
    r.open_position()
    r.venue.refuse = refusing(code, text, times=4)
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.until(lambda: r.desk.flat, 10_000)
    assert r.venue.lots(A) == 0
    assert r.desk.counters["close_refused"] == 1


def test_o33_a_vacuum_is_waited_out():
    r = rig()
    r.open_position()
    r.venue.markets[A].lots = 0
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.run(3_000)
    assert r.desk.counters["ioc_leaves"] > 5
    r.venue.markets[A].lots = 1 << 40
    r.until(lambda: r.desk.flat, 1_000)


def test_o34_exits_stay_inside_the_price_limit():
    r = rig()
    r.open_position()
    r.event(Quote(A, 9_999, 10_001, 10_000, 10_050, 9_990))
    r.venue.markets[A].lots = 10
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    r.run(500)
    limits = [c.price_ticks for c in r.of_kind(Create) if c.reduce_only and c.price_ticks]
    assert limits
    assert min(limits) == 9_990


def test_o35_post_only_that_died_is_no_error():
    r = rig()
    r.submit(price=10_001, flags=1)
    r.run(100)
    assert r.dones()[0].reason == Cause.ORDER_REJECTED
    assert r.desk.counters["integrity"] == 0
    assert not r.desk.core.holdings[A].refusals


def test_o36_the_desk_uses_no_conditional_slots():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 9_950, ((10_050, 50), (10_070, 50)))
    r.flush()
    r.run(300)
    assert not any(c.trigger_ticks for c in r.of_kind(Create))


def test_o38_a_dead_key_stops_entries_until_a_person_has_looked():
    r = rig()
    r.venue.refuse = refusing(33004, "Your api key has expired.", times=1)
    r.submit()
    r.run(100)
    assert [t.code for t in r.desk.trouble] == ["KEY"]
    assert not r.desk.ready
    assert r.desk.clear_trouble(r.now_ns, -1, "KEY")
    assert r.desk.ready


def test_o39_nothing_is_concluded_while_history_lags():
    r = rig()
    r.on_send = lambda q: "lose" if isinstance(q, Create) else ""
    r.on_row = lambda row: False
    r.submit(price=10_001, flags=2)
    r.run(50)
    r.venue.hidden.add(r.venue.by_link[r.link("T")])  # realtime wiped, history and executions late
    r.run(15_000)
    assert state(r, r.link("T")) is OrderState.UNKNOWN  # the position is not as expected: no proof
    r.venue.hidden.clear()
    r.until(lambda: r.desk.lots(0) == 100, 5_000)
    assert state(r, r.link("T")) is OrderState.FILLED


def test_o39_a_live_order_that_vanished_is_cancelled_by_proof():
    r = rig()
    r.submit(flags=1, work_ms=60_000)
    r.run(50)
    venue_id = r.venue.by_link[r.link("E")]
    del r.venue.orders[venue_id]
    r.until(lambda: bool(r.dones()), 20_000)
    assert r.desk.counters["closed_wiped"] == 1


@pytest.mark.parametrize("days", [2, 9, 30])
def test_o40_long_outages(days):
    r = rig()
    r.open_position()
    r.crash(booked=r.told[-1].seq)
    for stream in Stream:
        r.event(LinkState(stream, False, 1))
    r.venue.execute(A, -1, 40, 10_050, "stop", "")
    r.now_ns += days * 86_400 * S
    r.venue.now_ms += days * 86_400_000
    r.venue.out.clear()
    r.connect()
    r.until(lambda: r.desk.ready, 5_000)
    assert r.desk.lots(0) == 60
    windows = [q for q in r.of_kind(Query) if q.what is QueryKind.EXECUTIONS and q.until_ms]
    assert all(q.until_ms - q.since_ms <= 7 * 86_400_000 for q in windows)
    assert r.told_lots() == 60


def test_o41_every_page_is_read():
    r = rig()
    r.venue.page = 1
    r.on_row = lambda row: False
    for number in range(3):
        r.submit(number=number + 1, symbol=number)
    r.run(50)
    for letter in range(3):
        r.venue.fill(r.venue.by_link[r.link("E", letter)], 100, 9_990)
    r.run(7_000)
    assert [r.desk.lots(n) for n in range(3)] == [100, 100, 100]
    assert r.desk.counters["pages"] > 6


def test_o41_a_cursor_that_comes_again_is_refused():
    r = rig()
    r.open_position()
    r.run(5_000)
    r.venue.refuse = lambda q: None
    asked = len(r.sent)
    r.until(lambda: any(isinstance(q, Query) and q.what is QueryKind.ORDER_REALTIME and not q.link_id
                        for q in r.sent[asked:]), 6_000)
    rounds = r.desk.recon.rounds
    query = [q for q in r.sent[asked:] if q.what is QueryKind.ORDER_REALTIME][-1]
    row = next(iter(r.venue.orders.values()))
    r.event(QueryRows(query.req_id, query.what, (row,), "same"))
    again = r.sent[-1]
    assert again.cursor == "same"
    r.event(QueryRows(again.req_id, again.what, (row,), "same"))
    assert r.desk.counters["cursor_repeated"] == 1
    assert r.desk.recon.rounds == rounds


def test_o42_self_match_prevention_is_a_cancel():
    r = rig()
    r.submit(flags=1)
    r.run(50)
    r.venue.end(r.row(r.link("E")), "CancelBySmp")
    r.run(50)
    assert r.desk.counters["smp"] == 1
    assert len(r.dones()) == 1


def test_o44_the_venue_only_reduces():
    r = rig()
    r.open_position()
    r.venue.put_position(r.venue.position(A)._replace(is_reduce_only=True))
    r.run(50)
    assert r.desk.counters["venue_reduce_only"] >= 1
    assert r.desk.submit(r.now_ns, r.order(number=2), instrument(0), 0) is Gate.BLACKLIST


def test_o45_a_wallet_that_is_not_what_we_booked():
    r = rig()
    r.open_position()
    r.run(40_000)
    assert r.desk.ready
    r.venue.balance += 1_000
    r.run(60_000)
    assert [t.code for t in r.desk.trouble] == ["LEDGER"]
    assert int(r.desk.trouble[0].theirs) - int(r.desk.trouble[0].ours) == 1_000
    r.desk.clear_trouble(r.now_ns, -1, "LEDGER")
    r.flush()
    r.run(60_000)
    assert r.desk.ready


# --- integrity -----------------------------------------------------------------------------------------------------------
def break_books(r: Rig) -> None:
    """The venue's position changes without any execution."""
    held = r.venue.position(A)
    r.venue.put_position(held._replace(lots=70))


def test_integrity_broken_shows_both_sides_and_ends_when_a_person_adopts():
    r = rig()
    r.open_position()
    break_books(r)
    r.until(lambda: bool(r.desk.trouble), 6_000)
    (trouble,) = r.desk.trouble
    assert (trouble.code, trouble.ours, trouble.theirs, trouble.symbol) == ("INTEGRITY_BROKEN", "100", "70", 0)
    assert r.desk.submit(r.now_ns, r.order(number=2), instrument(0), 0) is Gate.DATA
    assert r.desk.submit(r.now_ns, r.order(symbol=1, number=3), instrument(1), 0) is Gate.NONE
    assert r.desk.clear_trouble(r.now_ns, 0, "INTEGRITY_BROKEN")
    r.flush()
    r.run(500)
    assert r.desk.trouble == []
    assert r.desk.lots(0) == r.told_lots() == 70


def test_integrity_broken_panic_closes_where_wanted():
    r = rig(panic_close=True)
    r.open_position()
    break_books(r)
    r.until(lambda: r.venue.lots(A) == 0, 8_000)
    r.run(500)
    assert not r.desk.closes.jobs


def test_kill_ends_even_with_broken_books():
    r = rig()
    r.open_position()
    break_books(r)
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 10_000)
    assert r.venue.lots(A) == 0


def test_funding_before_a_position_was_taken_over_is_cash_like_any_other():
    r = rig()
    r.on_row = lambda row: not isinstance(row, ExecutionRow)
    r.venue.hidden |= {"web", "random"}
    r.venue.execute(A, 1, 30, 10_000, "web", "")
    r.venue.funding(A, 55)
    r.venue.put_position(r.venue.position(A))
    r.run(8_000)
    r.venue.hidden.clear()
    r.run(31_000)
    assert sum(m.fee_e8 for m in r.told) == 55 + r.venue.fee
    assert r.desk.core.holdings[A].adopted_lots == 0


def test_executions_that_come_after_a_position_was_taken_over_bring_their_price_and_fee():
    r = rig()
    r.on_row = lambda row: not isinstance(row, ExecutionRow)
    r.venue.hidden.add("web")
    r.venue.execute(A, 1, 30, 10_000, "web", "")
    r.venue.execute(A, 1, 20, 10_050, "web", "")
    r.run(8_000)
    assert r.desk.lots(0) == 50
    assert r.told_lots() == 50
    r.venue.hidden.clear()
    r.run(31_000)
    late = [m for m in r.told if m.kind == MessageKind.CASH]
    assert len(late) == 2
    adopted = r.fills()[0]
    value = 50 * adopted.price_ticks * 10_000 + sum(m.fee_e8 for m in late)
    assert value == (30 * 10_000 + 20 * 10_050) * 10_000 + 2 * r.venue.fee
    assert r.desk.lots(0) == 50
    r.crash(booked=r.told[-1].seq)
    r.run(2_000)
    assert r.desk.lots(0) == 50
    assert len([m for m in r.told if m.kind == MessageKind.CASH]) == 2


# --- kill ----------------------------------------------------------------------------------------------------------------
def test_kill_never_cancels_everything_and_removes_no_stop_before_flat():
    r = rig()
    r.open_position()
    r.venue.markets[A].lots = 0
    r.desk.kill(r.now_ns)
    r.flush()
    r.run(3_000)
    assert r.venue.position(A).stop_ticks == 9_890
    assert r.of_kind(CancelEntries)
    assert not [q for q in r.of_kind(TradingStop) if q.stop_ticks == 0]
    assert not r.desk.flat
    r.venue.markets[A].lots = 1 << 40
    r.until(lambda: r.desk.flat, 3_000)
    assert all(c.reduce_only for c in r.of_kind(Create)[1:])


def test_an_entry_that_waited_for_the_disk_is_not_wanted_after_kill_cancel_or_its_time():
    for end in ("kill", "cancel", "late"):
        r = rig()
        gate = r.desk.submit(r.now_ns, r.order(), instrument(0), 1500 * MS)
        (send,) = [e for e in r.desk.drain() if isinstance(e, Send)]
        assert gate is Gate.NONE
        assert r.desk.may_leave(r.now_ns, send.request)
        now = r.now_ns
        if end == "kill":
            r.desk.kill(now)
        elif end == "cancel":
            r.desk.cancel(now, 0, 1)
        else:
            now = send.deadline_ns
        assert not r.desk.may_leave(now, send.request)
        r.flush()
        r.event(Lost(send.request.req_id, "no longer wanted", sent=False))
        r.run(500)
        assert r.dones()[0].leaves_lots == 100
        assert not r.venue.creates


def test_exits_may_always_leave():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    sends = [e for e in r.desk.drain() if isinstance(e, Send)]
    assert sends
    assert all(r.desk.may_leave(r.now_ns + 100 * S, e.request) for e in sends)


def test_kill_is_latched_over_restarts_until_cleared():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    r.flush()
    r.crash(booked=max(m.seq for m in r.told))
    r.until(lambda: r.desk.flat, 15_000)
    assert r.venue.lots(A) == 0
    assert r.desk.submit(r.now_ns, r.order(number=2), instrument(0), 0) is Gate.KILLED
    r.desk.clear_kill(r.now_ns)
    r.flush()
    r.crash(booked=max(m.seq for m in r.told))
    r.until(lambda: r.desk.ready, 15_000)


def test_kill_with_ten_percent_of_the_answers_lost():
    r = rig()
    for number, symbol in enumerate(SYMBOLS):
        r.open_position(number=number + 1, symbol=number)
        assert r.venue.lots(symbol) == 100
    count = [0]

    def every_tenth(q):
        count[0] += 1
        return "lose" if count[0] % 10 == 0 else ""

    r.on_send = every_tenth
    at = r.now_ns
    r.desk.kill(r.now_ns)
    r.flush()
    assert r.until(lambda: not any(r.venue.lots(s) for s in SYMBOLS)) <= 1_000
    r.until(lambda: r.desk.flat, 10_000)
    for q, ns in zip(r.sent, r.sent_ns, strict=True):
        assert not (isinstance(q, Create) and not q.reduce_only and ns > at)


# --- crashes -------------------------------------------------------------------------------------------------------------
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


# --- ladder --------------------------------------------------------------------------------------------------------------
def test_the_ladder_takes_profit_rung_by_rung():
    r = rig()
    r.open_position(target=10_500)
    assert r.venue.position(A).target_ticks == 10_500
    r.desk.protect(r.now_ns, 0, 9_990, ((10_050, 60), (10_080, 40)))
    r.flush()
    r.run(300)
    assert (r.venue.position(A).stop_ticks, r.venue.position(A).target_ticks) == (9_990, 0)
    r.venue.fill(r.venue.by_link[r.link("P")], 60, 10_050)
    r.run(1_000)
    assert r.fills()[-1].role == OrderRole.TAKE_PROFIT
    assert len(r.of_kind(Create)) == 3  # the filled rung is not made again
    r.venue.fill(r.venue.by_link[r.link("P", 1)], 40, 10_080)
    r.run(200)
    assert r.desk.flat
    assert r.desk.core.holdings[A].targets is None


def test_a_lower_rung_is_amended_a_bigger_one_is_made_anew():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 0, ((10_050, 60),))
    r.flush()
    r.run(200)
    r.desk.protect(r.now_ns, 0, 0, ((10_040, 50),))
    r.flush()
    r.run(500)
    (amend,) = r.of_kind(Amend)
    assert (amend.price_ticks, amend.qty_lots) == (10_040, 50)
    r.desk.protect(r.now_ns, 0, 0, ((10_040, 80),))
    r.flush()
    r.run(1_000)
    assert len(r.of_kind(Cancel)) == 1
    assert [(o.price_ticks, o.qty_lots) for o in r.venue.orders.values() if o.status == 0] == [(10_040, 80)]


def test_kill_is_proved_by_two_complete_rounds_and_asks_once_for_everything_else():
    r = rig()
    r.open_position()
    records = len(r.records)
    r.desk.kill(r.now_ns)
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.venue.lots(A) == 0)
    rounds = r.desk.recon.rounds
    r.until(lambda: r.desk.flat)
    assert r.desk.recon.rounds - rounds >= 2
    assert len(r.of_kind(CancelEntries)) == 1
    assert r.desk.counters["clock_asked"] == 0
    r.desk.kill(r.now_ns)
    r.flush()
    latches = [payload for kind, payload in r.records[records:] if kind == 4 and payload.startswith(b"KILL")]
    assert len(latches) == 1
    r.desk.clear_kill(r.now_ns)
    r.desk.clear_kill(r.now_ns)
    r.flush()
    latches = [payload for kind, payload in r.records[records:] if kind == 4 and payload.startswith(b"KILL")]
    assert len(latches) == 2
    assert r.desk.ready


def test_a_sweep_that_is_refused_waits_before_it_is_sent_again():
    r = rig()
    r.open_position()
    r.venue.refuse = refusing(10000, "server timeout", CancelEntries, times=3)
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 5_000)
    at = [ns for q, ns in zip(r.sent, r.sent_ns, strict=True) if isinstance(q, CancelEntries)]
    assert len(at) == 4
    assert all(b - a >= 150 * MS for a, b in itertools.pairwise(at))
