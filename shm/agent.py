"""The loop every process runs: heartbeat, stop, control words, stall, idle policy, and an honest end.

A process either runs an `Agent` in `run` (busy loop that spins briefly and then sleeps on its bell) or, with asyncio,
calls `Beat.tick()` from a periodic task. Both write the same words.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Protocol

import numpy as np

from core.enums import ControlBits
from core.histogram import hist_record
from core.jit import kernel
from shm.control import CNC_WORDS, STOP_BIT, CncPage, ControlBlock, ProcessState, cnc_turn
from shm.counters import C_ERRORS, C_LOOPS_BUSY, C_PARKS, S_LOOP_STALL, CounterPage
from shm.topology import Plant

PARENT_VARIABLE = "SCALPER_PARENT_PID"
_PR_SET_PDEATHSIG = 1
EXIT_OK = 0
EXIT_FAIL = 1


class Agent(Protocol):
    """What `run` drives. `do_work` handles what is there now, never waits, and returns how much it was (0 = idle)."""

    role_name: str

    def on_start(self) -> None: ...

    def do_work(self) -> int: ...

    def on_close(self) -> None: ...


def be_parent() -> None:
    """Tell children started from here who their parent is."""
    os.environ[PARENT_VARIABLE] = str(os.getpid())


def die_with_parent(signum: int = signal.SIGTERM) -> None:
    """Have the kernel send `signum` when the parent ends. Call in the main thread of a child.

    A parent that names itself with `be_parent` may be process 1 (a container's only program); otherwise a parent 1 means
    that ours has ended before we asked.
    """
    named = os.environ.get(PARENT_VARIABLE)
    parent = int(named) if named else os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent or (parent == 1 and not named):
        os.kill(os.getpid(), signum)  # it ended before we asked


@kernel
def _turn(control, cnc, stall, counters, now_ns, turn_ns, busy, parked):
    """`cnc_turn`, and for a working turn its length in the stall histogram."""
    if busy != 0:
        hist_record(stall, turn_ns)
        counters[C_LOOPS_BUSY] += 1
    counters[C_PARKS] += parked
    return cnc_turn(control, cnc, now_ns, turn_ns)


def compile_turn(control: ControlBlock, page: CounterPage) -> None:
    """Compile the kernel of one turn, on private pages."""
    words: np.ndarray = np.zeros(CNC_WORDS, np.int64)
    _turn(control.words, words, page.hist(S_LOOP_STALL), page.array, 0, 0, 1, 0)


class StopFlag:
    """SIGTERM sets it; SIGINT is ignored, because Ctrl-C goes to the whole group and the supervisor decides."""

    def __init__(self) -> None:
        self.set = False

    def install(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, signum: int, frame: FrameType | None) -> None:
        self.set = True


def run(
    agent: Agent, plant: Plant, cnc: CncPage | None = None, *, spin: int | None = None,
    park: Callable[[int], None] | None = None, park_ns: int | None = None, flag: StopFlag | None = None,
    heeds_stop_word: bool = True,
) -> int:
    """Drive `agent` until the stop word or SIGTERM; returns the exit code (0 orderly, 1 after an exception).
    `heeds_stop_word` False: until SIGTERM alone, for who is to outlive the others.

    Idle: after `spin` empty turns announce sleep on the process's bell, look once more, then sleep up to `park_ns`.
    Every ring of the plant rings that bell, so work on any of them wakes. `park` replaces the sleep by another one.
    Defaults for `spin` and `park_ns` come from the run description.
    """
    cnc = plant.cnc() if cnc is None else cnc
    spin = plant.spec.spin if spin is None else spin
    park_ns = int(plant.spec.park_ms * 1e6) if park_ns is None else park_ns
    stop = StopFlag() if flag is None else flag
    if flag is None:
        stop.install()
    counters = plant.counters()
    stall: np.ndarray = counters.hist(S_LOOP_STALL)
    control, words, array = plant.control.words, cnc.words, counters.array
    bell = plant.bell
    cnc.start()
    code = EXIT_OK
    try:
        agent.on_start()
        cnc.ready = True
        cnc.set_state(ProcessState.RUN)
        empty = 0
        armed = False
        parked = 0
        while True:
            begin = time.monotonic_ns()
            done = agent.do_work()
            end = time.monotonic_ns()
            bits = _turn(control, words, stall, array, end, end - begin, int(done > 0), parked)
            parked = 0
            if stop.set or (heeds_stop_word and bits & STOP_BIT):
                break
            if done > 0:
                empty = 0
                if armed:
                    bell.disarm()
                    armed = False
                continue
            empty += 1
            if empty <= spin:
                continue
            if park is not None:
                park(park_ns)
                parked = 1
            elif armed:
                bell.wait(park_ns)
                armed = False
                parked = 1
            else:
                bell.arm()
                armed = True
        agent.on_close()
        cnc.set_state(ProcessState.HALT)
    except Exception as error:
        code = EXIT_FAIL
        array[C_ERRORS] += 1
        cnc.fail(error)
        traceback.print_exc(file=sys.stderr)
        with contextlib.suppress(Exception):
            agent.on_close()
    return code


class Beat:
    """The same words for an asyncio process: call `tick()` every `period_ns`; what is late is the stall of its loop."""

    def __init__(self, plant: Plant, cnc: CncPage | None = None, period_ns: int = 50_000_000) -> None:
        self.plant = plant
        self.cnc = plant.cnc() if cnc is None else cnc
        self.period_ns = period_ns
        self._counters = plant.counters()
        self._stall: np.ndarray = self._counters.hist(S_LOOP_STALL)
        self._last_ns = 0
        self._stop = False

    def start(self) -> None:
        """BOOT. Call first."""
        self.cnc.start()
        self._last_ns = 0

    def running(self) -> None:
        """Start-up is done: RUN."""
        self.cnc.ready = True
        self.cnc.set_state(ProcessState.RUN)

    def request_stop(self) -> None:
        """From a SIGTERM handler: the next `tick` answers True."""
        self._stop = True

    def tick(self, now_ns: int | None = None) -> bool:
        """Heartbeat, control words, stall; True = stop in order."""
        now = time.monotonic_ns() if now_ns is None else now_ns
        late = max(0, now - self._last_ns - self.period_ns) if self._last_ns else 0
        self._last_ns = now
        bits = _turn(
            self.plant.control.words, self.cnc.words, self._stall, self._counters.array, now, late, 1, 0
        )
        return self._stop or bool(bits & STOP_BIT)

    @property
    def control(self) -> ControlBits:
        """PAUSE, KILL, DEGRADED as seen in the last tick."""
        return self.cnc.control_seen

    def end(self, error: BaseException | None = None) -> int:
        """HALT, or FAIL with an error; returns the exit code."""
        if error is None:
            self.cnc.set_state(ProcessState.HALT)
            return EXIT_OK
        self._counters.array[C_ERRORS] += 1
        self.cnc.fail(error)
        return EXIT_FAIL
