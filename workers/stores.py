"""The storage API (requirement A20): `append` a line, `set_snapshot` of what is true now.

    <mode>/<kind>/YYYY-MM-DD/<symbol>.jsonl       append: lines of a UTC day, whole ones only, followed by .1, .2 ... when full
    <mode>/<kind>/<symbol>.json                   set_snapshot: replaced in one step

Kinds are `config.paths.STORES`; `symbol` may be any name ("account"). Retention thins them out (`workers/retention.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

from config.atomic_file import write_replacing
from config.paths import DataPaths
from workers.event_files import EventFiles
from workers.event_lines import day

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Stores:
    """All stores of a mode. Lines are written at `flush`; a disk that refuses is told and costs no process."""

    def __init__(
        self, paths: DataPaths, on_error: Callable[[OSError], None] = lambda error: None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._paths, self._on_error, self._clock = paths, on_error, clock
        self._files: dict[str, EventFiles] = {}

    def append(self, kind: str, symbol: str, obj: dict[str, Any]) -> None:
        """Add a line to a store, under the day of its `ts_ns` (now where it has none). KeyError, ValueError."""
        self._check(symbol)
        folder = self._paths.store_dir(kind)
        files = self._files.get(kind) or self._files.setdefault(kind, EventFiles(folder, self._on_error))
        files.add(day(int(obj.get("ts_ns") or self._clock())), symbol, msgspec.json.encode(obj))

    def set_snapshot(self, kind: str, symbol: str, obj: Any) -> bool:
        """Replace what a store says of a symbol; False when the disk refused (the old one stays). KeyError, ValueError."""
        self._check(symbol)
        try:
            write_replacing(self._paths.store_dir(kind) / f"{symbol}.json", msgspec.json.encode(obj))
        except OSError as error:
            self._on_error(error)
            return False
        return True

    @staticmethod
    def _check(symbol: str) -> None:
        if not NAME.fullmatch(symbol):
            raise ValueError(f"{symbol[:80]!r} is no name of a store: letters, digits, - and _")

    def flush(self) -> bool:
        """Write waiting lines; False when the disk refused some (they are kept)."""
        results = [files.flush() for files in self._files.values()]
        return all(results)

    def close(self) -> None:
        for files in self._files.values():
            files.close()
