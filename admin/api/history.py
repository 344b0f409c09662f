"""GET routes over the trading database: the past as lists, as CSV and in figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, request

from admin.history import PERIODS, History, HistoryUnavailable, NoSession
from admin.parquet import NoParquet
from admin.web import ApiError, answer, cursor_place, cursor_text, whole

MAX_LIMIT = 500
LISTS = {"orders": "orders", "signals": "signals", "trades": "positions", "incidents": "incidents", "audit": "audit",
         "backtests": "backtests", "sessions": "sessions"}
"""Name in the address: list of shm/database/queries.py."""
FILTERS = {"orders": ("symbol", "status", "role", "session_id", "rejection_reason"),
           "signals": ("symbol", "phase", "session_id", "refused_by"),
           "trades": ("symbol", "status", "session_id", "close_reason"),
           "incidents": ("kind", "severity", "session_id"), "audit": ("action", "actor"),
           "backtests": ("name", "settings_digest"), "sessions": ("session_type", "status", "mode")}
PAGING = frozenset({"limit", "cursor", "from", "to"})


def _number(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    number = whole(text, most)
    if number is None or number < least:
        raise ApiError(400, f"{name} is '{text[:20]}'", f"send {name}={least}…{most}")
    return number


def _filters(name: str) -> dict[str, str]:
    found = {}
    for key, value in request.args.items():
        if key in PAGING or not value:
            continue
        if key not in FILTERS[name]:
            raise ApiError(400, f"{name} cannot be filtered by '{key[:24]}'", f"one of {', '.join(FILTERS[name])}")
        found[key] = value[:80].upper() if key == "symbol" else value[:80]
    return found


def unavailable(error: HistoryUnavailable) -> ApiError:
    return ApiError(503, f"the database cannot be read: {error}", "trading goes on without it; see launch.py db status")


def history_routes(history: History, backtests: History) -> Blueprint:
    """The blueprint of all questions about the past. `backtests`: where these are, whatever mode runs."""
    api = Blueprint("history", __name__, url_prefix="/api")
    most_ms = 1 << 43

    def of(name: str) -> History:
        return backtests if name == "backtests" else history

    def listed(name: str) -> Response:
        before = cursor_place(f"{name}-history")
        try:
            rows, cursor = of(name).page(LISTS[name], _filters(name), _number("limit", 100, 1, MAX_LIMIT), before or None,
                                        _number("from", 0, 0, most_ms), _number("to", 0, 0, most_ms))
        except HistoryUnavailable as error:
            raise unavailable(error) from None
        return answer({"list": rows, "count": len(rows), "nextPageCursor": cursor_text(f"{name}-history", cursor)})

    def download(name: str) -> Response:
        filters, span = _filters(name), (_number("from", 0, 0, most_ms), _number("to", 0, 0, most_ms))
        pieces = of(name).csv(LISTS[name], filters, *span)
        try:
            first = next(pieces, "")  # a database that cannot be read is an answer of its own, not half a file
        except HistoryUnavailable as error:
            raise unavailable(error) from None

        def text() -> Iterator[str]:
            yield first
            yield from pieces

        return Response(text(), mimetype="text/csv", headers={"Content-Disposition": f"attachment; filename=scalper-{name}.csv"})

    def as_file(name: str) -> Response:
        try:
            data = of(name).parquet(LISTS[name], _filters(name), _number("from", 0, 0, most_ms), _number("to", 0, 0, most_ms))
        except HistoryUnavailable as error:
            raise unavailable(error) from None
        except NoParquet as error:
            raise ApiError(503, str(error), f"GET /api/{name}/history.csv gives the same rows") from None
        return Response(data, mimetype="application/vnd.apache.parquet",
                        headers={"Content-Disposition": f"attachment; filename=scalper-{name}.parquet"})

    def add(name: str) -> None:
        def as_list() -> Response:
            return listed(name)

        def as_csv() -> Response:
            return download(name)

        def as_parquet() -> Response:
            return as_file(name)

        api.add_url_rule(f"/{name}/history", f"{name}_list", as_list)
        api.add_url_rule(f"/{name}/history.csv", f"{name}_csv", as_csv)
        api.add_url_rule(f"/{name}/history.parquet", f"{name}_parquet", as_parquet)

    for each in LISTS:
        add(each)

    @api.get("/performance")
    def performance() -> Response:
        period = request.args.get("period", "session")
        if period not in PERIODS and period != "session":
            raise ApiError(400, f"period is '{period[:20]}'", f"one of session, {', '.join(PERIODS)}")
        try:
            made: dict[str, Any] = history.performance(period, request.args.get("session", "")[:64])
        except HistoryUnavailable as error:
            raise unavailable(error) from None
        except NoSession as error:
            raise ApiError(404, f"no session '{error}'", "GET /api/sessions/history lists them") from None
        return answer(made)

    return api
