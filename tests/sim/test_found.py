"""What the seeds have found, each as the smallest case that shows it."""

from __future__ import annotations

import pytest

from core.enums import MessageKind, OrderRole, ReportKind
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.wire import Message
from tests.core.orders.test_broker import broker, enter
from tests.sim.runner import run_seed


@pytest.mark.parametrize(("seed", "plan"), [
    (161, ""),  # somebody else's fill was told in the name of our working entry, and ended it for the Broker
    (0, "O42"),  # a naked position waited twice as long for its stop while a close was under way
])
def test_seeds_that_failed(seed: int, plan: str) -> None:
    """The rules in small: `test_o21_a_strangers_fill..`, `test_o13_a_missing_stop..while_a_close..`."""
    assert run_seed(seed, plan).violations == []


def test_a_strange_fill_does_not_end_our_working_entry() -> None:
    """Seed 17: somebody else's order filled on the symbol while our entry rested; the limits forgot the entry."""
    b = broker()
    accepted, _ = b.handle(enter())
    assert accepted is not None and accepted.kind == ReportKind.ACCEPTED
    b.handle(Message(
        seq=DESK_SEQ + 1, ts_event_ns=2 * 10**9, symbol=0, kind=int(MessageKind.FILL), side=1, price_ticks=1001, qty_lots=3,
        role=int(OrderRole.ENTRY), order_id=0, leaves_lots=0, fee_e8=5,
    ))
    assert b.working[0].leaves_lots == accepted.qty_lots
    assert b.account.positions[0].lots == 3
