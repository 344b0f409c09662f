"""Hand-worked lives of an account: every number in a docstring was worked out on paper from MARGIN.md's formulas."""

from __future__ import annotations

import random

import pytest

from core.sim.account import Account
from core.sim.margin import MarginAccount
from core.sim.margin_types import (
    AccountSpec,
    Cause,
    ExecType,
    MarginInstrument,
    MarginMode,
    PositionMode,
)
from core.sim.ret_codes import RetCode
from tests.core.sim.margin_help import TIERS, Work, account, e8, e10, trade


def causes(a) -> list[tuple[Cause, int]]:
    return [(entry.cause, entry.change_e8) for entry in a.ledger.entries]


# --- fees and averaging ---


@pytest.mark.parametrize(
    ("rate", "fee"),
    [("0.00055", "16.5"), ("0.0002", "6"), ("-0.0001", "-3"), ("0.00000001", "0.0003"), ("0", "0")],
)
def test_fee_of_a_fill(rate: str, fee: str) -> None:
    """0.5 BTC at 60,000 = 30,000 USDT: taker 0.055 % = 16.5, maker 0.02 % = 6, a rebate of 0.01 % = -3."""
    a = account("1000000")
    assert trade(a, 1, "0.5", "60000", rate=rate).fee_e8 == e8(fee)
    assert a.ledger.balance_e8 == e8("1000000") - e8(fee)


@pytest.mark.parametrize(("rate", "fee"), [("0.00014", "0.01336932"), ("-0.00014", "-0.01336931")])
def test_fee_is_rounded_against_the_account(rate: str, fee: str) -> None:
    """0.001 BTC at 95,495.1 = 95.4951; * 0.014 % = 0.013369314: paid 0.01336932 (as recorded), received 0.01336931."""
    assert trade(account("1000"), 1, "0.001", "95495.1", rate=rate).fee_e8 == e8(fee)


def test_fees_by_symbol() -> None:
    a = account("1000", maker_fee_e8=10_000, symbol_fees_e8={"ETHUSDT": (0, 30_000)})
    assert a.fee_rate_e8("BTCUSDT", maker=True) == 10_000
    assert a.fee_rate_e8("ETHUSDT", maker=True) == 0
    assert a.fee_rate_e8("ETHUSDT", maker=False) == 30_000


def test_averaging() -> None:
    """0.001 at 60,000 and 0.002 at 60,000.3: value 60 + 120.0006 = 180.0006, average 60,000.2. One more 0.004 at
    60,001: 420.0046 / 0.007 = 60,000.657142857.. -> 60,000.65714286 (nearest)."""
    a = account("1000")
    trade(a, 1, "0.001", "60000")
    trade(a, 1, "0.002", "60000.3")
    assert a.snapshot("BTCUSDT").entry_price_e8 == e8("60000.2")
    trade(a, 1, "0.004", "60001")
    s = a.snapshot("BTCUSDT")
    assert (s.position_value_e8, s.entry_price_e8, s.lots) == (e8("420.0046"), e8("60000.65714286"), 7)


def test_partial_close() -> None:
    """Long 0.3 at 50,000: value 15,000, fee 8.25. Sell 0.1 at 51,000: result (51,000 - 50,000) * 0.1 = 100, fee
    5,100 * 0.055 % = 2.805. Left: 0.2, value 10,000, the same average. curRealised = -8.25 + 100 - 2.805 = 88.945.
    closedPnl takes the third of the opening fee: 100 - 2.75 - 2.805 = 94.445. Then close the rest at 49,500: -100, fee
    5.445: balance 10,000 + 88.945 - 100 - 5.445 = 9,983.5; the holding ended, curRealised is 0."""
    a = account("10000")
    trade(a, 1, "0.3", "50000")
    r = trade(a, -1, "0.1", "51000")
    assert (r.realised_e8, r.fee_e8, r.closed_lots, r.opened_lots) == (e8("100"), e8("2.805"), 100, 0)
    assert (r.open_fee_e8, r.close_fee_e8, r.closed_pnl_e8) == (e8("2.75"), e8("2.805"), e8("94.445"))
    assert (r.entry_value_e8, r.exit_value_e8) == (e8("5000"), e8("5100"))
    s = a.snapshot("BTCUSDT")
    assert (s.lots, s.position_value_e8, s.entry_price_e8) == (200, e8("10000"), e8("50000"))
    assert s.cur_realised_e8 == s.cum_realised_e8 == e8("88.945")
    trade(a, -1, "0.2", "49500")
    s = a.snapshot("BTCUSDT")
    assert (s.side, s.cur_realised_e8, s.cum_realised_e8) == (0, 0, e8("-16.5"))
    assert a.ledger.balance_e8 == e8("9983.5")
    assert causes(a) == [
        (Cause.DEPOSIT, e8("10000")), (Cause.FEE, -e8("8.25")),
        (Cause.REALISED, e8("100")), (Cause.FEE, -e8("2.805")),
        (Cause.REALISED, -e8("100")), (Cause.FEE, -e8("5.445")),
    ]  # fmt: skip
    assert a.ledger.entries[2].order_id == "o2" and a.ledger.entries[2].ref == a.ledger.entries[3].ref == "x2"


def test_flip_is_a_close_and_an_open() -> None:
    """Long 0.2 at 50,000 (fee 5.5); sell 0.5 at 49,000: closes 0.2 (-200, fee 9,800 * 0.055 % = 5.39) and opens a short
    of 0.3 at 49,000 (value 14,700, fee 8.085). One execution, one fee 13.475; the new holding starts at -8.085."""
    a = account("10000")
    trade(a, 1, "0.2", "50000")
    r = trade(a, -1, "0.5", "49000")
    assert (r.closed_lots, r.opened_lots, r.realised_e8, r.fee_e8) == (200, 300, e8("-200"), e8("13.475"))
    assert r.closed_pnl_e8 == e8("-200") - e8("5.5") - e8("5.39")
    s = a.snapshot("BTCUSDT")
    assert (s.side, s.lots, s.position_value_e8, s.entry_price_e8) == (-1, 300, e8("14700"), e8("49000"))
    assert (s.cur_realised_e8, s.cum_realised_e8) == (e8("-8.085"), e8("-218.975"))
    assert a.ledger.balance_e8 == e8("9781.025")


def test_unrealised_and_break_even() -> None:
    """Long 0.1 at 50,000 after a fee of 2.75, mark 50,500: +50. Break-even (5,000 + 2.75) / (0.1 * (1 - 0.00055)) =
    50,055.030266..; short: (5,000 - 2.75) / (0.1 * 1.00055) = 49,945.030233.."""
    a = account("10000")
    trade(a, 1, "0.1", "50000")
    a.mark("BTCUSDT", e10("50500"))
    s = a.snapshot("BTCUSDT")
    assert (s.unrealised_e8, s.break_even_price_e8) == (e8("50"), e8("50055.03026665"))
    b = account("10000")
    trade(b, -1, "0.1", "50000")
    b.mark("BTCUSDT", e10("50500"))
    s = b.snapshot("BTCUSDT")
    assert (s.unrealised_e8, s.break_even_price_e8) == (e8("-50"), e8("49945.03023337"))


# --- funding ---


@pytest.mark.parametrize(
    ("side", "rate", "paid"),
    [(1, "0.0001", "3.0061725"), (-1, "0.0001", "-3.0061725"), (1, "-0.0001", "-3.0061725"),
     (1, "0.0000001234", "0.00370962"), (-1, "0.0000001234", "-0.00370961")],
)  # fmt: skip
def test_funding(side: int, rate: str, paid: str) -> None:
    """0.5 BTC at a mark of 60,123.45 = 30,061.725; at 0.01 % = 3.0061725: longs pay, shorts receive, reversed for a
    negative rate. 30,061.725 * 0.0000001234 = 0.003709616865: paid ..62, received ..61. The position does not move."""
    a = account("100000")
    trade(a, side, "0.5", "60000")
    a.mark("BTCUSDT", e10("60123.45"))
    before = a.ledger.balance_e8
    (result,) = a.funding(99, "BTCUSDT", e10(rate))
    assert (result.fee_e8, result.side, result.lots, result.value_e8) == (e8(paid), side, 500, e8("30061.725"))
    assert a.ledger.balance_e8 == before - e8(paid)
    assert a.ledger.entries[-1].cause is Cause.FUNDING and a.ledger.entries[-1].ref == "99"
    s = a.snapshot("BTCUSDT")
    assert (s.lots, s.position_value_e8, s.cur_realised_e8) == (500, e8("30000"), -e8("16.5") - e8(paid))
    assert a.funding(100, "ETHUSDT", e10(rate)) == []


# --- holds ---


def test_order_cost_of_both_sides() -> None:
    """1 BTC at 50,000, 10x. Buy: 5,000 + 27.5 + 50,000 * 0.9 * 0.055 % = 24.75 -> 5,052.25. Sell: closing at 55,000
    costs 30.25 -> 5,057.75. Both working: the larger one is held."""
    a = account("6000")
    assert a.hold(Work("b", 1, 1000, 500_000))
    assert a.available_e8() == e8("6000") - e8("5052.25")
    assert a.hold(Work("s", -1, 1000, 500_000))
    assert a.available_e8() == e8("6000") - e8("5057.75")
    a.release("s")
    assert a.available_e8() == e8("6000") - e8("5052.25")
    assert not a.hold(Work("b2", 1, 200, 500_000))  # 1,010.45 more than the 947.75 left
    assert a.reserve(Work("b2", 1, 200, 500_000)) is RetCode.NOT_ENOUGH_BALANCE
    assert a.hold(Work("b", 1, 900, 500_000))  # amended down
    assert a.available_e8() == e8("6000") - e8("4547.025")
    a.release("b")
    a.release("never seen")
    assert a.available_e8() == e8("6000")


def test_orders_that_close_are_free() -> None:
    """Long 0.1 at 50,000 (margin 500 + 2.475): a sell of 0.1 holds nothing; of 0.3, the 0.2 beyond the position would
    hold 1,011.55, of which the position's 502.475 would be free then: 509.075. Reduce-only is free whatever its size."""
    a = account("10000")
    trade(a, 1, "0.1", "50000")
    before = a.available_e8()
    assert a.hold(Work("s", -1, 100, 500_000))
    assert a.available_e8() == before
    assert a.hold(Work("r", -1, 100_000, 500_000, reduce_only=True))
    assert a.available_e8() == before
    assert a.hold(Work("t", -1, 200, 500_000))
    assert a.available_e8() == before - (e8("1011.55") - e8("502.475"))


def test_a_sell_below_the_mark_is_margined_at_the_mark() -> None:
    """A sell limit at 40,000 with the mark at 50,000 may fill at 50,000: 0.1 BTC holds 505.775, not 404.62."""
    a = account("10000")
    a.mark("BTCUSDT", e10("50000"))
    assert a.hold(Work("s", -1, 100, 400_000))
    assert a.wallet().order_im_e8 == e8("505.775")


def test_a_fill_gives_back_what_its_order_held() -> None:
    """Buy 0.3 at 50,000 holds 1,515.675; 0.1 filled: 1,010.45 stay held, the position takes 500 + 2.475, the fee 2.75."""
    a = account("10000")
    order = Work("b", 1, 300, 500_000)
    assert a.hold(order)
    a.apply_fill(1, "b", "x", "BTCUSDT", 0, 1, 100, 500_000, 55_000)
    w = a.wallet()
    assert (w.order_im_e8, w.position_im_e8, w.wallet_balance_e8) == (e8("1010.45"), e8("502.475"), e8("9997.25"))
    assert w.available_e8 == e8("9997.25") - e8("1512.925")
    a.apply_fill(2, "b", "y", "BTCUSDT", 0, 1, 200, 500_000, 55_000)
    assert a.wallet().order_im_e8 == 0
    a.release("b")  # ended: nothing to release


def test_risk_limit_refuses_what_the_leverage_does_not_carry() -> None:
    """100x is allowed to 2,000,000; 40 BTC at 50,000 is exactly that, one lot more is refused; so is lowering nothing."""
    a = account("1000000", leverage=100)
    assert a.hold(Work("a", 1, 40_000, 500_000))
    assert a.reserve(Work("b", 1, 1, 500_000)) is RetCode.RISK_LIMIT
    assert a.hold(Work("s", -1, 40_000, 500_000))  # the other side has its own room
    assert a.set_leverage("BTCUSDT", 5_000, 5_000) is RetCode.OK
    assert a.hold(Work("b", 1, 1, 500_000))
    assert a.set_leverage("BTCUSDT", 10_000, 10_000) is RetCode.LEVERAGE_OVER_TIER
    assert a.snapshot("BTCUSDT").risk_id == 2 and a.snapshot("BTCUSDT").risk_limit_value_e8 == e8("4000000")


def test_orders_against_the_position_count_beyond_what_closes() -> None:
    """Long 40 BTC at 50,000 with 100x is at the limit of 2,000,000: selling 70 leaves a short of 30, which is allowed;
    of 81, a short of 41, which is not."""
    a = account("1000000", leverage=100)
    trade(a, 1, "40", "50000")
    assert a.hold(Work("s", -1, 70_000, 500_000))
    assert a.reserve(Work("s", -1, 81_000, 500_000)) is RetCode.RISK_LIMIT
    assert a.reserve(Work("b", 1, 1, 500_000)) is RetCode.RISK_LIMIT


def test_a_value_risen_out_of_its_tier() -> None:
    """Long 30 BTC at 60,000 with 100x (1,800,000): at 70,000 the 2,100,000 lie in tier 2: initial margin 1.5 % = 31,500 +
    fee 980.1, reduce-only. A closing order is taken all the same, an opening one is not."""
    a = account("1000000", leverage=100)
    trade(a, 1, "30", "60000")
    a.mark("BTCUSDT", e10("66000"))
    assert a.wallet().position_im_e8 == e8("19800") + e8("980.1") and not a.snapshot("BTCUSDT").is_reduce_only
    a.mark("BTCUSDT", e10("70000"))
    assert a.wallet().position_im_e8 == e8("31500") + e8("980.1") and a.snapshot("BTCUSDT").is_reduce_only
    assert a.hold(Work("s", -1, 30_000, 700_000))
    assert a.reserve(Work("b", 1, 1, 700_000)) is RetCode.RISK_LIMIT


def test_a_losing_account_may_close_and_may_raise_leverage() -> None:
    """Long 0.1 at 50,000 on 600, mark 46,000: 597.25 - 400 - 462.475 of margin is negative. Closing needs nothing."""
    a = account("600")
    trade(a, 1, "0.1", "50000")
    a.mark("BTCUSDT", e10("46000"))
    assert a.available_e8() == e8("-265.225") and a.wallet().available_e8 == 0
    assert a.hold(Work("s", -1, 100, 460_000))
    assert not a.hold(Work("b", 1, 1, 460_000))
    assert a.set_leverage("BTCUSDT", 1100, 1100) is RetCode.OK
    assert a.set_leverage("BTCUSDT", 1000, 1000) is RetCode.NOT_ENOUGH_BALANCE


# --- margins and wallet ---


def test_cross_margins_follow_the_mark() -> None:
    """Long 0.1 at 50,000, 10x, mark 52,000: IM 520 + 2.475, MM 26 + 2.475; +200 unrealised. Wallet 10,000 - 2.75.
    Available 9,997.25 + 200 - 522.475. IM rate 522.475 / 10,197.25 = 0.05123685.., MM rate 0.00279241.."""
    a = account("10000")
    trade(a, 1, "0.1", "50000")
    a.mark("BTCUSDT", e10("52000"))
    w = a.wallet()
    assert (w.position_im_e8, w.position_mm_e8, w.unrealised_e8) == (e8("522.475"), e8("28.475"), e8("200"))
    assert (w.equity_e8, w.margin_balance_e8, w.wallet_balance_e8) == (e8("10197.25"), e8("10197.25"), e8("9997.25"))
    assert w.available_e8 == e8("9674.775")
    assert (w.im_rate_e8, w.mm_rate_e8) == (5_123_685, 279_241)
    assert w.initial_margin_e8 == e8("522.475") and w.maintenance_margin_e8 == e8("28.475")


def test_isolated_margins() -> None:
    """The same, isolated: IM stays on the entry (502.475), MM follows the mark; available is cash less margins, profit
    does not count. 100 added by hand leaves the balance and takes from available; taking 101 back is refused."""
    a = account("10000", cross=False)
    trade(a, 1, "0.1", "50000")
    a.mark("BTCUSDT", e10("52000"))
    w = a.wallet()
    assert (w.position_im_e8, w.position_mm_e8) == (e8("502.475"), e8("28.475"))
    assert w.available_e8 == e8("9997.25") - e8("502.475")
    assert (w.im_rate_e8, w.mm_rate_e8) == (0, 0)
    assert a.add_margin("BTCUSDT", e8("100")) is RetCode.OK
    w = a.wallet()
    assert (w.available_e8, w.wallet_balance_e8) == (e8("9394.775"), e8("9997.25"))
    assert a.snapshot("BTCUSDT").margin_balance_e8 == e8("602.475")
    assert a.add_margin("BTCUSDT", e8("-101")) is RetCode.WOULD_LIQUIDATE
    assert a.add_margin("BTCUSDT", 0) is RetCode.MARGIN_UNCHANGED
    assert a.add_margin("BTCUSDT", e8("9394.77500001")) is RetCode.NOT_ENOUGH_BALANCE
    assert a.add_margin("ETHUSDT", 1) is RetCode.PARAMETER
    trade(a, -1, "0.025", "52000")  # a quarter closed gives a quarter of the added margin back
    assert a.position("BTCUSDT").extra_margin_e8 == e8("75")
    trade(a, -1, "0.1", "52000")  # turned over: a new position starts without
    assert a.position("BTCUSDT").extra_margin_e8 == 0 == a.extra_e8


def test_taking_margin_back_may_not_liquidate() -> None:
    """Long 0.1 at 50,000, 10x with 300 added carries 800.165; at a mark of 45,000 (-500, MM 22.5) only what leaves more
    than 22.5 may be taken back: 270 yes, 8 more no."""
    a = account("10000", cross=False)
    trade(a, 1, "0.1", "50000")
    assert a.add_margin("BTCUSDT", e8("300")) is RetCode.OK
    a.mark("BTCUSDT", e10("45000"))
    assert a.add_margin("BTCUSDT", e8("-270")) is RetCode.OK
    assert a.add_margin("BTCUSDT", e8("-8")) is RetCode.WOULD_LIQUIDATE
    assert a.position("BTCUSDT").extra_margin_e8 == e8("30") and a.liquidations() == []


# --- settings ---


def test_leverage() -> None:
    """Isolated long 0.1 at 50,000: at 10x 502.475 of margin, at 20x 250 + 2.6125, at 1x 5,000 and no closing fee."""
    a = account("5100", cross=False)
    trade(a, 1, "0.1", "50000")
    assert a.set_leverage("BTCUSDT", 1000, 1000) is RetCode.LEVERAGE_UNCHANGED
    assert a.set_leverage("BTCUSDT", 2000, 1000) is RetCode.PARAMETER  # one-way: one leverage
    assert a.set_leverage("BTCUSDT", 99, 99) is a.set_leverage("BTCUSDT", 10_001, 10_001) is RetCode.PARAMETER
    assert a.set_leverage("BTCUSDT", 2000, 2000) is RetCode.OK
    assert a.wallet().position_im_e8 == e8("252.6125")
    assert a.set_leverage("BTCUSDT", 100, 100) is RetCode.OK
    assert a.wallet().position_im_e8 == e8("5000")
    a.mark("BTCUSDT", e10("49000"))
    assert a.set_leverage("BTCUSDT", 10_000, 10_000) is RetCode.WOULD_LIQUIDATE  # 50 of margin against -100
    assert a.wallet().position_im_e8 == e8("5000")
    b = account("1000")
    assert b.hold(Work("b", 1, 100, 500_000))
    held = b.wallet().order_im_e8
    assert b.set_leverage("BTCUSDT", 100, 100) is RetCode.NOT_ENOUGH_BALANCE
    assert b.wallet().order_im_e8 == held and b.position("BTCUSDT").leverage_e2 == 1000


def test_modes() -> None:
    a = account("1000")
    assert a.switch_position_mode(PositionMode.ONE_WAY, "BTCUSDT") is RetCode.MODE_UNCHANGED
    assert a.set_margin_mode(MarginMode.REGULAR) is RetCode.MARGIN_MODE_UNCHANGED
    assert a.hold(Work("b", 1, 1, 500_000))
    assert a.switch_position_mode(PositionMode.HEDGE, "BTCUSDT") is RetCode.ORDERS_EXIST
    assert a.switch_position_mode(PositionMode.HEDGE, "ETHUSDT") is RetCode.OK
    a.release("b")
    trade(a, 1, "0.001", "50000")
    assert a.switch_position_mode(PositionMode.HEDGE) is RetCode.POSITION_EXISTS
    trade(a, -1, "0.001", "50000")
    assert a.switch_position_mode(PositionMode.HEDGE) is RetCode.OK
    assert a.switch_position_mode(PositionMode.HEDGE) is RetCode.MODE_UNCHANGED
    assert [p.position_idx for p in a.positions("BTCUSDT")] == [1, 2]
    assert a.set_leverage("BTCUSDT", 500, 500) is RetCode.OK
    assert a.switch_position_mode(PositionMode.ONE_WAY, "BTCUSDT") is RetCode.OK
    assert a.position("BTCUSDT").leverage_e2 == 500  # the leverage of the symbol goes with it


def test_margin_mode_change() -> None:
    """Two positions of 5,000 at 10x whose losses cross margin carries together cannot be taken into isolated; after the
    mark returned they can, and back again the added margin is free."""
    a = account("2000")
    trade(a, 1, "0.1", "50000")
    a.mark("BTCUSDT", e10("45000"))
    assert a.set_margin_mode(MarginMode.ISOLATED) is RetCode.NOT_ENOUGH_BALANCE
    assert a.cross
    a.mark("BTCUSDT", e10("49900"))
    assert a.set_margin_mode(MarginMode.ISOLATED) is RetCode.OK
    assert a.add_margin("BTCUSDT", e8("50")) is RetCode.OK
    assert a.set_margin_mode(MarginMode.REGULAR) is RetCode.OK
    assert a.extra_e8 == 0 and a.position("BTCUSDT").extra_margin_e8 == 0


def test_hedge_legs() -> None:
    """Long 0.3 and short 0.2 at 50,000, 10x, cross: both have their initial margin (1,507.425 and 1,006.05); maintenance
    only on the 0.1 not offset: 25 + 7.425 and 0 + 6.05. Orders against a leg are free, a leg cannot turn over."""
    a = account("10000", hedge=True)
    trade(a, 1, "0.3", "50000", idx=1)
    trade(a, -1, "0.2", "50000", idx=2)
    long, short = a.snapshot("BTCUSDT", 1), a.snapshot("BTCUSDT", 2)
    assert (long.side, long.lots, short.side, short.lots) == (1, 300, -1, 200)
    assert (long.im_e8, short.im_e8) == (e8("1507.425"), e8("1006.05"))
    assert (long.mm_e8, short.mm_e8) == (e8("32.425"), e8("6.05"))
    before = a.available_e8()
    assert a.hold(Work("c", -1, 300, 500_000, position_idx=1))
    assert a.available_e8() == before
    assert a.hold(Work("d", -1, 100, 500_000, position_idx=2))
    assert a.available_e8() == before - e8("505.775")
    with pytest.raises(ValueError, match="turn hedge leg 1"):
        trade(a, -1, "0.301", "50000", idx=1)
    trade(a, -1, "0.1", "50000", idx=1)
    assert (a.snapshot("BTCUSDT", 1).mm_e8, a.snapshot("BTCUSDT", 2).mm_e8) == (e8("4.95"), e8("6.05"))
    assert a.snapshot("BTCUSDT", 1).liq_price_e8 == 0  # offset: no mark liquidates it
    with_isolated = account("10000", hedge=True, cross=False)
    trade(with_isolated, 1, "0.3", "50000", idx=1)
    trade(with_isolated, -1, "0.2", "50000", idx=2)
    assert with_isolated.snapshot("BTCUSDT", 1).mm_e8 == e8("82.425")
    assert with_isolated.set_leverage("BTCUSDT", 2000, 500) is RetCode.OK
    assert [p.leverage_e2 for p in with_isolated.positions("BTCUSDT")] == [2000, 500]


# --- cash ---


def test_transfers_and_shortfall() -> None:
    """Only what is available may leave. A fill 3,000 beyond the money leaves a debt; the insurance fund takes it over
    once nothing is open."""
    a = account("1000")
    trade(a, 1, "0.1", "50000")
    assert a.transfer(5, e8("-600"), "w") is RetCode.NOT_ENOUGH_BALANCE
    assert a.transfer(5, e8("-400"), "w") is RetCode.OK
    assert a.cover_shortfall(6, "i") == 0
    trade(a, -1, "0.1", "15000", exec_type=ExecType.BUST_TRADE)
    assert a.ledger.balance_e8 == 0
    assert a.ledger.entries[-1].cause is Cause.INSURANCE
    assert a.ledger.entries[-1].change_e8 == e8("3500") + e8("2.75") + e8("0.825") - e8("600")
    assert a.ledger.totals_e8[Cause.LIQUIDATION] == e8("-3500")
    assert sum(entry.change_e8 for entry in a.ledger.entries) == 0


def test_a_debt_beside_an_open_position_is_not_covered() -> None:
    a = account("1000")
    trade(a, 1, "0.1", "50000")
    a.apply_fill(1, "o", "x", "ETHUSDT", 0, 1, 100, 300_000, 55_000)
    trade(a, -1, "0.1", "15000", exec_type=ExecType.BUST_TRADE)
    assert a.ledger.balance_e8 < 0 and a.ledger.totals_e8[Cause.INSURANCE] == 0


def test_times_of_a_position() -> None:
    a = account("1000")
    a.apply_fill(5, "o", "x", "BTCUSDT", 0, 1, 2, 500_000, 0)
    a.apply_fill(6, "o", "x", "BTCUSDT", 0, -1, 1, 500_000, 0)
    s = a.snapshot("BTCUSDT")
    assert (s.created_ns, s.opened_ns, s.updated_ns) == (5, 5, 6)
    a.apply_fill(7, "o", "x", "BTCUSDT", 0, -1, 1, 500_000, 0)
    s = a.snapshot("BTCUSDT")
    assert (s.created_ns, s.opened_ns, s.updated_ns) == (5, 0, 7)
    a.apply_fill(8, "o", "x", "BTCUSDT", 0, -1, 1, 500_000, 0)
    assert a.snapshot("BTCUSDT").opened_ns == 8


def test_adl_closes_without_a_fee() -> None:
    a = account("1000")
    trade(a, -1, "0.1", "50000")
    trade(a, 1, "0.1", "45000", rate="0", exec_type=ExecType.ADL_TRADE)
    assert causes(a)[-1] == (Cause.ADL, e8("500"))


def test_the_paper_account_books_the_same() -> None:
    """The same fills in `core.sim.account` and here: equal cash, entry values and results, also where values round."""
    rng = random.Random(11)
    odd = MarginInstrument(symbol="ODD", tick_mant=5, price_exp=6, lot_mant=3, qty_exp=3, tiers=TIERS)
    paper = Account(10**12)
    a = MarginAccount(1, AccountSpec(deposit_e8=10**12), {"ODD": odd})
    for number in range(500):
        side, lots, ticks = rng.choice((1, -1)), rng.randint(1, 900), rng.randint(1, 10**6)
        r = a.apply_fill(number, "o", "x", "ODD", 0, side, lots, ticks, 55_000)
        p = paper.fill(1, odd.grid, side, ticks, lots, r.fee_e8, number)
        assert (p.lots, p.entry_value_e8) == (a.position("ODD").lots, a.position("ODD").entry_value_e8)
        assert paper.balance_e8 == a.ledger.balance_e8
        assert paper.realised_e8 == a.wallet().cum_realised_e8
