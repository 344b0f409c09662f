"""Faults by plan: a TOML or JSON file of what goes wrong when (`--fault FILE`).

    [[fault]]
    at_s = 5.0                     # seconds after the start
    kind = "trade.ack_drop"        # and the parameters of the kind, as POST /venue/fault takes them
    op = "order.create"
    probability = 0.2
    seconds = 30
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gateway.venue.errors import VenueError
from gateway.venue.faults import Faults
from gateway.venue.truth import Truth


class ScheduledFault(NamedTuple):
    """One entry: when, and the body of the order. `place` is its number in the file, for messages."""

    at_s: float
    body: dict[str, Any]
    place: str


def load_faults(path: Path) -> list[ScheduledFault]:
    """The entries of a .toml or .json file, by time."""
    try:
        raw = path.read_text()
        found = tomllib.loads(raw) if path.suffix == ".toml" else json.loads(raw)
    except OSError as error:
        raise VenueError(f"cannot read fault file {path}: {error}", "give an existing .toml or .json file") from None
    except ValueError as error:
        raise VenueError(f"{path}: {error}", "mend the TOML or JSON syntax") from None
    rows = found.get("fault") if isinstance(found, dict) and not set(found) - {"fault"} else None
    if not isinstance(rows, list):
        raise VenueError(f"{path}: a list of [[fault]] and nothing else is expected", "see gateway/venue/README.md")
    entries = []
    for number, row in enumerate(rows):
        place = f"{path}, fault {number + 1}"
        at_s = row.get("at_s", 0.0) if isinstance(row, dict) else None
        if isinstance(at_s, bool) or not isinstance(at_s, int | float) or at_s < 0:
            raise VenueError(f"{place}: at_s is no number of seconds", "give the seconds after the start")
        entries.append(ScheduledFault(float(at_s), {name: value for name, value in row.items() if name != "at_s"}, place))
    return sorted(entries, key=lambda entry: entry.at_s)


class FaultSchedule:
    """Orders each entry when its time has come; entries that cannot be are refused at the start."""

    def __init__(self, entries: Sequence[ScheduledFault], faults: Faults, truth: Truth, start_ms: int) -> None:
        for entry in entries:
            try:
                faults.check(entry.body)
            except ValueError as error:
                raise VenueError(f"{entry.place}: {error}", "see gateway/venue/README.md for the kinds") from None
        self._left = list(entries)
        self._faults = faults
        self._truth = truth
        self._start_ms = start_ms

    def advance(self, now_ms: int) -> None:
        """Order what is due. What is refused only now (a symbol that is not listed) is noted in the truth."""
        while self._left and now_ms - self._start_ms >= self._left[0].at_s * 1000:
            body = self._left.pop(0).body
            try:
                self._faults.order(body, now_ms)
            except ValueError as error:
                self._truth.begin(body["kind"], str(body.get("symbol", "")), now_ms, refused=str(error)).end_ms = now_ms
