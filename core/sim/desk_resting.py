"""Resting orders of the paper desk (entry and target) against prints and against a book that crosses them."""

from __future__ import annotations

from core.jit import kernel
from core.sim.desk_book import (
    grow,
    use,
)
from core.sim.desk_records import (
    ASK_SIDE,
    BID_SIDE,
    BUY,
    CAUSE_STOP,
    RESTING,
    ROLE_STOP,
    SELL,
    TARGET_NONE,
    TRADE_BLOCK,
    TRADE_RPI,
)
from core.sim.queue_model import crossing_lots, queue_after, resting_fill


@kernel
def match_trades(rows, slot, trades, first_trade, n_trades):
    """Resting entry, stop and target against the prints, in order. Returns (entry lots, signed target lots)."""
    row = rows[slot]
    entry_lots = 0
    target_lots = 0
    for k in range(first_trade, first_trade + n_trades):
        if trades[k]["flags"] & TRADE_BLOCK:
            continue
        price = trades[k].price_ticks
        lots = trades[k].qty_lots
        aggressor = trades[k].side
        if not trades[k]["flags"] & TRADE_RPI:
            if row.phase == RESTING and row.leaves_lots > 0:
                lots_now = resting_fill(row.side, row.price_ticks, row.leaves_lots, row.queue_lots, price, lots,
                                         aggressor)
                row.queue_lots = queue_after(row.side, row.price_ticks, row.queue_lots, price, lots, aggressor)
                if lots_now > 0:
                    entry_lots += lots_now
                    row.leaves_lots -= lots_now
                    grow(rows, slot, row.side * lots_now)
            if row.pos_lots != 0 and row.close_role == 0 and row.target_queue_lots > TARGET_NONE:
                side = -1 if row.pos_lots > 0 else 1
                held = abs(row.pos_lots)
                lots_now = resting_fill(side, row.pos_target_ticks, held, row.target_queue_lots, price, lots,
                                         aggressor)
                row.target_queue_lots = queue_after(side, row.pos_target_ticks, row.target_queue_lots, price, lots,
                                                     aggressor)
                if lots_now > 0:
                    target_lots += side * lots_now
                    row.pos_lots += side * lots_now
                    if row.pos_lots == 0:
                        break
        if row.pos_lots != 0 and row.close_role == 0 and row.pos_stop_ticks > 0:
            sign = 1 if row.pos_lots > 0 else -1
            if sign * (price - row.pos_stop_ticks) <= 0:
                row.close_role = ROLE_STOP
                row.close_reason = CAUSE_STOP
                row.trigger_ticks = price
                break
    return entry_lots, target_lots


@kernel
def match_crossing(rows, slot, book):
    """Resting entry and target against a new book that crosses them. Returns (entry lots, signed target lots)."""
    row = rows[slot]
    entry_lots = 0
    target_lots = 0
    if row.phase == RESTING and row.leaves_lots > 0 and row.close_role == 0:
        entry_lots = min(row.leaves_lots, available(book, slot, row.side, row.price_ticks))
        if entry_lots > 0:
            row.leaves_lots -= entry_lots
            use(rows, slot, row.side, entry_lots)
            grow(rows, slot, row.side * entry_lots)
    if row.pos_lots != 0 and row.close_role == 0 and row.target_queue_lots > TARGET_NONE:
        side = -1 if row.pos_lots > 0 else 1
        lots = min(abs(row.pos_lots), available(book, slot, side, row.pos_target_ticks))
        if lots > 0:
            target_lots = side * lots
            row.pos_lots += target_lots
            use(rows, slot, side, lots)
    return entry_lots, target_lots


@kernel
def available(book, slot, side, price_ticks):
    """Lots of the opposite side of a new book that cross an order of `side` at `price_ticks`."""
    if side > 0:
        return crossing_lots(book, slot, ASK_SIDE, BUY, price_ticks)
    return crossing_lots(book, slot, BID_SIDE, SELL, price_ticks)
