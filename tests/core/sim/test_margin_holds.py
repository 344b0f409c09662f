"""Holds of one symbol: the walk of what closes first, replacement, age, sums."""

from __future__ import annotations

import random

from core.position.position import Grid
from core.sim.margin_holds import SymbolHolds

GRID = Grid(1, 1, 4)  # a lot at a tick is worth 1e-4 USDT


def put(holds: SymbolHolds, name: str, side: int, lots: int, price: int, free: bool = False) -> None:
    holds.put(name, side, lots, price, free, 1000, 0)


def test_the_best_price_closes_first_then_age() -> None:
    """A long of 25 lots against sells of 10 @ 101, 10 @ 100 and 10 @ 100 (younger): the two at 100 and half of the one
    at 101 close; 5 @ 101 are left: 505 units of 1e-4."""
    holds = SymbolHolds(GRID)
    put(holds, "far", -1, 10, 101)
    put(holds, "old", -1, 10, 100)
    put(holds, "young", -1, 10, 100)
    value, margin = holds.surplus(25, 1000, 0)
    assert value == 505 * 10**4
    assert margin == 505 * 10**3  # a tenth, no fees
    assert holds.surplus(30, 1000, 0) == (0, 0) == holds.surplus(99, 1000, 0)
    assert holds.surplus(0, 1000, 0)[0] == 0  # flat: the walk is asked for buys then
    put(holds, "old", -1, 4, 100)  # same price: keeps its age
    assert [holds.orders[name].key[1] for name in ("old", "young")] == [2, 3]
    put(holds, "old", -1, 4, 102)
    assert holds.orders["old"].key[1] == 5


def test_sums_follow_every_change() -> None:
    """Random puts, replacements and takes: the running sums equal the sums over the orders."""
    rng = random.Random(3)
    holds = SymbolHolds(GRID)
    for _ in range(2_000):
        name = str(rng.randrange(30))
        if rng.random() < 0.6:
            put(holds, name, rng.choice((1, -1)), rng.randint(1, 50), rng.randint(90, 110), rng.random() < 0.2)
        else:
            holds.take(name)
        for side in (1, -1):
            mine = [o for o in holds.orders.values() if o.side == side and not o.free]
            assert holds.margin_e8[side] == sum(o.margin_e8 for o in mine)
            assert holds.value_e8[side] == sum(o.value_e8 for o in mine)
    assert bool(holds) == bool(holds.orders)


def test_a_free_order_is_present_and_holds_nothing() -> None:
    holds = SymbolHolds(GRID)
    put(holds, "r", -1, 10, 100, free=True)
    assert holds and holds.margin_e8 == {1: 0, -1: 0}
    assert holds.take("r") is not None and holds.take("r") is None
