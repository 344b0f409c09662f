"""Symbols a person has taken out of trading: one JSON object in `run/blacklist.json`, beside what the settings list.

    {"DOGEUSDT": {"reason": "delisting rumours", "time_ns": 1763712000000000000}}

Execution writes it (whole, atomically) and reads it at its start; the page shows it. Positions are managed to their end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from config.atomic_file import write_atomic


class Listed(NamedTuple):
    reason: str
    time_ns: int


def read_blacklist(path: Path) -> dict[str, Listed]:
    """Symbol -> why and since when; empty where there is no file. Raises ValueError for a file that cannot be understood
    (nobody may guess which symbols were meant), OSError."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(row, dict) for row in content.values()):
        raise ValueError(f"{path}: an object of objects expected")
    return {
        symbol: Listed(str(row.get("reason", "")), int(row.get("time_ns", 0))) for symbol, row in content.items()
    }


def write_blacklist(path: Path, listed: dict[str, Listed]) -> None:
    """Replace the file. Raises OSError."""
    rows = {symbol: row._asdict() for symbol, row in sorted(listed.items())}
    write_atomic(path, json.dumps(rows, indent=1).encode())
