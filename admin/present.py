"""Snapshots to JSON-ready rows, for REST and for the push channel alike. Pure. REST prices and quantities are strings."""

from __future__ import annotations

import math
from typing import SupportsFloat, SupportsInt

import numpy as np

from admin.snapshot import Snapshot, SymbolInfo
from core.enums import Category, DataState, Gate, GlobalRegime, Mode, Pump, Regime, State
from core.records import GLOBAL

E8 = 1e8
MAINTENANCE = 0.005  # Bybit's smallest maintenance margin
FLAG_NAMES = ((1, "wall"), (2, "spoof"), (4, "news"), (8, "liquidations"))


def name_of(enum: type, value: int) -> str:
    """Name of an enum value; the number itself when a newer writer uses one we do not know."""
    try:
        return str(enum(value).name)
    except ValueError:
        return str(value)


def number(value: SupportsFloat, digits: int = 4) -> float | None:
    """A float for JSON: None for nan and infinities."""
    real = float(value)
    return round(real, digits) if math.isfinite(real) else None


def usdt(e8: SupportsInt) -> float:
    """1e-8 USDT as USDT with four decimals."""
    return round(int(e8) / E8, 4)


def hot_row(info: SymbolInfo, row: np.ndarray, age_ms: int | None) -> dict:
    """One symbol of /api/hotlist."""
    flags = int(row["flags"])
    return {
        "symbol": info.name, "category": name_of(Category, int(row["category"])), "shard": info.shard,
        "last": info.price(int(row["last_ticks"])), "bid": info.price(int(row["bid_ticks"])),
        "ask": info.price(int(row["ask_ticks"])), "bid_qty": info.quantity(int(row["bid_lots"])),
        "ask_qty": info.quantity(int(row["ask_lots"])), "spread_bps": number(row["spread_bps"]),
        "change_1m_pct": number(row["change_1m_pct"]), "delta_1s_usdt": number(row["delta_1s"], 2),
        "delta_10s_usdt": number(row["delta_10s"], 2), "imbalance": number(row["imbalance"]),
        "trades_per_s": number(row["trades_per_s"], 2), "atr_1s_bps": number(row["atr_1s_bps"]),
        "regime": name_of(Regime, int(row["regime"])), "pump": name_of(Pump, int(row["pump"])),
        "spoof_score": int(row["spoof_e2"]) / 100, "wall_support": int(row["wall_support_e2"]) / 100,
        "wall_resistance": int(row["wall_resistance_e2"]) / 100, "news_score": int(row["news_e2"]) / 100,
        "volatility_score": int(row["volatility_e2"]) / 100,
        "score_long": int(row["score_long_e2"]) / 100, "score_short": int(row["score_short_e2"]) / 100,
        "state": name_of(State, int(row["state"])), "gate": name_of(Gate, int(row["gate"])),
        "data_state": name_of(DataState, int(row["data_state"])), "side": int(row["side"]),
        "flags": [name for bit, name in FLAG_NAMES if flags & bit],
        "position_qty": info.quantity(int(row["position_lots"])), "events": int(row["events"]),
        "seq": int(row["seq"]), "recv_ts": int(row["ts_recv_ns"]) // 1_000_000,
        "state_since_ts": int(row["since_ns"]) // 1_000_000, "age_ms": age_ms,
    }


def age_ms(snapshot: Snapshot, at: int) -> int | None:
    """Milliseconds since an event of row `at` was last noticed; None before the first."""
    seen = int(snapshot.seen_ms[at])
    return max(0, snapshot.now_ms - seen) if seen >= 0 else None


def hotlist(snapshot: Snapshot) -> list[dict]:
    """Every listed symbol, most interesting first: deepest trade state, then the better score."""
    best = np.maximum(snapshot.rows["score_long_e2"], snapshot.rows["score_short_e2"])
    active = np.isin(snapshot.rows["state"], (State.ORDER_PLACED, State.IN_POSITION, State.MANAGING))
    armed = np.isin(snapshot.rows["state"], (State.ARMED_LONG, State.ARMED_SHORT))
    order = np.lexsort((snapshot.ids, -best.astype(np.int64), -(2 * active + armed).astype(np.int64)))
    return [hot_row(snapshot.symbols[int(snapshot.ids[at])], snapshot.rows[at], age_ms(snapshot, int(at)))
            for at in order]


def account(snapshot: Snapshot) -> dict:
    """The account strip; money in USDT."""
    row = snapshot.account[0]
    start = int(row["day_start_equity_e8"])
    equity = int(row["equity_e8"])
    day = equity - start if start else 0
    return {
        "mode": name_of(Mode, int(row["mode"])), "equity_usdt": usdt(equity), "balance_usdt": usdt(row["balance_e8"]),
        "unrealised_usdt": usdt(row["unrealised_e8"]), "realised_usdt": usdt(row["realised_e8"]),
        "realised_day_usdt": usdt(row["realised_day_e8"]), "day_pnl_usdt": usdt(day),
        "day_pnl_pct": round(100 * day / start, 4) if start else 0.0,
        "drawdown_pct": round(100 * (equity / int(row["max_equity_e8"]) - 1), 4) if row["max_equity_e8"] else 0.0,
        "available_usdt": usdt(equity - int(row["margin_used_e8"])), "margin_used_usdt": usdt(row["margin_used_e8"]),
        "fees_usdt": usdt(row["fees_e8"]),
        "heat_usdt": usdt(row["heat_e8"]), "heat_pct": round(100 * int(row["heat_e8"]) / equity, 3) if equity > 0 else 0.0,
        "open_positions": int(row["open_positions"]), "working_orders": int(row["working_orders"]),
        "intents": int(row["intents"]), "orders": int(row["orders"]), "fills": int(row["fills"]),
        "rejects": int(row["rejects"]), "trades_closed": int(row["trades_closed"]), "wins": int(row["wins"]),
        "risk_off": name_of(Gate, int(row["risk_off"])), "updated_ts": int(row["updated_ns"]) // 1_000_000,
    }


def position_row(info: SymbolInfo, row: np.ndarray, newest_ns: int) -> dict:
    """One position: PnL in USDT and in R (multiples of the open risk from entry to stop)."""
    side = int(row["side"])
    lots = int(row["qty_lots"])
    value = int(row["entry_value_e8"]) / E8
    quantity = lots * float(row["lot_size"])
    entry = value / quantity if quantity else math.nan
    mark = int(row["mark2_ticks"]) / 2 * float(row["tick_size"])
    stop = int(row["stop_ticks"]) * float(row["tick_size"])
    unrealised = int(row["unrealised_e8"]) / E8
    risk = (entry - stop) * quantity if quantity and stop else math.nan
    ladder = [(int(row[f"target{k}_ticks"]), int(row[f"target{k}_lots"])) for k in ("", 2, 3)]
    targets = [{"price": info.price(t), "qty": info.quantity(left), "done": left == 0} for t, left in ladder if t]
    best = int(row["best_ticks"]) * float(row["tick_size"])
    worst = int(row["worst_ticks"]) * float(row["tick_size"])
    return {
        "symbol": info.name, "side": "Buy" if side > 0 else "Sell" if side < 0 else "None",
        "qty": info.quantity(abs(lots)), "entry_price": f"{entry:.{info.price_exp + 1}f}" if quantity else None,
        "mark_price": f"{mark:.{info.price_exp + 1}f}" if mark else None,
        "stop_price": info.price(int(row["stop_ticks"])) if row["stop_ticks"] else None,
        "target_price": next((t["price"] for t in targets if not t["done"]), None), "targets": targets,
        "stop_stands": bool(int(row["flags"]) & 1), "closing": bool(int(row["flags"]) & 2),
        "value_usdt": round(abs(value), 2), "unrealised_usdt": round(unrealised, 4),
        "unrealised_pct": number(100 * unrealised / abs(value), 3) if value else None,
        "realised_usdt": usdt(row["realised_e8"]), "fees_usdt": usdt(row["fees_e8"]),
        "margin_usdt": usdt(row["margin_e8"]), "leverage": int(row["leverage_e2"]) / 100,
        **liquidation(info, entry, mark, side, int(row["leverage_e2"]) / 100),
        "r": number(unrealised / abs(risk), 2) if abs(risk) > 1e-4 * abs(value) else None,  # none at break-even
        "mfe_bps": _move_bps(best, entry, side), "mae_bps": _move_bps(worst, entry, side),
        "opened_ts": int(row["opened_ns"]) // 1_000_000,
        "age_s": max(0.0, round((newest_ns - int(row["opened_ns"])) / 1e9, 1)) if row["opened_ns"] else None,
        "order_id": str(int(row["order_id"])), "decision_id": str(int(row["decision_id"])),
    }


def liquidation(info: SymbolInfo, entry: float, mark: float, side: int, leverage: float) -> dict:
    """Where an isolated position of that leverage would be liquidated: entry x (1 -/+ 1/leverage +/- maintenance). An
    estimate: the smallest maintenance margin, no fees, no funding; the exchange's own price counts in LIVE."""
    if not side or not leverage or not math.isfinite(entry) or not mark:
        return {"liq_price_est": None, "liq_distance_pct": None}
    price = max(entry * (1 - side * (1 / leverage - MAINTENANCE)), 0.0)
    return {"liq_price_est": f"{price:.{info.price_exp}f}", "liq_distance_pct": number(100 * side * (mark - price) / mark, 2)}


def _move_bps(price: float, entry: float, side: int) -> float | None:
    return number(1e4 * side * (price / entry - 1), 1) if price and entry and math.isfinite(entry) else None


def positions(snapshot: Snapshot) -> list[dict]:
    """Open positions, oldest first. Their age is in event time, so it is right for tapes too."""
    newest = int(snapshot.rows["ts_recv_ns"].max()) if len(snapshot.rows) else 0
    rows = [row for row in snapshot.positions if int(row["side"]) and int(row["symbol"]) in snapshot.symbols]
    rows.sort(key=lambda row: int(row["opened_ns"]))
    return [position_row(snapshot.symbols[int(row["symbol"])], row, newest) for row in rows]


_GLOBAL_INPUTS = tuple(field.name for field in GLOBAL.fields if field.type == "f8")


def global_regime(row: np.ndarray | None, since: tuple[int, int]) -> dict:
    """The verdict on the whole market with the measures behind it; regime None while the gateway has said nothing.

    `row`: a GLOBAL record; `since`: regime and time (ms) of the last log line about it.
    """
    if row is None:
        return {"regime": None, "since_ts": None, "inputs": {}}
    regime = int(row["regime"])
    return {"regime": name_of(GlobalRegime, regime), "since_ts": since[1] if since[0] == regime else None,
            "inputs": {name: number(row[name], 3) for name in _GLOBAL_INPUTS}}


def summary(snapshot: Snapshot) -> dict:
    """/api/summary: account, control words, feed, regime and how many symbols are in which state."""
    states = np.bincount(snapshot.rows["state"], minlength=len(State)) if len(snapshot.rows) else np.zeros(len(State))
    data = np.bincount(snapshot.rows["data_state"], minlength=len(DataState)) if len(snapshot.rows) else \
        np.zeros(len(DataState))
    worst = max(snapshot.rings, key=lambda ring: ring["lag_pct"], default=None)
    return {
        "account": account(snapshot), "control": snapshot.control, "global_regime": snapshot.global_regime,
        "symbols": len(snapshot.ids),
        "states": {name_of(State, k): int(count) for k, count in enumerate(states) if count},
        "data_states": {name_of(DataState, k): int(count) for k, count in enumerate(data) if count},
        "ring_max_lag_pct": worst["lag_pct"] if worst else 0.0,
        "ring_lost": sum(ring["lost"] for ring in snapshot.rings),
        "wire_to_intent": wire_to_intent(snapshot),
    }


def wire_to_intent(snapshot: Snapshot) -> dict | None:
    """The stage row of the whole way, if anything was measured."""
    return next((stage for stage in snapshot.stages if stage["whole"]), None)


def health(snapshot: Snapshot) -> dict:
    """/api/health: is the plant up? `status` is the word to alert on."""
    bad = [row["name"] for row in snapshot.processes if row["state"] == "FAIL" or row["alive"] is False]
    control = snapshot.control
    if control["killed"]:
        status = "KILLED"
    elif bad:
        status = "FAIL"
    elif control["degraded"] or control["feed"] != "CONNECTED":
        status = "DEGRADED"
    else:
        status = "OK"
    return {"status": status, "failed": bad, "feed": control["feed"], "degraded": control["degraded"],
            "paused": control["paused"], "killed": control["killed"], "processes": snapshot.processes,
            "stages": snapshot.stages, "rings": snapshot.rings, "counters": snapshot.counters}
