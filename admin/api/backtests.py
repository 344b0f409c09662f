"""GET routes over kept backtests: one, two side by side, the report as it was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from admin.api.history import unavailable
from admin.backtests import Backtests
from admin.history import HistoryUnavailable
from admin.web import ApiError, answer, whole

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"
"""A report is a page of its own with its style in it, and may do nothing at all."""


def backtest_routes(
    backtests: Backtests, beside: Callable[[], dict[str, Any]], sources: Callable[[], dict[str, Any]]
) -> Blueprint:
    """The blueprint; lists are in api/history.py. `beside`: what shadow and calibration say of the run; `sources`: what
    a backtest can be made of."""
    api = Blueprint("backtests", __name__, url_prefix="/api")

    @api.get("/comparisons")
    def comparisons() -> Response:
        return answer(beside())

    @api.get("/backtests/sources")
    def recordings() -> Response:
        try:
            return answer(sources())
        except OSError as error:
            raise ApiError(503, f"the recordings cannot be listed ({error.strerror})", "see its rights") from None

    @api.get("/backtests/<int:number>")
    def one(number: int) -> Response:
        try:
            found = backtests.one(number)
        except HistoryUnavailable as error:
            raise unavailable(error) from None
        if found is None:
            raise _missing(number)
        return answer(found)

    @api.get("/backtests/compare")
    def compare() -> Response:
        a, b = _number("a"), _number("b")
        try:
            found = backtests.compared(a, b)
        except HistoryUnavailable as error:
            raise unavailable(error) from None
        if found is None:
            raise ApiError(404, f"no backtests {a} and {b}", "GET /api/backtests/history lists them")
        return answer(found)

    @api.get("/backtests/<int:number>/report")
    def report(number: int) -> Response:
        try:
            path = backtests.report(number)
            text = path.read_bytes() if path is not None else None
        except HistoryUnavailable as error:
            raise unavailable(error) from None
        except OSError as error:
            raise ApiError(404, f"the report of backtest {number} cannot be read ({error.strerror})", "run it again") from None
        if text is None:
            raise _missing(number)
        return Response(text, mimetype="text/html", headers={"Content-Security-Policy": REPORT_POLICY})

    return api


def _missing(number: int) -> ApiError:
    return ApiError(404, f"no backtest {number}", "GET /api/backtests/history lists them; launch.py backtest makes one")


def _number(name: str) -> int:
    text = request.args.get(name, "")
    number = whole(text)
    if number is None:
        raise ApiError(400, f"{name} is '{text[:20]}'", "send the ids of two backtests: ?a=1&b=2")
    return number
