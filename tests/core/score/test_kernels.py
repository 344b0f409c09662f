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
from core.score.kernels import raw_signals, reset_score, update_score
from core.score.terms import INPUTS, N_PENALTIES, N_SIGNALS, N_TERMS, TERM_NAMES
from core.state.trade import TRADE_STATE
from tests.reference import score as reference

PARAMS = params_row(Settings(), 1)
P = {name: PARAMS[0][name].tolist() for name in PARAMS.dtype.names or ()}
NAMES = tuple(field.name for field in INPUTS.fields)


class Scored:
    """One slot."""

    def __init__(self) -> None:
        self.trade = np.zeros(1, TRADE_STATE.dtype)
        self.signals = np.full((1, N_SIGNALS), np.nan)
        self.terms = np.full((1, 2, N_TERMS), np.nan)
        self.raw, self.shares = np.zeros(N_SIGNALS), np.zeros(N_PENALTIES)
        self.inputs = np.zeros(1, INPUTS.dtype)

    def take(self, now_ns: int, x: dict[str, float | None]) -> None:
        for name, value in x.items():
            self.inputs[0][name] = math.nan if value is None else value
        raw_signals(self.raw, self.inputs, PARAMS)
        update_score(
            self.trade, 0, self.signals, self.terms, self.raw, self.shares, self.inputs, now_ns, PARAMS
        )

    @property
    def scores(self) -> tuple[float, float]:
        return float(self.trade[0]["score_long"]), float(self.trade[0]["score_short"])


def inputs(rng: random.Random, unknown: float = 0.2) -> dict[str, float | None]:
    """A random look; each number is unknown with that probability."""
    buy, sell = rng.expovariate(1e-4), rng.expovariate(1e-4)
    x: dict[str, float | None] = {
        "imbalance_top": rng.uniform(-1, 1), "imbalance_levels": rng.uniform(-1, 1),
        "imbalance_zone": rng.uniform(-1, 1), "micro_offset": rng.uniform(-1.5, 1.5), "ofi": rng.gauss(0, 1e5),
        "depth": rng.choice([0.0, rng.expovariate(1e-5)]), "delta_fast": buy - sell, "volume_fast": buy + sell,
        "delta_slow": sell - buy, "volume_slow": rng.choice([0.0, buy + sell]), "rate_slow": rng.expovariate(0.5),
        "streak": float(rng.randrange(-20, 21)), "vpin": rng.random(), "atr_bps": rng.expovariate(0.3),
        "min_move_bps": 14.0, "spread_bps": rng.choice([0.5, 2.0, 7.0, 30.0]), "spoof_lean": rng.uniform(-1.2, 1.2),
        "explosion": 0.0, "wall_bid_bps": 3.0, "wall_ask_bps": 3.0,
    }  # fmt: skip
    for name in ("support", "resistance", "absorb_bid", "absorb_ask", "liq_safety", "spoof", "layering", "news"):
        x[name] = rng.uniform(0, 100)
    assert set(x) == set(NAMES)
    return {name: None if rng.random() < unknown else value for name, value in x.items()}


def close(mine: float, twin: float | None) -> bool:
    return math.isnan(mine) if twin is None else mine == pytest.approx(twin, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_kernels_equal_the_twin(seed: int) -> None:
    rng = random.Random(seed)
    mine, twin = Scored(), reference.NaiveScore(P)
    mine.trade[0]["category"] = category = seed % 3
    widest = P["max_spread_bps"][category]
    now_ns = 10**18
    for _ in range(400):
        now_ns += rng.randrange(0, 300 * NS_PER_MS)
        pump = rng.choice([Pump.NONE, Pump.NONE, Pump.PUMPING, Pump.BLOWOFF])
        mine.trade[0]["pump"] = pump
        x = inputs(rng)
        mine.take(now_ns, x)
        twin.take(now_ns, x)
        level = {Pump.PUMPING: 1, Pump.BLOWOFF: 2}.get(pump, 0)
        for side, value in zip((1, -1), mine.scores, strict=True):
            terms = twin.terms(side, level, x, widest)
            row = mine.terms[0, 0 if side > 0 else 1]
            assert all(close(row[k], terms[name]) for k, name in enumerate(TERM_NAMES))
            assert value == pytest.approx(twin.score(side, level, x, widest), rel=1e-9, abs=1e-9)
            assert value == pytest.approx(min(max(np.nansum(row), 0.0), 100.0), abs=1e-9)
    assert mine.trade[0]["flow"] == pytest.approx(twin.flow(), rel=1e-9)


def mirrored(x: dict[str, float | None]) -> dict[str, float | None]:
    """The same market seen from the other side."""
    swap = {"support": "resistance", "absorb_bid": "absorb_ask", "wall_bid_bps": "wall_ask_bps"}
    swap |= {b: a for a, b in swap.items()}
    odd = {"imbalance_top", "imbalance_levels", "imbalance_zone", "micro_offset", "ofi", "delta_fast", "delta_slow", "streak",
           "spoof_lean"}
    y = {name: x[swap.get(name, name)] for name in x}
    return {name: -v if v is not None and name in odd else v for name, v in y.items()}


def test_buy_and_sell_are_mirror_images() -> None:
    rng = random.Random(9)
    for _ in range(100):
        x = inputs(rng)
        one, two = Scored(), Scored()
        one.take(10**18, x)
        two.take(10**18, mirrored(x))
        assert one.scores == pytest.approx(two.scores[::-1])


def test_what_is_not_known_gives_nothing_and_is_shown_as_unknown() -> None:
    one = Scored()
    one.take(10**18, dict.fromkeys(NAMES))
    assert one.scores == (0.0, 0.0) and one.trade[0]["flow"] == 0.0
    known = {"pump"}
    for k, name in enumerate(TERM_NAMES):
        assert math.isnan(one.terms[0, 0, k]) == (name not in known), name


def test_known_but_empty_is_zero_and_not_unknown() -> None:
    one = Scored()
    quiet = dict.fromkeys(NAMES, 0.0) | {"depth": 1000.0, "min_move_bps": 14.0, "atr_bps": 1.0}
    one.take(10**18, quiet)
    assert not np.isnan(one.terms).any()
    assert one.terms[0, 0, TERM_NAMES.index("flow")] == 0.0


def test_a_signal_that_becomes_known_starts_at_its_value() -> None:
    one = Scored()
    x = inputs(random.Random(4), unknown=0.0) | {"vpin": None}
    one.take(10**18, x)
    one.take(10**18 + NS_PER_MS, x | {"vpin": 0.5, "delta_slow": 1000.0, "volume_slow": 1000.0})
    assert one.signals[0, TERM_NAMES.index("vpin")] == 0.5


def test_one_flickering_quote_cannot_arm() -> None:
    one = Scored()
    quiet = dict.fromkeys(NAMES, 0.0) | {"depth": 1e5, "min_move_bps": 14.0, "atr_bps": 3.0, "volume_slow": 1e4,
                                         "volume_fast": 1e3, "rate_slow": 5.0, "liq_safety": 80.0}  # fmt: skip
    loud = quiet | {"imbalance_top": 1.0, "imbalance_levels": 1.0, "imbalance_zone": 1.0, "micro_offset": 1.0, "ofi": 1e5,
                    "delta_slow": 1e4, "delta_fast": 1e3, "streak": 10.0}
    arm = float(PARAMS[0]["arm"][0])
    one.take(10**18, quiet)
    calm = one.scores[0]
    one.take(10**18 + 20 * NS_PER_MS, loud)
    assert one.scores[0] - calm < 5.0
    one.take(10**18 + 20_000 * NS_PER_MS, loud)
    assert one.scores[0] > arm  # book and flow in full agreement are enough without any wall


def test_fake_walls_cost_the_side_they_stand_on() -> None:
    x = inputs(random.Random(6), unknown=0.0) | {"spoof": 80.0, "spoof_lean": 1.0}
    one = Scored()
    one.take(10**18, x)
    at = TERM_NAMES.index("spoof")
    assert one.terms[0, 0, at] == pytest.approx(-0.8 * P["penalties"][1]) and one.terms[0, 1, at] == 0.0


def test_shipped_weights_add_up_to_100() -> None:
    assert sum(P["weights"]) == pytest.approx(100.0)


def test_reset() -> None:
    one = Scored()
    one.take(10**18, inputs(random.Random(3)))
    reset_score(one.trade, 0, one.signals, one.terms)
    assert one.scores == (0.0, 0.0) and np.isnan(one.signals).all() and np.isnan(one.terms).all()
