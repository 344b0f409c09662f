"""What really happened at the venue: the ground truth that detectors are judged by (GET /venue/truth)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Happening:
    """One scripted happening or ordered fault. Times are Unix ms; end_ms is None while it lasts."""

    id: int
    kind: str
    symbol: str
    start_ms: int
    end_ms: int | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def phase(self, name: str, now_ms: int, **details: Any) -> None:
        """Enter a phase (its end is the start of the next one, or the end of all)."""
        self.phases.append({"phase": name, "start_ms": now_ms, **details})


class Truth:
    """All happenings so far, in order."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []

    def begin(self, kind: str, symbol: str, now_ms: int, /, **details: Any) -> Happening:
        happening = Happening(len(self.happenings) + 1, kind, symbol, now_ms, details=details)
        self.happenings.append(happening)
        return happening

    def as_list(self) -> list[dict[str, Any]]:
        return [asdict(happening) for happening in self.happenings]
