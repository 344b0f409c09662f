"""REPLAY: where a replay that is shown on the pages stands. Written by the player, carried by the replay board of shm."""

from __future__ import annotations

from enum import IntEnum

from core.records import _record


class ReplayState(IntEnum):
    """What the player of a replay does."""

    NONE = 0  # no replay: a running system
    PAUSED = 1
    PLAYING = 2
    SEEKING = 3  # at full speed to a time, then on as before
    ENDED = 4  # everything the journal holds has been stepped
    FAILED = 5  # the journal cannot be replayed any further


class ReplayAction(IntEnum):
    """COMMAND.value of a REPLAY command; its argument is COMMAND.price_ticks."""

    NONE = 0
    PLAY = 1
    PAUSE = 2
    STEP = 3  # argument: event time in ns, 0 = the next socket read
    SEEK = 4  # argument: event time, epoch ns
    SPEED = 5  # argument: 1e-3 of the recorded speed, 0 = as fast as possible


REPLAY = _record(
    "REPLAY", 128, "where a replay stands; board of one row",
    ("state", "i8", "ReplayState", "what the player does; NONE on the board of a running system"),
    ("epoch", "i8", "1", "starts from the beginning so far: what was shown before is void when it changes"),
    ("cursor_ns", "i8", "ns", "event time: everything received up to it is shown, nothing behind it"),
    ("from_ns", "i8", "ns", "event time of the first frame, 0 = not known yet"),
    ("to_ns", "i8", "ns", "event time of the last event that can be compared"),
    ("target_ns", "i8", "ns", "SEEKING: where to, else 0"),
    ("speed_e3", "i8", "1e-3", "recorded time per real time, 0 = as fast as possible"),
    ("frames", "i8", "1", "frames stepped"),
    ("events", "i8", "1", "seq of the last event stepped"),
    ("decisions", "i8", "1", "decisions compared with the recorded ones"),
    ("checks", "i8", "1", "recorded digests compared"),
    ("differences", "i8", "1", "places where the replay is not the run, so far"),
    ("verdict", "i8", "1", "at the end: 1 = identical, -1 = not, 2 = nothing could be compared; 0 before"),
    ("digest", "u8", "1", "of all engines and the account, as they are now"),
    ("written_ns", "i8", "ns", "CLOCK_MONOTONIC of this row"),
    ("reserved", "i8", "", "zero"),
)
