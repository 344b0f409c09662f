"""Executions: each booked once (by its id), told once (by its number), and only the known types move a position.

    Trade, AdlTrade, ... -> position, order, FILL          Funding -> CASH          anything else -> no entries
"""

from __future__ import annotations

from collections.abc import Callable

from core.constants import NS_PER_MS
from core.enums import MessageKind, OrderRole, Severity
from core.orders.desk_journal import Executed
from core.orders.exchange_desk_core import DeskCore, Holding
from core.orders.exchange_desk_orders import OrderFlow
from core.orders.exchange_words import ExecutionRow, StopOrderType
from core.orders.lifecycle import Input, OrderState
from core.orders.order_store import DeskOrder, run_of
from core.orders.wire import Message

ADOPTED = "Adopted"  # of our own making: the venue's side of a position taken over
MOVES_QUANTITY = frozenset({
    "Trade", "AdlTrade", "BustTrade", "Delivery", "Settle", "BlockTrade", "MovePosition", ADOPTED,
})
FUNDING = "Funding"
LATE = "Late"  # of our own making: fee and price of an execution behind a position that was taken over
CASH_ONLY = frozenset({FUNDING, LATE})
STOP_ROLES: dict[StopOrderType, OrderRole] = {
    StopOrderType.STOP_LOSS: OrderRole.STOP,
    StopOrderType.PARTIAL_STOP_LOSS: OrderRole.STOP,
    StopOrderType.TRAILING_STOP: OrderRole.STOP,
    StopOrderType.TAKE_PROFIT: OrderRole.TAKE_PROFIT,
    StopOrderType.PARTIAL_TAKE_PROFIT: OrderRole.TAKE_PROFIT,
    StopOrderType.STOP: OrderRole.EXIT,
}
FORCED_ROLES = {"BustTrade": OrderRole.LIQUIDATION, "AdlTrade": OrderRole.LIQUIDATION}


class Fills:
    """See the module. `entry_leaves` and `entry_filled`: the entries know what is left of the whole; `entry_stop`: its
    stop is to stand; `foreign_fill`: the reconciler decides what becomes of a stranger."""

    def __init__(self, core: DeskCore, flow: OrderFlow) -> None:
        self.core = core
        self.flow = flow
        flow.looks.apply_execution = self.apply_execution
        self.entry_leaves: Callable[[DeskOrder], int] = lambda order: 0
        self.entry_filled: Callable[[DeskOrder, int], None] = lambda order, lots: None
        self.entry_stop: Callable[[Holding, DeskOrder], None] = lambda holding, order: None
        self.foreign_fill: Callable[[Holding, ExecutionRow], None] = lambda holding, row: None

    def apply_execution(self, row: ExecutionRow) -> bool:
        """Book one execution, once. False: known, or not ours to book."""
        core = self.core
        if row.exec_id in core.store.execs or row.exec_time_ms < core.store.forgotten_ms:
            core.count("exec_dup")
            return False
        holding = core.holding(row.symbol)
        if holding is None:
            core.trouble("", "INSTRUMENT", f"execution of unknown {row.symbol}")
            return False
        if row.exec_type in MOVES_QUANTITY and row.exec_type != ADOPTED and 0 < row.seq <= holding.base_seq:
            return self._book_late(holding, row)
        core.venue_ms = max(core.venue_ms, row.exec_time_ms)
        order = core.store.find(row.order_id, row.link_id)
        if row.exec_type == FUNDING:
            self._book_cash(holding, row)
        elif row.exec_type in MOVES_QUANTITY:
            self._book_fill(holding, order, row)
        else:
            core.store.execs[row.exec_id] = row.exec_time_ms
            core.trouble("", "EXEC_TYPE", f"{row.symbol}: execution of type {row.exec_type}", latch=True)
            core.count("exec_unknown_type")
            core.persist(self._executed(0, holding, row, OrderRole.EXIT, None, 0, 0))
        return True

    def _executed(self, number: int, holding: Holding, row: ExecutionRow, role: OrderRole, order: DeskOrder | None,
                  leaves: int, stop: int) -> Executed:
        if order is not None:
            order_id, decision_id = order.order_id, order.decision_id
        elif role is OrderRole.ENTRY:  # a stranger's: in the name of our entry it would end that for the Broker
            order_id = decision_id = 0
        else:
            order_id, decision_id = holding.order_id, holding.decision_id
        return Executed(
            number, row.exec_id, row.exec_type, row.order_id, order.link_id if order else row.link_id, row.symbol,
            holding.instrument.id, row.side, row.price_ticks, row.qty_lots, row.fee_e8, int(row.is_maker),
            row.exec_time_ms, row.seq, int(role), order.reason if order else 0,
            order_id, decision_id, leaves, stop, order.target_ticks if order else 0, int(order is None),
        )

    def _book_cash(self, holding: Holding, row: ExecutionRow) -> None:
        core = self.core
        core.store.execs[row.exec_id] = row.exec_time_ms
        number = core.next_number()
        record = self._executed(number, holding, row, OrderRole.EXIT, None, 0, 0)
        core.persist(record)
        core.count("funding")
        core.realised_e8 -= row.fee_e8
        core.tell(number, message_of(record))

    def _book_late(self, holding: Holding, row: ExecutionRow) -> bool:
        """An execution behind a position that was taken over: its lots are booked, its fee and true price are not."""
        core, grid = self.core, holding.instrument.grid
        core.store.execs[row.exec_id] = row.exec_time_ms
        lots = min(row.qty_lots, max(row.side * holding.adopted_lots, 0))
        worse = grid.signed_value_e8(row.price_ticks, row.side * lots) - grid.signed_value_e8(
            holding.adopted_ticks, row.side * lots)
        if lots != row.qty_lots:
            core.note(Severity.ERROR, "exec_late", row.symbol, f"execution {row.exec_id} is not in what was taken over",
                      row.qty_lots, lots)
        holding.adopted_lots -= row.side * lots
        number = core.next_number()
        late = row._replace(exec_type=LATE, qty_lots=lots, fee_e8=row.fee_e8 + worse)
        record = self._executed(number, holding, late, OrderRole.EXIT, None, 0, 0)
        core.persist(record)
        core.realised_e8 -= late.fee_e8
        core.tell(number, message_of(record))
        return True

    def _book_fill(self, holding: Holding, order: DeskOrder | None, row: ExecutionRow) -> None:
        core = self.core
        core.store.execs[row.exec_id] = row.exec_time_ms
        role = self._role(holding, order, row)
        if order is not None:
            self._fill_order(order, row)
        opening = holding.lots == 0
        core.book(holding, row.side, row.qty_lots, row.price_ticks, row.fee_e8)
        holding.exec_seq = max(holding.exec_seq, row.seq)
        holding.exec_ns = core.now_ns
        stop = 0
        if order is not None and order.entry:
            stop = order.stop_ticks
            if opening or not holding.order_id:
                holding.order_id, holding.decision_id = order.order_id, order.decision_id
            self.entry_stop(holding, order)
        if row.exec_type == "BustTrade":
            core.trouble("", "LIQUIDATION", f"{row.symbol}: {row.qty_lots} lots", latch=True)
        elif row.exec_type == "AdlTrade":
            core.note(Severity.CRITICAL, "adl", row.symbol, f"{row.qty_lots} lots closed by auto-deleveraging")
        if row.exec_type == ADOPTED:
            took_over(holding, row.seq, row.side * row.qty_lots, row.price_ticks)
        leaves = self.entry_leaves(order) if order is not None and order.entry else 0
        ignored = order is None and self._ignores(holding, row, role)
        number = 0 if ignored else core.next_number()
        record = self._executed(number, holding, row, role, order, leaves, stop)
        core.persist(record)
        if ignored:
            holding.ignored_lots += row.side * row.qty_lots
        else:
            core.count("fills")
            core.tell(number, message_of(record))
        if order is not None:
            self.flow.feed(order, Input.FILL_ALL if order.cum_lots >= order.qty_lots else Input.FILL)
        elif role is OrderRole.ENTRY:
            self.foreign_fill(holding, row)
        core.holding_changed(holding)

    def _ignores(self, holding: Holding, row: ExecutionRow, role: OrderRole) -> bool:
        """By policy a stranger's position is left alone, from its opening to its end."""
        if self.core.config.adopt != "ignore" or self.of_ours(holding, row):
            return False
        return holding.ignored_lots * row.side < 0 or (role is OrderRole.ENTRY and not holding.order_id)

    def of_ours(self, holding: Holding, row: ExecutionRow) -> bool:
        """Of an order of ours that is not in our books (an earlier run, or long forgotten), or the taking over of what an
        earlier run left, or of the rest of it: no more than that."""
        if row.exec_type == ADOPTED:
            return row.qty_lots <= row.side * self.core.earlier.get(holding.symbol, 0)
        return run_of(row.link_id) is not None

    def _role(self, holding: Holding, order: DeskOrder | None, row: ExecutionRow) -> OrderRole:
        if order is not None:
            return order.role
        forced = FORCED_ROLES.get(row.exec_type)
        if forced is not None:
            return forced
        if row.stop_order_type in STOP_ROLES:
            return STOP_ROLES[row.stop_order_type]
        reduces = holding.lots * row.side < 0
        return OrderRole.EXIT if reduces else OrderRole.ENTRY

    def _fill_order(self, order: DeskOrder, row: ExecutionRow) -> None:
        core = self.core
        core.store.name(order, row.order_id)
        order.cum_lots += row.qty_lots
        order.await_ns = 0 if order.alive else order.await_ns
        if order.state is OrderState.CANCELLED and order.told_lots < order.cum_lots:
            core.count("fill_after_cancel")
        if order.cum_lots > order.qty_lots:
            core.note(Severity.ERROR, "overfill", order.symbol, order.link_id, order.cum_lots, order.qty_lots)
        if order.entry:
            self.entry_filled(order, row.qty_lots)


def took_over(holding: Holding, seq: int, lots: int, price_ticks: int) -> None:
    """The exchange's side of a position was booked: signed `lots` of executions we have not seen."""
    holding.base_seq = max(holding.base_seq, seq)
    holding.adopted_lots, holding.adopted_ticks = lots, price_ticks


def message_of(record: Executed) -> Message:
    """The FILL or CASH message of a booked execution; the same again after a restart."""
    cash = record.exec_type in CASH_ONLY
    return Message(
        ts_event_ns=record.exec_time_ms * NS_PER_MS, decision_id=record.decision_id, order_id=record.order_id,
        price_ticks=0 if cash else record.price_ticks, qty_lots=0 if cash else record.qty_lots,
        stop_ticks=record.stop_ticks, target_ticks=record.target_ticks, fee_e8=record.fee_e8, symbol=record.symbol_id,
        kind=int(MessageKind.CASH if cash else MessageKind.FILL), side=record.side, role=record.role,
        is_maker=record.is_maker, reason=record.reason, leaves_lots=record.leaves_lots,
    )
