"""Lines of the event files, decisions and audit as rows of the database. Pure: a line in, rows out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from config.incidents import IncidentFile
from core.constants import DAY_NS, NS_PER_MS
from core.enums import Cause, Gate
from core.explain import decision_id
from core.performance.ledger import STRATEGY, Row

TRANSITIONS_KEPT = 5
KEPT_STATES = frozenset({"ARMED_LONG", "ARMED_SHORT", "ORDER_PLACED", "IN_POSITION", "MANAGING", "EXITED"})
SAFETY_EVENTS = frozenset({"control", "risk.gate"})
MARKET_EVENTS = frozenset({"degraded", "shed", "data.state", "feed.state", "regime.global", "lost"})
UNKNOWN_SESSION = "-"  # of an incident that no run was there for
INCIDENT_LEVELS = frozenset({"ERROR", "CRITICAL"})


def exact(value: Any) -> str | None:
    """A price or quantity of a line (a float rounded to 12 decimals) as decimal text; None for none."""
    if not value:
        return None
    return format(Decimal(repr(value)).normalize(), "f")


def _key(line: dict[str, Any], place: str, offset: int) -> dict[str, Any]:
    """What makes the row of a line one and the same: its number in the ring of its process, else its place in the file."""
    numbered = "n" in line
    return {"session_id": line["sid"], "process": line["proc"] if numbered else f"{line['proc']}@{place}"[:80],
            "n": line["n"] if numbered else offset}


class EventRows:
    """Rows of event lines. `transitions` remembers the last state changes of every symbol of a session."""

    def __init__(self) -> None:
        self.transitions: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def rows(self, line: dict[str, Any], place: str, offset: int) -> list[Row]:
        """Rows of one line; `place`: its file, `offset`: its byte there."""
        event = line["evt"]
        rows = []
        if event == "signal.entry":
            rows.append(self._signal(line, _key(line, place, offset)))
        elif event == "state.changed":
            rows.append(self._state(line))
        elif event == "trade.closed":
            rows.append(_trade(line))
        elif event == "control":
            rows.append(_control(line))
        elif event == "spoof":
            rows.append(_sighting(line, "spoofs"))
        elif event == "pump.changed" and line["to"] == "PUMPING":
            rows.append(_sighting(line, "pumps"))
        if line["lvl"] in INCIDENT_LEVELS:
            rows.append(_incident(line, _key(line, place, offset)))
        return rows

    @staticmethod
    def _signal(line: dict[str, Any], key: dict[str, Any]) -> Row:
        refused = line.get("refused_by")
        symbol, seq = line.get("sym", ""), line.get("seq", 0)
        return Row("signal_history", {
            **key, "strategy": STRATEGY, "symbol": symbol, "side": line["side"], "phase": str(line["phase"]),
            "score": line["score"], "price": exact(line["price"]), "stop_price": exact(line["stop"]),
            "target_price": exact(line["target"]), "attempts": int(line["attempts"]),
            "refused_by": refused if isinstance(refused, str) and refused != Gate.NONE.name else None,
            "decision_id": decision_id(seq, symbol) if seq else None, "seq": seq, "ts_ns": line["ts_ns"],
        })

    def _state(self, line: dict[str, Any]) -> Row:
        symbol = line.get("sym", "")
        known = self.transitions.setdefault((line["sid"], symbol), [])
        cause = str(line["cause"])
        step = {"ts_ns": line["ts_ns"], "from": str(line["from"]), "to": str(line["to"]), "cause": cause}
        if step not in known:
            known.insert(0, step)
            del known[TRANSITIONS_KEPT:]
        return Row("strategy_execution_state", {
            "session_id": line["sid"], "strategy": STRATEGY, "symbol": symbol, "state": str(line["to"]),
            "previous_state": str(line["from"]), "cause": cause if cause != Cause.NONE.name else None,
            "score_long": line["score_long"], "score_short": line["score_short"], "price": exact(line["price"]),
            "transitions": list(known), "since_ns": line["ts_ns"], "updated_ns": line["ts_ns"],
        })


def _trade(line: dict[str, Any]) -> Row:
    """Best and worst price seen while a position was open: only execution knows them, its journal does not."""
    return Row("positions", {
        "session_id": line["sid"], "position_no": line["order_id"], "symbol": line.get("sym", ""), "status": "CLOSED",
        "best_price": exact(line["best"]), "worst_price": exact(line["worst"]),
    }, keep=("symbol", "status"))


def _sighting(line: dict[str, Any], what: str) -> Row:
    """One more spoof or pump of a symbol on a day."""
    return Row("symbol_days", {"symbol": line["sym"], "day": line["ts_ns"] // DAY_NS, what: 1}, add=(what,))


def _control(line: dict[str, Any]) -> Row:
    paused = "PAUSE" in str(line["bits"]) or "KILL" in str(line["bits"])
    return Row("sessions", {"session_id": line["sid"], "status": "PAUSED" if paused else "RUNNING"})


def _incident(line: dict[str, Any], key: dict[str, Any]) -> Row:
    event = line["evt"]
    kind = "safety" if event in SAFETY_EVENTS else "market" if event in MARKET_EVENTS else "technical"
    return Row("incidents", {
        **key, "kind": kind, "severity": line["lvl"], "event": event[:40], "symbol": line.get("sym"),
        "text": line.get("text") or event, "ts_ns": line["ts_ns"], "record": line,
    })


def incident_row(file: IncidentFile, place: str) -> Row:
    """An incident of the account, with what is known of it by now. `place`: its folder."""
    return Row("incidents", {
        "session_id": file.session or UNKNOWN_SESSION, "process": place[-80:], "n": 0, "kind": file.kind,
        "severity": "CRITICAL" if file.serious else "ERROR", "event": "incident", "symbol": None, "text": file.symptom,
        "cause": file.cause or None, "fix": file.fix or None, "ts_ns": file.time_ms * NS_PER_MS,
        "resolved_ns": file.resolved_ms * NS_PER_MS or None, "record": msgspec.to_builtins(file),
    })


def decision_rows(session_id: str, data: bytes) -> list[Row]:
    """A decision record that led somewhere: accepted, or a change to a state in which money is near. Others: none."""
    record = msgspec.json.decode(data)
    moved = record["state_from"] != record["state_to"] and record["state_to"] in KEPT_STATES
    if not record["accepted"] and not moved:
        return []
    return [Row("decisions", {
        "session_id": session_id, "decision_id": record["id"], "symbol": record["symbol"], "side": record["side"],
        "accepted": record["accepted"], "gate": record["gate"], "state_to": record["state_to"],
        "score": record["score_long"] if record["side"] > 0 else record["score_short"], "pump": record["pump"],
        "regime": record["regime"], "seq": record["seq"], "ts_ns": record["ts_ns"], "record": record,
    })]


def audit_row(line: dict[str, Any], place: str, offset: int) -> Row:
    """One line of the audit file: who did what."""
    return Row("audit", {
        "source": place[-80:], "n": offset, "actor": _short(line.get("actor")),
        "action": _short(line.get("action") or line.get("evt")),
        "reason": line.get("reason"), "ts_ns": line.get("ts_ns"), "record": line,
    })


def _short(value: Any) -> str | None:
    return None if value is None else str(value)[:80]


def session_row(line: dict[str, Any]) -> Row:
    """The first line of a run's file."""
    kind = {"LIVE": "live"}.get(line["mode"], "paper")
    return Row("sessions", {
        "session_id": line["run_id"], "session_type": "backtest" if line["paced"] else kind, "mode": line["mode"],
        "status": "RUNNING", "source": line["source"][:400], "strategy_config": line["settings"],
        "settings_digest": line["settings_digest"], "code_hash": line["code_hash"][:64],
        "seed": line["seed"], "shards": line["shards"], "started_ns": line["ts_ns"],
        "start_balance_e8": line["start_balance_e8"],
    }, keep=("status",))


def symbols_row(session_id: str, names: list[str]) -> Row:
    """Symbols the run has met so far."""
    return Row("sessions", {"session_id": session_id, "status": "RUNNING", "symbols": names}, keep=("status",))


def end_row(session_id: str, line: dict[str, Any]) -> Row:
    """The last line of a run's file."""
    return Row("sessions", {"session_id": session_id, "status": "STOPPED", "ended_ns": line["ts_ns"]})


def sample_row(line: dict[str, Any], offset: int) -> Row:
    """One line of the account samples (metrics)."""
    return Row("balances", {
        "session_id": line["sid"], "source": "SAMPLE", "n": line["ts_ns"], "asset": "USDT",
        **{f"{name}_e8": line[f"{name}_e8"] for name in (
            "balance", "equity", "available", "margin_used", "unrealised_pnl", "realised_pnl", "heat")},
        "ts_ns": line["ts_ns"],
    })
