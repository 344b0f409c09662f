"""A replay on the pages: where it stands, what it is of, and the refusal of everything else a person might want to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from admin.files import read_json
from config.paths import DataPaths
from core.constants import NS_PER_MS
from core.replay_row import REPLAY, ReplayState
from shm.topology import Plant

VERDICTS = {1: "identical", -1: "different", 2: "nothing to compare"}


class ReplayView:
    """The replay of a plant, as the pages tell it. `is_on`: this plant is one."""

    def __init__(self, plant: Plant, paths: DataPaths) -> None:
        self._plant = plant
        self._description_file = paths.run_dir / "replay.json"
        self._row: np.ndarray = np.zeros(1, REPLAY.dtype)
        self._epoch = 0
        self.source = plant.spec.replay
        self.is_on = self.source is not None

    def look(self) -> bool:
        """Read the row; True = it began anew, and what was seen before is void (acknowledge with `begun_anew`)."""
        if not self.is_on or self._plant.replay().read_into(0, self._row) <= 0:
            return False
        epoch, known = int(self._row[0]["epoch"]), self._epoch
        self._epoch = epoch
        return known not in (0, epoch)

    def begun_anew(self) -> None:
        self._plant.control.set("replay_seen", self._epoch)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def cursor_ns(self) -> int:
        """Event time that is shown; 0 before the first."""
        return int(self._row[0]["cursor_ns"])

    @property
    def from_ns(self) -> int:
        return int(self._row[0]["from_ns"])

    def state(self) -> dict[str, Any] | None:
        """Where it stands, for every page; None in a running system. Times are epoch ms, `speed` 0 is as fast as possible."""
        if not self.is_on:
            return None
        row = self._row[0]
        state = int(row["state"])
        return {
            "state": ReplayState(state).name if state in (s.value for s in ReplayState) else str(state), "epoch": self._epoch,
            "ts": int(row["cursor_ns"]) / NS_PER_MS, "from_ts": int(row["from_ns"]) / NS_PER_MS,
            "to_ts": int(row["to_ns"]) / NS_PER_MS, "target_ts": int(row["target_ns"]) / NS_PER_MS or None,
            "speed": int(row["speed_e3"]) / 1000, "frames": int(row["frames"]), "events": int(row["events"]),
            "decisions": int(row["decisions"]), "checks": int(row["checks"]), "differences": int(row["differences"]),
            "verdict": VERDICTS.get(int(row["verdict"])), "digest": f"{int(row['digest']):016x}",
            "beat": int(row["written_ns"]) // NS_PER_MS,
        }

    def description(self) -> dict[str, Any]:
        """What is replayed: run, mode, source, and the fills as marks [ms, entry or exit, symbol id]."""
        return read_json(self._description_file) or {"run_id": self.source.run_id if self.source else "", "marks": []}
