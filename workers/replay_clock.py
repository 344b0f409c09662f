"""The virtual clock of a replay that is shown on the pages: how far it may go, now. Pure: the caller brings both times.

`next_ns` is the event time of the next read, `now_ns` CLOCK_MONOTONIC. The cursor is the event time that is shown:
everything received up to it has been stepped, nothing behind it. A state belongs to a cursor, however it was reached.
"""

from __future__ import annotations

from core.constants import NS_PER_S
from core.replay_row import ReplayState

MILLI = 1000
SLICE_NS = NS_PER_S // 10  # event time granted at once at full speed: so often a person is heard
BEHIND_NS = NS_PER_S // 4  # real time by which playing may be late before it stops trying to catch up


class ReplayClock:
    """`state`, `cursor_ns`, `target_ns` (SEEKING), `speed_e3` (0: as fast as possible)."""

    def __init__(self, speed_e3: int = MILLI, playing: bool = True) -> None:
        self.state = ReplayState.PLAYING if playing else ReplayState.PAUSED
        self.speed_e3 = speed_e3
        self.cursor_ns = self.target_ns = 0
        self._plays_on = playing  # what follows a seek
        self._anchor_ns = self._anchor_now_ns = 0

    # --- what the replay asks ----------------------------------------------------------------------------------------
    def begin(self, first_ns: int, now_ns: int) -> None:
        """The first read of a run from its start; a seek that led here goes on."""
        self.cursor_ns = first_ns - 1
        self._anchor(now_ns)

    def ask(self, next_ns: int, now_ns: int) -> int:
        """Event time up to which reads may be stepped now. Below `next_ns`: none; the cursor then stands there."""
        limit = self._limit(next_ns, now_ns)
        if limit < next_ns:
            self.cursor_ns = max(self.cursor_ns, limit)
        return limit

    def stepped(self, granted_ns: int) -> None:
        """Everything up to `granted_ns` has been stepped."""
        self.cursor_ns = max(self.cursor_ns, granted_ns)

    def end(self, last_ns: int) -> None:
        """There is nothing behind `last_ns`; whoever goes back from here stands there."""
        self.cursor_ns = max(self.cursor_ns, last_ns)
        self.state, self.target_ns, self._plays_on = ReplayState.ENDED, 0, False

    def _limit(self, next_ns: int, now_ns: int) -> int:
        if self.state == ReplayState.SEEKING:
            if next_ns <= self.target_ns:
                return min(self.target_ns, next_ns + SLICE_NS)
            self.cursor_ns, self.target_ns = max(self.cursor_ns, self.target_ns), 0
            self.state = ReplayState.PLAYING if self._plays_on else ReplayState.PAUSED
            self._anchor(now_ns)
        if self.state != ReplayState.PLAYING:
            return self.cursor_ns
        if not self.speed_e3:
            return next_ns + SLICE_NS
        due_ns = self._anchor_ns + (now_ns - self._anchor_now_ns) * self.speed_e3 // MILLI
        if due_ns - next_ns > BEHIND_NS * self.speed_e3 // MILLI:
            due_ns = next_ns
            self._anchor_ns, self._anchor_now_ns = due_ns, now_ns
        return min(due_ns, next_ns + max(SLICE_NS, BEHIND_NS * self.speed_e3 // MILLI))

    def wait_ns(self, next_ns: int, now_ns: int) -> int:
        """Real time until `next_ns` is due; 0 where no time leads there."""
        if self.state != ReplayState.PLAYING or not self.speed_e3:
            return 0
        return max(0, (next_ns - self._anchor_ns) * MILLI // self.speed_e3 - (now_ns - self._anchor_now_ns))

    # --- what a person asks ------------------------------------------------------------------------------------------
    def play(self, now_ns: int) -> None:
        self._plays_on = True
        if self.state == ReplayState.PAUSED:
            self.state = ReplayState.PLAYING
            self._anchor(now_ns)

    def pause(self) -> None:
        """Also ends a seek where it is."""
        self._plays_on = False
        if self.state in (ReplayState.PLAYING, ReplayState.SEEKING):
            self.state, self.target_ns = ReplayState.PAUSED, 0

    def set_speed(self, speed_e3: int, now_ns: int) -> None:
        self.speed_e3 = speed_e3
        self._anchor(now_ns)

    def seek(self, to_ns: int, play: bool) -> bool:
        """Go to an event time and go on as `play` says; True = it lies before the cursor, begin anew."""
        self._plays_on = play
        self.state, self.target_ns = ReplayState.SEEKING, to_ns
        return to_ns < self.cursor_ns

    @property
    def plays_on(self) -> bool:
        """Does it play, or will it after a seek?"""
        return self._plays_on

    def _anchor(self, now_ns: int) -> None:
        self._anchor_ns, self._anchor_now_ns = self.cursor_ns, now_ns
