"""What the working orders of one symbol hold back.

An order holds its initial margin and the taker fees of opening it and of closing what it opens. Reduce-only orders, and
in hedge mode orders against their leg, hold nothing. In one-way mode both sides cannot fill into the same exposure, so
the symbol holds the larger one (Bybit's max(buy, sell) rule, MARGIN.md):

    with the position:     position margin + its orders        (they would enlarge it)
    against the position:  orders beyond what closes it         (best prices close first)
    order margin         = max of both - position margin
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

from core.position.position import Grid
from core.sim.margin_math import close_fee_e8, open_fee_e8
from core.sim.money import initial_margin_e8


@dataclass(slots=True)
class Held:
    """One order: what it still may open. `free` orders hold nothing and only count as present."""

    order_id: str
    side: int
    lots: int
    price_ticks: int
    free: bool
    key: tuple[int, int]  # fill order within its side: best price first, then age
    value_e8: int = 0
    margin_e8: int = 0


class SymbolHolds:
    """Working orders of one symbol; sums per side are kept incrementally, `surplus` is walked on demand."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.orders: dict[str, Held] = {}
        self.margin_e8 = {1: 0, -1: 0}
        self.value_e8 = {1: 0, -1: 0}
        self._queue: dict[int, list[tuple[tuple[int, int], str]]] = {1: [], -1: []}
        self._sequence = 0

    def __bool__(self) -> bool:
        return bool(self.orders)

    def cost(self, side: int, lots: int, price_ticks: int, leverage_e2: int, fee_e8: int) -> tuple[int, int]:
        """(value, margin with both fees) of an order of `lots`."""
        value = self.grid.value_e8(price_ticks, lots, round_up=True)
        margin = initial_margin_e8(value, leverage_e2) + open_fee_e8(value, fee_e8)
        return value, margin + close_fee_e8(value, side, leverage_e2, fee_e8)

    def put(
        self, order_id: str, side: int, lots: int, price_ticks: int, free: bool, leverage_e2: int, fee_e8: int
    ) -> None:
        """Add an order, or replace it; a replacement at the same price keeps its age."""
        old = self.take(order_id)
        self._sequence += 1
        age = old.key[1] if old is not None and old.price_ticks == price_ticks else self._sequence
        held = Held(order_id, side, lots, price_ticks, free, (-side * price_ticks, age))
        if not free:
            held.value_e8, held.margin_e8 = self.cost(side, lots, price_ticks, leverage_e2, fee_e8)
        self.restore(held)

    def restore(self, held: Held) -> None:
        """Put an entry as it is."""
        self.orders[held.order_id] = held
        if not held.free:
            insort(self._queue[held.side], (held.key, held.order_id))
            self.value_e8[held.side] += held.value_e8
            self.margin_e8[held.side] += held.margin_e8

    def take(self, order_id: str) -> Held | None:
        """Remove an order; None where it is not held."""
        held = self.orders.pop(order_id, None)
        if held is not None and not held.free:
            queue = self._queue[held.side]
            del queue[bisect_left(queue, (held.key, order_id))]
            self.value_e8[held.side] -= held.value_e8
            self.margin_e8[held.side] -= held.margin_e8
        return held

    def surplus(self, position_lots: int, leverage_e2: int, fee_e8: int) -> tuple[int, int]:
        """(value, margin) of the orders against a position that are left after closing it."""
        side = -1 if position_lots > 0 else 1
        value, margin = self.value_e8[side], self.margin_e8[side]
        closing = abs(position_lots)
        for _, order_id in self._queue[side]:
            if closing <= 0:
                break
            held = self.orders[order_id]
            value -= held.value_e8
            margin -= held.margin_e8
            if held.lots > closing:
                rest = self.cost(side, held.lots - closing, held.price_ticks, leverage_e2, fee_e8)
                value += rest[0]
                margin += rest[1]
            closing -= held.lots
        return value, margin
