"""Numbers as reports write them, and the report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from core.performance.trades import Trade
from core.words import plural
from workers.report import Report, Told

NOTHING = "–"
MINUS = "\N{MINUS SIGN}"
TITLES = {"hour": "Hour of entry (UTC)", "weekday": "Weekday of entry (UTC)", "move_type": "Kind of move",
          "exit_reason": "Exit reason", "symbol": "Symbol", "side": "Side"}


def money(value: float | None, sign: bool = True) -> str:
    """USDT with two decimals, four where it is under one cent."""
    if value is None:
        return NOTHING
    digits = 2 if abs(value) >= 0.01 or value == 0 else 4
    value += 0.0  # nothing is not less than nothing
    return f"{value:{'+' if sign and value else ''},.{digits}f}".replace("-", MINUS)


def number(value: float | None, digits: int = 2) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1, of: float = 100.0) -> str:
    return NOTHING if value is None else f"{value * of:.{digits}f} %".replace("-", MINUS)


def price(text: str, digits: int = 8) -> str:
    """An average price in so many digits; shorter ones as they are."""
    return text if len(text.replace(".", "").lstrip("0")) <= digits else f"{float(text):.{digits}g}"


def seconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.1f} s" if value < 90 else f"{value / 60:.1f} min" if value < 5400 else f"{value / 3600:.1f} h"


def moment(ts_ns: int | None) -> str:
    return NOTHING if not ts_ns else f"{datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def clock(ts_ns: int | None) -> str:
    return NOTHING if not ts_ns else f"{datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC):%H:%M:%S}"


def words(name: str) -> str:
    return str(name).replace("_", " ").lower()


def key_text(by: str, key: Any) -> str:
    """A group's name: hours as 09:00, enumeration names as words."""
    return f"{key:02d}:00" if by == "hour" else words(key) if by in ("exit_reason", "move_type") else str(key)


def sharpe_text(figures: dict[str, Any]) -> str:
    """The ratio never without its interval."""
    if figures["sharpe"] is None:
        return f"{NOTHING} (needs two days)"
    low, high = number(figures["sharpe_low"]), number(figures["sharpe_high"])
    return f"{number(figures['sharpe'])} (95 %: {low} to {high}, {figures['days']} days)"


def headline(report: Report) -> list[tuple[str, str, str]]:
    """(name, value, remark) of the figures on top."""
    f, live = report.figures, report.live
    return [
        ("Net", f"{money(f['net_usdt'])} USDT", f"gross {money(f['gross_usdt'])}, fees {money(-f['fees_usdt'])}"),
        ("Return", percent(f["total_return_pct"], 2, of=1), f"unrealised {money(f['unrealised_usdt'])}"),
        ("Trades", str(f["trades"]), f"{f['wins']} won, {f['losses']} lost"),
        ("Win rate", percent(f["win_rate"]), f"last {live['last']}: {percent(live['win_rate_last'])}"),
        ("Profit factor", number(f["profit_factor"]),
         f"average {money(f['average_win_usdt'])} / {money(f['average_loss_usdt'])}"),
        ("Expectancy", f"{number(f['expectancy_r'])} R", f"{money(f['expectancy_usdt'])} USDT a trade"),
        ("Drawdown", percent(f["max_drawdown_pct"], 2, of=1), f"{money(f['max_drawdown_usdt'], sign=False)} USDT"),
        ("Sharpe", number(f["sharpe"]), f"95 %: {number(f['sharpe_low'])} to {number(f['sharpe_high'])}"
         if f["sharpe"] is not None else "needs two days"),
        ("Hold", seconds(f["average_hold_s"]), f"MFE {number(f['mean_mfe_r'])} R, MAE {number(f['mean_mae_r'])} R"),
        ("7 days", f"{money(live['week_usdt'])} USDT", f"{plural(live['week_trades'], 'trade')}"),
    ]


def incident_text(row: dict[str, Any]) -> str:
    """What it was, why, what was done and when it was over, as far as that is known."""
    more = (("cause", row["cause"]), ("fix", row["fix"]), ("over", moment(row["resolved_ns"]) if row["resolved_ns"] else ""))
    return "; ".join([row["text"] or "", *(f"{name}: {value}" for name, value in more if value)])


def trade_facts(told: Told) -> str:
    """One trade in one line."""
    t = told.trade
    r = f", {number(t.r)} R" if t.r is not None else ""
    return (f"{t.symbol} {'long' if t.side > 0 else 'short'} {t.quantity} · {moment(t.opened_ns)}, held {seconds(t.hold_s)} · "
            f"in {price(t.entry_price)}, out {price(t.exit_price)} · {money(t.net_e8 / 1e8)} USDT{r} · {words(t.close_reason)}")


def oddities(told: Told) -> str:
    """What the market was like when it was entered."""
    parts = [f"score {number(told.score, 1)}" if told.score is not None else "", f"regime {words(told.regime)}" if told.regime
             else "", f"pump {words(told.pump)}" if told.pump else "", told.trade.move_type, *told.odd]
    return " · ".join(part for part in parts if part)


GROUP_HEAD = ("", "trades", "win rate", "net USDT", "profit factor", "exp. R", "fees")


def group_row(by: str, row: dict[str, Any]) -> tuple[str, ...]:
    return (key_text(by, row["key"]), str(row["trades"]), percent(row["win_rate"]), money(row["net_usdt"]),
            number(row["profit_factor"]), number(row["expectancy_r"]), money(row["fees_usdt"], sign=False))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    aligned = ["---"] + ["---:"] * (len(head) - 1)
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in [list(head), aligned, *cells]]


def explain_command(trade: Trade) -> str:
    """With the second behind the entry: a later run may have used the id again."""
    by = moment(trade.opened_ns + 1_000_000_000).replace(" ", "T")
    return f"launch.py explain {trade.decision_id} --at {by}"


def _told_lines(told: Sequence[Told]) -> list[str]:
    lines: list[str] = []
    for place, one in enumerate(told, 1):
        lines += [f"{place}. **{trade_facts(one)}**", f"   {oddities(one)}" if oddities(one) else "",
                  *[f"   - {sentence}" for sentence in one.words],
                  f"   - Why it was entered: `{explain_command(one.trade)}`" if one.trade.decision_id else ""]
    return [line for line in lines if line]


def markdown(report: Report) -> str:
    """The whole report."""
    f = report.figures
    count = plural(len(report.sessions), "session")
    lines = [f"# {report.period.title}", "", f"Mode {report.mode} · UTC · {count} · made {moment(report.made_ns)}", ""]
    lines += _table(("figure", "value", "remark"), headline(report))
    ratios = f"Sharpe {sharpe_text(f)} · Sortino {number(f['sortino'])} · Calmar {number(f['calmar'])}"
    runs = f"longest run of losses {f['losses_in_a_row']} · best {money(f['best_usdt'])}, worst {money(f['worst_usdt'])} USDT"
    lines += ["", f"{ratios} · {runs}", ""]
    lines += ["## From gross to net", "", *_table(("step", "USDT"), [(c["name"], money(c["usdt"])) for c in f["costs"]])]
    lines += ["", "## Worst trades", ""]
    lines += _told_lines(report.worst) or ["No trade was lost."]
    if report.best:
        lines += ["", "## Best trades", "", *_told_lines(report.best)]
    for by, title in TITLES.items():
        rows = report.groups[by]
        if rows:
            lines += ["", f"## {title}", "", *_table(GROUP_HEAD, [group_row(by, row) for row in rows])]
    if report.paper:
        lines += ["", "## The account against paper", "", *[f"- {line}" for line in report.paper]]
    lines += ["", "## Entries refused", ""]
    lines += _table(("reason", "in words", "times"), [(name, text, str(n)) for name, text, n in report.skips]) \
        if report.skips else ["None."]
    lines += ["", "## Kills and incidents", ""]
    lines += [f"- {moment(row['ts_ns'])} **{row['severity']}** {row['kind']}: {incident_text(row)}"
              for row in report.incidents[:50]] or ["None."]
    lines += ["", "## Sessions", ""]
    lines += _table(("session", "status", "from", "to", "trades", "net USDT"), [
        (s["session_id"], s["status"], moment(s["started_ns"]), moment(s["ended_ns"]), str(s["trades"] or 0),
         money((s["realised_pnl_e8"] or 0) / 1e8)) for s in report.sessions])
    return "\n".join(lines) + "\n"
