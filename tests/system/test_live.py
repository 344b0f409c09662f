"""The whole plant on the embedded exchange: it runs, survives kill -9 of anybody, stays killed, leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shm.topology import Plant
from tests.system.plant_runner import (
    ROOT,
    Running,
    alive,
    environment,
    eventually,
    last_json,
    launch,
    leftovers,
    running,
)

pytestmark = pytest.mark.system
LIVE = ("--shards", "2", "--symbols", "12", "--admin-port", "0")


@contextlib.contextmanager
def plant_of(run: Running) -> Iterator[Plant]:
    """Attach to the running plant once every process is ready."""

    def attach() -> Plant | None:
        assert run.process.poll() is None, f"launch.py ended:\n{run.process.stderr.read()[-3000:] if run.process.stderr else ''}"
        with contextlib.suppress(Exception):
            plant = Plant.join(run.paths.run_file, "supervisor")
            return plant if plant.spec.created_ns > run.started_ns else None  # not what a dead run left
        return None

    plant = eventually(attach, "the plant exists", 240.0)  # a cold kernel cache is compiled first
    eventually(lambda: plant.cnc("gateway").ready and plant.control.get("published_seq") > 500, "events flow")
    yield plant


def pids(plant: Plant) -> dict[str, int]:
    return {name: cnc.pid for name, cnc in plant.cncs().items() if cnc.pid and name not in ("supervisor", "venue")}


def clean_end(run: Running, run_id: str, children: list[int]) -> dict[str, Any]:
    """Ctrl-C: exit code 0, a summary, no process and no shared memory left."""
    code, summary, error = run.stop()
    assert code == 0, error[-3000:]
    assert leftovers(run_id) == []
    assert [pid for pid in children if alive(pid)] == []
    return summary


def own_cache(folder: Path) -> Path:
    """The kernel cache by links: what is compiled into it is a file of its own."""
    shutil.copytree(os.environ["NUMBA_CACHE_DIR"], folder, copy_function=os.symlink)
    return folder


def compiled_into(cache: Path) -> list[Path]:
    return sorted(file for file in cache.rglob("*.nbc") if not file.is_symlink())


def test_runs_pauses_resumes_and_stops_cleanly(tmp_path: Path) -> None:
    cache = own_cache(tmp_path / "cache")
    with running(tmp_path, *LIVE, NUMBA_CACHE_DIR=str(cache)) as run, plant_of(run) as plant:
        run_id, known = plant.spec.run_id, pids(plant)
        assert set(known) == {"gateway", "execution", "recorder", "admin", "shard-0", "shard-1"}
        eventually(lambda: sum(plant.counters("shard", i).get("decisions") for i in range(2)), "first decision")
        before = compiled_into(cache)  # none, unless the cache was cold
        state = run.status()
        assert state["feed"] == "CONNECTED" and state["symbols"] == 12
        assert {row["state"] for row in state["processes"]} == {"RUN"}
        plant.control.want_detail(0, 0)  # what the page asks for when a symbol is opened
        eventually(lambda: plant.detail().read(0)["seq"][0] > 0, "the detail board is filled")
        eventually(lambda: "seen by all 6 processes" in launch("pause", "--data-dir", str(tmp_path)).stdout, "all have seen it")
        assert run.status()["control"] == ["PAUSE"]
        assert "entries allowed" in launch("resume", "--data-dir", str(tmp_path)).stdout
        assert run.status()["control"] == []
        again = launch("run", "--data-dir", str(tmp_path), "--no-admin")
        assert again.returncode == 7 and "another instance" in again.stderr
        children = [child.pid for child in psutil.Process(run.process.pid).children(recursive=True)]
        assert len(children) >= 7  # with the venue
        summary = clean_end(run, run_id, children)
    assert summary["gaps"] == 0 and summary["ring_lost"] == 0 and summary["rejected"] == 0
    assert summary["frames"] == summary["decoded"] + summary["other"] + summary["rejected"]
    assert summary["restarts"] == {}
    assert list(cache.rglob("*.nbc")) and compiled_into(cache) == before, "a kernel was compiled while the plant ran"
    assert list((tmp_path / "sim" / "journal").iterdir()), "the recorder wrote a journal"


def test_kill_9_of_everybody_in_turn_is_noticed_and_survived(tmp_path: Path) -> None:
    """One after the other in one plant; the shard last, because it is the only one that loses events with its life."""
    victims = ("gateway", "execution", "recorder", "admin", "venue", "shard-1")
    with running(tmp_path, *LIVE) as run, plant_of(run) as plant:
        run_id = plant.spec.run_id
        for victim in victims:
            if victim == "venue":
                family = psutil.Process(run.process.pid).children()
                pid = next(child.pid for child in family if "gateway.venue" in child.cmdline())  # the others are forks
            else:
                pid = pids(plant)[victim]
            lost = [plant.counters("shard", i).get("lost_messages") for i in range(2)]
            assert lost == [0, 0], f"before {victim}"
            os.kill(pid, signal.SIGKILL)
            role, _, index = victim.partition("-")
            page = plant.cnc(role, int(index or 0))
            eventually(lambda page=page: page.supervisor_get("restarts") == 1, f"{victim} restarted")
            if victim != "venue":
                eventually(lambda page=page, pid=pid: page.ready and page.pid != pid, f"the new {victim} is ready")
            seen = plant.control.get("published_seq")
            eventually(lambda seen=seen: plant.control.get("published_seq") > seen + 500, "events flow again")
            eventually(lambda: all(row["state"] == "RUN" for row in run.status()["processes"]), "all run")
        children = [child.pid for child in psutil.Process(run.process.pid).children(recursive=True)]
        summary = clean_end(run, run_id, children)
    assert summary["restarts"] == dict.fromkeys(victims, 1)


def test_kill_is_latched_until_cleared(tmp_path: Path) -> None:
    with running(tmp_path, *LIVE) as run, plant_of(run) as plant:
        def kill() -> bool:
            done = launch("kill", "--data-dir", str(tmp_path), "--reason", "drill")
            assert done.returncode == 0, done.stdout
            return "seen by all 6 processes" in done.stdout and "FLAT" in done.stdout

        eventually(kill, "all have seen it, and nothing is open")  # the command waits two seconds, a slow machine longer
        clean_end(run, plant.spec.run_id, [])
    with running(tmp_path, *LIVE) as run, plant_of(run) as plant:
        eventually(lambda: "KILL" in run.status()["control"], "still killed after the restart")
        orders = plant.counters("execution").get("orders")
        assert orders == 0
        done = launch("resume", "--clear-kill", "--data-dir", str(tmp_path))
        assert done.returncode == 0 and "kill latch removed" in done.stdout
        eventually(lambda: run.status()["control"] == [], "cleared")
        _, _, error = run.stop()
        assert "KILL is latched" in error and "drill" in error


def test_death_of_the_supervisor_takes_everybody_along(tmp_path: Path) -> None:
    with running(tmp_path, *LIVE, "--no-admin") as run, plant_of(run) as plant:
        children = [child.pid for child in psutil.Process(run.process.pid).children(recursive=True)]
        run.process.kill()
        eventually(lambda: not any(alive(pid) for pid in children), "no orphan")
        run_id = plant.spec.run_id
    assert launch("status", "--data-dir", str(tmp_path)).returncode == 1
    with running(tmp_path, *LIVE, "--no-admin") as run, plant_of(run):
        assert leftovers(run_id) == [], "the next start removed what was left"


def test_ctrl_c_while_kernels_compile_ends_quietly(tmp_path: Path) -> None:
    """A first start is interrupted: exit code 0, one sentence, no process, no shared memory, no files of ours."""
    scratch = tmp_path / "scratch"
    for folder in ("cache", "scratch"):
        (tmp_path / folder).mkdir()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), "run", "--data-dir", str(tmp_path / "data"), "--json"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment() | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(scratch)},
    )
    children = psutil.Process(process.pid)

    def compiling() -> list[psutil.Process]:
        assert process.poll() is None
        found = [c for c in children.children(recursive=True) if "workers.warm" in words_of(c)]
        return found if list((tmp_path / "cache").iterdir()) else []

    def words_of(child: psutil.Process) -> list[str]:
        with contextlib.suppress(psutil.Error):  # it has just ended
            return child.cmdline()
        return []

    workers = eventually(compiling, "kernels are compiled")
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=240)
    assert (process.returncode, json.loads(out.splitlines()[-1])) == (0, {"exit_code": 0, "error": ""}), error[-3000:]
    assert "stopped before it had started" in error
    assert "Traceback" not in error and "failed" not in error
    assert [child for child in workers if alive(child.pid)] == []
    assert list(scratch.iterdir()) == []
    assert list(Path("/dev/shm").glob(f"scalper-warm-*{workers[0].pid}*")) == []


def test_control_without_a_plant(tmp_path: Path) -> None:
    assert launch("pause", "--data-dir", str(tmp_path)).returncode == 0  # holds for the next start
    assert "pause latch removed" in launch("resume", "--data-dir", str(tmp_path)).stdout
    for verb in ("status", "resume", "reload"):
        done = launch(verb, "--data-dir", str(tmp_path))
        assert done.returncode == 1 and "nothing runs" in done.stderr
    assert launch("kill", "--data-dir", str(tmp_path)).returncode == 0
    assert (tmp_path / "run" / "KILL").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--shards", "0"), 2, "1<=x<=8"),
        (("--venue", "nowhere"), 2, "embedded, mainnet"),
        (("frobnicate",), 2, "no such verb"),
        (("--mode", "LIVE", "--venue", "testnet"), 2, "mode LIVE is not permitted"),
        (("-c", "/nonexistent.toml"), 3, "file not found"),
        (("--data-dir", "/proc/nowhere"), 5, "--data-dir"),
    ],
)
def test_start_errors_say_cause_and_fix(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    extra = () if "--data-dir" in arguments or arguments[0] == "frobnicate" else ("--data-dir", str(tmp_path))
    done = launch(*arguments, *extra)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_a_slow_shard_degrades_sheds_wild_first_and_recovers(tmp_path: Path) -> None:
    """A6: a shard that stands still fills its ring; quiet symbols are given up, counted, and come back with fresh books."""
    config = tmp_path / "small.toml"
    config.write_text("[system.rings]\nmarket_cells = 16384\n[symbols]\nnormal_count = 2\n")
    with running(tmp_path, *LIVE[:2], "--symbols", "40", "--no-admin", "-c", str(config)) as run, plant_of(run) as plant:
        gateway, shard = plant.counters("gateway"), pids(plant)["shard-0"]
        os.kill(shard, signal.SIGSTOP)
        try:
            eventually(lambda: plant.control.get("degraded"), "DEGRADED is on")
            eventually(lambda: gateway.get("shed_events"), "WILD symbols are shed")
            assert "DEGRADED" in run.status()["control"]
        finally:
            os.kill(shard, signal.SIGCONT)
        eventually(lambda: not plant.control.get("degraded"), "DEGRADED is off again")
        eventually(lambda: plant.counters("shard", 0).get("broken_symbols") == 0, "all books are believed again")
        _, summary, _ = run.stop()
    assert summary["shed_events"] > 0
    files = sorted((tmp_path / "sim" / "events").rglob("system.jsonl"))
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    levels = [line["level"] for line in lines if line["evt"] == "shed" and line["shard"] == 0]
    assert levels[0] == 1 and levels[-1] == 0, f"WILD first, everything back in the end: {levels}"


def test_another_venue_by_its_address(tmp_path: Path) -> None:
    """`launch.py venue` alone, and a plant that is told its address."""
    venue = subprocess.Popen(
        [sys.executable, str(ROOT / "launch.py"), "venue", "--symbols", "5", "--json"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env=environment(), cwd=ROOT,
    )
    with venue:
        try:
            assert venue.stdout is not None
            address = json.loads(venue.stdout.readline())
            done = launch("--venue", address["rest"], "--duration", "5", "--no-admin", "--json", "--data-dir", str(tmp_path))
            assert done.returncode == 0, done.stderr
            result = last_json(done)
            assert result["symbols"] == 5 and result["decoded"] > 100 and result["gaps"] == 0
        finally:
            venue.terminate()
