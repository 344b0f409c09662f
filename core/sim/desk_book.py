"""Bookkeeping of the paper desk: fills and ends are booked on the DESK row and written as messages here only."""

from __future__ import annotations

from core.jit import kernel
from core.sim.desk_records import (
    CAUSE_KILL,
    IDLE,
    MESSAGE_DONE,
    MESSAGE_FILL,
    ONE,
    ROLE_ENTRY,
    ROLE_KILL,
    RUNGS,
    TARGET_NONE,
    ZERO,
)
from core.sim.money import fee_up_e8, value_e8


@kernel
def use(rows, slot, side, lots):
    """A fill of `side` took `lots` of the displayed opposite side."""
    if side > 0:
        rows[slot].used_ask_lots += lots
    else:
        rows[slot].used_bid_lots += lots


@kernel
def grow(rows, slot, signed_lots):
    """The entry filled (its leaves are booked): the position grows, with the entry's stop and the targets due by now.

    The first lots that fill are the nearest target's; a target that grows queues anew.
    """
    row = rows[slot]
    if row.pos_order_id == 0:
        row.pos_order_id = row.order_id
        row.pos_decision_id = row.decision_id
        row.pos_stop_ticks = row.stop_ticks
        for k in range(RUNGS):
            row.pos_target_ticks[k] = row.target_ticks[k]
    row.pos_lots += signed_lots
    after = row.order_lots - row.leaves_lots
    before = after - abs(signed_lots)
    for k in range(RUNGS):
        size = row.target_lots[k]
        gain = min(max(after, 0), size) - min(max(before, 0), size)
        if gain > 0:
            row.pos_target_lots[k] += gain
            row.target_queue_lots[k] = TARGET_NONE
        after -= size
        before -= size


@kernel
def cut_targets(rows, slot):
    """Targets never take more than the position holds: the farthest is cut first."""
    row = rows[slot]
    left = abs(row.pos_lots)
    for k in range(RUNGS):
        row.pos_target_lots[k] = min(row.pos_target_lots[k], left)
        left -= row.pos_target_lots[k]


@kernel
def take(rows, slot, side, price_ticks, lots, role, rung, taker_fee, out, n_out, context, instrument):
    """Book one taker fill on the desk and write it."""
    row = rows[slot]
    if role == ROLE_ENTRY:
        row.leaves_lots -= lots
        grow(rows, slot, side * lots)
        leaves = row.leaves_lots
    else:
        row.pos_lots += side * lots
        leaves = abs(row.pos_lots)
    return put_fill(
        rows, slot, out, n_out, context, instrument, side, price_ticks, lots, role, rung, ZERO, taker_fee, leaves
    )


@kernel
def put_fill(
    rows, slot, out, n_out, context, instrument, side, price_ticks, lots, role, rung, is_maker, fee_rate_e8, leaves_lots
):
    """Write one FILL; its value is rounded against us before the fee is taken from it. Returns n_out + 1."""
    tick_mant, lot_mant, decimals = instrument
    value = value_e8(price_ticks, lots, tick_mant, lot_mant, decimals, ONE)
    blank(out, n_out, context)
    message = out[n_out]
    message.kind = MESSAGE_FILL
    message.decision_id = rows[slot].pos_decision_id
    message.order_id = rows[slot].pos_order_id
    message.price_ticks = price_ticks
    message.qty_lots = lots
    message.fee_e8 = fee_up_e8(value, fee_rate_e8)
    message.side = side
    message.role = role
    message.rung = rung
    message.is_maker = is_maker
    message.leaves_lots = leaves_lots
    return n_out + 1


@kernel
def put_done(out, n_out, context, order_id, decision_id, leaves_lots, cause):
    """Write one DONE. Returns n_out + 1."""
    blank(out, n_out, context)
    message = out[n_out]
    message.kind = MESSAGE_DONE
    message.decision_id = decision_id
    message.order_id = order_id
    message.reason = cause
    message.leaves_lots = leaves_lots
    return n_out + 1


@kernel
def blank(out, at, context):
    """Row `at` of `out` with the common fields set and all others zero."""
    message = out[at]
    message.symbol, message.seq, message.ts_event_ns, message.mono_recv_ns = context
    message.mono_sent_ns = 0
    message.price_ticks = 0
    message.qty_lots = 0
    message.stop_ticks = 0
    message.target_ticks = 0
    message.zone_min_ticks = 0
    message.zone_max_ticks = 0
    message.fee_e8 = 0
    message.side = 0
    message.role = 0
    message.is_maker = 0
    message.score_e2 = 0
    message.reason = 0
    message.leaves_lots = 0
    message.target2_ticks = 0
    message.target3_ticks = 0
    message.target_lots = 0
    message.target2_lots = 0
    message.target3_lots = 0
    message.rung = 0


@kernel
def end_entry(rows, slot, out, n_out, context, cause):
    """End the working entry, if there is one: DONE with what is left of it."""
    row = rows[slot]
    if row.phase == IDLE:
        return n_out
    n_out = put_done(out, n_out, context, row.order_id, row.decision_id, row.leaves_lots, cause)
    clear_entry(rows, slot)
    return n_out


@kernel
def close_cause(role, reason):
    """Cause told for an entry that ends because the position is being closed."""
    if role == ROLE_KILL:
        return CAUSE_KILL
    return reason


@kernel
def clear_entry(rows, slot):
    row = rows[slot]
    row.order_id = 0
    row.decision_id = 0
    row.phase = IDLE
    row.side = 0
    row.order_flags = 0
    row.price_ticks = 0
    row.leaves_lots = 0
    row.queue_lots = 0
    row.deadline_ns = 0
    row.order_lots = 0
    row.stop_ticks = 0
    for k in range(RUNGS):
        row.target_ticks[k] = 0
        row.target_lots[k] = 0
    row.cancel = 0


@kernel
def clear_position(rows, slot):
    row = rows[slot]
    row.pos_lots = 0
    row.pos_order_id = 0
    row.pos_decision_id = 0
    row.pos_stop_ticks = 0
    for k in range(RUNGS):
        row.pos_target_ticks[k] = 0
        row.pos_target_lots[k] = 0
        row.target_queue_lots[k] = TARGET_NONE
    row.close_role = 0
    row.close_reason = 0
    row.trigger_ticks = 0


@kernel
def set_active(desk, slot):
    """Active while anything works, is held or is owed, or while liquidity of this book state is marked as used."""
    row = desk.row[slot]
    busy = row.phase != IDLE or row.pos_lots != 0 or row.close_role != 0 or row.refused_order_id != 0
    desk.active[slot] = 1 if busy or row.used_bid_lots > 0 or row.used_ask_lots > 0 else 0
