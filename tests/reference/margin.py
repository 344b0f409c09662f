"""Naive twin of the margin account: decimal numbers in USDT, every figure computed from scratch from plain lists.

Written from MARGIN.md, not from the code: one-way and hedge mode, cross and isolated, rule of 2025 and of 2024.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

UNIT = Decimal("0.00000001")
PRECISION = 60


def up(x: Decimal) -> Decimal:
    return x.quantize(UNIT, ROUND_CEILING)


def down(x: Decimal) -> Decimal:
    return x.quantize(UNIT, ROUND_FLOOR)


@dataclass
class Symbol:
    tick: Decimal
    lot: Decimal
    tiers: list[tuple[Decimal, Decimal, Decimal, Decimal]]  # limit, im rate, mm rate, deduction


@dataclass
class Leg:
    lots: int = 0  # signed
    entry: Decimal = Decimal(0)  # signed value
    realised: Decimal = Decimal(0)
    extra: Decimal = Decimal(0)
    leverage: Decimal = Decimal(10)


@dataclass
class Order:
    symbol: str
    side: int
    lots: int
    price: Decimal
    free: bool
    age: int


@dataclass
class NaiveAccount:
    symbols: dict[str, Symbol]
    cash: Decimal
    taker: Decimal
    cross: bool
    hedge: bool
    by_mark: bool = True
    leverage: Decimal = Decimal(10)
    legs: dict[tuple[str, int], Leg] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    marks: dict[str, Decimal] = field(default_factory=dict)
    cash_moves: list[Decimal] = field(default_factory=list)
    age: int = 0

    def __post_init__(self) -> None:
        self.cash_moves.append(self.cash)

    @property
    def fee(self) -> Decimal:
        return max(self.taker, Decimal("0.00055"))

    def leg(self, name: str, idx: int) -> Leg:
        return self.legs.setdefault((name, idx), Leg(leverage=self.leverage))

    def pay(self, amount: Decimal) -> None:
        self.cash += amount
        self.cash_moves.append(amount)

    def fill(self, name: str, idx: int, side: int, lots: int, price: Decimal, rate: Decimal) -> tuple[Decimal, Decimal]:
        """Lots one after the other would be the same; here the closing part first, then the opening part."""
        s, leg = self.symbols[name], self.leg(name, idx)
        closing = min(lots, abs(leg.lots)) if leg.lots * side < 0 else 0
        realised = Decimal(0)
        if closing:
            share = down(leg.entry * closing / abs(leg.lots))
            value = closing * s.lot * price
            realised = (down(value) if side < 0 else -up(value)) - share
            leg.extra -= down(leg.extra * closing / abs(leg.lots))
            leg.entry -= share
            leg.lots += side * closing
        if lots > closing:
            value = (lots - closing) * s.lot * price
            if leg.lots == 0:
                leg.extra = Decimal(0)
            leg.entry += up(value) if side > 0 else -down(value)
            leg.lots += side * (lots - closing)
        whole = lots * s.lot * price
        fee = up((up(whole) if side > 0 else down(whole)) * rate)
        leg.realised += realised - fee
        self.pay(realised)
        self.pay(-fee)
        return realised, fee

    def funding(self, name: str, rate: Decimal) -> Decimal:
        total = Decimal(0)
        for (symbol, _), leg in self.legs.items():
            if symbol == name and leg.lots:
                cost = up(leg.lots * self.symbols[name].lot * self.marks[name] * rate)
                leg.realised -= cost
                self.pay(-cost)
                total += cost
        return total

    # --- figures ---

    def tier(self, name: str, value: Decimal) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        for row in self.symbols[name].tiers:
            if value <= row[0]:
                return row
        return self.symbols[name].tiers[-1]

    def close_fee(self, key: tuple[str, int]) -> Decimal:
        leg = self.legs[key]
        side = 1 if leg.lots > 0 else -1
        return up(abs(leg.entry) * (leg.leverage - side) * self.fee / leg.leverage) if leg.lots else Decimal(0)

    def value(self, key: tuple[str, int], lots: int) -> Decimal:
        """Value of some lots at the margin price."""
        leg, s = self.legs[key], self.symbols[key[0]]
        if self.by_mark and key[0] in self.marks:
            return up(lots * s.lot * self.marks[key[0]])
        return up(abs(leg.entry) * lots / abs(leg.lots))

    def unrealised(self, key: tuple[str, int]) -> Decimal:
        leg, s = self.legs[key], self.symbols[key[0]]
        if not leg.lots or key[0] not in self.marks:
            return Decimal(0)
        return down(leg.lots * s.lot * self.marks[key[0]]) - leg.entry

    def initial(self, key: tuple[str, int]) -> Decimal:
        leg = self.legs[key]
        if not leg.lots:
            return Decimal(0)
        value = self.value(key, abs(leg.lots)) if self.cross else abs(leg.entry)
        return max(up(value / leg.leverage), up(value * self.tier(key[0], value)[1])) + self.close_fee(key)

    def maintenance(self, key: tuple[str, int]) -> Decimal:
        leg = self.legs[key]
        if not leg.lots:
            return Decimal(0)
        lots = abs(leg.lots)
        if self.cross and self.hedge:
            other = self.legs.get((key[0], 3 - key[1]))
            lots = max(0, lots - (abs(other.lots) if other else 0))
        value = self.value(key, lots)
        _, _, rate, deduction = self.tier(key[0], value)
        return up(value * rate) - deduction + self.close_fee(key)

    def order_cost(self, name: str, side: int, lots: int, price: Decimal) -> Decimal:
        leverage = self.leg(name, (1 if side > 0 else 2) if self.hedge else 0).leverage
        value = up(lots * self.symbols[name].lot * price)
        return up(value / leverage) + up(value * self.fee) + up(value * (leverage - side) * self.fee / leverage)

    def order_margin(self, name: str) -> Decimal:
        """Lot by lot in order of price and age, those that close first."""
        sums = {1: Decimal(0), -1: Decimal(0)}
        position = 0 if self.hedge else self.leg(name, 0).lots
        for side in (1, -1):
            closing = abs(position) if position * side < 0 else 0
            mine = [o for o in self.orders.values() if o.symbol == name and o.side == side and not o.free]
            for order in sorted(mine, key=lambda o: (-o.side * o.price, o.age)):
                used = min(closing, order.lots)
                closing -= used
                if order.lots > used:
                    sums[side] += self.order_cost(name, side, order.lots - used, order.price)
        if self.hedge:
            return sums[1] + sums[-1]
        if position == 0:
            return max(sums.values())
        carried = self.initial((name, 0))
        with_side = 1 if position > 0 else -1
        return max(carried + sums[with_side], sums[-with_side]) - carried

    def available(self) -> Decimal:
        held = sum((self.order_margin(name) for name in self.symbols), Decimal(0))
        initial = sum((self.initial(key) for key in self.legs), Decimal(0))
        if self.cross:
            return self.cash + sum((self.unrealised(key) for key in self.legs), Decimal(0)) - initial - held
        return self.cash - sum((leg.extra for leg in self.legs.values()), Decimal(0)) - initial - held

    def due(self) -> bool:
        """Whether a liquidation must begin, by the definition: cross MM >= equity; isolated MM >= margin + result."""
        open_keys = [key for key, leg in self.legs.items() if leg.lots]
        if self.cross:
            total = sum((self.maintenance(key) for key in open_keys), Decimal(0))
            return total > 0 and self.cash + sum(self.unrealised(key) for key in open_keys) <= total
        for key in open_keys:
            leg = self.legs[key]
            side = 1 if leg.lots > 0 else -1
            carried = self.initial(key) - self.close_fee(key) + down(leg.extra / (1 - side * self.fee))
            if self.maintenance(key) - self.close_fee(key) >= carried + self.unrealised(key):
                return True
        return False


def precise():  # type: ignore[no-untyped-def]
    """Context with digits to spare, so that only the stated roundings happen."""
    context = localcontext()
    context.__enter__().prec = PRECISION
    return context
