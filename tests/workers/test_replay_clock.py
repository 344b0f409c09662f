"""The virtual clock of a replay on the pages: how far it may go, by both times."""

from __future__ import annotations

from core.replay_row import ReplayState
from workers.replay_clock import BEHIND_NS, SLICE_NS, ReplayClock

S = 10**9
FIRST = 100 * S


def begun(**changes: object) -> ReplayClock:
    clock = ReplayClock(**changes)  # type: ignore[arg-type]
    clock.begin(FIRST, 0)
    return clock


def test_playing_follows_real_time_and_never_shows_a_read_that_is_not_due() -> None:
    clock = begun(speed_e3=2000)
    assert clock.ask(FIRST + S, S // 10) == FIRST - 1 + S // 5 == clock.cursor_ns
    assert clock.wait_ns(FIRST + S, S // 10) == (S + 1) // 2 - S // 10
    assert clock.ask(FIRST + S, S // 2) < FIRST + S <= clock.ask(FIRST + S, S // 2 + 1)


def test_full_speed_grants_a_slice_at_a_time_and_pause_stands() -> None:
    clock = begun(speed_e3=0)
    granted = clock.ask(FIRST, 0)
    assert granted == FIRST + SLICE_NS
    clock.stepped(granted)
    clock.pause()
    assert clock.ask(FIRST + S, 50 * S) == granted == clock.cursor_ns and clock.state == ReplayState.PAUSED
    assert clock.ask(FIRST + S, 99 * S) == granted


def test_what_cannot_keep_up_does_not_hurry_afterwards() -> None:
    clock = begun()
    late = clock.ask(FIRST, 60 * S)
    assert late <= FIRST + BEHIND_NS
    clock.stepped(late)
    assert clock.ask(FIRST + S, 60 * S + S // 100) < FIRST + S


def test_a_seek_goes_exactly_there_and_goes_on_as_before() -> None:
    for plays, after in ((False, ReplayState.PAUSED), (True, ReplayState.PLAYING)):
        clock = begun(playing=plays)
        target = FIRST + 10 * S + 7
        assert clock.seek(target, plays) is False
        assert clock.ask(FIRST + S, 0) == FIRST + S + SLICE_NS
        assert clock.ask(target - 5, 0) == target  # a slice does not go beyond it
        clock.stepped(target)
        assert clock.ask(target + 1, 0) == target == clock.cursor_ns and clock.state == after
        assert clock.target_ns == 0


def test_before_the_cursor_means_beginning_anew() -> None:
    clock = begun()
    clock.stepped(FIRST + 5 * S)
    assert clock.seek(FIRST + 5 * S, True) is False
    assert clock.seek(FIRST + S, True) is True
    clock.begin(FIRST, 9 * S)  # the next pass; the seek goes on
    assert clock.ask(FIRST + S + 1, 9 * S) == FIRST + S and clock.state == ReplayState.PLAYING


def test_pause_ends_a_seek_and_the_end_ends_everything() -> None:
    clock = begun()
    clock.seek(FIRST + 9 * S, True)
    clock.pause()
    assert (clock.state, clock.target_ns, clock.plays_on) == (ReplayState.PAUSED, 0, False)
    clock.seek(FIRST + 9 * S, True)
    clock.end(FIRST + 3 * S)
    assert (clock.state, clock.target_ns, clock.cursor_ns) == (ReplayState.ENDED, 0, FIRST + 3 * S)
    assert clock.plays_on is False  # who goes back from the end looks at a time, and does not race to the end again
