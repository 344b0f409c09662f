"""/api/shadow: what stands in the files of shadow and calibration, newest first, null where nothing is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from admin.shadow import shadow
from config.paths import DataPaths


def put(path: Path, content: object, at: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    os.utime(path, (at, at))


def test_nothing_there(tmp_path: Path) -> None:
    assert shadow(DataPaths(tmp_path, "SIM")) == {"status": None, "comparison": None, "calibration": None}


def test_the_newest_of_each(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    for k, run in enumerate(("b", "a")):
        put(paths.shadow_dir / run / "status.json", {"run_id": run}, k + 1)
        put(paths.shadow_dir / run / "comparison.json", {"matched": k}, 5 - k)
        put(paths.calibration_dir / f"{run}.json", {"run_id": run}, 5 - k)
    assert shadow(paths) == {"status": {"run_id": "a"}, "comparison": {"matched": 1}, "calibration": {"run_id": "b"}}
    (paths.shadow_dir / "a" / "comparison.json").write_text("{torn")
    assert shadow(paths)["comparison"] is None
