"""Rules that hold for every request: hosts, origins, default deny, CSRF, security headers, and the shape of answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from admin.auth import Auth, Session

MAX_BODY = 16 * 1024
PAGES = frozenset({"cockpit", "symbol_page", "explain_page", "trades_page", "orders_page", "history_page"})
"""A stranger is sent to the login, not refused as by REST."""
PUBLIC_ENDPOINTS = frozenset({"login_page", "write.login", "static", "healthz"})
REPLAY_WRITES = frozenset({"write.logout", "write.ws_ticket", "replay.control"})
"""All that may be written to a replay, besides logging in."""
CODES = {400: 10001, 401: 10003, 403: 10005, 404: 10001, 405: 10001, 409: 90004, 413: 10001, 415: 10001, 429: 10006,
         500: 10016, 503: 90006}
HINTS = {404: "see admin/README.md for the routes", 405: "reads are GET, writes are POST",
         413: f"send at most {MAX_BODY} bytes", 400: "check the request line, the Host header and the body"}


@dataclass
class Address:
    """Where the admin listens. Ports are filled in once bound (0 = any was asked for).

    `public_hosts`: names a TLS proxy in front serves; the page then talks https/wss and cookies are Secure.
    """

    host: str = "127.0.0.1"
    port: int = 0
    ws_port: int = 0
    public_hosts: tuple[str, ...] = ()
    public_ws_url: str = ""
    cookie: str = "scalper"
    loopback_hosts: tuple[str, ...] = field(default=("127.0.0.1", "localhost"))

    @property
    def secure(self) -> bool:
        return bool(self.public_hosts)

    @property
    def trusted_hosts(self) -> list[str]:
        return [*self.loopback_hosts, *self.public_hosts]

    def origins(self) -> set[str]:
        """Every Origin that may write or open the push channel."""
        return {f"http://{name}:{self.port}" for name in self.loopback_hosts} | \
               {f"https://{name}" for name in self.public_hosts}

    def hostname(self, header: str) -> str:
        """The host of a Host header without its port; our own where the header is not a trusted one."""
        name = header.rsplit(":", 1)[0] if header.rpartition(":")[2].isdigit() else header
        return name if name in self.trusted_hosts else self.host

    def ws_url(self, hostname: str) -> str:
        """URL of the push channel for a page that was reached as `hostname`."""
        return self.public_ws_url or f"ws://{hostname}:{self.ws_port}/push"


class ApiError(Exception):
    """Becomes a JSON answer that names the cause and the fix."""

    def __init__(self, status: int, cause: str, fix: str, code: int | None = None, result: dict | None = None,
                 headers: dict[str, str] | None = None, beside: dict | None = None) -> None:
        super().__init__(cause)
        self.status = status
        self.cause = cause
        self.fix = fix
        self.code = code if code is not None else CODES.get(status, 10016)
        self.result = result or {}
        self.headers = headers or {}
        self.beside = beside or {}


def answer(result: Any, **beside: Any) -> Response:
    """200 with the Bybit-shaped envelope; `beside` adds keys next to it (the owner's C5 shapes)."""
    return _json(200, {"retCode": 0, "retMsg": "OK", "ok": True, "result": result, "retExtInfo": {},
                       "time": time.time_ns() // 1_000_000, **beside})


def refuse(error: ApiError) -> Response:
    response = _json(error.status, {"retCode": error.code, "retMsg": error.cause, "ok": False, "error": error.cause,
                                    "result": error.result, "retExtInfo": {"hint": error.fix},
                                    "time": time.time_ns() // 1_000_000, **error.beside})
    response.headers.extend(error.headers)
    return response


def _json(status: int, content: dict) -> Response:
    return Response(msgspec.json.encode(content), status, mimetype="application/json")


def body() -> dict:
    """The JSON object of the request; raises ApiError where there is none."""
    if request.mimetype != "application/json":
        raise ApiError(415, "the body is not JSON", "send Content-Type: application/json")
    try:
        content = msgspec.json.decode(request.get_data())
    except msgspec.DecodeError as error:
        raise ApiError(400, f"the body is not valid JSON: {error}", "send one JSON object") from None
    if not isinstance(content, dict):
        raise ApiError(400, "the body is not a JSON object", "send one JSON object")
    return content


def whole(text: str, most: int = (1 << 63) - 1) -> int | None:
    """The number from 0 to `most` that a text of plain digits says; None for every other text."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else most + 1
    return number if number <= most else None


def cursor_text(name: str, place: int | None) -> str:
    """The cursor of a list's next page; '' where there is none."""
    return f"{name}-{place}" if place else ""


def cursor_place(name: str) -> int:
    """Where the page before ended, by the cursor of the request; 0 for the first one. Raises ApiError for another list's."""
    text = request.args.get("cursor", "")
    if not text:
        return 0
    theirs, _, digits = text.rpartition("-")
    place = whole(digits)
    if not place or not theirs:
        raise ApiError(400, "cursor is not one of ours", "send back nextPageCursor as you got it")
    if theirs != name:
        raise ApiError(400, f"cursor is of another list: {theirs[:24]}", f"send back what {name.replace('-', '/')} gave you, "
                       "or none for its first page")
    return place


def text_of(content: dict, key: str, limit: int = 200, default: str | None = None) -> str:
    """A string of at most `limit` characters from the body."""
    value = content.get(key, default)
    if not isinstance(value, str) or len(value) > limit:
        raise ApiError(400, f"'{key}' must be text of at most {limit} characters", f'send {{"{key}": "…"}}')
    return value


def current() -> Session:
    """The session of this request (protected routes only)."""
    return g.session


def is_loopback(address: str | None) -> bool:
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False


def protect(app: Flask, auth: Auth, where: Address, replayed: str = "") -> None:
    """Install the rules on `app`. `replayed`: the run that is shown again here, where nothing may be done."""
    app.config["TRUSTED_HOSTS"] = where.trusted_hosts
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    @app.before_request
    def check() -> Response | None:
        _ = request.host  # raises 400 for a Host that is not trusted, before anything else is told
        g.session = auth.session(request.cookies.get(where.cookie))
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_origin(where)
        if request.endpoint in PUBLIC_ENDPOINTS:
            return None
        if request.endpoint == "metrics" and _metrics_allowed(auth, where):
            return None
        if g.session is None:
            if request.endpoint in PAGES:
                return Response("", 302, {"Location": "/login"})
            raise ApiError(401, "not logged in", "open the login link that launch.py printed")
        if request.method not in ("GET", "HEAD", "OPTIONS") and \
                not auth.csrf_ok(g.session, request.headers.get("X-CSRF-Token")):
            raise ApiError(403, "CSRF token missing or wrong", "send X-CSRF-Token as given by GET /api/session")
        if replayed and request.method not in ("GET", "HEAD", "OPTIONS") and request.endpoint not in REPLAY_WRITES:
            raise ApiError(409, f"this is a replay of run {replayed}: nothing is traded, paused or killed here",
                           "use the page of the running system; /api/replay plays and seeks", code=90001,
                           beside={"success": False})
        return None

    @app.after_request
    def headers(response: Response) -> Response:
        push = where.ws_url(where.hostname(request.environ.get("HTTP_HOST", ""))).rsplit("/", 1)[0]
        response.headers.setdefault("Content-Security-Policy", (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {push}; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"))
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
        response.headers["Cache-Control"] = "no-cache" if request.endpoint == "static" else "no-store"
        return response

    @app.errorhandler(ApiError)
    def api_error(error: ApiError) -> Response:
        return refuse(error)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        hint = HINTS.get(status, "see retMsg")
        return refuse(ApiError(status, error.description or error.name, hint))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        app.logger.exception("admin request failed: %s %s", request.method, request.path)
        return refuse(ApiError(500, f"internal error ({type(error).__name__})", "see the admin process's stderr"))


def _check_origin(where: Address) -> None:
    origin = request.headers.get("Origin")
    if origin not in where.origins():
        raise ApiError(403, "Origin missing or not allowed", f"send Origin: http://{where.host}:{where.port} from the "
                       "page's own address")


def _metrics_allowed(auth: Auth, where: Address) -> bool:
    """Scrapers on this host, unless a proxy makes everybody look local; others with the bearer token."""
    if is_loopback(request.remote_addr) and not where.secure:
        return True
    return auth.metrics_ok(request.headers.get("Authorization"))
