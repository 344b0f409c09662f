"""When both sides are compared: how a pass begins, what it asks, what makes it begin anew, what is believed after it."""

from __future__ import annotations

import pytest

from core.enums import MessageKind
from core.orders.exchange_words import (
    LinkState,
    Lost,
    Query,
    QueryKind,
    QueryRows,
    StopOrderType,
    Stream,
    WalletRow,
)
from tests.core.orders.by_hand import A, B, ByHand, execution, order, position
from tests.core.orders.naive_exchange import MS, START_MS, S

POSITIONS, ORDERS, EXECUTIONS, WALLET = (
    QueryKind.POSITIONS, QueryKind.ORDER_REALTIME, QueryKind.EXECUTIONS, QueryKind.WALLET)
DAY_MS = 86_400_000


def kinds(requests) -> list[QueryKind]:
    return [r.what for r in requests if isinstance(r, Query) and r.what is not WALLET]


def down(h: ByHand, stream: Stream) -> None:
    h.event(LinkState(stream, False, 1))


def up(h: ByHand, stream: Stream) -> None:
    h.event(LinkState(stream, True, 2))


# --- a first start ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("answer", [
    lambda query: Lost(query.req_id, "no answer"), lambda query: QueryRows(query.req_id, POSITIONS, ()),
])
def test_without_positions_or_the_time_there_is_no_base_and_it_is_asked_again_half_a_second_later(answer):
    h = ByHand()
    h.after(0)
    h.event(answer(h.take(POSITIONS)))
    assert h.core.checkpoint_ms == 0 and not h.waiting[1:]
    assert kinds(h.after(500 * MS - 1)) == [] and kinds(h.after(1)) == [POSITIONS]


@pytest.mark.parametrize(("told_before_ms", "told_ms", "base_ms"), [(0, 700, 700), (600, 700, 700), (600, 0, 600)])
def test_the_base_is_the_time_of_the_answer_or_else_the_latest_that_was_told(told_before_ms, told_ms, base_ms):
    h = ByHand()
    h.after(0)
    h.core.venue_ms = told_before_ms
    h.rows(POSITIONS, now_ms=told_ms)
    assert h.core.checkpoint_ms == h.core.store.forgotten_ms == base_ms
    assert h.is_asked(ORDERS) and not h.is_asked(EXECUTIONS)


@pytest.mark.parametrize(("booked", "row", "external", "lots"), [
    (0, position(50), 1, 50), (0, position(), 0, 0), (50, position(50, seq=2), 0, 50), (50, position(0, seq=2), 0, 50),
    (0, position(50, symbol="ZUSDT"), 0, 0),
])
def test_what_stands_at_the_first_start_is_external_unless_it_is_booked(booked, row, external, lots):
    h = ByHand()
    h.after(0)
    if booked:
        h.event(execution(booked))
        h.core.counters.clear()
    h.rows(POSITIONS, row)
    assert h.core.counters["ext_position"] == external
    assert h.desk.lots(0) == lots
    assert ("instrument" in h.words()) == (row.symbol == "ZUSDT")


def test_nothing_is_believed_from_the_start_and_it_is_said_once_when_it_is():
    assert not ByHand(up=False).recon.synced
    h = ByHand().start()
    for _ in range(3):
        h.recon.ask_now()
        h.round()
    assert h.words().count("synced") == 1


# --- when ------------------------------------------------------------------------------------------------------------
def test_orders_and_positions_every_five_seconds_executions_every_thirty():
    h = ByHand().start()
    assert kinds(h.after(5 * S - 1)) == [] and kinds(h.after(1)) == [EXECUTIONS], "the first pass after the base"
    h.rows(EXECUTIONS)
    asked_ns = h.now_ns
    assert h.is_asked(ORDERS) and kinds(h.after(60 * S)) == [], "one pass at a time"
    h.rows(ORDERS)
    h.rows(POSITIONS)
    h.after(0)
    assert not h.is_asked(ORDERS)
    h.recon.ask_now()
    h.at(asked_ns + 60 * S)
    h.rows(EXECUTIONS)
    h.rows(ORDERS)
    h.rows(POSITIONS)
    base = h.now_ns
    for at, first in ((30 * S - 1, ORDERS), (30 * S, EXECUTIONS)):
        h.now_ns = base + at
        h.recon.ask_now()
        assert kinds(h.after(0)) == [first]
        if first is ORDERS:
            h.rows(ORDERS)
            h.rows(POSITIONS)


@pytest.mark.parametrize("stage", [EXECUTIONS, ORDERS, POSITIONS])
def test_a_pass_that_fails_counts_for_nothing_and_begins_again_half_a_second_later(stage):
    h = ByHand().start()
    h.after(5 * S)
    for what in (EXECUTIONS, ORDERS, POSITIONS):
        if what is stage:
            break
        h.rows(what)
    h.lose(stage)
    assert h.recon.rounds == 1 and not h.waiting[1:]
    assert kinds(h.after(500 * MS - 1)) == []
    assert kinds(h.after(1)) == [EXECUTIONS if stage is EXECUTIONS else ORDERS]
    if stage is EXECUTIONS:
        h.rows(EXECUTIONS)
    h.rows(ORDERS)
    h.rows(POSITIONS)
    assert h.recon.rounds == 2


def test_a_round_began_when_its_orders_were_asked_for():
    h = ByHand().start()
    h.after(5 * S)
    h.now_ns += 1 * S
    h.rows(EXECUTIONS)
    began = h.now_ns
    h.now_ns += 1 * S
    h.rows(ORDERS)
    h.now_ns += 1 * S
    h.rows(POSITIONS)
    assert h.recon.round_began_ns == began


@pytest.mark.parametrize(("asks", "after_ns"), [
    ([], 5 * S), ([0], 0), ([200 * MS], 200 * MS), ([200 * MS, 2 * S], 200 * MS), ([2 * S, 200 * MS], 200 * MS), ([9 * S], 5 * S),
])
def test_the_next_pass_can_only_be_asked_for_earlier(asks, after_ns):
    h = ByHand().start()
    for delay in asks:
        h.recon.ask_now(delay)
    if after_ns:
        assert kinds(h.after(after_ns - 1)) == []
        h.now_ns += 1
    assert kinds(h.after(0)) == [EXECUTIONS]


def test_asked_for_without_a_delay_it_begins_at_once():
    h = ByHand().start()
    h.recon.ask_now()
    assert kinds(h.after(0)) == [EXECUTIONS]


def test_nothing_is_asked_while_nothing_can_be():
    h = ByHand().start()
    h.rows(WALLET)
    down(h, Stream.REST)
    assert h.after(60 * S) == []
    up(h, Stream.REST)
    assert [q.what for q in h.after(0)] == [EXECUTIONS, WALLET]


def test_the_wallet_every_thirty_seconds_and_after_two_where_it_differs():
    h = ByHand().start()

    def told(balance_e8: int) -> None:
        h.rows(WALLET, WalletRow(balance_e8, 0, 0, 0, 0, 0, 0))

    def next_one(after_ns: int) -> None:
        at = h.now_ns + after_ns
        h.at(at - 1)
        assert not h.is_asked(WALLET)
        h.at(at)
        assert h.is_asked(WALLET)

    told(1_000)
    assert h.desk.wallet == WalletRow(1_000, 0, 0, 0, 0, 0, 0)
    next_one(30 * S)
    told(1_900)
    next_one(2 * S)
    told(1_000)
    next_one(30 * S)


@pytest.mark.parametrize("case", ["not synced", "sides differ"])
def test_a_wallet_is_compared_only_while_both_sides_agree(case):
    h = ByHand().start()
    h.rows(WALLET, WalletRow(1_000, 0, 0, 0, 0, 0, 0))
    if case == "not synced":
        h.recon.synced = False
    else:
        h.event(position(50))
    asked_ns = h.now_ns + 30 * S
    h.at(asked_ns)
    h.rows(WALLET, WalletRow(1_900, 0, 0, 0, 0, 0, 0))
    h.at(asked_ns + 2 * S)
    assert not h.is_asked(WALLET)


# --- streams that come and go ----------------------------------------------------------------------------------------
def test_after_a_gap_of_the_private_stream_nothing_is_believed_until_a_whole_pass():
    h = ByHand().start()
    h.rows(WALLET)
    down(h, Stream.PRIVATE)
    assert not h.recon.synced and kinds(h.after(0)) == [], "no pass before its time: the stream must be back first"
    h.rows(WALLET)
    up(h, Stream.PRIVATE)
    assert [q.what for q in h.after(0)] == [EXECUTIONS, WALLET], "at once, and everything"
    h.rows(EXECUTIONS)
    h.rows(ORDERS)
    assert not h.recon.synced
    h.rows(POSITIONS)
    assert h.recon.synced


@pytest.mark.parametrize("stage", [EXECUTIONS, ORDERS, POSITIONS])
def test_a_pass_that_began_before_a_gap_tells_nothing_of_it_and_another_begins_at_once(stage):
    """It ended as if it had seen what the stream did not tell: entries were allowed until the next pass, 5 s later."""
    h = ByHand().start()
    h.after(5 * S)
    for what in (EXECUTIONS, ORDERS, POSITIONS):
        if what is stage:
            down(h, Stream.PRIVATE)
            up(h, Stream.PRIVATE)
        h.rows(what)
    assert not h.recon.synced
    assert kinds(h.after(0)) == [EXECUTIONS]
    for what in (EXECUTIONS, ORDERS, POSITIONS):
        h.rows(what)
    assert h.recon.synced


@pytest.mark.parametrize("stream", [Stream.TRADE, Stream.REST])
def test_another_stream_that_comes_back_begins_a_pass_and_what_was_believed_still_is(stream):
    h = ByHand().start()
    h.rows(WALLET)
    h.after(5 * S)
    for what in (EXECUTIONS, ORDERS, POSITIONS):
        h.rows(what)
    down(h, stream)
    up(h, stream)
    assert h.recon.synced and [q.what for q in h.after(0)] == [ORDERS]
    assert h.core.counters["priv_gap_ms"] == 0


def test_the_longest_gap_is_kept_and_an_up_without_a_down_is_none():
    h = ByHand().start()
    longest = []
    for gap in (300, 200, 450):
        down(h, Stream.PRIVATE)
        h.now_ns += gap * MS
        up(h, Stream.PRIVATE)
        h.now_ns += 999 * MS
        up(h, Stream.PRIVATE)
        longest.append(h.core.counters["priv_gap_ms"])
    assert longest == [300, 300, 450]


@pytest.mark.parametrize("case", ["stream down", "sides differ"])
def test_a_round_is_not_enough_without_the_stream_or_while_the_sides_differ(case):
    h = ByHand().start()
    down(h, Stream.PRIVATE)
    if case == "sides differ":
        up(h, Stream.PRIVATE)
        h.event(position(50, seq=9))
    h.recon.ask_now()
    h.round(*([position(50, seq=9)] if case == "sides differ" else []))
    assert not h.recon.synced and "synced" not in h.words()[1:]
    assert not h.is_asked(ORDERS)
    h.after(500 * MS - 1)
    assert not h.is_asked(ORDERS)
    h.after(1)
    assert h.is_asked(ORDERS), "asked again sooner than every five seconds"


def test_after_a_guardian_two_rounds_must_end_one_may_have_been_under_way():
    h = ByHand().start()
    assert h.recon.reconciled_after(0), "no guardian was at work"
    assert not h.recon.reconciled_after(1)
    for _ in range(2):
        assert not h.recon.reconciled_after(1)
        h.recon.ask_now()
        h.round()
    assert h.recon.reconciled_after(1)
    down(h, Stream.PRIVATE)
    assert not h.recon.reconciled_after(1)
    up(h, Stream.PRIVATE)
    h.round()
    assert h.recon.reconciled_after(1) and not h.recon.reconciled_after(2), "each takeover anew"
    assert kinds(h.after(0)) == [ORDERS], "at once"


# --- executions ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("checkpoint", "forgotten", "start"), [(5_000, 1, 4_400), (5_000, 4_400, 4_400), (5_000, 4_900, 4_900)])
def test_executions_are_asked_for_a_little_behind_the_checkpoint_and_not_from_before_what_is_forgotten(
        checkpoint, forgotten, start):
    h = ByHand(overlap_ms=600).start()
    h.core.checkpoint_ms, h.core.store.forgotten_ms = checkpoint, forgotten
    h.core.venue_ms = 5_000
    h.after(5 * S)
    assert h.take(EXECUTIONS).since_ms == start


@pytest.mark.parametrize(("behind", "windows"), [
    (1_000, [(0, 0)]), (1_001, [(0, 1_000), (1_000, 0)]), (2_500, [(0, 1_000), (1_000, 2_000), (2_000, 0)]),
])
def test_a_long_time_is_asked_for_in_windows_the_exchange_takes(behind, windows):
    h = ByHand(overlap_ms=0, window_ms=1_000).start()
    since = h.core.checkpoint_ms
    h.core.venue_ms = since + behind
    h.after(5 * S)
    asked = []
    while h.is_asked(EXECUTIONS):
        query = h.rows(EXECUTIONS, now_ms=0)
        asked.append((query.since_ms - since, query.until_ms and query.until_ms - since))
    assert asked == windows
    assert h.core.checkpoint_ms == since + behind and h.is_asked(ORDERS)


def test_the_time_that_passes_while_windows_are_read_is_read_too():
    h = ByHand(overlap_ms=0, window_ms=1_000).start()
    since = h.core.checkpoint_ms
    h.after(5 * S)
    query = h.rows(EXECUTIONS, now_ms=since + 1_001)
    assert query.until_ms == 0 and h.take(EXECUTIONS).since_ms == since + 1_000
    assert h.core.checkpoint_ms == since, "only when the last one is read"


def test_executions_are_booked_oldest_first_whatever_the_order_they_are_told_in():
    h = ByHand().start()
    rows = [execution(1, seq=9, exec_id=name, exec_time_ms=START_MS + ms, qty_lots=lots)
            for name, ms, lots in (("c", 2, 4), ("b", 2, 3), ("d", 1, 1))]
    rows.append(execution(2, seq=8, exec_id="z", exec_time_ms=START_MS + 2))
    h.after(5 * S)
    h.rows(EXECUTIONS, *rows)
    assert [m.qty_lots for m in h.told if m.kind == MessageKind.FILL] == [1, 2, 3, 4]


@pytest.mark.parametrize(("streamed", "synced", "noted"), [(True, True, 0), (False, True, 1), (False, False, 0)])
def test_an_execution_only_a_poll_has_told_is_noted_unless_there_was_a_gap(streamed, synced, noted):
    h = ByHand().start()
    row = execution(50)
    if streamed:
        h.event(row)
    h.recon.synced = synced
    h.after(5 * S)
    h.rows(EXECUTIONS, row)
    assert h.core.counters["recon_diff"] == noted and h.desk.lots(0) == 50


# --- orders and positions --------------------------------------------------------------------------------------------
def test_what_could_open_a_position_is_counted_in_every_round():
    h = ByHand().start()
    rows = (order(order_id="a"), order(order_id="b"), order(order_id="c", reduce_only=True),
            order(order_id="d", stop_order_type=StopOrderType.STOP),
            order(order_id="e", stop_order_type=StopOrderType.STOP_LOSS, reduce_only=True))
    h.recon.ask_now()
    h.round(orders=rows)
    assert h.recon.entries_seen == 2
    h.recon.ask_now()
    h.round()
    assert h.recon.entries_seen == 0


@pytest.mark.parametrize(("lots", "venue", "listed", "asked"), [
    (0, None, False, False), (0, position(0), False, False), (50, position(50), True, False), (50, position(50), False, True),
    (50, None, False, True), (0, position(50), False, True),
])
def test_a_position_that_is_not_listed_any_more_is_asked_for_by_its_name(lots, venue, listed, asked):
    h = ByHand().start()
    holding = h.core.holding(A)
    holding.lots, holding.venue = lots, venue
    h.recon.ask_now()
    h.round(*([position(50)] if listed else []))
    assert h.is_asked(POSITIONS, symbol=A) == asked and not h.is_asked(POSITIONS, symbol=B)
    if asked:
        h.rows(POSITIONS, position(0, seq=7), symbol=A)
        assert holding.venue_lots == 0
