"""Values and fees: exact against fractions, rounded against us."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from hypothesis import given, settings
from hypothesis import strategies as st

from core.sim.money import fee_up_e8, value_e8


@settings(deadline=None)
@given(st.integers(1, 10**7), st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 20), st.integers(0, 14),
       st.booleans())
def test_value_is_exact_or_rounded_as_told(price, lots, tick, lot, decimals, up):
    if price * lots * tick * lot * 10 ** max(8 - decimals, 0) >= 2**63:
        return
    exact = Fraction(price * lots * tick * lot * 10**8, 10**decimals)
    assert value_e8(price, lots, tick, lot, decimals, int(up)) == (ceil(exact) if up else floor(exact))


@settings(deadline=None)
@given(st.integers(0, 10**18), st.integers(-10**6, 10**6))
def test_fee_is_rounded_up(value, rate):
    assert fee_up_e8(value, rate) == ceil(Fraction(value * rate, 10**8))
