"""Naive twin of `core.sim.matching_book`: dictionaries, objects and loops over single lots' worth of obvious rules."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

SCALE = 1024


@dataclass
class Own:
    handle: int
    side: int
    price: int
    leaves: int
    queue: int | None  # in 1/SCALE lots; None: deeper than displayed
    level: int | None  # displayed when last seen
    traded: int = 0
    age: int = 0


class NaiveMatching:
    """Public levels `{price: lots}` per side (+1 bids, -1 asks), what was taken from each, own orders in a list."""

    def __init__(self, model: str, power: float) -> None:
        self.model, self.power = model, power
        self.shown: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.taken: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.own: list[Own] = []
        self.age = 0

    def available(self, side: int, price: int) -> int:
        return self.shown[side].get(price, 0) - self.taken[side].get(price, 0)

    def prices(self, side: int) -> list[int]:
        return sorted(self.shown[side], reverse=side > 0)

    def in_order(self, side: int) -> list[Own]:
        return sorted((o for o in self.own if o.side == side), key=lambda o: (-side * o.price, o.age))

    def displayed(self, side: int, price: int) -> int | None:
        """Lots at a price; None where the book does not reach so far."""
        prices = self.prices(side)
        if not prices or side * (prices[-1] - price) > 0:
            return None
        return self.available(side, price)

    def rest(self, side: int, price: int, lots: int, handle: int) -> None:
        ahead = self.displayed(side, price)
        self.age += 1
        self.own.append(Own(handle, side, price, lots, None if ahead is None else ahead * SCALE, ahead, 0, self.age))

    def reduce(self, handle: int, lots: int) -> None:
        for order in self.own:
            if order.handle == handle:
                order.leaves = lots
        self.own = [o for o in self.own if o.leaves > 0]

    def apply(self, bids, asks, is_snapshot) -> list[tuple[int, int, int]]:
        for side, rows in ((1, bids), (-1, asks)):
            if is_snapshot:
                old, self.shown[side] = self.shown[side], {p: q for p, q in rows if q > 0}
                self.taken[side] = {
                    p: t for p, t in self.taken[side].items() if old.get(p) and self.shown[side].get(p) == old[p]
                }
            else:
                for p, q in rows:
                    self.taken[side].pop(p, None)
                    self.shown[side].pop(p, None)
                    if q > 0:
                        self.shown[side][p] = q
        fills = []
        for side in (1, -1):
            for order in self.in_order(side):
                now = self.displayed(side, order.price)
                if now is not None and order.queue is None:
                    order.queue = now * SCALE
                elif now is not None and order.level is not None:
                    order.queue = self.queue_after(order, now)
                order.level, order.traded = now, 0
            for order in self.in_order(side):
                got = 0
                for price in self.prices(-side):
                    if side * (order.price - price) < 0:
                        break
                    lots = min(order.leaves, self.available(-side, price))
                    self.taken[-side][price] = self.taken[-side].get(price, 0) + lots
                    order.leaves -= lots
                    got += lots
                if got:
                    fills.append((order.handle, order.price, got))
        self.own = [o for o in self.own if o.leaves > 0]
        return fills

    def queue_after(self, order: Own, now: int) -> int:
        if self.model == "RISK_AVERSE":
            return order.queue
        gone = order.level - now - order.traded
        if gone <= 0:
            return min(order.queue, now * SCALE)
        front = order.queue / SCALE
        back = max(order.level - order.traded - front, 0.0)
        f = (lambda x: x**self.power) if self.model == "POWER" else (lambda x: log(1.0 + x))
        total = f(back) + f(front)
        p = f(back) / total if total else 1.0
        left = front - (1.0 - p) * gone + min(back - p * gone, 0.0)
        return max(0, min(ceil(left * SCALE), now * SCALE))

    def print(self, price: int, lots: int, aggressor: int) -> list[tuple[int, int, int]]:
        fills = []
        if aggressor == 0:
            return fills
        for side in (1, -1):
            own = 0
            for order in self.in_order(side):
                rest = lots - own
                if side * (order.price - price) > 0:
                    got, order.queue = min(order.leaves, rest), 0
                elif order.price == price and aggressor == -side:
                    ahead = rest if order.queue is None else ceil(order.queue / SCALE)
                    got = min(order.leaves, max(rest - ahead, 0))
                    order.traded += rest
                    if order.queue is not None:
                        order.queue = max(order.queue - rest * SCALE, 0)
                else:
                    continue
                order.leaves -= got
                own += got
                if got:
                    fills.append((order.handle, order.price, got))
        self.own = [o for o in self.own if o.leaves > 0]
        return fills

    def take(self, side: int, limit: int, lots: int) -> list[tuple[int, int, int]]:
        """One lot at a time: public lots ahead of the oldest own order of the best price, then it, and so on."""
        fills: list[tuple[int, int, int]] = []
        for _ in range(lots):
            candidates = [p for p in self.prices(-side) if self.available(-side, p) > 0]
            candidates += [o.price for o in self.own if o.side == -side]
            candidates = [p for p in candidates if side * (limit - p) >= 0]
            if not candidates:
                break
            price = min(candidates, key=lambda p: side * p)
            public = self.available(-side, price)
            mine = [o for o in self.in_order(-side) if o.price == price]
            ahead = ceil(mine[0].queue / SCALE) if mine and mine[0].queue is not None else 0
            if public > 0 and (not mine or ahead > 0):
                self.taken[-side][price] = self.taken[-side].get(price, 0) + 1
                for order in mine:
                    if order.queue:
                        order.queue = max(order.queue - SCALE, 0)
                    if order.level:
                        order.level -= 1
                handle = -1
            else:
                mine[0].leaves -= 1
                handle = mine[0].handle
                self.own = [o for o in self.own if o.leaves > 0]
            if fills and fills[-1][:2] == (handle, price):
                fills[-1] = handle, price, fills[-1][2] + 1
            else:
                fills.append((handle, price, 1))
        return fills
