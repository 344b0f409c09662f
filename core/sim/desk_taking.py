"""Orders of the paper desk that arrive at the book: placement of entries and targets, walks over displayed levels."""

from __future__ import annotations

from core.jit import kernel
from core.sim.desk_book import (
    clear_entry,
    end_entry,
    take,
    use,
)
from core.sim.desk_records import (
    CAUSE_DATA_BROKEN,
    CAUSE_EXPIRED,
    CAUSE_ORDER_REJECTED,
    E8,
    FLAG_POST_ONLY,
    FLAG_TAKER,
    RESTING,
    ROLE_ENTRY,
    ROLE_TAKE_PROFIT,
    RUNGS,
    TARGET_NONE,
    TARGET_WALK_LEVELS,
    TRADE_BLOCK,
    TRADE_RPI,
    WALK_LEVELS,
    ZERO,
)
from core.sim.queue_model import expected_ahead


@kernel
def place(rows, slot, book, believed, cap_e8, taker_fee, cut_e4, out, n_out, context, instrument):
    """A new entry reaches the book: rest, take, or end."""
    row = rows[slot]
    if believed and row.order_flags & FLAG_POST_ONLY:
        opposite = 1 if row.side > 0 else 0
        crosses = (
            book.count[slot, opposite] > 0 and row.side * (row.price_ticks - book.price[slot, opposite, 0]) >= 0
        )
        if not crosses:
            row.phase = RESTING
            row.queue_lots = expected_ahead(book, slot, 1 - opposite, row.side, row.price_ticks, cut_e4)
            return n_out
        return take_or_end(
            rows, slot, book, believed, cap_e8, taker_fee, out, n_out, context, instrument, CAUSE_ORDER_REJECTED
        )
    row.order_flags |= FLAG_TAKER
    return take_or_end(rows, slot, book, believed, cap_e8, taker_fee, out, n_out, context, instrument, CAUSE_EXPIRED)


@kernel
def take_or_end(rows, slot, book, believed, cap_e8, taker_fee, out, n_out, context, instrument, cause):
    """Turn the entry taker where allowed; what does not fill ends with `cause`."""
    row = rows[slot]
    if not believed:
        return end_entry(rows, slot, out, n_out, context, CAUSE_DATA_BROKEN)
    if row.order_flags & FLAG_TAKER:
        n_out = walk(
            rows, slot, book, row.side, row.leaves_lots, reach(book, slot, row.side, cap_e8), WALK_LEVELS, ZERO,
            ROLE_ENTRY, ZERO, taker_fee, out, n_out, context, instrument,
        )
        cause = CAUSE_EXPIRED
    if row.leaves_lots == 0:
        clear_entry(rows, slot)
        return n_out
    return end_entry(rows, slot, out, n_out, context, cause)


@kernel
def place_targets(rows, slot, book, taker_fee, cut_e4, out, n_out, context, instrument):
    """Put targets on the book, or learn their queue once their level is displayed. What of a target is crossed when it
    is placed takes, down to its own price; the rest of it rests. Returns n_out."""
    row = rows[slot]
    side = -1 if row.pos_lots > 0 else 1
    own = 0 if side > 0 else 1
    opposite = 1 - own
    last = n_out + TARGET_WALK_LEVELS
    for rung in range(RUNGS):
        if row.pos_target_lots[rung] == 0:
            continue
        limit = row.pos_target_ticks[rung]
        if row.target_queue_lots[rung] == TARGET_NONE:
            if book.count[slot, opposite] > 0 and side * (limit - book.price[slot, opposite, 0]) >= 0:
                before = abs(row.pos_lots)
                n_out = walk(
                    rows, slot, book, side, row.pos_target_lots[rung], limit, last - n_out, ZERO, ROLE_TAKE_PROFIT,
                    rung + 1, taker_fee, out, n_out, context, instrument,
                )
                row.pos_target_lots[rung] -= before - abs(row.pos_lots)
            row.target_queue_lots[rung] = -1
        if row.target_queue_lots[rung] < 0:
            row.target_queue_lots[rung] = expected_ahead(book, slot, own, side, limit, cut_e4)
    return n_out


@kernel
def reach(book, slot, side, cap_e8):
    """Farthest price a market order of `side` may fill at: the slippage cap from the touch; 0 without a book."""
    book_side = 1 if side > 0 else 0
    if book.count[slot, book_side] == 0:
        return 0
    touch = book.price[slot, book_side, 0]
    return touch + side * (touch * cap_e8 // E8)


@kernel
def walk(
    rows, slot, book, side, want_lots, limit, max_fills, clamp_ticks, role, rung, taker_fee, out, n_out, context,
    instrument,
):
    """Take up to `want_lots` from the displayed levels up to the price `limit`; one FILL per level, at most
    `max_fills`. `clamp_ticks`: never fill better than this.

    Role ENTRY fills the working entry and opens; any other role reduces the position.
    """
    row = rows[slot]
    book_side = 1 if side > 0 else 0
    n_levels = book.count[slot, book_side]
    if n_levels == 0:
        return n_out
    skip = row.used_ask_lots if side > 0 else row.used_bid_lots
    left = want_lots
    fills = 0
    for k in range(n_levels):
        price = book.price[slot, book_side, k]
        if left == 0 or fills >= max_fills or side * (price - limit) > 0:
            break
        lots = book.qty[slot, book_side, k]
        if skip >= lots:
            skip -= lots
            continue
        lots = min(lots - skip, left)
        skip = 0
        left -= lots
        fills += 1
        use(rows, slot, side, lots)
        if clamp_ticks != 0 and side * (clamp_ticks - price) > 0:
            price = clamp_ticks
        n_out = take(rows, slot, side, price, lots, role, rung, taker_fee, out, n_out, context, instrument)
    return n_out


@kernel
def close_on_prints(rows, slot, trades, first_trade, n_trades, taker_fee, out, n_out, context, instrument):
    """Exit without a believed book: at the worst print of the event, no more than was printed."""
    row = rows[slot]
    side = -1 if row.pos_lots > 0 else 1
    printed = 0
    worst = row.trigger_ticks
    for k in range(first_trade, first_trade + n_trades):
        if trades[k]["flags"] & (TRADE_BLOCK | TRADE_RPI):
            continue
        printed += trades[k].qty_lots
        if worst == 0 or side * (trades[k].price_ticks - worst) > 0:
            worst = trades[k].price_ticks
    lots = min(printed, abs(row.pos_lots))
    if lots > 0:
        n_out = take(rows, slot, side, worst, lots, row.close_role, ZERO, taker_fee, out, n_out, context, instrument)
    return n_out
