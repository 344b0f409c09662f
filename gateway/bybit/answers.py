"""Answers to requests as events of the exchange desk: pure, so that a replay reads them as the link did."""

from __future__ import annotations

from typing import NamedTuple

from core.orders.exchange_words import Ack, Event, Lost, Query, QueryRows
from gateway.bybit.private_codec import Answer
from gateway.bybit.rest_codec import Envelope, RestAnswer, envelope, page_of
from gateway.bybit.wire_units import Grids, WireError


class Reading(NamedTuple):
    """What the answer of a REST call says. `found` None: it is none; `troubles`: rows that could not be read."""

    events: tuple[Event, ...]
    found: Envelope | None = None
    troubles: tuple[str, ...] = ()


def lost(req_ids: tuple[int, ...], why: str, sent: bool = True) -> tuple[Event, ...]:
    return tuple(Lost(req_id, why, sent) for req_id in req_ids)


def acks(req_ids: tuple[int, ...], op: str, answer: Answer) -> tuple[Event, ...]:
    """An answer of the trade WebSocket (or of REST in its place) to the requests of a flight, one Ack each. A taken batch
    whose items cannot be read is ambiguous as a whole."""
    code, text, left, reset_ms, items = answer.code, answer.text, answer.left, answer.reset_ms, answer.items
    if len(req_ids) == 1 and not op.endswith("-batch"):
        return (Ack(req_ids[0], code, text, left, reset_ms, answer.order_id),)
    if code:
        return tuple(Ack(req_id, code, text, left, reset_ms) for req_id in req_ids)
    if items is None or len(items) != len(req_ids):
        return lost(req_ids, "batch answer without outcomes")
    return tuple(
        Ack(req_id, item_code, item_text, left, reset_ms, item_id)
        for req_id, (item_code, item_text, item_id) in zip(req_ids, items, strict=True)
    )


def rest_events(req_ids: tuple[int, ...], op: str, query: Query | None, answer: RestAnswer, grids: Grids) -> Reading:
    """The answer of a REST call to orders (`op` as on the trade WebSocket) or, with `query`, to a look-up."""
    if answer.status in (401, 403):
        return Reading(tuple(Ack(req_id, answer.status, f"HTTP {answer.status}") for req_id in req_ids))
    try:
        if answer.status == 0:
            raise WireError(answer.why)
        if answer.status == 429 or answer.status >= 500:
            raise WireError(f"HTTP {answer.status}")
        found = envelope(answer.body)
    except WireError as error:
        return Reading(lost(req_ids, str(error), answer.sent))
    if query is None:
        order_id = found.result.get("orderId")
        said = Answer("", op, found.code, found.text, order_id if isinstance(order_id, str) else "", answer.limit,
                      answer.left, answer.reset_ms, found.items)
        return Reading(acks(req_ids, op, said), found)
    if found.code:
        return Reading((Ack(query.req_id, found.code, found.text, answer.left, answer.reset_ms),), found)
    try:
        page = page_of(query, found, grids)
    except WireError as error:
        return Reading(lost(req_ids, f"answer cannot be understood: {error}"), found)
    return Reading((QueryRows(query.req_id, query.what, page.rows, page.next_cursor, found.time_ms),), found, page.troubles)
