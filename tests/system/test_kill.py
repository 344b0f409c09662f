"""KILL and PAUSE of the whole plant when most of it is dead: page, recorder, disk writers. They need none of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from core.enums import ControlBits, State
from shm.topology import Plant
from tests.system.plant_runner import Running, eventually, launch, running
from tests.system.test_live import LIVE, clean_end, plant_of

pytestmark = pytest.mark.system


def freeze(plant: Plant, *names: str) -> list[int]:
    """SIGSTOP: to everybody else they are as dead as after kill -9, and the supervisor does not replace them yet."""
    pids = [plant.cncs()[name].pid for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def wait_for_a_position(plant: Plant) -> None:
    eventually(lambda: int(plant.account().read(0)[0]["open_positions"]) > 0, "a position is open", 400.0)


def kill_by_file(run: Running) -> None:
    run.paths.kill_file.touch()


def kill_by_cli(run: Running) -> None:
    assert launch("kill", "--data-dir", str(run.data_dir), "--reason", "drill").returncode == 0


@pytest.mark.slow  # two minutes; the test at the end has the dead page and recorder, too
@pytest.mark.parametrize("kill", [kill_by_cli, kill_by_file])
def test_kill_with_page_and_recorder_dead(tmp_path: Path, kill) -> None:
    """Both are killed with -9 again and again while the kill is on its way: flat, latched, no entry after it."""
    with running(tmp_path, *LIVE) as run, plant_of(run) as plant:
        wait_for_a_position(plant)
        for pid in freeze(plant, "admin", "recorder"):
            os.kill(pid, signal.SIGKILL)
        kill(run)
        eventually(lambda: plant.control.flat, "flat and verified")
        orders = plant.counters("execution").get("orders")
        eventually(lambda: int(plant.account().read(0)[0]["open_positions"]) == 0, "the board says so")
        assert plant.control.bits() & ControlBits.KILL and run.paths.kill_file.exists()
        eventually(lambda: plant.cnc("admin").restarts and plant.cnc("admin").ready, "the page is back")
        rows = plant.symbol_rows()
        states = {State(int(rows.read(i)[0]["state"])) for i in range(12)}
        assert states & {State.ORDER_PLACED, State.IN_POSITION, State.MANAGING} == set()
        assert plant.counters("execution").get("orders") == orders, "nothing entered after the kill"
        clean_end(run, plant.spec.run_id, [])


@pytest.mark.slow  # a minute; tests/workers/test_pause_latch.py has it in small
def test_pause_survives_a_restart_of_the_whole_system(tmp_path: Path) -> None:
    with running(tmp_path, *LIVE, "--no-admin") as run, plant_of(run) as plant:
        assert "pause latched" in launch("pause", "--data-dir", str(tmp_path)).stdout
        run.process.kill()  # the whole system at once, nobody says goodbye
        run.process.wait()
        eventually(lambda: not Path(f"/proc/{plant.cnc('execution').pid}").exists(), "all are gone")
    with running(tmp_path, *LIVE, "--no-admin") as run, plant_of(run) as plant:
        eventually(lambda: plant.control.pause_sources() == ["exec"], "still paused")
        before = plant.counters("execution").get("orders")
        eventually(lambda: plant.control.get("published_seq") > 20_000, "the market runs")
        assert plant.counters("execution").get("orders") == before == 0
        assert launch("resume", "--data-dir", str(tmp_path)).returncode == 0
        eventually(lambda: not plant.control.bits() & ControlBits.PAUSE, "resumed")
        assert not run.paths.pause_file.exists()
        _, _, said = run.stop()
    assert "PAUSE is latched (cli: command line)" in said


def test_latch_survives_kill_9_of_execution_page_and_recorder(tmp_path: Path) -> None:
    """Page and recorder are dead, execution dies in the middle of closing: its successor goes on closing and stays killed."""
    with running(tmp_path, *LIVE) as run, plant_of(run) as plant:
        wait_for_a_position(plant)
        first = plant.cnc("execution").pid
        for pid in freeze(plant, "admin", "recorder"):
            os.kill(pid, signal.SIGKILL)
        kill_by_file(run)
        eventually(lambda: plant.control.bits() & ControlBits.KILL, "the file was seen")
        os.kill(first, signal.SIGKILL)
        eventually(lambda: plant.cnc("execution").pid != first and plant.cnc("execution").ready, "a successor")
        eventually(lambda: plant.control.flat, "flat and verified")
        eventually(lambda: int(plant.account().read(0)[0]["open_positions"]) == 0, "the board says so")
        assert plant.control.bits() & ControlBits.KILL and run.paths.kill_file.exists()
        eventually(lambda: plant.cnc("admin").restarts and plant.cnc("admin").ready, "the page is back")
        clean_end(run, plant.spec.run_id, [])
