"""Pre-trade checks of an entry as one table, in order: the first that fails names the refusal and its two numbers.

Nothing here reads a clock or a board: the facts are gathered by the caller, so the same facts always give the same
verdict. Orders that are SENT, UNKNOWN or working count as filled in every limit. Every comparison is written so that a
nonsense number (negative, nan) refuses.

Numbers that only an exchange has (`UNKNOWN` where nobody told them) refuse in LIVE. In SIM and DRY_RUN they pass where
nothing of the kind exists: the paper account has no mark price feed (fills come from the book the price was decided on),
no price limits, no auto-deleveraging and no liquidation engine. What SIM can compute itself (margin, balance, distance
from entry to liquidation) is never unknown and checked in every mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from core.constants import DAY_NS, E8, EPOCH_WEEKDAY, HOUR_NS
from core.enums import Gate
from core.risk.tiers import MAX_DAILY_LOSS_PCT, MAX_LEVERAGE_E2, Rank, Tier

PCT = 100
BPS = 10_000
UNKNOWN = -1  # a number nobody has told; every real one is >= 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings behind the checks; money in 1e-8 USDT."""

    max_positions: int
    min_balance_e8: int
    daily_loss_pct: float
    max_heat_pct: float
    max_unrealised_loss_pct: float
    max_correlated_pct: float
    min_margin_ratio_pct: float
    max_orders_per_minute: int
    collar_bps: float
    liquidation_stops: float  # liquidation at least this many stop distances away
    open_liquidation_bps: float  # of an open position: nearer than this, nothing new
    max_adl_rank: int
    skip_enabled: bool
    skip_weekdays: tuple[int, ...]
    skip_from_hour: int
    skip_to_hour: int
    volatility_index: float  # 0 = not known
    volatility_index_max: float
    intent_ttl_ns: int
    tier: Tier | None = None

    def capital_e8(self, equity_e8: int) -> int:
        """What percentages are of: equity, but not more than the tier's capital until its growth lifts that."""
        if self.tier is None or self.tier.grown(equity_e8).heat_decides:
            return equity_e8
        return min(equity_e8, self.tier.max_capital_e8)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the table looks at for one entry; money in 1e-8 USDT, times in ns, flags as bools."""

    ts_ns: int
    age_ns: int  # since the shard sent it; 0 in paced runs
    killed: bool
    paused: bool
    degraded: bool
    feed_down: bool
    mode_allows: bool
    live: bool  # a number that is UNKNOWN refuses
    settled: bool  # orders and positions agree with the exchange
    tier_allowed: int  # Rank the evidence allows; LIVE only
    blacklisted: bool
    trading: bool
    quarantined: bool
    churned: bool  # latched by the churn throttle
    duplicate: bool
    in_position: bool
    order_working: bool
    positions: int  # open and working
    category_positions: int  # of them in the symbol's category
    max_category_positions: int
    trades_day: int  # opened this UTC day, and working
    orders_minute: int  # entries of all symbols in the last 60 s
    balance_e8: int
    equity_e8: int
    available_e8: int  # free for margin
    day_start_equity_e8: int
    rolling_start_equity_e8: int  # 24 h ago
    unrealised_e8: int
    margin_used_e8: int  # open and working
    margin_new_e8: int
    heat_e8: int  # open and working
    risk_new_e8: int
    correlated_e8: int  # value of the group in the new entry's direction, open and working
    correlated_new_e8: int
    qty_lots: int
    min_qty_lots: int
    max_qty_lots: int  # 0 = unknown
    notional_e8: int
    min_notional_e8: int
    max_notional_e8: int  # of the symbol or its category
    leverage_e2: int
    price_ticks: int
    stop_ticks: int
    mark_ticks: int
    price_limit_e8: int  # the exchange takes prices within mark x (1 -+ this); 0 = unknown
    liquidation_bps: int  # entry to estimated liquidation
    open_liquidation_bps: int  # mark to liquidation of the nearest open position; FAR without one
    adl_rank: int  # highest of the open positions, 0 without one


FAR = BPS  # an open position that cannot be liquidated, or none


class Verdict(NamedTuple):
    """`gate` NONE: allowed. `value` and `limit` are what was compared (percent or units of the check); UNKNOWN is -1."""

    gate: Gate
    value: float
    limit: float

    @property
    def allowed(self) -> bool:
        return self.gate == Gate.NONE


class Check(NamedTuple):
    gate: Gate
    passes: Callable[[Facts, Limits], bool]
    numbers: Callable[[Facts, Limits], tuple[float, float]]
    sentence: str


def loss_pct(f: Facts, limits: Limits, start_e8: int) -> float:
    """Equity lost since it was `start_e8`, in percent of it (of the tier's capital where that is less)."""
    return PCT * (start_e8 - f.equity_e8) / max(limits.capital_e8(start_e8), 1)


def daily_loss_pct(f: Facts, limits: Limits) -> float:
    """The larger of the losses since the start of the UTC day and over 24 h: midnight resets nothing."""
    return max(loss_pct(f, limits, f.day_start_equity_e8), loss_pct(f, limits, f.rolling_start_equity_e8))


def daily_loss_limit_pct(limits: Limits) -> float:
    """The smallest of setting, tier and ceiling."""
    tier = MAX_DAILY_LOSS_PCT if limits.tier is None else limits.tier.daily_loss_pct
    return min(limits.daily_loss_pct, tier, MAX_DAILY_LOSS_PCT)


def heat_pct(f: Facts, limits: Limits) -> float:
    """Open risk with the new entry, in percent of the capital."""
    return PCT * (f.heat_e8 + f.risk_new_e8) / max(limits.capital_e8(f.equity_e8), 1)


def correlated_pct(f: Facts, limits: Limits) -> float:
    """Value in one direction of the symbols that move together, with the new entry, in percent of equity."""
    return PCT * (f.correlated_e8 + f.correlated_new_e8) / max(f.equity_e8, 1)


def margin_ratio_pct(f: Facts) -> float:
    """Equity that stays free after the new entry, in percent of equity."""
    return PCT * (f.equity_e8 - f.margin_used_e8 - f.margin_new_e8) / max(f.equity_e8, 1)


def unrealised_loss_pct(f: Facts) -> float:
    """Unrealised loss in percent of the balance."""
    return PCT * -f.unrealised_e8 / max(f.balance_e8, 1)


def collar_bps(f: Facts) -> float:
    """Entry price from the mark price; UNKNOWN without one."""
    return BPS * abs(f.price_ticks - f.mark_ticks) / f.mark_ticks if f.mark_ticks > 0 else UNKNOWN


def stop_bps(f: Facts) -> float:
    """Distance from the entry to its stop."""
    return BPS * abs(f.price_ticks - f.stop_ticks) / max(f.price_ticks, 1)


def price_limit_bps(f: Facts) -> float:
    """How far from the mark the exchange takes a price for certain; UNKNOWN where nobody says."""
    return f.price_limit_e8 * BPS / E8 if f.price_limit_e8 > 0 else UNKNOWN


def weekday(f: Facts) -> int:
    """Of the event time, UTC; Monday = 0."""
    return (f.ts_ns // DAY_NS + EPOCH_WEEKDAY) % 7


def hour(f: Facts) -> int:
    """Of the event time, UTC."""
    return f.ts_ns % DAY_NS // HOUR_NS


def on_trading_day(f: Facts, limits: Limits) -> bool:
    return not limits.skip_enabled or weekday(f) in limits.skip_weekdays


def in_session(f: Facts, limits: Limits) -> bool:
    """Inside the trading hours."""
    return not limits.skip_enabled or limits.skip_from_hour <= hour(f) < limits.skip_to_hour


def calm_world(f: Facts, limits: Limits) -> bool:
    """The external volatility index is not over its limit (0 = not known)."""
    return not limits.skip_enabled or limits.volatility_index <= limits.volatility_index_max


NOT_NEGATIVE = (
    "age_ns", "positions", "category_positions", "trades_day", "orders_minute", "balance_e8", "margin_used_e8",
    "margin_new_e8", "heat_e8", "risk_new_e8", "correlated_e8", "correlated_new_e8", "qty_lots", "min_qty_lots",
    "max_qty_lots", "notional_e8", "min_notional_e8", "stop_ticks",
)
POSITIVE = ("equity_e8", "day_start_equity_e8", "rolling_start_equity_e8", "price_ticks")


def nonsense(f: Facts) -> int:
    """How many numbers cannot be: negative where nothing is below zero, no equity, no price."""
    return sum(not getattr(f, name) >= 0 for name in NOT_NEGATIVE) + sum(not getattr(f, name) > 0 for name in POSITIVE)


def allowed_rank(f: Facts, limits: Limits) -> bool:
    """LIVE needs a tier, and evidence that allows it."""
    return not f.live or (limits.tier is not None and limits.tier.rank <= f.tier_allowed)


def tier_rank(limits: Limits) -> int:
    return int(Rank.PAPER if limits.tier is None else limits.tier.rank)


def concurrent_limit(f: Facts, limits: Limits) -> int:
    """Positions at once: the smaller of setting and tier; a grown tier leaves it to the setting (and to heat)."""
    tier = limits.tier
    if tier is None or tier.grown(f.equity_e8).heat_decides:
        return limits.max_positions
    return min(limits.max_positions, tier.concurrent)


def per_trade_limit_e8(f: Facts, limits: Limits) -> int:
    """Margin one entry may tie up; without a tier what there is."""
    return f.equity_e8 if limits.tier is None else limits.tier.grown(f.equity_e8).per_trade_e8


def trades_limit(f: Facts, limits: Limits) -> int:
    """Trades a day; without a tier always one more."""
    return f.trades_day + 1 if limits.tier is None else limits.tier.trades_a_day


def within_collar(f: Facts, limits: Limits) -> bool:
    return _known(f, collar_bps(f)) and collar_bps(f) <= limits.collar_bps


def within_price_limit(f: Facts) -> bool:
    """Inside the narrowest band the exchange can draw around the mark (BYBIT.md 4.3: mark x (1 -+ X))."""
    return _known(f, price_limit_bps(f)) and (
        price_limit_bps(f) == UNKNOWN or collar_bps(f) <= price_limit_bps(f))


def _known(f: Facts, number: float) -> bool:
    """UNKNOWN (or worse) passes outside LIVE only."""
    return not f.live or number >= 0


def _flag(name: str) -> Callable[[Facts, Limits], bool]:
    return lambda f, limits: not getattr(f, name)


def _none(f: Facts, limits: Limits) -> tuple[float, float]:
    return 0.0, 0.0


def _usdt(value_e8: int, limit_e8: int) -> tuple[float, float]:
    return value_e8 / E8, limit_e8 / E8


CHECKS: tuple[Check, ...] = (
    Check(Gate.KILLED, _flag("killed"), _none, "the kill switch is latched"),
    Check(Gate.PAUSED, _flag("paused"), _none, "entries are paused"),
    Check(Gate.FEED, _flag("feed_down"), _none, "the market feed is down"),
    Check(Gate.DEGRADED, _flag("degraded"), _none, "latency or backlog is over its limit"),
    Check(Gate.INTEGRITY, lambda f, li: f.settled, _none, "orders or positions do not agree with the exchange"),
    Check(Gate.TIER, allowed_rank, lambda f, li: (tier_rank(li), f.tier_allowed),
          "the capital tier, and the highest one the evidence allows (0: paper only)"),
    Check(Gate.EXPIRED, lambda f, li: f.age_ns <= li.intent_ttl_ns, lambda f, li: (f.age_ns, li.intent_ttl_ns),
          "the intent is too old"),
    Check(Gate.DUPLICATE, _flag("duplicate"), _none, "this intent was seen before"),
    Check(Gate.BLACKLIST, lambda f, li: f.trading and not f.blacklisted, _none,
          "the symbol is blacklisted or not trading"),
    Check(Gate.CHURN, _flag("churned"), _none, "too many orders or round trips: off until a person enables it again"),
    Check(Gate.DATA, _flag("quarantined"), _none, "the book of the symbol is not believed"),
    Check(Gate.DATA, lambda f, li: nonsense(f) == 0, lambda f, li: (nonsense(f), 0), "numbers that cannot be"),
    Check(Gate.SKIP_DAY, on_trading_day, lambda f, li: (weekday(f), 0), "no trading day"),
    Check(Gate.SKIP_HOURS, in_session, lambda f, li: (hour(f), li.skip_to_hour), "outside the trading hours"),
    Check(Gate.SKIP_VOLATILITY, calm_world, lambda f, li: (li.volatility_index, li.volatility_index_max),
          "the external volatility index is over its limit"),
    Check(Gate.IN_POSITION, lambda f, li: not f.in_position and not f.order_working, _none,
          "one position or entry per symbol"),
    Check(Gate.MAX_POSITIONS, lambda f, li: f.positions < concurrent_limit(f, li),
          lambda f, li: (f.positions, concurrent_limit(f, li)), "positions and working entries"),
    Check(Gate.SYMBOL_LIMIT, lambda f, li: f.category_positions < f.max_category_positions,
          lambda f, li: (f.category_positions, f.max_category_positions), "positions and entries of the category"),
    Check(Gate.TRADES_A_DAY, lambda f, li: f.trades_day < trades_limit(f, li),
          lambda f, li: (f.trades_day, trades_limit(f, li)), "trades of the UTC day"),
    Check(Gate.ORDER_RATE, lambda f, li: f.orders_minute < li.max_orders_per_minute,
          lambda f, li: (f.orders_minute, li.max_orders_per_minute), "entries of the last 60 s"),
    Check(Gate.DAILY_LOSS, lambda f, li: daily_loss_pct(f, li) < daily_loss_limit_pct(li),
          lambda f, li: (daily_loss_pct(f, li), daily_loss_limit_pct(li)),
          "loss of the UTC day or of 24 h on equity, percent"),
    Check(Gate.HEAT, lambda f, li: unrealised_loss_pct(f) < li.max_unrealised_loss_pct,
          lambda f, li: (unrealised_loss_pct(f), li.max_unrealised_loss_pct), "unrealised loss, percent"),
    Check(Gate.ADL, lambda f, li: _known(f, f.adl_rank) and f.adl_rank <= li.max_adl_rank,
          lambda f, li: (f.adl_rank, li.max_adl_rank), "rank of an open position for auto-deleveraging"),
    Check(Gate.LIQUIDATION,
          lambda f, li: _known(f, f.open_liquidation_bps) and (
              f.open_liquidation_bps == UNKNOWN or f.open_liquidation_bps >= li.open_liquidation_bps),
          lambda f, li: (f.open_liquidation_bps, li.open_liquidation_bps),
          "an open position is near its liquidation, bps"),
    Check(Gate.LEVERAGE, lambda f, li: PCT <= f.leverage_e2 <= MAX_LEVERAGE_E2,
          lambda f, li: (f.leverage_e2 / PCT, MAX_LEVERAGE_E2 / PCT), "leverage under 1 or over the ceiling"),
    Check(Gate.NO_STOP, lambda f, li: f.stop_ticks > 0, lambda f, li: (f.stop_ticks, 1), "an entry without a stop"),
    Check(Gate.COLLAR, within_collar, lambda f, li: (collar_bps(f), li.collar_bps),
          "price from the mark price, bps"),
    Check(Gate.COLLAR, lambda f, li: within_price_limit(f), lambda f, li: (collar_bps(f), price_limit_bps(f)),
          "price from the mark price against the exchange's price limit, bps"),
    Check(Gate.LIQUIDATION, lambda f, li: f.liquidation_bps >= li.liquidation_stops * stop_bps(f),
          lambda f, li: (f.liquidation_bps, li.liquidation_stops * stop_bps(f)),
          "liquidation nearer than the stop allows, bps"),
    Check(Gate.MIN_SIZE, lambda f, li: f.qty_lots > 0 and f.qty_lots >= f.min_qty_lots,
          lambda f, li: (f.qty_lots, f.min_qty_lots), "lots under the smallest order"),
    Check(Gate.MIN_SIZE, lambda f, li: f.notional_e8 >= f.min_notional_e8,
          lambda f, li: _usdt(f.notional_e8, f.min_notional_e8), "value under the smallest order, USDT"),
    Check(Gate.SYMBOL_LIMIT, lambda f, li: f.max_qty_lots == 0 or f.qty_lots <= f.max_qty_lots,
          lambda f, li: (f.qty_lots, f.max_qty_lots), "lots over the largest order"),
    Check(Gate.SYMBOL_LIMIT, lambda f, li: f.notional_e8 <= f.max_notional_e8,
          lambda f, li: _usdt(f.notional_e8, f.max_notional_e8), "value over the limit of symbol or category, USDT"),
    Check(Gate.BALANCE, lambda f, li: f.balance_e8 >= li.min_balance_e8,
          lambda f, li: _usdt(f.balance_e8, li.min_balance_e8), "balance under the minimum, USDT"),
    Check(Gate.BALANCE, lambda f, li: f.margin_used_e8 + f.margin_new_e8 <= f.equity_e8,
          lambda f, li: _usdt(f.margin_used_e8 + f.margin_new_e8, f.equity_e8), "margin over equity, USDT"),
    Check(Gate.BALANCE, lambda f, li: f.margin_new_e8 <= f.available_e8,
          lambda f, li: _usdt(f.margin_new_e8, f.available_e8), "margin over what is free, USDT"),
    Check(Gate.TIER, lambda f, li: f.margin_new_e8 <= per_trade_limit_e8(f, li),
          lambda f, li: _usdt(f.margin_new_e8, per_trade_limit_e8(f, li)), "capital of one trade over the tier's, USDT"),
    Check(Gate.TIER, lambda f, li: f.margin_used_e8 + f.margin_new_e8 <= li.capital_e8(f.equity_e8),
          lambda f, li: _usdt(f.margin_used_e8 + f.margin_new_e8, li.capital_e8(f.equity_e8)),
          "capital at work over the tier's, USDT"),
    Check(Gate.MARGIN_RATIO, lambda f, li: margin_ratio_pct(f) >= li.min_margin_ratio_pct,
          lambda f, li: (margin_ratio_pct(f), li.min_margin_ratio_pct), "equity that stays free, percent"),
    Check(Gate.HEAT, lambda f, li: heat_pct(f, li) <= li.max_heat_pct,
          lambda f, li: (heat_pct(f, li), li.max_heat_pct), "open risk to the stops, percent of the capital"),
    Check(Gate.CORRELATED, lambda f, li: correlated_pct(f, li) <= li.max_correlated_pct,
          lambda f, li: (correlated_pct(f, li), li.max_correlated_pct),
          "value in one direction of what moves together, percent of equity"),
    Check(Gate.MODE, lambda f, li: f.mode_allows, _none, "the mode sends no orders (the order was built and checked)"),
)

GENERAL = frozenset({
    Gate.KILLED, Gate.PAUSED, Gate.FEED, Gate.DEGRADED, Gate.INTEGRITY, Gate.SKIP_DAY, Gate.SKIP_HOURS,
    Gate.SKIP_VOLATILITY, Gate.MAX_POSITIONS, Gate.TRADES_A_DAY, Gate.ORDER_RATE, Gate.DAILY_LOSS, Gate.ADL, Gate.MODE,
})
"""Checks that need no order: what they refuse they refuse to every symbol."""


def check(facts: Facts, limits: Limits) -> Verdict:
    """The first check that fails, or Gate.NONE."""
    for row in CHECKS:
        if not row.passes(facts, limits):
            return Verdict(row.gate, *row.numbers(facts, limits))
    return Verdict(Gate.NONE, 0.0, 0.0)


def risk_off(facts: Facts, limits: Limits) -> Gate:
    """What keeps *every* symbol from entering now (for the account board): a check that needs no order."""
    for row in CHECKS:
        if row.gate in GENERAL and not row.passes(facts, limits):
            return row.gate
    if not allowed_rank(facts, limits):
        return Gate.TIER
    if not unrealised_loss_pct(facts) < limits.max_unrealised_loss_pct:
        return Gate.HEAT
    return Gate.NONE if facts.balance_e8 >= limits.min_balance_e8 else Gate.BALANCE
