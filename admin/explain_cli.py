"""`launch.py explain`: why a symbol did or did not trade, from the data folder of a running or finished run.

    python -m admin.explain_cli <id|symbol> [--data-dir DIR] [--mode SIM] [--json]

The recorder writes decisions at least once a second, so a running plant is at most that far ahead of the answer.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from admin.explain import find_stored
from config.paths import DataPaths, default_data_dir
from config.times import utc
from core.explain import explanation, text

EXIT_NOT_FOUND = 1
EXIT_USAGE = 2


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, box=None, header_style="dim")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < k < len(columns) - 1 else "left")
    return table


def render(e: dict[str, Any], console: Console) -> None:
    """An explanation (core/explain.py) as words and tables."""
    console.print(f"[bold]{e['id']}[/bold]  {e['side']}  {e['verdict']}" + (f"  gate {e['gate']}" if e["gate"] != "NONE" else ""))
    for sentence in e["words"]:
        console.print(f"  {sentence}")
    console.print()
    terms = _table("Score", "term", "long", "short", "at most", "meaning")
    for t in e["terms"]:
        terms.add_row(t["name"], text(t["long"], 1), text(t["short"], 1), text(t["weight"], 1), t["meaning"])
    scores = e["scores"]
    terms.add_row("score", text(scores["long"], 1), text(scores["short"], 1), "100",
                  f"watch {text(scores['watch'], 1)}, arm {text(scores['arm'], 1)}", style="bold")
    console.print(terms, "")
    gates = _table("Gates, in order", "gate", "value", "limit", "")
    for g in e["gates"]:
        gates.add_row(g["name"], text(g["value"]), text(g["limit"]), "open" if g["ok"] else f"[red]shut[/red]: {g['words']}")
    console.print(gates, "")
    features = _table("Features", "feature", "value", "unit", "meaning")
    for f in e["features"]:
        features.add_row(f["name"], text(f["value"], 4), f["unit"], f["meaning"])
    console.print(features)
    if e["plan"]:
        console.print("", "[bold]Plan[/bold]  " + ", ".join(f"{k} {v}" for k, v in e["plan"].items() if v is not None))


def at_ms(text: str) -> int:
    """Epoch ms of an ISO time (UTC). Raises argparse.ArgumentTypeError."""
    try:
        return round(utc(text).timestamp() * 1000)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write it as 2026-11-21T20:12:50 (UTC)") from None


def main(argv: list[str] | None = None) -> int:
    """0 = told, 1 = no such decision, 2 = usage."""
    parser = argparse.ArgumentParser(prog="launch.py explain", description="Why a symbol did or did not trade.")
    parser.add_argument("wanted", metavar="ID|SYMBOL", help="<seq>-<symbol>, or a symbol for its latest decision")
    parser.add_argument("--data-dir", "--userdir", type=Path, default=None, help="where data lives [data/]")
    parser.add_argument("--mode", default="SIM", choices=["SIM", "PAPER", "DRY_RUN", "LIVE"], help="whose decisions [SIM]")
    parser.add_argument("--json", action="store_true", dest="as_json", help="one JSON object, as /api/explain gives it")
    parser.add_argument("--at", type=at_ms, default=0, metavar="TIME",
                        help="none after this time (UTC, 2026-11-21T20:12:50): a later run may have used the id again")
    options = parser.parse_args(argv)
    folder = options.data_dir.expanduser().resolve() if options.data_dir else default_data_dir()
    mode = {"PAPER": "SIM"}.get(options.mode, options.mode)
    decisions = DataPaths(folder, mode).decisions_dir
    wanted = options.wanted.upper()
    found = find_stored(decisions, wanted, options.at)
    if found is None:
        print(f"E{EXIT_NOT_FOUND} no decision about {wanted} in {decisions}. A decision is written down once a score is over "
              "its watch threshold; the page shows every symbol's present values.", file=sys.stderr)
        return EXIT_NOT_FOUND
    answer = {"ok": True, **explanation(found)}
    if options.as_json:
        print(json.dumps(answer))
    else:
        render(answer, Console())
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` is no error
    sys.exit(main())
