"""Pre-trade checks of an entry as one table, in order: the first that fails names the refusal and its two numbers.

Nothing here reads a clock or a board: the facts are gathered by the caller, so the same facts always give the same
verdict. Working entries count as filled in every limit. Every comparison is written so that a nonsense number refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from core.constants import DAY_NS, EPOCH_WEEKDAY, HOUR_NS
from core.enums import Gate

PCT = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings behind the checks; money in 1e-8 USDT."""

    max_positions: int
    min_balance_e8: int
    daily_loss_pct: float
    max_heat_pct: float
    max_unrealised_loss_pct: float
    skip_enabled: bool
    skip_weekdays: tuple[int, ...]
    skip_from_hour: int
    skip_to_hour: int
    volatility_index: float  # 0 = not known
    volatility_index_max: float
    intent_ttl_ns: int


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
    blacklisted: bool
    trading: bool
    quarantined: bool
    duplicate: bool
    in_position: bool
    order_working: bool
    positions: int  # open and working
    balance_e8: int
    equity_e8: int
    day_start_equity_e8: int
    unrealised_e8: int
    margin_used_e8: int  # open and working
    margin_new_e8: int
    heat_e8: int  # open and working
    risk_new_e8: int
    qty_lots: int
    min_qty_lots: int
    max_qty_lots: int  # 0 = unknown
    notional_e8: int
    min_notional_e8: int


class Verdict(NamedTuple):
    """`gate` NONE: allowed. `value` and `limit` are what was compared (percent or units of the check)."""

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


def day_loss_pct(f: Facts) -> float:
    """Equity lost since the start of the UTC day, in percent of it."""
    return PCT * (f.day_start_equity_e8 - f.equity_e8) / max(f.day_start_equity_e8, 1)


def heat_pct(f: Facts) -> float:
    """Open risk with the new entry, in percent of equity."""
    return PCT * (f.heat_e8 + f.risk_new_e8) / max(f.equity_e8, 1)


def unrealised_loss_pct(f: Facts) -> float:
    """Unrealised loss in percent of the balance."""
    return PCT * -f.unrealised_e8 / max(f.balance_e8, 1)


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
    return not limits.skip_enabled or not limits.volatility_index > limits.volatility_index_max


def _flag(name: str) -> Callable[[Facts, Limits], bool]:
    return lambda f, limits: not getattr(f, name)


def _none(f: Facts, limits: Limits) -> tuple[float, float]:
    return 0.0, 0.0


CHECKS: tuple[Check, ...] = (
    Check(Gate.KILLED, _flag("killed"), _none, "the kill switch is latched"),
    Check(Gate.PAUSED, _flag("paused"), _none, "entries are paused"),
    Check(Gate.FEED, _flag("feed_down"), _none, "the market feed is down"),
    Check(Gate.DEGRADED, _flag("degraded"), _none, "latency or backlog is over its limit"),
    Check(Gate.EXPIRED, lambda f, li: f.age_ns <= li.intent_ttl_ns, lambda f, li: (f.age_ns, li.intent_ttl_ns),
          "the intent is too old"),
    Check(Gate.DUPLICATE, _flag("duplicate"), _none, "this intent was seen before"),
    Check(Gate.BLACKLIST, lambda f, li: f.trading and not f.blacklisted, _none,
          "the symbol is blacklisted or not trading"),
    Check(Gate.DATA, _flag("quarantined"), _none, "the book of the symbol is not believed"),
    Check(Gate.SKIP_DAY, on_trading_day, lambda f, li: (weekday(f), 0), "no trading day"),
    Check(Gate.SKIP_HOURS, in_session, lambda f, li: (hour(f), li.skip_to_hour), "outside the trading hours"),
    Check(Gate.SKIP_VOLATILITY, calm_world, lambda f, li: (li.volatility_index, li.volatility_index_max),
          "the external volatility index is over its limit"),
    Check(Gate.IN_POSITION, lambda f, li: not f.in_position and not f.order_working, _none,
          "one position or entry per symbol"),
    Check(Gate.MAX_POSITIONS, lambda f, li: f.positions < li.max_positions,
          lambda f, li: (f.positions, li.max_positions), "positions and working entries"),
    Check(Gate.DAILY_LOSS, lambda f, li: day_loss_pct(f) < li.daily_loss_pct,
          lambda f, li: (day_loss_pct(f), li.daily_loss_pct), "loss of the UTC day on equity, percent"),
    Check(Gate.HEAT, lambda f, li: unrealised_loss_pct(f) < li.max_unrealised_loss_pct,
          lambda f, li: (unrealised_loss_pct(f), li.max_unrealised_loss_pct), "unrealised loss, percent"),
    Check(Gate.MIN_SIZE, lambda f, li: f.qty_lots > 0 and f.qty_lots >= f.min_qty_lots,
          lambda f, li: (f.qty_lots, f.min_qty_lots), "lots under the smallest order"),
    Check(Gate.MIN_SIZE, lambda f, li: f.notional_e8 >= f.min_notional_e8,
          lambda f, li: (f.notional_e8 / 1e8, f.min_notional_e8 / 1e8), "value under the smallest order, USDT"),
    Check(Gate.SYMBOL_LIMIT, lambda f, li: f.max_qty_lots == 0 or f.qty_lots <= f.max_qty_lots,
          lambda f, li: (f.qty_lots, f.max_qty_lots), "lots over the largest order"),
    Check(Gate.BALANCE, lambda f, li: f.balance_e8 >= li.min_balance_e8,
          lambda f, li: (f.balance_e8 / 1e8, li.min_balance_e8 / 1e8), "balance under the minimum, USDT"),
    Check(Gate.BALANCE, lambda f, li: f.margin_used_e8 + f.margin_new_e8 <= f.equity_e8,
          lambda f, li: ((f.margin_used_e8 + f.margin_new_e8) / 1e8, f.equity_e8 / 1e8), "margin over equity, USDT"),
    Check(Gate.HEAT, lambda f, li: heat_pct(f) <= li.max_heat_pct,
          lambda f, li: (heat_pct(f), li.max_heat_pct), "open risk to the stops, percent of equity"),
    Check(Gate.MODE, lambda f, li: f.mode_allows, _none, "the mode sends no orders (the order was built and checked)"),
)


def check(facts: Facts, limits: Limits) -> Verdict:
    """The first check that fails, or Gate.NONE."""
    for row in CHECKS:
        if not row.passes(facts, limits):
            return Verdict(row.gate, *row.numbers(facts, limits))
    return Verdict(Gate.NONE, 0.0, 0.0)


def risk_off(facts: Facts, limits: Limits) -> Gate:
    """What keeps *every* symbol from entering now (for the account board): a check that needs no order."""
    general = {Gate.KILLED, Gate.PAUSED, Gate.FEED, Gate.DEGRADED, Gate.SKIP_DAY, Gate.SKIP_HOURS,
               Gate.SKIP_VOLATILITY, Gate.MAX_POSITIONS,
               Gate.DAILY_LOSS, Gate.MODE}
    for row in CHECKS:
        if row.gate in general and not row.passes(facts, limits):
            return row.gate
    if not unrealised_loss_pct(facts) < limits.max_unrealised_loss_pct:
        return Gate.HEAT
    return Gate.NONE if facts.balance_e8 >= limits.min_balance_e8 else Gate.BALANCE
