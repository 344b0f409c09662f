"""JSON-line files: `<events dir>/YYYY-MM-DD/<stream>.jsonl`, whole lines only, a fault of the disk costs no process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from workers.journal_files import write_all

ROTATE_BYTES = 256 << 20
KEEP_BYTES = 8 << 20  # waiting lines of one file while the disk refuses


class EventFiles:
    """Appends lines by (day, stream); `flush` writes what was added. A file over ROTATE_BYTES is set aside with a
    number and begun anew."""

    def __init__(
        self, folder: Path, on_error: Callable[[OSError], None] = lambda error: None, rotate_bytes: int = ROTATE_BYTES,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        self.folder = folder
        self.written = 0
        self.lost = 0
        self.errors = 0
        self._rotate_bytes = rotate_bytes
        self._keep_bytes = keep_bytes
        self._on_error = on_error
        self._waiting: dict[tuple[str, str], list[bytes]] = {}
        self._handles: dict[tuple[str, str], int] = {}

    def add(self, day: str, stream: str, line: bytes) -> None:
        """One line without its end; it is written at the next `flush`."""
        self._waiting.setdefault((day, stream), []).append(line + b"\n")

    def flush(self) -> bool:
        """Write all waiting lines; False when the disk refused some (they are kept)."""
        done = True
        for key, lines in list(self._waiting.items()):
            data = b"".join(lines)
            try:
                self._write(key, data)
            except OSError as error:
                done = False
                self.errors += 1
                self._on_error(error)
                while len(data) > self._keep_bytes and lines:
                    data = data[len(lines.pop(0)) :]
                    self.lost += 1
                continue
            self.written += len(lines)
            del self._waiting[key]
        return done

    def _write(self, key: tuple[str, str], data: bytes) -> None:
        handle = self._handles.get(key)
        if handle is None:
            handle = self._open(key)
        size = os.fstat(handle).st_size
        if size and size + len(data) > self._rotate_bytes:
            self._set_aside(key)
            handle = self._open(key)
            size = 0
        try:
            write_all(handle, data)
        except OSError:
            with contextlib.suppress(OSError):  # no half line may stand before the retry
                os.ftruncate(handle, size)
            self._close(key)
            raise

    def _path(self, key: tuple[str, str]) -> Path:
        return self.folder / key[0] / f"{key[1]}.jsonl"

    def _open(self, key: tuple[str, str]) -> int:
        for other in [k for k in self._handles if k[1] == key[1]]:  # the day before is closed
            self._close(other)
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":  # the last writer died inside a line
            write_all(handle, b"\n")
        self._handles[key] = handle
        return handle

    def _set_aside(self, key: tuple[str, str]) -> None:
        self._close(key)
        path = self._path(key)
        number = 1
        while (target := path.with_name(f"{key[1]}.{number}.jsonl")).exists():
            number += 1
        path.rename(target)

    def _close(self, key: tuple[str, str]) -> None:
        with contextlib.suppress(OSError):
            os.close(self._handles.pop(key))

    def close(self) -> None:
        self.flush()
        for key in list(self._handles):
            self._close(key)
