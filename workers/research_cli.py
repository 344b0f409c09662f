"""Verbs of research: `backtest`, `compare`, `sweep`. They work on recordings beside a running system and touch none of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from config.atomic_file import write_replacing
from config.load import ConfigError, parse_set
from config.paths import DataPaths, default_data_dir
from config.times import utc
from core.constants import NS_PER_S
from core.words import plural
from workers.cli_common import compile_kernels
from workers.cli_errors import EXIT_CONFIG, EXIT_UNEXPECTED, EXIT_USAGE, Fault

WHYS = 20  # differing trades that `compare` explains on the terminal


def parse_time(text: str) -> int:
    """ns since the epoch from `2026-08-09T14:00:00` (UTC), ns or seconds. Raises click.BadParameter."""
    if not text:
        return 0
    if text.isdecimal():
        value = int(text)
        return value if value > 10**15 else value * NS_PER_S
    try:
        return round(utc(text).timestamp() * 1000) * 1_000_000
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time. Write 2026-08-09T14:00:00 (UTC), or seconds or ns since 1970.") from None


@contextmanager
def told_errors() -> Iterator[None]:
    """What a user can mend becomes one sentence and an exit code."""
    from gateway.tape import TapeError
    from workers.backtest_store import StoreError
    from workers.sweep import SweepError

    try:
        yield
    except ConfigError as error:
        raise Fault(EXIT_CONFIG, str(error)) from None
    except (TapeError, SweepError) as error:
        raise Fault(EXIT_USAGE, str(error)) from None
    except StoreError as error:
        raise Fault(EXIT_UNEXPECTED, str(error)) from None


@contextmanager
def shown_progress(title: str, quiet: bool, file: Path | None = None) -> Iterator[Callable[[float], None]]:
    """A bar with the time left on standard error; the same in `file` for whoever started this (admin/sessions.py)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task(title, total=1.0)

        def told(share: float) -> None:
            bar.update(task, completed=share)
            if file is not None:
                left_s = bar.tasks[task].time_remaining
                write_replacing(file, msgspec.json.encode({"doing": title, "share": share, "left_s": left_s}))

        yield told


JOB_OPTIONS = (
    click.option("--tape", "tapes", multiple=True, type=click.Path(exists=True, dir_okay=False), help="recorded frames (repeat)"),
    click.option("--journal", type=click.Path(path_type=Path), help="folder of a run's journal, or `latest`, instead of tapes"),
    click.option("--run", "run_id", default="", help="which run, of --journal or of the data folder [the newest]"),
    click.option("--instruments", type=click.Path(exists=True, dir_okay=False), help="recorded instruments-info answer"),
    click.option("--symbols", default="", help="only these, or so many"),
    click.option("--from", "from_text", default="", help="enter nothing before this time (UTC); what is before warms up"),
    click.option("--to", "to_text", default="", help="stop at this time"),
    click.option("-c", "--config", "config_files", multiple=True, type=click.Path(exists=True, dir_okay=False)),
    click.option("--set", "sets", multiple=True, help="key=value: one setting (repeat)"),
    click.option("--data-dir", type=click.Path(path_type=Path), help="where results live [data/]"),
    click.option("--json", "as_json", is_flag=True, help="the last line of standard output is one JSON object"),
)


def job_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(JOB_OPTIONS):
        command = option(command)
    return command


def job_of(options: dict[str, Any]) -> Any:
    """The Job the common options describe. A tape run's journal leads to its tapes."""
    from workers.backtest import Job

    tapes, journal = tuple(options["tapes"]), options["journal"]
    data_dir = paths_of(options["data_dir"]).data_dir
    if str(journal) == "latest" or (options["run_id"] and not tapes and not journal):
        journal = data_dir
    if bool(tapes) == bool(journal):
        raise Fault(EXIT_USAGE, "name what to run on: either --tape FILE (repeat) or --journal DIR|latest, or --run ID of the "
                                "data folder.")
    if tapes and options["run_id"]:
        raise Fault(EXIT_USAGE, "--run names a run of a journal, and a tape has none: leave one of them out.")
    from_ns, to_ns = parse_time(options["from_text"]), parse_time(options["to_text"])
    if to_ns and from_ns >= to_ns:
        raise Fault(EXIT_USAGE, "--from must be before --to.")
    try:
        overrides = parse_set(options["sets"])
    except ConfigError as error:
        raise Fault(EXIT_USAGE, f"--set {error}") from None
    place, run_id = "", ""
    if journal:
        if options["symbols"] or options["instruments"]:
            raise Fault(EXIT_USAGE, "a journal brings the symbols and instruments of its run: --symbols and --instruments are "
                                    "for tapes.")
        place, run_id, tapes = journal_place(journal, options["run_id"])
    return Job(
        tapes=tapes, journal=place, run_id=run_id, instruments=options["instruments"] or "", symbols=options["symbols"],
        config_files=options["config_files"], overrides=overrides, from_ns=from_ns, to_ns=to_ns,
    )


def journal_place(journal: Path, run_id: str = "") -> tuple[str, str, tuple[str, ...]]:
    """(journal folder, run id, no tapes) of a run, the newest for "", or ("", "", its tapes) of a tape run. TapeError."""
    from gateway.tape import TapeError
    from workers.run_journal import NoJournal, find_run

    try:
        found = find_run(journal.expanduser(), run_id)
        tapes = tuple(str(path) for path in found.spec().tape)
    except NoJournal as error:
        raise TapeError(str(error)) from None
    return ("", "", tapes) if tapes else (str(found.folder), found.run_id, ())


def paths_of(data_dir: Path | None) -> DataPaths:
    return DataPaths(data_dir.expanduser().resolve() if data_dir else default_data_dir(dict(os.environ)), "SIM")


def summary_of(result: Any, folder: Path | None) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "name": result.name, "decision_digest": result.decision_digest, "settings_digest": result.settings_digest,
        "frames": result.counts["frames"], "orders": result.counts["orders"], "fills": result.counts["fills"],
        "open_positions": result.counts["open_positions"], "wall_s": round(result.wall_s, 3),
        "folder": str(folder) if folder else "", **result.figures,
    }


@click.command()
@job_options
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="also write the report here")
@click.option("--check/--no-check", default=True, help="look-ahead self-check: recordings cut short decide the same [on]")
@click.option("--name", default="", help="what to call the result")
@click.option("--jobs", default=1, type=click.IntRange(1), show_default=True,
              help="processes for the self-check: its cuts run side by side")
@click.option("--timing", type=click.Choice(["run", "model"]), default="run", show_default=True,
              help="of a journal: answers when and in the order the run had them, or after latency_ms alone")
@click.option("--progress", "progress_file", type=click.Path(path_type=Path), help="write here how far it is, as JSON")
def backtest(
    html_file: Path | None, check: bool, name: str, jobs: int, timing: str, progress_file: Path | None, **options: Any
) -> None:
    """Run the system over recorded frames: trades, costs, figures, and a report that explains every trade."""
    from workers.backtest import run, settings_of
    from workers.backtest_store import StoreError, save, write_row
    from workers.look_ahead import look_ahead, past_of
    from workers.sweep import executor

    compile_kernels()
    quiet = options["as_json"]
    with told_errors():
        job = msgspec.structs.replace(job_of(options), name=name, timing=timing)
        with shown_progress("backtest", quiet, progress_file) as progress:
            result = run(job, progress)
        faults: list[str] = []
        if check:
            with (
                shown_progress("look-ahead check", quiet, progress_file) as progress,
                executor(jobs, of=past_of) as beside,
            ):
                faults = look_ahead(job, result, beside if jobs > 1 else None)
                progress(1.0)
        paths = paths_of(options["data_dir"])
        folder = save(result, paths, html_file)
        number = None
        try:
            number = write_row(result, paths, settings_of(job).system.database.url)
        except StoreError as error:
            click.echo(f"  {error}", err=True)
    f = result.figures
    if quiet:
        click.echo(json.dumps(summary_of(result, folder) | {"id": number, "look_ahead": faults if check else None}))
    else:
        click.echo(
            f"{plural(f['trades'], 'trade')}, net {f['net_usdt']:+.4f} USDT, digest {result.decision_digest}, "
            f"{result.wall_s:.1f} s\n"
            f"report: {folder / 'report.html'}"
        )
        for remark in result.remarks:
            click.echo(f"note: {remark}")
        if check:
            click.echo("look-ahead: " + ("\n".join(faults) or "none (recordings cut short decide the same)"))
    if faults:
        raise Fault(EXIT_UNEXPECTED, "decisions depend on what came later: see above.")


def side_of(name: str, other: str, paths: DataPaths) -> Any:
    """The Result a side of `compare` names."""
    from workers.backtest import Job, run
    from workers.backtest_store import load_result
    from workers.run_result import result_of_run, settings_of_run

    word, _, run_id = name.partition(":")
    if word == "live":
        return result_of_run(paths.data_dir, run_id)
    if word == "journal":
        if not run_id and other.partition(":")[0] in ("live", "shadow"):
            run_id = other.partition(":")[2]
        live = result_of_run(paths.data_dir, run_id)
        run_id = live.job.run_id
        place, run_id, tapes = journal_place(Path(live.job.journal), run_id)
        job = Job(journal=place, run_id=run_id, tapes=tapes, name=f"journal of {live.name}", timing="run")
        with shown_progress("backtest of the journal", False) as progress:
            return run(job, progress, settings_of_run(paths.data_dir, live.job.run_id))
    return load_result(name, paths)


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--data-dir", type=click.Path(path_type=Path), help="where results live [data/]")
@click.option("--json", "as_json", is_flag=True)
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="also write the comparison here")
def compare(a: str, b: str, data_dir: Path | None, as_json: bool, html_file: Path | None) -> None:
    """Two runs side by side: trades, prices, costs.

    Each of A and B is a backtest (folder name, path, `latest`), `live` (what the newest run did, in any mode; `live:RUN`),
    `shadow` (what `run --shadow` decided beside it; `shadow:RUN`), or `journal` (the backtest of the run's own journal with
    the run's own settings, made now; `journal:RUN`).
    """
    from core.performance.comparison import compare as compared
    from workers.backtest_report import comparison_html, shortfall_rows
    from workers.backtest_store import write_page
    from workers.run_reasons import Reasons, share_events

    if "journal" in (a.partition(":")[0], b.partition(":")[0]):
        compile_kernels()
    with told_errors():
        paths = paths_of(data_dir)
        left, right = side_of(a, b, paths), side_of(b, a, paths)
    same_data = left.input == right.input
    kept = (left.intents, right.intents) if same_data else (None, None)
    found = compared(left.figures, left.trades, right.figures, right.trades, *kept)
    reasons = Reasons(left, right) if share_events(left, right) else None
    whys = [(pair, reasons.why(pair)) for pair in found.pairs if reasons and not pair.is_same]
    if html_file is not None:
        with told_errors():
            write_page(html_file, comparison_html(left, right, found))
    if as_json:
        short = found.shortfall
        click.echo(json.dumps({
            "a": left.name, "b": right.name, "same_data": same_data, "same_decisions": found.same_until, "figures": found.figures,
            "both": len(found.both), "only_a": len(found.only_a), "only_b": len(found.only_b),
            "shortfall": {**short._asdict(), "total_e8": short.total_e8},
            "reasons": reasons.general if reasons else [],
            "differing": [{"decision_id": (pair.a or pair.b).decision_id, "why": why} for pair, why in whys],  # type: ignore[union-attr]
        }))
        return
    click.echo(f"a {left.name}\nb {right.name}" + ("" if same_data else "\n(different recordings)"))
    for row in found.figures:
        cells = ["–" if row[side] is None else f"{row[side]:.4f}" for side in ("a", "b", "difference")]
        click.echo(f"  {row['figure']:18}{cells[0]:>14}{cells[1]:>14}{cells[2]:>14}")
    click.echo(f"{plural(len(found.both), 'trade')} in both, {len(found.only_a)} only in a, {len(found.only_b)} only in b"
               + (f"; the same in the first {plural(found.same_until, 'decision')}" if found.same_until is not None else ""))
    click.echo("what a has less than b:")
    for row in shortfall_rows(found.shortfall)[3:]:
        click.echo(f"  {row['name']:44}" + ("–" if row["value"] is None else f"{row['value']:+.4f}"))
    for text in reasons.general if reasons else []:
        click.echo(f"why: {text}")
    for pair, why in whys[:WHYS]:
        trade = pair.a or pair.b
        click.echo(f"  {trade.symbol} {trade.decision_id}: {why}")  # type: ignore[union-attr]
    if len(whys) > WHYS:
        click.echo(f"  and {len(whys) - WHYS} more (all of them with --json or --html)")


@click.command()
@click.argument("run_id", metavar="[RUN]", default="")
@click.option("--data-dir", type=click.Path(path_type=Path), help="where the run lies [data/]")
@click.option("--last", default=1, type=click.IntRange(1), show_default=True, metavar="N",
              help="take N runs together: this one and those before it at the same exchange")
@click.option("--apply", "applies", is_flag=True, help="paper, backtests and shadows take latency and queue from it from now on")
@click.option("--json", "as_json", is_flag=True)
def calibrate(run_id: str, data_dir: Path | None, last: int, applies: bool, as_json: bool) -> None:
    """What own fills say about the paper engine: latency, queue, money. Writes a suggestion, applies nothing without --apply.

    A suggestion needs 30 orders, or fills; a capital tier allows 3 to 7 trades a day. `--last N` takes N runs together.
    """
    from config.paths import CALIBRATED, LOCAL
    from workers.calibrate import apply, said, save
    from workers.calibrate import calibrate as look

    compile_kernels()
    with told_errors():
        paths = paths_of(data_dir)
        with shown_progress("paper on the same period", as_json) as progress:
            found = look(paths.data_dir, run_id, progress, last)
        file = save(found, DataPaths(paths.data_dir, found.mode))
        layer = LOCAL.with_name(CALIBRATED)
        applied = apply(found, layer) if applies else {}
    if as_json:
        click.echo(file.with_suffix(".json").read_text())
        return
    click.echo("\n".join(said(found)))
    click.echo(f"suggestion: {file}" + ("" if found.suggests else " (too few orders: no setting in it; --last N takes "
                                                                        "runs before it, too)"))
    if applied:
        told = ", ".join(f"{name} = {value}" for name, value in applied.items())
        click.echo(f"applied: {told} in {layer}; a start or reload takes it. Remove the file to go back.")


@click.command()
@job_options
@click.option("--space", "space_file", required=True, type=click.Path(exists=True, path_type=Path), help="TOML: what to vary")
@click.option("--trials", default=20, type=click.IntRange(1), show_default=True)
@click.option("--jobs", default=os.cpu_count() or 1, type=click.IntRange(1), show_default=True, help="side by side")
@click.option("--sampler", type=click.Choice(["tpe", "grid"]), default="tpe", show_default=True)
@click.option("--objective", default="net_usdt", show_default=True, help="a figure of the report")
@click.option("--seed", default=0, show_default=True)
@click.option("--cluster", default="", help="a Dask cluster: its address, or `local`")
@click.option("--resume", "resumed", default="", metavar="NAME",
              help="go on with a sweep that was ended, given the same options: what it has computed is taken; or `latest`")
def sweep(
    space_file: Path, trials: int, jobs: int, sampler: str, objective: str, seed: int, cluster: str, resumed: str, **options: Any
) -> None:
    """Search for settings by many backtests, with the odds that the best one is luck.

    Each point is kept as soon as it is computed, so a sweep that was ended or killed can go on: --resume.
    """
    from workers import sweep_store
    from workers.backtest import settings_of
    from workers.sweep import OBJECTIVES, Trial, read_space
    from workers.sweep import sweep as search

    if objective not in OBJECTIVES:
        raise Fault(EXIT_USAGE, f"no objective {objective!r}: {', '.join(OBJECTIVES)}.")
    compile_kernels()
    quiet = options["as_json"]
    with told_errors():
        job = job_of(options)
        space, settings = read_space(space_file), settings_of(job)

        def current(key: str) -> Any:
            value: Any = settings
            for part in key.split("."):
                value = getattr(value, part, None)
            return value

        wanted, paths = sweep_store.asked(job, space, sampler, seed, objective), paths_of(options["data_dir"])
        store = sweep_store.resume(resumed, wanted, paths) if resumed else sweep_store.begin(wanted, paths)
        click.echo(f"sweep {store.name}" + (f": {plural(len(store), 'point')} computed already" if resumed else ""), err=True)
        with closing(store), shown_progress("sweep", quiet) as progress:

            def told(trial: Trial) -> None:
                progress((trial.number + 1) / trials)

            found = search(job, space, trials=trials, jobs=jobs, current=current, objective=objective, sampler=sampler, seed=seed,
                           cluster=cluster, told=told, kept=store)
    if quiet:
        click.echo(msgspec.json.encode({"name": store.name, **msgspec.structs.asdict(found)}).decode())
    else:
        show_ranking(found)
    if found.interrupted:
        raise Fault(EXIT_UNEXPECTED, f"interrupted: {len(found.trials)} of {trials} trials were done, "
                                     f"{plural(len(store), 'point')} kept. The same command with `--resume {store.name}` "
                                     "goes on.")


def show_ranking(found: Any) -> None:
    """The best trials, and what their best is worth."""
    for trial in found.trials[:10]:
        value = "–" if trial.value is None else f"{trial.value:.4f}"
        point = ", ".join(f"{k}={v}" for k, v in trial.parameters.items())
        click.echo(f"{value:>12}  {plural(trial.trades, 'trade'):>12}  {point}")
    if found.refused:
        click.echo(f"{plural(len(found.refused), 'point')} without valid settings, the first: {found.refused[0]}")
    if found.deflated is not None:
        click.echo(f"{plural(len(found.trials), 'try', 'tries')}. That the best one is more than luck: "
                   f"{100 * found.deflated:.0f} % (luck alone would show a Sharpe ratio of {found.expected_luck:.2f} per trade)")


VERBS = (backtest, compare, sweep, calibrate)
