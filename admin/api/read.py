"""GET routes. Everything comes from the shared snapshot: a request never reads shared memory more often than the push does."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, request

from admin import present
from admin.views import Views
from admin.web import ApiError, answer, cursor_place, cursor_text, whole
from core.orders.lifecycle import OrderState

MAX_LIMIT = 500
ORDERS, EVENTS = "orders-recent", "events-recent"


def _limit() -> int:
    text = request.args.get("limit", "100")
    limit = whole(text, MAX_LIMIT)
    if not limit:
        raise ApiError(400, f"limit is '{text[:20]}'", f"send limit=1…{MAX_LIMIT}")
    return limit


def read_routes(views: Views) -> Blueprint:
    """The blueprint of all reads over `views`."""
    api = Blueprint("read", __name__, url_prefix="/api")

    @api.get("/health")
    def health() -> Response:
        return answer(present.health(views.snapshot()))

    @api.get("/summary")
    def summary() -> Response:
        return answer({**present.summary(views.snapshot()), "run": views.run_json()})

    @api.get("/hotlist")
    def hotlist() -> Response:
        rows = present.hotlist(views.snapshot())
        return answer({"list": rows, "count": len(rows)})

    @api.get("/symbol/<symbol>")
    def symbol(symbol: str) -> Response:
        snapshot = views.snapshot()
        info = snapshot.by_name(symbol)
        at = snapshot.place(info.id) if info else -1
        if info is None or at < 0:
            raise ApiError(404, f"symbol '{symbol[:24]}' is not listed", "GET /api/hotlist lists every symbol")
        result: dict[str, Any] = present.hot_row(info, snapshot.rows[at], present.age_ms(snapshot, at))
        result["position"] = next((row for row in present.positions(snapshot) if row["symbol"] == info.name), None)
        result["events_recent"] = views.events.page(50, views.names(), symbol=info.id)[0]
        detail = result["detail"] = views.detail(info.id)
        result["explain"] = views.explain(info.name)
        result["decisions"] = views.decisions(info)
        result["walls"] = (detail or {}).get("walls", {"bids": [], "asks": []})
        return answer(result)

    @api.get("/explain/<wanted>")
    def explain(wanted: str) -> Response:
        found = views.explain(wanted[:64], whole(request.args.get("at", "")) or 0)
        if found is None:
            raise ApiError(404, f"no decision or symbol '{wanted[:40]}'", "an id is <seq>-<symbol>, as the events show it; "
                           "a symbol must be listed")
        return answer(found)

    @api.get("/funnel")
    def funnel() -> Response:
        return answer(views.funnel())

    @api.get("/positions")
    def positions() -> Response:
        rows = present.positions(views.snapshot())
        return answer({"list": rows, "count": len(rows)}, positions=rows, count=len(rows),
                      timestamp=time.time_ns() // 1_000_000)

    @api.get("/positions/open", endpoint="positions_open")
    def positions_open() -> Response:
        return positions()

    @api.get("/checklist")
    def checklist() -> Response:
        return answer(views.checklist.get())

    @api.get("/blacklist")
    def blacklist() -> Response:
        rows = views.blacklist()
        return answer({"list": rows, "count": len(rows)})

    @api.get("/trades/active")
    def trades_active() -> Response:
        snapshot = views.snapshot()
        rows = [row for row in present.hotlist(snapshot) if row["state"] in ("ORDER_PLACED", "IN_POSITION", "MANAGING")]
        return answer({"list": rows, "positions": present.positions(snapshot), "orders": views.orders.active(),
                       "count": len(rows)})

    @api.get("/orders/active")
    def orders_active() -> Response:
        rows = views.orders.active()
        return answer({"list": rows, "count": len(rows)})

    @api.get("/orders/recent")
    def orders_recent() -> Response:
        cursor, state = cursor_place(ORDERS), request.args.get("state", "").upper()
        if state and state not in OrderState.__members__:
            raise ApiError(400, f"state '{state[:20]}' is unknown", f"one of {', '.join(OrderState.__members__)}")
        rows, older = views.orders.history(_limit(), request.args.get("symbol", "").upper(), state, cursor)
        return answer({"list": rows, "count": len(rows), "nextPageCursor": cursor_text(ORDERS, older)}, orders=rows,
                      count=len(rows))

    @api.get("/latency")
    def latency() -> Response:
        return answer(views.orders.latency())

    @api.get("/events/recent")
    def events_recent() -> Response:
        limit = _limit()
        symbol = None
        if wanted := request.args.get("symbol"):
            info = views.snapshot().by_name(wanted)
            if info is None:
                raise ApiError(404, f"symbol '{wanted[:24]}' is not listed", "GET /api/hotlist lists every symbol")
            symbol = info.id
        cursor = cursor_place(EVENTS)
        kind = request.args.get("kind")
        if kind is not None and not views.events.is_kind(kind):
            raise ApiError(400, f"kind '{kind[:20]}' is unknown", f"one of {', '.join(views.events.kinds())}")
        views.snapshot()
        rows, older = views.events.page(limit, views.names(), symbol=symbol, kind=kind,
                                        before=cursor or None)
        return answer({"list": rows, "count": len(rows), "nextPageCursor": cursor_text(EVENTS, older)})

    @api.get("/storage/status")
    def storage_status() -> Response:
        return answer(views.storage())

    return api
