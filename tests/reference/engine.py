"""Naive twin of the engine: dicts, lists and the other twins, one symbol object each; no kernels, no record state.

Covers CONFIG (at the start), FEED, CONTROL, GLOBAL, LISTING, books, trades, DELISTING, TIMER and reports; not the board.
It tells what happened as two lists: `moves` (name, from, to, cause, event time) and the messages of every call.
"""

from __future__ import annotations

from typing import Any

from core.enums import Cause, State
from tests.reference.engine_symbol import NaiveSymbol
from tests.reference.tape import Trade


class NaiveEngine:
    """Paced engine over symbol objects; `p`: the fields of a PARAMS row."""

    def __init__(self, p: dict[str, Any]) -> None:
        self.p = p
        self.symbols: dict[int, NaiveSymbol] = {}
        self.feed, self.bits, self.global_regime = 0, 0, 0
        self.moves: list[tuple[str, State, State, Cause, int]] = []
        self.reports: list[dict[str, int]] = []
        self.unanswered: list[tuple[int, int, int]] = []

    def push(self, report: dict[str, int]) -> None:
        """A report arrives; an answer holds from its message's due time at the earliest."""
        for k, (seq, symbol, due) in enumerate(self.unanswered):
            if (seq, symbol) == (report["seq"], report["symbol"]):
                del self.unanswered[k]
                report["effect_ns"] = max(report["effect_ns"], due)
                break
        self.reports.append(report)

    def take_due(self, ts: int) -> None:
        while self.reports and self.reports[0]["effect_ns"] <= ts:
            report = self.reports.pop(0)
            symbol = self.symbols.get(report["symbol"])
            if symbol is not None:
                symbol.report(report, report["effect_ns"])

    def must_wait(self, ts: int, is_end: bool) -> bool:
        return bool(self.unanswered) if is_end else any(due <= ts for _, _, due in self.unanswered)

    def timer(self, ts: int, seq: int, is_timer: bool = True) -> list[dict]:
        out: list[dict] = []
        for symbol in self.symbols.values():
            if not symbol.active:
                continue
            mine: list[dict] = []
            if is_timer:
                symbol.features.at(ts)
                symbol.moves.at(ts)
                if symbol.crossed_ns is not None:
                    symbol.check_crossed(ts)
                symbol.walls.on_timer(ts)
            symbol.decide(ts, seq, mine)
            symbol.match(ts, seq, [], False, mine)
            if is_timer:
                symbol.mark(ts, seq, mine)
            symbol.account(mine)
            out += mine
            if symbol.leaving and symbol.state is State.FLAT and not (symbol.working or symbol.pending or symbol.lots):
                symbol.active = False
        return out

    def market(self, symbol_id: int, ts: int, seq: int, kind: str, payload: Any) -> list[dict]:
        symbol = self.symbols[symbol_id]
        out: list[dict] = []
        trades: list[Trade] = []
        changed = False
        if kind == "book":
            bids, asks, snapshot = payload
            changed = symbol.take_book(ts, bids, asks, snapshot)
        elif kind == "trades":
            trades = payload
            symbol.features.on_trades(ts, trades)
            symbol.moves.on_trades(ts, trades)
            symbol.walls.on_trades(ts, trades)
        symbol.decide(ts, seq, out)
        symbol.match(ts, seq, trades, changed, out)
        symbol.account(out)
        return out
