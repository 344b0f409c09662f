"""The door for news: one JSON object per line in `run/news.jsonl`, appended by the command line, the page or any program,
read by the gateway while it runs.

    {"symbol": "BTCUSDT", "type": "HACK", "impact": 80, "half_life_s": 300, "ttl_s": 3600, "text": "...", "time_ns": ...}

Only symbol and type are needed; what is missing comes from the settings ([news]). Symbol ALL means every symbol; impact 0
takes a flag of this type down. `time_ns` is when it happened (Unix).
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ALL = "ALL"
MAX_LINE_BYTES = 4096
MAX_TEXT = 200
_SYMBOL = re.compile(r"[A-Z0-9]{1,24}")


class NewsError(ValueError):
    """A news item breaks a rule; the message says which."""


@dataclass(frozen=True)
class NewsItem:
    symbol: str
    type: str
    impact: float | None = None  # 0..100
    half_life_s: float | None = None
    ttl_s: float | None = None
    text: str = ""
    time_ns: int = 0

    def check(self, types: tuple[str, ...]) -> NewsItem:
        """This item, when it keeps the rules. Raises NewsError."""
        if not isinstance(self.symbol, str) or not _SYMBOL.fullmatch(self.symbol):
            raise NewsError(f"symbol {self.symbol!r}: capital letters and digits expected, like BTCUSDT, or {ALL}")
        if self.type not in types:
            raise NewsError(f"type {self.type!r} is unknown. Types: {', '.join(types)}")
        for name, most in (("impact", 100.0), ("half_life_s", 1e6), ("ttl_s", 1e7)):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise NewsError(f"{name}: a number expected, received {value!r}")
            if not 0.0 <= value <= most:
                raise NewsError(f"{name}: 0 to {most:g} expected, received {value!r}")
        if not isinstance(self.text, str) or len(self.text) > MAX_TEXT:
            raise NewsError(f"text: up to {MAX_TEXT} characters expected")
        if isinstance(self.time_ns, bool) or not isinstance(self.time_ns, int) or not 0 <= self.time_ns < 1 << 62:
            raise NewsError("time_ns: whole nanoseconds since 1970 expected")
        return self


def item_of(line: str, types: tuple[str, ...]) -> NewsItem:
    """One line of the file. Raises NewsError."""
    try:
        found = json.loads(line)
        return NewsItem(**found).check(types)
    except (ValueError, TypeError) as error:
        if isinstance(error, NewsError):
            raise
        raise NewsError(f"no news item: {error}") from None


def append_news(path: Path, item: NewsItem) -> None:
    """Add the item in one write; a missing time is now. Raises OSError."""
    values = {name: value for name, value in asdict(item).items() if value is not None}
    values["time_ns"] = item.time_ns or time.time_ns()
    line = json.dumps(values).encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)


class NewsTail:
    """New whole lines of the file since the last call, from its beginning; it may be missing, or start over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def lines(self) -> list[str]:
        """Cheap when nothing came (one stat). A line too long is cut to its first bytes, which makes it no item."""
        try:
            size = self._path.stat().st_size
            if size < self._at:
                self._at = 0
            if size == self._at:
                return []
            with self._path.open("rb") as handle:
                handle.seek(self._at)
                found = handle.read(size - self._at)
        except OSError:
            return []
        whole = found[: found.rfind(b"\n") + 1]
        self._at += len(whole)
        return [line[:MAX_LINE_BYTES].decode("utf-8", "replace") for line in whole.split(b"\n") if line.strip()]
