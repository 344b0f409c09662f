"""Stamps of LIVE entries, in whatever order their tellers come to word."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from core.orders.exchange_words import Ack
from gateway.link_answers import Sent
from workers.order_stamps import OrderStamps

REQUEST, ORDER = 5, 77


class Told:
    """A ledger that keeps what it is told."""

    def __init__(self) -> None:
        self.stamps: list[tuple[int, str, int]] = []

    def stamp(self, order_id: int, name: str, now_ns: int, ret_code: int = 0) -> None:
        self.stamps.append((order_id, name, now_ns))

    def follow(self, order_id: int, state: Any) -> None:
        pass


@pytest.mark.parametrize("acknowledged_first", [False, True])
def test_bytes_written_are_stamped_also_when_the_answer_was_heard_before_that_was_told(acknowledged_first: bool) -> None:
    """On a busy machine both come in one turn, and the answer is looked at first."""
    told = Told()
    stamps = OrderStamps(told, SimpleNamespace())  # type: ignore[arg-type]
    stamps._requests[REQUEST] = ORDER
    ack = Ack(REQUEST, 0, "")
    sent = deque([Sent(REQUEST, 10, 20), Sent(REQUEST + 1, 11, 21)])
    for step in (lambda: stamps.on_event(ack, 30), lambda: stamps.written(sent))[:: 1 if acknowledged_first else -1]:
        step()
    assert sorted(told.stamps) == [(ORDER, "ack_ns", 30), (ORDER, "wire_ns", 20)] and not sent
