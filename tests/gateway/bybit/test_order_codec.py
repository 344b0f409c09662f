"""Requests on the wire: exact texts, what the venue's own parser makes of them, and that a wrong text never leaves."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.orders.budget import Purpose
from core.orders.exchange_words import (
    Amend,
    Cancel,
    CancelEntries,
    Create,
    OrderType,
    Query,
    QueryKind,
    SetLeverage,
    TimeInForce,
    TpslMode,
    TradingStop,
    TriggerBy,
)
from core.orders.send_queue import purpose_of
from core.sim.exchange_types import SlippageType
from core.units import parse_units
from gateway.bybit.order_codec import (
    QUERIES,
    ROUTES,
    batch_body,
    body_of,
    query_string,
    read_back,
    rest_body,
    route_of,
    trade_frame,
)
from gateway.bybit.wire_units import WireError, WireGrid
from gateway.venue.instruments import Instrument, instrument_of, invent
from gateway.venue.private_rest_endpoints import endpoints
from gateway.venue.private_rest_orders import amend_request, order_request
from gateway.venue.private_rest_params import Fields
from gateway.venue.rest_answers import ApiError

GRIDS = {
    "BTCUSDT": WireGrid(1, 1, 1, 3), "1000PEPEUSDT": WireGrid(1, 7, 100, 0), "ODDUSDT": WireGrid(5, 2, 25, 1),
}
STEPS = {"BTCUSDT": ("0.1", "0.001"), "1000PEPEUSDT": ("0.0000001", "100"), "ODDUSDT": ("0.05", "2.5")}
CONTRACTS: dict[str, Instrument] = {
    name: instrument_of({**invent(name.removesuffix("USDT"), 100.0, *steps, "100.00", 480, 0).answer, "symbol": name}, 100.0)
    for name, steps in STEPS.items()
}
ENTRY = Create(1, "s1f-BTCUSDT-b", "BTCUSDT", 1, OrderType.LIMIT, 12, 651234, TimeInForce.POST_ONLY, stop_ticks=650000)


def body(request: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(rest_body(request, GRIDS.get))
    return found


def test_an_entry_carries_its_stop():
    assert body(ENTRY) == {
        "category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.012",
        "price": "65123.4", "timeInForce": "PostOnly", "orderLinkId": "s1f-BTCUSDT-b", "positionIdx": 0,
        "stopLoss": "65000.0", "slTriggerBy": "LastPrice", "tpslMode": "Full",
    }


def test_the_other_requests():
    assert body(Amend(1, "ODDUSDT", "x", "", 3, 2)) == {
        "category": "linear", "symbol": "ODDUSDT", "orderLinkId": "x", "price": "0.15", "qty": "5.0"}
    assert body(Cancel(1, "BTCUSDT", "x", "uuid")) == {"category": "linear", "symbol": "BTCUSDT", "orderId": "uuid"}
    assert body(CancelEntries(1)) == {"category": "linear", "settleCoin": "USDT", "orderFilter": "Order"}
    assert body(CancelEntries(1, "BTCUSDT")) == {"category": "linear", "symbol": "BTCUSDT", "orderFilter": "Order"}
    assert body(SetLeverage(1, "BTCUSDT", 1250)) == {
        "category": "linear", "symbol": "BTCUSDT", "buyLeverage": "12.5", "sellLeverage": "12.5"}
    assert body(TradingStop(1, "BTCUSDT", stop_ticks=650000, target_ticks=0)) == {
        "category": "linear", "symbol": "BTCUSDT", "tpslMode": "Full", "positionIdx": 0, "stopLoss": "65000.0",
        "takeProfit": "0", "slTriggerBy": "LastPrice"}
    partial = TradingStop(1, "BTCUSDT", target_ticks=660000, mode=TpslMode.PARTIAL, size_lots=4)
    assert body(partial)["tpSize"] == body(partial)["slSize"] == "0.004"
    close = Create(1, "c", "BTCUSDT", -1, OrderType.MARKET, 0, reduce_only=True, close_on_trigger=True, slippage_e2pct=150)
    assert body(close) == {
        "category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Market", "qty": "0.000",
        "timeInForce": "GTC", "orderLinkId": "c", "positionIdx": 0, "reduceOnly": True, "closeOnTrigger": True,
        "slippageToleranceType": "Percent", "slippageTolerance": "1.5"}


lots = st.integers(1, 10**9)
ticks = st.integers(1, 10**9)


@given(st.sampled_from(sorted(GRIDS)), lots, ticks, st.sampled_from([1, -1]), st.sampled_from(list(TimeInForce)),
       st.integers(0, 10**9), st.integers(0, 10**9), st.booleans(), st.integers(0, 1000))
def test_the_venue_reads_what_was_meant(symbol, qty, price, side, tif, stop, target, limit, slippage):
    """Any create request, through our bytes and the embedded exchange's parser."""
    limit = limit or bool(stop or target)
    request = Create(
        9, "abc-1", symbol, side, OrderType.LIMIT if limit else OrderType.MARKET, qty, price if limit else 0, tif,
        stop_ticks=stop, target_ticks=target, stop_trigger_by=TriggerBy.MARK, slippage_e2pct=0 if limit else slippage,
    )
    read = order_request(Fields(body(request), True), CONTRACTS[symbol])
    assert (read.symbol, read.side, read.qty_lots, read.price_ticks, read.order_link_id) == (
        symbol, side, qty, request.price_ticks, "abc-1")
    assert (read.stop_loss_ticks, read.take_profit_ticks) == (stop, target)
    assert read.tif is (tif if limit else TimeInForce.IOC)
    assert read.sl_trigger_by is (TriggerBy.MARK if stop else TriggerBy.NONE)
    assert read.tpsl_mode is (TpslMode.FULL if stop or target else TpslMode.NONE)
    assert (read.slippage, read.slippage_type is SlippageType.PERCENT) == (request.slippage_e2pct, request.slippage_e2pct > 0)


@given(st.sampled_from(sorted(GRIDS)), st.none() | ticks, st.none() | lots)
def test_amendments_read_back_too(symbol, price, qty):
    read = amend_request(Fields(body(Amend(1, symbol, "x", "", price, qty)), True), CONTRACTS[symbol])
    assert (read.price_ticks, read.qty_lots, read.order_link_id) == (price, qty, "x")


@given(st.sampled_from(sorted(GRIDS)), st.integers(0, 10**16))
def test_texts_of_numbers_are_exact_or_refused(symbol, steps):
    grid = GRIDS[symbol]
    try:
        text = grid.price_text(steps)
    except WireError:
        assert steps * grid.tick_mant >= 10**12
    else:
        assert parse_units(text, grid.tick_mant, grid.price_exp) == grid.ticks(text) == grid.exact_ticks(text) == steps


def test_a_body_that_says_something_else_is_not_sent():
    good = body(ENTRY)
    read_back(ENTRY, good, GRIDS.get)
    for name, wrong in {
        "symbol": "ODDUSDT", "side": "Sell", "qty": "0.12", "price": "65123.5", "orderLinkId": "other", "category": "spot",
        "stopLoss": "65000.05", "reduceOnly": True, "positionIdx": 1, "closeOnTrigger": True,
    }.items():
        with pytest.raises(WireError, match=name if name != "symbol" else "symbol"):
            read_back(ENTRY, good | {name: wrong}, GRIDS.get)
    for name in ("qty", "price", "stopLoss"):
        with pytest.raises(WireError, match=name):
            read_back(ENTRY, {key: value for key, value in good.items() if key != name}, GRIDS.get)
        with pytest.raises(WireError, match=name):
            read_back(ENTRY, good | {name: float(good[name])}, GRIDS.get)
    with pytest.raises(WireError, match="orderFilter"):
        read_back(CancelEntries(1), {"category": "linear", "settleCoin": "USDT"}, GRIDS.get)
    with pytest.raises(WireError, match="stopLoss"):
        wrong_stop = {"category": "linear", "symbol": "BTCUSDT", "stopLoss": "1"}
        read_back(TradingStop(1, "BTCUSDT", stop_ticks=0), wrong_stop, GRIDS.get)


def test_unknown_symbols_and_negative_numbers_are_refused():
    with pytest.raises(WireError, match="NEWUSDT"):
        rest_body(ENTRY._replace(symbol="NEWUSDT"), GRIDS.get)
    with pytest.raises(WireError):
        rest_body(ENTRY._replace(qty_lots=-1), GRIDS.get)
    with pytest.raises(WireError):
        body_of(Query(1, QueryKind.FEE), GRIDS.get)


def test_batches_name_the_category_once():
    found = batch_body([ENTRY, ENTRY._replace(link_id="two", side=-1)], GRIDS.get)
    assert found["category"] == "linear" and [item["side"] for item in found["request"]] == ["Buy", "Sell"]
    assert all("category" not in item for item in found["request"])
    assert batch_body([Cancel(1, "BTCUSDT", "x")], GRIDS.get)["request"] == [{"symbol": "BTCUSDT", "orderLinkId": "x"}]


def test_a_trade_frame_is_json_with_text_times():
    frame = json.loads(trade_frame("3-1f", "order.create", rest_body(ENTRY, GRIDS.get), 1711001595207, 1500))
    assert frame == {
        "reqId": "3-1f", "header": {"X-BAPI-TIMESTAMP": "1711001595207", "X-BAPI-RECV-WINDOW": "1500"},
        "op": "order.create", "args": [body(ENTRY)],
    }
    assert list(frame) == ["reqId", "header", "op", "args"]


def test_queries():
    q = Query(1, QueryKind.ORDER_REALTIME, "BTCUSDT", link_id="a-1")
    assert query_string(q) == "category=linear&symbol=BTCUSDT&orderLinkId=a-1&limit=50"
    assert query_string(q._replace(symbol=None, link_id=None)) == "category=linear&settleCoin=USDT&limit=50"
    assert query_string(q._replace(order_id="u")) == "category=linear&symbol=BTCUSDT&orderId=u&limit=50"
    cursor = "page_token%3D39380%26"
    paged = query_string(Query(1, QueryKind.EXECUTIONS, since_ms=5, until_ms=9, cursor=cursor))
    assert paged == f"category=linear&settleCoin=USDT&startTime=5&endTime=9&limit=100&cursor={cursor}"
    assert dict(parse_qsl(paged))["cursor"] == "page_token=39380&"
    assert query_string(Query(1, QueryKind.WALLET)) == "accountType=UNIFIED&coin=USDT"
    assert query_string(Query(1, QueryKind.SERVER_TIME)) == query_string(Query(1, QueryKind.API_KEY)) == ""
    assert query_string(Query(1, QueryKind.FEE, "BTCUSDT")) == "category=linear&symbol=BTCUSDT"


def test_routes_exist_at_the_venue_and_everything_has_one():
    known = endpoints.__globals__["__name__"]
    assert known.startswith("gateway.venue")
    for request in (ENTRY, Amend(1, "BTCUSDT", "x"), Cancel(1, "BTCUSDT", "x"), CancelEntries(1),
                    TradingStop(1, "BTCUSDT"), SetLeverage(1, "BTCUSDT", 100)):
        route = route_of(request)
        assert route is ROUTES[type(request)] and route.method == "POST"
        assert not route.op or "/v5/" + route.op.replace(".", "/") == route.path
    assert set(QUERIES) == set(QueryKind)


@pytest.mark.parametrize(
    ("request_", "urgent", "purpose"),
    [
        (ENTRY, False, Purpose.ENTRY), (ENTRY, True, Purpose.ENTRY), (ENTRY._replace(reduce_only=True), False, Purpose.EXIT),
        (ENTRY._replace(reduce_only=True), True, Purpose.KILL), (Cancel(1, "BTCUSDT", "x"), True, Purpose.KILL),
        (Query(1, QueryKind.POSITIONS), False, Purpose.EXIT), (Query(1, QueryKind.POSITIONS), True, Purpose.EXIT),
    ],
)
def test_an_entry_is_never_urgent(request_, urgent, purpose):
    assert purpose_of(request_, urgent) is purpose


def test_the_venue_refuses_what_we_would_refuse():
    """The venue's parser is strict enough to be a judge here."""
    with pytest.raises(ApiError):
        order_request(Fields(body(ENTRY) | {"price": "65123.45"}, True), CONTRACTS["BTCUSDT"])
    with pytest.raises(ApiError):
        order_request(Fields(msgspec.json.decode(b'{"side":"Buy","orderType":"Limit","qty":0.012}'), True), CONTRACTS["BTCUSDT"])
