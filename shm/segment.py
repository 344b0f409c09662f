"""Named shared-memory segments that outlive the processes which join them, and know whose they are.

Built on `multiprocessing.shared_memory`, with two repairs for Python 3.11: the resource tracker never hears of our
segments (else the exit of any process that joined would remove them), and the pages are allocated at creation (else a
full /dev/shm kills with SIGBUS at the first touch). The supervisor creates and unlinks; everybody else joins.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

from shm.layout import LAYOUT_HASH, PAGE_BYTES, SEGMENT

SHM_FOLDER = Path("/dev/shm")
MAGIC = int.from_bytes(b"SCALPER1", "little")
VERSION = 1
_YOUNG_S = 10.0  # a segment without a header is a leftover only when older than this: its creator may be at work
_register_lock = threading.Lock()


class SegmentError(Exception):
    """A segment cannot be created or joined; the text says why and what to do."""


class LayoutMismatch(SegmentError):
    """The segment was made by another version of the code."""


class OwnerAlive(SegmentError):
    """The segment belongs to a run that is still alive."""


@contextlib.contextmanager
def _unregistered() -> Iterator[None]:
    """Keep `SharedMemory(...)` from telling the resource tracker; other kinds of resources pass."""
    with _register_lock:
        original = resource_tracker.register

        def register(name: str, rtype: str) -> None:
            if rtype != "shared_memory":
                original(name, rtype)

        resource_tracker.register = register  # type: ignore[assignment]
        try:
            yield
        finally:
            resource_tracker.register = original


class _Memory(SharedMemory):
    """SharedMemory without the tracker, and quiet at exit while numpy views are alive."""

    def __init__(self, name: str, create: bool, size: int = 0) -> None:
        if sys.version_info >= (3, 13):
            super().__init__(name=name, create=create, size=size, track=False)
        else:
            with _unregistered():
                super().__init__(name=name, create=create, size=size)

    def allocate(self, size: int) -> None:
        """Reserve the pages now; OSError(ENOSPC) when the file system is full."""
        os.posix_fallocate(self._fd, 0, size)  # type: ignore[attr-defined]

    def unlink(self) -> None:
        """Remove the name without telling the tracker (the base class calls this when creation fails)."""
        (SHM_FOLDER / self.name).unlink(missing_ok=True)

    def close(self) -> None:
        """Unmap; with numpy views alive only let go, and the last view's death unmaps."""
        try:
            super().close()
        except BufferError:
            self._buf = None
            self._mmap = None
            os.close(self._fd)  # type: ignore[has-type]
            self._fd = -1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


def _view(memory: _Memory, dtype: Any, count: int, offset: int = 0) -> np.ndarray:
    """Array on the mapping. `np.frombuffer` keeps the buffer exported, so the memory cannot be unmapped under the array;
    `np.ndarray(buffer=...)` would not (seen: segmentation fault)."""
    assert memory.buf is not None
    return np.frombuffer(memory.buf, dtype, count, offset)


def process_start_ticks(pid: int) -> int:
    """Start time of a process in clock ticks since boot; 0 when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = stat[stat.rfind(")") + 2 :].split()
    return 0 if fields[0] in ("Z", "X") else int(fields[19])


def boot_hash() -> int:
    """63-bit hash of the kernel's boot id."""
    text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def _owner_alive(header: Any) -> bool:
    if int(header["boot_hash"]) != boot_hash():
        return False
    ticks = process_start_ticks(int(header["creator_pid"]))
    return ticks != 0 and ticks == int(header["creator_start_ticks"])


class Segment:
    """One mapped segment: `body` is a writable uint8 array of `size_bytes` after the header page."""

    def __init__(self, memory: _Memory, name: str) -> None:
        self._memory = memory
        self.name = name
        self.header: np.ndarray = _view(memory, SEGMENT.dtype, 1)
        size = int(self.header["size_bytes"][0])
        self.body: np.ndarray = _view(memory, np.uint8, size, PAGE_BYTES)

    @classmethod
    def create(cls, name: str, size_bytes: int, layout_hash: int = LAYOUT_HASH, run_id: str = "") -> Segment:
        """Make `name` with `size_bytes` zeroed bytes. OwnerAlive or SegmentError when the name is taken; OSError when
        the file system of shared memory is full."""
        total = PAGE_BYTES + size_bytes
        memory = None
        try:
            memory = _Memory(name, create=True, size=total)
            memory.allocate(total)
        except FileExistsError:
            header = read_header(SHM_FOLDER / name)
            if header is not None and _owner_alive(header):
                pid = int(header["creator_pid"])
                raise OwnerAlive(f"shared memory {name} belongs to the running process {pid}; stop it first") from None
            raise SegmentError(f"shared memory {name} is left over from a dead run; sweep_stale() removes it") from None
        except OSError as error:
            if memory is not None:
                memory.close()
                memory.unlink()
            text = f"no room for shared memory {name} ({total / 1e6:.1f} MB): {error.strerror}"
            raise OSError(error.errno, f"{text}; enlarge {SHM_FOLDER} or shrink the rings in system.toml") from error
        header = _view(memory, SEGMENT.dtype, 1)
        header["version"] = VERSION
        header["layout_hash"] = layout_hash
        header["size_bytes"] = size_bytes
        header["creator_pid"] = os.getpid()
        header["creator_start_ticks"] = process_start_ticks(os.getpid())
        header["boot_hash"] = boot_hash()
        header["created_ns"] = time.time_ns()
        run = run_id.encode("ascii")[:64]
        header["run_id"][0, : len(run)] = np.frombuffer(run, np.uint8)
        header["magic"] = MAGIC
        return cls(memory, name)

    @classmethod
    def join(cls, name: str, layout_hash: int = LAYOUT_HASH) -> Segment:
        """Map an existing segment. FileNotFoundError when absent, LayoutMismatch when made by other code."""
        memory = _Memory(name, create=False)
        if memory.size < PAGE_BYTES:
            raise SegmentError(f"shared memory {name} is too small to be one of ours")
        header = _view(memory, SEGMENT.dtype, 1)[0]
        if int(header["magic"]) != MAGIC:
            raise SegmentError(f"shared memory {name} is not one of ours, or not ready")
        if int(header["version"]) != VERSION or int(header["layout_hash"]) != layout_hash:
            found = int(header["layout_hash"])
            raise LayoutMismatch(
                f"shared memory {name} has layout {found:016x}, this code has {layout_hash:016x}; restart everything "
                "with one version"
            )
        return cls(memory, name)

    @property
    def run_id(self) -> str:
        return bytes(self.header["run_id"][0]).rstrip(b"\0").decode("ascii")

    @property
    def size_bytes(self) -> int:
        return int(self.body.size)

    def close(self) -> None:
        """Drop the mapping once no view of it is left; views that still live keep it mapped until they die."""
        del self.header
        del self.body
        self._memory.close()

    def unlink(self) -> None:
        """Remove the name; mappings stay valid. Silent when already removed."""
        (SHM_FOLDER / self.name).unlink(missing_ok=True)


class PrivateSegment:
    """Memory of this process alone in the place of a `Segment`: zeroed, without a name, gone with its last view."""

    def __init__(self, size_bytes: int) -> None:
        self.body: np.ndarray = np.zeros(size_bytes, np.uint8)

    def close(self) -> None:
        """Drop this reference."""
        del self.body

    def unlink(self) -> None:
        """There is no name to remove."""


def read_header(path: Path) -> Any:
    """The SEGMENT record at the start of a file, or None when it holds none of ours."""
    try:
        with path.open("rb") as file:
            raw = file.read(SEGMENT.size)
    except OSError:
        return None
    if len(raw) < SEGMENT.size:
        return None
    header = np.frombuffer(raw, SEGMENT.dtype)[0]
    return header if int(header["magic"]) == MAGIC else None


def sweep_stale(prefix: str, refuse_live: bool = False) -> list[str]:
    """Remove every segment whose name starts with `prefix` and whose owner is dead; returns the names removed.

    Segments of a live owner stay; with `refuse_live` they raise OwnerAlive, before anything is removed.
    """
    stale: list[Path] = []
    for path in sorted(SHM_FOLDER.glob(prefix + "*")):
        if not path.is_file():
            continue  # somebody else's folder: no segment of ours
        header = read_header(path)
        if header is None:
            try:
                age_s = time.time() - path.stat().st_mtime
            except OSError:
                continue
            if age_s > _YOUNG_S:
                stale.append(path)
        elif not _owner_alive(header):
            stale.append(path)
        elif refuse_live:
            run = bytes(header["run_id"]).rstrip(b"\0").decode("ascii", "replace")
            pid = int(header["creator_pid"])
            raise OwnerAlive(f"run {run} is alive (process {pid}); stop it first: kill -TERM {pid}")
    for path in stale:
        path.unlink(missing_ok=True)
    return [path.name for path in stale]
