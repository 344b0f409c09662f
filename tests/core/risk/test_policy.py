"""Settings and instruments as execution sees them."""

from __future__ import annotations

import numpy as np

from config.schema import Settings, SymbolOverride, Symbols
from core.enums import Mode
from core.records import SYMBOL
from core.risk.policy import instrument, policy


def row(name: bytes = b"BTCUSDT", **fields):
    rows = np.zeros(1, SYMBOL.dtype)
    rows["name"][0, : len(name)] = np.frombuffer(name, np.uint8)
    for key, value in ({"tick_mant": 1, "lot_mant": 1, "status": 1} | fields).items():
        rows[key] = value
    return rows[0]


def test_units():
    rules = policy(Settings())
    assert rules.mode == Mode.SIM
    assert (rules.start_balance_e8, rules.margin_e8, rules.leverage_e2) == (1000 * 10**8, 25 * 10**8, 500)
    assert (rules.latency_ns, rules.maker_deadline_ns, rules.taker_fee_e8) == (20_000_000, 1_500_000_000, 55_000)
    assert rules.risk_cap_e8(900 * 10**8) == 15 * 10**8


def test_instrument_and_overrides():
    found = instrument(row(max_qty_lots=50, max_market_lots=20, price_exp=2, qty_exp=3, id=4, flags=2))
    assert (found.name, found.id, found.max_qty_lots, found.grid.decimals) == ("BTCUSDT", 4, 20, 5)
    assert found.blacklisted
    assert found.trading
    settings = Settings(symbols=Symbols(blacklist=("ETHUSDT",), overrides={
        "BTCUSDT": SymbolOverride(max_leverage=3.0, margin_per_trade_usdt=10.0)}))
    rules = policy(settings)
    plain = instrument(row(b"ETHUSDT", max_leverage_e2=200, taker_fee_e8=12))
    assert rules.leverage_of(found) == 300
    assert rules.margin_of(found) == 10 * 10**8
    assert rules.leverage_of(plain) == 200
    assert rules.margin_of(plain) == 25 * 10**8
    assert rules.fee_of(plain) == 12
    assert rules.fee_of(found) == 55_000
    assert rules.blacklists(plain)
    assert instrument(row()).max_qty_lots == 0
