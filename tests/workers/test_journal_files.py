"""Segments on disk: rotation, recovery, full disks, the durable log of execution."""

from __future__ import annotations

import errno
import os
import random

import pytest

from core.journal import EXECUTION, JournalError, encode_record, scan
from shm.journal_reader import read_frames, read_scan, segments
from workers import journal_files
from workers.journal_files import DurableLog, SegmentWriter, recover, write_all


def writer(folder, **changes) -> SegmentWriter:
    return SegmentWriter(folder, "run-1", **{"segment_bytes": 10**9, **changes})


def some(count: int, seed: int = 0) -> list[tuple[int, int, int, int, bytes]]:
    rng = random.Random(seed)
    words = [rng.randbytes(20) for _ in range(5)]
    return [(10**18 + k, k, k % 3, 1, b"".join(rng.choices(words, k=rng.randint(0, 30)))) for k in range(count)]


def everything(folder) -> list[tuple]:
    return [tuple(frame) for path in segments(folder) for frame in read_frames(path)]


def test_frames_come_back_over_rotated_segments(tmp_path):
    journal = writer(tmp_path, segment_bytes=30_000)
    rows = some(4000)
    for row in rows:
        journal.append(*row)
        if row[1] % 100 == 0:
            journal.sync()
    journal.close()
    assert everything(tmp_path) == rows
    paths = segments(tmp_path)
    assert len(paths) > 3
    assert all(path.stat().st_size <= 30_000 for path in paths)
    first = [next(iter(read_frames(path))).ts_recv_ns for path in paths]
    assert [int(path.stem.split("-")[1]) for path in paths] == first == sorted(first)
    assert journal.segments_closed == len(paths)
    assert 0 < journal.stored_bytes < journal.raw_bytes


def test_recovery_cuts_the_tail_at_any_offset(tmp_path):
    journal = writer(tmp_path)
    rows = some(60)
    for row in rows:
        journal.append(*row)
        if row[1] % 20 == 19:
            journal.flush()
    journal.close()
    (path,) = segments(tmp_path)
    data = path.read_bytes()
    for cut in range(64, len(data) + 1, 7):
        path.write_bytes(data[:cut])
        found = recover(path)
        assert path.stat().st_size == found.good_end
        assert [tuple(f) for f in read_frames(path)] == rows[: 20 * len(found.blocks)]
        assert recover(path).torn_bytes == 0


def test_damage_in_the_middle_is_set_aside(tmp_path):
    journal = writer(tmp_path)
    rows = some(60)
    for row in rows:
        journal.append(*row)
        if row[1] % 20 == 19:
            journal.flush()
    journal.close()
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    block = scan(bytes(data)).blocks[1]
    data[block.offset + 60] ^= 1
    path.write_bytes(data)
    found = recover(path)
    assert found.gaps == [(block.offset, block.end)]
    assert (tmp_path / f"{path.name}.damaged-{block.offset}").read_bytes() == bytes(data[block.offset : block.end])
    assert [tuple(f) for f in read_frames(path)] == rows[:20] + rows[40:]
    path.write_bytes(b"nothing of ours")
    assert recover(path) is None
    assert not path.exists()
    assert path.with_name(path.name + ".damaged").exists()


def test_a_tail_cut_under_its_reader_does_not_harm_it(tmp_path):
    """The page reads decisions while the recorder's successor recovers their segment."""
    journal = writer(tmp_path)
    rows = some(60_000)
    for row in rows:
        journal.append(*row)
    journal.close()
    (path,) = segments(tmp_path)
    frames = read_frames(path)
    got = [tuple(next(frames))]
    os.truncate(path, 64)  # a mapping of more than a page would end this process now
    assert got + [tuple(frame) for frame in frames] == rows


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_costs_nothing_once_it_is_back(tmp_path, monkeypatch, code):
    errors = []
    journal = writer(tmp_path, on_error=errors.append)
    rows = some(3000)
    real, bad = os.write, [False]

    def flaky(handle, data):
        if bad[0]:
            real(handle, bytes(data)[:100])  # part of it lands before the fault
            raise OSError(code, os.strerror(code))
        return real(handle, data)

    monkeypatch.setattr(journal_files.os, "write", flaky)
    for k, row in enumerate(rows):
        bad[0] = 1000 < k < 2000
        journal.append(*row)
        if k % 100 == 50:
            journal.sync()
    bad[0] = False
    journal.close()
    assert len(errors) == journal.errors > 5
    assert everything(tmp_path) == rows
    assert journal.lost_frames == 0
    assert all(read_scan(path)[1].torn_bytes == 0 for path in segments(tmp_path))


def test_a_disk_that_stays_full_keeps_the_newest(tmp_path, monkeypatch):
    journal = writer(tmp_path, keep_bytes=20_000)

    def full(handle, data):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(journal_files.os, "write", full)
    for row in some(5000):
        journal.append(*row)
        journal.flush() if row[1] % 10 == 0 else None
    assert journal.lost_frames > 0
    assert journal.waiting_bytes < 40_000
    monkeypatch.undo()
    journal.close()
    assert everything(tmp_path) == some(5000)[journal.lost_frames :]


def test_a_failed_sync_is_never_trusted(tmp_path, monkeypatch):
    journal = writer(tmp_path)
    journal.append(*some(1)[0])

    def fails(handle):
        raise OSError(errno.EIO, "sync")

    monkeypatch.setattr(journal_files.os, "fdatasync", fails)
    assert not journal.sync()
    monkeypatch.undo()
    journal.append(*some(2)[1])
    assert journal.sync()
    journal.close()
    assert len(segments(tmp_path)) == 2
    assert everything(tmp_path) == some(2)


def test_short_writes_are_finished(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(journal_files.os, "write", lambda handle, data: real(handle, bytes(data)[:7]))
    with (tmp_path / "f").open("wb") as file:
        write_all(file.fileno(), b"x" * 100)
    assert (tmp_path / "f").read_bytes() == b"x" * 100
    monkeypatch.setattr(journal_files.os, "write", lambda handle, data: 0)
    with (tmp_path / "g").open("wb") as file, pytest.raises(OSError, match="nothing"):
        write_all(file.fileno(), b"x")


def test_durable_log_survives_and_retries(tmp_path, monkeypatch):
    path = tmp_path / "sim" / "execution.journal"
    log = DurableLog(path, EXECUTION, "run-7", 5)
    log.write([encode_record(1, 2, 0, 1, b"one"), encode_record(2, 2, 0, 1, b"two")], 2)

    real = os.write

    def half(handle, data):
        real(handle, bytes(data)[:30])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(journal_files.os, "write", half)
    three = [encode_record(3, 3, 1, 1, b"three")]
    with pytest.raises(OSError, match="full"):
        log.write(three, 3)
    run_id, found, _ = DurableLog.load(path)
    assert (run_id, [f.data for f in found]) == ("run-7", [b"one", b"two"])
    monkeypatch.undo()
    log.write(three, 3)
    log.close()
    with path.open("ab") as file:
        file.write(b"SJB1 torn")
    run_id, found, what = DurableLog.load(path)
    assert [f.data for f in found] == [b"one", b"two", b"three"]
    assert what.torn_bytes == 9
    again = DurableLog(path, EXECUTION, "run-7", 6)
    again.write([encode_record(4, 4, 0, 1, b"four")], 4)
    again.close()
    assert [f.data for f in DurableLog.load(path)[1]] == [b"one", b"two", b"three", b"four"]
    path.write_bytes(b"something else")
    with pytest.raises(JournalError):
        DurableLog.load(path)
