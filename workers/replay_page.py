"""`launch.py replay --page`: a recorded run on the pages, played, paused, stepped and sought through by a person.

    lock -> shared memory -> player (workers/replay_player.py), page process (admin/server.py) -> wait -> stop -> unlink

The plant of a replay lives in `<data_dir>/replay`, beside the system that may be running: its own lock, its own address
file, its own shared memory. There is no gateway, no execution and no exchange in it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

from config.paths import DataPaths
from shm.agent import be_parent
from shm.run_spec import ReplaySource, RunSpec, new_run_id
from shm.topology import Plant, leftovers
from workers.forking import Forked, fork, preload
from workers.replay_console import time_ns
from workers.run_journal import NoJournal, RunJournal, find_run
from workers.starting import EXIT_OK, EXIT_PREFLIGHT, EXIT_UNEXPECTED, StartError, take_lock

CHILDREN = {"player": "workers.replay_player", "admin": "admin.server"}
BOOT_S = 60.0
STOP_S = 5.0
SMALL = 1024  # cells or slots of rings nobody uses here


class PageOptions(NamedTuple):
    """How it begins. `port` 0: any free one; `speed`: times the recorded one, or `max`."""

    port: int = 0
    speed: str = "1"
    paused: bool = False
    from_time: str = ""


class ReplayPage:
    """Starts the plant of a replay and watches it until Ctrl-C; `main` returns the exit code. Raises NoJournal."""

    def __init__(self, journal: RunJournal, data_dir: Path, options: PageOptions) -> None:
        recorded = journal.spec()
        self.paths = DataPaths(data_dir / "replay", recorded.mode)
        self.spec = RunSpec(
            run_id=new_run_id(), mode=recorded.mode, shards=1, data_dir=str(self.paths.data_dir), seed=recorded.seed,
            venue_name="replay", overrides={"trading.mode": recorded.mode},
            admin={"host": "127.0.0.1", "port": options.port}, token=secrets.token_urlsafe(24),
            created_ns=time.time_ns(), market_cells=SMALL, raw_cells=SMALL, intent_slots=64, report_slots=64, tap_cells=SMALL,
            replay=ReplaySource(str(journal.folder), journal.run_id, str(journal.mode_dir.parent)),
        )
        self._arguments = ["--speed-e3", str(speed_e3(options.speed)), "--from-ns", str(time_ns(options.from_time))]
        self._arguments += ["--paused"] if options.paused else []
        self._children: dict[str, Forked] = {}
        self._stopping = False

    def main(self) -> int:
        """Run until a signal, or until a child has ended."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        be_parent()
        lock = take_lock(self.paths)
        leftovers()
        preload(tuple(CHILDREN.values()))
        try:
            plant = Plant.create(self.spec)
        except OSError as error:
            raise StartError(EXIT_PREFLIGHT, f"shared memory: {error}. Free /dev/shm (containers: --shm-size=1g).") from None
        try:
            plant.cnc().note_start(os.getpid())
            self.spec.save(self.paths.run_file)
            self.paths.admin_file.unlink(missing_ok=True)
            for name, module in CHILDREN.items():
                arguments = ["--run", str(self.paths.run_file), *(self._arguments if name == "player" else ())]
                self._children[name] = fork(module, arguments, name, self._log(name), lock.close)
            self._announce()
            return self._watch(plant)
        finally:
            self._end(plant)
            lock.close()

    def _on_signal(self, number: int, frame: object) -> None:
        self._stopping = True

    def _log(self, name: str) -> Path:
        return self.paths.log_dir / f"{name}.log"

    def _announce(self) -> None:
        deadline = time.monotonic() + BOOT_S
        while not self.paths.admin_file.exists() and time.monotonic() < deadline and not self._stopping:
            self._check()
            time.sleep(0.01)
        if self._stopping:
            return
        try:
            url = json.loads(self.paths.admin_file.read_text())["url"]
        except (OSError, ValueError, KeyError):
            raise StartError(EXIT_UNEXPECTED, f"the page did not come up; see {self._log('admin')}") from None
        source = self.spec.replay
        assert source is not None
        print(f"REPLAY of run {source.run_id} ({self.spec.mode}): nothing is traded here. Ctrl-C stops.\n"
              f"page: {url}\n  one-time login: {url}login#{self.spec.token}", file=sys.stderr, flush=True)

    def _check(self) -> None:
        """Raises StartError with the last words of a child that has ended."""
        for name, child in self._children.items():
            code = child.poll()
            if code is not None:
                try:
                    words = "\n".join(self._log(name).read_text(errors="replace").splitlines()[-6:])
                except OSError:
                    words = ""
                raise StartError(code if code in (2, 3) else EXIT_UNEXPECTED, f"{name} ended (exit code {code}):\n{words}")

    def _watch(self, plant: Plant) -> int:
        while not self._stopping:
            plant.cnc().beat()
            self._check()
            time.sleep(0.05)
        return EXIT_OK

    def _end(self, plant: Plant) -> None:
        plant.control.request_stop()
        deadline = time.monotonic() + STOP_S
        for child in self._children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                child.kill()
                child.wait()
        self.paths.run_file.unlink(missing_ok=True)
        self.paths.admin_file.unlink(missing_ok=True)
        plant.destroy()


def replay_page(folder: Path, run_id: str, data_dir: Path, options: PageOptions) -> int:
    """Show run `run_id` (the newest of `folder`) on the pages. Raises NoJournal, StartError."""
    return ReplayPage(find_run(folder, run_id), data_dir, options).main()


def speed_e3(text: str) -> int:
    """1e-3 of the recorded speed; 0 for `max`. Raises NoJournal."""
    if text == "max":
        return 0
    try:
        value = round(float(text) * 1000)
    except ValueError:
        value = 0
    if not 1 <= value <= 1_000_000:
        raise NoJournal(f"--speed {text}: 0.001 to 1000 times the recorded speed, or max.")
    return value
