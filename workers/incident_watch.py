"""A LIVE system that killed itself has had an incident: the supervisor records it, away from the order path.

What a person kills (page, command line) is the person's to describe: `launch.py rollout incident`. Whoever it was: with the
clearing of the kill it is over; what was done about it the person adds (`launch.py rollout resolve`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from config.incidents import folders, read_incident, resolve
from config.latch_file import read_latch
from config.paths import DataPaths
from workers.rollout import note_incident, places, wall_ms

PERSONS = frozenset({"cli", "admin"})
LOOK_S = 1.0
KINDS = (  # word of the reason, kind, serious
    ("loss", "safety", True), ("liquidation", "safety", True), ("private stream", "technical", False),
    ("REST", "technical", False), ("refused", "technical", False), ("PANIC", "market", False), ("spread", "market", False),
    ("volatility", "market", False),
)


def kind_of(reason: str) -> tuple[str, bool]:
    """(kind, serious) of a kill by its reason; what is not known is technical and serious."""
    return next(((kind, serious) for word, kind, serious in KINDS if word in reason), ("technical", True))


class IncidentWatch:
    """`turn` now and then; returns the folder of a new incident. `session`: the run that watches."""

    def __init__(self, paths: DataPaths, on_error: Callable[[OSError], None], session: str = "") -> None:
        self._paths = paths
        self._on_error = on_error
        self._session = session
        self._lasting = True  # some may not be over: not looked at yet, or a kill stands
        self._seen_ns = self._latched_ns()
        self._looked = 0.0

    def _latched_ns(self) -> int:
        latch = read_latch(self._paths.kill_file)
        return int(latch.get("time_ns") or 1) if latch else 0

    def turn(self) -> Path | None:
        """Record the kill that was latched since the last look, if the system made it itself."""
        if time.monotonic() - self._looked < LOOK_S:
            return None
        self._looked = time.monotonic()
        latched_ns = self._latched_ns()
        if not latched_ns and self._lasting:
            self._end()
        self._lasting = self._lasting or latched_ns != 0
        if latched_ns in (0, self._seen_ns):
            return None
        self._seen_ns = latched_ns
        latch = read_latch(self._paths.kill_file) or {}
        sources = {part.strip() for part in str(latch.get("source", "")).split(",")}
        if sources & PERSONS:
            return None
        reason = str(latch.get("reason", ""))
        kind, serious = kind_of(reason)
        try:
            return note_incident(self._paths, kind, serious, f"killed by {', '.join(sorted(sources))}: {reason}", reason,
                                 session=self._session)
        except OSError as error:
            self._on_error(error)
            return None

    def _end(self) -> None:
        """No kill stands: every incident is over."""
        self._lasting = False
        for folder in folders(self._paths.incidents_dir):
            if not read_incident(folder).resolved_ms:
                try:
                    resolve(places(self._paths), folder.name, wall_ms())
                except OSError as error:
                    self._on_error(error)
