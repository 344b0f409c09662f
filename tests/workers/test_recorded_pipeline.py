"""A live run and the backtest of its own journal are the same computation, late answers, shards apart and kills included."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from config.paths import DataPaths
from core.consumption import CheckAccount, CheckShard, signed
from core.engine.digest import digest_sum
from core.mixing import MASK
from core.performance.comparison import compare
from tests.workers.journal_rig import Rig
from tests.workers.support import EAGER
from workers import journal_source
from workers.backtest import Backtest, Job, Result, run
from workers.look_ahead import look_ahead
from workers.recorded_order import recorded_order
from workers.recorded_pipeline import RecordedPipeline
from workers.replay import read_order
from workers.run_journal import find_run
from workers.run_reasons import Reasons, share_events
from workers.run_result import result_of_run, settings_of_run

REPLACE = msgspec.structs.replace
LATE = REPLACE(EAGER, trading=REPLACE(
    EAGER.trading, exits=REPLACE(EAGER.trading.exits, max_hold_s=3.0),
    orders=REPLACE(EAGER.trading.orders, latency_ms=20.0),  # a turn comes later than this more often than not
))
CANDIDATE: dict[str, Any] = {
    "thresholds.score.watch": [22.0, 22.0, 22.0], "thresholds.score.arm": [33.0, 33.0, 33.0],
    "thresholds.score.max_spread_bps": [50.0, 50.0, 50.0], "thresholds.windows.warmup_s": 1.0,
    "thresholds.signal.cooldown_s": 1.0, "thresholds.signal.rest_s": 1.0, "trading.exits.max_hold_s": 3.0,
}
Faults = dict[int, Callable[[Rig], None]]


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda handle: None)


def played(folder: Path, seed: int, shards: int, faults: Faults | None = None, seconds: float = 20.0) -> Path:
    """Data folder of a run of the whole plant in one process, whose parts have their turns at random."""
    rig = Rig(folder, seed, shards, LATE, seconds=seconds)
    try:
        rig.play(faults or {})
        rig.close()
    finally:
        rig.destroy()
    return rig.data_dir


def again(folder: Path, timing: str = "run", **changes: Any) -> Result:
    settings = None if changes else settings_of_run(folder)
    job = Job(journal=str(DataPaths(folder, "SIM").journal_dir), timing=timing, **changes)  # type: ignore[arg-type]
    return run(job, settings=settings)


def compared(live: Result, other: Result) -> Any:
    return compare(live.figures, live.trades, other.figures, other.trades, live.intents, other.intents)


def same_computation(folder: Path) -> Backtest:
    """The backtest of the run's journal ends with the run's engines and account, bit for bit."""
    settings = settings_of_run(folder)
    journal = find_run(folder)
    backtest = Backtest(Job(journal=str(journal.folder), timing="run"), settings=settings)
    backtest.start()
    while backtest.work():
        pass
    pipeline = backtest.pipeline
    assert isinstance(pipeline, RecordedPipeline)
    order = read_order(find_run(folder))
    last = [note for note in order.execution if isinstance(note, CheckAccount)][-1]
    account = pipeline.broker.account
    assert (signed(account.digest), account.balance_e8) == (last.digest, last.balance_e8)
    for shard, lane in enumerate(pipeline.lanes):
        check = [note for note in order.shards[shard] if isinstance(note, CheckShard)][-1]
        found = np.zeros(2, "i8")
        digest_sum(lane.state.symbols, lane.state.trade, lane.n_slots, shard, found)
        assert (int(found[0]) & MASK, int(found[1])) == (check.digest & MASK, check.symbols), f"shard {shard}"
    return backtest


@pytest.mark.parametrize(("seed", "shards"), [(4, 1), (5, 3)])
def test_answers_that_come_late_come_as_late_in_the_backtest(tmp_path: Path, seed: int, shards: int) -> None:
    """20 ms of latency, turns later than that: by the model other trades, by the run's order the run."""
    folder = played(tmp_path, seed, shards)
    live = result_of_run(folder)
    assert len(live.trades) > 3
    found = compared(live, again(folder))
    short = found.shortfall
    assert (short.matched, short.missed, short.extra, short.total_e8) == (len(live.trades), 0, 0, 0)
    assert found.same_until == len(live.intents)
    again_result = same_computation(folder).result()
    assert again_result.remarks == [] and again_result.counts["late_answers"] > 0
    by_model = again(folder, "model")
    model = compared(live, by_model)
    assert model.same_until is not None and model.same_until < len(live.intents)
    reasons = Reasons(live, by_model)
    assert share_events(live, by_model) and "--timing run" in reasons.general[0]
    assert all(bool(reasons.why(pair)) != pair.is_same for pair in model.pairs)
    alone = [pair for pair in model.pairs if not (pair.a and pair.b)]
    assert all(re.search("parted at event|refused in|accepted in", reasons.why(pair)) for pair in alone)
    assert not any(Reasons(live, again_result).why(pair) for pair in found.pairs)


def test_what_a_person_a_kill_and_a_reload_did_is_done_again(tmp_path: Path) -> None:
    faults: Faults = {60: Rig.pause, 90: Rig.pause, 150: Rig.reload, 260: Rig.kill, 300: Rig.kill}
    folder = played(tmp_path, 8, 2, faults)
    order = recorded_order(find_run(folder))
    assert any(op.note is not None and type(op.note).__name__ == "StandDown" for op in order.ops)
    assert order.is_whole
    same_computation(folder)
    found = compared(result_of_run(folder), again(folder))
    assert found.shortfall.total_e8 == 0 and found.only_a == found.only_b == []


def test_other_settings_do_not_depend_on_how_events_were_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = played(tmp_path, 6, 2, {100: Rig.kill, 130: Rig.kill})
    one = again(folder, overrides=CANDIDATE)
    monkeypatch.setattr(journal_source, "BATCH", 7)
    two = again(folder, overrides=CANDIDATE, shards=5)
    assert (one.decision_digest, one.trades, one.intents) == (two.decision_digest, two.trades, two.intents)
    assert one.intents != result_of_run(folder).intents and one.trades
    assert look_ahead(REPLACE(one.job), one) == []


def test_another_latency_goes_by_the_model(tmp_path: Path) -> None:
    """The places of answers are those of the run's latency; under another one they say nothing."""
    folder = played(tmp_path, 4, 1, seconds=12.0)
    settings = settings_of_run(folder)
    slow = REPLACE(settings, trading=REPLACE(settings.trading, orders=REPLACE(settings.trading.orders, latency_ms=600.0)))
    jobs = [Job(journal=str(DataPaths(folder, "SIM").journal_dir), timing=timing) for timing in ("run", "model")]  # type: ignore[arg-type]
    by_run, by_model = (run(job, settings=slow) for job in jobs)
    assert by_run.trades == by_model.trades


@pytest.mark.parametrize("fault", [Rig.restart_shard, Rig.stall_shard])
def test_a_shard_that_died_is_told(tmp_path: Path, fault: Callable[[Rig], None]) -> None:
    small = {"market_cells": 1 << 12} if fault is Rig.stall_shard else {}
    rig = Rig(tmp_path, 9, 2, LATE, seconds=12.0, **small)
    try:
        rig.play({40: fault, 110: Rig.stall_shard} if small else {40: fault})
        rig.close()
    finally:
        rig.destroy()
    result = again(rig.data_dir)
    said = " ".join(result.remarks)
    assert ("lost events" if small else "was restarted") in said
    assert result.counts["orders"] > 0
