"""Files made from the database: symbol profiles that act on the next entries, and what stays of every trading day.

    profiles/profiles.json                 see config/profiles.py, core/performance/profiles.py
    trades_log/YYYY-MM-DD/trades.jsonl     the day's closed trades, one a line
    trades_log/YYYY-MM-DD/summary.json     their figures

Both are made whole and replaced in one step, so a crash costs nothing but the next turn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from config.atomic_file import write_replacing
from config.paths import DataPaths
from config.schema import Settings
from core.constants import DAY_NS
from core.performance.figures import grouped, performance
from core.performance.ledger import Row
from core.performance.profiles import profile
from core.performance.trades import Trade, day_of
from shm.database import queries
from workers.event_lines import day, iso

EVERY_S = 30.0
GROUPS = ("symbol", "hour", "move_type", "exit_reason", "side")


def trade_line(trade: Trade) -> dict[str, Any]:
    """A closed trade as it stands in trades.jsonl and live-trades.jsonl; money in USDT, exact to 1e-8."""
    return {
        "closed": iso(trade.closed_ns), "opened": iso(trade.opened_ns), "session": trade.session_id,
        "trade": trade.position_no, "symbol": trade.symbol, "side": "long" if trade.side > 0 else "short",
        "quantity": trade.quantity, "entry_price": trade.entry_price, "exit_price": trade.exit_price,
        "net_usdt": trade.net_e8 / 1e8, "gross_usdt": trade.gross_e8 / 1e8, "fees_usdt": trade.fees_e8 / 1e8,
        "funding_usdt": trade.funding_e8 / 1e8, "r": _rounded(trade.r), "risk_usdt": trade.risk_e8 / 1e8,
        "mfe_usdt": None if trade.mfe_e8 is None else trade.mfe_e8 / 1e8,
        "mae_usdt": None if trade.mae_e8 is None else trade.mae_e8 / 1e8, "slippage_usdt": trade.slippage_e8 / 1e8,
        "hold_s": round(trade.hold_s, 3), "exit_reason": trade.close_reason, "move_type": trade.move_type,
        "decision_id": trade.decision_id, "v": 1,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def replace_file(path: Path, data: bytes) -> bool:
    """Replace a file in one step where it says something else; True when it did. Raises OSError."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return False
    write_replacing(path, data)
    return True


class Derived:
    """Notes what changed in the database and remakes what follows from it, at most every EVERY_S. `reload`: what makes the
    gateway read the profiles again; None = never (a tape must not depend on when somebody wrote a file)."""

    def __init__(self, paths: DataPaths, settings: Settings, reload: Callable[[], None] | None) -> None:
        self._paths, self._rules, self._reload = paths, settings.system.profiles, reload
        self._days: set[int] = set()
        self._seen = False
        self._newest_ns = 0
        self._next_s = 0.0

    def note(self, rows: Iterable[Row]) -> None:
        """Rows that were written: closed trades and sightings matter."""
        for row in rows:
            if row.table == "positions" and row.values.get("closed_ns"):
                self._days.add(day_of(row.values["closed_ns"]))
                self._newest_ns = max(self._newest_ns, row.values["closed_ns"])
            elif row.table == "symbol_days":
                self._seen = True
                self._newest_ns = max(self._newest_ns, row.values["day"] * DAY_NS)

    def turn(self, readers: Engine, now_s: float, at_once: bool = False) -> None:
        """Remake what is due. Raises OSError, SQLAlchemyError; what was noted is kept then."""
        if not (self._days or self._seen) or (now_s < self._next_s and not at_once):
            return
        self._next_s = now_s + EVERY_S
        with readers.connect() as connection:
            for number in sorted(self._days):
                self._write_day(connection, number)
            if self._rules.enabled:
                self._write_profiles(connection)
        self._days.clear()
        self._seen = False

    def _write_day(self, connection: Any, number: int) -> None:
        trades = queries.trades(connection, number * DAY_NS, (number + 1) * DAY_NS)
        sessions = queries.sessions_between(connection, number * DAY_NS, (number + 1) * DAY_NS)
        start_e8 = queries.balance_e8(connection, sessions, number * DAY_NS)
        summary = {"day": day(number * DAY_NS), "sessions": [s["session_id"] for s in sessions],
                   **performance(trades, start_e8), "by": {name: grouped(trades, name) for name in GROUPS}, "v": 1}
        folder = self._paths.trades_dir / day(number * DAY_NS)
        replace_file(folder / "trades.jsonl", b"".join(msgspec.json.encode(trade_line(t)) + b"\n" for t in trades))
        replace_file(folder / "summary.json", msgspec.json.encode(summary))

    def _write_profiles(self, connection: Any) -> None:
        now_ns = self._newest_ns
        since = now_ns - round(self._rules.days * DAY_NS)
        seen = queries.sightings(connection, max(day_of(since), 0))
        symbols = {}
        for symbol in sorted({*queries.traded_symbols(connection, since), *seen}):
            trades = queries.trades(connection, from_ns=since, symbol=symbol, last=self._rules.trades)
            symbols[symbol] = profile(trades, seen.get(symbol, queries.Sightings()), self._rules, now_ns)
        before = acting(self._paths.profiles_file)
        data = msgspec.json.format(msgspec.json.encode({"symbols": symbols}), indent=1)
        if replace_file(self._paths.profiles_file, data) and acting(self._paths.profiles_file) != before and self._reload:
            self._reload()


def acting(path: Path) -> dict[str, tuple[float, float, bool]]:
    """What of a profile file acts on entries."""
    try:
        symbols = msgspec.json.decode(path.read_bytes())["symbols"]
    except (OSError, msgspec.MsgspecError, KeyError):
        return {}
    found = {name: (row.get("raise_points", 0.0), row.get("size", 1.0), row.get("blacklisted", False))
             for name, row in symbols.items()}
    return {name: value for name, value in found.items() if value != (0.0, 1.0, False)}
