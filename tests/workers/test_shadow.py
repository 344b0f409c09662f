"""A second configuration beside a run: the same events, its own decisions, repeatable from the journal; comparisons."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.paths import DataPaths
from core.performance.comparison import compare
from gateway.tape import TapeError
from tests.workers.journal_rig import Rig
from tests.workers.support import EAGER
from workers import shadow as shadow_module
from workers.backtest import Backtest, Job, Result, run
from workers.backtest_store import StoreError, load_result
from workers.journal_follow import FollowedJournal
from workers.run_journal import RunJournal, find_run
from workers.run_result import result_of_run, settings_of_run
from workers.shadow import COMPARISON, STATUS, Shadow
from workers.shadow_child import ShadowChild

CANDIDATE: dict[str, Any] = {
    "thresholds.score.watch": [20.0, 20.0, 20.0], "thresholds.score.arm": [30.0, 30.0, 30.0],
    "thresholds.score.max_spread_bps": [50.0, 50.0, 50.0], "thresholds.windows.warmup_s": 1.0,
    "thresholds.signal.cooldown_s": 3.0, "thresholds.signal.rest_s": 1.0, "trading.exits.max_hold_s": 5.0,
}
REPLACE = msgspec.structs.replace
QUICK = REPLACE(EAGER, trading=REPLACE(
    EAGER.trading, exits=REPLACE(EAGER.trading.exits, max_hold_s=3.0),
    orders=REPLACE(EAGER.trading.orders, latency_ms=500.0),  # whoever has a turn answers within this
))


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda handle: None)


def played(
    folder: Path, seed: int, shards: int, watch: Callable[[Rig], None] = lambda rig: None, seconds: float = 40.0
) -> Rig:
    rig = Rig(folder, seed, shards, QUICK, seconds=seconds)
    try:
        while rig.at < len(rig.reads):
            rig.play_one()
            watch(rig)
        rig.close()
    finally:
        rig.destroy()
    return rig


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run of the whole plant in one process, and what it did by its own files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda handle: None)
        rig = played(tmp_path_factory.mktemp("run"), 4, 1)
    return rig.data_dir, result_of_run(rig.data_dir)


def job_of(folder: Path, **changes: Any) -> Job:
    return Job(journal=str(DataPaths(folder, "SIM").journal_dir), **changes)


def test_a_run_and_the_backtest_of_its_journal_differ_in_nothing(recorded: tuple[Path, Result]) -> None:
    """Same settings, answers in time: every trade is matched at the same prices, the shortfall is zero."""
    folder, live = recorded
    again = run(job_of(folder), settings=settings_of_run(folder))
    assert len(live.trades) > 3
    found = compare(live.figures, live.trades, again.figures, again.trades, live.intents, again.intents)
    short = found.shortfall
    assert (short.matched, short.missed, short.extra) == (len(live.trades), 0, 0)
    assert (short.prices_e8, short.costs_e8, short.total_e8) == (0, 0, 0)
    assert (short.entry_bps, short.exit_bps, short.later_ms) == (0.0, 0.0, 0.0)
    assert found.same_until == len(live.intents) == len(again.intents)
    assert live.figures["net_usdt"] == again.figures["net_usdt"]


def test_a_later_order_shows_as_shortfall(recorded: tuple[Path, Result]) -> None:
    folder, live = recorded
    settings = settings_of_run(folder)
    orders = REPLACE(settings.trading.orders, latency_ms=1200.0)
    slow = REPLACE(settings, trading=REPLACE(settings.trading, orders=orders))
    late = run(job_of(folder), settings=slow)
    found = compare(late.figures, late.trades, live.figures, live.trades, late.intents, live.intents)
    short = found.shortfall
    assert short.matched > 0
    assert short.later_ms is not None and short.later_ms > 0
    assert short.total_e8 == sum(t.net_e8 for t in live.trades) - sum(t.net_e8 for t in late.trades)
    assert short.prices_e8 != 0 or short.missed or short.extra
    assert found.same_until is not None and found.same_until < len(live.intents)


def test_a_shadow_follows_a_run_and_is_repeated_by_a_backtest(tmp_path: Path) -> None:
    """It reads while the recorder writes; afterwards `backtest --journal` gives the same digest, trade for trade."""
    found: list[Shadow] = []

    def follow(rig: Rig) -> None:
        if not found:
            paths = DataPaths(rig.data_dir, "SIM")
            job = Job(journal=str(paths.journal_dir), run_id=rig.plant.spec.run_id, overrides=CANDIDATE, name="candidate")
            rig.recorder.do_work()
            found.append(Shadow(paths, rig.plant.spec.run_id, job, lambda: alive[0], lambda seconds: step.wait(0.02)))
            threads.append(threading.Thread(target=lambda: results.append(found[0].run())))
            threads[0].start()

    alive, step = [True], threading.Event()
    threads: list[threading.Thread] = []
    results: list[Result] = []
    rig = played(tmp_path, 6, 2, follow)
    alive[0] = False
    threads[0].join(300)
    (shadow,) = results
    assert shadow.kind == "shadow" and shadow.counts["orders"] > 0
    after = run(job_of(rig.data_dir, overrides=CANDIDATE, name="candidate", run_id=shadow.job.run_id))
    assert after.decision_digest == shadow.decision_digest
    assert (after.trades, after.intents, after.equity) == (shadow.trades, shadow.intents, shadow.equity)
    live = result_of_run(rig.data_dir)
    assert shadow.intents != live.intents  # the candidate decides for itself
    paths = DataPaths(rig.data_dir, "SIM")
    assert load_result("shadow", paths) == load_result(f"shadow:{shadow.job.run_id}", paths)
    status = msgspec.json.decode((paths.shadow_dir / shadow.job.run_id / STATUS).read_bytes())
    assert status["over"] and status["trades"] == len(shadow.trades)
    shown = msgspec.json.decode((paths.shadow_dir / shadow.job.run_id / COMPARISON).read_bytes())
    assert shown["matched"] + shown["only_b"] == len(shadow.trades)
    assert shown["matched"] + shown["only_a"] == len(live.trades)


def test_any_number_of_engines_decides_the_same(recorded: tuple[Path, Result]) -> None:
    folder, _ = recorded
    one, three = (run(job_of(folder, overrides=CANDIDATE, shards=shards)) for shards in (1, 3))
    assert one.decision_digest == three.decision_digest
    assert one.trades == three.trades


def test_a_regime_of_our_own(recorded: tuple[Path, Result]) -> None:
    """GLOBAL carries the candidate's verdict: a hair trigger panics, and nothing is entered."""
    folder, _ = recorded
    calm = run(job_of(folder, overrides=CANDIDATE))
    rules = {"thresholds.global_regime.volatility_bps": [0.001, 0.002], "thresholds.global_regime.shock_bps": [0.001, 0.002]}
    nervous = run(job_of(folder, overrides=CANDIDATE | rules))
    assert nervous.counts["orders"] < calm.counts["orders"]


def records(journal: RunJournal) -> list[Any]:
    return list(journal.read("raw"))


def test_following_gives_what_reading_gives(recorded: tuple[Path, Result]) -> None:
    folder, _ = recorded
    plain = find_run(folder)
    looks: list[int] = []
    followed = FollowedJournal(plain.folder, plain.run_id, lambda: len(looks) < 3 and not looks.append(1))
    assert records(followed) == records(plain)
    assert followed.state["raw"].is_closed and len(looks) == 3


def test_a_journal_that_grows_byte_by_byte(recorded: tuple[Path, Result], tmp_path: Path) -> None:
    """Half a block is not there yet; nothing is read twice."""
    plain = find_run(recorded[0])
    source = plain.paths("raw")[0]
    data, rng = source.read_bytes(), random.Random(1)
    target = tmp_path / source.name
    target.write_bytes(data[:64])
    cuts = sorted(rng.sample(range(64, len(data)), 40)) + [len(data)]

    def more() -> bool:
        if not cuts:
            return False
        target.write_bytes(data[: cuts.pop(0)])
        return True

    assert records(FollowedJournal(tmp_path, plain.run_id, more)) == records(RunJournal(tmp_path, plain.run_id))


def test_damage_in_the_middle_is_a_hole_once_the_next_segment_stands(recorded: tuple[Path, Result], tmp_path: Path) -> None:
    plain = find_run(recorded[0])
    source = plain.paths("raw")[0]
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / source.name).write_bytes(data)
    (tmp_path / f"raw-9{source.name[5:]}").write_bytes(source.read_bytes()[:64])
    journal = FollowedJournal(tmp_path, plain.run_id, lambda: False)
    list(journal.read("raw"))
    assert "are damaged" in journal.state["raw"].hole


def test_an_empty_journal_is_told(tmp_path: Path) -> None:
    plain = FollowedJournal(tmp_path, "nothing", lambda: False)
    backtest = Backtest(Job(journal=str(tmp_path), overrides=CANDIDATE), plain)
    backtest.start()
    with pytest.raises(TapeError, match="holds no public frames"):
        while backtest.work():
            pass
    with pytest.raises(StoreError, match="no run"):
        result_of_run(tmp_path)
    with pytest.raises(StoreError, match="--shadow"):
        load_result("shadow", DataPaths(tmp_path, "SIM"))


def test_the_process_ends_where_no_journal_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module.os, "nice", lambda step: 0)
    monkeypatch.setattr(shadow_module.os, "getppid", iter([5, 6]).__next__)
    monkeypatch.setattr(shadow_module.signal, "signal", lambda number, handler: None)
    job = msgspec.json.encode(Job(overrides=CANDIDATE)).decode()
    assert shadow_module.main(["--data-dir", str(tmp_path), "--mode", "SIM", "--run-id", "x", "--job", job]) == 0


def test_a_stop_that_comes_while_it_still_imports_waits_until_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is over sooner than its shadow has started: SIGTERM ended the shadow, and nothing was decided."""
    paths = DataPaths(tmp_path, "SIM")
    paths.log_dir.mkdir(parents=True)
    child = ShadowChild(paths, "x", "{}", lambda text: None)
    child._command = [sys.executable, "-c", "from signal import *; print(SIGTERM in pthread_sigmask(SIG_BLOCK, []))"]
    child.start()
    assert child._process is not None and child._process.wait(120) == 0
    assert (paths.log_dir / "shadow.log").read_text() == "True\n"

    monkeypatch.setattr(shadow_module.os, "nice", lambda step: 0)
    monkeypatch.setattr(shadow_module, "LOOK_S", 0.0)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        signal.raise_signal(signal.SIGTERM)
        job = msgspec.json.encode(Job(overrides=CANDIDATE)).decode()
        assert shadow_module.main(["--data-dir", str(tmp_path), "--mode", "SIM", "--run-id", "x", "--job", job]) == 0
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def test_a_journal_that_came_just_before_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module.os, "nice", lambda step: 0)
    monkeypatch.setattr(shadow_module.os, "getppid", iter([5, 6]).__next__)  # the supervisor is gone at the first question
    monkeypatch.setattr(shadow_module.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(shadow_module, "LOOK_S", 0.0)
    looks = iter([{}])
    monkeypatch.setattr(shadow_module, "runs", lambda folder: next(looks, {"x": []}))
    read: list[str] = []

    class Follower:
        def __init__(self, paths: DataPaths, run_id: str, *rest: Any) -> None:
            self.run_id = run_id

        def run(self) -> None:
            read.append(self.run_id)

    monkeypatch.setattr(shadow_module, "Shadow", Follower)
    job = msgspec.json.encode(Job(overrides=CANDIDATE)).decode()
    assert shadow_module.main(["--data-dir", str(tmp_path), "--mode", "SIM", "--run-id", "x", "--job", job]) == 0
    assert read == ["x"]
