"""A small exchange for tests: one contract whose tick is 0.1 USDT and lot 0.001, two accounts, a book around 1000."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.sim.exchange import Exchange
from core.sim.exchange_types import (
    AmendRequest,
    Execution,
    InstrumentSpec,
    OrderRequest,
    OrderType,
    OrderUpdate,
    PositionUpdate,
    Result,
    SimOrder,
    TimeInForce,
    WalletUpdate,
)
from core.sim.margin_types import AccountSpec, RiskTier
from core.sim.queue_model import QueueModel

SYMBOL = "BTCUSDT"
A, B = 101, 202
TIERS = (
    RiskTier(1, 2_000_000 * 10**8, 1_000_000, 500_000, 0, 10_000),
    RiskTier(2, 10_000_000 * 10**8, 2_000_000, 1_000_000, 10_000 * 10**8, 5_000),
)
SPEC = InstrumentSpec(
    symbol=SYMBOL, tick_mant=1, price_exp=1, lot_mant=1, qty_exp=3, tiers=TIERS, base_coin="BTC",
    max_qty_lots=1_500_000, max_market_qty_lots=150_000, min_notional_e8=500_000_000, max_price_ticks=10_000_000,
)
BIDS = [(9990, 20), (9980, 30), (9900, 500)]
ASKS = [(10010, 20), (10020, 30), (10100, 500)]


def levels(rows: Any) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, len(rows[0]) if rows else 2)


class Rig:
    """Calls of the exchange with a running clock; `events` since the last call in short form."""

    def __init__(self, model: QueueModel = QueueModel.RISK_AVERSE, deposit_e8: int = 10_000 * 10**8, book: bool = True,
                 spec: InstrumentSpec = SPEC, power: float = 3.0) -> None:
        self.ex = Exchange(7, model, power)
        self.ex.add_instrument(spec)
        self.symbol = spec.symbol
        self.now = 1_700_000_000_000_000_000
        for uid in (A, B):
            self.ex.add_account(uid, AccountSpec(deposit_e8=deposit_e8))
        if book:
            self.book(BIDS, ASKS, snapshot=True)
            self.trades((10000, 1, 1))
            self.prices(10000)

    def tick(self) -> int:
        self.now += 1_000_000
        return self.now

    def book(self, bids: Any = (), asks: Any = (), snapshot: bool = False) -> None:
        self.ex.on_book(self.tick(), self.symbol, levels(bids), levels(asks), snapshot)

    def trades(self, *rows: tuple[int, int, int]) -> None:
        self.ex.on_trades(self.tick(), self.symbol, levels(rows))

    def prices(self, mark_ticks: int, index_ticks: int = 0) -> None:
        self.ex.on_prices(self.tick(), self.symbol, mark_ticks * 10**9, (index_ticks or mark_ticks) * 10**9)

    def limit(self, side: int, price: int, lots: int, uid: int = A, **kw: Any) -> Result:
        return self.ex.create_order(self.tick(), uid, OrderRequest(
            symbol=self.symbol, side=side, order_type=OrderType.LIMIT, qty_lots=lots, price_ticks=price, **kw))

    def post_only(self, side: int, price: int, lots: int, uid: int = A, **kw: Any) -> Result:
        return self.limit(side, price, lots, uid, tif=TimeInForce.POST_ONLY, **kw)

    def market(self, side: int, lots: int, uid: int = A, **kw: Any) -> Result:
        return self.ex.create_order(self.tick(), uid, OrderRequest(
            symbol=self.symbol, side=side, order_type=OrderType.MARKET, qty_lots=lots, **kw))

    def amend(self, order_id: str, uid: int = A, **kw: Any) -> Result:
        return self.ex.amend_order(self.tick(), uid, AmendRequest(symbol=self.symbol, order_id=order_id, **kw))

    def cancel(self, order_id: str = "", uid: int = A, link: str = "") -> Result:
        return self.ex.cancel_order(self.tick(), uid, self.symbol, order_id, link)

    def order(self, order_id: str, uid: int = A) -> SimOrder:
        found = self.ex.find_order(uid, order_id)
        assert found is not None
        return found

    def lots(self, uid: int = A, idx: int = 0) -> int:
        return self.ex.account(uid).position(self.symbol, idx).lots

    def told(self) -> list[tuple[Any, ...]]:
        """Events since the last call: ("order", status, cum), ("exec", side, price, lots, maker), ("position", lots),
        ("wallet",)."""
        out: list[tuple[Any, ...]] = []
        for event in self.ex.drain():
            if isinstance(event, OrderUpdate):
                out.append(("order", event.order.status.text, event.order.cum_qty_lots))
            elif isinstance(event, Execution):
                out.append(("exec", event.side, event.price_ticks, event.qty_lots, event.is_maker))
            elif isinstance(event, PositionUpdate):
                out.append(("position", event.position.side * event.position.lots))
            else:
                assert isinstance(event, WalletUpdate)
                out.append(("wallet",))
        return out

    def states(self) -> list[str]:
        return [row[1] for row in self.told() if row[0] == "order"]
