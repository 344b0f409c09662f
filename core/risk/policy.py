"""Settings as execution uses them: integers of 1e-8 USDT and ns, limits of the gate, instruments with their grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.schema import Settings, SymbolOverride
from core.constants import E8, E8_PER_PCT, NS_PER_MS
from core.enums import Mode
from core.position.position import Grid
from core.risk.gate import Limits

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
        blacklisted=bool(int(row["flags"]) & BLACKLISTED),
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
    limits: Limits
    blacklist: frozenset[str]
    overrides: dict[str, SymbolOverride]

    def leverage_of(self, instrument: Instrument) -> int:
        """Leverage x 100: the setting, cut by the instrument's maximum and by an override."""
        leverage = self.leverage_e2
        if instrument.max_leverage_e2 > 0:
            leverage = min(leverage, instrument.max_leverage_e2)
        override = self.overrides.get(instrument.name)
        if override is not None and override.max_leverage is not None:
            leverage = min(leverage, round(override.max_leverage * 100))
        return leverage

    def margin_of(self, instrument: Instrument) -> int:
        """Margin of one entry in 1e-8 USDT."""
        override = self.overrides.get(instrument.name)
        if override is not None and override.margin_per_trade_usdt is not None:
            return round(override.margin_per_trade_usdt * E8)
        return self.margin_e8

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
        """Open risk one entry may add: an equal share of the heat limit."""
        return int(max(equity_e8, 0) * self.limits.max_heat_pct / 100 / self.limits.max_positions)


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
        limits=Limits(
            max_positions=trading.account.max_positions,
            min_balance_e8=round(trading.account.min_balance_usdt * E8),
            daily_loss_pct=safety.limits.daily_loss_pct,
            max_heat_pct=safety.limits.max_heat_pct,
            max_unrealised_loss_pct=safety.limits.max_unrealised_loss_pct,
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
    )
