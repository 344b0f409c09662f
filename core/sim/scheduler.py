"""Virtual time: a queue of actions that happen one after the other, each at its moment, none in parallel.

The same actions put in in the same order run in the same order: ties are settled by who came first. Nothing waits; the
clock jumps from action to action.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

Action = Callable[..., None]


class Scheduler:
    """`now_ns` is the moment of the running action; it never goes back."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns
        self.done = 0
        self._queue: list[tuple[int, int, Action, tuple[Any, ...]]] = []
        self._number = 0

    def at(self, ts_ns: int, action: Action, *args: Any) -> None:
        """Run `action(*args)` at a moment; one that has passed means now, behind what is due now."""
        self._number += 1
        heapq.heappush(self._queue, (max(ts_ns, self.now_ns), self._number, action, args))

    def after(self, delay_ns: int, action: Action, *args: Any) -> None:
        """Run `action(*args)` so much later."""
        self.at(self.now_ns + delay_ns, action, *args)

    @property
    def next_ns(self) -> int | None:
        """The moment of the next action, None where there is none."""
        return self._queue[0][0] if self._queue else None

    def run_until(self, ts_ns: int) -> None:
        """Everything due up to and including a moment; the clock then stands there."""
        queue = self._queue
        while queue and queue[0][0] <= ts_ns:
            self.now_ns, _, action, args = heapq.heappop(queue)
            self.done += 1
            action(*args)
        self.now_ns = max(self.now_ns, ts_ns)

    def __len__(self) -> int:
        return len(self._queue)
