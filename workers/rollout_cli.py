"""`launch.py rollout`, `pin`, `enable`: the capital stage of the LIVE account, its PIN, symbols latched off. Prints; decides
nothing."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from config.incidents import recorded, utc
from config.latch_file import clear_latch
from config.paths import DataPaths
from config.pin import PinError, check_pin, is_set, set_pin
from config.rollout_file import Damaged, write_rollout
from core.performance.promotion import Rollout, standing
from core.risk.tiers import TIERS, Rank
from workers.rollout import load_rollout, wall_ms

E8 = 10**8


def status(data_dir: Path) -> dict[str, Any]:
    """What the evidence allows, every requirement of the next steps, incidents; also what the page shows. A damaged file
    is `trouble`."""
    paths, now = DataPaths(data_dir, "LIVE"), wall_ms()
    trouble, state = "", Rollout()
    try:
        state = load_rollout(paths)
        found = standing(state, now)
        rank = found.rank
    except Damaged as error:
        trouble, rank, found = str(error), Rank.PAPER, standing(state, now)
    tier = TIERS.get(rank.name)
    return {
        "allowed": rank.name, "trouble": trouble, "endpoint": state.endpoint, "account": f"…{state.account[-4:]}",
        "locked_until_ts": found.locked_until_ms, "trades": len(state.trades), "evidence_since_ts": state.base_ms,
        "limits": None if tier is None else {
            "max_capital_usdt": tier.max_capital_e8 // E8, "per_trade_usdt": tier.per_trade_e8 // E8,
            "concurrent": tier.concurrent, "trades_a_day": tier.trades_a_day, "daily_loss_pct": tier.daily_loss_pct,
        },
        "proofs": [proof._asdict() | {"step": proof.step.name} for proof in found.proofs],
        "incidents": [
            {"ts": i.time_ms, "kind": i.kind, "serious": i.serious, "symptom": i.symptom} for i in recorded(paths.incidents_dir)
        ],
        "pin_set": is_set(paths.pin_file),
    }


def lines(state: dict[str, Any]) -> list[str]:
    """The status as a person reads it."""
    out = [f"tier allowed: {state['allowed']}" + (f" ({state['account']} at {state['endpoint']})" if state["endpoint"] else "")]
    if state["trouble"]:
        out.append(f"  ✘ {state['trouble']}")
    if state["locked_until_ts"]:
        out.append(f"  ✘ PAPER only until {utc(state['locked_until_ts'])} UTC")
    if state["limits"]:
        li = state["limits"]
        out.append(f"  limits: {li['max_capital_usdt']} USDT at work, {li['per_trade_usdt']} a trade, "
                   f"{li['concurrent']} at once, {li['trades_a_day']} a day, {li['daily_loss_pct']:g} % loss a day")
    for proof in state["proofs"]:
        mark = "✔" if proof["passed"] else "✘"
        out.append(f"  {mark} {proof['step']}: {proof['text']}: {proof['found']:g} (needed {proof['needed']:g})")
    out += [f"  incident {utc(i['ts'])} {i['kind']}{' SERIOUS' if i['serious'] else ''}: {i['symptom']}"
            for i in state["incidents"]]
    return out


def reset(data_dir: Path, pin: str) -> None:
    """Start the evidence anew at the bottom; locks of incidents stay. Raises PinError, OSError."""
    paths = DataPaths(data_dir, "LIVE")
    check_pin(paths.pin_file, pin, wall_ms())
    write_rollout(paths.rollout_file, Rollout(base_ms=wall_ms()))


def change_pin(data_dir: Path) -> None:
    """Ask twice (and for the old one where there is one) and keep the hash. Raises PinError."""
    path = DataPaths(data_dir, "LIVE").pin_file
    if is_set(path):
        check_pin(path, getpass.getpass("old PIN: "), wall_ms())
    first = getpass.getpass("new PIN: ")
    if getpass.getpass("again: ") != first:
        raise PinError("the two are not the same; nothing changed")
    set_pin(path, first)


def enable(data_dir: Path, symbol: str) -> list[str]:
    """Take a latch of the churn throttle off, in every mode. Returns the modes it stood in."""
    return [
        mode for mode in ("SIM", "DRY_RUN", "LIVE")
        if clear_latch(DataPaths(data_dir, mode).churn_dir / symbol)
    ]
