"""A sweep that was ended goes on: the same ranking, nothing computed twice, and never with the points of another one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.paths import DataPaths
from core.words import plural
from tests.shared_data import recording
from tests.system.plant_runner import ROOT, environment
from tests.workers.eager_tape import EAGER, eager_job, eager_result
from workers import sweep, sweep_store
from workers.backtest import Job, Result
from workers.sweep import Outcome, Parameter, Space, SweepError

SPACE = Space((
    Parameter("trading.exits.stop_atr", low=1.0, high=5.0, step=0.25),
    Parameter("trading.exits.max_hold_s", values=(10.0, 20.0, -1.0)),
))
TRIALS = 30


@pytest.fixture(scope="module")
def result() -> Result:
    return eager_result(eager_job())


class Bench:
    """Scores points by their settings instead of running them; ends with KeyboardInterrupt at the point `fails_at`."""

    def __init__(self, result: Result, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.result, self.paths = result, DataPaths(folder, "SIM")
        self.computed: list[dict[str, Any]] = []
        self.fails_at = -1
        monkeypatch.setattr(sweep, "executor", lambda jobs, cluster="": nullcontext(self._run))

    def _run(self, todo: Sequence[Job]) -> Any:
        for one in todo:
            if len(self.computed) == self.fails_at:
                raise KeyboardInterrupt
            self.computed.append(one.overrides)
            value = -abs(float(one.overrides["trading.exits.stop_atr"]) - 2.6) + one.overrides["trading.exits.max_hold_s"] / 3
            yield msgspec.structs.replace(self.result, job=one, figures=self.result.figures | {"net_usdt": value})

    def sweep(self, sampler: str, kept: sweep_store.SweepStore | None, trials: int = TRIALS, jobs: int = 2) -> Outcome:
        return sweep.sweep(
            eager_job(), SPACE, trials=trials, jobs=jobs, current=lambda key: None, sampler=sampler, seed=3, kept=kept
        )


@pytest.fixture
def bench(result: Result, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(result, monkeypatch, tmp_path)


def wanted(sampler: str = "grid", job: Job | None = None, **changes: Any) -> sweep_store.Asked:
    arguments: dict[str, Any] = {"space": SPACE, "seed": 3, "objective": "net_usdt", **changes}
    return sweep_store.asked(job or eager_job(), sampler=sampler, **arguments)


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_a_resumed_sweep_ranks_as_one_that_was_never_ended(bench: Bench, sampler: str) -> None:
    if sampler == "tpe":
        pytest.importorskip("optuna", reason="extra `tune`")
    whole = bench.sweep(sampler, None)
    unique = len({sweep_store.key_of(overrides) for overrides in bench.computed})
    bench.computed.clear()
    name = ""
    for fails_at in (3, 11, 14, -1):  # within a round, and each time a little later
        bench.fails_at = fails_at
        asked = wanted(sampler)
        store = sweep_store.resume(name, asked, bench.paths) if name else sweep_store.begin(asked, bench.paths)
        with closing(store):
            name = store.name
            assert len(store) == len(bench.computed)
            found = bench.sweep(sampler, store, jobs=5 if fails_at == 11 else 2)
        assert found.interrupted == (fails_at >= 0)
    assert found == whole and len(bench.computed) == unique, "and no point was computed twice"
    with closing(sweep_store.resume("latest", wanted(sampler), bench.paths)) as store:
        assert bench.sweep(sampler, store) == whole and len(bench.computed) == unique


def test_what_a_killed_writer_left_of_a_line_is_computed_again(bench: Bench) -> None:
    whole = bench.sweep("grid", None)
    with closing(sweep_store.begin(wanted(), bench.paths)) as store:
        bench.sweep("grid", store, trials=6)
        file = store.folder / sweep_store.POINTS
    file.write_bytes(file.read_bytes()[:-7])
    bench.computed.clear()
    with closing(sweep_store.resume(store.name, wanted(), bench.paths)) as again:
        assert len(again) == len(store) - 1
        assert bench.sweep("grid", again) == whole
    with closing(sweep_store.resume(store.name, wanted(), bench.paths)) as again:
        assert len(again) == len(whole.trials)
    file.write_bytes(b"{}\n" + file.read_bytes())
    with pytest.raises(SweepError, match="is damaged"):
        sweep_store.resume(store.name, wanted(), bench.paths)


@pytest.mark.parametrize(("change", "says"), [
    (lambda: wanted("tpe"), "another --sampler"),
    (lambda: wanted(seed=4), "another --seed"),
    (lambda: wanted(objective="sharpe"), "another --objective"),
    (lambda: wanted(space=Space(SPACE.parameter[:1])), "another --space"),
    (lambda: wanted(job=msgspec.structs.replace(eager_job(), from_ns=1)), "another --from"),
    (lambda: wanted(job=msgspec.structs.replace(eager_job(), overrides={})), "other settings"),
    (lambda: wanted(job=msgspec.structs.replace(eager_job(), symbols="1")), "other --symbols"),
    (lambda: wanted(job=msgspec.structs.replace(eager_job(), tapes=(str(recording("2024-12-01_XRPUSDT_ob500.jsonl")),))),
     "another recording"),
    (lambda: msgspec.structs.replace(wanted(seed=4), code="0"), "another --seed and another version of the code"),
])
def test_another_sweep_is_refused(bench: Bench, change: Callable[[], sweep_store.Asked], says: str) -> None:
    sweep_store.begin(wanted(), bench.paths).close()
    with pytest.raises(SweepError, match=f"was made with {says}"):
        sweep_store.resume("latest", change(), bench.paths)


def test_a_sweep_that_runs_or_is_not_there_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"no sweep 'latest' in .*; there: none"):
        sweep_store.resume("latest", wanted(), bench.paths)
    with closing(sweep_store.begin(wanted(), bench.paths)) as store:
        with pytest.raises(SweepError, match="is running already"):
            sweep_store.resume(store.name, wanted(), bench.paths)
        with pytest.raises(SweepError, match=f"no sweep '../x' in .*; there: {store.name}"):
            sweep_store.resume("../x", wanted(), bench.paths)
    (store.folder / sweep_store.ASKED).write_text("{}")
    with pytest.raises(SweepError, match="not of this version"):
        sweep_store.resume(store.name, wanted(), bench.paths)
    (tmp_path / "file").write_text("")
    with pytest.raises(SweepError, match="cannot be kept"):
        sweep_store.begin(wanted(), DataPaths(tmp_path / "file", "SIM"))


# --- command line --------------------------------------------------------------------------------------------------------
def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`launch.py sweep` over the recording, by the settings of `eager_tape`."""
    space = folder / "space.toml"
    space.write_text('[[parameter]]\nkey = "trading.exits.stop_atr"\nlow = 1.0\nhigh = 3.5\nstep = 0.5\n')
    sets = [f"--set={key}={json.dumps(value)}" for key, value in EAGER.items()]
    command = [sys.executable, str(ROOT / "launch.py"), "sweep", "--tape", eager_job().tapes[0], "--space", str(space),
               "--trials", "6", "--jobs", "2", "--data-dir", str(folder), "--sampler", "grid", *sets, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment())


def test_a_sweep_killed_outright_goes_on(tmp_path: Path) -> None:
    """Ranking and figures of one that was never ended, and no point is computed twice."""
    killed = started(tmp_path)
    deadline = time.monotonic() + 300
    while not (points := [*tmp_path.glob("*/sweeps/*/points.jsonl")]) or not points[0].read_bytes().count(b"\n"):
        assert killed.poll() is None and time.monotonic() < deadline, killed.communicate()
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    before = points[0].read_bytes().split(b"\n")[:-1]  # a torn last line is cut off
    again = started(tmp_path, "--resume", "latest", "--json")
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0 and f"{plural(len(before), 'point')} computed already" in err, err
    assert points[0].read_bytes().splitlines()[: len(before)] == before and points[0].read_bytes().count(b"\n") == 6
    whole = started(tmp_path, "--json")
    expected = json.loads(whole.communicate(timeout=300)[0])
    found = json.loads(out)
    assert found["name"] != expected["name"] and len(found["trials"]) == 6
    for outcome in (found, expected):
        del outcome["name"]
        for trial in outcome["trials"]:
            del trial["wall_s"]
    assert found == expected
