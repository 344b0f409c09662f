"""What a trade must earn and survive: fees, smallest profitable move, stop distance, distance to the liquidation.

One function each, shared by the features, the score and the planning of entries. All in basis points of the price.
"""

from __future__ import annotations

import math

from core.jit import kernel

# E[range] = sqrt(8 / pi) sigma of a random walk (Parkinson 1980)
RANGE_SIGMA = math.sqrt(8.0 / math.pi)


@kernel
def round_trip_fee_bps(symbols, slot, params):  # type: ignore[no-untyped-def]
    """Fees of entering and leaving as taker: the worst the desk may charge. The settings' where the instrument names
    none."""
    fee_e8 = symbols[slot].taker_fee_e8
    if fee_e8 == 0:
        fee_e8 = params[0].taker_fee_e8
    return 2.0 * fee_e8 / 1e4


@kernel
def min_move_bps(fees_bps, spread_bps, params):  # type: ignore[no-untyped-def]
    """MinMoveForProfit: fees x (1 + buffer) + spread; nan = the spread is not known."""
    return fees_bps * (1.0 + params[0].fee_buffer) + spread_bps


@kernel
def stop_distance_bps(atr_bps, params):  # type: ignore[no-untyped-def]
    """Distance of the stop: stop_atr x micro-ATR within [stop_min, stop_max]; atr_bps must be known."""
    par = params[0]
    return min(max(par.stop_atr * atr_bps, par.stop_min_bps), par.stop_max_bps)


@kernel
def minute_sigma_bps(atr_1s_bps, realised_bps):  # type: ignore[no-untyped-def]
    """Volatility of one minute: the larger of the realised one (slow) and that implied by the 1 s micro-ATR (quick),
    ATR x sqrt(60) / sqrt(8 / pi); nan = neither is known."""
    implied = atr_1s_bps * math.sqrt(60.0) / RANGE_SIGMA
    if math.isnan(implied) or realised_bps > implied:
        return realised_bps
    return implied


@kernel
def liquidation_bps(symbols, slot, category, params):  # type: ignore[no-untyped-def]
    """Distance from entry to liquidation of an isolated position in its lowest risk tier: 1 / leverage - maintenance
    margin rate. Leverage is the settings', cut to the instrument's limit."""
    par = params[0]
    leverage_e2 = par.leverage_e2
    if symbols[slot].max_leverage_e2 > 0:
        leverage_e2 = min(leverage_e2, symbols[slot].max_leverage_e2)
    rate_e8 = symbols[slot].maintenance_e8
    if rate_e8 == 0:
        rate_e8 = par.maintenance_e8[category]
    if leverage_e2 <= 0:
        return math.nan
    return 1e6 / leverage_e2 - rate_e8 / 1e4


@kernel
def liq_safety(adverse_bps, distance_bps):  # type: ignore[no-untyped-def]
    """LiqSafetyScore: 100 x (1 - adverse / distance) in [0, 100]; 100 = the stop is a hair away from the entry, 0 = the
    liquidation comes first. nan where either is not known."""
    if math.isnan(adverse_bps) or math.isnan(distance_bps):
        return math.nan
    if distance_bps <= 0.0:
        return 0.0
    return 100.0 * min(max(1.0 - adverse_bps / distance_bps, 0.0), 1.0)
