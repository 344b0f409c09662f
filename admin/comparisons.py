"""What other workers keep beside a run for the page: the shadow of other settings, and paper against the account's own fills.

    <mode>/shadow/<run id>/{status,comparison}.json        candidate settings that decide beside the run
    <mode>/calibration/<run id>.json                       how far paper is from what the account got
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from admin.files import read_json
from config.paths import DataPaths

MOST_BYTES = 4 << 20


def comparisons(paths: DataPaths, run_id: str) -> dict[str, Any]:
    """{shadow, calibration}: of run `run_id` where there is one, else of the newest run that has one; None without any."""
    folder = _newest(paths.shadow_dir, "*", run_id)
    file = _newest(paths.calibration_dir, "*.json", f"{run_id}.json")
    shadow = None
    if folder is not None:
        status, found = _read(folder / "status.json"), _read(folder / "comparison.json")
        if status or found:
            shadow = {"run_id": folder.name, "is_this_run": folder.name == run_id, "status": status, "comparison": found}
    return {"shadow": shadow, "calibration": _read(file) if file is not None else None}


def _newest(folder: Path, pattern: str, wanted: str) -> Path | None:
    if (folder / wanted).exists():
        return folder / wanted
    found = []
    for path in folder.glob(pattern):
        try:
            found.append((path.stat().st_mtime_ns, path))
        except OSError:
            continue  # gone while we looked
    return max(found)[1] if found else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path) if path.stat().st_size <= MOST_BYTES else None
    except OSError:
        return None
