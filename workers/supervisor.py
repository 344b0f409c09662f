"""Starts the plant, watches it, stops it in order, and leaves nothing behind.

    lock -> sweep leftovers -> compile -> shared memory -> venue -> recorder, shards, execution, admin -> gateway
         -> guardian (LIVE)
         -> watch (deaths, hangs, heartbeats, tape end, duration, signals) -> stop word -> summary -> unlink

The supervisor holds no market or order logic. It owns the shared memory; children attach by the run file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import msgspec

from config.latch_file import read_latch
from config.load import Loaded
from config.paths import DataPaths
from core.enums import LogKind, Severity
from core.words import plural
from shm.agent import be_parent
from shm.logs import LogWriter
from shm.run_spec import VenueAddress
from shm.topology import Plant, leftovers
from workers.compiling import CompileError, warm
from workers.console import LiveTable, print_summary
from workers.disk_watch import DiskWatch
from workers.forking import PRELOAD, preload
from workers.incident_watch import IncidentWatch
from workers.processes import BOOT_S, POLICIES, Child, CrashLoop
from workers.shadow_child import ShadowChild
from workers.starting import (
    EXIT_CRASH_LOOP,
    EXIT_OK,
    EXIT_PREFLIGHT,
    EXIT_UNEXPECTED,
    Options,
    StartError,
    first_line,
    make_spec,
    permit_live,
    start_code,
    take_lock,
)
from workers.summary import summarise

HANG_S = 10.0
DRAIN_S = 120.0


class Supervisor:
    """One run of the plant."""

    def __init__(self, options: Options, loaded: Loaded) -> None:
        self.options = options
        self.loaded = loaded
        self.settings = loaded.settings
        self.mode = self.settings.trading.mode
        self.paths = DataPaths(options.data_dir, self.mode)
        self.paced = bool(options.tape)
        self.children: list[Child] = []
        self._plant: Plant | None = None
        self._log: LogWriter | None = None
        self.spec = make_spec(options, self.settings, self.paths)
        self.admin_url = ""
        self._lock: IO[str] | None = None
        self._signals = 0
        self._error = ""
        self._started = time.monotonic()
        self._venue_port = 0
        self._shadow: ShadowChild | None = None
        self._venue_output: IO[bytes] | None = None
        self._config_stamp = self._config_mtimes()
        self._incidents = IncidentWatch(self.paths, lambda error: self._say(f"incident not recorded: {error}"), self.spec.run_id)

    @property
    def plant(self) -> Plant:
        """The shared memory of this run."""
        assert self._plant is not None, "the plant is made before anything uses it"
        return self._plant

    # --- life ------------------------------------------------------------------------------------------------------
    def main(self) -> int:
        """Run to the end; returns the exit code."""
        code = EXIT_OK
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        be_parent()
        try:
            self._start()
            self._watch()
        except StartError as error:
            code, self._error = error.code, str(error)
        except CompileError as error:
            self._error = str(error)
        except CrashLoop as error:
            code = EXIT_CRASH_LOOP
            self._error = str(error)
        except KeyboardInterrupt:
            if self._plant is None:
                self._say("stopped before it had started")
        finally:
            self._log_failure()
            summary = self._stop()
        if self._error:
            code = code or EXIT_UNEXPECTED
            self._say(f"E{code} {self._error}")
        if summary is not None:
            print_summary(summary)
        if self.options.json:
            print(json.dumps((summary or {}) | {"exit_code": code, "error": self._error}), flush=True)
        return code

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals += 1
        if self._signals > 1:  # the second one does not wait for anybody
            for child in self.children:
                if child.process:
                    child.process.kill()

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    # --- start -----------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        if self.mode == "LIVE":
            permit = permit_live(self.options, self.settings, self.paths)
            self.spec.tier_allowed, self.spec.account = permit.tier_allowed.name, permit.account
            for line in permit.said:
                self._say(f"LIVE: {line}")
        self._lock = take_lock(self.paths)
        self.paths.run_file.unlink(missing_ok=True)  # of a run that could not remove it
        swept = leftovers()
        if swept:
            self._say(f"removed {len(swept)} shared-memory leftovers of dead runs")
        latch = read_latch(self.paths.kill_file)
        if latch:
            self._say(
                f"KILL is latched ({latch.get('source')}: {latch.get('reason')}): nothing will be entered.\n"
                "   Clear it with `launch.py resume --clear-kill` after looking why."
            )
        pause = read_latch(self.paths.pause_file)
        if pause:
            self._say(f"PAUSE is latched ({pause.get('source')}: {pause.get('reason')}): nothing will be entered until "
                      "`launch.py resume`.")
        warm(Path(os.environ["NUMBA_CACHE_DIR"]), show=not self.options.verbose, stopping=lambda: self._signals > 0)
        embedded = not self.paced and self.options.venue == "embedded"
        if embedded:
            self._launch_venue()  # it boots on one core while this process imports on the other
        preload(PRELOAD if not self.options.admin else (*PRELOAD, "admin.server"))
        self._make_plant()
        roles = [("recorder", 0)] if self.settings.system.recorder.enabled else []
        roles += [("shard", index) for index in range(self.options.shards)] + [("execution", 0)]
        if self.options.admin:
            roles.append(("admin", 0))
        if embedded and self.mode == "LIVE":
            self._await_venue()  # execution needs its addresses and a key
        for role, index in roles:
            self._add(role, index)
        if embedded and self.mode != "LIVE":
            self._await_venue()
        self._wait_running()
        self._add("gateway", 0)  # last: every reader is in place before the first event
        self._wait_running()
        if self.mode == "LIVE":
            self._add("guardian", 0)  # execution has reconciled: from here on somebody watches it
            self._wait_running()
        if self.options.admin:
            self._announce_admin()
        if self.options.shadow:
            self._start_shadow()
        mode = f"{self.mode} (PRACTICE: no real money)" if self.spec.practice else self.mode
        self._say(f"{mode} with {plural(self.options.shards, 'shard')}, {self._source_text()}. Ctrl-C stops.")

    def _start_shadow(self) -> None:
        """Candidate settings decide beside this run (requirement G6)."""
        from workers.backtest import Job, settings_of  # it brings all of research with it

        options = self.options
        if not self.settings.system.recorder.enabled:
            raise StartError(EXIT_PREFLIGHT, "--shadow follows the journal: [recorder] enabled must be true.")
        job = Job(journal=str(self.paths.journal_dir), run_id=self.spec.run_id, name=f"shadow {self.spec.run_id}",
                  config_files=(*options.config_files, *options.shadow), overrides=dict(options.overrides))
        settings_of(job)
        self._shadow = ShadowChild(self.paths, self.spec.run_id, msgspec.json.encode(job).decode(), self._say)
        self._shadow.start()
        self._say(f"shadow: {', '.join(options.shadow)} decides beside it; compare with `launch.py compare live shadow`")

    def _source_text(self) -> str:
        if self.paced:
            names = ", ".join(Path(path).name for path in self.options.tape)
            return f"tape {names} at {'full speed' if not self.options.speed else f'{self.options.speed:g}x'}"
        return f"venue {self.options.venue}"

    def _make_plant(self) -> None:
        try:
            self._plant = Plant.create(self.spec)
        except OSError as error:
            raise StartError(
                EXIT_PREFLIGHT,
                f"shared memory: {error}.\n"
                "   Free /dev/shm (containers: --shm-size=1g) or make the rings in system.toml smaller.",
            ) from None
        self._log = self.plant.log_writer()
        self.plant.cnc().note_start(os.getpid())
        self.spec.save(self.paths.run_file)
        self.paths.admin_file.unlink(missing_ok=True)

    def _launch_venue(self) -> None:
        """Start the embedded exchange (again, on its old port); `_await_venue` reads its addresses."""
        child = next((c for c in self.children if c.role == "venue"), None)
        if child is None:
            child = Child("venue", 0, self.paths.log_dir / "venue.log")
            self.children.append(child)
        arguments = ["--seed", str(self.options.seed), "--json", "--with-parent", "--port", str(self._venue_port)]
        arguments += ["--symbols", self.options.symbols or "40", "--accounts", "1"]
        arguments += ["--deposit", f"{self.settings.trading.account.start_balance_usdt:.0f}"]
        self._venue_output = child.spawn(arguments, show_output=bool(self.options.verbose))

    def _await_venue(self) -> None:
        """Read the addresses from the venue's first line and put them into the run file."""
        assert self._venue_output is not None
        line = first_line(self._venue_output, BOOT_S)
        try:
            venue = json.loads(line)
            self.spec.venue = self._venue_address(venue)
        except (ValueError, KeyError, TypeError):
            child = next(c for c in self.children if c.role == "venue")
            code = start_code(child.exit_code(POLICIES["venue"].stop_s))
            raise StartError(code, f"the embedded exchange did not start:\n{child.last_words()}") from None
        if not self._venue_port:
            self._say(f"embedded exchange: {plural(venue['symbols'], 'symbol')} at {venue['rest']}, seed {self.options.seed}")
        self.plant.cnc("venue").note_start(int(venue["pid"]))
        self._venue_port = int(venue["rest"].rsplit(":", 1)[1])
        self.spec.save(self.paths.run_file)

    def _venue_address(self, venue: dict[str, Any]) -> VenueAddress:
        """What the embedded exchange announces; LIVE trades as its first account."""
        address = VenueAddress(rest=venue["rest"], ws_public=venue["ws_public"])
        if self.mode == "LIVE":
            account = venue["accounts"][0]
            address |= VenueAddress(
                rest=venue["rest"], ws_public=venue["ws_public"], ws_private=venue["ws_private"],
                ws_trade=venue["ws_trade"], api_key=account["api_key"], api_secret=account["api_secret"],
            )
        return address

    def _fork(self, child: Child) -> None:
        arguments = ["--run", str(self.paths.run_file)]
        if child.role == "shard":
            arguments += ["--index", str(child.index)]
        child.fork(arguments, show_output=bool(self.options.verbose), in_child=self._drop)

    def _drop(self) -> None:
        """In a forked child: the lock of the data folder is the supervisor's alone."""
        if self._lock is not None:
            self._lock.close()

    def _add(self, role: str, index: int) -> None:
        name = f"{role}-{index}" if role == "shard" else role
        child = Child(role, index, self.paths.log_dir / f"{name}.log")
        self._fork(child)
        self.children.append(child)

    def _wait_running(self) -> None:
        """Wait until every started child says RUN; a child that ends first is a start-up error with its last words."""
        deadline = time.monotonic() + BOOT_S
        told: set[str] = set()
        while self._signals == 0:
            waiting = [c for c in self.children if c.role != "venue" and not self._is_running(c)]
            if not waiting:
                return
            for child in waiting:
                code = child.poll()
                if code is not None:
                    text = f"{child.name} ended at start (exit code {code}):\n{child.last_words()}"
                    raise StartError(start_code(code), text)
                trouble = f"{child.name}: {self._trouble(child)}"
                if self._trouble(child) and trouble not in told:
                    told.add(trouble)
                    self._say(f"{trouble}; it tries again")
            if time.monotonic() > deadline:
                names = ", ".join(child.name for child in waiting)
                troubles = "".join(f"\n   {trouble}" for trouble in sorted(told))
                raise StartError(EXIT_UNEXPECTED, f"{names} did not become ready within {BOOT_S:.0f} s; see {self.paths.log_dir}"
                                                  + troubles)
            time.sleep(0.01)

    def _trouble(self, child: Child) -> str:
        """The newest error a process has counted since it was started, "" = none."""
        cnc = self.plant.cnc(child.role, child.index)
        entries = cnc.errors.entries() if cnc.pid == child.pid else []
        return entries[0]["text"] if entries else ""

    def _is_running(self, child: Child) -> bool:
        cnc = self.plant.cnc(child.role, child.index)
        return cnc.pid == child.pid and cnc.ready

    def _announce_admin(self) -> None:
        deadline = time.monotonic() + 20.0
        while not self.paths.admin_file.exists() and time.monotonic() < deadline and not self._signals:
            time.sleep(0.01)
        try:
            port = json.loads(self.paths.admin_file.read_text())["port"]
        except (OSError, ValueError, KeyError):
            log = self.paths.log_dir / "admin.log"
            self._say(f"the page did not come up; see {log}. Trading does not depend on it.")
            return
        self.admin_url = f"http://{self.spec.admin['host']}:{port}/"
        self._say(f"page: {self.admin_url}\n  one-time login: {self.admin_url}login#{self.spec.token}")

    # --- watch -----------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        deadline = time.monotonic() + self.options.duration_s if self.options.duration_s else None
        disk = DiskWatch(self.plant, self._say)
        with LiveTable(self, enabled=not self.options.json and not self.options.verbose) as table:
            while not self._signals and not self._error:
                self.plant.cnc().beat()
                self._reap()
                self._check_heartbeats()
                self._check_config_files()
                self._check_incidents()
                disk.turn()
                if self._shadow is not None:
                    self._shadow.look()
                if self.paced and self._tape_done():
                    return
                if deadline and time.monotonic() >= deadline:
                    return
                table.refresh()
                time.sleep(0.02 if self.paced else 0.05)

    def _reap(self) -> None:
        now = time.monotonic()
        for child in self.children:
            code = child.poll()
            if code is not None:
                self._note_death(child, code)
            elif child.process is None and now >= child.restart_at:
                self._restart(child)

    def _note_death(self, child: Child, code: int) -> None:
        words = child.last_words()
        if self.paced and not POLICIES[child.role].survives_on_tape:
            child.process = None
            self._error = f"{child.name} died ({code}) in a tape run: its result would mean nothing.\n{words}"
            return
        self.plant.cnc(child.role, child.index).note_exit(code)
        try:
            pause = child.note_death(code)
        finally:
            self._note(Severity.ERROR, f"{child.name} died ({child.last_exit})")
        self._say(f"{child.name} died ({child.last_exit}); restart in {pause:.1f} s")

    def _note(self, severity: Severity, text: str) -> None:
        """A line beside those of the processes, and an incident in the database: the terminal is gone the next morning."""
        if self._log is not None:
            self._log.emit(LogKind.ERROR, severity=severity, text=text)

    def _log_failure(self) -> None:
        """Why the run ends, while the recorder still listens."""
        if self._error:
            self._note(Severity.CRITICAL, self._error)

    def _restart(self, child: Child) -> None:
        child.restarts += 1
        self.plant.cnc(child.role, child.index).note_restart(child.restarts)
        if child.role == "venue":
            self._launch_venue()
            self._await_venue()
        else:
            self._fork(child)

    def _check_heartbeats(self) -> None:
        """A running process whose heartbeat stands still is stuck: killed, then its policy applies."""
        for child in self.children:
            if child.role == "venue" or child.process is None:
                continue
            cnc = self.plant.cnc(child.role, child.index)
            if cnc.pid == child.pid and cnc.ready:
                said = child.end_silence(cnc.heartbeat_ns, HANG_S)
                if said:
                    self._say(f"{child.name} {said} (no heartbeat for {HANG_S:.0f} s)")

    def _check_incidents(self) -> None:
        """A LIVE system on a real exchange that killed itself has had an incident."""
        folder = self._incidents.turn() if self.mode == "LIVE" and not self.spec.practice else None
        if folder is not None:
            self._say(f"INCIDENT recorded in {folder}: see {self.paths.incidents_list}")

    def _config_mtimes(self) -> tuple[float, ...]:
        return tuple(path.stat().st_mtime if path.exists() else 0.0 for path in self.loaded.files)

    def _check_config_files(self) -> None:
        """Outside LIVE an edited configuration file is a reload request; the gateway validates and orders it."""
        stamp = self._config_mtimes()
        if stamp != self._config_stamp and self.mode != "LIVE":
            self._config_stamp = stamp
            self.plant.control.request_config("cli")

    def _tape_done(self) -> bool:
        return bool(self.plant.control.drained) and self._recorder_caught_up()

    def _recorder_caught_up(self) -> bool:
        """Wait (bounded) until the recorder has read every ring. False where it has died: its successor reads on."""
        recorder = next((c for c in self.children if c.role == "recorder"), None)
        if recorder is None:
            return True
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline and not self._signals:
            if recorder.process is None or recorder.poll() is not None:
                return False
            if self._is_running(recorder) and self.plant.recorder_lag_cells() == 0:
                break
            time.sleep(0.01)
        return True

    # --- stop ------------------------------------------------------------------------------------------------------
    def _stop(self) -> dict[str, Any] | None:
        """Orderly stop, within `stop_s` of each role, then by force; returns the summary of a run that had started."""
        summary = None
        if self._plant is not None:
            self.plant.control.request_stop()
        order = {"venue": 3, "recorder": 2, "guardian": 1}
        for rank in range(4):  # the guardian looks once more after execution; the recorder outlives what it records
            if rank == order["recorder"] and self._had_started():
                self._revive_recorder()
            group = [c for c in self.children if order.get(c.role, 0) == rank and c.process]
            for child in group:
                if child.process and child.process.poll() is None:
                    child.process.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            for child in group:
                assert child.process is not None
                stop_s = POLICIES[child.role].stop_s
                try:
                    child.process.wait(max(0.0, asked + stop_s - time.monotonic()))
                except (subprocess.TimeoutExpired, TimeoutError):
                    self._say(f"{child.name} did not stop within {stop_s:.0f} s: killed")
                    child.process.kill()
                    child.process.wait()
        if self._shadow is not None:
            self._shadow.stop()
        if self._plant is not None:
            if self._had_started():
                summary = summarise(self.plant, self.children, time.monotonic() - self._started)
            self.plant.destroy()
            self.paths.run_file.unlink(missing_ok=True)
            self.paths.admin_file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
        return summary

    def _had_started(self) -> bool:
        return any(child.role == "gateway" for child in self.children)

    def _revive_recorder(self) -> None:
        """One that has died, or waits for its restart, comes once more: what the rings hold at the end is kept by nobody else."""
        for child in self.children:
            if child.role != "recorder" or (child.process is not None and child.poll() is None):
                continue
            self._restart(child)
            deadline = time.monotonic() + POLICIES[child.role].stop_s
            while not self._is_running(child) and child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
