"""What the seeds have found, each as the smallest case that shows it."""

from __future__ import annotations

import random

import pytest

from core.enums import MessageKind, OrderRole, ReportKind
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exchange_words import ExecutionRow
from core.orders.wire import Message
from core.sim.link_faults import LinkFaults
from tests.core.orders.desk_cases import A, rig
from tests.core.orders.test_broker import broker, enter
from tests.sim.rig import live_host
from tests.sim.runner import run_seed
from tests.sim.session import Session
from tests.sim.swarm import SECOND, Happening, draw


@pytest.mark.parametrize(("seed", "plan"), [
    (161, ""),  # somebody else's fill was told in the name of our working entry, and ended it for the Broker
    (0, "O42"),  # a naked position waited twice as long for its stop while a close was under way
])
def test_seeds_that_failed(seed: int, plan: str) -> None:
    """The rules in small: `test_o21_a_strangers_fill..`, `test_o13_a_missing_stop..while_a_close..`."""
    assert run_seed(seed, plan).violations == []


def test_the_guardian_on_duty_finds_a_stop_that_is_taken_away_within_a_second() -> None:
    """Seed 200366: once everything was protected it looked every two seconds only."""
    found = 0
    for seed in range(4):
        plan = draw(seed)
        plan.weathers, plan.crashes, plan.kill_at_ns, plan.kill_at_end = [(0, LinkFaults(), {})], [], 0, False
        plan.active_ns, plan.pace_ns, plan.pause = 24 * SECOND, (100_000_000, 700_000_000), False
        away = next(s for s in range(99) if (r := random.Random(s)).random() >= 0.4 and r.randint(2_500, 9_000) > 8_000)
        plan.happenings = [Happening(8 * SECOND, "gone", away)] + [
            Happening(12 * SECOND + k * 700_000_000, "ext stop gone", k) for k in range(5)]
        session = Session(seed, live_host, plan)
        assert session.run().violations == []
        assert session.counters["guardian: on duty"] == 1
        found += session.counters["guardian: position without a stop"]
    assert found >= 3


def test_a_fill_whose_execution_is_late_is_not_somebody_elses_position() -> None:
    """Seed 461: our entry was filled in part, its executions came seconds late; after 2.5 s the position was booked as a
    stranger's, and the fee of the fill was never booked. Our own order explains it: entries wait, nothing is concluded."""
    r = rig()
    r.on_row = lambda row: not isinstance(row, ExecutionRow)
    r.submit(flags=1, work_ms=60_000)
    r.run(50)
    entry = r.venue.by_link[r.link("E")]
    r.venue.hidden.add(entry)
    r.venue.fill(entry, 30, 9_990)
    r.run(8_000)
    assert (r.desk.lots(0), r.told, r.desk.core.holdings[A].adopted_lots) == (0, [], 0)
    assert [(t.code, t.ours, t.theirs) for t in r.desk.trouble] == [("INTEGRITY_BROKEN", "0", "30")]
    r.venue.hidden.clear()
    r.run(5_000)
    assert (r.desk.lots(0), r.told_lots(), sum(m.fee_e8 for m in r.fills())) == (30, 30, r.venue.fee)
    assert r.desk.trouble == []


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
