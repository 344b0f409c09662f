"""Figures against an independent computation: decimals, polars and the standard library instead of our loops."""

from __future__ import annotations

import datetime as dt
import math
import random
import statistics
from decimal import Decimal

import pytest

from core.constants import DAY_NS
from core.performance.figures import (
    Point,
    costs,
    daily_returns,
    drawdown,
    equity_curve,
    grouped,
    live_stats,
    performance,
    session_curve,
    sharpe,
    sortino,
    summary,
    thinned,
)
from core.performance.trades import Trade, hour_of, move_type, weekday_of

E8 = 10**8
S = 10**9
START = 1000 * E8
DAY0 = 20_000 * DAY_NS


def trade(net: int, closed_ns: int = DAY0, hold_s: float = 10.0, **fields) -> Trade:
    values = {"session_id": "s", "position_no": 1, "symbol": "BTCUSDT", "side": 1, "opened_ns": closed_ns - int(hold_s * S),
              "closed_ns": closed_ns, "entry_value_e8": 100 * E8, "gross_e8": net + 7, "fees_e8": 5, "funding_e8": 2,
              "net_e8": net, "risk_e8": 2 * E8}
    return Trade(**(values | fields))


def made(count: int, seed: int = 0) -> list[Trade]:
    rng = random.Random(seed)
    trades = []
    for k in range(count):
        gross, fees, funding = rng.randint(-3 * E8, 4 * E8), rng.randint(0, E8 // 4), rng.randint(-E8 // 100, E8 // 100)
        closed = DAY0 + int(rng.uniform(0, 12) * DAY_NS)
        trades.append(trade(
            gross - fees - funding, closed, rng.uniform(1, 400), position_no=k, symbol=rng.choice(("A", "B", "C")),
            side=rng.choice((1, -1)), gross_e8=gross, fees_e8=fees, funding_e8=funding, risk_e8=rng.choice((0, E8, 3 * E8)),
            mfe_e8=rng.randint(0, 4 * E8), mae_e8=rng.randint(0, 3 * E8), slippage_e8=rng.randint(-E8 // 50, E8 // 20),
            close_reason=rng.choice(("STOP", "TAKE_PROFIT", "TIME_STOP")), move_type=rng.choice(("pump", "dump", "slow grind"))))
    return trades


@pytest.mark.parametrize("seed", range(5))
def test_against_an_independent_computation(seed):
    polars = pytest.importorskip("polars")
    trades = made(200, seed)
    frame = polars.DataFrame([t._asdict() for t in trades])
    got = performance(trades, START)
    net = [Decimal(t.net_e8) / E8 for t in trades]
    wins, losses = [x for x in net if x > 0], [x for x in net if x <= 0]
    assert got["net_usdt"] == pytest.approx(float(sum(net)), abs=1e-9)
    assert got["win_rate"] == pytest.approx(frame.select((polars.col("net_e8") > 0).mean()).item())
    assert got["profit_factor"] == pytest.approx(float(sum(wins) / -sum(losses)))
    assert got["average_win_usdt"] == pytest.approx(float(statistics.mean(wins)))
    assert got["average_loss_usdt"] == pytest.approx(float(statistics.mean(losses)))
    known = frame.filter(polars.col("risk_e8") > 0)
    assert got["expectancy_r"] == pytest.approx(known.select((polars.col("net_e8") / polars.col("risk_e8")).mean()).item())
    assert got["mean_mfe_r"] == pytest.approx(known.select((polars.col("mfe_e8") / polars.col("risk_e8")).mean()).item())
    hold = frame.select(((polars.col("closed_ns") - polars.col("opened_ns")) / S).mean()).item()
    assert got["average_hold_s"] == pytest.approx(hold)
    assert got["total_return_pct"] == pytest.approx(float(sum(net)) / 10)
    # equity by day, once more from scratch
    ordered = frame.sort("closed_ns").with_columns((polars.col("net_e8").cum_sum() + START).alias("equity"))
    peaks = ordered.select(polars.col("equity").cum_max().clip(lower_bound=START)).to_series()
    falls = peaks - ordered["equity"]
    assert got["max_drawdown_usdt"] == pytest.approx(falls.max() / E8)
    assert got["max_drawdown_pct"] == pytest.approx((falls / peaks).max() * 100)
    first = min(t.opened_ns for t in trades) // DAY_NS
    equity, ends = START, []
    for day in range(first, max(t.closed_ns for t in trades) // DAY_NS + 1):
        before = equity
        equity += sum(t.net_e8 for t in trades if t.closed_ns // DAY_NS == day)
        ends.append(equity / before - 1)
    assert daily_returns(equity_curve(START, trades)) == pytest.approx(ends)
    per_day = statistics.mean(ends) / statistics.stdev(ends)
    assert got["sharpe"] == pytest.approx(per_day * math.sqrt(365))
    down = math.sqrt(sum(min(r, 0) ** 2 for r in ends) / len(ends))
    assert got["sortino"] == pytest.approx(statistics.mean(ends) / down * math.sqrt(365))
    assert got["calmar"] == pytest.approx(statistics.mean(ends) * 365 / (got["max_drawdown_pct"] / 100))
    assert got["sharpe_low"] < got["sharpe"] < got["sharpe_high"]


def test_the_interval_covers_the_truth():
    """Of many samples of a known Sharpe ratio about 95 % of the intervals hold it."""
    rng = random.Random(1)
    true_daily = 0.1
    hits = 0
    for _ in range(600):
        found = sharpe([rng.gauss(true_daily, 1.0) for _ in range(60)])
        hits += found.low <= true_daily * math.sqrt(365) <= found.high
    assert 0.92 <= hits / 600 <= 0.98


def test_normal_returns_have_the_textbook_error():
    """Lo (2002): standard error sqrt((1 + SR^2 / 2) / n) for normal returns; ours with sample moments is near it."""
    rng = random.Random(3)
    returns = [rng.gauss(0.05, 1.0) for _ in range(5000)]
    found = sharpe(returns, z=1.0)
    per_day = found.value / math.sqrt(365)
    assert (found.high - found.value) / math.sqrt(365) == pytest.approx(math.sqrt((1 + per_day**2 / 2) / 5000), rel=0.05)


def test_what_cannot_be_known_is_none():
    empty = performance([], START)
    for name in ("win_rate", "profit_factor", "sharpe", "sortino", "calmar", "expectancy_r", "average_hold_s", "best_usdt"):
        assert empty[name] is None
    assert (empty["trades"], empty["net_usdt"], empty["max_drawdown_usdt"]) == (0, 0.0, 0.0)
    only_wins = performance([trade(5, DAY0 + 50 * S), trade(6, DAY0 + 60 * S)], START)
    assert (only_wins["profit_factor"], only_wins["win_rate"], only_wins["sharpe"]) == (None, 1.0, None)
    assert sharpe([0.1, 0.1, 0.1]) is None
    assert sortino([0.1, 0.2]) is None
    assert drawdown([]) is None
    assert daily_returns([Point(0, 1)]) == []


def test_days_without_trades_count_as_nothing_earned():
    points = [Point(DAY0, START), Point(DAY0 + 1, 2 * START), Point(DAY0 + 3 * DAY_NS, START)]
    assert daily_returns(points) == [1.0, 0.0, 0.0, -0.5]


def test_drawdown_finds_the_fall_in_money_and_in_share():
    values = [100, 80, 200, 170, 300, 240, 290]
    found = drawdown([Point(k, v) for k, v in enumerate(values)])
    assert (found.e8, found.peak_ns, found.trough_ns) == (60, 4, 5)
    assert found.share == pytest.approx(0.2)
    assert drawdown([Point(0, 5), Point(1, 6)]).share == 0.0


def test_the_curve_of_a_session_begins_with_the_balance_it_had():
    """The first sample comes a minute after the start: what was lost before it is a fall, too."""
    samples = [Point(60, 990), Point(120, 995), Point(180, 996)]
    curve = session_curve(samples, Point(1, 1000), [])
    assert curve == [Point(1, 1000), *samples] and drawdown(curve).e8 == 10
    assert session_curve(samples, Point(1, 1000), [], from_ns=50) == samples, "it began before the period"
    assert session_curve(samples[:2], Point(1, 1000), [], from_ns=50) == [Point(50, 1000)]


def test_a_thinned_curve_hides_no_fall():
    points = [Point(k, 10**9 - (5 * 10**8 if k == 7777 else k % 13)) for k in range(20_000)]
    kept = thinned(points, 1500)
    assert len(kept) < 1600 and kept == sorted(kept)
    assert min(equity for _, equity in kept) == 5 * 10**8
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert thinned(points[:1500], 1500) == points[:1500]


def test_groups_add_up_to_the_whole():
    trades = made(300, 9)
    whole = summary(trades)
    for by in ("symbol", "side", "hour", "weekday", "move_type", "exit_reason"):
        rows = grouped(trades, by)
        assert sum(row["trades"] for row in rows) == whole["trades"]
        assert sum(row["net_usdt"] for row in rows) == pytest.approx(whole["net_usdt"])
    assert [row["key"] for row in grouped(trades, "hour")] == sorted({hour_of(t.opened_ns) for t in trades})
    steps = costs(trades)
    assert steps[0]["usdt"] + steps[1]["usdt"] == pytest.approx(steps[2]["usdt"])
    assert steps[2]["usdt"] + steps[3]["usdt"] + steps[4]["usdt"] == pytest.approx(steps[5]["usdt"])
    assert steps[5]["usdt"] == pytest.approx(whole["net_usdt"])


def test_hours_and_weekdays_are_utc():
    rng = random.Random(0)
    for _ in range(500):
        ns = rng.randint(0, 2 * 10**18)
        moment = dt.datetime.fromtimestamp(ns // S, dt.UTC)
        assert (hour_of(ns), weekday_of(ns)) == (moment.hour, moment.weekday())


def test_live_stats():
    now = DAY0 + 30 * DAY_NS
    old = [trade(-E8, now - 10 * DAY_NS) for _ in range(10)]
    new = [trade(E8 if k % 2 else -E8 // 2, now - k * S, 20.0) for k in range(20)]
    stats = live_stats(new + old, now)
    assert stats["total_usdt"] == -10 + 10 - 5
    assert (stats["week_usdt"], stats["week_trades"], stats["win_rate_last"], stats["last"]) == (5.0, 20, 0.5, 20)
    assert stats["average_hold_s"] == pytest.approx((10 * 10 + 20 * 20) / 30)
    assert live_stats([], now)["win_rate_last"] is None


def test_move_types():
    assert [move_type(x) for x in ("PREPUMP", "BLOWOFF", "DUMP", "NONE", "COOLDOWN", None)] == [
        "pump", "pump", "dump", "slow grind", "slow grind", ""]
