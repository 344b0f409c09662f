"""Requests of the exchange desk -> what goes on the wire: a frame of the trade WebSocket, or path and payload of REST.

    {"reqId": "3-1f", "header": {"X-BAPI-TIMESTAMP": "1711001595207", "X-BAPI-RECV-WINDOW": "1500"},
     "op": "order.create", "args": [{"category": "linear", "symbol": "BTCUSDT", ...}]}

Numbers are texts with the decimals of the contract. Before anything leaves, `read_back` reads the bytes as a stranger
would and compares them with the request: an order that does not say exactly what was decided is not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from core.orders.budget import Endpoint
from core.orders.exchange_words import (
    Amend,
    Cancel,
    CancelEntries,
    Create,
    OrderType,
    Query,
    QueryKind,
    Request,
    SetLeverage,
    TpslMode,
    TradingStop,
)
from core.sim.exchange_types import SIDE_TEXT
from core.units import UnitsError, parse_units
from gateway.bybit.wire_units import Grids, WireError, WireGrid, fixed_text

CATEGORY = "linear"
SETTLE = "USDT"
Body = dict[str, Any]


class Route(NamedTuple):
    """Where a kind of request goes. `op` "" = the trade WebSocket does not have it."""

    endpoint: Endpoint
    method: str
    path: str
    op: str = ""


ROUTES: Mapping[type, Route] = {
    Create: Route(Endpoint.CREATE, "POST", "/v5/order/create", "order.create"),
    Amend: Route(Endpoint.AMEND, "POST", "/v5/order/amend", "order.amend"),
    Cancel: Route(Endpoint.CANCEL, "POST", "/v5/order/cancel", "order.cancel"),
    CancelEntries: Route(Endpoint.CANCEL_ALL, "POST", "/v5/order/cancel-all"),
    TradingStop: Route(Endpoint.TRADING_STOP, "POST", "/v5/position/trading-stop"),
    SetLeverage: Route(Endpoint.SET_LEVERAGE, "POST", "/v5/position/set-leverage"),
}
BATCH_ROUTES: Mapping[type, Route] = {
    Create: Route(Endpoint.CREATE_BATCH, "POST", "/v5/order/create-batch", "order.create-batch"),
    Cancel: Route(Endpoint.CANCEL_BATCH, "POST", "/v5/order/cancel-batch", "order.cancel-batch"),
}
QUERIES: Mapping[QueryKind, Route] = {
    QueryKind.ORDER_REALTIME: Route(Endpoint.ORDER_REALTIME, "GET", "/v5/order/realtime"),
    QueryKind.ORDER_HISTORY: Route(Endpoint.ORDER_HISTORY, "GET", "/v5/order/history"),
    QueryKind.EXECUTIONS: Route(Endpoint.EXECUTIONS, "GET", "/v5/execution/list"),
    QueryKind.POSITIONS: Route(Endpoint.POSITIONS, "GET", "/v5/position/list"),
    QueryKind.WALLET: Route(Endpoint.WALLET, "GET", "/v5/account/wallet-balance"),
    QueryKind.API_KEY: Route(Endpoint.API_KEY, "GET", "/v5/user/query-api"),
    QueryKind.ACCOUNT: Route(Endpoint.ACCOUNT, "GET", "/v5/account/info"),
    QueryKind.INSTRUMENT: Route(Endpoint.MARKET, "GET", "/v5/market/instruments-info"),
    QueryKind.FEE: Route(Endpoint.FEE, "GET", "/v5/account/fee-rate"),
    QueryKind.SERVER_TIME: Route(Endpoint.MARKET, "GET", "/v5/market/time"),
    QueryKind.CLOSED_PNL: Route(Endpoint.CLOSED_PNL, "GET", "/v5/position/closed-pnl"),
}
PAGE_ROWS = {
    QueryKind.ORDER_REALTIME: 50, QueryKind.ORDER_HISTORY: 50, QueryKind.EXECUTIONS: 100, QueryKind.POSITIONS: 200,
    QueryKind.CLOSED_PNL: 100,
}
"""The largest page of each; the defaults are smaller, and a page that is too short looks like a full answer."""


def route_of(request: Request) -> Route:
    return QUERIES[request.what] if isinstance(request, Query) else ROUTES[type(request)]


# --- bodies --------------------------------------------------------------------------------------------------------
def _create(r: Create, grid: WireGrid) -> Body:
    body: Body = {
        "category": CATEGORY, "symbol": r.symbol, "side": SIDE_TEXT[r.side], "orderType": r.order_type.text,
        "qty": grid.qty_text(r.qty_lots), "timeInForce": r.tif.text, "orderLinkId": r.link_id,
        "positionIdx": r.position_idx,
    }
    if r.order_type is OrderType.LIMIT:
        body["price"] = grid.price_text(r.price_ticks)
    if r.reduce_only:
        body["reduceOnly"] = True
    if r.close_on_trigger:
        body["closeOnTrigger"] = True
    if r.stop_ticks:
        body |= {"stopLoss": grid.price_text(r.stop_ticks), "slTriggerBy": r.stop_trigger_by.text}
    if r.target_ticks:
        body |= {"takeProfit": grid.price_text(r.target_ticks), "tpTriggerBy": r.target_trigger_by.text}
    if r.stop_ticks or r.target_ticks:
        body["tpslMode"] = TpslMode.FULL.text
    if r.trigger_ticks:
        body |= {
            "triggerPrice": grid.price_text(r.trigger_ticks), "triggerDirection": r.trigger_direction,
            "triggerBy": r.trigger_by.text,
        }
    if r.slippage_e2pct:
        body |= {"slippageToleranceType": "Percent", "slippageTolerance": fixed_text(r.slippage_e2pct, 2)}
    return body


def _ids(r: Amend | Cancel) -> Body:
    body: Body = {"category": CATEGORY, "symbol": r.symbol}
    body |= {"orderId": r.order_id} if r.order_id else {"orderLinkId": r.link_id}
    return body


def _amend(r: Amend, grid: WireGrid) -> Body:
    body = _ids(r)
    if r.price_ticks is not None:
        body["price"] = grid.price_text(r.price_ticks)
    if r.qty_lots is not None:
        body["qty"] = grid.qty_text(r.qty_lots)
    return body


def _cancel_entries(r: CancelEntries) -> Body:
    scope = {"settleCoin": SETTLE} if r.symbol is None else {"symbol": r.symbol}
    return {"category": CATEGORY, **scope, "orderFilter": "Order"}


def _trading_stop(r: TradingStop, grid: WireGrid) -> Body:
    body: Body = {
        "category": CATEGORY, "symbol": r.symbol, "tpslMode": r.mode.text, "positionIdx": r.position_idx,
    }
    for name, ticks in (("stopLoss", r.stop_ticks), ("takeProfit", r.target_ticks), ("trailingStop", r.trailing_ticks),
                        ("activePrice", r.active_ticks)):
        if ticks is not None:
            body[name] = grid.price_text(ticks) if ticks else "0"
    if r.stop_ticks:
        body["slTriggerBy"] = r.stop_trigger_by.text
    if r.target_ticks:
        body["tpTriggerBy"] = r.target_trigger_by.text
    if r.size_lots:
        body |= {"slSize": grid.qty_text(r.size_lots), "tpSize": grid.qty_text(r.size_lots)}
    return body


def _set_leverage(r: SetLeverage) -> Body:
    text = fixed_text(r.leverage_e2, 2)
    return {"category": CATEGORY, "symbol": r.symbol, "buyLeverage": text, "sellLeverage": text}


def body_of(request: Request, grids: Grids) -> Body:
    """The parameters of any request but a Query. Raises WireError for an unknown symbol or what cannot be written."""
    if isinstance(request, Cancel):
        return _ids(request)
    if isinstance(request, CancelEntries):
        return _cancel_entries(request)
    if isinstance(request, SetLeverage):
        return _set_leverage(request)
    if isinstance(request, Query):
        raise WireError("a query has no body")
    grid = grids(request.symbol)
    if grid is None:
        raise WireError(f"the grid of {request.symbol} is not known")
    if isinstance(request, Create):
        return _create(request, grid)
    return _amend(request, grid) if isinstance(request, Amend) else _trading_stop(request, grid)


# --- bytes ---------------------------------------------------------------------------------------------------------
def rest_body(request: Request, grids: Grids) -> bytes:
    """The JSON body of a POST, read back. Raises WireError."""
    text = msgspec.json.encode(body_of(request, grids))
    read_back(request, msgspec.json.decode(text), grids)
    return text


def batch_body(requests: Sequence[Create | Cancel], grids: Grids) -> Body:
    """One body for requests of one kind (at most `core.orders.send_queue.BATCH_MAX`), each read back. Raises WireError."""
    items = []
    for request in requests:
        item = body_of(request, grids)
        read_back(request, msgspec.json.decode(msgspec.json.encode(item)), grids)
        del item["category"]
        items.append(item)
    return {"category": CATEGORY, "request": items}


def trade_frame(req_id: str, op: str, args: bytes, timestamp_ms: int, recv_window_ms: int) -> bytes:
    """A request of the trade WebSocket around a body that was encoded before: only the time is new."""
    return (
        f'{{"reqId":"{req_id}","header":{{"X-BAPI-TIMESTAMP":"{timestamp_ms}",'
        f'"X-BAPI-RECV-WINDOW":"{recv_window_ms}"}},"op":"{op}","args":['
    ).encode() + args + b"]}"


def query_string(query: Query) -> str:
    """The query string of a look-up, exactly as it is signed and sent; a cursor is already percent-encoded text."""
    what = query.what
    if what in (QueryKind.SERVER_TIME, QueryKind.API_KEY, QueryKind.ACCOUNT):
        return ""
    if what is QueryKind.WALLET:
        return "accountType=UNIFIED&coin=USDT"
    fields: list[tuple[str, str]] = [("category", CATEGORY)]
    if query.symbol is not None:
        fields.append(("symbol", query.symbol))
    elif what in (QueryKind.ORDER_REALTIME, QueryKind.ORDER_HISTORY, QueryKind.EXECUTIONS, QueryKind.POSITIONS):
        fields.append(("settleCoin", SETTLE))
    if query.order_id:
        fields.append(("orderId", query.order_id))
    elif query.link_id:
        fields.append(("orderLinkId", query.link_id))
    if query.since_ms:
        fields.append(("startTime", str(query.since_ms)))
    if query.until_ms:
        fields.append(("endTime", str(query.until_ms)))
    if what in PAGE_ROWS:
        fields.append(("limit", str(PAGE_ROWS[what])))
    text = urlencode(fields)
    return f"{text}&cursor={quote(query.cursor, safe='%')}" if query.cursor else text


# --- reading back ----------------------------------------------------------------------------------------------------
def read_back(request: Request, body: Mapping[str, Any], grids: Grids) -> None:
    """Compare decoded bytes with the request they came from. Raises WireError where they do not say the same."""
    for name, wanted in _said(request).items():
        found = body.get(name)
        if found != wanted:
            raise WireError(f"{name}: wrote {found!r} for {wanted!r}")
    for name, (steps, is_price) in _numbers(request).items():
        grid = grids(body["symbol"])
        text = body.get(name)
        assert grid is not None, "the grid was there to write with"
        try:
            mant, exp = (grid.tick_mant, grid.price_exp) if is_price else (grid.lot_mant, grid.qty_exp)
            read = parse_units(text, mant, exp) if isinstance(text, str) else None
        except UnitsError:
            read = None
        if read != steps:
            raise WireError(f"{name}: {text!r} is not {steps} steps")


def _said(r: Request) -> Body:
    """Fields of the wire that must stand there as they are."""
    said: Body = {"category": CATEGORY}
    if isinstance(r, CancelEntries):
        return said | {"orderFilter": "Order"}
    if not isinstance(r, Query):
        said["symbol"] = r.symbol
    if isinstance(r, Create):
        said |= {
            "side": "Buy" if r.side > 0 else "Sell", "orderLinkId": r.link_id, "reduceOnly": r.reduce_only or None,
            "closeOnTrigger": r.close_on_trigger or None, "positionIdx": r.position_idx,
        }
    elif isinstance(r, Amend | Cancel):
        said |= {"orderId": r.order_id or None, "orderLinkId": None if r.order_id else r.link_id}
    return said


_CREATE_NUMBERS: Mapping[str, Callable[[Create], tuple[int, bool]]] = {
    "qty": lambda r: (r.qty_lots, False),
    "price": lambda r: (r.price_ticks if r.order_type is OrderType.LIMIT else 0, True),
    "stopLoss": lambda r: (r.stop_ticks, True), "takeProfit": lambda r: (r.target_ticks, True),
    "triggerPrice": lambda r: (r.trigger_ticks, True),
}


def _numbers(r: Request) -> dict[str, tuple[int, bool]]:
    """Prices (True) and quantities (False) that must read back, by field."""
    if isinstance(r, Create):
        found = {name: read(r) for name, read in _CREATE_NUMBERS.items()}
        return {name: value for name, value in found.items() if value[0] or name == "qty"}
    given: dict[str, tuple[int | None, bool]] = {}
    if isinstance(r, Amend):
        given = {"price": (r.price_ticks, True), "qty": (r.qty_lots, False)}
    elif isinstance(r, TradingStop):
        given = {
            "stopLoss": (r.stop_ticks, True), "takeProfit": (r.target_ticks, True),
            "trailingStop": (r.trailing_ticks, True), "activePrice": (r.active_ticks, True),
        }
    return {name: (steps, is_price) for name, (steps, is_price) in given.items() if steps is not None}
