"""`launch.py replay`: arguments in, a verdict in words or JSON out."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from config.times import utc
from core.constants import NS_PER_S
from core.words import plural
from workers.replay import Outcome, Replay
from workers.run_journal import NoJournal, find_run

PROGRESS_S = 0.5


def time_ns(text: str) -> int:
    """ISO time (UTC where it names no zone) or ns since 1970; 0 for nothing. Raises NoJournal."""
    if not text:
        return 0
    if text.isdecimal():
        return int(text)
    try:
        return int(utc(text).timestamp() * NS_PER_S)
    except ValueError:
        raise NoJournal(f"{text!r} is no time. Use 2026-08-09T10:15:00 (UTC) or ns since 1970.") from None


def clock_text(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


class Progress:
    """One line on standard error, twice a second."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._told = 0.0
        self._frames = 0

    def __call__(self, ts_ns: int) -> int:
        """The replay's pace: every read is told and none waits."""
        now = time.monotonic()
        if not self._quiet and now - self._told >= PROGRESS_S:
            self._told = now
            click.echo(f"\rreplaying {clock_text(ts_ns)}", nl=False, err=True)
        return ts_ns

    def end(self) -> None:
        if not self._quiet:
            click.echo("\r" + " " * 40 + "\r", nl=False, err=True)


def replay_folder(
    folder: Path, run_id: str, from_time: str, to_time: str, shards: int, verify: bool, as_json: bool
) -> int:
    """Replay and print; the exit code. Raises NoJournal."""
    from_ns, to_ns = time_ns(from_time), time_ns(to_time)
    if to_ns and from_ns >= to_ns:
        raise NoJournal("--from must be before --to.")
    journal = find_run(folder, run_id)
    progress = Progress(as_json)
    outcome = Replay(journal, shards, to_ns, progress, from_ns=from_ns).run()
    progress.end()
    if as_json:
        click.echo(json.dumps(outcome.as_dict()))
    else:
        for line in verdict_lines(outcome):
            click.echo(line)
    return 1 if verify and not (outcome.identical and outcome.is_complete) else 0


def verdict_lines(outcome: Outcome) -> list[str]:
    """The verdict for people."""
    lines = [
        f"run {outcome.run_id}: {plural(outcome.frames, 'frame')}, {plural(outcome.events, 'event')}"
        + (f" until {clock_text(outcome.until_ns)} UTC" if outcome.until_ns else ""),
        (f"replayed with {plural(outcome.shards, 'engine')} (the run had {plural(outcome.recorded_shards, 'shard')}) "
         f"in {outcome.wall_s} s"),
        (f"compared: {plural(outcome.checks, 'digest')} of shards, {outcome.account_checks} of the account, "
         f"{plural(outcome.decisions, 'decision')}, {plural(outcome.messages, 'message')}, {plural(outcome.reports, 'report')}"),
    ]
    if outcome.link_frames:
        lines.append(f"orders: {plural(outcome.link_frames, 'private frame or call', 'private frames and calls')} read again, "
                     f"{plural(outcome.sent, 'request')} compared byte for byte, {plural(outcome.told, 'message')} of the "
                     "exchange desk")
    lines += [f"note: {note}" for note in outcome.notes]
    if outcome.identical:
        return [*lines, f"identical: yes{'' if outcome.is_complete else ', up to there'}   digest {outcome.digest}"]
    lines.append(f"identical: NO   recorded {outcome.recorded_digest}, replayed {outcome.digest}")
    if not outcome.checks or not outcome.frames:
        lines.append("nothing could be compared: no frame, or no check of a shard, was read")
    if outcome.before:
        lines.append(f"{plural(outcome.before, 'difference')} before --from (without it, they are told)")
    if outcome.differences:
        lines += ["first difference:", outcome.differences[0].text()]
        rest = len(outcome.differences) - 1 + outcome.more
        if rest:
            lines.append(f"and {rest} more (--json lists the first {len(outcome.differences)})")
    return lines
