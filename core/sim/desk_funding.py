"""Funding of the paper desk: the position open at the settlement pays or receives, as at the exchange.

The ticker tells the next settlement, the rate and the mark price. It is settled before the first event whose exchange or
receive time has reached it, with rate and mark as they stood before that event (what the event brings is of afterwards).
Then the next one is an interval later, until a ticker says otherwise; a settlement in the past is never believed, so a
stale ticker charges nobody twice, nor a position opened since.
"""

from __future__ import annotations

import numpy as np

from core.constants import NS_PER_S
from core.jit import kernel
from core.sim.desk_book import blank
from core.sim.desk_records import MESSAGE_CASH
from core.sim.funding import funding_e8


@kernel
def funding_told(desk, slot, next_ns, now_ns):
    """A ticker says when the next settlement is."""
    if next_ns > now_ns:
        desk.funding_ns[slot] = next_ns


@kernel
def settle_funding(desk, slot, now_ns, mark_e10, rate_e10, symbols, sym_row, out, n_out, context):
    """Settle if it is time: CASH of what an open position pays (negative: receives). Returns the new number of rows.

    One settlement per call: after hours without any event the next event settles the next one.
    """
    due_ns = desk.funding_ns[slot]
    if due_ns == 0 or now_ns < due_ns:
        return n_out
    interval_ns = np.int64(symbols[sym_row].funding_interval_min) * (60 * NS_PER_S)
    desk.funding_ns[slot] = due_ns + interval_ns if interval_ns > 0 else 0
    row = desk.row[slot]
    if row.pos_lots == 0 or mark_e10 <= 0:
        return n_out
    fee_e8 = funding_e8(row.pos_lots, symbols[sym_row].lot_mant, np.int64(symbols[sym_row].qty_exp), mark_e10, rate_e10)
    blank(out, n_out, context)
    message = out[n_out]
    message.kind = MESSAGE_CASH
    message.decision_id = row.pos_decision_id
    message.order_id = row.pos_order_id
    message.qty_lots = abs(row.pos_lots)
    message.side = 1 if row.pos_lots > 0 else -1
    message.fee_e8 = fee_e8
    return n_out + 1
