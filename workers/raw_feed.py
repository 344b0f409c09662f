"""The raw stream of a run, record by record, into the gateway's core: frames by socket read, notes in their places.

A read waits for the notes of its TIMERs, which stand behind it; whatever comes next, hands it over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.consumption import Closed, Kind, Run, SettingsNote, Start
from core.journal import Frame
from gateway.replay import ReplayGateway
from workers.run_journal import Record


def apply_note(gateway: ReplayGateway, note: Any) -> None:
    """A note of the gateway that stands for itself."""
    if isinstance(note, Start):
        gateway.publish()
        gateway.start(note)
    else:
        gateway.apply(note)


class RawFeed:
    """`take` every record, then `finish`. `frames`: how many were handed over; `now_ns`: receive time of the last one.
    `before(ts_ns)` is called before a read is handed over, `after(count, ts_ns)` behind it."""

    def __init__(
        self, gateway: ReplayGateway, before: Callable[[int], None] = lambda ts_ns: None,
        after: Callable[[int, int], None] = lambda count, ts_ns: None,
    ) -> None:
        self.frames = 0
        self.now_ns = 0
        self.is_started = False
        self._gateway = gateway
        self._before, self._after = before, after
        self._read: list[Frame] = []
        self._waiting: list[Frame] = []

    def take(self, record: Record) -> None:
        frame, note = record
        gateway = self._gateway
        if frame.kind <= Kind.FRAME_END:
            if self._waiting:
                self._flush()
            self._read.append(frame)
            if frame.kind == Kind.FRAME_END:
                self._waiting, self._read = self._read, []
        elif isinstance(note, Run | Closed):
            pass
        elif isinstance(note, SettingsNote):
            gateway.settings(note)
        elif getattr(note, "timer_seq", 0):
            gateway.stash(note)
        else:
            if self._waiting:
                self._flush()
            self.is_started |= isinstance(note, Start)
            apply_note(gateway, note)

    def finish(self) -> None:
        """Nothing follows: hand over what waits. A read that was not whole is not decided upon."""
        if self._waiting:
            self._flush()
        if self.is_started:
            self._gateway.publish()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        ts_ns = waiting[-1].ts_recv_ns
        self._before(ts_ns)
        self._gateway.frames(waiting)
        self.frames += len(waiting)
        self.now_ns = ts_ns
        self._after(len(waiting), ts_ns)
