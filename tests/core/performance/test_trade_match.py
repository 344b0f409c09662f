"""Own record against the exchange's history: agreement on random trades of the simulated exchange, and every difference."""

from __future__ import annotations

import random

import pytest

from core.enums import OrderRole
from core.orders.exchange_words import ClosedPnlRow, ExecutionRow
from core.orders.wire import Message
from core.performance.promotion import LiveTrade
from core.performance.trade_match import differences, history_of, told
from core.performance.trade_watch import TradeWatch
from core.position.position import Position
from core.sim.exchange_types import Execution
from core.sim.link_rows import closed_pnl_row, execution_row
from core.sim.margin_types import ExecType
from tests.core.sim.exchange_rig import ASKS, BIDS, A, Rig

MS = 1_000_000
Told = tuple[LiveTrade, list[ExecutionRow], list[ClosedPnlRow]]


class Market(Rig):
    """The exchange, and beside it our own books, which see executions as messages."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = TradeWatch()
        self.position = self._new()
        self.trades: list[LiveTrade] = []

    def _new(self) -> Position:
        return Position(0, self.ex.spec(self.symbol).grid)

    def take(self, side: int, lots: int, role: OrderRole) -> None:
        self.book(BIDS, ASKS, snapshot=True)
        assert not self.market(side, lots, reduce_only=role == OrderRole.EXIT).ret_code
        self.listen(role)

    def listen(self, role: OrderRole) -> None:
        for event in self.ex.drain():
            if not isinstance(event, Execution) or event.uid != A:
                continue
            if event.exec_type is ExecType.FUNDING:
                self.position.realised_e8 -= event.fee_e8
                continue
            if not self.position.lots:
                self.position.opened_ns = event.ts_ns // MS * MS
            self.position.apply(event.side * event.qty_lots, event.price_ticks, event.fee_e8)
            message = Message(ts_event_ns=event.ts_ns // MS * MS, side=event.side, qty_lots=event.qty_lots, order_id=1,
                              price_ticks=event.price_ticks, role=int(role))
            trade = self.watch.fill(message, self.position, self.symbol, "MICRO", 0, 55_000, 0, {})
            if trade is not None:
                self.trades.append(trade)
                self.position = self._new()

    def fund(self, rate_e10: int) -> None:
        self.ex.on_funding_rate(self.symbol, rate_e10)
        hours = 8 * 3_600 * 1_000_000_000
        self.now = self.now - self.now % hours + hours
        self.ex.advance(self.now)
        self.listen(OrderRole.ENTRY)

    def history(self) -> tuple[list[ExecutionRow], list[ClosedPnlRow]]:
        return [execution_row(e) for e in self.ex.executions(A)], [closed_pnl_row(c) for c in self.ex.closed_pnl(A)]


def some_trades(seed: int) -> Market:
    r, market = random.Random(seed), Market()
    for _ in range(6):
        side, lots = r.choice((1, -1)), r.randint(6, 15)
        market.take(side, lots, OrderRole.ENTRY)
        if r.random() < 0.5:
            market.take(side, r.randint(6, 9), OrderRole.ENTRY)
        if r.random() < 0.5:
            market.fund(r.choice((123_456, -77_777)))
        while market.position.lots:
            left = abs(market.position.lots)
            market.take(-side, r.randint(1, left), OrderRole.EXIT)
        market.tick()
    return market


def test_funding_is_in_some_of_them() -> None:
    assert any(trade.funding_e8 for seed in range(8) for trade in some_trades(seed).trades)


@pytest.mark.parametrize("seed", range(8))
def test_every_trade_is_matched(seed: int) -> None:
    market = some_trades(seed)
    executions, closed = market.history()
    assert len(market.trades) == 6
    for trade in market.trades:
        found = history_of(trade, executions, closed)
        assert found.complete and differences(trade, found) == []
        assert (found.entry_lots, found.fees_e8) == (trade.entry_lots, trade.fees_e8)


@pytest.fixture(scope="module")
def one() -> Told:
    market = some_trades(3)
    return market.trades[2], *market.history()


@pytest.mark.parametrize("figure", ["fees_e8", "result_e8", "entry_lots", "entry_value_e8", "exit_value_e8", "funding_e8"])
def test_a_difference_is_told(one: Told, figure: str) -> None:
    trade, executions, closed = one
    wrong = trade._replace(**{figure: getattr(trade, figure) + 1000})
    found = differences(wrong, history_of(wrong, executions, closed))
    assert figure in [d.figure for d in found]
    assert figure in told(found)


def test_a_fill_we_missed_and_one_they_lost(one: Told) -> None:
    trade, executions, closed = one
    mine = [e for e in executions if trade.opened_ms <= e.exec_time_ms <= trade.closed_ms]
    extra = mine[0]._replace(exec_id="new", qty_lots=3)
    assert differences(trade, history_of(trade, [*executions, extra], closed))
    lost = history_of(trade, [e for e in executions if e is not mine[-1]], closed)
    assert not lost.complete and differences(trade, lost)


def test_the_same_page_twice_changes_nothing(one: Told) -> None:
    trade, executions, closed = one
    assert history_of(trade, executions * 2, closed * 2) == history_of(trade, executions, closed)


def test_without_the_results_of_its_orders_it_is_not_complete(one: Told) -> None:
    trade, executions, _ = one
    assert not history_of(trade, executions, []).complete


def test_a_trade_begun_in_another_run_is_compared_by_fees_and_result(one: Told) -> None:
    trade, executions, closed = one
    partial = trade._replace(entry_lots=0, entry_value_e8=0, exit_value_e8=0)
    assert differences(partial, history_of(partial, executions, closed)) == []
    assert [d.figure for d in differences(partial._replace(fees_e8=0), history_of(partial, executions, closed))] == ["fees_e8"]
