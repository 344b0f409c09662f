"""Pages of rows, newest first, with cursors that survive new rows: a cursor names the last row that was seen.

As on Bybit a page that holds rows always has a cursor, also the last one; the page after the end is empty and has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import quote, unquote

from gateway.venue.private_rest_params import PARAMETER_ERROR
from gateway.venue.rest_answers import ApiError

T = TypeVar("T")
Position = tuple[int, str]
"""Where a row stands: (time in ns, id); both descend from the newest row on."""

TOKEN = "page_token="


def cursor_of(position: Position) -> str:
    """The text of a cursor: percent-encoded already, to be sent back as it is."""
    return quote(f"{TOKEN}{position[0]}:{position[1]}&", safe="")


def position_of(cursor: str) -> Position | None:
    """The inverse, whether the client sent the text back as it came or encoded it once more. Raises ApiError 10001."""
    if not cursor:
        return None
    text = unquote(cursor)
    time_text, separator, key = text.removeprefix(TOKEN).removesuffix("&").partition(":")
    if not text.startswith(TOKEN) or not separator or not time_text.isascii() or not time_text.isdigit() or len(time_text) > 19:
        raise ApiError(PARAMETER_ERROR, "params error: cursor invalid")
    return int(time_text), key


def page(rows: Iterable[T], position: Callable[[T], Position], cursor: str, limit: int) -> tuple[list[T], str]:
    """The next `limit` rows after the cursor, and the cursor after them. `rows` in any order; positions are unique."""
    after = position_of(cursor)
    ordered = sorted(rows, key=position, reverse=True)
    if after is not None:
        ordered = [row for row in ordered if position(row) < after]
    chosen = ordered[:limit]
    return chosen, cursor_of(position(chosen[-1])) if chosen else ""
