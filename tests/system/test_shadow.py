"""`launch.py --shadow FILE` with real processes: the shadow decides beside the run, is compared with it, and is repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.system.plant_runner import eventually, last_json, launch, running

pytestmark = pytest.mark.system
CANDIDATE = """
[thresholds.score]
watch = [30.0, 30.0, 30.0]
arm = [40.0, 40.0, 40.0]
[thresholds.signal]
cooldown_s = 2.0
rest_s = 1.0
"""


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def test_a_shadow_beside_a_run(tmp_path: Path) -> None:
    candidate, data = tmp_path / "candidate.toml", tmp_path / "data"
    candidate.write_text(CANDIDATE)
    with running(data, "--symbols", "8", "--no-admin", "--shadow", str(candidate)) as run:
        folder = data / "sim" / "shadow"

        def status() -> dict[str, Any]:
            found = list(folder.glob("*/status.json"))
            return read(found[0]) if found else {}

        eventually(lambda: status().get("decisions", 0) > 3, "the shadow decides", 400.0)
        eventually(lambda: status()["lag_s"] < 30.0, "it has caught up")
        assert not status()["hole"]
        code, summary, _ = run.stop(180.0)
        assert code == 0
    assert status()["over"]
    shadow = read(next(folder.glob("*/result.json")))
    assert shadow["kind"] == "shadow" and summary["run_id"] == shadow["job"]["run_id"]
    places = ("--data-dir", str(data), "--json")
    model = ("--no-check", "--timing", "model")
    again = last_json(launch("backtest", "--journal", str(data), "-c", str(candidate), *model, *places))
    assert again["decision_digest"] == shadow["decision_digest"]
    assert again["trades"] == len(shadow["trades"])
    both = last_json(launch("compare", "live", "shadow", *places))
    assert both["same_data"] and both["b"].startswith("shadow")
    assert both["both"] + both["only_b"] == len(shadow["trades"])
    own = last_json(launch("compare", "live", "journal", *places))
    assert own["same_data"] and own["only_a"] + own["both"] == both["only_a"] + both["both"]
    assert own["only_a"] == own["only_b"] == 0, own["reasons"]
    assert own["differing"] == [] and own["shortfall"]["total_e8"] == 0


def test_a_candidate_with_a_fault_is_told_before_anything_starts(tmp_path: Path) -> None:
    candidate = tmp_path / "candidate.toml"
    candidate.write_text("[thresholds.score]\nwatched = [1.0, 1.0, 1.0]\n")
    done = launch("run", "--shadow", str(candidate), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 3 and "unknown key" in done.stderr + done.stdout
    assert not (tmp_path / "data" / "sim").exists()
