"""Book-local paper matcher: one working entry and one position per symbol, matched against the real book and tape.

Called by the engine right after the step of an event, so nothing but the symbol's own events decides (shard count and
speed cannot matter). Rules, all on the pessimistic side:

* A resting order queues behind everything displayed at its price when it was placed. Trades at the price by the
  opposite aggressor shorten the queue, then fill us; a trade *through* the price fills us up to the printed quantity;
  a new book that crosses the price fills us up to what it displays. Cancels ahead never help (`queue_model`).
* Post-only that would cross on arrival: turned taker where `FLAG_TAKER` allows it, else ended (DONE), as Bybit does.
* A taker walks the displayed levels within `slippage_cap_e8` of the touch, at most `WALK_LEVELS` of them, and the
  lots it takes are gone until the next change of the book. What is left of an entry ends (DONE); what is left of an
  exit is tried again at the next book state: an exit is never forgotten.
* The stop is triggered by the last trade price and fills as a reduce-only market order, never better than the print
  that triggered it. Up to three targets rest as reduce-only limit orders from the moment of the fill, each with lots of
  its own; one that is crossed when it is placed or moved takes, down to its price. What no target takes is left to the
  stop. Any exit cancels the rest of the entry.
* An entry that fills in part carries the targets of what has filled, the nearest first.
* A PROTECTED report moves the stop and the prices of the targets; a moved target queues anew.
* An entry turns taker at its deadline only while nothing speaks against it (MATCH_NO_TAKER off).
* Block trades touch nothing. RPI trades move the last price but consume no displayed queue and fill nothing.
* While the book is not believed (MATCH_BOOK_OK off) nothing is matched against it: entries are not placed and do not
  turn taker (DONE, DATA_BROKEN); a resting entry can still be hit by trades (that would happen to us); exits wait,
  or fill against prints: at the worst print of the event and no more than was printed.

Order inside one call: trades, book crossing, cancel, deadline, placement, exits. An order accepted at this event is
placed against the book after it and does not profit from its trades. An order cancelled at this event can still be hit
by them, because they happened before the cancel could arrive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.constants import FLAG_EXTERNAL
from core.jit import kernel
from core.sim.desk_book import (
    clear_entry,
    clear_position,
    close_cause,
    cut_targets,
    end_entry,
    put_done,
    put_fill,
    set_active,
)
from core.sim.desk_records import (
    CAUSE_CONTROL,
    CAUSE_EXPIRED,
    CAUSE_ORDER_REJECTED,
    CAUSE_TAKE_PROFIT,
    DESK,
    FLAG_ADD,
    FLAG_POST_ONLY,
    FLAG_REFUSED,
    FLAG_TAKER,
    IDLE,
    MATCH_BOOK_CHANGED,
    MATCH_BOOK_OK,
    MATCH_NO_TAKER,
    MAX_MESSAGES,
    ONE,
    PENDING,
    REPORT_ACCEPTED,
    REPORT_CANCEL,
    REPORT_CLOSE,
    REPORT_POSITION,
    REPORT_PROTECTED,
    RESTING,
    ROLE_ENTRY,
    ROLE_EXIT,
    ROLE_TAKE_PROFIT,
    RUNGS,
    TARGET_NONE,
    WALK_LEVELS,
    ZERO,
)
from core.sim.desk_resting import (
    match_crossing,
    match_trades,
)
from core.sim.desk_taking import (
    close_on_prints,
    place,
    place_targets,
    reach,
    take_or_end,
    walk,
)
from core.sim.queue_model import expected_ahead

__all__ = [
    "FLAG_ADD", "FLAG_POST_ONLY", "FLAG_TAKER", "MATCH_BOOK_CHANGED", "MATCH_BOOK_OK", "MATCH_NO_TAKER", "MAX_MESSAGES",
    "WALK_LEVELS", "Desk", "desk_clear", "desk_match", "desk_position", "desk_report", "desk_stop", "desk_target",
    "new_desk",
]


class Desk(NamedTuple):
    """`row`: DESK record array [cap]; `active`: int64[cap], nonzero = `desk_match` has something to do for the slot;
    `funding_ns`: int64[cap], the next funding settlement, 0 = not known (`desk_funding`)."""

    row: np.ndarray
    active: np.ndarray
    funding_ns: np.ndarray


def new_desk(cap: int) -> Desk:
    """An empty desk for `cap` slots."""
    desk = Desk(np.zeros(cap, DESK.dtype), np.zeros(cap, np.int64), np.zeros(cap, np.int64))
    desk.row["target_queue_lots"] = TARGET_NONE
    return desk


@kernel
def desk_clear(desk, slot):
    """Forget everything about the slot."""
    clear_entry(desk.row, slot)
    clear_position(desk.row, slot)
    desk.row[slot].used_bid_lots = 0
    desk.row[slot].used_ask_lots = 0
    desk.row[slot].refused_order_id = 0
    desk.active[slot] = 0
    desk.funding_ns[slot] = 0


@kernel
def desk_position(desk, slot):
    """Signed position of the slot in lots."""
    return desk.row[slot].pos_lots


@kernel
def desk_stop(desk, slot):
    """Stop in force in ticks, 0 = none."""
    return desk.row[slot].pos_stop_ticks


@kernel
def desk_target(desk, slot, k):
    """(ticks, lots left) of target `k` from 0."""
    return desk.row[slot].pos_target_ticks[k], desk.row[slot].pos_target_lots[k]


@kernel
def _targets(report, ticks, lots):
    """The ladder of a report into two columns of three."""
    ticks[0], ticks[1], ticks[2] = report.target_ticks, report.target2_ticks, report.target3_ticks
    lots[0], lots[1], lots[2] = report.target_lots, report.target2_lots, report.target3_lots


@kernel
def _protect(row, report):
    """Stop and target prices of the open position; the desk knows best how many lots each target still takes."""
    if report.stop_ticks > 0:
        row.pos_stop_ticks = report.stop_ticks
    for k in range(RUNGS):
        ticks = report.target_ticks if k == 0 else report.target2_ticks if k == 1 else report.target3_ticks
        if ticks > 0 and ticks != row.pos_target_ticks[k]:
            row.pos_target_ticks[k] = ticks
            row.target_queue_lots[k] = TARGET_NONE


@kernel
def desk_report(desk, slot, reports, i, now_ns, params):
    """Apply report `i`: ACCEPTED, CANCEL, CLOSE, PROTECTED, or a resync POSITION (seq 0); the rest is not for the desk.

    Only sets state; messages follow in the next `desk_match`. Returns `active`. In LIVE (FLAG_EXTERNAL) an exchange works
    the orders: nothing is for the desk, which stays empty and silent.
    """
    row = desk.row[slot]
    report = reports[i]
    if report["flags"] & FLAG_EXTERNAL != 0:
        return desk.active[slot]
    if report.kind == REPORT_ACCEPTED:
        adds = report["flags"] & FLAG_ADD != 0 and row.pos_lots * report.side > 0 and row.close_role == 0
        if row.phase != IDLE or row.pos_lots != 0 and not adds:
            row.refused_order_id = report.order_id
            row.refused_decision_id = report.decision_id
            row.refused_lots = report.qty_lots
        elif report.qty_lots > 0:
            row.order_id = report.order_id
            row.decision_id = report.decision_id
            row.phase = PENDING
            row.side = 1 if report.side > 0 else -1
            row.order_flags = report["flags"]
            row.price_ticks = report.price_ticks
            row.order_lots = report.qty_lots
            row.leaves_lots = report.qty_lots
            row.queue_lots = -1
            row.deadline_ns = report.deadline_ns
            row.stop_ticks = report.stop_ticks
            _targets(report, row.target_ticks, row.target_lots)
            row.cancel = 0
    elif report.kind == REPORT_CANCEL:
        if row.phase != IDLE and row.cancel == 0:
            row.cancel = report.reason if report.reason > 0 else CAUSE_CONTROL
    elif report.kind == REPORT_CLOSE:
        if (row.phase != IDLE or row.pos_lots != 0) and row.close_role == 0:
            row.close_role = report.role if report.role > 0 else ROLE_EXIT
            row.close_reason = report.reason
            row.trigger_ticks = 0
    elif report.kind == REPORT_POSITION and report.seq == 0 and report.qty_lots != row.pos_lots:
        clear_entry(desk.row, slot)
        clear_position(desk.row, slot)
        if report.qty_lots != 0:
            row.pos_lots = report.qty_lots
            row.pos_order_id = report.order_id
            row.pos_decision_id = report.decision_id
            row.pos_stop_ticks = report.stop_ticks
            _targets(report, row.pos_target_ticks, row.pos_target_lots)
            cut_targets(desk.row, slot)
    elif report.kind == REPORT_PROTECTED and row.pos_lots != 0 and report["flags"] & FLAG_REFUSED == 0:
        _protect(row, report)
    set_active(desk, slot)
    return desk.active[slot]


@kernel
def desk_match(
    desk, slot, book, flags, trades, first_trade, n_trades, now_ns, symbols, sym_row, params, out, n_out,
    seq, ts_ns, mono_ns,
):
    """Match the slot's orders against this event's trades and the book after it; write FILL and DONE messages.

    `book`: arrays price/qty [cap, 2, levels], count [cap, 2]; `flags`: MATCH_* bits; `trades`: TRADE records, of which
    [first_trade, first_trade + n_trades) belong to the event; `symbols[sym_row]`: the SYMBOL record of the slot;
    `params[0]`: maker_fee_e8, taker_fee_e8 (where the instrument has none), slippage_cap_e8, queue_cut_e4.
    At most MAX_MESSAGES rows of `out` are written from `n_out` on; returns the new number of rows.
    """
    row = desk.row[slot]
    if flags & MATCH_BOOK_CHANGED:
        row.used_bid_lots = 0
        row.used_ask_lots = 0
    if desk.active[slot] == 0:
        return n_out
    instrument = (
        symbols[sym_row].tick_mant, symbols[sym_row].lot_mant,
        np.int64(symbols[sym_row].price_exp) + np.int64(symbols[sym_row].qty_exp),
    )
    context = (np.int64(symbols[sym_row].id), seq, ts_ns, mono_ns)
    own_fees = symbols[sym_row].taker_fee_e8 != 0  # an instrument without fees of its own trades at the settings'
    maker_fee = symbols[sym_row].maker_fee_e8 if own_fees else params[0].maker_fee_e8
    taker_fee = symbols[sym_row].taker_fee_e8 if own_fees else params[0].taker_fee_e8
    cap_e8 = params[0].slippage_cap_e8
    cut_e4 = params[0].queue_cut_e4
    believed = (flags & MATCH_BOOK_OK) != 0

    entry_lots = match_trades(desk.row, slot, trades, first_trade, n_trades)
    if believed and flags & MATCH_BOOK_CHANGED:
        entry_lots += match_crossing(desk.row, slot, book)
    if entry_lots > 0:
        n_out = put_fill(
            desk.row, slot, out, n_out, context, instrument, row.side, row.price_ticks, entry_lots,
            ROLE_ENTRY, ZERO, ONE, maker_fee, row.leaves_lots,
        )
        if row.leaves_lots == 0:
            clear_entry(desk.row, slot)
    hits = row.hit_lots[0] + row.hit_lots[1] + row.hit_lots[2]
    if hits > 0:
        left = abs(row.pos_lots) + hits
        for k in range(RUNGS):
            lots = row.hit_lots[k]
            if lots > 0:
                left -= lots
                n_out = put_fill(
                    desk.row, slot, out, n_out, context, instrument, row.hit_side, row.pos_target_ticks[k], lots,
                    ROLE_TAKE_PROFIT, k + 1, ONE, maker_fee, left,
                )
                row.hit_lots[k] = 0
        n_out = end_entry(desk.row, slot, out, n_out, context, CAUSE_TAKE_PROFIT)
        if row.pos_lots == 0:
            clear_position(desk.row, slot)

    if row.phase != IDLE and row.cancel != 0:
        n_out = end_entry(desk.row, slot, out, n_out, context, row.cancel)
    if row.close_role != 0:
        n_out = end_entry(desk.row, slot, out, n_out, context, close_cause(row.close_role, row.close_reason))
    if row.phase == RESTING and row.deadline_ns > 0 and now_ns >= row.deadline_ns:
        if flags & MATCH_NO_TAKER:
            row.order_flags &= ~FLAG_TAKER
        n_out = take_or_end(
            desk.row, slot, book, believed, cap_e8, taker_fee, out, n_out, context, instrument, CAUSE_EXPIRED
        )
    if row.phase == PENDING:
        n_out = place(desk.row, slot, book, believed, cap_e8, taker_fee, cut_e4, out, n_out, context, instrument)
    if row.phase == RESTING and row.queue_lots < 0 and believed:
        row.queue_lots = expected_ahead(book, slot, 0 if row.side > 0 else 1, row.side, row.price_ticks, cut_e4)

    if row.pos_lots != 0 and row.close_role == 0 and believed:
        before = n_out
        n_out = place_targets(desk.row, slot, book, taker_fee, cut_e4, out, n_out, context, instrument)
        if n_out > before:
            n_out = end_entry(desk.row, slot, out, n_out, context, CAUSE_TAKE_PROFIT)
    if row.close_role != 0 and row.pos_lots != 0:
        if believed:
            side = -1 if row.pos_lots > 0 else 1
            n_out = walk(
                desk.row, slot, book, side, abs(row.pos_lots), reach(book, slot, side, cap_e8), WALK_LEVELS,
                row.trigger_ticks, row.close_role, ZERO, taker_fee, out, n_out, context, instrument,
            )
        elif n_trades > 0:
            n_out = close_on_prints(
                desk.row, slot, trades, first_trade, n_trades, taker_fee, out, n_out, context, instrument
            )
    if row.pos_lots == 0 and (row.close_role != 0 or row.pos_order_id != 0):
        clear_position(desk.row, slot)
    if row.refused_order_id != 0:
        n_out = put_done(
            out, n_out, context, row.refused_order_id, row.refused_decision_id, row.refused_lots, CAUSE_ORDER_REJECTED
        )
        row.refused_order_id = 0
    set_active(desk, slot)
    return n_out
