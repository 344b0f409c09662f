"""Incidents of an account on disk (requirement B6): a folder each with what was logged before, and a line in INCIDENTS.md.

    <data>/live/incidents/2026-11-21T08-15-02Z-technical/  incident.json, events/*.jsonl (last 15 minutes), logs/*.log
    <data>/live/INCIDENTS.md                               time, symptom, cause, fix
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

BEFORE_S = 15 * 60
TAIL_BYTES = 4 << 20  # of a process log
TITLE = "# Incidents\n\n| time (UTC) | kind | serious | symptom | cause | fix | logs |\n|---|---|---|---|---|---|---|\n"


class IncidentFile(msgspec.Struct):
    """incident.json. `reacted`: a safety (stop, kill, gate) did what it is for."""

    time_ms: int
    kind: str
    serious: bool
    symptom: str
    cause: str = ""
    fix: str = ""
    reacted: bool = True


class Places(NamedTuple):
    """Folders: of the incidents, of the JSONL events, of the process logs; and the list."""

    incidents: Path
    events: Path
    logs: Path
    list_file: Path


def utc(ms: int) -> str:
    """2026-11-21 08:15:02."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ms // 1000))


def record(places: Places, incident: IncidentFile) -> Path:
    """Make the folder, collect the last 15 minutes, add the line. Returns the folder. Raises OSError."""
    stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime(incident.time_ms // 1000))
    folder = _fresh(places.incidents, f"{stamp}-{incident.kind}")
    _write(folder / "incident.json", msgspec.json.format(msgspec.json.encode(incident), indent=1))
    collect_events(places.events, folder / "events", incident.time_ms)
    collect_logs(places.logs, folder / "logs", incident.time_ms)
    cells = (utc(incident.time_ms), incident.kind, "yes" if incident.serious else "no", incident.symptom, incident.cause,
             incident.fix, f"incidents/{folder.name}")
    line = "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |\n"
    known = places.list_file.exists()
    with places.list_file.open("a", encoding="utf-8") as file:
        file.write(("" if known else TITLE) + line)
        file.flush()
        os.fsync(file.fileno())
    return folder


def _fresh(parent: Path, name: str) -> Path:
    for attempt in range(1000):
        folder = parent / (f"{name}-{attempt}" if attempt else name)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / name}: too many incidents in one second")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class _Stamped(msgspec.Struct):
    ts_ns: int = 0


def collect_events(source: Path, target: Path, time_ms: int) -> int:
    """Copy the lines of the 15 minutes before `time_ms` out of every JSONL file; a line that cannot be read is kept.
    Returns how many lines."""
    first_ns, last_ns = (time_ms - BEFORE_S * 1000) * 1_000_000, (time_ms + 60_000) * 1_000_000
    days = {time.strftime("%Y-%m-%d", time.gmtime(ns // 10**9)) for ns in (first_ns, last_ns)}
    count = 0
    for path in sorted(p for day in sorted(days) for p in (source / day).glob("*.jsonl")):
        kept = []
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                inside = first_ns <= msgspec.json.decode(line, type=_Stamped).ts_ns <= last_ns
            except msgspec.MsgspecError:
                inside = True
            if inside:
                kept.append(line)
        if kept:
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{path.parent.name}-{path.name}").write_bytes(b"".join(kept))
            count += len(kept)
    return count


def collect_logs(source: Path, target: Path, time_ms: int) -> int:
    """Copy the end of every process log written to in the 15 minutes. Returns how many files."""
    count = 0
    for path in sorted(source.glob("*.log")):
        if path.stat().st_mtime * 1000 < time_ms - BEFORE_S * 1000:
            continue
        target.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            (target / path.name).write_bytes(file.read())
        count += 1
    return count


def recorded(incidents: Path) -> list[IncidentFile]:
    """All incidents on disk. A folder whose incident.json cannot be read counts as a serious one of the folder's time."""
    found = []
    for folder in sorted(incidents.iterdir()) if incidents.exists() else []:
        try:
            found.append(msgspec.json.decode((folder / "incident.json").read_bytes(), type=IncidentFile))
        except (OSError, msgspec.MsgspecError):
            found.append(IncidentFile(int(folder.stat().st_mtime) * 1000, "technical", True, f"{folder.name}: unreadable"))
    return found
