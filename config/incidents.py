"""Incidents of an account on disk (requirement B6): a folder each with what was logged before, and a line in INCIDENTS.md.

    <data>/live/incidents/2026-11-21T08-15-02Z-technical/  incident.json, events/*.jsonl (last 15 minutes), logs/*.log
    <data>/live/INCIDENTS.md                               time, symptom, cause, fix
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from config.atomic_file import write_atomic

BEFORE_S = 15 * 60
TAIL_BYTES = 4 << 20  # of a process log
FILE = "incident.json"
TITLE = "# Incidents\n\n| time (UTC) | kind | serious | symptom | cause | fix | logs |\n|---|---|---|---|---|---|---|\n"


class IncidentFile(msgspec.Struct):
    """incident.json. `reacted`: a safety (stop, kill, gate) did what it is for. `session`: the run it came up in, '' where
    nobody knows. `resolved_ms`: when the kill that came with it was cleared, or a person said that it is over; 0 = not yet."""

    time_ms: int
    kind: str
    serious: bool
    symptom: str
    cause: str = ""
    fix: str = ""
    reacted: bool = True
    session: str = ""
    resolved_ms: int = 0


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
    folder = _fresh(places.incidents, f"{stamp}-{incident.kind}", _text(incident))
    collect_events(places.events, folder / "events", incident.time_ms)
    collect_logs(places.logs, folder / "logs", incident.time_ms)
    known = places.list_file.exists()
    with places.list_file.open("a", encoding="utf-8") as file:
        file.write(("" if known else TITLE) + _line(incident, folder.name))
        file.flush()
        os.fsync(file.fileno())
    return folder


def resolve(places: Places, name: str, now_ms: int, cause: str = "", fix: str = "") -> IncidentFile:
    """It is over, since the first time this was said; cause and fix are written down where they are given, in its file and in
    its line. Raises OSError, also where there is none of this name, or none that can be read."""
    file = places.incidents / name / FILE
    try:
        incident = msgspec.json.decode(file.read_bytes(), type=IncidentFile)
    except msgspec.MsgspecError as error:
        raise OSError(f"{file}: {error}") from None
    incident = msgspec.structs.replace(incident, cause=cause or incident.cause, fix=fix or incident.fix,
                                       resolved_ms=incident.resolved_ms or now_ms)
    write_atomic(file, _text(incident), 0o644)
    if places.list_file.exists():
        lines = places.list_file.read_text(encoding="utf-8").splitlines(keepends=True)
        mine = f"| incidents/{name} |\n"
        write_atomic(places.list_file, "".join(_line(incident, name) if line.endswith(mine) else line for line in lines).encode(),
                     0o644)
    return incident


def _text(incident: IncidentFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(incident), indent=1)


def _line(incident: IncidentFile, name: str) -> str:
    cells = (utc(incident.time_ms), incident.kind, "yes" if incident.serious else "no", incident.symptom, incident.cause,
             incident.fix, f"incidents/{name}")
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |\n"


def _fresh(parent: Path, name: str, incident: bytes) -> Path:
    """A new folder with its incident.json, there at once: whoever looks must not find one without."""
    beside = parent / f".{name}.{os.getpid()}.tmp"
    beside.mkdir(parents=True, exist_ok=True)
    _write(beside / FILE, incident)
    for attempt in range(1000):
        folder = parent / (f"{name}-{attempt}" if attempt else name)
        try:
            return beside.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
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


def folders(incidents: Path) -> list[Path]:
    """The folders of all incidents on disk, oldest first."""
    return sorted(path for path in incidents.iterdir() if not path.name.startswith(".")) if incidents.exists() else []


def read_incident(folder: Path) -> IncidentFile:
    """One incident. A folder whose incident.json cannot be read counts as a serious one of the folder's time."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=IncidentFile)
    except (OSError, msgspec.MsgspecError):
        return IncidentFile(int(folder.stat().st_mtime) * 1000, "technical", True, f"{folder.name}: unreadable")


def recorded(incidents: Path) -> list[IncidentFile]:
    """All incidents on disk, as `read_incident` reads them."""
    return [read_incident(folder) for folder in folders(incidents)]
