"""Verbs that look back: latency, reports, exports, the trading database."""

from __future__ import annotations

import json
from pathlib import Path

import click

from config.paths import DataPaths
from workers.cli_common import (
    MODES,
    config_option,
    data_dir_of,
    data_dir_option,
    json_option,
    load_config,
    mode_name,
    mode_of,
)
from workers.cli_errors import Fault


@click.command()
@data_dir_option
@click.option("--mode", type=MODES, default="SIM", show_default=True, help="whose orders")
@click.option("--csv", "form", flag_value="csv", help="every order with every stamp, one line each")
@click.option("--json", "form", flag_value="json", help="the same as one JSON object, with the stages")
def latency(data_dir: Path | None, mode: str, form: str | None) -> None:
    """Where the time of every order went, from exchange event to fill (also when nothing runs)."""
    from workers.latency_export import export

    name = mode_name(mode)
    if not export(data_dir_of(data_dir), name, form or "table") and not form:
        raise Fault(1, f"no order of mode {name} in {data_dir_of(data_dir)}.")


def _unwritten(error: OSError) -> Fault:
    return Fault(1, f"{error.filename or 'the output'}: {error.strerror}. Name a folder that exists and can be written.")


@click.command()
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
        text = make_report(data_dir_of(data_dir), mode_of(mode, settings), settings, kind, day or "", session,
                           html_file, md_file, trades_file, as_json)
    except RecordsError as error:
        raise Fault(error.code, str(error)) from None
    except OSError as error:
        raise _unwritten(error) from None
    click.echo(text)


@click.command()
@click.argument("what", type=click.Choice(["parquet", "trades"]))
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--to", "target", type=click.Path(path_type=Path), help="folder (parquet) or file (trades)  [live-trades.jsonl]")
@click.option("--only", default="trades,books,features", show_default=True, help="parquet: which tables")
@click.option("--from", "from_time", default="", help="parquet: received from this time on: 2026-08-09T10:15 (UTC), or ns")
@click.option("--until", default="", help="parquet: and before this one")
@click.option("--mode", type=MODES, help="trades: whose  [as the settings say]")
@data_dir_option
@config_option
def export(
    what: str, source: Path | None, target: Path | None, only: str, from_time: str, until: str, mode: str | None,
    data_dir: Path | None, config_files: tuple[Path, ...],
) -> None:
    """Journals as Parquet (`export parquet data/sim --to out`), or closed trades as JSON lines (`export trades`)."""
    from workers.records_cli import RecordsError, export_journals, export_trades

    settings = load_config(config_files, {}).settings
    mode_name = mode_of(mode, settings)
    try:
        if what == "trades":
            text = export_trades(data_dir_of(data_dir), mode_name, settings, target or Path("live-trades.jsonl"))
        else:
            folder = source or DataPaths(data_dir_of(data_dir), mode_name).mode_dir
            text = export_journals(folder, target or Path("parquet"), tuple(only.split(",")), from_time, until)
    except RecordsError as error:
        raise Fault(error.code, str(error)) from None
    except OSError as error:
        raise _unwritten(error) from None
    click.echo(text)


@click.command()
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
        state = database_verb(verb, data_dir_of(data_dir), mode_of(mode, settings), settings)
    except RecordsError as error:
        raise Fault(error.code, str(error)) from None
    if as_json:
        click.echo(json.dumps(state))
    else:
        for name, value in state.items():
            click.echo(f"{name}: {value}" if not isinstance(value, dict) else
                       f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in value.items()))
    if "error" in state:
        raise click.exceptions.Exit(1)


VERBS = (latency, report, export, db)
