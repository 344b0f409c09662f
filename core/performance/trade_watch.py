"""Turns the fills of a LIVE account into the evidence of core.performance.promotion. Pure.

    fill that opens   -> how the market moved, where the target stands
    every entry fill  -> whose order it was: more orders than planned are unplanned entries
    fill that closes  -> LiveTrade, with what the exchange desk has counted as impossible meanwhile
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.constants import E8, NS_PER_MS
from core.enums import OrderRole, Pump
from core.orders.wire import Message
from core.performance.promotion import LiveTrade
from core.position.position import Position

COUNTED: dict[str, tuple[str, ...]] = {
    "duplicate_entries": ("orphan_order",),  # an order of ours at the exchange that no intent knows
    "undefined_states": ("status_unknown", "exec_unknown_type"),
    "ghost_positions": ("ext_position",),
}
"""Flaws of a trade from the counters of the exchange desk."""


def move_of(pump: int) -> str:
    """Kind of move an entry was made in: PUMP, DUMP, or GRIND (everything slow)."""
    if pump in (Pump.PUMPING, Pump.BLOWOFF):
        return "PUMP"
    return "DUMP" if pump == Pump.DUMP else "GRIND"


def illogical_target(side: int, entry_ticks: int, target_ticks: int, fee_rate_e8: int) -> bool:
    """A target that loses: on the wrong side of the entry, or nearer than entry and exit fee together."""
    if target_ticks <= 0:
        return False
    return side * (target_ticks - entry_ticks) * E8 <= (entry_ticks + target_ticks) * fee_rate_e8


@dataclass(slots=True)
class _Open:
    side: int
    opened_ns: int
    move: str
    illogical: bool
    counts: dict[str, int]
    whole: bool  # from its first fill on
    orders: set[int] = field(default_factory=set)
    entry_lots: int = 0
    entry_value_e8: int = 0
    exit_value_e8: int = 0


class TradeWatch:
    """One per LIVE run. `additions`: entries beyond the first that the settings plan."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}

    def fill(
        self, message: Message, position: Position, name: str, tier: str, pump: int, fee_rate_e8: int, additions: int,
        counters: Mapping[str, int],
    ) -> LiveTrade | None:
        """A fill has been booked; `position` is as it stands after it. Returns the trade when that closed it."""
        trade = self._open.get(message.symbol)
        if trade is None:
            if position.lots == 0:
                return None  # opened before this run saw it, and gone with the first fill
            trade = self._open[message.symbol] = _Open(
                position.side, position.opened_ns or message.ts_event_ns, move_of(pump),
                illogical_target(position.side, message.price_ticks, position.target_ticks, fee_rate_e8), dict(counters),
                abs(position.lots) == message.qty_lots,
            )
        value_e8 = abs(position.grid.signed_value_e8(message.price_ticks, message.side * message.qty_lots))
        if message.side == trade.side:
            trade.entry_lots += message.qty_lots
            trade.entry_value_e8 += value_e8
        else:
            trade.exit_value_e8 += value_e8
        if message.role == OrderRole.ENTRY:
            trade.orders.add(message.order_id)
        if position.lots:
            return None
        del self._open[message.symbol]
        grown: dict[str, Any] = {
            flaw: sum(counters.get(word, 0) - trade.counts.get(word, 0) for word in words) for flaw, words in COUNTED.items()
        }
        sizes: dict[str, Any] = {}
        if trade.whole:
            gross_e8 = trade.side * (trade.exit_value_e8 - trade.entry_value_e8)
            sizes = {
                "entry_lots": trade.entry_lots, "entry_value_e8": trade.entry_value_e8, "exit_value_e8": trade.exit_value_e8,
                "funding_e8": gross_e8 - position.fees_e8 - position.realised_e8,
            }
        return LiveTrade(
            symbol=name, opened_ms=trade.opened_ns // NS_PER_MS, closed_ms=message.ts_event_ns // NS_PER_MS, side=trade.side,
            result_e8=position.realised_e8, fees_e8=position.fees_e8, tier=tier, move=trade.move,
            illogical_targets=int(trade.illogical), unplanned_entries=max(0, len(trade.orders) - 1 - additions), **grown,
            **sizes,
        )
