"""Files replaced in one step: a reader sees the old or the new one, whole.

`write_atomic` is durable when the call returns (keys, latches, evidence). `write_replacing` survives the writer's death but not a
power cut: for marks and pages of figures, which are written often and made anew from what is durable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` beside `path`, fsync, rename over it and fsync the folder: a reader sees the old or the new file.
    Raises OSError; then the old file stands as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with _gone_on_error(beside):
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    sync_folder(path.parent)


def write_replacing(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and rename over it; nothing is synced. One writer per path. Raises OSError; then the old
    file stands as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    with _gone_on_error(beside):
        beside.write_bytes(data)
        beside.replace(path)


@contextmanager
def _gone_on_error(beside: Path) -> Iterator[None]:
    """A full disk gets back the half of a file that it took."""
    try:
        yield
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename, link or unlink in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
