"""Evidence from fills: one trade per position, with what must not have happened counted."""

from __future__ import annotations

from collections import Counter

import pytest

from core.enums import OrderRole, Pump
from core.orders.wire import Message
from core.performance.trade_watch import TradeWatch, illogical_target, move_of
from core.position.ladder import NO_TARGETS
from core.position.position import Grid, Position

MS = 10**6


class Rig:
    def __init__(self) -> None:
        self.watch, self.position, self.counters = TradeWatch(), Position(3, Grid(1, 1, 4)), Counter()
        self.position.targets = ((1020, 5), *NO_TARGETS[1:])

    def fill(self, side, lots, price, order=1, role=OrderRole.ENTRY, at=5, pump=Pump.NONE, additions=0):
        self.position.apply(side * lots, price, 7)
        message = Message(symbol=3, ts_event_ns=at * MS, side=side, qty_lots=lots, price_ticks=price, order_id=order,
                          role=int(role))
        return self.watch.fill(message, self.position, "XUSDT", "MICRO", int(pump), 55_000, additions, self.counters)


def test_a_trade_from_open_to_flat():
    rig = Rig()
    rig.counters["ext_position"] = 3  # of earlier
    assert rig.fill(1, 5, 1000, at=5, pump=Pump.PUMPING) is None
    assert rig.fill(1, 5, 1001, at=6) is None
    assert rig.fill(-1, 4, 1010, at=7, role=OrderRole.TAKE_PROFIT) is None
    trade = rig.fill(-1, 6, 1020, at=9, role=OrderRole.STOP)
    assert (trade.symbol, trade.opened_ms, trade.closed_ms, trade.side, trade.tier, trade.move) == (
        "XUSDT", 5, 9, 1, "MICRO", "PUMP")
    assert (trade.result_e8, trade.fees_e8, trade.matched) == (rig.position.realised_e8, 28, -1)
    assert trade[8:13] == (0, 0, 0, 0, 0)
    rig.position = Position(3, Grid(1, 1, 4))
    assert rig.fill(-1, 5, 1000, at=20, pump=Pump.DUMP) is None
    again = rig.fill(1, 5, 990, at=21, role=OrderRole.EXIT)
    assert (again.side, again.move, again.opened_ms) == (-1, "DUMP", 20)


def test_flaws_are_counted():
    rig = Rig()
    rig.position.targets = ((1001, 5), *NO_TARGETS[1:])
    rig.fill(1, 5, 1000, order=1)
    rig.fill(1, 5, 1000, order=2)
    rig.fill(1, 5, 1000, order=3, additions=1)
    rig.counters.update({"orphan_order": 1, "status_unknown": 2, "exec_unknown_type": 3, "ext_position": 4, "fills": 99})
    trade = rig.fill(-1, 15, 1000, role=OrderRole.EXIT, additions=1)
    assert (trade.duplicate_entries, trade.illogical_targets, trade.unplanned_entries, trade.undefined_states,
            trade.ghost_positions) == (1, 1, 1, 5, 4)


def test_an_unseen_position_is_no_evidence():
    rig = Rig()
    rig.position.apply(5, 1000, 0)
    assert rig.fill(-1, 5, 1000, role=OrderRole.EXIT) is None


@pytest.mark.parametrize(("side", "target", "bad"), [
    (1, 0, False), (1, 1000, True), (1, 999, True), (1, 1001, True), (1, 1002, False), (-1, 1001, True), (-1, 999, True),
    (-1, 998, False),
])
def test_targets_that_lose(side, target, bad):
    """Fees of 0.055 % on both ways of 1000 ticks are 1.1 ticks."""
    assert illogical_target(side, 1000, target, 55_000) is bad


def test_moves():
    assert [move_of(p) for p in Pump] == ["GRIND", "GRIND", "PUMP", "PUMP", "DUMP", "GRIND"]
