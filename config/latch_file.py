"""A durable latch (run/KILL, run/PAUSE): one small file, written atomically, that needs nothing else to be alive.

It stands while the file exists, whatever is in it: `touch run/KILL` kills, too.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from config.atomic_file import sync_folder


def write_latch(path: Path, source: str, reason: str) -> None:
    """Latch. Idempotent: the first reason is kept.

    Raises OSError when the disk refuses (the caller then still sets the word in shared memory).
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"time_ns": time.time_ns(), "source": source, "reason": reason[:200]})
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("w") as handle:
        handle.write(text + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    try:
        os.link(temporary, path)  # unlike a rename it never replaces the reason of whoever was first
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    sync_folder(path.parent)


def read_latch(path: Path) -> dict[str, Any] | None:
    """Who latched it, when and why; None when not latched. An unreadable file still counts as latched."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {"time_ns": 0, "source": "unknown", "reason": f"unreadable latch file {path.name}"}
    return value if isinstance(value, dict) else {"time_ns": 0, "source": "unknown", "reason": "malformed latch file"}


def clear_latch(path: Path) -> bool:
    """Remove the latch; True when there was one."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
