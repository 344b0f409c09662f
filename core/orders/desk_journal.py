"""Records of the desk's journal: what must be known again after a crash, as bytes and back.

    INTENT      an order as it will be sent; behind it, and only then, the request may leave
    EXECUTION   an execution with the number of the message that tells it (0 = it was only noted)
    ENDED       an order will not be heard of again, with the number of its DONE (0 = none)
    LATCH       a switch: kill, entries off, a symbol off
    CHECKPOINT  every execution up to this venue time is booked
    PROTECT     the stop and targets wanted for a position
    BASE        the first record of a journal that was compacted (core.orders.journal_compact)
    RESUMED     a restart with orders that may exist: none of them can leave after it

Text with a separator that occurs in none of the values: readable in a dump, no length is ever cut. The framing
(lengths, checksums, order) belongs to the journal it is written into.
"""

from __future__ import annotations

from typing import NamedTuple, get_type_hints

from core.enums import OrderRole
from core.orders.exchange_words import ExecutionRow, OrderType, Persist, RecordKind, StopOrderType, TimeInForce
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder, Leg

SEPARATOR = "\x1f"
ORDER_TYPES = {int(kind): kind for kind in OrderType}
TIFS = {int(kind): kind for kind in TimeInForce}


class DeskRecordError(ValueError):
    """Bytes that are no record of this desk."""


class Intent(NamedTuple):
    """An order as it will be sent, and for an entry the whole of it (`total_lots` over both legs)."""

    link_id: str
    leg: int
    symbol: str
    symbol_id: int
    side: int
    order_type: int
    tif: int
    qty_lots: int
    price_ticks: int
    reduce_only: int
    role: int
    reason: int
    order_id: int
    decision_id: int
    stop_ticks: int
    target_ticks: int
    slippage_e2pct: int
    total_lots: int
    flags: int

    def order(self) -> DeskOrder:
        """The order it describes, in state INTENT."""
        return DeskOrder(
            link_id=self.link_id, leg=Leg(self.leg), symbol=self.symbol, side=self.side,
            order_type=ORDER_TYPES[self.order_type], tif=TIFS[self.tif], qty_lots=self.qty_lots,
            price_ticks=self.price_ticks, reduce_only=bool(self.reduce_only), role=OrderRole(self.role),
            reason=self.reason, order_id=self.order_id, decision_id=self.decision_id, stop_ticks=self.stop_ticks,
            target_ticks=self.target_ticks, slippage_e2pct=self.slippage_e2pct,
        )


class Executed(NamedTuple):
    """A booked execution: `number` of its FILL or CASH (0 = noted, not told)."""

    number: int
    exec_id: str
    exec_type: str
    venue_id: str
    link_id: str
    symbol: str
    symbol_id: int
    side: int
    price_ticks: int
    qty_lots: int
    fee_e8: int
    is_maker: int
    exec_time_ms: int
    seq: int
    role: int
    reason: int
    order_id: int
    decision_id: int
    leaves_lots: int
    stop_ticks: int
    target_ticks: int
    foreign: int  # nothing of ours made it


class Ended(NamedTuple):
    """An order that ended; `number` of the DONE that was told for its entry, 0 = none."""

    number: int
    link_id: str
    state: int
    symbol_id: int
    order_id: int
    decision_id: int
    leaves_lots: int
    reason: int
    time_ms: int


class Latch(NamedTuple):
    """A switch by name, of a symbol or ("") of the system."""

    name: str
    symbol: str
    on: int
    text: str


class Checkpoint(NamedTuple):
    """Executions up to `venue_ms` are all booked; `leg_number` is the last number given to an order of ours."""

    venue_ms: int
    leg_number: int


class Protect(NamedTuple):
    """What should stand for a position: prices in ticks, targets as "price:lots" words joined by commas."""

    symbol: str
    stop_ticks: int
    targets: str


class Base(NamedTuple):
    """What was compacted away: executions up to `venue_ms` are booked, those before `forgotten_ms` are not taken again;
    `leg_number` and `number` are the last ones given."""

    venue_ms: int
    leg_number: int
    number: int
    forgotten_ms: int


class Resumed(NamedTuple):
    """A desk recovered at `mono_ns` (CLOCK_MONOTONIC): the one before it can have sent nothing later."""

    mono_ns: int


Record = Intent | Executed | Ended | Latch | Checkpoint | Protect | Base | Resumed
_KINDS: dict[RecordKind, type[Record]] = {
    RecordKind.INTENT: Intent, RecordKind.EXECUTION: Executed, RecordKind.ENDED: Ended, RecordKind.LATCH: Latch,
    RecordKind.CHECKPOINT: Checkpoint, RecordKind.PROTECT: Protect,
    RecordKind.BASE: Base, RecordKind.RESUMED: Resumed,
}
_KIND_OF = {record: kind for kind, record in _KINDS.items()}
_TEXT_FIELDS = {
    record: frozenset(name for name, hint in get_type_hints(record).items() if hint is str) for record in _KIND_OF
}


def persist(record: Record) -> Persist:
    """The effect that makes a record durable."""
    text = SEPARATOR.join(str(value) if isinstance(value, str) else str(int(value)) for value in record)
    return Persist(_KIND_OF[type(record)], text.encode())


def decode(kind: int, payload: bytes) -> Record:
    """Raises DeskRecordError."""
    try:
        record = _KINDS[RecordKind(kind)]
        words = payload.decode().split(SEPARATOR)
        if len(words) != len(record._fields):
            raise ValueError(f"{len(words)} fields")
        texts = _TEXT_FIELDS[record]
        values = [w if name in texts else int(w) for name, w in zip(record._fields, words, strict=True)]
        return record(*values)  # type: ignore[arg-type]
    except (KeyError, ValueError) as error:
        raise DeskRecordError(f"record of kind {kind}: {error}") from None


def intent_of(order: DeskOrder, symbol_id: int, total_lots: int, flags: int) -> Intent:
    return Intent(
        order.link_id, int(order.leg), order.symbol, symbol_id, order.side, int(order.order_type), int(order.tif),
        order.qty_lots, order.price_ticks, int(order.reduce_only), int(order.role), order.reason, order.order_id,
        order.decision_id, order.stop_ticks, order.target_ticks, order.slippage_e2pct, total_lots, flags,
    )


def row_of(record: Executed) -> ExecutionRow:
    """The execution again, as far as the record tells it."""
    return ExecutionRow(
        record.exec_id, record.exec_type, record.venue_id, record.link_id, record.symbol, record.side,
        record.price_ticks, record.qty_lots, record.fee_e8, bool(record.is_maker), 0, record.exec_time_ms, record.seq,
        record.leaves_lots, 0, StopOrderType.NONE,
    )


def state_of(record: Ended) -> OrderState:
    return OrderState(record.state)


def targets_text(targets: tuple[tuple[int, int], ...]) -> str:
    """(ticks, lots) rungs as one word."""
    return ",".join(f"{ticks}:{lots}" for ticks, lots in targets)


def targets_from(text: str) -> tuple[tuple[int, int], ...]:
    """The rungs again."""
    pairs = (word.split(":") for word in text.split(",") if word)
    return tuple((int(ticks), int(lots)) for ticks, lots in pairs)
