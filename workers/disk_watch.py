"""A disk that refuses, told on the terminal: the run goes on, and what it could not write is missing afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from shm.topology import Plant

WHERE = re.compile(r" \[\w+ \S+:\d+\]$")  # of the source, as an ErrorLog adds it
LOOK_S = 1.0
AGAIN_S = 60.0  # a refusal that goes on is told so often
MEANING = {
    "recorder": ("the recorder", "what is received waits in memory, and what finds no room there is lost"),
    "execution": ("execution", "entries are refused until it can"),
}


class DiskWatch:
    """`turn` now and then; `say` gets a line for a person."""

    def __init__(self, plant: Plant, say: Callable[[str], None]) -> None:
        self._plant, self._say = plant, say
        self._known = dict.fromkeys(MEANING, 0)
        self._told = dict.fromkeys(MEANING, -AGAIN_S)
        self._looked = 0.0

    def turn(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        for role, (who, meaning) in MEANING.items():
            count = self._plant.counters(role).get("disk_errors")
            if count <= self._known[role] or now - self._told[role] < AGAIN_S:
                continue
            self._known[role], self._told[role] = count, now
            last = next((row["text"] for row in self._plant.cnc(role).errors.entries() if "Errno" in row["text"]), "")
            self._say(f"{who} cannot write: {WHERE.sub('', last)}. Free some space or mend the disk: {meaning}.")
