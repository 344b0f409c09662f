"""What a number of sessions add up to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.sim.session import Outcome


@dataclass
class Totals:
    """What a number of sessions add up to. Times in ms."""

    sessions: int = 0
    intents: int = 0
    orders: int = 0
    fills: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    wall_s: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    open_compared: int = 0
    reordered: int = 0
    adopted: int = 0
    failed: list[Outcome] = field(default_factory=list)
    settle_ms: list[int] = field(default_factory=list)
    kill_ms: list[int] = field(default_factory=list)
    naked_ms: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.sessions += 1
        self.intents += outcome.intents
        self.orders += outcome.orders
        self.fills += outcome.fills
        self.crashes += len(outcome.crashes)
        self.virtual_s += outcome.virtual_s
        self.compared += outcome.compared
        self.open_compared += outcome.open_compared
        self.reordered += outcome.reordered
        self.adopted += outcome.adopted
        self.hits += outcome.hits
        self.counters += outcome.counters
        self.settle_ms.append(outcome.settle_ms)
        self.naked_ms.append(outcome.naked_ms)
        if outcome.kill_ms:
            self.kill_ms.append(outcome.kill_ms)
        if outcome.violations:
            self.failed.append(outcome)

    def text(self) -> str:
        """A page for people."""
        what = (
            f"{self.sessions} sessions, {self.intents} intents, {self.orders} exchange orders, {self.fills} executions, "
            f"{self.crashes} crashes, {self.virtual_s / 3600:.1f} virtual hours in {self.wall_s:.0f} s: "
            f"{self.sessions / max(self.wall_s, 1e-9):.1f} sessions/s"
        )
        times = (
            f"settled after ms: {spread(self.settle_ms)};  kill to flat ms: {spread(self.kill_ms)};  "
            f"without stop ms: {spread(self.naked_ms)}"
        )
        books = (
            f"books equal to 1e-8 USDT: {self.compared} times, {self.open_compared} with positions open "
            f"({self.reordered} of them booked in another order, {self.adopted} after a position was taken over)"
        )
        lines = [what, times, books, f"failed: {len(self.failed)}"]
        for outcome in self.failed[:20]:
            lines.append(f"  {outcome.command}")
            lines += [f"      {text}" for text in outcome.violations[:4]]
        return "\n".join(lines)


def spread(values: list[int]) -> str:
    """Median, 95th, 99th percentile and largest."""
    if not values:
        return "-"
    ranked = sorted(values)
    return " / ".join(str(ranked[min(int(q * len(ranked)), len(ranked) - 1)]) for q in (0.5, 0.95, 0.99, 1.0))
