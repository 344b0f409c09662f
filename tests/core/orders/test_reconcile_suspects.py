"""Books that do not agree: what is asked when, what is concluded from it, and what taking over the exchange's side books."""

from __future__ import annotations

import pytest

from core.enums import MessageKind, OrderRole
from core.orders.exchange_words import LinkState, Query, QueryKind, Quote, Stream
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder
from tests.core.orders.by_hand import A, B, ByHand, execution, position
from tests.core.orders.naive_exchange import MS, START_MS, S
from tests.core.orders.test_reconcile_rows import ours

POSITIONS, EXECUTIONS, WALLET = QueryKind.POSITIONS, QueryKind.EXECUTIONS, QueryKind.WALLET


def suspected(booked: int, told: int, **config) -> ByHand:
    """Reconciled; then both sides of A differ. No pass is due for a day."""
    h = ByHand(poll_ns=86_400 * S, wallet_ns=86_400 * S, **config).start()
    h.rows(WALLET)
    if booked:
        h.event(execution(booked, link_id="scother-1E"))
        h.event(position(booked, seq=1))
    h.now_ns += 10 * S
    h.core.holding(B)
    h.event(position(told, seq=2))
    h.logs.clear()
    h.core.counters.clear()
    return h


def asked(h: ByHand, at_ns: int) -> list[tuple[QueryKind, str | None]]:
    return [(q.what, q.symbol) for q in h.at(at_ns) if isinstance(q, Query)]


BOTH = [(EXECUTIONS, None), (POSITIONS, A)]


def test_it_is_asked_after_300_ms_then_twice_a_second_and_after_ten_seconds_every_other():
    h = suspected(0, 50)
    h.core.store.add(ours(born_ns=h.now_ns, state=OrderState.SENT, await_ns=h.now_ns + 900 * S))  # not to be concluded
    began = h.now_ns
    assert asked(h, began + 300 * MS - 1) == [] and asked(h, began + 300 * MS) == BOTH
    for n in range(1, 20):
        h.rows(EXECUTIONS)
        h.rows(POSITIONS, position(50, seq=2))
        at = began + 300 * MS + n * 500 * MS
        assert asked(h, at - 1) == [] and asked(h, at) == BOTH, n
    h.rows(EXECUTIONS)
    last = h.now_ns
    assert last == began + 9_800 * MS
    assert asked(h, began + 10 * S - 1) == []
    assert asked(h, began + 10 * S) == [] and asked(h, last + 2 * S - 1) == []
    assert asked(h, last + 2 * S) == BOTH


def test_until_ten_seconds_have_passed_it_is_twice_a_second():
    h = suspected(0, 50)
    h.core.store.add(ours(born_ns=h.now_ns, state=OrderState.SENT, await_ns=h.now_ns + 900 * S))
    began = h.now_ns
    h.at(began + 300 * MS)
    h.rows(EXECUTIONS)
    assert asked(h, began + 10 * S - 1) == BOTH
    h.rows(EXECUTIONS)
    assert asked(h, began + 10 * S + 500 * MS) == []


def test_executions_already_under_way_are_not_asked_for_twice_and_may_fail():
    h = suspected(0, 50)
    h.after(300 * MS)
    assert asked(h, h.now_ns + 500 * MS) == [(POSITIONS, A)]
    h.lose(EXECUTIONS)
    assert asked(h, h.now_ns + 500 * MS) == BOTH
    h.rows(EXECUTIONS)
    assert asked(h, h.now_ns + 500 * MS) == BOTH
    assert h.recon.rounds == 1 and not h.is_asked(QueryKind.ORDER_REALTIME), "no pass came of it"


def test_of_a_pass_that_is_reading_executions_no_second_reading_is_made():
    h = suspected(0, 50)
    h.recon.ask_now()
    assert asked(h, h.now_ns + 100 * MS) == [(EXECUTIONS, None)]
    assert asked(h, h.now_ns + 200 * MS) == [(POSITIONS, A)]


@pytest.mark.parametrize("down", [True, False])
def test_nothing_is_asked_and_nothing_concluded_while_nothing_can_be_asked(down):
    h = suspected(100, 70)
    for _ in range(3):
        h.after(500 * MS)
        h.rows(EXECUTIONS)
        h.rows(POSITIONS, position(70, seq=2), symbol=A)
    if down:
        h.event(LinkState(Stream.REST, False, 1))
    asked_now = asked(h, h.now_ns + 5 * S)
    assert (asked_now == []) == down
    assert bool(h.desk.trouble) != down


@pytest.mark.parametrize(("executions", "positions", "age_ns", "shown"), [
    (2, 2, 2500 * MS, True), (2, 2, 2500 * MS - 1, False), (1, 2, 4 * S, False), (2, 1, 4 * S, False), (3, 3, 4 * S, True),
])
def test_it_is_shown_after_two_answers_of_each_and_two_and_a_half_seconds(executions, positions, age_ns, shown):
    h = suspected(100, 70)
    began = h.now_ns
    for n in range(3):
        h.after(300 * MS if n == 0 else 500 * MS)
        if n < executions:
            h.rows(EXECUTIONS)
        if n < positions:
            h.rows(POSITIONS, position(70, seq=2), symbol=A)
    h.at(began + age_ns)
    assert [(t.code, t.ours, t.theirs) for t in h.desk.trouble] == ([("INTEGRITY_BROKEN", "100", "70")] if shown else [])


@pytest.mark.parametrize("late", ["executions", "positions"])
def test_an_answer_to_a_question_from_before_the_suspicion_tells_nothing(late):
    h = ByHand(poll_ns=86_400 * S).start()
    h.event(execution(100, link_id="scother-1E"))
    h.event(position(100, seq=1))
    for seq in (2, 3):  # asked, and over before it is answered; then the next one
        if seq == 3:
            h.event(position(100, seq=seq))
        else:
            h.event(position(70, seq=seq))
            h.after(300 * MS)
    h.now_ns += 100 * MS
    h.event(position(70, seq=4))
    began = h.now_ns
    old = h.take(EXECUTIONS if late == "executions" else POSITIONS, symbol="any")
    h.waiting.append(old)
    h.rows(EXECUTIONS)
    h.rows(POSITIONS, position(70, seq=4), symbol=A)
    suspect = h.recon._suspects[A]
    assert (suspect.since_ns, suspect.executions, suspect.positions) == (began, 0, 0)
    h.after(500 * MS)
    h.rows(EXECUTIONS)
    h.rows(POSITIONS, position(70, seq=4), symbol=A)
    assert (suspect.executions, suspect.positions) == (1, 1)


def test_an_answer_to_a_question_of_the_very_moment_counts():
    h = ByHand(poll_ns=5 * S).start()
    h.event(execution(100, link_id="scother-1E"))
    h.event(position(100, seq=1))
    h.after(5 * S)  # the pass reads executions, and in the same moment
    h.event(position(70, seq=2))
    h.recon._ask_position(h.core.holdings[A])
    h.rows(EXECUTIONS)
    h.rows(POSITIONS, symbol=A)
    suspect = h.recon._suspects[A]
    assert (suspect.executions, suspect.positions) == (1, 1)


def test_a_position_that_could_not_be_asked_for_tells_nothing():
    h = suspected(100, 70)
    h.after(300 * MS)
    h.lose(POSITIONS)
    assert h.recon._suspects[A].positions == 0


@pytest.mark.parametrize("panic", [True, False])
def test_where_it_is_wanted_the_symbol_is_closed_once_when_it_is_shown(panic):
    h = suspected(100, 70, panic_close=panic)
    for _ in range(4):
        h.after(800 * MS)
        h.rows(EXECUTIONS)
        h.rows(POSITIONS, position(70, seq=2), symbol=A)
    h.after(500 * MS)
    assert [job.role for job in h.desk.closes.jobs.values()] == ([OrderRole.KILL] if panic else [])
    h.desk.closes.jobs.clear()
    h.after(500 * MS)
    assert not h.desk.closes.jobs and h.core.counters["integrity_broken"] == 1


def test_both_sides_agree_again_and_it_is_over():
    h = suspected(100, 70)
    for _ in range(4):
        h.after(800 * MS)
        h.rows(EXECUTIONS)
        h.rows(POSITIONS, position(70, seq=2), symbol=A)
    assert h.desk.trouble
    h.core.trouble(B, "INTEGRITY_BROKEN", "another one")
    h.event(position(100, seq=3))
    assert [t.symbol for t in h.desk.trouble] == [1] and not h.recon._suspects
    h.event(position(70, seq=4))
    assert h.recon._suspects[A].since_ns == h.now_ns, "and it can begin again"


# --- a position nobody of us opened ----------------------------------------------------------------------------------
OLD = {"state": OrderState.CANCELLED, "ended_told": True}


@pytest.mark.parametrize(("known", "taken_ms"), [
    ((), 2_500),
    (({"born": -60_000, **OLD},), 2_500), (({"born": -57_500, **OLD},), 2_500), (({"born": -57_499, **OLD},), 2_501),
    (({"born": -90_000, "ended": -40_000, **OLD},), 15_000),
    (({"born": 0, **OLD},), 15_000), (({"born": 0, "state": OrderState.LIVE},), 15_000),
    (({"born": 0, "state": OrderState.SENT},), None), (({"born": -90_000, "state": OrderState.UNKNOWN},), None),
    (({"born": -90_000, "state": OrderState.CANCELLED, "told_lots": 3},), None),
    (({"born": -90_000, "state": OrderState.PARTIALLY_FILLED, "told_lots": 3},), 2_500),
])
def test_a_position_without_executions_is_external_once_no_order_of_ours_can_be_behind_it(known, taken_ms):
    h = suspected(0, 50)
    h.now_ns += 100 * S
    h.event(position(0, seq=3))
    h.event(position(50, seq=4))
    began = h.now_ns
    for n, fields in enumerate(known):
        fields = dict(fields)
        held: DeskOrder = ours(f"sct1-{n}E", born_ns=began + fields.pop("born") * MS, await_ns=began + 900 * S)
        held.ended_ns = began + fields.pop("ended") * MS if "ended" in fields else 0
        for name, value in fields.items():
            setattr(held, name, value)
        h.core.store.add(held)
        h.desk.looks.looks[held.link_id] = None  # nothing is looked for here
    h.desk.looks.on_timer = lambda: None
    h.desk.flow.on_timer = lambda: None

    def step(ms: int) -> None:
        h.at(began + ms * MS)
        if h.is_asked(EXECUTIONS):
            h.rows(EXECUTIONS)
        while h.is_asked(POSITIONS):
            h.rows(POSITIONS, position(50, seq=4), symbol=A)

    for ms in (300, 800, 1_300):
        step(ms)
    if taken_ms is not None:
        h.at(began + taken_ms * MS - 1)
        assert h.desk.lots(0) == 0
        h.at(began + taken_ms * MS)
        assert h.desk.lots(0) == 50 and h.core.counters["ext_position"] == 1 and not h.desk.trouble
    else:
        step(16_000)
        assert h.desk.lots(0) == 0 and [t.code for t in h.desk.trouble] == ["INTEGRITY_BROKEN"]


@pytest.mark.parametrize(("left", "there", "ours_too"), [
    (100, 100, True), (100, 40, True), (100, 101, False), (-100, -100, True), (-100, 40, False), (100, -40, False),
    (1, 1, True), (-1, -1, True), (-2, -1, True), (0, 40, False), (None, 1, False), (None, -1, False),
])
def test_what_an_earlier_run_left_or_a_rest_of_it_is_no_strangers(left, there, ours_too):
    h = ByHand()
    h.core.earlier = {B: 77} | ({} if left is None else {A: left})
    h.start(position(there))
    assert h.desk.lots(0) == there
    assert bool(h.core.counters["ext_position"]) != ours_too and bool(h.core.counters["earlier_run"]) == ours_too
    assert h.core.counters["ext_position"] + h.core.counters["earlier_run"] == 1
    assert ("ext_position" in h.core.holdings[A].off) != ours_too


def test_what_an_earlier_run_left_is_taken_over_once():
    """Gone, and there again: that is not what it left any more."""
    h = ByHand(adopt="close", poll_ns=86_400 * S)
    h.core.earlier = {A: 100}
    h.start(position(100))
    h.event(execution(-100, seq=2))
    h.event(position(0, seq=2))
    assert h.core.counters["ext_position"] == 0 and not h.desk.closes.jobs
    h.event(position(100, seq=3))
    h.recon.adopt(h.core.holdings[A])
    assert h.core.counters["ext_position"] == 1 and h.desk.closes.jobs


@pytest.mark.parametrize(("fill", "there", "ours_too"), [(20, 120, True), (-30, 70, True), (20, 121, False)])
def test_fills_of_an_earlier_run_before_its_position_is_told_are_counted_apart(fill, there, ours_too):
    h = ByHand()
    h.core.earlier = {A: 100}
    h.after(0)
    h.event(execution(fill, link_id="scother-1E"))
    h.rows(POSITIONS, position(there, seq=2))
    assert h.desk.lots(0) == there
    assert h.core.counters["earlier_run"] >= 1 and h.core.counters["ext_position"] == (not ours_too)
    assert bool(h.core.holdings[A].off) != ours_too


# --- the exchange's side is taken over -------------------------------------------------------------------------------
@pytest.mark.parametrize(("booked", "row", "quote", "fill"), [
    (0, position(50, entry_value_e8=50 * 10_050 * 10_000), None, (1, 10_050, 50)),
    (100, position(70), None, (-1, 10_000, 30)), (0, position(-50), None, (-1, 10_000, 50)),
    (70, position(71), None, (1, 10_000, 1)), (70, position(69), None, (-1, 10_000, 1)),
    (100, position(0), Quote(A, 9_990, 9_995, 9_992), (-1, 9_990, 100)),
    (-100, position(0), Quote(A, 9_990, 9_995, 9_992), (1, 9_995, 100)),
    (100, position(0), None, (-1, 10_000, 100)), (-1, position(0, mark_price_e8=10**6), None, (1, 1, 1)),
    (100, position(0, mark_price_e8=0), None, None),
])
def test_the_difference_is_booked_at_the_average_price_or_what_it_would_cost_now(booked, row, quote, fill):
    h = suspected(booked, 0) if not booked else suspected(booked, booked)
    if quote is not None:
        h.event(quote)
    h.event(row._replace(seq=7))
    h.told.clear()
    h.recon.adopt(h.core.holdings[A])
    h.drain()
    assert [(m.side, m.price_ticks, m.qty_lots) for m in h.told if m.kind == MessageKind.FILL] == ([fill] if fill else [])
    assert h.core.holdings[A].agrees == bool(fill) and ("adopt" in h.words()) != bool(fill)
    if fill:
        (told,) = h.told
        assert (told.fee_e8, told.is_maker, told.ts_event_ns) == (0, 0, h.core.venue_ms * MS)
        assert h.core.holdings[A].base_seq == 7 and h.core.store.execs


@pytest.mark.parametrize("row", [None, position(0)])
def test_nothing_is_booked_where_the_exchange_has_told_nothing_or_the_same(row):
    h = ByHand().start()
    holding = h.core.holding(A)
    holding.venue = row
    holding.lots = 0 if row is not None else 5
    h.recon.adopt(holding)
    assert h.told == [] and h.drain() == []


def test_the_base_of_a_first_start_is_not_dropped_as_older_than_what_is_remembered():
    h = ByHand()
    h.after(0)
    h.rows(POSITIONS, position(50, updated_ms=START_MS - 900_000), now_ms=START_MS)
    assert h.desk.lots(0) == 50 and h.core.store.forgotten_ms == START_MS
