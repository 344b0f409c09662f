from __future__ import annotations

import os

import numpy as np
import pytest

from core.enums import ControlBits
from shm.control import (
    CONTROL_INDEX,
    CONTROL_ROWS,
    SOURCES,
    STOP_BIT,
    CncPage,
    ControlBlock,
    ProcessState,
    cnc_turn,
    control_bits,
)
from shm.layout import CONTROL_WORDS
from tests.shm.support import zeros


def block() -> ControlBlock:
    return ControlBlock.format(np.zeros(CONTROL_ROWS * 8, np.int64))


def test_every_word_has_a_cache_line_of_its_own() -> None:
    assert len(CONTROL_WORDS) <= CONTROL_ROWS
    assert sorted(CONTROL_INDEX.values()) == [8 * i for i in range(len(CONTROL_WORDS))]


def test_fresh_words() -> None:
    control = block()
    assert control.bits() == ControlBits.NONE
    assert control.detail_symbols == [-1] * 4
    assert all(value == 0 for name, value in control.as_dict().items() if not name.startswith("detail"))


@pytest.mark.parametrize("source", SOURCES)
def test_kill_is_the_or_of_its_sources(source: str) -> None:
    control = block()
    control.request_kill(source)
    first = control.kill_ns
    control.request_kill("cli")
    assert control.bits() == ControlBits.KILL
    assert control.kill_ns == first > 0
    assert set(control.kill_sources()) == {source, "cli"}
    control.clear_kill()
    assert control.bits() == ControlBits.NONE
    assert (control.kill_sources(), control.kill_ns, control.get("kill_clear_requests")) == ([], 0, 1)


def test_pause_degraded_and_stop() -> None:
    control = block()
    control.request_pause("admin", True)
    control.request_pause("exec", True)
    control.request_pause("admin", False)
    control.degraded = 1
    assert control.bits() == ControlBits.PAUSE | ControlBits.DEGRADED
    assert control_bits(control.words) & STOP_BIT == 0
    control.request_stop()
    assert control.stop == 1
    assert control_bits(control.words) & STOP_BIT
    assert control.bits() == ControlBits.PAUSE | ControlBits.DEGRADED


def test_requests_and_wishes() -> None:
    control = block()
    control.request_config("admin")
    control.request_config("cli")
    control.request_config("cli")
    assert control.config_requests() == 3
    control.want_detail(2, 17)
    assert control.detail_symbols == [-1, -1, 17, -1]
    with pytest.raises(KeyError):
        control.request_kill("nobody")


def test_a_turn_stamps_what_it_sees() -> None:
    control = block()
    page = CncPage(zeros(CncPage.bytes_needed()), "shard-0")
    page.start()
    assert (page.state, page.pid, page.ready) == (ProcessState.BOOT, os.getpid(), False)
    cnc_turn(control.words, page.words, 100, 5)
    assert (page.heartbeat_ns, page.loops, page.stall_max_ns, page.kill_seen_ns) == (100, 1, 5, 0)
    control.set("kill_ns", 150)
    control.request_kill("admin")
    control.request_pause("cli", True)
    cnc_turn(control.words, page.words, 200, 3)
    cnc_turn(control.words, page.words, 300, 3)
    assert (page.kill_seen_ns, page.pause_seen, page.stall_max_ns) == (200, True, 5)
    assert page.control_seen == ControlBits.KILL | ControlBits.PAUSE
    control.clear_kill()
    cnc_turn(control.words, page.words, 400, 3)
    assert (page.kill_seen_ns, page.pause_seen) == (0, True)
    control.set("kill_ns", 450)  # asked between the end of a turn, its stamp, and its look at the words
    control.request_kill("admin")
    cnc_turn(control.words, page.words, 440, 3)
    assert page.kill_seen_ns == 450


def test_page_words_and_errors() -> None:
    page = CncPage(zeros(CncPage.bytes_needed()), "gateway")
    page.start()
    page.progress_seq = 77
    page.config_seen = 3
    page.port = 8787
    page.note_restart(2)
    page.fail(ValueError("prix élevé " * 40))
    page.note_exit(-9)
    shown = page.as_dict()
    assert (shown["state"], shown["restarts"], shown["exit_code"], shown["errors"]) == ("FAIL", 2, -9, 1)
    assert (page.progress_seq, page.config_seen, page.port) == (77, 3, 8787)
    assert page.last_error.startswith("ValueError: prix élevé")
    assert len(page.last_error.encode()) <= 256


def test_the_supervisor_marks_a_page_whose_process_vanished() -> None:
    page = CncPage(zeros(CncPage.bytes_needed()))
    page.start()
    page.set_state(ProcessState.RUN)
    page.note_exit(-9)
    assert page.state_name == "FAIL"
    page.start()
    page.set_state(ProcessState.HALT)
    page.note_exit(0)
    assert (page.state_name, page.supervisor_get("exits")) == ("HALT", 2)


def test_processes_outside_the_control_words_are_noted_by_the_supervisor() -> None:
    page = CncPage(zeros(CncPage.bytes_needed()), "venue")
    page.note_start(4711)
    assert (page.pid, page.state, page.ready, page.heartbeat_ns) == (4711, ProcessState.RUN, False, 0)
    assert page.started_ns > 0
    page.beat()
    assert page.heartbeat_ns > 0 and page.loops == 0
    page.note_exit(1)
    assert page.state == ProcessState.FAIL
    page.note_start(4712)
    assert (page.pid, page.state) == (4712, ProcessState.RUN)
