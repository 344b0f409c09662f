"""`launch.py` as a command line, and the verbs that start something. Light at import: a verb loads what it needs when it runs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from workers import control_cli, research_cli, review_cli
from workers.cli_common import (
    MODES,
    compile_kernels,
    config_option,
    data_dir_of,
    data_dir_option,
    json_option,
    load_config,
    mode_name,
)
from workers.cli_errors import EXIT_PREFLIGHT, EXIT_USAGE, Fault, of_disk

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

    def invoke(self, ctx: click.Context) -> Any:
        """A verb that the disk or its rights refuse says so in a sentence."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            fault = of_disk(error)
            if fault is None:
                raise
            raise fault from None


@click.group(cls=DefaultVerb, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="scalper")
def cli() -> None:
    """Scalper: automated scalping of Bybit USDT perpetuals.

    Without a verb it runs: `launch.py --shards 2` starts the whole system on the embedded exchange.
    """


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


def parse_duration(ctx: click.Context, param: click.Parameter, value: float | None) -> float:
    """Seconds, 0.0 = until told; nan and inf would be a run without an end that nobody asked for."""
    if value is not None and not 0.0 < value < math.inf:
        raise click.BadParameter(f"{value} is no time: give seconds above 0")
    return value or 0.0


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
@click.option("--mode", type=MODES, help="overrides the config")
@click.option("--live", is_flag=True, help="first confirmation of --mode LIVE: real orders, real money")
@click.option("--i-understand", "account", default="", metavar="ACCOUNT",
              help="second confirmation of LIVE, for services: the account's number (else it is asked for)")
@click.option("--symbols", default=None, help="COUNT or comma separated LIST [embedded: 40, else all]")
@click.option("--duration", type=float, callback=parse_duration, help="stop after this many seconds")
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
    duration: float,
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
        overrides["trading.mode"] = mode_name(mode)
    if admin_port is not None:
        overrides["system.admin.port"] = admin_port
    for path in (*tape, *([instruments] if instruments else [])):
        if not path.is_file():
            what = "this is a folder" if path.is_dir() else "no such file"
            hint = "Give the path of a `<recv_ns> <raw frame>` file (plain, .gz or .zst)."
            raise Fault(EXIT_USAGE, f"{what}: {path}. {hint}")
    given = click.get_current_context().get_parameter_source
    for name in ("speed", "instruments"):
        if not tape and given(name) is ParameterSource.COMMANDLINE:
            raise Fault(EXIT_USAGE, f"--{name} is for a tape: name one with --tape FILE, or leave --{name} out.")
    from workers.starting import Options
    from workers.supervisor import Supervisor

    if shadow:
        if tape:
            raise Fault(EXIT_USAGE, "--shadow follows a run's journal; on a tape use `backtest` with the other settings.")
        load_config((*config_files, *shadow), overrides | {"trading.mode": "SIM"})  # its faults are told before anything starts
    loaded = load_config(config_files, overrides)
    if (live or account) and loaded.settings.trading.mode != "LIVE":
        flag = "--live" if live else "--i-understand"
        raise Fault(EXIT_USAGE, f"{flag} confirms mode LIVE, but the mode is {loaded.settings.trading.mode}: add --mode LIVE for "
                                f"real orders, or leave {flag} out.")
    options = Options(
        shards=shards,
        venue=venue,
        tape=tuple(str(path.resolve()) for path in tape),
        instruments=str(instruments.resolve()) if instruments else "",
        speed=speed,
        symbols=symbols or "",
        duration_s=duration,
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


@cli.command(add_help_option=False, context_settings=PASS_ON)
@click.pass_context
def test(ctx: click.Context) -> None:
    """Run the test suite (arguments go to pytest).

    Without arguments in two passes, file by file: first what stands alone, with one worker more than there are cores
    because some tests wait; then what starts whole plants, one for every core.
    """
    pytest = [sys.executable, "-m", "pytest"]
    if ctx.args:
        os.execv(sys.executable, [*pytest, *ctx.args])
    compile_kernels()  # once, not once per core
    cores = os.cpu_count() or 1
    alone = ["-n", str(cores + 1), "--dist", "loadfile", "--no-loadscope-reorder", "--benchmark-disable", "-m", "not system"]
    plants = ["-n", str(min(cores, 4)), "--dist", "loadfile", "-m", "system"]
    codes = [subprocess.run([*pytest, *arguments]).returncode for arguments in (alone, plants)]
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
    given = click.get_current_context().get_parameter_source
    for name in ("speed", "paused", "admin_port"):
        if not page and given(name) is ParameterSource.COMMANDLINE:
            raise Fault(EXIT_USAGE, f"--{name.replace('_', '-')} goes with --page only: a comparison runs as fast as it can.")
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


for verb in (*control_cli.VERBS, *research_cli.VERBS, *review_cli.VERBS):
    cli.add_command(verb)


def main() -> None:
    """Entry point behind `launch.py`."""
    cli(prog_name="launch.py")
