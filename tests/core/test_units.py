"""Text <-> ticks and lots: exact both ways, one verdict from the Python and the compiled reader."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import units
from core.units import OffGrid, UnitsError

GRIDS = [(1, 0), (1, 1), (5, 1), (1, 3), (25, 4), (1, 8), (5, 0), (100, 0), (1, 12), (7, 2)]


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode() + b'"' + b"9" * units.SLACK_BYTES, np.uint8).copy()


def _scan_units(text: str, mant: int, exp: int) -> int:
    with np.errstate(over="ignore"):
        stop, value = units.scan_units(_bytes(text), 0, mant, exp)
    return value if stop == len(text.encode()) else -1


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**11), st.sampled_from(GRIDS))
def test_round_trip(n: int, grid: tuple[int, int]) -> None:
    mant, exp = grid
    if n * mant >= units.MANTISSA_LIMIT or n * mant // 10**exp >= 10**12:
        n %= 1000
    text = units.format_units(n, mant, exp)
    assert units.parse_units(text, mant, exp) == n
    assert Decimal(text) == Decimal(n * mant).scaleb(-exp)
    assert _scan_units(text, mant, exp) == n


@settings(max_examples=600, deadline=None)
@given(st.from_regex(r"[0-9]{0,13}(\.[0-9]{0,13})?", fullmatch=True), st.sampled_from(GRIDS))
def test_compiled_reader_never_differs(text: str, grid: tuple[int, int]) -> None:
    mant, exp = grid
    scanned = _scan_units(text, mant, exp)
    try:
        exact = units.parse_units(text, mant, exp)
    except UnitsError:
        exact = -1
    assert scanned in (exact, -1)
    if exact >= 0 and len(text) <= 16 and exp <= 6:
        assert scanned == exact


@settings(max_examples=600, deadline=None)
@given(st.from_regex(r"-?[0-9]{0,16}(\.[0-9]{0,19})?", fullmatch=True), st.integers(0, 10), st.booleans())
def test_statistics(text: str, exp: int, signed: bool) -> None:
    with np.errstate(over="ignore"):
        stop, value, ok = units.scan_fixed(_bytes(text), 0, exp, int(signed))
    try:
        exact = units.parse_fixed(text, exp, signed=signed)
    except UnitsError:
        assert not (ok and stop == len(text))
        return
    assert exact == int(Decimal(text).scaleb(exp))
    if ok and stop == len(text):
        assert value == exact
    else:
        assert len(text.lstrip("-").split(".")[0]) + exp > units.MANTISSA_DIGITS


@pytest.mark.parametrize(("text", "grid"), [("0.10", (1, 1)), ("1", (1, 0)), ("100", (100, 0)), ("0.0025", (25, 4))])
def test_grid_from_text(text: str, grid: tuple[int, int]) -> None:
    assert units.grid_from_text(text) == grid


@pytest.mark.parametrize("text", ["0", "0.00", "-1", "", "abc", "1e-3"])
def test_grid_must_be_positive(text: str) -> None:
    with pytest.raises(UnitsError):
        units.grid_from_text(text)


def test_reduce_grid() -> None:
    assert units.reduce_grid(10, 2) == (1, 1)
    assert units.reduce_grid(100, 0) == (100, 0)
    for mant, exp in ((0, 1), (-1, 1), (1, 13), (1, -1)):
        with pytest.raises(UnitsError):
            units.reduce_grid(mant, exp)


@pytest.mark.parametrize("text", ["30247.25", "30247.2001", "0.01"])
def test_off_grid_is_its_own_error(text: str) -> None:
    with pytest.raises(OffGrid):
        units.parse_units(text, 1, 1)
    assert _scan_units(text, 1, 1) == -1


def test_too_large_is_refused() -> None:
    assert units.parse_units("999999999999", 1, 6) == 999999999999 * 10**6
    with pytest.raises(UnitsError):
        units.parse_units("999999999999", 1, 7)
    assert _scan_units("999999999999", 1, 7) == -1
    with pytest.raises(UnitsError):
        units.parse_fixed("999999999999999", 4)


def test_negative_units_have_no_wire_form() -> None:
    with pytest.raises(UnitsError):
        units.format_units(-1, 1, 1)


@pytest.mark.parametrize(
    ("value", "exp", "text"),
    [(0, 0, "0"), (0, 2, "0.00"), (-5, 1, "-0.5"), (12345, 2, "123.45"), (7, 8, "0.00000007"), (-120, 0, "-120")],
)
def test_format_fixed(value: int, exp: int, text: str) -> None:
    assert units.format_fixed(value, exp) == text
    assert units.parse_fixed(text, exp, signed=True) == value


def test_time_text() -> None:
    assert units.parse_time_ms("1760342400000") == 1760342400000 * 10**6
    for text in ("", "9000000000001", "1.5", "-1", "12345678901234"):
        with pytest.raises(UnitsError):
            units.parse_time_ms(text)
