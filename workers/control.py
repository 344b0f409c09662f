"""The control verbs: attach to the running plant, set words, wait for the processes to say that they saw them."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.latch_file import clear_latch, write_latch
from config.paths import DataPaths
from shm.segment import SegmentError
from shm.topology import Plant

ACK_WAIT_S = 2.0


def attach(data_dir: Path) -> Plant | None:
    """The plant that runs in `data_dir`, or None (also for what a killed supervisor left behind). Raises PermissionError."""
    paths = DataPaths(data_dir, "SIM")
    try:
        with paths.lock_file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds it
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass  # held: a supervisor lives
    try:
        return Plant.join(paths.run_file, "supervisor")
    except (OSError, SegmentError):
        return None


def status_of(data_dir: Path) -> dict[str, Any] | None:
    """`status` of the running plant, None when nothing runs."""
    from workers.summary import status

    plant = attach(data_dir)
    return None if plant is None else status(plant)


def page_of(data_dir: Path) -> tuple[str, str]:
    """Address of the page and a login link that works once (a used one is replaced); "" where no page is up."""
    try:
        told = json.loads(DataPaths(data_dir, "SIM").admin_file.read_text())
        return told["url"], f"{told['url']}login#{told['login_token']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def apply(data_dir: Path, verb: str, clear: bool = False) -> list[str] | None:
    """Carry out pause, resume, kill or reload; returns lines to print, None when nothing runs. Raises OSError where the disk
    refuses and nothing runs that could be told instead.

    `clear` (with resume): also remove the kill latch, on disk and in memory.
    """
    plant = attach(data_dir)
    try:
        lines = _latch(DataPaths(data_dir, "SIM"), verb, clear)
    except OSError as error:
        if plant is None or verb != "pause":
            raise
        lines = [f"{error}: the pause would not survive a restart"]
    if plant is None:
        return lines or None
    return lines + _VERBS[verb](plant, clear)


def _latch(paths: DataPaths, verb: str, clear: bool) -> list[str]:
    """The durable half of pause and resume: it holds for the next start too, also when nothing runs. Raises OSError."""
    lines = []
    if verb == "pause":
        write_latch(paths.pause_file, "cli", "command line")
        lines.append(f"pause latched in {paths.pause_file}; `launch.py resume` takes it back")
    elif verb == "resume":
        if clear_latch(paths.pause_file):
            lines.append("pause latch removed")
        if clear:
            lines.append("kill latch removed" if clear_latch(paths.kill_file) else "no kill latch on disk")
    return lines


def _pause(plant: Plant, clear: bool) -> list[str]:
    plant.control.request_pause("cli", True)
    return ["PAUSE: no new entries; exits go on", *_acknowledged(plant, lambda cnc: cnc.pause_seen)]


def _resume(plant: Plant, clear: bool) -> list[str]:
    plant.control.clear_pause()
    if clear:
        plant.control.clear_kill()
    if plant.control.kill_sources():
        return ["still killed: use `launch.py resume --clear-kill`"]
    return ["entries allowed again", *_acknowledged(plant, lambda cnc: not cnc.pause_seen and not cnc.kill_seen_ns)]


def _kill(plant: Plant, clear: bool) -> list[str]:
    asked_ns = time.monotonic_ns()
    plant.control.request_kill("cli")
    lines = ["KILL requested", *_acknowledged(plant, lambda cnc: cnc.kill_seen_ns)]
    for name, cnc in _running(plant):
        if cnc.kill_seen_ns:
            lines.append(f"  {name:<12} seen after {max(0, cnc.kill_seen_ns - asked_ns) / 1e6:.1f} ms")
    deadline = time.monotonic() + ACK_WAIT_S
    while not plant.control.get("flat") and time.monotonic() < deadline:
        time.sleep(0.005)
    lines.append("FLAT: no position, no working order" if plant.control.get("flat") else "not flat yet: see `launch.py status`")
    return lines


def _reload(plant: Plant, clear: bool) -> list[str]:
    before = plant.control.get("config_version")
    plant.control.request_config("cli")
    deadline = time.monotonic() + ACK_WAIT_S
    while plant.control.get("config_version") == before and time.monotonic() < deadline:
        time.sleep(0.01)
    version = plant.control.get("config_version")
    if version == before:
        return [f"still version {before}: nothing changed, or the files have a fault (see the event feed)"]
    return [f"config version {version} in force"]


_VERBS: dict[str, Callable[[Plant, bool], list[str]]] = {
    "pause": _pause, "resume": _resume, "kill": _kill, "reload": _reload,
}


def _running(plant: Plant) -> list[tuple[str, Any]]:
    return [(name, cnc) for name, cnc in plant.cncs().items() if name not in ("supervisor", "venue") and cnc.ready]


def _acknowledged(plant: Plant, seen: Callable[[Any], object]) -> list[str]:
    """Wait (bounded) until every running process has seen the words; say who has not."""
    deadline = time.monotonic() + ACK_WAIT_S
    while True:
        missing = [name for name, cnc in _running(plant) if not seen(cnc)]
        if not missing or time.monotonic() >= deadline:
            break
        time.sleep(0.002)
    return [f"not seen by: {', '.join(missing)}"] if missing else [f"seen by all {len(_running(plant))} processes"]
