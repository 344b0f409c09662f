"""The budget against the venue's own counters, and what each purpose may use."""

from __future__ import annotations

import random

import pytest

from core.orders.budget import BAN_NS, IP_WINDOW_NS, LIMITS, NEVER, WINDOW_NS, Budget, Endpoint, Purpose, ceiling
from gateway.venue.rate_limits import IP_LIMIT, RateLimits

S = 1_000_000_000
CREATE = Endpoint.CREATE
PATHS = {CREATE: "/v5/order/create", Endpoint.CANCEL: "/v5/order/cancel", Endpoint.FEE: "/v5/account/fee-rate"}


def burst(budget: Budget, endpoint: Endpoint, purpose: Purpose, now_ns: int, rest: bool = False) -> int:
    """How many may leave at one moment."""
    sent = 0
    while budget.wait_ns(endpoint, purpose, now_ns, rest=rest) == 0:
        budget.take(endpoint, now_ns, rest=rest)
        sent += 1
    return sent


def test_shares_of_a_limit():
    assert [ceiling(10, p) for p in Purpose] == [6, 8, 10]
    assert [ceiling(1, p) for p in Purpose] == [1, 1, 1]
    budget = Budget()
    assert [burst(budget, CREATE, p, 0) for p in (Purpose.ENTRY, Purpose.EXIT, Purpose.KILL)] == [6, 2, 2]
    assert budget.wait_ns(CREATE, Purpose.KILL, 0) == WINDOW_NS
    assert budget.left(CREATE, Purpose.KILL, WINDOW_NS) == 10


def test_getting_out_has_room_whatever_entries_do():
    budget = Budget()
    for now_ns in range(0, 20 * S, S // 50):
        burst(budget, CREATE, Purpose.ENTRY, now_ns)
        assert budget.left(CREATE, Purpose.KILL, now_ns) >= 4


@pytest.mark.parametrize("endpoint", PATHS)
@pytest.mark.parametrize("seed", range(20))
def test_the_venue_never_refuses_what_the_budget_lets_go(endpoint: Endpoint, seed: int):
    """Random wishes for a minute, with up to 100 ms of uneven delay on the way."""
    rng = random.Random(seed)
    budget, venue = Budget(), RateLimits()
    arrivals = []
    now_ns = 0
    while now_ns < 60 * S:
        now_ns += int(rng.expovariate(40) * S)
        purpose = rng.choice(list(Purpose))
        if budget.wait_ns(endpoint, purpose, now_ns) == 0:
            budget.take(endpoint, now_ns)
            arrivals.append(now_ns + rng.randrange(S // 10))
    assert len(arrivals) > 0.8 * 60 * LIMITS[endpoint] * S / WINDOW_NS
    for at in sorted(arrivals):
        assert venue.take(1, PATHS[endpoint], at // 1_000_000).granted == 1


def test_a_wait_is_exactly_long_enough():
    rng = random.Random(3)
    budget = Budget()
    now_ns = 0
    for _ in range(2000):
        now_ns += rng.randrange(S // 20)
        purpose = rng.choice(list(Purpose))
        wait_ns = budget.wait_ns(CREATE, purpose, now_ns)
        if wait_ns:
            assert budget.wait_ns(CREATE, purpose, now_ns + wait_ns - 1) > 0
            assert budget.wait_ns(CREATE, purpose, now_ns + wait_ns) == 0
            now_ns += wait_ns
        budget.take(CREATE, now_ns)


def test_batches_are_for_killing_and_count_orders():
    budget = Budget()
    assert budget.wait_ns(Endpoint.CREATE_BATCH, Purpose.EXIT, 0) == NEVER
    assert budget.wait_ns(Endpoint.CREATE_BATCH, Purpose.KILL, 0, units=10) == 0
    assert budget.wait_ns(Endpoint.CREATE_BATCH, Purpose.KILL, 0, units=11) == NEVER
    budget.take(Endpoint.CREATE_BATCH, 0, units=7)
    assert budget.left(Endpoint.CREATE_BATCH, Purpose.KILL, 0) == 3
    assert budget.wait_ns(Endpoint.CREATE_BATCH, Purpose.KILL, 5, units=4) == WINDOW_NS - 5
    assert burst(budget, CREATE, Purpose.KILL, 0) == 10, "a counter of its own"


def test_headers_of_a_shared_account_are_believed():
    budget = Budget()
    budget.take(CREATE, 0)
    budget.heard(CREATE, 10, limit=10, left=9)
    assert budget.left(CREATE, Purpose.KILL, 10) == 9, "it counts what we count"
    budget.heard(CREATE, 20, limit=10, left=2)
    assert budget.left(CREATE, Purpose.KILL, 20) == 2
    assert budget.wait_ns(CREATE, Purpose.ENTRY, 20) > 0
    budget.heard(CREATE, 30, limit=20, left=18)
    assert budget.left(CREATE, Purpose.KILL, 30) == 12, "a higher limit, but nobody gives units back"


def test_a_refusal_closes_one_endpoint_until_its_reset():
    budget = Budget()
    budget.refused(CREATE, 0, S // 2)
    assert budget.wait_ns(CREATE, Purpose.KILL, 0) == S // 2 and budget.left(CREATE, Purpose.KILL, 0) == 0
    assert budget.wait_ns(CREATE, Purpose.KILL, S // 2) == 0 and budget.left(CREATE, Purpose.KILL, S // 2) == 10
    assert budget.wait_ns(Endpoint.CANCEL, Purpose.EXIT, 0) == 0
    budget.refused(CREATE, S, 100 * S)  # a wrong clock must not lock the way out
    assert budget.wait_ns(CREATE, Purpose.KILL, S) == 2 * WINDOW_NS
    budget.refused(Endpoint.CANCEL, S, 0)
    assert budget.wait_ns(Endpoint.CANCEL, Purpose.KILL, S) == S // 10
    assert budget.refusals == 3


def test_a_ban_stops_rest_and_not_the_websocket():
    budget = Budget()
    assert budget.banned(7) == 7 + BAN_NS
    assert budget.wait_ns(CREATE, Purpose.KILL, 8, rest=True) == BAN_NS - 1
    assert budget.wait_ns(CREATE, Purpose.KILL, 8) == 0
    assert budget.wait_ns(CREATE, Purpose.KILL, 7 + BAN_NS, rest=True) == 0


@pytest.mark.parametrize(("purpose", "share_pct"), [(Purpose.ENTRY, 40), (Purpose.EXIT, 60), (Purpose.KILL, 80)])
def test_the_address_has_room_for_its_other_users(purpose: Purpose, share_pct: int):
    """Look-ups of one process filled the address (541 requests in 5 s): with the guardian, the gateway and a person's
    commands beside it the exchange banned all of them for ten minutes."""
    budget = Budget()
    sent = 0
    for endpoint in Endpoint:
        for now_ns in range(0, IP_WINDOW_NS - 1, WINDOW_NS):
            sent += burst(budget, endpoint, purpose, now_ns, rest=True)
    assert sent == IP_LIMIT * share_pct // 100


def test_the_address_is_never_banned():
    """Everything over REST at full speed stays below 600 in 5 s at the venue."""
    budget, venue = Budget(), RateLimits()
    sent = 0
    for now_ms in range(0, 20_000, 5):
        for endpoint in Endpoint:
            if budget.wait_ns(endpoint, Purpose.KILL, now_ms * 1_000_000, rest=True) == 0:
                budget.take(endpoint, now_ms * 1_000_000, rest=True)
                assert venue.admit_ip("a", now_ms)
                sent += 1
    assert sent > 3 * IP_LIMIT * 0.7
