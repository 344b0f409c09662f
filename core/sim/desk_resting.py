"""Resting orders of the paper desk (entry and targets) against prints and against a book that crosses them."""

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
    RUNGS,
    SELL,
    TARGET_NONE,
    TRADE_BLOCK,
    TRADE_RPI,
)
from core.sim.queue_model import crossing_lots, queue_after, resting_fill


@kernel
def match_trades(rows, slot, trades, first_trade, n_trades):
    """Resting entry, stop and targets against the prints, in order. Returns the entry lots; targets: `hit_lots`.

    One print fills no more of the targets than its lots, the nearest first.
    """
    row = rows[slot]
    entry_lots = 0
    for k in range(RUNGS):
        row.hit_lots[k] = 0
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
            if row.pos_lots != 0 and row.close_role == 0:
                side = -1 if row.pos_lots > 0 else 1
                left = lots
                for rung in range(RUNGS):
                    size, queue = row.pos_target_lots[rung], row.target_queue_lots[rung]
                    if size == 0 or queue == TARGET_NONE:
                        continue
                    lots_now = resting_fill(side, row.pos_target_ticks[rung], size, queue, price, left, aggressor)
                    row.target_queue_lots[rung] = queue_after(
                        side, row.pos_target_ticks[rung], queue, price, left, aggressor
                    )
                    hit(rows, slot, rung, side, lots_now)
                    left -= lots_now
                if row.pos_lots == 0:
                    break
        if row.pos_lots != 0 and row.close_role == 0 and row.pos_stop_ticks > 0:
            sign = 1 if row.pos_lots > 0 else -1
            if sign * (price - row.pos_stop_ticks) <= 0:
                row.close_role = ROLE_STOP
                row.close_reason = CAUSE_STOP
                row.trigger_ticks = price
                break
    return entry_lots


@kernel
def hit(rows, slot, rung, side, lots):
    """`lots` of a resting target were filled."""
    row = rows[slot]
    row.hit_lots[rung] += lots
    row.hit_side = side
    row.pos_target_lots[rung] -= lots
    row.pos_lots += side * lots


@kernel
def match_crossing(rows, slot, book):
    """Resting entry and targets against a new book that crosses them. Returns the entry lots; targets: `hit_lots`."""
    row = rows[slot]
    entry_lots = 0
    if row.phase == RESTING and row.leaves_lots > 0 and row.close_role == 0:
        entry_lots = min(row.leaves_lots, available(book, slot, row.side, row.price_ticks))
        if entry_lots > 0:
            row.leaves_lots -= entry_lots
            use(rows, slot, row.side, entry_lots)
            grow(rows, slot, row.side * entry_lots)
    if row.pos_lots != 0 and row.close_role == 0:
        side = -1 if row.pos_lots > 0 else 1
        sold = 0
        for rung in range(RUNGS):
            if row.pos_target_lots[rung] == 0 or row.target_queue_lots[rung] == TARGET_NONE:
                continue
            shown = available(book, slot, side, row.pos_target_ticks[rung]) - sold
            lots = min(row.pos_target_lots[rung], max(shown, 0))
            hit(rows, slot, rung, side, lots)
            sold += lots
        use(rows, slot, side, sold)
    return entry_lots


@kernel
def available(book, slot, side, price_ticks):
    """Lots of the opposite side of a new book that cross an order of `side` at `price_ticks`."""
    if side > 0:
        return crossing_lots(book, slot, ASK_SIDE, BUY, price_ticks)
    return crossing_lots(book, slot, BID_SIDE, SELL, price_ticks)
