"""POST routes: login, tickets, PAUSE, KILL. Each write leaves an audit line; KILL is never limited, queued or disabled."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, g, request

from admin.auth import SESSION_SECONDS, Auth, LoginLimit
from admin.controls import Controls, NotFlat
from admin.web import Address, ApiError, answer, body, current, text_of
from config.news_file import NewsError, NewsItem
from core.enums import NewsType

PinCheck = Callable[[str], str | None]
"""Why a PIN is refused, None where it is right."""
NEWS_TYPES = tuple(kind.name for kind in NewsType if kind != NewsType.NONE)


def write_routes(auth: Auth, controls: Controls, where: Address, check_pin: PinCheck, limit: LoginLimit,
                 on_login: Callable[[], None]) -> Blueprint:
    """The blueprint of all writes. `on_login` is called when a one-time token was burned."""
    api = Blueprint("write", __name__, url_prefix="/api")

    def from_address() -> str:
        return request.remote_addr or "?"

    @api.post("/login", endpoint="login")
    def login() -> Response:
        wait = limit.wait_seconds(from_address())
        if wait:
            raise ApiError(429, "too many failed logins", f"wait {wait} s", headers={"Retry-After": str(wait)})
        content = body()
        if "token" in content:
            cookie = auth.login_with_token(text_of(content, "token"))
        else:
            cookie = auth.login_with_password(text_of(content, "password"))
        if cookie is None:
            limit.failed(from_address())
            controls.audit("login_refused", "?", from_address())
            raise ApiError(401, "not recognised", "one-time links work once; `launch.py status` prints a fresh one")
        session = auth.session(cookie)
        controls.audit("login", session.actor if session else "?", from_address())
        on_login()
        response = answer({"csrf": auth.csrf(session) if session else ""})
        response.set_cookie(where.cookie, cookie, max_age=SESSION_SECONDS, httponly=True, samesite="Strict",
                            secure=where.secure, path="/")
        return response

    @api.get("/session")
    def session() -> Response:
        here = current()
        hostname = where.hostname(request.headers.get("Host", ""))
        return answer({"actor": here.actor, "csrf": auth.csrf(here), "ws": where.ws_url(hostname),
                       "mode": controls.mode, "clear_phrase": controls.clear_phrase})

    @api.post("/logout")
    def logout() -> Response:
        auth.logout(current())
        controls.audit("logout", current().actor, from_address())
        response = answer({})
        response.delete_cookie(where.cookie, httponly=True, samesite="Strict", secure=where.secure, path="/")
        return response

    @api.post("/ws-ticket")
    def ws_ticket() -> Response:
        hostname = where.hostname(request.headers.get("Host", ""))
        return answer({"ticket": auth.new_ticket(g.session), "url": where.ws_url(hostname)})

    @api.post("/pause")
    def pause() -> Response:
        on = body().get("on")
        if not isinstance(on, bool):
            raise ApiError(400, "'on' must be true or false", 'send {"on": true}')
        return answer(controls.pause(on, current().actor, from_address()))

    @api.post("/news")
    def news() -> Response:
        content = body()
        unknown = set(content) - {"symbol", "type", "impact", "half_life_s", "ttl_s", "text"}
        if unknown:
            raise ApiError(400, f"unknown: {', '.join(sorted(unknown))}",
                           "send symbol, type, impact, half_life_s, ttl_s, text")
        try:
            item = NewsItem(**{"symbol": "", "type": ""} | content).check(NEWS_TYPES)
        except NewsError as error:
            raise ApiError(400, str(error), 'send {"symbol": "BTCUSDT", "type": "HACK"}') from None
        return answer(controls.news(item, current().actor, from_address()))

    @api.post("/admin/kill")
    def kill() -> Response:
        reason = text_of(body(), "reason", default="admin page") or "admin page"
        return answer(controls.kill(reason, current().actor, from_address()))

    @api.post("/admin/kill/clear")
    def kill_clear() -> Response:
        content = body()
        if content.get("confirm") != controls.clear_phrase:
            raise ApiError(409, "confirmation missing", f"type '{controls.clear_phrase}' as confirm", code=90003,
                           result={"confirm": controls.clear_phrase,
                                   "effects": ["entries become possible again", "the durable KILL file is removed"]})
        reason = text_of(content, "reason", default="")
        if not reason.strip():
            raise ApiError(400, "'reason' is empty", "say why the kill may be cleared; it goes into the audit log")
        refusal = check_pin(text_of(content, "pin", 64, default="")) if controls.mode == "LIVE" else None
        if refusal:
            controls.audit("kill_clear_refused", current().actor, from_address(), error=refusal)
            raise ApiError(403, refusal, 'send {"pin": "…"} too', code=90003)
        try:
            result = controls.clear(reason, content.get("adopt") is True, current().actor, from_address())
        except NotFlat as error:
            raise ApiError(409, str(error), "wait until flat, or send adopt: true to keep them knowingly",
                           code=90002) from None
        return answer(result)

    return api
