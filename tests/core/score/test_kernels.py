"""Score kernels against the plain twin, and what a score must never do."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from config.schema import Settings
from core.constants import NS_PER_MS
from core.enums import Pump
from core.params import params_row
from core.score.kernels import (
    N_SIGNALS,
    N_TERMS,
    TERM_NAMES,
    raw_signals,
    reset_score,
    update_score,
    volatility_signal,
)
from core.state.trade import TRADE_STATE
from tests.reference import score as reference

PARAMS = params_row(Settings(), 1)
WEIGHTS = {
    "imbalance": 30.0, "flow": 30.0, "microprice": 15.0, "streak": 10.0, "volatility": 15.0, "pump": 40.0,
    "spread": 30.0,
}  # fmt: skip


class Scored:
    """One slot."""

    def __init__(self) -> None:
        self.trade = np.zeros(1, TRADE_STATE.dtype)
        self.signals = np.zeros((1, N_SIGNALS))
        self.terms = np.zeros((1, 2, N_TERMS))
        self.raw = np.zeros(8)

    def take(self, now_ns: int, f: dict[str, float], volatility: float) -> None:
        half_spread = 0.5 * f["spread_bps"] * f["mid"] * 1e-4
        offset = (f["microprice"] - f["mid"]) / half_spread if half_spread > 0 else 0.0
        raw_signals(
            self.raw, f["imbalance_top"], f["imbalance_n"], f["delta_10s"], f["buy_10s"] + f["sell_10s"],
            f["trades_per_s_10s"], offset, f["streak"], volatility,
        )
        update_score(self.trade, 0, self.signals, self.terms, self.raw, f["spread_bps"], now_ns, PARAMS)

    @property
    def scores(self) -> tuple[float, float]:
        return float(self.trade[0]["score_long"]), float(self.trade[0]["score_short"])


def features(rng: random.Random) -> dict[str, float]:
    buy, sell = rng.expovariate(1e-4), rng.expovariate(1e-4)
    mid = 1000.0 + rng.random() * 1e5
    spread = rng.choice([0.5, 2.0, 7.0, 30.0])
    top = rng.uniform(-1, 1)
    return {
        "mid": mid, "spread_bps": spread, "microprice": mid + top * 0.5 * spread * mid * 1e-4, "imbalance_top": top,
        "imbalance_n": rng.uniform(-1, 1), "delta_10s": buy - sell, "buy_10s": buy, "sell_10s": sell,
        "trades_per_s_10s": rng.expovariate(0.5), "streak": float(rng.randrange(-20, 21)),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_kernels_equal_the_twin(seed: int) -> None:
    rng = random.Random(seed)
    mine, twin = Scored(), reference.NaiveScore(WEIGHTS, 500 * NS_PER_MS)
    mine.trade[0]["category"] = category = seed % 3
    now_ns = 10**18
    for _ in range(300):
        now_ns += rng.randrange(0, 300 * NS_PER_MS)
        pump = rng.choice([Pump.NONE, Pump.NONE, Pump.PUMPING, Pump.BLOWOFF])
        mine.trade[0]["pump"] = pump
        f, atr = features(rng), rng.expovariate(0.3)
        volatility = volatility_signal(atr, 14.0, 60.0)
        assert volatility == pytest.approx(reference.volatility(atr, 14.0, 60.0), rel=1e-12)
        mine.take(now_ns, f, volatility)
        twin.take(now_ns, reference.signals(f, volatility))
        level = {Pump.PUMPING: 1, Pump.BLOWOFF: 2}.get(pump, 0)
        for side, value in zip((1, -1), mine.scores, strict=True):
            expected = twin.score(side, level, f["spread_bps"], float(PARAMS[0]["max_spread_bps"][category]))
            assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert 0.0 <= value <= 100.0
            total = mine.terms[0, 0 if side > 0 else 1].sum()
            assert value == pytest.approx(min(max(total, 0.0), 100.0), abs=1e-9)
    assert mine.trade[0]["flow"] == mine.signals[0, TERM_NAMES.index("flow")]


def test_buy_and_sell_are_mirror_images() -> None:
    rng = random.Random(9)
    for _ in range(100):
        f = features(rng)
        g = dict(f)
        for name in ("imbalance_top", "imbalance_n", "delta_10s", "streak"):
            g[name] = -f[name]
        g["microprice"] = 2 * f["mid"] - f["microprice"]
        one, two = Scored(), Scored()
        one.take(10**18, f, 0.4)
        two.take(10**18, g, 0.4)
        assert one.scores == pytest.approx(two.scores[::-1])


def test_unknown_features_score_nothing() -> None:
    one = Scored()
    f = dict.fromkeys(features(random.Random(1)), math.nan)
    one.take(10**18, f, volatility_signal(math.nan, math.nan, 60.0))
    assert one.scores == (0.0, 0.0)
    assert not np.isnan(one.signals).any() and not np.isnan(one.terms).any()


def test_one_flickering_quote_cannot_arm() -> None:
    one = Scored()
    quiet = features(random.Random(2)) | {
        "imbalance_top": 0.0, "imbalance_n": 0.0, "delta_10s": 0.0, "streak": 0.0, "spread_bps": 1.0,
    }  # fmt: skip
    quiet["microprice"] = quiet["mid"]
    loud = quiet | {"imbalance_top": 1.0, "imbalance_n": 1.0, "delta_10s": quiet["buy_10s"] + quiet["sell_10s"]}
    one.take(10**18, quiet, 0.5)
    one.take(10**18 + 20 * NS_PER_MS, loud, 0.5)
    assert one.scores[0] < 15.0
    one.take(10**18 + 20_000 * NS_PER_MS, loud, 0.5)
    assert one.scores[0] > 55.0


def test_reset() -> None:
    one = Scored()
    one.take(10**18, features(random.Random(3)), 0.5)
    reset_score(one.trade, 0, one.signals, one.terms)
    assert one.scores == (0.0, 0.0) and not one.signals.any() and not one.terms.any()
