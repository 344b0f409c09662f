"""The desk from its journal: what may be out there, what is booked, what is latched; and what must be told again.

An order whose end is not written may exist: it is UNKNOWN and looked for, and proved absent only when it could no longer
be born. No entry is ever sent again: its time to live has passed. A message is told again when the Broker has not booked
it: its number is in the record it was told from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.enums import Cause, Severity
from core.orders.desk_journal import (
    Base,
    Checkpoint,
    Ended,
    Executed,
    Intent,
    Latch,
    Protect,
    Record,
    Resumed,
    decode,
    state_of,
    targets_from,
)
from core.orders.exchange_desk_closes import CLOSING
from core.orders.exchange_desk_core import DESK_SEQ, FOREVER, Holding, Trouble
from core.orders.exchange_desk_fills import ADOPTED, FUNDING, LATE, MOVES_QUANTITY, message_of, took_over
from core.orders.lifecycle import OrderState
from core.orders.order_store import CLOSING_LEGS
from core.orders.router import Order
from core.orders.wire import Message

if TYPE_CHECKING:
    from core.orders.exchange_desk import ExchangeDesk


def recover(desk: ExchangeDesk, records: Iterable[tuple[int, bytes]], booked: int, working: list[Order]) -> int:
    """See ExchangeDesk.recover."""
    again: list[tuple[int, Message]] = []
    count = 0
    for kind, payload in records:
        again += _take(desk, decode(kind, payload))
        count += 1
    told = 0
    for number, message in again:
        if DESK_SEQ + number > booked:
            desk.core.tell(number, message)
            told += 1
    _end_the_unwritten(desk, working)
    _look_for_survivors(desk)
    desk.core.realised_e8 = 0
    if count:
        desk.core.log(Severity.INFO, "recovered", "", f"{count} records", told, len(desk.looks.looks))
    if desk.core.killed:
        desk.killing.begin()
    return told


def positions_left(records: Iterable[tuple[int, bytes]]) -> dict[str, int]:
    """What a run held at its end: signed lots by symbol, from its journal (kind, payload). Raises DeskRecordError."""
    held: dict[str, int] = {}
    for kind, payload in records:
        record = decode(kind, payload)
        if isinstance(record, Executed) and record.exec_type in MOVES_QUANTITY:
            held[record.symbol] = held.get(record.symbol, 0) + record.side * record.qty_lots
    return {symbol: lots for symbol, lots in held.items() if lots}


def _take(desk: ExchangeDesk, record: Record) -> list[tuple[int, Message]]:
    """One record; returns the numbered message it told."""
    core = desk.core
    if isinstance(record, Intent):
        _intent(desk, record)
    elif isinstance(record, Executed):
        return _executed(desk, record)
    elif isinstance(record, Ended):
        return _ended(desk, record)
    elif isinstance(record, Latch):
        _latch(desk, record)
    elif isinstance(record, Checkpoint):
        core.store.forgotten_ms = core.store.forgotten_ms or record.venue_ms
        core.checkpoint_ms = core.venue_ms = max(core.checkpoint_ms, record.venue_ms)
        core.leg_number = max(core.leg_number, record.leg_number)
    elif isinstance(record, Base):
        core.store.forgotten_ms = record.forgotten_ms
        core.checkpoint_ms = core.venue_ms = record.venue_ms
        core.leg_number, core.number = record.leg_number, record.number
    elif isinstance(record, Resumed):
        for order in core.store.unclosed():  # none is ever sent again by the desk that recovered it
            order.left_by_ns = min(order.left_by_ns, record.mono_ns)
    elif isinstance(record, Protect):
        holding = desk.core.holding(record.symbol)
        if holding is not None:
            holding.stop_ticks = record.stop_ticks
            holding.targets = targets_from(record.targets) or None
    return []


def _holding(desk: ExchangeDesk, symbol: str) -> Holding | None:
    """None, and a trouble, where the instrument is not known any more: nothing can be done about it here."""
    holding = desk.core.holding(symbol)
    if holding is None:
        desk.core.trouble("", "INSTRUMENT", f"{symbol} is in the journal, but not known as an instrument")
    return holding


def _intent(desk: ExchangeDesk, record: Intent) -> None:
    core = desk.core
    holding = _holding(desk, record.symbol)
    if holding is None:
        return
    order = record.order()
    order.state = OrderState.UNKNOWN
    order.doubtful = True
    order.left_by_ns = core.now_ns
    core.store.add(order)
    if order.entry:
        desk.entries.recover(record, order, holding.instrument)
    else:
        core.leg_number = max(core.leg_number, int(order.link_id.rsplit("-", 1)[1][:-1], 36))


def _executed(desk: ExchangeDesk, record: Executed) -> list[tuple[int, Message]]:
    core = desk.core
    holding = _holding(desk, record.symbol)
    if holding is None:
        return []
    core.store.execs[record.exec_id] = record.exec_time_ms
    core.venue_ms = max(core.venue_ms, record.exec_time_ms)
    core.number = max(core.number, record.number)
    if record.exec_type in MOVES_QUANTITY:
        core.book(holding, record.side, record.qty_lots, record.price_ticks, record.fee_e8)
        holding.exec_seq = max(holding.exec_seq, record.seq)
        if record.exec_type == ADOPTED:
            took_over(holding, record.seq, record.side * record.qty_lots, record.price_ticks)
        if not record.number:
            holding.ignored_lots += record.side * record.qty_lots
        order = core.store.find(record.venue_id, record.link_id)
        if order is not None:
            core.store.name(order, record.venue_id)
            order.cum_lots += record.qty_lots
            if order.entry:
                desk.entries.filled(order, record.qty_lots)
                holding.order_id = holding.order_id or record.order_id
                holding.decision_id = holding.decision_id or record.decision_id
                holding.stop_ticks = holding.stop_ticks or record.stop_ticks
        if holding.lots == 0:
            holding.stop_ticks = holding.order_id = holding.decision_id = holding.ignored_lots = 0
            holding.targets = None
    elif record.exec_type == LATE:
        holding.adopted_lots -= record.side * record.qty_lots
    elif record.exec_type != FUNDING:
        core.trouble("", "EXEC_TYPE", f"{record.symbol}: execution of type {record.exec_type}")
    return [(record.number, message_of(record))] if record.number else []


def _ended(desk: ExchangeDesk, record: Ended) -> list[tuple[int, Message]]:
    core = desk.core
    core.number = max(core.number, record.number)
    if not record.link_id:
        desk.entries.recover_done(record.order_id)
        if not record.number:
            return []
        message = core.done_message(record.symbol_id, record.order_id, record.decision_id, record.leaves_lots,
                                    record.reason)
        return [(record.number, message._replace(ts_event_ns=record.time_ms * 1_000_000))]
    order = core.store.by_link.get(record.link_id)
    if order is not None:
        order.state = state_of(record)
        order.ended_told = True
        order.ended_ns = core.now_ns
        core.store.changed(order)
    return []


def _latch(desk: ExchangeDesk, record: Latch) -> None:
    core = desk.core
    if record.name == "KILL":
        core.killed = bool(record.on)
    elif record.name == CLOSING or record.name.startswith("off:"):
        holding = _holding(desk, record.symbol)
        if holding is None:
            return
        if record.name == CLOSING:
            desk.closes.recover(holding, record.text)
        elif record.on:
            holding.off[record.name[4:]] = FOREVER
        else:
            holding.off.clear()
    else:
        number = core.symbol_id(record.symbol) if record.symbol else -1
        if record.on:
            core.troubles[number, record.name] = Trouble(number, record.name, record.text)
        else:
            core.troubles.pop((number, record.name), None)


def _end_the_unwritten(desk: ExchangeDesk, working: list[Order]) -> None:
    """Accepted by the Broker, and the crash came before the journal had it: it was never sent."""
    core = desk.core
    for order in working:
        if order.order_id in desk.entries.by_order:
            continue
        core.count("recover_void")
        number = core.next_number()
        core.persist(Ended(number, "", 0, order.symbol, order.order_id, order.decision_id, order.qty_lots,
                           int(Cause.EXPIRED), core.venue_ms))
        core.tell(number, core.done_message(order.symbol, order.order_id, order.decision_id, order.qty_lots,
                                            int(Cause.EXPIRED)))


def _look_for_survivors(desk: ExchangeDesk) -> None:
    survivors = [order for order in desk.core.store.unclosed() if order.alive]
    if survivors:
        desk.core.persist(Resumed(desk.core.now_ns))
    for order in survivors:
        desk.core.count("recover_unknown")
        desk.looks.start(order, at_once=True)
        if order.leg in CLOSING_LEGS:
            desk.closes.adopt(order)
    for entry in list(desk.entries.by_order.values()):
        desk.entries.evaluate(entry)
    for holding in desk.core.holdings.values():
        if holding.lots:
            desk.protection.recover(holding)
            desk.ladder.recover(holding)

