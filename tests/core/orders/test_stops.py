"""Ladders, moved stops and additions as execution decides and books them: nothing ever risks more than was gated."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schema import Account, Exits, Limits, Safety, Settings, Trading
from core.enums import Cause, Gate, LogKind, MessageKind, Mode, OrderRole, ReportKind
from core.orders.broker import Broker, Controls
from core.orders.router import ExecutionRouter
from core.orders.stops import loss_at_e8
from core.orders.wire import Message, targets_of
from core.position.position import Grid
from core.risk.policy import Instrument, policy

E8 = 10**8
S = 10**9
SHARES = {"target_lots": 4000, "target2_lots": 3000, "target3_lots": 2000}


def broker(mode: Mode = Mode.SIM, **exits) -> Broker:
    made = Broker(policy(Settings(
        trading=Trading(account=Account(), exits=Exits(**exits)), safety=Safety(limits=Limits(max_heat_pct=50.0)),
    )), ExecutionRouter(mode))
    made.instruments[0] = Instrument(
        0, "S0USDT", 100, 0, Grid(1, 1, 4), 0.01, 0.01, 1, 0, 5 * E8, 0, 0, True, False)
    return made


def enter(side=1, price=10_000, stop_distance=50, seq=1, **fields) -> Message:
    targets = {f"target{k}_ticks": price + side * d for k, d in (("", 50), (2, 80), (3, 120))}
    return Message(**({"seq": seq, "ts_event_ns": seq * S, "symbol": 0, "kind": MessageKind.ENTER, "side": side,
                       "price_ticks": price, "stop_ticks": price - side * stop_distance, "decision_id": seq}
                      | targets | SHARES | fields))  # fmt: skip


def fill(lots, leaves=0, side=1, price=10_000, role=OrderRole.ENTRY, seq=2, rung=0, order_id=1) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=0, kind=MessageKind.FILL, side=side, price_ticks=price,
                   qty_lots=lots, role=role, order_id=order_id, leaves_lots=leaves, fee_e8=7, decision_id=1, rung=rung)


def protect(stop, targets=(0, 0, 0), reason=Cause.BREAK_EVEN, seq=3, side=1) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=0, kind=MessageKind.PROTECT, side=side, stop_ticks=stop,
                   target_ticks=targets[0], target2_ticks=targets[1], target3_ticks=targets[2], reason=int(reason))


def opened(b: Broker, side=1, part=1.0):
    """An entry of 125 lots (1 USDT each), filled in part or in full."""
    report, _ = b.handle(enter(side))
    lots = round(report.qty_lots * part)
    b.handle(fill(lots, report.qty_lots - lots, side))
    if part < 1:
        b.handle(Message(seq=2, ts_event_ns=2 * S, symbol=0, kind=MessageKind.DONE, order_id=1, decision_id=1))
    return b.account.positions[0], report


@pytest.mark.parametrize("side", [1, -1])
def test_the_ladder_goes_from_the_order_to_the_position(side):
    b = broker()
    report, _ = b.handle(enter(side))
    assert targets_of(report) == tuple((10_000 + side * d, lots) for d, lots in ((50, 50), (80, 37), (120, 25)))
    assert (report.qty_lots, report.risk_ticks, report.risk_lots) == (125, 50, 125)
    after, _ = b.handle(fill(60, 65, side))
    assert [lots for _, lots in targets_of(after)] == [50, 10, 0]  # the first lots are the nearest target's
    after, _ = b.handle(fill(65, 0, side, seq=3))
    assert [lots for _, lots in targets_of(after)] == [50, 37, 25] and after.flags == 0
    after, notes = b.handle(fill(50, 75, -side, 10_000 + side * 50, OrderRole.TAKE_PROFIT, 4, rung=1))
    assert (after.qty_lots, after.flags) == (side * 75, 16)
    assert [lots for _, lots in targets_of(after)] == [0, 37, 25]
    assert notes[0].text == "TAKE_PROFIT1 maker" or notes[0].text == "TAKE_PROFIT1 taker"
    position = b.account.positions[0]
    assert not position.closing and position.target_ticks == 10_000 + side * 80
    (handed,) = b.position_reports({0})
    assert targets_of(handed) == targets_of(after) and handed.flags == 16 and handed.risk_lots == 125


def test_one_price_without_shares_takes_everything():
    b = broker()
    report, _ = b.handle(enter(target_lots=0, target2_lots=0, target3_lots=0))
    assert targets_of(report)[0] == (10_050, 125) and sum(lots for _, lots in targets_of(report)) == 125


@pytest.mark.parametrize("side", [1, -1])
def test_a_stop_comes_nearer_and_never_goes_away_unasked(side):
    b = broker()
    position, _ = opened(b, side)
    report, notes = b.handle(protect(10_000 + side * 11, side=side))
    assert (report.kind, report.stop_ticks, report.flags, report.reason) == (
        ReportKind.PROTECTED, 10_000 + side * 11, 0, Cause.BREAK_EVEN)
    assert position.stop_ticks == 10_000 + side * 11 and notes == []
    for reason in (Cause.BREAK_EVEN, Cause.TRAIL, Cause.TIGHTEN, Cause.NONE):
        report, notes = b.handle(protect(10_000, reason=reason, side=side))
        assert (report.flags, report.stop_ticks) == (1, 10_000 + side * 11)
        assert (notes[0].kind, notes[0].a) == (LogKind.RISK, Gate.NO_STOP)
    assert position.stop_ticks == 10_000 + side * 11


@pytest.mark.parametrize("side", [1, -1])
def test_widening_ends_at_the_gated_risk(side):
    b = broker()
    position, _ = opened(b, side)  # the whole size: its risk is the gated one
    report, notes = b.handle(protect(10_000 - side * 60, reason=Cause.WIDEN, side=side))
    assert report.flags == 1 and notes[0].a == Gate.HEAT
    b = broker()
    position, _ = opened(b, side, 0.6)  # 75 of 125 lots
    report, _ = b.handle(protect(10_000 - side * 75, reason=Cause.WIDEN, side=side))
    assert report.flags == 0 and position.stop_ticks == 10_000 - side * 75
    report, notes = b.handle(protect(10_000 - side * 81, reason=Cause.WIDEN, side=side))  # 80 bps is the farthest
    assert report.flags == 1 and notes[0].a == Gate.NO_STOP
    assert position.stop_ticks == 10_000 - side * 75


def test_targets_come_nearer_and_stay_in_profit():
    b = broker()
    position, _ = opened(b)
    report, _ = b.handle(protect(9_960, (10_030, 10_090, 9_990)))
    assert [ticks for ticks, _ in targets_of(report)] == [10_030, 10_080, 10_120]
    assert position.targets == targets_of(report) == ((10_030, 50), (10_080, 37), (10_120, 25))
    assert b.protection(0) == (9_960, position.targets)


def test_nothing_to_protect_is_told():
    b = broker()
    report, _ = b.handle(protect(9_960))
    assert (report.kind, report.flags) == (ReportKind.PROTECTED, 1)
    opened(b)
    b.handle(Message(seq=5, symbol=0, ts_event_ns=5 * S, kind=MessageKind.EXIT))
    assert b.handle(protect(9_960))[0].flags == 1  # an exit is under way
    assert b.account.positions[0].stop_ticks == 9_950
    assert b.protection(7) == (0, None)


class FakeDesk:
    """The desk of an exchange, as far as the router knows it."""

    ready = True

    def __init__(self):
        self.calls = []

    def submit(self, now_ns, order, instrument, work_ns, leverage_e2=0):
        return Gate.NONE

    def label(self, order):
        return "link"

    def cancel(self, now_ns, symbol, reason):
        return True

    close = cancel

    def protect(self, now_ns, symbol, stop_ticks, targets):
        self.calls.append((symbol, stop_ticks, targets))
        return True


def live() -> tuple[Broker, FakeDesk]:
    desk = FakeDesk()
    sim = broker()
    made = Broker(sim.policy, ExecutionRouter(Mode.LIVE, desk))
    made.instruments = sim.instruments
    return made, desk


def test_live_hears_the_same_numbers():
    made, desk = live()
    message = enter()
    report, _ = made.router.submit(order_of(message), S, made.instruments[0])
    made.book(message, report)
    made.handle(fill(60, 65))
    assert desk.calls[-1] == (0, 9_950, ((10_050, 50), (10_080, 10)))
    made.handle(fill(65, 0, seq=3))
    assert desk.calls[-1] == (0, 9_950, ((10_050, 50), (10_080, 37), (10_120, 25)))
    after, _ = made.handle(fill(50, 75, -1, 10_050, OrderRole.TAKE_PROFIT, 4))  # the exchange names no target
    assert [lots for _, lots in targets_of(after)] == [0, 37, 25] and after.flags == 16 | 4 | 32
    calls = len(desk.calls)
    made.handle(protect(10_011, seq=5))
    assert desk.calls[calls:] == [(0, 10_011, ((10_080, 37), (10_120, 25)))]
    made.handle(protect(9_000, seq=6))
    assert len(desk.calls) == calls + 1, "a refused wish goes nowhere"
    made.handle(Message(seq=7, ts_event_ns=7 * S, symbol=0, kind=MessageKind.ADD, side=1, price_ticks=9_980))
    assert made.handle(Message(seq=8, symbol=0, kind=MessageKind.ADD, side=1, price_ticks=9_980))[0].reason != Gate.NONE


def order_of(message):
    """What the broker would submit of an ENTER of 125 lots."""
    sim = broker()
    orders = []
    sim.router.submit = lambda order, effect_ns, instrument, leverage: orders.append(order) or (  # type: ignore[method-assign]
        ExecutionRouter(Mode.SIM).submit(order, effect_ns, instrument))
    sim.handle(message)
    return orders[0]


# --- additions -------------------------------------------------------------------------------------------------------
def add(price, seq=10, side=1) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=0, kind=MessageKind.ADD, side=side, price_ticks=price,
                   stop_ticks=9_950, decision_id=seq, reason=int(Cause.ADDED))


def test_additions_are_off_by_default():
    b = broker()
    opened(b)
    assert b.handle(add(9_980))[0].reason == Gate.HEAT


@pytest.mark.parametrize("side", [1, -1])
def test_a_plan_with_additions_fits_the_gated_risk(side):
    b = broker(add_max=2, add_share=0.5)
    report, _ = b.handle(enter(side))
    assert (report.qty_lots, report.risk_lots) == (62, 125)  # 62 + 2 x 31 = 124 of 125
    b.handle(fill(62, 0, side))
    position = b.account.positions[0]
    for count, price in enumerate((9_980, 9_960, 9_955), start=1):
        price = price if side > 0 else 20_000 - price
        answer, _ = b.handle(add(price, 10 + count, side))
        if count == 3:
            assert answer.kind == ReportKind.REJECTED and position.additions == 2
            break
        assert (answer.kind, answer.qty_lots, answer.flags) == (ReportKind.ACCEPTED, 31, 11)
        assert b.handle(add(price, 20 + count, side))[0].kind == ReportKind.REJECTED, "one works already"
        b.handle(fill(31, 0, side, price, seq=30 + count, order_id=answer.order_id))
        assert position.additions == count
        fee = b.policy.taker_fee_e8
        loss = loss_at_e8(position.grid, position.lots, position.entry_value_e8, position.stop_ticks, fee)
        assert loss <= position.gated_risk_e8
    assert abs(position.lots) == 124
    assert b.ledger.entries_minute(40 * S) == 3, "additions are orders like any other"
    assert sum(lots for _, lots in position.targets) <= 124
    assert [ticks for ticks, _ in position.targets] == [10_000 + side * d for d in (50, 80, 120)]


@pytest.mark.parametrize(("controls", "gate"), [
    (Controls(regime_bad=True), Gate.REGIME), (Controls(killed=True), Gate.KILLED), (Controls(paused=True), Gate.PAUSED),
    (Controls(quarantined=True), Gate.DATA), (Controls(degraded=True), Gate.DEGRADED),
])
def test_what_stops_entries_stops_additions(controls, gate):
    b = broker(add_max=1)
    opened(b)
    assert b.handle(add(9_980), controls)[0].reason == gate
    assert b.account.positions[0].additions == 0


def test_an_entry_is_refused_when_the_regime_turned_on_the_way():
    assert broker().handle(enter(), Controls(regime_bad=True))[0].reason == Gate.REGIME


def test_no_addition_after_profit_was_taken_or_while_closing():
    b = broker(add_max=1)
    opened(b)
    b.handle(fill(20, 42, -1, 10_050, OrderRole.TAKE_PROFIT, 4, rung=1))
    assert b.handle(add(9_980))[0].kind == ReportKind.REJECTED
    b = broker(add_max=1)
    opened(b)
    b.handle(Message(seq=5, symbol=0, ts_event_ns=5 * S, kind=MessageKind.EXIT))
    assert b.handle(add(9_980))[0].kind == ReportKind.REJECTED


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), add_max=st.integers(0, 3), share=st.floats(0.05, 1.0), side=st.sampled_from([1, -1]))
def test_whatever_is_asked_the_position_stays_within_what_was_gated(seed, add_max, share, side):
    """Random wishes, additions and fills: loss at the stop, value and number of additions never exceed the entry's."""
    rng = random.Random(seed)
    b = broker(add_max=add_max, add_share=share)
    report, _ = b.handle(enter(side, stop_distance=rng.randint(15, 80)))
    assert report.kind == ReportKind.ACCEPTED
    b.handle(fill(report.qty_lots, 0, side))
    position, accepted = b.account.positions[0], 0
    records = []
    for seq in range(3, 60):
        roll = rng.random()
        if roll < 0.5:
            message = protect(10_000 + rng.randint(-100, 100), tuple(10_000 + rng.randint(-60, 130) for _ in range(3)),
                              rng.choice((Cause.WIDEN, Cause.WIDEN, Cause.TRAIL)), seq, side)
        else:
            message = add(10_000 - side * rng.randint(-30, 80), seq, side)
        answer, _ = b.handle(message)
        records.append(answer)
        if message.kind == MessageKind.ADD and answer.kind == ReportKind.ACCEPTED:
            accepted += 1
            lots = rng.randint(1, answer.qty_lots)  # at its limit or better
            b.handle(fill(lots, 0, side, answer.price_ticks, seq=seq, order_id=answer.order_id))
        loss = loss_at_e8(position.grid, position.lots, position.entry_value_e8, position.stop_ticks, b.policy.taker_fee_e8)
        assert loss <= position.gated_risk_e8
        assert abs(position.entry_value_e8) <= position.gated_value_e8 and abs(position.lots) <= position.risk_lots
        assert sum(lots for _, lots in position.targets) <= abs(position.lots)
        assert accepted == position.additions <= add_max
        assert position.entry_value_e8 - position.grid.signed_value_e8(position.stop_ticks, position.lots) <= (
            abs(position.entry_value_e8) * 80 // 10_000 + 1) or position.additions  # never beyond stop_max_bps
