"""Settings as execution uses them: integers of 1e-8 USDT and ns, limits of the gate, instruments with their grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.schema import Settings, SymbolOverride
from core.constants import E8, E8_PER_BPS, E8_PER_PCT, NS_PER_MS, SIZE_FULL
from core.enums import Mode
from core.position.position import Grid
from core.risk.gate import BPS, Limits
from core.risk.ledger import ChurnLimits
from core.risk.tiers import MAX_LEVERAGE_E2, TIERS

BLACKLISTED = 2  # SYMBOL.flags
INTENT_TTL_NS = 2_000_000_000  # an intent that waited longer was decided on a market that is gone


@dataclass(frozen=True, slots=True)
class Instrument:
    """What execution needs of a SYMBOL record."""

    id: int
    name: str
    name_hash: int
    shard: int
    grid: Grid
    tick_size: float
    lot_size: float
    min_qty_lots: int
    max_qty_lots: int
    min_notional_e8: int
    max_leverage_e2: int
    taker_fee_e8: int
    trading: bool
    blacklisted: bool
    category: int = 0
    maintenance_e8: int = 0  # margin rate of the lowest risk tier, 0 = unknown
    price_limit_e8: int = 0  # riskParameters.priceLimitRatioX, 0 = unknown


def instrument(row: Any) -> Instrument:
    """From one SYMBOL record. The largest order is the smaller of the limit and market maxima (0 = unknown)."""
    sizes = [int(v) for v in (row["max_qty_lots"], row["max_market_lots"]) if v > 0]
    return Instrument(
        id=int(row["id"]), name=bytes(row["name"]).rstrip(b"\0").decode("ascii", "replace"),
        name_hash=int(row["name_hash"]), shard=int(row["shard"]),
        grid=Grid(int(row["tick_mant"]), int(row["lot_mant"]), int(row["price_exp"]) + int(row["qty_exp"])),
        tick_size=float(row["tick_size"]), lot_size=float(row["lot_size"]), min_qty_lots=int(row["min_qty_lots"]),
        max_qty_lots=min(sizes, default=0), min_notional_e8=int(row["min_notional_e8"]),
        max_leverage_e2=int(row["max_leverage_e2"]), taker_fee_e8=int(row["taker_fee_e8"]), trading=int(row["status"]) == 1,
        blacklisted=bool(int(row["flags"]) & BLACKLISTED), category=int(row["category"]),
        maintenance_e8=int(row["maintenance_e8"]), price_limit_e8=int(row["price_limit_x_e8"]),
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the settings."""

    mode: Mode
    start_balance_e8: int
    margin_e8: int
    leverage_e2: int
    taker_fee_e8: int
    latency_ns: int
    maker_deadline_ns: int
    price_buffer_e8: int  # latency price buffer as a fraction of the price
    risk_per_trade_pct: float
    max_leverage_e2: tuple[int, ...]  # by Category, as the next three
    max_notional_e8: tuple[int, ...]
    max_category_positions: tuple[int, ...]
    maintenance_e8: tuple[int, ...]
    close_riskiest: bool
    limits: Limits
    churn: ChurnLimits
    uncorrelated: frozenset[str]
    blacklist: frozenset[str]
    overrides: dict[str, SymbolOverride]
    stop_max_bps: float  # a stop is never farther from the entry
    add_max: int  # additions to a position
    add_share_e4: int  # of the first order

    def leverage_of(self, instrument: Instrument) -> int:
        """Leverage x 100: the setting, cut by category, instrument, an override and the ceiling."""
        leverage = min(self.leverage_e2, self.max_leverage_e2[instrument.category], MAX_LEVERAGE_E2)
        if instrument.max_leverage_e2 > 0:
            leverage = min(leverage, instrument.max_leverage_e2)
        override = self.overrides.get(instrument.name)
        if override is not None and override.max_leverage is not None:
            leverage = min(leverage, round(override.max_leverage * 100))
        return leverage

    def margin_of(self, instrument: Instrument, equity_e8: int) -> int:
        """Margin of one entry in 1e-8 USDT: the setting or override, cut by the capital tier."""
        margin = self.margin_e8
        override = self.overrides.get(instrument.name)
        if override is not None and override.margin_per_trade_usdt is not None:
            margin = round(override.margin_per_trade_usdt * E8)
        tier = self.limits.tier
        return margin if tier is None else min(margin, tier.grown(equity_e8).per_trade_e8)

    def notional_of(self, instrument: Instrument) -> int:
        """Largest value of one position in 1e-8 USDT: of the symbol where it has one, else of its category."""
        override = self.overrides.get(instrument.name)
        if override is not None and override.max_notional_usdt is not None:
            return round(override.max_notional_usdt * E8)
        return self.max_notional_e8[instrument.category]

    def liquidation_bps(self, instrument: Instrument) -> int:
        """Entry to liquidation of an isolated position: what the initial margin bears before maintenance is touched."""
        maintenance = instrument.maintenance_e8 or self.maintenance_e8[instrument.category]
        return BPS * 100 // self.leverage_of(instrument) - -(-maintenance * BPS // E8)

    def moves_with_btc(self, instrument: Instrument) -> bool:
        """Of the correlated group: everything that is not named in symbols.uncorrelated."""
        return instrument.name not in self.uncorrelated

    def fee_of(self, instrument: Instrument) -> int:
        """Taker fee rate (1e-8): the instrument's own where it has one."""
        return instrument.taker_fee_e8 or self.taker_fee_e8

    def blacklists(self, instrument: Instrument) -> bool:
        override = self.overrides.get(instrument.name)
        return (
            instrument.blacklisted or instrument.name in self.blacklist
            or (override is not None and override.blacklisted)
        )

    def risk_cap_e8(self, equity_e8: int) -> int:
        """Open risk one entry may add: R, and not more than an equal share of the heat limit; of the tier's capital where
        that is less than the equity."""
        share = min(self.risk_per_trade_pct, self.limits.max_heat_pct / self.limits.max_positions)
        return int(max(self.limits.capital_e8(equity_e8), 0) * share / 100)


def policy(settings: Settings) -> Policy:
    """The settings as a Policy."""
    trading, safety, skip = settings.trading, settings.safety, settings.skip
    return Policy(
        mode=Mode[trading.mode],
        start_balance_e8=round(trading.account.start_balance_usdt * E8),
        margin_e8=round(trading.account.margin_per_trade_usdt * E8),
        leverage_e2=round(trading.account.leverage * 100),
        taker_fee_e8=round(trading.fees.taker_pct * E8_PER_PCT),
        latency_ns=round(trading.orders.latency_ms * NS_PER_MS),
        maker_deadline_ns=round(trading.orders.maker_deadline_ms * NS_PER_MS),
        price_buffer_e8=round(trading.orders.price_buffer_bps * E8_PER_BPS),
        risk_per_trade_pct=safety.limits.risk_per_trade_pct,
        max_leverage_e2=tuple(round(v * 100) for v in safety.limits.max_leverage),
        max_notional_e8=tuple(round(v * E8) for v in safety.limits.max_notional_usdt),
        max_category_positions=safety.limits.max_category_positions,
        maintenance_e8=tuple(round(v * E8_PER_PCT) for v in settings.thresholds.leverage.maintenance_pct),
        close_riskiest=safety.limits.close_riskiest,
        churn=ChurnLimits(safety.limits.churn_orders, safety.limits.churn_round_trips),
        uncorrelated=frozenset(settings.symbols.uncorrelated),
        limits=Limits(
            max_positions=trading.account.max_positions,
            min_balance_e8=round(trading.account.min_balance_usdt * E8),
            daily_loss_pct=safety.limits.daily_loss_pct,
            max_heat_pct=safety.limits.max_heat_pct,
            max_unrealised_loss_pct=safety.limits.max_unrealised_loss_pct,
            max_correlated_pct=safety.limits.max_correlated_pct,
            min_margin_ratio_pct=safety.limits.min_margin_ratio_pct,
            max_orders_per_minute=safety.limits.max_orders_per_minute,
            collar_bps=safety.limits.collar_bps,
            liquidation_stops=safety.limits.liquidation_stops,
            open_liquidation_bps=safety.limits.open_liquidation_bps,
            max_adl_rank=safety.limits.max_adl_rank,
            tier=TIERS.get(trading.capital_tier),
            skip_enabled=skip.enabled,
            skip_weekdays=skip.weekdays,
            skip_from_hour=skip.from_hour_utc,
            skip_to_hour=skip.to_hour_utc,
            volatility_index=skip.volatility_index,
            volatility_index_max=skip.volatility_index_max,
            intent_ttl_ns=INTENT_TTL_NS,
        ),
        blacklist=frozenset(settings.symbols.blacklist),
        overrides=dict(settings.symbols.overrides),
        stop_max_bps=max(trading.exits.stop_max_bps, trading.exits.stop_min_bps),
        add_max=trading.exits.add_max,
        add_share_e4=round(trading.exits.add_share * SIZE_FULL),
    )
