"""The rollout of the LIVE account while it trades: evidence in, tier out, incidents taken up. core.performance decides.

Execution is the one writer of the file. Whoever notices an incident (supervisor, guardian, a person) makes its folder
(`note_incident`); execution takes it up within a second, a start before anything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from config.incidents import IncidentFile, Places, record, recorded
from config.paths import DataPaths
from config.rollout_file import Damaged, read_rollout, write_rollout
from core.performance.promotion import (
    DAY_MS,
    Incident,
    LiveTrade,
    Rollout,
    compared,
    demoted,
    standing,
    with_incidents,
    with_trade,
)
from core.risk.tiers import Rank

LOOK_MS = 1000


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _taken(file: IncidentFile) -> Incident:
    return Incident(file.time_ms, file.kind, file.serious, file.reacted, file.symptom)


def load_rollout(paths: DataPaths) -> Rollout:
    """The state with every incident on disk taken up. Raises Damaged."""
    state = read_rollout(paths.rollout_file, Rollout) or Rollout()
    return with_incidents(state, map(_taken, recorded(paths.incidents_dir)))


def places(paths: DataPaths) -> Places:
    """Where incidents of the LIVE account go, and where their logs come from."""
    return Places(paths.incidents_dir, DataPaths(paths.data_dir, "LIVE").events_dir, paths.log_dir, paths.incidents_list)


def note_incident(paths: DataPaths, kind: str, serious: bool, symptom: str, cause: str = "", fix: str = "",
                  reacted: bool = True, now_ms: int = 0, session: str = "") -> Path:
    """Record an incident, of the newest LIVE run where no `session` is named; whoever runs LIVE takes it up. Raises OSError."""
    runs = DataPaths(paths.data_dir, "LIVE").runs_dir.glob("*.jsonl")
    newest = max(runs, key=lambda path: path.stat().st_mtime, default=Path())
    return record(places(paths), IncidentFile(now_ms or wall_ms(), kind, serious, symptom, cause, fix, reacted,
                                              session or newest.stem))


class RolloutKeeper:
    """State of one LIVE run on a real exchange."""

    def __init__(self, paths: DataPaths, endpoint: str, account: str, on_error: Callable[[Exception], None],
                 now_ms: Callable[[], int] = wall_ms) -> None:
        self._paths = paths
        self._on_error = on_error
        self._now_ms = now_ms
        self._looked_ms = 0
        self._dirty = True
        self._broken = False
        try:
            self.state = load_rollout(paths)
        except Damaged as error:
            self._broken = True  # it proves nothing, and is not overwritten: a person must look
            self.state = Rollout()
            on_error(error)
        self.state = self.state._replace(endpoint=endpoint, account=account)

    @property
    def allowed(self) -> Rank:
        """The highest tier now."""
        return Rank.PAPER if self._broken else standing(self.state, self._now_ms()).rank

    def closed(self, trade: LiveTrade) -> None:
        """A position is flat again."""
        self.state = with_trade(self.state, trade)
        self._dirty = True

    def compared(self, trade: LiveTrade, matched: bool, difference: str) -> None:
        """The exchange's history of a trade has been read."""
        self.state = compared(self.state, trade, matched, difference)
        self._dirty = True

    def daily_loss(self) -> bool:
        """The daily loss limit is reached: one tier down, once a day. True when it was done now."""
        now = self._now_ms()
        if self.state.base_ms // DAY_MS == now // DAY_MS:
            return False
        self.state = demoted(self.state, now)
        self._dirty = True
        return True

    def turn(self) -> list[Incident]:
        """Take up new incidents and write what changed, at most once a second. Returns the new ones."""
        now = self._now_ms()
        if self._broken or now - self._looked_ms < LOOK_MS:
            return []
        self._looked_ms = now
        try:
            known = len(self.state.incidents)
            self.state = with_incidents(self.state, map(_taken, recorded(self._paths.incidents_dir)))
            new = list(self.state.incidents[known:])
            if self._dirty or new:
                write_rollout(self._paths.rollout_file, self.state)
                self._dirty = False
        except OSError as error:
            self._on_error(error)
            return []
        return new
