"""What lies on the disk, how long it will last, and how far the database is: `/api/storage/status`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec

from config.paths import STORES, DataPaths

TAIL_BYTES = 64 * 1024


def folders(paths: DataPaths) -> dict[str, Path]:
    """Every folder whose size is told, by name."""
    known = {"journal": paths.journal_dir, "decisions": paths.decisions_dir, "shadow": paths.shadow_dir,
             "calibration": paths.calibration_dir}
    return known | {name: paths.store_dir(name) for name in STORES} | {"logs": paths.log_dir, "run": paths.run_dir}


def storage(
    paths: DataPaths, counters: dict[str, int], database: str, refusal: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Sizes, free space, the last retention run, and the recorder's figures about the database. `refusal`: the newest entry
    of its error log about it."""
    usage = shutil.disk_usage(next(p for p in (paths.data_dir, *paths.data_dir.parents) if p.exists()))
    last = last_retention(paths.retention_log)
    return {
        "data_dir": str(paths.data_dir), "disk_free_bytes": usage.free, "disk_total_bytes": usage.total,
        "disk_used_pct": round(100 * (1 - usage.free / usage.total), 1),
        "bytes_per_day": last.get("bytes_per_day") if last else None, "days_left": last.get("days_left") if last else None,
        "folders": [{"name": name, **size(folder)} for name, folder in folders(paths).items()],
        "retention": last and {
            "ts": last.get("ts_ns", 0) // 1_000_000, "freed_bytes": last.get("freed_bytes", 0),
            "removed": last.get("removed", {}), "compressed": last.get("compressed", {}), "errors": last.get("errors", []),
            "took_ms": last.get("took_ms", 0)},
        "database": {"url": database, "rows_written": counters.get("database_rows", 0),
                     "errors": counters.get("database_errors", 0), "lag_ms": counters.get("database_lag_ms", 0),
                     "file_bytes": size_of(paths.database_file), "last_error": refusal["text"] if refusal else "",
                     "last_error_ts": refusal["last_ns"] // 1_000_000 if refusal else None},
    }


def size(folder: Path) -> dict[str, Any]:
    """Files, bytes and the newest change below a folder."""
    files = total = newest = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            stat = path.stat()
        except OSError:
            continue  # rotated away while we looked
        if path.is_file():
            files, total, newest = files + 1, total + stat.st_size, max(newest, int(stat.st_mtime * 1000))
    return {"files": files, "bytes": total, "newest_ts": newest or None}


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def last_retention(path: Path) -> dict[str, Any] | None:
    """The last whole line of the retention log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return None
    for text in reversed(lines):
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError:
            continue
        if isinstance(found, dict):
            return found
    return None

