"""Backtests as the pages show them: one with its figures, trades and report, and two side by side. From the database."""

from __future__ import annotations

import calendar
import time
from pathlib import Path
from typing import Any

from admin.history import History, told
from config.paths import DataPaths
from core.constants import NS_PER_MS
from core.performance.comparison import compare
from core.performance.figures import grouped
from core.performance.trades import Trade
from core.units import format_fixed

REPORT = "report.html"
GROUPS = ("symbol", "hour", "weekday", "move_type", "exit_reason", "side")
MOST_TRADES = 2000
WRITING_NS = 60_000_000_000  # at most this long after its files a result stands in the database


class Backtests:
    """Kept backtests of a data folder."""

    def __init__(self, paths: DataPaths, database_url: str) -> None:
        simulated = DataPaths(paths.data_dir, "SIM")  # whatever mode runs: a backtest is simulated
        self._folder = simulated.mode_dir / "backtests"
        self.history = History(simulated, database_url)

    def _row(self, number: int) -> dict[str, Any] | None:
        from shm.database import queries

        with self.history.reading() as connection:
            return queries.backtest(connection, number)

    def one(self, number: int) -> dict[str, Any] | None:
        """Figures, groups, equity and trades; None where there is no such backtest. Raises HistoryUnavailable."""
        row = self._row(number)
        if row is None:
            return None
        trades = trades_of(row)
        light = {name: value for name, value in row.items() if name not in ("trades", "equity_curve", "report")}
        return told(light) | {
            "figures": row["report"] or {}, "groups": {name: grouped(trades, name) for name in GROUPS},
            "equity": [[ts_ns // NS_PER_MS, equity_e8 / 1e8] for ts_ns, equity_e8 in row["equity_curve"] or ()],
            "trades": [trade_json(trade) for trade in trades[:MOST_TRADES]], "trades_total": len(trades),
            "has_report": self.report_file(row) is not None,
        }

    def report(self, number: int) -> Path | None:
        """The HTML report of a backtest, as long as it lies on the disk."""
        row = self._row(number)
        return None if row is None else self.report_file(row)

    def report_file(self, row: dict[str, Any]) -> Path | None:
        """Results lie in folders `<UTC time>-<settings>-<pid>`, written right before the row."""
        best: tuple[int, Path] | None = None
        for path in self._folder.glob(f"*-{row['settings_digest']}-*/{REPORT}"):
            try:
                made = time.strptime(path.parent.name.split("-")[0], "%Y%m%dT%H%M%S")
            except ValueError:
                continue
            behind_ns = row["created_ns"] - calendar.timegm(made) * 1_000_000_000
            if 0 <= behind_ns < WRITING_NS and (best is None or behind_ns < best[0]):
                best = behind_ns, path
        return best[1] if best else None

    def compared(self, a: int, b: int) -> dict[str, Any] | None:
        """Two backtests side by side; None where one is missing. Raises HistoryUnavailable."""
        rows = self._row(a), self._row(b)
        left, right = rows
        if left is None or right is None:
            return None
        found = compare(left["report"] or {}, trades_of(left), right["report"] or {}, trades_of(right))
        settings = [left["parameters"] or {}, right["parameters"] or {}]
        names = sorted({key for one in settings for key in one if settings[0].get(key) != settings[1].get(key)})
        return {
            "a": _head(left), "b": _head(right), "same_input": left["input"] == right["input"],
            "same_decisions": left["decision_digest"] == right["decision_digest"], "figures": found.figures,
            "settings": [{"name": name, "a": settings[0].get(name), "b": settings[1].get(name)} for name in names],
            "both": len(found.both), "only_a": len(found.only_a), "only_b": len(found.only_b),
            "pairs": [{
                "a": trade_json(pair.a) if pair.a else None, "b": trade_json(pair.b) if pair.b else None,
                "difference_usdt": format_fixed(pair.difference_e8, 8)} for pair in found.pairs[:MOST_TRADES]],
        }


def _head(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "name": row["name"], "input": row["input"], "created_ts": row["created_ns"] // NS_PER_MS,
            "decision_digest": row["decision_digest"],
            "equity": [[ts_ns // NS_PER_MS, equity_e8 / 1e8] for ts_ns, equity_e8 in row["equity_curve"] or ()]}


def trades_of(row: dict[str, Any]) -> list[Trade]:
    """The trades of a row of backtest_results; of another version of the program those fields that are still known."""
    return [Trade(**{name: one[name] for name in Trade._fields if name in one}) for one in row["trades"] or ()]


def trade_json(trade: Trade) -> dict[str, Any]:
    """A trade as REST tells it."""
    return {
        "symbol": trade.symbol, "side": "Buy" if trade.side > 0 else "Sell", "opened_ts": trade.opened_ns // NS_PER_MS,
        "closed_ts": trade.closed_ns // NS_PER_MS, "quantity": trade.quantity, "entry_price": trade.entry_price,
        "exit_price": trade.exit_price, "gross_usdt": format_fixed(trade.gross_e8, 8),
        "fees_usdt": format_fixed(trade.fees_e8, 8), "net_usdt": format_fixed(trade.net_e8, 8), "r": trade.r,
        "close_reason": trade.close_reason, "move_type": trade.move_type,
    }
