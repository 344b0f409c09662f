"""The JSON files of the admin process: state read back, and the audit log."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


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
