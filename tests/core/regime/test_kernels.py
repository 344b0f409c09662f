"""Pump detector and symbol regime: thresholds, hysteresis, shortest stay."""

from __future__ import annotations

import math

import numpy as np
import pytest

from config.schema import Settings
from core.constants import NS_PER_S
from core.enums import Pump, Regime
from core.params import params_row
from core.regime.kernels import next_pump, next_regime, update_regime
from core.state.trade import TRADE_STATE

PARAMS = params_row(Settings(), 1)  # 3 %, surge 3, blow-off 6 %, dump 2.5 %, dwell 2 s, rest 60 s
LONG_AGO = 100 * NS_PER_S


def pump(state: Pump, change: float, surge: float, *, atr: float = 1.0, fall: float = 0.0, age: int = LONG_AGO) -> Pump:
    return Pump(next_pump(int(state), age, change, surge, atr, fall, PARAMS))


@pytest.mark.parametrize(
    ("state", "change", "surge", "expected"),
    [
        (Pump.NONE, 0.1, 1.0, Pump.NONE),
        (Pump.NONE, 1.6, 1.6, Pump.PREPUMP),
        (Pump.NONE, 1.6, 1.0, Pump.NONE),
        (Pump.NONE, 3.0, 3.0, Pump.PUMPING),
        (Pump.NONE, 3.5, 2.9, Pump.PREPUMP),
        (Pump.NONE, -3.1, 4.0, Pump.DUMP),
        (Pump.PREPUMP, 0.8, 1.0, Pump.PREPUMP),
        (Pump.PREPUMP, 0.7, 1.0, Pump.NONE),
        (Pump.PUMPING, 2.0, 1.0, Pump.PUMPING),
        (Pump.PUMPING, 6.1, 1.0, Pump.BLOWOFF),
        (Pump.PUMPING, 1.4, 1.0, Pump.COOLDOWN),
        (Pump.BLOWOFF, 5.0, 1.0, Pump.BLOWOFF),
        (Pump.DUMP, -2.0, 9.0, Pump.DUMP),
        (Pump.DUMP, -1.0, 9.0, Pump.COOLDOWN),
        (Pump.COOLDOWN, 4.0, 4.0, Pump.PUMPING),
        (Pump.COOLDOWN, 0.0, 1.0, Pump.NONE),
    ],
)
def test_moves(state: Pump, change: float, surge: float, expected: Pump) -> None:
    assert pump(state, change, surge) == expected


def test_a_fall_from_the_top_is_a_dump() -> None:
    assert pump(Pump.PUMPING, 4.0, 1.0, fall=2.5) == Pump.DUMP
    assert pump(Pump.BLOWOFF, 4.0, 1.0, fall=2.4) == Pump.BLOWOFF


def test_explosion_is_handled_as_a_pump() -> None:
    assert pump(Pump.NONE, 0.0, 1.0, atr=60.0) == Pump.PUMPING
    assert pump(Pump.PUMPING, 0.0, 1.0, atr=31.0) == Pump.PUMPING
    assert pump(Pump.PUMPING, 0.0, 1.0, atr=29.0) == Pump.COOLDOWN


def test_shortest_stay() -> None:
    for state in (Pump.PUMPING, Pump.BLOWOFF, Pump.DUMP, Pump.COOLDOWN):
        assert pump(state, 0.0, 1.0, age=2 * NS_PER_S - 1) == state


def test_rest_lasts() -> None:
    assert pump(Pump.COOLDOWN, 0.0, 1.0, age=60 * NS_PER_S - 1) == Pump.COOLDOWN
    assert pump(Pump.COOLDOWN, 0.0, 1.0, age=60 * NS_PER_S) == Pump.NONE


@pytest.mark.parametrize("state", Pump)
def test_unknown_features_never_start_anything(state: Pump) -> None:
    nan = math.nan
    after = Pump(next_pump(int(state), LONG_AGO, nan, nan, nan, 0.0, PARAMS))
    assert after in (Pump.NONE, Pump.COOLDOWN)


def test_regime_follows_the_pump() -> None:
    def regime(state: Regime, p: Pump, news: int = 0, age: int = LONG_AGO) -> Regime:
        return Regime(next_regime(int(state), int(p), news, age, PARAMS))

    for p in (Pump.PUMPING, Pump.BLOWOFF, Pump.DUMP):
        assert regime(Regime.NORMAL, p) == Regime.PUMP
        assert regime(Regime.NORMAL, p, news=1) == Regime.PUMP
    assert regime(Regime.NORMAL, Pump.NONE, news=1) == Regime.NEWS_DRIVEN
    assert regime(Regime.PUMP, Pump.COOLDOWN) == Regime.COOLDOWN
    assert regime(Regime.COOLDOWN, Pump.NONE) == Regime.COOLDOWN_DONE
    assert regime(Regime.COOLDOWN_DONE, Pump.NONE, age=59 * NS_PER_S) == Regime.COOLDOWN_DONE
    assert regime(Regime.COOLDOWN_DONE, Pump.NONE, age=60 * NS_PER_S) == Regime.NORMAL
    assert regime(Regime.NEWS_DRIVEN, Pump.NONE) == Regime.NORMAL


def test_a_scripted_pump_walks_through() -> None:
    trade = np.zeros(1, TRADE_STATE.dtype)
    path = [*np.linspace(0, 7, 80), *np.linspace(7, 3.8, 8), *np.full(220, 3.8)]
    seen = [(Pump.NONE, Regime.NORMAL)]
    for second, change in enumerate(path):
        window = change - path[max(second - 60, 0)]
        update_regime(
            trade, 0, 100_000.0 * (1 + change / 100), window, 5.0 if second < 110 else 1.0, 2.0, 0,
            second * NS_PER_S, PARAMS,
        )
        now = (Pump(trade[0]["pump"]), Regime(trade[0]["regime"]))
        if now != seen[-1]:
            seen.append(now)
    pumps = [p for k, (p, _) in enumerate(seen) if k == 0 or seen[k - 1][0] != p]
    assert pumps == [Pump.NONE, Pump.PREPUMP, Pump.PUMPING, Pump.DUMP, Pump.COOLDOWN, Pump.NONE]
    assert [r for k, (_, r) in enumerate(seen) if k == 0 or seen[k - 1][1] != r] == [
        Regime.NORMAL, Regime.PUMP, Regime.COOLDOWN, Regime.COOLDOWN_DONE, Regime.NORMAL,
    ]
