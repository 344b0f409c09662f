"""Execution's pure half: one answer per message, limits that count working entries, recovery from records."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from config.schema import Account, Limits, Safety, Settings, Trading
from core.constants import FLAG_EXTERNAL
from core.enums import Gate, LogKind, MessageKind, Mode, OrderRole, ReportKind
from core.orders.broker import ANSWERED, Broker, Controls
from core.orders.exposure import ExchangeFacts
from core.orders.router import ExecutionRouter
from core.orders.wire import Message, Report, read_messages, read_reports, write_messages, write_reports
from core.position.position import Grid
from core.risk.gate import FAR
from core.risk.policy import Instrument, policy

E8 = 10**8
S = 10**9


def broker(mode: Mode = Mode.SIM, **account) -> Broker:
    made = Broker(
        policy(Settings(trading=Trading(account=Account(**account)), safety=Safety(limits=Limits(max_heat_pct=50.0)))),
        ExecutionRouter(mode),
    )
    for symbol in range(5):
        made.instruments[symbol] = Instrument(
            symbol, f"S{symbol}USDT", 100 + symbol, symbol % 2, Grid(1, 1, 4), 0.01, 0.01, 1, 0, 5 * E8, 0, 0, True,
            False,
        )
    return made


def enter(symbol=0, seq=1, side=1, price=1000, stop=990, **fields) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=MessageKind.ENTER, side=side, price_ticks=price,
                   stop_ticks=stop, target_ticks=1020, decision_id=seq, **fields)


def fill(order_id, qty, leaves=0, symbol=0, seq=2, side=1, price=1000, role=OrderRole.ENTRY, fee=7) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=MessageKind.FILL, side=side, price_ticks=price,
                   qty_lots=qty, role=role, order_id=order_id, leaves_lots=leaves, fee_e8=fee, decision_id=1)


def test_a_whole_trade():
    b = broker()
    report, notes = b.handle(enter())
    assert report.kind == ReportKind.ACCEPTED
    assert report.qty_lots == 125 * 10**4 // 1000  # 25 USDT at 5x, one lot is 0.1 USDT
    assert (report.effect_ns, report.deadline_ns) == (S + 20_000_000, S + 1_520_000_000)
    assert report.flags == 3
    assert [n.kind for n in notes] == [LogKind.ORDER]
    half = report.qty_lots // 2
    after, notes = b.handle(fill(report.order_id, half, report.qty_lots - half))
    assert (after.kind, after.qty_lots, after.stop_ticks) == (ReportKind.POSITION, half, 990)
    assert [n.kind for n in notes] == [LogKind.FILL, LogKind.POSITION]
    assert b.working[0].leaves_lots == report.qty_lots - half
    cancel, _ = b.handle(Message(seq=3, symbol=0, kind=MessageKind.CANCEL))
    assert cancel.kind == ReportKind.CANCEL
    done, _ = b.handle(Message(seq=4, symbol=0, kind=MessageKind.DONE, order_id=report.order_id, leaves_lots=1))
    assert (done.kind, done.qty_lots) == (ReportKind.POSITION, half)
    assert not b.working
    close, _ = b.handle(Message(seq=5, symbol=0, kind=MessageKind.EXIT, reason=19))
    assert (close.kind, close.role, close.reason) == (ReportKind.CLOSE, OrderRole.EXIT, 19)
    b.handle(Message(seq=6, ts_event_ns=6 * S, symbol=0, kind=MessageKind.MARK, price_ticks=2030, stop_ticks=980))
    assert b.account.positions[0].stop_ticks == 990  # a price moves no stop
    assert b.account.unrealised_e8 > 0
    flat, _ = b.handle(fill(report.order_id, half, 0, seq=7, side=-1, price=1010, role=OrderRole.EXIT))
    assert (flat.kind, flat.qty_lots) == (ReportKind.POSITION, 0)
    assert flat.realised_e8 == half * 10 * 10**4 - 14
    assert b.flat
    again, _ = b.handle(Message(seq=8, symbol=0, kind=MessageKind.EXIT))
    assert (again.kind, again.qty_lots) == (ReportKind.POSITION, 0)
    assert b.handle(Message(seq=9, symbol=0, kind=MessageKind.CANCEL))[0].kind == ReportKind.DONE


def test_working_entries_count_as_filled():
    b = broker(max_positions=2)
    assert b.handle(enter(0, 1))[0].kind == ReportKind.ACCEPTED
    assert b.handle(enter(0, 2))[0].reason == Gate.IN_POSITION
    assert b.handle(enter(1, 3))[0].kind == ReportKind.ACCEPTED
    report, notes = b.handle(enter(2, 4))
    assert (report.kind, report.reason) == (ReportKind.REJECTED, Gate.MAX_POSITIONS)
    assert (notes[0].kind, notes[0].a, notes[0].x, notes[0].y) == (LogKind.RISK, Gate.MAX_POSITIONS, 2, 2)
    b.handle(Message(seq=5, symbol=0, kind=MessageKind.DONE, order_id=1))
    assert b.handle(enter(2, 6))[0].kind == ReportKind.ACCEPTED
    assert (b.orders, b.rejects, b.intents) == (3, 2, 5)


@pytest.mark.parametrize(("controls", "gate"), [
    (Controls(killed=True, paused=True), Gate.KILLED), (Controls(paused=True), Gate.PAUSED),
    (Controls(degraded=True), Gate.DEGRADED), (Controls(feed_down=True), Gate.FEED),
    (Controls(quarantined=True), Gate.DATA), (Controls(age_ns=10**10), Gate.EXPIRED),
])
def test_controls_refuse_entries_and_nothing_else(controls, gate):
    b = broker()
    assert b.handle(enter(), controls)[0].reason == gate
    b.handle(enter(seq=2))
    assert b.handle(fill(1, 10, seq=3), controls)[0].kind == ReportKind.POSITION
    assert b.handle(Message(seq=4, symbol=0, kind=MessageKind.EXIT), controls)[0].kind == ReportKind.CLOSE


@pytest.mark.parametrize("message", [
    enter(symbol=77), enter(price=0), enter(side=0), enter(stop=1000), enter(side=-1, stop=1000),
])
def test_nonsense_is_refused(message):
    assert broker().handle(message)[0].reason == Gate.DATA


def test_daily_loss_stops_entries():
    b = broker()
    b.handle(enter())
    b.handle(fill(1, 1000))
    b.handle(fill(1, 1000, side=-1, price=600, role=OrderRole.STOP, seq=3))
    assert b.account.balance_e8 < 970 * E8
    assert b.handle(enter(1, 4))[0].reason == Gate.DAILY_LOSS
    assert b.risk_off(4 * S, Controls()) == Gate.DAILY_LOSS
    assert b.handle(enter(1, 86_400))[0].reason == Gate.DAILY_LOSS  # midnight alone resets nothing: 24 h must pass
    assert b.account.day_start_equity_e8 == b.account.balance_e8
    assert b.handle(enter(1, 86_400 + 3_600))[0].kind == ReportKind.ACCEPTED


def test_dry_run_builds_checks_and_sends_nothing():
    b = broker(Mode.DRY_RUN)
    report, notes = b.handle(enter())
    assert (report.kind, report.reason) == (ReportKind.REJECTED, Gate.MODE)
    assert [(n.kind, n.text) for n in notes] == [(LogKind.ORDER, "DRY-RUN"), (LogKind.RISK, "REFUSED MODE")]
    assert b.handle(enter(seq=2), Controls(paused=True))[0].reason == Gate.PAUSED  # checked like any other
    assert b.flat
    assert b.router.dry_runs == 1


def test_kill_reports_and_shard_loss():
    b = broker()
    b.handle(enter(0, 1))
    b.handle(enter(1, 2))
    b.handle(fill(2, 50, 10, symbol=1, seq=3))
    reports = b.stand_down(21)
    assert [(r.kind, r.symbol, r.seq, r.effect_ns) for r in reports] == [
        (ReportKind.CANCEL, 0, 0, 0), (ReportKind.CANCEL, 1, 0, 0), (ReportKind.CLOSE, 1, 0, 0)]
    assert reports[-1].role == OrderRole.KILL
    assert b.symbols_of(1) == {1}
    for message in b.end_working({0, 1}):
        b.handle(message)
    assert not b.working
    assert [(r.symbol, r.qty_lots) for r in b.position_reports({0, 1})] == [(1, 50)]
    b.handle(Message(seq=4, ts_event_ns=4 * S, symbol=1, kind=MessageKind.MARK, price_ticks=1999))
    (closing,) = b.close_at_mark({1})
    assert (closing.price_ticks, closing.side, closing.qty_lots) == (999, -1, 50)
    b.handle(closing)
    assert b.flat


def random_session(seed: int, count: int = 300):
    """Messages as a shard could send them, with the answers of a live broker."""
    rng = random.Random(seed)
    live = broker()
    records = []
    for seq in range(1, count):
        symbol = rng.randrange(4)
        working, position = live.working.get(symbol), live.account.positions.get(symbol)
        choice = rng.random()
        if working and choice < 0.6:
            lots = rng.randint(1, working.leaves_lots)
            message = fill(working.order.order_id, lots, working.leaves_lots - lots, symbol, seq,
                           working.order.side, 1000 + rng.randint(-5, 5), fee=rng.randint(-3, 9))
        elif working and choice < 0.8:
            message = Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=MessageKind.DONE,
                              order_id=working.order.order_id, leaves_lots=working.leaves_lots)
        elif position and choice < 0.7:
            lots = rng.randint(1, abs(position.lots))
            message = fill(position.order_id, lots, abs(position.lots) - lots, symbol, seq, -position.side,
                           1000 + rng.randint(-9, 9), OrderRole.EXIT)
        elif choice < 0.8:
            side = rng.choice((1, -1))
            message = enter(symbol, seq, side, stop=1000 - side * 10)
        elif choice < 0.9:
            message = Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=MessageKind.MARK,
                              price_ticks=2000 + rng.randint(-9, 9))
        else:
            kind = rng.choice((MessageKind.EXIT, MessageKind.CANCEL))
            message = Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=kind)
        report, _ = live.handle(message)
        assert (report is not None) == (message.kind in ANSWERED)
        if report is not None:
            assert (report.seq, report.symbol) == (message.seq, message.symbol)
        records.append((message, report))
    return live, records


@pytest.mark.parametrize("seed", range(8))
def test_recovery_from_records_gives_the_same_account(seed):
    live, records = random_session(seed)
    again = broker()
    for message, report in records:
        again.book(message, report)
    assert again.account.digest == live.account.digest
    assert again.account.balance_e8 == live.account.balance_e8
    assert again.account.positions == live.account.positions
    assert {s: (w.order, w.leaves_lots) for s, w in again.working.items()} == {
        s: (w.order, w.leaves_lots) for s, w in live.working.items()}
    assert (again.orders, again.rejects, again.intents, again.next_order_id) == (
        live.orders, live.rejects, live.intents, live.next_order_id)
    assert live.account.fills > 20


def test_records_round_trip():
    _, records = random_session(3, 60)
    messages = [m for m, _ in records]
    reports = [r for _, r in records if r is not None]
    assert read_messages(write_messages(messages), len(messages)) == messages
    assert read_reports(write_reports(reports), len(reports)) == reports
    assert Report().kind == ReportKind.NONE


class DeskSpy:
    """An exchange desk that takes what it is given."""

    ready = True

    def __init__(self, gate: Gate = Gate.NONE) -> None:
        self.gate = gate
        self.calls: list[tuple] = []

    def submit(self, now_ns, order, instrument, work_ns, leverage_e2=0):
        self.calls.append(("submit", now_ns, order.order_id, instrument.name, work_ns, leverage_e2))
        return self.gate

    def label(self, order):
        return "sc-1"

    def cancel(self, now_ns, symbol, reason):
        self.calls.append(("cancel", symbol, reason))
        return True

    def close(self, now_ns, symbol, role, reason):
        self.calls.append(("close", symbol, role, reason))
        return True

    def protect(self, now_ns, symbol, stop_ticks, targets):
        self.calls.append(("protect", symbol, stop_ticks, targets))
        return True


TOLD = Controls(exchange=ExchangeFacts(True, 3, 1000 * E8, 1000 * E8, 1000 * E8, 1000, FAR, 0))


def live(desk: DeskSpy) -> Broker:
    b = broker()
    settings = Settings(trading=Trading(mode="LIVE", capital_tier="NORMAL"),
                        safety=Safety(limits=Limits(max_heat_pct=50.0)))  # fmt: skip
    b.policy = policy(settings)
    b.router = ExecutionRouter(Mode.LIVE, desk)
    b.instruments[0] = replace(b.instruments[0], maintenance_e8=500_000, price_limit_e8=2_000_000)
    return b


def test_live_goes_to_the_desk_and_books_the_same():
    desk = DeskSpy()
    b = live(desk)
    report, notes = b.handle(enter(), TOLD)
    assert (report.kind, report.flags) == (ReportKind.ACCEPTED, 3 | FLAG_EXTERNAL)
    assert notes[0].text == "sc-1"
    assert desk.calls == [("submit", 0, report.order_id, "S0USDT", 1_500_000_000, 500)]
    b.handle(Message(seq=3, symbol=0, kind=MessageKind.CANCEL, reason=7))
    b.handle(fill(report.order_id, 5, report.qty_lots - 5, seq=4))
    b.handle(Message(seq=5, symbol=0, kind=MessageKind.EXIT, reason=8))
    b.stand_down(21)
    assert desk.calls[1:] == [
        ("cancel", 0, 7), ("protect", 0, 990, ((1020, 5),)), ("close", 0, OrderRole.EXIT, 8),
         ("cancel", 0, 21), ("close", 0, OrderRole.KILL, 21)]
    paper = broker()
    paper.handle(enter())
    paper.handle(fill(report.order_id, 5, report.qty_lots - 5, seq=4))
    assert paper.account.balance_e8 == b.account.balance_e8
    assert paper.account.positions[0].lots == b.account.positions[0].lots


def test_the_journal_never_reaches_the_desk():
    desk = DeskSpy()
    b = live(desk)
    message = enter()
    report = broker().handle(message)[0]
    b.book(message, report)
    b.book(Message(seq=2, symbol=0, kind=MessageKind.EXIT), None)
    b.book(Message(seq=2, symbol=0, kind=MessageKind.CANCEL), None)
    assert desk.calls == []
    assert 0 in b.working


def test_what_the_desk_refuses_is_refused_and_told():
    b = live(DeskSpy(Gate.FEED))
    report, notes = b.handle(enter(), TOLD)
    assert (report.kind, report.reason) == (ReportKind.REJECTED, Gate.FEED)
    assert notes[0].text == "REFUSED FEED"
    assert (b.rejects, b.working) == (1, {})


def test_funding_is_cash():
    b = broker()
    report, _ = b.handle(enter())
    b.handle(fill(report.order_id, report.qty_lots))
    balance, lots = b.account.balance_e8, b.account.positions[0].lots
    answer, notes = b.handle(Message(seq=1 << 60, ts_event_ns=5 * S, symbol=0, kind=MessageKind.CASH, fee_e8=77))
    assert (answer.kind, answer.qty_lots, answer.realised_e8) == (ReportKind.POSITION, lots, -7 - 77)
    assert notes == []
    assert b.account.balance_e8 == balance - 77
    assert b.account.positions[0].lots == lots
    assert b.account.positions[0].realised_e8 == -7 - 77
    assert b.account.realised_e8 == -7 - 77
    b.handle(Message(seq=2 << 60, ts_event_ns=6 * S, symbol=4, kind=MessageKind.CASH, fee_e8=-10))
    assert b.account.balance_e8 == balance - 67
    assert 4 not in b.account.positions


def test_cash_of_the_exchange_desk_is_booked_and_nobody_is_answered():
    b = live(DeskSpy())
    before = b.account.balance_e8
    assert b.handle(Message(seq=1 << 60, ts_event_ns=5 * S, symbol=0, kind=MessageKind.CASH, fee_e8=77)) == (None, [])
    assert b.account.balance_e8 == before - 77


def test_a_position_of_the_exchange_desk_brings_its_stop():
    """A fill after the entry was told DONE: the working entry is gone, the stop is in the message."""
    b = broker()
    b.handle(fill(9, 5)._replace(stop_ticks=950, target_ticks=1100))
    assert (b.account.positions[0].stop_ticks, b.account.positions[0].target_ticks) == (950, 1100)
