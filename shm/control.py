"""Control block (words every process watches) and process pages (what every process tells).

Everything is level-triggered: a word holds a state, not an event, so nobody can miss it. Each word has one writer at a
time and a cache line of its own. Kill and pause have a word per source; in force is the OR of them.
"""

from __future__ import annotations

import os
import time
from enum import IntEnum

import numpy as np

from core.detail import DETAIL_WISHES
from core.enums import ControlBits
from core.jit import kernel
from shm.atomics import LINE_WORDS, get_word, load_acquire, set_word, store_release
from shm.errors import ErrorLog, get_text, put_text
from shm.layout import CNC, CNC_SUPERVISOR, CONTROL_WORDS, word

SOURCES = ("admin", "cli", "exec", "guardian")  # of KILL
PAUSE_SOURCES = ("admin", "cli", "exec")
HELD_NS = 5_000_000_000  # a heartbeat older than that holds no place


class ProcessState(IntEnum):
    OFF = 0
    BOOT = 1
    RUN = 2
    HALT = 3
    FAIL = 4


CONTROL_INDEX: dict[str, int] = {row.name: index * LINE_WORDS for index, row in enumerate(CONTROL_WORDS)}
CONTROL_ROWS = 64

W_STOP = CONTROL_INDEX["stop"]
W_DEGRADED = CONTROL_INDEX["degraded"]
W_PUBLISHED_SEQ = CONTROL_INDEX["published_seq"]
W_PAUSE_FIRST = CONTROL_INDEX["pause_admin"]
W_PAUSE_LAST = CONTROL_INDEX["pause_exec"]
W_KILL_FIRST = CONTROL_INDEX["kill_admin"]
W_KILL_LAST = CONTROL_INDEX["kill_guardian"]
W_KILL_NS = CONTROL_INDEX["kill_ns"]
_PAUSE = int(ControlBits.PAUSE)
_KILL = int(ControlBits.KILL)
_DEGRADED = int(ControlBits.DEGRADED)
STOP_BIT = 1 << 16
"""In the answer of `control_bits`, beside the ControlBits: the stop word is set."""

N_STATE = word(CNC, "state")
N_PID = word(CNC, "pid")
N_STARTED = word(CNC, "started_ns")
N_HEARTBEAT = word(CNC, "heartbeat_ns")
N_LOOPS = word(CNC, "loops")
N_STALL_MAX = word(CNC, "stall_max_ns")
N_KILL_SEEN = word(CNC, "kill_seen_ns")
N_PAUSE_SEEN = word(CNC, "pause_seen")
N_CONTROL_SEEN = word(CNC, "control_seen")
N_PROGRESS = word(CNC, "progress_seq")
N_CONFIG_SEEN = word(CNC, "config_seen")
N_READY = word(CNC, "ready")
N_PORT = word(CNC, "port")
CNC_WORDS = CNC.size // 8
_SUPERVISOR = CNC_WORDS
_ERROR_OFFSET = CNC.size + CNC_SUPERVISOR.size


@kernel
def control_bits(control):
    """ControlBits in force, and STOP_BIT."""
    bits = 0
    for index in range(W_PAUSE_FIRST, W_PAUSE_LAST + 1, LINE_WORDS):
        if load_acquire(control, index) != 0:
            bits |= _PAUSE
    for index in range(W_KILL_FIRST, W_KILL_LAST + 1, LINE_WORDS):
        if load_acquire(control, index) != 0:
            bits |= _KILL
    if load_acquire(control, W_DEGRADED) != 0:
        bits |= _DEGRADED
    if load_acquire(control, W_STOP) != 0:
        bits |= STOP_BIT
    return bits


@kernel
def cnc_turn(control, cnc, now_ns, turn_ns):
    """One turn of a process's loop: heartbeat, stall, what it sees of the control words. Returns `control_bits`."""
    bits = control_bits(control)
    store_release(cnc, N_HEARTBEAT, now_ns)
    cnc[N_LOOPS] += 1
    if turn_ns > cnc[N_STALL_MAX]:
        cnc[N_STALL_MAX] = turn_ns
    if bits != cnc[N_CONTROL_SEEN]:
        if bits & _KILL == 0:
            store_release(cnc, N_KILL_SEEN, 0)
        elif cnc[N_KILL_SEEN] == 0:
            store_release(cnc, N_KILL_SEEN, max(now_ns, load_acquire(control, W_KILL_NS)))  # the turn may have ended before
        store_release(cnc, N_PAUSE_SEEN, 1 if bits & _PAUSE != 0 else 0)
        store_release(cnc, N_CONTROL_SEEN, bits)
    return bits


class _Word:
    """Attribute access to a control word by its name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._index = CONTROL_INDEX[name]

    def __get__(self, block: ControlBlock, owner: type) -> int:
        return int(get_word(block.words, self._index))

    def __set__(self, block: ControlBlock, value: int) -> None:
        set_word(block.words, self._index, int(value))


class ControlBlock:
    """View of the control words (int64[8 * CONTROL_ROWS]); `words` with CONTROL_INDEX serves kernels."""

    run_state = _Word()
    stop = _Word()
    published_seq = _Word()
    feed_state = _Word()
    degraded = _Word()
    end_seq = _Word()
    drained = _Word()
    config_version = _Word()
    kill_ns = _Word()
    flat = _Word()
    mode = _Word()
    guardian_duty = _Word()
    exec_back = _Word()

    def __init__(self, words: np.ndarray) -> None:
        self.words: np.ndarray = words[: CONTROL_ROWS * LINE_WORDS]

    @staticmethod
    def bytes_needed() -> int:
        return CONTROL_ROWS * LINE_WORDS * 8

    @classmethod
    def format(cls, words: np.ndarray) -> ControlBlock:
        block = cls(words)
        for i in range(DETAIL_WISHES):
            block.set(f"detail_symbol_{i}", -1)
        return block

    def get(self, name: str) -> int:
        return int(get_word(self.words, CONTROL_INDEX[name]))

    def set(self, name: str, value: int) -> None:
        set_word(self.words, CONTROL_INDEX[name], int(value))

    def add(self, name: str, n: int = 1) -> int:
        """Count up a word (its one writer only); returns the new value."""
        value = self.get(name) + n
        self.set(name, value)
        return value

    def bits(self) -> ControlBits:
        """PAUSE, KILL, DEGRADED in force now."""
        return ControlBits(int(control_bits(self.words)) & ~STOP_BIT)

    def request_kill(self, source: str) -> None:
        """Set the kill word of a source: admin, cli, exec, guardian."""
        index = CONTROL_INDEX[f"kill_{source}"]
        if self.get("kill_ns") == 0:
            self.set("kill_ns", time.monotonic_ns())
        set_word(self.words, index, 1)

    def clear_kill(self) -> None:
        """A person clears the latch: all sources. The file latch is the supervisor's."""
        self.add("kill_clear_requests")
        for source in SOURCES:
            self.set(f"kill_{source}", 0)
        self.set("kill_ns", 0)
        self.set("flat", 0)

    def kill_sources(self) -> list[str]:
        return [source for source in SOURCES if self.get(f"kill_{source}")]

    def request_pause(self, source: str, on: bool) -> None:
        """Set or clear the pause word of a source: admin, cli, exec."""
        self.set(f"pause_{source}", int(on))

    def clear_pause(self) -> None:
        """A person resumes, whoever paused. The file latch is the requester's to remove, before this."""
        for source in PAUSE_SOURCES:
            self.set(f"pause_{source}", 0)

    def pause_sources(self) -> list[str]:
        return [source for source in PAUSE_SOURCES if self.get(f"pause_{source}")]

    def request_stop(self) -> None:
        self.set("stop", 1)

    def request_config(self, source: str) -> None:
        """Ask the gateway's process to reload the configuration; `source` admin, cli or recorder."""
        self.add(f"config_request_{source}")

    def config_requests(self) -> int:
        """Requests so far; compare with the number handled last."""
        return sum(self.get(f"config_request_{source}") for source in ("admin", "cli", "recorder"))

    @property
    def detail_symbols(self) -> list[int]:
        """Symbol ids wanted on the detail board, one per board row; -1 = none."""
        return [self.get(f"detail_symbol_{i}") for i in range(DETAIL_WISHES)]

    def want_detail(self, row: int, symbol: int) -> None:
        self.set(f"detail_symbol_{row}", symbol)

    def as_dict(self) -> dict[str, int]:
        return {row.name: self.get(row.name) for row in CONTROL_WORDS}


class CncPage:
    """Page of one process in a uint8 array: its own words, the supervisor's words, its distinct errors."""

    def __init__(self, body: np.ndarray, name: str = "") -> None:
        self.name = name
        self.words: np.ndarray = body[: CNC.size].view(np.int64)
        self._text: np.ndarray = body[: CNC.size].view(CNC.dtype)["last_error"][0]
        self._supervisor: np.ndarray = body[CNC.size : _ERROR_OFFSET].view(np.int64)
        self.errors = ErrorLog(body[_ERROR_OFFSET:])

    @staticmethod
    def bytes_needed() -> int:
        return _ERROR_OFFSET + ErrorLog.bytes_needed()

    def holder(self) -> int:
        """Another process that has its heartbeat here, 0 = none. Who begins beside it would write where it writes."""
        pid = self.pid
        if pid in (0, os.getpid()) or self.state in (ProcessState.HALT, ProcessState.FAIL):
            return 0
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return 0
        except PermissionError:
            pass  # somebody else's
        return pid if time.monotonic_ns() - self.heartbeat_ns < HELD_NS else 0

    def start(self) -> None:
        """Called by the process itself when it begins (also after a restart)."""
        self.words[N_READY] = 0
        self.words[N_PID] = os.getpid()
        self.words[N_STARTED] = time.time_ns()
        self.words[N_KILL_SEEN] = 0
        self.words[N_PAUSE_SEEN] = 0
        self.words[N_CONTROL_SEEN] = 0
        set_word(self.words, N_HEARTBEAT, time.monotonic_ns())
        self.set_state(ProcessState.BOOT)

    def set_state(self, state: ProcessState) -> None:
        set_word(self.words, N_STATE, int(state))

    @property
    def state(self) -> ProcessState:
        return ProcessState(int(get_word(self.words, N_STATE)))

    def fail(self, error: BaseException) -> None:
        """FAIL with the text of the exception, which also goes to the distinct errors."""
        self.errors.record(error)
        put_text(self._text, f"{type(error).__name__}: {error}")
        self.set_state(ProcessState.FAIL)

    @property
    def last_error(self) -> str:
        return get_text(self._text)

    @property
    def state_name(self) -> str:
        return self.state.name

    @property
    def pid(self) -> int:
        return int(self.words[N_PID])

    @property
    def started_ns(self) -> int:
        return int(self.words[N_STARTED])

    @property
    def heartbeat_ns(self) -> int:
        """CLOCK_MONOTONIC of the last turn."""
        return int(get_word(self.words, N_HEARTBEAT))

    @property
    def loops(self) -> int:
        return int(self.words[N_LOOPS])

    @property
    def stall_max_ns(self) -> int:
        return int(self.words[N_STALL_MAX])

    @property
    def kill_seen_ns(self) -> int:
        return int(get_word(self.words, N_KILL_SEEN))

    @property
    def pause_seen(self) -> bool:
        return int(get_word(self.words, N_PAUSE_SEEN)) != 0

    @property
    def control_seen(self) -> ControlBits:
        return ControlBits(int(get_word(self.words, N_CONTROL_SEEN)) & ~STOP_BIT)

    @property
    def progress_seq(self) -> int:
        """Shard watermark."""
        return int(get_word(self.words, N_PROGRESS))

    @progress_seq.setter
    def progress_seq(self, seq: int) -> None:
        set_word(self.words, N_PROGRESS, int(seq))

    @property
    def config_seen(self) -> int:
        return int(self.words[N_CONFIG_SEEN])

    @config_seen.setter
    def config_seen(self, version: int) -> None:
        self.words[N_CONFIG_SEEN] = version

    @property
    def ready(self) -> bool:
        """The process says that its start-up is done."""
        return int(get_word(self.words, N_READY)) != 0

    @ready.setter
    def ready(self, on: bool) -> None:
        set_word(self.words, N_READY, int(on))

    @property
    def port(self) -> int:
        return int(get_word(self.words, N_PORT))

    @port.setter
    def port(self, port: int) -> None:
        set_word(self.words, N_PORT, int(port))

    # words of the supervisor
    def supervisor_get(self, name: str) -> int:
        """restarts, exits, exit_code, exit_ns, given_up."""
        return int(self._supervisor[word(CNC_SUPERVISOR, name)])

    def supervisor_set(self, name: str, value: int) -> None:
        self._supervisor[word(CNC_SUPERVISOR, name)] = value

    @property
    def restarts(self) -> int:
        return self.supervisor_get("restarts")

    def note_start(self, pid: int) -> None:
        """Supervisor, about itself and about the venue: neither takes part in control words, so neither says READY."""
        self.words[N_PID] = pid
        self.words[N_STARTED] = time.time_ns()
        self.set_state(ProcessState.RUN)

    def beat(self) -> None:
        """Heartbeat of a process that takes no part in control words (all others: `cnc_turn`)."""
        set_word(self.words, N_HEARTBEAT, time.monotonic_ns())

    def note_restart(self, restarts: int) -> None:
        """Supervisor: the process is being started again, for the `restarts`th time."""
        self.supervisor_set("restarts", restarts)

    def note_exit(self, code: int) -> None:
        """Supervisor: the process has ended. A page that still says BOOT or RUN then says FAIL (its writer is gone)."""
        self.supervisor_set("exits", self.supervisor_get("exits") + 1)
        self.supervisor_set("exit_code", code)
        self.supervisor_set("exit_ns", time.monotonic_ns())
        if self.state in (ProcessState.BOOT, ProcessState.RUN):
            self.set_state(ProcessState.FAIL)

    def as_dict(self) -> dict[str, int | str | bool]:
        """Everything the pages show of a process."""
        return {
            "name": self.name, "state": self.state.name, "pid": self.pid, "started_ns": self.started_ns,
            "heartbeat_ns": self.heartbeat_ns, "loops": self.loops, "stall_max_ns": self.stall_max_ns,
            "kill_seen_ns": self.kill_seen_ns, "pause_seen": self.pause_seen, "progress_seq": self.progress_seq,
            "config_seen": self.config_seen, "ready": self.ready, "port": self.port, "restarts": self.restarts,
            "exit_code": self.supervisor_get("exit_code"), "given_up": bool(self.supervisor_get("given_up")),
            "errors": self.errors.total(), "last_error": self.last_error,
        }
