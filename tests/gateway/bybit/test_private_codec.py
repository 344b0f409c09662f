"""Private frames: every real and documented one, the venue's own rows and back, and frames nobody should send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.orders.exchange_words import (
    ExecutionRow,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    StopOrderType,
    TimeInForce,
    WalletRow,
)
from gateway.bybit.private_codec import Told, decode_private, decode_trade
from gateway.bybit.wire_units import WireError, WireGrid
from tests.gateway.venue.private_fixtures import adapter, docs, docs_rows, frames

E8 = 100_000_000
GRID = WireGrid(1, 2, 1, 3)
PEPE = WireGrid(1, 7, 100, 0)


def any_grid(symbol: str) -> WireGrid | None:
    return GRID


def told(message: Any) -> Told:
    return decode_private(json.dumps(message).encode(), any_grid)


def frame(topic: str, *rows: dict[str, Any]) -> dict[str, Any]:
    return {"topic": topic, "creationTime": 1731163334351, "data": list(rows)}


ORDER_ROW = {
    "category": "linear", "symbol": "BTCUSDT", "orderId": "o1", "orderLinkId": "l1", "side": "Buy", "positionIdx": 0,
    "orderStatus": "New", "cancelType": "UNKNOWN", "rejectReason": "EC_NoError", "timeInForce": "PostOnly", "price": "65000.1",
    "qty": "0.012", "avgPrice": "", "leavesQty": "0.012", "cumExecQty": "0", "cumExecValue": "0", "cumExecFee": "0",
    "orderType": "Limit", "stopOrderType": "", "triggerPrice": "", "takeProfit": "", "stopLoss": "64000.00",
    "closeOnTrigger": False, "reduceOnly": False, "createType": "CreateByUser", "createdTime": "17", "updatedTime": "18",
}
EXECUTION_ROW = {
    "category": "linear", "symbol": "BTCUSDT", "closedSize": "0.5", "execFee": "26.3725275", "execId": "e1",
    "execPrice": "95900.1", "execQty": "0.5", "execType": "Trade", "execValue": "47950.05", "leavesQty": "0", "orderId": "o1",
    "orderLinkId": "l1", "stopOrderType": "UNKNOWN", "side": "Sell", "execTime": "1746270400353", "isMaker": False, "seq": 14,
}
POSITION_ROW = {
    "category": "linear", "symbol": "BTCUSDT", "positionIdx": 0, "side": "Buy", "size": "0.003", "entryPrice": "95491.76666667",
    "positionValue": "286.4753", "leverage": "12.5", "markPrice": "95955.98", "liqPrice": "", "takeProfit": "0",
    "stopLoss": "95000.00", "trailingStop": "0", "curRealisedPnl": "-0.0802124", "positionStatus": "Normal",
    "adlRankIndicator": 2, "isReduceOnly": False, "seq": 94, "updatedTime": "1735273936735",
}


def test_the_recorded_order_stream():
    rows = []
    for message in frames("bybit_order_stream_20241109_a.jsonl"):
        found = told(message)
        assert found.troubles == () and found.strangers == () and found.other == 0
        assert (found.control is None) == ("topic" in message)
        rows += found.events
    assert [row.status for row in rows].count(OrderStatus.FILLED) == 8
    assert [row.status for row in rows].count(OrderStatus.NEW) == 3
    assert [row.status for row in rows].count(OrderStatus.CANCELLED) == 3
    first = rows[0]
    assert isinstance(first, OrderRow)
    assert (first.order_type, first.tif, first.price_ticks, first.cum_lots) == (OrderType.MARKET, TimeInForce.IOC, 7720110, 10)
    assert (first.cum_value_e8, first.cum_fee_e8, first.updated_ms) == (765 * E8, 24_480_000, 1731163334350)
    cancelled = [row for row in rows if row.status is OrderStatus.CANCELLED]
    assert all((row.leaves_lots, row.cancel_type) == (0, "CancelByUser") and row.qty_lots > row.cum_lots for row in cancelled)


def test_the_recorded_position_stream():
    rows = [event for message in frames("bybit_position_stream_20241227_a.jsonl") for event in told(message).events]
    assert len(rows) == 8 and all(isinstance(row, PositionRow) for row in rows)
    assert {row.side for row in rows} == {1, 0, -1}
    for row in rows:
        assert (row.lots == 0) == (row.side == 0)
        assert abs(row.entry_value_e8 - row.avg_price_e8 * row.lots // 1000) <= 1
    assert rows[1].entry_value_e8 == 28647530000, "the venue's figure, not the rounded average times the size"


@pytest.mark.parametrize("name", [
    "ws_account_order", "ws_account_order_filled", "ws_account_order_stop_market", "ws_account_order_stop_limit",
    "ws_account_order_limit_if_touched", "ws_account_order_market_if_touched", "ws_account_order_buy_stop_market",
    "ws_account_order_sell_market_if_touched", "ws_account_order_stop_loss", "ws_account_order_take_profit",
    "ws_account_execution", "ws_account_execution_adl", "ws_account_position", "ws_account_position_short",
    "ws_account_wallet", "ws_account_wallet_small_order", "ws_account_wallet_locked_exceeds_total",
])
def test_adapter_frames(name: str):
    message = adapter(f"{name}.json")
    found = decode_private(json.dumps(message).encode(), lambda symbol: WireGrid(1, 4, 1, 6))
    assert found.troubles == () and len(found.events) + found.other == len(message["data"])
    assert found.events
    for row, event in zip(message["data"], found.events, strict=False):
        if isinstance(event, OrderRow):
            assert (event.order_id, event.status_text) == (row["orderId"], row["orderStatus"])
            assert (event.stop_order_type is StopOrderType.NONE) == (row["stopOrderType"] in ("", "UNKNOWN"))
        elif isinstance(event, ExecutionRow):
            assert (event.exec_id, event.exec_type) == (row["execId"], row["execType"])
        elif isinstance(event, PositionRow):
            assert event.side == {"Buy": 1, "Sell": -1, "": 0}[row["side"]]


@pytest.mark.parametrize("page", ["order", "execution", "position", "wallet"])
def test_documented_frames(page: str):
    found = [told(example) for example in docs(f"websocket/private/{page}.mdx") if "topic" in example]
    assert found and all(one.troubles == () for one in found)
    rows = docs_rows(f"websocket/private/{page}.mdx")
    ours = [row for row in rows if row.get("category", "linear") == "linear" and "accountType" not in row]  # no USDT there
    assert sum(len(one.events) for one in found) == len(ours)


def test_an_order_row_field_by_field():
    (row,) = told(frame("order", ORDER_ROW)).events
    assert row == OrderRow(
        "BTCUSDT", "o1", "l1", 1, OrderType.LIMIT, TimeInForce.POST_ONLY, OrderStatus.NEW, 6500010, 12, 0, 12,
        stop_ticks=6400000, cancel_type="UNKNOWN", reject_reason="EC_NoError", status_text="New", created_ms=17, updated_ms=18,
    )
    conditional = ORDER_ROW | {"orderStatus": "Untriggered", "stopOrderType": "StopLoss", "triggerPrice": "64000", "price": "0",
                               "reduceOnly": True, "closeOnTrigger": True, "createType": "CreateByStopLoss"}
    (row,) = told(frame("order.linear", conditional)).events
    assert (row.stop_order_type, row.trigger_ticks, row.price_ticks, row.reduce_only, row.close_on_trigger, row.create_type) == (
        StopOrderType.STOP_LOSS, 6400000, 0, True, True, "CreateByStopLoss")


def test_new_words_of_the_venue_survive():
    (row,) = told(frame("order", ORDER_ROW | {
        "orderStatus": "Frozen", "stopOrderType": "MoonStop", "orderType": "Iceberg", "timeInForce": "RPI",
        "cancelType": "CancelByMoon", "rejectReason": "EC_Moon", "createType": "CreateByMoon", "brandNew": {"a": [1]},
    })).events
    assert (row.status, row.status_text, row.order_type, row.tif) == (None, "Frozen", None, None)
    assert (row.stop_order_type, row.cancel_type, row.reject_reason, row.create_type) == (
        StopOrderType.STOP, "CancelByMoon", "EC_Moon", "CreateByMoon")
    (row,) = told(frame("execution", EXECUTION_ROW | {"execType": "CorporateAction"})).events
    assert row.exec_type == "CorporateAction" and row.qty_lots == 500


def test_fees_come_from_the_coin_where_told():
    (row,) = told(frame("order", ORDER_ROW | {"cumExecFee": "9", "cumFeeDetail": {"USDT": "0.24480001"}})).events
    assert row.cum_fee_e8 == 24_480_001
    (row,) = told(frame("order", ORDER_ROW | {"cumExecFee": "9", "cumFeeDetail": {}})).events
    assert row.cum_fee_e8 == 9 * E8


def test_an_execution_and_a_funding():
    (row,) = told(frame("execution", EXECUTION_ROW)).events
    assert row == ExecutionRow("e1", "Trade", "o1", "l1", "BTCUSDT", -1, 9590010, 500, 2_637_252_750, False, 500,
                               1746270400353, 14, 0, 4_795_005_000_000)
    funding = EXECUTION_ROW | {"execType": "Funding", "execPrice": "95900.123", "execFee": "-0.5", "orderLinkId": ""}
    (row,) = told(frame("execution", funding)).events
    assert (row.exec_type, row.price_ticks, row.fee_e8) == ("Funding", 0, -50_000_000)
    (row,) = told(frame("execution", EXECUTION_ROW | {"execType": "AdlTrade", "execPrice": "95900.127"})).events
    assert row.price_ticks == 9590013, "an average between two ticks is the nearest one"


def test_a_position_row():
    (row,) = told(frame("position", POSITION_ROW)).events
    assert row == PositionRow("BTCUSDT", 0, 1, 3, 28_647_530_000, 9_549_176_666_667, 9500000, 0, 0, 1250, 9_595_598_000_000, 0,
                              2, "Normal", False, -8_021_240, 94, 1735273936735)
    (row,) = told(frame("position", POSITION_ROW | {"positionValue": "290.1"})).events
    assert row.entry_value_e8 == 28_647_530_000, "a value at the mark price is not an entry value"
    (row,) = told(frame("position", POSITION_ROW | {"side": "", "size": "0", "entryPrice": "0", "positionValue": "0"})).events
    assert (row.side, row.lots, row.entry_value_e8, row.signed_lots) == (0, 0, 0, 0)


def test_the_wallet_of_an_isolated_account():
    coin = {"coin": "USDT", "equity": "101", "walletBalance": "100", "totalPositionIM": "10", "totalOrderIM": "5", "locked": "2",
            "bonus": "1", "unrealisedPnl": "1", "totalPositionMM": "3"}
    (row,) = told(frame("wallet", {"totalAvailableBalance": "", "coin": [{"coin": "BTC"}, coin]})).events
    assert row == WalletRow(100 * E8, 101 * E8, 82 * E8, E8, 15 * E8, 3 * E8, 1731163334351)
    (row,) = told(frame("wallet", {"totalAvailableBalance": "77.5", "coin": [coin]})).events
    assert row.available_e8 == 7_750_000_000
    assert told(frame("wallet", {"coin": [{"coin": "BTC"}]})) == Told(other=1)
    assert told(frame("wallet", {"coin": []})) == Told(other=1)


def test_what_is_none_of_our_business_is_counted():
    assert told(frame("order", ORDER_ROW | {"category": "spot"})).other == 1
    assert told(frame("execution.fast", EXECUTION_ROW)).other == told(frame("greeks")).other == 1
    found = decode_private(json.dumps(frame("position", POSITION_ROW | {"symbol": "XUSDT"}, POSITION_ROW)).encode(),
                           lambda symbol: GRID if symbol == "BTCUSDT" else None)
    assert found.strangers == ("XUSDT",) and len(found.events) == 1 and found.troubles == ()


@pytest.mark.parametrize("wrong", [
    {"qty": "0.0125x"}, {"qty": "0.00001"}, {"qty": 0.01}, {"side": "Long"}, {"price": "NaN"}, {"updatedTime": "soon"},
    {"price": "-1"}, {"orderId": 7}, {"symbol": None}, {"positionIdx": 0.5},
])
def test_one_bad_row_is_told_and_the_others_count(wrong: dict[str, Any]):
    found = told(frame("order", ORDER_ROW, ORDER_ROW | wrong))
    assert len(found.events) == 1 and len(found.troubles) == 1
    assert found.troubles[0].startswith("order: ")


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b"7", b'{"topic":7}', b'{"topic":"order"}', b'{"topic":"order","data":{}}', b'{"topic":"order","data":[7]}',
    b'{"topic":"order","creationTime":"x","data":[]}', b'{"op":7}', b"\xff", b"[" * 100_000,
])
def test_frames_that_are_none(raw: bytes):
    found = decode_private(raw, any_grid)
    assert found.troubles and not found.events


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6,
)


@given(st.sampled_from([("order", ORDER_ROW), ("execution", EXECUTION_ROW), ("position", POSITION_ROW),
                        ("wallet", {"coin": [{"coin": "USDT", "equity": "1"}], "totalAvailableBalance": "1"})]), st.data())
def test_no_value_of_a_field_raises_or_vanishes(case: tuple[str, dict[str, Any]], data: st.DataObject):
    topic, row = case
    changed = row | {data.draw(st.sampled_from(sorted(row))): data.draw(JSON)}
    found = told(frame(topic, changed))
    assert len(found.events) + len(found.troubles) + len(found.strangers) + found.other == 1


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes):
    decode_private(raw, any_grid)
    decode_trade(raw)


def test_control_frames():
    assert told({"success": True, "ret_msg": "", "op": "subscribe", "conn_id": "x"}).control.op == "subscribe"
    failed = told({"op": "auth", "success": False, "retCode": 10003, "retMsg": "Invalid apikey", "connId": "x"}).control
    assert failed.is_failure and failed.ret_code == 10003


def test_answers_of_the_trade_stream():
    answers = [decode_trade(json.dumps(example).encode()) for example in docs("websocket/trade/guideline.mdx")]
    created, batch, pong = answers[3], answers[5], answers[7]
    assert created is not None and created.req_id == "test-005" and created.code == 0 and created.order_id
    assert created.left >= 0 and created.reset_ms > 0
    assert batch is not None and batch.req_id == "" and batch.items is not None
    assert [code for code, _, _ in batch.items].count(0) < len(batch.items), "the documented batch has failed items"
    assert all((order_id == "") == (code != 0) for code, _, order_id in batch.items)
    assert pong is not None and pong.op == "pong"


@pytest.mark.parametrize(("data", "info"), [
    ({}, {}), ({"list": [{}]}, {"list": []}), ({"list": [{}]}, None), ({"list": [7]}, {"list": [{"code": 0}]}),
    ({"list": [{}]}, {"list": [{"code": "0"}]}), (None, {"list": [{"code": 0}]}),
])
def test_a_batch_without_outcomes_says_so(data: Any, info: Any):
    answer = decode_trade(json.dumps({"retCode": 0, "op": "order.create-batch", "data": data, "retExtInfo": info}).encode())
    assert answer is not None and answer.items is None


@pytest.mark.parametrize("raw", [
    b"", b"[]", b'{"op":"x"}', b'{"retCode":0}', b'{"op":"x","retCode":true}', b'{"op":1,"retCode":1}',
])
def test_trade_frames_that_are_none(raw: bytes):
    assert decode_trade(raw) is None


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from([GRID, PEPE, WireGrid(5, 2, 25, 1)]))
def test_numbers_come_back(ticks: int, lots: int, grid: WireGrid):
    assert grid.ticks(grid.price_text(ticks)) == ticks
    assert grid.lots(grid.qty_text(lots)) == lots


def test_quantities_off_the_grid_are_refused_and_prices_rounded():
    with pytest.raises(WireError):
        GRID.lots("0.0001")
    assert (GRID.ticks("1.004"), GRID.ticks("1.005"), GRID.ticks("1.0049"), GRID.ticks("")) == (100, 101, 100, 0)
    assert WireGrid(5, 2, 1, 0).ticks("0.12") == 2 and WireGrid(5, 2, 1, 0).ticks("0.13") == 3
    assert (GRID.exact_ticks("1.00"), GRID.exact_ticks("1.001")) == (100, 0)
