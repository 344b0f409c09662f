"""Liquidation and bankruptcy: hand-worked long and short, isolated and cross; the ladder; price against trigger."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from core.sim.liquidation import InsuranceFund
from core.sim.margin import MarginAccount
from core.sim.margin_types import AccountSpec, Cause, DueKind, ExecType, MarginRule, PositionStatus
from core.sim.money import E8
from tests.core.sim.margin_help import BTC, Work, account, e8, e10, trade

# isolated, 1 BTC at 50,000, 10x, maintenance 0.5 %, no deduction
ISOLATED = [
    # side, added, rule, liquidation price, bankruptcy price
    (1, "0", MarginRule.MARK_2025, "45226.13065327", "45000"),  # 45,000 / 0.995
    (-1, "0", MarginRule.MARK_2025, "54726.36815920", "55000"),  # 55,000 / 1.005
    (1, "0", MarginRule.ENTRY_2024, "45250", "45000"),  # 50,000 - (5,000 - 250)
    (-1, "0", MarginRule.ENTRY_2024, "54750", "55000"),
    (1, "500", MarginRule.MARK_2025, "44723.34155645", "44499.72484867"),  # 500 / 0.99945 = 500.27515133
    (-1, "500", MarginRule.MARK_2025, "55223.60711558", "55499.72515116"),  # 500 / 1.00055 = 499.72515116..
]


@pytest.mark.parametrize(("side", "added", "rule", "liquidation", "bankruptcy"), ISOLATED)
def test_isolated_prices(side: int, added: str, rule: MarginRule, liquidation: str, bankruptcy: str) -> None:
    a = account("100000", cross=False, rule=rule)
    trade(a, side, "1", "50000")
    a.mark("BTCUSDT", e10("50000"))
    if added != "0":
        a.add_margin("BTCUSDT", e8(added))
    s = a.snapshot("BTCUSDT")
    assert (s.liq_price_e8, s.bust_price_e8) == (e8(liquidation), e8(bankruptcy))


@pytest.mark.parametrize(
    ("side", "bust", "left"),
    [(1, "45000", "4947.75"), (-1, "55000", "4942.25")],
)
def test_isolated_takeover(side: int, bust: str, left: str) -> None:
    """The takeover at the bankruptcy price costs the whole margin: 10,000 - 27.5 (opening) - 5,000 - closing fee (24.75
    long, 30.25 short), and not a cent of the rest, however far the mark has run."""
    a = account("10000", cross=False)
    trade(a, side, "1", "50000")
    assert a.hold(Work("w", side, 10, 400_000)) and a.hold(Work("e", 1, 1, 300_000, symbol="ETHUSDT"))
    a.mark("BTCUSDT", e10(str(50_000 - side * 20_000)))
    (step,) = a.liquidations()
    assert (step.kind, step.cancel_symbols, step.lots) == (DueKind.CANCEL, ("BTCUSDT",), 0)
    a.release("w")  # orders of other symbols stay
    (step,) = a.liquidations()
    assert (step.kind, step.side, step.lots) == (DueKind.TAKEOVER, -side, 1000)
    assert step.bust_price_ticks * 10 == int(bust) * 100
    assert a.position("BTCUSDT").status is PositionStatus.LIQ
    a.apply_fill(9, "", "bust", "BTCUSDT", 0, step.side, step.lots, step.bust_price_ticks, 55_000, ExecType.BUST_TRADE)
    assert a.liquidations() == []
    assert a.ledger.balance_e8 == e8(left)
    assert a.ledger.totals_e8[Cause.LIQUIDATION] == e8("-5000") and a.ledger.totals_e8[Cause.INSURANCE] == 0
    assert a.position("BTCUSDT").status is PositionStatus.NORMAL


CROSS = [
    # 0.1 BTC at 50,000, 10x, wallet 1,000 after the opening fee of 2.75
    # long: 1,000 + 0.1 M - 5,000 = 0.0005 M + 2.475 -> M = 4,002.475 / 0.0995; bust 4,000 / 0.099945
    (1, "40225.87939698", "40022.01210666", 400_221, "0.0087845"),
    # short: 1,000 + 5,000 - 0.1 M = 0.0005 M + 3.025 -> M = 5,996.975 / 0.1005; bust 6,000 / 0.100055
    (-1, "59671.39303483", "59967.01814002", 599_670, "0.001815"),
]


@pytest.mark.parametrize(("side", "liquidation", "bankruptcy", "ticks", "left"), CROSS)
def test_cross_prices_and_takeover(side: int, liquidation: str, bankruptcy: str, ticks: int, left: str) -> None:
    """Taken over at the bankruptcy price on the tick toward the entry, nothing but less than a tick's worth is left:
    long 1,000 - 997.79 - 4,002.21 * 0.055 % (2.2012155); short 1,000 - 996.7 - 5,996.7 * 0.055 % (3.298185)."""
    a = account("1002.75")
    trade(a, side, "0.1", "50000")
    a.mark("BTCUSDT", e10("50000"))
    s = a.snapshot("BTCUSDT")
    assert (s.liq_price_e8, s.bust_price_e8) == (e8(liquidation), e8(bankruptcy))
    a.mark("BTCUSDT", e10(liquidation) + side * 10_000)
    assert a.liquidations() == []
    a.mark("BTCUSDT", e10(liquidation) - side * 10_000)
    (step,) = a.liquidations()
    assert (step.kind, step.lots, step.bust_price_ticks) == (DueKind.TAKEOVER, 100, ticks)
    a.apply_fill(9, "", "bust", "BTCUSDT", 0, -side, 100, ticks, 55_000, ExecType.BUST_TRADE)
    assert a.ledger.balance_e8 == e8(left)


def test_reduction_to_the_lower_tier() -> None:
    """Long 50 BTC at 60,000 isolated, 10x: value 3,000,000 in tier 2 (1 %, deduction 10,000). Liquidation price
    (2,700,000 - 10,000) / (50 * 0.99) = 54,343.43434343. At 54,343: value 2,717,150; the lower tier takes 2,000,000:
    50,000 lots * 2,000,000 / 2,717,150 = 36,803 lots stay, 13,197 are to be closed by a FillOrKill. Filled at the mark
    the position holds: margin and loss shrink alike, the rate falls to 0.5 %. Not filled: the whole is taken over."""
    for filled in (True, False):
        a = account("400000", cross=False)
        trade(a, 1, "50", "60000")
        a.mark("BTCUSDT", e10("60000"))
        s = a.snapshot("BTCUSDT")
        assert (s.liq_price_e8, s.risk_id, s.mm_e8) == (e8("54343.43434343"), 2, e8("20000") + e8("1485"))
        a.mark("BTCUSDT", e10("54343.5"))
        assert a.liquidations() == []
        a.mark("BTCUSDT", e10("54343"))
        (step,) = a.liquidations()
        assert (step.kind, step.side, step.lots) == (DueKind.REDUCE, -1, 13_197)
        assert step.bust_price_ticks == 540_000
        if filled:
            a.apply_fill(5, "", "r", "BTCUSDT", 0, -1, step.lots, 543_430, 55_000)
            assert a.liquidations() == []
            s = a.snapshot("BTCUSDT")
            assert (s.lots, s.risk_id, s.status) == (36_803, 1, PositionStatus.NORMAL)
        else:
            a.liquidation_refused("BTCUSDT", 0)
            (step,) = a.liquidations()
            assert (step.kind, step.lots) == (DueKind.TAKEOVER, 50_000)
            a.apply_fill(6, "", "r", "BTCUSDT", 0, -1, 1, 543_430, 55_000)  # the market moved on: the ladder begins anew
            assert a.liquidations()[0].kind is DueKind.REDUCE


def test_no_reduction_where_the_margin_is_gone() -> None:
    """The same position after a gap to 53,000: -350,000 against 300,000 of margin; no tier helps."""
    a = account("400000", cross=False)
    trade(a, 1, "50", "60000")
    a.mark("BTCUSDT", e10("53000"))
    (step,) = a.liquidations()
    assert (step.kind, step.lots) == (DueKind.TAKEOVER, 50_000)


@pytest.mark.parametrize(("equity", "kind"), [("11463", DueKind.TAKEOVER), ("11463.00000001", DueKind.REDUCE)])
def test_a_cross_reduction_pays_its_own_fee(equity: str, kind: DueKind) -> None:
    """Cross, long 50 BTC at 60,000, mark 50,000: value 2,500,000, maintenance 15,000 + 1,485. Closing 10 BTC costs 275
    and leaves 2,000,000 at 0.5 % + 1,188 = 11,188: it helps where the equity is more than 11,463."""
    a = account("501650")  # 1,650 opening fee, -500,000 unrealised
    trade(a, 1, "50", "60000")
    a.mark("BTCUSDT", e10("50000"))
    a.transfer(1, e8(equity), "t")
    assert a.margin_balance_e8 == e8(equity)
    (step,) = a.liquidations()
    assert step.kind is kind
    if kind is DueKind.REDUCE:
        assert step.lots == 10_000
        trade(a, -1, "10", "50000")
        assert a.liquidations() == []


def test_a_hedged_leg_is_reduced_by_what_is_exposed() -> None:
    """Long 60 and short 10 at 60,000, cross, mark 50,000: 50 exposed, 2,500,000 in tier 2. Closing 10 leaves 40 exposed:
    10,000 + 1,485 + 363 of maintenance against 13,000 - 275."""
    a = account("515310", hedge=True)  # 2,310 opening fees
    trade(a, 1, "60", "60000", idx=1)
    trade(a, -1, "10", "60000", idx=2)
    a.mark("BTCUSDT", e10("50000"))
    assert a.margin_balance_e8 == e8("13000") and a.wallet().maintenance_margin_e8 == e8("17145")
    (step,) = a.liquidations()
    assert (step.kind, step.position_idx, step.side, step.lots) == (DueKind.REDUCE, 1, -1, 10_000)
    trade(a, -1, "10", "50000", idx=1)
    assert a.wallet().maintenance_margin_e8 == e8("11848") and a.liquidations() == []


def test_due_exactly_at_the_margin() -> None:
    """Cross: 1,025.225 - 2.75 - 1,000 = 22.475 of equity at 40,000 is the maintenance margin 20 + 2.475. Isolated: a
    long from 49,750 at 10x is due at 49,750 * 0.9 / 0.995 = 45,000."""
    a = account("1025.225")
    trade(a, 1, "0.1", "50000")
    a.mark("BTCUSDT", e10("40000"))
    assert a.wallet().mm_rate_e8 == E8 and len(a.liquidations()) == 1
    a.transfer(1, 1, "t")
    assert a.liquidations() == []
    b = account("10000", cross=False)
    trade(b, 1, "1", "49750")
    b.mark("BTCUSDT", e10("45000"))
    assert len(b.liquidations()) == 1
    b.mark("BTCUSDT", e10("45000.00000002"))
    assert b.liquidations() == []


def test_cross_takes_the_largest_maintenance_first_and_cancels_everything() -> None:
    a = account("2000")
    trade(a, 1, "0.1", "50000")
    a.apply_fill(1, "o", "x", "ETHUSDT", 0, -1, 100, 300_000, 55_000)
    a.mark("ETHUSDT", e10("3000"))
    assert a.hold(Work("w", 1, 1, 100_000, symbol="ETHUSDT"))
    a.mark("BTCUSDT", e10("30380"))  # 2,000 - 4.4 - 1,962 = 33.6 against 15.19 + 2.475 + 15 + 1.815 = 34.48
    (step,) = a.liquidations()
    assert (step.kind, step.symbol, step.cancel_symbols) == (DueKind.CANCEL, "BTCUSDT", ("ETHUSDT",))
    assert [p.status for p in a.positions()] == [PositionStatus.LIQ] * 2
    a.release("w")
    (step,) = a.liquidations()
    assert (step.kind, step.symbol) == (DueKind.TAKEOVER, "BTCUSDT")
    a.mark("BTCUSDT", e10("31000"))  # the mark came back in time
    assert a.liquidations() == []
    assert [p.status for p in a.positions()] == [PositionStatus.NORMAL] * 2


def test_auto_add_margin_takes_from_the_available_balance() -> None:
    """Long 1 BTC at 50,000, 10x, mark 45,100: due. With auto-add and 4,972.5 - 24.75 available, another 4,947.75 goes
    in and the position stands; with nothing left the next fall liquidates it."""
    a = account("10000", cross=False)
    trade(a, 1, "1", "50000")
    a.position("BTCUSDT").auto_add_margin = True
    a.mark("BTCUSDT", e10("45100"))
    assert a.liquidations() == []
    assert a.position("BTCUSDT").extra_margin_e8 == e8("4947.75") and a.available_e8() == 0
    a.mark("BTCUSDT", e10("40200"))
    (step,) = a.liquidations()
    assert step.kind is DueKind.TAKEOVER


def test_liquidation_price_is_where_the_trigger_turns() -> None:
    """Random positions, both modes and rules: 1e-6 USDT above and below liqPrice the account is not due and due."""
    rng = random.Random(5)
    seen = 0
    for _ in range(400):
        cross, side = rng.random() < 0.5, rng.choice((1, -1))
        rule = rng.choice(list(MarginRule))
        a = account(str(rng.randint(300, 900_000)), cross=cross, rule=rule, leverage=rng.choice((2, 5, 10, 50)))
        price = rng.randint(10_000, 90_000)
        trade(a, side, str(rng.randint(1, 60_000) / 1000), str(price))
        a.mark("BTCUSDT", e10(str(price)))
        if a.available_e8() < 0 or a.liquidations():
            continue
        if not cross and rng.random() < 0.5:
            a.add_margin("BTCUSDT", rng.randint(0, a.available_e8()))
        s = a.snapshot("BTCUSDT")
        if s.liq_price_e8 == 0:
            continue
        seen += 1
        a.mark("BTCUSDT", s.liq_price_e8 * 100 + side * 10_000)
        assert a.liquidations() == []
        a.mark("BTCUSDT", s.liq_price_e8 * 100 - side * 10_000)
        assert len(a.liquidations()) == 1
        if rule is MarginRule.MARK_2025:  # the trigger comes before the bankruptcy price
            bust = a.bankruptcy_price_ticks("BTCUSDT", 0) * 10**7
            assert side * (s.liq_price_e8 - bust) > 0
    assert seen > 150


def test_no_liquidation_price_where_none_is_in_range() -> None:
    """A long with 1x is worth something down to zero; a cross account richer than its position never runs out; beyond
    the symbol's price range nothing is shown: a short of 0.1 with 90,000 behind it runs out at 945,216, past 900,000."""
    a = account("100000", cross=False, leverage=1)
    trade(a, 1, "1", "50000")
    assert a.snapshot("BTCUSDT").liq_price_e8 == 0
    b = account("100000")
    trade(b, 1, "1", "50000")
    assert b.snapshot("BTCUSDT").liq_price_e8 == 0
    assert account("1").snapshot("BTCUSDT").liq_price_e8 == 0  # flat
    for highest, shown in ((9_000_000, False), (9_500_000, True)):
        spec = AccountSpec(deposit_e8=e8("90000"))
        c = MarginAccount(1, spec, {"BTCUSDT": replace(BTC, max_price_ticks=highest)})
        trade(c, -1, "0.1", "50000")
        c.mark("BTCUSDT", e10("50000"))
        assert (c.snapshot("BTCUSDT").liq_price_e8 > 0) is shown


def test_adl_lights() -> None:
    """Return on margin: -60 %, 0, +60 %, +150 %, +250 % of 502.475 at 10x."""
    lights = []
    for mark in ("46985", "50000", "53100", "58000", "65000"):
        a = account("10000", cross=False)
        trade(a, 1, "0.1", "50000")
        a.mark("BTCUSDT", e10(mark))
        lights.append(a.adl_rank("BTCUSDT"))
    assert lights == [1, 2, 3, 4, 5]
    assert account("1").adl_rank("BTCUSDT") == 0


def test_insurance_fund() -> None:
    """A long of 1 BTC taken over at 45,000 and sold at 44,900 costs the fund 100; sold at 45,050 it gains 50."""
    fund = InsuranceFund(1_000 * E8)
    assert fund.settle(BTC, 1, 1000, 450_000, 449_000) == -100 * E8
    assert fund.settle(BTC, 1, 1000, 450_000, 450_500) == 50 * E8
    assert fund.settle(BTC, -1, 1000, 550_000, 550_500) == -50 * E8
    assert fund.balance_e8 == 900 * E8
