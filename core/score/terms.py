"""The terms of FinalScalpScore, once: name, group, what it says. Settings, parameters, records and pages follow this order.

A weight is `weight_<name>` in `[score]`, a penalty `penalty_<name>`.
"""

from __future__ import annotations

from typing import NamedTuple

from core.records import _record


class Term(NamedTuple):
    name: str
    group: str
    sentence: str


SIDED: tuple[Term, ...] = (
    Term("imbalance_top", "book", "more size at the best price of our side"),
    Term("imbalance_zone", "book", "more size over the levels of our side"),
    Term("microprice", "book", "the microprice leans our way"),
    Term("ofi", "book", "orders are added on our side and pulled from the other"),
    Term("walls", "walls", "a wall behind us and none ahead"),
    Term("absorption", "walls", "a wall or iceberg on our side is hit and stands"),
    Term("flow", "flow", "aggressors of the last second are on our side"),
    Term("cvd_slope", "flow", "the cumulative volume delta moves our way"),
    Term("streak", "flow", "trades in a row on our side"),
    Term("vpin", "flow", "informed flow on our side"),
)
"""Signals in -1..1: a side gets points for its own sign only."""
UNSIDED: tuple[Term, ...] = (
    Term("volatility", "volatility", "calm enough to be planned"),
    Term("fee", "fee", "moves enough to pay the fees"),
    Term("leverage", "leverage", "liquidation is far away"),
)
"""Signals in 0..1, the same for both sides."""
PENALTIES: tuple[Term, ...] = (
    Term("pump", "penalty", "the price pumps (against longs)"),
    Term("spoof", "penalty", "walls are placed and pulled"),
    Term("layering", "penalty", "orders are layered"),
    Term("news", "penalty", "fresh news"),
    Term("spread", "penalty", "the spread is wide"),
)
"""Shares in 0..1 (pump 0..2), taken away."""

TERMS: tuple[Term, ...] = SIDED + UNSIDED + PENALTIES
TERM_NAMES: tuple[str, ...] = tuple(term.name for term in TERMS)
N_SIDED = len(SIDED)
N_SIGNALS = N_SIDED + len(UNSIDED)  # the first terms have a smoothed signal
N_PENALTIES = len(PENALTIES)
N_TERMS = len(TERMS)
WEIGHT_KEYS: tuple[str, ...] = tuple(f"weight_{term.name}" for term in SIDED + UNSIDED)
PENALTY_KEYS: tuple[str, ...] = tuple(f"penalty_{term.name}" for term in PENALTIES)

INPUTS = _record(
    "INPUTS", 224, "what the score and the gates look at, gathered from the feature tables; nan = not known",
    ("imbalance_top", "f8", "-1..1", "imbalance of the best levels"),
    ("imbalance_levels", "f8", "-1..1", "imbalance over a number of levels"),
    ("imbalance_zone", "f8", "-1..1", "imbalance within a distance of the mid"),
    ("micro_offset", "f8", "-1..1", "(microprice - mid) / half spread"),
    ("ofi", "f8", "USDT", "order-flow imbalance, slow window"),
    ("depth", "f8", "USDT", "mean of both sides' depth near the mid"),
    ("support", "f8", "0..100", "WallSupportScore"),
    ("resistance", "f8", "0..100", "WallResistanceScore"),
    ("absorb_bid", "f8", "0..100", "absorption at a bid wall or iceberg"),
    ("absorb_ask", "f8", "0..100", "absorption at an ask wall or iceberg"),
    ("delta_fast", "f8", "USDT", "bought - sold by aggressors, fast window"),
    ("volume_fast", "f8", "USDT", "bought + sold, fast window"),
    ("delta_slow", "f8", "USDT", "bought - sold, slow window"),
    ("volume_slow", "f8", "USDT", "bought + sold, slow window"),
    ("rate_slow", "f8", "1/s", "trades per second, slow window"),
    ("streak", "f8", "trades", "signed streak"),
    ("vpin", "f8", "0..1", "volume-synchronised probability of informed trading"),
    ("atr_bps", "f8", "bps", "micro-ATR of 1 s candles"),
    ("min_move_bps", "f8", "bps", "MinMoveForProfit"),
    ("spread_bps", "f8", "bps", "spread"),
    ("liq_safety", "f8", "0..100", "LiqSafetyScore"),
    ("spoof", "f8", "0..100", "SpoofingScore"),
    ("spoof_lean", "f8", "-1..1", "+1 = the fake walls are bids"),
    ("layering", "f8", "0..100", "layering"),
    ("news", "f8", "0..100", "NewsImpactScore, decayed"),
    ("explosion", "f8", "0/1", "ExplosionFlag"),
    ("wall_bid_bps", "f8", "bps", "distance of the bid wall from the mid"),
    ("wall_ask_bps", "f8", "bps", "distance of the ask wall from the mid"),
)
