"""The order link read again from its journal: recorded bytes give the events they gave, replayed requests the bytes that
were sent. Pure; which connection, when, and in which batch is taken from the record, what stood in the bytes is not.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.consumption import Kind
from core.orders.exchange_words import Cancel, Create, Event, Query, Request
from gateway.bybit.answers import acks, rest_events
from gateway.bybit.order_codec import (
    BATCH_ROUTES,
    Route,
    batch_body,
    query_string,
    rest_body,
    route_of,
    trade_frame,
)
from gateway.bybit.private_codec import decode_private, decode_trade
from gateway.bybit.wire_units import WireError, WireGrid
from gateway.link_words import Context, rest_line


class NotAsked(LookupError):
    """The bytes belong to a request that the replayed desk did not make."""


class LinkReplay:
    """`grids` by symbol, `requests` by number: filled by the owner as the desk comes to know and to ask."""

    def __init__(self) -> None:
        self.grids: dict[str, WireGrid] = {}
        self.requests: dict[int, Request] = {}

    def _request(self, req_id: int) -> Request:
        found = self.requests.get(req_id)
        if found is None:
            raise NotAsked(f"request {req_id}")
        return found

    def events(self, kind: int, data: bytes, context: Context) -> tuple[Event, ...]:
        """What bytes that came say to the desk. Raises NotAsked."""
        if kind == Kind.PRIVATE:
            def grid(symbol: str) -> WireGrid | None:
                return None if symbol in context.strangers else self.grids.get(symbol)

            return decode_private(data, grid).events
        if not context.req_ids:
            return ()
        for req_id in context.req_ids:
            self._request(req_id)
        if kind == Kind.TRADE_ACK:
            answer = decode_trade(data)
            return () if answer is None else acks(context.req_ids, context.op, answer)
        first = self._request(context.req_ids[0])
        query = first if isinstance(first, Query) else None
        return rest_events(context.req_ids, context.op, query, context.rest_answer(data), self.grids.get).events

    def written(self, data: bytes, context: Context) -> bytes:
        """What the replayed requests give in place of the bytes that were sent; those with no request (ping, subscription,
        clock) as they are. Raises NotAsked."""
        if not context.req_ids:
            return data
        requests = [self._request(req_id) for req_id in context.req_ids]
        route, payload = self._encoded(requests, context)
        if not data.startswith(b"{"):
            return rest_line(route.method, route.path, payload)
        frame = _decoded(data)
        header = frame.get("header", {})
        stamps = (int(header.get(name, 0)) for name in ("X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW"))
        return trade_frame(str(frame.get("reqId", "")), route.op, payload, *stamps)

    def _encoded(self, requests: list[Request], context: Context) -> tuple[Route, bytes]:
        first = requests[0]
        try:
            if isinstance(first, Query):
                return route_of(first), query_string(first).encode()
            if not context.op.endswith("-batch"):
                return route_of(first), rest_body(first, self.grids.get)
            orders = [request for request in requests if isinstance(request, Create | Cancel)]
            return BATCH_ROUTES[type(first)], msgspec.json.encode(batch_body(orders, self.grids.get))
        except WireError as error:
            return route_of(first), f"cannot be written: {error}".encode()


def _decoded(data: bytes) -> dict[str, Any]:
    """The frame that was sent; empty where it was damaged and decoded no more."""
    try:
        found = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
