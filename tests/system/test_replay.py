"""Runs of the real processes on the embedded exchange, with faults, replayed: bit for bit, for any number of engines."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shm.topology import Plant
from tests.system.plant_runner import Running, eventually, last_json, launch, running
from tests.system.test_live import pids, plant_of

pytestmark = pytest.mark.system

EAGER = """
[trading]
capital_tier = "{tier}"
[thresholds.score]
watch = [20.0, 20.0, 20.0]
arm = [{arm}, 30.0, 30.0]
max_spread_bps = [50.0, 50.0, 50.0]
[thresholds.signal]
cooldown_s = 1.0
rest_s = 1.0
[safety.limits]
daily_loss_pct = 5.0
max_heat_pct = 50.0
max_unrealised_loss_pct = 50.0
"""


def eager(mode: str, arm: float) -> str:
    return EAGER.format(arm=arm, tier="NORMAL" if mode == "LIVE" else "NONE")


class Scene:
    """A running plant and the things that may happen to it."""

    def __init__(self, run: Running, plant: Plant, config: Path, rng: random.Random) -> None:
        self.run, self.plant, self.config, self.rng = run, plant, config, rng

    def wait_events(self, count: int) -> None:
        seen = self.plant.control.get("published_seq")
        eventually(lambda: self.plant.control.get("published_seq") >= seen + count, "events flow", 400.0)

    def kill(self, role: str, index: int = 0) -> None:
        name = f"shard-{index}" if role == "shard" else role
        page, pid = self.plant.cnc(role, index), pids(self.plant)[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: page.ready and page.pid != pid, f"the new {name} is ready")

    def kill_shard(self) -> None:
        self.kill("shard", self.rng.randrange(self.plant.spec.shards))

    def kill_execution(self) -> None:
        self.kill("execution")

    def kill_recorder(self) -> None:
        self.kill("recorder")

    def kill_gateway(self) -> None:
        self.kill("gateway")

    def reload(self) -> None:
        self.config.write_text(eager(self.plant.spec.mode, self.rng.choice((25.0, 28.0, 35.0))))
        version = self.plant.control.get("config_version")
        assert launch("reload", "--data-dir", str(self.run.data_dir)).returncode == 0
        eventually(lambda: self.plant.control.get("config_version") > version, "reloaded")

    def pause(self) -> None:
        launch("pause", "--data-dir", str(self.run.data_dir))
        self.wait_events(200)
        launch("resume", "--data-dir", str(self.run.data_dir))

    def kill_switch(self) -> None:
        launch("kill", "--data-dir", str(self.run.data_dir))
        self.wait_events(500)
        launch("resume", "--clear-kill", "--data-dir", str(self.run.data_dir))

    def stall_shard(self) -> None:
        """Stopped long enough to be lapped, where the ring is small."""
        pid = pids(self.plant)[f"shard-{self.rng.randrange(self.plant.spec.shards)}"]
        os.kill(pid, signal.SIGSTOP)
        try:
            self.wait_events(4000)
        finally:
            with contextlib.suppress(ProcessLookupError):  # so long on a busy machine that it was taken for hung
                os.kill(pid, signal.SIGCONT)


FAULTS: tuple[Callable[[Scene], None], ...] = (
    Scene.kill_shard, Scene.kill_execution, Scene.reload, Scene.pause, Scene.kill_switch, Scene.kill_recorder,
    Scene.kill_gateway, Scene.stall_shard,
)


def record(
    folder: Path, seed: int, shards: int, faults: tuple[Callable[[Scene], None], ...], crash: bool = False,
    mode: str = "SIM", fills: int = 0,
) -> None:
    """One run, at least until there are `fills`; `crash`: the supervisor is killed and takes everybody along."""
    config = folder / "eager.toml"
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(eager(mode, 30.0) + ("\n[system.rings]\nmarket_cells = 8192\n" if Scene.stall_shard in faults else ""))
    arguments = ("--mode", mode, "--shards", str(shards), "--symbols", "10", "--seed", str(seed), "--no-admin",
                 "-c", str(config))
    with running(folder / "data", *arguments, mode=mode) as run, plant_of(run) as plant:
        scene = Scene(run, plant, config, random.Random(seed))
        scene.wait_events(3000)
        for fault in faults:
            fault(scene)
            scene.wait_events(2500)
        eventually(lambda: plant.counters("execution").get("fills") >= fills, "fills", 400.0)
        if crash:
            os.kill(pids(plant)["recorder"], signal.SIGKILL)
            run.process.kill()
            run.process.wait()
            return
        code, _, error = run.stop()
        assert code == 0, error[-3000:]


def replay(folder: Path, *arguments: str) -> dict[str, Any]:
    return last_json(launch("replay", str(folder), "--json", *arguments, timeout_s=600))


def check_identical(folder: Path, *shards: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for n in shards:
        result = replay(folder / "data", "--shards", str(n))
        assert result["identical"], (result["notes"], result["differences"][:2])
        assert result["is_complete"] and result["checks"] > 0
    return result


def test_a_run_with_a_restarted_shard_and_execution(tmp_path: Path) -> None:
    record(tmp_path, 7, 2, (Scene.kill_shard, Scene.kill_execution, Scene.reload))
    result = check_identical(tmp_path, 2, 1)
    assert result["messages"] > 0 and result["decisions"] > 0 and result["account_checks"] > 10


def test_a_crashed_run(tmp_path: Path) -> None:
    record(tmp_path, 8, 3, (Scene.kill_recorder,), crash=True)
    result = check_identical(tmp_path, 2)
    assert any("cut off" in note for note in result["notes"])


def test_a_live_run_with_a_killed_execution(tmp_path: Path) -> None:
    """Orders at an exchange: the same bytes are sent again, over a kill -9 in the middle and a restarted shard."""
    record(tmp_path, 9, 2, (Scene.kill_execution, Scene.kill_shard, Scene.reload), mode="LIVE", fills=2)
    result = check_identical(tmp_path, 2, 1)
    assert result["sent"] > 20 and result["told"] >= 2 and result["link_frames"] > result["sent"]


def test_a_crashed_live_run(tmp_path: Path) -> None:
    record(tmp_path, 10, 1, (Scene.kill_execution,), crash=True, mode="LIVE", fills=1)
    result = check_identical(tmp_path, 2)
    assert result["sent"] > 10 and any("cut off" in note for note in result["notes"])


def test_a_dry_run(tmp_path: Path) -> None:
    record(tmp_path, 11, 2, (Scene.kill_execution,), mode="DRY_RUN")
    result = check_identical(tmp_path, 1)
    assert result["messages"] > 0 and result["sent"] == 0 and result["link_frames"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_twenty_runs(tmp_path: Path, seed: int) -> None:
    rng = random.Random(1000 + seed)
    shards = 1 + seed % 8
    faults = tuple(rng.sample(FAULTS, rng.randint(1, 4)))
    mode = ("SIM", "LIVE", "SIM", "DRY_RUN", "LIVE")[seed % 5]
    record(tmp_path, seed, shards, faults, crash=seed % 5 == 4, mode=mode)
    check_identical(tmp_path, shards, rng.randint(1, 8))
    shutil.rmtree(tmp_path)

