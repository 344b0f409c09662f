"""Position size in lots: what margin and leverage buy, cut by the risk to the stop and by the instrument's limits."""

from __future__ import annotations

from core.position.position import Grid, open_risk_e8

E8 = 100_000_000


def size_lots(
    grid: Grid, side: int, price_ticks: int, stop_ticks: int, margin_e8: int, leverage_e2: int, risk_cap_e8: int,
    fee_rate_e8: int, max_lots: int, max_value_e8: int, buffer_e8: int,
) -> int:
    """Largest whole number of lots with value <= margin x leverage and <= `max_value_e8`, open risk (stop distance, both
    fees and the latency price buffer) <= `risk_cap_e8`, and <= `max_lots` (0 = no limit). 0 where not even one lot fits or
    a price is not positive."""
    if price_ticks <= 0 or margin_e8 <= 0:  # (a leverage under 0 gives a budget under 0, and that no lots)
        return 0
    one = price_ticks * grid.tick_mant * grid.lot_mant  # value of one lot in 10^-decimals USDT
    budget_e8 = min(margin_e8 * leverage_e2 // 100, max_value_e8)
    lots = budget_e8 * 10**grid.decimals // (E8 * one)
    if max_lots > 0:
        lots = min(lots, max_lots)
    risk = order_risk_e8(grid, side, price_ticks, stop_ticks, lots, fee_rate_e8, buffer_e8)
    if risk > risk_cap_e8:
        lots = lots * max(risk_cap_e8, 0) // risk
    return max(lots, 0)


def order_risk_e8(
    grid: Grid, side: int, price_ticks: int, stop_ticks: int, lots: int, fee_rate_e8: int, buffer_e8: int
) -> int:
    """Open risk of an entry of `lots` in 1e-8 USDT: filled worse than its price by the latency buffer (`buffer_e8`, a
    fraction of the price), closed at the stop, both taker fees."""
    if lots <= 0:
        return 0
    entry = grid.signed_value_e8(price_ticks, side * lots)
    buffer = -(-abs(entry) * buffer_e8 // E8)
    return open_risk_e8(grid, side * lots, entry + buffer, stop_ticks, fee_rate_e8) - (-abs(entry) * fee_rate_e8 // E8)
