"""When the guardian is on duty, and which stop it sets. Pure: time comes as an argument.

    stands by --- execution silent longer than `silent_ns` ---> on duty (takeover n)
    on duty   --- execution beats again and has reconciled after takeover n ---> stands by
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

E4 = 10_000
E8_DIGITS = 8


class Seen(NamedTuple):
    """What the guardian sees of execution; times CLOCK_MONOTONIC ns."""

    alive: bool
    ready: bool
    heartbeat_ns: int  # 0 = never
    back: int  # takeover after which it says it has reconciled


@dataclass
class Duty:
    """`takeover`: number of the running takeover, 0 while standing by; `last`: of the last one."""

    silent_ns: int
    boot_ns: int
    started_ns: int
    takeover: int = 0
    last: int = 0

    def look(self, now_ns: int, seen: Seen) -> bool:
        """True while on duty."""
        if self.takeover:
            if self._beats(now_ns, seen) and seen.back == self.takeover:
                self.takeover = 0
        elif self._silent(now_ns, seen):
            self.last += 1
            self.takeover = self.last
        return bool(self.takeover)

    def _beats(self, now_ns: int, seen: Seen) -> bool:
        return seen.alive and seen.ready and now_ns - seen.heartbeat_ns <= self.silent_ns

    def _silent(self, now_ns: int, seen: Seen) -> bool:
        """A dead process has a last heartbeat, too: its successor has until then to come."""
        if not seen.heartbeat_ns:
            return now_ns - self.started_ns > self.boot_ns
        return now_ns - max(seen.heartbeat_ns, self.started_ns) > self.silent_ns


def ticks_of(price_e8: int, tick_mant: int, price_exp: int) -> int:
    """A price in 1e-8 in whole ticks, rounded half up."""
    scale = tick_mant * 10**E8_DIGITS
    return (2 * price_e8 * 10**price_exp + scale) // (2 * scale)


def stop_price(side: int, mark_ticks: int, distance_e4: int, liq_ticks: int) -> int:
    """Stop of a position without one: `distance_e4` (1e-4 of the mark) away on the losing side, at least one tick, and
    never beyond halfway to the liquidation price (0 = unknown or none)."""
    distance = max(-(-mark_ticks * distance_e4 // E4), 1)
    room = side * (mark_ticks - liq_ticks)
    if liq_ticks > 0 and room > 0:
        distance = min(distance, max(room // 2, 1))
    return max(mark_ticks - side * distance, 1)
