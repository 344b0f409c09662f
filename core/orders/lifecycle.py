"""The life of an order at the exchange as one table: (state, input) -> next state.

    INTENT --SEND--> SENT --ACK--> ACKED --SEEN_OPEN--> LIVE --FILL--> PARTIALLY_FILLED --FILL_ALL--> FILLED
       |               |              |                   |                 |
       |NOT_SENT       |AMBIGUOUS     |AMBIGUOUS          +--SEEN_CANCELLED-+--> CANCELLED (may have fills, and get more)
       v               v              v
      VOID <--PROVED_ABSENT-- UNKNOWN --SEEN_*, FILL--> what was seen          REFUSED --> REJECTED

An ack is not an order and a timeout is not a rejection: only rows of the order stream, look-ups and executions move an
order on; UNKNOWN ends by being seen or by proof of absence (`core.orders.lookups`). Whatever is not listed in a row of
the table is an integrity note: the state follows the exchange (`ELSE`), and the note is shown.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from core.orders.exchange_words import OrderRow, OrderStatus


class OrderState(IntEnum):
    """Where an order of ours stands."""

    INTENT = 0  # written down (the record may not be durable yet), nothing sent
    SENT = 1  # handed to the link
    ACKED = 2  # accepted, which is not alive
    LIVE = 3  # seen on the book, or waiting for its trigger
    PARTIALLY_FILLED = 4
    UNKNOWN = 5  # may or may not exist
    FILLED = 6
    CANCELLED = 7
    REJECTED = 8
    VOID = 9  # proved never to have existed


OPEN = frozenset({
    OrderState.INTENT, OrderState.SENT, OrderState.ACKED, OrderState.LIVE, OrderState.PARTIALLY_FILLED,
    OrderState.UNKNOWN,
})
ENDED = frozenset(OrderState) - OPEN
UNPROVED = frozenset({OrderState.SENT, OrderState.ACKED, OrderState.UNKNOWN})  # sent, never seen


class Input(IntEnum):
    """What may happen to an order."""

    SEND = 0  # handed to the link (again, with the same id)
    ACK = 1  # retCode 0
    REFUSED = 2  # a definite refusal of the only try
    AMBIGUOUS = 3  # lost, timed out, or a code that proves nothing
    NOT_SENT = 4  # the link is certain that no byte of the only try left
    SEEN_OPEN = 5  # New, Untriggered, Triggered
    SEEN_PARTIAL = 6
    SEEN_FILLED = 7
    SEEN_CANCELLED = 8  # Cancelled, Deactivated
    SEEN_REJECTED = 9
    FILL = 10  # an execution, some is left
    FILL_ALL = 11  # an execution, nothing is left
    PROVED_ABSENT = 12  # looked for everywhere, twice, when it could no longer be born
    RECOVERED = 13  # read in the journal after a restart


class Step(NamedTuple):
    """Next state; `note` is a counter to raise ("" = none), `integrity` that both sides do not fit together."""

    state: OrderState
    note: str = ""
    integrity: bool = False


_S, _I = OrderState, Input
_SEEN = {
    _I.SEEN_OPEN: _S.LIVE, _I.SEEN_PARTIAL: _S.PARTIALLY_FILLED, _I.SEEN_FILLED: _S.FILLED,
    _I.SEEN_CANCELLED: _S.CANCELLED, _I.SEEN_REJECTED: _S.REJECTED,
}
_FILLS = {_I.FILL: _S.PARTIALLY_FILLED, _I.FILL_ALL: _S.FILLED}


def _row(moves: dict[Input, OrderState], stays: OrderState | None = None, on: tuple[Input, ...] = (),
         notes: dict[Input, str] | None = None) -> dict[Input, Step]:
    """One row of the table: moves, and inputs that leave the state `stays` as it is."""
    notes = notes or {}
    row = {key: Step(state, notes.get(key, "")) for key, state in moves.items()}
    if stays is not None:
        row |= {key: Step(stays, notes.get(key, "")) for key in on}
    return row


TABLE: dict[OrderState, dict[Input, Step]] = {
    _S.INTENT: _row({_I.SEND: _S.SENT, _I.NOT_SENT: _S.VOID, _I.RECOVERED: _S.UNKNOWN}),
    _S.SENT: _row(
        {_I.ACK: _S.ACKED, _I.REFUSED: _S.REJECTED, _I.AMBIGUOUS: _S.UNKNOWN, _I.NOT_SENT: _S.VOID,
         _I.RECOVERED: _S.UNKNOWN, **_SEEN, **_FILLS},
        _S.SENT, (_I.SEND,), {_I.FILL: "fill_before_ack", _I.FILL_ALL: "fill_before_ack"},
    ),
    _S.ACKED: _row(
        {_I.AMBIGUOUS: _S.UNKNOWN, _I.RECOVERED: _S.UNKNOWN, **_SEEN, **_FILLS},
        _S.ACKED, (_I.ACK, _I.REFUSED, _I.NOT_SENT), {_I.ACK: "late_ack", _I.REFUSED: "late_ack"},
    ),
    _S.LIVE: _row(
        {_I.RECOVERED: _S.UNKNOWN, _I.PROVED_ABSENT: _S.CANCELLED, **_SEEN, **_FILLS},
        _S.LIVE, (_I.ACK, _I.REFUSED, _I.AMBIGUOUS, _I.NOT_SENT), {_I.PROVED_ABSENT: "closed_wiped"},
    ),
    _S.PARTIALLY_FILLED: _row(
        {_I.RECOVERED: _S.UNKNOWN, _I.PROVED_ABSENT: _S.CANCELLED, _I.SEEN_FILLED: _S.FILLED,
         _I.SEEN_CANCELLED: _S.CANCELLED, _I.SEEN_REJECTED: _S.CANCELLED, **_FILLS},
        _S.PARTIALLY_FILLED,
        (_I.ACK, _I.REFUSED, _I.AMBIGUOUS, _I.NOT_SENT, _I.SEEN_OPEN, _I.SEEN_PARTIAL),
        {_I.PROVED_ABSENT: "closed_wiped", _I.SEEN_CANCELLED: "partial_cancel", _I.SEEN_REJECTED: "partial_cancel"},
    ),
    _S.UNKNOWN: _row(
        {_I.ACK: _S.ACKED, _I.PROVED_ABSENT: _S.VOID, **_SEEN, **_FILLS},
        _S.UNKNOWN, (_I.SEND, _I.REFUSED, _I.AMBIGUOUS, _I.NOT_SENT, _I.RECOVERED), {_I.ACK: "late_ack"},
    ),
    # the row of a filled order is often told before its last executions: they follow
    _S.FILLED: _row(
        {}, _S.FILLED,
        (_I.ACK, _I.REFUSED, _I.AMBIGUOUS, _I.NOT_SENT, _I.RECOVERED, _I.FILL, _I.FILL_ALL, *_SEEN),
    ),
    _S.CANCELLED: _row(
        {_I.SEEN_FILLED: _S.FILLED, _I.FILL_ALL: _S.FILLED},
        _S.CANCELLED,
        (_I.ACK, _I.REFUSED, _I.AMBIGUOUS, _I.NOT_SENT, _I.RECOVERED, _I.FILL, _I.SEEN_OPEN, _I.SEEN_PARTIAL,
         _I.SEEN_CANCELLED, _I.SEEN_REJECTED, _I.PROVED_ABSENT),
        {_I.SEEN_FILLED: "fill_after_cancel"},
    ),
    _S.REJECTED: _row(
        {}, _S.REJECTED,
        (_I.ACK, _I.REFUSED, _I.AMBIGUOUS, _I.NOT_SENT, _I.RECOVERED, _I.SEEN_REJECTED, _I.SEEN_CANCELLED,
         _I.PROVED_ABSENT),
    ),
    _S.VOID: _row(
        {}, _S.VOID, (_I.REFUSED, _I.AMBIGUOUS, _I.NOT_SENT, _I.RECOVERED, _I.PROVED_ABSENT, _I.SEEN_REJECTED),
    ),
}
# not listed above: what the exchange shows is the truth, what only we did changes nothing
ELSE: dict[Input, OrderState | None] = {
    **_SEEN, **_FILLS, _I.SEND: None, _I.ACK: _S.UNKNOWN, _I.REFUSED: _S.REJECTED, _I.AMBIGUOUS: _S.UNKNOWN,
    _I.NOT_SENT: None, _I.PROVED_ABSENT: _S.VOID, _I.RECOVERED: None,
}


def step(state: OrderState, event: Input) -> Step:
    """The next state; an unlisted pair is an integrity note."""
    listed = TABLE[state].get(event)
    if listed is not None:
        return listed
    follows = ELSE[event]
    return Step(state if follows is None else follows, "integrity", True)


_STATUS_INPUT: dict[OrderStatus, Input] = {
    OrderStatus.NEW: _I.SEEN_OPEN,
    OrderStatus.UNTRIGGERED: _I.SEEN_OPEN,
    OrderStatus.TRIGGERED: _I.SEEN_OPEN,
    OrderStatus.PARTIALLY_FILLED: _I.SEEN_PARTIAL,
    OrderStatus.FILLED: _I.SEEN_FILLED,
    OrderStatus.CANCELLED: _I.SEEN_CANCELLED,
    OrderStatus.PARTIALLY_FILLED_CANCELED: _I.SEEN_CANCELLED,
    OrderStatus.DEACTIVATED: _I.SEEN_CANCELLED,
    OrderStatus.REJECTED: _I.SEEN_REJECTED,
}


def input_of(row: OrderRow) -> Input | None:
    """What a telling of the exchange is to the table; None for a status word we do not know."""
    return None if row.status is None else _STATUS_INPUT[row.status]
