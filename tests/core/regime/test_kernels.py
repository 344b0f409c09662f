"""Pump table and symbol regime: what is seen, what follows, hysteresis, shortest stay; against the twin in plain words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schema import Settings
from core.constants import NS_PER_S
from core.enums import Pump, Regime
from core.features.moves_records import MOVES
from core.features.records import FEATURES
from core.params import params_row
from core.regime.kernels import RULES, next_regime, update_regime
from core.regime.pump import TABLE, Seen, next_pump, see, strongest, witnesses
from core.state.trade import TRADE_STATE
from tests.reference.regime import NaivePump

PARAMS = params_row(Settings(), 1)
NAN = math.nan
MANY = 1000 * NS_PER_S


def seen(
    near: float = 0.0, middle: float = 0.0, minute: float = 0.0, far: float = 0.0, *, boom: float = 0.0,
    volume: float = 1.0, trades: float = 1.0, thin: float = 1.0, fall: float = 0.0, above: bool = True,
    stalled: bool = False, rested: bool = False,
) -> set[Seen]:
    bits = see(
        near, middle, minute, far, boom, volume, trades, thin, fall, above, stalled, rested, PARAMS
    )  # fmt: skip
    return {s for s in Seen if bits >> s & 1}


def test_a_rise_needs_a_window_witnesses_and_a_moving_price() -> None:
    assert Seen.RISING in seen(1.6, 1.6, volume=3.0, trades=2.5), "5 s: 1.5 %"
    assert Seen.RISING in seen(0.3, 2.1, volume=3.0, trades=2.5), "15 s: 2 %"
    assert Seen.RISING in seen(0.1, 0.2, 3.0, volume=3.0, thin=0.5), "1 min: 3 %, slow; the book is the second witness"
    assert Seen.RISING in seen(0.1, 0.2, 1.0, 5.0, volume=3.0, trades=2.5), "5 min: 5 %, slower"
    assert Seen.RISING not in seen(0.1, 0.1, 3.5, 6.0, volume=9.0, trades=9.0), "long past: nothing moves any more"
    assert Seen.RISING not in seen(1.6, 1.6, volume=9.0), "one witness of three"
    assert Seen.RISING in seen(1.6, 1.6, volume=9.0, trades=NAN, thin=NAN), "the only one that is known"
    assert Seen.RISING not in seen(1.6, 1.6, volume=NAN, trades=NAN, thin=NAN), "nobody knows"


def test_a_fall_without_a_pump_is_seen() -> None:
    assert Seen.FALLING in seen(-1.6, -1.6, volume=3.0, trades=2.5)
    assert Seen.FALLING in seen(-0.2, -0.2, boom=1.0), "an explosion downwards"
    assert Seen.RISING in seen(0.0, 0.0, boom=1.0) and Seen.RISING in seen(NAN, NAN, boom=1.0)


def test_calm_looks_at_the_short_windows_only() -> None:
    assert Seen.CALM in seen(0.1, 0.2, 6.0, 9.0) and Seen.OVER not in seen(0.1, 0.2, 6.0, 9.0)
    assert Seen.OVER in seen(0.1, 0.2, 6.0, 9.0, stalled=True)
    assert Seen.CALM not in seen(0.8) and Seen.CALM not in seen(0.0, -1.1) and Seen.CALM not in seen(boom=1.0)


def test_strength_is_in_thresholds_of_the_strongest_window() -> None:
    assert strongest(0.75, 1.0, 1.5, 10.0, 1.0, PARAMS) == 2.0
    assert strongest(-3.0, 1.0, 1.5, 10.0, -1.0, PARAMS) == 2.0
    assert strongest(NAN, NAN, NAN, NAN, 1.0, PARAMS) == 0.0
    assert witnesses(3.0, NAN, 0.6, PARAMS) == (1, 2)


def fired(state: Pump, *bits: Seen, stayed: bool = True) -> Pump:
    at = next_pump(int(state), stayed, sum(1 << b for b in bits))
    return state if at < 0 else TABLE[at][2]


@pytest.mark.parametrize(("state", "bit", "to", "stays"), TABLE)
def test_every_row_fires(state: Pump, bit: Seen, to: Pump, stays: bool) -> None:
    assert fired(state, bit) is to
    assert fired(state, bit, stayed=False) is (state if stays else to)


def test_table_is_whole_and_has_no_dead_row() -> None:
    assert {row[0] for row in TABLE} == set(Pump) == {row[2] for row in TABLE}
    assert len({(row[0], row[1]) for row in TABLE}) == len(TABLE)


def test_unknown_features_never_start_anything() -> None:
    found = seen(NAN, NAN, NAN, NAN, boom=NAN, volume=NAN, trades=NAN, thin=NAN)
    for state in Pump:
        assert fired(state, *found) in (state, Pump.NONE, Pump.COOLDOWN)


def regime(state: Regime, p: Pump, *, news: float = 0.0, spoof: float = NAN, age_s: float = 100.0) -> Regime:
    return Regime(next_regime(int(state), int(p), spoof, news, int(age_s * NS_PER_S), PARAMS))


def test_regime_rules() -> None:
    for p in (Pump.PUMPING, Pump.BLOWOFF, Pump.DUMP):
        assert regime(Regime.NORMAL, p, news=90.0, spoof=90.0) == Regime.PUMP
    assert regime(Regime.NORMAL, Pump.NONE, news=90.0, spoof=60.0) == Regime.MANIPULATED
    assert regime(Regime.NORMAL, Pump.NONE, news=40.0, spoof=59.0) == Regime.NEWS_DRIVEN
    assert regime(Regime.PUMP, Pump.COOLDOWN) == Regime.COOLDOWN
    assert regime(Regime.COOLDOWN, Pump.NONE) == Regime.COOLDOWN_DONE
    assert regime(Regime.COOLDOWN_DONE, Pump.NONE, age_s=59) == Regime.COOLDOWN_DONE
    assert regime(Regime.COOLDOWN_DONE, Pump.NONE, age_s=60) == Regime.NORMAL
    assert [rule for rule, _ in RULES] == sorted(rule for rule, _ in RULES)


@pytest.mark.parametrize(("inside", "name"), [(Regime.MANIPULATED, "spoof"), (Regime.NEWS_DRIVEN, "news")])
def test_regime_hysteresis_and_shortest_stay(inside: Regime, name: str) -> None:
    enter, leave = float(PARAMS[f"{name}_enter"][0]), float(PARAMS[f"{name}_leave"][0])
    assert regime(Regime.NORMAL, Pump.NONE, **{name: enter - 0.1}) == Regime.NORMAL
    assert regime(inside, Pump.NONE, **{name: leave}) == inside
    assert regime(inside, Pump.NONE, **{name: leave - 0.1}) == Regime.NORMAL
    assert regime(inside, Pump.NONE, **{name: leave - 0.1}, age_s=4.9) == inside
    assert regime(inside, Pump.NONE, **{name: NAN}) == Regime.NORMAL


class Walk:
    """A price path at ten samples a second through `update_regime` and the twin."""

    def __init__(self) -> None:
        self.trade = np.zeros(1, TRADE_STATE.dtype)
        self.feature, self.move = np.zeros(1, FEATURES.dtype), np.zeros(1, MOVES.dtype)
        self.twin = NaivePump({name: PARAMS[0][name].tolist() for name in PARAMS.dtype.names})
        self.states: list[tuple[float, Pump]] = [(0.0, Pump.NONE)]
        self.regimes = [Regime.NORMAL]

    def step(self, now_ns: int, values: dict[str, float], thinning: float = NAN, spoof: float = NAN) -> None:
        for name, value in values.items():
            table = self.feature if name in FEATURES.dtype.names else self.move
            table[0][name] = value
        update_regime(self.trade, 0, self.feature[0], self.move[0], thinning, spoof, now_ns, PARAMS)
        self.twin.take(now_ns, values, thinning, spoof)
        now = Pump(self.trade[0]["pump"])
        assert (now, self.trade[0]["pump_top"]) == (self.twin.state, self.twin.top)
        assert Regime(self.trade[0]["regime"]) is self.twin.regime
        if now is not self.states[-1][1]:
            self.states.append((now_ns / NS_PER_S, now))
        if self.twin.regime is not self.regimes[-1]:
            self.regimes.append(self.twin.regime)

    def path(self, prices: np.ndarray, surge: np.ndarray) -> None:
        for k, price in enumerate(prices):
            changes = [(price / prices[max(k - 10 * s, 0)] - 1) * 100 for s in (5, 15, 60, 300)]
            names = ("change_5s_pct", "change_15s_pct", "change_1m_pct", "change_5m_pct")
            self.step(
                (k + 1) * NS_PER_S // 10 + MANY,
                dict(zip(names, changes, strict=True))
                | {
                    "mid": price, "volume_surge": surge[k], "trades_surge": surge[k], "explosion": 0.0, "news_impact": 0.0,
                },
            )

    def names(self) -> list[Pump]:
        return [state for _, state in self.states]


def legs(*parts: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """(seconds, change in %, surge) legs from 1000 on, as prices and surges at 10 Hz."""
    prices, surges, price = [], [], 1000.0
    for seconds, change, surge in parts:
        n = round(seconds * 10)
        after = price * (1 + change / 100)
        prices.append(np.linspace(price, after, n, endpoint=False))
        surges.append(np.full(n, surge))
        price = after
    return np.concatenate(prices), np.concatenate(surges)


def test_a_scripted_pump_walks_through_and_ends_soon_after_its_dump() -> None:
    walk = Walk()
    walk.path(*legs((60, 0.1, 1), (20, 7, 6), (5, 0.2, 6), (6, -4, 6), (240, 0, 1)))
    assert walk.names() == [
        Pump.NONE, Pump.PREPUMP, Pump.PUMPING, Pump.BLOWOFF, Pump.DUMP, Pump.COOLDOWN, Pump.NONE,
    ]  # fmt: skip
    times = {state: at - MANY / NS_PER_S for at, state in walk.states[1:]}
    assert times[Pump.PUMPING] < 60 + 7 and 85 < times[Pump.DUMP] < 91
    assert times[Pump.COOLDOWN] < 91 + 16, "not held by the minute in which the pump still stands"
    assert walk.regimes == [
        Regime.NORMAL, Regime.PUMP, Regime.COOLDOWN, Regime.COOLDOWN_DONE, Regime.NORMAL,
    ]  # fmt: skip


def test_a_slow_pump_is_held_while_it_makes_new_tops() -> None:
    walk = Walk()
    walk.path(*legs((60, 0, 1), (300, 8, 4), (200, 0, 1)))
    assert walk.names()[:3] == [Pump.NONE, Pump.PREPUMP, Pump.PUMPING] and walk.names()[-2:] == [Pump.COOLDOWN, Pump.NONE]
    assert walk.names().count(Pump.PUMPING) == 1
    over = {state: at for at, state in walk.states}[Pump.COOLDOWN] - MANY / NS_PER_S
    assert 360 + 19 < over < 360 + 30, "twenty seconds without a new top"


def test_a_dump_without_a_pump() -> None:
    walk = Walk()
    walk.path(*legs((60, 0, 1), (8, -4, 6), (200, 0, 1)))
    assert walk.names() == [Pump.NONE, Pump.DUMP, Pump.COOLDOWN, Pump.NONE]


def test_the_same_pump_is_not_told_twice_but_a_second_one_is() -> None:
    walk = Walk()
    walk.path(*legs((60, 0, 1), (10, 5, 6), (30, -1, 6), (30, 0.8, 6), (20, 5, 6), (60, 0, 1)))
    assert walk.names().count(Pump.PUMPING) == 2, "over the old top"
    walk = Walk()
    walk.path(*legs((60, 0, 1), (10, 5, 6), (30, -1, 6), (60, 0.8, 6)))
    assert walk.names().count(Pump.PUMPING) == 1


values = st.one_of(st.just(NAN), st.floats(-12, 12))
surges = st.one_of(st.just(NAN), st.floats(0, 8))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30 * NS_PER_S), st.one_of(st.just(NAN), st.floats(900, 1100)),
            st.tuples(values, values, values, values), st.sampled_from([NAN, 0.0, 1.0]), surges, surges,
            st.one_of(st.just(NAN), st.floats(0, 2)), st.one_of(st.just(NAN), st.floats(0, 100)), st.floats(0, 100),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_any_order_of_values_equals_the_twin(calls: list) -> None:
    walk = Walk()
    now_ns = MANY
    for pause, mid, (near, middle, minute, far), boom, volume, trades, thin, spoof, news in calls:
        now_ns += pause
        walk.step(
            now_ns,
            {
                "mid": mid, "change_5s_pct": near, "change_15s_pct": middle, "change_1m_pct": minute, "change_5m_pct": far,
                "explosion": boom, "volume_surge": volume, "trades_surge": trades, "news_impact": news,
            },
            thin, spoof,
        )  # fmt: skip
