"""The venue's clock: the machine's, moved by the faults clock.skew and clock.step. Clients are judged by it."""

from __future__ import annotations

from time import time_ns


class VenueClock:
    """Server time. `skew_ms` is what the venue's clock is ahead of the machine's."""

    def __init__(self) -> None:
        self.skew_ms = 0

    def now_ns(self) -> int:
        return time_ns() + self.skew_ms * 1_000_000

    def now_ms(self) -> int:
        return self.now_ns() // 1_000_000
