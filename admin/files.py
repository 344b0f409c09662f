"""Small files written whole or not at all: session state, the address file, the durable kill file, the audit log."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` beside `path`, fsync, rename over it and fsync the folder: a reader sees the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or unlink in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> dict | None:
    """The JSON object in `path`, or None when the file is absent or not one (a torn file is treated as absent)."""
    try:
        value = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return value if isinstance(value, dict) else None


class JsonLines:
    """Append-only JSONL file, one `write` per line so that lines of several writers do not mix; mode 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict) -> None:
        """Write one line and flush it to disk; raises OSError when the disk refuses."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, msgspec.json.encode(row) + b"\n")
            os.fdatasync(handle)
        finally:
            os.close(handle)
