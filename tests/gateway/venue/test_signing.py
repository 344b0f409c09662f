"""Signatures against pybit's own code, and the edges of the time window."""

from __future__ import annotations

import pytest
from pybit._http_manager import generate_signature

from gateway.venue.signing import in_window, rest_signature, same, ws_signature


def test_rest_signature_is_that_of_pybit() -> None:
    payload = "category=option&symbol=BTC-29JUL22-25000-C"
    ours = rest_signature("secret", "1658384314791", "XXXXXXXXXX", "5000", payload.encode())
    assert ours == generate_signature(False, "secret", "1658384314791XXXXXXXXXX5000" + payload)
    assert ours == ours.lower() and len(ours) == 64


def test_ws_signature_is_that_of_pybit() -> None:
    assert ws_signature("s", "1711010121452") == generate_signature(False, "s", "GET/realtime1711010121452")


def test_every_byte_counts() -> None:
    signatures = {
        rest_signature(*parts) for parts in (
            ("s", "1", "k", "5000", b"a"), ("t", "1", "k", "5000", b"a"), ("s", "2", "k", "5000", b"a"),
            ("s", "1", "l", "5000", b"a"), ("s", "1", "k", "5001", b"a"), ("s", "1", "k", "5000", b"a "),
        )
    }
    assert len(signatures) == 6
    assert not same("a", "b") and same("a", "a")


@pytest.mark.parametrize(("stamp", "window", "passes"), [
    (100_000, 5000, True), (95_000, 5000, True), (94_999, 5000, False), (100_999, 5000, True), (101_000, 5000, False),
    (101_000, 600_000, False), (60_000, 40_000, True), (59_999, 40_000, False),
])
def test_window(stamp: int, window: int, passes: bool) -> None:
    """A clock more than a second ahead fails whatever the window is."""
    assert in_window(stamp, window, 100_000) is passes
