"""What a symbol's history does to its next entries: only harder, only smaller, within bounds."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.profiles import ProfileFile
from config.schema import ProfileRules
from core.constants import DAY_NS
from core.performance.profiles import Sightings, profile
from core.performance.trades import Trade

E8 = 10**8
NOW = 20_000 * DAY_NS
RULES = ProfileRules()


def trades(results, slippage_e8: int = 0, age_days: float = 1.0) -> list[Trade]:
    closed = NOW - int(age_days * DAY_NS)
    return [Trade("s", k, "X", 1, closed, closed + k, 100 * E8, r, 0, 0, r, 2 * E8, slippage_e8=slippage_e8)
            for k, r in enumerate(results)]


def test_too_few_trades_tell_nothing():
    found = profile(trades([-E8] * 9), Sightings(), RULES, NOW)
    assert (found["raise_points"], found["size"], found["blacklisted"], found["trades"]) == (0.0, 1.0, False, 9)


def test_a_good_symbol_is_left_alone():
    found = profile(trades([E8, -E8, E8] * 10), Sightings(2.0, 10, 3), RULES, NOW)
    assert (found["raise_points"], found["size"], found["blacklisted"]) == (0.0, 1.0, False)
    assert found["why"] == []


def test_losing_makes_it_harder_and_smaller():
    found = profile(trades([E8] * 4 + [-E8] * 6), Sightings(), RULES, NOW)
    assert found["raise_points"] == pytest.approx(2.5)  # five percent under 45 %
    assert found["size"] == pytest.approx(0.9)  # expectancy -0.1 R
    assert not found["blacklisted"]


def test_a_hopeless_symbol_is_blacklisted_and_comes_back_with_time():
    found = profile(trades([-E8] * 18 + [E8] * 2), Sightings(), RULES, NOW)
    assert found["blacklisted"]
    assert (found["raise_points"], found["size"]) == (15.0, 0.6)
    later = profile(trades([-E8] * 18 + [E8] * 2), Sightings(), RULES, NOW + 31 * DAY_NS)
    assert not later["blacklisted"]
    assert later["trades"] == 0


def test_slippage_spoofs_and_pumps():
    slipping = profile(trades([E8] * 10, slippage_e8=10 * E8 // 100), Sightings(), RULES, NOW)
    assert slipping["slippage_bps"] == pytest.approx(10.0)
    assert slipping["raise_points"] == pytest.approx(5.0)
    spoofed = profile([], Sightings(2.0, 100, 0), RULES, NOW)
    assert (spoofed["raise_points"], spoofed["size"]) == (5.0, 0.5)
    assert profile([], Sightings(0.01, 15, 0), RULES, NOW)["size"] == 1.0  # minutes are no day
    assert profile([], Sightings(1.0, 0, 11), RULES, NOW)["raise_points"] == 5.0


@given(st.lists(st.integers(-10 * E8, 10 * E8), max_size=80), st.integers(-E8, 10 * E8), st.integers(0, 10_000),
       st.integers(0, 10_000))
def test_always_within_bounds_and_readable(results, slippage, spoofs, pumps):
    found = profile(trades(results, slippage), Sightings(1.0, spoofs, pumps), RULES, NOW)
    assert 0 <= found["raise_points"] <= RULES.raise_max
    assert RULES.size_min <= found["size"] <= 1
    text = msgspec.json.encode({"symbols": {"X": found}})
    read = msgspec.json.decode(text, type=ProfileFile).symbols["X"]
    assert (read.size, read.blacklisted, read.trades) == (found["size"], found["blacklisted"], found["trades"])
