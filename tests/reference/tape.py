"""The obvious tape: a list of every trade."""

from __future__ import annotations

from typing import NamedTuple

BLOCK = 1


class Trade(NamedTuple):
    price: int
    qty: int
    side: int
    flags: int = 0
    ts_exch_ns: int = 0


class NaiveTape:
    """Keeps everything; answers for the last `kept` trades."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.trades: list[Trade] = []

    def append(self, trades: list[Trade]) -> None:
        self.trades.extend(trades)

    def last(self, n: int) -> list[Trade]:
        return self.trades[-min(n, self.kept) :] if n else []

    def totals(self) -> tuple[int, int, int, int, int, int, int]:
        """(bought lots, sold lots, buys, sells, blocks, last price, its match time)."""
        normal = [t for t in self.trades if not t.flags & BLOCK]
        buys = [t for t in normal if t.side > 0]
        sells = [t for t in normal if t.side < 0]
        return (
            sum(t.qty for t in buys), sum(t.qty for t in sells), len(buys), len(sells), len(self.trades) - len(normal),
            normal[-1].price if normal else 0, normal[-1].ts_exch_ns if normal else 0,
        )  # fmt: skip
