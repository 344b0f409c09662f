"""Figures of performance from closed trades and an equity curve (requirements E6, B7).

Definitions, so that nobody has to guess:

* win: net result over 0, after all fees. Profit factor: sum of wins / sum of losses. Expectancy in R: mean of net / risk.
* Sharpe, Sortino: returns of UTC days on equity (days without a trade count as 0), annualised by sqrt(365), no risk-free
  rate. Sharpe divides by the sample deviation; Sortino by the root mean square of the negative days over all days.
* Interval of the Sharpe ratio: +- z standard errors, sqrt((1 + SR^2/2 - skew SR + (kurtosis - 3)/4 SR^2) / (n - 1)) per
  day (Mertens 2002), annualised like the ratio. With few days it is wide, and that is the message.
* Drawdown: fall of equity from its highest point so far. Calmar: mean daily return x 365 / largest drawdown.

A figure that cannot be known (no trades, one day, no losses) is None, never 0 or infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from core.constants import DAY_NS
from core.performance.trades import WEEKDAYS, Trade, day_of, hour_of, weekday_of

DAYS_PER_YEAR = 365
Z95 = 1.959963984540054
E8 = 100_000_000
LAST_TRADES = 20
WEEK_DAYS = 7
P = TypeVar("P", bound=tuple[Any, Any])


class Point(NamedTuple):
    """Equity in 1e-8 USDT at a time."""

    ts_ns: int
    equity_e8: int


class Drawdown(NamedTuple):
    """The largest fall: in 1e-8 USDT, as a share of the peak (may belong to another fall), and its times."""

    e8: int
    share: float
    peak_ns: int
    trough_ns: int


def mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def ratio(above: float, below: float) -> float | None:
    return above / below if below else None


def equity_curve(start_e8: int, trades: Sequence[Trade], start_ns: int = 0) -> list[Point]:
    """Balance after every closed trade, in order of closing."""
    points = [Point(start_ns or (min(t.opened_ns for t in trades) if trades else 0), start_e8)]
    for trade in sorted(trades, key=lambda t: t.closed_ns):
        points.append(Point(trade.closed_ns, points[-1].equity_e8 + trade.net_e8))
    return points


def session_curve(samples: Sequence[Point], begun: Point, trades: Sequence[Trade], from_ns: int = 0) -> list[Point]:
    """Equity of one session: its samples, from the balance it began with on where the period holds that; with hardly any
    sample the balance after every closed trade."""
    if len(samples) <= 2:
        return equity_curve(begun.equity_e8, trades, from_ns)
    return [begun, *samples] if from_ns <= begun.ts_ns < samples[0].ts_ns else list(samples)


def ended(curve: Sequence[Point], end: Point) -> list[Point]:
    """The curve up to the end of its time, not only to its last change."""
    return [*curve, *([end] if not curve or end.ts_ns > curve[-1].ts_ns or end.equity_e8 != curve[-1].equity_e8 else [])]


def thinned(points: Sequence[P], most: int) -> list[P]:
    """About `most` of (time, value) at most, with both ends and the lowest and highest of every stretch: no fall is hidden."""
    if len(points) <= most:
        return list(points)
    step = -(-2 * len(points) // most)
    kept = []
    for at in range(0, len(points), step):
        part = points[at : at + step]
        kept += sorted({min(part, key=_value), max(part, key=_value)})
    return [points[0], *kept, points[-1]]


def _value(point: tuple[Any, Any]) -> float:
    return float(point[1])


def drawdown(points: Sequence[Point]) -> Drawdown | None:
    """None without points."""
    if not points:
        return None
    peak = points[0]
    worst = Drawdown(0, 0.0, peak.ts_ns, peak.ts_ns)
    share = 0.0
    for point in points:
        if point.equity_e8 > peak.equity_e8:
            peak = point
        fall = peak.equity_e8 - point.equity_e8
        share = max(share, fall / peak.equity_e8 if peak.equity_e8 > 0 else 0.0)
        if fall > worst.e8:
            worst = Drawdown(fall, 0.0, peak.ts_ns, point.ts_ns)
    return worst._replace(share=share)


def daily_returns(points: Sequence[Point]) -> list[float]:
    """Return of every UTC day from the first point's to the last one's, on the equity at the day's begin."""
    if len(points) < 2:
        return []
    first, last = day_of(points[0].ts_ns), day_of(points[-1].ts_ns)
    ends: dict[int, int] = {}
    for point in points:
        ends[day_of(point.ts_ns)] = point.equity_e8
    before = points[0].equity_e8
    returns = []
    for day in range(first, last + 1):
        after = ends.get(day, before)
        returns.append(after / before - 1 if before > 0 else 0.0)
        before = after
    return returns


class Sharpe(NamedTuple):
    """Annualised, with its interval."""

    value: float
    low: float
    high: float
    days: int


def sharpe(returns: Sequence[float], z: float = Z95) -> Sharpe | None:
    """None with less than two days or without variation."""
    n = len(returns)
    if n < 2:
        return None
    m = math.fsum(returns) / n
    central = [r - m for r in returns]
    variance = math.fsum(x * x for x in central) / (n - 1)
    if variance <= (1e-12 * (abs(m) + 1e-12)) ** 2:  # what rounding leaves of equal returns
        return None
    value = m / math.sqrt(variance)
    second = math.fsum(x * x for x in central) / n
    skew = math.fsum(x**3 for x in central) / n / second**1.5
    kurtosis = math.fsum(x**4 for x in central) / n / second**2
    error = math.sqrt(max(1 + value**2 / 2 - skew * value + (kurtosis - 3) / 4 * value**2, 0.0) / (n - 1))
    year = math.sqrt(DAYS_PER_YEAR)
    return Sharpe(value * year, (value - z * error) * year, (value + z * error) * year, n)


def sortino(returns: Sequence[float]) -> float | None:
    """None with less than two days or without a negative one."""
    n = len(returns)
    downside = math.sqrt(math.fsum(min(r, 0.0) ** 2 for r in returns) / n) if n else 0.0
    if n < 2 or downside == 0:
        return None
    return math.fsum(returns) / n / downside * math.sqrt(DAYS_PER_YEAR)


def usdt(e8: int | float) -> float:
    return e8 / E8


def summary(trades: Sequence[Trade]) -> dict[str, Any]:
    """Figures of any set of trades that need no equity curve. Money in USDT, shares 0..1."""
    wins = [t.net_e8 for t in trades if t.won]
    losses = [t.net_e8 for t in trades if not t.won]
    rs = [t.r for t in trades if t.r is not None]
    mfe = [t.mfe_e8 / t.risk_e8 for t in trades if t.mfe_e8 is not None and t.risk_e8 > 0]
    mae = [t.mae_e8 / t.risk_e8 for t in trades if t.mae_e8 is not None and t.risk_e8 > 0]
    net = sum(t.net_e8 for t in trades)
    value = sum(t.entry_value_e8 for t in trades)
    slippage = sum(t.slippage_e8 for t in trades)
    return {
        "trades": len(trades), "wins": len(wins), "losses": len(losses), "win_rate": ratio(len(wins), len(trades)),
        "net_usdt": usdt(net), "gross_usdt": usdt(sum(t.gross_e8 for t in trades)),
        "fees_usdt": usdt(sum(t.fees_e8 for t in trades)), "funding_usdt": usdt(sum(t.funding_e8 for t in trades)),
        "slippage_usdt": usdt(slippage), "slippage_bps": (ratio(slippage * 10_000, value) if value else None),
        "average_win_usdt": _usdt_or_none(mean(wins)), "average_loss_usdt": _usdt_or_none(mean(losses)),
        "profit_factor": ratio(sum(wins), -sum(losses)) if losses else None,
        "expectancy_usdt": _usdt_or_none(ratio(net, len(trades))), "expectancy_r": mean(rs),
        "best_usdt": usdt(max((t.net_e8 for t in trades), default=0)) if trades else None,
        "worst_usdt": usdt(min((t.net_e8 for t in trades), default=0)) if trades else None,
        "mean_mfe_r": mean(mfe), "mean_mae_r": mean(mae), "average_hold_s": mean([t.hold_s for t in trades]),
        "losses_in_a_row": losses_in_a_row(trades),
    }


def _usdt_or_none(e8: float | None) -> float | None:
    return None if e8 is None else usdt(e8)


def losses_in_a_row(trades: Sequence[Trade]) -> int:
    """The longest run of trades that were not won, in order of closing."""
    longest = run = 0
    for trade in sorted(trades, key=lambda t: t.closed_ns):
        run = 0 if trade.won else run + 1
        longest = max(longest, run)
    return longest


KEYS: dict[str, Callable[[Trade], Any]] = {
    "symbol": lambda t: t.symbol,
    "side": lambda t: "long" if t.side > 0 else "short",
    "hour": lambda t: hour_of(t.opened_ns),
    "weekday": lambda t: WEEKDAYS[weekday_of(t.opened_ns)],
    "move_type": lambda t: t.move_type or "unknown",
    "exit_reason": lambda t: t.close_reason or "unknown",
}
ORDERED: dict[str, list[Any]] = {"hour": list(range(24)), "weekday": list(WEEKDAYS)}


def grouped(trades: Sequence[Trade], by: str) -> list[dict[str, Any]]:
    """`summary` per group; hours and weekdays in their order, others by net result, best first."""
    key = KEYS[by]
    groups: dict[Any, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(key(trade), []).append(trade)
    rows = [{"key": name, **summary(kept)} for name, kept in groups.items()]
    if by in ORDERED:
        return sorted(rows, key=lambda row: ORDERED[by].index(row["key"]))
    return sorted(rows, key=lambda row: (-row["net_usdt"], str(row["key"])))


def costs(trades: Sequence[Trade]) -> list[dict[str, Any]]:
    """From what the prices asked for would have brought to what was left, step by step (USDT)."""
    gross, slippage = sum(t.gross_e8 for t in trades), sum(t.slippage_e8 for t in trades)
    fees, funding = sum(t.fees_e8 for t in trades), sum(t.funding_e8 for t in trades)
    return [
        {"name": "at the prices asked for", "usdt": usdt(gross + slippage)},
        {"name": "slippage", "usdt": usdt(-slippage)}, {"name": "gross", "usdt": usdt(gross)},
        {"name": "fees", "usdt": usdt(-fees)}, {"name": "funding", "usdt": usdt(-funding)},
        {"name": "net", "usdt": usdt(gross - fees - funding)},
    ]


def performance(
    trades: Sequence[Trade], start_e8: int, points: Sequence[Point] = (), unrealised_e8: int = 0, booked_e8: int = 0
) -> dict[str, Any]:
    """All figures of a period. `points`: equity through time where known (unrealised included), else made of the closed
    trades; `start_e8`: balance at the begin; `unrealised_e8`: of positions open at the end; `booked_e8`: what these have
    realised so far (fees, funding, parts closed): with the closed trades that is the change of the balance."""
    curve = list(points) or equity_curve(start_e8, trades)
    returns = daily_returns(curve)
    fall, ratio_of_sharpe = drawdown(curve), sharpe(returns)
    realised = sum(t.net_e8 for t in trades) + booked_e8
    daily = mean(returns)
    calmar = daily * DAYS_PER_YEAR / fall.share if daily is not None and fall and fall.share > 0 and len(returns) > 1 else None
    return {
        **summary(trades),
        "realised_usdt": usdt(realised), "unrealised_usdt": usdt(unrealised_e8),
        "total_usdt": usdt(realised + unrealised_e8),
        "total_return_pct": 100 * (realised + unrealised_e8) / start_e8 if start_e8 else None,
        "sharpe": ratio_of_sharpe.value if ratio_of_sharpe else None,
        "sharpe_low": ratio_of_sharpe.low if ratio_of_sharpe else None,
        "sharpe_high": ratio_of_sharpe.high if ratio_of_sharpe else None,
        "sortino": sortino(returns), "calmar": calmar, "days": len(returns),
        "max_drawdown_usdt": usdt(fall.e8) if fall else None, "max_drawdown_pct": 100 * fall.share if fall else None,
        "drawdown_from_ns": fall.peak_ns if fall else None, "drawdown_to_ns": fall.trough_ns if fall else None,
        "costs": costs(trades),
    }


def live_stats(trades: Sequence[Trade], now_ns: int) -> dict[str, Any]:
    """What B7 wants to see at a glance: total, seven days, the last twenty trades, how long they were held."""
    ordered = sorted(trades, key=lambda t: t.closed_ns)
    week = [t for t in ordered if t.closed_ns > now_ns - WEEK_DAYS * DAY_NS]
    last = ordered[-LAST_TRADES:]
    return {
        "total_usdt": usdt(sum(t.net_e8 for t in ordered)), "week_usdt": usdt(sum(t.net_e8 for t in week)),
        "trades": len(ordered), "week_trades": len(week),
        "win_rate_last": ratio(sum(t.won for t in last), len(last)), "last": len(last),
        "average_hold_s": mean([t.hold_s for t in ordered]),
    }
