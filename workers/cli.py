"""The verbs of `launch.py`. Light at import: a verb loads what it needs when it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from config.load import ConfigError, Loaded, load
from config.paths import DataPaths, default_data_dir
from workers import research_cli
from workers.cli_errors import EXIT_CONFIG, EXIT_CREDENTIALS, EXIT_PREFLIGHT, EXIT_USAGE, Fault

PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}  # a verb whose options belong to another program


class DefaultVerb(click.Group):
    """`launch.py --shards 2` means `launch.py run --shards 2`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h", "--version", "-V")):
            if args and not args[0].startswith("-"):
                near = ", ".join(sorted(self.commands))
                raise click.UsageError(f"no such verb `{args[0]}`. Verbs: {near}.", ctx)
            args = ["run", *args]
        return super().parse_args(ctx, args)


MODES = click.Choice(["SIM", "PAPER", "DRY_RUN", "LIVE"], case_sensitive=False)
data_dir_option = click.option(
    "--data-dir", "--userdir", type=click.Path(path_type=Path), default=None, help="where data lives [data/]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="machine output: the last line is one JSON object")
config_option = click.option(
    "-c", "--config", "config_files", multiple=True, type=click.Path(path_type=Path), help="TOML layered on top (repeatable)"
)


@click.group(cls=DefaultVerb, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="scalper")
def cli() -> None:
    """Scalper: automated scalping of Bybit USDT perpetuals.

    Without a verb it runs: `launch.py --shards 2` starts the whole system on the embedded exchange.
    """


def data_dir_of(value: Path | None) -> Path:
    """`--data-dir`, else the environment, else `data/`."""
    return value.expanduser().resolve() if value else default_data_dir()


def compile_kernels() -> None:
    """Fill the kernel cache, with a progress bar on standard error; at once when it is warm."""
    from workers.compiling import CompileError, warm

    try:
        warm(Path(os.environ["NUMBA_CACHE_DIR"]))
    except CompileError as error:
        raise Fault(1, str(error)) from None


def load_config(files: tuple[Path, ...], overrides: dict[str, Any]) -> Loaded:
    """Settings from every layer; all faults in one message, exit code 3."""
    try:
        return load(files, os.environ, overrides)
    except ConfigError as error:
        raise Fault(EXIT_CONFIG, "config: " + "\n   ".join(error.errors)) from None


def parse_speed(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """0.0 = as fast as possible."""
    if value == "max":
        return 0.0
    try:
        speed = float(value)
    except ValueError:
        speed = -1.0
    if not 0.0 < speed <= 10_000.0:
        raise click.BadParameter(f"{value!r} is not a speed: use `max`, or a factor such as 1 or 10")
    return speed


def parse_venue(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A named venue, or the address of one that speaks Bybit V5."""
    from workers.starting import venue_address

    try:
        venue_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


@cli.command()
@click.option("--shards", type=click.IntRange(1, 8), default=2, show_default=True, help="shard worker processes")
@click.option("--venue", callback=parse_venue, default="embedded", show_default=True,
              help="embedded|mainnet|testnet|demo|REST[,WS]")
@click.option("--tape", multiple=True, type=click.Path(path_type=Path), help="recorded frames (repeatable: merged by time)")
@click.option("--instruments", type=click.Path(path_type=Path), help="recorded instruments-info answer for the tape")
@click.option("--speed", callback=parse_speed, default="1", show_default=True, help="tape speed: N or max")
@click.option("--mode", type=click.Choice(["SIM", "PAPER", "DRY_RUN", "LIVE"], case_sensitive=False), help="overrides the config")
@click.option("--live", is_flag=True, help="first confirmation of --mode LIVE: real orders, real money")
@click.option("--i-understand", "account", default="", metavar="ACCOUNT",
              help="second confirmation of LIVE, for services: the account's number (else it is asked for)")
@click.option("--symbols", default=None, help="COUNT or comma separated LIST [embedded: 40, else all]")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), help="stop after this many seconds")
@click.option("--shadow", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="TOML of a second configuration that decides beside this one, on paper (repeatable: layered)")
@data_dir_option
@click.option("--admin-port", type=click.IntRange(0, 65535), help="page port, 0 = any free one")
@click.option("--no-admin", is_flag=True, help="no admin process")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=42, show_default=True, help="seed of the embedded market")
@config_option
@json_option
@click.option("-v", "--verbose", count=True, help="show the output of the processes")
def run(
    shards: int,
    venue: str,
    tape: tuple[Path, ...],
    instruments: Path | None,
    speed: float,
    mode: str | None,
    live: bool,
    account: str,
    symbols: str | None,
    duration: float | None,
    shadow: tuple[Path, ...],
    data_dir: Path | None,
    admin_port: int | None,
    no_admin: bool,
    seed: int,
    config_files: tuple[Path, ...],
    as_json: bool,
    verbose: int,
) -> None:
    """Start everything (the default verb)."""
    overrides: dict[str, Any] = {}
    if mode:
        overrides["trading.mode"] = {"PAPER": "SIM"}.get(mode.upper(), mode.upper())
    if admin_port is not None:
        overrides["system.admin.port"] = admin_port
    for path in (*tape, *([instruments] if instruments else [])):
        if not path.is_file():
            hint = "Give the path of a `<recv_ns> <raw frame>` file (plain, .gz or .zst)."
            raise Fault(EXIT_USAGE, f"no such file: {path}. {hint}")
    from workers.starting import Options
    from workers.supervisor import Supervisor

    if shadow:
        if tape:
            raise Fault(EXIT_USAGE, "--shadow follows a run's journal; on a tape use `backtest` with the other settings.")
        load_config((*config_files, *shadow), overrides | {"trading.mode": "SIM"})  # its faults are told before anything starts
    loaded = load_config(config_files, overrides)
    options = Options(
        shards=shards,
        venue=venue,
        tape=tuple(str(path.resolve()) for path in tape),
        instruments=str(instruments.resolve()) if instruments else "",
        speed=speed,
        symbols=symbols or "",
        duration_s=duration or 0.0,
        data_dir=data_dir_of(data_dir),
        admin=not no_admin,
        seed=seed,
        config_files=tuple(str(path.resolve()) for path in config_files),
        overrides=overrides,
        live=live,
        account=account,
        shadow=tuple(str(path.resolve()) for path in shadow),
        json=as_json,
        verbose=verbose,
    )
    raise SystemExit(Supervisor(options, loaded).main())


@cli.command(add_help_option=False, context_settings=PASS_ON)
@click.pass_context
def venue(ctx: click.Context) -> None:
    """Run the embedded exchange alone (options: `venue --help`)."""
    if not {"-h", "--help"} & set(ctx.args):
        compile_kernels()
    os.execv(sys.executable, [sys.executable, "-m", "gateway.venue", *ctx.args])


WHOLE_MACHINE = ("system",)  # markers of tests that want the machine to themselves


@cli.command(add_help_option=False, context_settings=PASS_ON)
@click.pass_context
def test(ctx: click.Context) -> None:
    """Run the test suite (arguments go to pytest).

    Without arguments in two passes: first what stands alone, spread over the cores; then what starts whole plants, one
    at a time.
    """
    pytest = [sys.executable, "-m", "pytest"]
    if ctx.args:
        os.execv(sys.executable, [*pytest, *ctx.args])
    compile_kernels()  # once, not once per core
    alone = " or ".join(WHOLE_MACHINE)
    spread = ["-n", str(os.cpu_count() or 1), "--dist", "loadfile", "--benchmark-disable", "-m", f"not ({alone})"]
    codes = [subprocess.run([*pytest, *arguments]).returncode for arguments in (spread, ["-m", alone])]
    ctx.exit(next((code for code in codes if code), 0))


@cli.command(context_settings=PASS_ON)
@click.argument("name", required=False)
@click.pass_context
def bench(ctx: click.Context, name: str | None) -> None:
    """Run one bench, or list them (`bench ring --small --out FILE`)."""
    from config.paths import ROOT

    names = sorted(path.stem[len("bench_"):] for path in (ROOT / "bench").glob("bench_*.py"))
    if not name:
        click.echo("\n".join(names))
        return
    if name not in names:
        raise Fault(EXIT_USAGE, f"no bench `{name}`. Benches: {', '.join(names)}.")
    os.execv(sys.executable, [sys.executable, "-m", f"bench.bench_{name}", *ctx.args])


@cli.command(add_help_option=False, context_settings=PASS_ON)
@click.pass_context
def explain(ctx: click.Context) -> None:
    """Why a symbol did or did not trade: `explain BTCUSDT`, or a decision id (`explain --help`)."""
    os.execv(sys.executable, [sys.executable, "-m", "admin.explain_cli", *ctx.args])


@cli.command()
@click.argument("place", metavar="DIR|latest", default="latest")
@click.option("--run", "run_id", default="", help="run id  [default: the newest of the folder]")
@click.option("--from", "from_time", default="", help="list differences from this time on: 2026-08-09T10:15, or ns")
@click.option("--to", "to_time", default="", help="stop at this time")
@click.option("--shards", type=click.IntRange(0, 32), default=0, help="engines  [default: as the run had]")
@click.option("--verify", is_flag=True, help="exit code 1 unless identical and complete")
@click.option("--page", is_flag=True, help="show it on the pages, to be played, paused, stepped and sought through")
@click.option("--speed", default="1", show_default=True, help="with --page: times the recorded speed, or max")
@click.option("--paused", is_flag=True, help="with --page: wait at the beginning")
@click.option("--admin-port", type=click.IntRange(0, 65535), default=0, help="with --page: port, 0 = any free one")
@data_dir_option
@json_option
def replay(
    place: str, run_id: str, from_time: str, to_time: str, shards: int, verify: bool, page: bool, speed: str, paused: bool,
    admin_port: int, data_dir: Path | None, as_json: bool,
) -> None:
    """Run a journal again and compare every decision: a data folder, a journal folder, or `latest`."""
    if page and (to_time or shards or verify or as_json):
        raise Fault(EXIT_USAGE, "--page goes with --run, --from, --speed, --paused and --admin-port only.")
    compile_kernels()
    from workers.replay_console import replay_folder
    from workers.replay_page import PageOptions, replay_page
    from workers.run_journal import NoJournal
    from workers.starting import StartError

    folder = data_dir_of(data_dir) if place == "latest" else Path(place).expanduser().resolve()
    try:
        if page:
            code = replay_page(folder, run_id, data_dir_of(data_dir), PageOptions(admin_port, speed, paused, from_time))
        else:
            code = replay_folder(folder, run_id, from_time, to_time, shards, verify, as_json)
    except NoJournal as error:
        raise Fault(EXIT_USAGE, str(error)) from None
    except StartError as error:
        raise Fault(error.code, str(error)) from None
    raise SystemExit(code)


@cli.command()
@data_dir_option
@click.option("--mode", type=click.Choice(["SIM", "PAPER", "DRY_RUN", "LIVE"], case_sensitive=False), default="SIM",
              show_default=True, help="whose orders")
@click.option("--csv", "form", flag_value="csv", help="every order with every stamp, one line each")
@click.option("--json", "form", flag_value="json", help="the same as one JSON object, with the stages")
def latency(data_dir: Path | None, mode: str, form: str | None) -> None:
    """Where the time of every order went, from exchange event to fill (also when nothing runs)."""
    from workers.latency_export import export

    name = {"PAPER": "SIM"}.get(mode.upper(), mode.upper())
    if not export(data_dir_of(data_dir), name, form or "table") and not form:
        raise Fault(1, f"no order of mode {name} in {data_dir_of(data_dir)}.")


@cli.command()
@data_dir_option
@json_option
def status(data_dir: Path | None, as_json: bool) -> None:
    """Show what the running system does (from shared memory, also when the page is down)."""
    from workers.control import status_of

    state = status_of(data_dir_of(data_dir))
    if state is None:
        raise Fault(1, f"nothing runs in {data_dir_of(data_dir)}. Start it with `launch.py --shards 2`.")
    if as_json:
        click.echo(json.dumps(state))
        return
    from workers.console import print_status

    print_status(state)


@cli.command()
@data_dir_option
def pause(data_dir: Path | None) -> None:
    """Stop new entries, also after a restart; exits go on."""
    _control(data_dir, "pause")


@cli.command()
@data_dir_option
@click.option("--clear-kill", is_flag=True, help="also clear the kill latch")
def resume(data_dir: Path | None, clear_kill: bool) -> None:
    """Allow entries again."""
    _control(data_dir, "resume", clear=clear_kill)


@cli.command()
@data_dir_option
@click.option("--reason", default="command line", help="kept in the latch file")
def kill(data_dir: Path | None, reason: str) -> None:
    """Stop entries, cancel, close everything reduce-only; stays latched until cleared."""
    paths = DataPaths(data_dir_of(data_dir), "SIM")
    from config.latch_file import write_latch

    write_latch(paths.kill_file, "cli", reason)  # first and durable: it works with everything else dead
    click.echo(f"kill latched in {paths.kill_file}")
    _control(data_dir, "kill", missing_ok=True)


@cli.command()
@data_dir_option
@click.argument("symbol")
@click.argument("kind", metavar="TYPE")
@click.option("--impact", type=float, help="0 to 100; 0 takes a flag of this type down  [default: news.impact]")
@click.option("--half-life", type=float, metavar="S", help="the impact halves in this time  [default: news.half_life_s]")
@click.option("--ttl", type=float, metavar="S", help="and is gone after this  [default: news.ttl_s]")
@click.option("--text", default="", help="headline, for the log")
def news(
    data_dir: Path | None, symbol: str, kind: str, impact: float | None, half_life: float | None, ttl: float | None,
    text: str,
) -> None:
    """Flag news about SYMBOL (or ALL): LISTING, DELISTING, PARTNERSHIP, UNLOCK, HACK, REGULATION, MACRO or OTHER."""
    from config.news_file import NewsError, NewsItem, append_news
    from core.enums import NewsType

    types = tuple(each.name for each in NewsType if each != NewsType.NONE)
    try:
        item = NewsItem(symbol.upper(), kind.upper(), impact, half_life, ttl, text).check(types)
    except NewsError as error:
        raise Fault(EXIT_USAGE, str(error)) from None
    path = DataPaths(data_dir_of(data_dir), "SIM").news_file
    append_news(path, item)
    click.echo(f"{item.symbol} {item.type} noted in {path}; a running gateway takes it within a second")


@cli.command()
@data_dir_option
@click.argument("symbol")
def enable(data_dir: Path | None, symbol: str) -> None:
    """Trade SYMBOL again after the churn throttle has latched it off (look why first)."""
    from workers.rollout_cli import enable as take_off

    modes = take_off(data_dir_of(data_dir), symbol.upper())
    if not modes:
        raise Fault(1, f"{symbol.upper()} is not latched off in {data_dir_of(data_dir)}.")
    click.echo(f"{symbol.upper()} may be traded again ({', '.join(modes)}); a running system sees it within a second")


@cli.group()
def pin() -> None:
    """The PIN of mode LIVE."""


@pin.command("set")
@data_dir_option
def pin_set(data_dir: Path | None) -> None:
    """Set or change it: asked for, never shown, kept as a scrypt hash."""
    from config.pin import PinError
    from workers.rollout_cli import change_pin

    try:
        change_pin(data_dir_of(data_dir))
    except PinError as error:
        raise Fault(EXIT_CREDENTIALS, str(error)) from None
    click.echo("the PIN is set")


@cli.group()
def rollout() -> None:
    """The capital stage of the LIVE account: what the evidence allows, and what happened to it."""


@rollout.command("status")
@data_dir_option
@json_option
def rollout_status(data_dir: Path | None, as_json: bool) -> None:
    """Tier allowed, and every requirement of the next ones."""
    from workers.rollout_cli import lines, status

    state = status(data_dir_of(data_dir))
    click.echo(json.dumps(state) if as_json else "\n".join(lines(state)))


@rollout.command("incident")
@data_dir_option
@click.option("--kind", type=click.Choice(["technical", "market", "safety"]), required=True)
@click.option("--serious", is_flag=True, help="PAPER only for three days, then MICRO again")
@click.option("--cause", default="", help="what brought it about")
@click.option("--fix", default="", help="what was done about it")
@click.option("--not-reacted", is_flag=True, help="no safety reacted to it")
@click.argument("symptom")
def rollout_incident(
    data_dir: Path | None, kind: str, serious: bool, cause: str, fix: str, not_reacted: bool, symptom: str
) -> None:
    """Record an incident: kills, collects the last 15 minutes of logs, adds a line to INCIDENTS.md, costs a tier."""
    from config.latch_file import write_latch
    from workers.rollout import note_incident

    paths = DataPaths(data_dir_of(data_dir), "LIVE")
    write_latch(paths.kill_file, "cli", f"incident: {symptom}")
    folder = note_incident(paths, kind, serious, symptom, cause, fix, not not_reacted)
    click.echo(f"kill latched; recorded in {folder}")


@rollout.command("reset")
@data_dir_option
def rollout_reset(data_dir: Path | None) -> None:
    """Start the evidence anew at MICRO with no trades (asks for the PIN); locks after incidents stay."""
    import getpass

    from config.pin import PinError
    from workers.rollout_cli import reset

    try:
        reset(data_dir_of(data_dir), getpass.getpass("PIN: "))
    except PinError as error:
        raise Fault(EXIT_CREDENTIALS, str(error)) from None
    click.echo("evidence starts anew: MICRO")


@cli.command()
@data_dir_option
def reload(data_dir: Path | None) -> None:
    """Take the hot settings of the config files into the running system."""
    _control(data_dir, "reload")


def _control(data_dir: Path | None, verb: str, missing_ok: bool = False, **arguments: Any) -> None:
    from workers.control import apply

    lines = apply(data_dir_of(data_dir), verb, **arguments)
    if lines is None:
        if missing_ok:
            click.echo("nothing runs; the latch holds for the next start")
            return
        raise Fault(1, f"nothing runs in {data_dir_of(data_dir)}. Start it with `launch.py --shards 2`.")
    for line in lines:
        click.echo(line)


@cli.command()
@data_dir_option
@config_option
@click.option("--live", is_flag=True, help="the pre-live checklist: may this installation trade real money?")
@click.option("--venue", default="", help="compare the clock with this exchange's  [that of the running system]")
@json_option
def doctor(data_dir: Path | None, config_files: tuple[Path, ...], live: bool, venue: str, as_json: bool) -> None:
    """Check this machine, the installation and the configuration. Exit code 5: not ready."""
    from workers.doctor import check, print_report

    if live:
        from workers.checklist import checklist

        rows = checklist(data_dir_of(data_dir), config_files, venue)
    else:
        rows = check(data_dir_of(data_dir), config_files, venue)
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows]))
    else:
        print_report(rows)
    raise SystemExit(EXIT_PREFLIGHT if any(row.level == "fail" for row in rows) else 0)


def _mode_of(mode: str | None, settings: Any) -> str:
    return {"PAPER": "SIM"}.get((mode or "").upper(), (mode or "").upper()) or settings.trading.mode


@cli.command()
@click.argument("kind", type=click.Choice(["daily", "weekly", "session"]))
@click.option("--date", "day", default=None, help="a day of the period, YYYY-MM-DD (UTC)  [today]")
@click.option("--session", default="", help="run id  [the newest]")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="write a self-contained HTML page")
@click.option("--md", "md_file", type=click.Path(path_type=Path), help="write Markdown  [standard output]")
@click.option("--trades", "trades_file", type=click.Path(path_type=Path), help="also the closed trades, one JSON line each")
@click.option("--mode", type=MODES, help="whose trades  [as the settings say]")
@data_dir_option
@config_option
@json_option
def report(
    kind: str, day: str | None, session: str, html_file: Path | None, md_file: Path | None, trades_file: Path | None,
    mode: str | None, data_dir: Path | None, config_files: tuple[Path, ...], as_json: bool,
) -> None:
    """Review a day, a week or a session: figures, worst trades explained, refusals, incidents."""
    from workers.records_cli import RecordsError, make_report

    settings = load_config(config_files, {}).settings
    try:
        text = make_report(data_dir_of(data_dir), _mode_of(mode, settings), settings, kind, day or "", session,
                           html_file, md_file, trades_file, as_json)
    except RecordsError as error:
        raise Fault(error.code, str(error)) from None
    click.echo(text)


@cli.command()
@click.argument("what", type=click.Choice(["parquet", "trades"]))
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--to", "target", type=click.Path(path_type=Path), help="folder (parquet) or file (trades)  [live-trades.jsonl]")
@click.option("--only", default="trades,books,features", show_default=True, help="parquet: which tables")
@click.option("--mode", type=MODES, help="trades: whose  [as the settings say]")
@data_dir_option
@config_option
def export(
    what: str, source: Path | None, target: Path | None, only: str, mode: str | None, data_dir: Path | None,
    config_files: tuple[Path, ...],
) -> None:
    """Journals as Parquet (`export parquet data/sim --to out`), or closed trades as JSON lines (`export trades`)."""
    from workers.records_cli import RecordsError, export_journals, export_trades

    settings = load_config(config_files, {}).settings
    mode_name = _mode_of(mode, settings)
    try:
        if what == "trades":
            text = export_trades(data_dir_of(data_dir), mode_name, settings, target or Path("live-trades.jsonl"))
        else:
            folder = source or DataPaths(data_dir_of(data_dir), mode_name).mode_dir
            text = export_journals(folder, target or Path("parquet"), tuple(only.split(",")))
    except RecordsError as error:
        raise Fault(error.code, str(error)) from None
    click.echo(text)


@cli.command()
@click.argument("verb", type=click.Choice(["status", "catch-up"]))
@click.option("--mode", type=MODES, help="whose database  [as the settings say]")
@data_dir_option
@config_option
@json_option
def db(verb: str, mode: str | None, data_dir: Path | None, config_files: tuple[Path, ...], as_json: bool) -> None:
    """The trading database: what it holds, or take over what the files have more than it."""
    from workers.records_cli import RecordsError, database_verb

    settings = load_config(config_files, {}).settings
    try:
        state = database_verb(verb, data_dir_of(data_dir), _mode_of(mode, settings), settings)
    except RecordsError as error:
        raise Fault(error.code, str(error)) from None
    if as_json:
        click.echo(json.dumps(state))
        return
    for name, value in state.items():
        click.echo(f"{name}: {value}" if not isinstance(value, dict) else
                   f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in value.items()))


@cli.command("show-config")
@config_option
@click.option("--sources", is_flag=True, help="where each value comes from")
def show_config(config_files: tuple[Path, ...], sources: bool) -> None:
    """Print every setting in force."""
    from config.reload import flatten, is_hot

    loaded = load_config(config_files, {})
    for key, value in flatten(loaded.settings).items():
        origin = f"  [{loaded.sources.get(key, 'default')}]" if sources else ""
        click.echo(f"{key} = {value!r}{'  (hot)' if is_hot(key) else ''}{origin}")


for research in (research_cli.backtest, research_cli.compare, research_cli.sweep, research_cli.calibrate):
    cli.add_command(research)


def main() -> None:
    """Entry point behind `launch.py`."""
    cli(prog_name="launch.py")
