"""A journalled run replayed: the same decisions for any number of engines, whatever had happened to it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workers.journal_rig import Rig
from workers.replay import Outcome, Replay
from workers.run_journal import find_run

QUIET = (Rig.reload, Rig.pause, Rig.lose_connection, Rig.shed, Rig.drop_frames)
HARD = (*QUIET, Rig.restart_shard, Rig.restart_execution, Rig.restart_recorder, Rig.kill, Rig.stall_shard)


def record(folder: Path, seed: int, shards: int, happenings: tuple[Callable[[Rig], None], ...], **changes: Any) -> Path:
    rig = Rig(folder, seed, shards, **changes)
    try:
        rng = random.Random(seed)
        rig.play({rng.randrange(20, len(rig.reads) - 20): rng.choice(happenings) for _ in range(20)} if happenings else {})
        rig.close()
    finally:
        rig.destroy()
    return rig.data_dir


def replay(folder: Path, shards: int = 0) -> Outcome:
    return Replay(find_run(folder), shards).run()


def assert_identical(outcome: Outcome) -> None:
    assert outcome.identical, (outcome.notes, [d.text() for d in outcome.differences[:2]])
    assert outcome.is_complete and outcome.checks > 0 and outcome.account_checks > 0


@pytest.mark.parametrize(("seed", "shards", "happenings"), [(1, 2, QUIET), (2, 3, HARD)], ids=["quiet", "hard"])
def test_any_number_of_engines_repeats_a_run(
    tmp_path: Path, seed: int, shards: int, happenings: tuple[Callable[[Rig], None], ...]
) -> None:
    folder = record(tmp_path, seed, shards, happenings)
    outcomes = [replay(folder, n) for n in (0, 1, 4)]
    for outcome in outcomes:
        assert_identical(outcome)
        assert outcome.digest == outcomes[0].digest
    assert outcomes[0].messages > 0 and outcomes[0].reports > 0 and outcomes[0].decisions > 0
