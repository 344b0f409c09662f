"""Verbs that steer: a running system, and the latches, flags and evidence that hold for the next start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from config.paths import DataPaths
from workers.cli_common import data_dir_of, data_dir_option, json_option
from workers.cli_errors import EXIT_CREDENTIALS, EXIT_UNEXPECTED, EXIT_USAGE, Fault


def _control(data_dir: Path | None, verb: str, **arguments: Any) -> None:
    from workers.control import apply

    lines = apply(data_dir_of(data_dir), verb, **arguments)
    if lines is None:
        raise Fault(1, f"nothing runs in {data_dir_of(data_dir)}. Start it with `launch.py --shards 2`.")
    for line in lines:
        click.echo(line)


@click.command()
@data_dir_option
@json_option
def status(data_dir: Path | None, as_json: bool) -> None:
    """Show what the running system does (from shared memory, also when the page is down)."""
    from workers.control import page_of, status_of

    state = status_of(data_dir_of(data_dir))
    if state is None:
        raise Fault(1, f"nothing runs in {data_dir_of(data_dir)}. Start it with `launch.py --shards 2`.")
    url, login = page_of(data_dir_of(data_dir))
    if as_json:  # without the login: machine output is kept in logs
        click.echo(json.dumps(state | {"page": url}))
        return
    from workers.console import print_status

    print_status(state)
    click.echo(f"page: {url}\n  one-time login: {login}" if url else "page: down (its words: logs/admin.log)")


@click.command()
@data_dir_option
def pause(data_dir: Path | None) -> None:
    """Stop new entries, also after a restart; exits go on."""
    _control(data_dir, "pause")


@click.command()
@data_dir_option
@click.option("--clear-kill", is_flag=True, help="also clear the kill latch")
def resume(data_dir: Path | None, clear_kill: bool) -> None:
    """Allow entries again."""
    _control(data_dir, "resume", clear=clear_kill)


@click.command()
@data_dir_option
@click.option("--reason", default="command line", help="kept in the latch file")
def kill(data_dir: Path | None, reason: str) -> None:
    """Stop entries, cancel, close everything reduce-only; stays latched until cleared."""
    paths = DataPaths(data_dir_of(data_dir), "SIM")
    from config.latch_file import write_latch
    from workers.control import apply

    refused: OSError | None = None
    try:
        write_latch(paths.kill_file, "cli", reason)  # first and durable: it works with everything else dead
        click.echo(f"kill latched in {paths.kill_file}")
    except OSError as error:
        refused = error
    lines = apply(paths.data_dir, "kill")
    if lines is None and refused is not None:
        raise refused
    for line in lines or ["nothing runs; the latch holds for the next start"]:
        click.echo(line)
    if refused is not None:
        raise Fault(EXIT_UNEXPECTED, f"{refused}: the kill would not survive a restart.")


@click.command()
@data_dir_option
def reload(data_dir: Path | None) -> None:
    """Take the hot settings of the config files into the running system."""
    _control(data_dir, "reload")


@click.command()
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


@click.command()
@data_dir_option
@click.argument("symbol")
def enable(data_dir: Path | None, symbol: str) -> None:
    """Trade SYMBOL again after the churn throttle has latched it off (look why first)."""
    from workers.rollout_cli import enable as take_off

    modes = take_off(data_dir_of(data_dir), symbol.upper())
    if not modes:
        raise Fault(1, f"{symbol.upper()} is not latched off in {data_dir_of(data_dir)}.")
    click.echo(f"{symbol.upper()} may be traded again ({', '.join(modes)}); a running system sees it within a second")


@click.group()
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


@click.group()
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


@rollout.command("resolve")
@data_dir_option
@click.option("--cause", default="", help="what brought it about")
@click.option("--fix", default="", help="what was done about it")
@click.argument("name", default="")
def rollout_resolve(data_dir: Path | None, cause: str, fix: str, name: str) -> None:
    """An incident is over: add cause and fix to it, by the NAME of its folder; without one to the newest. Clears no kill."""
    from config.incidents import folders, resolve
    from workers.rollout import places, wall_ms

    known = places(DataPaths(data_dir_of(data_dir), "LIVE"))
    name = name or next((folder.name for folder in reversed(folders(known.incidents))), "")
    try:
        found = resolve(known, name, wall_ms(), cause, fix)
    except OSError as error:
        raise Fault(EXIT_USAGE, f"no incident {name!r} that can be written down ({error}). `ls {known.incidents}` shows what "
                                "there is.") from None
    click.echo(f"{name}: {found.symptom}; cause: {found.cause or '–'}; fix: {found.fix or '–'}")


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


VERBS = (status, pause, resume, kill, reload, news, enable, pin, rollout)
