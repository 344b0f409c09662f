"""Naive bookkeeping of one account that believes nothing of core.risk: every limit recomputed from the orders and fills.

Written from requirement B2 and config/safety.toml, not from the gate. Money in 1e-8 USDT as exact integers: one lot at one
tick must be a whole number of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HOUR = 3_600 * 10**9
TIERS = {  # max capital, per trade, concurrent, trades a day, daily loss %
    "MICRO": (200, 25, 1, 3, 2.0), "SMALL": (500, 50, 2, 5, 3.0), "NORMAL": (1000, 100, 3, 7, 5.0),
}
E8 = 10**8


@dataclass
class Exposure:
    """Of one symbol: lots open (signed) at a total cost, and lots that may still fill."""

    lots: int = 0
    cost: float = 0.0
    stop: int = 0
    waiting: int = 0
    side: int = 0
    price: int = 0
    leverage: float = 1.0
    mark: int = 0


@dataclass
class NaiveAccount:
    """`unit` is the value of one lot at one tick; `limits` the plain numbers of config."""

    limits: dict
    unit: int
    balance: float
    symbols: dict[int, Exposure] = field(default_factory=dict)
    equities: list[tuple[int, float]] = field(default_factory=list)  # (time, equity) at every look
    entered: list[tuple[int, int]] = field(default_factory=list)  # (time, symbol) of accepted entries
    opened: list[int] = field(default_factory=list)

    def equity(self) -> float:
        open_result = sum(e.lots * e.mark * self.unit - e.cost for e in self.symbols.values() if e.lots)
        return self.balance + open_result

    def look(self, now: int, equity: float) -> None:
        """Before every message: the equity that is known."""
        self.equities.append((now, equity))
        while self.equities[0][0] // HOUR < now // HOUR - 24:
            self.equities.pop(0)

    def accept(self, now: int, symbol: int, side: int, lots: int, price: int, stop: int, leverage: float) -> None:
        e = self.symbols.setdefault(symbol, Exposure())
        e.waiting, e.side, e.price, e.leverage = lots, side, price, leverage
        e.stop = stop
        self.entered.append((now, symbol))

    def fill(self, now: int, symbol: int, side: int, lots: int, price: int, fee: int, entry: bool, leaves: int) -> None:
        e = self.symbols.setdefault(symbol, Exposure())
        if entry:
            if e.lots == 0:
                self.opened.append(now)
                e.cost = 0.0
            e.waiting = leaves
            e.cost += side * lots * price * self.unit
        else:
            share = e.cost * lots / abs(e.lots)
            self.balance += side * -1 * lots * price * self.unit - share
            e.cost -= share
        e.lots += side * lots
        e.mark = price
        self.balance -= fee

    def done(self, symbol: int) -> None:
        if symbol in self.symbols:
            self.symbols[symbol].waiting = 0

    # --- what must hold right after an entry was accepted -----------------------------------------------------------
    def breaches(self, now: int, symbol: int, equity: float, category: dict[int, int]) -> list[str]:
        """Every limit that the account breaks now."""
        li, found = self.limits, []
        busy = {s: e for s, e in self.symbols.items() if e.lots or e.waiting}
        mine = self.symbols[symbol]
        tier = TIERS.get(li["tier"])
        value = {s: abs(e.cost) + e.waiting * e.price * self.unit for s, e in busy.items()}
        margin = {s: value[s] / e.leverage for s, e in busy.items()}
        if li["tier"] == "NORMAL" and equity > 2000 * E8:
            tier = (tier[0], 150, *tier[2:])
        if li["tier"] == "NORMAL" and equity > 5000 * E8:  # heat decides from here on
            tier = (10**9, 150, 10**9, *tier[3:])
        capital = equity if tier is None else min(equity, tier[0] * E8)
        slack = 10.0 * (len(busy) + 1)  # roundings of single values, 1e-8 USDT

        def breach(name: str, number: float, limit: float) -> None:
            if number > limit:
                found.append(f"{name}: {number} > {limit}")

        breach("positions", len(busy), min(li["max_positions"], tier[2] if tier else 10**9))
        breach("one per symbol", abs(mine.lots), 0)
        same = sum(category[s] == category[symbol] for s in busy)
        breach("category", same, li["max_category_positions"][category[symbol]])
        breach("leverage", mine.leverage, min(25.0, li["max_leverage"][category[symbol]]))
        breach("value", value[symbol], li["max_notional"][category[symbol]] * E8 + slack)
        breach("lots", mine.waiting, li["max_lots"])
        breach("smallest", li["min_lots"], mine.waiting)
        breach("margin free", sum(margin.values()), equity * (1 - li["min_margin_ratio_pct"] / 100) + slack)
        direction = sum(v for s, v in value.items() if busy[s].side == mine.side)
        breach("one direction", direction, equity * li["max_correlated_pct"] / 100 + slack)
        risk = 0.0
        for e in busy.values():
            cost = e.cost + e.side * e.waiting * e.price * self.unit
            lots = e.lots + e.side * e.waiting
            risk += max(0.0, cost - lots * e.stop * self.unit)
        breach("heat without fees", risk, capital * li["max_heat_pct"] / 100 + slack)
        breach("no stop", mine.side * mine.stop, mine.side * mine.price)
        if mine.stop <= 0:
            found.append("no stop at all")
        one = mine.waiting * abs(mine.price - mine.stop) * self.unit
        breach("risk of one trade", one, capital * li["risk_per_trade_pct"] / 100 + slack)
        per_minute = [at for at, _ in self.entered if at > now - 60 * 10**9]
        breach("entries a minute", len(per_minute), li["max_orders_per_minute"])
        per_symbol = [at for at, s in self.entered if s == symbol and at > now - 60 * 10**9]
        breach("entries of the symbol", len(per_symbol), li["churn_orders"] + 1)
        loss_limit = min(5.0, li["daily_loss_pct"], tier[4] if tier else 5.0) / 100
        for name, start in (
            ("day", next(e for at, e in self.equities if at // (24 * HOUR) == now // (24 * HOUR))),
            ("24 h", self.equities[0][1]),
        ):
            base = start
            if tier is not None and not (li["tier"] == "NORMAL" and start > 5000 * E8):
                base = min(start, TIERS[li["tier"]][0] * E8)
            if start - equity >= base * loss_limit + slack:
                found.append(f"loss of the {name}: {start - equity} of {base}")
        if tier is not None:
            breach("capital", sum(margin.values()), tier[0] * E8 + slack)
            breach("per trade", margin[symbol], tier[1] * E8 + slack)
            today = sum(at // (24 * HOUR) == now // (24 * HOUR) for at in self.opened)
            waiting = sum(1 for e in busy.values() if e.waiting and not e.lots)
            breach("trades a day", today + waiting, tier[3])
        breach("liquidation", 2 * abs(mine.price - mine.stop) / mine.price, 1 / mine.leverage)
        return found
