"""Position size in lots: what margin and leverage buy, cut by the risk to the stop and by the instrument's limits."""

from __future__ import annotations

from core.position.position import Grid, open_risk_e8

E8 = 100_000_000


def size_lots(
    grid: Grid, side: int, price_ticks: int, stop_ticks: int, margin_e8: int, leverage_e2: int, risk_cap_e8: int,
    fee_rate_e8: int, max_lots: int,
) -> int:
    """Largest whole number of lots with value <= margin x leverage, open risk (stop distance and both fees)
    <= `risk_cap_e8`, and <= `max_lots` (0 = no limit). 0 where not even one lot fits or a price is not positive."""
    if price_ticks <= 0 or margin_e8 <= 0 or leverage_e2 <= 0:
        return 0
    one = price_ticks * grid.tick_mant * grid.lot_mant  # value of one lot in 10^-decimals USDT
    budget = margin_e8 * leverage_e2 * 10**grid.decimals // (100 * E8)
    lots = budget // one
    if max_lots > 0:
        lots = min(lots, max_lots)
    risk = order_risk_e8(grid, side, price_ticks, stop_ticks, lots, fee_rate_e8)
    if risk > risk_cap_e8:
        lots = lots * max(risk_cap_e8, 0) // risk
    return max(lots, 0)


def order_risk_e8(grid: Grid, side: int, price_ticks: int, stop_ticks: int, lots: int, fee_rate_e8: int) -> int:
    """Open risk of an entry of `lots` filled at its limit: distance to the stop and both taker fees, 1e-8 USDT."""
    if lots <= 0:
        return 0
    entry = grid.signed_value_e8(price_ticks, side * lots)
    return open_risk_e8(grid, side * lots, entry, stop_ticks, fee_rate_e8) - (-abs(entry) * fee_rate_e8 // E8)
