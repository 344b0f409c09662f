"""The report as one HTML file: no script, nothing from elsewhere, light and dark, printable."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.performance.figures import Point
from workers.report import Report, Told
from workers.report_text import (
    GROUP_HEAD,
    NOTHING,
    TITLES,
    clock,
    group_row,
    headline,
    moment,
    money,
    number,
    oddities,
    sharpe_text,
    trade_facts,
)

STYLE = """
:root{--bg:#fff;--fg:#16181d;--dim:#5c6470;--line:#d9dde3;--card:#f5f6f8;--good:#0b7a4b;--bad:#b3261e;--accent:#2457c5}
@media (prefers-color-scheme:dark){:root{--bg:#14161a;--fg:#e6e8ec;--dim:#9aa3af;--line:#2c3038;--card:#1c1f25;
--good:#4cc38a;--bad:#ff7b72;--accent:#7aa7ff}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;
font-variant-numeric:tabular-nums}main{max-width:1100px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:18px;margin:36px 0 10px}p.sub{color:var(--dim);margin:0 0 20px}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:10px}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px}
.card b{display:block;font-size:20px;font-weight:600;white-space:nowrap}.card span,.card i{color:var(--dim);font-size:13px;
font-style:normal}table{border-collapse:collapse;width:100%;font-size:14px}th,td{padding:5px 10px;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}.pair th,.pair td{padding:5px 6px;font-size:13px}
th{color:var(--dim);font-weight:500}
th:first-child,td:first-child,td.text,th.text{text-align:left;white-space:normal}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));gap:0 28px}.scroll{overflow-x:auto}
.good{color:var(--good)}.bad{color:var(--bad)}.bar{display:inline-block;height:9px;border-radius:2px;vertical-align:middle}
.bar.good{background:var(--good)}.bar.bad{background:var(--bad)}ol.trades{padding-left:22px}ol.trades>li{margin-bottom:14px}
ol.trades ul{margin:4px 0;padding-left:18px;color:var(--dim)}code{background:var(--card);border:1px solid var(--line);
border-radius:4px;padding:0 4px}svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font-size:11px}
.note{color:var(--dim);font-size:13px}@media print{main{max-width:none}h2{break-after:avoid}li,tr{break-inside:avoid}}
"""
WIDTH, HEIGHT, FALL_HEIGHT, LEFT, MOST_POINTS = 1060, 220, 70, 70, 600


def _tone(value: float | None) -> str:
    return "" if not value else "good" if value > 0 else "bad"


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most about `most` points, with the lowest and highest of every stretch: no fall is hidden."""
    if len(points) <= most:
        return list(points)
    step = -(-len(points) * 2 // most)
    kept: list[Point] = []
    for first in range(0, len(points), step):
        part = points[first : first + step]
        ends = {min(part, key=lambda p: p.equity_e8), max(part, key=lambda p: p.equity_e8)}
        kept += sorted(ends)
    return [points[0], *kept, points[-1]]


def chart(points: Sequence[Point]) -> str:
    """Equity over the fall from its peak, as SVG."""
    if len(points) < 2 or points[-1].ts_ns <= points[0].ts_ns:
        return "<p class=note>No trades, no curve.</p>"
    kept = thinned(points)
    t0, span = kept[0].ts_ns, kept[-1].ts_ns - kept[0].ts_ns
    low, high = min(p.equity_e8 for p in kept), max(p.equity_e8 for p in kept)
    high = high if high > low else low + 1
    peak, falls = 0, []
    for point in kept:
        peak = max(peak, point.equity_e8)
        falls.append((peak - point.equity_e8) / peak if peak > 0 else 0.0)
    deepest = max(falls) or 1.0

    def x(ts_ns: int) -> float:
        return round(LEFT + (WIDTH - LEFT) * (ts_ns - t0) / span, 1)

    def y(value: float) -> float:
        return round(12 + (HEIGHT - 24) * (high - value) / (high - low), 1)

    line = " ".join(f"{x(p.ts_ns)},{y(p.equity_e8)}" for p in kept)
    base = HEIGHT + 8
    under = " ".join(f"{x(p.ts_ns)},{round(base + FALL_HEIGHT * f / deepest, 1)}" for p, f in zip(kept, falls, strict=True))
    labels = "".join(
        f'<text x="{LEFT - 8}" y="{y(value) + 4}" text-anchor="end">{number(value / 1e8)}</text>'
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(value)}" y2="{y(value)}" stroke="var(--line)"/>'
        for value in (low, (low + high) / 2, high))
    bottom = base + FALL_HEIGHT
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 22}" role="img" aria-label="Equity from {number(kept[0].equity_e8 / 1e8)} to '
        f'{number(kept[-1].equity_e8 / 1e8)} USDT, largest fall {deepest if max(falls) else 0:.2%}">{labels}'
        f'<polyline points="{line}" fill="none" stroke="var(--accent)" stroke-width="1.8" stroke-linejoin="round"/>'
        f'<polygon points="{x(t0)},{base} {under} {x(kept[-1].ts_ns)},{base}" fill="var(--bad)" opacity=".35"/>'
        f'<text x="{LEFT - 8}" y="{base + 10}" text-anchor="end">fall 0</text>'
        f'<text x="{LEFT - 8}" y="{bottom}" text-anchor="end">{max(falls):.2%}</text>'
        f'<text x="{LEFT}" y="{bottom + 18}">{moment(t0)}</text>'
        f'<text x="{WIDTH}" y="{bottom + 18}" text-anchor="end">{moment(kept[-1].ts_ns)}</text></svg>')


def _cell(text: str, value: float | None = None, extra: str = "") -> str:
    tone = _tone(value)
    return f'<td{f" class={tone}" if tone else ""}>{escape(text)}{extra}</td>'


def _group(report: Report, by: str) -> str:
    rows = report.groups[by]
    if not rows:
        return ""
    widest = max(abs(row["net_usdt"]) for row in rows) or 1.0
    body = ""
    for row in rows:
        cells = group_row(by, row)
        bar = f' <span class="bar {_tone(row["net_usdt"])}" style="width:{abs(row["net_usdt"]) / widest * 48:.0f}px"></span>'
        body += "<tr>" + "".join(
            _cell(cell, row["net_usdt"] if k == 3 else None, bar if k == 3 else "") for k, cell in enumerate(cells)) + "</tr>"
    head = "".join(f"<th>{escape(name)}</th>" for name in GROUP_HEAD)
    return (f"<section><h2>{escape(TITLES[by])}</h2><div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}"
            "</tbody></table></div></section>")


def _told(told: Sequence[Told]) -> str:
    items = ""
    for one in told:
        why = "".join(f"<li>{escape(sentence)}</li>" for sentence in one.words)
        if one.trade.decision_id:
            why += f"<li><code>launch.py explain {escape(one.trade.decision_id)}</code></li>"
        items += (f'<li><b class="{_tone(one.trade.net_e8)}">{escape(trade_facts(one))}</b><br>'
                  f"<span class=note>{escape(oddities(one))}</span><ul>{why}</ul></li>")
    return f"<ol class=trades>{items}</ol>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: frozenset[int] = frozenset()) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{' class=text' if k in text_columns else ''}>{escape(cell)}</{tag}>"
                                for k, cell in enumerate(cells)) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<div class=scroll><table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table></div>"


def html(report: Report) -> str:
    """The whole report."""
    f = report.figures
    tones = {"Net": f["net_usdt"], "Return": f["total_return_pct"], "7 days": report.live["week_usdt"]}
    cards = "".join(
        f'<div class=card><span>{escape(name)}</span><b class="{_tone(tones.get(name))}">{escape(value)}</b>'
        f"<i>{escape(remark)}</i></div>" for name, value, remark in headline(report))
    sessions = _table(("session", "status", "from", "to", "trades", "net USDT"), [
        (s["session_id"], s["status"], moment(s["started_ns"]), moment(s["ended_ns"]), str(s["trades"] or 0),
         money((s["realised_pnl_e8"] or 0) / 1e8)) for s in report.sessions])
    skips = _table(("reason", "in words", "times"), [(name, words, str(n)) for name, words, n in report.skips],
                   frozenset({1})) if report.skips else "<p>None.</p>"
    incidents = _table(("time", "severity", "kind", "what"), [
        (clock(r["ts_ns"]) if report.period.kind == "daily" else moment(r["ts_ns"]), r["severity"] or "", r["kind"] or "",
         r["text"] or "") for r in report.incidents[:50]], frozenset({1, 2, 3})) if report.incidents else "<p>None.</p>"
    orders = ", ".join(f"{n} {name.replace('_', ' ').lower()}" for name, n in report.orders.items()) or "none"
    steps = _table(("step", "USDT"), [(c["name"], money(c["usdt"])) for c in f["costs"]])
    plural = "s" if len(report.sessions) != 1 else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.period.title)}</title><style>{STYLE}</style></head><body><main>
<h1>{escape(report.period.title)}</h1>
<p class="sub">Mode {escape(report.mode)} · all times UTC · {len(report.sessions)} session{plural} · made
{moment(report.made_ns)}</p>
<div class="cards">{cards}</div>
<h2>Equity and fall from its peak</h2>{chart(report.equity)}
<p class="note">Sharpe {escape(sharpe_text(f))} · Sortino {number(f["sortino"])} · Calmar {number(f["calmar"])} · longest run of
losses {f["losses_in_a_row"]} · best {money(f["best_usdt"])}, worst {money(f["worst_usdt"])} USDT · orders: {escape(orders)}</p>
<h2>Worst trades, and why they were entered</h2>{_told(report.worst) if report.worst else "<p>No trade was lost.</p>"}
{"<h2>Best trades</h2>" + _told(report.best) if report.best else ""}
<div class="pair"><section><h2>From gross to net</h2>{steps}</section>
<section><h2>Entries refused</h2>{skips}</section></div>
<div class="pair">{_group(report, "move_type")}{_group(report, "exit_reason")}</div>
<div class="pair">{_group(report, "hour")}{_group(report, "weekday")}</div>
<div class="pair">{_group(report, "symbol")}{_group(report, "side")}</div>
<h2>Kills and incidents</h2>{incidents}
<h2>Sessions</h2>{sessions}
<p class="note">A win is a trade with a net result over 0, after all fees. R: result divided by the loss the first stop would have
brought, fees included. Sharpe and Sortino: returns of UTC days on equity, annualised by √365, without a risk-free rate; the
interval is ± 1.96 standard errors (Mertens 2002). Calmar: mean daily return × 365 / largest fall. {NOTHING} means that it
cannot be known.</p>
</main></body></html>
"""
