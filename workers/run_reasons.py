"""Why a trade of a run is not the trade of a backtest of the same period, one sentence each.

Two results with the same events (a run, its shadow, a backtest of its journal) number them alike, so the first decision on
a symbol that only one of them made can be named, and how execution answered it in each.
"""

from __future__ import annotations

from core.enums import MessageKind
from core.performance.comparison import Pair
from core.performance.trades import Trade
from workers.backtest import Result

SAME = ""
ACCEPTED = "ACCEPTED"


def share_events(a: Result, b: Result) -> bool:
    """Do both number the events alike?"""
    return [row["name"] for row in a.input] == [row["name"] for row in b.input]


class Reasons:
    """For the pairs of `a` and `b`, which share their events. What stands in the way of the backtest of a journal being its
    run (`remarks`) is told first, because it may be behind everything that follows."""

    def __init__(self, a: Result, b: Result) -> None:
        self._a, self._b = a, b
        self._intents = [{symbol: [i for i in map(tuple, result.intents) if i[1] == symbol]
                          for symbol in {i[1] for i in result.intents}} for result in (a, b)]
        self.general = self._general()

    def _general(self) -> list[str]:
        """True of the two as a whole."""
        a, b = self._a, self._b
        said = [f"{side.name}: {remark}" for side in (a, b) for remark in side.remarks]
        if a.settings_digest != b.settings_digest:
            said.append("settings differ")
        kinds = {side.kind for side in (a, b)}
        for side in (a, b):
            if side.kind != "live" and side.job.timing == "model" and "live" in kinds:
                said.append(f"{side.name}: answers come after latency_ms, the run's came when its processes had a turn "
                            "(--timing run goes by the run's order)")
        return said

    def why(self, pair: Pair) -> str:
        """In one sentence; SAME where there is nothing to explain."""
        if pair.is_same:
            return SAME
        trade = pair.a or pair.b
        assert trade is not None
        answers = [side.answers.get(trade.decision_id) for side in (self._a, self._b)]
        if pair.a and pair.b:
            return f"entered by the same decision, filled or closed otherwise{self._because}"
        have, lack, word = (answers[0], answers[1], "b") if pair.a else (answers[1], answers[0], "a")
        if have is None:
            return f"its decision is not known{self._because}"
        if lack is None:
            return f"not decided in {word}: {self._parted(trade)}{self._because}"
        if lack != ACCEPTED:
            return f"refused in {word} by {lack}: its account was another one by then{self._because}"
        return f"accepted in {word}, too, but not filled there or still open{self._because}"

    def _parted(self, trade: Trade) -> str:
        """The first decision on the trade's symbol that only one of the two made."""
        seq = int(trade.decision_id.partition("-")[0])
        symbol = next((i[1] for side in self._intents for rows in side.values() for i in rows
                       if i[0] == seq and i[2] == MessageKind.ENTER), None)
        if symbol is None:
            return "where they parted is not known"
        left, right = (side.get(symbol, []) for side in self._intents)
        at = next((k for k, (x, y) in enumerate(zip(left, right, strict=False)) if x != y), min(len(left), len(right)))
        first = min((rows[at] for rows in (left, right) if at < len(rows)), default=None)
        if first is None:
            return "where they parted is not known"
        return f"{trade.symbol} parted at event {first[0]} ({MessageKind(first[2]).name} in one of the two only)"

    @property
    def _because(self) -> str:
        return f"; {self.general[0]}" if self.general else ""
