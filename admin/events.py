"""The last few thousand log records, kept raw and told only when somebody asks: draining costs no text work."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from admin.describe import sentence
from admin.present import name_of
from admin.snapshot import SymbolInfo
from core.enums import LogKind, Severity, State
from core.records import LOG

KEEP = 8192


def in_order(records: np.ndarray) -> np.ndarray:
    """LOG records of several processes as one story: by time, and within one time (a decision and its order carry the
    time of the same market event) the decision, then what execution did, then the states that follow from it."""
    turn = np.isin(records["kind"], (LogKind.ORDER, LogKind.FILL, LogKind.POSITION, LogKind.TRADE)).astype(np.int8)
    after = np.arange(State.IN_POSITION, State.COOLDOWN + 1)
    turn[(records["kind"] == LogKind.STATE) & (np.isin(records["a"], after) | np.isin(records["b"], after))] = 2
    return records[np.lexsort((turn, records["ts_ns"]))]


class Names(NamedTuple):
    """What turns ids into names: symbols by id and processes by table row."""

    symbols: Mapping[int, SymbolInfo]
    processes: Mapping[int, str]


class EventHistory:
    """A ring of LOG records with ids 1, 2, 3 … in order of arrival; safe to read from several threads."""

    def __init__(self, keep: int = KEEP) -> None:
        self._rows = np.zeros(keep, LOG.dtype)
        self._lock = threading.Lock()
        self.newest = self._cleared = 0

    @staticmethod
    def kinds() -> list[str]:
        return [kind.name for kind in LogKind if kind]

    @staticmethod
    def is_kind(name: str) -> bool:
        return name in LogKind.__members__

    def append(self, records: np.ndarray) -> None:
        """Take LOG records (n,) in order."""
        keep = len(self._rows)
        n = len(records)
        with self._lock:
            places = (self.newest + max(0, n - keep) + np.arange(min(n, keep))) % keep
            self._rows[places] = records[-keep:]
            self.newest += n

    def clear(self) -> None:
        """Keep nothing; ids go on."""
        with self._lock:
            self._cleared = self.newest

    @property
    def oldest(self) -> int:
        """Smallest id still kept."""
        return max(self._cleared, self.newest - len(self._rows)) + 1

    def since(self, seen: int, limit: int, names: Names) -> tuple[list[dict], int, int]:
        """(newest `limit` events after id `seen`, how many of them were skipped, newest id), oldest first."""
        with self._lock:
            newest = self.newest
            first = max(seen + 1, newest - limit + 1, self.oldest)
            ids = np.arange(first, newest + 1)
            rows = self._rows[(ids - 1) % len(self._rows)]
        return [tell(int(i), row, names) for i, row in zip(ids, rows, strict=True)], max(0, first - seen - 1), newest

    def page(self, limit: int, names: Names, symbol: int | None = None, kind: str | None = None,
             before: int | None = None, least: Severity = Severity.DEBUG) -> tuple[list[dict], int]:
        """Newest first, at most `limit` that match, with ids under `before`; and the cursor of the next page (0 = end)."""
        with self._lock:
            last = min(self.newest, before - 1) if before else self.newest
            ids = np.arange(last, self.oldest - 1, -1)
            rows = self._rows[(ids - 1) % len(self._rows)]
        match = np.ones(len(ids), bool)
        if symbol is not None:
            match &= rows["symbol"] == symbol
        match &= rows["severity"] >= least
        if kind is not None:
            match &= rows["kind"] == LogKind[kind]
        found = np.flatnonzero(match)[: limit + 1]
        page = [tell(int(ids[at]), rows[at], names) for at in found[:limit]]
        return page, int(ids[found[limit - 1]]) if len(found) > limit else 0


def tell(number: int, record: np.ndarray, names: Names) -> dict:
    """One event for REST and push; a change of state also names the state it led `to`, so that charts can mark it."""
    info = names.symbols.get(int(record["symbol"]))
    to = name_of(State, int(record["b"])) if record["kind"] == LogKind.STATE else None
    return {"id": number, "ts": int(record["ts_ns"]) // 1_000_000, "kind": name_of(LogKind, int(record["kind"])),
            "severity": name_of(Severity, int(record["severity"])), "symbol": info.name if info else "",
            "process": names.processes.get(int(record["process"]), str(int(record["process"]))),
            "seq": int(record["seq"]), "text": sentence(record, info), **({"to": to} if to else {})}
