"""Rows against every private fixture: field sets, types, empty-value habits; the recorded frames to the letter."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.sim.exchange_types import (
    CancelType,
    CreateType,
    Execution,
    OrderStatus,
    OrderType,
    RejectReason,
    SimOrder,
    StopOrderType,
    TimeInForce,
    TpslMode,
    TriggerBy,
)
from core.sim.margin_types import ExecType, PositionSnapshot, PositionStatus, WalletSnapshot
from gateway.venue import private_account_rows as account_rows
from gateway.venue import private_rows as rows
from gateway.venue.instruments import Instrument
from tests.gateway.venue.private_fixtures import BTC, ETH, adapter_rows, docs_rows, frames

SIDES = {"Buy": 1, "Sell": -1, "": 0}
MS = 1_000_000


def word(kind: Any, text: str) -> Any:
    """The member of a worded enum with this text."""
    return next(member for member in kind if member.text == text)


def scaled(text: str, digits: int) -> int:
    value = Decimal(text or "0").scaleb(digits)
    assert value == int(value), text
    return int(value)


def ticks(text: str, instrument: Instrument) -> int:
    return scaled(text, instrument.price_exp) // instrument.tick_mant


def lots(text: str, instrument: Instrument) -> int:
    return scaled(text, instrument.qty_exp) // instrument.lot_mant


def order_of(row: dict[str, Any], instrument: Instrument) -> SimOrder:
    """The order that a recorded row shows."""
    return SimOrder(
        order_id=row["orderId"], order_link_id=row["orderLinkId"], uid=1, symbol=row["symbol"], side=SIDES[row["side"]],
        order_type=word(OrderType, row["orderType"]), tif=word(TimeInForce, row["timeInForce"]),
        price_ticks=ticks(row["price"], instrument), qty_lots=lots(row["qty"], instrument),
        leaves_lots=lots(row["leavesQty"], instrument), status=word(OrderStatus, row["orderStatus"]),
        cum_qty_lots=lots(row["cumExecQty"], instrument), cum_value_e8=scaled(row["cumExecValue"], 8),
        cum_fee_e8=scaled(row["cumExecFee"], 8), closed_pnl_e8=scaled(row["closedPnl"], 8),
        reject_reason=word(RejectReason, row["rejectReason"]), cancel_type=word(CancelType, row["cancelType"]),
        reduce_only=row["reduceOnly"], last_price_on_created_ticks=ticks(row["lastPriceOnCreated"], instrument),
        created_ns=int(row["createdTime"]) * MS, updated_ns=int(row["updatedTime"]) * MS,
    )


def position_of(row: dict[str, Any], instrument: Instrument) -> PositionSnapshot:
    """The position that a recorded row shows."""
    return PositionSnapshot(
        uid=1, symbol=row["symbol"], position_idx=row["positionIdx"], side=SIDES[row["side"]],
        lots=lots(row["size"], instrument), entry_price_e8=scaled(row["entryPrice"], 8),
        position_value_e8=scaled(row["positionValue"], 8), leverage_e2=scaled(row["leverage"], 2), risk_id=row["riskId"],
        risk_limit_value_e8=scaled(row["riskLimitValue"], 8), mark_e10=scaled(row["markPrice"], 10),
        im_e8=scaled(row["positionIM"], 8), mm_e8=scaled(row["positionMM"], 8),
        liq_price_e8=scaled(row["liqPrice"], 8), bust_price_e8=0, break_even_price_e8=0,
        unrealised_e8=scaled(row["unrealisedPnl"], 8), cur_realised_e8=scaled(row["curRealisedPnl"], 8),
        cum_realised_e8=scaled(row["cumRealisedPnl"], 8), margin_balance_e8=0, take_profit_ticks=0, stop_loss_ticks=0,
        trailing_stop_ticks=0, status=PositionStatus.NORMAL, adl_rank=row["adlRankIndicator"], auto_add_margin=False,
        is_reduce_only=False, created_ns=int(row["createdTime"]) * MS, updated_ns=int(row["updatedTime"]) * MS,
        opened_ns=0, seq=row["seq"],
    )


def same_as_recorded(ours: dict[str, Any], recorded: dict[str, Any], differing: dict[str, str] | None = None) -> None:
    """Every recorded field is there with the recorded value; `differing` names fields that may also have one of ours."""
    for name, value in recorded.items():
        assert ours[name] == value or (differing or {}).get(name) == ours[name], name


def test_order_stream_is_the_recorded_stream_to_the_letter() -> None:
    seen = 0
    for frame in frames("bybit_order_stream_20241109_a.jsonl")[2:]:
        for row in frame["data"]:
            same_as_recorded(rows.order_stream(order_of(row, BTC), BTC), row)
            seen += 1
    assert seen == 14


def test_position_stream_is_the_recorded_stream_to_the_letter() -> None:
    seen = 0
    for frame in frames("bybit_position_stream_20241227_a.jsonl"):
        for row in frame["data"]:
            same_as_recorded(account_rows.position_stream(position_of(row, BTC), BTC), row, {"liqPrice": ""})
            seen += 1
    assert seen == 8


# -- field sets and types of all fixtures --------------------------------------------------------------------------------
ORDER = SimOrder(
    order_id="5cf98598", order_link_id="", uid=1, symbol="BTCUSDT", side=1, order_type=OrderType.LIMIT,
    tif=TimeInForce.GTC, price_ticks=690_000, qty_lots=10, leaves_lots=10, status=OrderStatus.NEW,
    last_price_on_created_ticks=754_988, created_ns=1_731_164_137_423 * MS, updated_ns=1_731_164_137_426 * MS,
)
FILLED = replace(
    ORDER, status=OrderStatus.FILLED, leaves_lots=0, cum_qty_lots=10, cum_value_e8=69_000_000_000, cum_fee_e8=37_950_000,
    take_profit_ticks=710_000, stop_loss_ticks=680_000, tpsl_mode=TpslMode.PARTIAL, tp_trigger_by=TriggerBy.MARK,
    sl_trigger_by=TriggerBy.LAST, tp_limit_ticks=711_000, sl_limit_ticks=679_000,
)
STOP = replace(
    ORDER, status=OrderStatus.UNTRIGGERED, order_type=OrderType.MARKET, price_ticks=0,
    stop_order_type=StopOrderType.STOP_LOSS, create_type=CreateType.STOP_LOSS, trigger_price_ticks=680_000,
    trigger_direction=2, trigger_by=TriggerBy.LAST, reduce_only=True, close_on_trigger=True, tpsl_mode=TpslMode.FULL,
)
EXECUTION = Execution(
    uid=1, ts_ns=1_746_270_400_353 * MS, exec_id="0ab1bdf7", exec_type=ExecType.TRADE, symbol="BTCUSDT", side=-1,
    position_idx=0, order_id="9aac161b", order_link_id="link", order_type=OrderType.MARKET,
    stop_order_type=StopOrderType.NONE, create_type=CreateType.USER, order_price_ticks=949_425, order_qty_lots=500,
    leaves_lots=0, price_ticks=959_001, qty_lots=500, value_e8=4_795_005_000_000, fee_e8=2_637_252_750,
    fee_rate_e8=55_000, is_maker=False, closed_lots=500, exec_pnl_e8=5_000_000, mark_e10=959_014_800_000_000,
    index_e10=0, seq=140_612_148_849_382,
)
POSITION = PositionSnapshot(
    uid=1, symbol="ETHUSDT", position_idx=0, side=-1, lots=1, entry_price_e8=364_107_500_000,
    position_value_e8=3_642_075_000, leverage_e2=3000, risk_id=11, risk_limit_value_e8=90_000_000_000_000,
    mark_e10=36_413_300_000_000, im_e8=123_480_936, mm_e8=20_281_586, liq_price_e8=5_176_483_003_276, bust_price_e8=0,
    break_even_price_e8=360_000_000_000, unrealised_e8=-255_000, cur_realised_e8=948_140, cum_realised_e8=-2_506_579_337,
    margin_balance_e8=0, take_profit_ticks=0, stop_loss_ticks=0, trailing_stop_ticks=0, status=PositionStatus.NORMAL,
    adl_rank=2, auto_add_margin=False, is_reduce_only=False, created_ns=MS, updated_ns=MS, opened_ns=MS, seq=1,
)
FLAT = replace(POSITION, side=0, lots=0, entry_price_e8=0, position_value_e8=0, liq_price_e8=0, break_even_price_e8=0)
WALLET = WalletSnapshot(
    uid=1, equity_e8=1_000_000_000_000, wallet_balance_e8=1_000_000_000_000, margin_balance_e8=1_000_000_000_000,
    available_e8=990_000_000_000, unrealised_e8=0, initial_margin_e8=10_000_000_000, maintenance_margin_e8=1_000_000_000,
    im_rate_e8=1_000_000, mm_rate_e8=100_000, order_im_e8=0, position_im_e8=10_000_000_000,
    position_mm_e8=1_000_000_000, cum_realised_e8=0,
)
ORDERS = (ORDER, FILLED, STOP)
SURFACES: dict[str, list[dict[str, Any]]] = {
    "order_stream": [rows.order_stream(order, BTC) for order in ORDERS],
    "order_rest": [rows.order_rest(order, BTC) for order in ORDERS],
    "execution_stream": [rows.execution_stream(EXECUTION, BTC)],
    "execution_fast": [rows.execution_fast(EXECUTION, BTC)],
    "execution_rest": [rows.execution_rest(EXECUTION, BTC)],
    "position_stream": [account_rows.position_stream(position, ETH) for position in (POSITION, FLAT)],
    "position_rest": [account_rows.position_rest(position, ETH) for position in (POSITION, FLAT)],
    "wallet": [account_rows.wallet_row(WALLET, False)],
}
ORDER_FILES = [
    "ws_account_order.json", "ws_account_order_filled.json", "ws_account_order_stop_loss.json",
    "ws_account_order_stop_limit.json", "ws_account_order_stop_market.json", "ws_account_order_buy_stop_market.json",
    "ws_account_order_take_profit.json", "ws_account_order_limit_if_touched.json",
    "ws_account_order_market_if_touched.json", "ws_account_order_sell_market_if_touched.json",
    "ws_account_order_partially_filled_rejected.json",
]
FILES = {
    "order_stream": ORDER_FILES,
    "order_rest": [
        "http_get_orders_realtime.json", "http_get_orders_realtime_tp_sl.json", "http_get_orders_history.json",
        "http_get_orders_history_with_duplicate.json", "http_get_order_partially_filled_rejected.json",
    ],
    "execution_stream": ["ws_account_execution.json", "ws_account_execution_adl.json"],
    "execution_fast": ["ws_account_execution_fast.json"],
    "execution_rest": ["http_get_executions.json"],
    "position_stream": [
        "ws_account_position.json", "ws_account_position_short.json", "ws_account_position_with_open_time.json",
    ],
    "position_rest": ["http_get_positions.json", "http_get_positions_with_open_time.json"],
    "wallet": [
        "http_get_wallet_balance.json", "ws_account_wallet.json", "ws_account_wallet_locked_exceeds_total.json",
        "ws_account_wallet_small_order.json",
    ],
}
PAGES = {
    "order_stream": ["websocket/private/order.mdx"],
    "order_rest": ["order/open-order.mdx", "order/order-list.mdx"],
    "execution_stream": ["websocket/private/execution.mdx"],
    "execution_fast": ["websocket/private/fast-execution.mdx"],
    "execution_rest": ["order/execution.mdx"],
    "position_stream": ["websocket/private/position.mdx"],
    "position_rest": ["position/position.mdx"],
    "wallet": ["account/wallet-balance.mdx", "websocket/private/wallet.mdx"],
}
MISSPELT = {"totalPerpUpl"}  # nautilus' own mistake: every Bybit page writes totalPerpUPL


RECORDED = {
    "order_stream": "bybit_order_stream_20241109_a.jsonl", "position_stream": "bybit_position_stream_20241227_a.jsonl",
}


def fixtures_of(surface: str) -> list[dict[str, Any]]:
    found = [row for name in FILES[surface] for row in adapter_rows(name)]
    found += [row for page in PAGES[surface] for row in docs_rows(page)]
    if surface in RECORDED:
        found += [row for frame in frames(RECORDED[surface]) for row in frame.get("data", [])]
    return found


def kind(value: Any) -> str:
    """Type as JSON shows it; null stands for an empty text in the adapter's payloads."""
    return "str" if value is None else type(value).__name__


@pytest.mark.parametrize("surface", SURFACES)
def test_field_sets_and_types(surface: str) -> None:
    fixtures = fixtures_of(surface)
    assert fixtures
    for ours in SURFACES[surface]:
        for theirs in fixtures:
            for name, value in theirs.items():
                if name in MISSPELT:
                    continue
                assert name in ours, f"{surface} lacks {name}"
                assert kind(ours[name]) == kind(value), f"{surface}: {name}"


DOCUMENTED_LATER = {
    "order_stream": {
        "parentOrderLinkId", "brokerOrderPrice", "ocoTriggerBy", "slippageToleranceType", "slippageTolerance",
    },
    "order_rest": {"parentOrderLinkId", "createType", "ocoTriggerBy", "marketUnit"},
    "position_stream": set(), "position_rest": set(), "execution_stream": set(), "execution_fast": set(),
    "execution_rest": set(), "wallet": set(),
}
"""Fields that no fixture shows but the field lists of the documentation do (BYBIT.md 5)."""


@pytest.mark.parametrize("surface", SURFACES)
def test_no_field_is_invented(surface: str) -> None:
    known = {name for row in fixtures_of(surface) for name in row} | DOCUMENTED_LATER[surface]
    for ours in SURFACES[surface]:
        assert set(ours) <= known


EMPTY = {"", "0", "0.00", "0.000", "UNKNOWN", "None"}


@pytest.mark.parametrize("surface", ["order_stream", "order_rest", "position_stream", "position_rest", "execution_stream",
                                     "execution_rest"])
def test_empty_values_are_written_as_somebody_saw_them(surface: str) -> None:
    """What we write for "not set" was seen in that field of that surface, where a fixture shows it unset at all."""
    fixtures = fixtures_of(surface)
    for ours in SURFACES[surface]:
        for name, value in ours.items():
            seen = {row[name] for row in fixtures if (isinstance(row.get(name), str) and set(row[name]) <= set("0."))
                    or row.get(name) in ("UNKNOWN", "None", "")}
            if isinstance(value, str) and value in EMPTY and seen:
                normal = {"0" if text and set(text) <= set("0.") else text for text in seen}
                ours_normal = "0" if value and set(value) <= set("0.") else value
                assert ours_normal in normal, f"{surface}: {name} is {value!r}, seen {seen}"


def test_wallet_coins() -> None:
    """Coin objects have the fields of the real answer; without money the coin is left out."""
    ours = account_rows.wallet_row(WALLET, False)["coin"][0]
    theirs = [coin for row in fixtures_of("wallet") for coin in row["coin"]]
    for coin in theirs:
        for name, value in coin.items():
            assert kind(ours[name]) == kind(value), name
    assert set(ours) <= {name for coin in theirs for name in coin}
    empty = replace_wallet(equity_e8=0, wallet_balance_e8=0, position_im_e8=0)
    assert account_rows.wallet_row(empty, False)["coin"] == []


def replace_wallet(**values: int) -> WalletSnapshot:
    return replace(WALLET, **values)


def test_isolated_margin_leaves_account_figures_empty() -> None:
    row = account_rows.wallet_row(WALLET, True)
    assert {name for name, value in row.items() if value == ""} == {
        "accountIMRate", "accountIMRateByMp", "accountMMRate", "accountMMRateByMp", "totalMarginBalance",
        "totalAvailableBalance", "totalInitialMargin", "totalInitialMarginByMp", "totalMaintenanceMargin",
        "totalMaintenanceMarginByMp",
    }
    assert row["totalWalletBalance"] == "10000" and row["coin"][0]["totalPositionIM"] == "100"


def test_values_of_the_recorded_execution_and_position() -> None:
    """The adapter's execution and ETH position, field by field."""
    seen = adapter_rows("ws_account_execution.json")[0]
    ours = rows.execution_stream(EXECUTION, BTC)
    differing = {"orderLinkId", "execId", "orderId"}
    assert {k: ours[k] for k in seen if k not in differing} == {k: v for k, v in seen.items() if k not in differing}
    position = adapter_rows("ws_account_position.json")[0]
    mine = account_rows.position_stream(POSITION, ETH)
    differing = {"createdTime", "updatedTime", "seq"}
    assert {k: mine[k] for k in position if k not in differing} == {
        k: v for k, v in position.items() if k not in differing
    }


def test_fast_execution_hides_the_link_id_of_a_maker() -> None:
    assert rows.execution_fast(EXECUTION, BTC)["orderLinkId"] == "link"
    assert rows.execution_fast(replace(EXECUTION, is_maker=True), BTC)["orderLinkId"] == ""


def test_funding_is_an_execution_without_an_order() -> None:
    funding = replace(
        EXECUTION, exec_type=ExecType.FUNDING, order_type=OrderType.UNKNOWN, price_ticks=0, order_price_ticks=0,
        order_qty_lots=0, order_link_id="", fee_e8=-1_234_567, closed_lots=0, exec_pnl_e8=0,
    )
    row = rows.execution_stream(funding, BTC)
    assert (row["execType"], row["orderType"], row["orderQty"], row["createType"]) == ("Funding", "UNKNOWN", "0", "")
    assert (row["execPrice"], row["execFee"]) == ("95901.48", "-0.01234567")


def test_rest_keeps_decimals_and_streams_trim() -> None:
    stream, rest = rows.order_stream(FILLED, BTC), rows.order_rest(FILLED, BTC)
    assert (stream["price"], rest["price"]) == ("69000", "69000.00")
    assert (stream["qty"], rest["qty"]) == ("0.01", "0.010")
    assert (stream["takeProfit"], rest["takeProfit"]) == ("71000", "71000.00")
    assert stream["avgPrice"] == rest["avgPrice"] == "69000"
    assert rest["cumFeeDetail"] == {"USDT": "0.3795"}
