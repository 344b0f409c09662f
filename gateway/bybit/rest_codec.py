"""Answers of private REST -> rows, cursors and refusals. Nothing raises but WireError, for bodies that are no answer.

    {"retCode": 0, "retMsg": "OK", "result": {"list": [...], "nextPageCursor": "..."}, "retExtInfo": {}, "time": ms}

HTTP is 200 for business errors, so the retCode decides. A page that holds rows has a cursor even when it is the last:
a list ends with an empty page or a cursor that repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from core.orders.exchange_words import Query, QueryKind, Row, WalletRow
from gateway.bybit.private_codec import batch_items, grid_of
from gateway.bybit.row_codec import (
    account_row,
    closed_pnl_row,
    execution_row,
    fee_row,
    instrument_row,
    key_row,
    order_row,
    position_row,
    wallet_row,
)
from gateway.bybit.wire_units import Grids, WireError, integer

NO_WALLET = WalletRow(0, 0, 0, 0, 0, 0, 0)


class RestAnswer(NamedTuple):
    """`status` 0 = none came; then `why` says what happened. `limit`, `left` -1 = not told. `withheld`: it was us who
    did not send it, which says nothing about the exchange."""

    status: int
    body: bytes = b""
    limit: int = -1
    left: int = -1
    reset_ms: int = 0
    sent: bool = True
    why: str = ""
    sent_ns: int = 0
    received_ns: int = 0
    withheld: bool = False


class Envelope(NamedTuple):
    """An answer of REST. `time_ms` is the venue's clock."""

    code: int
    text: str
    result: Mapping[str, Any]
    info: Mapping[str, Any]
    time_ms: int

    @property
    def items(self) -> tuple[tuple[int, str, str], ...] | None:
        """Outcomes of a batch, None where they cannot be read."""
        return batch_items(self.result, self.info)


class Page(NamedTuple):
    """Rows of one page, the cursor of the next ("" = the last), and rows that could not be read."""

    rows: tuple[Row, ...]
    next_cursor: str
    troubles: tuple[str, ...]


def envelope(body: bytes) -> Envelope:
    """Raises WireError for anything that is no answer (HTML of a gateway, a cut body)."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    code = found.get("retCode") if isinstance(found, dict) else None
    if isinstance(code, bool) or not isinstance(code, int):
        raise WireError("no retCode")
    result, info, said = found.get("result"), found.get("retExtInfo"), found.get("retMsg")
    return Envelope(
        code, said if isinstance(said, str) else "", result if isinstance(result, Mapping) else {},
        info if isinstance(info, Mapping) else {}, integer(found.get("time")),
    )


def page_of(query: Query, answer: Envelope, grids: Grids) -> Page:
    """The rows of a taken query. Raises WireError where the result has not the shape of its kind."""
    what, result = query.what, answer.result
    if what is QueryKind.SERVER_TIME:
        return Page((), "", ())
    if what is QueryKind.API_KEY:
        return Page((key_row(result),), "", ())
    if what is QueryKind.ACCOUNT:
        return Page((account_row(result),), "", ())
    listed = result.get("list")
    if not isinstance(listed, list):
        raise WireError("result.list is missing")
    rows: list[Row] = []
    troubles: list[str] = []
    for raw in listed:
        try:
            rows.append(_row(what, raw, answer.time_ms, grids))
        except WireError as error:
            troubles.append(f"{what.name}: {error}")
    cursor = result.get("nextPageCursor")
    last = not listed or not isinstance(cursor, str) or cursor == query.cursor
    return Page(tuple(rows), "" if last or not isinstance(cursor, str) else cursor, tuple(troubles))


def _row(what: QueryKind, raw: Any, time_ms: int, grids: Grids) -> Row:
    if not isinstance(raw, Mapping):
        raise WireError("a row is no object")
    if what in (QueryKind.ORDER_REALTIME, QueryKind.ORDER_HISTORY):
        return order_row(raw, grid_of(raw, grids))
    if what is QueryKind.EXECUTIONS:
        return execution_row(raw, grid_of(raw, grids))
    if what is QueryKind.CLOSED_PNL:
        return closed_pnl_row(raw, grid_of(raw, grids))
    if what is QueryKind.POSITIONS:
        return position_row(raw, grid_of(raw, grids))
    if what is QueryKind.WALLET:
        return wallet_row(raw, time_ms) or NO_WALLET._replace(updated_ms=time_ms)
    return instrument_row(raw) if what is QueryKind.INSTRUMENT else fee_row(raw)


def server_ns(answer: Envelope) -> int:
    """The venue's clock from /v5/market/time in ns. Raises WireError."""
    nano = integer(answer.result.get("timeNano"))
    if nano <= 0:
        raise WireError("timeNano is missing")
    return nano
