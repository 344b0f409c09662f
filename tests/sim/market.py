"""A small seeded market: a few contracts, each with a book of five levels a side, prints, mark and index prices.

Step by step and by its own generator: what we do does not change it (as in the embedded venue). Jumps, thin books and
dislocated marks make stops trigger, orders miss and liquidations possible.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from core.sim.exchange import Exchange
from core.sim.exchange_types import InstrumentSpec
from core.sim.margin_types import RiskTier

E8 = 10**8
LEVELS = 5
MOVES = (0, 0, 0, 1, 1, 2)  # steps either way
STEP_NS = 200_000_000  # between two steps of one contract
TIERS = (
    RiskTier(1, 200_000 * E8, 2_000_000, 1_000_000, 0, 5_000),
    RiskTier(2, 5_000_000 * E8, 4_000_000, 2_000_000, 2_000 * E8, 2_500),
)
# tick mantissa, price exponent, lot mantissa, quantity exponent, first price in ticks, lots of a level
GRIDS = (
    (1, 1, 1, 3, 600_000, 40),  # 60,000.0 and 0.001: a BTC
    (1, 2, 1, 2, 300_000, 60),  # 3,000.00 and 0.01: an ETH
    (1, 4, 1, 0, 5_000, 9_000),  # 0.5000 and 1: a cheap one
    (5, 4, 1, 1, 20_000, 800),  # 10.0000 by 0.0005, and 0.1
    (1, 6, 1, -2, 12_000, 4_000),  # 0.012000 and 100
    (1, 3, 1, 1, 25_000, 500),  # 25.000 and 0.1
)
NAMES = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "EEEUSDT", "FFFUSDT")


def spec_of(symbol: int) -> InstrumentSpec:
    """The contract of a symbol id."""
    tick_mant, price_exp, lot_mant, qty_exp, price, lots = GRIDS[symbol]
    return InstrumentSpec(
        symbol=NAMES[symbol], tick_mant=tick_mant, price_exp=price_exp, lot_mant=lot_mant * 10 ** max(-qty_exp, 0),
        qty_exp=max(qty_exp, 0), tiers=TIERS, base_coin=NAMES[symbol][:3], max_qty_lots=lots * 400,
        max_market_qty_lots=lots * 100, min_notional_e8=5 * E8, max_price_ticks=price * 100,
    )


SHAPES = 64  # sides of a book that are drawn beforehand


@dataclass(slots=True)
class Contract:
    """One symbol as it is now: best bid = mid - half, best ask = mid + half. `shapes[side]` are (offset, lots) rows."""

    symbol: int
    spec: InstrumentSpec
    mid_ticks: int
    half_ticks: int
    lots: int
    step_ticks: int
    e10_per_tick: int
    shapes: dict[int, list[np.ndarray]]

    @property
    def best_bid(self) -> int:
        return self.mid_ticks - self.half_ticks

    @property
    def best_ask(self) -> int:
        return self.mid_ticks + self.half_ticks


class Market:
    """`step` moves one contract and tells the exchange."""

    def __init__(self, exchange: Exchange, rng: random.Random, symbols: int, jump: float) -> None:
        self.exchange = exchange
        self.contracts: list[Contract] = []
        self._draw = rng.random
        self._jump = jump
        self._leap: dict[int, int] = {}
        self._shown: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for symbol in range(symbols):
            spec = spec_of(symbol)
            price, lots = GRIDS[symbol][4], GRIDS[symbol][5]
            half = max(1, price // 20_000)
            shapes = {
                side: [
                    np.array([(side * (half + k * half), rng.randint(lots // 4 + 1, lots * (k + 1)))
                              for k in range(LEVELS)], np.int64)
                    for _ in range(SHAPES)
                ]
                for side in (-1, 1)
            }
            exchange.add_instrument(spec)
            self.contracts.append(Contract(
                symbol, spec, price, half, lots, max(1, price // 8_000), spec.tick_mant * 10**10 // 10**spec.price_exp, shapes,
            ))

    def start(self, now_ns: int) -> None:
        for contract in self.contracts:
            self.exchange.on_trades(now_ns, contract.spec.symbol, np.array([[contract.mid_ticks, 1, 1]], np.int64))
            self._show(now_ns, contract)

    def step(self, now_ns: int, symbol: int) -> None:
        """A move, the prints on its way, the book after it."""
        draw, contract = self._draw, self.contracts[symbol]
        before, lots = contract.mid_ticks, contract.lots
        side = 1 if draw() < 0.5 else -1
        if draw() < self._jump:
            move = side * (20 + int(40 * draw())) * contract.step_ticks
        else:
            move = side * MOVES[int(len(MOVES) * draw())] * contract.step_ticks
        move = self._leap.pop(symbol, move)
        anchor = GRIDS[symbol][4]
        move += (anchor - before) // 40 if abs(anchor - before) > anchor // 20 else 0
        contract.mid_ticks = max(before + move, anchor // 2)
        rows = []
        if move:  # trade through everything on the way
            side = 1 if move > 0 else -1
            rows.append((before + side * contract.half_ticks, 1 + int(lots * draw()), side))
            rows.append((contract.mid_ticks, 3 * lots, side))
        if draw() < 0.6:
            side = 1 if draw() < 0.5 else -1
            rows.append((contract.mid_ticks + side * contract.half_ticks, 1 + int(lots * draw() / 2), side))
        if rows:
            self.exchange.on_trades(now_ns, contract.spec.symbol, np.array(rows, np.int64))
        self._show(now_ns, contract)

    def jump(self, symbol: int, rng: random.Random) -> None:
        """The price leaps at the contract's next step: far enough to reach most stops on one side."""
        self._leap[symbol] = rng.choice((-1, 1)) * rng.randint(8, 70) * self.contracts[symbol].step_ticks

    def book(self, symbol: int) -> tuple[np.ndarray, np.ndarray]:
        """Bids and asks as last shown."""
        return self._shown[symbol]

    def _show(self, now_ns: int, contract: Contract) -> None:
        name = contract.spec.symbol
        middle = np.array([contract.mid_ticks, 0], np.int64)
        bids, asks = (contract.shapes[side][int(SHAPES * self._draw())] + middle for side in (-1, 1))
        self._shown[contract.symbol] = bids, asks
        self.exchange.on_book(now_ns, name, bids, asks, True)
        mark_e10 = contract.mid_ticks * contract.e10_per_tick
        self.exchange.on_prices(now_ns, name, mark_e10, mark_e10)
