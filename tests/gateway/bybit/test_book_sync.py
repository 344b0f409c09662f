"""Continuity kernel: its table, its naive twin, and that a passed run of frames is always believable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bybit.book_sync import (
    BROKEN,
    DEPTHS,
    DROP,
    EMPTY,
    GAP,
    LIVE,
    NO_BASE,
    PASS,
    RESET,
    SYNC_COUNT_NAMES,
    SYNC_COUNTS,
    Sync,
    check_book,
    depth_column,
    depth_column_of,
    new_sync,
    restart,
)
from tests.reference.feed import TopicTwin

S = 1_000_000_000
WORDS = {PASS: "pass", DROP: "drop", GAP: "gap", RESET: "reset", NO_BASE: "no_base"}


class Topic:
    def __init__(self, depth: int = 50) -> None:
        self.sync: Sync = new_sync(4)
        self.counts = np.zeros(SYNC_COUNTS, np.int64)
        self.column = depth_column_of(depth)

    def take(self, is_delta: bool, u: int, now_ns: int = S) -> int:
        return int(check_book(self.sync, self.counts, 2, self.column, int(is_delta), u, now_ns))

    def count(self, name: str) -> int:
        return int(self.counts[SYNC_COUNT_NAMES.index(name)])

    @property
    def phase(self) -> int:
        return int(self.sync.phase[2, self.column])


def snapshot(subject: Topic, u: int, now_ns: int = S) -> int:
    return subject.take(False, u, now_ns)


def delta(subject: Topic, u: int, now_ns: int = S) -> int:
    return subject.take(True, u, now_ns)


@pytest.mark.parametrize(("frames", "verdicts", "phase", "counted"), [
    ("s10 d11 d12", "PPP", LIVE, {}),
    ("d5 d6", "DD", EMPTY, {"delta_no_base": 2}),
    ("d1 d2", "PP", LIVE, {}),  # u = 1 is a base whatever it is called
    ("s10 d10 d11", "PDP", LIVE, {"duplicates": 1}),
    ("s10 d11 d12 d11 d13", "PPPDP", LIVE, {"out_of_order": 1}),
    ("s10 d12 d13 d14", "PGDD", BROKEN, {"gaps": 1, "broken_drops": 2}),
    ("s10 d12 s20 d21", "PGPP", LIVE, {"gaps": 1, "recoveries": 1}),
    ("s10 d12 s20 d20 d21", "PGPDP", LIVE, {"duplicates": 1}),
    ("s10 d11 s40 d41", "PPRP", LIVE, {"resets": 1}),
    ("s10 d11 s1 d2", "PPRP", LIVE, {"resets": 1}),
    ("s10 d11 d1 d2", "PPRP", LIVE, {"resets": 1}),
    ("s10 d12 d1 d2", "PGPP", LIVE, {"recoveries": 1, "resets": 0}),
])  # fmt: skip
def test_table(frames: str, verdicts: str, phase: int, counted: dict[str, int]) -> None:
    subject = Topic()
    letters = {PASS: "P", DROP: "D", GAP: "G", RESET: "R", NO_BASE: "N"}
    got = "".join(letters[subject.take(f[0] == "d", int(f[1:]))] for f in frames.split())
    assert got == verdicts
    assert subject.phase == phase
    assert {name: subject.count(name) for name in counted} == counted


def test_level_one_repeats_are_keepalives_and_jumps_lose_nothing() -> None:
    subject = Topic(1)
    assert [snapshot(subject, u) for u in (5, 5, 6, 9, 8, 1, 2)] == [PASS, DROP, PASS, PASS, DROP, RESET, PASS]
    assert (subject.count("keepalives"), subject.count("out_of_order"), subject.count("resets")) == (1, 1, 1)
    assert subject.count("gaps") == 0


def test_a_delta_without_base_asks_again_every_two_seconds() -> None:
    subject = Topic()
    times = [1 * S, 2 * S, 3 * S, 4 * S, 5 * S]
    assert [delta(subject, 7 + i, t) for i, t in enumerate(times)] == [DROP, DROP, NO_BASE, DROP, NO_BASE]
    assert snapshot(subject, 20) == PASS and subject.phase == LIVE


def test_restart_forgets_and_the_next_snapshot_is_expected() -> None:
    subject = Topic()
    snapshot(subject, 10)
    restart(subject.sync, 2, subject.column, 3 * S)
    assert delta(subject, 11, 4 * S) == DROP and subject.phase == EMPTY
    assert snapshot(subject, 50) == PASS and subject.count("resets") == 0


def test_topics_do_not_disturb_each_other() -> None:
    sync, counts = new_sync(3), np.zeros(SYNC_COUNTS, np.int64)
    for symbol in range(3):
        for column in range(6):
            assert check_book(sync, counts, symbol, column, 0, 100 * symbol + 10 * column + 2, S) == PASS
    check_book(sync, counts, 1, 1, 1, 999, S)
    assert int((sync.phase == BROKEN).sum()) == 1 and sync.phase[1, 1] == BROKEN


def test_columns() -> None:
    for depth in [*DEPTHS, 25, 9999]:
        assert depth_column(depth) == depth_column_of(depth)
    assert len({depth_column_of(depth) for depth in DEPTHS}) == len(DEPTHS)


frames = st.lists(
    st.tuples(st.booleans(), st.integers(1, 12), st.integers(0, 3 * S), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([1, 50, 200]), frames)
def test_twin(depth: int, steps: list[tuple[bool, int, int, bool]]) -> None:
    subject, twin = Topic(depth), TopicTwin(depth)
    now = S
    for is_delta, u, wait, forget in steps:
        now += wait
        if forget and u == 12:
            restart(subject.sync, 2, subject.column, now)
            twin.last, twin.broken, twin.asked, twin.missing_since_ns = None, False, True, now
        assert WORDS[subject.take(is_delta, u, now)] == twin.take(is_delta, u, now)


@settings(max_examples=200, deadline=None)
@given(frames)
def test_between_two_bases_passed_deltas_are_contiguous(steps: list[tuple[bool, int, int, bool]]) -> None:
    subject = Topic()
    last = None
    for is_delta, u, _, _ in steps:
        verdict = subject.take(is_delta, u)
        if verdict in (PASS, RESET):
            if is_delta and u != 1:
                assert last is not None and u == last + 1
            last = u
        elif verdict == GAP:
            last = None
