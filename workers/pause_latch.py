"""PAUSE across restarts: execution's pause word follows the file `run/PAUSE`.

Whoever pauses sets a word (effective at once) and writes the file (effective for ever after, until a person resumes:
`resume` removes the file and clears every word). Execution pauses itself the same way when it may not trust its account.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from config.latch_file import write_latch

FILE_POLL_NS = 20_000_000


class PauseWords(Protocol):
    """The part of `shm.control.ControlBlock` used here."""

    def get(self, name: str) -> int: ...

    def set(self, name: str, value: int) -> None: ...


class PauseLatch:
    """Mirror of the file in the word `pause_exec`."""

    def __init__(self, control: PauseWords, path: Path, on_error: Callable[[OSError], None]) -> None:
        self._control = control
        self._path = path
        self._on_error = on_error
        self._unwritten = False  # the disk refused: the word alone holds, until a person clears it
        self._polled_ns = 0

    def hold(self, reason: str) -> None:
        """Execution pauses entries itself until a person resumes."""
        self._control.set("pause_exec", 1)
        try:
            write_latch(self._path, "exec", reason)
        except OSError as error:
            self._unwritten = True
            self._on_error(error)

    def look(self) -> None:
        """Set the word as the file says."""
        word = self._control.get("pause_exec")
        stands = self._path.exists()
        self._unwritten &= bool(word)
        if stands != bool(word) and not self._unwritten:
            self._control.set("pause_exec", int(stands))

    def turn(self, now_ns: int) -> None:
        """`look`, at most every `FILE_POLL_NS`."""
        if now_ns - self._polled_ns >= FILE_POLL_NS:
            self._polled_ns = now_ns
            self.look()
