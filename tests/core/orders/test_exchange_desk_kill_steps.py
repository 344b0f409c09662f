"""The kill sequence step by step, to the nanosecond where it has a time: what each step needs, and what sends it back."""

from __future__ import annotations

import pytest

from core.enums import OrderRole
from core.orders.exchange_desk_kill import KillPhase
from core.orders.exchange_words import (
    Ack,
    Cancel,
    CancelEntries,
    Create,
    ExecutionRow,
    LinkState,
    Lost,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    Query,
    QueryKind,
    Send,
    StopOrderType,
    Stream,
    TimeInForce,
)
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder, Leg
from tests.core.orders.desk_cases import A, rig
from tests.core.orders.naive_exchange import MS, SYMBOLS, TAG, Rig

VERIFYING, CLOSING, FLAT = KillPhase.VERIFYING, KillPhase.CLOSING, KillPhase.FLAT


def sweeps(r: Rig, at_ns: int) -> list[CancelEntries]:
    """Those the desk makes at a time; the exchange gets none of them."""
    r.desk.on_timer(at_ns)
    return [e.request for e in r.desk.drain() if isinstance(e, Send) and isinstance(e.request, CancelEntries)]


def killed(r: Rig, phase: KillPhase | None = None) -> Rig:
    """Killed, and as far as that phase."""
    r.desk.kill(r.now_ns)
    r.flush()
    if phase is not None:
        r.until(lambda: r.desk.killing.phase is phase, 5_000)
    return r


def reducing(link_id: str, state: OrderState) -> DeskOrder:
    return DeskOrder(link_id=link_id, leg=Leg.TARGET, symbol=A, side=-1, order_type=OrderType.LIMIT, tif=TimeInForce.GTC,
                     qty_lots=5, price_ticks=11_000, reduce_only=True, role=OrderRole.TAKE_PROFIT, reason=0, order_id=1,
                     decision_id=1, state=state)


@pytest.mark.parametrize(("answer", "again"), [
    (lambda req_id: Ack(req_id, 0), False),
    (lambda req_id: Ack(req_id, 10000, "server timeout"), True),
    (lambda req_id: Ack(req_id, 110001, "order not exists"), True),
    (lambda req_id: Lost(req_id, "error"), True),
])
def test_a_sweep_that_was_not_taken_is_sent_again_150_ms_later(answer, again):
    r = rig()
    r.desk.kill(r.now_ns)
    (send,) = [e for e in r.desk.drain() if isinstance(e, Send) and isinstance(e.request, CancelEntries)]
    sweep = send.request
    assert send.urgent and sweeps(r, r.now_ns + 1 * MS) == [], "one at a time"
    at = r.now_ns + 20 * MS
    r.desk.on_event(at, answer(sweep.req_id))
    assert sweeps(r, at + 150 * MS - 1) == []
    assert len(sweeps(r, at + 150 * MS)) == again


def test_no_sweep_is_sent_to_nowhere_and_it_leaves_with_the_first_link():
    r = rig()
    for stream in (Stream.REST, Stream.TRADE):
        r.event(LinkState(stream, False, 1))
    killed(r).run(300)
    assert r.of_kind(CancelEntries) == [] and r.desk.counters["kill_attempts"] == 0
    r.event(LinkState(Stream.TRADE, True, 2))
    r.turn()
    assert len(r.of_kind(CancelEntries)) == 1


def test_a_second_kill_does_not_wait_for_what_the_first_one_was_refused():
    r = rig()
    r.venue.refuse = lambda q: (10000, "") if isinstance(q, CancelEntries) else None
    killed(r).until(lambda: r.desk.killing._sweep_req == 0)
    r.desk.clear_kill(r.now_ns)
    killed(r)
    assert len(r.of_kind(CancelEntries)) == 2


def test_flat_takes_two_rounds_that_began_after_nothing_was_left():
    r = killed(rig().run(6_000), VERIFYING)  # executions were read a moment ago: a round begins with the orders
    rounds, began = r.desk.recon.rounds, r.now_ns
    r.until(lambda: r.desk.flat, 5_000)
    assert r.desk.recon.rounds == rounds + 2
    assert r.now_ns - began >= r.desk.core.config.verify_ns


def test_a_round_under_way_when_nothing_was_left_any_more_is_no_proof():
    r = rig()
    r.desk.recon.ask_now()
    r.desk.recon.on_timer()
    r.flush()
    began = r.now_ns
    killed(r, VERIFYING)
    rounds = r.desk.recon.rounds
    assert r.desk.recon.round_began_ns <= began
    r.until(lambda: r.desk.flat, 5_000)
    assert r.desk.recon.rounds - rounds >= 2 and r.desk.recon.round_began_ns > began


def test_a_slow_exchange_is_proved_flat_too():
    """A round took longer than a second: the sequence asked anew every second, and the round that came was too old."""
    r = rig()
    r.latency_ns = 400 * MS
    killed(r, VERIFYING)
    assert r.until(lambda: r.desk.flat, 10_000) < 5_000


def venue_first(r: Rig) -> None:
    """The exchange tells a position whose executions have not come."""
    r.on_row = lambda row: not isinstance(row, ExecutionRow)
    r.venue.refuse = lambda q: (10016, "") if isinstance(q, Query) and q.what is QueryKind.EXECUTIONS else None
    r.venue.execute(A, 1, 50, 10_000, "web", "")
    r.run(30)
    assert (r.desk.lots(0), r.desk.core.holdings[A].at_stake) == (0, 50)


def ours_first(r: Rig) -> None:
    """The exchange tells that it is flat; the executions which made it so have not come."""
    r.open_position()
    r.on_row = lambda row: not isinstance(row, ExecutionRow)
    r.venue.refuse = lambda q: (10016, "") if isinstance(q, Query) and q.what is QueryKind.EXECUTIONS else None
    r.venue.execute(A, -1, 100, 10_000, "web", "")
    r.run(30)
    assert (r.desk.lots(0), r.desk.core.holdings[A].at_stake) == (100, 0)


def left_alone(r: Rig) -> None:
    """A stranger's position, by policy not ours to touch."""
    r.venue.execute(A, 1, 50, 10_000, "web", "")
    r.run(30)
    assert (r.desk.lots(0), r.desk.core.holdings[A].at_stake) == (50, 0)


def gone_and_shown(r: Rig) -> None:
    """Our books hold what the exchange does not, and that has been shown: nothing is there to be closed."""
    r.open_position()
    r.venue.put_position(r.venue.position(A)._replace(lots=0, side=0))
    r.until(lambda: bool(r.desk.trouble), 10_000)
    assert (r.desk.lots(0), r.desk.core.holdings[A].at_stake) == (100, 0)


@pytest.mark.parametrize(("books", "config", "jobs", "verified"), [
    (venue_first, {}, [A], False), (ours_first, {}, [A], False),
    (left_alone, {"adopt": "ignore"}, [], True), (gone_and_shown, {}, [], True),
])
def test_what_is_closed_is_what_either_side_holds_but_for_strangers_and_what_is_known_to_be_gone(
        books, config, jobs, verified):
    r = rig(**config)
    books(r)
    killed(r)
    assert list(r.desk.closes.jobs) == jobs and r.desk.counters["closes"] == len(jobs)
    assert {job.role for job in r.desk.closes.jobs.values()} <= {OrderRole.KILL}
    if verified:
        r.until(lambda: r.desk.flat, 5_000)
        assert not [q for q in r.of_kind(Create) if q.reduce_only]


@pytest.mark.parametrize("told", [ExecutionRow, PositionRow])
def test_what_comes_to_life_after_flat_is_not_flat_whichever_side_tells_it_first(told):
    r = killed(rig(), FLAT)
    r.on_row = lambda row: isinstance(row, told)
    r.venue.refuse = lambda q: (10016, "") if isinstance(q, Query) else None
    r.venue.execute(A, 1, 50, 10_000, "web", "")
    r.run(30)
    assert not r.desk.flat and list(r.desk.closes.jobs) == [A]


def cancelled_with_a_fill_to_come(r: Rig) -> None:
    """Its cancel tells of a fill whose execution is not here yet."""
    r.submit()
    r.run(50)
    r.on_row = lambda row: isinstance(row, OrderRow)
    r.venue.refuse = lambda q: (10016, "") if isinstance(q, Query) else None
    r.venue.fill(r.venue.by_link[r.link("E")], 40, 9_990)
    r.run(30)


def closed_and_not_told(r: Rig) -> None:
    """The executions say flat, the exchange has not told the position."""
    r.open_position()
    r.on_row = lambda row: not isinstance(row, PositionRow)
    r.venue.refuse = lambda q: (10016, "") if isinstance(q, Query) else None


@pytest.mark.parametrize("case", [cancelled_with_a_fill_to_come, closed_and_not_told])
def test_nothing_is_verified_while_an_entry_or_a_close_is_not_settled(case):
    r = rig()
    case(r)
    killed(r, CLOSING)
    r.run(2_000)
    assert r.desk.killing.phase is CLOSING
    assert r.desk.entries.working or r.desk.closes.jobs
    r.venue.refuse, r.on_row = lambda q: None, lambda row: True
    r.until(lambda: r.desk.flat, 15_000)
    assert r.venue.lots(A) == r.desk.lots(0) == r.told_lots() == 0


def test_what_only_reduces_stays_until_flat_is_proved_and_goes_then():
    r = rig()
    link = f"sc{TAG}-zzP"
    r.venue.orders["left"] = OrderRow(A, "left", link, -1, OrderType.LIMIT, TimeInForce.GTC, OrderStatus.UNTRIGGERED,
                                      11_000, 5, 0, 5, reduce_only=True, stop_order_type=StopOrderType.STOP)
    r.venue.by_link[link] = "left"
    r.desk.core.store.add(reducing(link, OrderState.LIVE))
    killed(r, VERIFYING).until(lambda: r.desk.flat, 5_000)
    assert [q.link_id for q in r.of_kind(Cancel)] == [link] and r.row(link).status is OrderStatus.UNTRIGGERED, "on its way"
    r.run(50)
    assert r.row(link).status is OrderStatus.DEACTIVATED and r.desk.flat


def test_an_entry_found_while_verifying_begins_the_sequence_anew():
    r = killed(rig(), VERIFYING)
    r.venue.handle(Create(77, "by-hand", SYMBOLS[1], 1, OrderType.LIMIT, 5, 9_000))
    r.until(lambda: r.desk.killing.phase is KillPhase.CANCELLING)
    assert len(r.of_kind(CancelEntries)) == 1
    r.turn()
    assert len(r.of_kind(CancelEntries)) == 2
    r.until(lambda: r.desk.flat, 5_000)
    assert r.row("by-hand").status is OrderStatus.CANCELLED


@pytest.mark.parametrize("phase", [VERIFYING, FLAT])
def test_killing_again_changes_nothing_and_a_cleared_kill_can_come_again(phase):
    r = killed(rig(), phase)
    killed(r)
    assert r.desk.killing.phase is phase and len(r.of_kind(CancelEntries)) == 1
    assert r.desk.counters["kills"] == 1
    r.desk.clear_kill(r.now_ns)
    assert r.desk.killing.phase is KillPhase.IDLE and r.desk.flat
    killed(r, FLAT)
    assert r.desk.counters["kills"] == 2 and len(r.of_kind(CancelEntries)) == 2
