"""What shadow and calibration keep for the page, read from their files."""

from __future__ import annotations

import json
import os
from pathlib import Path

from admin.comparisons import MOST_BYTES, comparisons
from admin.server import AdminServer
from config.paths import DataPaths
from tests.admin.conftest import Browser


def put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_nothing_is_kept(browser: Browser) -> None:
    assert browser.get("/api/comparisons").json["result"] == {"shadow": None, "calibration": None}


def test_of_this_run_else_of_the_newest(admin: AdminServer, browser: Browser) -> None:
    folder, run_id = admin.paths.mode_dir, admin.plant.spec.run_id
    put(folder / "shadow" / "older" / "status.json", {"over": True})
    os.utime(folder / "shadow" / "older", (1, 1))
    put(folder / "shadow" / "newer" / "status.json", {"over": False, "lag_s": 1.5})
    put(folder / "calibration" / "newer.json", {"run_id": "newer", "said": ["latency"]})
    found = browser.get("/api/comparisons").json["result"]
    status = {"over": False, "lag_s": 1.5}
    assert found["shadow"] == {"run_id": "newer", "is_this_run": False, "status": status, "comparison": None}
    assert found["calibration"]["said"] == ["latency"]
    put(folder / "shadow" / run_id / "comparison.json", {"matched": 3, "figures": []})
    found = browser.get("/api/comparisons").json["result"]
    assert found["shadow"]["is_this_run"] and found["shadow"]["comparison"]["matched"] == 3


def test_a_file_that_is_torn_or_far_too_long_says_nothing(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    put(paths.shadow_dir / "run" / "status.json", {})
    (paths.shadow_dir / "run" / "status.json").write_text('{"over"')
    assert comparisons(paths, "run")["shadow"] is None
    (paths.shadow_dir / "run" / "status.json").write_text(json.dumps({"x": "y" * MOST_BYTES}))
    assert comparisons(paths, "run")["shadow"] is None
