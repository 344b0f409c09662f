"""The paper matcher: rules one by one, and equality with its naive twin on random markets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.enums import Cause, MessageKind, OrderRole, ReportKind
from core.sim import desk as d
from tests.core.sim.desk_rig import ASKS, BIDS, Rig, brief, mirrored, price


@pytest.mark.parametrize("sign", [1, -1])
class TestMaker:
    def test_queue_ahead_is_consumed_by_trades_at_the_price_only(self, sign):
        rig = Rig()
        bids, asks = mirrored(sign)
        rig.match(bids, asks)
        rig.enter(sign, price(sign, 999), 10)
        assert rig.match(bids, asks) == []
        assert rig.match(trades=[(price(sign, 999), 15, -sign)]) == []  # 20 ahead, 5 left
        thin = [(p, 1 if p == price(sign, 999) else q) for p, q in bids], [(p, q) for p, q in asks]
        if sign < 0:
            thin = [(p, q) for p, q in bids], [(p, 1 if p == price(sign, 999) else q) for p, q in asks]
        assert rig.match(*thin) == []  # the level shrank by cancels: does not help us
        assert rig.match(trades=[(price(sign, 999), 9, sign)]) == []  # wrong aggressor
        assert brief(rig.match(trades=[(price(sign, 999), 9, -sign)])) == [
            ("FILL", "ENTRY", sign, price(sign, 999), 4, 6)]
        assert brief(rig.match(trades=[(price(sign, 999), 50, -sign)])) == [
            ("FILL", "ENTRY", sign, price(sign, 999), 6, 0)]

    def test_inside_the_spread_nothing_is_ahead(self, sign):
        rig = Rig()
        rig.enter(sign, 1000, 10)
        rig.match(*mirrored(sign))
        assert brief(rig.match(trades=[(1000, 3, -sign)])) == [("FILL", "ENTRY", sign, 1000, 3, 7)]

    def test_trade_through_fills_up_to_what_was_printed(self, sign):
        rig = Rig()
        rig.enter(sign, price(sign, 999), 10)
        rig.match(*mirrored(sign))
        assert brief(rig.match(trades=[(price(sign, 998), 4, -sign)])) == [
            ("FILL", "ENTRY", sign, price(sign, 999), 4, 6)]

    def test_book_crossing_fills_what_it_displays_once(self, sign):
        rig = Rig()
        rig.enter(sign, price(sign, 999), 10)
        rig.match(*mirrored(sign))
        crossed = ([(990, 5)], [(998, 4), (999, 3), (1000, 9)])
        if sign < 0:
            crossed = ([(2000 - p, q) for p, q in crossed[1]], [(2000 - p, q) for p, q in crossed[0]])
        assert brief(rig.match(*crossed)) == [("FILL", "ENTRY", sign, price(sign, 999), 7, 3)]
        assert rig.match(trades=[]) == []

    def test_deeper_than_displayed_learns_its_queue_when_it_shows(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, price(sign, 985), 10)
        rig.match(*mirrored(sign))
        assert rig.match(trades=[(price(sign, 985), 99, -sign)]) == []
        bids, asks = mirrored(sign)
        deep = [(price(sign, 985), 6), (price(sign, 980), 1)]
        rig.match(bids + deep if sign > 0 else bids, asks if sign > 0 else asks + deep)
        assert brief(rig.match(trades=[(price(sign, 985), 8, -sign)])) == [
            ("FILL", "ENTRY", sign, price(sign, 985), 2, 8)]

    def test_block_and_rpi_prints_fill_nothing(self, sign):
        rig = Rig()
        rig.enter(sign, price(sign, 999), 10)
        rig.match(*mirrored(sign))
        assert rig.match(trades=[(price(sign, 990), 99, -sign, 1), (price(sign, 999), 99, -sign, 2)]) == []

    def test_trades_of_the_event_that_brought_the_acceptance_do_not_count(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, price(sign, 999), 10)
        assert rig.match(trades=[(price(sign, 990), 99, -sign)]) == []

    def test_deadline_turns_taker_and_walks_the_levels(self, sign):
        rig = Rig()
        rig.enter(sign, price(sign, 999), 60, deadline=1_000)
        rig.match(*mirrored(sign), now=10)
        assert rig.match(now=999) == []
        messages = rig.match(now=1_000)  # 50 bps of the touch: 5 ticks, so the third level is out of reach
        assert brief(messages) == [
            ("FILL", "ENTRY", sign, price(sign, 1001), 20, 40), ("FILL", "ENTRY", sign, price(sign, 1002), 30, 10),
            ("DONE", "", 0, 0, 0, 10)]
        assert messages[-1]["reason"] == Cause.EXPIRED

    def test_deadline_without_taker_flag_ends_the_order(self, sign):
        rig = Rig()
        rig.enter(sign, price(sign, 999), 60, deadline=1_000, flags=1)
        rig.match(*mirrored(sign), now=10)
        assert brief(rig.match(now=1_000)) == [("DONE", "", 0, 0, 0, 60)]


@pytest.mark.parametrize("sign", [1, -1])
class TestTaker:
    def test_displayed_liquidity_is_used_once_per_book_state(self, sign):
        rig = Rig()
        bids, asks = mirrored(sign)
        rig.match(bids, asks)
        rig.enter(sign, price(sign, 1001), 15, flags=2)
        assert brief(rig.match()) == [("FILL", "ENTRY", sign, price(sign, 1001), 15, 0)]
        rig.report(ReportKind.CLOSE, role=OrderRole.EXIT, reason=Cause.TIME_STOP)
        assert brief(rig.match()) == [("FILL", "EXIT", -sign, price(sign, 999), 15, 0)]
        rig.enter(sign, price(sign, 1001), 15, flags=2)
        assert brief(rig.match()) == [("FILL", "ENTRY", sign, price(sign, 1001), 5, 10),
                                      ("FILL", "ENTRY", sign, price(sign, 1002), 10, 0)]
        rig.report(ReportKind.CLOSE, role=OrderRole.EXIT, reason=Cause.TIME_STOP)
        assert brief(rig.match(bids, asks)) == [("FILL", "EXIT", -sign, price(sign, 999), 15, 0)]

    def test_what_was_taken_may_span_levels(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, price(sign, 1001), 25, flags=2)
        rig.match()
        rig.report(ReportKind.CLOSE, role=OrderRole.EXIT)
        rig.match()
        rig.enter(sign, price(sign, 1001), 40, flags=2)
        assert brief(rig.match()) == [("FILL", "ENTRY", sign, price(sign, 1002), 25, 15), ("DONE", "", 0, 0, 0, 15)]

    def test_post_only_that_would_cross(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, price(sign, 1001), 5, flags=1)
        messages = rig.match()
        assert brief(messages) == [("DONE", "", 0, 0, 0, 5)]
        assert messages[0]["reason"] == Cause.ORDER_REJECTED
        rig.enter(sign, price(sign, 1001), 5, flags=3)
        assert brief(rig.match()) == [("FILL", "ENTRY", sign, price(sign, 1001), 5, 0)]

    def test_an_exit_is_retried_until_flat(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, price(sign, 1001), 20, flags=2)
        rig.match()
        rig.report(ReportKind.CLOSE, role=OrderRole.EXIT)
        thin = ([(999, 3)], [(1001, 9)]) if sign > 0 else ([(999, 9)], [(1001, 3)])
        assert brief(rig.match(*thin)) == [("FILL", "EXIT", -sign, price(sign, 999), 3, 17)]
        assert rig.match() == []
        assert brief(rig.match(*mirrored(sign))) == [("FILL", "EXIT", -sign, price(sign, 999), 17, 0)]
        assert rig.desk.row[rig.slot].close_role == 0


@pytest.mark.parametrize("sign", [1, -1])
class TestProtection:
    def open(self, sign, stop=990, target=1020, qty=10):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, price(sign, 1001), qty, stop=price(sign, stop), target=price(sign, target), flags=2)
        rig.match()
        return rig

    def test_stop_is_never_better_than_the_print_that_triggered_it(self, sign):
        rig = self.open(sign)
        assert rig.match(trades=[(price(sign, 991), 5, -sign)]) == []
        messages = rig.match(trades=[(price(sign, 990), 1, -sign)])
        assert brief(messages) == [("FILL", "STOP", -sign, price(sign, 990), 10, 0)]
        assert messages[0]["is_maker"] == 0

    def test_target_queues_and_fills_as_maker(self, sign):
        rig = self.open(sign, target=1002)  # 30 displayed there
        assert rig.match(trades=[(price(sign, 1002), 30, sign)]) == []
        messages = rig.match(trades=[(price(sign, 1002), 4, sign), (price(sign, 1003), 2, sign)])
        assert brief(messages) == [("FILL", "TAKE_PROFIT", -sign, price(sign, 1002), 6, 4)]
        assert messages[0]["is_maker"] == 1

    def test_target_already_crossed_takes_down_to_its_price_and_rests(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, price(sign, 1001), 5, target=price(sign, 998), flags=2)
        assert [m[1] for m in brief(rig.match())] == ["ENTRY", "TAKE_PROFIT"]
        rig = Rig()
        bids, asks = mirrored(sign)
        rig.match(bids, asks)
        rig.enter(sign, price(sign, 1002), 30, targets=[(price(sign, 999), 25)], flags=2)
        messages = rig.match()
        assert brief(messages)[2:] == [("FILL", "TAKE_PROFIT", -sign, price(sign, 999), 20, 10)]
        assert (messages[-1]["is_maker"], messages[-1]["rung"]) == (0, 1)
        assert rig.targets()[0] == (price(sign, 999), 5)  # the rest rests, alone at its price
        messages = rig.match(trades=[(price(sign, 999), 3, sign)])
        assert brief(messages) == [("FILL", "TAKE_PROFIT", -sign, price(sign, 999), 3, 7)]
        assert messages[0]["is_maker"] == 1

    def test_stop_in_a_broken_book_waits_for_prints(self, sign):
        rig = self.open(sign)
        assert rig.match(trades=[(price(sign, 989), 5, -sign, 1)], believed=False) == []  # block trade
        messages = rig.match(trades=[(price(sign, 989), 4, -sign)], believed=False)
        assert brief(messages) == [("FILL", "STOP", -sign, price(sign, 989), 4, 6)]
        assert rig.match(believed=False) == []
        messages = rig.match(trades=[(price(sign, 988), 2, -sign), (price(sign, 992), 9, -sign)], believed=False)
        assert brief(messages) == [("FILL", "STOP", -sign, price(sign, 988), 6, 0)]

    def test_an_exit_ends_the_rest_of_the_entry(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, 1000, 10, stop=price(sign, 990))
        rig.match()
        rig.match(trades=[(1000, 4, -sign)])
        messages = rig.match(trades=[(price(sign, 989), 1, -sign)])
        assert [(m["kind"], m["role"]) for m in messages] == [
            (MessageKind.FILL, OrderRole.ENTRY), (MessageKind.DONE, 0), (MessageKind.FILL, OrderRole.STOP)]
        assert rig.desk.active[rig.slot] == 1  # liquidity marked as used until the book changes
        rig.match(*mirrored(sign))
        assert rig.desk.active[rig.slot] == 0

    def test_a_protected_report_moves_stop_and_targets(self, sign):
        rig = self.open(sign, target=1002)
        at = price(sign, 1002)
        rig.match(trades=[(at, 30, sign)])  # the queue ahead is gone
        rig.report(ReportKind.PROTECTED, stop=price(sign, 995), targets=[(at, 99)])
        assert rig.targets()[0] == (at, 10)  # lots are the desk's own, and an unmoved target keeps its place
        assert brief(rig.match(trades=[(at, 2, sign)])) == [("FILL", "TAKE_PROFIT", -sign, at, 2, 8)]
        moved = price(sign, 1003)
        rig.report(ReportKind.PROTECTED, targets=[(moved, 0)])
        assert d.desk_stop(rig.desk, rig.slot) == price(sign, 995)
        rig.match()
        assert brief(rig.match(trades=[(moved, 3, sign)])) == [("FILL", "TAKE_PROFIT", -sign, moved, 3, 5)]
        assert brief(rig.match(trades=[(price(sign, 995), 1, -sign)])) == [
            ("FILL", "STOP", -sign, price(sign, 995), 5, 0)]
        rig.report(ReportKind.PROTECTED, stop=5, targets=[(5, 5)])
        assert d.desk_stop(rig.desk, rig.slot) == 0  # nothing to protect


@pytest.mark.parametrize("sign", [1, -1])
class TestLadder:
    LADDER = ((1004, 4), (1006, 3), (1008, 2))

    def open(self, sign, qty=10):
        rig = Rig()
        bids, asks = ([(999, 20)], [(1001, 20)])
        rig.match(bids, asks)
        rig.enter(sign, price(sign, 1001), qty, stop=price(sign, 990), flags=2,
                  targets=[(price(sign, p), q) for p, q in self.LADDER])
        rig.match()
        return rig

    def test_one_print_fills_no_more_than_its_lots_the_nearest_first(self, sign):
        rig = self.open(sign)
        messages = rig.match(trades=[(price(sign, 1007), 6, sign)])
        assert brief(messages) == [("FILL", "TAKE_PROFIT", -sign, price(sign, 1004), 4, 6),
                                   ("FILL", "TAKE_PROFIT", -sign, price(sign, 1006), 2, 4)]
        assert [m["rung"] for m in messages] == [1, 2]
        assert [lots for _, lots in rig.targets()] == [0, 1, 2]

    def test_the_rest_rides_to_the_stop(self, sign):
        rig = self.open(sign)
        rig.match(trades=[(price(sign, 1020), 100, sign)])
        assert d.desk_position(rig.desk, rig.slot) == sign
        rig.report(ReportKind.PROTECTED, stop=price(sign, 1003))
        assert brief(rig.match(trades=[(price(sign, 1003), 1, -sign)]))[0][:2] == ("FILL", "STOP")

    def test_a_partly_filled_entry_has_the_nearest_targets(self, sign):
        rig = Rig()
        rig.match(*mirrored(sign))
        rig.enter(sign, 1000, 10, targets=[(price(sign, p), q) for p, q in self.LADDER])
        rig.match()
        rig.match(trades=[(1000, 3, -sign)])
        assert [lots for _, lots in rig.targets()] == [3, 0, 0]
        rig.match(trades=[(1000, 3, -sign)])
        assert [lots for _, lots in rig.targets()] == [4, 2, 0]
        rig.match(trades=[(price(sign, 998), 50, -sign)])
        assert [lots for _, lots in rig.targets()] == [4, 3, 2]

    def test_a_book_across_several_targets_is_shared(self, sign):
        rig = self.open(sign)
        bids, asks = [(1008, 1), (1006, 2), (1004, 3)], [(1009, 5)]
        if sign < 0:
            bids, asks = [(2000 - p, q) for p, q in asks], [(2000 - p, q) for p, q in bids]
        messages = rig.match(bids, asks)
        assert brief(messages) == [("FILL", "TAKE_PROFIT", -sign, price(sign, 1004), 4, 6)]
        assert [lots for _, lots in rig.targets()] == [0, 3, 2]  # the other six lots were the first target's

    def test_an_addition_joins_the_position_and_its_ladder(self, sign):
        rig = self.open(sign)
        rig.enter(sign, price(sign, 1001), 4, flags=2 | d.FLAG_ADD, targets=[(1, 2), (1, 1)])
        assert brief(rig.match()) == [("FILL", "ENTRY", sign, price(sign, 1001), 4, 0)]
        assert rig.targets() == [(price(sign, p), q) for p, q in ((1004, 6), (1006, 4), (1008, 2))]
        rig.enter(sign, price(sign, 1001), 4, flags=2)  # not called an addition: the desk is busy
        assert brief(rig.match()) == [("DONE", "", 0, 0, 0, 4)]
        rig.enter(-sign, price(sign, 999), 4, flags=2 | d.FLAG_ADD)  # nor is the other side one
        assert brief(rig.match()) == [("DONE", "", 0, 0, 0, 4)]


def test_no_taker_while_something_speaks_against_it():
    rig = Rig()
    rig.enter(1, 999, 10, deadline=1_000)
    rig.match(BIDS, ASKS, now=10)
    assert brief(rig.match(now=1_000, taker=False)) == [("DONE", "", 0, 0, 0, 10)]


def test_cancel_close_resync_and_double_acceptance():
    rig = Rig()
    rig.match(BIDS, ASKS)
    rig.enter(1, 999, 10)
    rig.match()
    rig.report(ReportKind.CANCEL)
    # the trade was on its way before the cancel could arrive
    messages = rig.match(trades=[(999, 25, -1)])
    assert brief(messages) == [("FILL", "ENTRY", 1, 999, 5, 5), ("DONE", "", 0, 0, 0, 5)]
    rig.enter(1, 999, 3)
    assert brief(rig.match()) == [("DONE", "", 0, 0, 0, 3)]  # the desk is busy
    rig.report(ReportKind.POSITION, seq=0, qty=-8, order_id=4, decision_id=3, stop=1100, targets=[(900, 5), (890, 9)])
    assert rig.targets() == [(900, 5), (890, 3), (0, 0)]  # never more than the position
    rig.report(ReportKind.POSITION, seq=6, qty=99)  # an answer, not a resync: the desk knows better
    rig.report(ReportKind.CLOSE, role=OrderRole.KILL)
    assert brief(rig.match()) == [("FILL", "KILL", 1, 1001, 8, 0)]
    rig.report(ReportKind.CLOSE, role=OrderRole.KILL)
    rig.report(ReportKind.CANCEL)
    assert rig.match() == []


def test_entries_do_not_meet_a_broken_book():
    for flags in (1, 2, 3):
        rig = Rig()
        rig.match(BIDS, ASKS)
        rig.enter(1, 999, 10, flags=flags)
        messages = rig.match(believed=False)
        assert brief(messages) == [("DONE", "", 0, 0, 0, 10)]
        assert messages[0]["reason"] == Cause.DATA_BROKEN
    rig = Rig()
    rig.match(BIDS, ASKS)
    rig.enter(1, 999, 10, deadline=50)
    rig.match()
    assert rig.match([(990, 1)], [(995, 1)], believed=False, now=1) == []
    assert brief(rig.match(trades=[(998, 3, -1)], believed=False, now=2)) == [("FILL", "ENTRY", 1, 999, 3, 7)]
    assert brief(rig.match(believed=False, now=50)) == [("DONE", "", 0, 0, 0, 7)]


def test_deep_book_is_walked_in_bounded_steps():
    asks = [(1001, 1)] + [(1001 + k, 1) for k in range(1, 40)]
    rig = Rig(cap_e8=50_000_000)
    rig.enter(1, 1001, 40, flags=2)
    messages = rig.match(BIDS, asks)
    assert len(messages) == d.WALK_LEVELS + 1
    assert messages[-1]["leaves_lots"] == 40 - d.WALK_LEVELS


levels = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 12)), max_size=5)
prints = st.lists(
    st.tuples(st.integers(985, 1015), st.integers(1, 25), st.sampled_from([1, -1]), st.sampled_from([0, 0, 0, 1, 2])),
    max_size=4,
)
books = st.tuples(st.integers(988, 1010), st.integers(1, 5), levels, levels)
events = st.one_of(
    st.tuples(st.just("book"), books, prints, st.sampled_from([True, True, True, False])),
    st.tuples(st.just("trades"), prints, st.sampled_from([True, True, True, False]), st.booleans()),
    st.tuples(st.just("enter"), st.sampled_from([1, -1]), st.integers(990, 1010), st.integers(1, 40),
              st.integers(0, 12), st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), max_size=3),
              st.integers(0, 8), st.sampled_from([0, 1, 2, 3, 3, 8 | 2, 8 | 3])),
    st.tuples(st.just("protect"), st.integers(980, 1020), st.lists(st.integers(985, 1015), max_size=3)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("close"), st.sampled_from([int(OrderRole.EXIT), int(OrderRole.KILL), 0])),
    st.tuples(st.just("resync"), st.integers(-9, 9)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=40), st.sampled_from([(20_000, 55_000), (-5_000, 55_000), (0, 33_333)]),
       st.sampled_from([(2, 3), (5, 1), (7, 3), (4, 8)]), st.sampled_from([0, 3_333, 10_000]))
def test_equals_its_twin_on_random_markets(steps, fees, decimals, cut_e4):
    rig = Rig(maker_fee_e8=fees[0], taker_fee_e8=fees[1], decimals=decimals, cap_e8=400_000, cut_e4=cut_e4)
    position = 0
    for now, step in enumerate(steps):
        messages = []
        if step[0] == "book":
            base, gap, bid_steps, ask_steps = step[1]
            bids, asks, at = [], [], base
            for gone, lots in bid_steps:
                bids.append((at, lots))
                at -= gone
            at = base + gap - 2  # sometimes locked or crossed
            for gone, lots in ask_steps:
                asks.append((at, lots))
                at += gone
            messages = rig.match(bids, asks, step[2], now, step[3])
        elif step[0] == "trades":
            messages = rig.match(trades=step[1], now=now, believed=step[2], taker=step[3])
        elif step[0] == "enter":
            _, side, limit, qty, stop, ladder, deadline, flags = step
            targets, left = [], qty
            for up, lots in ladder:
                targets.append((limit + side * up, min(lots, left)))
                left -= targets[-1][1]
            rig.enter(side, limit, qty, limit - side * stop if stop else 0, deadline=now + deadline if deadline else 0,
                      flags=flags, targets=targets)
        elif step[0] == "protect":
            rig.report(ReportKind.PROTECTED, stop=step[1], targets=[(ticks, 0) for ticks in step[2]])
        elif step[0] == "cancel":
            rig.report(ReportKind.CANCEL, reason=step[1])
        elif step[0] == "close":
            rig.report(ReportKind.CLOSE, role=step[1], reason=int(Cause.TIME_STOP))
        else:
            rig.report(ReportKind.POSITION, seq=0, qty=step[1], order_id=3, stop=995, targets=[(1005, 3), (1006, 4)])
            position = d.desk_position(rig.desk, rig.slot)
        assert sum(lots for _, lots in rig.targets()) <= abs(d.desk_position(rig.desk, rig.slot)) or (
            rig.desk.row[rig.slot].close_role != 0)  # while an exit is under way the targets are out of play
        assert min(lots for _, lots in rig.targets()) >= 0
        position += sum(m["side"] * m["qty_lots"] for m in messages if m["kind"] == MessageKind.FILL)
        assert position == d.desk_position(rig.desk, rig.slot)


def test_fees_round_up_and_rebates_down():
    for maker_fee, expected in ((20_000, 1), (-20_000, 0)):
        rig = Rig(maker_fee_e8=maker_fee, decimals=(5, 3), tick_mant=1)
        rig.enter(1, 1000, 1)
        rig.match(BIDS, ASKS)
        (fill,) = rig.match(trades=[(1000, 1, -1)])  # value 1000 units of 1e-8 x 0.02 % = 0.2 units
        assert fill["fee_e8"] == expected
