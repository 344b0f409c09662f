"""The ExecutionRouter: the only door to an order.

Nothing else in the code makes an ACCEPTED report or talks to an order interface (a test reads the sources for it). What
passes has been sized and checked; the router decides only where it goes: the shard's paper desk (SIM), nowhere
(DRY_RUN), or the attached desk of an exchange (LIVE). In LIVE cancels, closes and stop moves go the same way; the
shard's paper desk is then inert (FLAG_EXTERNAL) and follows the reports.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from core.constants import FLAG_EXTERNAL
from core.enums import Gate, MessageKind, Mode, OrderRole, ReportKind
from core.orders.wire import Message, Report, target_fields
from core.position.ladder import NO_TARGETS, Targets
from core.risk.policy import Instrument

DRY_RUN_ID = "DRY-RUN"
LINK_ID_MAX = 36  # Bybit's limit; [A-Za-z0-9_-]


class LiveUnavailable(RuntimeError):
    """There is no way to an exchange: real orders cannot be sent."""


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
    targets: Targets = NO_TARGETS  # the ladder; `target_ticks` is its first price
    risk_lots: int = 0  # size the gate saw: the order and what may be added to it later


class LiveDesk(Protocol):
    """What the router asks of the desk of an exchange (core.orders.exchange_desk.ExchangeDesk); symbols by id."""

    @property
    def ready(self) -> bool: ...
    def submit(
        self, now_ns: int, order: Order, instrument: Instrument, work_ns: int, leverage_e2: int = 0
    ) -> Gate: ...
    def label(self, order: Order) -> str: ...
    def cancel(self, now_ns: int, symbol: int, reason: int) -> bool: ...
    def close(self, now_ns: int, symbol: int, role: OrderRole, reason: int) -> bool: ...
    def protect(
        self, now_ns: int, symbol: int, stop_ticks: int, targets: tuple[tuple[int, int], ...] | None
    ) -> bool: ...


def link_id(order: Order) -> str:
    """Deterministic client order id of a paper order: the same decision always has the same id."""
    return f"s{order.seq:x}-{order.name}-{'b' if order.side > 0 else 's'}"[:LINK_ID_MAX]


def told_reports(message: Message, report: Report) -> list[Report]:
    """What a shard hears, without having asked, of a FILL, DONE or CASH of the exchange desk that was answered by `report`.

    The shard's own desk is silent in LIVE, so the end of an entry is told with a DONE of its own where the answer is
    the position: with the last fill of an entry, and when an entry ends that has filled in part.
    """
    reports = [report._replace(seq=0)]
    entry_over = message.kind == MessageKind.DONE or (
        message.kind == MessageKind.FILL and message.role == OrderRole.ENTRY and not message.leaves_lots
    )
    if entry_over and report.kind != ReportKind.DONE:
        reports.append(Report(
            order_id=message.order_id, decision_id=message.decision_id, symbol=message.symbol,
            kind=int(ReportKind.DONE), reason=message.reason,
        ))
    return reports


class ExecutionRouter:
    """One per execution process. Raises LiveUnavailable when constructed for LIVE without a desk, or with one for
    anything else. `now_ns`: monotonic time of the turn, set by the process before it handles messages (LIVE only)."""

    def __init__(self, mode: Mode, desk: LiveDesk | None = None) -> None:
        if (mode == Mode.LIVE) != (desk is not None):
            raise LiveUnavailable(
                "mode LIVE needs the desk of an exchange, and no other mode may have one: no order path to the exchange "
                "exists here. Use SIM or DRY_RUN (trading.mode in config/trading.toml, TRADING_MODE, or --mode)."
            )
        self.mode: Mode = mode
        self.desk = desk
        self.now_ns = 0
        self.sent = 0
        self.dry_runs = 0

    @property
    def sends(self) -> bool:
        """False in DRY_RUN: orders are built and checked, none leaves."""
        return self.mode in (Mode.SIM, Mode.LIVE)

    def submit(
        self, order: Order, effect_ns: int, instrument: Instrument, leverage_e2: int = 0
    ) -> tuple[Report, str]:
        """Send a checked order. Returns the report for the shard and the id to log it under (`DRY-RUN` if not sent).
        `leverage_e2`: to stand at the exchange first (0: whatever stands)."""
        if not self.sends:
            self.dry_runs += 1
            return self._refusal(order, effect_ns, Gate.MODE)._replace(qty_lots=order.qty_lots), DRY_RUN_ID
        flags, label = order.flags, link_id(order)
        if self.desk is not None:
            work_ns = max(order.deadline_ns - effect_ns, 0)
            gate = self.desk.submit(self.now_ns, order, instrument, work_ns, leverage_e2)
            if gate is not Gate.NONE:
                return self._refusal(order, effect_ns, gate), ""
            flags, label = flags | FLAG_EXTERNAL, self.desk.label(order)
        self.sent += 1
        return Report(
            seq=order.seq, effect_ns=effect_ns, decision_id=order.decision_id, order_id=order.order_id,
            price_ticks=order.price_ticks, qty_lots=order.qty_lots, stop_ticks=order.stop_ticks,
            deadline_ns=order.deadline_ns, risk_ticks=abs(order.price_ticks - order.stop_ticks) if order.stop_ticks else 0,
            risk_lots=order.risk_lots, symbol=order.symbol, kind=int(ReportKind.ACCEPTED), side=order.side, flags=flags,
            **target_fields(order.targets),
        ), label

    @staticmethod
    def _refusal(order: Order, effect_ns: int, gate: Gate) -> Report:
        return Report(
            seq=order.seq, effect_ns=effect_ns, decision_id=order.decision_id, symbol=order.symbol,
            kind=int(ReportKind.REJECTED), side=order.side, reason=int(gate),
        )

    def cancel(self, symbol: int, reason: int) -> None:
        """The working entry of a symbol is not wanted any more. SIM: the shard's desk reads it in the report."""
        if self.desk is not None:
            self.desk.cancel(self.now_ns, symbol, reason)

    def close(self, symbol: int, role: OrderRole, reason: int) -> None:
        """Close a symbol, reduce-only. SIM: the shard's desk reads it in the report."""
        if self.desk is not None:
            self.desk.close(self.now_ns, symbol, role, reason)

    def protect(self, symbol: int, stop_ticks: int, targets: tuple[tuple[int, int], ...] | None) -> None:
        """Other stop, other targets. SIM: the shard's desk has them already."""
        if self.desk is not None:
            self.desk.protect(self.now_ns, symbol, stop_ticks, targets)
