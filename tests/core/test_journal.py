"""The journal codec: round trips, every cut, every flipped bit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.journal import (
    BLOCK_BYTES,
    FILE_BYTES,
    RAW_FRAMES,
    RECORD_BYTES,
    Frame,
    JournalError,
    block_frames,
    decode_file_header,
    decode_records,
    encode_block,
    encode_file_header,
    encode_record,
    frames,
    is_journal,
    scan,
)
from tests.reference.journal import whole_prefix


def no_zstd(stored: bytes, raw_bytes: int) -> bytes:
    raise AssertionError("plain blocks only")


def segment(blocks: list[list[Frame]]) -> bytes:
    data = encode_file_header(RAW_FRAMES, 123, "run-1")
    for block in blocks:
        raw = b"".join(encode_record(*frame) for frame in block)
        data += encode_block(raw, len(raw), len(block), block[0].ts_recv_ns, block[-1].ts_recv_ns)
    return data


def some_blocks(seed: int = 1, count: int = 4) -> list[list[Frame]]:
    rng = random.Random(seed)
    ts = 10**18
    blocks = []
    for _ in range(count):
        block = []
        for _ in range(rng.randint(1, 4)):
            ts += rng.randint(0, 10**9)
            block.append(Frame(ts, rng.randint(0, 10**15), rng.randint(0, 9), 1, rng.randbytes(rng.randint(0, 40))))
        blocks.append(block)
    return blocks


BLOCKS = some_blocks()
DATA = segment(BLOCKS)
ALL = [frame for block in BLOCKS for frame in block]


frame_lists = st.lists(
    st.builds(Frame, st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**32 - 1),
              st.integers(0, 2**32 - 1), st.binary(max_size=300)),
    min_size=1, max_size=8,
)


@settings(deadline=None)
@given(st.lists(frame_lists, max_size=5))
def test_what_goes_in_comes_out(blocks):
    data = segment(blocks)
    assert list(frames(data, no_zstd)) == [frame for block in blocks for frame in block]
    found = scan(data)
    assert (found.good_end, found.torn_bytes, found.gaps) == (len(data), 0, [])
    assert [b.records for b in found.blocks] == [len(b) for b in blocks]
    assert (found.header.kind, found.header.created_ns, found.header.run_id) == (RAW_FRAMES, 123, "run-1")


def test_cut_at_every_offset_keeps_everything_before():
    ends = [block.end for block in scan(DATA).blocks]
    for cut in range(FILE_BYTES, len(DATA) + 1):
        part = DATA[:cut]
        found = scan(part)
        good, expected = whole_prefix(part)
        assert found.good_end == good == max([FILE_BYTES, *(e for e in ends if e <= cut)])
        assert found.torn_bytes == cut - good
        assert found.gaps == []
        assert [tuple(f) for f in frames(part, no_zstd)] == expected


def test_every_flipped_bit_costs_its_block_only():
    blocks = scan(DATA).blocks
    for position in range(FILE_BYTES, len(DATA)):
        damaged = bytearray(DATA)
        damaged[position] ^= 1 << (position % 8)
        hit = next(i for i, block in enumerate(blocks) if block.offset <= position < block.end)
        data = bytes(damaged)
        assert list(frames(data, no_zstd)) == [f for i, block in enumerate(BLOCKS) if i != hit for f in block]
        found = scan(data)
        if hit == len(blocks) - 1:
            assert (found.good_end, found.gaps) == (blocks[hit].offset, [])
        else:
            assert found.gaps == [(blocks[hit].offset, blocks[hit].end)]
            assert found.torn_bytes == 0


def test_flipped_bits_in_the_file_header_are_refused():
    for position in range(FILE_BYTES):
        damaged = bytearray(DATA)
        damaged[position] ^= 16
        with pytest.raises(JournalError):
            scan(bytes(damaged))
    with pytest.raises(JournalError):
        decode_file_header(DATA[: FILE_BYTES - 1])
    assert is_journal(DATA)
    assert not is_journal(b"1754700000 {}")


def test_records_defend_themselves():
    raw = encode_record(1, 2, 3, 4, b"abc") + encode_record(5, 6, 7, 8, b"")
    assert len(list(decode_records(raw))) == 2
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 4
        with pytest.raises(JournalError):
            list(decode_records(bytes(damaged)))
    for cut in (1, RECORD_BYTES - 1, RECORD_BYTES + 1):
        with pytest.raises(JournalError):
            list(decode_records(raw[:cut]))


def test_a_block_whose_content_is_not_what_its_header_says():
    raw = encode_record(1, 2, 3, 4, b"abc")
    data = encode_file_header(RAW_FRAMES, 1, "r") + encode_block(raw, len(raw) + 1, 1, 1, 1)
    (block,) = scan(data).blocks
    with pytest.raises(JournalError, match="expected"):
        list(block_frames(data, block, no_zstd))
    assert block.end == FILE_BYTES + BLOCK_BYTES + len(raw)
