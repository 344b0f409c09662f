from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.enums import ControlBits
from shm.agent import Beat, StopFlag, run
from shm.control import ProcessState
from shm.run_spec import RunSpec
from shm.topology import Plant
from tests.shm.support import ROOT, fresh_run, needs_jit


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    spec = RunSpec(run_id=fresh_run(), market_cells=1024, raw_cells=1024, intent_slots=64, report_slots=64,
                   log_records=300, park_ms=1.0, spin=3)
    made = Plant.create(spec)
    spec.save(tmp_path / "run.json")
    yield made
    made.destroy()


class Scripted:
    """Does what its list says: how much work each turn finds, then stops the run."""

    role_name = "execution"

    def __init__(self, plant: Plant, script: list[int]) -> None:
        self.plant = plant
        self.script = script
        self.calls: list[str] = []

    def on_start(self) -> None:
        self.calls.append("start")

    def do_work(self) -> int:
        if not self.script:
            self.plant.control.request_stop()
            return 1
        return self.script.pop(0)

    def on_close(self) -> None:
        self.calls.append("close")


def test_an_orderly_run(plant: Plant) -> None:
    agent = Scripted(plant, [1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    assert run(agent, plant, flag=StopFlag()) == 0
    page = plant.cnc()
    assert agent.calls == ["start", "close"]
    assert (page.state, page.loops, page.pid) == (ProcessState.HALT, 12, os.getpid())
    counters = plant.counters()
    assert counters.get("loops_busy") == 4
    assert counters.get("parks") == 1  # six empty turns: three to spin, one to arm, one to look again, then sleep
    assert plant.latency()["loop_stall"]["count"] == 4


def test_who_outlives_the_others_goes_on_behind_the_stop_word_until_a_signal(plant: Plant) -> None:
    flag = StopFlag()

    class Last(Scripted):
        def do_work(self) -> int:
            flag.set = len(self.script) == 1
            return self.script.pop()

    plant.control.request_stop()
    agent = Last(plant, [1, 0, 1, 1])
    assert run(agent, plant, flag=flag, heeds_stop_word=False) == 0
    assert agent.script == [] and plant.cnc().state == ProcessState.HALT


def test_a_park_function_replaces_the_bell(plant: Plant) -> None:
    parked: list[int] = []
    agent = Scripted(plant, [0] * 6)
    assert run(agent, plant, flag=StopFlag(), spin=2, park=parked.append, park_ns=77) == 0
    assert parked == [77] * 4


def test_an_exception_is_told_and_the_exit_code_says_so(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Scripted):
        def do_work(self) -> int:
            raise ZeroDivisionError("tick size is zero")

    agent = Broken(plant, [])
    assert run(agent, plant, flag=StopFlag()) == 1
    page = plant.cnc()
    assert agent.calls == ["start", "close"]
    assert page.state == ProcessState.FAIL
    assert page.last_error == "ZeroDivisionError: tick size is zero"
    assert page.errors.entries()[0]["kind"] == "ZeroDivisionError"
    assert plant.counters().get("errors") == 1
    assert "tick size is zero" in capsys.readouterr().err


def test_the_kill_word_is_seen_and_stamped(plant: Plant) -> None:
    class Killer(Scripted):
        def do_work(self) -> int:
            self.plant.control.request_kill("admin")
            return super().do_work()

    assert run(Killer(plant, [1, 1]), plant, flag=StopFlag()) == 0
    page = plant.cnc()
    assert page.kill_seen_ns >= plant.control.kill_ns > 0
    assert page.control_seen == ControlBits.KILL


def test_beat_for_asyncio(plant: Plant) -> None:
    beat = Beat(plant, period_ns=50)
    beat.start()
    beat.running()
    assert plant.cnc().state == ProcessState.RUN
    assert not beat.tick(1000)
    plant.control.request_pause("cli", True)
    assert not beat.tick(1070)
    assert beat.control == ControlBits.PAUSE
    assert (plant.cnc().stall_max_ns, plant.cnc().heartbeat_ns, plant.cnc().loops) == (20, 1070, 2)
    plant.control.request_stop()
    assert beat.tick(1100)
    assert beat.end() == 0
    assert plant.cnc().state == ProcessState.HALT
    assert beat.end(OSError("port taken")) == 1
    assert plant.cnc().last_error == "OSError: port taken"


def test_sigterm_from_a_handler_flag(plant: Plant) -> None:
    beat = Beat(plant)
    beat.start()
    beat.request_stop()
    assert beat.tick()


CHILD = """
import sys
from shm.agent import run
from shm.topology import Plant

class Idle:
    role_name = "execution"
    def on_start(self): print("up", flush=True)
    def do_work(self): return 0
    def on_close(self): print("down", flush=True)

plant = Plant.join(sys.argv[1], "execution")
sys.exit(run(Idle(), plant))
"""


@needs_jit
def test_sigterm_ends_in_order_and_sigint_does_nothing(plant: Plant, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "run.json")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    page = plant.cnc("execution")
    assert page.pid == process.pid
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=240)
    assert (process.returncode, out, err) == (0, "down\n", "")
    assert page.state == ProcessState.HALT


PARENT = """
import subprocess, sys
child = "import os, signal, sys; from shm.agent import die_with_parent; die_with_parent(signal.SIGKILL);" \\
        "print('armed', flush=True); signal.pause()"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, pass_fds=[int(sys.argv[1])])
process.stdout.readline()
"""


def test_a_child_dies_with_its_parent() -> None:
    """Parent and child hold the writing end of a pipe; its end of file says that both are gone."""
    reading, writing = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(writing)], pass_fds=[writing], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(writing)
    try:
        assert parent.wait(timeout=240) == 0
        ready, _, _ = select.select([reading], [], [], 240)
        assert ready
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


FIRST = """
import subprocess, sys
from shm.agent import be_parent
be_parent()
child = "from shm.agent import die_with_parent; die_with_parent(); print('lives', flush=True)"
sys.exit(subprocess.run([sys.executable, "-c", child]).returncode)
"""


def test_a_parent_may_be_process_1(tmp_path: Path) -> None:
    """The only program of a container is process 1; its children must not take that for its death."""
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", FIRST]
    probe = subprocess.run([*command[:3], "true"], capture_output=True) if shutil.which("unshare") else None
    if probe is None or probe.returncode:
        pytest.skip("needs `unshare --pid`: util-linux and the right to make a PID namespace")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout.strip()) == (0, "lives"), done.stderr[-2000:]
