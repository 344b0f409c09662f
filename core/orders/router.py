"""The ExecutionRouter: the only door to an order.

Nothing else in the code makes an ACCEPTED report or talks to an order interface (a test reads the sources for it). What
passes has been sized and checked; the router decides only where it goes: the shard's paper desk (SIM), nowhere
(DRY_RUN), or, in a version that has it, the exchange (LIVE).
"""

from __future__ import annotations

from typing import NamedTuple

from core.enums import Gate, Mode, ReportKind
from core.orders.wire import Report

DRY_RUN_ID = "DRY-RUN"
LINK_ID_MAX = 36  # Bybit's limit; [A-Za-z0-9_-]


class LiveUnavailable(RuntimeError):
    """This version cannot send real orders."""


class Order(NamedTuple):
    """An entry as sized by execution. Prices in ticks, quantity in lots, times in ns of event time."""

    order_id: int
    symbol: int
    name: str
    side: int
    qty_lots: int
    price_ticks: int
    stop_ticks: int
    target_ticks: int
    deadline_ns: int
    flags: int
    decision_id: int
    seq: int


def link_id(order: Order) -> str:
    """Deterministic client order id (Bybit's orderLinkId): the same decision always has the same id."""
    return f"s{order.seq:x}-{order.name}-{'b' if order.side > 0 else 's'}"[:LINK_ID_MAX]


class ExecutionRouter:
    """One per execution process. Raises LiveUnavailable when constructed for LIVE."""

    def __init__(self, mode: Mode) -> None:
        if mode == Mode.LIVE:
            raise LiveUnavailable(
                "mode LIVE is not available in this version: no order path to the exchange exists. "
                "Use SIM or DRY_RUN (trading.mode in config/trading.toml, TRADING_MODE, or --mode)."
            )
        self.mode: Mode = mode
        self.sent = 0
        self.dry_runs = 0

    @property
    def sends(self) -> bool:
        """False in DRY_RUN: orders are built and checked, none leaves."""
        return self.mode == Mode.SIM

    def submit(self, order: Order, effect_ns: int) -> tuple[Report, str]:
        """Send a checked order. Returns the report for the shard and the id to log it under (`DRY-RUN` if not sent)."""
        if not self.sends:
            self.dry_runs += 1
            return Report(
                seq=order.seq, effect_ns=effect_ns, decision_id=order.decision_id, symbol=order.symbol,
                qty_lots=order.qty_lots, kind=int(ReportKind.REJECTED), side=order.side, reason=int(Gate.MODE),
            ), DRY_RUN_ID
        self.sent += 1
        return Report(
            seq=order.seq, effect_ns=effect_ns, decision_id=order.decision_id, order_id=order.order_id,
            price_ticks=order.price_ticks, qty_lots=order.qty_lots, stop_ticks=order.stop_ticks,
            target_ticks=order.target_ticks, deadline_ns=order.deadline_ns, symbol=order.symbol,
            kind=int(ReportKind.ACCEPTED), side=order.side, flags=order.flags,
        ), link_id(order)
