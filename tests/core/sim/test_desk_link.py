"""The link between desk and embedded exchange: order of words, exactly one answer, what each fault does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.constants import NS_PER_MS
from core.orders.exchange_words import (
    Ack,
    Banned,
    Cancel,
    CancelEntries,
    ClockOffset,
    Create,
    ExecutionRow,
    LinkState,
    Lost,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    Query,
    QueryKind,
    QueryRows,
    SetLeverage,
    Stream,
    TimeInForce,
    TradingStop,
    WalletRow,
)
from core.sim.desk_link import DeskLink
from core.sim.link_faults import PPM
from core.sim.scheduler import Scheduler
from tests.core.sim.exchange_rig import SYMBOL, A, Rig

SECOND = 1000 * NS_PER_MS


class Wire:
    """A link to the rig's exchange and everything it has told."""

    def __init__(self, seed: int = 1, connected: bool = True) -> None:
        self.rig = Rig()
        self.clock = Scheduler(5 * SECOND)
        self.told: list[Any] = []
        self.link = DeskLink(self.clock, self.rig.ex, A, seed, self.rig.now, self.told.append)
        if connected:
            self.link.connect()
            self.run(1)
            self.told.clear()

    def run(self, seconds: float) -> None:
        self.clock.run_until(self.clock.now_ns + int(seconds * SECOND))

    def faults(self, **fields: Any) -> None:
        self.link.faults = replace(self.link.faults, **fields)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    def buy(self, req_id: int = 1, link_id: str = "a1", price: int = 9995, lots: int = 10, **fields: Any) -> None:
        self.link.send(Create(req_id, link_id, SYMBOL, 1, OrderType.LIMIT, lots, price, **fields))


def test_connections_come_up_each_with_its_epoch() -> None:
    wire = Wire(connected=False)
    wire.buy()
    wire.run(0)
    assert wire.told == [Lost(1, "no connection", sent=False)]
    wire.link.connect()
    wire.run(1)
    assert set(wire.of(LinkState)) == {LinkState(s, True, 1) for s in Stream}
    wire.link.cut(Stream.TRADE, 100 * NS_PER_MS)
    wire.run(1)
    assert wire.of(LinkState)[3:] == [LinkState(Stream.TRADE, False, 1), LinkState(Stream.TRADE, True, 2)]


def test_a_trade_from_request_to_rows() -> None:
    wire = Wire()
    wire.buy(price=10020, lots=30, stop_ticks=9900, target_ticks=10100)
    wire.run(1)
    (ack,) = wire.of(Ack)
    assert (ack.req_id, ack.ret_code) == (1, 0)
    filled = [row for row in wire.of(OrderRow) if row.link_id == "a1"]
    assert [(row.status, row.cum_lots, row.order_id) for row in filled] == [(OrderStatus.FILLED, 30, ack.order_id)]
    assert [(row.price_ticks, row.qty_lots, row.exec_type) for row in wire.of(ExecutionRow)] == [
        (10010, 20, "Trade"), (10020, 10, "Trade")]
    assert (wire.of(PositionRow)[-1].signed_lots, wire.of(PositionRow)[-1].stop_ticks) == (30, 9900)
    assert wire.of(WalletRow)[-1].balance_e8 == wire.rig.ex.wallet(A).wallet_balance_e8
    children = [row for row in wire.of(OrderRow) if not row.link_id]
    assert {row.parent_link_id for row in children} == {"a1"}


def test_every_kind_of_request_and_query() -> None:
    wire = Wire()
    wire.buy(1, "a1")
    wire.buy(2, "a2", price=10010, lots=20)
    wire.run(1)
    wire.link.send(TradingStop(3, SYMBOL, stop_ticks=9900))
    wire.link.send(SetLeverage(4, SYMBOL, 500))
    wire.link.send(Cancel(5, SYMBOL, "a1"))
    wire.link.send(CancelEntries(6))
    wire.run(1)
    for number, what in enumerate(QueryKind):
        by_symbol = what in (QueryKind.INSTRUMENT, QueryKind.FEE)
        wire.link.send(Query(10 + number, what, SYMBOL if by_symbol else None))
    wire.run(1)
    assert {ack.req_id: ack.ret_code for ack in wire.of(Ack)} == dict.fromkeys(range(1, 7), 0)
    answers = {answer.kind: answer for answer in wire.of(QueryRows)}
    assert set(answers) == set(QueryKind)
    assert wire.of(ClockOffset) == [ClockOffset(0)]
    assert [row.link_id for row in answers[QueryKind.ORDER_HISTORY].rows] == ["a2", "a1"]
    assert answers[QueryKind.POSITIONS].rows[0].stop_ticks == 9900
    assert answers[QueryKind.EXECUTIONS].rows[0].link_id == "a2"
    assert answers[QueryKind.WALLET].rows[0].balance_e8 == wire.rig.ex.wallet(A).wallet_balance_e8
    assert len(answers[QueryKind.INSTRUMENT].rows) == len(answers[QueryKind.FEE].rows) == 1


def test_pages_lead_to_an_empty_one() -> None:
    wire = Wire()
    for n in range(5):
        wire.buy(n, f"a{n}", price=9900 + n)
        wire.run(0.2)
    wire.faults(page_rows=2)
    seen, cursor = [], ""
    for n in range(4):
        wire.link.send(Query(100 + n, QueryKind.ORDER_REALTIME, cursor=cursor))
        wire.run(1)
        answer = wire.of(QueryRows)[-1]
        seen += [row.link_id for row in answer.rows]
        cursor = answer.next_cursor
    assert seen == ["a4", "a3", "a2", "a1", "a0"]
    assert cursor == ""


LOSSES = [
    ("vanish_ppm", False, "timeout"), ("ack_lost_ppm", True, "timeout"), ("cut_ppm", True, "disconnect"),
    ("no_req_id_ppm", None, "error without reqId"),
]


@pytest.mark.parametrize(("fault", "done", "why"), LOSSES)
def test_a_lost_answer_is_told_once(fault: str, done: bool | None, why: str) -> None:
    outcomes = set()
    for seed in range(8):
        wire = Wire(seed)
        wire.faults(**{fault: PPM})
        wire.buy()
        wire.run(3)
        assert wire.of(Lost) == [Lost(1, why)]
        assert not wire.of(Ack)
        outcomes.add(wire.rig.ex.find_order(A, "", "a1") is not None)
    assert outcomes == ({True, False} if done is None else {done})


def test_a_late_answer_comes_after_the_loss() -> None:
    wire = Wire()
    wire.faults(ack_late_ppm=PPM)
    wire.buy()
    wire.run(8)
    assert [type(event) for event in wire.told if isinstance(event, Ack | Lost)] == [Lost, Ack]


def test_a_swallowed_order_is_acknowledged_and_nowhere() -> None:
    wire = Wire()
    wire.faults(swallow_ppm=PPM)
    wire.buy()
    wire.run(1)
    assert wire.of(Ack)[0].ret_code == 0
    assert wire.rig.ex.find_order(A, "", "a1") is None


def test_a_stalled_order_is_born_late_but_was_let_in_early() -> None:
    wire = Wire()
    wire.faults(stall_ppm=PPM, stall_ns=(3 * SECOND, 3 * SECOND))
    start = wire.clock.now_ns
    wire.buy()
    wire.run(2)
    assert wire.rig.ex.find_order(A, "", "a1") is None
    wire.run(2)
    assert wire.rig.ex.find_order(A, "", "a1") is not None
    assert wire.link.born["a1"] - start < 10 * NS_PER_MS


def test_the_clock_is_judged_and_mended_by_measuring() -> None:
    wire = Wire()
    wire.link.faults.clock_error_ms = -5_000
    wire.buy()
    wire.run(1)
    assert wire.of(Ack)[0].ret_code == 10002
    wire.link.send(Query(2, QueryKind.SERVER_TIME))
    wire.run(1)
    wire.buy(3)
    wire.run(1)
    assert wire.of(Ack)[-1].ret_code == 0


def test_limits_bans_and_server_errors() -> None:
    wire = Wire()
    wire.faults(per_second=2)
    for n in range(3):
        wire.buy(n, f"a{n}")
    wire.run(1)
    assert [ack.ret_code for ack in wire.of(Ack)] == [0, 0, 10006]
    wire.faults(http_5xx_ppm=PPM)
    wire.link.send(Query(10, QueryKind.WALLET))
    wire.run(1)
    assert wire.of(Lost)[-1].why == "HTTP 502"
    wire.faults(http_5xx_ppm=0, forbidden_ppm=PPM)
    wire.link.send(Query(11, QueryKind.WALLET))
    wire.run(0.1)
    assert wire.of(Ack)[-1].ret_code == 403
    assert wire.of(Banned)
    wire.link.send(Query(12, QueryKind.WALLET))
    wire.run(0.1)
    assert wire.told[-1] == Lost(12, "banned", sent=False)


@pytest.mark.parametrize("fault", ["frame_drop_ppm", "frame_dup_ppm"])
def test_private_frames_lost_and_doubled(fault: str) -> None:
    wire = Wire()
    wire.faults(**{fault: PPM})
    wire.buy(price=10010, lots=20)
    wire.run(1)
    assert len(wire.of(ExecutionRow)) == (0 if fault == "frame_drop_ppm" else 2)


def test_what_is_on_the_wire_when_the_process_dies_still_arrives_and_its_answer_meets_nobody() -> None:
    wire = Wire()
    wire.buy()
    wire.link.hang_up()
    wire.run(3)
    assert wire.told == []
    assert wire.rig.ex.find_order(A, "", "a1") is not None
    wire.link.connect()
    wire.run(1)
    assert {event.epoch for event in wire.of(LinkState)} == {1}


def test_a_passed_deadline_never_leaves() -> None:
    wire = Wire()
    wire.link.send(Create(1, "a1", SYMBOL, 1, OrderType.LIMIT, 1, 9000, tif=TimeInForce.GTC), wire.clock.now_ns - 1)
    wire.run(1)
    assert wire.told == [Lost(1, "deadline", sent=False)]
    assert not wire.link.gate_ns


def test_same_seed_same_words() -> None:
    def words(seed: int) -> list[str]:
        wire = Wire(seed)
        wire.faults(frame_drop_ppm=300_000, ack_lost_ppm=300_000, frame_swap_ppm=300_000)
        for n in range(20):
            wire.buy(n, f"a{n}", price=9900 + 10 * n)
            wire.run(0.1)
        wire.run(3)
        return [repr(event) for event in wire.told]

    assert words(4) == words(4) != words(5)
