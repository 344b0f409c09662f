"""Random operations of several accounts in a random market: what must hold after every one of them."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from core.sim.exchange_types import (
    OPEN_STATUSES,
    Execution,
    OrderStatus,
    OrderUpdate,
    PositionUpdate,
    SmpType,
    TimeInForce,
    TpslMode,
    TradingStopRequest,
    TriggerBy,
    WalletUpdate,
)
from core.sim.margin_types import ExecType, MarginMode
from core.sim.queue_model import QueueModel
from tests.core.sim.exchange_rig import A, B, Rig

WORKING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
ENDED = (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.DEACTIVATED)


class Monkey:
    """Draws operations; `check` looks at everything that must hold."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rig = Rig(QueueModel(seed % 3), deposit_e8=(3_000 if seed % 2 else 10**6) * 10**8)
        if seed % 4 == 1:
            self.rig.ex.set_margin_mode(self.rig.now, A, MarginMode.ISOLATED)
        self.mid = 10000
        self.position: dict[int, int] = defaultdict(int)
        self.exec_ids: set[str] = set()
        self.status: dict[str, OrderStatus] = {}
        self.operations = self.executions = self.accepted = 0
        self.kinds: set[ExecType] = set()
        self.rig.ex.drain()
        self.book(snapshot=True)

    def book(self, snapshot: bool = False) -> None:
        r = self.random
        self.mid += r.choice((-30, -3, -1, 0, 0, 1, 3, 30)) if r.random() < 0.3 else 0
        if snapshot or r.random() < 0.3:
            side = lambda s: [(self.mid + s * k, r.randint(1, 60)) for k in range(1, 40) if r.random() < 0.7]  # noqa: E731
            self.rig.book(side(-1) or [(self.mid - 1, 5)], side(1) or [(self.mid + 1, 5)], snapshot=True)
        else:
            bids, asks = ({self.mid + s * r.randint(1, 40): r.randint(0, 60) for _ in range(3)} for s in (-1, 1))
            market = self.rig.ex._engine.symbols[self.rig.symbol].market
            for side, levels, other in ((-1, bids, asks), (1, asks, bids)):  # keep the public book uncrossed
                for price, _ in market.public_levels(side):
                    if any(-side * (p - price) >= 0 for p, q in levels.items() if q):
                        other[price] = 0
            self.rig.book(sorted(bids.items()), sorted(asks.items()))

    def step(self) -> None:
        r, rig = self.random, self.rig
        self.operations += 1
        uid = r.choice((A, B))
        kind = r.random()
        before = self.reference()
        if kind < 0.14:
            self.book()
        elif kind < 0.26:
            rig.trades(*[(self.mid + r.randint(-12, 12), r.randint(1, 40), r.choice((1, -1, 1, -1, 0)))
                         for _ in range(r.randint(1, 4))])
        elif kind < 0.30:
            rig.prices(self.mid + r.randint(-20, 20), self.mid + r.randint(-20, 20))
        elif kind < 0.305:
            rig.now += 3_600_000_000_000
            rig.ex.on_funding_rate(rig.symbol, r.randint(-10**7, 10**7))
            rig.ex.advance(rig.now)
        elif kind < 0.60:
            self.limit(uid)
        elif kind < 0.70:
            got = rig.market(r.choice((1, -1)), r.choice((5, 20, 200)), uid, reduce_only=r.random() < 0.4,
                             smp=r.choice(list(SmpType)))
            self.accepted += got.ret_code == 0
        elif kind < 0.72:
            rig.ex.set_trading_stop(rig.tick(), uid, TradingStopRequest(
                symbol=rig.symbol, take_profit_ticks=r.choice((None, 0, self.mid + r.randint(-60, 60))),
                stop_loss_ticks=r.choice((None, 0, self.mid + r.randint(-60, 60))),
                trailing_ticks=r.choice((None, None, 20))))
        else:
            self.change(uid)
        self.told(before)
        if self.operations % 7 == 0:
            self.check()

    def limit(self, uid: int) -> None:
        r, side = self.random, self.random.choice((1, -1))
        price = self.mid - side * r.randint(-6, 15)
        extra = {}
        if r.random() < 0.2:
            up = r.choice((1, -1))
            extra = {"trigger_price_ticks": self.mid + up * r.randint(1, 25), "trigger_direction": 1 if up > 0 else 2,
                     "trigger_by": r.choice((TriggerBy.LAST, TriggerBy.MARK, TriggerBy.INDEX))}
        elif r.random() < 0.3:
            extra = {"take_profit_ticks": price + side * r.randint(1, 40),
                     "stop_loss_ticks": price - side * r.randint(1, 40),
                     "tpsl_mode": r.choice((TpslMode.FULL, TpslMode.PARTIAL))}
        got = self.rig.limit(side, price, r.choice((5, 6, 11, 40, 900)), uid, tif=r.choice(list(TimeInForce)),
                             reduce_only=r.random() < 0.2, smp=r.choice(list(SmpType)), **extra)
        self.accepted += got.ret_code == 0

    def change(self, uid: int) -> None:
        r, rig = self.random, self.rig
        orders = rig.ex.open_orders(uid)
        if not orders:
            return
        order = r.choice(orders)
        if r.random() < 0.5 or len(orders) > 30:
            assert rig.cancel(order.order_id, uid).ret_code == 0
        else:
            price = order.price_ticks + r.randint(-5, 5) if order.price_ticks and r.random() < 0.5 else None
            rig.amend(order.order_id, uid, price_ticks=price,
                      qty_lots=max(1, order.qty_lots + r.randint(-5, 5)) if r.random() < 0.6 else None)

    def reference(self) -> dict[int, int]:
        market = self.rig.ex._engine.symbols[self.rig.symbol].market
        return {side: market.best(-side) for side in (1, -1)}

    def told(self, best_before: dict[int, int]) -> None:
        """Fills never worse than the limit, makers at their own price, no execution twice, no way back from the end."""
        seq = 0
        for event in self.rig.ex.drain():
            if isinstance(event, Execution):
                self.executions += 1
                self.kinds.add(event.exec_type)
                assert event.exec_id not in self.exec_ids
                self.exec_ids.add(event.exec_id)
                if event.exec_type is ExecType.FUNDING:
                    continue
                self.position[event.uid] += event.side * event.qty_lots
                if event.exec_type is ExecType.TRADE:
                    assert event.side * (event.order_price_ticks - event.price_ticks) >= 0
                    if event.is_maker:
                        assert event.price_ticks == event.order_price_ticks
            elif isinstance(event, OrderUpdate):
                order = event.order
                assert order.seq > seq
                seq = order.seq
                assert self.status.get(order.order_id) not in ENDED
                self.status[order.order_id] = order.status
                assert 0 <= order.cum_qty_lots <= order.qty_lots
                if order.status in OPEN_STATUSES:
                    assert order.leaves_lots == order.qty_lots - order.cum_qty_lots > 0
                else:
                    assert order.leaves_lots == 0 or order.status is OrderStatus.TRIGGERED
            else:
                assert isinstance(event, PositionUpdate | WalletUpdate)

    def check(self) -> None:
        rig, engine = self.rig, self.rig.ex._engine
        market = engine.symbols[rig.symbol].market
        working = {}
        for index, side in ((0, 1), (1, -1)):
            prices = []
            for k in range(market.count[index]):
                row = market.working[index, k]
                order = engine._by_handle[int(row.handle)]
                assert (order.side, order.price_ticks, order.leaves_lots) == (side, row.price_ticks, row.leaves_lots)
                working[order.order_id] = order
                prices.append(-side * order.price_ticks)
            assert prices == sorted(prices)
        for uid in (A, B):
            account = engine.accounts[uid]
            position = account.margin.position(rig.symbol)
            assert position.lots == self.position[uid]
            assert sum(e.change_e8 for e in account.margin.ledger.entries) == account.margin.ledger.balance_e8
            orders = list(account.open_orders())
            for order in orders:
                if order.status in WORKING:
                    assert working.pop(order.order_id) is order
                    if order.reduce_only:
                        assert order.leaves_lots <= position.size and order.side * position.lots < 0
                else:
                    assert order.order_id in engine.symbols[rig.symbol].stops
            if not any(o.status in WORKING for o in orders):
                assert rig.ex.wallet(uid).order_im_e8 == 0
            assert rig.ex.wallet(uid).available_e8 >= 0
            if position.lots == 0:
                assert (position.take_profit_ticks, position.stop_loss_ticks, position.trailing_stop_ticks) == (0, 0, 0)
        assert not working
        bid, ask = market.best(1), market.best(-1)
        own_bid = int(market.working[0, 0].price_ticks) if market.count[0] else 0
        own_ask = int(market.working[1, 0].price_ticks) if market.count[1] else 0
        assert not (own_bid and ask) or own_bid < ask  # nothing rests across what it could trade with
        assert not (own_ask and bid) or own_ask > bid


def run(seeds: range, steps: int) -> tuple[int, set[ExecType]]:
    executions, kinds = 0, set()
    for seed in seeds:
        monkey = Monkey(seed)
        for _ in range(steps):
            monkey.step()
        assert monkey.accepted > steps // 10
        executions += monkey.executions
        kinds |= monkey.kinds
    return executions, kinds


def test_random_operations():
    executions, kinds = run(range(8), 500)
    assert executions > 500 and ExecType.TRADE in kinds


@pytest.mark.slow
def test_random_operations_full():
    executions, kinds = run(range(100, 150), 2500)  # 125 k operations
    assert executions > 20_000 and kinds >= {ExecType.TRADE, ExecType.FUNDING}


def test_same_calls_same_events():
    told = []
    for _ in range(2):
        monkey = Monkey(5)
        rig = monkey.rig
        for _ in range(300):
            monkey.step()
        told.append((sorted(monkey.exec_ids), rig.ex.ledger(A), rig.ex.order_history(A), rig.ex.positions(B)))
    assert told[0] == told[1]
