"""Settings and instruments as execution sees them."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from config.schema import Account, Exits, Limits, Safety, Settings, SymbolOverride, Symbols, Trading
from core.enums import Mode
from core.records import SYMBOL
from core.risk.ledger import ChurnLimits
from core.risk.policy import Instrument, instrument, policy


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
    assert rules.risk_cap_e8(900 * 10**8) == 15 * 10**8  # a third of 5 %
    assert rules.risk_cap_e8(-1) == 0
    assert (rules.price_buffer_e8, rules.churn) == (10_000, ChurnLimits(20, 4))
    assert rules.maintenance_e8 == (500_000, 1_000_000, 2_000_000)
    assert rules.max_notional_e8 == (5000 * 10**8, 2500 * 10**8, 1000 * 10**8)
    assert (rules.max_leverage_e2, rules.max_category_positions) == ((2500, 2000, 1000), (10, 10, 10))
    assert (rules.risk_per_trade_pct, rules.close_riskiest, rules.limits.tier) == (2.0, False, None)
    assert (rules.limits.min_balance_e8, rules.limits.intent_ttl_ns) == (100 * 10**8, 2 * 10**9)
    exits = policy(Settings(trading=Trading(exits=Exits(stop_min_bps=70.0, stop_max_bps=60.0, add_max=2, add_share=0.3))))
    assert (exits.stop_max_bps, exits.add_max, exits.add_share_e4) == (70.0, 2, 3000)


def test_what_a_symbol_record_says():
    plain = instrument(row())
    assert (plain.category, plain.maintenance_e8, plain.price_limit_e8) == (0, 0, 0)
    assert [f.default for f in fields(Instrument)[-3:]] == [0, 0, 0]  # what is not told is not known
    assert [instrument(row(max_qty_lots=a, max_market_lots=b)).max_qty_lots for a, b in (
        (0, 0), (50, 0), (0, 50), (1, 50))] == [0, 50, 50, 1]  # 0: not known
    assert [instrument(row(status=k)).trading for k in range(3)] == [False, True, False]
    rules = policy(Settings(symbols=Symbols(overrides={"BTCUSDT": SymbolOverride(blacklisted=True)})))
    eth = [instrument(row(b"ETHUSDT", flags=k)) for k in range(4)]
    assert [rules.blacklists(k) for k in eth] == [False, False, True, True]
    assert rules.blacklists(plain)  # by its override, which says nothing else:
    assert (rules.leverage_of(plain), rules.margin_of(plain, 10**12), rules.notional_of(plain)) == (
        500, 25 * 10**8, 5000 * 10**8)
    assert [rules.leverage_of(instrument(row(max_leverage_e2=e2))) for e2 in (0, 1, 499, 501)] == [500, 1, 499, 500]
    loose = replace(rules, leverage_e2=9_999, max_leverage_e2=(9_999,) * 3)
    assert loose.leverage_of(plain) == 2_500  # whatever anybody sets


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
    assert rules.margin_of(found, 10**12) == 10 * 10**8
    assert rules.leverage_of(plain) == 200
    assert rules.margin_of(plain, 10**12) == 25 * 10**8
    assert rules.fee_of(plain) == 12
    assert rules.fee_of(found) == 55_000
    assert rules.blacklists(plain)
    assert instrument(row()).max_qty_lots == 0


def test_r_is_a_share_of_the_tiers_capital():
    safety = Safety(limits=Limits(risk_per_trade_pct=1.0))
    assert policy(Settings(safety=safety)).risk_cap_e8(900 * 10**8) == 9 * 10**8
    micro = policy(Settings(safety=safety, trading=Trading(capital_tier="MICRO")))
    assert micro.risk_cap_e8(900 * 10**8) == 2 * 10**8
    assert micro.risk_cap_e8(100 * 10**8) == 10**8


def test_tiers_cut_the_margin():
    def margin(tier, equity, setting=500.0):
        rules = policy(Settings(trading=Trading(capital_tier=tier, account=Account(margin_per_trade_usdt=setting))))
        return rules.margin_of(instrument(row()), equity * 10**8) // 10**8

    assert [margin(t, 900) for t in ("NONE", "MICRO", "SMALL", "NORMAL")] == [500, 25, 50, 100]
    assert [margin("NORMAL", e) for e in (2000, 2001, 5001)] == [100, 150, 150]
    assert margin("SMALL", 900, 10.0) == 10


def test_categories_cut_leverage_and_value():
    limits = Limits(max_leverage=(25.0, 4.0, 3.0), max_notional_usdt=(900.0, 800.0, 700.0))
    rules = policy(Settings(safety=Safety(limits=limits), trading=Trading(account=Account(leverage=25.0)),
                            symbols=Symbols(overrides={"SOLUSDT": SymbolOverride(max_notional_usdt=50.0)})))
    kinds = [instrument(row(category=k)) for k in range(3)]
    assert [rules.leverage_of(k) for k in kinds] == [2500, 400, 300]
    assert [rules.notional_of(k) // 10**8 for k in kinds] == [900, 800, 700]
    assert rules.notional_of(instrument(row(b"SOLUSDT"))) == 50 * 10**8
    # 1 / 25 - 0.5 %, 1 / 4 - 1 %, 1 / 3 - 2 %
    assert [rules.liquidation_bps(k) for k in kinds] == [350, 2400, 3133]
    assert rules.liquidation_bps(instrument(row(maintenance_e8=1_234_567))) == 400 - 124


def test_everything_moves_with_btc_unless_named():
    rules = policy(Settings(symbols=Symbols(uncorrelated=("PAXGUSDT",))))
    assert rules.moves_with_btc(instrument(row()))
    assert not rules.moves_with_btc(instrument(row(b"PAXGUSDT")))
