"""PARAMS from Settings: units, rounding, categories."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from config.schema import Settings
from core.params import PARAMS, PARAMS_CELLS, params_row


def test_size_fits_whole_cells() -> None:
    assert PARAMS.size == PARAMS.dtype.itemsize == PARAMS_CELLS * 64 <= 1536


def test_defaults_have_kernel_units() -> None:
    row = params_row(Settings(), 7)[0]
    assert row["config_version"] == 7
    assert row["latency_ns"] == 20_000_000
    assert row["maker_fee_e8"] == 20_000 and row["taker_fee_e8"] == 55_000  # 0.02 % and 0.055 %
    assert row["slippage_cap_e8"] == 500_000  # 50 bps
    assert row["price_buffer_e8"] == 10_000
    assert row["crossed_ns"] == 200_000_000
    assert row["signal_ttl_ns"] == 45_000_000_000
    assert row["margin_per_trade_e8"] == 25 * 10**8 and row["leverage_e2"] == 500
    assert list(row["watch"]) == [44.0, 47.0, 52.0] and list(row["arm"]) == [56.0, 59.0, 64.0]
    assert not row["reserved"].any()


def test_every_setting_travels() -> None:
    settings = msgspec.convert(
        {
            "trading": {"orders": {"latency_ms": 0.3}, "exits": {"stop_min_bps": 90.0, "break_even": False}},
            "thresholds": {"signal": {"cooldown_s": 0.0}, "pump": {"dump_pct": 1.5}},
        },
        Settings,
    )
    row = params_row(settings, 2)[0]
    assert row["latency_ns"] == 300_000
    assert row["stop_min_bps"] == 90.0 and row["stop_max_bps"] == 90.0  # never an empty range
    assert row["break_even"] == 0 and row["cooldown_ns"] == 0 and row["pump_dump_pct"] == 1.5


@pytest.mark.parametrize("name", [f.name for f in PARAMS.fields if f.name != "reserved"])
def test_no_field_is_forgotten(name: str) -> None:
    """A field `params_row` does not set would be zero in every configuration."""
    settings = msgspec.convert(
        {"trading": {"exits": {"break_even": True, "add_max": 1}, "orders": {"queue_share": 0.5}},
         "skip": {"enabled": True, "volatility_index": 20.0}},
        Settings,
    )
    assert np.all(params_row(settings, 1)[0][name] != 0)
