"""HTTP side of the venue: Bybit's public REST paths and the venue's own control paths, in one waitress thread pool.

The answers are computed in the venue's event loop (`ask`), which alone touches the market: no lock, no torn read.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any

import msgspec
from flask import Flask, Response, request
from waitress.server import create_server

from gateway.venue.rest_answers import ApiError

Answer = Callable[[Mapping[str, str]], dict[str, Any]]
Ask = Callable[[Callable[[], Any]], Any]
"""Runs a function in the event loop and returns its result."""

THREADS = 4


def envelope(code: int, text: str, result: Any, now_ms: int) -> bytes:
    """Bybit's REST envelope."""
    return msgspec.json.encode(
        {"retCode": code, "retMsg": text, "result": result, "retExtInfo": {}, "time": now_ms}
    )


def now_ms() -> int:
    return time_ns() // 1_000_000


def server_time() -> dict[str, str]:
    nano = time_ns()
    return {"timeSecond": str(nano // 1_000_000_000), "timeNano": str(nano)}


def make_app(answers: Mapping[str, Answer], control: Mapping[tuple[str, str], Callable[[Any], Any]], ask: Ask) -> Flask:
    """The WSGI application. answers: path -> function of the query; control: (method, path) -> function of the body."""
    app = Flask("gateway.venue")

    def reply(body: bytes, status: int = 200) -> Response:
        return Response(body, status=status, mimetype="application/json")

    @app.get("/v5/market/<path:name>")
    def market(name: str) -> Response:
        if name == "time":
            return reply(envelope(0, "OK", server_time(), now_ms()))
        function = answers.get(name)
        if function is None:
            return unknown()
        params = request.args.to_dict()
        try:
            return reply(envelope(0, "OK", ask(lambda: function(params)), now_ms()))
        except ApiError as refusal:
            return reply(envelope(refusal.code, str(refusal), {}, now_ms()))

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
        return reply(envelope(10017, "Request path not found or request method is invalid", {}, now_ms()), 404)

    return app


class RestServer:
    """waitress in a daemon thread, on a socket that is already bound."""

    def __init__(self, app: Flask, bound: socket.socket) -> None:
        self._server = create_server(app, sockets=[bound], threads=THREADS, map={}, clear_untrusted_proxy_headers=True)
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="venue-rest", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.close()
        self._server.task_dispatcher.shutdown(timeout=1.0)
