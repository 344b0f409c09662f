"""Random and hostile orders through gate, sizing and bookkeeping: the naive account never finds a limit broken.

Small by default; `--full` runs a million orders.
"""

from __future__ import annotations

import random

import pytest

from config.schema import Account, Limits, Safety, Settings, Trading
from core.enums import Gate, MessageKind, Mode, OrderRole, ReportKind
from core.orders.broker import Broker, Controls
from core.orders.exposure import ExchangeFacts
from core.orders.wire import Message
from core.position.position import Grid
from core.risk.gate import FAR, UNKNOWN
from core.risk.policy import Instrument, policy
from tests.core.orders.test_exposure import Wide
from tests.reference.risk import NaiveAccount

E8 = 10**8
S = 10**9
SYMBOLS = 12
PRICE = 1_000_000  # ticks; one lot at one tick is 100 of 1e-8 USDT: a lot is worth 1 USDT
UNIT = 100
CATEGORY = {s: s % 3 for s in range(SYMBOLS)}
HUGE = 2**62


def plain(settings: Settings) -> dict:
    li, account = settings.safety.limits, settings.trading.account
    return {
        "tier": settings.trading.capital_tier, "max_positions": account.max_positions, "max_lots": 5000, "min_lots": 5,
        "max_notional": li.max_notional_usdt, "max_leverage": li.max_leverage,
        **{name: getattr(li, name) for name in (
            "max_category_positions", "min_margin_ratio_pct", "max_correlated_pct", "max_heat_pct", "risk_per_trade_pct",
            "max_orders_per_minute", "churn_orders", "daily_loss_pct")},
    }


def random_settings(rng: random.Random) -> Settings:
    return Settings(
        trading=Trading(
            capital_tier=rng.choice(["NONE", "NONE", "MICRO", "SMALL", "NORMAL"]),
            account=Account(
                start_balance_usdt=rng.choice([150.0, 1000.0, 8000.0]), leverage=rng.choice([1.0, 5.0, 12.5, 25.0]),
                margin_per_trade_usdt=rng.choice([5.0, 25.0, 120.0]), max_positions=rng.randint(1, 8),
                min_balance_usdt=rng.choice([0.0, 100.0]))),
        safety=Safety(limits=Limits(
            daily_loss_pct=rng.choice([0.5, 3.0, 5.0]), max_heat_pct=rng.choice([1.0, 5.0, 40.0]),
            max_unrealised_loss_pct=rng.choice([1.0, 3.0, 50.0]), risk_per_trade_pct=rng.choice([0.2, 2.0, 5.0]),
            max_correlated_pct=rng.choice([30.0, 100.0, 1000.0]), min_margin_ratio_pct=rng.choice([0.0, 50.0, 90.0]),
            max_notional_usdt=(5000.0, 800.0, 100.0), max_category_positions=(9, 2, 1), max_orders_per_minute=rng.choice([3, 60]),
            churn_orders=rng.choice([2, 20]), churn_round_trips=rng.choice([1, 4]))),
    )


class World:
    """One account under fire: a broker, its naive twin, and an exchange that says what it likes."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.settings = random_settings(self.rng)
        self.mode = self.rng.choice([Mode.SIM, Mode.SIM, Mode.LIVE])
        self.broker = Broker(policy(self.settings), Wide(self.mode))
        for s in range(SYMBOLS):
            self.broker.instruments[s] = Instrument(
                s, f"S{s}USDT", 100 + s, 0, Grid(1, 1, 6), 1e-3, 1e-3, 5, 5000, 5 * E8, self.rng.choice([0, 1000]), 0,
                s != 10, s == 11, CATEGORY[s], 500_000, 2_000_000)
        self.naive = NaiveAccount(plain(self.settings), UNIT, self.broker.account.balance_e8)
        self.now, self.seq, self.asked, self.accepted = 20_000 * 86_400 * S, 0, 0, 0
        self.gates: set[Gate] = set()

    def exchange(self) -> tuple[ExchangeFacts, bool]:
        """What a LIVE exchange says, and whether it says all of it."""
        equity = self.broker.account.equity_e8
        told = ExchangeFacts(True, 3, equity, self.broker.account.balance_e8, max(equity, 0), PRICE, FAR, 0)
        if self.rng.random() < 0.8:
            return told, True
        name = self.rng.choice(["settled", "tier_allowed", "balance_e8", "available_e8", "mark_ticks",
                                "open_liquidation_bps", "adl_rank"])
        return told._replace(**{name: False if name == "settled" else UNKNOWN}), False

    def send(self, kind: MessageKind, symbol: int, controls: Controls, **fields):
        self.seq += 1
        message = Message(seq=self.seq, ts_event_ns=self.now, symbol=symbol, kind=int(kind), **fields)
        equity = self.broker.account.equity_e8
        if self.mode != Mode.LIVE or controls.exchange.equity_e8 > 0:
            self.naive.look(self.now, equity)
        return message, self.broker.handle(message, controls)[0]

    def enter(self) -> None:
        rng = self.rng
        hostile = rng.random() < 0.15
        side = rng.choice([1, -1])
        price = PRICE + rng.randint(-3000, 3000)
        stop = price - side * rng.choice([300, 1500, 8000, 100_000])
        flags = {}
        if hostile:
            price = rng.choice([price, price, 0, -5, HUGE, 1, price * 3])
            stop = rng.choice([stop, stop, 0, -1, price, price + side * 50, HUGE])
            side = rng.choice([side, side, 0, 2])
            flags = {rng.choice(["killed", "paused", "degraded", "feed_down", "quarantined"]): rng.random() < 0.5}
        symbol = self.pick() if not hostile else rng.randrange(SYMBOLS + 1)
        exchange, told = self.exchange()
        controls = Controls(exchange=exchange, **flags)
        equity = self.broker.account.equity_e8
        latched = set(self.broker.ledger.latched)
        self.asked += 1
        message, report = self.send(
            MessageKind.ENTER, symbol, controls, side=side, price_ticks=price, stop_ticks=stop, decision_id=self.seq,
            qty_lots=rng.choice([0, 10_000, 5_000, 1]) if not hostile else rng.choice([0, -1, 10**6, HUGE]))
        assert report is not None
        if report.kind != ReportKind.ACCEPTED:
            self.gates.add(Gate(report.reason))
            return
        self.accepted += 1
        instrument = self.broker.instruments[symbol]
        leverage = self.broker.working[symbol].leverage_e2 / 100
        self.naive.accept(self.now, symbol, side, report.qty_lots, report.price_ticks, report.stop_ticks, leverage)
        breaches = self.naive.breaches(self.now, symbol, equity, CATEGORY)
        assert not breaches, (breaches, message, report)
        assert not any(flags.values()) and instrument.trading and not instrument.blacklisted
        assert self.mode != Mode.LIVE or (told and self.settings.trading.capital_tier != "NONE")
        assert symbol not in latched  # the order that is one too many latches it for the next
        assert self.mode != Mode.LIVE or abs(price - PRICE) <= PRICE / 100

    def work(self) -> None:
        """Something happens to an entry or a position."""
        rng, account = self.rng, self.broker.account
        told = Controls(exchange=self.exchange()[0])
        symbol = self.pick()
        working, position = self.broker.working.get(symbol), account.positions.get(symbol)
        if working is not None and rng.random() < 0.7:
            if rng.random() < 0.3:
                self.send(MessageKind.DONE, symbol, told, order_id=working.order.order_id)
                self.naive.done(symbol)
                return
            lots = working.leaves_lots if rng.random() < 0.6 else rng.randint(1, working.leaves_lots)
            leaves = working.leaves_lots - lots
            self.fill(symbol, working.order.side, lots, working.order.price_ticks, OrderRole.ENTRY, leaves, told)
        elif position is not None and working is None:
            lots = abs(position.lots) if rng.random() < 0.7 else rng.randint(1, abs(position.lots))
            price = PRICE + rng.randint(-4_000, 4_000) * rng.choice([1, 1, 1, 10])
            self.fill(symbol, -position.side, lots, price, OrderRole.STOP, 0, told)
        elif position is not None:
            self.send(MessageKind.EXIT, symbol, told)
        for marked in account.positions:
            price = PRICE + rng.randint(-4_000, 4_000) * rng.choice([1, 1, 10])
            self.send(MessageKind.MARK, marked, told, price_ticks=2 * price)
            self.naive.symbols[marked].mark = price

    def fill(self, symbol, side, lots, price, role, leaves, told) -> None:
        fee = lots * price * UNIT // 10_000
        order = self.broker.working.get(symbol)
        self.send(MessageKind.FILL, symbol, told, side=side, qty_lots=lots, price_ticks=price, fee_e8=fee, role=int(role),
                  leaves_lots=leaves, order_id=order.order.order_id if order else 0)
        self.naive.fill(self.now, symbol, side, lots, price, fee, role == OrderRole.ENTRY, leaves)

    def pick(self) -> int:
        """Some symbols more often than others, so that they are traded in circles."""
        return self.rng.choice([0, 1, self.rng.randrange(SYMBOLS)])

    def step(self) -> None:
        self.now += self.rng.choice([1, S // 10, S, 3 * S, 60 * S, self.rng.choice([S, 3600 * S, 30_000 * S])])
        if self.rng.random() < 0.4:
            self.enter()
        else:
            self.work()
        difference = abs(self.naive.balance - self.broker.account.balance_e8)
        assert difference < 1000 + 1e-6 * abs(self.naive.balance)


def run(seeds: range, orders: int) -> tuple[int, int, set[Gate]]:
    """(orders asked for, accepted, gates that refused) over worlds of `orders` each."""
    asked = accepted = 0
    gates: set[Gate] = set()
    for seed in seeds:
        world = World(seed)
        while world.asked < orders:
            world.step()
        asked += world.asked
        accepted += world.accepted
        gates |= world.gates
    return asked, accepted, gates


EXPECTED = {
    Gate.KILLED, Gate.PAUSED, Gate.FEED, Gate.DEGRADED, Gate.INTEGRITY, Gate.TIER, Gate.BLACKLIST, Gate.CHURN, Gate.DATA,
    Gate.IN_POSITION, Gate.MAX_POSITIONS, Gate.SYMBOL_LIMIT, Gate.TRADES_A_DAY, Gate.ORDER_RATE, Gate.DAILY_LOSS, Gate.ADL,
    Gate.LIQUIDATION, Gate.NO_STOP, Gate.COLLAR, Gate.MIN_SIZE, Gate.BALANCE, Gate.MARGIN_RATIO, Gate.HEAT, Gate.CORRELATED,
}  # fmt: skip


def test_no_limit_is_ever_broken():
    asked, accepted, gates = run(range(120), 150)
    assert asked >= 18_000
    assert accepted > asked // 50
    assert gates >= EXPECTED, sorted(g.name for g in EXPECTED - gates)


@pytest.mark.slow
def test_no_limit_is_ever_broken_in_a_million_orders():
    asked, accepted, gates = run(range(1_000, 3_000), 500)
    assert asked >= 1_000_000
    assert accepted > asked // 50
    assert gates >= EXPECTED
