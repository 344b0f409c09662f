"""What the account writes into the log about an entry and a fill: LOG records as tuples."""

from __future__ import annotations

from typing import NamedTuple

from core.enums import LogKind, OrderRole, Severity
from core.orders.wire import Message, Report
from core.position.position import Position
from core.risk.gate import Verdict
from core.risk.policy import Instrument


class Note(NamedTuple):
    """One LOG record to write: fields as in `core.records.LOG`."""

    kind: LogKind
    symbol: int
    ts_ns: int
    seq: int
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    f: int = 0
    x: float = 0.0
    y: float = 0.0
    text: str = ""
    severity: Severity = Severity.INFO


def enter_notes(
    message: Message, report: Report | None, verdict: Verdict | None, label: str, instrument: Instrument | None,
) -> list[Note]:
    """ORDER when it was sent or would have been (DRY-RUN), RISK when it was refused."""
    notes: list[Note] = []
    if label and report is not None and instrument is not None:
        tick, lot = instrument.tick_size, instrument.lot_size
        notes.append(Note(
            LogKind.ORDER, message.symbol, message.ts_event_ns, message.seq, report.order_id, message.side,
            message.price_ticks, report.qty_lots, message.stop_ticks, message.target_ticks,
            message.price_ticks * tick, report.qty_lots * lot, label,
        ))
    if verdict is not None:
        notes.append(Note(
            LogKind.RISK, message.symbol, message.ts_event_ns, message.seq, int(verdict.gate), message.side,
            message.price_ticks, x=verdict.value, y=verdict.limit, text=f"REFUSED {verdict.gate.name}",
        ))
    return notes


def fill_notes(message: Message, instrument: Instrument, position: Position) -> list[Note]:
    """FILL and POSITION, and TRADE when it closed the position."""
    tick, lot = instrument.tick_size, instrument.lot_size
    role = OrderRole(message.role).name
    word = "CLOSED" if position.lots == 0 else "OPEN" if message.role == OrderRole.ENTRY else "REDUCED"
    entry = position.entry_value_e8 / 1e8 / (position.lots * lot) if position.lots and lot else 0.0
    notes = [
        Note(
            LogKind.FILL, message.symbol, message.ts_event_ns, message.seq, message.order_id, message.side,
            message.price_ticks, message.qty_lots, message.role, message.fee_e8, message.price_ticks * tick,
            message.qty_lots * lot, f"{role}{message.rung or ''} {'maker' if message.is_maker else 'taker'}",
        ),
        Note(
            LogKind.POSITION, message.symbol, message.ts_event_ns, message.seq, message.order_id, position.side,
            position.lots, position.entry_value_e8, position.realised_e8, position.fees_e8, entry,
            position.realised_e8 / 1e8, f"{word} {role}{message.rung or ''}",
        ),
    ]
    if position.lots == 0:
        notes.append(Note(
            LogKind.TRADE, message.symbol, message.ts_event_ns, message.seq, position.order_id, -message.side,
            position.best_ticks, position.worst_ticks, position.opened_ns, message.role, position.fees_e8 / 1e8,
            position.realised_e8 / 1e8, role,
        ))
    return notes
