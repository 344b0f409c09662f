"""What limits remember: one roll per hour whatever happens, rates within a minute, latches only a person takes off."""

from __future__ import annotations

import random
import struct

import pytest

from core.constants import DAY_NS, E8, HOUR_NS, NS_PER_S
from core.enums import MessageKind, OrderRole, ReportKind
from core.orders.wire import Message, Report
from core.risk.ledger import ChurnLimits, RiskLedger

S = NS_PER_S
SLACK_E8 = E8 // 1000
LIMITS = ChurnLimits(orders=3, round_trips=2)
ACCEPTED = Report(kind=int(ReportKind.ACCEPTED))


def enter(symbol=0, at=0) -> Message:
    return Message(symbol=symbol, ts_event_ns=at, kind=int(MessageKind.ENTER))


def fill(side, lots, symbol=0, at=0, role=OrderRole.ENTRY) -> Message:
    return Message(symbol=symbol, ts_event_ns=at, kind=int(MessageKind.FILL), side=side, qty_lots=lots, role=int(role))


def test_one_roll_an_hour_and_a_day():
    ledger = RiskLedger(1000)
    assert ledger.baselines(5 * DAY_NS, 7) == (1000, 1000)
    assert not ledger.dirty
    assert ledger.roll(0, 990)
    assert ledger.day_start_equity_e8 == ledger.hours[0][1] == 990  # what the account has when it begins
    assert not ledger.roll(HOUR_NS - 1, 900)
    assert ledger.roll(HOUR_NS, 910)
    assert not ledger.roll(5, 800)  # time never goes back
    assert (ledger.day, ledger.day_start_equity_e8, ledger.hours[0][1]) == (0, 990, 990)
    ledger.trades_day = 4
    assert ledger.roll(DAY_NS, 920)
    assert (ledger.day, ledger.day_start_equity_e8, ledger.trades_day) == (1, 920, 0)
    assert ledger.hours[0][1] == 990  # midnight resets nothing
    assert ledger.roll(DAY_NS + HOUR_NS, 930)
    assert ledger.hours[0][1] == 910
    assert ledger.roll(9 * DAY_NS, 500)
    assert ledger.hours[0][1] == 500


def test_a_replayed_roll_is_the_roll_that_was_made():
    live, again = RiskLedger(1000), RiskLedger(1000)
    records = []
    for hour in range(60):
        live.roll(hour * HOUR_NS + 7, 1000 - hour)
        assert live.dirty
        (record,) = live.records()  # what is journalled already is not told again
        records.append(record)
        assert not live.dirty
    for record in records + records[-1:]:  # the last one twice: a block written again after a refusal
        again.restore(record)
    assert list(again.hours) == list(live.hours)
    assert len(again.hours) == 25
    assert (again.day, again.day_start_equity_e8, again.trades_day) == (2, 1000 - 48, 0)
    assert not again.roll(59 * HOUR_NS + 8, 1)  # 23:59:59 and a restart: not a second roll
    assert again.roll(60 * HOUR_NS, 1)
    with pytest.raises(struct.error):
        again.restore(b"short")


def test_deposits_are_no_profit():
    ledger = RiskLedger(1000 * E8)
    for hour in range(3):
        ledger.roll(hour * HOUR_NS, 1000 * E8)
    ledger.records()
    assert ledger.see_wallet(1000 * E8, 0) == 0
    assert ledger.see_wallet(990 * E8, -10 * E8) == 0  # a loss is a loss
    assert ledger.see_wallet(990 * E8 + SLACK_E8, -10 * E8) == 0  # roundings
    assert not ledger.dirty
    ledger.see_wallet(990 * E8, -10 * E8)
    assert ledger.see_wallet(990 * E8 + SLACK_E8 + 1, -10 * E8) == SLACK_E8 + 1
    assert ledger.see_wallet(990 * E8, -10 * E8) == -SLACK_E8 - 1
    ledger.see_wallet(990 * E8 + SLACK_E8, -10 * E8)
    assert ledger.see_wallet(1040 * E8 + SLACK_E8, -10 * E8) == 50 * E8
    assert ledger.day_start_equity_e8 == ledger.hours[0][1] == 1050 * E8
    again = RiskLedger(1000 * E8)
    rows = ledger.records()
    assert len(rows) == 3 and not ledger.dirty
    for row in rows:
        again.restore(row)
    assert again.hours[0][1] == 1050 * E8
    assert ledger.see_wallet(940 * E8 + SLACK_E8, -10 * E8) == -100 * E8
    assert ledger.day_start_equity_e8 == 950 * E8


def test_a_deposit_before_the_first_hour_counts_too():
    ledger = RiskLedger(1000 * E8)
    ledger.see_wallet(1000 * E8, 0)
    ledger.see_wallet(1100 * E8, 0)
    assert ledger.baselines(0, 5) == (1100 * E8, 1100 * E8)
    assert ledger.records() == []


@pytest.mark.parametrize("seed", range(5))
def test_baselines_of_a_quiet_time_are_those_of_the_roll_at_its_end(seed: int) -> None:
    rng = random.Random(seed)
    ledger, now_ns = RiskLedger(1000), 3 * DAY_NS
    for _ in range(200):
        now_ns += rng.choice((1, HOUR_NS // 3, HOUR_NS, 5 * HOUR_NS, 30 * HOUR_NS))
        equity = rng.randrange(1, 2000)
        looked = ledger.baselines(now_ns, equity)
        was_empty = not ledger.hours
        ledger.roll(now_ns, equity)
        assert was_empty or looked == (ledger.day_start_equity_e8, ledger.hours[0][1]) == ledger.baselines(now_ns, equity)


def test_trades_of_the_day():
    ledger = RiskLedger(1000)
    for message in (fill(1, 5), fill(1, 5), fill(-1, 10, role=OrderRole.STOP), fill(-1, 3, symbol=1),
                    fill(-1, 1, symbol=2, role=OrderRole.EXIT)):
        ledger.observe(message, None, LIMITS)
    assert ledger.trades_day == 2


@pytest.mark.parametrize("kind", sorted(set(MessageKind) - {
    MessageKind.ENTER, MessageKind.ADD, MessageKind.EXIT, MessageKind.FILL}))
def test_no_other_message_is_a_trade_or_an_order(kind):
    ledger = RiskLedger(1000)
    for at in range(9):
        message = Message(symbol=0, ts_event_ns=at, kind=int(kind), side=1, qty_lots=5, role=int(OrderRole.ENTRY))
        ledger.observe(message, ACCEPTED, LIMITS)
    assert (ledger.trades_day, ledger.entries_minute(9), ledger.latched) == (0, 0, {})


def test_more_orders_than_allowed_latch_the_symbol():
    ledger = RiskLedger(1000)
    for at, kind in enumerate((MessageKind.ENTER, MessageKind.ADD, MessageKind.ENTER)):
        ledger.observe(enter(at=at * S)._replace(kind=int(kind)), ACCEPTED, LIMITS)
    assert not ledger.latched
    ledger.observe(enter(at=3 * S), Report(kind=int(ReportKind.REJECTED)), LIMITS)
    ledger.observe(enter(at=3 * S), None, LIMITS)
    ledger.observe(enter(1, 3 * S), ACCEPTED, LIMITS)
    assert not ledger.latched
    ledger.observe(Message(symbol=0, ts_event_ns=4 * S, kind=int(MessageKind.EXIT)), None, LIMITS)
    assert ledger.latched == {0: 4 * S}
    ledger.observe(enter(at=500 * S), ACCEPTED, LIMITS)
    assert ledger.latched == {0: 4 * S}  # nothing takes it off by itself
    assert ledger.enable(0)
    assert not ledger.enable(0)
    for at in (500, 501, 502):
        ledger.observe(enter(at=at * S), ACCEPTED, LIMITS)
    assert not ledger.latched  # counting started anew


def test_a_minute_later_it_is_forgotten():
    ledger = RiskLedger(1000)
    for k in range(30):
        ledger.observe(enter(at=k * 20 * S), ACCEPTED, LIMITS)
    assert not ledger.latched
    assert ledger.entries_minute(29 * 20 * S) == 3
    assert ledger.entries_minute(29 * 20 * S + 59 * S) == 1
    assert ledger.entries_minute(29 * 20 * S + 60 * S) == 0


def test_round_trips_latch():
    ledger = RiskLedger(1000)
    for k in range(3):
        assert not ledger.latched
        ledger.observe(fill(-1, 5, at=k * S), None, LIMITS)
        ledger.observe(fill(1, 5, at=k * S, role=OrderRole.EXIT), None, LIMITS)
    assert list(ledger.latched) == [0]
    for part in range(9):  # one trade in many fills is one
        ledger.observe(fill(1, 5, 1, part), None, LIMITS)
    ledger.observe(fill(-1, 45, 1, 9, OrderRole.EXIT), None, LIMITS)
    assert list(ledger.latched) == [0]
    ledger.latch(7, 1)
    ledger.latch(7, 2)
    assert ledger.latched[7] == 1


def test_the_next_run_carries_baselines_and_no_numbers_of_symbols():
    ledger = RiskLedger(1000)
    ledger.roll(5 * HOUR_NS, 1100)
    ledger.observe(fill(1, 5), None, LIMITS)
    ledger.latch(3, 1)
    ledger.observe(enter(), ACCEPTED, LIMITS)
    ledger.roll(6 * HOUR_NS, 1050)
    other, third = RiskLedger(7), RiskLedger(8)
    other.carry(ledger)
    for record in other.records():
        third.restore(record)
    for heir in (other, third):
        assert list(heir.hours) == [(5, 1100), (6, 1050)]
        assert (heir.day, heir.day_start_equity_e8, heir.trades_day) == (0, 1100, 1)
        assert not heir.latched
        assert heir.entries_minute(0) == 0
