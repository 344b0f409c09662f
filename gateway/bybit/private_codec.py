"""Frames of the private stream and of the trade WebSocket -> events of the exchange desk. Nothing raises.

What cannot be understood is not dropped in silence: it is named in `troubles`, and whoever holds the connection treats it
as a gap (a new connection, hence a reconciliation). Symbols we do not know (traded by hand) are named in `strangers`. Rows
of other categories and topics that were not asked for are only counted. The stream promises no order between topics, so
none is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from core.orders.exchange_words import Event, Row
from gateway.bybit.messages import Control
from gateway.bybit.row_codec import execution_row, order_row, position_row, wallet_row
from gateway.bybit.wire_units import Grids, WireError, WireGrid, integer

TOPICS = ("order", "execution", "position", "wallet")
"""What is subscribed. Not `execution.fast`: it has no fee and, for maker fills, no orderLinkId."""
CATEGORY = "linear"
BUILDERS: Mapping[str, Callable[[Mapping[str, Any], WireGrid], Row]] = {
    "order": order_row, "execution": execution_row, "position": position_row,
}


class UnknownSymbol(WireError):
    """The row is about a symbol whose grid we do not have; the message is its name."""


class Told(NamedTuple):
    """What one frame of the private stream says."""

    events: tuple[Event, ...] = ()
    control: Control | None = None
    troubles: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    other: int = 0  # rows or frames that are none of our business


class Answer(NamedTuple):
    """An answer of the trade WebSocket. `req_id` "" = it does not say to which request. `items`: outcomes of a batch as
    (code, text, order id), None where they are missing. `limit` -1 = not told. Times in ms of the venue."""

    req_id: str
    op: str
    code: int
    text: str
    order_id: str = ""
    limit: int = -1
    left: int = -1
    reset_ms: int = 0
    items: tuple[tuple[int, str, str], ...] | None = None


def decode_private(frame: bytes, grids: Grids) -> Told:
    """One text frame of /v5/private."""
    try:
        message = msgspec.json.decode(frame)
    except (ValueError, RecursionError) as error:
        return Told(troubles=(f"not JSON: {error}",))
    if not isinstance(message, dict):
        return Told(troubles=("not an object",))
    topic = message.get("topic")
    if topic is None:
        try:
            return Told(control=msgspec.convert(message, Control))
        except msgspec.ValidationError as error:
            return Told(troubles=(f"control frame: {error}",))
    if not isinstance(topic, str):
        return Told(troubles=("topic is no text",))
    kind = topic.removesuffix(f".{CATEGORY}")
    data = message.get("data")
    if kind not in TOPICS:
        return Told(other=1)
    if not isinstance(data, list):
        return Told(troubles=(f"{topic}: data is no list",))
    try:
        created_ms = integer(message.get("creationTime"))
    except WireError as error:
        return Told(troubles=(f"{topic}: {error}",))
    events: list[Event] = []
    troubles: list[str] = []
    strangers: list[str] = []
    other = 0
    for row in data:
        try:
            event = _row(kind, row, created_ms, grids)
        except UnknownSymbol as stranger:
            strangers.append(str(stranger))
            continue
        except WireError as error:
            troubles.append(f"{topic}: {error}")
            continue
        if event is None:
            other += 1
        else:
            events.append(event)
    return Told(tuple(events), None, tuple(troubles), tuple(strangers), other)


def _row(kind: str, row: Any, created_ms: int, grids: Grids) -> Event | None:
    if not isinstance(row, Mapping):
        raise WireError("a row is no object")
    if kind == "wallet":
        return wallet_row(row, created_ms)
    if row.get("category") != CATEGORY:
        return None
    return BUILDERS[kind](row, grid_of(row, grids))


def grid_of(row: Mapping[str, Any], grids: Grids) -> WireGrid:
    """The grid of a row's symbol. Raises UnknownSymbol where it is not known: the row cannot be read then."""
    symbol = row.get("symbol")
    if not isinstance(symbol, str):
        raise WireError("symbol is no text")
    grid = grids(symbol)
    if grid is None:
        raise UnknownSymbol(symbol[:30])
    return grid


def decode_trade(frame: bytes) -> Answer | None:
    """One text frame of /v5/trade: an answer (also to auth and ping), or None where it is nothing that can be read."""
    try:
        message = msgspec.json.decode(frame)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    req_id, op, code, said = (message.get(name) for name in ("reqId", "op", "retCode", "retMsg"))
    if not isinstance(op, str) or isinstance(code, bool) or not isinstance(code, int):
        return None
    head = message.get("header")
    limits = head if isinstance(head, Mapping) else {}
    data = message.get("data")
    order_id = data.get("orderId") if isinstance(data, Mapping) else ""
    return Answer(
        req_id if isinstance(req_id, str) else "", op, code, said if isinstance(said, str) else "",
        order_id if isinstance(order_id, str) else "", header_number(limits, "X-Bapi-Limit"),
        header_number(limits, "X-Bapi-Limit-Status"), max(0, header_number(limits, "X-Bapi-Limit-Reset-Timestamp")),
        batch_items(data, message.get("retExtInfo")),
    )


def header_number(headers: Mapping[str, Any], name: str) -> int:
    """A number among the X-Bapi headers, -1 where it is missing or none."""
    try:
        return integer(headers[name]) if headers.get(name) not in (None, "") else -1
    except WireError:
        return -1


def batch_items(result: Any, info: Any) -> tuple[tuple[int, str, str], ...] | None:
    """Outcomes of the items of a batch, from `retExtInfo.list` and `result.list` (same index); None where either is
    missing or they differ in length: then the whole batch is ambiguous."""
    rows = result.get("list") if isinstance(result, Mapping) else None
    outcomes = info.get("list") if isinstance(info, Mapping) else None
    if not isinstance(rows, list) or not isinstance(outcomes, list) or len(rows) != len(outcomes):
        return None
    items = []
    for row, outcome in zip(rows, outcomes, strict=True):
        if not isinstance(row, Mapping) or not isinstance(outcome, Mapping) or not isinstance(outcome.get("code"), int):
            return None
        items.append((outcome["code"], str(outcome.get("msg", "")), str(row.get("orderId") or "")))
    return tuple(items)
