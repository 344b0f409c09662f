"""Random lives of an account against the naive twin, and what must hold after every step."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal, localcontext

import pytest

from core.sim.margin import MarginAccount
from core.sim.margin_types import (
    AccountSpec,
    Cause,
    DueKind,
    ExecType,
    MarginInstrument,
    MarginMode,
    MarginRule,
    PositionMode,
)
from core.sim.money import E8
from core.sim.ret_codes import RetCode
from core.sim.risk_tiers import ladder
from tests.reference.margin import PRECISION, NaiveAccount, Order, Symbol

BTC = MarginInstrument(
    symbol="BTCUSDT", tick_mant=1, price_exp=1, lot_mant=1, qty_exp=3, tiers=ladder(20_000 * E8, 10_000, 500_000, 6)
)
# one decimal more than 1e-8 in price * quantity, so that values must round
ODD = MarginInstrument(
    symbol="ODDUSDT", tick_mant=5, price_exp=6, lot_mant=3, qty_exp=3, tiers=ladder(500 * E8, 5_000, 1_000_000, 4)
)
INSTRUMENTS = {"BTCUSDT": BTC, "ODDUSDT": ODD}
START = {"BTCUSDT": 600_000, "ODDUSDT": 400_000}  # ticks: 60,000 and 2 USDT
LOTS = {"BTCUSDT": 120, "ODDUSDT": 60_000}
RATE_E8 = {True: 20_000, False: 55_000}


@dataclass
class Work:
    order_id: str
    symbol: str
    position_idx: int
    side: int
    leaves_lots: int
    price_ticks: int
    reduce_only: bool = False


def usdt(e8: int) -> Decimal:
    return Decimal(e8).scaleb(-8)


def naive_symbol(i: MarginInstrument) -> Symbol:
    rows = [(usdt(t.limit_value_e8), usdt(t.im_rate_e8), usdt(t.mm_rate_e8), usdt(t.mm_deduction_e8)) for t in i.tiers]
    return Symbol(Decimal(i.tick_mant).scaleb(-i.price_exp), Decimal(i.lot_mant).scaleb(-i.qty_exp), rows)


class Life:
    """One random account and its twin, driven together."""

    def __init__(self, seed: int, *, cross: bool, hedge: bool, by_mark: bool) -> None:
        self.rng = random.Random(seed)
        self.hedge = hedge
        spec = AccountSpec(
            deposit_e8=self.rng.choice((300, 3_000, 50_000)) * E8 + self.rng.randrange(E8),
            margin_mode=MarginMode.REGULAR if cross else MarginMode.ISOLATED,
            position_mode=PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
            leverage_e2=self.rng.choice((100, 700, 1_000, 2_500)),
            rule=MarginRule.MARK_2025 if by_mark else MarginRule.ENTRY_2024,
        )
        self.account = MarginAccount(1, spec, INSTRUMENTS)
        self.twin = NaiveAccount(
            {name: naive_symbol(i) for name, i in INSTRUMENTS.items()},
            usdt(spec.deposit_e8), usdt(spec.taker_fee_e8), cross, hedge, by_mark, Decimal(spec.leverage_e2) / 100,
        )
        self.price = dict(START)
        self.work: dict[str, Work] = {}
        self.lots: dict[tuple[str, int], int] = {}
        self.count = 0
        for name in INSTRUMENTS:
            self.move(name)

    def step(self) -> None:
        actions = (self.order,) * 4 + (self.fill_order,) * 3 + (self.market,) * 2 + (self.tick,) * 4
        rare = (self.cancel, self.fund, self.leverage, self.margin, self.cash, self.mode)
        self.rng.choice(actions + rare)()
        self.liquidate()
        self.check()

    # --- what can happen ---

    def name(self) -> str:
        return self.rng.choice(list(INSTRUMENTS))

    def move(self, name: str) -> None:
        i = INSTRUMENTS[name]
        self.price[name] = max(1_000, round(self.price[name] * self.rng.gauss(1, 0.004)))
        mark_e10 = self.price[name] * i.tick_mant * 10 ** (10 - i.price_exp) + self.rng.randrange(-5_000, 5_000)
        self.account.mark(name, mark_e10)
        self.twin.marks[name] = Decimal(mark_e10).scaleb(-10)

    def tick(self) -> None:
        self.move(self.name())

    def leg_of(self, side: int, closes: bool) -> int:
        if not self.hedge:
            return 0
        return (1 if side > 0 else 2) if not closes else (2 if side > 0 else 1)

    def order(self) -> None:
        """A new order, or another form of a working one; the twin believes what was accepted."""
        if self.work and self.rng.random() < 0.2:
            old = self.rng.choice(list(self.work.values()))
            work = Work(old.order_id, old.symbol, old.position_idx, old.side, self.rng.randint(1, LOTS[old.symbol]),
                        old.price_ticks + self.rng.choice((0, -20, 20)), old.reduce_only)
        else:
            self.count += 1
            name, side = self.name(), self.rng.choice((1, -1))
            price = round(self.price[name] * self.rng.uniform(0.98, 1.02))
            closes = self.hedge and self.rng.random() < 0.2
            work = Work(f"o{self.count}", name, self.leg_of(side, closes), side, self.rng.randint(1, LOTS[name]), price,
                        not self.hedge and self.rng.random() < 0.1)
        before = self.account.available_e8()
        held_before = self.account.order_margin_e8(work.symbol)
        if not self.account.hold(work):
            assert self.account.available_e8() == before and self.account.order_margin_e8(work.symbol) == held_before
            return
        # accepted: what it takes was there; never negative, unless it was negative and needs nothing more
        assert self.account.available_e8() >= min(0, before)
        self.work[work.order_id] = work
        i = INSTRUMENTS[work.symbol]
        ticks = work.price_ticks
        if work.side < 0:
            ticks = max(ticks, int(self.twin.marks[work.symbol] / self.twin.symbols[work.symbol].tick))
        price = ticks * Decimal(i.tick_mant).scaleb(-i.price_exp)
        old_order = self.twin.orders.get(work.order_id)
        self.twin.age += 1
        age = old_order.age if old_order and old_order.price == price else self.twin.age
        free = work.reduce_only or (self.hedge and (work.position_idx == 1) != (work.side > 0))
        self.twin.orders[work.order_id] = Order(work.symbol, work.side, work.leaves_lots, price, free, age)

    def book(self, order_id: str, name: str, idx: int, side: int, lots: int, ticks: int, kind: ExecType) -> None:
        self.count += 1
        rate = RATE_E8[self.rng.random() < 0.5]
        result = self.account.apply_fill(self.count, order_id, f"x{self.count}", name, idx, side, lots, ticks, rate, kind)
        i = INSTRUMENTS[name]
        realised, fee = self.twin.fill(
            name, idx, side, lots, ticks * Decimal(i.tick_mant).scaleb(-i.price_exp), usdt(rate)
        )
        assert (usdt(result.realised_e8), usdt(result.fee_e8)) == (realised, fee)
        assert result.closed_lots + result.opened_lots == lots
        assert result.realised_e8 == side * (result.entry_value_e8 - result.exit_value_e8)
        self.lots[name, idx] = self.lots.get((name, idx), 0) + side * lots

    def capped(self, work: Work, lots: int) -> int:
        """What an exchange would let it fill: reduce-only and closing orders no more than the leg holds."""
        free = work.reduce_only or (self.hedge and (work.position_idx == 1) != (work.side > 0))
        position = self.account.position(work.symbol, work.position_idx)
        return min(lots, position.size if position.side == -work.side else 0) if free else lots

    def fill_order(self) -> None:
        if not self.work:
            return
        work = self.rng.choice(list(self.work.values()))
        lots = self.capped(work, self.rng.randint(1, work.leaves_lots))
        if lots == 0:
            return
        self.book(work.order_id, work.symbol, work.position_idx, work.side, lots, work.price_ticks, ExecType.TRADE)
        work.leaves_lots -= lots
        self.twin.orders[work.order_id].lots -= lots
        if work.leaves_lots == 0:
            del self.work[work.order_id], self.twin.orders[work.order_id]

    def market(self) -> None:
        """Close or turn over what is open, whatever it costs."""
        name, side = self.name(), self.rng.choice((1, -1))
        work = Work("m", name, self.leg_of(side, True), side, 0, 0)
        lots = self.capped(work, self.rng.randint(1, LOTS[name])) if self.hedge else self.rng.randint(1, LOTS[name])
        if lots and (self.hedge or self.account.position(name).side == -side):
            self.book("", name, work.position_idx, side, lots, self.price[name], ExecType.TRADE)

    def cancel(self) -> None:
        if self.work:
            self.drop(self.rng.choice(list(self.work)))

    def drop(self, order_id: str) -> None:
        self.account.release(order_id)
        del self.work[order_id], self.twin.orders[order_id]

    def fund(self) -> None:
        name, rate_e10 = self.name(), self.rng.randrange(-3_000_000, 3_000_000)
        self.count += 1
        paid = sum(r.fee_e8 for r in self.account.funding(self.count, name, rate_e10))
        assert usdt(paid) == self.twin.funding(name, Decimal(rate_e10).scaleb(-10))

    def leverage(self) -> None:
        name, leverage = self.name(), self.rng.choice((100, 500, 1_000, 3_000, 5_000))
        if self.account.set_leverage(name, leverage, leverage) is RetCode.OK:
            for idx in (1, 2) if self.hedge else (0,):
                self.twin.leg(name, idx).leverage = Decimal(leverage) / 100

    def margin(self) -> None:
        name = self.name()
        idx = self.rng.choice((1, 2)) if self.hedge else 0
        amount = self.rng.randrange(-20 * E8, 40 * E8)
        if self.account.add_margin(name, amount, idx) is RetCode.OK:
            self.twin.leg(name, idx).extra += usdt(amount)

    def cash(self) -> None:
        amount = self.rng.randrange(-200 * E8, 200 * E8)
        if self.account.transfer(self.count, amount, "t") is RetCode.OK:
            self.twin.pay(usdt(amount))

    def mode(self) -> None:
        """Change the margin mode; a refusal changes nothing (`check` compares every figure)."""
        if self.rng.random() < 0.3:
            mode = MarginMode.ISOLATED if self.account.cross else MarginMode.REGULAR
            if self.account.set_margin_mode(mode) is RetCode.OK:
                self.twin.cross = self.account.cross
                if self.twin.cross:
                    for leg in self.twin.legs.values():
                        leg.extra = Decimal(0)

    def liquidate(self) -> None:
        """Carry out what is due until nothing is; the ladder must end."""
        assert bool(self.account.liquidations()) == self.twin.due()
        for _ in range(60):
            steps = self.account.liquidations()
            if not steps:
                return
            due = steps[0]
            if due.kind is DueKind.CANCEL:
                assert due.lots == 0
                for order_id in [w.order_id for w in self.work.values() if w.symbol in due.cancel_symbols]:
                    self.drop(order_id)
            elif due.kind is DueKind.REDUCE and self.rng.random() < 0.5:
                self.account.liquidation_refused(due.symbol, due.position_idx)
            else:
                kind = ExecType.BUST_TRADE if due.kind is DueKind.TAKEOVER else ExecType.TRADE
                price = due.bust_price_ticks if due.kind is DueKind.TAKEOVER else self.price[due.symbol]
                entries = len(self.account.ledger.entries)
                self.book("", due.symbol, due.position_idx, due.side, due.lots, price, kind)
                for entry in self.account.ledger.entries[entries:]:
                    if entry.cause is Cause.INSURANCE:
                        assert entry.balance_e8 == 0 and not self.account.positions()
                        self.twin.pay(usdt(entry.change_e8))
        raise AssertionError("a liquidation did not end")

    # --- what must hold ---

    def check(self) -> None:
        account, twin = self.account, self.twin
        ledger = account.ledger
        assert usdt(ledger.balance_e8) == twin.cash == sum(twin.cash_moves)
        assert usdt(account.available_e8()) == twin.available()
        for (name, idx), leg in twin.legs.items():
            p = account.position(name, idx)
            assert p.lots == leg.lots == self.lots.get((name, idx), 0)
            assert usdt(p.entry_value_e8) == leg.entry
            assert usdt(p.cum_realised_e8) == leg.realised
            assert usdt(p.extra_margin_e8) == leg.extra
            assert usdt(p.unrealised_e8) == twin.unrealised((name, idx))
            assert usdt(p.im_e8) == twin.initial((name, idx))
            assert usdt(p.mm_e8) == twin.maintenance((name, idx))
        for name in INSTRUMENTS:
            assert usdt(account.order_margin_e8(name)) == twin.order_margin(name)

    def finish(self) -> None:
        """Whole-life sums: the ledger explains the balance, results explain the ledger."""
        ledger = self.account.ledger
        total = 0
        for number, entry in enumerate(ledger.entries, 1):
            total += entry.change_e8
            assert entry.seq == number and entry.balance_e8 == total
        assert total == ledger.balance_e8 == sum(ledger.totals_e8.values())
        wallet = self.account.wallet()
        transfers = sum(e.change_e8 for e in ledger.entries if e.cause in (Cause.DEPOSIT, Cause.WITHDRAWAL, Cause.INSURANCE))
        assert wallet.cum_realised_e8 + transfers == ledger.balance_e8
        assert wallet.equity_e8 == wallet.wallet_balance_e8 + wallet.unrealised_e8


def live(seeds: range, steps: int) -> int:
    liquidated = 0
    with localcontext() as context:
        context.prec = PRECISION
        for seed in seeds:
            life = Life(seed, cross=bool(seed & 1), hedge=bool(seed & 2), by_mark=seed % 3 > 0)
            for _ in range(steps):
                life.step()
            life.finish()
            liquidated += any(e.cause is Cause.LIQUIDATION for e in life.account.ledger.entries)
    return liquidated


def test_random_lives_equal_the_decimal_twin() -> None:
    """24 accounts of 100 steps in the four combinations of modes; some of them are liquidated on the way."""
    assert live(range(24), 100) > 0


@pytest.mark.slow
def test_a_hundred_thousand_random_operations() -> None:
    assert live(range(1_000, 1_400), 260) > 20
