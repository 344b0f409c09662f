"""Settlement instants; the payments are worked out in test_margin.py."""

from __future__ import annotations

import pytest

from core.sim.funding import DAY_NS, funding_fee_e8, next_funding_ns
from tests.core.sim.margin_help import BTC

HOUR = DAY_NS // 24


@pytest.mark.parametrize(
    ("hours", "now", "then"),
    [(8, 0, 8), (8, 7.999, 8), (8, 8, 16), (8, 23, 24), (4, 3, 4), (4, 20, 24), (1, 23.5, 24), (0, 5, 0), (5, 21, 24)],
)
def test_next_instant(hours: float, now: float, then: float) -> None:
    """Multiples of the interval since midnight; an interval that does not divide the day starts anew with it."""
    day = 20_000 * DAY_NS
    found = next_funding_ns(day + int(now * HOUR), int(hours * HOUR))
    assert found == (day + int(then * HOUR) if hours else 0)


def test_what_longs_pay_shorts_receive_up_to_one_unit() -> None:
    for lots in (1, 7, 333):
        for rate in (1, 123, 9_999_999):
            paid, received = (funding_fee_e8(BTC, sign * lots, 601_234_567_891_234, rate) for sign in (1, -1))
            assert 0 <= paid + received <= 1 and paid > 0
