"""Rolling windows per account and endpoint, batches by order, VIP levels, addresses."""

from __future__ import annotations

import random

from gateway.venue.rate_limits import IP_BAN_MS, IP_LIMIT, IP_WINDOW_MS, LIMITS, RateLimits

CREATE, BATCH = "/v5/order/create", "/v5/order/create-batch"


def test_tenth_passes_eleventh_waits_for_the_first_to_leave_the_window() -> None:
    limits = RateLimits()
    for n in range(10):
        budget = limits.take(1, CREATE, 1000 + n)
        assert (budget.granted, budget.limit, budget.remaining, budget.reset_ms) == (1, 10, 9 - n, 1000 + n)
    refused = limits.take(1, CREATE, 1500)
    assert (refused.granted, refused.remaining, refused.reset_ms) == (0, 0, 2000)
    assert limits.take(1, CREATE, 1999).granted == 0
    assert limits.take(1, CREATE, 2000).granted == 1
    assert limits.take(1, CREATE, 2000).granted == 0
    assert refused.headers == {
        "X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": "2000",
    }


def test_accounts_and_endpoints_have_budgets_of_their_own() -> None:
    limits = RateLimits()
    assert all(limits.take(1, CREATE, 0).granted for _ in range(10))
    assert limits.take(2, CREATE, 0).granted == limits.take(1, "/v5/order/amend", 0).granted == 1
    assert limits.take(1, BATCH, 0).granted == 1


def test_the_tail_of_a_batch_is_refused() -> None:
    limits = RateLimits()
    assert limits.take(1, BATCH, 0, 7).granted == 7
    second = limits.take(1, BATCH, 10, 7)
    assert (second.granted, second.remaining, second.reset_ms) == (3, 0, 1000)
    assert limits.take(1, BATCH, 20, 7).granted == 0
    assert limits.take(1, BATCH, 1005, 20).granted == 7


def test_limits_by_endpoint_by_order_and_none() -> None:
    limits = RateLimits()
    assert limits.limit_of("/v5/account/fee-rate") == 5 and limits.limit_of("/v5/account/smp-group") == 50
    assert limits.take(1, CREATE, 0, limit=0).granted == 0
    assert RateLimits(3).take(1, CREATE, 0, 500).granted == 30
    assert RateLimits(0).take(1, CREATE, 0, 500).granted == 500


def test_never_more_than_the_limit_in_any_second() -> None:
    """Against a naive count, on random times."""
    draw = random.Random(5)
    limits, granted, now = RateLimits(), [], 0
    for _ in range(5000):
        now += draw.choice((0, 1, 5, 60, 400))
        units = draw.choice((1, 1, 3, 12))
        got = limits.take(1, BATCH, now, units).granted
        inside = sum(count for at, count in granted[-200:] if at > now - 1000)
        assert got == max(0, min(units, LIMITS[BATCH] - inside))
        granted.append((now, got))


def test_addresses_are_banned_for_ten_minutes() -> None:
    limits = RateLimits()
    assert all(limits.admit_ip("a", n) for n in range(IP_LIMIT))
    assert not limits.admit_ip("a", IP_LIMIT)
    assert limits.admit_ip("b", IP_LIMIT)
    assert not limits.admit_ip("a", IP_LIMIT + IP_BAN_MS - 1)
    assert limits.admit_ip("a", IP_LIMIT + IP_BAN_MS)
    slow = RateLimits()
    step = IP_WINDOW_MS // IP_LIMIT + 1
    assert all(slow.admit_ip("a", n * step) for n in range(5 * IP_LIMIT))
