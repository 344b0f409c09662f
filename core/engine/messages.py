"""MESSAGE rows as the engine writes them."""

from __future__ import annotations

from core.jit import kernel


@kernel
def put_message(out, n, kind, symbol_id, seq, ts_ns, mono_ns, decision_id, order_id, side, reason):  # type: ignore[no-untyped-def]
    """Write a message with these fields and zeros elsewhere to row `n` of `out`; returns n + 1."""
    row = out[n]
    row.seq = seq
    row.ts_event_ns = ts_ns
    row.mono_recv_ns = mono_ns
    row.mono_sent_ns = 0
    row.decision_id = decision_id
    row.order_id = order_id
    row.price_ticks = 0
    row.qty_lots = 0
    row.stop_ticks = 0
    row.target_ticks = 0
    row.zone_min_ticks = 0
    row.zone_max_ticks = 0
    row.fee_e8 = 0
    row.symbol = symbol_id
    row.kind = kind
    row.side = side
    row.role = 0
    row.is_maker = 0
    row.score_e2 = 0
    row.reason = reason
    row.leaves_lots = 0
    row.target2_ticks = 0
    row.target3_ticks = 0
    row.target_lots = 0
    row.target2_lots = 0
    row.target3_lots = 0
    row.rung = 0
    return n + 1
