"""Reading a time out of a segment: what a naive reader finds, also in damaged ones, and without reading the rest."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from core.journal import CONSUMPTION, JournalError, encode_block, encode_file_header, encode_record
from shm import journal_reader
from shm.journal_reader import frames_between, read_frames

BLOCKS, PER_BLOCK, STEP_NS = 60, 20, 1_000


def write(path: Path, seed: int) -> bytes:
    """A segment whose clock is set back now and then; returns its bytes."""
    rng = random.Random(seed)
    data, now_ns = encode_file_header(CONSUMPTION, 1, "r"), 10**6
    for _ in range(BLOCKS):
        records, times = [], []
        for _ in range(PER_BLOCK):
            now_ns += rng.choice((0, STEP_NS, STEP_NS, STEP_NS, -3 * STEP_NS))
            times.append(now_ns)
            records.append(encode_record(now_ns, 0, 0, 1, rng.randbytes(40)))
        raw = b"".join(records)
        data += encode_block(raw, len(raw), PER_BLOCK, min(times), max(times))
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("seed", range(5))
def test_a_time_is_what_a_reader_of_everything_finds(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "raw-1.sjr"
    data = write(path, seed)
    for damage in range(12):
        damaged = bytearray(data)
        if damage:
            for _ in range(rng.randrange(1, 4)):
                damaged[rng.randrange(64, len(data))] ^= 1 << rng.randrange(8)
            if damage % 3 == 0:
                del damaged[rng.randrange(len(data) // 2, len(data)):]
        path.write_bytes(damaged)
        everything = list(read_frames(path))
        times = [frame.ts_recv_ns for frame in everything]
        for _ in range(10):
            from_ns, to_ns = sorted(rng.choice(times) + rng.choice((-1, 0, 1)) for _ in range(2))
            expected = [frame for frame in everything if from_ns <= frame.ts_recv_ns < to_ns]
            assert list(frames_between(path, from_ns, to_ns)) == expected
        assert list(frames_between(path, 0, 1 << 62)) == everything


def test_only_blocks_of_that_time_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw-1.sjr"
    size = len(write(path, 1))
    frame = list(read_frames(path))[BLOCKS * PER_BLOCK // 2]
    read = []

    def counted(handle: int, count: int, offset: int) -> bytes:
        data = os_pread(handle, count, offset)
        read.append(len(data))
        return data

    os_pread = os.pread
    monkeypatch.setattr(journal_reader.os, "pread", counted)
    assert frame in frames_between(path, frame.ts_recv_ns, frame.ts_recv_ns + 1)
    headers = 48 * BLOCKS
    assert sum(read) - headers < 0.15 * size


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    path = tmp_path / "raw-1.sjr"
    path.write_bytes(b"something else, and long enough to be a header of a journal, which it is not")
    with pytest.raises(JournalError, match="not a journal"):
        list(frames_between(path, 0, 1))
