"""Explanations, decisions and a funnel as `/api/explain`, `/api/symbol` and `/api/funnel` answer them, made up for pages.

The shapes are the contract of the routes; the numbers are chosen so that pages have something of everything to show.
"""

from __future__ import annotations

import time

from admin.catalogue import features_json
from core.enums import Gate

TERMS = ("imbalance_top", "imbalance_zone", "microprice", "ofi", "walls", "absorption", "flow_fast", "flow_slow",
         "streak", "vpin", "calm", "fees", "pump_penalty", "spread_penalty", "spoof_penalty")  # fmt: skip
GATES = ("DATA", "WARMUP", "FEED", "DEGRADED", "PAUSED", "KILLED", "GLOBAL_REGIME", "REGIME", "SPREAD", "COOLDOWN",
         "SCORE_WATCH", "SCORE_ARM", "WALLS", "FLOW", "MIN_MOVE")  # fmt: skip
THRESHOLDS = {"spread_bps": ("<=", 3.0), "imbalance_n": (">=", 0.2), "delta_10s": (">", 0.0), "atr_1s_bps": (">=", 1.5)}


def explanation(symbol: str, number: int = 4711, gate: str = "FLOW") -> dict:
    """A long side looked at; refused by `gate`, accepted when it is NONE."""
    accepted = gate == "NONE"
    stops = len(GATES) if accepted else GATES.index(gate)
    terms = [{"name": name, "long": round(9.3 - 1.1 * k, 2), "short": round(max(0.0, 0.4 * k - 2), 2), "weight": 10 - k % 4}
             for k, name in enumerate(TERMS[:-3])]  # fmt: skip
    terms += [{"name": name, "long": -2.5 * k, "short": 0.0, "weight": -10} for k, name in enumerate(TERMS[-3:])]
    features = []
    for k, feature in enumerate(features_json()):
        value = None if k == 3 else round(0.37 * k - 1.5, 4)
        row = {"name": feature["name"], "value": value, "unit": feature["unit"], "meaning": feature["meaning"]}
        if feature["name"] in THRESHOLDS and value is not None:
            op, limit = THRESHOLDS[feature["name"]]
            holds = {"<=": value <= limit, ">=": value >= limit, ">": value > limit}[op]
            row["threshold"] = {"op": op, "value": limit, "ok": holds}
        features.append(row)
    return {
        "ok": True, "id": f"{number}-{symbol}", "symbol": symbol, "ts": time.time_ns() // 1_000_000, "side": "long",
        "verdict": "accepted" if accepted else "rejected", "gate": gate,
        "words": [f"{symbol} looked like a long with 71.3 points, over the arm threshold of 70.",
                  "An entry was sent." if accepted else "Aggressive flow does not confirm it: −1,240 USDT in ten seconds, "
                  "and more than 0 is asked for.", "Support of 62 stands 4 ticks below."],
        "state": {"from": "WATCHING_LONG", "to": "ARMED_LONG", "cause": "ARMED"}, "regime": "NORMAL", "pump": "PREPUMP",
        "global_regime": "GLOBAL_NORMAL", "scores": {"long": 71.3, "short": 12.0, "watch": 58.0, "arm": 70.0},
        "terms": terms, "features": features,
        "gates": [{"name": name, "ok": k != stops, "value": 71.3 - k if k > 7 else True, "limit": 70.0 - k if k > 7 else True}
                  for k, name in enumerate(GATES)],
        "plan": {"entry": "101234.5", "stop": "100930.8", "target": "101740.7", "zone_min": "101220.0", "zone_max": "101240.0"}
        if accepted else None,
        "config_version": 3,
    }  # fmt: skip


def decisions(symbol: str) -> list[dict]:
    """The latest decisions of a symbol, newest first."""
    now = time.time_ns() // 1_000_000
    gates = ("FLOW", "NONE", "WALLS", "FLOW", "MIN_MOVE", "SCORE_ARM")
    return [{"id": f"{4711 - k}-{symbol}", "ts": now - 900 * k, "side": "short" if k == 4 else "long", "gate": gate,
             "verdict": "accepted" if gate == "NONE" else "rejected", "score": 71.3 - k}
            for k, gate in enumerate(gates)]  # fmt: skip


def funnel() -> dict:
    """An hour in which most evaluations were stopped by the flow."""
    left = 12_480
    rows = []
    for name, blocked in zip(GATES, (3, 40, 0, 0, 0, 0, 118, 905, 1402, 77, 0, 3120, 611, 5900, 290), strict=True):
        left -= blocked
        rows.append({"name": name, "passed": left, "blocked": blocked})
    assert all(row["name"] in Gate.__members__ for row in rows)
    top = [("SOLUSDT", "FLOW", 0.71, 412), ("ETHUSDT", "SCORE_ARM", 0.55, 301), ("DOGEUSDT", "SPREAD", 0.93, 290),
           ("1000PEPEUSDT", "REGIME", 0.88, 204), ("XRPUSDT", "FLOW", 0.61, 190), ("WIFUSDT", "WALLS", 0.42, 120),
           ("LINKUSDT", "MIN_MOVE", 0.39, 99), ("SUIUSDT", "FLOW", 0.33, 71)]  # fmt: skip
    return {"ok": True, "window_s": 3600, "evaluations": 12_480, "accepted": left, "gates": rows,
            "top_blockers": [dict(zip(("symbol", "gate", "share", "count"), row, strict=True)) for row in top]}  # fmt: skip
