"""Funding over the restart of a shard (paper): no settlement is missed, none is paid twice.

    dead shard -------- T: the new one begins -------- its first event
       settlements <= T: its CASH stands in the account,      settlements > T: the new desk's, which is told the next
       or execution books it at the HELLO (`missed`)          one, rate and mark at once (`known_ticker`)

An exchange tells the next settlement only when it changes, so a shard that began anew would not know of the one before it.
Instants are those of core/sim/funding.py; rate and mark are those of the dead shard's last board row, the mark to the tick.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.enums import MessageKind
from core.orders.wire import Message
from core.position.position import Position
from core.records import TICKER
from core.sim.funding import funding_e8, next_funding_ns

MINUTE_NS = 60_000_000_000
SLACK_NS = MINUTE_NS  # a payment this long before the settlement, by receive time, was for it
E10_DIGITS = 10


def interval_ns(symbol: Any) -> int:
    """Of a SYMBOL record; 0: it has no funding."""
    return int(symbol["funding_interval_min"]) * MINUTE_NS


def mark_e10(row: Any, symbol: Any) -> int:
    """Mark price of a SYMBOL_ROW, 0 = not known."""
    return int(row["mark_ticks"]) * int(symbol["tick_mant"]) * 10 ** (E10_DIGITS - int(symbol["price_exp"]))


def known_ticker(row: Any, symbol: Any, now_ns: int) -> np.ndarray | None:
    """A TICKER array of shape (1,) with what a board row and the clock know of funding; None where that is nothing."""
    mark, interval = mark_e10(row, symbol), interval_ns(symbol)
    if mark <= 0 or interval <= 0:
        return None
    ticker: np.ndarray = np.zeros(1, TICKER.dtype)
    rate, next_ns = int(row["funding_rate_e10"]), next_funding_ns(now_ns, interval)
    for name, value in {"mark_e10": mark, "funding_rate_e10": rate, "next_funding_ns": next_ns}.items():
        ticker[name] = value
        ticker["mask"] |= 1 << TICKER.dtype.names.index(name)  # type: ignore[union-attr]
    return ticker


def missed(position: Position, paid_ns: int, row: Any, symbol: Any, until_ns: int) -> Message | None:
    """CASH of the last settlement up to `until_ns` (T), where the position was open then and nothing
    was paid since (`paid_ns`: the symbol's last payment)."""
    interval, mark = interval_ns(symbol), mark_e10(row, symbol)
    if interval <= 0 or mark <= 0 or until_ns <= 0:
        return None
    due_ns = next_funding_ns(until_ns, interval) - interval
    if position.opened_ns >= due_ns or paid_ns >= due_ns - SLACK_NS:
        return None
    rate = int(row["funding_rate_e10"])
    fee = int(funding_e8(
        np.int64(position.lots), np.int64(symbol["lot_mant"]), np.int64(symbol["qty_exp"]), np.int64(mark), np.int64(rate)
    ))
    return Message(
        seq=0, ts_event_ns=until_ns, symbol=position.symbol, kind=int(MessageKind.CASH), order_id=position.order_id,
        decision_id=position.decision_id, qty_lots=abs(position.lots), side=position.side, fee_e8=fee,
    )
