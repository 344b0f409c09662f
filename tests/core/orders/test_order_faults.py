"""Order faults of RELIABILITY.md 2.3, by name: unknown, doubled and reordered (O01-O12), ids and limits (O18-O20).

Each is provoked and its handler seen to run. The others: `test_protection.py` (O13-O17), `test_reconcile.py` (O21-O25,
O39-O45), `test_order_refusals.py` (O26-O38, O44), `test_exchange_desk_kill.py` (O46); all 46: `tests/sim/coverage.py`.
"""

from __future__ import annotations

import pytest

from core.enums import Gate, OrderRole
from core.orders.exchange_words import (
    Ack,
    Amend,
    Banned,
    Create,
    ExecutionRow,
    LinkState,
    Query,
    QueryKind,
    Stream,
)
from core.orders.lifecycle import OrderState
from core.orders.order_store import LINK_ID
from tests.core.orders.desk_cases import A, refusing, rig, state
from tests.core.orders.naive_exchange import S, instrument


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


def test_o18_ids():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 0, ((10_050, 60),))
    r.flush()
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, 0)
    r.flush()
    assert all(LINK_ID.fullmatch(c.link_id) and len(c.link_id) <= 30 for c in r.of_kind(Create))


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
