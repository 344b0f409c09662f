"""The venue's clock: the machine's, moved by the faults clock.skew and clock.step. Clients are judged by it."""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns


class VenueClock:
    """Server time. `skew_ms` is what the venue's clock is ahead of `source` (ns since the epoch)."""

    def __init__(self, source: Callable[[], int] = time_ns) -> None:
        self.source = source
        self.skew_ms = 0

    def now_ns(self) -> int:
        return self.source() + self.skew_ms * 1_000_000

    def now_ms(self) -> int:
        return self.now_ns() // 1_000_000
