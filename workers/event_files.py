"""JSON-line files: `<events dir>/YYYY-MM-DD/<stream>.jsonl`, whole lines only, a fault of the disk costs no process.

A file that is full is followed by `<stream>.1.jsonl`, `<stream>.2.jsonl` ...: no file is ever renamed, so a place in one
(file, byte) stays what it is. Old parts may be compressed to `.jsonl.zst` by retention.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from workers.journal_files import write_all

PART = re.compile(r"(?P<stream>[A-Za-z0-9_-]+)(?:\.(?P<number>\d+))?\.jsonl(?:\.zst)?")

ROTATE_BYTES = 256 << 20
KEEP_BYTES = 8 << 20  # waiting lines of one file while the disk refuses


def parts(folder: Path, stream: str) -> list[tuple[int, Path]]:
    """(number, file) of a stream in a day's folder, in order of writing; the first has number 0."""
    found = []
    for path in folder.glob(f"{stream}*.jsonl*"):
        match = PART.fullmatch(path.name)
        if match and match["stream"] == stream:
            found.append((int(match["number"] or 0), path))
    return sorted(found)


def part_name(stream: str, number: int) -> str:
    return f"{stream}.{number}.jsonl" if number else f"{stream}.jsonl"


class EventFiles:
    """Appends lines by (day, stream); `flush` writes what was added. A file over ROTATE_BYTES is followed by the next."""

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
        self._paths: dict[tuple[str, str], Path] = {}

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
        stat = os.fstat(handle)
        size = stat.st_size
        if stat.st_nlink == 0:  # somebody took the file away: what is written to it would be lost
            number = PART.fullmatch(self._paths[key].name)["number"]  # type: ignore[index]
            self._close(key)
            handle = self._open(key, at_least=int(number or 0) + 1)
            size = os.fstat(handle).st_size
        elif size and size + len(data) > self._rotate_bytes:
            self._close(key)
            handle = self._open(key, following=True)
            size = 0
        try:
            write_all(handle, data)
        except OSError:
            with contextlib.suppress(OSError):  # no half line may stand before the retry
                os.ftruncate(handle, size)
            self._close(key)
            raise

    def sizes(self) -> dict[str, int]:
        """Bytes of every file that is open, by its path below the folder."""
        return {str(path.relative_to(self.folder)): os.fstat(self._handles[key]).st_size
                for key, path in self._paths.items()}

    def _open(self, key: tuple[str, str], following: bool = False, at_least: int = 0) -> int:
        """The newest part, or the `following` one, and never one under `at_least`: no place in a file is used twice."""
        for other in [k for k in self._handles if k[1] == key[1]]:  # the day before is closed
            self._close(other)
        folder = self.folder / key[0]
        folder.mkdir(parents=True, exist_ok=True)
        number, newest = (parts(folder, key[1]) or [(0, folder / part_name(key[1], 0))])[-1]
        path = folder / part_name(key[1], max(number + (following or newest.suffix == ".zst"), at_least))
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":  # the last writer died inside a line
            write_all(handle, b"\n")
        self._handles[key] = handle
        self._paths[key] = path
        return handle

    def _close(self, key: tuple[str, str]) -> None:
        del self._paths[key]
        with contextlib.suppress(OSError):
            os.close(self._handles.pop(key))

    def close(self) -> None:
        self.flush()
        for key in list(self._handles):
            self._close(key)
