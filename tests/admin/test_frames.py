"""Binary frames: golden bytes, round trip, and refusal of everything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin import frames


def test_golden_bytes() -> None:
    planes = np.array([[1, -2, 3], [-(2**31), 0, 2**31 - 1]], np.int32)
    data = frames.encode(frames.DELTA, 7, 1_700_000_000_000_000_123, np.array([0, 5, 1023]), planes)
    header = "53434c50 0100 0200 07000000 7b002a36fe9c9717 03000000"
    ids = "0000 0500 ff03 0000"
    columns = "01000000 feffffff 03000000 00000080 00000000 ffffff7f"
    assert data == bytes.fromhex(header + ids + columns)


@given(
    st.lists(st.integers(0, 65_535), unique=True, max_size=40),
    st.integers(1, 15),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**63 - 1),
    st.sampled_from([frames.SNAP, frames.DELTA]),
    st.randoms(),
)
def test_round_trip(ids: list[int], n_planes: int, seq: int, ts_ns: int, kind: int, random: object) -> None:
    planes = np.array([[random.randint(-(2**31), 2**31 - 1) for _ in ids] for _ in range(n_planes)], np.int32)
    data = frames.encode(kind, seq, ts_ns, np.array(ids, np.int64), planes.reshape(n_planes, len(ids)))
    got = frames.decode(data)
    assert (got.type, got.seq, got.ts_ns, got.ids.tolist()) == (kind, seq, ts_ns, ids)
    if ids:
        assert np.array_equal(got.planes, planes)
        start = frames.HEADER.size + (2 * len(ids) + 3) // 4 * 4
        assert start % 4 == 0  # what lets the browser wrap planes in place


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[:10],
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: b"XXXX" + d[4:],
        lambda d: d[:4] + b"\x09\0" + d[6:],
        lambda d: d[:6] + b"\x07\0" + d[8:],
        lambda d: b"",
    ],
)
def test_damaged_frames_are_refused(damage) -> None:
    data = frames.encode(frames.SNAP, 1, 1, np.array([1, 2]), np.zeros((3, 2), np.int32))
    with pytest.raises(ValueError, match="frame"):
        frames.decode(damage(data))


def test_encode_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="row ids"):
        frames.encode(frames.SNAP, 1, 1, np.array([1]), np.zeros((3, 2), np.int32))
