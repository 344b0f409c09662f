"""A Result as a page: equity and drawdown, figures, costs from gross to net, groups, every trade with its explanation."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from core.constants import E8
from core.explain import sentences
from core.performance.comparison import Comparison, Pair, Shortfall
from core.performance.figures import KEYS, Point, grouped
from core.performance.trades import Trade
from core.words import plural
from workers.backtest import Result
from workers.html_page import Column, bars, line_chart, note, number, page, section, table, tiles, when
from workers.run_reasons import Reasons, share_events

TITLES = {"symbol": "symbol", "side": "side", "hour": "hour of the day (UTC)", "weekday": "weekday", "move_type": "move",
          "exit_reason": "exit"}
GROUP_COLUMNS = (
    Column("", "key"), Column("trades", "trades", 0), Column("won %", "won_pct", 1), Column("net USDT", "net_usdt", 4, True),
    Column("profit factor", "profit_factor", 2), Column("mean R", "expectancy_r", 2, True), Column("hold s", "average_hold_s", 1),
)
TRADE_COLUMNS = (
    Column("#", "no", 0), Column("opened", "opened"), Column("symbol", "symbol"), Column("side", "side"),
    Column("quantity", "quantity"), Column("entry", "entry"), Column("exit", "exit"), Column("move", "move"),
    Column("closed by", "reason"), Column("hold s", "hold_s", 1),
    Column("gross", "gross", 4, True), Column("fees", "fees", 4), Column("funding", "funding", 4),
    Column("net", "net", 4, True), Column("R", "r", 2, True),
    Column("MFE R", "mfe", 2), Column("MAE R", "mae", 2),
)
MOST_EXPLAINED = 500


def underwater(points: Sequence[Point]) -> list[tuple[float, float]]:
    """(s, percent below the highest equity so far)."""
    peak, rows = 0, []
    for point in points:
        peak = max(peak, point.equity_e8)
        rows.append((point.ts_ns / 1e9, 100.0 * (point.equity_e8 - peak) / peak if peak else 0.0))
    return rows


def trade_row(no: int, trade: Trade) -> dict[str, Any]:
    """A trade for people; money in USDT, MFE and MAE in R."""
    r = trade.risk_e8 or None
    return {
        "no": no, "opened": when(trade.opened_ns), "symbol": trade.symbol, "side": "long" if trade.side > 0 else "short",
        "quantity": trade.quantity, "entry": trade.entry_price, "exit": trade.exit_price, "move": trade.move_type,
        "reason": trade.close_reason.lower().replace("_", " "), "hold_s": trade.hold_s, "gross": trade.gross_e8 / E8,
        "fees": trade.fees_e8 / E8, "funding": trade.funding_e8 / E8, "net": trade.net_e8 / E8, "r": trade.r,
        "mfe": trade.mfe_e8 / r if r and trade.mfe_e8 is not None else None,
        "mae": trade.mae_e8 / r if r and trade.mae_e8 is not None else None,
    }


def headline(figures: dict[str, Any]) -> str:
    """The figures one looks at first."""
    f = figures
    ratio = f"{number(f['sharpe'])} [{number(f['sharpe_low'])}, {number(f['sharpe_high'])}]" if f["sharpe"] is not None else "–"
    return tiles([
        ("net", f"{number(f['net_usdt'], 4)} USDT", f["net_usdt"]),
        ("return", f"{number(f['total_return_pct'], 3)} %", f["total_return_pct"]),
        ("trades", number(f["trades"], 0), None),
        ("won", f"{number(100 * f['win_rate'], 1)} %" if f["win_rate"] is not None else "–", None),
        ("profit factor", number(f["profit_factor"]), None), ("expectancy", f"{number(f['expectancy_r'])} R", f["expectancy_r"]),
        ("Sharpe, 95 %", ratio, None), ("Sortino", number(f["sortino"]), None), ("Calmar", number(f["calmar"]), None),
        ("largest drawdown", f"{number(f['max_drawdown_pct'], 3)} %", None),
        ("mean MFE / MAE", f"{number(f['mean_mfe_r'])} / {number(f['mean_mae_r'])} R", None),
    ])


def groups(trades: Sequence[Trade]) -> list[str]:
    """One section per way to group trades."""
    sections = []
    for by in KEYS:
        rows = [row | {"won_pct": None if row["win_rate"] is None else 100 * row["win_rate"]} for row in grouped(trades, by)]
        sections.append(section(f"By {TITLES[by]}", table(rows, GROUP_COLUMNS)))
    return sections


def explained(result: Result) -> str:
    """Why every trade was entered."""
    parts = []
    for no, trade in enumerate(result.trades[:MOST_EXPLAINED], 1):
        record = result.decisions.get(trade.decision_id)
        words = "\n".join(sentences(record)) if record else "its decision was not recorded"
        parts.append(f"<details id=d{no}><summary>#{no} {escape(trade.symbol)} {when(trade.opened_ns)} "
                     f"{number(trade.net_e8 / E8, 4)} USDT</summary><pre>{escape(words)}</pre></details>")
    if len(result.trades) > MOST_EXPLAINED:
        parts.append(note(f"the first {MOST_EXPLAINED} of {len(result.trades)}"))
    return "".join(parts) or note("no trades")


def html(result: Result) -> str:
    """The whole report of one backtest."""
    f = result.figures
    inputs = ", ".join(f"{row['name']} ({row['sha256'][:12]})" if row["sha256"] else row["name"] for row in result.input)
    sections = [
        headline(f),
        section("Equity", line_chart([(p.ts_ns / 1e9, p.equity_e8 / E8) for p in result.equity], label="equity in USDT")),
        section("Drawdown, % below the highest equity",
                line_chart(underwater(result.equity), digits=3, zero=True, label="drawdown")),
        section("From gross to net, USDT", bars([(row["name"], row["usdt"]) for row in f["costs"]], 4)),
        *groups(result.trades),
        section("Trades", table([trade_row(k, t) for k, t in enumerate(result.trades, 1)], TRADE_COLUMNS)),
        section("Why", explained(result)),
        section("Of what", table(
            [{"name": name, "value": value} for name, value in (
                ("recordings", inputs), ("from", when(result.from_ns)), ("to", when(result.to_ns)),
                ("settings", result.settings_digest),
                ("changed settings", ", ".join(f"{k}={v}" for k, v in result.job.overrides.items())),
                ("decision digest", result.decision_digest), ("frames", number(result.counts["frames"], 0)),
                ("gaps", number(result.counts["gaps"], 0)), ("open at the end", number(result.counts["open_positions"], 0)),
            )], (Column("", "name"), Column("", "value")),
        ), *map(note, result.remarks), note("Not in it: our own impact on the market beyond the displayed size, hidden orders.")),
    ]
    subtitle = (f"{when(result.from_ns)} to {when(result.to_ns)} UTC · {plural(result.counts['frames'], 'frame')} "
                f"in {result.wall_s:.1f} s")
    return page(f"{result.kind.capitalize()} {result.name}", subtitle, sections)


PAIR_COLUMNS = (
    Column("opened", "opened"), Column("symbol", "symbol"), Column("side", "side"), Column("a net", "a", 4, True),
    Column("b net", "b", 4, True), Column("b − a", "difference", 4, True),
    Column("a's entry worse, bps", "entry_bps", 2), Column("a's exit worse, bps", "exit_bps", 2), Column("why", "why"),
)


SHORT_COLUMNS = (Column("", "name"), Column("", "value", 4))


def pair_row(pair: Pair) -> dict[str, Any]:
    """A trade of two runs for people; prices: how much worse a's were, in bps."""
    shown = pair.a or pair.b
    assert shown is not None
    return {
        "opened": when(shown.opened_ns), "symbol": shown.symbol, "side": "long" if shown.side > 0 else "short",
        "a": pair.a.net_e8 / E8 if pair.a else None, "b": pair.b.net_e8 / E8 if pair.b else None,
        "difference": pair.difference_e8 / E8, "entry_bps": pair.entry_bps, "exit_bps": pair.exit_bps,
    }


def shortfall_rows(short: Shortfall) -> list[dict[str, Any]]:
    """Where the difference of two runs comes from; USDT that a has less than b."""
    return [
        {"name": "matched trades", "value": short.matched}, {"name": "missed (only b)", "value": short.missed},
        {"name": "extra (only a)", "value": short.extra},
        {"name": "entry price worse, mean bps", "value": short.entry_bps},
        {"name": "exit price worse, mean bps", "value": short.exit_bps},
        {"name": "opened later, mean ms", "value": short.later_ms},
        {"name": "prices of matched trades, USDT", "value": short.prices_e8 / E8},
        {"name": "fees and funding of matched trades, USDT", "value": short.costs_e8 / E8},
        {"name": "missed trades, USDT", "value": short.missed_e8 / E8},
        {"name": "extra trades, USDT", "value": short.extra_e8 / E8},
        {"name": "together, USDT", "value": short.total_e8 / E8},
    ]


def comparison_html(a: Result, b: Result, found: Comparison) -> str:
    """Two runs side by side; of the same events also why a trade differs."""
    reasons = Reasons(a, b) if share_events(a, b) else None
    rows = [pair_row(pair) | {"why": reasons.why(pair) if reasons else ""} for pair in found.pairs]
    columns = (Column("figure", "figure"), Column("a", "a", 4), Column("b", "b", 4), Column("b − a", "difference", 4, True))
    left, right = a.job.overrides, b.job.overrides
    changed = {key: (left.get(key), right.get(key)) for key in left.keys() | right.keys()}
    settings = [{"name": key, "a": str(x), "b": str(y)} for key, (x, y) in sorted(changed.items()) if x != y]
    same = "" if found.same_until is None else f" The same in the first {plural(found.same_until, 'decision')}."
    return page(f"{a.name} against {b.name}", "a is the first, b the second.", [
        section("Figures", table(found.figures, columns)),
        section("What a has less than b", table(shortfall_rows(found.shortfall), SHORT_COLUMNS)),
        section("Settings that differ", table(settings, (Column("", "name"), Column("a", "a"), Column("b", "b")))),
        section("Why they differ", "".join(map(note, reasons.general))) if reasons and reasons.general else "",
        section("Equity of a", line_chart([(p.ts_ns / 1e9, p.equity_e8 / E8) for p in a.equity])),
        section("Equity of b", line_chart([(p.ts_ns / 1e9, p.equity_e8 / E8) for p in b.equity])),
        section("Trades", note(f"{len(found.both)} in both, {len(found.only_a)} only in a, {len(found.only_b)} only in b.{same}"),
                table(rows, PAIR_COLUMNS)),
    ])
