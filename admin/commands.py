"""Asks execution over the command ring and waits for its answer. One command at a time; nothing else is written here."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from core.enums import CommandKind
from core.orders.command_words import Answer, Command, read_answers, write_command
from core.records import ANSWER
from shm.regions import COMMAND_SLOTS
from shm.topology import Plant

ANSWER_S = 3.0  # longer than execution keeps a command: what has not been answered by then never happens
POLL_S = 0.002


class NoAnswer(Exception):
    """Execution has not answered (it is dead, or hangs)."""


class CommandClient:
    """Safe to call from several threads."""

    def __init__(self, plant: Plant, answer_s: float = ANSWER_S) -> None:
        self._writer = plant.commands().writer()
        self._reader = plant.answers().reader()
        self._rows: np.ndarray = np.zeros(COMMAND_SLOTS, ANSWER.dtype)
        self._lock = threading.Lock()
        self._last = 0
        self._answer_s = answer_s

    def ask(self, kind: CommandKind, **fields: Any) -> Answer:
        """Send a command, wait for what became of it. Raises NoAnswer."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1_000_000)  # ms: goes on over restarts, stays short
            mono = time.monotonic_ns()
            command = Command(self._last, time.time_ns(), mono, kind=int(kind), **fields)
            if not self._writer.push(write_command(command), 1):
                raise NoAnswer("execution takes no commands: it is stopped, or hangs")
            deadline = mono + int(self._answer_s * 1e9)
            in_time = True
            while in_time:
                in_time = time.monotonic_ns() < deadline  # asked before the look: what came during the last pause is heard
                for answer in read_answers(self._rows, self._reader.pop(self._rows)):
                    if answer.id == command.id:
                        return answer
                time.sleep(POLL_S)
        raise NoAnswer(f"execution did not answer within {self._answer_s:g} s; it will not carry this out later")
