"""What a run did, read from shared memory: the JSON line of `--json`, the closing table, `launch.py status`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from core.engine.digest import combine
from core.enums import FeedState
from core.records import SYMBOL, SYMBOL_ROW
from shm.regions import MAX_SYMBOLS
from shm.topology import SLOT_SHARD, Plant

GATEWAY_COUNTS = (
    "frames", "decoded", "other", "rejected", "unknown_topic", "unknown_symbol", "off_grid", "gaps", "resyncs",
    "resets", "stale", "shed_events", "reconnects",
)


def symbol_rows(plant: Plant) -> np.ndarray:
    """SYMBOL_ROW of every symbol that has one."""
    rows = np.zeros(MAX_SYMBOLS, SYMBOL_ROW.dtype)
    plant.symbol_rows().read_all(rows)
    return rows[rows["name_hash"] != 0]


def decision_digest(plant: Plant) -> str:
    """One number for everything decided: equal for equal events, whatever the number of shards."""
    rows, account = symbol_rows(plant), plant.account().read(0)[0]
    return combine(
        np.ascontiguousarray(rows["name_hash"]), np.ascontiguousarray(rows["digest"]), int(account["digest"])
    )


def symbol_names(plant: Plant) -> dict[int, str]:
    """Names by id."""
    table = np.zeros(MAX_SYMBOLS, SYMBOL.dtype)
    plant.symbols().read_all(table)
    return {int(row["id"]): bytes(row["name"]).rstrip(b"\0").decode() for row in table if row["name"][0]}


def summarise(plant: Plant, children: Sequence[Any], wall_s: float) -> dict[str, Any]:
    """The object of the last JSON line. Money is in USDT, stages in µs."""
    gateway, shards = plant.counters("gateway"), [plant.counters("shard", i) for i in range(plant.spec.shards)]
    account = _account(plant)
    names, rows = symbol_names(plant), symbol_rows(plant)
    result: dict[str, Any] = {name: gateway.get(name) for name in GATEWAY_COUNTS}
    result |= {
        "events": gateway.get("events"),
        "ring_lost": sum(page.get("lost_messages") for page in shards),
        "raw_lost": gateway.get("raw_lost") + plant.counters("recorder").get("raw_lost"),
        "disk_errors": sum(plant.counters(role).get("disk_errors") for role in ("recorder", "execution")),
        "decisions": sum(page.get("decisions") for page in shards),
        "transitions": sum(page.get("transitions") for page in shards),
        "intents": account["intents"],
        "orders": account["orders"],
        "fills": account["fills"],
        "trades_closed": account["trades_closed"],
        "open_positions": account["open_positions"],
        "realised_pnl": account["realised"],
        "fees": account["fees"],
        "equity": account["equity"],
        "decision_digest": decision_digest(plant),
        "books": {names[int(row["symbol"])]: f"{int(row['book_digest']):016x}" for row in rows if row["book_digest"]},
        "mode": plant.spec.mode,
        "shards": plant.spec.shards,
        "symbols": len(rows),
        "seed": plant.spec.seed,
        "run_id": plant.spec.run_id,
        "restarts": {child.name: child.restarts for child in children if child.restarts},
        "wall_s": round(wall_s, 3),
        "stages_us": plant.latency(),
    }
    return result


def _account(plant: Plant) -> dict[str, Any]:
    row = plant.account().read(0)[0]
    counts = ("intents", "orders", "fills", "rejects", "trades_closed", "wins", "open_positions", "working_orders")
    values: dict[str, Any] = {name: int(row[name]) for name in counts}
    for name in ("balance", "equity", "unrealised", "realised", "realised_day", "margin_used", "fees", "heat"):
        values[name] = int(row[f"{name}_e8"]) / 1e8
    return values


def status(plant: Plant) -> dict[str, Any]:
    """A picture of a running plant."""
    control = plant.control
    processes = []
    for name, cnc in plant.cncs().items():
        if not cnc.pid:
            continue
        beat_ns = cnc.heartbeat_ns  # before the clock: it goes on beating while this looks
        processes.append({
            "name": name,
            "pid": cnc.pid,
            "state": cnc.state.name,
            "heartbeat_age_ms": round((time.monotonic_ns() - beat_ns) / 1e6, 1) if beat_ns else None,
            "restarts": cnc.supervisor_get("restarts"),
            "stall_max_ms": round(cnc.stall_max_ns / 1e6, 2),
            "kill_seen": bool(cnc.kill_seen_ns),
            "last_error": cnc.last_error,
        })
    rings = [
        {
            "name": f"market-{i}",
            "lag_cells": plant.market(i).slot_lag_cells(SLOT_SHARD),
            "capacity_cells": plant.spec.market_cells,
            "lost": plant.counters("shard", i).get("lost_messages"),
        }
        for i in range(plant.spec.shards)
    ]
    gateway = plant.counters("gateway")
    return {
        "run_id": plant.spec.run_id,
        "mode": plant.spec.mode,
        "uptime_s": round((time.time_ns() - plant.spec.created_ns) / 1e9, 1),
        "control": [bit.name for bit in control.bits()],
        "kill_sources": control.kill_sources(),
        "flat": bool(control.get("flat")),
        "feed": FeedState(control.get("feed_state")).name,
        "seq": control.get("published_seq"),
        "processes": processes,
        "rings": rings,
        "gateway": {name: gateway.get(name) for name in GATEWAY_COUNTS},
        "account": _account(plant),
        "symbols": len(symbol_rows(plant)),
        "stages_us": plant.latency(),
        "config_version": control.get("config_version"),
    }

