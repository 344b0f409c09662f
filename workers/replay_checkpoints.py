"""What a replay was at some places on its way, so that going back does not begin anew.

A checkpoint is made every EVERY events; under the cap of memory those go that leave the smallest holes, the first one stays.
Whoever goes back to a time takes the last checkpoint before it and replays from there: the state is the same, bit for bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from workers.memento import Memento

EVERY = 50_000  # events: a second or two of work
CAP_BYTES = 512 << 20


class Checkpoint(NamedTuple):
    """`cursor_ns`: nothing behind it has been stepped or booked. `own`: what the player adds; `shown`: what the pages were
    told last."""

    seq: int
    cursor_ns: int
    memento: Memento
    own: dict[str, Any]
    shown: tuple[Any, ...]


class Checkpoints:
    """Of one Replay, by event number."""

    def __init__(self, every: int = EVERY, cap_bytes: int = CAP_BYTES) -> None:
        self.every, self.cap_bytes = every, cap_bytes
        self.kept: list[Checkpoint] = []

    def due(self, seq: int) -> bool:
        return not self.kept or seq >= self.kept[-1].seq + self.every

    def keep(self, checkpoint: Checkpoint) -> None:
        self.kept.append(checkpoint)
        while len(self.kept) > 2 and sum(each.memento.nbytes for each in self.kept) > self.cap_bytes:
            holes = [self.kept[k + 1].seq - self.kept[k - 1].seq for k in range(1, len(self.kept) - 1)]
            del self.kept[1 + holes.index(min(holes))]

    def before(self, cursor_ns: int) -> Checkpoint | None:
        """The last one at or before an event time."""
        return next((each for each in reversed(self.kept) if each.cursor_ns <= cursor_ns), None)
