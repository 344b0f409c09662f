"""MESSAGE and REPORT records as plain tuples of ints, and back: execution works on these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.position.ladder import Targets
from core.records import MESSAGE, REPORT

ENTRY_RECORD = 1  # kind of a record of the execution journal that holds a message and its answer
# handshakes: `reason` of messages and reports of kind NONE
SYNC_HELLO = 1  # a shard (re)started with nothing in hand; answered with the same decision_id, then its open positions
SYNC_RESTART = 2  # execution (re)started; the shard echoes it and sends its unanswered messages again
_REPORT_RESERVED = (0,) * 28


class Message(NamedTuple):
    """One MESSAGE; fields as in `core.records.MESSAGE`."""

    seq: int = 0
    ts_event_ns: int = 0
    mono_recv_ns: int = 0
    mono_sent_ns: int = 0
    decision_id: int = 0
    order_id: int = 0
    price_ticks: int = 0
    qty_lots: int = 0
    stop_ticks: int = 0
    target_ticks: int = 0
    zone_min_ticks: int = 0
    zone_max_ticks: int = 0
    fee_e8: int = 0
    symbol: int = 0
    kind: int = 0
    side: int = 0
    role: int = 0
    is_maker: int = 0
    score_e2: int = 0
    reason: int = 0
    leaves_lots: int = 0
    target2_ticks: int = 0
    target3_ticks: int = 0
    target_lots: int = 0
    target2_lots: int = 0
    target3_lots: int = 0
    rung: int = 0
    ts_exch_ns: int = 0
    mono_decided_ns: int = 0

    @property
    def key(self) -> tuple[int, ...]:
        """What makes it one and the same message when a shard sends it again after a restart of execution."""
        return (self.seq, self.symbol, self.kind, self.order_id, self.price_ticks, self.qty_lots, self.leaves_lots)


class Report(NamedTuple):
    """One REPORT without its reserved bytes; fields as in `core.records.REPORT`."""

    seq: int = 0
    effect_ns: int = 0
    mono_sent_ns: int = 0
    decision_id: int = 0
    order_id: int = 0
    price_ticks: int = 0
    qty_lots: int = 0
    stop_ticks: int = 0
    target_ticks: int = 0
    deadline_ns: int = 0
    entry_value_e8: int = 0
    realised_e8: int = 0
    target2_ticks: int = 0
    target3_ticks: int = 0
    target_lots: int = 0
    target2_lots: int = 0
    target3_lots: int = 0
    risk_ticks: int = 0
    risk_lots: int = 0
    symbol: int = 0
    kind: int = 0
    side: int = 0
    role: int = 0
    flags: int = 0
    reason: int = 0


def targets_of(row: Message | Report) -> Targets:
    """The ladder a message or report carries."""
    return (
        (row.target_ticks, row.target_lots), (row.target2_ticks, row.target2_lots), (row.target3_ticks, row.target3_lots),
    )


def target_fields(targets: Targets) -> dict[str, int]:
    """A ladder as the fields of a message, report or board row."""
    (ticks, lots), (ticks2, lots2), (ticks3, lots3) = targets
    return {"target_ticks": ticks, "target_lots": lots, "target2_ticks": ticks2, "target2_lots": lots2,
            "target3_ticks": ticks3, "target3_lots": lots3}


def read_messages(records: np.ndarray, n: int) -> list[Message]:
    """The first `n` MESSAGE records as tuples."""
    return [Message._make(row) for row in records[:n].tolist()]


def read_reports(records: np.ndarray, n: int) -> list[Report]:
    """The first `n` REPORT records as tuples."""
    return [Report._make(row[:-1]) for row in records[:n].tolist()]


def write_messages(messages: list[Message]) -> np.ndarray:
    """A MESSAGE record array of the tuples."""
    return np.array([tuple(m) for m in messages], MESSAGE.dtype)


def write_reports(reports: list[Report]) -> np.ndarray:
    """A REPORT record array of the tuples."""
    return np.array([(*r, _REPORT_RESERVED) for r in reports], REPORT.dtype)


def pack_entry(message: Message, report: Report | None) -> bytes:
    """A message with its answer (None: it got none) as one record of the execution journal."""
    data = write_messages([message]).tobytes()
    return data if report is None else data + write_reports([report]).tobytes()


def unpack_entry(data: bytes) -> tuple[Message, Report | None]:
    """What `pack_entry` made."""
    message = read_messages(np.frombuffer(data[: MESSAGE.size], MESSAGE.dtype), 1)[0]
    if len(data) <= MESSAGE.size:
        return message, None
    return message, read_reports(np.frombuffer(data[MESSAGE.size :], REPORT.dtype), 1)[0]


if Message._fields != MESSAGE.dtype.names or (*Report._fields, "reserved") != REPORT.dtype.names:
    raise AssertionError("core.orders.wire does not follow core.records")
