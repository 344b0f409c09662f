from __future__ import annotations

import contextlib
import errno
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shm.layout import LAYOUT_HASH, SEGMENT
from shm.segment import (
    SHM_FOLDER,
    LayoutMismatch,
    OwnerAlive,
    Segment,
    SegmentError,
    process_start_ticks,
    sweep_stale,
)
from tests.shm.support import fresh_name, run_python


@pytest.fixture
def name() -> Iterator[str]:
    value = fresh_name("segment")
    yield value
    for path in SHM_FOLDER.glob(value + "*"):
        path.unlink()


def test_what_one_writes_the_other_reads(name: str) -> None:
    segment = Segment.create(name, 10_000, run_id="r1")
    other = Segment.join(name)
    segment.body[5] = 7
    assert other.body[5] == 7
    assert (other.size_bytes, other.run_id) == (10_000, "r1")
    other.close()
    segment.unlink()
    segment.unlink()
    assert segment.body[5] == 7  # the mapping outlives the name
    with pytest.raises(FileNotFoundError):
        Segment.join(name)


def _open_files(name: str) -> int:
    """File descriptors of this process on one segment; other threads open and close files of their own all the time."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += entry.readlink() == SHM_FOLDER / name
    return count


def test_a_view_outlives_its_segment(name: str) -> None:
    """The memory must stay mapped while any array of it lives, and no file descriptor may be left behind."""
    owner = Segment.create(name, 100_000)
    open_files = _open_files(name)
    assert open_files > 0
    view = Segment.join(name).body[50_000:60_000].view(np.int64)
    gc.collect()
    view[:] = 7
    assert owner.body[50_000] == 7
    closed = Segment.join(name)
    kept = closed.body
    closed.close()
    kept[0] = 9
    assert owner.body[0] == 9
    del view, kept
    gc.collect()
    assert _open_files(name) == open_files


def test_another_layout_is_refused(name: str) -> None:
    Segment.create(name, 100)
    with pytest.raises(LayoutMismatch, match="restart everything"):
        Segment.join(name, LAYOUT_HASH ^ 1)


def test_what_is_not_ours_is_refused(name: str) -> None:
    path = SHM_FOLDER / name
    path.write_bytes(bytes(8192))
    with pytest.raises(SegmentError, match="not one of ours"):
        Segment.join(name)
    path.write_bytes(b"x")
    with pytest.raises(SegmentError, match="too small"):
        Segment.join(name)


def test_an_unrelated_interpreter_joins_and_leaves_without_harm(name: str) -> None:
    """Python 3.11's resource tracker would remove the segment at its exit, and complain."""
    segment = Segment.create(name, 4096)
    code = (
        "import sys\nfrom shm.segment import Segment\nsegment = Segment.join(sys.argv[1])\n"
        "segment.body[0] = 42\nview = segment.body[:8].view('i8')\nprint('joined')"
    )
    result = run_python(code, name)
    assert (result.returncode, result.stdout, result.stderr) == (0, "joined\n", "")
    assert (SHM_FOLDER / name).exists()
    assert segment.body[0] == 42


def test_creating_and_unlinking_leaves_the_tracker_silent(name: str) -> None:
    code = (
        "import sys\nfrom shm.segment import Segment\nsegment = Segment.create(sys.argv[1], 4096)\n"
        "Segment.join(sys.argv[1]).close()\nsegment.unlink()\nsegment.close()\nprint('done')"
    )
    result = run_python(code, name)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")
    assert not (SHM_FOLDER / name).exists()


def test_other_resources_are_still_tracked(name: str) -> None:
    code = (
        "import sys\nfrom multiprocessing import resource_tracker, shared_memory\n"
        "from shm.segment import Segment\nkept = resource_tracker.register\n"
        "Segment.create(sys.argv[1], 4096).unlink()\nassert resource_tracker.register is kept\n"
        "theirs = shared_memory.SharedMemory(create=True, size=64)\nprint(theirs.name, flush=True)\n"
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    result = run_python(code, name)
    assert result.returncode == -9
    leaked = SHM_FOLDER / result.stdout.strip()
    # a tracked segment is removed by the tracker once its process is gone; that happens asynchronously, so help it
    leaked.unlink(missing_ok=True)


def test_a_full_file_system_is_a_clear_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="no room for shared memory") as caught:
        Segment.create(name, 1_000_000)
    assert caught.value.errno == errno.ENOSPC
    assert not (SHM_FOLDER / name).exists()


def test_a_real_limit_is_a_clear_error_too(name: str) -> None:
    """RLIMIT_FSIZE makes the allocation itself fail; without it the first touch would kill with SIGBUS."""
    code = (
        "import resource, signal, sys\nfrom shm.segment import Segment\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    Segment.create(sys.argv[1], 10_000_000)\nexcept OSError as error:\n    print('OSError', error.errno)"
    )
    result = run_python(code, name)
    assert (result.stdout.split()[0], result.stderr) == ("OSError", "")
    assert not (SHM_FOLDER / name).exists()


def test_a_taken_name(name: str) -> None:
    Segment.create(name, 100)
    with pytest.raises(OwnerAlive, match=f"process {os.getpid()}"):
        Segment.create(name, 100)
    patch_header(name, creator_start_ticks=1)
    with pytest.raises(SegmentError, match="left over"):
        Segment.create(name, 100)


def patch_header(name: str, **values: int) -> None:
    path = SHM_FOLDER / name
    raw = path.read_bytes()[: SEGMENT.size]
    header = np.frombuffer(raw, SEGMENT.dtype).copy()
    for field, value in values.items():
        header[field] = value
    with path.open("r+b") as file:
        file.write(header.tobytes())


def test_leftovers_of_the_dead_are_swept_and_the_living_stay(name: str) -> None:
    code = "import sys\nfrom shm.segment import Segment\nSegment.create(sys.argv[1], 4096)"
    assert run_python(code, name + "-dead").returncode == 0
    for part, values in {
        "-reused": {"creator_start_ticks": 1}, "-rebooted": {"boot_hash": 1}, "-alive": {},
        "-nobody": {"creator_pid": 2**22 + 1},
    }.items():
        Segment.create(name + part, 100)
        patch_header(name + part, **values)
    with pytest.raises(OwnerAlive, match="is alive"):
        sweep_stale(name, refuse_live=True)
    assert (SHM_FOLDER / f"{name}-dead").exists()  # nothing was removed before the refusal
    assert sweep_stale(name) == sorted(name + part for part in ("-dead", "-nobody", "-reused", "-rebooted"))
    assert [path.name for path in SHM_FOLDER.glob(name + "*")] == [name + "-alive"]


def test_a_half_made_segment_goes_only_when_old(name: str) -> None:
    path = SHM_FOLDER / name
    path.write_bytes(bytes(8192))
    assert sweep_stale(name) == []
    os.utime(path, (1, 1))
    assert sweep_stale(name) == [name]


def test_start_ticks_tell_processes_apart() -> None:
    assert process_start_ticks(os.getpid()) > 0
    assert process_start_ticks(2**22 + 1) == 0
    assert Path("/proc/self").exists()


def test_a_folder_with_our_prefix_is_not_swept() -> None:
    """Seen: somebody's folder beside the segments ended every start with IsADirectoryError."""
    prefix = fresh_name("folder")
    folder = SHM_FOLDER / f"{prefix}-folder"
    folder.mkdir()
    try:
        assert sweep_stale(prefix) == []
        assert folder.is_dir()
    finally:
        folder.rmdir()
