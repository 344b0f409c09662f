"""`launch.py latency`: the order ledger of a data folder, from the journals of execution; works with nothing running.

Every order that has ended is one row with all its stamps; a stamp or stage that nobody could measure is empty.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from config.paths import DataPaths
from core.journal import JournalError
from core.orders.latency import LEDGER_RECORD, as_dict, percentiles
from core.records import ORDER_ROW
from core.words import plural
from workers.journal_files import DurableLog


class LedgerRow(NamedTuple):
    run_id: str
    row: np.void


def ledger_rows(paths: DataPaths, on_damage: Callable[[str], None]) -> Iterator[LedgerRow]:
    """Ended orders, oldest run first; a journal that cannot be read is told and left out."""
    current = paths.execution_journal
    older = sorted(current.parent.glob(f"{current.stem}-*{current.suffix}"))
    for path in (*older, current):
        if not path.exists():
            continue
        try:
            run_id, frames, _ = DurableLog.load(path)
        except (JournalError, OSError) as error:
            on_damage(f"{path.name}: {error}")
            continue
        for frame in frames:
            if frame.kind == LEDGER_RECORD:
                yield LedgerRow(run_id, np.frombuffer(frame.data, ORDER_ROW.dtype)[0])


def as_csv(rows: list[LedgerRow]) -> str:
    """Header and one line per order."""
    text = io.StringIO()
    table = [{"run_id": run_id, **as_dict(row)} for run_id, row in rows]
    writer = csv.DictWriter(text, list(table[0]) if table else ["run_id"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def as_json(rows: list[LedgerRow]) -> str:
    """{"orders": [...], "stages": [...]}."""
    return json.dumps({
        "orders": [{"run_id": run_id, **as_dict(row)} for run_id, row in rows],
        "stages": percentiles(row for _, row in rows),
    })


def print_stages(rows: list[LedgerRow]) -> None:
    """The stages as a table for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "n", "p50", "p90", "p99", "max", "from … to", title=f"{plural(len(rows), 'order')}, µs",
                  title_justify="left", box=None, header_style="dim")
    for stage in percentiles(row for _, row in rows):
        figures = (stage[name] for name in ("p50_us", "p90_us", "p99_us", "max_us"))
        table.add_row(str(stage["stage"]), str(stage["n"]), *("–" if us is None else f"{us:,.1f}" for us in figures),
                      str(stage["sentence"]))
    Console().print(table)


def export(data_dir: Path, mode: str, form: str) -> bool:
    """Print the ledger of a mode as `csv`, `json` or a `table` of the stages; False when there is none."""
    rows = list(ledger_rows(DataPaths(data_dir, mode), lambda text: print(f"left out: {text}", file=sys.stderr)))
    if form == "csv":
        print(as_csv(rows), end="")
    elif form == "json":
        print(as_json(rows))
    elif rows:
        print_stages(rows)
    return bool(rows)
