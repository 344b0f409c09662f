"""Instruments: decimals, invented ones, recorded files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.venue.errors import VenueError
from gateway.venue.instruments import (
    decimal,
    named_instruments,
    recorded_instruments,
    synthetic_instruments,
    text_of,
)
from gateway.venue.market import WINDOW
from tests.shared_data import recording


@pytest.mark.parametrize("text", ["0.10", "0.00000001", "1", "100", "12.5", "65114.20"])
def test_decimals_round_trip(text: str) -> None:
    assert text_of(*decimal(text)) == text


def test_real_names_come_first_and_all_are_different() -> None:
    rows = synthetic_instruments(800, 1)
    assert [row.symbol for row in rows[:3]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert len({row.symbol for row in rows}) == 800
    assert max(len(row.symbol) for row in rows) <= 20
    for row in rows:
        ticks = row.price / row.tick_size
        assert 60 < ticks < 10**7, row.symbol
        assert ticks > WINDOW / 4
        assert row.price * row.lot_size < 100, "one lot is small money"
    assert synthetic_instruments(800, 1) == rows
    assert [r.price for r in synthetic_instruments(200, 2)[100:]] != [r.price for r in rows[100:200]]


def test_named_instruments() -> None:
    rows = named_instruments(["MOONUSDT", "XRPUSDT", "BTCUSDT", "MOONUSDT"], 3)
    assert [row.symbol for row in rows] == ["BTCUSDT", "XRPUSDT", "MOONUSDT"]
    assert rows[2].answer["baseCoin"] == "MOON"
    for bad in ("BTC", "btcusdt", "USDT", "A-BUSDT"):
        with pytest.raises(VenueError):
            named_instruments([bad], 3)


def test_recorded_instruments() -> None:
    path = recording("bybit_v5_instruments_info_linear_20260809.json.gz")
    rows = recorded_instruments(path, 600, 1)
    assert [row.symbol for row in rows[:2]] == ["BTCUSDT", "ETHUSDT"]
    assert all(row.answer["settleCoin"] == "USDT" and row.answer["contractType"] == "LinearPerpetual" for row in rows)
    assert (rows[0].tick_mant, rows[0].price_exp, rows[0].lot_mant, rows[0].qty_exp) == (10, 2, 1, 3)
    assert [row.symbol for row in recorded_instruments(path, 0, 1, ["0GUSDT"])] == ["0GUSDT"]
    with pytest.raises(VenueError, match="perpetuals"):
        recorded_instruments(path, 5000, 1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"result":{"list":[]}}', '[{"symbol":"X"}]', "[1]", "nonsense"])
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "info.json"
    path.write_text(text)
    with pytest.raises(VenueError, match="Fix: "):
        recorded_instruments(path, 1, 1)
    path.with_suffix(".gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(VenueError, match="Fix: "):
        recorded_instruments(path.with_suffix(".gz"), 1, 1)
