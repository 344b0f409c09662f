"""Is a closed LIVE trade in the exchange's history as we booked it (requirement B5)? Pure.

    our record (LiveTrade)   against   executions of its time (execution/list)   and   results of its closing orders
    lots, values, fees, funding, result                                                (position/closed-pnl)

An execution belongs to the trade when it is of the symbol and between the first fill and the last one; positions of one
symbol follow each other, so no other trade has one there. Values and fees may differ by `SLACK_E8` per execution, the
rounding of the venue. The exchange's closed PnL contains the fees of both ways, and no funding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from core.orders.exchange_words import ClosedPnlRow, ExecutionRow
from core.performance.promotion import LiveTrade

SLACK_E8 = 2
FUNDING = "Funding"


class Difference(NamedTuple):
    """One figure both sides know differently; money in 1e-8 USDT."""

    figure: str
    own: int
    exchange: int


class History(NamedTuple):
    """What the exchange remembers of one trade. `complete`: everything bought was sold again, and every closing order has
    its result; until then it may be that the history lags behind."""

    entry_lots: int
    exit_lots: int
    entry_value_e8: int
    exit_value_e8: int
    fees_e8: int
    funding_e8: int
    closed_pnl_e8: int
    executions: int
    complete: bool

    @property
    def result_e8(self) -> int:
        """By its executions: what came in less what went out, long or short."""
        return self.exit_value_e8 - self.entry_value_e8 - self.fees_e8 - self.funding_e8


def history_of(trade: LiveTrade, executions: Iterable[ExecutionRow], closed: Iterable[ClosedPnlRow]) -> History:
    """Gather the trade's part of the listings. Values are signed by the side of the trade: entry paid, exit received."""
    rows = {
        row.exec_id: row for row in executions
        if row.symbol == trade.symbol and trade.opened_ms <= row.exec_time_ms <= trade.closed_ms
    }
    fills = [row for row in rows.values() if row.exec_type != FUNDING]
    funding = sum(row.fee_e8 for row in rows.values() if row.exec_type == FUNDING)
    entries = [row for row in fills if row.side == trade.side]
    exits = [row for row in fills if row.side == -trade.side]
    orders = {row.order_id for row in exits}
    results = {row.order_id: row.closed_pnl_e8 for row in closed if row.order_id in orders}
    entry_lots, exit_lots = (sum(row.qty_lots for row in side) for side in (entries, exits))
    return History(
        entry_lots, exit_lots, trade.side * sum(row.value_e8 for row in entries),
        trade.side * sum(row.value_e8 for row in exits), sum(row.fee_e8 for row in fills), funding, sum(results.values()),
        len(rows), 0 < entry_lots == exit_lots and results.keys() == orders,
    )


def differences(trade: LiveTrade, found: History) -> list[Difference]:
    """What does not agree; empty = the trade is matched. A record without sizes (its begin was in another run) is compared
    by fees and result."""
    slack = SLACK_E8 * max(found.executions, 1)
    rows: list[tuple[str, int, int, int]] = [
        ("fees_e8", trade.fees_e8, found.fees_e8, slack), ("result_e8", trade.result_e8, found.result_e8, 2 * slack),
        ("closed_pnl_e8", trade.result_e8 + trade.funding_e8, found.closed_pnl_e8, 2 * slack),
        ("funding_e8", trade.funding_e8, found.funding_e8, slack),
    ]
    if trade.entry_lots:
        rows += [
            ("entry_lots", trade.entry_lots, found.entry_lots, 0), ("exit_lots", trade.entry_lots, found.exit_lots, 0),
            ("entry_value_e8", trade.side * trade.entry_value_e8, found.entry_value_e8, slack),
            ("exit_value_e8", trade.side * trade.exit_value_e8, found.exit_value_e8, slack),
        ]
    return [Difference(name, own, other) for name, own, other, room in rows if abs(own - other) > room]


def told(found: Iterable[Difference]) -> str:
    """Differences in words, for a log line."""
    return ", ".join(f"{d.figure} {d.own} here, {d.exchange} there" for d in found)
