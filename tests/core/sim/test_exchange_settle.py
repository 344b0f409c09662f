"""Funding, liquidation, deleveraging and delisting as the exchange carries them out."""

from __future__ import annotations

import pytest

from core.sim.exchange_types import (
    CancelType,
    CreateType,
    Execution,
    OrderRequest,
    OrderStatus,
    OrderType,
    SymbolStatus,
)
from core.sim.margin_types import ExecType, MarginMode, PositionMode
from core.sim.ret_codes import RetCode
from tests.core.sim.exchange_rig import A, B, Rig

HOUR_NS = 3_600_000_000_000
E8 = 10**8


def test_funding_is_told_as_an_execution_that_moves_no_position():
    rig = Rig()
    rig.now = 1_700_006_400_000_000_000 - 10**9  # 00:00 UTC follows
    rig.market(1, 10)
    rig.ex.on_funding_rate(rig.symbol, 10**6)  # 0.01 %
    rig.ex.advance(rig.now)
    rig.ex.drain()
    rig.ex.advance(1_700_006_400_000_000_000)
    events = rig.ex.drain()
    assert [type(e).__name__ for e in events] == ["Execution", "PositionUpdate", "WalletUpdate"]
    execution = events[0]
    assert isinstance(execution, Execution) and execution.exec_type is ExecType.FUNDING
    assert execution.fee_e8 == 10 * E8 // 10_000  # 0.010 * 1000 USDT * 0.01 %
    assert execution.order_qty_lots == 0 and rig.lots() == 10
    rig.ex.advance(rig.now + 2 * 8 * HOUR_NS)
    assert len(rig.ex.drain()) == 3
    entries = rig.ex.ledger(A)
    assert sum(e.change_e8 for e in entries) == rig.ex.wallet(A).wallet_balance_e8


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("mode", [MarginMode.ISOLATED, MarginMode.REGULAR])
def test_liquidation(side, mode):
    rig = Rig(deposit_e8=100 * E8)
    assert rig.ex.set_margin_mode(rig.now, A, mode).ret_code in (0, RetCode.MARGIN_MODE_UNCHANGED)
    rig.book([(9999, 1000)], [(10001, 1000)], snapshot=True)
    rig.market(side, 500)  # 500 USDT at leverage 10
    assert rig.lots() == 500 * side
    working = rig.limit(side, 10000 - 50 * side, 10).order_id
    rig.told()
    for k in range(1, 40):
        rig.prices(10000 - side * 100 * k)
        if rig.lots() == 0:
            break
    assert rig.lots() == 0
    assert rig.order(working).cancel_type is CancelType.ALL_BEFORE_LIQ
    last = rig.ex.executions(A)[0]
    assert last.exec_type is ExecType.BUST_TRADE and last.create_type is CreateType.TAKE_OVER
    assert last.fee_e8 == -(-last.value_e8 * last.fee_rate_e8 // E8) > 0  # the taker fee, from the margin
    wallet = rig.ex.wallet(A)
    assert wallet.wallet_balance_e8 >= 0
    assert sum(e.change_e8 for e in rig.ex.ledger(A)) == wallet.wallet_balance_e8
    assert rig.ex.closed_pnl(A)[0].exec_type is ExecType.BUST_TRADE


def test_forced_liquidation_and_adl():
    rig = Rig()
    rig.market(1, 10)
    assert not rig.ex.force_liquidate(rig.tick(), B, rig.symbol)
    assert rig.ex.force_adl(rig.tick(), A, rig.symbol, lots=4, price_ticks=10500)
    assert rig.lots() == 6
    assert rig.ex.executions(A)[0].exec_type is ExecType.ADL_TRADE
    assert rig.ex.force_liquidate(rig.tick(), A, rig.symbol)
    assert rig.lots() == 0 and not rig.ex.force_liquidate(rig.tick(), A, rig.symbol)


def test_an_empty_insurance_fund_deleverages_the_other_side():
    rig = Rig(deposit_e8=60 * E8)
    rig.ex.set_margin_mode(rig.now, A, MarginMode.ISOLATED)
    rig.limit(-1, 10000, 400, B)
    rig.limit(1, 10000, 400, A)
    assert (rig.lots(A), rig.lots(B)) == (400, -400)
    rig.prices(8000)  # far through the bankruptcy price of 9000
    assert (rig.lots(A), rig.lots(B)) == (0, 0)
    adl = rig.ex.executions(B)[0]
    assert adl.exec_type is ExecType.ADL_TRADE and adl.price_ticks == rig.ex.executions(A)[0].price_ticks


def test_force_fill_and_external_orders():
    rig = Rig()
    r = rig.limit(1, 9990, 10)
    rig.told()
    assert rig.ex.force_fill(rig.tick(), A, r.order_id, 4)
    assert rig.told()[:2] == [("order", "PartiallyFilled", 4), ("exec", 1, 9990, 4, True)]
    rig.trades((9980, 100, -1))
    assert rig.lots() == 10 and not rig.ex.force_fill(rig.tick(), A, r.order_id)


def test_delisting():
    rig = Rig()
    rig.market(1, 10)
    opening, closing = rig.limit(1, 9990, 10).order_id, rig.limit(-1, 10050, 10, reduce_only=True).order_id
    rig.ex.delist(rig.tick(), rig.symbol)
    assert rig.order(opening).cancel_type is CancelType.SETTLE
    assert rig.order(closing).status is OrderStatus.NEW
    assert rig.limit(1, 9990, 10).ret_code == RetCode.DELISTING
    assert rig.market(-1, 5, reduce_only=True).ret_code == 0
    rig.prices(10100)
    before = rig.ex.wallet(A).wallet_balance_e8
    rig.ex.delist(rig.tick(), rig.symbol, final=True)
    assert rig.ex.status(rig.symbol) is SymbolStatus.CLOSED and rig.ex.open_orders(A) == []
    last = rig.ex.executions(A)[0]  # what is open is settled at the index price
    assert (rig.lots(), last.exec_type, last.create_type) == (0, ExecType.SETTLE, CreateType.SETTLE)
    assert (last.qty_lots, last.price_ticks, last.fee_e8) == (5, 10100, 0)
    assert rig.ex.wallet(A).wallet_balance_e8 - before == last.exec_pnl_e8 > 0
    assert sum(e.change_e8 for e in rig.ex.ledger(A)) == rig.ex.wallet(A).wallet_balance_e8
    assert rig.market(-1, 5, reduce_only=True).ret_code == RetCode.NOT_LIVE


def test_settings_and_their_codes():
    rig = Rig()
    lev = lambda buy, sell: rig.ex.set_leverage(rig.tick(), A, rig.symbol, buy, sell).ret_code  # noqa: E731
    assert lev(2000, 2000) == 0 and lev(2000, 2000) == RetCode.LEVERAGE_UNCHANGED
    assert lev(2000, 1000) == RetCode.PARAMETER
    assert rig.ex.switch_position_mode(A, PositionMode.ONE_WAY).ret_code == RetCode.MODE_UNCHANGED
    rig.limit(1, 9990, 10, trigger_price_ticks=10050, trigger_direction=1)
    assert rig.ex.switch_position_mode(A, PositionMode.HEDGE).ret_code == RetCode.ORDERS_EXIST
    rig.ex.cancel_all(rig.tick(), A)
    rig.market(1, 10)
    assert rig.ex.switch_position_mode(A, PositionMode.HEDGE).ret_code == RetCode.POSITION_EXISTS
    assert rig.ex.add_margin(rig.tick(), A, rig.symbol, E8).ret_code != 0
    rig.market(-1, 10, reduce_only=True)
    assert rig.ex.switch_position_mode(A, PositionMode.HEDGE).ret_code == 0
    assert rig.market(1, 10).ret_code == RetCode.PARAMETER
    assert rig.market(1, 10, position_idx=1).ret_code == 0
    assert rig.market(-1, 10, position_idx=2).ret_code == 0
    assert (rig.lots(A, 1), rig.lots(A, 2)) == (10, -10)
    assert len(rig.ex.positions(A, rig.symbol)) == 2
    rig.market(-1, 30, position_idx=1)
    assert (rig.lots(A, 1), rig.lots(A, 2)) == (0, -10)


def test_pre_check_leaves_no_trace():
    rig = Rig()
    before = rig.ex.wallet(A)
    request = OrderRequest(symbol=rig.symbol, side=1, order_type=OrderType.LIMIT, qty_lots=1000, price_ticks=9990)
    got = rig.ex.pre_check(rig.tick(), A, request)
    assert got.result.ret_code == 0 and got.pre_imr_e4 == 0 and got.post_imr_e4 > 0
    assert rig.ex.wallet(A) == before and rig.ex.drain() == []


@pytest.mark.parametrize("liquid", [True, False])
def test_a_large_position_is_reduced_first_where_the_book_allows_it(liquid):
    rig = Rig(deposit_e8=100_000 * E8)
    rig.ex.set_leverage(rig.tick(), A, rig.symbol, 2400, 2400)
    rig.book([(9999, 5_000_000)], [(10001, 5_000_000)], snapshot=True)
    for _ in range(16):
        assert rig.market(1, 140_000).ret_code == 0
    held = rig.lots()
    seen = []
    for k in range(1, 100):
        price = 10000 - 5 * k
        if liquid:
            rig.book([(price, 5_000_000)], [(price + 2, 5_000_000)], snapshot=True)
        else:
            rig.book([(5000, 10)], [(price + 2, 10)], snapshot=True)
        rig.prices(price)
        seen = [e for e in rig.ex.executions(A) if e.create_type is not CreateType.USER]
        if seen:
            break
    first = seen[-1]
    if liquid:
        assert (first.create_type, first.exec_type) == (CreateType.LIQUIDATION, ExecType.TRADE)
        assert first.qty_lots < held and first.fee_e8 > 0
    else:
        assert first.exec_type is ExecType.BUST_TRADE
    assert sum(e.change_e8 for e in rig.ex.ledger(A)) == rig.ex.wallet(A).wallet_balance_e8
