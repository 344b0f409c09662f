"""Answers of private REST: real and documented ones, pages and their ends, bodies that are no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.orders.exchange_words import (
    ExecutionRow,
    FeeRow,
    InstrumentRow,
    KeyRow,
    OrderRow,
    PositionRow,
    Query,
    QueryKind,
    WalletRow,
)
from gateway.bybit.rest_codec import Envelope, Page, envelope, page_of, server_ns
from gateway.bybit.wire_units import WireError, WireGrid
from tests.gateway.venue.private_fixtures import adapter, docs

Q = QueryKind


def any_grid(symbol: str) -> WireGrid | None:
    return WireGrid(1, 8, 1, 8)


def answer(result: Any, code: int = 0, **more: Any) -> Envelope:
    return envelope(json.dumps({"retCode": code, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 5} | more).encode())


def page(kind: QueryKind, result: Any, cursor: str = "") -> Page:
    return page_of(Query(1, kind, cursor=cursor), answer(result), any_grid)


@pytest.mark.parametrize(("name", "kind", "row"), [
    ("http_get_orders_realtime", Q.ORDER_REALTIME, OrderRow), ("http_get_orders_realtime_tp_sl", Q.ORDER_REALTIME, OrderRow),
    ("http_get_orders_history", Q.ORDER_HISTORY, OrderRow), ("http_get_orders_history_with_duplicate", Q.ORDER_HISTORY, OrderRow),
    ("http_get_executions", Q.EXECUTIONS, ExecutionRow), ("http_get_positions", Q.POSITIONS, PositionRow),
    ("http_get_positions_with_open_time", Q.POSITIONS, PositionRow), ("http_get_wallet_balance", Q.WALLET, WalletRow),
    ("http_get_fee_rate", Q.FEE, FeeRow), ("http_get_instruments_linear", Q.INSTRUMENT, InstrumentRow),
])
def test_adapter_answers(name: str, kind: QueryKind, row: type):
    message = adapter(f"{name}.json")
    found = page_of(Query(1, kind), envelope(json.dumps(message).encode()), any_grid)
    assert found.troubles == () and found.rows and all(isinstance(one, row) for one in found.rows)
    assert len(found.rows) == len(message["result"]["list"])


@pytest.mark.parametrize(("where", "kind"), [
    ("order/open-order.mdx", Q.ORDER_REALTIME), ("order/order-list.mdx", Q.ORDER_HISTORY), ("order/execution.mdx", Q.EXECUTIONS),
    ("position/position.mdx", Q.POSITIONS), ("account/wallet-balance.mdx", Q.WALLET), ("account/fee-rate.mdx", Q.FEE),
    ("account/account-info.mdx", Q.ACCOUNT),
])
def test_documented_answers(where: str, kind: QueryKind):
    for example in docs(where):
        found = page_of(Query(1, kind), envelope(json.dumps(example).encode()), any_grid)
        assert found.troubles == () and found.rows


def test_a_list_ends_with_an_empty_page_or_a_repeated_cursor():
    row = {"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "-0.0001"}
    fees = FeeRow("BTCUSDT", -10_000, 55_000)
    assert page(Q.FEE, {"list": [row], "nextPageCursor": "c2%26"}, "c1") == Page((fees,), "c2%26", ())
    assert page(Q.FEE, {"list": [row], "nextPageCursor": "c1"}, "c1").next_cursor == ""
    assert page(Q.FEE, {"list": [], "nextPageCursor": "c2"}, "c1").next_cursor == ""
    assert page(Q.FEE, {"list": [row]}, "c1").next_cursor == ""


def test_a_row_that_cannot_be_read_is_named():
    found = page(Q.POSITIONS, {"list": [{"symbol": "BTCUSDT", "size": "x"}, 7, {"symbol": None}]})
    assert found.rows == () and len(found.troubles) == 3
    strangers = page_of(Query(1, Q.POSITIONS), answer({"list": [{"symbol": "XUSDT"}]}), lambda symbol: None)
    assert strangers.troubles == ("POSITIONS: XUSDT",)


def test_a_wallet_without_usdt_is_empty():
    (row,) = page(Q.WALLET, {"list": [{"coin": []}]}).rows
    assert row == WalletRow(0, 0, 0, 0, 0, 0, 5)


def test_what_a_key_may_do():
    result = {"userID": 24617703, "readOnly": 0, "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": []},
              "ips": ["*"], "expiredAt": "2026-07-27T01:02:03Z"}
    (row,) = page(Q.API_KEY, result).rows
    assert row == KeyRow("24617703", False, ("ContractTrade:Order", "ContractTrade:Position"), (), 1785114123000)
    bound = result | {"ips": ["1.2.3.4"], "expiredAt": "1970-01-01T00:00:00Z", "readOnly": 1}
    assert page(Q.API_KEY, bound).rows[0] == row._replace(ips=("1.2.3.4",), expires_ms=0, read_only=True)
    with pytest.raises(WireError, match="expiredAt"):
        page(Q.API_KEY, result | {"expiredAt": "tomorrow"})


def test_instruments_bring_their_steps():
    message = adapter("http_get_instruments_linear.json")
    (row, *_) = page(Q.INSTRUMENT, message["result"]).rows
    told = message["result"]["list"][0]
    assert isinstance(row, InstrumentRow)
    assert row.tick_mant / 10**row.price_exp == float(told["priceFilter"]["tickSize"])
    assert row.min_qty_lots * row.lot_mant / 10**row.qty_exp == float(told["lotSizeFilter"]["minOrderQty"])
    assert row.max_leverage_e2 == float(told["leverageFilter"]["maxLeverage"]) * 100


@pytest.mark.parametrize("raw", [b"", b"<html>502</html>", b"[]", b"{}", b'{"retCode":"0"}', b'{"retCode":true}', b'{"retCode":0',
                                 b'{"retCode":0,"time":"x"}', b"[" * 100_000])
def test_bodies_that_are_no_answer(raw: bytes):
    with pytest.raises(WireError):
        envelope(raw)


def test_refusals_and_clocks():
    refused = envelope(b'{"retCode":10006,"retMsg":"Too many visits!","result":null,"retExtInfo":null,"time":7}')
    assert refused == Envelope(10006, "Too many visits!", {}, {}, 7) and refused.items is None
    assert server_ns(answer({"timeSecond": "1688639403", "timeNano": "1688639403423213947"})) == 1688639403423213947
    with pytest.raises(WireError):
        server_ns(answer({}))
    with pytest.raises(WireError):
        page(Q.POSITIONS, {"list": None})


@given(st.binary(max_size=100))
def test_only_wire_errors(raw: bytes):
    try:
        envelope(raw)
    except WireError:
        return
