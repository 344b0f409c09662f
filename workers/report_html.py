"""The review of a day, week or session as one HTML file, of the pieces of html_page.py."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from core.performance.figures import Point
from core.words import plural
from workers.html_page import Column, line_chart, note, page, pair, section, table, tiles
from workers.report import Report, Told
from workers.report_text import (
    GROUP_HEAD,
    NOTHING,
    TITLES,
    clock,
    explain_command,
    group_row,
    headline,
    incident_text,
    moment,
    money,
    number,
    oddities,
    sharpe_text,
    trade_facts,
)

E8 = 1e8
NO_CURVE = "No trades, no curve."
GROUP_COLUMNS = tuple(Column(title, str(k), 0 if k else None) for k, title in enumerate(GROUP_HEAD))
DEFINITIONS = (
    "A win is a trade with a net result over 0, after all fees. R: result divided by the loss the first stop would have "
    "brought, fees included. Sharpe and Sortino: returns of UTC days on equity, annualised by √365, without a risk-free rate; "
    "the interval is ± 1.96 standard errors (Mertens 2002). Calmar: mean daily return × 365 / largest fall. "
    f"{NOTHING} means that it cannot be known."
)


def curve(points: Sequence[Point]) -> list[str]:
    """Sections of equity and of the fall from its peak."""
    if len(points) < 2 or points[-1].ts_ns <= points[0].ts_ns:
        return [section("Equity", note(NO_CURVE))]
    peak, falls = 0, []
    for point in points:
        peak = max(peak, point.equity_e8)
        falls.append((point.ts_ns / 1e9, 100.0 * (point.equity_e8 - peak) / peak if peak > 0 else 0.0))
    deepest = -min(value for _, value in falls)
    ends = f"from {number(points[0].equity_e8 / E8)} to {number(points[-1].equity_e8 / E8)} USDT"
    return [
        section("Equity, USDT", line_chart([(p.ts_ns / 1e9, p.equity_e8 / E8) for p in points], label=f"Equity {ends}")),
        section("Fall from its peak, %", line_chart(falls, zero=True, label=f"largest fall {deepest:.2f} %")),
    ]


def _texts(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: frozenset[int] = frozenset({0})) -> str:
    """Cells that are text already; all but `text_columns` stand to the right."""
    columns = [Column(title, str(k), None if k in text_columns else 0) for k, title in enumerate(head)]
    return table([{str(k): cell for k, cell in enumerate(row)} for row in rows], columns)


def _group(report: Report, by: str) -> str:
    rows: list[dict[str, Any]] = [
        {str(k): cell for k, cell in enumerate(group_row(by, row))} for row in report.groups[by]]
    return section(TITLES[by], table(rows, GROUP_COLUMNS)) if rows else ""


def _told(told: Sequence[Told]) -> str:
    items = ""
    for one in told:
        why = "".join(f"<li>{escape(sentence)}</li>" for sentence in one.words)
        if one.trade.decision_id:
            why += f"<li><code>{escape(explain_command(one.trade))}</code></li>"
        tone = "up" if one.trade.net_e8 > 0 else "down"
        items += (f"<li><b class={tone}>{escape(trade_facts(one))}</b><br>"
                  f"<span class=note>{escape(oddities(one))}</span><ul>{why}</ul></li>")
    return f"<ol>{items}</ol>"


def html(report: Report) -> str:
    """The whole report."""
    f = report.figures
    signs = {"Net": f["net_usdt"], "Return": f["total_return_pct"], "7 days": report.live["week_usdt"]}
    at = clock if report.period.kind == "daily" else moment
    orders = ", ".join(f"{n} {name.replace('_', ' ').lower()}" for name, n in report.orders.items()) or "none"
    sections = [
        tiles([(name, value, signs.get(name), remark) for name, value, remark in headline(report)]),
        *curve(report.equity),
        note(f"Sharpe {sharpe_text(f)} · Sortino {number(f['sortino'])} · Calmar {number(f['calmar'])} · longest run of losses "
             f"{f['losses_in_a_row']} · best {money(f['best_usdt'])}, worst {money(f['worst_usdt'])} USDT · orders: {orders}"),
        section("Worst trades, and why they were entered", _told(report.worst) if report.worst else note("No trade was lost.")),
        section("Best trades", _told(report.best)) if report.best else "",
        pair(section("From gross to net", _texts(("step", "USDT"), [(c["name"], money(c["usdt"])) for c in f["costs"]])),
             section("Entries refused", _texts(("reason", "in words", "times"), [(name, words, str(n)) for name, words, n in
                                                                                 report.skips], frozenset({0, 1})))),
        pair(_group(report, "move_type"), _group(report, "exit_reason")),
        pair(_group(report, "hour"), _group(report, "weekday")),
        pair(_group(report, "symbol"), _group(report, "side")),
        section("The account against paper", "".join(note(line) for line in report.paper)) if report.paper else "",
        section("Kills and incidents", _texts(("time", "severity", "kind", "what"), [
            (at(r["ts_ns"]), r["severity"] or "", r["kind"] or "", incident_text(r)) for r in report.incidents[:50]],
            frozenset(range(4)))),
        section("Sessions", _texts(("session", "status", "from", "to", "trades", "net USDT"), [
            (s["session_id"], s["status"], moment(s["started_ns"]), moment(s["ended_ns"]), str(s["trades"] or 0),
             money((s["realised_pnl_e8"] or 0) / E8)) for s in report.sessions], frozenset(range(4)))),
        note(DEFINITIONS),
    ]
    subtitle = (f"Mode {report.mode} · all times UTC · {plural(len(report.sessions), 'session')} · made {moment(report.made_ns)}")
    return page(report.period.title, subtitle, sections)
