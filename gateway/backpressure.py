"""Feed state, DEGRADED and shedding, as tables over measured latency and ring lag. Pure: numbers and the time in, verdicts out.

DEGRADED (requirement A6), `latency` is the age of the oldest event a shard has not handled, or of the feed itself:

    state     condition held for           next
    NORMAL    latency > enter, enter_after  DEGRADED     no new entries
    DEGRADED  latency < leave, leave_after  NORMAL

Shedding, per shard, by ring lag as a share of the ring (LOW <= resume < MID < backlog <= HIGH):

    level          LOW (held RESUME_NS)   MID    HIGH (again after STEP_NS)
    0 nothing      0                      0      1
    1 WILD         0                      1      2
    2 + NORMAL     1                      2      2        PRIME is never shed
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from config.schema import Degraded
from core.enums import Category, FeedState

STEP_NS = 500_000_000  # a level must have had this long to help before the next one
RESUME_NS = 2_000_000_000
SKEW_WINDOWS = 600  # of 100 ms: the smallest receive lag of a minute is the baseline
SKEW_FRAMES_MIN = 50  # fewer frames in a window say nothing about the feed's lag


class Band(IntEnum):
    LOW = 0
    MID = 1
    HIGH = 2


NEXT_LEVEL: dict[tuple[int, Band], int] = {
    (0, Band.LOW): 0, (0, Band.MID): 0, (0, Band.HIGH): 1,
    (1, Band.LOW): 0, (1, Band.MID): 1, (1, Band.HIGH): 2,
    (2, Band.LOW): 1, (2, Band.MID): 2, (2, Band.HIGH): 2,
}  # fmt: skip
SHED_CATEGORIES: tuple[frozenset[int], ...] = (
    frozenset(),
    frozenset({int(Category.WILD)}),
    frozenset({int(Category.WILD), int(Category.NORMAL)}),
)


@dataclass
class DegradedSwitch:
    """Hysteresis over latency; `update` returns the state after this measurement."""

    settings: Degraded
    is_on: bool = False
    since_ns: int | None = None  # since when the opposite condition holds

    def update(self, latency_ns: int, now_ns: int) -> bool:
        """One measurement; `now_ns` must not go back."""
        settings = self.settings
        if self.is_on:
            crossing, after_ms = latency_ns < settings.leave_ms * 1e6, settings.leave_after_ms
        else:
            crossing, after_ms = latency_ns > settings.enter_ms * 1e6, settings.enter_after_ms
        if not crossing:
            self.since_ns = None
        elif self.since_ns is None:
            self.since_ns = now_ns
        if self.since_ns is not None and now_ns - self.since_ns >= after_ms * 1e6:
            self.is_on = not self.is_on
            self.since_ns = None
        return self.is_on


@dataclass
class ShedLevel:
    """What one shard sheds; `update` returns the level after this measurement."""

    settings: Degraded
    level: int = 0
    changed_ns: int | None = None
    low_ns: int | None = None

    def band(self, lag_pct: float) -> Band:
        if lag_pct >= self.settings.backlog_cells_pct:
            return Band.HIGH
        return Band.LOW if lag_pct <= self.settings.resume_cells_pct else Band.MID

    def update(self, lag_pct: float, now_ns: int) -> int:
        """`lag_pct` is the ring lag in percent of the ring."""
        band = self.band(lag_pct)
        if band != Band.LOW:
            self.low_ns = None
        elif self.low_ns is None:
            self.low_ns = now_ns
        wait_ns = STEP_NS if band == Band.HIGH else 0
        held = self.changed_ns is None or now_ns - self.changed_ns >= wait_ns
        if band == Band.LOW:
            held = self.low_ns is not None and now_ns - self.low_ns >= RESUME_NS
        level = NEXT_LEVEL[self.level, band] if held else self.level
        if level != self.level:
            self.level = level
            self.changed_ns = now_ns
            self.low_ns = None
        return level

    @property
    def sheds(self) -> frozenset[int]:
        """Categories to drop."""
        return SHED_CATEGORIES[self.level]


@dataclass
class Verdict:
    """`changed` lists shards whose level moved in this tick."""

    is_degraded: bool
    latency_ns: int
    levels: list[int]
    changed: list[int] = field(default_factory=list)


class BackPressure:
    """Both tables for all shards of a plant."""

    def __init__(self, settings: Degraded, shards: int) -> None:
        self.degraded = DegradedSwitch(settings)
        self.levels = [ShedLevel(settings) for _ in range(shards)]

    def configure(self, settings: Degraded) -> None:
        """Take new limits; the states stay."""
        self.degraded.settings = settings
        for level in self.levels:
            level.settings = settings

    def update(self, latencies_ns: list[int], lags_pct: list[float], feed_lag_ns: int, now_ns: int) -> Verdict:
        """One tick: per shard the age of its oldest unhandled event and its ring lag, and how late the feed itself is."""
        before = [level.level for level in self.levels]
        latency_ns = max([feed_lag_ns, *latencies_ns], default=0)
        is_on = self.degraded.update(latency_ns, now_ns)
        after = [level.update(lag, now_ns) for level, lag in zip(self.levels, lags_pct, strict=True)]
        changed = [shard for shard, level in enumerate(after) if level != before[shard]]
        return Verdict(is_on, latency_ns, after, changed)


def feed_state(n_open: int, n_all: int, closed_ns: int, down_after_ns: int) -> FeedState:
    """CONNECTED: every connection is up. DOWN: none has been for longer than `down_after_ns`. Else RECONNECTING.

    A connection is up when it is open and the exchange has acknowledged a subscription.
    """
    if n_all and n_open == n_all:
        return FeedState.CONNECTED
    return FeedState.DOWN if n_open == 0 and closed_ns > down_after_ns else FeedState.RECONNECTING


class FeedLag:
    """How much later than usual frames arrive: smallest receive lag of now over the smallest of the last minute."""

    def __init__(self) -> None:
        self._windows: deque[int] = deque(maxlen=SKEW_WINDOWS)
        self.lag_min_ns = 0

    def update(self, skew_min_ns: int, frames: int) -> int:
        """One window of 100 ms (min of ts_recv - ts_exch, number of frames); returns the feed's lag in ns."""
        if frames < SKEW_FRAMES_MIN:
            return 0
        self._windows.append(skew_min_ns)
        self.lag_min_ns = skew_min_ns
        return skew_min_ns - min(self._windows)

    @property
    def baseline_ns(self) -> int:
        return min(self._windows, default=0)


class ProgressClock:
    """Age of the oldest event a reader has not handled, from (seq, time) marks of what was published.

    Marks closer than `grain_ns` are merged into one, so the age is at most that much too small.
    """

    def __init__(self, grain_ns: int = 1_000_000, capacity: int = 65_536) -> None:
        self._grain_ns = grain_ns
        self._capacity = capacity
        self._marks: list[tuple[int, int]] = []

    def published(self, seq: int, mono_ns: int) -> None:
        """Everything up to `seq` was in the rings at `mono_ns`."""
        marks = self._marks
        if marks and mono_ns - marks[-1][1] < self._grain_ns:
            return
        if not marks or seq > marks[-1][0]:
            marks.append((seq, mono_ns))
            if len(marks) > self._capacity:
                del marks[: self._capacity // 2]

    def ages_ns(self, handled: list[int], published_seq: int, now_ns: int) -> list[int]:
        """Per reader: how long ago the first mark beyond its handled seq was set; 0 when it is up to date."""
        oldest = min(handled, default=0)
        keep = 0
        while keep < len(self._marks) and self._marks[keep][0] <= oldest:
            keep += 1
        del self._marks[:keep]
        ages = []
        for seq in handled:
            age = 0
            if seq < published_seq:
                first = next((mono for mark, mono in self._marks if mark > seq), now_ns)
                age = max(0, now_ns - first)
            ages.append(age)
        return ages
