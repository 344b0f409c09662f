"""The exchange's clock as seen from here: measured over REST, carried on by the monotonic clock.

Bybit refuses a timestamp more than a second ahead of its clock, whatever the window, and one older than the window. So
requests are stamped with the exchange's time, not with ours; and because the base is the monotonic clock, a step of the
wall clock changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from core.constants import NS_PER_MS

TRUSTED_FOR_NS = 120_000_000_000  # a good old measurement yields to a worse one after this


class VenueClock:
    """Read and set from the link's threads (one word, replaced as a whole)."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._base_ns = wall_ns() - monotonic_ns()
        self._round_trip_ns = 1 << 62
        self._measured_ns = 0
        self.measured = False

    def now_ms(self) -> int:
        """Time of the exchange, ms. Before the first measurement it is the wall clock's."""
        return (self._base_ns + self._monotonic_ns()) // NS_PER_MS

    @property
    def offset_ms(self) -> int:
        """Exchange minus our wall clock."""
        return (self._base_ns + self._monotonic_ns() - self._wall_ns()) // NS_PER_MS

    def take(self, server_ns: int, sent_ns: int, received_ns: int) -> None:
        """A reading of the exchange's clock between two readings of the monotonic one. The tightest of the last two
        minutes counts."""
        round_trip_ns = received_ns - sent_ns
        if round_trip_ns > self._round_trip_ns and received_ns - self._measured_ns < TRUSTED_FOR_NS:
            base_ns = server_ns - (sent_ns + received_ns) // 2
            if abs(base_ns - self._base_ns) <= (round_trip_ns + self._round_trip_ns) // 2:
                return  # says the same, less exactly
        self._base_ns = server_ns - (sent_ns + received_ns) // 2
        self._round_trip_ns = round_trip_ns
        self._measured_ns = received_ns
        self.measured = True

    def mono_ns(self, venue_ms: int) -> int:
        """When the exchange's clock shows `venue_ms`, on the monotonic clock."""
        return venue_ms * NS_PER_MS - self._base_ns
