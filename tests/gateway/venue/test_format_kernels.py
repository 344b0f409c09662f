"""Text and header kernels against Python's own formatting."""

from __future__ import annotations

import json
import uuid

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.venue.format_kernels import (
    HEADER_ROOM,
    put_fixed,
    put_header,
    put_int,
    put_short,
    put_uuid,
    rescale,
)
from gateway.venue.rest_answers import uuid_text
from gateway.venue.session import ws_frame
from tests.reference.venue import fixed, payload, trimmed

OUT = np.zeros(200_000, np.uint8)


def written(end: int, start: int = 0) -> str:
    return OUT[start:end].tobytes().decode()


@settings(max_examples=300, deadline=None)
@given(st.integers(-(10**17), 10**17), st.integers(0, 10))
def test_numbers(value: int, decimals: int) -> None:
    assert written(put_int(OUT, 0, value)) == str(value)
    assert written(put_fixed(OUT, 0, value, decimals)) == fixed(value, decimals)
    assert written(put_short(OUT, 0, value, decimals)) == trimmed(value, decimals)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_trade_ids_are_version_5_uuids_and_equal_those_of_rest(high: int, low: int) -> None:
    text = written(put_uuid(OUT, 0, np.uint64(high), np.uint64(low)))
    assert str(uuid.UUID(text)) == text
    assert uuid.UUID(text).version == 5
    assert uuid_text(high, low) == text


def test_headers_at_every_border() -> None:
    for size in (0, 1, 125, 126, 127, 65535, 65536, 100_000):
        body = bytes(range(256)) * 400
        OUT[HEADER_ROOM:HEADER_ROOM + size] = np.frombuffer(body, np.uint8)[:size]
        start = put_header(OUT, HEADER_ROOM, HEADER_ROOM + size)
        frame = OUT[start:HEADER_ROOM + size].tobytes()
        assert payload(frame) == body[:size]
        assert frame == ws_frame(body[:size])


def test_rescale() -> None:
    assert rescale(123456, 5, 2) == 123
    assert rescale(12, 1, 4) == 12000
    assert json.loads(written(put_fixed(OUT, 0, rescale(-150, 2, 4), 4))) == -1.5
