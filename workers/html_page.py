"""Building blocks of a self-contained HTML report: page, tiles, tables, lines and bars. No script, no network.

Drawings are SVG that stretches to the width there is; their texts are HTML beside it and keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

from core.performance.figures import thinned

GRID = 4  # steps of the value axis
DRAWN = 1500  # points of a line
STYLE = """
:root{--back:#fff;--ink:#16202b;--soft:#5c6b7a;--line:#d7dee6;--up:#0a7d4b;--down:#b3261e;--mark:#2463c4;--fill:#2463c422}
@media (prefers-color-scheme:dark){:root{--back:#0f141a;--ink:#dde6ee;--soft:#8b9aa9;--line:#2a3542;--up:#3ddc97;--down:#ff6b6b;
--mark:#6aa8ff;--fill:#6aa8ff22}}
body{background:var(--back);color:var(--ink);font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1000px;padding:0 1rem}
h1{font-size:1.4rem;margin-bottom:0}h2{font-size:1.05rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
.note{color:var(--soft)}
.tiles{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}
.tile{border:1px solid var(--line);border-radius:6px;padding:.5rem .75rem;min-width:8rem}.tile b{display:block;font-size:1.15rem}
.tile span,.tile i{color:var(--soft);font-size:.8rem;font-style:normal}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}th{text-align:left;color:var(--soft);font-weight:500}
td,th{padding:.2rem .5rem;border-bottom:1px solid var(--line)}
td.n,th.n{text-align:right;white-space:nowrap}.up{color:var(--up)}.down{color:var(--down)}
h1,.note,summary{overflow-wrap:anywhere}
svg{display:block;width:100%;overflow:visible}polyline,line{vector-effect:non-scaling-stroke}
figure{margin:.75rem 0;font-size:.8rem;color:var(--soft);font-variant-numeric:tabular-nums;display:grid;gap:.35rem .5rem}
.line{grid-template-columns:auto 1fr}.line svg{height:200px}
.axis{display:flex;flex-direction:column;justify-content:space-between;text-align:right;margin:-.6rem 0;white-space:nowrap}
.ends{grid-column:2;display:flex;justify-content:space-between;gap:1rem}.ends span+span{text-align:right}
.bars{grid-template-columns:auto 1fr auto;align-items:center}.bars svg{height:14px}
.bars span:nth-child(3n+1),.bars span:nth-child(3n){text-align:right}.bars span:nth-child(3n){white-space:nowrap}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(30rem,100%),1fr));gap:0 2rem}
ol>li{margin-bottom:.8rem}ol ul{margin:.2rem 0;color:var(--soft)}
code{border:1px solid var(--line);border-radius:4px;padding:0 .25rem}
@media print{li,tr{break-inside:avoid}h2{break-after:avoid}}
details{margin:.25rem 0}summary{cursor:pointer}pre{white-space:pre-wrap;font-size:12px}
"""


class Column(NamedTuple):
    """A column of a table: title, key of the row, digits of a number (None: text), coloured by sign."""

    title: str
    key: str
    digits: int | None = None
    signed: bool = False


def number(value: Any, digits: int = 2) -> str:
    """A number for people; an en dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.{digits}f}".replace("-", "−") if isinstance(value, int | float) else str(value)


def when(ts_ns: int) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(ts_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def page(title: str, subtitle: str, sections: Iterable[str]) -> str:
    """The whole document; `sections` are HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p class=note>{escape(subtitle)}</p>"
        f"{''.join(sections)}</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2>{''.join(parts)}"


def note(text: str) -> str:
    return f"<p class=note>{escape(text)}</p>"


def pair(*sections: str) -> str:
    """Sections beside each other where there is room; those that are empty are left out."""
    return f"<div class=pair>{''.join(f'<div>{part}</div>' for part in sections if part)}</div>"


def tiles(values: Sequence[tuple[Any, ...]]) -> str:
    """(title, text, number whose sign colours it or None[, remark]) each."""
    cells = []
    for title, text, value, *remark in values:
        said = f"<i>{escape(remark[0])}</i>" if remark else ""
        cells.append(f"<div class=tile><span>{escape(title)}</span><b{_sign(value)}>{escape(text)}</b>{said}</div>")
    return f"<div class=tiles>{''.join(cells)}</div>"


def _sign(value: Any) -> str:
    if not isinstance(value, int | float) or value == 0:
        return ""
    return ' class="up"' if value > 0 else ' class="down"'


def table(rows: Sequence[dict[str, Any]], columns: Sequence[Column]) -> str:
    """Rows as a table; "nothing" where there are none."""
    if not rows:
        return note("nothing")
    head = "".join(f"<th{' class=n' if c.digits is not None else ''}>{escape(c.title)}</th>" for c in columns)
    body = "".join(f"<tr>{''.join(_cell(row.get(c.key), c) for c in columns)}</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: Any, column: Column) -> str:
    if column.digits is None:
        return f"<td>{escape('–' if value is None or value == '' else str(value))}</td>"
    colour = ""
    if column.signed and isinstance(value, int | float) and value:
        colour = " up" if value > 0 else " down"
    return f'<td class="n{colour}">{escape(number(value, column.digits))}</td>'


def line_chart(
    points: Sequence[tuple[float, float]], *, digits: int = 2, zero: bool = False, label: str = "",
    nothing: str = "not enough points for a chart",
) -> str:
    """(time in s, value) as a line with its area; `zero`: the axis includes 0, and the area lies between it and the line."""
    if len(points) < 2:
        return note(nothing)
    times, values = [p[0] for p in points], [p[1] for p in points]
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    span, height = max(times[-1] - times[0], 1e-9), max(high - low, abs(high) * 1e-9, 1e-12)
    xy = [(1000 * (t - times[0]) / span, 1000 * (1 - (v - low) / height)) for t, v in thinned(points, DRAWN)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in xy)
    foot = 1000 * (1 + low / height) if zero else 1000  # of the area
    steps = range(GRID, -1, -1)
    axis = "".join(f"<span>{number(low + height * k / GRID, digits)}</span>" for k in steps)
    grid = "".join(f'<line x2="1000" y1="{y:g}" y2="{y:g}" stroke="var(--line)"/>' for y in (1000 * k / GRID for k in steps))
    return (
        f'<figure class=line role="img" aria-label="{escape(label)}"><div class=axis>{axis}</div>'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none">{grid}'
        f'<polygon points="0,{foot:.1f} {path} {xy[-1][0]:.1f},{foot:.1f}" fill="var(--fill)"/>'
        f'<polyline points="{path}" fill="none" stroke="var(--mark)" stroke-width="1.5"/></svg>'
        f"<div class=ends><span>{when(int(times[0] * 1e9))}</span><span>{when(int(times[-1] * 1e9))} UTC</span></div></figure>"
    )


def bars(rows: Sequence[tuple[str, float]], digits: int = 2) -> str:
    """Named values as horizontal bars around zero."""
    if not rows:
        return note("nothing")
    most = max(max(abs(value) for _, value in rows), 1e-12)
    parts = []
    for name, value in rows:
        size = max(abs(value) / most, 0.002)
        x, colour = (0.0, "up") if value >= 0 else (-size, "down")
        parts.append(
            f'<span>{escape(name)}</span><svg viewBox="-1 0 2 1" preserveAspectRatio="none">'
            f'<rect x="{x:.3f}" y="0" width="{size:.3f}" height="1" fill="var(--{colour})"/></svg>'
            f"<span>{number(value, digits)}</span>"
        )
    return f"<figure class=bars>{''.join(parts)}</figure>"
