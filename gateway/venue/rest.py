"""HTTP side of the venue: Bybit's REST paths and the venue's own control paths, in one waitress thread pool.

The answers are computed in the venue's event loop (`ask`), which alone touches market and exchange: no lock, no torn
read. What a fault makes of an answer (late, never, a cut connection) is acted out here, in the thread of the request.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from flask import Flask, Response, request
from waitress.server import create_server

from gateway.venue.private_rest import NOT_FOUND, PrivateRest, Reply, Request, envelope, op_of
from gateway.venue.rest_answers import ApiError

Answer = Callable[[Mapping[str, str]], dict[str, Any]]
Ask = Callable[[Callable[[], Any]], Any]
"""Runs a function in the event loop and returns its result."""

THREADS = 8
MAX_REQUEST_BYTES = 4 << 20  # larger bodies are refused before they are read (HTTP 413)
MARKET = "/v5/market/"
BANNED = "access too frequent"


def server_time(now_ns: int) -> dict[str, str]:
    return {"timeSecond": str(now_ns // 1_000_000_000), "timeNano": str(now_ns)}


def public_reply(answers: Mapping[str, Answer], asked: Request, params: Mapping[str, str], now_ns: int) -> Reply:
    """One of the market paths: anybody may ask."""
    name, now_ms = asked.path.removeprefix(MARKET), now_ns // 1_000_000
    function = (lambda _params: server_time(now_ns)) if name == "time" else answers.get(name)
    if function is None or asked.method != "GET":
        return Reply(404, envelope(10017, NOT_FOUND, {}, now_ms))
    try:
        return Reply(200, envelope(0, "OK", function(params), now_ms))
    except ApiError as refusal:
        return Reply(200, envelope(refusal.code, str(refusal), refusal.result, now_ms))


def faulty_public_reply(private: PrivateRest, make: Callable[[], Reply], asked: Request, symbol: str, now_ns: int) -> Reply:
    """A public answer, or what an armed fault makes of it."""
    fault = private.faults.on_request("rest", op_of(asked.path), "", symbol)
    if fault.lose:
        return Reply(200, None, {}, fault.delay_ms)
    if fault.body is not None or fault.status != 200:
        return Reply(fault.status, fault.body or b"", {}, fault.delay_ms)
    if fault.code:
        return Reply(200, envelope(fault.code, fault.text, {}, now_ns // 1_000_000), {}, fault.delay_ms)
    return make()._replace(delay_ms=fault.delay_ms)


def make_app(answers: Mapping[str, Answer], control: Mapping[tuple[str, str], Callable[[Any], Any]], ask: Ask,
             private: PrivateRest | None = None, now_ns: Callable[[], int] = time.time_ns) -> Flask:
    """The WSGI application. answers: path -> function of the query; control: (method, path) -> function of the body;
    private None: public paths only. now_ns: the venue's clock."""
    app = Flask("gateway.venue")
    public = {**answers, **(private.market if private is not None else {})}

    def reply(body: bytes, status: int = 200) -> Response:
        return Response(body, status=status, mimetype="application/json")

    def respond(asked: Request, params: Mapping[str, str]) -> Reply:
        """In the event loop: the answer to one request for a Bybit path."""
        now = now_ns()
        if private is not None and not private.limits.admit_ip(asked.ip, now // 1_000_000):
            return Reply(403, envelope(403, BANNED, {}, now // 1_000_000))
        if asked.path.startswith(MARKET) or private is None:
            if private is None:
                return public_reply(public, asked, params, now)
            return faulty_public_reply(
                private, lambda: public_reply(public, asked, params, now), asked, params.get("symbol", ""), now
            )
        return private.handle(asked, now)

    @app.route("/v5/<path:_name>", methods=["GET", "POST"])
    def bybit(_name: str) -> Response:
        asked = Request(
            request.method, request.path, request.query_string, request.get_data(),
            {name.lower(): value for name, value in request.headers.items()}, request.remote_addr or "",
        )
        params = request.args.to_dict()
        found: Reply = ask(lambda: respond(asked, params))
        if found.delay_ms:
            time.sleep(found.delay_ms / 1000)
        if found.body is None:
            cut(request.environ)
            return reply(b"", 502)
        made = reply(found.body, found.status)
        made.headers.update(found.headers)
        return made

    @app.route("/venue/<name>", methods=["GET", "POST"])
    def venue(name: str) -> Response:
        function = control.get((request.method, name))
        if function is None:
            return unknown()
        body = request.get_json(silent=True) if request.method == "POST" else None
        try:
            return reply(msgspec.json.encode(ask(lambda: function(body))))
        except ValueError as refusal:
            return reply(msgspec.json.encode({"ok": False, "error": str(refusal)}), 400)

    @app.errorhandler(404)
    @app.errorhandler(405)
    def missing(_error: Exception) -> Response:
        return unknown()

    def unknown() -> Response:
        return reply(envelope(10017, NOT_FOUND, {}, now_ns() // 1_000_000), 404)

    return app


def cut(environ: Mapping[str, Any]) -> None:
    """Cut the connection of a request under waitress, so that its client never reads an answer."""
    watcher = environ.get("waitress.client_disconnected")
    if watcher is not None:
        watcher.__self__.socket.shutdown(socket.SHUT_RDWR)


class RestServer:
    """waitress in a daemon thread, on a socket that is already bound."""

    def __init__(self, app: Flask, bound: socket.socket) -> None:
        self._server = create_server(
            app, sockets=[bound], threads=THREADS, map={}, clear_untrusted_proxy_headers=True,
            max_request_body_size=MAX_REQUEST_BYTES,
        )
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="venue-rest", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.close()
        self._server.task_dispatcher.shutdown(timeout=1.0)
