"""Two runs side by side: their figures, and which trades only one of them made. For two backtests, a run against the
backtest of its own journal, and a candidate's settings against those in force (shadow, requirement G6).

    matched    the same decision led to both (same id: two runs of one journal), or both opened within a second
    missed     trades only b made: a did not get them         extra    trades only a made
    shortfall  what a earned less than b: prices of the matched trades, their costs, missed and extra trades

With a = the real run and b = the backtest of its period, the shortfall of prices and of missed trades is what latency and
the real queue cost (implementation shortfall).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from core.performance.figures import mean
from core.performance.trades import Trade

FIGURES = (
    "trades", "win_rate", "net_usdt", "gross_usdt", "fees_usdt", "funding_usdt", "slippage_usdt", "profit_factor",
    "expectancy_r", "sharpe", "sortino", "calmar", "max_drawdown_pct", "mean_mfe_r", "mean_mae_r", "average_hold_s",
)
SAME_ENTRY_NS = 1_000_000_000
SAME_DECISION_NS = 60_000_000_000  # numbers of events begin anew with every run: an id alone says nothing
BPS = 10_000


class Pair(NamedTuple):
    """A trade both made (opened on one symbol and side within a second of each other), or only one of them (other None)."""

    a: Trade | None
    b: Trade | None

    @property
    def difference_e8(self) -> int:
        """What b earned more."""
        return (self.b.net_e8 if self.b else 0) - (self.a.net_e8 if self.a else 0)

    @property
    def is_same(self) -> bool:
        """Both made it, with the same result to the last digit."""
        a, b = self.a, self.b
        return bool(a and b) and (a.opened_ns, a.closed_ns, a.net_e8) == (b.opened_ns, b.closed_ns, b.net_e8)  # type: ignore[union-attr]

    @property
    def entry_bps(self) -> float | None:
        """How much worse a's entry price was, 1e-4 of b's; None unless both are known."""
        return self._worse_bps("entry_price", 1)

    @property
    def exit_bps(self) -> float | None:
        """How much worse a's exit price was."""
        return self._worse_bps("exit_price", -1)

    def _worse_bps(self, name: str, sign: int) -> float | None:
        left, right = (getattr(trade, name) if trade else "" for trade in (self.a, self.b))
        if self.a is None or not left or not right or not float(right):
            return None
        return sign * self.a.side * (float(left) / float(right) - 1) * BPS


class Shortfall(NamedTuple):
    """What a earned less than b, in 1e-8 USDT: `prices_e8 + costs_e8 + missed_e8 + extra_e8 = total_e8` (net of b less net
    of a). `costs_e8`: fees and funding of matched trades. Means over the matched trades, None without one."""

    matched: int
    missed: int
    extra: int
    prices_e8: int
    costs_e8: int
    missed_e8: int
    extra_e8: int
    entry_bps: float | None
    exit_bps: float | None
    later_ms: float | None

    @property
    def total_e8(self) -> int:
        return self.prices_e8 + self.costs_e8 + self.missed_e8 + self.extra_e8


def shortfall(found: Sequence[Pair]) -> Shortfall:
    """From the pairs of two runs."""
    both = [(pair.a, pair.b) for pair in found if pair.a and pair.b]
    only_a = [pair.a for pair in found if pair.a and not pair.b]
    only_b = [pair.b for pair in found if pair.b and not pair.a]
    entries, exits = ([x for pair in found if (x := getattr(pair, name)) is not None] for name in ("entry_bps", "exit_bps"))
    return Shortfall(
        len(both), len(only_b), len(only_a), sum(b.gross_e8 - a.gross_e8 for a, b in both),
        sum(a.fees_e8 + a.funding_e8 - b.fees_e8 - b.funding_e8 for a, b in both),
        sum(trade.net_e8 for trade in only_b), -sum(trade.net_e8 for trade in only_a), mean(entries), mean(exits),
        mean([(a.opened_ns - b.opened_ns) / 1e6 for a, b in both]),
    )


def pairs(a: Sequence[Trade], b: Sequence[Trade]) -> list[Pair]:
    """Every trade of both, in order of opening."""
    decided = {(t.decision_id, t.symbol, t.side): t for t in b if t.decision_id}
    alike = []
    for trade in a:
        other = decided.get((trade.decision_id, trade.symbol, trade.side))
        if other is not None and abs(other.opened_ns - trade.opened_ns) <= SAME_DECISION_NS:
            alike.append(Pair(trade, decided.pop((trade.decision_id, trade.symbol, trade.side))))
    known = {id(trade) for pair in alike for trade in pair}
    rest = _by_time([t for t in a if id(t) not in known], [t for t in b if id(t) not in known])
    return sorted(alike + rest, key=lambda pair: (pair.a or pair.b).opened_ns)  # type: ignore[union-attr]


def _by_time(a: Sequence[Trade], b: Sequence[Trade]) -> list[Pair]:
    waiting: dict[tuple[str, int], list[Trade]] = {}
    for trade in sorted(b, key=lambda t: t.opened_ns):
        waiting.setdefault((trade.symbol, trade.side), []).append(trade)
    found = []
    for trade in sorted(a, key=lambda t: t.opened_ns):
        others = waiting.get((trade.symbol, trade.side), [])
        near = [o for o in others if abs(o.opened_ns - trade.opened_ns) <= SAME_ENTRY_NS]
        other = min(near, key=lambda o: abs(o.opened_ns - trade.opened_ns)) if near else None
        if other is not None:
            others.remove(other)
        found.append(Pair(trade, other))
    return found + [Pair(None, trade) for rest in waiting.values() for trade in rest]


def figure_rows(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{figure, a, b, difference} each; None where one does not know it."""
    rows = []
    for name in FIGURES:
        left, right = a.get(name), b.get(name)
        known = left is not None and right is not None
        rows.append({"figure": name, "a": left, "b": right, "difference": right - left if known else None})  # type: ignore[operator]
    return rows


class Comparison(NamedTuple):
    """`same_until`: how many decisions both made alike from the start; None where decisions were not kept."""

    figures: list[dict[str, Any]]
    pairs: list[Pair]
    same_until: int | None

    @property
    def only_a(self) -> list[Trade]:
        return [pair.a for pair in self.pairs if pair.a and not pair.b]

    @property
    def only_b(self) -> list[Trade]:
        return [pair.b for pair in self.pairs if pair.b and not pair.a]

    @property
    def shortfall(self) -> Shortfall:
        return shortfall(self.pairs)

    @property
    def both(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.a and pair.b]


def compare(
    figures_a: Mapping[str, Any], trades_a: Sequence[Trade], figures_b: Mapping[str, Any], trades_b: Sequence[Trade],
    intents_a: Sequence[Any] | None = None, intents_b: Sequence[Any] | None = None,
) -> Comparison:
    """Compare two runs. Decisions are compared in the order of their events, whoever handled them first."""
    same = None
    if intents_a is not None and intents_b is not None:
        a, b = (sorted(map(tuple, intents), key=lambda intent: intent[:2]) for intents in (intents_a, intents_b))
        same = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return Comparison(figure_rows(figures_a, figures_b), pairs(trades_a, trades_b), same)
