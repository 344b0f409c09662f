"""Two runs side by side: their figures, and which trades only one of them made. For two backtests, a backtest against live,
and a candidate's settings against those in force (shadow, requirement G6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from core.performance.trades import Trade

FIGURES = (
    "trades", "win_rate", "net_usdt", "gross_usdt", "fees_usdt", "slippage_usdt", "profit_factor", "expectancy_r", "sharpe",
    "sortino", "calmar", "max_drawdown_pct", "mean_mfe_r", "mean_mae_r", "average_hold_s",
)
SAME_ENTRY_NS = 1_000_000_000


class Pair(NamedTuple):
    """A trade both made (opened on one symbol and side within a second of each other), or only one of them (other None)."""

    a: Trade | None
    b: Trade | None

    @property
    def difference_e8(self) -> int:
        """What b earned more."""
        return (self.b.net_e8 if self.b else 0) - (self.a.net_e8 if self.a else 0)


def pairs(a: Sequence[Trade], b: Sequence[Trade]) -> list[Pair]:
    """Every trade of both, in order of opening."""
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
    found += [Pair(None, trade) for rest in waiting.values() for trade in rest]
    return sorted(found, key=lambda pair: (pair.a or pair.b).opened_ns)  # type: ignore[union-attr]


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
    def both(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.a and pair.b]


def compare(
    figures_a: Mapping[str, Any], trades_a: Sequence[Trade], figures_b: Mapping[str, Any], trades_b: Sequence[Trade],
    intents_a: Sequence[Any] | None = None, intents_b: Sequence[Any] | None = None,
) -> Comparison:
    """Compare two runs."""
    same = None
    if intents_a is not None and intents_b is not None:
        same = next((k for k, (x, y) in enumerate(zip(intents_a, intents_b, strict=False)) if x != y),
                    min(len(intents_a), len(intents_b)))
    return Comparison(figure_rows(figures_a, figures_b), pairs(trades_a, trades_b), same)
