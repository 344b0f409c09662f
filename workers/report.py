"""Daily, weekly and session reports: what the database knows of a period, gathered once for every rendering (B7, E6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from core.constants import NS_PER_S
from core.enums import Gate
from core.explain import gate_words, sentences
from core.performance.figures import Point, equity_curve, grouped, live_stats, performance, session_curve
from core.performance.trades import Trade
from shm.database import queries

GROUPS = ("hour", "weekday", "move_type", "exit_reason", "symbol", "side")
WORST = 5
BEST = 3
ODD_FEATURES = ("spread_bps", "spoof_score", "spoofing_score", "volatility_score", "news_impact", "liq_safety", "vpin")


class ReportError(Exception):
    """No report can be made; the text says why."""


@dataclass(frozen=True)
class Period:
    """[from_ns, to_ns) with a title; of one session where `session_id` is given."""

    kind: str
    title: str
    from_ns: int
    to_ns: int
    session_id: str = ""


@dataclass(frozen=True)
class Told:
    """A trade with the reasons of its entry."""

    trade: Trade
    words: list[str]
    score: float | None
    regime: str
    pump: str
    odd: list[str]


@dataclass(frozen=True)
class Report:
    """Everything a rendering shows. Money in USDT."""

    period: Period
    mode: str
    made_ns: int
    sessions: list[dict[str, Any]]
    figures: dict[str, Any]
    live: dict[str, Any]
    equity: list[Point]
    groups: dict[str, list[dict[str, Any]]]
    worst: list[Told]
    best: list[Told]
    skips: list[tuple[str, str, int]]  # reason, words, how often
    incidents: list[dict[str, Any]]
    kills: list[dict[str, Any]]
    orders: dict[str, int]  # by status
    trades: list[Trade]
    paper: tuple[str, ...] = ()  # what `launch.py calibrate` found of its sessions: the account against paper


def _midnight_ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * NS_PER_S


def period_of(kind: str, day: date, connection: Connection | None = None, session_id: str = "") -> Period:
    """The UTC day, the week from Monday on, or a session (the newest where none is named). Raises ReportError."""
    if kind == "daily":
        return Period(kind, f"Daily report {day:%A %d %B %Y}", _midnight_ns(day), _midnight_ns(day + timedelta(1)))
    if kind == "weekly":
        monday = day - timedelta(day.weekday())
        title = f"Weekly report {monday:%d %b} to {monday + timedelta(6):%d %b %Y} (week {monday.isocalendar().week})"
        return Period(kind, title, _midnight_ns(monday), _midnight_ns(monday + timedelta(7)))
    assert connection is not None
    found = queries.session(connection, session_id)
    if found is None:
        raise ReportError(f"no session {session_id or 'yet'} in the database")
    end = (found["ended_ns"] or 0) + 1
    return Period(kind, f"Session {found['session_id']}", found["started_ns"] or 0, end if end > 1 else 0, found["session_id"])


def _told(connection: Connection, trade: Trade) -> Told:
    record = queries.decision(connection, trade.session_id, trade.decision_id) if trade.decision_id else None
    if record is None:
        return Told(trade, ["The decision behind this trade is not in the database."], None, "", "", [])
    features = record["features"]
    odd = [f"{name.replace('_', ' ')} {features[name]:g}" for name in ODD_FEATURES if features.get(name)]
    score = record["score_long"] if record["side"] > 0 else record["score_short"]
    return Told(trade, sentences(record), score, record["regime"], record["pump"], odd)


def _skips(connection: Connection, period: Period) -> list[tuple[str, str, int]]:
    """Entries that were wanted and refused, by reason: what execution said to the orders it was sent."""
    found = queries.counts(connection, "orders", "rejection_reason", period.from_ns, period.to_ns, period.session_id)
    return [(name, gate_words(Gate[name]) if name in Gate.__members__ else name, number) for name, number in found.items()]


def paper_lines(folder: Path, sessions: list[dict[str, Any]]) -> tuple[str, ...]:
    """Account against paper, for the sessions that were calibrated. `folder`: their suggestions."""
    lines: list[str] = []
    for session in sessions:
        try:
            found = msgspec.json.decode((folder / f"{session['session_id']}.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            continue
        lines += [str(line) for line in found.get("said", ())]
    return tuple(lines)


def gather(connection: Connection, period: Period, mode: str, now_ns: int) -> Report:
    """Read a report from the database."""
    trades = queries.trades(connection, period.from_ns, period.to_ns, period.session_id)
    if period.session_id:
        found = queries.session(connection, period.session_id)
        sessions = [found] if found else []
    else:
        sessions = queries.sessions_between(connection, period.from_ns, period.to_ns or now_ns)
    start_e8 = queries.balance_e8(connection, sessions, period.from_ns)
    booked = queries.booked_e8(connection, period.session_id) if period.session_id else 0
    samples = queries.equity(connection, period.from_ns, period.to_ns, period.session_id)
    # samples of several accounts (every SIM session begins anew) are no one curve: closed trades then make it
    if len(sessions) == 1:
        curve = session_curve(samples, Point(sessions[0]["started_ns"] or 0, start_e8), trades, period.from_ns)
    else:
        curve = equity_curve(start_e8, trades, period.from_ns)
    unrealised = queries.unrealised_e8(connection, sessions[-1]["session_id"], period.to_ns) if sessions else 0
    only = {"session_id": period.session_id} if period.session_id else {}
    incidents = list(queries.all_pages(connection, "incidents", only, period.from_ns, period.to_ns, most=500))
    ordered = sorted(trades, key=lambda t: t.net_e8)
    return Report(
        period=period, mode=mode, made_ns=now_ns, sessions=sessions,
        figures=performance(trades, start_e8, curve, unrealised, booked),
        live=live_stats(queries.trades(connection, last=20_000), now_ns), equity=curve,
        groups={name: grouped(trades, name) for name in GROUPS},
        worst=[_told(connection, t) for t in ordered[:WORST] if not t.won],
        best=[_told(connection, t) for t in reversed(ordered[-BEST:]) if t.won],
        skips=_skips(connection, period), incidents=incidents,
        kills=[row for row in incidents if "kill" in (row["text"] or "").lower() or row["event"] == "control"],
        orders=queries.counts(connection, "orders", "status", period.from_ns, period.to_ns, period.session_id), trades=trades,
    )
