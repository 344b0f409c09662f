"""What decides beside the run (requirement G6), and what own fills say about paper (G10): from the files they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from admin.files import read_json
from config.paths import DataPaths


def newest(folder: Path, pattern: str) -> Path | None:
    """The file written last, None without one."""
    found = [(path.stat().st_mtime_ns, path) for path in folder.glob(pattern)]
    return max(found)[1] if found else None


def shadow(paths: DataPaths) -> dict[str, Any]:
    """`status` of the newest shadow, its `comparison` with the run (a = the run, b = shadow), the newest `calibration`; each
    null where there is none."""
    status = newest(paths.shadow_dir, "*/status.json")
    suggestion = newest(paths.calibration_dir, "*.json")
    return {
        "status": read_json(status) if status else None,
        "comparison": read_json(status.with_name("comparison.json")) if status else None,
        "calibration": read_json(suggestion) if suggestion else None,
    }
