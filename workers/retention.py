"""What is old goes, what proves something stays (requirement A20): every two hours, one line per run in
`<mode>/system/retention.log.jsonl`.

    stream      files                                     goes after            and over
    raw         journal/{raw,order}-NS.sjr                raw_h                 raw_max_gb
    books       orderbook, trades_stream, microcandles    raw_h                 raw_max_gb
    decisions   decisions/DAY/decisions-NS.sjr            decisions_days        decisions_max_gb
    events      events/DAY/*.jsonl[.zst]                  events_days           events_max_gb
    metrics     metrics/DAY/*.jsonl[.zst]                 metrics_days          -
    logs        logs/*.log, logs/backtest-*.json          logs_days             -
    shadow      shadow/RUN/*.json, *.html                 shadow_days           shadow_max_gb
    calibration calibration/RUN.{toml,json}               calibration_days      -
    journals    execution-NS.journal, system/runs/RUN.*   journal_days          -
    never       trades_log, profiles, execution.journal, audit.jsonl, and whatever has another name
    database    refused decisions, signals, samples       as their files        (`database_rows.prune`)

Raw frames of the current run and of the last `replay_sessions` sessions are what a replay needs: their age does not count, only
the cap, and then the oldest session goes first. What was set aside of a damaged journal (`NAME.damaged`, `NAME.damaged-BYTE`)
belongs to the stream and the session of NAME. The newest file of a stream is being written: it never goes. A file that
the database has not taken over yet waits, too, unless the cap says otherwise. Nothing here makes links: one, or what lies
behind one, is somebody else's. (The folder of a stream may be a link, to another disk.)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import msgspec
import zstandard

from config.paths import DataPaths
from config.schema import Storage
from core.constants import DAY_NS, HOUR_NS
from workers.event_files import PART
from workers.event_lines import day, iso
from workers.file_reading import journal_header
from workers.journal_files import DAMAGED, write_all

GB = 1_000_000_000
DAY = "[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
RUN = "[12][0-9][0-9][0-9][0-9]*-*"  # begins with its time
BOOKS = ("orderbook", "trades_stream", "microcandles")
FOLDERS = frozenset({"events", "decisions", "metrics", "shadow", *BOOKS})  # of folders by day or run
FIRST_RUN_S = 60.0
ZSTD_LEVEL = 9


class Kept(NamedTuple):
    """One file as retention sees it. `session` '' = belongs to none."""

    path: Path
    bytes: int
    written_ns: int
    session: str = ""


class Stream(NamedTuple):
    name: str
    patterns: tuple[str, ...]  # below the mode's folder
    age_h: float  # 0 = for good
    max_gb: float  # 0 = no cap
    for_replay: bool = False


def _journals(*patterns: str) -> tuple[str, ...]:
    """Journals, and what was set aside of them."""
    return tuple(name for pattern in patterns for name in (pattern, f"{pattern}{DAMAGED}*"))


def streams(rules: Storage) -> tuple[Stream, ...]:
    """The table above with its numbers."""
    lines = ("*.jsonl", "*.jsonl.zst", ".*.zst.tmp")
    return (
        Stream("raw", _journals("journal/raw-[0-9]*.sjr", "journal/order-[0-9]*.sjr"), rules.raw_h, rules.raw_max_gb,
               for_replay=True),
        Stream("books", tuple(f"{store}/{DAY}/{name}" for store in BOOKS for name in lines), rules.raw_h, rules.raw_max_gb),
        Stream("decisions", _journals(f"decisions/{DAY}/decisions-[0-9]*.sjr"), 24 * rules.decisions_days,
               rules.decisions_max_gb),
        Stream("events", tuple(f"events/{DAY}/{name}" for name in lines), 24 * rules.events_days, rules.events_max_gb),
        Stream("metrics", tuple(f"metrics/{DAY}/{name}" for name in lines), 24 * rules.metrics_days, 0.0),
        Stream("logs", ("../logs/*.log", "../logs/backtest-*.json"), 24 * rules.logs_days, 0.0),
        Stream("shadow", (f"shadow/{RUN}/*.json", f"shadow/{RUN}/*.html"), 24 * rules.shadow_days, rules.shadow_max_gb),
        Stream("calibration", (f"calibration/{RUN}.toml", f"calibration/{RUN}.json"), 24 * rules.calibration_days, 0.0),
        Stream("journals", (*_journals("execution-[0-9]*.journal"), f"execution.journal{DAMAGED}*", f"system/runs/{RUN}.jsonl*"),
               24 * rules.journal_days, 0.0),
    )


def doomed(
    files: Iterable[Kept], now_ns: int, stream: Stream, protected: list[str], waiting: frozenset[Path] = frozenset()
) -> list[Kept]:
    """Which files of a stream go. Pure. `protected`: sessions a replay needs, most important first; `waiting`: files not
    yet taken over by the database."""
    ordered = sorted(files, key=lambda f: (f.written_ns, f.path.name))
    if not ordered:
        return []
    newest = next((kept for kept in reversed(ordered) if DAMAGED not in kept.path.name), None)
    rank = {session: len(protected) - k for k, session in enumerate(protected)}  # 0 = not protected
    going: dict[Path, Kept] = {}
    if stream.age_h:
        for kept in ordered:
            shielded = (stream.for_replay and kept.session in rank) or kept.path in waiting
            if now_ns - kept.written_ns > stream.age_h * HOUR_NS and not shielded and kept is not newest:
                going[kept.path] = kept
    if stream.max_gb:
        total = sum(kept.bytes for kept in ordered if kept.path not in going)
        candidates = sorted(ordered, key=lambda f: (rank.get(f.session, 0), f.written_ns, f.path.name))
        for kept in candidates:
            if total <= stream.max_gb * GB:
                break
            if kept.path not in going and kept is not newest:
                going[kept.path] = kept
                total -= kept.bytes
    return sorted(going.values(), key=lambda f: (f.written_ns, f.path.name))


@dataclass
class Outcome:
    """What one run did."""

    removed: dict[str, list[int]] = field(default_factory=dict)  # stream: [files, bytes]
    kept: dict[str, list[int]] = field(default_factory=dict)
    compressed: list[int] = field(default_factory=lambda: [0, 0])  # files, bytes won
    errors: list[str] = field(default_factory=list)


class Retention:
    """`run` does the work once; `start` does it in a thread, first after a minute, then every `every_h`."""

    def __init__(
        self, paths: DataPaths, rules: Storage, run_id: str, clock: Callable[[], int] = time.time_ns,
        waiting: Callable[[], frozenset[Path]] = frozenset,
    ) -> None:
        self._paths, self._rules, self._run_id, self._clock, self._waiting = paths, rules, run_id, clock, waiting
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # --- life --------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._thread = threading.Thread(target=self._turns, name="retention", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()  # the thread is a daemon: what it does can be broken off anywhere

    def _turns(self) -> None:
        pause = FIRST_RUN_S
        while not self._stop.wait(pause):
            pause = self._rules.every_h * 3600
            self.run()

    # --- work --------------------------------------------------------------------------------------------------------
    def run(self) -> dict[str, Any]:
        """Remove, compress, write the line; returns it. A disk that refuses is a word in `errors`."""
        started, now = time.monotonic(), self._clock()
        outcome, emptied = Outcome(), set[Path]()
        protected = self._protected()
        waiting = self._waiting()
        for stream in streams(self._rules):
            files = list(self._files(stream))
            going = doomed(files, now, stream, protected, waiting)
            gone = {kept.path for kept in going if self._remove(kept.path, outcome)}
            emptied |= {path.parent for path in gone}
            freed = sum(kept.bytes for kept in going if kept.path in gone)
            outcome.removed[stream.name] = [len(gone), freed]
            outcome.kept[stream.name] = [len(files) - len(gone), sum(kept.bytes for kept in files) - freed]
        if self._rules.compress_after_h:
            self._compress(now, outcome, waiting)
        self._remove_empty(emptied)
        rate = written_per_day(self._all_files(), now)
        free = shutil.disk_usage(self._paths.mode_dir).free if self._paths.mode_dir.exists() else 0
        line = {
            "ts": iso(now), "ts_ns": now, "evt": "retention", "sid": self._run_id,
            "freed_bytes": sum(freed for _, freed in outcome.removed.values()),
            "removed": {name: {"files": n, "bytes": b} for name, (n, b) in outcome.removed.items() if n},
            "kept": {name: {"files": n, "bytes": b} for name, (n, b) in outcome.kept.items()},
            "compressed": {"files": outcome.compressed[0], "bytes_won": outcome.compressed[1]},
            "disk_free_bytes": free, "bytes_per_day": rate, "days_left": days_left(free, rate),
            "took_ms": round((time.monotonic() - started) * 1000), "errors": outcome.errors[:20], "v": 1,
        }
        self._note(line, outcome)
        return line

    def _protected(self) -> list[str]:
        """The running session, then the last ones, newest first (run ids begin with their time)."""
        names = sorted((path.name.split(".")[0] for path in self._paths.runs_dir.glob("*.jsonl*")), reverse=True)
        others = [name for name in names if name != self._run_id]
        return [self._run_id, *others[: self._rules.replay_sessions]]

    def _files(self, stream: Stream) -> Iterable[Kept]:
        for pattern in stream.patterns:
            folder = self._paths.log_dir if pattern.startswith("../logs/") else self._paths.mode_dir
            for path in folder.glob(pattern.removeprefix("../logs/")):
                try:
                    stat = path.lstat()
                except OSError:
                    continue
                if S_ISREG(stat.st_mode) and not (pattern.count("/") > 1 and path.parent.is_symlink()):
                    yield Kept(path, stat.st_size, stat.st_mtime_ns, self._session(path) if stream.for_replay else "")

    def _all_files(self) -> Iterable[Kept]:
        return (kept for stream in streams(self._rules) for kept in self._files(stream))

    @staticmethod
    def _session(path: Path) -> str:
        header = journal_header(path.with_name(path.name.partition(DAMAGED)[0]))
        return header.run_id if header is not None else ""

    @staticmethod
    def _remove(path: Path, outcome: Outcome) -> bool:
        try:
            path.unlink()
        except OSError as error:
            outcome.errors.append(f"{path.name}: {error.strerror}")
            return False
        return True

    def _compress(self, now: int, outcome: Outcome, waiting: frozenset[Path]) -> None:
        """Lines of days gone by, except what the database still has to read and the newest part of each stream."""
        for folder in (self._paths.events_dir, self._paths.metrics_dir):
            for path in sorted(folder.glob(f"{DAY}/*.jsonl")):
                if path.parent.name >= day(now) or path.parent.is_symlink() or path in waiting:
                    continue  # today's are being written
                try:
                    stat = path.lstat()
                    old = now - stat.st_mtime_ns > self._rules.compress_after_h * HOUR_NS
                    won = compress(path) if old and S_ISREG(stat.st_mode) and PART.fullmatch(path.name) else None
                except OSError as error:
                    outcome.errors.append(f"{path.name}: {error.strerror}")
                    continue
                if won is not None:
                    outcome.compressed = [outcome.compressed[0] + 1, outcome.compressed[1] + won]

    @staticmethod
    def _remove_empty(folders: set[Path]) -> None:
        """Folders of days and runs from which the last file went."""
        for folder in folders:
            with contextlib.suppress(OSError):  # not empty, or somebody just made a file in it
                if folder.parent.name in FOLDERS:
                    folder.rmdir()

    def _note(self, line: dict[str, Any], outcome: Outcome) -> None:
        path = self._paths.retention_log
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                write_all(handle, msgspec.json.encode(line) + b"\n")
            finally:
                os.close(handle)
        except OSError as error:
            outcome.errors.append(f"{path.name}: {error.strerror}")


def compress(path: Path) -> int:
    """Put `<file>.zst` in the place of a file nobody writes any more; returns the bytes won. Raises OSError."""
    data = path.read_bytes()
    beside, target = path.with_name(f".{path.name}.zst.tmp"), path.with_name(path.name + ".zst")
    stat = path.stat()
    with beside.open("wb") as file:
        file.write(zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compress(data))
        file.flush()
        os.fsync(file.fileno())
    os.utime(beside, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its age is that of its lines
    beside.replace(target)
    path.unlink()
    return len(data) - target.stat().st_size


def written_per_day(files: Iterable[Kept], now_ns: int) -> int | None:
    """Bytes a day by what the last 24 hours left; by the hours there were where it is younger. None before the first hour is
    over: files tell when they were written last, so their first minutes look like no time at all."""
    recent = [kept for kept in files if now_ns - kept.written_ns < DAY_NS]
    span = now_ns - min((kept.written_ns for kept in recent), default=now_ns)
    if span < HOUR_NS:
        return None
    return round(sum(kept.bytes for kept in recent) * DAY_NS / span)


def days_left(free_bytes: int, bytes_per_day: int | None) -> float | None:
    """Until the disk is full if nothing went; None where the rate is not known."""
    return round(free_bytes / bytes_per_day, 1) if bytes_per_day else None
