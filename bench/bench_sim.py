"""The embedded exchange: order operations per second, and what a market event costs with 0, 10 and 1,000 own orders.

    operations   create a resting order + amend its price + cancel it, with account, margin and events (three per round);
                 market orders that fill and are closed again (two per round)
    events       a book delta of three levels a side, and a frame of two prints that reach no own order, with so many
                 orders of one account resting on both sides of the book (order limits are lifted by many accounts)
    matcher      the same events on the matcher alone: what is left of the cost without accounts

Everything is single-threaded Python around compiled matching; the clock of the exchange is the event's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from bench.harness import Bench
from core.sim.exchange import Exchange
from core.sim.exchange_types import AmendRequest, InstrumentSpec, OrderRequest, OrderType, TimeInForce
from core.sim.margin_types import AccountSpec, RiskTier

SYMBOL = "BTCUSDT"
TIERS = (RiskTier(1, 10**18, 1_000_000, 500_000, 0, 10_000),)
SPEC = InstrumentSpec(symbol=SYMBOL, tick_mant=1, price_exp=1, lot_mant=1, qty_exp=3, tiers=TIERS,
                      max_price_ticks=10_000_000)
MID = 100_000
DEPTH = 200
PER_ACCOUNT = 250
START_NS = 1_700_000_000_000_000_000


def levels(sign: int, n: int = DEPTH, lots: int = 50) -> np.ndarray:
    return np.array([(MID + sign * k, lots) for k in range(1, n + 1)], np.int64)


class Subject:
    """An exchange with a book of 200 levels a side and `n_orders` own orders on both sides, away from the touch."""

    def __init__(self, n_orders: int = 0) -> None:
        self.exchange = Exchange(1)
        self.exchange.add_instrument(SPEC)
        self.now = START_NS
        self.exchange.on_book(self.now, SYMBOL, levels(-1), levels(1), True)
        self.exchange.on_trades(self.now, SYMBOL, np.array([(MID, 1, 1)], np.int64))
        self.exchange.on_prices(self.now, SYMBOL, MID * 10**9, MID * 10**9)
        for uid in range(1, 2 + n_orders // PER_ACCOUNT):
            self.exchange.add_account(uid, AccountSpec(deposit_e8=10**17))
        for k in range(n_orders):
            side = 1 if k % 2 else -1
            self.place(1 + k // PER_ACCOUNT, side, MID - side * (5 + k % 150))
        self.deltas = [self._delta(k) for k in range(8)]
        self.prints = np.array([(MID - 1, 2, -1), (MID + 1, 2, 1)], np.int64)

    def place(self, uid: int, side: int, price: int, order_type: OrderType = OrderType.LIMIT, lots: int = 10,
              reduce_only: bool = False) -> str:
        self.now += 1_000
        tif = TimeInForce.GTC if order_type is OrderType.LIMIT else TimeInForce.IOC
        result = self.exchange.create_order(self.now, uid, OrderRequest(
            symbol=SYMBOL, side=side, order_type=order_type, qty_lots=lots, price_ticks=price, tif=tif,
            reduce_only=reduce_only))
        assert result.ret_code == 0, result
        return result.order_id

    @staticmethod
    def _delta(k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = [np.array([(MID + sign * (1 + (3 * k + j) % 40), 30 + k) for j in range(3)], np.int64)
                for sign in (-1, 1)]
        return rows[0], rows[1]

    def resting_rounds(self, n: int) -> None:
        """Create, amend, cancel, `n` times."""
        for k in range(n):
            order_id = self.place(1, 1, MID - 5 - k % 50)
            self.now += 1_000
            self.exchange.amend_order(self.now, 1, AmendRequest(symbol=SYMBOL, order_id=order_id,
                                                                price_ticks=MID - 60 - k % 20))
            self.exchange.cancel_order(self.now, 1, SYMBOL, order_id)
        self.exchange.drain()

    def taking_rounds(self, n: int) -> None:
        """Buy at market and close again, `n` times; the book comes back in between."""
        for k in range(n):
            if k % 4 == 0:
                self.exchange.on_book(self.now, SYMBOL, levels(-1, 1), levels(1, 1), False)
            self.place(1, 1, 0, OrderType.MARKET)
            self.place(1, -1, 0, OrderType.MARKET, reduce_only=True)
        self.exchange.drain()

    def books(self, n: int) -> None:
        for k in range(n):
            bids, asks = self.deltas[k % 8]
            self.exchange.on_book(self.now, SYMBOL, bids, asks, False)

    def trades(self, n: int) -> None:
        for _ in range(n):
            self.exchange.on_trades(self.now, SYMBOL, self.prints)

    def matcher_books(self, n: int) -> None:
        market = self.exchange._engine.symbols[SYMBOL].market
        for k in range(n):
            bids, asks = self.deltas[k % 8]
            market.apply(bids, asks, False)


def cpu_ns(function: Callable[[int], None], n: int, runs: int = 5) -> float:
    """Median CPU time of one of `n` rounds: on a shared machine the wall clock measures the neighbours."""
    samples = []
    for _ in range(runs):
        start = time.process_time_ns()
        function(n)
        samples.append((time.process_time_ns() - start) / n)
    return median(samples)


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_sim", argv, excluded="REST and WebSocket, signatures, JSON; frames decoded already")
    n = 200 if bench.small else 3_000
    busy = Subject()
    busy.resting_rounds(2)
    busy.taking_rounds(4)
    resting, taking = cpu_ns(busy.resting_rounds, n) / 3, cpu_ns(busy.taking_rounds, n) / 2
    bench.figure("resting order operation (create, amend, cancel)", resting / 1000, "us")
    bench.figure("market order operation (open, close)", taking / 1000, "us")
    bench.figure("resting order operations", 1e9 / resting, "/s")
    bench.figure("market order operations", 1e9 / taking, "/s")
    bench.digest(f"executions {len(busy.exchange.executions(1))}, balance {busy.exchange.wallet(1).wallet_balance_e8}, "
                 f"position {busy.exchange.account(1).position(SYMBOL).lots}")
    for orders in (0, 10, 1_000):
        subject = Subject(orders)
        subject.exchange.drain()
        functions = {"book delta, 6 levels": subject.books, "frame of 2 prints": subject.trades,
                     "matcher alone, book delta": subject.matcher_books}
        for label, function in functions.items():
            function(n)
            bench.figure(f"{orders} orders: {label}", cpu_ns(function, n) / 1000, "us")
        open_orders = sum(len(subject.exchange.open_orders(uid)) for uid in subject.exchange.uids())
        assert open_orders == orders
        bench.digest(f"{orders} orders: {open_orders} open, best {subject.exchange.price_limits(SYMBOL)}")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
