"""Every trigger alone: under its limit, over it but not for long enough, over it long enough, off, without exposure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.schema import Settings, Skip
from core.enums import GlobalRegime
from core.orders.kill_triggers import TRIGGERS, KillFacts, KillLimits, KillWatch, kill_limits

S = 10**9
CALM = KillFacts(exposed=True)
LIMITS = KillLimits(network_s=10.0, panic_s=4.0, spread_bps=300.0, spread_s=5.0, failures_per_min=20,
                    daily_loss_pct=5.0, volatility_index_max=30.0)
# name: (just allowed, just over, setting that switches it off, seconds it must last)
CASES = {
    "private_stream": (CALM, replace(CALM, private_up=False), "network_s", 10.0),
    "rest": (CALM, replace(CALM, rest_up=False), "network_s", 10.0),
    "panic": (replace(CALM, global_regime=int(GlobalRegime.GLOBAL_RISK_OFF)),
              replace(CALM, global_regime=int(GlobalRegime.GLOBAL_PANIC)), "panic_s", 4.0),
    "spread": (replace(CALM, spread_bps=300.0), replace(CALM, spread_bps=300.1), "spread_bps", 5.0),
    "failures": (replace(CALM, failures_per_min=19), replace(CALM, failures_per_min=20), "failures_per_min", 0.0),
    "daily_loss": (replace(CALM, day_loss_pct=4.99), replace(CALM, day_loss_pct=5.0), "daily_loss_pct", 0.0),
    "volatility_index": (replace(CALM, volatility_index=30.0), replace(CALM, volatility_index=30.1),
                         "volatility_index_max", 0.0),
}

# with nothing open and nothing working there is nothing to stand down
NEEDS_EXPOSURE = {"private_stream", "rest", "panic", "spread", "volatility_index"}


def test_every_trigger_has_a_case() -> None:
    assert [row.name for row in TRIGGERS] == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_trigger(name: str) -> None:
    allowed, over, switch, lasts_s = CASES[name]
    row = next(each for each in TRIGGERS if each.name == name)
    watch = KillWatch()
    assert watch.look(S, allowed, LIMITS) is None
    assert watch.look(2 * S, over, replace(LIMITS, **{switch: 0})) is None  # off, however long
    assert watch.look(100 * S, over, replace(LIMITS, **{switch: 0})) is None
    if lasts_s:
        assert watch.look(200 * S, over, LIMITS) is None
        assert watch.look(int((200 + lasts_s) * S) - 1, over, LIMITS) is None
        assert watch.look(int((200 + lasts_s) * S), allowed, LIMITS) is None  # it recovered: the time starts again
        assert watch.look(300 * S, over, LIMITS) is None
    trip = watch.look(int((300 + lasts_s) * S), over, LIMITS)
    assert trip is not None and trip.trigger == name and row.sentence in trip.reason
    flat = KillWatch()
    told = [flat.look(at * S, replace(over, exposed=False), LIMITS) for at in (1, 100)]
    assert (told[1] is None) == (name in NEEDS_EXPOSURE)


def test_the_first_of_the_table_is_told() -> None:
    watch = KillWatch()
    trip = watch.look(S, replace(CALM, day_loss_pct=9.0, failures_per_min=99), LIMITS)
    assert trip is not None and trip.trigger == "failures"
    assert "99, limit 20" in trip.reason


@pytest.mark.parametrize(("facts", "limits", "reason"), [
    (replace(CALM, private_up=False), LIMITS, "the private stream of the exchange is down (0, limit 10)"),
    (replace(CALM, rest_up=False), LIMITS, "the REST interface of the exchange does not answer (0, limit 10)"),
    (replace(CALM, day_loss_pct=0.6), replace(LIMITS, daily_loss_pct=0.5),  # a limit below one is a limit
     "loss of the UTC day on equity, percent (0.6, limit 0.5)"),
])
def test_the_reason_has_the_numbers(facts: KillFacts, limits: KillLimits, reason: str) -> None:
    watch = KillWatch()
    watch.look(S, facts, limits)
    trip = watch.look(11 * S, facts, limits)
    assert trip is not None and trip.reason == reason


def test_what_nobody_has_told_is_calm() -> None:
    """SIM and DRY_RUN have no link: the network is up, nothing has failed, nothing is known of the index."""
    assert KillFacts(exposed=True) == KillFacts(
        exposed=True, private_up=True, rest_up=True, global_regime=int(GlobalRegime.GLOBAL_NORMAL), spread_bps=0.0,
        failures_per_min=0, day_loss_pct=0.0, volatility_index=0.0,
    )


def test_the_volatility_index_counts_where_the_skip_filter_is_on() -> None:
    assert kill_limits(Settings(skip=Skip(enabled=True, volatility_index_max=31.0))).volatility_index_max == 31.0
    assert kill_limits(Settings(skip=Skip(enabled=False, volatility_index_max=31.0))).volatility_index_max == 0.0


def test_limits_come_from_the_settings() -> None:
    limits = kill_limits(Settings())
    assert (limits.network_s, limits.daily_loss_pct, limits.volatility_index_max) == (10.0, 5.0, 0.0)
