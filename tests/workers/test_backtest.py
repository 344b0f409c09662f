"""Backtests: the pipeline's decisions, exact money, no look-ahead, reports, comparisons, sweeps."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from math import sqrt
from multiprocessing import active_children
from pathlib import Path
from statistics import mean, stdev

import msgspec
import pytest
from sqlalchemy import select

from config.load import ConfigError
from config.paths import DataPaths
from core.constants import DAY_NS, E8
from core.performance.comparison import compare
from core.performance.figures import Point, performance
from gateway.tape import TapeError
from shm.database.connect import database_url, reader
from shm.database.tables import backtest_results
from tests.system.plant_runner import ROOT, environment
from tests.workers.eager_tape import EAGER, eager_job, eager_result
from workers import backtest_store, sweep
from workers.backtest import Job, Result, run, settings_of
from workers.backtest_report import comparison_html, html
from workers.pipeline import run_tape

job = pytest.fixture(eager_job, scope="module", name="job")
result = pytest.fixture(eager_result, scope="module", name="result")


def test_it_decides_what_the_pipeline_decides(job: Job, result: Result) -> None:
    pipeline = run_tape(settings_of(job), [Path(job.tapes[0])], shards=2)
    assert result.decision_digest == pipeline.digest()
    assert result.counts["orders"] == pipeline.counts()["orders"] > 0
    account = pipeline.broker.account
    assert sum(t.net_e8 for t in result.trades) == account.realised_e8 - sum(
        p.realised_e8 for p in account.positions.values()
    )
    assert len(result.trades) == account.trades_closed > 0


def test_trades_fit_together(result: Result) -> None:
    for trade in result.trades:
        assert trade.net_e8 == trade.gross_e8 - trade.fees_e8 - trade.funding_e8
        assert result.from_ns <= trade.opened_ns <= trade.closed_ns <= result.to_ns + 10**9
        assert trade.mfe_e8 is not None and trade.mae_e8 is not None and min(trade.mfe_e8, trade.mae_e8) >= 0
        assert result.decisions[trade.decision_id]["accepted"]
        assert trade.mfe_e8 >= trade.gross_e8 >= -trade.mae_e8  # a price it was closed at was reached
    assert [p.ts_ns for p in result.equity] == sorted(p.ts_ns for p in result.equity)
    again = performance(result.trades, result.equity[0].equity_e8, result.equity, 0)
    assert again["net_usdt"] == result.figures["net_usdt"]


def test_the_curve_is_that_of_the_whole_recording(job: Job, result: Result, tmp_path: Path) -> None:
    """From its begin to its end, the equity of then included; three quiet days behind the last trade are days without a
    return in every figure that counts days."""
    quiet = tmp_path / "quiet.frames"
    with gzip.open(job.tapes[0], "rt") as lines:
        told = lines.readlines()
    received, _, frame = told[-1].partition(" ")
    quiet.write_text("".join(told) + f"{int(received) + 3 * DAY_NS} {frame}")
    longest = max(result.trades, key=lambda t: t.closed_ns - t.opened_ns)
    middle = (longest.opened_ns + longest.closed_ns) // 2
    for found in (result, run(msgspec.structs.replace(job, to_ns=middle)),
                  run(msgspec.structs.replace(job, from_ns=middle, tapes=(str(quiet),)))):
        first, last = found.equity[0], found.equity[-1]
        assert (first.ts_ns, last.ts_ns) == (found.from_ns, found.to_ns)
        assert found.counts["open_positions"] or found.to_ns != middle
        assert [p.ts_ns for p in found.equity] == sorted(p.ts_ns for p in found.equity)
        assert last.equity_e8 - first.equity_e8 == round(found.figures["total_usdt"] * E8)
    assert found.figures["days"] == 4
    of_day = [max((p for p in found.equity if p.ts_ns // DAY_NS <= day), key=lambda p: p.ts_ns).equity_e8
              for day in range(first.ts_ns // DAY_NS, last.ts_ns // DAY_NS + 1)]
    returns = [after / before - 1 for before, after in pairwise([first.equity_e8, *of_day])]
    assert found.figures["sharpe"] == pytest.approx(mean(returns) / stdev(returns) * sqrt(365))
    assert found.figures["calmar"] == pytest.approx(mean(returns) * 365 / (found.figures["max_drawdown_pct"] / 100))


def test_a_long_curve_in_the_database_is_thinned_and_keeps_its_end(result: Result, tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    points = [Point(k, k) for k in range(2 * backtest_store.CURVE_POINTS + 4)]
    backtest_store.write_row(msgspec.structs.replace(result, equity=points), paths)
    engine = reader(database_url(paths), "SIM")
    with engine.connect() as connection:
        kept = connection.execute(select(backtest_results.c.equity_curve)).scalar_one()
    engine.dispose()
    assert len(kept) <= backtest_store.CURVE_POINTS + 3 and (kept[0], kept[-1]) == ([0, 0], list(points[-1]))


def test_the_same_job_gives_the_same_result(job: Job, result: Result) -> None:
    again = run(job)
    same = msgspec.structs.replace(again, wall_s=result.wall_s)
    assert msgspec.json.encode(same) == msgspec.json.encode(result)


def test_frames_before_the_window_only_warm_up(job: Job, result: Result) -> None:
    middle = (result.from_ns + result.to_ns) // 2
    late = run(msgspec.structs.replace(job, from_ns=middle))
    assert late.from_ns == middle
    assert all(trade.opened_ns >= middle for trade in late.trades)
    early = run(msgspec.structs.replace(job, to_ns=middle))
    assert early.to_ns <= middle
    assert early.intents == result.intents[: len(early.intents)]


def funded(source: Path, target: Path, at_ms: int, rate: str) -> dict[str, Decimal]:
    """The recording with another settlement; returns the mark price of every symbol as it stood then."""
    marks: dict[str, Decimal] = {}
    with gzip.open(source, "rt") as lines, target.open("w") as out:
        for line in lines:
            recv, _, text = line.partition(" ")
            if '"topic":"tickers.' in text:
                body = json.loads(text)
                data = body["data"]
                if body["ts"] < at_ms and int(recv) < at_ms * 10**6 and "markPrice" in data:
                    marks[data["symbol"]] = Decimal(data["markPrice"])
                data["nextFundingTime"], data["fundingRate"] = str(at_ms), rate
                line = f"{recv} {json.dumps(body, separators=(',', ':'))}\n"
            out.write(line)
    return marks


@pytest.mark.parametrize("rate", ["0.0025", "-0.0031"])
def test_who_is_open_at_the_settlement_pays_or_receives(job: Job, result: Result, tmp_path: Path, rate: str) -> None:
    """A tape across a funding moment: exact to 1e-8 in trades, figures, costs and account; nobody else pays."""
    longest = max(result.trades, key=lambda t: t.closed_ns - t.opened_ns)
    at_ms = (longest.opened_ns + longest.closed_ns) // 2 // 10**6
    tape = tmp_path / "funded.frames"
    marks = funded(Path(job.tapes[0]), tape, at_ms, rate)
    paid = run(msgspec.structs.replace(job, tapes=(str(tape),)))
    assert run(msgspec.structs.replace(job, tapes=(str(tape),), shards=2)).trades == paid.trades
    expected = 0
    for trade in paid.trades:
        is_open = trade.opened_ns < at_ms * 10**6 <= trade.closed_ns
        amount = trade.side * Decimal(trade.quantity) * marks[trade.symbol] * Decimal(rate) * E8
        exact = int(amount.to_integral_value(ROUND_CEILING)) if is_open else 0
        if trade.funding_e8 != exact:  # a part had been sold before the moment: less than all of it pays
            assert is_open and 0 < abs(trade.funding_e8) < abs(exact)
        assert trade.net_e8 == trade.gross_e8 - trade.fees_e8 - trade.funding_e8
        expected += trade.funding_e8
    open_then = [t for t in paid.trades if t.funding_e8]
    assert open_then and all((t.funding_e8 > 0) == (t.side * Decimal(rate) > 0) for t in open_then)
    assert paid.figures["funding_usdt"] == expected / E8
    step = next(row for row in paid.figures["costs"] if row["name"] == "funding")
    assert step["usdt"] == -expected / E8
    pipeline = run_tape(settings_of(job), [tape])
    account = pipeline.broker.account
    assert sum(t.net_e8 for t in paid.trades) == account.realised_e8 - sum(p.realised_e8 for p in account.positions.values())


def test_the_report_stands_alone(result: Result) -> None:
    text = html(result)
    assert "http" not in text.replace("http-equiv", "") and "<script" not in text
    assert text.count("<details") == len(result.trades)
    for trade in result.trades:
        assert trade.symbol in text
    assert result.decision_digest in text


def test_results_are_kept_and_found(result: Result, tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    folder = backtest_store.save(result, paths)
    assert backtest_store.load_result("latest", paths) == backtest_store.load_result(folder.name, paths) == result
    with pytest.raises(backtest_store.StoreError, match="no backtest 'nothing'"):
        backtest_store.load_result("nothing", paths)
    (folder / "result.json").write_text("{}")
    with pytest.raises(backtest_store.StoreError, match="Run the backtest again"):
        backtest_store.load_result("latest", paths)
    backtest_store.write_row(result, paths)
    engine = reader(database_url(paths), "SIM")
    with engine.connect() as connection:
        row = connection.execute(select(backtest_results)).mappings().one()
    assert row["decision_digest"] == result.decision_digest
    assert row["net_pnl_e8"] == sum(t.net_e8 for t in result.trades)
    assert row["trade_count"] == len(result.trades)
    engine.dispose()
    backtest_store.write_row(result, paths, f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")  # [database] url
    engine = reader(database_url(paths, f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"), "SIM")
    with engine.connect() as connection:
        assert connection.execute(select(backtest_results.c.name)).scalars().all() == [result.name]


def test_two_runs_side_by_side(job: Job, result: Result) -> None:
    same = compare(result.figures, result.trades, result.figures, result.trades, result.intents, result.intents)
    assert same.same_until == len(result.intents) and not same.only_a and not same.only_b
    assert all(pair.difference_e8 == 0 for pair in same.both)
    other = run(msgspec.structs.replace(job, overrides=EAGER | {"thresholds.score.arm": [60.0, 60.0, 60.0]}))
    found = compare(result.figures, result.trades, other.figures, other.trades, result.intents, other.intents)
    assert len(found.both) + len(found.only_a) == len(result.trades)
    assert len(found.both) + len(found.only_b) == len(other.trades)
    assert sum(pair.difference_e8 for pair in found.pairs) == sum(t.net_e8 for t in other.trades) - sum(
        t.net_e8 for t in result.trades
    )
    assert "thresholds.score.arm" in comparison_html(result, other, found)


def test_a_window_outside_the_recording_is_told(job: Job, result: Result) -> None:
    with pytest.raises(TapeError, match=r"before --to 2020-01-01 .* begins at 2026-08-09"):
        run(msgspec.structs.replace(job, to_ns=1_577_836_800 * 10**9))
    with pytest.raises(TapeError, match=r"after --from .* ends at 2026-08-09"):
        run(msgspec.structs.replace(job, from_ns=result.to_ns + 1))


def test_a_backtest_in_another_mode_is_refused(job: Job) -> None:
    with pytest.raises(ConfigError, match="always SIM"):
        run(msgspec.structs.replace(job, overrides={"trading.mode": "LIVE"}))


def test_what_is_wrong_with_a_tape_is_said(job: Job, tmp_path: Path) -> None:
    bad = tmp_path / "bad.frames.gz"
    lines = gzip.decompress(Path(job.tapes[0]).read_bytes()).splitlines(keepends=True)
    lines[100] = lines[100][: len(lines[100]) // 2] + b"\n"
    bad.write_bytes(gzip.compress(b"".join(lines))[:-400])
    found = run(msgspec.structs.replace(job, tapes=(str(bad),)))
    assert found.counts["frames"] > 100
    assert any("reading ended early" in remark for remark in found.remarks)
    assert any("rejected" in remark for remark in found.remarks)
    assert all(remark in html(found) for remark in found.remarks)


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    backtest_store.write_page(page, "one")
    with pytest.raises(backtest_store.StoreError, match="cannot be written"):
        backtest_store.write_page(page / "below", "two")
    assert page.read_text() == "one" and list(tmp_path.iterdir()) == [page]
    backtest_store.write_page(Path("/dev/null"), "three")
    assert not Path("/dev/null").is_file()


def test_a_tape_that_is_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.frames"
    bad.write_text("nothing here\n")
    with pytest.raises(TapeError):
        run(Job(tapes=(str(bad),)))


# --- sweeps ------------------------------------------------------------------------------------------------------------
SPACE = """
[[parameter]]
key = "thresholds.score.arm"
index = 1
values = [40.0, 60.0]
[[parameter]]
key = "trading.exits.stop_atr"
low = 1.0
high = 2.0
step = 0.5
"""


@pytest.fixture
def space(tmp_path: Path) -> sweep.Space:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return sweep.read_space(path)


def run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "executor", lambda jobs, cluster="": nullcontext(lambda todo: [run(job) for job in todo]))


def test_a_grid_visits_every_point(job: Job, space: sweep.Space, monkeypatch: pytest.MonkeyPatch) -> None:
    run_here(monkeypatch)
    found = sweep.sweep(job, space, trials=99, jobs=2, current=lambda key: [0.0, 0.0, 0.0], sampler="grid")
    assert len(found.trials) == 6
    assert len({json.dumps(t.parameters, sort_keys=True) for t in found.trials}) == 6
    values = [t.value for t in found.trials if t.value is not None]
    assert values == sorted(values, reverse=True)
    assert found.trials[0].overrides["thresholds.score.arm"][0] == EAGER["thresholds.score.arm"][0]  # type: ignore[index]


@pytest.mark.parametrize(("step", "points"), [(0.6, [1.0, 1.6]), (0.5, [1.0, 1.5, 2.0]), (0.1, None)])
def test_a_grid_stays_within_its_range(step: float, points: list[float] | None) -> None:
    space = sweep.Space((sweep.Parameter("k", low=1.0, high=2.0, step=step),))
    found = [point["k"] for point in sweep.grid(space)]
    assert found == (points or [round(1.0 + k / 10, 12) for k in range(11)])


@pytest.mark.parametrize(("text", "says"), [
    ('key = "trading.nothing"\nindex = 0\nvalues = [1.0]', "no setting that is a list"),
    ('key = "trading.exits.stop_atr"\nlow = 1.0\nhigh = 2.0\nstep = -1.0', "`step` must be over 0"),
])
def test_a_space_that_cannot_be_searched_is_told(job: Job, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "space.toml").write_text(f"[[parameter]]\n{text}\n")
    with pytest.raises(sweep.SweepError, match=says):
        sweep.sweep(job, sweep.read_space(tmp_path / "space.toml"), trials=1, jobs=1, current=lambda key: None, sampler="grid")


def test_a_sweep_asks_for_the_same_points_with_any_number_of_jobs(
    job: Job, result: Result, space: sweep.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the sampler's random start, where it learns from what it was told."""
    pytest.importorskip("optuna", reason="extra `tune`")

    def scored(todo: Sequence[Job]) -> list[Result]:
        """Results whose objective depends on the point."""
        figures = [result.figures | {"net_usdt": float(one.overrides["trading.exits.stop_atr"])} for one in todo]
        return [msgspec.structs.replace(result, job=one, figures=f) for one, f in zip(todo, figures, strict=True)]

    monkeypatch.setattr(sweep, "executor", lambda jobs, cluster="": nullcontext(scored))
    one, two, eight = (
        sweep.sweep(job, space, trials=30, jobs=jobs, current=lambda key: [0.0, 0.0, 0.0], seed=4) for jobs in (1, 2, 8)
    )
    assert one.trials == two.trials == eight.trials


def test_points_that_are_no_settings_do_not_end_a_sweep(job: Job, result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "executor", lambda jobs, cluster="": nullcontext(lambda todo: [result for _ in todo]))
    key = "trading.exits.stop_atr"
    space = sweep.Space((sweep.Parameter(key, values=(1.0, -1.0, 2.0)),))
    found = sweep.sweep(job, space, trials=9, jobs=1, current=lambda key: None, sampler="grid")
    assert [t.parameters[key] for t in found.trials] == [1.0, 2.0]
    assert len(found.refused) == 1 and "stop_atr" in found.refused[0]
    with pytest.raises(ConfigError, match="stop_atr"):
        never = sweep.Space((sweep.Parameter(key, values=(-1.0, -2.0)),))
        sweep.sweep(job, never, trials=9, jobs=1, current=lambda key: None, sampler="grid")


def test_an_interrupted_sweep_keeps_what_it_has(
    job: Job, result: Result, space: sweep.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []

    def once(todo: Sequence[Job]) -> list[Result]:
        rounds.append(len(todo))
        if len(rounds) > 1:
            raise KeyboardInterrupt
        return [msgspec.structs.replace(result, job=one) for one in todo]

    monkeypatch.setattr(sweep, "ROUND", 4)
    monkeypatch.setattr(sweep, "executor", lambda jobs, cluster="": nullcontext(once))
    found = sweep.sweep(job, space, trials=6, jobs=1, current=lambda key: [0.0, 0.0, 0.0], sampler="grid")
    assert found.interrupted and len(found.trials) == 4 and rounds == [4, 2]


def test_no_process_outlives_an_interrupted_pool(tmp_path: Path) -> None:
    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = set(active_children())
    previous = signal.signal(signal.SIGALRM, interrupt)
    begun, main, over = tmp_path / "begun", threading.get_ident(), threading.Event()

    def when_it_works() -> None:
        while not begun.exists():
            if over.wait(0.01):
                return
        signal.pthread_kill(main, signal.SIGALRM)

    watcher = threading.Thread(target=when_it_works)
    try:
        with pytest.raises(KeyboardInterrupt), sweep.executor(1, of=endless) as run_all:
            watcher.start()
            list(run_all([Job(name=str(begun))]))
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGALRM, previous)
    for process in set(active_children()) - before:
        process.join(240.0)
    assert set(active_children()) <= before


def endless(job: Job) -> None:
    Path(job.name).touch()
    threading.Event().wait()


def test_a_sweep_repeats_with_its_seed(job: Job, space: sweep.Space, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="extra `tune`")
    run_here(monkeypatch)
    first, second = (
        sweep.sweep(job, space, trials=3, jobs=1, current=lambda key: [0.0, 0.0, 0.0], seed=4) for _ in range(2)
    )
    assert [t.parameters for t in first.trials] == [t.parameters for t in second.trials]
    assert [t.decision_digest for t in first.trials] == [t.decision_digest for t in second.trials]


@pytest.mark.parametrize("cluster", ["", "local"])
def test_processes_and_a_dask_cluster_give_the_same(job: Job, space: sweep.Space, cluster: str) -> None:
    if cluster:
        pytest.importorskip("distributed", reason="extra `cluster`")
    found = sweep.sweep(
        job, space, trials=2, jobs=2, current=lambda key: [0.0, 0.0, 0.0], sampler="grid", cluster=cluster
    )
    for trial in found.trials:
        assert run(msgspec.structs.replace(job, overrides=trial.overrides)).decision_digest == trial.decision_digest


def test_two_local_clusters_at_once_share_no_port() -> None:
    pytest.importorskip("distributed", reason="extra `cluster`")
    with sweep.executor(1, "local"), sweep.executor(1, "local"):
        pass


@pytest.mark.parametrize(("text", "words"), [
    ("", "missing required field `parameter`"), ("parameter = []", "no \\[\\[parameter\\]\\]"), ("[[parameter", "A space is"),
    ("[[parameter]]\nkey='a'\nlow=2.0\nhigh=1.0", "`low` smaller"),
    ("[[parameter]]\nkey='a'\nfoo=1", "foo"),
])
def test_a_bad_space_says_why(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(sweep.SweepError, match=words):
        sweep.read_space(path)


# --- command line --------------------------------------------------------------------------------------------------------
def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / "launch.py"), *arguments], capture_output=True, text=True, cwd=ROOT,
                          env=environment(), timeout=300)


def test_the_verbs(job: Job, result: Result, tmp_path: Path) -> None:
    sets = [f"--set={key}={json.dumps(value)}" for key, value in EAGER.items()]
    common = ["--tape", job.tapes[0], "--data-dir", str(tmp_path), *sets]
    done = launch("backtest", *common, "--json", "--no-check", "--html", str(tmp_path / "report.html"),
                  "--progress", str(tmp_path / "progress"))
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["decision_digest"], told["id"]) == (result.decision_digest, 1)
    assert json.loads((tmp_path / "progress").read_text())["share"] == 1.0
    assert (tmp_path / "report.html").stat().st_size > 5000
    done = launch("compare", "latest", "latest", "--data-dir", str(tmp_path), "--json")
    assert json.loads(done.stdout)["same_decisions"] == len(result.intents)


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (("backtest",), 2, "either --tape"), (("backtest", "--tape", "/no/such/file"), 2, "does not exist"),
    (("backtest", "--tape", __file__, "--set", "x"), 2, "key=value"),
    (("backtest", "--tape", __file__, "--set", "trading.nothing=1"), 3, "trading.nothing"),
    (("backtest", "--tape", __file__, "--from", "soon"), 2, "is no time"),
    (("backtest", "--journal", "/no/such/folder", "--run", "nobody"), 2, "holds no run nobody"),
    (("compare", "a", "b", "--data-dir", "/nonexistent"), 1, "no backtest 'a'"),
])
def test_errors_say_cause_and_fix(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = launch(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
