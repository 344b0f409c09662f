"""What the exchange remembers: of a symbol (market, prices, limits), of an account (orders, executions, results)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.sim.exchange_types import (
    BUY,
    ClosedPnl,
    Execution,
    InstrumentSpec,
    SimOrder,
    SymbolStatus,
    TriggerBy,
)
from core.sim.margin import MarginAccount
from core.sim.matching_book import MatchingBook

E8, E10 = 10**8, 10**10
PREMIUM_WINDOW_NS = 30_000_000_000
PREMIUM_STEP_NS = 1_000_000_000  # between two samples: reading a book nobody trades in costs more than a price update


@dataclass(slots=True)
class SymbolState:
    """A contract and its market. `last_ticks` 0 until the first print; marks and index in 1e-10 USDT, 0 = unknown."""

    spec: InstrumentSpec
    market: MatchingBook
    status: SymbolStatus
    last_ticks: int = 0
    mark_e10: int = 0
    index_e10: int = 0
    funding_rate_e10: int = 0
    next_funding_ns: int = 0
    vacuum_until_ns: int = 0
    premiums: deque[tuple[int, int]] = field(default_factory=deque)  # (ns, mid - mark in 1e-10)
    premium_sum: int = 0
    stops: dict[str, SimOrder] = field(default_factory=dict)  # untriggered orders, oldest first
    holders: set[int] = field(default_factory=set)  # uids that have had a position here

    def ticks(self, price_e10: int, *, round_up: bool) -> int:
        """A price in 1e-10 USDT on the tick grid."""
        numerator = price_e10 * 10**self.spec.price_exp
        tick = self.spec.tick_mant * E10
        return -(-numerator // tick) if round_up else numerator // tick

    def e10(self, ticks: int) -> int:
        return ticks * self.spec.tick_mant * E10 // 10**self.spec.price_exp

    def trigger_e10(self, by: TriggerBy) -> int:
        """The price a trigger looks at, 0 = unknown."""
        if by is TriggerBy.MARK:
            return self.mark_e10
        if by is TriggerBy.INDEX:
            return self.index_e10
        return self.e10(self.last_ticks)

    def reference_ticks(self) -> int:
        """Last price, before the first print the mid or the mark; 0 = nothing known."""
        if self.last_ticks:
            return self.last_ticks
        mid2 = self.market.mid2()
        return mid2 // 2 if mid2 else self.ticks(self.mark_e10, round_up=False)

    def note_premium(self, ts_ns: int) -> None:
        """Take a sample of mid - mark, once a second, for the 30-second average of the price limits."""
        if self.premiums and ts_ns - self.premiums[-1][0] < PREMIUM_STEP_NS:
            return
        mid2 = self.market.mid2()
        if mid2 and self.mark_e10:
            premium = self.e10(mid2) // 2 - self.mark_e10
            self.premiums.append((ts_ns, premium))
            self.premium_sum += premium
        while self.premiums and self.premiums[0][0] <= ts_ns - PREMIUM_WINDOW_NS:
            self.premium_sum -= self.premiums.popleft()[1]

    def price_limit_ticks(self, side: int) -> int:
        """Highest price to buy at, lowest to sell at (GET /v5/market/price-limit); 0 = none known.

        buy  = min(mark (1 + Y), max(index, mark (1 + X) + max(0, premium)))
        sell = max(mark (1 - Y), min(index, mark (1 - X) + min(0, premium)))"""
        if not self.mark_e10:
            return 0
        mark, spec = self.mark_e10, self.spec
        premium = self.premium_sum // len(self.premiums) if self.premiums else 0
        outer = mark + side * (mark * spec.price_limit_y_e8 // E8)
        inner = mark + side * (mark * spec.price_limit_x_e8 // E8)
        inner += max(0, premium) if side == BUY else min(0, premium)
        index = self.index_e10 or mark
        if side == BUY:
            return max(self.ticks(min(outer, max(index, inner)), round_up=False), spec.min_price_ticks)
        return max(self.ticks(max(outer, min(index, inner)), round_up=True), spec.min_price_ticks)


@dataclass(slots=True)
class AccountState:
    """An account's orders by symbol (open ones) and by age (ended ones), executions and closed results."""

    uid: int
    margin: MarginAccount
    open: dict[str, dict[str, SimOrder]] = field(default_factory=dict)  # symbol -> order id -> order, oldest first
    orders: dict[str, SimOrder] = field(default_factory=dict)  # every order ever, by id
    links: dict[str, str] = field(default_factory=dict)  # order link id -> order id
    ended: list[SimOrder] = field(default_factory=list)  # in the order they ended
    executions: list[Execution] = field(default_factory=list)
    closed: list[ClosedPnl] = field(default_factory=list)
    wallet_mark: tuple[int, int, int] = (0, 0, 0)

    def open_orders(self, symbol: str | None = None) -> Iterator[SimOrder]:
        """Working and untriggered orders, oldest first within a symbol."""
        for name in [symbol] if symbol is not None else list(self.open):
            yield from list(self.open.get(name, {}).values())

    def find(self, order_id: str, order_link_id: str) -> SimOrder | None:
        """By id, else by link id (the order id wins where both are given)."""
        return self.orders.get(order_id or self.links.get(order_link_id, ""))
