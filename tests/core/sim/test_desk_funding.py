"""Funding of the paper desk: the exact amount, when it is due, and that it is the exchange's own figure."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.enums import EventKind, MessageKind, ReportKind
from core.records import TICKER
from core.sim.funding import DAY_NS, funding_e8, funding_fee_e8, mul_div
from core.sim.margin_types import MarginInstrument
from tests.core.engine.rig import Rig, symbol_record
from tests.core.engine.streams import START_NS
from tests.core.sim.exchange_rig import A
from tests.core.sim.exchange_rig import Rig as ExchangeRig
from tests.reference.funding import NaiveFunding

S = 1_000_000_000
HOUR = 3_600 * S
INT = np.int64


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(1, 2**61))
def test_wide_division(a: int, b: int, c: int) -> None:
    if a * b // c < 2**62:
        assert tuple(int(x) for x in mul_div(INT(a), INT(b), INT(c))) == divmod(a * b, c)


@settings(deadline=None)
@given(
    st.integers(-10**9, 10**9), st.sampled_from([1, 5, 10, 100]), st.integers(0, 6), st.integers(1, 10**17),
    st.integers(-400_000_000, 400_000_000),
)
def test_the_kernel_is_the_formula(lots: int, lot_mant: int, qty_exp: int, mark: int, rate: int) -> None:
    instrument = MarginInstrument(symbol="X", tick_mant=1, price_exp=2, lot_mant=lot_mant, qty_exp=qty_exp, tiers=())
    expected = funding_fee_e8(instrument, lots, mark, rate)
    if abs(expected) < 9 * 10**18:
        assert funding_e8(INT(lots), INT(lot_mant), INT(qty_exp), INT(mark), INT(rate)) == expected


def test_one_compiled_signature() -> None:
    for kernel in (mul_div, funding_e8):
        assert len(getattr(kernel, "signatures", [0])) <= 1


class Desk(Rig):
    """An engine whose symbol holds a position, and the twin beside it."""

    def __init__(self, lots: int = 250, interval_min: int = 480) -> None:
        super().__init__()
        self.stream.now_ns = START_NS - START_NS % DAY_NS + 7 * HOUR + 59 * 60 * S
        self.stream.listing(symbol_record(5, "AAAUSDT", funding_interval_min=interval_min))
        self.snapshot()
        self.twin = NaiveFunding(Fraction(1, 1000), interval_min * 60 * S)
        self.lots = 0
        self.go()
        self.hold(lots)

    def hold(self, lots: int) -> None:
        self.lots = lots
        self.report(ReportKind.POSITION, 0, 0, qty_lots=lots, order_id=9, decision_id=8, entry_value_e8=lots * 10**8)
        self.wait(0.1)

    def ticker(self, **fields: int) -> None:
        row = np.zeros(1, TICKER.dtype)
        names = TICKER.dtype.names or ()
        row["mask"] = sum(1 << names.index(name) for name in fields)
        for name, value in fields.items():
            row[name] = value
        self.twin.settle(self.stream.now_ns, self.lots)
        due, mark, rate = (fields.get(name) for name in ("next_funding_ns", "mark_e10", "funding_rate_e10"))
        self.twin.ticker(
            self.stream.now_ns, due, None if mark is None else Fraction(mark, 10**10),
            None if rate is None else Fraction(rate, 10**10),
        )
        self.stream.event(EventKind.TICKER, 5, row)
        self.go()

    def wait(self, seconds: float) -> None:
        self.stream.now_ns += round(seconds * S)
        self.twin.settle(self.stream.now_ns, self.lots)
        self.stream.timer()
        self.go()

    def paid(self) -> list[int]:
        return [int(m["fee_e8"]) for m in self.sent(MessageKind.CASH)]

    def full(self, due: int, mark: int = 1_234_567_890_123, rate: int = 1_234_567) -> None:
        self.ticker(next_funding_ns=due, mark_e10=mark, funding_rate_e10=rate)


def moment(desk: Desk) -> int:
    return desk.stream.now_ns - desk.stream.now_ns % HOUR + HOUR


@pytest.mark.parametrize("lots", [250, -250])
def test_a_position_open_at_the_moment_pays_or_receives(lots: int) -> None:
    desk = Desk(lots)
    due = moment(desk)
    desk.full(due)
    desk.wait(30)
    assert desk.paid() == []
    desk.wait(40)
    # 0.25 of the coin at 123.4567890123 USDT and 0.01234567 %: 0.003810...
    exact = Fraction(lots, 1000) * Fraction(1_234_567_890_123, 10**10) * Fraction(1_234_567, 10**10) * 10**8
    assert desk.paid() == [-(-exact.numerator // exact.denominator)] == [fee for _, fee in desk.twin.paid]
    assert (desk.paid()[0] > 0) == (lots > 0)
    (cash,) = desk.sent(MessageKind.CASH)
    assert (cash["order_id"], cash["decision_id"], cash["qty_lots"], cash["side"]) == (9, 8, 250, 1 if lots > 0 else -1)
    desk.wait(600)
    assert len(desk.paid()) == 1


def test_nothing_without_a_position_and_nothing_for_one_opened_since() -> None:
    desk = Desk(0)
    due = moment(desk)
    desk.full(due)
    desk.wait(61)
    desk.hold(100)
    desk.ticker(next_funding_ns=due, mark_e10=5 * 10**12)  # stale: the exchange has not moved on yet
    desk.wait(5)
    assert desk.paid() == []


def test_rate_and_mark_are_those_before_the_event_that_reaches_the_moment() -> None:
    """The first ticker behind the settlement brings the next rate and mark."""
    desk = Desk(100)
    due = moment(desk)
    desk.full(due, mark=10**12, rate=10**6)
    desk.stream.now_ns = due + 5_000_000  # its exchange time is 5 ms earlier: exactly the moment
    desk.ticker(next_funding_ns=due + 8 * HOUR, mark_e10=2 * 10**12, funding_rate_e10=-(10**6))
    assert desk.paid() == [Fraction(100, 1000) * 100 * Fraction(1, 10_000) * 10**8] == [100_000]


def test_an_hour_without_tickers_settles_by_the_interval() -> None:
    desk = Desk(100, interval_min=60)
    desk.full(moment(desk), mark=10**12, rate=10**6)
    desk.wait(61)
    desk.wait(3600)
    desk.wait(3600)
    assert desk.paid() == [100_000] * 3 == [fee for _, fee in desk.twin.paid]


def test_no_interval_no_second_settlement() -> None:
    desk = Desk(100, interval_min=0)
    desk.full(moment(desk), mark=10**12, rate=10**6)
    desk.wait(61)
    desk.wait(90_000)
    assert desk.paid() == [100_000]


@pytest.mark.parametrize("seed", range(4))
def test_random_days_are_the_twins(seed: int) -> None:
    r = random.Random(seed)
    desk = Desk(r.choice((250, -90)), interval_min=r.choice((60, 240)))
    for _ in range(150):
        kind = r.random()
        if kind < 0.6:
            desk.wait(r.choice((0.1, 30, 600, 2400)))
        elif kind < 0.75:
            desk.hold(r.choice((-300, -1, 0, 7, 1000)))
        else:
            fields: dict[str, Any] = {"mark_e10": r.randrange(1, 10**14), "funding_rate_e10": r.randrange(-10**8, 10**8)}
            if r.random() < 0.5:
                fields["next_funding_ns"] = moment(desk) - r.choice((0, 0, HOUR))
            desk.ticker(**fields)
    assert desk.paid() == [fee for _, fee in desk.twin.paid]
    assert len(desk.paid()) > 3


@pytest.mark.parametrize("lots", [137, -41])
def test_it_is_what_the_exchange_books(lots: int) -> None:
    """Same position, same mark and rate: the desk's payment is the exchange's, to the last 1e-8."""
    exchange = ExchangeRig()
    exchange.market(1 if lots > 0 else -1, min(abs(lots), 40))
    held = exchange.lots()
    desk = Desk(held)
    desk.full(moment(desk), mark=1000 * 10**10 + 123, rate=1_234_567)
    exchange.ex.on_prices(exchange.tick(), exchange.symbol, 1000 * 10**10 + 123, 10**13)
    exchange.ex.on_funding_rate(exchange.symbol, 1_234_567)
    before = exchange.ex.account(A).ledger.balance_e8
    exchange.ex.advance(exchange.now - exchange.now % (8 * HOUR) + 8 * HOUR)
    desk.wait(61)
    assert desk.paid() == [before - exchange.ex.account(A).ledger.balance_e8] != [0]
