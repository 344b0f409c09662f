"""What the recorder notes of the boards now and then: the account (for equity curves) and the top of every book."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.enums import Pump, Regime, State
from core.explain import name_of
from core.records import SYMBOL_ROW
from shm.regions import MAX_SYMBOLS
from shm.topology import Plant
from workers.stores import Stores


def account_sample(plant: Plant, ts_ns: int) -> dict[str, Any] | None:
    """Balance, equity and what is unrealised, in 1e-8 USDT; None before they are known."""
    row = plant.account().read(0)[0]
    if not int(row["equity_e8"]) and not int(row["balance_e8"]):
        return None
    value = {name: int(row[f"{name}_e8"]) for name in ("balance", "equity", "margin_used", "unrealised", "realised", "heat")}
    return {
        "ts_ns": ts_ns, "sid": plant.spec.run_id, "balance_e8": value["balance"], "equity_e8": value["equity"],
        "available_e8": value["equity"] - value["margin_used"], "margin_used_e8": value["margin_used"],
        "unrealised_pnl_e8": value["unrealised"], "realised_pnl_e8": value["realised"], "heat_e8": value["heat"],
        "positions": int(row["open_positions"]), "trades": int(row["trades_closed"]),
    }


def book_sample(plant: Plant, ts_ns: int, names: dict[int, str]) -> dict[str, Any] | None:
    """Best prices and scores of every symbol as columns; None without symbols."""
    rows: np.ndarray = np.zeros(MAX_SYMBOLS, SYMBOL_ROW.dtype)
    plant.symbol_rows().read_all(rows)
    rows = rows[(rows["name_hash"] != 0) & (rows["ask_ticks"] > 0)]
    if not len(rows):
        return None
    tick = rows["tick_size"]
    return {
        "ts_ns": ts_ns, "sid": plant.spec.run_id, "symbols": [names.get(int(s), f"#{s}") for s in rows["symbol"]],
        "bid": np.round(rows["bid_ticks"] * tick, 12).tolist(), "ask": np.round(rows["ask_ticks"] * tick, 12).tolist(),
        "bid_qty": np.round(rows["bid_lots"] * rows["lot_size"], 12).tolist(),
        "ask_qty": np.round(rows["ask_lots"] * rows["lot_size"], 12).tolist(),
        "score_long": (rows["score_long_e2"] / 100).tolist(), "score_short": (rows["score_short_e2"] / 100).tolist(),
        "state": [name_of(State, int(v)) for v in rows["state"]],
        "regime": [name_of(Regime, int(v)) for v in rows["regime"]], "pump": [name_of(Pump, int(v)) for v in rows["pump"]],
    }


def sample(plant: Plant, stores: Stores, ts_ns: int, names: dict[int, str]) -> None:
    """One round of samples."""
    account = account_sample(plant, ts_ns)
    if account is not None:
        stores.append("metrics", "account", account)
        stores.set_snapshot("metrics", "account", account)
    book = book_sample(plant, ts_ns, names)
    if book is not None:
        stores.append("orderbook", "top", book)
