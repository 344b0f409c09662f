"""Reading the parameters of private requests as Bybit does: numbers are texts, unknown fields are ignored, everything
else that does not fit is refused with 10001 and a text that names the field.

One `Fields` for both origins: a JSON body (values have types) and a query string (every value is a text).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from core.units import UnitsError, parse_fixed, parse_units
from gateway.venue.instruments import Instrument
from gateway.venue.rest_answers import ApiError
from gateway.venue.ret_texts import TEXTS

T = TypeVar("T")

PARAMETER_ERROR = 10001
MAX_LINK_ID_CHARS = 36
MAX_BODY_BYTES = 1 << 20
LINK_ID = re.compile(r"[A-Za-z0-9_-]*")
SPAN_MS = 7 * 86_400_000  # the longest window of a history query

FIELD_TEXTS = {
    "side": "Side invalid", "qty": "Qty invalid", "orderType": "OrderType invalid", "price": "Price invalid",
    "timeInForce": "TimeInForce invalid", "positionIdx": "position idx not match position mode",
    "buyLeverage": "buyLeverage invalid", "sellLeverage": "sellLeverage invalid", "category": "Illegal category",
}
"""retMsg where it is not "params error: <name> invalid"."""

FILLED_IN = "params error: Missing some parameters that must be filled in, {}"


def invalid(name: str) -> ApiError:
    return ApiError(PARAMETER_ERROR, FIELD_TEXTS.get(name, f"params error: {name} invalid"))


def missing(name: str) -> ApiError:
    return ApiError(PARAMETER_ERROR, FILLED_IN.format(name))


def body_of(raw: bytes) -> Mapping[str, Any]:
    """The object of a JSON body. Raises ApiError 10001 for anything else."""
    if len(raw) > MAX_BODY_BYTES:
        raise ApiError(PARAMETER_ERROR, TEXTS[PARAMETER_ERROR])
    try:
        found = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ApiError(PARAMETER_ERROR, TEXTS[PARAMETER_ERROR])
    return found


def query_of(raw: bytes) -> Mapping[str, Any]:
    """The parameters of a query string; of a repeated name the first counts. Raises ApiError 10001."""
    found: dict[str, str] = {}
    try:
        for name, value in parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=100):
            found.setdefault(name, value)
    except (ValueError, UnicodeDecodeError):
        raise ApiError(PARAMETER_ERROR, TEXTS[PARAMETER_ERROR]) from None
    return found


class Fields:
    """Typed reading of one request (or one item of a batch)."""

    def __init__(self, values: Mapping[str, Any], typed: bool) -> None:
        self.values = values
        self._typed = typed  # a JSON body: numbers, texts and booleans differ

    def text(self, name: str, default: str = "", *, required: bool = False) -> str:
        """A text; "" and null count as not given."""
        value = self.values.get(name)
        if value is None or value == "":
            if required:
                raise missing(name)
            return default
        if not isinstance(value, str):
            raise invalid(name)
        return value

    def given(self, name: str) -> bool:
        """Is the field there and not empty."""
        value = self.values.get(name)
        return value is not None and value != ""

    def choice(self, name: str, allowed: Mapping[str, T], default: T | None = None) -> T:
        """One of the words of `allowed`; without default it must be given."""
        word = self.text(name, required=default is None)
        if not word and default is not None:
            return default
        try:
            return allowed[word]
        except KeyError:
            raise invalid(name) from None

    def integer(self, name: str, default: int, low: int = 0, high: int = 2**62) -> int:
        """A whole number in [low, high]; a number in JSON, digits in a query."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if self._typed:
            if isinstance(value, bool) or not isinstance(value, int):
                raise invalid(name)
            found = value
        else:
            if not value.isascii() or not value.isdigit() or len(value) > 19:
                raise invalid(name)
            found = int(value)
        if not low <= found <= high:
            raise invalid(name)
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise invalid(name)

    def limit(self, default: int, largest: int) -> int:
        """Rows of a page: above `largest` it is cut, as Bybit does."""
        return min(self.integer("limit", default, 1), largest)

    def ticks(self, name: str, instrument: Instrument, *, required: bool = False) -> int:
        """A price on the grid, in ticks; 0 = not given (or "0", with which Bybit's clients remove a price)."""
        return self._steps(name, instrument.tick_mant, instrument.price_exp, required)

    def lots(self, name: str, instrument: Instrument, *, required: bool = False) -> int:
        """A quantity on the grid, in lots."""
        return self._steps(name, instrument.lot_mant, instrument.qty_exp, required)

    def _steps(self, name: str, mant: int, exp: int, required: bool) -> int:
        text = self.text(name, required=required)
        if not text:
            return 0
        try:
            return parse_units(text, mant, exp)
        except UnitsError:
            raise invalid(name) from None

    def fixed(self, name: str, exp: int, *, required: bool = False, signed: bool = False) -> int:
        """A decimal text as a number of 10**-exp; more decimals are refused."""
        text = self.text(name, required=required)
        if not text:
            return 0
        try:
            found = parse_fixed(text, exp + 1, signed=signed)
        except UnitsError:
            raise invalid(name) from None
        if found % 10:
            raise invalid(name)
        return found // 10

    def link_id(self, name: str = "orderLinkId") -> str:
        """A client's order id: at most 36 of [A-Za-z0-9_-]."""
        found = self.text(name)
        if len(found) > MAX_LINK_ID_CHARS:
            raise ApiError(PARAMETER_ERROR, f"params error: {name} longer than {MAX_LINK_ID_CHARS}")
        if not LINK_ID.fullmatch(found):
            raise invalid(name)
        return found

    def category(self) -> None:
        """This venue trades category linear only."""
        if self.values.get("category") != "linear":
            raise invalid("category")

    def window(self, now_ms: int, span_ms: int = SPAN_MS) -> tuple[int, int]:
        """(start_ms, end_ms) of a history query: without both the last span, with one a span from it, at most a span."""
        start, end = self.integer("startTime", -1), self.integer("endTime", -1)
        if start < 0 and end < 0:
            return now_ms - span_ms, now_ms + span_ms  # whatever the clocks are apart: to the newest
        if end < 0:
            return start, start + span_ms
        if start < 0:
            return end - span_ms, end
        if end < start:
            raise ApiError(PARAMETER_ERROR, "params error: startTime should not be later than endTime")
        if end - start > span_ms:
            raise ApiError(PARAMETER_ERROR, "The time range between startTime and endTime cannot exceed 7 days")
        return start, end
