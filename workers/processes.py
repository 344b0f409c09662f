"""The process table: which program each role is, what its death means, and one running child.

    role        starts before            dies while live             dies on a tape (paced)
    venue       everything else          restart, same port          -
    recorder    shards                   restart                     restart
    shard i     gateway                  restart, books resync       stop the run
    execution   gateway                  restart, journal replay     stop the run
    admin       -                        restart                     restart
    guardian    last, LIVE only          restart                     -
    gateway     last: readers are ready  restart, resubscribe        stop the run

On a tape the order of events is the result, and a lost process cannot take its place in it again: the run stops with
an error instead of printing a digest that means nothing.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from config.paths import ROOT
from workers.forking import Forked, fork


@dataclass(frozen=True)
class Policy:
    """How one role is started and what its death means."""

    module: str
    survives_on_tape: bool
    stop_s: float = 5.0  # what it may take to end in order


POLICIES: dict[str, Policy] = {
    "venue": Policy("gateway.venue", survives_on_tape=True),
    "recorder": Policy("workers.recorder", survives_on_tape=True, stop_s=20.0),  # it reads to the end, and waits for a database
    "shard": Policy("workers.shard", survives_on_tape=False),
    "execution": Policy("workers.execution", survives_on_tape=False),
    "guardian": Policy("workers.guardian", survives_on_tape=True),
    "admin": Policy("admin.server", survives_on_tape=True),
    "gateway": Policy("gateway.market_data", survives_on_tape=False),
}

BOOT_S = 60.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 30.0
LOOP_DEATHS, LOOP_WINDOW_S = 5, 300.0
LOOK_S = 0.5  # between two looks at a silent process; one counts for twice that at most
QUEUED_SHARE = 0.5  # of that time in line for a processor: it would run if it could
RAN_S = 5.0  # run without a heartbeat in all: no turn takes as long, so it runs in circles, however busy the machine


def core_times(pid: int) -> tuple[float, float]:
    """(s run, s in line for a processor) of all threads of a process, zeros where nobody tells. One that holds the
    interpreter's lock without a processor keeps the others waiting, too."""
    ran = queued = 0
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # a thread that has just ended
                words = file.read_text().split()
                ran, queued = ran + int(words[0]), queued + int(words[1])
    return ran / 1e9, queued / 1e9


class CrashLoop(Exception):
    """A role died too often; the run must stop (exit code 8)."""


@dataclass
class Child:
    """One process slot: the running child, its deaths, and when it may start again."""

    role: str
    index: int
    log_path: Path
    process: Forked | subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_at: float = 0.0
    deaths: deque[float] = field(default_factory=deque)
    last_exit: str = ""
    _usage: psutil.Process | None = None
    _log_from: int = 0  # where the log of the running child begins
    _beat: tuple[int, int] = (0, 0)  # process and heartbeat at the last look
    _looked_at: float = -math.inf
    _silent_s: float = 0.0
    _waited_s: float = 0.0
    _cores: tuple[float, ...] = ()  # what it had run when this silence was first seen; in line for a core at the last look
    _told_silence: str = ""

    @property
    def name(self) -> str:
        return f"{self.role}-{self.index}" if self.role == "shard" else self.role

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def fork(self, arguments: Sequence[str], *, show_output: bool, in_child: Callable[[], None]) -> None:
        """Start the role by fork; its output goes to its log file, or to the terminal."""
        self._mark_log()
        log = None if show_output else self.log_path
        self._watch(fork(POLICIES[self.role].module, arguments, self.name, log, in_child))

    def spawn(self, arguments: Sequence[str], *, show_output: bool) -> IO[bytes]:
        """Start the role in an interpreter of its own and return its standard output (the embedded exchange)."""
        self._mark_log()
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", POLICIES[self.role].module, *arguments], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=None if show_output else log, cwd=ROOT,
            )
        self._watch(process)
        assert process.stdout is not None
        return process.stdout

    def _mark_log(self) -> None:
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0

    def _watch(self, process: Forked | subprocess.Popen[bytes]) -> None:
        self.process = process
        self._usage = psutil.Process(process.pid)
        self._usage.cpu_percent()

    def poll(self) -> int | None:
        """Exit code of a child that has ended since the last look, None while it runs or waits for a restart."""
        return self.process.poll() if self.process else None

    def exit_code(self, timeout_s: float) -> int | None:
        """The same, waited for; None for one that goes on."""
        try:
            return self.process.wait(timeout_s) if self.process else None
        except (subprocess.TimeoutExpired, TimeoutError):
            return None

    def cpu_percent(self) -> float:
        """CPU share since the last call, % of one core."""
        try:
            return self._usage.cpu_percent() if self._usage else 0.0
        except psutil.Error:
            return 0.0

    def rss_mb(self) -> float:
        try:
            return self._usage.memory_info().rss / 1e6 if self._usage else 0.0
        except psutil.Error:
            return 0.0

    def end_silence(self, heartbeat_ns: int, limit_s: float) -> str:
        """Killed once it was silent for `limit_s`: no heartbeat in time that we have seen pass, while it had what it needs.
        Not counted is what we slept ourselves (Ctrl-Z, a paused machine), and its waiting for the disk or a processor: a kill
        makes neither faster, its successor would need more of both, and enough deaths stop the run.
        Call it every turn. Returns what to say of it, "" = nothing, or said before."""
        now, beat = time.monotonic(), (self.pid, heartbeat_ns)
        if now - self._looked_at < LOOK_S:
            return ""
        passed_s, self._looked_at = min(now - self._looked_at, 2 * LOOK_S), now
        if self.process is None or beat != self._beat:
            self._beat, self._silent_s, self._waited_s, self._told_silence = beat, 0.0, 0.0, ""
            self._cores = ()
            return ""
        waits = self._waits(passed_s)
        if waits:
            self._waited_s += passed_s
        else:
            self._silent_s += passed_s
        say = ""
        if self._silent_s > limit_s:
            self.process.kill()
            say = "hangs: killed"
        elif waits and self._waited_s > limit_s:
            say = waits
        told, self._told_silence = self._told_silence, say or self._told_silence
        return say if say != told else ""

    def _waits(self, passed_s: float) -> str:
        """What it has been waiting for since the last look, by the kernel's word; "" = it could have worked."""
        if self._usage is None:
            return ""
        try:
            status = self._usage.status()
        except psutil.Error:
            return ""
        (ran_s, queued_s), before = core_times(self.pid), self._cores
        self._cores = (self._cores[0] if before else ran_s, queued_s)
        if status == psutil.STATUS_DISK_SLEEP:
            return "waits for the disk"
        if not before or ran_s - before[0] > RAN_S or queued_s - before[1] < QUEUED_SHARE * passed_s:
            return ""
        return "waits for a processor"

    def note_death(self, code: int) -> float:
        """Remember a death; return the pause in seconds before the next start.

        Raises CrashLoop after `LOOP_DEATHS` within `LOOP_WINDOW_S`.
        """
        now = time.monotonic()
        self.last_exit = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.process = None
        self.deaths.append(now)
        while self.deaths and now - self.deaths[0] > LOOP_WINDOW_S:
            self.deaths.popleft()
        if len(self.deaths) >= LOOP_DEATHS:
            raise CrashLoop(f"{self.name} died {len(self.deaths)} times within {LOOP_WINDOW_S:.0f} s ({self.last_exit})")
        pause = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 4 ** (len(self.deaths) - 1))
        self.restart_at = now + pause
        return pause

    def last_words(self, lines: int = 6) -> str:
        """The end of what it has logged since it was started, for error messages."""
        try:
            said = self.log_path.read_bytes()[self._log_from :].decode(errors="replace")
            return "\n".join(said.splitlines()[-lines:])
        except OSError:
            return ""

