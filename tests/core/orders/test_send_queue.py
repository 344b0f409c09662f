"""Who leaves, waits or is turned back: every request once, exits before entries, nothing late, nothing unwanted."""

from __future__ import annotations

import random

import pytest

from core.orders.budget import LIMITS, NEVER, WINDOW_NS, Budget, Endpoint, Purpose
from core.orders.exchange_words import Cancel, Create, OrderType, Query, QueryKind, Request, Send, TradingStop
from core.orders.send_queue import BATCH_MAX, Departure, SendQueue, Turned, Waiting, purpose_of
from gateway.bybit.order_codec import route_of

MS = 1_000_000
S = 1000 * MS


def entry(number: int) -> Create:
    return Create(number, f"e{number}", "AUSDT", 1, OrderType.LIMIT, 5, 100, stop_ticks=90)


def close(number: int) -> Create:
    return Create(number, f"x{number}", "AUSDT", -1, OrderType.MARKET, 5, reduce_only=True)


class Line:
    """A queue with a clock."""

    def __init__(self, wanted=lambda now_ns, request: True) -> None:
        self.budget = Budget()
        self.queue = SendQueue(self.budget, lambda request: route_of(request).endpoint, wanted)
        self.now_ns = 10 * S
        self.ws = True

    def put(self, *requests: Request, urgent: bool = False, deadline_ns: int = 0) -> None:
        for request in requests:
            self.queue.put(Waiting(Send(request, deadline_ns, urgent), self.now_ns))

    def take(self) -> tuple[list[Departure], list[Turned], int]:
        out, wait_ns = self.queue.take(self.now_ns, lambda request: self.ws)
        return [e for e in out if isinstance(e, Departure)], [e for e in out if isinstance(e, Turned)], wait_ns


def ids(departures: list[Departure]) -> list[int]:
    return [waiting.send.request.req_id for departure in departures for waiting in departure.waiting]


def test_entries_leave_in_order_as_far_as_their_share_goes_and_the_rest_when_it_is_free_again():
    line = Line()
    line.put(*(entry(n) for n in range(9)))
    gone, _, wait_ns = line.take()
    assert ids(gone) == list(range(6)) and wait_ns == WINDOW_NS
    line.now_ns += wait_ns - 1
    assert line.take() == ([], [], 1)
    line.now_ns += 1
    gone, _, wait_ns = line.take()
    assert ids(gone) == [6, 7, 8] and wait_ns == NEVER


def test_getting_out_goes_first_and_has_what_entries_may_not_use():
    line = Line()
    line.put(*(entry(n) for n in range(9)))
    line.put(*(close(n) for n in range(100, 104)), urgent=True)
    gone, _, _ = line.take()
    assert ids(gone) == [100, 101, 102, 103, 0, 1], "ten a second in all: closes first, entries never more than six"


def test_closes_over_the_limit_leave_in_batches_at_once():
    line = Line()
    line.put(*(close(n) for n in range(25)), urgent=True)
    gone, _, wait_ns = line.take()
    assert ids(gone) == list(range(20)) and 0 < wait_ns <= WINDOW_NS
    assert [d.batch for d in gone] == [False] * 10 + [True]
    assert gone[-1].endpoint is Endpoint.CREATE_BATCH and len(gone[-1].waiting) == BATCH_MAX
    line.now_ns += wait_ns
    assert ids(line.take()[0]) == list(range(20, 25))


def test_what_only_one_request_can_say_is_never_batched():
    line = Line()
    line.put(*(TradingStop(n, "AUSDT", stop_ticks=5) for n in range(12)), urgent=True)
    gone, _, wait_ns = line.take()
    assert len(gone) == 10 and not any(d.batch for d in gone) and wait_ns == WINDOW_NS


def test_a_batch_that_is_refused_in_part():
    """Its items are told one by one (`gateway`): here, what was refused for the limit closes the batch counter alone."""
    line = Line()
    line.put(*(close(n) for n in range(20)), urgent=True)
    line.take()
    line.budget.refused(Endpoint.CREATE_BATCH, line.now_ns, line.now_ns + S)
    line.now_ns += WINDOW_NS
    line.budget.refused(Endpoint.CREATE_BATCH, line.now_ns, line.now_ns + S)
    line.put(*(close(n) for n in range(30, 45)), urgent=True)
    gone, _, wait_ns = line.take()
    assert ids(gone) == list(range(30, 40)) and wait_ns > 0, "singles go on, the batch waits"


def test_nothing_leaves_at_or_after_its_deadline():
    line = Line()
    line.put(entry(1), deadline_ns=line.now_ns)
    line.put(entry(2), deadline_ns=line.now_ns + 1)
    gone, turned, _ = line.take()
    assert ids(gone) == [2]
    assert [(t.request.req_id, t.why) for t in turned] == [(1, "deadline passed before it could leave")]


def test_an_entry_that_waited_and_is_no_longer_wanted_does_not_leave():
    """A kill while entries wait for budget: the rest of the burst stays here, and says so; closes leave."""
    killed = [False]
    line = Line(lambda now_ns, request: not killed[0] or bool(getattr(request, "reduce_only", True)))
    line.put(*(entry(n) for n in range(9)))
    assert ids(line.take()[0]) == list(range(6))
    killed[0] = True
    line.now_ns += WINDOW_NS
    line.put(close(50), urgent=True)
    gone, turned, _ = line.take()
    assert ids(gone) == [50]
    assert [(t.request.req_id, t.why) for t in turned] == [(n, "not wanted any more") for n in (6, 7, 8)]


@pytest.mark.parametrize("ws", [True, False])
def test_a_banned_address_keeps_the_websocket(ws):
    line = Line()
    line.ws = ws
    line.budget.banned(line.now_ns)
    line.put(close(1), urgent=True)
    gone, turned, _ = line.take()
    assert (ids(gone), [t.why for t in turned]) == (([1], []) if ws else ([], ["address banned (HTTP 403)"]))


def test_every_request_leaves_or_is_turned_back_exactly_once_and_no_counter_is_overrun():
    rng = random.Random(11)
    line = Line(lambda now_ns, request: request.req_id % 7 != 0)
    told: list[int] = []
    left_at: dict[Endpoint, list[int]] = {}
    number = 0
    for _ in range(3_000):
        for _ in range(rng.choice((0, 0, 1, 3))):
            number += 1
            request = rng.choice((
                entry(number), close(number), Cancel(number, "AUSDT", "x"), Query(number, QueryKind.POSITIONS)))
            line.ws = rng.random() < 0.9
            line.put(request, urgent=rng.random() < 0.3, deadline_ns=rng.choice((0, line.now_ns + rng.randint(1, 3 * S))))
        gone, turned, wait_ns = line.take()
        told += ids(gone) + [t.request.req_id for t in turned]
        for departure in gone:
            left_at.setdefault(departure.endpoint, []).extend([line.now_ns] * len(departure.waiting))
            purpose = {purpose_of(w.send.request, w.send.urgent) for w in departure.waiting}
            assert not departure.batch or purpose == {Purpose.KILL}
        assert (wait_ns == NEVER) == (number == len(told))
        line.now_ns += rng.randint(1, 60) * MS
    line.now_ns += 100 * S
    while line.take()[2] < NEVER:
        line.now_ns += WINDOW_NS
    for endpoint, times in left_at.items():
        for start, time_ns in enumerate(times):
            window = [t for t in times[start:start + LIMITS[endpoint] + 1] if t < time_ns + S]
            assert len(window) <= LIMITS[endpoint], endpoint
    assert len(told) == len(set(told))
