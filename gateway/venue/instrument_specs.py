"""The venue's contracts as the exchange wants them: filters, price limits, funding and risk tiers as integers."""

from __future__ import annotations

from core.sim.exchange_types import InstrumentSpec, SymbolStatus
from core.sim.risk_tiers import ladder
from core.units import parse_fixed, parse_units
from gateway.venue.instruments import Instrument

TIER_STEPS = 10
FIRST_TIER_USDT_PER_LEVERAGE = 20_000  # 2,000,000 USDT for a contract of 100x, as BTCUSDT has
E8 = 100_000_000
STATUS_OF = {status.text: status for status in SymbolStatus}


def spec_of(instrument: Instrument) -> InstrumentSpec:
    """Everything from the instruments-info answer but the tiers, which it does not hold: a regular ladder stands for
    them, whose first maintenance rate is half the initial rate at the highest leverage (BTCUSDT: 0.5 % at 100x)."""
    answer = instrument.answer
    lots, prices, leverage = answer["lotSizeFilter"], answer["priceFilter"], answer["leverageFilter"]
    risk = answer.get("riskParameters") or {}
    max_leverage_e2 = parse_fixed(leverage["maxLeverage"], 2)
    quantity = {name: parse_units(lots[name], instrument.lot_mant, instrument.qty_exp)
                for name in ("minOrderQty", "maxOrderQty", "maxMktOrderQty")}
    first_limit_e8 = FIRST_TIER_USDT_PER_LEVERAGE * max_leverage_e2 // 100 * E8
    tiers = ladder(first_limit_e8, max_leverage_e2, 50 * E8 // max_leverage_e2, TIER_STEPS)
    return InstrumentSpec(
        symbol=instrument.symbol,
        tick_mant=instrument.tick_mant,
        price_exp=instrument.price_exp,
        lot_mant=instrument.lot_mant,
        qty_exp=instrument.qty_exp,
        tiers=tiers,
        min_price_ticks=parse_units(prices["minPrice"], instrument.tick_mant, instrument.price_exp),
        max_price_ticks=parse_units(prices["maxPrice"], instrument.tick_mant, instrument.price_exp),
        min_leverage_e2=parse_fixed(leverage["minLeverage"], 2),
        max_leverage_e2=max_leverage_e2,
        leverage_step_e2=parse_fixed(leverage["leverageStep"], 2),
        funding_interval_ns=int(answer.get("fundingInterval") or 480) * 60_000_000_000,
        base_coin=answer["baseCoin"],
        settle_coin=answer["settleCoin"],
        min_qty_lots=quantity["minOrderQty"],
        max_qty_lots=quantity["maxOrderQty"],
        max_market_qty_lots=quantity["maxMktOrderQty"],
        min_notional_e8=parse_fixed(lots.get("minNotionalValue") or "5", 8),
        price_limit_x_e8=parse_fixed(risk.get("priceLimitRatioX") or "0.05", 8),
        price_limit_y_e8=parse_fixed(risk.get("priceLimitRatioY") or "0.1", 8),
        status=STATUS_OF.get(answer["status"], SymbolStatus.TRADING),
    )
