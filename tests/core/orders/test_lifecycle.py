"""The table of order states: every cell named, the unlisted ones are integrity notes that follow the exchange."""

from __future__ import annotations

import itertools

import pytest

from core.orders.exchange_words import OrderRow, OrderStatus, OrderType, TimeInForce
from core.orders.lifecycle import ELSE, ENDED, OPEN, TABLE, UNPROVED, Input, OrderState, input_of, step

S, I = OrderState, Input  # noqa: E741
# one line per state: input -> next state; "." = an integrity note that keeps the state, "!X" = one that leads to X
PICTURE = {
    S.INTENT: "SEND:SENT ACK:!UNKNOWN REFUSED:!REJECTED AMBIGUOUS:!UNKNOWN NOT_SENT:VOID SEEN_OPEN:!LIVE "
              "SEEN_PARTIAL:!PARTIALLY_FILLED SEEN_FILLED:!FILLED SEEN_CANCELLED:!CANCELLED SEEN_REJECTED:!REJECTED "
              "FILL:!PARTIALLY_FILLED FILL_ALL:!FILLED PROVED_ABSENT:!VOID RECOVERED:UNKNOWN",
    S.SENT: "SEND:SENT ACK:ACKED REFUSED:REJECTED AMBIGUOUS:UNKNOWN NOT_SENT:VOID SEEN_OPEN:LIVE "
            "SEEN_PARTIAL:PARTIALLY_FILLED SEEN_FILLED:FILLED SEEN_CANCELLED:CANCELLED SEEN_REJECTED:REJECTED "
            "FILL:PARTIALLY_FILLED FILL_ALL:FILLED PROVED_ABSENT:!VOID RECOVERED:UNKNOWN",
    S.ACKED: "SEND:. ACK:ACKED REFUSED:ACKED AMBIGUOUS:UNKNOWN NOT_SENT:ACKED SEEN_OPEN:LIVE "
             "SEEN_PARTIAL:PARTIALLY_FILLED SEEN_FILLED:FILLED SEEN_CANCELLED:CANCELLED SEEN_REJECTED:REJECTED "
             "FILL:PARTIALLY_FILLED FILL_ALL:FILLED PROVED_ABSENT:!VOID RECOVERED:UNKNOWN",
    S.LIVE: "SEND:. ACK:LIVE REFUSED:LIVE AMBIGUOUS:LIVE NOT_SENT:LIVE SEEN_OPEN:LIVE "
            "SEEN_PARTIAL:PARTIALLY_FILLED SEEN_FILLED:FILLED SEEN_CANCELLED:CANCELLED SEEN_REJECTED:REJECTED "
            "FILL:PARTIALLY_FILLED FILL_ALL:FILLED PROVED_ABSENT:CANCELLED RECOVERED:UNKNOWN",
    S.PARTIALLY_FILLED: "SEND:. ACK:PARTIALLY_FILLED REFUSED:PARTIALLY_FILLED AMBIGUOUS:PARTIALLY_FILLED "
                        "NOT_SENT:PARTIALLY_FILLED SEEN_OPEN:PARTIALLY_FILLED SEEN_PARTIAL:PARTIALLY_FILLED "
                        "SEEN_FILLED:FILLED SEEN_CANCELLED:CANCELLED SEEN_REJECTED:CANCELLED FILL:PARTIALLY_FILLED "
                        "FILL_ALL:FILLED PROVED_ABSENT:CANCELLED RECOVERED:UNKNOWN",
    S.UNKNOWN: "SEND:UNKNOWN ACK:ACKED REFUSED:UNKNOWN AMBIGUOUS:UNKNOWN NOT_SENT:UNKNOWN SEEN_OPEN:LIVE "
               "SEEN_PARTIAL:PARTIALLY_FILLED SEEN_FILLED:FILLED SEEN_CANCELLED:CANCELLED SEEN_REJECTED:REJECTED "
               "FILL:PARTIALLY_FILLED FILL_ALL:FILLED PROVED_ABSENT:VOID RECOVERED:UNKNOWN",
    S.FILLED: "SEND:. ACK:FILLED REFUSED:FILLED AMBIGUOUS:FILLED NOT_SENT:FILLED SEEN_OPEN:FILLED SEEN_PARTIAL:FILLED "
              "SEEN_FILLED:FILLED SEEN_CANCELLED:FILLED SEEN_REJECTED:FILLED FILL:FILLED FILL_ALL:FILLED "
              "PROVED_ABSENT:!VOID RECOVERED:FILLED",
    S.CANCELLED: "SEND:. ACK:CANCELLED REFUSED:CANCELLED AMBIGUOUS:CANCELLED NOT_SENT:CANCELLED SEEN_OPEN:CANCELLED "
                 "SEEN_PARTIAL:CANCELLED SEEN_FILLED:FILLED SEEN_CANCELLED:CANCELLED SEEN_REJECTED:CANCELLED "
                 "FILL:CANCELLED FILL_ALL:FILLED PROVED_ABSENT:CANCELLED RECOVERED:CANCELLED",
    S.REJECTED: "SEND:. ACK:REJECTED REFUSED:REJECTED AMBIGUOUS:REJECTED NOT_SENT:REJECTED SEEN_OPEN:!LIVE "
                "SEEN_PARTIAL:!PARTIALLY_FILLED SEEN_FILLED:!FILLED SEEN_CANCELLED:REJECTED SEEN_REJECTED:REJECTED "
                "FILL:!PARTIALLY_FILLED FILL_ALL:!FILLED PROVED_ABSENT:REJECTED RECOVERED:REJECTED",
    S.VOID: "SEND:. ACK:!UNKNOWN REFUSED:VOID AMBIGUOUS:VOID NOT_SENT:VOID SEEN_OPEN:!LIVE "
            "SEEN_PARTIAL:!PARTIALLY_FILLED SEEN_FILLED:!FILLED SEEN_CANCELLED:!CANCELLED SEEN_REJECTED:VOID "
            "FILL:!PARTIALLY_FILLED FILL_ALL:!FILLED PROVED_ABSENT:VOID RECOVERED:VOID",
}
CELLS = [(state, *cell.split(":")) for state, line in PICTURE.items() for cell in line.split()]


@pytest.mark.parametrize(("state", "event", "wanted"), CELLS)
def test_cell(state, event, wanted):
    taken = step(state, Input[event])
    assert taken.integrity == (wanted[0] in ".!")
    assert taken.state == (state if wanted == "." else OrderState[wanted.lstrip("!")])


def test_the_picture_is_complete():
    assert {(s, e) for s, e, _ in CELLS} == {(s, e.name) for s, e in itertools.product(OrderState, Input)}
    assert set(TABLE) == set(OrderState)
    assert set(ELSE) == set(Input)


def test_sent_and_unknown_are_open_and_unproved():
    assert UNPROVED < OPEN
    assert {OrderState.SENT, OrderState.UNKNOWN} < UNPROVED
    assert not OPEN & ENDED
    assert set(OrderState) == OPEN | ENDED


def test_only_what_the_exchange_shows_ends_an_order():
    """No answer of ours and no timeout ends an order that may have been born."""
    ours = {I.SEND, I.ACK, I.AMBIGUOUS, I.RECOVERED}
    for state, event in itertools.product(OPEN - {OrderState.INTENT}, ours):
        assert step(state, event).state in OPEN


@pytest.mark.parametrize(("status", "event"), [
    (OrderStatus.NEW, I.SEEN_OPEN), (OrderStatus.UNTRIGGERED, I.SEEN_OPEN), (OrderStatus.TRIGGERED, I.SEEN_OPEN),
    (OrderStatus.PARTIALLY_FILLED, I.SEEN_PARTIAL), (OrderStatus.FILLED, I.SEEN_FILLED),
    (OrderStatus.CANCELLED, I.SEEN_CANCELLED), (OrderStatus.PARTIALLY_FILLED_CANCELED, I.SEEN_CANCELLED),
    (OrderStatus.DEACTIVATED, I.SEEN_CANCELLED), (OrderStatus.REJECTED, I.SEEN_REJECTED), (None, None),
])
def test_status_words(status, event):
    row = OrderRow("A", "v", "l", 1, OrderType.LIMIT, TimeInForce.GTC, status, 1, 1, 0, 1)
    assert input_of(row) is event


def test_every_status_word_is_an_input():
    row = OrderRow("A", "v", "l", 1, OrderType.LIMIT, TimeInForce.GTC, None, 1, 1, 0, 1)
    assert all(input_of(row._replace(status=status)) is not None for status in OrderStatus)
