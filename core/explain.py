"""DECISION records in words and numbers (requirement G5). Pure: records in, plain dicts and sentences out.

`plain` is what is written to disk, one flat dict per record with names instead of positions; `explanation` turns such a
dict into the answer of `/api/explain` and `launch.py explain`. Both are additive (`v`); unknown numbers are None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from core.engine.gate_list import GATES
from core.enums import Category, Cause, DataState, FeedState, Gate, GlobalRegime, Pump, Regime, State
from core.features.registry import ALL_FEATURES
from core.score.terms import TERM_NAMES, TERMS
from core.units import format_units

VERSION = 1
DIGITS = 6
ENUMS: dict[str, type[IntEnum]] = {
    "gate": Gate, "state_from": State, "state_to": State, "cause": Cause, "regime": Regime, "pump": Pump,
    "global_regime": GlobalRegime, "category": Category,
}
_INTS = ("seq", "ts_ns", "config_version", "profile_version", "attempts", "nudges", "signal_ns")
_SCORES = ("score_long", "score_short", "watch", "arm", "profile_raise", "profile_size")
_ARRAYS = ("terms_long", "terms_short", "weights", "gate_value", "gate_limit", "features")
_FEATURE_NAMES = tuple(feature.name for feature in ALL_FEATURES)
_PRICES = ("price", "stop", "target", "target2", "target3", "zone_min", "zone_ideal", "zone_max")


class Naming(NamedTuple):
    """What a record needs of its instrument: its name, and prices = ticks x tick_mant / 10^price_exp, exactly."""

    name: str
    tick_mant: int
    price_exp: int

    def price(self, ticks: int) -> str | None:
        """Decimal text; None for 0 (no price)."""
        if ticks == 0:
            return None
        return format_units(int(ticks), self.tick_mant, self.price_exp)


def naming_of(row: Any) -> Naming:
    """From one SYMBOL record."""
    name = bytes(row["name"]).rstrip(b"\0").decode("ascii", "replace")
    return Naming(name, int(row["tick_mant"]), int(row["price_exp"]))


def name_of(enum: type[IntEnum], value: int) -> str:
    try:
        return enum(value).name
    except ValueError:
        return str(value)


def decision_id(seq: int, symbol: str) -> str:
    """`<seq of the event>-<symbol>`: one symbol is evaluated once per event."""
    return f"{seq}-{symbol}"


def numbers(values: np.ndarray) -> list[Any]:
    """The values of a float array rounded to six digits behind the point, nested as it is; None for nan and infinities."""
    rounded = np.round(values.astype(np.float64), DIGITS)
    unknown = ~np.isfinite(rounded)
    return np.where(unknown, None, rounded).tolist() if unknown.any() else rounded.tolist()  # type: ignore[call-overload]


def plain_rows(records: np.ndarray, naming: Callable[[int], Naming]) -> Iterator[dict[str, Any]]:
    """DECISION records (n,) as dicts of names; what is not known is None. Column by column: there are 700 records a second
    with 180 numbers each."""
    ints = {name: records[name].tolist() for name in ("symbol", "side", "verdict", "gates_open", *_INTS, *ENUMS)}
    prices = {name: records[f"{name}_ticks"].tolist() for name in _PRICES}
    floats = {name: numbers(records[name]) for name in (*_SCORES, *_ARRAYS)}
    for k in range(len(records)):
        name = naming(ints["symbol"][k])
        out: dict[str, Any] = {"v": VERSION, "id": decision_id(ints["seq"][k], name.name), "symbol": name.name}
        out |= {key: ints[key][k] for key in _INTS}
        out |= {key: name_of(enum, ints[key][k]) for key, enum in ENUMS.items()}
        out["side"] = ints["side"][k]
        out["accepted"] = bool(ints["verdict"][k])
        out |= {key: floats[key][k] for key in _SCORES}
        out |= {key: name.price(prices[key][k]) for key in _PRICES}
        terms = zip(TERM_NAMES, floats["terms_long"][k], floats["terms_short"][k], floats["weights"][k], strict=True)
        out["terms"] = {key: list(values) for key, *values in terms}
        opened, values, limits = ints["gates_open"][k], floats["gate_value"][k], floats["gate_limit"][k]
        out["gates"] = {gate.name: [bool(opened >> n & 1), values[n], limits[n]] for n, gate in enumerate(GATES)}
        out["features"] = dict(zip(_FEATURE_NAMES, floats["features"][k], strict=True))
        yield out


def plain(record: np.ndarray, naming: Naming) -> dict[str, Any]:
    """One DECISION record as `plain_rows` gives it."""
    return next(plain_rows(record.reshape(1), lambda symbol: naming))


# --- words -----------------------------------------------------------------------------------------------------------
def text(value: Any, digits: int = 2) -> str:
    """A number for people; `unknown` for None."""
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return value
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Say = Callable[[Any, Any], str]
GATE_WORDS: dict[Gate, Say] = {
    Gate.DATA: lambda v, li: f"the book cannot be believed ({name_of(DataState, int(v or 0))})",
    Gate.WARMUP: lambda v, li: "the features are still warming up",
    Gate.FEED: lambda v, li: f"the market feed is {name_of(FeedState, int(v or 0))}",
    Gate.DEGRADED: lambda v, li: "the system is DEGRADED: latency or backlog over its limit",
    Gate.PAUSED: lambda v, li: "entries are paused",
    Gate.KILLED: lambda v, li: "the kill switch is latched",
    Gate.GLOBAL_REGIME: lambda v, li: f"the whole market is {name_of(GlobalRegime, int(v or 0))}",
    Gate.REGIME: lambda v, li: f"the symbol's regime is {name_of(Regime, int(v or 0))}; only NORMAL and COOLDOWN_DONE may trade",
    Gate.SPREAD: lambda v, li: f"the spread is {text(v)} bps, allowed are {text(li)} (and more than 0)",
    Gate.IN_POSITION: lambda v, li: "already in a position on this symbol",
    Gate.DUPLICATE: lambda v, li: "an order of this symbol is working or unanswered",
    Gate.COOLDOWN: lambda v, li: f"cooldown active, {text(v, 0)} s left",
    Gate.SCORE_WATCH: lambda v, li: f"the score is {text(v, 1)}, watching needs {text(li, 1)}",
    Gate.SCORE_ARM: lambda v, li: f"the score is {text(v, 1)}, an entry needs {text(li, 1)}",
    Gate.NEWS: lambda v, li: f"news impact {text(v, 0)} is at or over {text(li, 0)}",
    Gate.EXPLOSION: lambda v, li: "the price explodes",
    Gate.LIQ_SAFETY: lambda v, li: f"liquidation is too near: safety {text(v, 0)}, wanted {text(li, 0)}",
    Gate.WALLS: lambda v, li: f"walls stand against this side: {text(v, 0)}, allowed {text(li, 0)}",
    Gate.FLOW: lambda v, li: f"the flow does not agree ({text(v)}; it must be over 0)",
    Gate.ATTEMPTS: lambda v, li: f"max attempts reached: {text(v, 0)} of {text(li, 0)}",
    Gate.BLACKLIST: lambda v, li: "the symbol is blacklisted (by the settings or by its profile)",
    Gate.MIN_MOVE: lambda v, li: f"the fees need a move of {text(v, 1)} bps, the farthest target allowed is {text(li, 1)} bps",
    Gate.ZONE: lambda v, li: f"the price is {text(v, 1)} bps outside the entry zone",
    Gate.SKIP_DAY: lambda v, li: f"no entries on {_DAYS[int(v or 0) % 7]}",
    Gate.SKIP_HOURS: lambda v, li: f"outside the trading hours: hour {text(v, 0)} UTC",
    Gate.SKIP_VOLATILITY: lambda v, li: f"the external volatility index is {text(v, 1)}, over {text(li, 1)}",
}
REFUSAL_WORDS: dict[Gate, str] = {
    Gate.MAX_POSITIONS: "max positions reached: close one, or raise trading.account.max_positions",
    Gate.BALANCE: "insufficient balance for another entry",
    Gate.DAILY_LOSS: "the loss of this UTC day is at its limit; entries come back tomorrow",
    Gate.HEAT: "the open risk is at its limit",
    Gate.MIN_SIZE: "the size is under the instrument's smallest order",
    Gate.SYMBOL_LIMIT: "the size is over the instrument's largest order",
    Gate.MODE: "this mode sends no orders: the order was built and checked only",
    Gate.EXPIRED: "the intent was too old when it arrived",
    Gate.INTEGRITY: "orders or positions do not agree with the exchange: see the differences on the page",
    Gate.TIER: "the capital tier does not allow it: `launch.py rollout status` tells why",
    Gate.TRADES_A_DAY: "the tier's trades of this UTC day are used up; entries come back tomorrow",
    Gate.CHURN: "the symbol was traded in circles: look why, then `launch.py enable SYMBOL`",
    Gate.ORDER_RATE: "too many entries within a minute (safety.limits.max_orders_per_minute)",
    Gate.COLLAR: "the price is too far from the mark price, or the mark price is not known",
    Gate.LIQUIDATION: "liquidation would be too near the stop, or an open position is near its own",
    Gate.LEVERAGE: "the leverage is over 25",
    Gate.ADL: "an open position is high in the queue of auto-deleveraging",
    Gate.MARGIN_RATIO: "too little of the equity would stay free (safety.limits.min_margin_ratio_pct)",
    Gate.CORRELATED: "too much would be open in one direction (safety.limits.max_correlated_pct)",
    Gate.NO_STOP: "an entry without a stop is never sent",
}
"""What only execution can refuse, in words that help (requirement C7)."""
assert set(GATE_WORDS) == set(GATES)

_FEATURE_GATES: dict[str, tuple[Gate, str]] = {
    "spread_bps": (Gate.SPREAD, "<="), "liq_safety": (Gate.LIQ_SAFETY, ">="), "news_impact": (Gate.NEWS, "<"),
    "explosion": (Gate.EXPLOSION, "<="),
}


def gate_words(gate: Gate, value: Any = None, limit: Any = None) -> str:
    """Why a gate keeps the symbol out, in one clause."""
    say = GATE_WORDS.get(gate)
    return say(value, limit) if say else REFUSAL_WORDS.get(gate, gate.name.replace("_", " ").lower())


RULE_WORDS: dict[Cause, str] = {
    Cause.BREAK_EVEN: "the trade has paid for itself, so the stop covers entry and fees",
    Cause.TRAIL: "the first target was reached, so the stop follows the best price",
    Cause.TIGHTEN: "blow-off or panic: profit is taken nearer and the stop follows closer",
    Cause.WIDEN: "manipulated book or news: the stop gives room, within the risk that was allowed at the entry",
}
"""Why a stop or a target moved (core/position/README.md)."""


def protect_words(rule: int, stop_before: str | None, stop: str | None, bps: float, r: float) -> str:
    """A PROTECT line told to a trader; prices as decimal text, None for no stop."""
    why = RULE_WORDS.get(Cause(rule), name_of(Cause, rule)) if rule in Cause._value2member_map_ else str(rule)
    moved = f"stop {stop_before or 'none'} to {stop}" if stop != stop_before else f"stop stays at {stop}"
    return f"{moved} at {bps:+.1f} bps ({r:+.2f} R): {why}"


def _targets(d: dict[str, Any]) -> str:
    return ", ".join(price for price in (d["target"], d.get("target2"), d.get("target3")) if price) or "none"


def side_word(side: int) -> str:
    return "long" if side > 0 else "short" if side < 0 else "either side"


def sentences(d: dict[str, Any]) -> list[str]:
    """The decision told to a trader, most important first."""
    side, symbol = side_word(d["side"]), d["symbol"]
    score = d["score_long"] if d["side"] > 0 else d["score_short"]
    gate = Gate[d["gate"]]
    words = []
    if d["accepted"]:
        words.append(f"{symbol}: {side} entry sent at {text(d['price'])}, stop {text(d['stop'])}, "
                     f"targets {_targets(d)} (attempt {d['attempts']}).")
    elif gate is Gate.NONE:
        words.append(f"{symbol}: no gate is shut for a {side}; state {d['state_to']}.")
    else:
        _, value, limit = d["gates"].get(gate.name, (False, None, None))
        words.append(f"{symbol}: no {side} entry, because {gate_words(gate, value, limit)}.")
    raised = f" (raised by {text(d['profile_raise'], 1)} by the symbol profile)" if d["profile_raise"] else ""
    words.append(f"The {side} score is {text(score, 1)}; watching starts at {text(d['watch'], 1)}, an entry at "
                 f"{text(d['arm'], 1)}{raised}.")
    column = 0 if d["side"] > 0 else 1
    points = {name: row[column] for name, row in d["terms"].items()}
    for_it = sorted(((p, n) for n, p in points.items() if p and p > 0), reverse=True)[:3]
    against = sorted((p, n) for n, p in points.items() if p and p < 0)
    if for_it:
        words.append("Most points come from " + ", ".join(f"{n} (+{text(p, 1)})" for p, n in for_it) + ".")
    if against:
        words.append("Taken away: " + ", ".join(f"{n} ({text(p, 1)})" for p, n in against) + ".")
    unknown = [name for name, p in points.items() if p is None]
    if unknown:
        words.append(f"Not known, so without points: {', '.join(unknown)}.")
    if d["state_from"] != d["state_to"]:
        words.append(f"State {d['state_from']} to {d['state_to']} ({d['cause'].replace('_', ' ').lower()}).")
    words.append(f"Regime {d['regime']}, pump {d['pump']}, market {d['global_regime']}; settings version "
                 f"{d['config_version']}.")
    return words


def _threshold(d: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in _FEATURE_GATES:
        return {}
    gate, op = _FEATURE_GATES[name]
    is_open, _, limit = d["gates"].get(gate.name, (True, None, None))
    return {"threshold": {"op": op, "value": limit, "ok": is_open}}


def explanation(d: dict[str, Any]) -> dict[str, Any]:
    """The answer to "why": see `/api/explain` in admin/README.md. `d`: a dict as `plain` makes it."""
    groups = {term.name: term for term in TERMS}
    fields = {f.name: f for f in ALL_FEATURES}
    terms = [
        {"name": name, "group": groups[name].group if name in groups else "", "long": row[0], "short": row[1],
         "weight": row[2], "meaning": groups[name].sentence if name in groups else ""}
        for name, row in d["terms"].items()
    ]
    features = [
        {"name": name, "value": value, "unit": fields[name].unit if name in fields else "",
         "meaning": fields[name].sentence if name in fields else "", **_threshold(d, name)}
        for name, value in d["features"].items()
    ]
    gates = [
        {"name": name, "ok": ok, "value": value, "limit": limit,
         "words": "" if ok or name not in Gate.__members__ else gate_words(Gate[name], value, limit)}
        for name, (ok, value, limit) in d["gates"].items()
    ]
    plan = None
    if d["price"] is not None:
        plan = {"entry": d["price"], "stop": d["stop"], "target": d["target"],
                "targets": [p for p in (d["target"], d.get("target2"), d.get("target3")) if p], "zone_min": d["zone_min"],
                "zone_ideal": d["zone_ideal"], "zone_max": d["zone_max"]}
    return {
        "id": d["id"], "symbol": d["symbol"], "ts": d["ts_ns"] // 1_000_000,
        "side": side_word(d["side"]), "verdict": "accepted" if d["accepted"] else "rejected", "gate": d["gate"],
        "words": sentences(d), "state": {"from": d["state_from"], "to": d["state_to"], "cause": d["cause"]},
        "regime": d["regime"], "pump": d["pump"], "global_regime": d["global_regime"], "category": d["category"],
        "scores": {"long": d["score_long"], "short": d["score_short"], "watch": d["watch"], "arm": d["arm"]},
        "terms": terms, "features": features, "gates": gates, "plan": plan, "attempts": d["attempts"],
        "nudges": d["nudges"], "config_version": d["config_version"],
        "profile": {"version": d["profile_version"], "raise": d["profile_raise"], "size": d["profile_size"]},
        "live": False,
    }


def brief(d: dict[str, Any]) -> dict[str, Any]:
    """One row of a list of decisions."""
    score = d["score_long"] if d["side"] > 0 else d["score_short"]
    return {"id": d["id"], "ts": d["ts_ns"] // 1_000_000, "side": side_word(d["side"]),
            "verdict": "accepted" if d["accepted"] else "rejected", "gate": d["gate"], "score": score}
